"""Queries whose answer a broader fetch is about to bring wait for it: no call of their own, and the records
that the upstream itself would have given them. Where the broader one fails or has less than its query
promised, they have a fetch of their own."""

import json
import os
import re
import threading
import time

import harness
import reference
from harness import Consumer
from test_containment import DATA, POLICIES, READINGS, Random, calls, upstream_params

ALL, SOME, OTHER, POOR = range(4)
CONSUMERS = [Consumer("all", force="true", admin="true"), Consumer("some", policies="1001"),
             Consumer("other", policies="1003"), Consumer("poor", quota=1)]
BROAD = {"policy": "1001,1002", "evidence": "extended", "cloud": "true", "qds": "true"}
FOLLOWED = "posturegate; fwd=miss; collapsed; detail=contained"
AT_ONCE = {"Prefer": "respond-async"}


class Asking(threading.Thread):
    """One request under way."""

    def __init__(self, client, headers=None, target="/v1/postures", **params):
        super().__init__(daemon=True)
        self.ask = lambda: client.get(target, headers, **params)
        self.answer = None
        self.start()

    def run(self):
        self.answer = self.ask()

    def result(self):
        self.join(harness.PATIENCE_S)
        assert self.answer is not None, "there is no answer"
        return self.answer


class Following(harness.StackTest):
    def begin(self, simulator=None, settings=None, **options):
        settings = {s: dict(v) for s, v in (settings or {}).items()}
        settings["upstream"] = {"retries": 0} | settings.get("upstream", {})
        self.it = self.stack(simulator=DATA | (simulator or {}), consumers=CONSUMERS, settings=settings, **options)
        self.control = self.it.control
        self.scraper = self.it.client(ALL)

    def ask(self, consumer=ALL, headers=None, **params):
        return self.it.client(consumer).get("/v1/postures", headers, **params)

    def asking(self, consumer=ALL, headers=None, **params):
        return Asking(self.it.client(consumer), headers, **params)

    def broad(self, api="postureInfo", **query):
        """A broad fetch that stands still before its first answer of that API; its path."""
        self.hold = self.control.hold(api=api)
        answer = self.ask(headers=AT_ONCE, **(query or BROAD))
        self.assertEqual(answer.status, 202, answer)
        self.control.wait(api=api, held=1)
        return answer.headers["Location"]

    def have_joined(self):
        text = self.scraper.get("/metrics").body.decode()
        return int(re.search(r"^pcrs_coalesced_total (\d+)", text, re.M)[1])

    def joined(self, count):
        """So many requests wait for the fetch of another."""
        harness.wait_until(lambda: self.have_joined() == count, f"{count} have joined")

    def ended(self, place):
        """It has, and serves nobody any more."""
        harness.wait_until(lambda: self.scraper.get(place).json()["state"] in ("complete", "failed"), "it has ended")
        self.it.advance(11)

    def release(self):
        self.control.release(id=self.hold)

    def completes(self, place, consumer=ALL):
        client = self.it.client(consumer)
        harness.wait_until(lambda: client.get(place).json()["state"] == "complete", "it is done")

    def postures(self, answer, client):
        """Of this page and those behind it, by ID, with numbers as text."""
        got = {}
        while True:
            self.assertEqual(answer.status, 200, answer)
            page = reference.parse(answer.body)
            got |= {p["id"]: p for p in page["data"]}
            if "next" not in page["page"]:
                self.assertEqual(int(page["page"]["total"]), len(got))
                return got
            answer = client.get(page["page"]["next"])

    def own_fetch(self, asking, **query):
        """It has answered by a fetch of its own, and rightly."""
        answer = asking.result()
        self.assertEqual(answer.headers["Cache-Status"], "posturegate; fwd=miss; stored", answer)
        upstream = reference.Upstream(self.it.upstream, self.it.username, self.it.password)
        hosts = {int(query["host"])} if "host" in query else None
        self.assertEqual(self.postures(answer, self.it.client(ALL)),
                         upstream.postures(query["policy"].split(","), hosts, **upstream_params(query)))

    def test_many_follow_one_fetch_and_have_what_the_upstream_would_have_given(self):
        self.begin()
        queries = [{"policy": "1001", "status": "Failed"}, {"policy": "1002", "criticality": "3,4"},
                   {"policy": "1001,1002", "evaluatedSince": "2026-10-20"},
                   {"policy": "1002", "evidence": "extended"}, {"policy": "1001", "qds": "true"},
                   {"policy": "1001", "host": "5000001", "status": "Passed,Failed", "limit": 3}]
        self.broad()
        askings = [self.asking(SOME if q["policy"] == "1001" else ALL, **q) for q in queries]
        self.joined(len(queries))
        self.release()
        answers = [a.result() for a in askings]
        counted = calls(self.it)
        for query, answer in zip(queries, answers):
            self.assertEqual(answer.headers["Cache-Status"], FOLLOWED, (query, answer))
            client = self.it.client(SOME if query["policy"] == "1001" else ALL)
            got = self.postures(answer, client)
            upstream = reference.Upstream(self.it.upstream, self.it.username, self.it.password)
            hosts = {int(query["host"])} if "host" in query else None
            self.assertEqual(got, upstream.postures(query["policy"].split(","), hosts, **upstream_params(query)))
            self.assertGreater(len(got), 0)
        self.assertEqual(counted, 3, "the hosts of both policies, and the postures of each")
        self.assertEqual(len({a.json()["result"]["id"] for a in answers}), 1)

    def test_whoever_follows_what_has_what_the_upstream_would_have_given(self):
        self.begin(clock=True, settings={"cache": {"fresh_for": "10s", "stale_for": "0s", "keep_for": "0s"},
                                         "upstream": READINGS})
        upstream = reference.Upstream(self.it.upstream, self.it.username, self.it.password)
        everything = upstream.postures(POLICIES).values()
        dates = {m: sorted({r[m] for r in everything})
                 for m in ("lastEvaluatedDate", "postureModifiedDate", "complianceLastScanDate")}
        seed = int(os.environ.get("UNIT_SEED", time.time_ns() % 10**6))
        queries = Random(seed, dates, sorted({int(r["hostId"]) for r in everything}),
                         sorted(int(r["id"]) for r in everything))
        client, joined, followed, records = self.it.client(ALL), 0, 0, 0
        for _ in range(int(os.environ.get("FOLLOWED", "120"))):
            broad, narrow = queries.query(True), queries.query(False)
            if "posture" in broad or "posture" in narrow:
                continue
            place = self.broad(api="hostids", **broad)
            said = client.get("/v1/postures/explain", **narrow).json()
            if not said["serves"] or said["serves"]["how"] != "contained":
                self.release()
                self.ended(place)
                continue
            asking = self.asking(limit=37, **narrow)
            self.joined(joined := joined + 1)
            before = calls(self.it)  # that of the hosts is among them
            self.release()
            answer = asking.result()
            told = answer.headers["Cache-Status"].replace("stale", "miss")  # others have expired
            if told == FOLLOWED:
                self.assertLessEqual(calls(self.it) - before, len(broad["policy"].split(",")), (seed, broad, narrow))
                followed += 1
            else:
                self.assertEqual(told, "posturegate; fwd=miss; stored", (seed, broad, narrow))
            got = self.postures(answer, client)
            hosts = {int(h) for h in narrow["host"].split(",")} if "host" in narrow else None
            self.assertEqual(got, upstream.postures(narrow["policy"].split(","), hosts, **upstream_params(narrow)),
                             (seed, broad, narrow))
            records += len(got)
            self.ended(place)
        print(f"following: {followed} followed, {records} records, seed {seed}")
        self.assertGreater(followed, 0)
        self.assertGreater(records, followed)

    def test_summaries_and_whole_results_follow_too(self):
        self.begin()
        self.broad()
        summary = Asking(self.it.client(ALL), None, "/v1/postures/summary", policy="1001", status="Failed")
        export = self.asking(ALL, policy="1001", status="Failed", format="ndjson")
        self.joined(2)
        self.release()
        self.assertEqual(summary.result().headers["Cache-Status"], FOLLOWED)
        lines = export.result().body.splitlines()
        self.assertEqual(summary.result().json()["data"], [{"status": "Failed", "count": len(lines) - 1}])
        self.assertEqual(calls(self.it), 3)

    def test_the_one_that_is_fetched_itself_goes_before_a_broader_one(self):
        self.begin()
        place = self.broad()
        narrow = {"policy": "1001", "inactive": "exclude"}
        own = self.ask(headers=AT_ONCE, **narrow).headers["Location"]
        self.assertNotEqual(own, place)
        self.assertEqual(self.ask(headers=AT_ONCE, **narrow).headers["Location"], own)
        self.assertEqual(self.ask(headers=AT_ONCE, status="Failed", **narrow).headers["Location"], own)
        self.assertEqual(self.ask(headers=AT_ONCE, policy="1001").headers["Location"], place)

    def test_who_does_not_wait_finds_it_when_asking_again(self):
        self.begin()
        place = self.broad()
        first = self.ask(SOME, AT_ONCE, policy="1001", status="Failed")
        again = self.ask(SOME, {"Prefer": "wait=0"}, policy="1001", status="Failed")
        for answer in (first, again):
            self.assertEqual((answer.status, answer.headers["Location"]), (202, place))
        self.release()
        self.completes(place)
        answer = self.ask(SOME, policy="1001", status="Failed")
        self.assertRegex(answer.headers["Cache-Status"], r"hit; ttl=\d+; detail=contained")
        self.assertEqual(calls(self.it), 3)

    def test_a_follower_learns_nothing_of_what_it_may_not_see(self):
        self.begin()
        place = self.broad()
        told = self.ask(SOME, AT_ONCE, policy="1001", status="Failed")
        some, other = self.it.client(SOME), self.it.client(OTHER)
        self.assertEqual(told.headers["Location"], place)
        shown = [told.body, some.get(place).body, some.get("/v1/fetches").body]
        for body in shown:
            self.assertIn(b"1001", body)
            self.assertNotIn(b"1002", body)
            self.assertIn(b'"records":null', body)
        self.assertEqual(other.get(place).status, 404)
        self.assertEqual(other.get("/v1/fetches").json()["data"], [])
        self.assertIn("1001,1002", self.it.client(ALL).get(place).json()["query"])
        # the last of its queries, and still its own once the fetch is over
        self.assertEqual(self.ask(SOME, AT_ONCE, policy="1001", qds="true").headers["Location"], place)
        self.release()
        self.completes(place, SOME)
        self.assertIn("qds=true", some.get(place).json()["query"])
        self.assertNotIn("1002", some.get(place).json()["query"])
        answer = self.ask(SOME, policy="1001", limit=1000)
        self.assertEqual({p["policyId"] for p in answer.json()["data"]}, {1001})
        self.assertEqual(self.ask(SOME, policy="1002").status, 403)

    def test_following_costs_nothing_of_a_quota(self):
        self.begin()
        self.assertEqual(self.ask(POOR, policy="1003").status, 200)
        self.broad()
        self.assertEqual(self.ask(POOR, AT_ONCE, policy="1001", inactive="exclude").status, 429)
        asking = self.asking(POOR, policy="1001", status="Failed")
        self.joined(1)
        self.release()
        self.assertEqual(asking.result().headers["Cache-Status"], FOLLOWED)

    def test_after_one_that_fails_comes_a_fetch_of_its_own(self):
        self.begin()
        self.control.fault("500", api="postureInfo", times=1)
        place = self.broad(api="hostids")
        asking = self.asking(policy="1001", status="Failed")
        self.joined(1)
        self.release()
        self.own_fetch(asking, policy="1001", status="Failed")
        self.assertEqual(self.it.client(ALL).get(place).json()["state"], "failed")

    def test_after_one_that_is_cancelled_comes_a_fetch_of_its_own(self):
        self.begin()
        place = self.broad()
        askings = [self.asking(policy="1001", status="Failed") for _ in range(2)]
        self.joined(2)
        self.it.client(ALL).request("DELETE", "/admin" + place)
        self.control.wait(api="postureInfo", calls=2)
        self.release()
        told = sorted(a.result().headers["Cache-Status"] for a in askings)
        self.assertEqual(told[-1], "posturegate; fwd=miss; stored", "one of them leads")
        self.assertNotIn("contained", told[0])

    def test_the_failure_of_the_whole_upstream_is_not_tried_twice(self):
        self.begin()
        self.control.fault("503", api="postureInfo", times=-1)
        self.broad(api="hostids")
        asking = self.asking(policy="1001", status="Failed")
        self.joined(1)
        self.release()
        answer = asking.result()
        self.assertEqual((answer.status, answer.json()["type"]), (503, "/problems/upstream-unavailable"))
        self.assertEqual(self.control.state()["apis"]["hostids"]["calls"], 1)

    def test_a_failure_that_is_not_of_the_query_is_told_and_costs_nothing(self):
        self.begin()
        self.control.fault("401", api="auth", times=-1)
        self.broad(api="auth")
        asking = self.asking(POOR, policy="1001", status="Failed")
        self.joined(1)
        self.release()
        self.assertEqual(asking.result().json()["type"], "/problems/upstream-auth")
        used = {c["name"]: c["quota"]["used"] for c in self.it.client(ALL).get("/admin/v1/consumers").json()["data"]}
        self.assertEqual(used["poor"], 0)

    def test_a_host_that_the_broader_one_has_not_found_is_asked_for(self):
        self.begin()
        self.broad(policy="1001")
        asking = self.asking(policy="1001", host="5999999")
        self.joined(1)
        self.release()
        self.assertEqual(asking.result().status, 200)
        self.assertEqual(self.control.state()["apis"]["hostids"]["calls"], 2)
        self.own_fetch(asking, policy="1001", host="5999999")

    def test_one_with_holes_serves_nothing_else(self):
        self.begin({"failing_policies": "1002"})
        self.broad(policy="1001,1002")
        asking = self.asking(policy="1001")
        self.joined(1)
        self.release()
        self.own_fetch(asking, policy="1001")

    def test_what_is_doubtful_goes_upstream(self):
        self.begin()
        self.control.fault("odd_status", api="postureInfo", times=1)
        self.broad(api="hostids", policy="1001")
        doubtful = self.asking(policy="1001", status="Failed")
        sure = self.asking(policy="1001", criticality="3")
        self.joined(2)
        self.release()
        self.own_fetch(doubtful, policy="1001", status="Failed")
        self.assertEqual(sure.result().headers["Cache-Status"], FOLLOWED)

    def test_its_time_does_not_begin_anew(self):
        self.begin(clock=True, settings={
            "request": {"wait_max": "1h"},
            "upstream": {"stall_timeout": "3h", "call_timeout": "3h"}})
        place = self.broad()
        asking = self.asking(headers={"Prefer": "wait=3000"}, policy="1001", status="Failed")
        self.joined(1)
        self.it.advance(2000)
        self.it.client(ALL).request("DELETE", "/admin" + place)
        self.control.wait(api="hostids", calls=2)
        self.it.advance(1001)
        answer = asking.result()
        self.assertEqual((answer.status, answer.headers["Preference-Applied"]), (202, "wait=3000"))
        self.assertNotEqual(answer.headers["Location"], place)

    def test_one_that_takes_long_is_left_to_those_who_have_no_other_way(self):
        settings = {"upstream": {"rate_calls": 2, "rate_window": "60s", "hosts_per_call": 1}}
        for within, follows in (("2m", False), ("1h", True), ("0s", False)):
            with self.subTest(within=within):
                self.begin({"hosts": 13}, settings | {"cache": {"follow_within": within}})
                # how long a call takes is known from now on
                self.assertEqual(self.ask(policy="1003", host=self.host_of_1003()).status, 200)
                place = self.ask(headers=AT_ONCE, policy="1001").headers["Location"]
                harness.wait_until(lambda: self.it.client(ALL).get(place).json()["calls"]["planned"] > 10,
                                   "its calls are known")
                got = self.ask(POOR, AT_ONCE, policy="1001", status="Failed").headers["Location"]
                self.assertEqual(got == place, follows)
                # whoever has begun it has no quicker way
                got = self.ask(ALL, AT_ONCE, policy="1001", status="Error").headers["Location"]
                self.assertEqual(got == place, within != "0s")

    def host_of_1003(self):
        upstream = reference.Upstream(self.it.upstream, self.it.username, self.it.password)
        return upstream.hosts([1003])[0]["hostIds"][0]

    def follows_and_is_owed(self, newer, passes_s=0):
        newer = {"Cache-Control": newer}
        self.broad()
        answer = self.ask(headers=newer | AT_ONCE, policy="1001", status="Failed")
        self.assertEqual(answer.status, 202)
        self.release()
        self.completes(answer.headers["Location"])
        if passes_s > 0:
            self.it.advance(passes_s)
        answer = self.ask(headers=newer, policy="1001", status="Failed")
        self.assertEqual(answer.headers["Cache-Status"], FOLLOWED)
        self.assertEqual(calls(self.it), 3)
        answer = self.ask(headers=newer, policy="1001", status="Failed")
        self.assertEqual(answer.headers["Cache-Status"], "posturegate; fwd=request; stored")

    def test_what_has_to_be_newer_follows_and_is_owed(self):
        self.begin()
        self.follows_and_is_owed("no-cache")

    def test_who_was_told_to_come_again_has_what_was_fetched_for_it_however_old_that_is(self):
        # of no stored result, of one, and of one of a broader query that was followed
        self.begin(settings={"request": {"max_age_floor": "0s"}})
        for consumer, newer, query in (
                (SOME, "max-age=0", {"policy": "1001"}), (ALL, "max-age=0", {"policy": "1001"}),
                (ALL, "no-cache", {"policy": "1001"}), (ALL, "max-age=0", {"policy": "1001", "status": "Failed"})):
            if "status" in query:
                self.broad()
            else:
                self.hold = self.control.hold(api="postureInfo")
            before, headers = calls(self.it), {"Cache-Control": newer}
            first = self.ask(consumer, headers | AT_ONCE, **query)
            self.assertEqual(first.status, 202, first)
            self.release()
            self.completes(first.headers["Location"], consumer)
            made = calls(self.it) - before
            again = self.ask(consumer, headers, **query)
            self.assertEqual(again.status, 200, again)
            self.assertIn("; collapsed", again.headers["Cache-Status"])
            self.assertEqual(calls(self.it) - before, made)

    def test_what_may_not_be_old_follows_and_is_owed(self):
        self.begin(clock=True)
        self.follows_and_is_owed("max-age=5", passes_s=30)

    def test_what_is_told_of_a_broader_result_does_not_count_what_is_hidden(self):
        self.begin()
        self.ask(ALL, **BROAD)
        some = self.it.client(SOME)
        pages = [some.get("/v1/postures", policy="1001", limit=5)]
        pages.append(some.get(pages[0].json()["page"]["next"]))
        pages.append(some.get("/v1/postures/summary", policy="1001"))
        told = [p.json()["result"] for p in pages]
        whole = some.get("/v1/postures", policy="1001", format="ndjson").body.splitlines()
        for result in told + [json.loads(whole[-1])["result"]]:
            counts = {result[c] for c in ("batches", "calls", "hostsAsked", "hostsSeen")}
            self.assertEqual(counts, {None})
        self.assertIn("contained", pages[0].headers["Cache-Status"])
        result = self.ask(ALL, policy="1001", limit=5).json()["result"]
        self.assertEqual(result["hostsAsked"], 18, "who may see all of it is told all of it")

    def test_without_containment_everybody_fetches(self):
        self.begin(settings=harness.exactly())
        place = self.broad()
        self.assertNotEqual(self.ask(headers=AT_ONCE, policy="1001", status="Failed").headers["Location"], place)


if __name__ == "__main__":
    harness.main()
