"""How old an answer may be, what stands in when the upstream fails, and that nobody finds out twice
what has failed. Time is moved, never waited for."""

import threading

import harness

QUIET = {"policies": 3, "hosts": 4, "controls": 6, "rate": 0, "concurrency": 0, "empty_hosts": 0}
HOUR = 3600


def ttl(answer):
    _, _, value = answer.headers["Cache-Status"].partition("ttl=")
    return int(value)


class FreshnessTest(harness.StackTest):
    def begin(self, simulator=None, upstream=None, cache=None, policies=None, request=None, **more):
        """A stack with a clock to move; its client."""
        settings = {"upstream": {"retries": 0, "retry_delay": "1ms"} | (upstream or {}),
                    "cache": cache or {}, "request": request or {},
                    "lifecycle": {"postureInfo 4.0": "active"}}
        for policy, values in (policies or {}).items():
            settings[f'cache "policy {policy}"'] = values
        self.it = self.stack(clock=True, simulator=QUIET | (simulator or {}), settings=settings, **more)
        self.control = self.it.control
        return self.it.client()

    def calls(self, api="postureInfo"):
        return self.control.state()["apis"][api]["calls"]

    def resolutions(self, policy):
        state = self.control.state(last=1000)
        return sum(1 for r in state["requests"] if r["api"] == "hostids" and policy in r["uri"])

    def problem(self, answer, slug):
        self.assertEqual(answer.json().get("type"), f"/problems/{slug}", answer)

    def good(self, client, headers=None, **query):
        answer = client.get("/v1/postures", headers, **query)
        self.assertEqual(answer.status, 200, answer)
        return answer


class Ages(FreshnessTest):
    def test_a_policy_has_times_of_its_own_and_of_several_the_shortest_holds(self):
        client = self.begin(cache={"fresh_for": "10h"}, policies={1002: {"fresh_for": "2h"}})
        for policy, seconds in (("1001", 10 * HOUR), ("1002", 2 * HOUR), ("1001,1002", 2 * HOUR),
                                ("1001,1003", 10 * HOUR)):
            self.good(client, policy=policy)
            left = ttl(self.good(client, policy=policy))
            self.assertTrue(seconds - 60 < left <= seconds, (policy, left))

    def test_by_posture_the_times_tell_nothing_of_the_policies(self):
        client = self.begin(cache={"fresh_for": "10h"}, policies={1002: {"fresh_for": "2h"}})
        of_1001, of_1002 = (self.good(client, policy=p).json()["data"][0]["id"] for p in (1001, 1002))
        for posture in (of_1001, of_1002, 999):
            self.good(client, posture=posture)
            left = ttl(self.good(client, posture=posture))
            self.assertTrue(2 * HOUR - 60 < left <= 2 * HOUR, (posture, left))

    def test_each_time_begins_at_the_end_of_the_one_before(self):
        client = self.begin(cache={"fresh_for": "1h", "stale_for": "2h", "keep_for": "4h"})
        first = self.good(client, policy=1001).json()["result"]["id"]

        def answer():
            return client.get("/v1/postures", policy=1001)
        self.control.fault("500", api="hostids", times=-1)
        self.it.advance(HOUR - 60)
        self.assertGreater(ttl(answer()), 0)
        self.it.advance(120)  # stale: served at once, refreshed behind
        self.assertLess(ttl(answer()), 0)
        self.it.advance(2 * HOUR)  # kept: only because the fetch fails
        kept = answer()
        self.assertEqual((kept.status, kept.json()["result"]["id"]), (200, first))
        self.it.advance(4 * HOUR)
        self.problem(answer(), "upstream-unavailable")


    def test_what_ends_to_be_kept_while_it_is_waited_for_does_not_stand_in(self):
        client = self.begin(request={"wait_max": "10m"}, cache={
            "fresh_for": "1h", "stale_for": "0s", "keep_for": "60s"})
        self.good(client, policy=1001)
        self.it.advance(HOUR + 30)
        self.control.fault("500", api="postureInfo", times=-1)
        hold = self.control.hold(api="postureInfo")
        answers = []
        asking = threading.Thread(target=lambda: answers.append(
            client.get("/v1/postures", {"Prefer": "wait=600"}, policy=1001)))
        asking.start()
        self.control.wait(api="postureInfo", held=1)
        self.it.advance(40)
        self.control.release(id=hold)
        asking.join()
        self.problem(answers[0], "upstream-unavailable")


