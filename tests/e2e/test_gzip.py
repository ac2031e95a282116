"""Answers as gzip: the text of the answer as it is, whoever decodes it, with validators of its own."""

import gzip
import json
import re
import shutil
import subprocess
import unittest
import urllib.parse
import zlib

import harness

DATA = {"policies": 3, "hosts": 30, "controls": 21, "rate": 0, "concurrency": 0, "now": "2026-11-20T12:00:00Z"}
GZIP = {"Accept-Encoding": "gzip"}
NODE = """
const chunks = [];
process.stdin.on('data', c => chunks.push(c));
process.stdin.on('end', () => process.stdout.write(require('zlib').gunzipSync(Buffer.concat(chunks))));
"""


def content(answer):
    """The text that a client sees."""
    if answer.headers["Content-Encoding"] is None:
        return answer.body
    assert answer.headers["Content-Encoding"] == "gzip", answer.headers
    return gzip.decompress(answer.body)


def piped(argv, data):
    return subprocess.run(argv, input=data, capture_output=True, check=True).stdout


class Gzip(harness.StackTest):
    settings = {}

    @classmethod
    def setUpClass(cls):
        settings = {"upstream": {"hosts_per_call": 12}} | cls.settings
        cls.share(simulator=DATA, settings=settings, consumers=[
            harness.Consumer("all", force="true", admin="true"),
            harness.Consumer("red", policies="1001", evidence="false")])
        cls.stack = cls.shared

    def both(self, target, consumer=0, headers=None, **params):
        """The answer as it is and as gzip: equal in all but coding, length and validator."""
        client = self.shared.client(consumer)
        plain = client.get(target, headers, **params)
        packed = client.get(target, (headers or {}) | GZIP, **params)
        self.check(plain, packed)
        return plain, packed

    def check(self, plain, packed):
        self.assertEqual((plain.status, packed.status), (200, 200), (plain, packed))
        self.assertIsNone(plain.headers["Content-Encoding"])
        self.assertEqual(content(packed), plain.body)
        self.assertEqual(packed.headers["Content-Encoding"], "gzip" if len(plain.body) >= 1024 else None)
        for answer in (plain, packed):
            self.assertEqual(answer.headers["Content-Length"], str(len(answer.body)))
            self.assertIn("Accept-Encoding", answer.headers["Vary"])
        for name in ("Content-Type", "Vary", "Link"):
            self.assertEqual(plain.headers[name], packed.headers[name])

    def walk(self, **params):
        """All pages in both forms; gives the records, and how many pages there were."""
        plain, packed = self.both("/v1/postures", **params)
        records, pages = [], 0
        while True:
            page = plain.json()
            records += page["data"]
            pages += 1
            self.assertLessEqual(page["page"]["count"], page["page"]["limit"])
            self.assertEqual(page["page"]["count"], len(page["data"]))
            if "next" not in page["page"]:
                return records, pages
            self.assertTrue(page["data"])
            plain, packed = self.both(page["page"]["next"], consumer=params.get("consumer", 0))

    def calls(self):
        return self.shared.control.state()["apis"]["postureInfo"]["calls"]


class Walks(Gzip):
    def test_a_walk_is_the_same_with_every_limit(self):
        whole = None
        for limit in (1000, 100, 150, 60, 50, 33, 20, 7):
            with self.subTest(limit):
                records, pages = self.walk(policy=[1001, 1002], limit=limit)
                whole = whole or records
                self.assertEqual(records, whole)
                self.assertLessEqual(pages, 2 * len(whole) / limit + 3)
        self.assertGreater(len(whole), 1000)

    def test_a_page_that_is_cut_is_cut_alike(self):
        client = self.shared.client()
        counts = [p["page"]["count"] for p in client.pages("/v1/postures", policy=1001, limit=50)]
        self.assertTrue(all(c >= 25 for c in counts[:-1]), counts)
        self.assertTrue(any(c < 50 for c in counts[:-1]), counts)

    def test_filters_fields_and_grants_are_the_same(self):
        for params in (dict(status="Failed"), dict(status="Passed", limit=60), dict(criticality="3,4,5", limit=1000),
                       dict(fields="id,status,evidence"), dict(evidence="extended", limit=1000),
                       dict(host=[5000003, 5000007], limit=15), dict(consumer=1), dict(consumer=1, evidence="extended"),
                       dict(consumer=1, status="Passed"), dict(changedSince="2090-01-01")):
            with self.subTest(params):
                self.walk(policy=1001, **params)

    def test_hits_cause_no_call(self):
        self.walk(policy=1003, limit=100)
        before = self.calls()
        for limit in (1000, 100, 40):
            self.walk(policy=1003, limit=limit)
        self.walk(policy=1003, status="Failed")
        self.assertEqual(self.calls(), before)


class Lazy(Walks):
    settings = {"cache": {"twins": "lazy"}}


class Off(Walks):
    settings = {"cache": {"twins": "off"}}


