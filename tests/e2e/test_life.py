"""Results over time: one fetch for many who ask, walks that nothing disturbs, restarts and crashes."""

import threading

import harness
import reference

NOW = "2026-11-20T12:00:00Z"


def at_once(count, action):
    """Runs action(number) in so many threads that all begin together; returns what they gave."""
    barrier = threading.Barrier(count)
    results = [None] * count

    def run(number):
        barrier.wait()
        results[number] = action(number)
    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results


class Herd(harness.StackTest):
    COUNT = 1000

    def test_a_herd_makes_one_fetch_and_one_login(self):
        stack = self.stack(simulator={"policies": 1, "hosts": 20, "controls": 20, "rate": 0,
                                      "concurrency": 0},
                           settings={"gateway": {"workers": 512}, "request": {"wait_default": "60s"}})
        hold = stack.control.hold(api="postureInfo")
        clients = [stack.client() for _ in range(self.COUNT)]
        done = []

        def ask(number):
            done.append(clients[number].get("/v1/postures", policy=1001, limit=1))

        herd = threading.Thread(target=at_once, args=(self.COUNT, ask))
        herd.start()
        stack.control.wait(api="postureInfo", held=1)
        # those beyond the share of workers that may wait are told to come again
        harness.wait_until(lambda: len(done) >= self.COUNT - 512 // 4, "the rest has been sent away")
        stack.control.release(id=hold)
        herd.join()

        self.assertEqual(len(done), self.COUNT)
        statuses = [a.status for a in done]
        self.assertEqual(set(statuses), {200, 202})
        self.assertEqual(statuses.count(200), 512 // 4)
        bodies = {a.body for a in done if a.status == 200}
        self.assertEqual(len({reference.parse(b)["result"]["id"] for b in bodies}), 1)
        collapsed = [a for a in done if a.status == 200 and "collapsed" in a.headers["Cache-Status"]]
        self.assertEqual(len(collapsed), 512 // 4 - 1)
        for client in clients:
            self.assertEqual(client.get("/v1/postures", policy=1001, limit=1).status, 200)
        state = stack.control.state()
        self.assertEqual(state["apis"]["postureInfo"]["calls"], 1)
        self.assertEqual(state["apis"]["hostids"]["calls"], 1)
        self.assertEqual(state["logins"], 1)

    def test_a_failure_reaches_the_whole_herd(self):
        stack = self.stack(simulator={"policies": 1, "rate": 0, "concurrency": 0})
        stack.control.fault("403", api="hostids", times=-1)
        hold = stack.control.hold(api="hostids")
        clients = [stack.client() for _ in range(40)]
        answers = []
        herd = threading.Thread(target=lambda: answers.extend(at_once(
            40, lambda n: clients[n].get("/v1/postures", policy=1001))))
        herd.start()
        stack.control.wait(api="hostids", held=1)
        stack.control.release(id=hold)
        herd.join()
        self.assertEqual({a.status for a in answers}, {503})
        self.assertEqual(stack.control.state()["apis"]["hostids"]["calls"], 1)


class Walks(harness.StackTest):
    def test_a_refetch_does_not_disturb_a_walk(self):
        stack = self.stack(simulator={"policies": 1, "hosts": 20, "controls": 20, "rate": 0,
                                      "concurrency": 0, "now": NOW})
        client, other = stack.client(), stack.client()
        before = client.records("/v1/postures", policy=1001, limit=1000)
        walk, seen = client.get("/v1/postures", policy=1001, limit=30).json(), []
        generation = 0
        while True:
            seen += walk["data"]
            if "next" not in walk["page"]:
                break
            generation += 1
            stack.control.set(generation=generation)
            newer = other.get("/v1/postures", headers={"Cache-Control": "no-cache"}, policy=1001, limit=1)
            self.assertEqual(newer.status, 200, newer)
            self.assertNotEqual(newer.json()["result"]["id"], walk["result"]["id"])
            walk = client.get(walk["page"]["next"]).json()
        self.assertGreater(generation, 5)
        self.assertEqual(seen, before)
        self.assertNotEqual(client.records("/v1/postures", policy=1001, limit=1000), before)

    def test_a_cursor_ends_after_its_grace(self):
        stack = self.stack(simulator={"policies": 1, "rate": 0, "concurrency": 0},
                           settings={"cache": {"cursor_grace": "1ms"}})
        client = stack.client()
        first = client.get("/v1/postures", policy=1001, limit=5).json()
        self.assertEqual(client.get(first["page"]["next"]).status, 200)
        client.get("/v1/postures", headers={"Cache-Control": "no-cache"}, policy=1001)
        gone = harness.wait_until(
            lambda: (lambda a: a if a.status == 410 else None)(client.get(first["page"]["next"])),
            "the replaced result is gone")
        self.assertEqual(gone.json()["type"], "/problems/cursor-expired")

    def test_stale_is_served_and_refreshed_behind(self):
        stack = self.stack(simulator={"policies": 1, "rate": 0, "concurrency": 0},
                           settings={"cache": {"fresh_for": "1ms", "stale_for": "1h"}})
        client = stack.client()
        first = client.get("/v1/postures", policy=1001).json()["result"]["id"]

        def newer():
            answer = client.get("/v1/postures", policy=1001)
            self.assertEqual(answer.status, 200)
            self.assertRegex(answer.headers["Cache-Status"], "^posturegate; hit; ttl=(-|0)")
            return answer.json()["result"]["id"] != first
        harness.wait_until(newer, "the refresh behind has come")

    def test_an_ailing_upstream_is_not_asked_by_every_request(self):
        stack = self.stack(simulator={"policies": 1, "rate": 0, "concurrency": 0},
                           settings={"cache": {"fresh_for": "1ms", "stale_for": "1h"},
                                     "upstream": {"retries": 0}})
        client = stack.client()
        client.get("/v1/postures", policy=1001)
        stack.control.fault("500", api="hostids", times=-1)
        before = stack.control.state()["apis"]["hostids"]["calls"]
        client.get("/v1/postures", policy=1001)
        stack.control.wait(api="hostids", ended=before + 1)
        for _ in range(50):
            self.assertEqual(client.get("/v1/postures", policy=1001).status, 200)
        # one more may begin in the moment in which the first one ends
        self.assertLessEqual(stack.control.state()["apis"]["hostids"]["calls"], before + 2)

    def test_stale_stands_in_while_the_upstream_fails(self):
        stack = self.stack(simulator={"policies": 1, "rate": 0, "concurrency": 0},
                           settings={"cache": {"fresh_for": "1ms", "stale_for": "1ms", "keep_for": "1h"},
                                     "upstream": {"retries": 0}})
        client = stack.client()
        first = client.get("/v1/postures", policy=1001).json()
        stack.simulator.kill()

        def stand_in():
            answer = client.get("/v1/postures", policy=1001)
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(answer.json(), first)
            return True
        harness.wait_until(stand_in, "an answer")


    def test_stale_stands_in_at_once_while_a_wait_is_announced(self):
        stack = self.stack(simulator={"policies": 2, "rate": 0, "concurrency": 0},
                           settings={"cache": {"fresh_for": "1ms", "stale_for": "1ms", "keep_for": "1h"}})
        client = stack.client()
        first = client.get("/v1/postures", policy=1001).json()
        stack.control.fault("429", api="postureInfo", times=-1, toWait="3000")
        self.assertEqual(client.get("/v1/postures", headers={"Prefer": "respond-async"}, policy=1002).status, 202)
        harness.wait_until(lambda: " upstream-limit " in stack.gateway.text(), "the wait is known")
        calls = stack.control.state()["apis"]["hostids"]["calls"]
        answer = client.get("/v1/postures", policy=1001)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json(), first)
        self.assertIn("; hit; ttl=-", answer.headers["Cache-Status"])
        self.assertEqual(stack.control.state()["apis"]["hostids"]["calls"], calls)


class Restarts(harness.StackTest):
    def setUp(self):
        self.running = self.stack(simulator={"policies": 2, "hosts": 20, "controls": 20, "rate": 0,
                                             "concurrency": 0, "now": NOW})
        self.client = self.running.client()

    def calls(self):
        return self.running.control.state()["apis"]["postureInfo"]["calls"]

    def test_a_restart_keeps_the_cache_and_the_walks(self):
        before = self.client.records("/v1/postures", policy=1001)
        walk = self.client.get("/v1/postures", policy=1001, limit=50).json()
        calls = self.calls()
        for kill in (False, True):
            with self.subTest(kill=kill):
                self.running.restart_gateway(kill=kill)
                # nginx may have closed the old connection with the answer that the end cut short
                self.client = self.running.client()
                answer = harness.wait_until(
                    lambda: (lambda a: a if a.status != 502 else None)(
                        self.client.get("/v1/postures", policy=1001, limit=50)), "an answer")
                self.assertEqual(answer.status, 200, answer)
                self.assertIn("; hit", answer.headers["Cache-Status"])
                self.assertEqual(answer.json(), walk)
                self.assertEqual(self.client.records("/v1/postures", policy=1001), before)
                self.assertEqual(self.client.get(walk["page"]["next"]).status, 200)
        self.assertEqual(self.calls(), calls)

    def test_a_crash_in_the_middle_of_a_fetch_leaves_nothing_visible(self):
        hold = self.running.control.hold(api="postureInfo", records=50)
        answer = self.client.get("/v1/postures", headers={"Prefer": "respond-async"}, policy=1002)
        self.assertEqual(answer.status, 202)
        self.running.control.wait(api="postureInfo", held=1)
        self.running.restart_gateway(kill=True)
        self.running.control.release(id=hold)
        cached = harness.wait_until(
            lambda: (lambda a: a if a.status != 502 else None)(self.client.get(
                "/v1/postures", headers={"Cache-Control": "only-if-cached"}, policy=1002)), "an answer")
        self.assertEqual(cached.status, 504, cached)
        whole = self.client.get("/v1/postures", policy=1002)
        self.assertEqual(whole.status, 200, whole)
        self.assertGreater(whole.json()["page"]["total"], 50)

    def test_a_second_gateway_on_the_same_state_refuses_to_start(self):
        second = self.running.part("second", [harness.GATEWAY, "--settings", self.running.settings_file])
        second.start()
        self.assertNotEqual(second.wait(), 0)
        self.assertEqual(self.client.get("/v1/postures", policy=1001).status, 200)

    def test_stopping_cancels_what_is_under_way(self):
        self.running.control.hold(api="postureInfo")
        place = self.client.get("/v1/postures", headers={"Prefer": "respond-async"}, policy=1001)
        self.assertEqual(place.status, 202)
        self.running.control.wait(api="postureInfo", held=1)
        self.assertEqual(self.running.gateway.stop(), 0)
        self.assertFalse(self.running.gateway_socket.exists())


    def test_stopping_takes_back_what_waits_for_the_budget(self):
        stack = self.stack(simulator={"policies": 9, "rate": 0, "concurrency": 0},
                           settings={"upstream": {"rate_calls": 1, "rate_window": "1h", "hosts_per_call": 5}})
        client = stack.client()
        for policy in range(1001, 1010):
            answer = client.get("/v1/postures", headers={"Prefer": "respond-async"}, policy=policy)
            self.assertEqual(answer.status, 202, answer)
        stack.control.wait(api="postureInfo", calls=1)
        self.assertEqual(stack.gateway.stop(), 0)


class Budget(harness.StackTest):
    def test_never_a_call_over_the_rate(self):
        stack = self.stack(simulator={"policies": 4, "hosts": 2, "controls": 2, "rate": 3,
                                      "rate_window": 2, "concurrency": 2},
                           settings={"upstream": {"rate_calls": 3, "rate_window": "2s"}})
        clients = [stack.client() for _ in range(8)]
        answers = at_once(8, lambda n: clients[n].get("/v1/postures", policy=1001 + n % 4,
                                                      status="Passed" if n < 4 else "Failed"))
        self.assertEqual({a.status for a in answers}, {200})
        state = stack.control.state()
        for name, api in state["apis"].items():
            self.assertEqual(api["tooOften"], 0, (name, api))
        self.assertEqual(state["apis"]["postureInfo"]["calls"], 8)

    def test_a_refusal_is_waited_out(self):
        for fault in ("409", "429"):
            with self.subTest(fault):
                stack = self.stack(simulator={"policies": 1, "rate": 0, "concurrency": 0})
                stack.control.fault(fault, api="postureInfo", times=1, toWait="1")
                answer = stack.client().get("/v1/postures", policy=1001)
                self.assertEqual(answer.status, 200, answer)
                self.assertEqual(stack.control.state()["apis"]["postureInfo"]["calls"], 2)


if __name__ == "__main__":
    harness.main()
