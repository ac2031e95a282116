"""The budget, as the upstream sees it: the simulator counts every call that comes too often
(tooOften) or beside too many others (tooMany), and its journal says when each began."""

import http.client
import urllib.parse

import harness

DATA = {"policies": 4, "hosts": 2, "controls": 3, "empty_hosts": 0}
ASYNC = {"Prefer": "respond-async"}
WAITS = {"Prefer": "wait=60"}


class BudgetTest(harness.StackTest):
    def begin(self, simulator, upstream, consumers=None, **sections):
        settings = {"upstream": {"retry_delay": "1ms"} | upstream,
                    "request": {"wait_default": "60s"}} | sections
        self.running = self.stack(simulator=DATA | {"rate": 0, "concurrency": 0} | simulator,
                                  settings=harness.exactly(settings),
                                  consumers=consumers)
        self.control = self.running.control
        self.number = 0
        return self.running.client()

    def query(self, policy=1001):
        """A query that nothing is cached for: a bound that changes nothing, another each time."""
        self.number += 1
        return dict(policy=policy, evaluatedSince=f"2000-01-01T00:{self.number // 60:02}:{self.number % 60:02}Z")

    def ask_until_answered(self, queries, consumer=0):
        """Each query, whatever a restart has cut short, until it is answered."""
        for query in queries:
            client = self.running.client(consumer)

            def answered():
                answer = client.get("/v1/postures", headers=WAITS, **query)
                # 502: nginx while the gateway restarts
                self.assertIn(answer.status, (200, 202, 502), answer)
                return answer.status == 200
            harness.wait_until(answered, "the query is answered")

    def calls(self, api="hostids"):
        return self.control.state()["apis"][api]["calls"]

    def journal(self, api="hostids"):
        return [r for r in self.control.state(last=1000)["requests"] if r["api"] == api]

    def assert_never_over(self):
        for api, counts in self.control.state()["apis"].items():
            self.assertEqual((counts["tooOften"], counts["tooMany"]), (0, 0), api)


class Windows(BudgetTest):
    def test_restarts_and_crashes_let_no_call_more_go(self):
        consumers = [harness.Consumer(name) for name in ("red", "green", "blue")]
        self.begin({"rate": 5, "rate_window": 2, "concurrency": 2, "latency_ms": 50},
                   {"rate_calls": 5, "rate_window": "2s", "concurrency": 2}, consumers)
        queries = [self.query() for _ in range(20)]

        def ask_all():
            for i, query in enumerate(queries):
                answer = self.running.client(i % 3).get("/v1/postures", headers=ASYNC, **query)
                self.assertIn(answer.status, (200, 202), answer)
        # each end comes in the middle of a window that is nearly used up
        ask_all()
        self.control.wait(api="hostids", calls=4)
        self.running.restart_gateway(kill=True)
        ask_all()
        self.control.wait(api="hostids", calls=8)
        self.running.restart_gateway(kill=True)
        ask_all()
        self.control.wait(api="hostids", calls=12)
        self.running.restart_gateway()
        ask_all()
        self.ask_until_answered(queries)
        self.assert_never_over()

    def test_what_a_killed_process_had_under_way_is_waited_for(self):
        # The simulator takes a call for running until its answer could be sent, here for two seconds,
        # whether its client lives or not. (A held call would run on until it is released, which no
        # upstream does.) Only this one call is slow: it began with that option.
        client = self.begin({"concurrency": 1}, {"concurrency": 1})
        self.assertEqual(client.get("/v1/postures", **self.query()).status, 200)
        self.control.set(latency_ms=2000)
        query = self.query()
        client.get("/v1/postures", headers=ASYNC, **query)
        self.control.wait(api="hostids", calls=2)
        self.control.set(latency_ms=0)
        self.running.restart_gateway(kill=True)
        self.ask_until_answered([query])
        self.assertEqual(self.calls(), 3)
        self.assert_never_over()

    def test_a_damaged_note_stops_nothing(self):
        client = self.begin({}, {})
        self.assertEqual(client.get("/v1/postures", **self.query()).status, 200)
        self.running.gateway.stop()
        for path in (self.running.state_dir / "store" / "env").glob("data.mdb"):
            path.write_bytes(path.read_bytes().replace(b"PGBN", b"PGBM"))
        self.running.start_gateway()
        self.ask_until_answered([self.query()])
        self.assertIn(" budget-note-unreadable ", self.running.gateway.text())