class Kinds(Gzip):
    def test_every_json_answer_of_a_result_can_be_gzip(self):
        page, packed = self.both("/v1/postures", policy=1001)
        self.assertLess(len(packed.body), len(page.body) / 4)
        posture = page.json()["data"][0]["id"]
        for target, params in ((f"/v1/postures/{posture}", {}), ("/v1/policies", {}), ("/v1/policies/1001/hosts", {}),
                               ("/v1/postures/summary", dict(policy=1001, by="hostId,status"))):
            with self.subTest(target):
                _, packed = self.both(target, **params)
                self.assertEqual(packed.headers["Content-Encoding"], "gzip")

    def test_small_answers_stay_as_they_are(self):
        for target, params in (("/v1/postures/summary", dict(policy=1001)), ("/v1/policies/1001/hosts", dict(limit=2)),
                               ("/v1/postures", dict(policy=1001, limit=1, fields="id"))):
            with self.subTest(target):
                _, packed = self.both(target, **params)
                self.assertIsNone(packed.headers["Content-Encoding"])

    def test_a_query_in_a_body_is_the_same(self):
        client = self.shared.client()
        document = {"policy": [1001], "limit": 100}
        self.check(client.post("/v1/postures/query", document), client.post("/v1/postures/query", document, GZIP))

    def test_whole_results_of_any_size(self):
        client = self.shared.client()
        for params in (dict(policy=[1001, 1002], evidence="extended"), dict(policy=1001, fields="id"),
                       dict(policy=1001, changedSince="2090-01-01")):
            for form in ("ndjson", "csv"):
                with self.subTest(form=form, **params):
                    plain = client.get("/v1/postures", format=form, **params)
                    packed = client.get("/v1/postures", GZIP, format=form, **params)
                    self.assertEqual((plain.status, packed.status), (200, 200), (plain, packed))
                    self.assertEqual(packed.headers["Content-Encoding"], "gzip")
                    self.assertEqual(gzip.decompress(packed.body), plain.body)
                    self.assertEqual(packed.headers["Content-Length"] is None, plain.headers["Content-Length"] is None)
                    head = client.request("HEAD", "/v1/postures?" + harness.query_string(params | {"format": form}), GZIP)
                    self.assertEqual(head.headers["Content-Encoding"], "gzip")

    def test_problems_and_other_answers_stay_as_they_are(self):
        client = self.shared.client()
        for target in ("/v1/postures?nonsense=1", "/nowhere", "/v1/fetches", "/healthz"):
            self.assertIsNone(client.get(target, GZIP).headers["Content-Encoding"], target)

    def test_the_upstreams_own_protocol_has_no_coding(self):
        client = self.shared.client()
        token = client.request("POST", "/auth", {"Content-Type": "application/x-www-form-urlencoded"},
                               urllib.parse.urlencode({"username": "all", "password": self.shared.consumers[0].key,
                                                       "token": "true"})).body.decode()
        answer = client.get("/pcrs/1.0/posture/policy/list", GZIP | {"Authorization": f"Bearer {token}"})
        self.assertIsNone(answer.headers["Content-Encoding"], answer)


class Decoders(Gzip):
    def pages(self):
        for params in (dict(limit=100), dict(limit=1000), dict(limit=7), dict(status="Passed"), dict(fields="id")):
            yield self.both("/v1/postures", policy=1001, **params)

    def test_gunzip(self):
        for plain, packed in self.pages():
            self.assertEqual(piped([harness.program("gunzip")], packed.body), plain.body)

    def test_zlib_finds_one_member_and_nothing_behind(self):
        for plain, packed in self.pages():
            inflater = zlib.decompressobj(31)
            self.assertEqual(inflater.decompress(packed.body), plain.body)
            self.assertTrue(inflater.eof)
            self.assertEqual(inflater.unused_data, b"")

    def test_byte_by_byte(self):
        plain, packed = self.both("/v1/postures", policy=1001, limit=100)
        inflater, got = zlib.decompressobj(31), b""
        for i in range(len(packed.body)):
            got += inflater.decompress(packed.body[i:i + 1])
        self.assertEqual(got, plain.body)

    @unittest.skipUnless(shutil.which("node"), "node is not installed")
    def test_node(self):
        for plain, packed in self.pages():
            self.assertEqual(piped(["node", "-e", NODE], packed.body), plain.body)

    def test_curl(self):
        curl = harness.program("curl")
        url = self.shared.door() + "/v1/postures?policy=1001&limit=100"
        plain, _ = self.both("/v1/postures", policy=1001, limit=100)
        got = subprocess.run([curl, "--silent", "--show-error", "--fail", "--compressed", "--noproxy", "*", "-D", "-", "-H",
                              f"Authorization: Bearer {self.shared.consumers[0].key}", url],
                             capture_output=True, check=True).stdout
        head, _, body = got.partition(b"\r\n\r\n")
        self.assertRegex(head.lower(), rb"content-encoding: gzip")
        self.assertEqual(body, plain.body)


