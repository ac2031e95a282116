"""Fewer calls: fetches that are broader than what was asked for, fetches ahead of the end of what is
popular, and what the settings keep warm; counted by the simulated upstream."""

import re
import subprocess

import harness
from harness import Consumer

DATA = {"policies": 3, "hosts": 12, "controls": 9, "rate": 0, "concurrency": 0, "empty_hosts": 0,
        "evidence_bytes": 40, "large_every": 0, "token_lifetime": 10**8, "now": "2026-11-20T12:00:00Z"}
NARROW = [{"status": "Failed"}, {"status": "Passed"}, {"status": "Error"}, {"criticality": "4,5"},
          {"criticality": "1", "status": "Failed"}, {"previousStatus": "Passed"},
          {"evaluatedSince": "2026-01-01"}, {"status": "Failed,Error"}, {"criticality": "0"},
          {"scannedFrom": "2026-01-01", "scannedTo": "2026-12-31"}]


def calls(stack, api="postureInfo"):
    return stack.control.state()["apis"][api]["calls"]


class BroadTest(harness.StackTest):
    def begin(self, settings=None, clock=False, simulator=None, consumers=None):
        return self.stack(simulator=DATA | (simulator or {}), settings=settings, clock=clock,
                          consumers=consumers)

    def how(self, client, headers=None, **query):
        answer = client.get("/v1/postures", headers, limit=1000, **query)
        self.assertEqual(answer.status, 200, answer)
        return answer.headers["Cache-Status"]


