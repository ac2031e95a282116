"""What operators see: GET /metrics in both forms, and the log's line for each request."""

import re
import shutil
import subprocess

import harness

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
QUIET = {"policies": 4, "hosts": 5, "controls": 4, "rate": 0, "concurrency": 0}

# What a sample's name may have behind its family's.
SUFFIXES = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"],
            "info": ["_info"]}
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9]+(?:\.[0-9]+)?)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(?:,|$)')


def labels_of(text):
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match, f"labels {text!r} at {at}"
        assert match[1] not in labels, f"{match[1]} twice in {text!r}"
        labels[match[1]] = match[2]
        at = match.end()
    return labels


class Exposition:
    """OpenMetrics text, read strictly: anything odd fails."""

    def __init__(self, text):
        assert text.endswith("\n# EOF\n"), "no EOF"
        assert text.count("# EOF") == 1, "more than one EOF"
        self.families = {}  # name -> {"type", "unit", "help"}
        self.samples = {}   # (name, labels) -> value
        self.current = None
        for line in text[:-len("# EOF\n")].splitlines():
            if line.startswith("# "):
                self.meta(line)
            else:
                self.sample(line)
        for name in self.families:
            self.check(name)

    def meta(self, line):
        _, keyword, name, text = line.split(" ", 3)
        assert NAME.fullmatch(name), line
        if keyword == "HELP":
            assert name not in self.families, f"{name} comes twice"
            self.families[name] = {}
            self.current = name
        assert name == self.current, f"{line}: not of {self.current}"
        assert keyword in ("HELP", "TYPE", "UNIT") and keyword not in self.families[name], line
        self.families[name][keyword] = text

    def sample(self, line):
        match = SAMPLE.fullmatch(line)
        assert match, f"no sample: {line!r}"
        suffixes = SUFFIXES[self.families[self.current]["TYPE"]]
        assert match[1] in [self.current + s for s in suffixes], f"{line}: not of {self.current}"
        key = (match[1], frozenset(labels_of(match[2] or "").items()))
        assert key not in self.samples, f"{line}: comes twice"
        self.samples[key] = float(match[3])

    def check(self, name):
        family = self.families[name]
        assert family["HELP"] and family["TYPE"] in SUFFIXES, name
        if "UNIT" in family:
            assert name.endswith("_" + family["UNIT"]), name
        else:
            assert not name.endswith(("_seconds", "_bytes")), name
        if family["TYPE"] == "histogram":
            self.check_histogram(name)

    def check_histogram(self, name):
        series = {}
        for (sample, labels), value in self.samples.items():
            if sample == name + "_bucket":
                le = dict(labels)["le"]
                series.setdefault(labels - {("le", le)}, []).append((float(le), value))
        for labels, buckets in series.items():
            bounds = [b for b, _ in buckets]
            values = [v for _, v in buckets]
            assert bounds == sorted(set(bounds)) and bounds[-1] == float("inf"), name
            assert values == sorted(values), name
            assert self.samples[name + "_count", labels] == values[-1], name

    def value(self, name, **labels):
        """Of one series; 0 if it is not there."""
        return self.samples.get((name, frozenset(labels.items())), 0)

    def sum(self, name, **labels):
        """Over all series of that name that have these labels."""
        return sum(v for (n, have), v in self.samples.items()
                   if n == name and labels.items() <= dict(have).items())


def scrape(client):
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"] == OPENMETRICS
    return Exposition(answer.body.decode())


# An upstream that fails is asked again at once, and by every call once.
ASKING = {"upstream": {"retries": 0, "error_memory": "0s"}}
# Fresh for an hour, stale for one more, then kept.
HOURS = ASKING | {"cache": {"fresh_for": "1h", "stale_for": "1h", "keep_for": "7d"}}


