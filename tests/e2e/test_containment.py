"""Answers out of the results of broader queries: what the cache gives is what the upstream would have
given, record for record, and costs no call.

PAIRS says how many random pairs of queries are tried (./dev contain: 20,000), UNIT_SEED which.
"""

import calendar
import collections
import json
import os
import random
import time

import harness
import reference
from harness import Consumer

PAIRS = int(os.environ.get("PAIRS", "400"))
POLICIES = (1001, 1002, 1003)
DATA = {"policies": 3, "hosts": 12, "controls": 9, "rate": 0, "concurrency": 0, "empty_hosts": 0,
        "now": "2026-11-20T12:00:00Z", "evidence_bytes": 40, "large_every": 0, "token_lifetime": 10**8}
READINGS = {"scanned_since_holds": "true", "changed_since_holds": "true"}
LABELS = ("UNDEFINED", "MINIMAL", "MEDIUM", "SERIOUS", "CRITICAL", "URGENT")
UPSTREAM = {"evaluatedSince": "lastEvaluationDate", "scannedSince": "lastScanDate",
            "scannedFrom": "lastScanDateFrom", "scannedTo": "lastScanDateTo",
            "changedSince": "statusChangedSince", "status": "status", "previousStatus": "previousStatus",
            "criticality": "criticalityValues"}


def upstream_params(query):
    """The same query as the upstream has it, but for its policies, hosts and postures."""
    params = {UPSTREAM[name]: value for name, value in query.items() if name in UPSTREAM}
    if "criticality" in query:
        params["criticalityValues"] = ",".join(
            str(LABELS.index(c)) if c in LABELS else c for c in query["criticality"].split(","))
    params["evidenceRequired"] = int(query.get("evidence", "none") != "none")
    params["extendedEvidenceRequired"] = int(query.get("evidence") == "extended")
    params["cloudMetaDataRequired"] = int(query.get("cloud") == "true")
    params["qdScoreRequired"] = int(query.get("qds") == "true")
    params["excludeInactiveControl"] = int(query.get("inactive") == "exclude")
    return params


class Random:
    """Queries that often contain each other: the values are few, and borders are dates of records."""

    def __init__(self, seed, dates, hosts, ids):
        self.random = random.Random(seed)
        self.dates = dates  # by member, ascending
        self.hosts = hosts
        self.ids = ids

    def moment(self, member):
        """A date of a record, its second, one before or behind it, or its day."""
        text = self.random.choice(self.dates[member])
        if self.random.random() < 0.3:
            return text[:10]
        if self.random.random() < 0.3:
            at = time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
            return time.strftime("%Y-%m-%dT%H:%M:%SZ",
                                 time.gmtime(calendar.timegm(at) + self.random.choice((-1, 1))))
        return text

    def some(self, values, most):
        return sorted(self.random.sample(values, self.random.randint(1, most)))

    def query(self, broad):
        chance = self.random.random
        query = {}
        if chance() < 0.12:
            first = self.random.choice(self.ids)
            width = 30 if broad else 8
            query["posture"] = f"{first}-{first + width},{self.random.choice(self.ids)}"
        else:
            query["policy"] = ",".join(map(str, POLICIES if broad and chance() < 0.6 else
                                           self.some(POLICIES, 2)))
            if chance() < (0.2 if broad else 0.4):
                query["host"] = ",".join(map(str, self.some(self.hosts, 8 if broad else 4)))
        often = 0.08 if broad else 0.25
        if chance() < often:
            query["status"] = ",".join(self.some(("Error", "Failed", "Passed"), 2))
        if chance() < often / 2:
            query["previousStatus"] = self.random.choice(("Error", "Failed", "Passed"))
        if chance() < often:
            query["criticality"] = ",".join(self.some("012345", 4)) if chance() < 0.7 else \
                ",".join(self.some(LABELS, 3))
        if chance() < often:
            query["evaluatedSince"] = self.moment("lastEvaluatedDate")
        if chance() < often / 2:
            query["changedSince"] = self.moment("postureModifiedDate")
        scan = chance()
        if scan < often / 2:
            query["scannedSince"] = self.moment("complianceLastScanDate")
        elif scan < often:
            low, high = sorted((self.moment("complianceLastScanDate"),
                                self.moment("complianceLastScanDate")))
            query |= {"scannedFrom": low, "scannedTo": high}
        if chance() < (0.8 if broad else 0.3):
            query["evidence"] = self.random.choice(("basic", "extended", "extended"))
        if chance() < (0.8 if broad else 0.2):
            query["cloud"] = "true"
        if chance() < (0.8 if broad else 0.2):
            query["qds"] = "true"
        if chance() < 0.05:
            query["inactive"] = "exclude"
        return query


