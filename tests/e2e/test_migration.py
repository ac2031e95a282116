"""The migration report, as docs/api.md says it: who may see it, its two forms, what of it outlives a
restart; and the settings that end the old protocol."""

import csv
import datetime
import gzip
import io
import subprocess

import harness
import speaker

REPORT = "/admin/v1/migration"
COLUMNS = ["consumer", "version", "endpoint", "calls", "records", "bytes", "firstSeen", "lastSeen",
           "endOfLife", "daysLeft", "members", "parameters"]
JSON, CSV = "application/json", "text/csv; charset=utf-8; header=present"


def rows_of(text):
    return list(csv.reader(io.StringIO(text, newline="")))


class Report(harness.StackTest):
    @classmethod
    def setUpClass(cls):
        cls.share(consumers=[harness.Consumer("admin", admin="true"), harness.Consumer("team")])

    def setUp(self):
        self.admin, self.team = self.shared.client(0), self.shared.client(1)

    def test_it_is_for_administrators(self):
        for target in (REPORT, REPORT + "?format=csv", REPORT + "?format=nothing"):
            answer = self.team.get(target)
            self.assertEqual((answer.status, answer.json()["type"]), (403, "/problems/forbidden"))
            answer = self.shared.client(key="").get(target)
            self.assertEqual((answer.status, answer.json()["type"]), (401, "/problems/unauthorized"))

    def test_it_is_read_and_nothing_else(self):
        for method in ("POST", "DELETE", "PUT"):
            answer = self.admin.request(method, REPORT)
            self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD"))

    def test_without_calls_it_is_empty(self):
        answer = self.admin.get(REPORT)
        self.assertEqual((answer.status, answer.json()), (200, {"data": []}))
        self.assertEqual(answer.headers["Content-Type"], JSON)
        answer = self.admin.get(REPORT, format="csv")
        self.assertEqual((answer.status, rows_of(answer.body.decode())), (200, [COLUMNS]))
        self.assertEqual(answer.headers["Content-Type"], CSV)
        self.assertTrue(answer.body.endswith(b"\r\n"))

    def test_nobody_keeps_it(self):
        for form in ("json", "csv"):
            answer = self.admin.get(REPORT, format=form)
            self.assertEqual(answer.headers["Cache-Control"], "no-store")
            self.assertEqual(answer.headers["Vary"], "Authorization, X-API-Key, Accept")
            self.assertNotIn("ETag", answer.headers)

    def test_accept_chooses_the_form_and_format_goes_before_it(self):
        cases = [({}, None, JSON), ("*/*", None, JSON), ("text/csv", None, CSV), ("text/*", None, CSV),
                 ("application/json;q=0.5, text/csv", None, CSV), ("text/csv;q=0.5, application/*", None, JSON),
                 ("text/csv", "json", JSON), ("application/json", "CSV", CSV)]
        for accept, form, wanted in cases:
            with self.subTest(accept=accept, format=form):
                headers = {"Accept": accept} if accept else {}
                answer = self.admin.get(REPORT, headers, **({"format": form} if form else {}))
                self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, wanted))

    def test_what_it_does_not_have_is_refused(self):
        for query in ("format=ndjson", "format=xml", "format=", "format=csv&format=csv", "limit=1", "colour=red"):
            with self.subTest(query):
                answer = self.admin.get(f"{REPORT}?{query}")
                self.assertEqual(answer.status, 400)
                self.assertEqual([e["parameter"] for e in answer.json()["errors"]],
                                 [query.partition("=")[0]])
        self.assertEqual(self.admin.get(REPORT, {"Accept": "text/html"}).status, 406)

    def test_head_gives_the_headers_alone(self):
        for form in ("json", "csv"):
            target = f"{REPORT}?format={form}"
            whole, head = self.admin.get(target), self.admin.request("HEAD", target)
            self.assertEqual((head.status, head.body), (200, b""))
            for name in ("Content-Type", "Content-Length"):
                self.assertEqual(head.headers[name], whole.headers[name])

    def test_the_new_api_does_not_count(self):
        self.assertEqual(self.team.get("/v1/policies").status, 200)
        self.assertEqual(self.admin.get(REPORT).json(), {"data": []})