class StaleOnError(FreshnessTest):
    FAULTS = ["500", "503", "429", "409", "403", "reset_start", "gzip_cut", "html", "504"]

    def test_what_is_kept_stands_in_for_every_failure(self):
        client = self.begin(upstream={"error_memory": "0s"}, request={"wait_max": "10m"}, cache={
            "fresh_for": "1h", "stale_for": "0s", "keep_for": "100h"})
        for fault in self.FAULTS:
            with self.subTest(fault):
                first = self.good(client, {"Cache-Control": "no-cache"}, policy=1001).json()["result"]["id"]
                self.it.advance(2 * HOUR)
                self.control.fault(fault, api="postureInfo", times=-1)
                # longer than the client's own patience: it is not waited through
                answer = self.good(client, {"Prefer": "wait=600"}, policy=1001)
                self.assertEqual(answer.json()["result"]["id"], first)
                self.assertLess(ttl(answer), 0)
                self.assertNotIn("fwd", answer.headers["Cache-Status"])
                self.control.reset()
                self.it.advance(90)  # an announced wait is over, and who waits for it goes on

    def test_an_upstream_that_is_not_there(self):
        client = self.begin(cache={"fresh_for": "1h", "stale_for": "0s"})
        first = self.good(client, policy=1001).json()["result"]["id"]
        self.it.simulator.kill()
        self.it.advance(2 * HOUR)
        for _ in range(3):
            self.assertEqual(self.good(client, policy=1001).json()["result"]["id"], first)
        cold = client.get("/v1/postures", policy=1002)
        self.assertEqual(cold.status, 503, cold)
        self.problem(cold, "upstream-unavailable")
        self.assertGreaterEqual(int(cold.headers["Retry-After"]), 1)

    def test_while_a_wait_is_announced_what_is_kept_is_served_without_asking(self):
        client = self.begin(cache={"fresh_for": "1h", "stale_for": "0s"})
        self.good(client, policy=1001)
        self.it.advance(2 * HOUR)
        self.control.fault("429", api="hostids", times=1, toWait="50")
        place = client.get("/v1/postures", {"Prefer": "respond-async"}, policy=1002)
        self.assertEqual(place.status, 202, place)
        self.control.wait(api="hostids", ended=2)
        harness.wait_until(lambda: "upstream-limit" in self.it.gateway.text(), "the limit is known")
        before = self.calls("hostids")
        for _ in range(5):
            self.assertLess(ttl(self.good(client, policy=1001)), 0)
        self.assertEqual(self.calls("hostids"), before)
        self.it.advance(60)
        self.good(client, policy=1003)  # and no fetch was waiting for the end of it
        self.assertEqual(self.resolutions("1001"), 1)


