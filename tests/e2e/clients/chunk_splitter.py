#!/usr/bin/env python3
"""A client of the upstream's version 1.0, as log forwarders are written: it inflates the chunks as
they come off the network and cuts the text at "},{", without a JSON parser for the whole.

It knows nothing of any gateway: base URL, username and password come from the environment (BASE_URL,
USERNAME, PASSWORD; VERSION is 1.0 unless told otherwise), records go to standard output, one of JSON
a line.
"""

import json
import os
import sys
import zlib

import requests

BASE, VERSION = os.environ["BASE_URL"].rstrip("/"), os.environ.get("VERSION", "1.0")
POLICIES_AT_A_TIME = 2
TIMEOUT_S = 300


def login():
    answer = requests.post(f"{BASE}/auth", data={
        "username": os.environ["USERNAME"], "password": os.environ["PASSWORD"],
        "permissions": "true"}, timeout=TIMEOUT_S)
    answer.raise_for_status()
    return {"Authorization": f"Bearer {answer.text}", "Accept": "application/json",
            "X-requested-with": "log forwarder"}


def get(headers, path, **params):
    answer = requests.get(BASE + path, params=params, headers=headers, timeout=TIMEOUT_S)
    if answer.status_code != 200:
        sys.exit(f"{path}: {answer.status_code} {answer.text}")
    return answer.json()


def records(chunks):
    """Text that is not yet a whole record stays in `rest`, cut characters as bytes in the inflater's
    output."""
    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
    rest = b""
    for chunk in chunks:
        rest += inflate.decompress(chunk)
        parts = rest.split(b"},{")
        for part in parts[:-1]:
            yield b"{" + part.removeprefix(b"[").removeprefix(b"{") + b"}"
        rest = parts[-1] if len(parts) == 1 else b"{" + parts[-1]
    rest += inflate.flush()
    if not rest.endswith(b"]"):
        sys.exit("the answer was cut off")
    rest = rest.removesuffix(b"]").removeprefix(b"[")
    if rest:
        yield rest


def main():
    headers = login()
    listed = get(headers, "/pcrs/1.0/posture/policy/list", lastEvaluationDate="2020-01-01T00:00:00Z")
    policies = [str(p["id"]) for p in listed["policyList"] if p["status"] == "active"]
    for at in range(0, len(policies), POLICIES_AT_A_TIME):
        body = get(headers, f"/pcrs/{VERSION}/posture/hostids",
                   policyId=", ".join(policies[at:at + POLICIES_AT_A_TIME]))
        for element in body:
            if "error" in element:
                print(f"policy {element['policyId']}: {element['error']}", file=sys.stderr)
        with requests.post(f"{BASE}/pcrs/{VERSION}/posture/postureInfo", headers=headers,
                           params={"evidenceRequired": 1, "compressionRequired": 1,
                                   "evidenceTruncationLimit": 1},
                           data=json.dumps(body), stream=True, timeout=TIMEOUT_S) as answer:
            if answer.status_code != 200:
                sys.exit(f"postureInfo: {answer.status_code} {answer.text}")
            for record in records(answer.iter_content(4096)):
                print(json.dumps(json.loads(record)))


main()
