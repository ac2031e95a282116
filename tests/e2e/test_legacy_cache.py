"""One fetch for all who want the same, in whichever version they ask for it, and for /v1; what may stand
in for what; and what never may."""

import json

import harness
import speaker
from harness import Consumer
from speaker import VERSIONS, records_of

HOSTS, CONTROLS = 8, 7
DATA = {"policies": 9, "hosts": HOSTS, "controls": CONTROLS, "host_overlap": 0, "empty_hosts": 0,
        "now": "2026-11-20T12:00:00Z"} | speaker.UNLIMITED
EVERYTHING = {"evidence": "extended", "cloud": True, "qds": True}


def body_of(*policies, hosts=slice(None)):
    return [speaker.element(p, speaker.simulated_hosts(p, HOSTS)[hosts]) for p in policies]


def by_header(answer):
    return answer.headers["Cache-Status"]


class Cache(harness.StackTest, speaker.Messages):
    def begin(self, **options):
        self.it = self.stack(**({"simulator": DATA} | options), consumers=[
            Consumer("old", legacy="allow", force="true", admin="true")])
        self.start()

    def start(self):
        self.control = self.it.control
        self.upstream, self.gateway, self.client = \
            speaker.upstream_of(self.it), speaker.gateway_of(self.it), self.it.client()
        self.gateway.login()

    def calls(self):
        return speaker.calls(self.it), speaker.calls(self.it, "hostids")

    def check_calls(self, postures, before):
        """So many calls of postureInfo since `before`."""
        self.assertEqual(self.calls()[0] - before[0], postures)

    def v1(self, **params):
        """By ID: what /v1 has."""
        return {str(r["id"]): r for r in self.client.records("/v1/postures", limit=1000, **params)}


class Sharing(Cache):
    @classmethod
    def setUpClass(cls):
        cls.share(simulator=DATA, consumers=[Consumer("old", legacy="allow", force="true", admin="true")])

    def setUp(self):
        self.it = self.shared
        self.start()
        self.gateway.list()

    def policy(self):
        """One that nobody has asked for."""
        type(self).last = getattr(self, "last", 1000) + 1
        return self.last

    def test_first_in_1_0_and_then_in_v1_is_one_fetch(self):
        policy = self.policy()
        body = self.gateway.hosts("1.0", policyId=policy).json()
        before = self.calls()
        old = records_of(self.gateway.info("1.0", body, evidenceRequired=1))
        new = self.v1(policy=policy, evidence="extended")
        self.check_calls(1, before)
        self.assertEqual(old.keys(), new.keys())
        self.assertEqual(len(new), HOSTS * CONTROLS)

    def test_first_in_v1_and_then_in_1_0_is_one_fetch(self):
        policy = self.policy()
        before = self.calls()
        new = self.v1(policy=policy, evidence="extended")
        body = self.gateway.hosts("1.0", policyId=policy).json()
        answer = self.gateway.info("1.0", body, evidenceRequired=1)
        self.check_calls(1, before)
        self.assertEqual(records_of(answer).keys(), new.keys())
        self.assertRegex(by_header(answer), "^posturegate; hit")
        self.assertEqual(records_of(answer), records_of(self.upstream.info("1.0", body, evidenceRequired=1)))

    def test_hosts_of_ones_own_are_one_query_in_both(self):
        policy = self.policy()
        hosts = speaker.simulated_hosts(policy, HOSTS)[2:5]
        for first in ("old", "new"):
            before = self.calls()
            asks = {"old": lambda: records_of(self.gateway.info("3.0", [speaker.element(policy, hosts)],
                                                                cloudMetaDataRequired=1)),
                    "new": lambda: self.v1(policy=policy, host=hosts, cloud=True)}
            one, two = asks.pop(first)(), asks.popitem()[1]()
            self.check_calls(1 if first == "old" else 0, before)
            self.assertEqual(one.keys(), two.keys())
            self.assertEqual(len(one), 3 * CONTROLS)

    def test_all_versions_share_one_fetch(self):
        policy = self.policy()
        body = self.gateway.hosts("1.0", policyId=policy).json()
        before = self.calls()
        for version in VERSIONS:
            self.assertEqual(len(records_of(self.gateway.info(version, body, evidenceRequired=1))), HOSTS * CONTROLS)
        self.check_calls(1, before)

    def test_policies_of_a_call_are_shared_one_by_one(self):
        one, two = self.policy(), self.policy()
        before = self.calls()
        self.assertEqual(len(self.v1(policy=two)), HOSTS * CONTROLS)
        body = self.gateway.hosts("2.0", policyId=f"{one},{two}").json()
        answer = self.gateway.info("2.0", body)
        self.assertEqual(len(records_of(answer)), 2 * HOSTS * CONTROLS)
        self.assertRegex(by_header(answer), "fwd=miss; stored")  # of both the one that needed the upstream
        self.assertEqual(len(self.v1(policy=one)), HOSTS * CONTROLS)
        self.check_calls(2, before)

    def test_filters_are_part_of_the_query_in_both(self):
        policy = self.policy()
        body = self.gateway.hosts("4.0", policyId=policy).json()
        before = self.calls()
        old = records_of(self.gateway.info("4.0", body, status="Failed,Error", criticalityValues="3,4,5",
                                           lastEvaluationDate="2026-10-01"))
        new = self.v1(policy=policy, status="Failed,Error", criticality="3,4,5", evaluatedSince="2026-10-01")
        self.check_calls(1, before)
        self.assertEqual(old.keys(), new.keys())
        self.assertTrue(0 < len(old) < HOSTS * CONTROLS)

    def test_lists_are_the_ones_of_v1(self):
        self.client.get("/v1/policies")
        self.client.get("/v1/policies/1009/hosts")
        before = self.calls(), speaker.calls(self.it, "policyList")
        for answer in (self.gateway.list("1.0"), self.gateway.hosts("1.0", policyId="1009")):
            self.assertRegex(by_header(answer), "^posturegate; hit")
        self.assertEqual((self.calls(), speaker.calls(self.it, "policyList")), before)


