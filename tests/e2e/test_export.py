"""Whole results as NDJSON and CSV: equal to the walk over all pages, broken where they are not whole,
and cheap however large they are."""

import csv
import http.client
import io
import json
import pathlib
import random
import re
import subprocess
import unittest
import zlib

import harness
import reference

DATA = {"policies": 3, "hosts": 25, "controls": 21, "rate": 0, "concurrency": 0, "now": "2026-11-20T12:00:00Z"}
# some 110 MB in few records, so that the simulated upstream is quick about it
LARGE = {"policies": 1, "hosts": 220, "controls": 25, "rate": 0, "concurrency": 0, "large_every": 1,
         "large_bytes": 20000, "evidence_bytes": 100, "nasty": False}
LARGE_QUERY = "/v1/postures?policy=1001&evidence=extended"
NDJSON, CSV = "application/x-ndjson", "text/csv; charset=utf-8; header=present"
PARTS = {"technology": ("id", "name"), "criticality": ("label", "value")}
GUARDED = tuple("=+-@\t\r")
csv.field_size_limit(1 << 30)


def lines(answer):
    """The postures of an NDJSON, and what its last line says of the result."""
    text = answer.body.decode()
    assert text.endswith("\n"), text[-100:]
    parsed = [reference.parse(line) for line in text[:-1].split("\n")]
    assert list(parsed[-1]) == ["result"], parsed[-1]
    return parsed[:-1], parsed[-1]["result"]


def rows(answer):
    """The rows of a CSV as Python reads one, the names first."""
    text = answer.body.decode()
    assert text.endswith("\r\n"), text[-100:]
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def columns(names):
    return [f"{n}.{part}" if part else n for n in names for part in PARTS.get(n, [None])]


def cells(posture, names):
    """What the columns of a posture hold: texts; what is JSON in its cell as it is."""
    found = []
    for name in names:
        value = posture[name]
        if name in PARTS:
            found += [value.get(part) if isinstance(value, dict) else None for part in PARTS[name]]
        else:
            found.append(value)
    return [shown(value) for value in found]


def shown(value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, reference.Number):
        return str(value)
    if isinstance(value, str):
        value = value.replace("\0", "\ufffd")
        return "'" + value if value.startswith(GUARDED) else value
    return value