class Figures(harness.StackTest):
    def setUp(self):
        self.s = self.stack(simulator=QUIET, settings=ASKING)
        self.client = self.s.client()
        self.before = scrape(self.client)

    def moved(self, name, **labels):
        return self.now.sum(name, **labels) - self.before.sum(name, **labels)

    def until(self, name, count, **labels):
        """Waits until the sum has grown by `count`: a request is counted once its answer was sent."""
        def reached():
            self.now = scrape(self.client)
            return self.moved(name, **labels) >= count
        harness.wait_until(reached, f"{name} {labels} has grown by {count}")
        self.assertEqual(self.moved(name, **labels), count)

    def test_a_miss_and_a_hit(self):
        page = self.client.get("/v1/postures", policy=1001).json()
        self.client.get("/v1/postures", policy=1001)
        self.client.get("/v1/postures", policy=1001)
        postures = {"route": "/v1/postures", "status": "2xx"}
        self.until("pcrs_requests_total", 3, **postures)
        self.assertEqual(self.moved("pcrs_requests_total", cache="miss", **postures), 1)
        self.assertEqual(self.moved("pcrs_requests_total", cache="hit", **postures), 2)
        self.assertEqual(self.moved("pcrs_request_duration_seconds_count", route="/v1/postures"), 3)
        self.assertGreater(self.moved("pcrs_request_duration_seconds_sum", route="/v1/postures"), 0)
        self.assertEqual(self.moved("pcrs_fetch_wait_seconds_count"), 1)
        self.assertEqual(self.moved("pcrs_problems_total"), 0)
        self.assertEqual(self.moved("pcrs_fetches_total", state="complete"), 1)
        self.assertEqual(self.moved("pcrs_fill_records_total"), page["page"]["total"])
        self.assertGreater(self.moved("pcrs_fill_bytes_total"), 0)
        for api, status in [("hostids", "200"), ("postureInfo", "200"), ("auth", "201")]:
            self.assertEqual(self.moved("pcrs_upstream_requests_total", api=api), 1)
            self.assertEqual(self.moved("pcrs_upstream_requests_total", api=api, status=status), 1)
            self.assertEqual(self.moved("pcrs_upstream_request_duration_seconds_count", api=api), 1)
        self.assertEqual(self.moved("pcrs_upstream_wait_seconds_count"), 2)
        self.assertEqual(self.moved("pcrs_logins_total", result="ok"), 1)
        self.assertEqual(self.moved("pcrs_results"), 1)
        self.assertEqual(self.now.value("pcrs_credential_state", state="ok"), 1)
        self.assertEqual(self.before.value("pcrs_credential_state", state="unknown"), 1)
        self.assertEqual(self.before.value("pcrs_token_expiry_timestamp_seconds"), 0)
        self.assertGreater(self.now.value("pcrs_token_expiry_timestamp_seconds"),
                           self.now.value("process_start_time_seconds"))

    def test_a_pair_that_asks_for_the_same_is_one_fetch(self):
        hold = self.s.control.hold(api="postureInfo")
        pair = [self.s.client(), self.s.client()]
        first = pair[0].connection
        headers = {"Authorization": f"Bearer {pair[0].key}"}
        first.request("GET", "/v1/postures?policy=1001", headers=headers)
        self.s.control.wait(api="postureInfo", held=1)
        second = pair[1].connection
        second.request("GET", "/v1/postures?policy=1001", headers=headers)
        self.until("pcrs_coalesced_total", 1)
        harness.wait_until(
            lambda: scrape(self.client).value("pcrs_workers_waiting", **{"class": "fetch"}) == 2,
            "both wait")
        # the worker of the scrape before may still be putting its things away
        harness.wait_until(lambda: scrape(self.client).value("pcrs_workers_busy") == 3,
                           "two wait and one scrapes")
        during = scrape(self.client)
        self.assertEqual(during.value("pcrs_fetches_running"), 1)
        self.assertEqual(during.value("pcrs_upstream_running", api="postureInfo"), 1)
        self.assertEqual(during.value("pcrs_stages"), 1)
        self.s.control.release(id=hold)
        for connection in (first, second):
            self.assertEqual(harness.Answer(connection.getresponse()).status, 200)
        self.until("pcrs_requests_total", 2, route="/v1/postures")
        for cache in ("miss", "collapsed"):
            self.assertEqual(self.moved("pcrs_requests_total", route="/v1/postures", cache=cache), 1)
        self.assertEqual(self.moved("pcrs_fetches_total", state="complete"), 1)
        self.assertEqual(self.moved("pcrs_fetch_wait_seconds_count"), 2)
        self.assertEqual(self.now.value("pcrs_fetches_running"), 0)

    def test_what_callers_do_wrong(self):
        self.client.get("/v1/postures", policy="x")
        self.s.client(key="no.key").get("/v1/postures", policy=1001)
        self.client.get("/nothing/here")
        self.until("pcrs_problems_total", 3)
        for slug in ("bad-request", "unauthorized", "not-found"):
            self.assertEqual(self.moved("pcrs_problems_total", problem=slug), 1)
        self.assertEqual(self.moved("pcrs_requests_total", status="4xx", cache="none",
                                    route="/v1/postures"), 2)
        self.assertEqual(self.moved("pcrs_requests_total", status="4xx", route="unknown"), 1)
        self.assertEqual(self.moved("pcrs_upstream_requests_total"), 0)

    def test_an_upstream_that_fails(self):
        self.s.control.fault("500", api="hostids", times=1)
        self.client.get("/v1/postures", policy=1001)
        self.until("pcrs_problems_total", 1, problem="upstream-unavailable")
        self.assertEqual(self.moved("pcrs_upstream_requests_total", api="hostids", status="5xx"), 1)
        self.assertEqual(self.moved("pcrs_fetches_total", state="failed"), 1)
        self.assertEqual(self.moved("pcrs_requests_total", route="/v1/postures", status="5xx",
                                    cache="none"), 1)
        # one that does not answer at all
        self.s.simulator.kill()
        self.client.get("/v1/postures", policy=1001)
        self.until("pcrs_problems_total", 2, problem="upstream-unavailable")
        self.assertEqual(self.moved("pcrs_upstream_requests_total", api="hostids", status="none"), 1)
        self.assertEqual(self.moved("pcrs_fetches_total", state="failed"), 2)

    def test_a_login_that_is_rejected(self):
        self.s.control.fault("401", api="auth", times=-1)
        self.client.get("/v1/postures", policy=1001)
        self.until("pcrs_logins_total", 1, result="rejected")
        self.assertEqual(self.moved("pcrs_upstream_requests_total", api="auth", status="401"), 1)
        self.assertEqual(self.now.value("pcrs_credential_state", state="rejected"), 1)
        self.assertEqual(self.now.value("pcrs_credential_state", state="ok"), 0)

    def test_a_limit_of_the_upstream(self):
        self.s.control.fault("429", api="postureInfo", times=-1, toWait="3000")
        self.client.get("/v1/postures", headers={"Prefer": "respond-async"}, policy=1001)
        self.until("pcrs_upstream_requests_total", 1, api="postureInfo", status="429")
        harness.wait_until(lambda: scrape(self.client).value("pcrs_upstream_queue", api="postureInfo",
                                                                   **{"class": "interactive"}),
                           "the call waits")
        self.now = scrape(self.client)
        closed = self.now.value("pcrs_upstream_budget_closed_seconds", api="postureInfo")
        self.assertTrue(2900 < closed <= 3000, closed)
        self.assertEqual(self.now.value("pcrs_upstream_budget_closed_seconds", api="hostids"), 0)
        limit, remaining = (self.now.value(f"pcrs_upstream_budget_{n}", api="postureInfo")
                            for n in ("limit", "remaining"))
        used = self.now.sum("pcrs_upstream_budget_used", api="postureInfo")
        self.assertEqual(self.now.value("pcrs_upstream_refusals_total", api="postureInfo", limit="rate"), 1)
        self.assertEqual(remaining, limit - used)

    def test_stale_answers_by_their_reason(self):
        s = self.stack(clock=True, simulator=QUIET, settings=HOURS)
        client = s.client()
        for policy in (1001, 1002):
            self.assertEqual(client.get("/v1/postures", policy=policy).status, 200)
        self.client, self.before = client, scrape(client)
        s.advance(3700)
        self.assertEqual(client.get("/v1/postures", policy=1002).status, 200)
        self.until("pcrs_stale_served_total", 1, reason="stale")
        self.until("pcrs_fetches_total", 1, state="complete")
        s.advance(3700)
        s.control.fault("500", api="hostids", times=1)
        self.assertEqual(client.get("/v1/postures", policy=1001).status, 200)
        self.until("pcrs_stale_served_total", 1, reason="error")
        s.control.fault("429", api="postureInfo", times=-1, toWait="3000")
        client.get("/v1/postures", headers={"Prefer": "respond-async"}, policy=1003)
        harness.wait_until(
            lambda: scrape(client).value("pcrs_upstream_budget_closed_seconds", api="postureInfo"),
            "the wait is known")
        self.assertEqual(client.get("/v1/postures", policy=1001).status, 200)
        self.until("pcrs_stale_served_total", 1, reason="limit")
        self.assertEqual(self.moved("pcrs_requests_total", cache="stale", status="2xx"), 3)