class Empty(Cache):
    def test_the_first_query_of_an_empty_store_is_shared_too(self):
        self.begin()
        for _ in range(2):
            self.assertEqual(len(records_of(self.gateway.info("1.0", body_of(1001)))), HOSTS * CONTROLS)
        self.assertEqual(len(self.v1(policy=1001, host=speaker.simulated_hosts(1001, HOSTS))), HOSTS * CONTROLS)
        self.assertEqual(self.calls()[0], 1)

    def test_a_subscription_that_is_not_the_accounts_is_refused_and_spoils_nothing(self):
        self.begin()
        other = [speaker.element(1001, speaker.simulated_hosts(1001, HOSTS), subscription=999)]
        for _ in range(2):  # the upstream has not told its own yet, and then it has
            answer = self.gateway.info("1.0", other)
            self.check_message(answer, answer.status)
            self.assertIn(answer.status, (400, 502))  # ours, or made of the upstream's
        self.assertEqual(records_of(self.gateway.info("1.0", body_of(1001))),
                         records_of(self.upstream.info("1.0", body_of(1001))))


class Contained(Cache):
    """What has more than was asked for serves, and what was not asked for is left out."""

    @classmethod
    def setUpClass(cls):
        cls.share(simulator=DATA, consumers=[Consumer("old", legacy="allow", force="true", admin="true")])

    def setUp(self):
        self.it = self.shared
        self.start()
        self.gateway.list()

    def check(self, version, body, calls=0, **params):
        wanted = records_of(self.upstream.info(version, body, **params))
        before = self.calls()
        answer = self.gateway.info(version, body, **params)
        with self.subTest(version=version, **params):
            self.assertEqual(records_of(answer), wanted)
            self.check_calls(calls, before)
            self.assertRegex(by_header(answer), "^posturegate; hit" if calls == 0 else "^posturegate; fwd=miss")
        return answer

    def test_a_result_with_everything_serves_every_version_and_any_hosts(self):
        self.assertEqual(len(self.v1(policy=1001, **EVERYTHING)), HOSTS * CONTROLS)
        for hosts in (slice(None), slice(0, 1), slice(2, 6), slice(HOSTS - 1, None)):
            body = body_of(1001, hosts=hosts)
            for version in VERSIONS:
                for evidence in ("0", "1"):
                    answer = self.check(version, body, evidenceRequired=evidence)
                    self.assertIn("detail=contained", by_header(answer))
            for cloud in ("0", "1"):
                self.check("3.0", body, evidenceRequired=1, cloudMetaDataRequired=cloud)
                self.check("4.0", body, cloudMetaDataRequired=cloud)
                for qds in ("0", "1"):
                    self.check("5.0", body, evidenceRequired=1, cloudMetaDataRequired=cloud, qdScoreRequired=qds)

    def test_after_it_groups_of_hosts_of_a_body_from_hostids_cost_nothing(self):
        self.v1(policy=1002, **EVERYTHING)
        told = self.gateway.hosts("1.0", policyId="1002").json()
        hosts = told[0]["hostIds"]
        got = {}
        for at in range(0, len(hosts), 3):
            got |= records_of(self.check("1.0", [told[0] | {"hostIds": hosts[at:at + 3]}], evidenceRequired=1))
        self.assertEqual(got, records_of(self.check("1.0", told, evidenceRequired=1)))

    def test_less_does_not_serve(self):
        body = body_of(1003)
        self.v1(policy=1003, evidence="basic")
        self.check("1.0", body, evidenceRequired=1)  # it knows no other
        self.check("1.0", body)
        self.check("2.0", body, calls=1, evidenceRequired=1)
        self.check("3.0", body, calls=1, cloudMetaDataRequired=1)
        self.check("5.0", body, calls=1, qdScoreRequired=1)
        self.check("2.0", body, calls=1, excludeInactiveControl=1)
        self.check("2.0", body, calls=1, lastScanDate="2026-10-28")

    def test_a_host_that_the_result_does_not_know_is_asked_for(self):
        self.v1(policy=1004)
        before = self.calls()
        stranger = [speaker.element(1004, speaker.simulated_hosts(1004, HOSTS)[:2] + [77])]
        answer = self.gateway.info("1.0", stranger)
        self.assertEqual(len(records_of(answer)), 2 * CONTROLS)
        self.assertRegex(by_header(answer), "fwd=miss")
        self.check_calls(1, before)