class Whole(harness.StackTest):
    @classmethod
    def setUpClass(cls):
        cls.share(simulator=DATA, settings={"upstream": {"hosts_per_call": 12}}, consumers=[
            harness.Consumer("all", force="true"),
            harness.Consumer("red", policies="1001", evidence="false")])
        cls.upstream = reference.Upstream(cls.shared.upstream, cls.shared.username, cls.shared.password)

    def get(self, consumer=0, headers=None, **params):
        answer = self.shared.client(consumer).get("/v1/postures", headers, **params)
        self.assertEqual(answer.status, 200, answer)
        return answer

    def walk(self, consumer=0, **params):
        """The postures of all pages in their order, and the result."""
        client = self.shared.client(consumer)
        answer, got = client.get("/v1/postures", limit=1000, **params), []
        while True:
            self.assertEqual(answer.status, 200, answer)
            page = reference.parse(answer.body)
            got += page["data"]
            if "next" not in page["page"]:
                return got, page["result"]
            answer = client.get(page["page"]["next"])

    def check_csv(self, answer, postures, names=reference.ORDER):
        self.assertEqual(answer.headers["Content-Type"], CSV)
        head, *body = rows(answer)
        self.assertEqual(head, columns(names))
        self.assertEqual(len(body), len(postures))
        for row, posture in zip(body, postures):
            wanted = cells(posture, names)
            for i, value in enumerate(wanted):
                if isinstance(value, (dict, list)):
                    self.assertNotRegex(re.sub(r'"(\\.|[^"\\])*"', "", row[i]), r"\s", "it is compact")
                    row[i] = reference.parse(row[i])
            self.assertEqual(row, wanted)

    def check_both(self, postures, result, names=None, consumer=0, **params):
        answer = self.get(consumer, format="ndjson", **params)
        self.assertEqual(answer.headers["Content-Type"], NDJSON)
        got, last = lines(answer)
        self.assertEqual(got, postures)
        for one, other in zip(got, postures):
            self.assertEqual(list(one), list(other), "members and their order")
        self.assertEqual(last, result)
        self.check_csv(self.get(consumer, format="csv", **params), postures, names or reference.ORDER)

    def test_both_forms_are_the_walk_over_all_pages(self):
        for params in (dict(policy=1001), dict(policy=[1002, 1003], evidence="extended", cloud=True, qds=True),
                       dict(policy=1003, status="Failed", criticality="3,4,5"),
                       dict(policy=1001, host=[5000003, 5000007]),
                       dict(posture="10000000001-10000200003,20000130001")):
            with self.subTest(params):
                postures, result = self.walk(**params)
                self.assertTrue(postures)
                self.check_both(postures, result, **params)

    def test_both_forms_are_what_the_upstream_has(self):
        wanted = self.upstream.postures([1001, 1002], evidenceRequired=1, extendedEvidenceRequired=1,
                                        cloudMetaDataRequired=1, qdScoreRequired=1)
        params = dict(policy="1001,1002", evidence="extended", cloud=True, qds=True)
        got, _ = lines(self.get(format="ndjson", **params))
        self.assertEqual({p["id"]: p for p in got}, wanted)
        self.assertEqual(len(got), len(wanted))
        self.check_csv(self.get(format="csv", **params), [wanted[p["id"]] for p in got])

    def test_fields_are_the_members_and_the_columns(self):
        rng = random.Random(7)
        whole, result = self.walk(policy=1001, evidence="extended")
        for _ in range(8):
            names = [n for n in reference.ORDER if rng.random() < 0.2] or ["technology"]
            with self.subTest(names):
                cut = [{n: p[n] for n in names} for p in whole]
                asked = rng.sample(names, len(names))
                self.check_both(cut, result, names, policy=1001, evidence="extended", fields=asked)

    def test_a_column_of_nothing_has_as_many_rows(self):
        postures, _ = self.walk(policy=1001)
        answer = self.get(policy=1001, fields="qds", format="csv")
        self.assertEqual(answer.body, b"qds\r\n" + b'""\r\n' * len(postures))

    def test_an_empty_result_has_its_frame(self):
        nothing = dict(policy=1001, status="Error", criticality=0, changedSince="2090-01-01")
        _, result = self.walk(**nothing)
        self.check_both([], result, **nothing)

    def test_a_query_in_a_body_is_the_same(self):
        client = self.shared.client()
        asked = {"policy": [1001], "status": ["Failed"], "fields": ["id", "status"]}
        for form in ("ndjson", "csv"):
            body = client.post("/v1/postures/query", asked | {"format": form})
            accepted = client.post("/v1/postures/query", asked,
                                   {"Accept": NDJSON if form == "ndjson" else "text/csv"})
            url = self.get(policy=1001, status="failed", fields="id,status", format=form)
            self.assertEqual((body.status, body.body), (200, url.body))
            self.assertEqual((accepted.status, accepted.body), (200, url.body))

    # --- grants

    def test_a_grant_hides_rows_evidence_and_counts(self):
        everyone, _ = self.walk(policy=[1001, 1002])
        ids = [p["id"] for p in everyone]
        by_posture = dict(posture=ids[::40], evidence="extended")
        postures, result = self.walk(consumer=1, **by_posture)
        self.assertTrue(0 < len(postures) < len(ids[::40]))
        self.assertTrue(all(p["policyId"] == reference.Number(1001) and p["evidence"] is None for p in postures))
        self.assertIsNone(result["hostsSeen"])
        self.check_both(postures, result, consumer=1, **by_posture)
        mine, result = self.walk(consumer=1, policy=1001, evidence="extended")
        self.check_both(mine, result, consumer=1, policy=1001, evidence="extended")
        refused = self.shared.client(1).get("/v1/postures", policy=1002, format="csv")
        self.assertEqual((refused.status, refused.headers["Content-Type"]), (403, "application/problem+json"))

    # --- which form

    def test_format_goes_before_accept_and_json_is_the_default(self):
        for accept, form, wanted in [
                (None, None, "application/json"), ("*/*", None, "application/json"), ("text/csv", None, CSV),
                ("text/*", None, CSV), (NDJSON, None, NDJSON), ("application/json, text/csv", None, "application/json"),
                ("text/csv, application/json;q=0.9", None, CSV), ("text/html, */*;q=0.1", None, "application/json"),
                ("text/csv", "json", "application/json"), ("application/json", "csv", CSV), ("text/csv", "ndjson", NDJSON)]:
            headers = {"Accept": accept} if accept else None
            more = {"format": form} if form else {}
            answer = self.get(headers=headers, policy=1001, fields="id", **more)
            self.assertEqual(answer.headers["Content-Type"], wanted, (accept, form))
            self.assertIn("Accept", answer.headers["Vary"])
        unknown = self.shared.client().get("/v1/postures", {"Accept": "text/html"}, policy=1001)
        self.assertEqual(unknown.status, 406)

    def test_what_is_of_pages_is_refused_by_name(self):
        client = self.shared.client()
        cursor = client.get("/v1/postures", policy=1001, limit=1).json()["page"]["next"].partition("cursor=")[2]

        def refused(headers=None, **params):
            answer = client.get("/v1/postures", headers, **params)
            self.assertEqual(answer.status, 400, answer)
            return [e["parameter"] for e in answer.json()["errors"]]
        self.assertEqual(refused(policy=1001, format="csv", limit=5), ["limit", "format"])
        self.assertEqual(refused(policy=1001, format="ndjson", partial=False, x=1), ["x", "partial", "format"])
        self.assertEqual(refused(cursor=cursor, format="csv"), ["cursor", "format"])
        accept = {"Accept": "text/csv"}
        self.assertEqual(refused(accept, policy=1001, limit=5, partial=True, x=1), ["x", "limit", "partial"])
        self.assertEqual(refused(accept, cursor=cursor), ["cursor"])
        self.assertEqual(client.get("/v1/postures", accept, policy=1001, limit=5, format="json").status, 200)
        body = client.post("/v1/postures/query", {"policy": [1001], "limit": 5}, {"Accept": NDJSON})
        self.assertEqual([e["parameter"] for e in body.json()["errors"]], ["limit"])

    # --- headers, freshness, waiting

    def test_headers_say_what_it_is_and_how_old(self):
        client = self.shared.client()
        self.get(policy=1001)
        for form in ("ndjson", "csv"):
            answer = self.get(policy=1001, format=form, headers={"If-None-Match": "*"})
            self.assertRegex(answer.headers["Cache-Status"], r"^posturegate; hit; ttl=\d+$")
            self.assertRegex(answer.headers["Age"], r"^\d+$")
            self.assertRegex(answer.headers["Cache-Control"], r"^private, max-age=\d+$")
            for name in ("ETag", "Link", "Warning"):
                self.assertIsNone(answer.headers[name])
            head = client.request("HEAD", f"/v1/postures?policy=1001&format={form}")
            self.assertEqual((head.status, head.body, head.headers["Content-Length"]), (200, b"", None))
            for name in ("Content-Type", "Content-Disposition", "Vary"):
                self.assertEqual(head.headers[name], answer.headers[name])
        fetched = self.walk(policy=1001)[1]["fetchedAt"]
        self.assertEqual(answer.headers["Content-Disposition"],
                         f'attachment; filename="postures-{re.sub("[-:]", "", fetched)}.csv"')

    def test_what_fits_into_one_piece_has_a_length(self):
        small = self.get(policy=1001, fields="id", format="csv")
        self.assertEqual(small.headers["Content-Length"], str(len(small.body)))
        large = self.get(policy="1001,1002", evidence="extended", format="ndjson")
        self.assertGreater(len(large.body), 1 << 20)
        self.assertEqual((large.headers["Content-Length"], large.headers["Transfer-Encoding"]), (None, "chunked"))

    def test_a_csv_that_could_break_unnoticed_is_refused(self):
        key = self.shared.consumers[0].key

        def old(target):
            head, _, body = self.shared.raw(
                f"GET {target} HTTP/1.0\r\nX-API-Key: {key}\r\n\r\n".encode()).partition(b"\r\n\r\n")
            return int(head.split()[1]), body
        large = "/v1/postures?policy=1001,1002&evidence=extended&format="
        self.get(policy="1001,1002", evidence="extended", fields="id")
        self.assertEqual(old(large + "csv")[0], 400)
        self.assertEqual(old(large + "csv&fields=id")[0], 200)
        status, body = old(large + "ndjson")
        self.assertEqual((status, body.splitlines()[-1][:10]), (200, b'{"result":'))

    def test_it_begins_when_the_result_is_there(self):
        client = self.shared.client()
        query = dict(policy=1003, inactive="exclude")  # nothing that anybody has asked for has it
        missing = query | {"format": "csv"}
        answer = client.get("/v1/postures", {"Cache-Control": "only-if-cached"}, **missing)
        self.assertEqual(answer.status, 504)
        hold = self.shared.control.hold(api="postureInfo")
        accepted = client.get("/v1/postures", {"Prefer": "respond-async"}, **missing)
        self.assertEqual((accepted.status, accepted.headers["Content-Type"]), (202, "application/json"))
        self.assertRegex(accepted.headers["Location"], "^/v1/fetches/")
        self.shared.control.release(id=hold)
        answer = self.get(**missing)
        self.assertIn("fwd=miss", answer.headers["Cache-Status"])
        self.check_csv(answer, self.walk(**query)[0])

    def test_what_a_broader_result_has_is_given_as_its_pages_are(self):
        broad = dict(policy="1002", evidence="extended", cloud="true", qds="true")
        self.get(**broad, fields="id")
        for narrow in (dict(policy="1002", criticality="2,3"), dict(policy="1002", status="Failed", qds="true"),
                       dict(policy="1002", criticality="4,5", cloud="true")):
            postures, result = self.walk(**narrow)
            self.assertGreater(len(postures), 0)
            self.check_both(postures, result, **narrow)
            answer = self.get(**narrow, format="csv")
            self.assertIn("detail=contained", answer.headers["Cache-Status"])

    def test_a_result_that_is_not_complete_says_so(self):
        postures, result = self.walk(policy="1001,1999")
        self.assertEqual((result["complete"], result["hostErrors"]), (False, [reference.Number(1999)]))
        self.check_both(postures, result, policy="1001,1999")
        for form in ("ndjson", "csv"):
            self.assertRegex(self.get(policy="1001,1999", format=form).headers["Warning"],
                             '^299 posturegate "Incomplete')


