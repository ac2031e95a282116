"""The migration report, as docs/api.md says it: who may see it, its two forms, what of it outlives a
restart; and the settings that end the old protocol."""

import csv
import io
import subprocess

import harness

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