class Memory(FreshnessTest):
    def test_a_dead_upstream_is_left_alone_by_all_but_one(self):
        client = self.begin()
        self.control.fault("reset_start", api="hostids", times=-1)
        for number in range(20):
            answer = client.get("/v1/postures", policy=1001, evaluatedSince=f"2020-01-01T00:00:{number:02}Z")
            self.problem(answer, "upstream-unavailable")
            self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
        self.assertEqual(self.calls("hostids"), 1, "the first one has found it out for all")
        for pause, calls in ((1, 2), (2, 3), (4, 4), (8, 5)):
            self.it.advance(pause + 0.1)
            for number in range(5):
                client.get("/v1/postures", policy=1001, evaluatedSince=f"2021-01-01T00:0{calls}:{number:02}Z")
            self.assertEqual(self.calls("hostids"), calls, "one probe after each pause")
        self.control.reset()
        self.it.advance(17)
        self.good(client, policy=1001)
        self.good(client, policy=1002)

    def test_what_is_queued_when_it_dies_is_kept_back(self):
        client = self.begin(upstream={"concurrency": 1}, request={"wait_default": "0s"})
        hold = self.control.hold(api="hostids")
        self.control.fault("no_answer", api="hostids", times=-1)
        places = [client.get("/v1/postures", policy=policy).headers["Location"] for policy in (1001, 1002, 1003)]
        self.control.wait(api="hostids", held=1)
        self.control.release(id=hold)
        for place in places:
            fetch = harness.wait_until(lambda: (lambda f: f if f["state"] == "failed" else None)(
                client.get(place).json()), "the fetch has failed")
            self.assertEqual(fetch["problem"], "/problems/upstream-unavailable")
        self.assertEqual(self.calls("hostids"), 1)

    def test_a_query_that_fails_is_its_own_matter(self):
        client = self.begin()
        self.control.fault("500", api="hostids", times=-1, match="1001")
        for _ in range(5):
            self.problem(client.get("/v1/postures", policy=1001), "upstream-unavailable")
        self.assertEqual(self.calls("hostids"), 1, "asked once in 5 s")
        self.good(client, policy=1002)
        self.it.advance(6)
        self.problem(client.get("/v1/postures", policy=1001), "upstream-unavailable")
        self.assertEqual(self.calls("hostids"), 3)

    def test_who_may_force_asks_all_the_same(self):
        client = self.begin()
        self.control.fault("html", api="postureInfo", times=1)
        self.problem(client.get("/v1/postures", policy=1001), "upstream-bad-data")
        self.problem(client.get("/v1/postures", policy=1001), "upstream-bad-data")
        self.good(client, {"Cache-Control": "no-cache"}, policy=1001)

    def test_no_cache_without_the_right_to_force_changes_nothing(self):
        client = self.begin(consumers=[harness.Consumer("plain")])
        self.control.fault("html", api="postureInfo", times=1)
        for _ in range(3):
            answer = client.get("/v1/postures", {"Cache-Control": "no-cache"}, policy=1001)
            self.problem(answer, "upstream-bad-data")
        self.assertEqual(self.calls(), 1)

    def test_a_stale_answer_asks_a_failing_upstream_once_in_a_while(self):
        client = self.begin(cache={"fresh_for": "1h", "stale_for": "10h"})
        self.good(client, policy=1001)
        self.it.advance(2 * HOUR)
        self.control.fault("403", api="hostids", times=-1)
        before = self.calls("hostids")
        for _ in range(10):
            self.good(client, policy=1001)
        self.control.wait(api="hostids", ended=before + 1)
        self.good(client, policy=1001)
        self.assertEqual(self.calls("hostids"), before + 1)


    def test_who_forces_and_comes_again_gets_what_was_fetched_for_it(self):
        client = self.begin()
        self.good(client, policy=1001)
        forced = {"Cache-Control": "no-cache", "Prefer": "wait=0"}
        for round in range(2, 5):
            place = client.get("/v1/postures", forced, policy=1001)
            self.assertEqual(place.status, 202, place)
            harness.wait_until(lambda: client.get(place.headers["Location"]).json()["state"] == "complete",
                               "it is fetched")
            answer = self.good(client, forced, policy=1001)
            self.assertEqual(answer.headers["Cache-Status"], "posturegate; fwd=request; collapsed")
            self.assertEqual(self.calls(), round, "one fetch for each time that it was forced")

    def fetched(self, client, headers):
        """It is told to come again, and the fetch has ended since."""
        place = client.get("/v1/postures", headers | {"Prefer": "wait=0"}, policy=1001)
        self.assertEqual(place.status, 202, place)
        harness.wait_until(lambda: client.get(place.headers["Location"]).json()["state"] == "complete",
                           "it is fetched")

    def test_who_wants_an_age_of_what_is_not_there_and_comes_again_gets_what_was_fetched_for_it(self):
        client, wanted = self.begin(), {"Cache-Control": "max-age=5"}
        self.fetched(client, wanted)
        self.it.advance(30)
        answer = self.good(client, wanted, policy=1001)
        self.assertEqual(answer.headers["Cache-Status"], "posturegate; fwd=request; collapsed")
        self.assertEqual(self.calls(), 1)
        self.good(client, wanted, policy=1001)
        self.assertEqual(self.calls(), 2, "it is owed once")

    def test_who_has_got_it_in_time_wants_another_one_later(self):
        client, wanted = self.begin(), {"Cache-Control": "max-age=50"}
        self.fetched(client, wanted)
        self.assertIn("hit", self.good(client, wanted, policy=1001).headers["Cache-Status"])
        self.it.advance(60)
        answer = self.good(client, wanted, policy=1001)
        self.assertEqual(answer.headers["Cache-Status"], "posturegate; fwd=request; stored")

    def test_who_forces_much_later_does_not_get_what_was_fetched_for_it(self):
        """It took the answer without forcing, and now wants what is newer than that."""
        client = self.begin()
        self.good(client, policy=1001)
        place = client.get("/v1/postures", {"Cache-Control": "no-cache", "Prefer": "wait=0"}, policy=1001)
        self.assertEqual(place.status, 202, place)
        harness.wait_until(lambda: client.get(place.headers["Location"]).json()["state"] == "complete",
                           "it is fetched")
        old = self.good(client, policy=1001).json()["result"]["id"]
        before = self.calls()
        self.it.advance(600)
        new = self.good(client, {"Cache-Control": "no-cache"}, policy=1001)
        self.assertEqual(new.headers["Cache-Status"], "posturegate; fwd=request; stored")
        self.assertNotEqual(new.json()["result"]["id"], old)
        self.assertEqual(self.calls(), before + 1)