def calls(stack):
    apis = stack.control.state()["apis"]
    return sum(apis[api]["calls"] for api in ("postureInfo", "hostids", "policyList"))


class Pairs(harness.StackTest):
    def begin(self, **upstream):
        self.it = self.stack(simulator=DATA, clock=True,
                             settings={"cache": {"fresh_for": "10s", "stale_for": "0s", "keep_for": "0s"},
                                       "upstream": READINGS | upstream},
                             consumers=[Consumer("all"), Consumer("some", policies="1001,1003")])
        self.upstream = reference.Upstream(self.it.upstream, self.it.username, self.it.password)
        everything = self.upstream.postures(POLICIES).values()
        members = ("lastEvaluatedDate", "postureModifiedDate", "complianceLastScanDate")
        self.dates = {m: sorted({r[m] for r in everything}) for m in members}
        self.hosts = sorted({int(r["hostId"]) for r in everything})
        self.ids = sorted(int(r["id"]) for r in everything)
        self.subscription = self.upstream.hosts([1001])[0]["subscriptionId"]

    def from_upstream(self, query):
        """What the upstream itself answers, normalised, by ID."""
        params = upstream_params(query)
        if "posture" in query:
            body = [{"subscriptionId": self.subscription, "postureId": query["posture"]}]
            found = [reference.normalised(r) for r in self.upstream.records(body, **params)]
            return {r["id"]: r for r in found}
        hosts = {int(h) for h in query["host"].split(",")} if "host" in query else None
        return self.upstream.postures(query["policy"].split(","), hosts, **params)

    def from_gateway(self, client, query):
        """All pages of it, and how the first was come by."""
        got, how, target = {}, None, "/v1/postures?" + harness.query_string(query | {"limit": 37})
        while target is not None:
            answer = client.get(target)
            self.assertEqual(answer.status, 200, (query, answer))
            how = how or answer.headers["Cache-Status"]
            page = reference.parse(answer.body)
            for posture in page["data"]:
                self.assertNotIn(posture["id"], got)
                got[posture["id"]] = posture
            total, target = int(page["page"]["total"]), page["page"].get("next")
        self.assertEqual(total, len(got))
        return got, how

    def test_what_the_cache_gives_is_what_the_upstream_would_have(self):
        self.begin()
        client, seed = self.it.client(), int(os.environ.get("UNIT_SEED", time.time_ns() % 10**6))
        queries = Random(seed, self.dates, self.hosts, self.ids)
        contained = records = 0
        for number in range(PAIRS):
            broad, narrow = queries.query(True), queries.query(False)
            self.from_gateway(client, broad)
            before = calls(self.it)
            got, how = self.from_gateway(client, narrow)
            if "; hit; " in how and "detail=contained" in how:
                self.assertEqual(calls(self.it), before, (seed, number, broad, narrow))
                contained += 1
                records += len(got)
            self.assertEqual(got, self.from_upstream(narrow), (seed, number, broad, narrow, how))
            self.it.advance(11)  # nothing of this pair serves the next one
        print(f"containment: {PAIRS} pairs, {contained} contained, {records} records, seed {seed}")
        self.assertGreater(contained, PAIRS / 12)
        self.assertGreater(records, contained)


