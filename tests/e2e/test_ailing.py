"""What an upstream that ails, throttles logins or has lost a version does to those who have nothing to
do with it: as little as may be. Time is moved, never waited for."""

import threading

import harness
from test_freshness import HOUR, FreshnessTest, ttl

LONGER_THAN_PATIENCE = {"Prefer": "wait=600"}
KEPT = {"fresh_for": "1h", "stale_for": "0s", "keep_for": "100h"}


class Versions(FreshnessTest):
    def version_of(self, client, policy):
        return self.good(client, policy=policy).json()["result"]["upstreamVersion"]

    def test_a_query_that_no_version_answers_takes_none_from_the_others(self):
        client = self.begin(upstream={"versions": "5.0,4.0"})
        self.control.fault("404", api="hostids", times=-1, match="1001")
        self.problem(client.get("/v1/postures", policy=1001), "upstream-retired")
        self.assertEqual(self.version_of(client, 1002), "5.0")

    def test_a_login_that_is_not_found_is_no_version(self):
        client = self.begin(upstream={"versions": "5.0,4.0"})
        self.control.fault("404", api="auth", times=1)
        self.problem(client.get("/v1/postures", policy=1001), "upstream-refused")
        self.it.advance(10)
        self.assertEqual(self.version_of(client, 1001), "5.0")


class Announced(FreshnessTest):
    def test_what_is_kept_is_served_while_a_503_announces_a_wait(self):
        client = self.begin(upstream={"retries": 3}, request={"wait_max": "10m"}, cache=KEPT)
        first = self.good(client, policy=1001).json()["result"]["id"]
        self.it.advance(2 * HOUR)
        self.control.fault("503", api="hostids", times=-1, retryAfter="600")
        before = self.calls("hostids")
        for _ in range(3):
            kept = self.good(client, LONGER_THAN_PATIENCE, policy=1001)
            self.assertEqual(kept.json()["result"]["id"], first)
        for policy in (1002, 1003):
            cold = client.get("/v1/postures", policy=policy)
            self.problem(cold, "upstream-unavailable")
            self.assertGreater(int(cold.headers["Retry-After"]), 60)
        self.assertEqual(self.calls("hostids"), before + 1, "one of them has been told to wait")

    def test_what_is_kept_is_served_while_logins_have_to_wait(self):
        client = self.begin(request={"wait_max": "10m"}, cache=KEPT)
        first = self.good(client, policy=1001).json()["result"]["id"]
        self.it.advance(5 * HOUR)  # the token is dead
        self.control.fault("429", api="auth", times=1, toWait="3000")
        for _ in range(3):
            kept = self.good(client, LONGER_THAN_PATIENCE, policy=1001)
            self.assertEqual(kept.json()["result"]["id"], first)
        self.assertEqual(self.calls("auth"), 2)


class Holes(FreshnessTest):
    def test_a_result_with_holes_is_not_replaced_by_one_with_more(self):
        client = self.begin({"failing_policies": "1002"}, cache=KEPT)
        result = self.good(client, policy="1001,1002").json()
        self.assertEqual(result["result"]["hostErrors"], [1002])
        self.control.set(failing_policies="1001,1002")
        forced = client.get("/v1/postures", {"Cache-Control": "no-cache"}, policy="1001,1002")
        self.problem(forced, "upstream-incomplete")
        kept = self.good(client, policy="1001,1002").json()
        self.assertEqual(kept["result"]["id"], result["result"]["id"])

    def test_a_result_with_other_holes_is_taken(self):
        client = self.begin({"failing_policies": "1002"}, cache=KEPT)
        self.good(client, policy="1001,1002")
        self.control.set(failing_policies="1001")
        newer = self.good(client, {"Cache-Control": "no-cache"}, policy="1001,1002").json()
        self.assertEqual(newer["result"]["hostErrors"], [1001])


class KeptBack(FreshnessTest):
    def test_a_policy_that_was_not_asked_for_has_not_failed_again(self):
        client = self.begin({"failing_policies": "1002"})
        self.good(client, policy=1002)
        hold = self.control.hold(api="hostids")
        place = client.get("/v1/postures", {"Prefer": "wait=0"}, policy="1002,1003").headers["Location"]
        self.control.wait(api="hostids", held=1)
        self.it.advance(61)
        self.control.release(id=hold)
        harness.wait_until(lambda: client.get(place).json()["state"] == "complete", "it is complete")
        self.assertEqual(self.resolutions("1002"), 1)
        self.good(client, policy="1001,1002")
        self.assertEqual(self.resolutions("1002"), 2)


class Probes(FreshnessTest):
    def tries(self):
        return self.it.gateway.text().count(" call fetch=")

    def test_a_fetch_that_waits_an_ailment_out_probes_with_one_call(self):
        client = self.begin({"hosts": 12}, {"hosts_per_call": 1, "concurrency": 4, "retries": 3})
        self.control.fault("reset_start", api="postureInfo", skip=2, times=-1)
        hold = self.control.hold(api="postureInfo", skip=2)
        place = client.get("/v1/postures", {"Prefer": "wait=0"}, policy=1001).headers["Location"]
        self.control.wait(api="postureInfo", held=4)
        self.control.fault("503", api="hostids", times=1, retryAfter="100")
        self.problem(client.get("/v1/postures", policy=1002), "upstream-unavailable")
        before = self.tries()
        self.control.release(id=hold)
        harness.wait_until(lambda: self.tries() >= before + 14, "four fail, ten are kept back")
        self.assertEqual(self.calls(), 6)
        hold = self.control.hold(api="postureInfo")
        before = self.tries()
        self.it.advance(101)
        self.control.wait(api="postureInfo", held=1)
        harness.wait_until(lambda: self.tries() >= before + 9, "all others are kept back")
        self.assertEqual(self.calls(), 7)
        self.control.reset()

        def complete():
            self.it.advance(2)
            return client.get(place).json()["state"] == "complete"
        harness.wait_until(complete, "the fetch is complete")


class Stopping(FreshnessTest):
    def test_who_has_something_to_fall_back_on_does_not_hold_up_the_end(self):
        client = self.begin(request={"wait_max": "10m"}, cache=KEPT)
        self.good(client, policy=1001)
        self.it.advance(2 * HOUR)
        self.control.hold(api="hostids")
        answers = []
        waiter = threading.Thread(target=lambda: answers.append(
            self.it.client().get("/v1/postures", LONGER_THAN_PATIENCE, policy=1001)))
        waiter.start()
        self.control.wait(api="hostids", held=1)
        self.assertEqual(self.it.gateway.stop(), 0)
        waiter.join()
        self.assertIn(answers[0].status, (200, 202), answers)


if __name__ == "__main__":
    harness.main()