HOSTS, CONTROLS = 6, 5
DATA = {"policies": 2, "hosts": HOSTS, "controls": CONTROLS, "host_overlap": 0, "empty_hosts": 0} | speaker.UNLIMITED
# docs/upstream-versions.md: the last day of life
ENDS = {"1.0": "2026-06-30", "2.0": "2026-06-30", "3.0": "2026-06-30", "4.0": "2026-11-30", "5.0": None}
BODY = [speaker.element(1001, speaker.simulated_hosts(1001, HOSTS))]


def time_of(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()


class Calls(harness.StackTest):
    """What is counted of calls in the old protocol."""

    def begin(self, simulator=None, **settings):
        self.it = self.stack(clock=True, simulator=DATA | (simulator or {}), settings=settings, consumers=[
            harness.Consumer("admin", admin="true"), harness.Consumer("old", legacy="allow", policies="1001"),
            harness.Consumer("other", legacy="warn")])
        self.admin = self.it.client(0)
        self.old, self.other = speaker.gateway_of(self.it, 1), speaker.gateway_of(self.it, 2)

    def rows(self):
        answer = harness.wait_until(lambda: (lambda a: a if a.status != 502 else None)(self.admin.get(REPORT)),
                                    "the gateway answers")  # nginx may still have a connection to the one before
        self.assertEqual(answer.status, 200, answer)
        return answer.json()["data"]

    def row(self, consumer, version, endpoint):
        found = [r for r in self.rows() if (r["consumer"], r["version"], r["endpoint"]) == (consumer, version, endpoint)]
        self.assertEqual(len(found), 1, self.rows())
        return found[0]

    def test_calls_records_and_bytes_before_compression_are_summed(self):
        self.begin()
        texts = []
        for params in ({}, {"compressionRequired": 0}, {"evidenceRequired": 1}, {"statusChangedSince": "2031-01-01"}):
            answer = self.old.info("1.0", BODY, **params)
            self.assertEqual(answer.status, 200)
            texts.append(gzip.decompress(answer.body) if answer.body[:2] == speaker.GZIP else answer.body)
        row = self.row("old", "1.0", "postureInfo")
        self.assertEqual((row["calls"], row["records"]), (4, 3 * HOSTS * CONTROLS))
        self.assertEqual(row["bytes"], sum(map(len, texts)))
        listed, hosts = self.old.list("2.0"), self.old.hosts("1.0", policyId="1001")
        row = self.row("old", "2.0", "policyList")
        self.assertEqual((row["calls"], row["records"], row["bytes"]), (1, 1, len(listed.body)))
        row = self.row("old", "1.0", "hostids")
        self.assertEqual((row["calls"], row["records"], row["bytes"]), (1, HOSTS, len(hosts.body)))
        row = self.row("old", None, "auth")
        self.assertEqual((row["calls"], row["records"], row["bytes"]), (1, 0, 0))

    def test_rows_are_by_consumer_version_and_endpoint_in_order(self):
        self.begin()
        for version in reversed(speaker.VERSIONS):
            for s in (self.other, self.old):
                s.info(version, BODY)
                s.hosts(version, policyId="1001")
        self.old.list("1.0")
        got = [(r["consumer"], r["version"], r["endpoint"]) for r in self.rows()]
        wanted = [(c, v, e) for c in ("old", "other") for v in (None,) + speaker.VERSIONS
                  for e in (("auth",) if v is None else ("policyList", "hostids", "postureInfo"))
                  if e != "policyList" or (c, v) == ("old", "1.0")]
        self.assertEqual(got, wanted)

    def test_refused_calls_count_and_unknown_ones_do_not(self):
        self.begin()
        for answer, status in ((self.old.info("3.0", []), 400), (self.old.info("3.0", BODY, colour="red"), 400),
                               (self.old.info("3.0", [speaker.element(1002, [1])]), 403), (self.old.hosts("9.9"), 404),
                               (self.old.login(password="wrong"), 401),
                               (self.old.request("GET", speaker.hostids("3.0")), 401)):
            self.assertEqual(answer.status, status)
        row = self.row("old", "3.0", "postureInfo")
        self.assertEqual((row["calls"], row["records"], row["bytes"]), (3, 0, 0))
        self.assertEqual(len(self.rows()), 2)
        self.assertEqual(self.row("old", None, "auth")["calls"], 1)

    def test_first_and_last_and_what_is_left(self):
        self.begin()
        began = self.it.now()
        for version in speaker.VERSIONS:
            self.old.info(version, BODY)
        self.it.advance(3600)
        self.old.info("4.0", BODY)
        for version in speaker.VERSIONS:
            row = self.row("old", version, "postureInfo")
            self.assertLess(abs(time_of(row["firstSeen"]) - began), 60)
            self.assertEqual(row["lastSeen"] != row["firstSeen"], version == "4.0")
            if ENDS[version] is None:
                self.assertEqual((row["endOfLife"], row["daysLeft"]), (None, None))
                continue
            self.assertEqual(row["endOfLife"], ENDS[version] + "T23:59:59Z")
            self.assertEqual(row["daysLeft"], (time_of(row["endOfLife"]) - self.it.now()) // 86400)
        self.assertLess(abs(time_of(self.row("old", "4.0", "postureInfo")["lastSeen"]) - began - 3600), 60)
        self.assertEqual(self.row("old", None, "auth")["endOfLife"], None)

    def test_parameters_are_those_that_1_0_does_not_have(self):
        self.begin()
        self.old.info("4.0", BODY, evidenceRequired=1, status="Failed", cloudMetaDataRequired=0)
        self.old.info("4.0", BODY, excludeInactiveControl=1, lastScanDate="2026-01-01")
        self.assertEqual(sorted(self.row("old", "4.0", "postureInfo")["parameters"]),
                         ["cloudMetaDataRequired", "excludeInactiveControl", "status"])
        self.old.info("1.0", BODY, evidenceRequired=1, lastScanDate="2026-01-01")
        self.assertEqual(self.row("old", "1.0", "postureInfo")["parameters"], [])
        self.old.hosts("5.0", policyId="1001", assetState="ALL")
        self.assertEqual(self.row("old", "5.0", "hostids")["parameters"], ["assetState"])

    def test_members_are_those_that_looked_different(self):
        self.begin()
        for version in speaker.VERSIONS:
            self.old.info(version, BODY, evidenceRequired=1)
        members = {v: set(self.row("old", v, "postureInfo")["members"]) for v in speaker.VERSIONS}
        self.assertEqual(members["5.0"], set())
        self.assertIn("*", members["4.0"])
        self.assertNotIn("category", members["2.0"])
        self.assertTrue({"category", "subCategory", "userDefinedAttributesList", "CLOUD_RESOURCE_ID",
                         "evidence.description", "pc-assets-only", "*"} <= members["1.0"], members["1.0"])
        self.assertIn("pc-assets-only", members["2.0"])
        self.assertNotIn("pc-assets-only", members["3.0"])
        for older, newer in zip(speaker.VERSIONS, speaker.VERSIONS[1:]):
            self.assertLessEqual(members[newer], members[older])
        # without evidence there is nothing of it to notice
        self.other.info("1.0", BODY)
        self.assertNotIn("evidence.description", self.row("other", "1.0", "postureInfo")["members"])

    def test_what_broke_counts_for_what_there_was(self):
        self.begin({"hosts": 20}, upstream={"concurrency": 1, "rate_calls": 1000, "hosts_per_call": 10, "retries": 0})
        self.old.list()
        self.it.control.fault("500", api="postureInfo", skip=1)
        hold = self.it.control.hold(api="postureInfo", skip=1)
        body = [speaker.element(1001, speaker.simulated_hosts(1001, 20))]
        stream = self.old.stream("1.0", body, compressionRequired=0)
        self.addCleanup(stream.close)
        stream.until_records(10 * CONTROLS - 1)
        self.it.control.release(id=hold)
        stream.broken()
        row = harness.wait_until(lambda: [r for r in self.rows() if r["endpoint"] == "postureInfo"], "it is counted")[0]
        self.assertEqual((row["calls"], row["records"], row["bytes"]), (1, 10 * CONTROLS, len(stream.text)))

    def test_json_and_csv_say_the_same(self):
        self.begin()
        for version in ("1.0", "4.0", "5.0"):
            self.old.info(version, BODY, **({} if version == "1.0" else {"status": "Failed"}))
        self.other.hosts("3.0", policyId="1001")
        rows = self.rows()
        lines = rows_of(self.admin.get(REPORT, format="csv").body.decode())
        self.assertEqual((lines[0], len(lines)), (COLUMNS, 1 + len(rows)))
        for row, line in zip(rows, lines[1:]):
            self.assertEqual(line, ["" if row[c] is None else " ".join(row[c]) if isinstance(row[c], list) else
                                    str(row[c]) for c in COLUMNS])

    def test_it_outlives_a_restart(self):
        self.begin()
        self.old.info("1.0", BODY, evidenceRequired=1)
        self.other.info("4.0", BODY, status="Failed")
        before = self.rows()
        self.it.restart_gateway()
        self.assertEqual(self.rows(), before)
        self.it.advance(60)
        self.old.info("1.0", BODY, evidenceRequired=1)
        row = self.row("old", "1.0", "postureInfo")
        self.assertEqual((row["calls"], row["firstSeen"]), (2, before[1]["firstSeen"]))
        self.assertNotEqual(row["lastSeen"], row["firstSeen"])

    def test_a_crash_loses_a_minute_at_most(self):
        self.begin()

        def is_kept():
            """Nothing tells when it was written down: a moment after the minute."""
            self.assertEqual(self.old.info("1.0", BODY, evidenceRequired=1).status, 200)
            self.wanted = self.rows()
            self.it.advance(61)
            for _ in range(50):
                self.admin.get("/healthz")
            self.it.restart_gateway(kill=True)
            return self.rows() == self.wanted
        harness.wait_until(is_kept, "the sums of the minute before outlive a crash")
        self.old.info("3.0", BODY)
        self.it.restart_gateway(kill=True)
        self.assertEqual(self.rows()[:len(self.wanted)], self.wanted)


class Settings(harness.StackTest):
    def check(self, text):
        """What posturegate --check says of good settings that this text is laid over."""
        stack = harness.Stack(upstream="https://upstream.example.com")
        self.addCleanup(stack.close)
        stack.state_dir.mkdir()
        stack.write_settings()
        more = stack.dir / "more.conf"
        more.write_text(text)
        got = subprocess.run([harness.GATEWAY, "--check", stack.settings_file, more], text=True,
                             capture_output=True, stdin=subprocess.DEVNULL, timeout=harness.PATIENCE_S)
        return got.returncode, got.stdout + got.stderr

    def test_ends_of_versions_are_taken(self):
        code, told = self.check("[cutoff]\n4.0 = 2027-01-31\n1.0 = 2026-12-01T00:00:00Z\n"
                                "[request]\ndeprecation_link = https://wiki.example.com/pcrs\n"
                                "[consumer test]\nlegacy = warn\nlegacy_until = 2027-06-30\n")
        self.assertEqual(code, 0, told)

    def test_a_version_that_there_is_not_is_told(self):
        code, told = self.check("[cutoff]\n4.5 = 2027-01-31\n")
        self.assertEqual(code, 2)
        self.assertIn("cutoff.4.5", told)


if __name__ == "__main__":
    harness.main()
