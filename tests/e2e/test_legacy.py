"""Callers who still speak the upstream's versions 1.0 to 5.0: the same answers as the upstream's own,
also when it has only 5.0 left. Shapes, programs, bytes on the wire, lists."""

import json
import os
import pathlib
import random
import re
import subprocess
import sys
import time
import zlib

import harness
import speaker
from harness import Consumer
from speaker import BOOKKEEPING, OLD, VERSIONS, gateway_of, records_of, text_of, upstream_of

CLIENTS = pathlib.Path(__file__).parent / "clients"
NOW = "2026-11-20T12:00:00Z"
DATA = {"policies": 3, "hosts": 23, "controls": 11, "batch_hosts": 5} | speaker.UNLIMITED
SINCE = ("2026-10-20", "2026-10-28T12:00:00Z", "2026-11-01")


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


class Wire(harness.StackTest):
    """The bytes, as clients that parse them by hand need them."""

    @classmethod
    def setUpClass(cls):
        cls.share(simulator=DATA | {"now": NOW}, consumers=allowing())
        cls.gateway = gateway_of(cls.shared)
        cls.body = cls.gateway.hosts("1.0", policyId="1001,1002").json()

    def setUp(self):
        self.gateway.login()

    def check_text(self, text):
        records = json.loads(text)
        self.assertTrue(text.startswith(b'[{"id":'))
        self.assertTrue(text.endswith(b"}]"))
        # a string may have },{ in it, but not with a quote behind that is not escaped
        self.assertEqual(text.count(b'},{"id":'), len(records) - 1)
        self.assertNotRegex(re.sub(rb'"(?:[^"\\]|\\.)*"', b"", text), rb"\s")
        return records

    def test_one_compact_array_as_gzip_of_one_member_without_a_coding(self):
        for round_ in ("cold", "stored"):
            for version in VERSIONS:
                for accept in (None, "gzip", "gzip, deflate, br", "identity"):
                    with self.subTest(round_, version=version, accept=accept):
                        answer = self.gateway.info(version, self.body, {"Accept-Encoding": accept} if accept else {},
                                                   evidenceRequired=1)
                        self.assertEqual(answer.status, 200)
                        self.assertEqual(answer.headers["Content-Type"], "application/gzip")
                        for name in ("Content-Encoding", "Content-Length", "ETag"):
                            self.assertIsNone(answer.headers[name])
                        self.assertEqual(answer.headers["Cache-Control"], "no-store")
                        inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
                        text = inflate.decompress(answer.body)
                        self.assertTrue(inflate.eof)
                        self.assertEqual(inflate.unused_data, b"")
                        if accept is None:
                            self.check_text(text)

    def test_the_same_as_plain_text_if_asked_for(self):
        for version in VERSIONS:
            params = {"evidenceRequired": 1, "lastScanDate": "2020-01-01"}
            cold = self.gateway.info(version, self.body, {"Accept-Encoding": "gzip"}, compressionRequired=0, **params)
            self.assertEqual((cold.status, cold.headers["Content-Type"]), (200, "application/json"))
            self.assertIsNone(cold.headers["Content-Encoding"])
            self.check_text(cold.body)
            self.assertEqual(self.gateway.info(version, self.body, compressionRequired=0, **params).body, cold.body)
            self.assertEqual(text_of(self.gateway.info(version, self.body, **params)), cold.body)

    def test_nothing_is_an_empty_array_however_the_upstream_says_it(self):
        self.addCleanup(self.shared.control.set, empty="array")
        for n, empty in enumerate(("array", "204")):
            self.shared.control.set(empty=empty)
            for version in VERSIONS:
                params = {"statusChangedSince": f"2031-01-{10 * n + int(version[0]):02}"}
                with self.subTest(empty=empty, version=version):
                    plain = self.gateway.info(version, self.body, compressionRequired=0, **params)
                    self.assertEqual((plain.status, plain.body), (200, b"[]"))
                    self.assertEqual(plain.headers["Content-Type"], "application/json")
                    packed = self.gateway.info(version, self.body, **params)
                    self.assertEqual((packed.status, packed.body[:2], text_of(packed)), (200, speaker.GZIP, b"[]"))

    def test_how_the_upstream_frames_its_own_answer_does_not_show(self):
        wanted = records_of(self.gateway.info("1.0", self.body, evidenceRequired=1))
        for n, fault in enumerate(("white_space", "gzip_members", "gzip_labelled", "gzip_zero_tail", "posture_id")):
            with self.subTest(fault):
                self.shared.control.fault(fault, api="postureInfo", times=2)
                answer = self.gateway.info("1.0", self.body, evidenceRequired=1, lastScanDate=f"2020-02-{n + 1:02}")
                self.check_text(text_of(answer))
                self.assertEqual(records_of(answer), wanted)

    def test_what_a_client_accepts_is_not_looked_at(self):
        for accept in ("application/xml", "text/html", "*/*", "application/json;q=0"):
            headers = {"Accept": accept}
            self.assertEqual(self.gateway.info("1.0", self.body, headers).status, 200)
            self.assertEqual(self.gateway.call("GET", speaker.policy_list("1.0"), headers=headers).status, 200)

    def test_lists_are_plain_json_with_a_length(self):
        for answer in (self.gateway.list("2.0"), self.gateway.hosts("1.0", policyId="1001")):
            self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "application/json"))
            self.assertEqual(int(answer.headers["Content-Length"]), len(answer.body))
            self.assertEqual(answer.headers["Cache-Control"], "no-store")
            self.assertNotIn(b" :", answer.body)
            self.assertNotIn(b": ", answer.body)

    def test_head_gives_the_headers_alone(self):
        for target in (speaker.policy_list("1.0"), speaker.hostids("1.0") + "?policyId=1001"):
            whole, head = (self.gateway.call(m, target) for m in ("GET", "HEAD"))
            self.assertEqual((head.status, head.body), (200, b""))
            for name in ("Content-Type", "Content-Length", "Deprecation", "X-RateLimit-Limit"):
                self.assertEqual(head.headers[name], whole.headers[name])