class Headers(Gzip):
    PAGE = dict(policy=1001, limit=100)

    def get(self, method="GET", **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        return self.shared.client().request(method, "/v1/postures?" + harness.query_string(self.PAGE), headers)

    def test_accept_encoding_is_weighed(self):
        for value, coded in (("gzip", True), ("GZIP", True), ("x-gzip", True), ("br, deflate, gzip;q=0.1", True), ("*", True),
                             ("gzip;q=0", False), ("identity", False), ("identity;q=1, gzip;q=0.5", False),
                             ("identity;q=0, gzip", True), ("*;q=0", False), ("identity;q=0", False), ("br", False), ("", False),
                             ("gzip;q=2", False), ("gzip;level=9", False), ("gzip, \"", False)):
            with self.subTest(value):
                answer = self.get(Accept_Encoding=value)
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.headers["Content-Encoding"], "gzip" if coded else None)
                self.assertTrue(json.loads(content(answer)))

    def test_several_lines_are_one_list(self):
        request = ("GET /v1/postures?policy=1001&limit=100 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "
                   f"{self.shared.consumers[0].key}\r\nAccept-Encoding: br\r\nAccept-Encoding: gzip{{}}\r\n\r\n")
        for weight, coded in (("", True), (";q=0", False)):
            head = self.shared.raw(request.format(weight).encode()).partition(b"\r\n\r\n")[0]
            self.assertEqual(b"Content-Encoding: gzip" in head, coded, head)

    def test_each_form_has_a_validator_of_its_own(self):
        plain, packed = self.get(), self.get(Accept_Encoding="gzip")
        tags = plain.headers["ETag"], packed.headers["ETag"]
        self.assertNotEqual(*tags)
        self.assertRegex(tags[0], '^"[0-9a-f]{32}"$')
        self.assertRegex(tags[1], '^W/"[0-9a-f]{32}"$', "others of its bytes may say the same")
        for coding, own, other in (("identity", *tags), ("gzip", *reversed(tags))):
            with self.subTest(coding):
                same = self.get(Accept_Encoding=coding, If_None_Match=own)
                self.assertEqual((same.status, same.body), (304, b""))
                self.assertEqual(same.headers["ETag"], own)
                self.assertIn("Accept-Encoding", same.headers["Vary"])
                self.assertEqual(self.get(Accept_Encoding=coding, If_None_Match=other).status, 200)
                self.assertEqual(self.get(Accept_Encoding=coding, If_None_Match=", ".join(tags)).status, 304)
                self.assertEqual(self.get(Accept_Encoding=coding, If_None_Match="W/" + own.removeprefix("W/")).status, 304)
                self.assertEqual(self.get(Accept_Encoding=coding, If_None_Match=own.removeprefix("W/")).status, 304)

    def test_the_same_validator_means_the_same_page(self):
        first = self.get(Accept_Encoding="gzip")
        self.shared.restart_gateway()
        again = self.get(Accept_Encoding="gzip")
        self.assertEqual(first.headers["ETag"], again.headers["ETag"])
        self.assertEqual(content(first), content(again))

    def test_head_has_the_headers_of_get(self):
        for coding in ("gzip", "identity"):
            got, head = self.get(Accept_Encoding=coding), self.get("HEAD", Accept_Encoding=coding)
            self.assertEqual(head.status, 200)
            self.assertEqual(head.body, b"")
            for name in ("Content-Length", "Content-Encoding", "Content-Type", "ETag", "Vary", "Link"):
                self.assertEqual(head.headers[name], got.headers[name], name)


class Afterwards(harness.StackTest):
    """Without twins in the store: pages that miss them bring them about."""

    USED = "pcrs_lmdb_used_bytes"

    def used(self, stack):
        text = stack.client().get("/metrics").body.decode()
        return float(re.search(rf"^{self.USED} (\S+)$", text, re.M)[1])

    def test_pages_that_miss_twins_have_them_made(self):
        stack = self.stack(simulator=DATA, settings={"cache": {"twins": "lazy"}}, clock=True)
        client = stack.client()
        plain = client.get("/v1/postures", policy=1001, limit=1000)
        self.assertEqual(plain.status, 200)
        before = self.used(stack)
        stack.advance(20)
        stack.advance(20)
        self.assertEqual(self.used(stack), before, "nobody has asked for gzip")
        first = client.get("/v1/postures", GZIP, policy=1001, limit=1000)

        def grown():
            stack.advance(6)
            return self.used(stack) > before
        harness.wait_until(grown, "twins are made")
        again = client.get("/v1/postures", GZIP, policy=1001, limit=1000)
        self.assertEqual(content(first), plain.body)
        self.assertEqual(content(again), plain.body)
        self.assertEqual(again.headers["ETag"], first.headers["ETag"], "the validator is a weak one")
        self.assertEqual(stack.control.state()["apis"]["postureInfo"]["calls"], 1)


del Gzip

if __name__ == "__main__":
    harness.main()