class Batches(FreshnessTest):
    GAP = {"batches": "skip", "hosts": 40, "batch_hosts": 2, "empty_hosts": 40}

    def refetch(self, client):
        return self.good(client, {"Cache-Control": "no-cache"}, policy=1001).json()["result"]

    def test_the_same_gap_twice_is_the_upstreams_numbering(self):
        client = self.begin(self.GAP)
        result = self.good(client, policy=1001).json()["result"]
        self.assertTrue(result["missingBatches"], result)
        self.assertIs(result["complete"], True)
        self.assertEqual(self.calls(), 2)
        again = self.refetch(client)
        self.assertEqual(again["missingBatches"], result["missingBatches"])
        self.assertEqual(self.calls(), 3, "known for a day")
        self.it.restart_gateway(kill=True)
        client = self.it.client()
        self.refetch(client)
        self.assertEqual(self.calls(), 4, "a restart forgets nothing of it")
        self.it.advance(25 * HOUR)
        self.refetch(client)
        self.assertEqual(self.calls(), 6)

    def test_with_a_filter_a_gap_means_nothing(self):
        client = self.begin(self.GAP)
        result = self.good(client, policy=1001, status="Failed").json()["result"]
        self.assertNotIn("missingBatches", result)
        self.assertEqual(self.calls(), 1)

    def test_a_batch_that_was_lost_comes_with_the_second_call(self):
        client = self.begin({"hosts": 40})
        self.control.fault("lost_batch", api="postureInfo", times=1)
        answer = self.good(client, policy=1001, limit=1000).json()
        self.assertEqual(answer["page"]["total"], 40 * 6)
        self.assertNotIn("missingBatches", answer["result"])
        self.assertEqual(self.calls(), 2)

    def test_other_records_with_the_same_gap_are_a_failed_call(self):
        client = self.begin(self.GAP)
        self.control.fault("lost_records", api="postureInfo", times=-1, count=1, skip=1)
        self.problem(client.get("/v1/postures", policy=1001), "upstream-bad-data")
        self.assertEqual(self.calls(), 2)

    def test_note_only_tells(self):
        client = self.begin(self.GAP, {"missing_batches": "note"})
        result = self.good(client, policy=1001).json()["result"]
        self.assertTrue(result["missingBatches"])
        self.assertIs(result["complete"], True)
        self.assertEqual(self.calls(), 1)

    def test_strict_makes_the_result_incomplete_with_a_minute_of_freshness(self):
        client = self.begin(self.GAP, {"missing_batches": "strict"})
        self.assertIs(self.good(client, policy=1001).json()["result"]["complete"], False)
        self.assertLessEqual(ttl(self.good(client, policy=1001)), 60)
        self.assertEqual(self.calls(), 1)

    def test_strict_keeps_the_complete_result_that_was_there(self):
        client = self.begin({"hosts": 40}, {"missing_batches": "strict"})
        first = self.good(client, policy=1001).json()["result"]["id"]
        self.control.fault("lost_batch", api="postureInfo", times=-1)
        forced = client.get("/v1/postures", {"Cache-Control": "no-cache"}, policy=1001)
        self.problem(forced, "upstream-incomplete")
        self.assertGreaterEqual(forced.json()["cachedAge"], 0)
        self.assertEqual(self.good(client, policy=1001).json()["result"]["id"], first)