class Broken(harness.StackTest):
    """A value of the store is damaged behind the first pieces."""

    def damage(self, stack, text):
        """Changes a byte of the text, wherever it stands in the store of a gateway that does not run."""
        path = stack.state_dir / "store" / "env" / "data.mdb"
        with path.open("r+b") as file:
            places = [m.end() - 1 for m in re.finditer(re.escape(text), file.read())]
            self.assertTrue(places)
            for place in places:
                file.seek(place)
                file.write(b"#")

    def test_the_transfer_breaks_for_every_client(self):
        stack = self.stack(simulator=DATA | {"policies": 1, "hosts": 60})
        whole = stack.client().get("/v1/postures", policy=1001, evidence="extended", format="ndjson")
        self.assertGreater(len(whole.body), 2 << 20)
        last = json.loads(whole.body.splitlines()[-3])["id"]
        for form in ("ndjson", "csv"):
            for client in (self.by_curl, self.by_python, self.by_gzip):
                with self.subTest(form=form, client=client.__name__):
                    stack.client().get("/v1/postures", {"Cache-Control": "no-cache"}, policy=1001,
                                       evidence="extended")
                    self.assertEqual(stack.gateway.stop(), 0)
                    self.damage(stack, b'"id":%d' % last)
                    stack.start_gateway()
                    body = client(stack, f"/v1/postures?policy=1001&evidence=extended&format={form}")
                    self.assertGreater(len(body), 100000)
                    self.assertNotIn(str(last).encode(), body)
                    self.assertNotIn(b'{"result"', body)
        self.assertIn(" broken=1", stack.gateway.text())

    def by_curl(self, stack, target):
        done = subprocess.run(
            [harness.program("curl"), "--silent", "--unix-socket", stack.nginx_socket, "-H",
             f"X-API-Key: {stack.consumers[0].key}", f"http://localhost{target}"], capture_output=True, check=False)
        self.assertEqual(done.returncode, 18, done.stderr)  # "transfer closed with outstanding data"
        return done.stdout

    def by_gzip(self, stack, target):
        """The bytes that have come by the break, inflated: no member that ends."""
        response = stack.client().start("GET", target, {"Accept-Encoding": "gzip"})
        self.assertEqual((response.status, response.headers["Content-Encoding"]), (200, "gzip"))
        with self.assertRaises(http.client.IncompleteRead) as caught:
            response.read()
        inflater = zlib.decompressobj(31)
        body = inflater.decompress(caught.exception.partial)
        self.assertFalse(inflater.eof)
        return body

    def by_python(self, stack, target):
        response = stack.client().start("GET", target)
        self.assertEqual(response.status, 200)
        with self.assertRaises(http.client.IncompleteRead) as caught:
            response.read()
        return caught.exception.partial

    def test_what_is_damaged_in_the_first_piece_is_a_problem(self):
        stack = self.stack(simulator=DATA | {"policies": 1})
        client = stack.client()
        first = client.get("/v1/postures", policy=1001, limit=1).json()["data"][0]["id"]
        self.assertEqual(stack.gateway.stop(), 0)
        self.damage(stack, b'"id":%d' % first)
        stack.start_gateway()
        answer = stack.client().get("/v1/postures", policy=1001, format="csv")
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (503, "application/problem+json"))
        self.assertIsNone(answer.headers["Content-Disposition"])