class Forms(harness.StackTest):
    @classmethod
    def setUpClass(cls):
        cls.share(simulator=QUIET)
        client = cls.shared.client()
        client.get("/v1/postures", policy=1001)
        client.get("/v1/postures", policy="x")

    def text(self, accept):
        answer = self.shared.client(key="").get("/metrics", headers={"Accept": accept})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["Cache-Control"], "no-store")
        self.assertEqual(answer.headers["Vary"], "Accept")
        return answer.headers["Content-Type"], answer.body.decode()

    def test_the_media_type_is_the_callers_choice(self):
        for accept, wanted in [
                ("", OPENMETRICS), ("*/*", OPENMETRICS), ("text/plain", TEXT),
                ("text/plain;version=0.0.4;q=0.5, */*;q=0.1", TEXT),
                ("application/openmetrics-text;version=1.0.0;q=0.5,"
                 "text/plain;version=0.0.4;q=0.2,*/*;q=0.1", OPENMETRICS)]:
            self.assertEqual(self.text(accept)[0], wanted, accept)
        answer = self.shared.client().get("/metrics", headers={"Accept": "application/json"})
        self.assertEqual(answer.status, 406)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")

    def test_the_older_form_has_the_same_samples(self):
        new, old = self.text("application/openmetrics-text")[1], self.text("text/plain")[1]

        def names(text):
            return {l.split("{")[0].split(" ")[0] for l in text.splitlines() if l[0] != "#"}
        self.assertEqual(names(new), names(old))
        self.assertNotIn("# EOF", old)
        self.assertNotIn("# UNIT", old)
        self.assertIn("\n# TYPE pcrs_problems_total counter\n", old)
        self.assertIn("\n# TYPE pcrs_problems counter\n", new)

    def test_others_read_it(self):
        """By the readers of those who made the forms, where they are installed."""
        try:
            from prometheus_client import parser
            from prometheus_client.openmetrics import parser as strict
        except ImportError:
            self.skipTest("prometheus_client is not installed")
        new = list(strict.text_string_to_metric_families(self.text("*/*")[1]))
        old = list(parser.text_string_to_metric_families(self.text("text/plain")[1]))
        self.assertEqual(len(new), len(old))
        self.assertIn("pcrs_requests", [f.name for f in new])

    def test_promtool_has_nothing_to_say(self):
        if shutil.which("promtool") is None:
            self.skipTest("promtool is not installed")
        done = subprocess.run(["promtool", "check", "metrics"], input=self.text("text/plain")[1],
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_every_figure_of_the_process_and_the_store(self):
        now = scrape(self.shared.client())
        for name in ["process_resident_memory_bytes", "process_virtual_memory_bytes",
                     "process_open_fds", "process_max_fds", "process_cpu_seconds_total",
                     "pcrs_lmdb_used_bytes", "pcrs_lmdb_size_bytes", "pcrs_lmdb_map_bytes",
                     "pcrs_lmdb_readers", "pcrs_workers", "pcrs_workers_busy"]:
            self.assertGreater(now.value(name), 0, name)
        self.assertEqual(now.value("pcrs_store_writable"), 1)
        self.assertEqual(now.sum("pcrs_build_info"), 1)

    def test_nothing_of_a_consumer_or_a_query_is_in_it(self):
        text = self.text("*/*")[1]
        for secret in ['"1001"', self.shared.consumers[0].key, self.shared.username,
                       f'"{self.shared.consumers[0].name}"']:
            self.assertNotIn(secret, text)

    def test_head_is_get_without_the_body(self):
        answer = self.shared.client().request("HEAD", "/metrics")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertGreater(int(answer.headers["Content-Length"]), 1000)

    def test_parameters_and_other_methods_are_refused(self):
        client = self.shared.client()
        self.assertEqual(client.get("/metrics?name=x").status, 400)
        self.assertEqual(client.request("POST", "/metrics", body=b"").status, 405)


class Outside(harness.StackTest):
    def test_others_get_403(self):
        stack = self.stack(simulator=QUIET, start=False)
        networks = stack.dir / "nginx" / "posturegate" / "networks.conf"
        text = networks.read_text()
        networks.write_text(re.sub(r"(?m)^(\s*(?:127|::1|255)\S*\s+)1;", r"\g<1>0;", text))
        self.assertNotEqual(networks.read_text(), text)
        stack.start()
        client = stack.client()
        answer = client.get("/metrics")
        self.assertEqual(answer.status, 403)
        self.assertEqual(answer.json()["type"], "/problems/forbidden")
        self.assertNotIn("checks", client.get("/readyz").json())

    def test_the_gateway_does_not_rely_on_the_sites_refusal(self):
        stack = self.stack(simulator=QUIET, start=False)
        server = stack.dir / "nginx" / "posturegate" / "server.conf"
        text = server.read_text()
        server.write_text(text.replace("if ($posturegate_internal = 0) { return 403; }", ""))
        self.assertNotEqual(server.read_text(), text)
        networks = stack.dir / "nginx" / "posturegate" / "networks.conf"
        networks.write_text(re.sub(r"(?m)^(\s*(?:127|::1|255)\S*\s+)1;", r"\g<1>0;",
                                   networks.read_text()))
        stack.start()
        answer = stack.client().get("/metrics")
        self.assertEqual(answer.status, 403)
        self.assertEqual(answer.json()["type"], "/problems/forbidden")


class AccessLine(harness.StackTest):
    def setUp(self):
        self.s = self.stack(simulator=QUIET, settings=ASKING)
        self.client = self.s.client()
        self.seen = 0

    def last(self, count=1):
        """The log's line of the request made since the last call, as a dict; what stands in quotes
        is without them. Of several, of the one logged last."""
        def found():
            lines = [l for l in self.s.gateway.text().splitlines() if " info request id=" in l]
            return lines if len(lines) >= self.seen + count else None
        lines = harness.wait_until(found, f"{self.seen + count} requests are logged")
        self.seen += count
        return self.fields(lines[self.seen - 1])

    def fields(self, line):
        return {k: v.strip('"') for k, v in re.findall(r'(\S+?)=("[^"]*"|\S+)', line)}

    def check(self, line, **wanted):
        self.assertEqual({k: line.get(k) for k in wanted}, wanted, line)

    def test_a_miss_then_a_hit(self):
        answer = self.client.get("/v1/postures", policy=1001, limit=1)
        miss = self.last()
        self.check(miss, consumer="test", method="GET", route="/v1/postures", path="/v1/postures",
                   status="200", problem=None, cache="miss", reason="miss", calls="2",
                   bytes=str(len(answer.body)), result=answer.json()["result"]["id"], client=None)
        self.assertTrue(0 <= int(miss["wait_ms"]) <= int(miss["ms"]), miss)
        self.client.get("/v1/postures", policy=1001, limit=1)
        self.check(self.last(), cache="hit", reason="-", calls="0", wait_ms="0", fetch=None,
                   result=answer.json()["result"]["id"])
        self.client.get("/v1/postures", headers={"Cache-Control": "no-cache"}, policy=1001)
        self.check(self.last(), cache="miss", reason="request", calls="2")
        self.client.request("HEAD", "/v1/postures?policy=1001")
        self.check(self.last(), method="HEAD", cache="hit", bytes="0")

    def test_who_joins_causes_no_call(self):
        hold = self.s.control.hold(api="postureInfo")
        lead, follow = self.s.client().connection, self.s.client().connection
        headers = {"Authorization": f"Bearer {self.client.key}"}
        lead.request("GET", "/v1/postures?policy=1001", headers=headers)
        self.s.control.wait(api="postureInfo", held=1)
        follow.request("GET", "/v1/postures?policy=1001", headers=headers)
        harness.wait_until(lambda: scrape(self.client).value("pcrs_coalesced_total"), "it has joined")
        self.s.control.release(id=hold)
        for connection in (lead, follow):
            self.assertEqual(harness.Answer(connection.getresponse()).status, 200)

        def both():
            lines = re.findall(r" info (request id=.* route=/v1/postures .*)",
                               self.s.gateway.text())
            return [self.fields(l) for l in lines] if len(lines) == 2 else None
        lines = {l["cache"]: l for l in harness.wait_until(both, "both are logged")}
        self.check(lines["miss"], calls="2")
        self.check(lines["collapsed"], calls="0", reason="miss", fetch=lines["miss"]["fetch"])

    def test_refusals_and_failures(self):
        self.client.get("/v1/postures", policy="x")
        self.check(self.last(), status="400", problem="BAD_REQUEST", cache="-", reason="-",
                   calls="0", result=None)
        self.client.get("/v1/postures/%31")
        self.check(self.last(), route="/v1/postures/*", path="/v1/postures/%31", status="404")
        self.client.get("/nix")
        self.check(self.last(), route="unknown", consumer="-", status="404", problem="NOT_FOUND")
        self.client.get("/v1/postures?policy=" + "1" * 8200)
        self.check(self.last(), route="unknown", status="414", path="/v1/postures")
        self.s.control.fault("500", api="hostids", times=1)
        self.client.get("/v1/postures", policy=1001)
        self.check(self.last(), status="503", problem="UPSTREAM_DOWN", cache="-", reason="miss",
                   calls="1")

    def test_why_stale_was_served(self):
        s = self.s = self.stack(clock=True, simulator=QUIET, settings=HOURS)
        self.client = s.client()
        self.client.get("/v1/postures", policy=1001)
        self.last()
        s.advance(3 * 3600)
        s.control.fault("500", api="hostids", times=1)
        self.client.get("/v1/postures", policy=1001)
        self.check(self.last(), status="200", cache="stale", reason="error", calls="1")
        self.client.get("/v1/postures", policy=1001)
        self.check(self.last(), cache="miss", reason="stale", calls="2")
        s.advance(3700)
        self.client.get("/v1/postures", policy=1001)
        self.check(self.last(), cache="stale", reason="stale", calls="0")

    def test_no_value_of_a_query_is_in_it(self):
        self.client.get("/v1/postures", policy=1001, evaluatedSince="2026-01-02")
        self.client.post("/v1/postures/query", {"policy": [1001], "evaluatedSince": "2026-01-02"})
        self.last(2)
        self.assertNotIn("2026-01-02", self.s.gateway.text())


if __name__ == "__main__":
    harness.main()