class Breadth(BroadTest):
    def test_ten_narrow_queries_cost_one_exact_and_one_broad_fetch(self):
        stack = self.begin()
        client = stack.client()
        hows = [self.how(client, policy=1001, **n) for n in NARROW]
        self.assertEqual((calls(stack), calls(stack, "hostids")), (2, 2))
        self.assertEqual(["fwd=miss" in h for h in hows], [True, True] + [False] * 8)
        self.assertTrue(all("contained" in h for h in hows[2:]), hows)
        self.assertIn("pcrs_broad_fetches_total 1", self.metrics(stack))

    def metrics(self, stack):
        return stack.client(key="").get("/metrics").body.decode()

    def test_answers_are_those_of_exact_fetches(self):
        broad, exact = self.begin(), self.begin(settings=harness.exactly())
        for stack in broad, exact:
            stack.answers = [stack.client().records("/v1/postures", policy="1001,1002", **n) for n in NARROW]
        self.assertEqual(calls(exact), 2 * len(NARROW))
        self.assertEqual(calls(broad), 4)
        def by_id(records):
            return {r["id"]: {k: v for k, v in r.items() if k not in ("currentBatch", "totalBatches")}
                    for r in records}
        for mine, others in zip(broad.answers, exact.answers):
            self.assertEqual(by_id(mine), by_id(others))

    def test_a_single_narrow_query_is_fetched_as_it_is_however_often_it_is_asked(self):
        stack = self.begin(settings={"cache": {"fresh_for": "10s", "stale_for": "0s"}}, clock=True)
        client = stack.client()
        all_records = len(client.records("/v1/postures", policy=1002))
        for _ in range(3):
            stack.control.reset()
            self.assertIn("stored", self.how(client, policy=1001, status="Error"))
            self.assertLess(stack.control.state()["apis"]["postureInfo"]["records"], all_records / 2)
            stack.advance(11)

    def test_the_next_time_a_broad_one_that_is_small_is_fetched_at_once(self):
        stack = self.begin(settings={"cache": {"fresh_for": "10s", "stale_for": "0s"}}, clock=True)
        client = stack.client()
        for n in NARROW[:2]:
            self.how(client, policy=1001, **n)
        stack.advance(60)
        before = calls(stack)
        for n in NARROW:
            self.how(client, policy=1001, **n)
        self.assertEqual(calls(stack), before + 1)

    def test_for_a_host_that_the_last_broad_one_had_not_found_none_is_fetched(self):
        stack = self.begin(settings={"cache": {"fresh_for": "10s", "stale_for": "0s"}}, clock=True)
        client = stack.client()
        for n in NARROW[:2]:
            self.how(client, policy=1001, **n)
        stack.advance(60)
        stack.control.reset()
        self.assertIn("stored", self.how(client, policy=1001, host=5999999))
        self.assertEqual((calls(stack), calls(stack, "hostids")), (0, 1))
        self.assertIn("contained", self.how(client, policy=1001, host=5000001))
        self.assertEqual((calls(stack), calls(stack, "hostids")), (1, 2))

    def test_detail_that_was_asked_for_is_fetched_with_it(self):
        stack = self.begin()
        client = stack.client()
        self.how(client, policy=1001, status="Failed", evidence="extended", cloud=True)
        self.how(client, policy=1001, status="Passed")
        answer = client.get("/v1/postures", policy=1001, status="Error", evidence="extended", cloud=True,
                            limit=1000)
        self.assertIn("contained", answer.headers["Cache-Status"])
        self.assertTrue(all(p["evidence"] for p in answer.json()["data"]))
        answer = client.get("/v1/postures", policy=1001, status="Passed", limit=1000)
        self.assertEqual({p["evidence"] for p in answer.json()["data"]}, {None})
        self.assertEqual(calls(stack), 2)

    def test_hosts_are_left_out_only_when_that_pays(self):
        stack = self.begin(settings={"upstream": {"hosts_per_call": "3"}})
        client = stack.client()
        hosts = sorted({p["hostId"] for p in client.records("/v1/postures", policy=1002)})
        stack.control.reset()
        costs = []
        for host in hosts[:6]:
            before = calls(stack)
            self.how(client, policy=1001, host=host)
            costs.append(calls(stack) - before)
        # all hosts are four calls: as many as four queries of one host each
        self.assertEqual(costs, [1, 1, 1, 4, 0, 0])

    def test_beyond_the_bounds_every_query_is_fetched_as_it_is(self):
        for bound in {"broaden_size": "1k"}, {"broaden": "false"}, {"containment": "false"}:
            stack = self.begin(settings={"cache": bound})
            client = stack.client()
            for n in NARROW[:4]:
                self.how(client, policy=1001, **n)
            self.assertEqual(calls(stack), 4, bound)

    def test_tiles_that_are_asked_for_at_once_cost_two_fetches(self):
        stack = self.begin()
        client = stack.client()
        hold = stack.control.hold(api="postureInfo")
        for n in NARROW[:6]:
            answer = client.get("/v1/postures", {"Prefer": "wait=0"}, policy=1001, **n)
            self.assertEqual(answer.status, 202, answer)
        stack.control.wait(api="postureInfo", held=2)
        stack.control.release(id=hold)
        for n in NARROW[:6]:
            self.how(client, policy=1001, **n)
        self.assertEqual((calls(stack), calls(stack, "hostids")), (2, 2))

    def test_who_does_not_wait_is_led_to_the_broad_fetch(self):
        stack = self.begin()
        client = stack.client()
        self.how(client, policy=1001, status="Failed")
        hold = stack.control.hold(api="postureInfo")
        answer = client.get("/v1/postures", {"Prefer": "wait=0"}, policy=1001, status="Error")
        self.assertEqual(answer.status, 202)
        self.assertEqual(answer.json()["query"], "q1;policy=1001")
        stack.control.release(id=hold)
        self.assertEqual(self.how(client, policy=1001, status="Passed"),
                         "posturegate; fwd=miss; collapsed; detail=contained")

    def test_explain_tells_what_would_be_fetched_and_remembers_nothing(self):
        stack = self.begin()
        client = stack.client()

        def explain(**query):
            return client.get("/v1/postures/explain", policy=1001, **query).json()
        self.how(client, policy=1002)
        for n in NARROW:
            self.assertNotIn("fetches", explain(**n))
        self.how(client, policy=1001, **NARROW[0])
        self.assertEqual(explain(**NARROW[1])["fetches"], "q1;policy=1001")
        self.assertEqual(calls(stack), 2)
        self.how(client, policy=1001, **NARROW[1])
        self.assertEqual(explain(**NARROW[2])["serves"]["how"], "contained")

    def test_who_wants_it_anew_gets_that_alone(self):
        stack = self.begin()
        client = stack.client()
        for n in NARROW[:4]:
            self.how(client, {"Cache-Control": "no-cache"}, policy=1001, **n)
        self.assertEqual(calls(stack), 4)
        self.assertIn("pcrs_broad_fetches_total 0", self.metrics(stack))

    def test_where_the_broad_one_has_it_not_the_query_has_a_fetch_of_its_own(self):
        stack = self.begin()
        client = stack.client()
        self.how(client, policy=1001, status="Failed")
        # what the upstream makes of such a record under a filter nobody knows
        stack.control.fault("odd_status", api="postureInfo", times=1)
        self.assertIn("fwd=miss", self.how(client, policy=1001, status="Passed"))
        self.assertEqual(calls(stack), 3)
        self.assertIn("fwd=miss", self.how(client, policy=1001, status="Error"))
        self.assertEqual(calls(stack), 4)

    def test_a_broad_fetch_counts_once_against_the_quota(self):
        stack = self.begin(consumers=[Consumer("few", quota="2")])
        client = stack.client()
        for n in NARROW:
            self.how(client, policy=1001, **n)
        self.assertEqual(client.get("/v1/postures", policy=1002).status, 429)

    def test_what_is_stale_is_refreshed_broad(self):
        stack = self.begin(settings={"cache": {"fresh_for": "10s", "stale_for": "1h"}}, clock=True)
        client = stack.client()
        self.how(client, policy=1001, status="Failed")
        self.how(client, policy=1001, status="Passed")
        stack.advance(11)
        self.assertIn("ttl=-", self.how(client, policy=1001, status="Failed"))
        harness.wait_until(lambda: "contained" in self.how(client, policy=1001, status="Failed"),
                           "the broad one is there")
        for n in NARROW:
            self.how(client, policy=1001, **n)
        self.assertEqual(calls(stack), 3)


