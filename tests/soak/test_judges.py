"""The judges of ./dev soak, on runs that went wrong: each of them has to notice."""

import json
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]
import audit  # noqa: E402
import chaos  # noqa: E402
import habits  # noqa: E402
import harness  # noqa: E402
import oracle  # noqa: E402
import reference  # noqa: E402

FETCHED = "2026-11-20T12:00:00Z"
FETCHED_S = oracle.instant(FETCHED)


def record(number, policy, generation):
    record = dict.fromkeys(reference.ORDER)
    record |= {
        "id": number, "policyId": policy, "hostId": 7, "status": "Passed", "exception": False,
        "previousStatus": "Failed", "previousException": False, "criticality": {"value": 3},
        "postureModifiedDate": f"2026-11-0{1 + generation}T00:00:00Z",
        "lastEvaluatedDate": "2026-11-09T00:00:00Z",
        "complianceLastScanDate": "2026-11-08T00:00:00Z",
        "evidence": {"expectedValues": "x", "extendedEvidence": "y"}, "causeOfFailure": {"missing": 1},
        "qds": 5, "cloudMetaData": {"cloudProvider": "GCP"},
    }
    return reference.parse(json.dumps(record))


class FakeData:
    """Two policies of four postures; those whose id is even change from generation to generation."""

    policies = [1001, 1002]
    active = set()
    hosts = {1001: [5, 6], 1002: [7]}

    subscription = 700100

    def __init__(self):
        self.lists = [[{"id": p, "title": "t", "lastEvaluatedDate": f"2026-11-0{g + 1}T00:00:00Z"}
                       for p in self.policies] for g in range(3)]
        self.generations = [{p: {n: record(n, p, g if n % 2 == 0 else 0)
                                 for n in range(p * 10, p * 10 + 4)} for p in self.policies}
                            for g in range(3)]


