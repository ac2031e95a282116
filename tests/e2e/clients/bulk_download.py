#!/usr/bin/env python3
"""A client of the upstream's version 1.0, as bulk loaders are written: requests, the answer as a gzip
file on disk, and an incremental parser over it that takes one array and nothing behind it.

It knows nothing of any gateway: base URL, username and password come from the environment (BASE_URL,
USERNAME, PASSWORD; VERSION is 1.0 unless told otherwise), records go to standard output, one of JSON
a line.
"""

import gzip
import json
import os
import sys
import tempfile

import ijson
import requests

BASE, VERSION = os.environ["BASE_URL"].rstrip("/"), os.environ.get("VERSION", "1.0")
HOSTS_AT_A_TIME = int(os.environ.get("HOSTS_AT_A_TIME", "250"))
TIMEOUT_S = 90


def login(session):
    answer = session.post(f"{BASE}/auth", data={
        "username": os.environ["USERNAME"], "password": os.environ["PASSWORD"], "token": "true",
        "permissions": "true"}, timeout=TIMEOUT_S)
    if answer.status_code != 201:
        sys.exit(f"login: {answer.status_code} {answer.text}")
    session.headers["Authorization"] = f"Bearer {answer.text.strip()}"


def must(answer):
    if answer.status_code != 200:
        sys.exit(f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:300]}")
    if int(answer.headers.get("X-RateLimit-Remaining", "0")) < 15:
        sys.exit("the limit is near, or not told: a real client would sleep for five minutes")
    return answer


def policies(session):
    listed = must(session.get(f"{BASE}/pcrs/1.0/posture/policy/list", timeout=TIMEOUT_S)).json()
    return [p["id"] for p in listed["policyList"] if p["status"] == "active"]


def hosts_of(session, policy):
    return must(session.get(f"{BASE}/pcrs/{VERSION}/posture/hostids", params={"policyId": policy},
                            timeout=TIMEOUT_S)).json()


def pieces(resolved):
    for element in resolved:
        hosts = element["hostIds"]
        for at in range(0, len(hosts), HOSTS_AT_A_TIME):
            yield [{**element, "hostIds": hosts[at:at + HOSTS_AT_A_TIME]}]


def postures(session, body):
    url = f"{BASE}/pcrs/{VERSION}/posture/postureInfo"
    with tempfile.TemporaryFile() as file:
        with session.post(url, params={"evidenceRequired": 1, "compressionRequired": 1}, json=body,
                          stream=True, timeout=TIMEOUT_S) as answer:
            must(answer)
            for chunk in answer.iter_content(65536):
                file.write(chunk)
        file.seek(0)
        with gzip.open(file) as text:
            yield from ijson.items(text, "item", use_float=True)


def main():
    with requests.Session() as session:
        login(session)
        for policy in policies(session):
            for body in pieces(hosts_of(session, policy)):
                for record in postures(session, body):
                    print(json.dumps(record))


main()