class Incomplete(Cache):
    def test_what_is_not_complete_is_answered_as_nothing_that_looks_whole(self):
        self.begin(simulator=DATA | {"batches": "skip", "batch_hosts": 1},
                   settings={"upstream": {"missing_batches": "strict"}})
        self.gateway.list()
        self.gateway.hosts("1.0", policyId="1001")
        self.control.fault("lost_batch", api="postureInfo", count=3, times=-1)
        page = self.client.get("/v1/postures", policy=1001).json()
        self.assertFalse(page["result"]["complete"])
        for version in ("1.0", "5.0"):
            self.check_message(self.gateway.info(version, body_of(1001)), 502)

    def test_what_turns_out_to_be_incomplete_breaks(self):
        self.begin(simulator=DATA | {"batch_hosts": 1}, settings={"upstream": {"missing_batches": "strict"}})
        self.control.fault("lost_batch", api="postureInfo", count=3, times=-1)
        stream = self.gateway.stream("1.0", body_of(1001))
        self.addCleanup(stream.close)
        if stream.head() == 200:  # its first record was faster than its end
            stream.broken()
        else:
            self.assertEqual((stream.head(), list(json.loads(stream.rest()))), (502, ["message"]))


class Ageing(Cache):
    def begin_aged(self, **settings):
        self.begin(clock=True, settings={"cache": {"fresh_for": "1h", "stale_for": "6h", "keep_for": "7d"},
                                         "upstream": {"retries": 0, "error_memory": "0s"}} | settings)
        self.gateway.list()
        self.wanted = {}
        for version, params in (("1.0", {}), ("5.0", {"evidenceRequired": 1, "qdScoreRequired": 1})):
            self.wanted[version] = records_of(self.gateway.info(version, body_of(1001), **params))
        self.assertEqual(self.gateway.hosts("1.0", policyId="1001").status, 200)

    def ask(self):
        """As long as the data have not changed: the same as at first, and how it came."""
        told = []
        for version, params in (("1.0", {}), ("5.0", {"evidenceRequired": 1, "qdScoreRequired": 1})):
            answer = self.gateway.info(version, body_of(1001), **params)
            self.assertEqual(records_of(answer), self.wanted[version])
            told.append(by_header(answer))
        for answer in (self.gateway.list(), self.gateway.hosts("1.0", policyId="1001")):
            self.assertEqual(answer.status, 200)
            told.append(by_header(answer))
        return told

    def test_what_is_fresh_needs_no_upstream(self):
        self.begin_aged()
        self.it.simulator.kill()
        self.assertEqual(set(self.ask()), {"posturegate; hit"})
        self.check_message(self.gateway.info("1.0", body_of(1002)), 503)

    def test_what_is_stale_is_served_and_fetched_anew_behind(self):
        self.begin_aged()
        self.it.advance(2 * 3600)
        before = self.calls()
        self.control.set(generation=1)
        old = self.gateway.info("1.0", body_of(1001))
        self.assertEqual((records_of(old), by_header(old)), (self.wanted["1.0"], "posturegate; hit"))
        wanted = records_of(self.upstream.info("1.0", body_of(1001)))
        self.assertNotEqual(wanted, self.wanted["1.0"])
        harness.wait_until(lambda: records_of(self.gateway.info("1.0", body_of(1001))) == wanted, "the new one serves")
        self.check_calls(2, before)

    def test_what_is_stale_is_served_while_the_upstream_is_away(self):
        self.begin_aged()
        self.it.simulator.kill()
        self.it.advance(2 * 3600)
        self.gateway.login()
        self.assertEqual(set(self.ask()), {"posturegate; hit"})

    def test_what_is_older_stands_in_while_the_upstream_fails(self):
        self.begin_aged()
        self.it.advance(24 * 3600)
        self.gateway.login()
        for api in ("postureInfo", "hostids", "policyList"):
            self.control.fault("500", api=api, times=-1)
        self.assertEqual(set(self.ask()), {"posturegate; hit"})
        self.it.advance(8 * 24 * 3600)
        self.gateway.login()
        self.check_message(self.gateway.info("1.0", body_of(1001)), 503)
        self.check_message(self.gateway.hosts("1.0", policyId="1001"), 503)

    def test_one_policy_may_be_stood_in_for_and_another_not(self):
        self.begin_aged()
        self.it.advance(24 * 3600)
        self.gateway.login()
        self.control.fault("500", api="postureInfo", times=-1, match='"1001"')
        both = records_of(self.gateway.info("1.0", body_of(1001, 1002)))
        self.assertEqual(len(both), 2 * HOSTS * CONTROLS)
        self.assertEqual({k: v for k, v in both.items() if k.startswith("1")}, self.wanted["1.0"])
        self.control.fault("500", api="postureInfo", times=-1, match='"1003"')
        stream = self.gateway.stream("1.0", body_of(1001, 1003))
        self.addCleanup(stream.close)
        if stream.head() == 200:
            stream.broken()

    def test_a_request_says_what_it_will_take(self):
        self.begin_aged()
        no_cache, stored = {"Cache-Control": "no-cache"}, {"Cache-Control": "only-if-cached"}
        before = self.calls()
        answer = self.gateway.info("1.0", body_of(1001), no_cache)
        self.assertEqual((answer.status, by_header(answer)), (200, "posturegate; fwd=request; stored"))
        self.assertEqual(len(records_of(answer)), HOSTS * CONTROLS)
        self.check_calls(1, before)
        self.assertEqual(self.gateway.info("1.0", body_of(1001), stored).status, 200)
        self.check_message(self.gateway.info("1.0", body_of(1002), stored), 504)
        self.check_message(self.gateway.hosts("5.0", stored, policyId="1003"), 504)
        self.control.fault("500", api="postureInfo")
        self.check_message(self.gateway.info("1.0", body_of(1001), no_cache), 503)
        self.check_calls(2, before)


if __name__ == "__main__":
    harness.main()