class Pages(unittest.TestCase):
    """One page at a time, of a query for policy 1001."""

    def setUp(self):
        timeline = oracle.Timeline()
        timeline.moves = [(0, 1, 0), (FETCHED_S + 10, FETCHED_S + 11, 1),
                          (FETCHED_S + 100, FETCHED_S + 101, 2)]
        self.data = FakeData()
        self.oracle = oracle.Oracle(self.data, timeline)
        self.query = oracle.Query(policy=[1001], limit=10)
        self.consumer = habits.Consumer("someone")

    def body(self, generation, result="a", ids=range(10010, 10014), change=None, hides=False, **page):
        data = [self.query.shown(self.data.generations[generation][i // 10][i],
                                 self.consumer.sees_evidence) for i in ids]
        if change is not None:
            change(data)
        counts = dict.fromkeys(oracle.COUNTS, None if hides else 1)
        return json.dumps({
            "data": [plain(d) for d in data],
            "page": {"limit": self.query.limit, "count": len(data), "total": 4} | page,
            "result": {"id": result, "fetchedAt": FETCHED, "upstreamVersion": "5.0",
                       "complete": True} | counts})

    def judge(self, body, position=0, after_s=5):
        return self.oracle.page(self.query, self.consumer, body, position, FETCHED_S + after_s)

    def refused(self, body, text, **more):
        with self.assertRaisesRegex(oracle.Wrong, text):
            self.judge(body, **more)

    def test_a_right_page_passes(self):
        self.judge(self.body(0))

    def test_a_value_that_differs(self):
        self.refused(self.body(0, change=lambda d: d[1].update(netBios="other")), "netBios")

    def test_a_number_spelt_otherwise(self):
        body = self.body(0).replace('"value": 3', '"value": 3.0', 1)
        self.refused(body, "criticality")

    def test_members_in_another_order(self):
        def turn(data):
            data[0] = dict(reversed(data[0].items()))
        self.refused(self.body(0, change=turn), "posture 10010")

    def test_a_posture_too_few(self):
        self.refused(self.body(0, ids=range(10010, 10013), total=3), "total 3, 4 wanted")

    def test_a_page_that_ends_early(self):
        self.refused(self.body(0, ids=range(10010, 10013)), "3 from 0 on")

    def test_evidence_for_one_who_may_not_see_it(self):
        body = self.body(0)
        self.consumer.sees_evidence = False
        self.refused(body, "causeOfFailure")

    def test_another_policy(self):
        self.refused(self.body(0, ids=[10010, 10011, 10012, 10020]), "foreign")

    def test_another_policy_by_posture(self):
        self.query = oracle.Query(posture=[(10010, 10029)], limit=10)
        self.consumer.policies, self.consumer.sees_all = "1001", False
        self.judge(self.body(0, hides=True))
        self.refused(self.body(0, result="b", hides=True, ids=[10010, 10011, 10012, 10020]), "foreign")
        self.refused(self.body(0, result="c", hides=False), "batches")

    def test_data_of_a_time_before_the_fetch(self):
        self.oracle.timeline.moves = [(0, 1, 0), (100, 101, 1)]
        self.refused(self.body(0), "postureModifiedDate")

    def test_one_result_of_two_generations_on_two_pages(self):
        self.query.limit = 2
        self.judge(self.body(0, ids=[10010, 10011], next="x"))
        self.judge(self.body(0, ids=[10012, 10013]), position=2)
        self.refused(self.body(1, ids=[10012, 10013]), "postureModifiedDate", position=2)

    def test_a_change_in_the_middle_of_a_fetch_excuses_it(self):
        self.query.limit = 2
        self.judge(self.body(0, ids=[10010, 10011], next="x"), after_s=20)
        self.judge(self.body(1, ids=[10012, 10013]), position=2, after_s=20)
        self.assertEqual(self.oracle.counts()[1], 1)
        self.refused(self.body(2, ids=[10012, 10013]), "postureModifiedDate", position=2, after_s=20)

    def test_another_order_on_another_walk(self):
        self.judge(self.body(0))
        self.refused(self.body(0, ids=[10011, 10010, 10012, 10013]), "place 0")

    def test_a_walk_that_saw_one_twice_or_not_at_all(self):
        self.judge(self.body(0))
        self.oracle.whole(self.query, self.consumer, [10010, 10011, 10012, 10013], "a")
        for ids in ([10010, 10011, 10012, 10012], [10010, 10011, 10012]):
            with self.assertRaises(oracle.Wrong):
                self.oracle.whole(self.query, self.consumer, ids, "a")

    def test_an_incomplete_result(self):
        body = self.body(0).replace('"complete": true', '"complete": false')
        self.refused(body, "complete")
        less = body.replace('"complete": false', '"complete": false, "hostErrors": [1001]')
        self.refused(less, "hostErrors")
        self.oracle.may_fail = {1001}
        self.refused(less, "total 4, 0 wanted")

    def test_lists(self):
        def judge(listing, data, total, hides=False, version="5.0", result="l", **page):
            counts = dict.fromkeys(oracle.COUNTS, None if hides else 1)
            self.oracle.listing(listing, json.dumps({
                "data": data, "page": {"limit": listing.limit, "count": len(data), "total": total} | page,
                "result": {"id": result, "fetchedAt": FETCHED, "upstreamVersion": version,
                           "complete": True} | counts}), 0, FETCHED_S + 5)
        hosts = oracle.Listing.hosts(1001, 10)
        rows = [{"policyId": 1001, "subscriptionId": 700100, "hostId": h} for h in (5, 6)]
        judge(hosts, rows, 2)
        for wrong in (rows[::-1], rows[:1], [*rows, rows[1] | {"hostId": 7}]):
            with self.assertRaises(oracle.Wrong):
                judge(hosts, wrong, len(wrong))
        self.consumer.policies, self.consumer.sees_all = "1002", False
        policies = oracle.Listing.policies(self.consumer, 10)
        judge(policies, self.data.lists[0][1:], 1, hides=True, version="2.0", result="m")
        for generation, wrong in ((0, slice(0, 2)), (1, slice(1, 2))):
            with self.assertRaises(oracle.Wrong):
                rows = self.data.lists[generation][wrong]
                judge(policies, rows, len(rows), hides=True, version="2.0", result=str(generation))

    def test_one_tag_for_two_bodies(self):
        self.oracle.check_tag('"x"', b"1")
        with self.assertRaises(oracle.Wrong):
            self.oracle.check_tag('"x"', b"2")


def plain(value):
    """With numbers as numbers, for json.dumps()."""
    if isinstance(value, reference.Number):
        return int(value)
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


class Runs(unittest.TestCase):
    def test_the_window_rolls(self):
        self.assertEqual(audit.most_in_window([], 60)[0], 0)
        self.assertEqual(audit.most_in_window([0, 30, 60, 90], 60)[0], 2)
        self.assertEqual(audit.most_in_window([30, 0, 59.9, 90], 60)[0], 3)

    def logins(self, logins, causes, mended=()):
        """How many of them are wrong."""
        return len(audit.judge_logins(logins, causes, mended, 1000))

    def test_a_login_needs_a_reason(self):
        causes = [(0, 1, 1), (10, 10.5, 1), (20, 30, 1)]
        good = [(1.5, 201), (11, 201), (21, 201)]
        self.assertEqual(self.logins(good, causes), 0)
        for more in (2, 9, 12, 22, 32):
            self.assertEqual(self.logins([*good, (more, 201)], causes), 1, more)

    def test_causes_that_came_together_are_settled_together(self):
        causes = [(0, 1, 1), (2, 3, 1), (4, 5, 3)]
        self.assertEqual(self.logins([(6, 201)], causes), 0)
        self.assertEqual(self.logins([(6, 201), (7, 201)], causes), 1)

    def test_a_cause_that_is_not_over_pays_for_as_many_as_it_has(self):
        self.assertEqual(self.logins([(5, 201), (6, 201)], [(0, 9, 2)]), 0)
        self.assertEqual(self.logins([(5, 201), (6, 201)], [(0, 9, 1)]), 1)

    def test_a_login_that_failed_is_tried_again(self):
        self.assertEqual(self.logins([(2, 500), (3, 429), (4, 201)], [(0, 1, 1)]), 0)

    def test_a_token_is_renewed_when_most_of_its_life_is_over(self):
        self.assertEqual(self.logins([(2, 201), (802, 201), (1602, 201)], [(0, 1, 1)]), 0)
        self.assertEqual(self.logins([(2, 201), (500, 201)], [(0, 1, 1)]), 1)

    def test_a_rejected_credential_is_tried_once(self):
        logins, causes = [(2, 401), (12, 201)], [(0, 15, 1)]
        self.assertEqual(self.logins(logins, causes, [11]), 0)
        self.assertEqual(self.logins(logins, causes, [1]), 1)
        self.assertEqual(self.logins([*logins, (3, 401)], causes, [11]), 1)

    def calls(self, lines, others=(), gone=(), faked=()):
        """How many things are wrong."""
        return len(audit.judge_calls(lines, (25, 60, 2), list(others), gone, faked)["wrong"])

    def test_a_call_over_the_rate(self):
        lines = [{"t": t, "api": "hostids", "verdict": "entered", "running": 1} for t in range(26)]
        self.assertEqual(self.calls(lines[:25]), 0)
        self.assertEqual(self.calls(lines), 1)
        self.assertEqual(self.calls(lines, others=[(0, 99)]), 1)
        self.assertEqual(self.calls(lines, faked=[(5, 6, 1, "hostids")]), 0)
        self.assertEqual(self.calls(lines, faked=[(5, 6, 1, "postureInfo")]), 1)
        self.assertEqual(self.calls([*lines[:25], lines[0] | {"t": 60}]), 0)

    def test_refusals_need_an_excuse(self):
        often, many = ({"t": 50, "api": "hostids", "verdict": v, "running": 1}
                       for v in ("too-often", "too-many"))
        self.assertEqual(self.calls([often]), 1)
        self.assertEqual(self.calls([often], others=[(49, 51)]), 0)
        self.assertEqual(self.calls([often], others=[(51, 52)]), 1)
        self.assertEqual(self.calls([many]), 1)
        self.assertEqual(self.calls([many], gone=[(49, 51)]), 0)

    def test_calls_at_a_time(self):
        three = [{"t": 1, "api": "hostids", "verdict": "entered", "running": 3}]
        self.assertEqual(self.calls(three), 1)
        self.assertEqual(self.calls(three, gone=[(0, 2)]), 0)

    def test_errors_in_the_log_need_an_explanation(self):
        line = "2026-11-20T12:00:00.000Z error {} x=1\n"
        text = line.format("credential-rejected") + line.format("store-fenced")
        self.assertEqual(len(audit.log_errors(text, lambda kind: kind == "login")), 1)
        self.assertEqual(len(audit.log_errors(text, lambda kind: False)), 2)
        self.assertEqual(len(audit.log_errors("==1==ERROR: AddressSanitizer\n", lambda kind: True)), 1)

    def test_what_grows_is_seen(self):
        flat = [audit.Sample(t, 1, 20, 40, 268) for t in range(30)]
        slack = {"memory_mb": (1.2, 2), "fds": (1, 4), "threads": (1, 0)}
        self.assertEqual(audit.plateaus(flat, slack), [])
        grown = [s._replace(fds=40 + s.at) for s in flat]
        self.assertEqual(len(audit.plateaus(grown, slack)), 1)

    def test_percentiles(self):
        self.assertEqual(audit.percentile(range(1, 101), 99), 100)
        self.assertEqual(audit.percentile([5], 50), 5)


class Probes(unittest.TestCase):
    def test_one_that_was_on_its_way_when_the_gateway_went_is_left_out(self):
        away = [(10.0, 11.0)]
        for sent, latency_ms, touched in ((9.0, 100, False), (9.95, 1, False), (9.999, 5, True), (9.5, 600, True),
                                          (10.5, 1, True), (11.01, 1, True), (11.5, 1, False)):
            probe = audit.Probe(sent, latency_ms, 502, False, 0)
            self.assertIs(audit.touches_any(probe, away), touched, probe)


class Schedules(unittest.TestCase):
    def test_a_seed_is_a_schedule(self):
        one, again, other = (chaos.schedule(s, 600, {"kill"}) for s in (1, 1, 2))
        self.assertEqual(one, again)
        self.assertNotEqual(one, other)
        self.assertEqual({e.name for e in one}, {a.name for a in chaos.ACTS} - {"lie"})
        self.assertEqual(len({e.at_s for e in one}), len(one))
        self.assertNotIn("gateway", {e.name for e in chaos.schedule(1, 600, set())})

    def test_every_act_can_be_done(self):
        for act in chaos.ACTS:
            self.assertTrue(hasattr(chaos.Chaos, "do_" + act.name), act.name)

    def test_every_problem_that_may_be_excused_is_documented(self):
        known = habits.documented_problems(harness.SRCDIR / habits.API_DOCUMENT)
        self.assertLessEqual(set(habits.EXCUSES), set(known))


if __name__ == "__main__":
    unittest.main()