class Lists(harness.StackTest):
    """The policy list and the hosts of policies, held against the upstream's own."""

    @classmethod
    def setUpClass(cls):
        cls.share(simulator=DATA | {"policies": 12, "hosts": 12, "controls": 3, "empty_hosts": 20, "now": NOW},
                  consumers=allowing())

    def setUp(self):
        self.control = self.shared.control
        self.upstream, self.gateway = upstream_of(self.shared), gateway_of(self.shared)

    def check(self, ask):
        """The upstream's own, so that it cannot be nothing."""
        wanted, got = ask(self.upstream), ask(self.gateway)
        self.assertEqual((wanted.status, got.status), (200, 200), got)
        self.assertEqual(json.loads(got.body, object_pairs_hook=list), json.loads(wanted.body, object_pairs_hook=list))
        return wanted.json()

    def test_policies(self):
        for version in ("1.0", "2.0"):
            self.assertEqual(len(self.check(lambda s: s.list(version))["policyList"]), 12)
            some = self.check(lambda s: s.list(version, lastEvaluationDate="2026-10-28T00:00:00Z"))["policyList"]
            self.assertTrue(0 < len(some) < 12, len(some))
        self.check(lambda s: s.list("2.0", requireTagInfo=0))
        tagged = self.check(lambda s: s.list("2.0", requireTagInfo=1))["policyList"]
        self.assertTrue(any("requireTagInfo" in p for p in tagged))

    def test_tags_have_one_name_whatever_the_upstream_calls_them(self):
        self.addCleanup(self.control.set, tag_member="requireTagInfo")
        params = {"requireTagInfo": 1, "lastEvaluationDate": "2020-01-01"}
        wanted = self.upstream.list("2.0", **params).json()
        self.control.set(tag_member="tagInfo")
        self.assertEqual(self.gateway.list("2.0", **params).json(), wanted)

    def test_hosts_of_policies(self):
        for version in VERSIONS:
            for policies in ("1001", "1001,1002,1012", "1003, 1004", " 1005 ,1006"):
                with self.subTest(version=version, policies=policies):
                    told = self.check(lambda s: s.hosts(version, policyId=policies))
                    self.assertTrue(all(e["hostIds"] for e in told))

    def test_hosts_are_told_by_ascending_policy_whatever_the_order(self):
        answer = self.gateway.hosts("5.0", policyId="1003,1001,1002,1001")
        self.assertEqual([e["policyId"] for e in answer.json()], ["1001", "1002", "1003"])

    def test_hosts_by_filters(self):
        one = self.upstream.hosts("5.0", policyId="1001").json()[0]["hostIds"]
        filters = [("1.0", {"lastScanDate": d}) for d in SINCE] + \
            [("3.0", {"statusChangedSince": d}) for d in SINCE] + \
            [("5.0", {"assetDeploymentType": t, "assetState": s})
             for t in ("ON-PREM", "CLOUD", "ALL") for s in ("ACTIVE", "TERMINATED", "ALL")]
        sizes = set()
        for since, params in filters:
            for version in (v for v in VERSIONS if v >= since):
                with self.subTest(version=version, **params):
                    told = self.check(lambda s: s.hosts(version, policyId="1001, 1002", **params))
                    sizes.add(len(told[0]["hostIds"]))
        self.assertGreater(len(sizes), 4)
        self.assertIn(len(one), sizes)

    def test_hosts_of_every_policy(self):
        for version in ("3.0", "4.0", "5.0"):
            self.assertEqual(len(self.check(lambda s: s.hosts(version))), 12)
            self.check(lambda s: s.hosts(version, lastScanDate="2026-10-28"))

    def test_hosts_of_more_than_ten_policies(self):
        many = ",".join(str(1001 + p) for p in range(11))
        self.check(lambda s: s.hosts("3.0", policyId=many))
        self.assertEqual(self.gateway.hosts("2.0", policyId=many).status, 400)
        self.assertEqual(self.upstream.hosts("2.0", policyId=many).status, 400)


