"""GET /v1/postures/explain: what it says is what the same request then does, by the upstream's own count of
calls; and saying so costs nothing."""

import os
import random
import time

import harness
import reference
from harness import Consumer
from test_containment import DATA, POLICIES, Random, calls

ALL, SOME, POOR = range(3)
CONSUMERS = [Consumer("all", force="true", admin="true"), Consumer("some", policies="1001"),
             Consumer("poor", quota=1)]
AT_ONCE = {"Prefer": "respond-async"}
NEWER = {"Cache-Control": "no-cache"}
CACHED = {"Cache-Control": "only-if-cached"}


class Explaining(harness.StackTest):
    def begin(self, simulator=None, settings=None, **options):
        settings = {s: dict(v) for s, v in (settings or {}).items()}
        settings["upstream"] = {"retries": 0} | settings.get("upstream", {})
        self.it = self.stack(simulator=DATA | (simulator or {}), consumers=CONSUMERS, settings=settings, **options)
        self.control = self.it.control

    def ask(self, consumer=ALL, headers=None, **params):
        return self.it.client(consumer).get("/v1/postures", headers, **params)

    def fetches(self):
        return [f["id"] for f in self.it.client(ALL).get("/v1/fetches").json()["data"]]

    def explain(self, consumer=ALL, headers=None, **params):
        before = calls(self.it), self.fetches()
        answer = self.it.client(consumer).get("/v1/postures/explain", headers, **params)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["Cache-Control"], "no-store")
        self.assertEqual((calls(self.it), self.fetches()), before, "it costs nothing")
        said = answer.json()
        self.assertEqual(list(said)[:6], ["query", "digest", "serves", "candidates", "upstreamCalls", "waitSeconds"])
        return said

    def serves(self, said, how, age, refreshes=False):
        self.assertEqual((said["serves"]["how"], said["serves"]["age"], said["serves"]["refreshes"]),
                         (how, age, refreshes), said)
        self.assertEqual(said["upstreamCalls"], 0)
        self.assertNotIn("problem", said)
        return said["serves"]

    def refused(self, said):
        return sorted(c["refused"] for c in said["candidates"])

    def then(self, said, http, told, consumer=ALL, headers=None, **params):
        """The same request does it: with as many calls as were told, of the result that was told."""
        before = calls(self.it)
        answer = self.ask(consumer, headers, **params)
        self.assertEqual(answer.status, http, (said, answer))
        if told is not None:
            # as it was fetched, or out of what was fetched in its place
            taken = "(; detail=contained)?" if "fetches" in said else ""
            self.assertRegex(answer.headers["Cache-Status"], f"^posturegate; {told}{taken}$", said)
        if "fetches" in said and http == 200 and "contained" not in answer.headers["Cache-Status"]:
            pass  # of the hosts that were named the broader one had not all: it was fetched, too
        elif said["upstreamCalls"] is not None and not (said["serves"] or {}).get("refreshes"):
            self.assertEqual(calls(self.it) - before, said["upstreamCalls"], said)
        if http == 200 and said["serves"] and said["serves"]["result"]:
            self.assertEqual(answer.json()["result"]["id"], said["serves"]["result"])
        if "problem" in said:
            self.assertEqual(answer.json()["type"], said["problem"])
        return answer

    def test_what_has_to_be_fetched(self):
        self.begin(clock=True, settings={"upstream": {"hosts_per_call": 5}})
        said = self.explain(policy="1001", status="Failed", limit=3, fields="id")
        self.assertEqual(said["query"], "q1;policy=1001;status=Failed")
        self.assertRegex(said["digest"], "^[0-9a-f]{64}$")
        self.assertEqual([said[m] for m in ("serves", "candidates", "upstreamCalls", "waitSeconds")],
                         [None, [], None, None])
        self.assertEqual(self.it.client(ALL).get("/v1/policies/1001/hosts").status, 200)
        said = self.explain(policy="1001", status="Failed")
        self.assertEqual((said["upstreamCalls"], said["waitSeconds"]), (3, 0), "12 hosts, 5 in a call")
        self.assertIsNone(self.explain(policy="1001,1002")["upstreamCalls"])
        self.then(said, 200, "fwd=miss; stored", policy="1001", status="Failed")
        # a minute later all hosts are looked for again
        self.it.advance(61)
        said = self.explain(policy="1001", status="Error")
        self.assertEqual((said["upstreamCalls"], self.refused(said)), (4, ["status"]))
        self.then(said, 200, "fwd=miss; stored", policy="1001", status="Error")
        # but not those that are named
        hosts = [h["hostId"] for h in self.it.client(ALL).get("/v1/policies/1001/hosts").json()["data"]]
        named = {"policy": "1001", "host": ",".join(map(str, hosts[:6])), "inactive": "exclude"}
        said = self.explain(**named)
        self.assertEqual(said["upstreamCalls"], 2)
        self.then(said, 200, "fwd=miss; stored", **named)
        said = self.explain(headers=NEWER, **named)
        self.assertEqual((said["serves"], said["upstreamCalls"]), (None, 3))
        self.then(said, 200, "fwd=request; stored", headers=NEWER, **named)

    def test_by_posture(self):
        self.begin()
        said = self.explain(posture="10000000001")
        self.assertEqual((said["serves"], said["upstreamCalls"]), (None, 2), "the policy list tells the subscription")
        self.then(said, 200, "fwd=miss; stored", posture="10000000001")
        self.it.client(ALL).get("/v1/policies")
        said = self.explain(posture="10000000001-10000000003")
        self.assertEqual(said["upstreamCalls"], 1)
        self.then(said, 200, "fwd=miss; stored", posture="10000000001-10000000003")
        self.serves(said := self.explain(posture="10000000001"), "exact", "fresh")
        self.then(said, 200, r"hit; ttl=\d+", posture="10000000001")

    def test_what_is_stored(self):
        self.begin(clock=True, settings={"cache": {"fresh_for": "100s", "stale_for": "100s", "keep_for": "10h"}})
        broad, narrow = {"policy": "1001"}, {"policy": "1001", "status": "Failed"}
        self.ask(**broad)
        for query, how, told in ((broad, "exact", ""), (narrow, "contained", "; detail=contained")):
            said = self.explain(SOME, **query)
            self.serves(said, how, "fresh")
            self.assertEqual((said["candidates"], said["waitSeconds"]), ([], 0))
            self.then(said, 200, r"hit; ttl=\d+" + told, SOME, **query)
        self.it.advance(110)
        for query, how, told in ((broad, "exact", ""), (narrow, "contained", "; detail=contained")):
            said = self.explain(**query)
            self.serves(said, how, "stale", refreshes=True)
            self.serves(self.explain(headers=CACHED, **query), how, "stale")
            hold = self.control.hold(api="postureInfo")
            self.then(said, 200, r"hit; ttl=-\d+" + told, **query)
            self.control.wait(api="postureInfo", held=1)
            self.serves(self.explain(**query), how, "stale")  # it is renewed already
            self.control.release(id=hold)
            harness.wait_until(lambda: self.explain(**query)["serves"]["age"] == "fresh", "it is renewed")
            self.it.advance(110)
        self.it.advance(100)
        for query, told in ((broad, "stale"), (narrow, "stale")):
            said = self.explain(headers=CACHED, **query)
            self.assertEqual((said["serves"], said["problem"], self.refused(said)),
                             (None, "/problems/not-cached", ["age"]))
            self.then(said, 504, None, headers=CACHED, **query)
        said = self.explain(**broad)
        self.assertEqual((said["serves"], self.refused(said)), (None, ["age"]))
        self.then(said, 200, "fwd=stale; stored", **broad)

    def test_what_stands_in_while_the_upstream_wants_to_be_left_alone(self):
        self.begin(clock=True, settings={"cache": {"fresh_for": "10s", "stale_for": "0s", "keep_for": "10h"}})
        broad, narrow = {"policy": "1001"}, {"policy": "1001", "status": "Failed"}
        self.ask(**broad)
        self.control.fault("429", api="postureInfo", times=1, toWait="600")
        self.ask(headers=AT_ONCE, policy="1003")
        harness.wait_until(lambda: "upstream-limit" in self.it.gateway.text(), "it is refused")
        self.it.advance(20)
        for query, how in ((broad, "exact"), (narrow, "contained")):
            said = self.explain(**query)
            self.serves(said, how, "kept")
            self.assertEqual(said["candidates"], [])
            self.then(said, 200, r"hit; ttl=-\d+(; detail=contained)?", **query)

    def test_what_is_under_way(self):
        self.begin()
        hold = self.control.hold(api="postureInfo")
        place = self.ask(headers=AT_ONCE, policy="1001,1002").headers["Location"]
        self.control.wait(api="postureInfo", held=2)
        for query, how in (({"policy": "1001,1002"}, "exact"), ({"policy": "1001", "status": "Failed"}, "contained")):
            said = self.explain(**query)
            serves = self.serves(said, how, "inFlight")
            self.assertEqual((serves["result"], "/v1/fetches/" + serves["fetch"]), (None, place))
            self.assertEqual(self.then(said, 202, "fwd=miss", headers=AT_ONCE, **query).headers["Location"], place)
        said = self.explain(policy="1001", evidence="basic")
        self.assertEqual(said["serves"], None)
        self.assertEqual([(c["result"], "/v1/fetches/" + c["fetch"], c["refused"], c["query"])
                          for c in said["candidates"]], [(None, place, "evidence", "q1;policy=1001,1002")])
        # of several fetches under way the oldest is followed while nothing is known of how long they take
        other = self.ask(headers=AT_ONCE, policy="1001", evidence="basic").headers["Location"]
        self.control.wait(api="hostids", ended=2)
        said = self.explain(policy="1001", status="Failed")
        self.assertEqual("/v1/fetches/" + said["serves"]["fetch"], place)
        self.assertEqual([("/v1/fetches/" + c["fetch"], c["refused"]) for c in said["candidates"]], [(other, "later")])
        self.assertEqual(self.explain(SOME, policy="1001", status="Failed")["serves"]["fetch"], said["serves"]["fetch"])
        self.control.release(id=hold)

    def test_what_takes_too_long(self):
        self.begin({"hosts": 13}, settings={"upstream": {"rate_calls": 2, "rate_window": "60s", "hosts_per_call": 1}})
        host = reference.Upstream(self.it.upstream, self.it.username, self.it.password).hosts([1003])[0]["hostIds"][0]
        self.ask(policy="1003", host=host)
        place = self.ask(headers=AT_ONCE, policy="1001").headers["Location"]
        harness.wait_until(lambda: self.it.client(ALL).get(place).json()["calls"]["planned"] > 10, "its calls are known")
        self.control.wait(api="postureInfo", ended=2)
        said = self.explain(POOR, policy="1001", status="Failed")
        self.assertEqual((said["serves"], self.refused(said)), (None, ["slow"]))
        self.assertNotEqual(self.then(said, 202, "fwd=miss", POOR, AT_ONCE, policy="1001", status="Failed").headers[
            "Location"], place)
        serves = self.serves(self.explain(policy="1001", status="Error"), "contained", "inFlight")
        self.assertEqual("/v1/fetches/" + serves["fetch"], place)
        self.assertGreater(self.explain(policy="1001", status="Error")["waitSeconds"], 120)

    def test_why_each_candidate_is_refused(self):
        have = {"policy": "1001,1003", "host": "5000001,5000002,5000003", "status": "Passed,Failed",
                "criticality": "2,3,4", "evaluatedSince": "2020-01-01", "scannedFrom": "2020-01-01",
                "scannedTo": "2026-11-01", "evidence": "basic"}
        self.begin()
        result = self.ask(**have).json()["result"]["id"]
        for change, refused in (
                ({"policy": "1001,1002"}, "policy"), ({"host": "5000004"}, "host"), ({"host": None}, "host"),
                ({"status": None}, "status"), ({"status": "Error"}, "status"), ({"criticality": "1"}, "criticality"),
                ({"evaluatedSince": "2019-12-31"}, "evaluatedSince"), ({"scannedFrom": "2019-01-01"}, "scannedFrom"),
                ({"scannedTo": "2026-11-02"}, "scannedTo"), ({"evidence": "extended"}, "evidence"),
                ({"cloud": "true"}, "cloud"), ({"qds": "true"}, "qds"), ({"inactive": "exclude"}, "inactive"),
                ({"subscription": "5"}, "subscription"), ({"changedSince": "2020-01-01"}, "changedSince")):
            query = {k: v for k, v in (have | change).items() if v is not None}
            said = self.explain(**query)
            self.assertEqual((said["serves"], [(c["result"], c["refused"]) for c in said["candidates"]]),
                             (None, [(result, refused)]), change)
        self.assertEqual(said["candidates"][0]["query"][:26], "q1;policy=1001,1003;host=5")

    def test_what_has_to_wait_for_the_budget(self):
        self.begin(settings={"upstream": {"rate_calls": 1, "rate_window": "60s"}})
        self.it.client(ALL).get("/v1/policies/1001/hosts")
        self.assertLessEqual(self.explain(policy="1001")["waitSeconds"], 1)
        self.ask(posture="10000000001")
        said = self.explain(policy="1001")
        self.assertEqual(said["upstreamCalls"], 1)
        self.assertIn(said["waitSeconds"], range(2, 63))

    def test_what_only_the_records_tell(self):
        self.begin({"failing_policies": "1002"})
        self.ask(policy="1001,1002")
        said = self.explain(policy="1001")
        self.assertEqual((said["serves"], self.refused(said)), (None, ["incomplete"]))
        self.control.fault("odd_status", api="postureInfo", times=1)
        self.then(said, 200, "fwd=miss; stored", policy="1001")
        said = self.explain(policy="1001", status="Failed")
        self.assertEqual((said["serves"], self.refused(said)), (None, ["doubtful", "incomplete"]))
        self.then(said, 200, "fwd=miss; stored", policy="1001", status="Failed")
        self.ask(policy="1003")
        self.ask(policy="1003", evidence="basic")
        self.ask(policy="1003", criticality="3,4", evidence="extended")
        said = self.explain(policy="1003", criticality="4", status="Failed")
        self.serves(said, "contained", "fresh")
        self.assertEqual(self.refused(said), ["larger", "larger"])
        self.then(said, 200, r"hit; ttl=\d+; detail=contained", policy="1003", criticality="4", status="Failed")

    def test_what_would_fail(self):
        self.begin(settings={"upstream": {"error_memory": "1h"}, "cache": {"broaden": "false"}})
        said = self.explain(policy="1001", assets="all")
        self.assertEqual((said["serves"], said["upstreamCalls"], said["waitSeconds"], said["problem"]),
                         (None, 0, None, "/problems/version-unavailable"))
        self.then(said, 400, None, policy="1001", assets="all")
        self.ask(POOR, policy="1003")
        said = self.explain(POOR, policy="1001")
        self.assertEqual((said["serves"], said["problem"]), (None, "/problems/quota-exceeded"))
        self.assertGreater(said["waitSeconds"], 3500)
        self.then(said, 429, None, POOR, policy="1001")
        self.control.fault("500", api="postureInfo", times=1)
        self.ask(policy="1001", status="Failed")
        said = self.explain(policy="1001", status="Failed")
        self.assertEqual(said["problem"], "/problems/upstream-unavailable")
        self.then(said, 503, None, policy="1001", status="Failed")
        self.assertNotIn("problem", self.explain(policy="1001"))
        self.control.fault("503", api="postureInfo", times=-1)
        self.ask(policy="1002")
        said = self.explain(policy="1001")
        self.assertEqual(said["problem"], "/problems/upstream-unavailable")
        self.then(said, 503, None, policy="1001")

    def test_what_is_owed_stays_so(self):
        self.begin()
        self.ask(policy="1001")
        place = self.ask(headers=NEWER | AT_ONCE, policy="1001").headers["Location"]
        harness.wait_until(lambda: self.it.client(ALL).get(place).json()["state"] == "complete", "it is done")
        for _ in range(2):
            self.serves(said := self.explain(headers=NEWER, policy="1001"), "exact", "owed")
        self.then(said, 200, "fwd=request; collapsed", headers=NEWER, policy="1001")
        said = self.explain(headers=NEWER, policy="1001")
        self.assertEqual((said["serves"], self.refused(said)), (None, ["age"]))

    def test_nobody_is_told_of_what_is_not_theirs(self):
        self.begin()
        self.ask(policy="1001,1002", inactive="exclude")
        self.ask(policy="1001", inactive="exclude", qds="true")
        self.ask(policy="1001,1002", evidence="basic")
        hold = self.control.hold(api="postureInfo")
        self.ask(headers=AT_ONCE, policy="1001,1002", scannedSince="2026-10-20")
        self.control.wait(api="postureInfo", held=2)
        self.assertEqual(len(self.explain(policy="1001", cloud="true")["candidates"]), 4)
        answer = self.it.client(SOME).get("/v1/postures/explain", policy="1001", cloud="true")
        self.assertNotIn(b"1002", answer.body)
        self.assertEqual([c["query"] for c in answer.json()["candidates"]], ["q1;policy=1001;qds=true;inactive=exclude"])
        self.serves(said := self.explain(SOME, policy="1001"), "contained", "fresh")
        self.then(said, 200, r"hit; ttl=\d+; detail=contained", SOME, policy="1001")
        self.assertEqual(self.it.client(SOME).get("/v1/postures/explain", policy="1002").status, 403)
        self.assertEqual(self.it.client(key="").get("/v1/postures/explain", policy="1001").status, 401)
        self.control.release(id=hold)

    def test_a_walk_is_pinned(self):
        self.begin()
        self.ask(policy="1001,1002")
        for query in ({"policy": "1001,1002"}, {"policy": "1002", "status": "Failed"}):
            page = self.ask(limit=3, **query).json()
            cursor = page["page"]["next"].split("cursor=")[1]
            said = self.explain(cursor=cursor)
            serves = self.serves(said, "exact" if query["policy"] == "1001,1002" else "contained", "pinned")
            self.assertEqual(serves["result"], page["result"]["id"])
            self.assertEqual(said["query"], self.explain(**query)["query"])
            self.assertEqual(said["digest"], self.explain(**query)["digest"])
            self.then(said, 200, None, cursor=cursor)
        bad = self.it.client(SOME).get("/v1/postures/explain", cursor=cursor)
        self.assertEqual((bad.status, bad.json()["type"]), (400, "/problems/bad-cursor"))

    def test_what_is_not_valid_is_told_as_everywhere(self):
        self.begin()
        for params in ({"policy": "0", "limit": 0}, {}, {"policy": 1, "posture": 2}, {"policy": 1, "colour": "red"},
                       {"policy": 1, "format": "csv", "limit": 5}):
            told = [self.it.client(ALL).get(path, **params).json() for path in ("/v1/postures/explain", "/v1/postures")]
            self.assertEqual(told[0]["errors"], told[1]["errors"])
        client = self.it.client(ALL)
        self.assertEqual(client.get("/v1/postures/explain", {"Accept": "text/csv"}, policy=1).status, 406)
        self.assertEqual(client.get("/v1/postures/explain", policy=1, format="csv").headers["Content-Type"],
                         "application/json")
        self.assertEqual(client.request("POST", "/v1/postures/explain?policy=1").status, 405)
        answer = client.request("HEAD", "/v1/postures/explain?policy=1")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertGreater(int(answer.headers["Content-Length"]), 50)

    def test_it_agrees_with_what_happens_whatever_is_asked(self):
        self.begin()
        upstream = reference.Upstream(self.it.upstream, self.it.username, self.it.password)
        everything = upstream.postures(POLICIES).values()
        dates = {m: sorted({r[m] for r in everything})
                 for m in ("lastEvaluatedDate", "postureModifiedDate", "complianceLastScanDate")}
        seed = int(os.environ.get("UNIT_SEED", time.time_ns() % 10**6))
        queries = Random(seed, dates, sorted({int(r["hostId"]) for r in everything}),
                         sorted(int(r["id"]) for r in everything))
        chance = random.Random(seed).random
        how = {("exact", "fresh"): r"hit; ttl=\d+", ("contained", "fresh"): r"hit; ttl=\d+; detail=contained"}
        for policy in POLICIES:
            self.it.client(ALL).get(f"/v1/policies/{policy}/hosts")
        for _ in range(int(os.environ.get("EXPLAINED", "150"))):
            query = queries.query(chance() < 0.3)
            said = self.explain(**query)
            told = how[said["serves"]["how"], said["serves"]["age"]] if said["serves"] else "fwd=miss; stored"
            self.assertIsNotNone(said["upstreamCalls"], (seed, query))
            self.assertEqual(said["upstreamCalls"] == 0, said["serves"] is not None, (seed, said))
            self.then(said, 200, told, **query)


if __name__ == "__main__":
    harness.main()