class HostErrors(FreshnessTest):
    def test_a_policy_is_asked_again_after_a_minute_doubling_to_an_hour(self):
        client = self.begin({"failing_policies": "1002"})
        asked = 0
        for minutes in (1, 2, 4, 8, 16, 32, 60, 60):
            answer = self.good(client, policy="1001,1002")
            harness.wait_until(lambda: self.resolutions("1002") == asked + 1, "it was asked")
            asked += 1
            newest = harness.wait_until(lambda: self.until_fresh(client), "the result is new")
            self.assertEqual(newest.json()["result"]["hostErrors"], [1002])
            self.assertIs(newest.json()["result"]["complete"], False)
            self.assertEqual({r["policyId"] for r in newest.json()["data"]}, {1001})
            left = ttl(newest)
            self.assertTrue(minutes * 60 - 30 < left <= minutes * 60 + 1, (minutes, left))
            # whoever else names it does not ask for it again meanwhile
            other = self.good(client, policy="1002,1003", evaluatedSince=f"2020-01-01T00:00:{asked:02}Z")
            self.assertEqual(other.json()["result"]["hostErrors"], [1002])
            self.assertEqual(self.resolutions("1002"), asked)
            self.it.advance(left + 1)

    def until_fresh(self, client):
        answer = self.good(client, policy="1001,1002")
        return answer if ttl(answer) >= 0 and "hit" in answer.headers["Cache-Status"] else None

    def test_a_good_resolution_ends_it(self):
        client = self.begin({"failing_policies": "1002"})
        self.assertIs(self.good(client, policy=1002).json()["result"]["complete"], False)
        self.control.set(failing_policies="")
        forced = self.good(client, {"Cache-Control": "no-cache"}, policy=1002).json()["result"]
        self.assertIs(forced["complete"], True)
        self.assertNotIn("hostErrors", forced)

    def test_a_complete_result_is_not_replaced_by_one_with_holes(self):
        client = self.begin(cache={"fresh_for": "1h", "stale_for": "1h", "keep_for": "10h"})
        first = self.good(client, policy="1001,1002").json()["result"]["id"]
        self.control.set(failing_policies="1002")
        self.it.advance(1.5 * HOUR)
        self.good(client, policy="1001,1002")
        self.control.wait(api="postureInfo", ended=self.calls())
        self.it.advance(1.5 * HOUR)
        kept = self.good(client, policy="1001,1002")
        self.assertEqual(kept.json()["result"]["id"], first)
        self.assertIs(kept.json()["result"]["complete"], True)
        forced = client.get("/v1/postures", {"Cache-Control": "no-cache"}, policy="1001,1002")
        self.problem(forced, "upstream-incomplete")
        self.it.advance(11 * HOUR)
        self.assertIs(self.good(client, policy="1001,1002").json()["result"]["complete"], False)


class Versions(FreshnessTest):
    def test_all_assets_are_refused_with_a_reason_for_each_version(self):
        client = self.begin()
        answer = client.get("/v1/postures", policy=1001, assets="all")
        self.assertEqual(answer.status, 400, answer)
        self.problem(answer, "version-unavailable")
        for reason in ("5.0 cannot answer assets=all", "1.0 ended on 2026-06-30"):
            self.assertIn(reason, answer.json()["detail"])
        self.assertEqual(self.calls("hostids"), 0)

    def test_a_version_of_this_account_may_have_all_assets(self):
        client = self.begin(upstream={"sca_versions": "5.0"})
        self.good(client, policy=1001, assets="all")

    def test_a_retired_version_gives_way_to_the_next(self):
        client = self.begin({"retired": "5.0"}, {"versions": "5.0, 4.0"})
        result = self.good(client, policy=1001).json()["result"]
        self.assertEqual(result["upstreamVersion"], "4.0")
        before = self.calls("hostids")
        self.good(client, policy=1002)
        self.assertEqual(self.calls("hostids"), before + 1, "5.0 is not tried again for a while")
        self.control.set(retired="")
        self.it.advance(601)
        self.assertEqual(self.good(client, policy=1003).json()["result"]["upstreamVersion"], "5.0")

    def test_what_only_the_retired_one_can_is_told(self):
        client = self.begin({"retired": "5.0"}, {"versions": "5.0, 4.0"})
        self.problem(client.get("/v1/postures", policy=1001, qds=True), "upstream-retired")


if __name__ == "__main__":
    harness.main()