class Unresolved(harness.StackTest):
    """Errors inside of an answer that is none: what is told of a policy is kept for a while, so each test has
    policies of its own."""

    @classmethod
    def setUpClass(cls):
        cls.share(simulator=DATA | {"policies": 12, "failing_policies": "1008,1009,1010"}, consumers=allowing())

    def setUp(self):
        self.upstream, self.gateway = upstream_of(self.shared), gateway_of(self.shared)

    def test_a_policy_that_cannot_be_resolved_stays_an_error_beside_the_others(self):
        for version, policies in (("1.0", "1007,1008,1009"), ("5.0", "1008,1010"), ("3.0", "1011,7777"),
                                  ("4.0", "7778")):
            with self.subTest(version=version, policies=policies):
                wanted = self.upstream.hosts(version, policyId=policies).json()
                self.assertTrue(any("error" in e for e in wanted))
                got = self.gateway.hosts(version, policyId=policies)
                self.assertEqual(got.status, 200)
                for element in got.json():
                    self.assertTrue(element.get("error", "x"))
                self.assertEqual(self.without_texts(got.json()), self.without_texts(wanted))

    @staticmethod
    def without_texts(told):
        return [e | {"error": "…"} if "error" in e else e for e in told]

    def test_a_policy_that_the_upstream_leaves_out_is_an_error_too(self):
        self.addCleanup(self.shared.control.set, unknown_policy="error")
        self.shared.control.set(unknown_policy="omit")
        got = self.gateway.hosts("2.0", policyId="1001,8888").json()
        self.assertEqual([e["policyId"] for e in got], ["1001", "8888"])
        self.assertEqual((got[1]["hostIds"], "error" in got[1], "error" in got[0]), ([], True, False))

    def test_the_postures_of_a_policy_that_cannot_be_resolved_are_not_taken_for_none(self):
        answer = self.gateway.info("1.0", [speaker.element(1009, [5000001])])
        self.assertEqual((answer.status, list(answer.json())), (502, ["message"]))


if __name__ == "__main__":
    harness.main()