class Rules(harness.StackTest):
    @classmethod
    def setUpClass(cls):
        cls.share(simulator=DATA, consumers=[Consumer("all", force="true"),
                                             Consumer("some", policies="1001,1003", evidence="false")])

    def ask(self, consumer=0, headers=None, **params):
        return self.shared.client(consumer).get("/v1/postures", headers, **params)

    def how(self, **params):
        answer = self.ask(**params)
        self.assertEqual(answer.status, 200, answer)
        return answer.headers["Cache-Status"]

    def test_readings_are_taken_only_where_the_settings_say_so(self):
        self.how(policy="1001")
        for name in ("scannedSince", "changedSince"):
            self.assertIn("fwd=miss", self.how(policy="1001", **{name: "2026-10-20"}), name)
        self.assertIn("contained", self.how(policy="1001", evaluatedSince="2026-10-20"))

    def test_a_walk_goes_on_in_the_result_that_it_began_in(self):
        self.how(policy="1001,1002")
        first = self.ask(policy=1002, limit=7).json()
        answer = self.ask(policy=1002, limit=7)
        self.assertIn("contained", answer.headers["Cache-Status"])
        self.assertEqual(answer.json()["page"]["total"], first["page"]["total"])
        seen, page = [p["id"] for p in first["data"]], first
        self.ask(headers={"Cache-Control": "no-cache"}, policy="1001,1002")
        while "next" in page["page"]:
            page = self.shared.client().get(page["page"]["next"]).json()
            self.assertEqual(page["result"]["id"], first["result"]["id"])
            seen += [p["id"] for p in page["data"]]
        self.assertEqual(len(seen), len(set(seen)))
        self.assertEqual(len(seen), first["page"]["total"])
        self.assertTrue(all(str(i).startswith("2") for i in seen))

    def test_validators_tell_queries_apart_that_share_a_result(self):
        self.how(policy="1001,1003")
        tags = {self.ask(policy="1001,1003", limit=5, status=s).headers["ETag"]
                for s in ("Passed", "Failed", "Error")}
        self.assertEqual(len(tags), 3)
        tag = self.ask(policy="1003", limit=5, status="Failed").headers["ETag"]
        again = self.ask(headers={"If-None-Match": tag}, policy="1003", limit=5, status="Failed")
        self.assertEqual(again.status, 304)

    def test_grants_hold_before_the_cache_is_looked_at(self):
        self.how(policy="1001,1002,1003", evidence="extended")
        self.assertEqual(self.ask(consumer=1, policy="1002").status, 403)
        answer = self.ask(consumer=1, policy="1001", evidence="extended", limit=1000)
        self.assertIn("contained", answer.headers["Cache-Status"])
        self.assertEqual({p["evidence"] for p in answer.json()["data"]}, {None})

    def test_only_if_cached_takes_what_contains_it(self):
        self.how(policy="1002", evidence="extended")
        answer = self.ask(headers={"Cache-Control": "only-if-cached"}, policy="1002", status="Failed")
        self.assertEqual(answer.status, 200)
        answer = self.ask(headers={"Cache-Control": "only-if-cached"}, policy="1002", inactive="exclude")
        self.assertEqual(answer.status, 504)

    def test_what_has_to_be_newer_is_fetched(self):
        self.how(policy="1003")
        for newer in ("no-cache", "max-age=0"):
            answer = self.ask(headers={"Cache-Control": newer}, policy="1003", status="Error")
            self.assertEqual(answer.headers["Cache-Status"], "posturegate; fwd=request; stored")

    def test_a_problem_tells_the_age_of_what_contains_it_and_is_too_old(self):
        stack = self.stack(simulator=DATA, settings={"upstream": {"retries": 0, "error_memory": "0s"}})
        client = stack.client()
        result = client.get("/v1/postures", policy="1001").json()["result"]
        stack.control.fault("status", status=500, api="postureInfo", times=-1)
        for newer in ("no-cache", "max-age=0"):
            failed = client.get("/v1/postures", {"Cache-Control": newer}, policy="1001", status="Error")
            self.assertEqual(failed.status, 503, failed)
            self.assertGreaterEqual(failed.json()["cachedAge"], 0)
            kept = client.get("/v1/postures", policy="1001", status="Error")
            self.assertIn("; hit;", kept.headers["Cache-Status"])
            self.assertEqual(kept.json()["result"]["id"], result["id"])
        # of what does not have the answer nothing is told
        failed = client.get("/v1/postures", {"Cache-Control": "no-cache"}, policy="1002")
        self.assertNotIn("cachedAge", failed.json())

    def test_results_with_holes_serve_nothing_else(self):
        stack = self.stack(simulator=DATA | {"failing_policies": "1002"})
        client = stack.client()
        self.assertFalse(client.get("/v1/postures", policy="1001,1002").json()["result"]["complete"])
        self.assertIn("fwd=miss", client.get("/v1/postures", policy="1001").headers["Cache-Status"])

    def test_what_is_doubtful_goes_upstream(self):
        stack = self.stack(simulator=DATA)
        client = stack.client()
        stack.control.fault("odd_status", api="postureInfo", times=1)
        self.assertEqual(client.get("/v1/postures", policy="1001").status, 200)
        self.assertIn("fwd=miss", client.get("/v1/postures", policy="1001",
                                             status="Failed").headers["Cache-Status"])
        self.assertIn("contained", client.get("/v1/postures", policy="1001",
                                              criticality="3").headers["Cache-Status"])

    def test_every_value_that_nobody_knows_how_to_compare_is_doubtful(self):
        """One record of the upstream's that is odd in one member: a filter that looks there goes upstream, and one
        that looks elsewhere does not, unless the oddity is such that nobody knows what the record is."""
        good = {"id": 1, "policyId": 1001, "hostId": 5000001, "status": "Failed", "previousStatus": "Passed",
                "lastEvaluatedDate": "2026-11-01T10:00:00Z", "complianceLastScanDate": "2026-11-01T08:00:00Z",
                "criticality": {"label": "own", "value": 3}}
        since = {"evaluatedSince": "2026-10-01"}
        scanned = {"scannedFrom": "2026-10-01", "scannedTo": "2026-12-01"}
        odd = [(since, "lastEvaluatedDate", d) for d in (None, "", "2026-11-01", "2026-11-01T10:00:00.500Z",
                                                         "2026-11-01T10:00:00+02:00", "2026-11-01T10:00:00", 5)]
        odd += [(scanned, "complianceLastScanDate", d) for d in (None, "", "2026-11-01", "01/11/2026")]
        odd += [({"status": "Failed"}, "status", s) for s in (None, "", "Waived", "Failed*", 1)]
        odd += [({"previousStatus": "Passed"}, "previousStatus", s) for s in (None, "", "Never")]
        odd += [({"criticality": "3"}, "criticality", c) for c in (
            None, {}, {"label": "SERIOUS"}, {"label": "SERIOUS", "value": None}, {"value": 6}, {"value": 3.5},
            {"value": "high"}, "SERIOUS")]
        def body(record):
            return json.dumps([record], separators=(",", ":"))
        stack = self.stack(simulator=DATA, settings={"cache": {"broaden": "false"}}, clock=True)
        client = stack.client()
        for query, member, value in odd:
            record = {k: v for k, v in good.items() if k != member} | ({} if value is None else {member: value})
            for missing in (False, True) if value is None else (False,):
                with self.subTest(member=member, value=value, missing=missing):
                    stack.advance(10**6)
                    stack.control.reset()
                    stack.control.fault("body", api="postureInfo", times=-1,
                                        value=body(record if missing else record | {member: value}))
                    broad = client.get("/v1/postures", policy="1001")
                    self.assertEqual(broad.status, 200, broad)
                    self.assertEqual(broad.json()["page"]["total"], 1)
                    answer = client.get("/v1/postures", policy="1001", **query)
                    self.assertRegex(answer.headers["Cache-Status"], "fwd=(miss|stale); stored$")
        stack.advance(10**6)
        stack.control.reset()
        stack.control.fault("body", api="postureInfo", times=-1, value=body(good))
        client.get("/v1/postures", policy="1001")
        for query in (since, scanned, {"status": "Failed"}, {"previousStatus": "Passed"}, {"criticality": "3"}):
            answer = client.get("/v1/postures", policy="1001", **query)
            self.assertEqual((answer.headers["Cache-Status"][-16:], answer.json()["page"]["total"]),
                             ("detail=contained", 1), query)

    def test_assets_that_only_the_broader_ones_version_has_are_not_taken_for_those_asked_for(self):
        """qds needs 5.0, which has SCA assets for this account; without it 4.0 is asked, which has PC assets alone."""
        stack = self.stack(simulator=DATA | {"sca_hosts": 50, "sca_versions": "5.0"}, settings={
            "upstream": {"versions": "5.0, 4.0", "sca_versions": "5.0"},
            "lifecycle": {"postureInfo 4.0": "active", "hostids 4.0": "active"}})
        client = stack.client()
        upstream = reference.Upstream(stack.upstream, stack.username, stack.password)
        broad = client.get("/v1/postures", policy="1001", qds="true", limit=1000).json()
        self.assertEqual(broad["result"]["upstreamVersion"], "5.0")
        hold = stack.control.hold(api="postureInfo")
        place = client.get("/v1/postures", {"Prefer": "wait=0"}, policy="1002", qds="true").headers["Location"]
        narrow = client.get("/v1/postures", {"Prefer": "wait=0"}, policy="1002", status="Failed")
        self.assertNotEqual(narrow.headers["Location"], place, "nor is its fetch followed")
        stack.control.release(id=hold)
        upstream.version = "4.0"
        for policy in ("1001", "1002"):
            for status in ("Failed", "Error", "Passed"):  # the last of them would be fetched broad
                answer = client.get("/v1/postures", policy=policy, status=status, limit=1000)
                self.assertEqual(answer.json()["result"]["upstreamVersion"], "4.0")
                got = {p["id"]: p["hostId"] for p in reference.parse(answer.body)["data"]}
                wanted = upstream.postures([policy], status=status)
                self.assertEqual(got, {i: p["hostId"] for i, p in wanted.items()}, (policy, status))
        self.assertLess(len({h for h in got.values()}), 12)
        answer = client.get("/v1/postures", policy="1001", qds="true", status="Failed")
        self.assertIn("contained", answer.headers["Cache-Status"], "whoever wants qds has no other version")

    def test_what_an_older_version_brought_may_lack_members(self):
        stack = self.stack(simulator=DATA | {"retired": "5.0"}, clock=True, settings={
            "upstream": {"versions": "5.0, 4.0"}, "lifecycle": {"postureInfo 4.0": "active"}})
        client = stack.client()
        old = client.get("/v1/postures", policy="1001").json()["result"]
        self.assertEqual(old["upstreamVersion"], "4.0")
        first = client.get("/v1/postures", policy="1001", status="Passed", limit=5)
        self.assertIn("contained", first.headers["Cache-Status"], "nothing newer is to be had")
        stack.control.set(retired="")
        stack.advance(601)  # by now 5.0 is tried again
        second = client.get(first.json()["page"]["next"])
        self.assertEqual(second.status, 200, second)
        self.assertEqual(second.json()["result"]["id"], old["id"], "a walk goes on")
        said = client.get("/v1/postures/explain", policy="1001", status="Failed").json()
        self.assertIn((old["id"], "version"), [(c["result"], c["refused"]) for c in said["candidates"]])
        answer = client.get("/v1/postures", policy="1001", status="Failed", limit=1000)
        upstream = reference.Upstream(stack.upstream, stack.username, stack.password)
        self.assertEqual({p["id"]: p for p in reference.parse(answer.body)["data"]},
                         upstream.postures([1001], **upstream_params({"status": "Failed"})))

    def test_stale_is_served_and_the_broader_query_refreshed(self):
        stack = self.stack(simulator=DATA, settings={"cache": {"fresh_for": "10s", "stale_for": "1h"}},
                           clock=True)
        client = stack.client()
        client.get("/v1/postures", policy="1001")
        stack.advance(11)
        answer = client.get("/v1/postures", policy="1001", status="Failed")
        self.assertRegex(answer.headers["Cache-Status"], r"hit; ttl=-\d+; detail=contained")
        harness.wait_until(lambda: "ttl=-" not in client.get(
            "/v1/postures", policy="1001", status="Passed").headers["Cache-Status"], "it is refreshed")
        self.assertEqual(stack.control.state()["apis"]["postureInfo"]["calls"], 2)

    def test_an_expired_one_stands_in_while_the_upstream_fails_and_goes_when_it_answers(self):
        stack = self.stack(simulator=DATA, clock=True, settings={
            "cache": {"fresh_for": "10s", "stale_for": "10s", "keep_for": "10h"},
            "upstream": {"retries": 0, "error_memory": "0s"}})
        client = stack.client()
        broad = client.get("/v1/postures", policy="1001").json()
        stack.advance(60)
        stack.control.fault("500", api="postureInfo", times=1)
        answer = client.get("/v1/postures", policy="1001", status="Failed", limit=1000)
        self.assertRegex(answer.headers["Cache-Status"], r"hit; ttl=-\d+; detail=contained")
        self.assertEqual(answer.json()["result"]["id"], broad["result"]["id"])
        self.assertEqual({p["status"] for p in answer.json()["data"]}, {"Failed"})
        again = client.get("/v1/postures", policy="1001", status="Failed", limit=1000)
        self.assertEqual(again.headers["Cache-Status"], "posturegate; fwd=stale; stored")
        self.assertEqual(again.json()["data"], answer.json()["data"])

    def test_summaries_are_of_what_was_asked_for(self):
        stack = self.stack(simulator=DATA)
        client = stack.client()
        client.get("/v1/postures", policy="1001,1002", evidence="extended")
        for query in ({"policy": "1001"}, {"policy": "1001,1002", "status": "Failed"},
                      {"policy": "1002", "criticality": "3,4"}):
            answer = client.get("/v1/postures/summary", by="policyId,status,criticality", **query)
            self.assertIn("detail=contained", answer.headers["Cache-Status"])
            got = {(g["policyId"], g["status"], g["criticality"]): g["count"] for g in answer.json()["data"]}
            page = client.get("/v1/postures", limit=1000, **query).json()
            self.assertNotIn("next", page["page"])
            self.assertEqual(got, collections.Counter(
                (p["policyId"], p["status"].rstrip("*"), p["criticality"]["value"]) for p in page["data"]))
            tags = {client.get("/v1/postures/summary", **q).headers["ETag"] for q in (query, query | {"criticality": "1"})}
            self.assertEqual(len(tags), 2)

    def test_narrow_queries_survive_a_restart_as_walks_do(self):
        stack = self.stack(simulator=DATA)
        client = stack.client()
        client.get("/v1/postures", policy="1001")
        first = client.get("/v1/postures", policy="1001", criticality="0,1,2,3", limit=5).json()
        stack.restart_gateway()
        client = stack.client()
        second = client.get(first["page"]["next"]).json()
        self.assertEqual(second["page"]["total"], first["page"]["total"])
        self.assertFalse({p["id"] for p in first["data"]} & {p["id"] for p in second["data"]})


if __name__ == "__main__":
    harness.main()
