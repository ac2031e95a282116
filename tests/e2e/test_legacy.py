"""Callers who still speak the upstream's versions 1.0 to 5.0: the same answers as the upstream's own,
also when it has only 5.0 left."""

import concurrent.futures
import gzip
import http.client
import json
import os
import pathlib
import random
import subprocess
import sys
import time
import unittest
import urllib.parse
import zlib

import harness
from harness import Consumer

CLIENTS = pathlib.Path(__file__).parent / "clients"
VERSIONS = ("1.0", "2.0", "3.0", "4.0", "5.0")
OLD = "1.0,2.0,3.0,4.0"  # of hostids and postureInfo
BOOKKEEPING = ("created", "currentBatch", "totalBatches", "currentDataSizeKB", "totalDataSizeKB")
DATA = {"policies": 3, "hosts": 23, "controls": 11, "rate": 0, "concurrency": 0, "batch_hosts": 5}
SINCE = ("2026-10-20", "2026-10-28T12:00:00Z", "2026-11-01")
FROM_5_0 = {"allow": {"legacy": "allow"}, "warn": {"legacy": "warn"}, "strict": {}}


class Speaker:
    """The upstream's protocol, as its callers speak it: at the simulated upstream itself, or at the
    gateway."""

    def __init__(self, connect, username, password):
        self.connect = connect
        self.username, self.password = username, password
        self.token = None

    def request(self, method, target, body=None, headers=None):
        connection = self.connect()
        try:
            connection.request(method, target, body=body, headers=headers or {})
            return harness.Answer(connection.getresponse())
        finally:
            connection.close()

    def login(self):
        answer = self.request(
            "POST", "/auth", urllib.parse.urlencode(
                {"username": self.username, "password": self.password, "token": "true"}),
            {"Content-Type": "application/x-www-form-urlencoded"})
        if answer.status == 201:
            self.token = answer.body.decode().strip()
        return answer

    def call(self, method, path, body=None, headers=None, **params):
        if self.token is None and self.login().status != 201:
            raise AssertionError("no token")
        target = path + ("?" + urllib.parse.urlencode(params) if params else "")
        return self.request(
            method, target, None if body is None else json.dumps(body),
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            | (headers or {}))

    def list(self, version="1.0", **params):
        return self.call("GET", f"/pcrs/{version}/posture/policy/list", **params)

    def hosts(self, version, **params):
        return self.call("GET", f"/pcrs/{version}/posture/hostids", **params)

    def info(self, version, body, headers=None, **params):
        return self.call("POST", f"/pcrs/{version}/posture/postureInfo", body, headers, **params)


def upstream_of(stack):
    address = urllib.parse.urlsplit(stack.upstream).netloc
    return Speaker(lambda: http.client.HTTPConnection(address, timeout=harness.PATIENCE_S),
                   stack.username, stack.password)


def gateway_of(stack, consumer=0):
    c = stack.consumers[consumer]
    return Speaker(lambda: harness.UnixConnection(stack.nginx_socket, harness.PATIENCE_S),
                   c.name, c.key.split(".", 1)[1])


def text_of(answer):
    return gzip.decompress(answer.body) if answer.body[:2] == b"\x1f\x8b" else answer.body


UNKNOWN = "auditTrail"  # a member that no document knows: it may stand anywhere


def records_of(answer):
    """By ID, each as a list of pairs, so that the order of members counts, and numbers as their text."""
    if answer.status != 200:
        raise AssertionError(answer)
    records = {}
    for pairs in json.loads(text_of(answer), object_pairs_hook=list, parse_float=str, parse_int=str):
        pairs = sorted(((name, value) for name, value in pairs if name not in BOOKKEEPING),
                       key=lambda pair: pair[0] == UNKNOWN)
        key = dict(pairs)["id"]
        if key in records:
            raise AssertionError(f"posture {key} came twice")
        records[key] = pairs
    return records


def allowing(**grants):
    return [Consumer("old", legacy="allow", admin="true", **grants)]