HOUR_S = 3600
DUE_S = HOUR_S * 90 // 100 + 1  # every result of an hour is due by then


class Ahead(BroadTest):
    SETTINGS = {"cache": {"fresh_for": "1h", "stale_for": "1h"}}

    def use(self, client, times, **query):
        for _ in range(times):
            self.how(client, **query)

    def wait_for_new(self, client, **query):
        harness.wait_until(lambda: re.search(r"hit; ttl=[1-9]\d{3}", self.how(client, **query)),
                           "it has been fetched anew")

    def test_what_is_popular_is_fetched_before_it_goes_stale_and_nothing_else_is(self):
        stack = self.begin(settings=self.SETTINGS, clock=True)
        client = stack.client()
        self.use(client, 9, policy=1001)
        self.use(client, 2, policy=1002)
        stack.advance(HOUR_S // 2)
        self.assertEqual(calls(stack), 2)
        stack.advance(DUE_S - HOUR_S // 2)
        self.wait_for_new(client, policy=1001)
        self.assertEqual(calls(stack), 3)
        stack.advance(HOUR_S - DUE_S + 60)
        self.assertRegex(self.how(client, policy=1001), r"hit; ttl=\d")
        self.assertRegex(self.how(client, policy=1002), r"hit; ttl=-\d")
        self.assertIn('pcrs_ahead_fetches_total{why="popular"} 1',
                      stack.client(key="").get("/metrics").body.decode())

    def test_a_broad_result_is_popular_by_the_narrow_queries_that_it_serves(self):
        stack = self.begin(settings=self.SETTINGS, clock=True)
        client = stack.client()
        for n in NARROW:
            self.how(client, policy=1001, **n)
        stack.advance(DUE_S)
        self.wait_for_new(client, policy=1001, status="Error")
        stack.advance(HOUR_S - DUE_S + 60)
        for n in NARROW[1:]:
            self.assertRegex(self.how(client, policy=1001, **n), r"hit; ttl=\d+; detail=contained")
        self.assertEqual(calls(stack), 3)

    def test_calls_that_others_have_used_are_left_to_them(self):
        stack = self.begin(settings=self.SETTINGS | {"upstream": {
            "rate_calls": "4", "rate_window": "50m", "rate_pinned": "true"}}, clock=True)
        client = stack.client()
        self.use(client, 9, policy=1001)
        stack.advance(HOUR_S * 2 // 3)
        self.use(client, 1, policy=1002)
        self.use(client, 1, policy=1003)
        stack.advance(DUE_S - HOUR_S * 2 // 3)
        harness.wait_until(lambda: "ahead-waits" in stack.gateway.text(), "it is due, and is left")
        self.assertEqual(calls(stack), 3)
        self.assertRegex(self.how(client, policy=1001), r"hit; ttl=\d")

    def test_ahead_can_be_switched_off(self):
        stack = self.begin(settings={"cache": self.SETTINGS["cache"] | {"ahead": "false"},
                                     "warm one": {"query": "policy=1003"}}, clock=True)
        client = stack.client()
        self.use(client, 9, policy=1001)
        stack.advance(DUE_S)
        # what is warm is still kept so: the round has been
        harness.wait_until(lambda: calls(stack) == 2, "the warm one is fetched")
        stack.advance(10)
        self.assertNotIn("why=popular", stack.gateway.text())


class Warm(BroadTest):
    def test_warm_lists_are_fetched_at_start_and_again_before_they_go_stale(self):
        stack = self.begin(clock=True, settings={
            "cache": {"fresh_for": "1h"},
            "warm failed": {"query": "policy=1001,1002&status=Failed&evidence=extended"},
            "warm all": {"query": "policy=1003"}})
        stack.advance(30)
        harness.wait_until(lambda: calls(stack) == 3, "both are fetched")
        client = stack.client()

        def served(**query):
            return "hit" in client.get("/v1/postures", {"Cache-Control": "only-if-cached"},
                                       **query).headers.get("Cache-Status", "")
        harness.wait_until(lambda: served(policy=1003, status="Error"), "it is stored")
        harness.wait_until(lambda: served(policy="1001,1002", status="Failed", evidence="extended"),
                           "it is stored")
        stack.advance(DUE_S)
        harness.wait_until(lambda: calls(stack) == 6, "both are fetched anew")
        metrics = stack.client(key="").get("/metrics").body.decode()
        self.assertIn("pcrs_warm_lists 2", metrics)
        self.assertIn('pcrs_ahead_fetches_total{why="warm"} 4', metrics)
        self.assertEqual(calls(stack), 6)

    def test_warm_lists_are_left_alone_while_the_upstream_refuses_them(self):
        stack = self.begin(clock=True, settings={"upstream": {"retries": "0"},
                                                 "warm all": {"query": "policy=1003"}})
        stack.control.fault("500", api="postureInfo", times=1)
        stack.advance(30)
        stack.control.wait(api="postureInfo", ended=1)
        harness.wait_until(lambda: "status=UPSTREAM_DOWN calls=2" in stack.gateway.text(), "it has failed")
        stack.advance(600)
        harness.wait_until(lambda: calls(stack) == 2, "it is tried again later")

    def check(self, text):
        file = harness.temporary_directory() / "posturegate.conf"
        password = file.parent / "password"
        password.write_text("x")
        file.write_text(harness.ini({"upstream": {"url": "https://upstream.example.com", "username": "u",
                                                  "password_file": password}}) + text)
        try:
            return subprocess.run([harness.GATEWAY, "--check", file], capture_output=True, text=True)
        finally:
            harness.shutil.rmtree(file.parent)

    def test_mistakes_in_them_stop_the_start(self):
        for query, told in (("policy=1001&status=Faild", "status"), ("posture=5", "policies must be named"),
                            ("policy=1001&limit=5", "limit"), ("status=Failed", "policy"),
                            ("policy=1001&by=status", "by: nothing is counted here")):
            done = self.check(f"[warm dash]\nquery = {query}\n")
            self.assertEqual(done.returncode, 2, query)
            self.assertRegex(done.stderr, r":5: the query of warm list dash: .*" + told)
        self.assertEqual(self.check("[warm dash]\nquery = policy=1001&status=Failed\n").returncode, 0)


if __name__ == "__main__":
    harness.main()