class Headers(BudgetTest):
    def test_a_lower_limit_than_the_settings_say_is_learned(self):
        client = self.begin({"rate": 4, "rate_window": 3600}, {"rate_calls": 100, "rate_window": "60s"})
        for _ in range(4):
            self.assertEqual(client.get("/v1/postures", **self.query()).status, 200)
        late = client.get("/v1/postures", headers={"Prefer": "wait=1"}, **self.query())
        self.assertEqual(late.status, 202)
        self.assertEqual(self.calls(), 4)
        # and not forgotten
        self.running.restart_gateway(kill=True)
        self.assertIn(" budget-restored api=hostids calls=4 window_s=3600 own=4 ", self.running.gateway.text())
        late = self.running.client().get("/v1/postures", headers={"Prefer": "wait=1"}, **self.query())
        self.assertEqual(late.status, 202)
        self.assertEqual(self.calls(), 4)
        self.assert_never_over()

    def test_a_higher_limit_than_the_settings_say_is_learned(self):
        client = self.begin({"rate": 20, "rate_window": 3600}, {"rate_calls": 2, "rate_window": "1h"})
        for _ in range(10):
            self.assertEqual(client.get("/v1/postures", **self.query()).status, 200)
        self.assert_never_over()

    def test_pinned_limits_stay(self):
        client = self.begin({"rate": 20, "rate_window": 3600},
                            {"rate_calls": 2, "rate_window": "1h", "rate_pinned": "true"})
        for _ in range(2):
            self.assertEqual(client.get("/v1/postures", **self.query()).status, 200)
        late = client.get("/v1/postures", headers={"Prefer": "wait=1"}, **self.query())
        self.assertEqual(late.status, 202)
        self.assertEqual(self.calls(), 2)

    def foreign_calls(self, count):
        """Another program with the same account."""
        upstream = urllib.parse.urlsplit(self.running.upstream)
        connection = http.client.HTTPConnection(upstream.hostname, upstream.port, timeout=harness.PATIENCE_S)
        self.addCleanup(connection.close)
        connection.request("POST", "/auth", headers={"Content-Type": "application/x-www-form-urlencoded"},
                           body=urllib.parse.urlencode({"username": self.running.username,
                                                        "password": self.running.password, "token": "true"}))
        token = connection.getresponse().read().decode()
        for _ in range(count):
            connection.request("GET", "/pcrs/5.0/posture/hostids?policyId=1001",
                               headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            answer.read()
            self.assertEqual(answer.status, 200)

    def test_calls_of_others_are_left_room(self):
        client = self.begin({"rate": 5, "rate_window": 3600}, {"rate_calls": 5, "rate_window": "1h"})
        self.foreign_calls(3)
        for _ in range(2):
            self.assertEqual(client.get("/v1/postures", **self.query()).status, 200)
        late = client.get("/v1/postures", headers={"Prefer": "wait=1"}, **self.query())
        self.assertEqual(late.status, 202)
        self.assertEqual(self.calls(), 5)
        self.assert_never_over()


class Refusals(BudgetTest):
    def test_limits_are_waited_out(self):
        for fault, members, wait_ms in [("409", {"toWait": "2"}, 2000), ("409", {"code": 1960}, 1000),
                                        ("429", {"retryAfter": "2"}, 2000), ("429", {"toWait": "1"}, 1000)]:
            with self.subTest(fault, **members):
                client = self.begin({}, {})
                self.control.fault(fault, api="hostids", times=1, **members)
                answer = client.get("/v1/postures", **self.query())
                self.assertEqual(answer.status, 200, answer)
                first, second = self.journal()
                self.assertEqual((first["status"], second["status"]), (int(fault), 200))
                self.assertGreaterEqual(second["beganMs"] - first["beganMs"], wait_ms)
                self.assertIn(f" limit={'concurrency' if members.get('code') == 1960 else 'rate'} ",
                              self.running.gateway.text())

    def test_conflicts_that_are_no_limits_shut_nothing(self):
        client = self.begin({}, {})
        for code in (2003, 1920):
            with self.subTest(code):
                self.control.fault("409", api="hostids", times=1, code=code)
                answer = client.get("/v1/postures", **self.query())
                self.assertEqual(answer.status, 503, answer)
                self.assertEqual(answer.json()["type"], "/problems/upstream-forbidden")
                self.assertEqual(client.get("/v1/postures", **self.query()).status, 200)
        self.assertNotIn(" upstream-limit ", self.running.gateway.text())

    def test_one_call_in_each_wait_tries_a_shut_gate(self):
        client = self.begin({}, {"concurrency": 8})
        self.control.fault("429", api="hostids", times=3, toWait="1")
        queries = [self.query()]
        self.assertEqual(client.get("/v1/postures", headers=ASYNC, **queries[0]).status, 202)
        harness.wait_until(lambda: " upstream-limit " in self.running.gateway.text(), "the wait is known")
        queries += [self.query() for _ in range(10)]
        for query in queries[1:]:
            self.assertEqual(client.get("/v1/postures", headers=ASYNC, **query).status, 202)
        self.ask_until_answered(queries)
        journal = self.journal()
        self.assertEqual([r["status"] for r in journal], [429] * 3 + [200] * 11)
        for refused, following in zip(journal[:3], journal[1:4]):
            self.assertGreaterEqual(following["beganMs"] - refused["beganMs"], 1000)

    def test_an_announced_wait_outlives_a_crash(self):
        client = self.begin({}, {})
        self.control.fault("429", api="hostids", times=1, toWait="3")
        query = self.query()
        self.assertEqual(client.get("/v1/postures", headers=ASYNC, **query).status, 202)
        harness.wait_until(lambda: "upstream-limit api=hostids" in self.running.gateway.text(), "the wait is kept")
        self.running.restart_gateway(kill=True)
        self.ask_until_answered([query])
        refused, following = self.journal()
        # the wall clock, which a wait goes by over a restart, has whole milliseconds
        self.assertGreaterEqual(following["beganMs"] - refused["beganMs"], 2995)

    def test_a_lower_concurrency_is_found_without_hammering(self):
        # four under way, where the upstream has two places and does not say so
        client = self.begin({"concurrency": 2, "latency_ms": 300}, {"concurrency": 4})
        queries = [self.query() for _ in range(12)]
        for query in queries:
            client.get("/v1/postures", headers=ASYNC, **query)
        self.ask_until_answered(queries)
        refused = [r["beganMs"] for r in self.journal() if r["status"] == 409]
        # at once two are too many, and then never more than one in a second
        for earlier, later in zip(refused[1:], refused[2:]):
            self.assertGreaterEqual(later - earlier, 1000)


class Order(BudgetTest):
    def test_a_crowd_of_one_consumer_does_not_delay_another(self):
        self.begin({}, {"rate_calls": 5, "rate_window": "1s"},
                   [harness.Consumer("large"), harness.Consumer("small")])
        for _ in range(40):
            self.running.client(0).get("/v1/postures", headers=ASYNC, **self.query())
        self.control.wait(api="hostids", calls=5)
        answer = self.running.client(1).get("/v1/postures", headers=WAITS, **self.query(1002))
        self.assertEqual(answer.status, 200, answer)
        uris = [r["uri"] for r in self.journal()]
        mine = [i for i, uri in enumerate(uris) if "1002" in uri]
        self.assertEqual(len(mine), 1)
        self.assertLess(mine[0], 20)

    def test_a_refresh_that_somebody_waits_for_is_not_in_the_background_any_more(self):
        self.begin({}, {"rate_calls": 2, "rate_window": "2s", "concurrency": 1},
                   [harness.Consumer("one", force="true"), harness.Consumer("two", force="true")],
                   cache={"fresh_for": "1ms", "stale_for": "1h"})
        one, two = self.running.client(0), self.running.client(1)
        self.assertEqual(one.get("/v1/postures", policy=1001).status, 200)
        self.assertEqual(one.get("/v1/postures", policy=1002).status, 200)
        # the window is full: what follows is queued
        stale = one.get("/v1/postures", policy=1001)
        self.assertIn("; hit", stale.headers["Cache-Status"])
        self.assertEqual(one.get("/v1/postures", headers=ASYNC, policy=1003).status, 202)
        self.assertEqual(one.get("/v1/postures", headers=ASYNC, policy=1004).status, 202)
        joined = two.get("/v1/postures", headers=ASYNC | {"Cache-Control": "no-cache"}, policy=1001)
        self.assertEqual(joined.status, 202)
        self.control.wait(api="hostids", calls=5)
        policies = [urllib.parse.parse_qs(urllib.parse.urlsplit(r["uri"]).query)["policyId"][0]
                    for r in self.journal()]
        self.assertEqual(policies, ["1001", "1002", "1001", "1003", "1004"])


if __name__ == "__main__":
    harness.main()
