"""Many consumers, one budget: hundreds of cold queries at the upstream's pace, nobody starved, and the
waiting told truly. Time is moved."""

import harness

LIMITED = {"policies": 2, "hosts": 3, "controls": 3, "rate": 25, "rate_window": 60, "concurrency": 2}
NAMES = ["greedy", "a", "b", "c", "d", "e", "f", "g", "h", "i"]


class Sharing(harness.StackTest):
    def begin(self, simulator=None, settings=None):
        self.it = self.stack(
            clock=True, simulator=LIMITED | (simulator or {}),
            settings=harness.exactly({"upstream": {"rate_calls": 25, "rate_window": "60s", "concurrency": 2}}
                                     | (settings or {})),
            consumers=[harness.Consumer(n, admin="true") for n in NAMES])
        self.clients = [self.it.client(n) for n in range(len(NAMES))]
        self.control = self.it.control

    def ask(self, consumer, number):
        """A cold query of its own, not waited for: its fetch."""
        answer = self.clients[consumer].get(
            "/v1/postures", {"Prefer": "respond-async"}, policy=1001,
            evaluatedSince=f"2020-{consumer + 1:02}-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z")
        self.assertEqual(answer.status, 202, answer)
        return consumer, answer.headers["Location"]

    def fetch(self, place):
        answer = self.clients[place[0]].get(place[1])
        self.assertEqual(answer.status, 200, answer)
        return answer.json()

    def complete(self, places):
        states = [self.fetch(p)["state"] for p in places]
        self.assertFalse(set(states) & {"failed", "cancelled"}, states)
        return states.count("complete")

    def settled(self, count):
        """A window of calls has gone through, as far as the budget lets them."""
        def quiet():
            api = self.control.state()["apis"]["postureInfo"]
            return api["done"] + api["broken"] >= count
        harness.wait_until(quiet, f"{count} calls are done")

    def never_over(self):
        for name, api in self.control.state()["apis"].items():
            self.assertEqual((api["tooOften"], api["tooMany"]), (0, 0), name)

    def test_three_hundred_cold_queries_go_at_the_upstreams_pace_and_fairly(self):
        self.begin()
        places = [self.ask(0, n) for n in range(255)]
        others = [self.ask(1 + n % 9, 1000 + n) for n in range(45)]
        everyone = places + others
        windows = 0
        while (done := self.complete(everyone)) < 300:
            windows += 1
            self.assertLess(windows, 20, "it goes on")
            self.settled(min(25 * windows, 300))
            if windows == 4:
                # shares are even: who asks for little has it long before the greedy one
                harness.wait_until(lambda: self.complete(others) == 45, "the small ones are served")
                self.assertLessEqual(self.complete(places), 55 + 2)
            self.it.advance(61)
        self.assertEqual(done, 300)
        self.assertIn(windows, (11, 12), "25 a window, all of them used")
        self.never_over()
        self.assertEqual(self.control.state()["logins"], 1)

    def test_the_estimate_knows_the_window(self):
        self.begin()
        places = [self.ask(0, n) for n in range(60)]
        self.settled(25)
        harness.wait_until(lambda: self.complete(places) == 25, "the first window is used")
        last = self.fetch(places[-1])
        self.assertEqual(last["state"], "resolving")
        self.assertTrue(60 <= last["estimateSeconds"] <= 125, last)
        self.assertLessEqual(self.fetch(places[26])["estimateSeconds"], 65)
        again = self.clients[0].get("/v1/postures", {"Prefer": "wait=0"}, policy=1001,
                                    evaluatedSince="2020-01-01T00:00:59Z")
        self.assertEqual(again.status, 202)
        self.assertTrue(2 <= int(again.headers["Retry-After"]) <= 60, again.headers["Retry-After"])

    def test_a_request_goes_before_the_refreshes_behind(self):
        self.begin({"rate": 4}, {"cache": {"fresh_for": "1h", "stale_for": "10h"}, "upstream": {
            "rate_calls": 4, "rate_window": "60s", "concurrency": 2}})
        for n in range(12):
            place = self.ask(0, n)
            self.it.advance(61)
            harness.wait_until(lambda: self.complete([place]) == 1, "it is stored")
        self.it.advance(2 * 3600)
        for n in range(12):  # all stale: twelve refreshes, four of them in this window
            answer = self.clients[0].get("/v1/postures", policy=1001, evaluatedSince=f"2020-01-01T00:00:{n:02}Z")
            self.assertEqual(answer.status, 200)
        self.settled(16)
        asked = self.ask(1, 0)
        self.it.advance(61)
        harness.wait_until(lambda: self.complete([asked]) == 1, "who waits went first")
        self.assertLessEqual(self.control.state()["apis"]["postureInfo"]["calls"], 20)
        self.never_over()

    def test_hits_are_served_while_waiters_fill_their_share(self):
        self.begin(settings={"gateway": {"workers": 64, "nginx_connections": 32},
                             "request": {"wait_default": "60s"}})
        warm = self.clients[1].get("/v1/postures", policy=1001)
        self.assertEqual(warm.status, 200, warm)
        hold = self.control.hold(api="postureInfo")
        import threading
        waiters = [self.it.client(2) for _ in range(40)]
        answers = []
        threads = [threading.Thread(target=lambda c=c, n=n: answers.append(c.get(
            "/v1/postures", policy=1002, evaluatedSince=f"2020-01-01T00:00:{n:02}Z")))
            for n, c in enumerate(waiters)]
        for t in threads:
            t.start()
        self.control.wait(api="postureInfo", held=2)
        # beyond a quarter of the workers it is 202 at once
        harness.wait_until(lambda: len(answers) >= 40 - 16, "the rest was sent away")
        self.assertEqual({a.status for a in answers}, {202})
        for _ in range(20):
            self.assertEqual(self.clients[1].get("/v1/postures", policy=1001).status, 200)
        self.control.release(id=hold)
        self.it.advance(61)
        self.it.advance(61)
        for t in threads:
            t.join()
        self.assertEqual(len(answers), 40)


if __name__ == "__main__":
    harness.main()