class Shapes(harness.StackTest):
    """Random queries in every version."""

    @classmethod
    def setUpClass(cls):
        cls.seed = int(os.environ.get("UNIT_SEED", time.time_ns() % 1000000))
        cls.share(simulator=DATA | {"now": "2026-11-20T12:00:00Z"}, consumers=allowing())

    def query(self, rng, version):
        """Parameters and a body that the version takes."""
        params = {"compressionRequired": rng.choice("01")}
        if rng.random() < 0.6:
            params["evidenceRequired"] = rng.choice("011")
        if rng.random() < 0.2:
            params["evidenceTruncationLimit"] = "1"
        for name in ("lastEvaluationDate", "statusChangedSince"):
            if rng.random() < 0.25:
                params[name] = rng.choice(SINCE)
        scan = rng.random()
        if scan < 0.2:
            params["lastScanDate"] = rng.choice(SINCE)
        elif scan < 0.4:
            params |= {"lastScanDateFrom": "2026-10-15", "lastScanDateTo": rng.choice(SINCE)}
        if version >= "2.0" and rng.random() < 0.3:
            params["excludeInactiveControl"] = rng.choice("01")
        if version >= "3.0":
            if rng.random() < 0.5:
                params["cloudMetaDataRequired"] = rng.choice("01")
            if rng.random() < 0.3:
                params["status"] = rng.choice(("Passed", "Failed, Error", "passed,error"))
            if rng.random() < 0.2:
                params["previousStatus"] = rng.choice(("Passed", "Failed"))
            grade = rng.random()
            if grade < 0.15:
                params["criticalityValues"] = rng.choice(("0,5", "1, 2 ,3"))
            elif grade < 0.3:
                params["criticalityLabels"] = rng.choice(("URGENT", "minimal, SERIOUS"))
        if version >= "5.0":
            if rng.random() < 0.4:
                params["extendedEvidenceRequired"] = rng.choice("01")
            if rng.random() < 0.4:
                params["qdScoreRequired"] = rng.choice("01")
        return params

    def body(self, rng, version, resolved):
        if version == "5.0" and rng.random() < 0.2:
            subscription = resolved[0]["subscriptionId"]
            first = (rng.randrange(3) + 1) * 10**10 + rng.randrange(20) * 10**4
            return [{"subscriptionId": subscription,
                     "postureId": f"{first}-{first + 30000}, {first + 50002},{first + 50001}"}]
        body = []
        for element in rng.sample(resolved, rng.randint(1, len(resolved))):
            hosts = element["hostIds"]
            if rng.random() < 0.6:
                hosts = rng.sample(hosts, rng.randint(1, len(hosts)))
            body.append({**element, "hostIds": hosts})
        return body

    def test_every_answer_is_the_upstreams_own_also_when_it_has_only_5_0_left(self):
        rng = random.Random(self.seed)
        upstream, gateway = upstream_of(self.shared), gateway_of(self.shared)
        asked = []
        for version in VERSIONS:
            resolved = upstream.hosts(version, policyId="1001, 1002,1003").json()
            for _ in range(14):
                params, body = self.query(rng, version), self.body(rng, version, resolved)
                asked.append((version, params, body, records_of(upstream.info(version, body, **params))))
        self.assertGreater(sum(len(a[3]) for a in asked), 1000)
        for retired in ("", OLD):
            self.shared.control.set(retired=retired)
            rng.shuffle(asked)
            for version, params, body, wanted in asked:
                with self.subTest(seed=self.seed, version=version, params=params, retired=retired):
                    answer = gateway.info(version, body, **params)
                    self.assertEqual(records_of(answer), wanted)
                    self.assertEqual(answer.body[:2] == b"\x1f\x8b", params["compressionRequired"] == "1")


class OldClients(harness.StackTest):
    """Programs that were written for upstream 1.0 and are not to be touched."""

    def run_client(self, name, base, username, password, **environment):
        done = subprocess.run(
            [sys.executable, CLIENTS / name], capture_output=True, timeout=harness.PATIENCE_S, check=False,
            env=os.environ | {"BASE_URL": base, "USERNAME": username, "PASSWORD": password} | environment)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        records = {}
        for line in done.stdout.splitlines():
            record = json.loads(line, object_pairs_hook=list)
            record = [(n, v) for n, v in record if n not in BOOKKEEPING]
            self.assertNotIn(dict(record)["id"], records)
            records[dict(record)["id"]] = record
        return records

    def test_they_get_from_5_0_exactly_the_records_that_1_0_would_have_given(self):
        stack = self.stack(simulator=DATA | {"hosts": 60, "rate": 1000, "nasty": False},
                           consumers=allowing(), tls=True)
        secret = stack.consumers[0].key.split(".", 1)[1]
        wanted = self.run_client("bulk_download.py", stack.upstream, stack.username, stack.password)
        self.assertGreater(len(wanted), 1000)
        self.assertEqual(wanted, self.run_client(
            "chunk_splitter.py", stack.upstream, stack.username, stack.password))
        stack.control.set(retired=OLD)
        for base, more in ((stack.door(), {}),
                           (stack.door(tls=True), {"REQUESTS_CA_BUNDLE": str(stack.certificate)})):
            for client in ("bulk_download.py", "chunk_splitter.py"):
                with self.subTest(client=client, base=base):
                    got = self.run_client(client, base, "old", secret, HOSTS_AT_A_TIME="25", **more)
                    self.assertEqual(got, wanted)


if __name__ == "__main__":
    harness.main()