class Large(harness.StackTest):
    """A result of some 110 MB, 64 workers, of which 8 may export, four of them for one consumer."""

    @classmethod
    def setUpClass(cls):
        stack = cls.share(simulator=LARGE, consumers=[harness.Consumer(name) for name in ("one", "two", "three")],
                          settings={"gateway": {"workers": 64, "nginx_connections": 32},
                                    "request": {"wait_max": "5m", "wait_default": "5m"}})
        answer = stack.client(timeout=300).get(LARGE_QUERY, {"Prefer": "wait=300"})
        assert answer.status == 200, answer

    def gauge(self, name):
        text = self.shared.client().get("/metrics").body.decode()
        return int(re.search(rf"^{re.escape(name)} (\d+)$", text, re.MULTILINE)[1])

    def exporting(self):
        return self.gauge('pcrs_workers_waiting{class="export"}')

    def anonymous_bytes(self):
        status = pathlib.Path(f"/proc/{self.shared.gateway.pid}/status").read_text()
        return int(re.search(r"^RssAnon:\s+(\d+) kB$", status, re.MULTILINE)[1]) * 1024

    def test_memory_does_not_grow_with_it(self):
        total = self.shared.client().get(LARGE_QUERY + "&limit=1").json()["page"]["total"]
        for form in ("ndjson", "csv"):
            response = self.shared.client().start("GET", f"{LARGE_QUERY}&format={form}")
            size, count, most = 0, 0, 0
            before = self.anonymous_bytes()
            while piece := response.read(1 << 20):
                size += len(piece)
                count += piece.count(b"\n")
                most = max(most, self.anonymous_bytes() - before)
            self.assertGreater(size, 100 << 20)
            if form == "ndjson":
                self.assertEqual(count, total + 1)
            self.assertLess(most, 8 << 20)

    def check_busy(self, refused):
        self.assertEqual(refused.status, 503, refused)
        self.assertEqual(refused.json()["type"], "/problems/busy")
        self.assertGreater(int(refused.headers["Retry-After"]), 0)

    def test_so_many_may_export_at_a_time_and_pages_do_not_wait(self):
        self.assertEqual(self.gauge('pcrs_workers_waiting_limit{class="export"}'), 8)
        slow, responses = [], []
        for consumer in (0, 1):
            more = [self.shared.client(consumer) for _ in range(4)]
            slow += more
            responses += [c.start("GET", LARGE_QUERY + "&format=ndjson") for c in more]
            self.assertEqual({r.status for r in responses}, {200})
            self.assertEqual(self.exporting(), len(slow))
            self.check_busy(self.shared.client(consumer).get(LARGE_QUERY + "&format=csv"))
        client = self.shared.client(2)
        self.check_busy(client.get(LARGE_QUERY + "&format=csv"))
        self.assertEqual(client.get(LARGE_QUERY + "&limit=10").status, 200)
        self.assertEqual(client.request("HEAD", LARGE_QUERY + "&format=csv").status, 200)
        # who hangs up makes room
        slow[0].close()
        responses[0].close()
        harness.wait_until(lambda: self.exporting() == 7, "the gateway has noticed")
        harness.wait_until(lambda: " client=gone" in self.shared.gateway.text(), "it is logged")
        again = self.shared.client()
        self.assertEqual(again.start("GET", LARGE_QUERY + "&format=csv").status, 200)
        for c, r in zip(slow[1:] + [again], responses[1:]):
            c.close()
            r.close()
        again.close()
        harness.wait_until(lambda: self.exporting() == 0, "all are gone")

    def test_a_page_holds_no_thread_while_nobody_reads_it(self):
        response = self.shared.client().start("GET", LARGE_QUERY + "&limit=1000")
        size = int(response.headers["Content-Length"])
        self.assertGreater(size, 8000000)
        harness.wait_until(lambda: f" bytes={size} " in self.shared.gateway.text(), "the gateway is rid of it")
        self.assertEqual(len(response.read()), size)

    def test_a_slow_reader_gets_all_of_it_and_nothing_goes_to_the_disk(self):
        response = self.shared.client().start("GET", LARGE_QUERY + "&format=csv")
        harness.wait_until(lambda: self.exporting() == 1, "it is under way")
        first = response.read(1000)
        rest = response.read()
        self.assertGreater(len(first) + len(rest), 100 << 20)
        self.assertEqual(len(list(csv.reader(io.StringIO((first + rest).decode(), newline=""), strict=True))), 1 +
                         self.shared.client().get(LARGE_QUERY + "&limit=1").json()["page"]["total"])
        self.assertNotIn("temporary file", self.shared.nginx.text())


if __name__ == "__main__":
    harness.main()
