"""The judges of ./dev soak, on runs that went wrong: each of them has to notice."""

import gzip
import http.client
import json
import pathlib
import sys
import threading
import types
import unittest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]
import audit  # noqa: E402
import chaos  # noqa: E402
import habits  # noqa: E402
import harness  # noqa: E402
import legacy  # noqa: E402
import oracle  # noqa: E402
import reference  # noqa: E402
import scripts  # noqa: E402

FETCHED = "2026-11-20T12:00:00Z"
FETCHED_S = oracle.instant(FETCHED)


def host_of(number):
    return 7 if number % 10 < 2 else 8


def record(number, policy, generation):
    record = dict.fromkeys(reference.ORDER)
    record |= {
        "id": number, "policyId": policy, "hostId": host_of(number), "status": "Passed", "exception": False,
        "previousStatus": "Failed", "previousException": False, "criticality": {"value": 3},
        "postureModifiedDate": f"2026-11-0{1 + generation}T00:00:00Z",
        "lastEvaluatedDate": "2026-11-09T00:00:00Z",
        "complianceLastScanDate": "2026-11-08T00:00:00Z",
        "evidence": {"expectedValues": "x", "extendedEvidence": "y"}, "causeOfFailure": {"missing": 1},
        "qds": 5, "cloudMetaData": {"cloudProvider": "GCP"},
    }
    return reference.parse(json.dumps(record))


def raw_record(number, policy, generation, version):
    """The same as a version sends it, as a list of pairs."""
    evidence = {"expectedValues": "x"}
    if version >= "2.0":
        evidence |= {"lastUpdated": "", "extendedEvidence": "y"}
    if version >= "3.0":
        evidence["description"] = "z"
    return [
        ("id", number), ("policyId", policy), ("status", "Passed*"), ("firstFailDate", ""),
        ("postureModifiedDate", f"2026-11-0{1 + generation}T00:00:00Z"), ("hostId", host_of(number)),
        ("evidence", evidence), ("causeOfFailure", {"missing": 1}),
        *([("auditTrail", {"skew": -1})] if version == "5.0" else []),
        ("currentDataSizeKB", "1.00"), ("totalDataSizeKB", "2.50"), ("currentBatch", 1),
        ("totalBatches", 2),
        *([("qds", 5)] if version == "5.0" else []),
        *([("cloudMetaData", {"cloudProvider": "GCP"})] if version >= "3.0" else []),
    ]


def compact(value):
    """JSON as the upstream writes it; records are lists of pairs."""
    return json.dumps([dict(pairs) for pairs in value], separators=(",", ":"))


class FakeData:
    """Two policies of four postures; those whose id is even change from generation to generation."""

    policies = [1001, 1002]
    active = set()
    hosts = {1001: [5, 6], 1002: [7]}

    subscription = 700100

    def __init__(self):
        self.raw = [{v: {p: {n: compact([raw_record(n, p, g if n % 2 == 0 else 0, v)])[1:-1]
                             for n in range(p * 10, p * 10 + 4)} for p in self.policies}
                     for v in oracle.VERSIONS} for g in range(3)]
        self.raw_lists = [{v: json.dumps({"subscriptionId": self.subscription, "policyList": [
            {"id": p, "lastEvaluatedDate": f"2026-11-0{g + 1}T00:00:00Z", "locked": 0} |
            ({"requireTagInfo": []} if v == "2.0" else {}) for p in self.policies]})
            for v in oracle.LIST_VERSIONS} for g in range(3)]
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


class OldAnswers(unittest.TestCase):
    """Answers in the upstream's own protocol, of a call for policy 1001."""

    ASKED_S = FETCHED_S + 5
    LIVE, ALONE = "posturegate; fwd=miss; collapsed", "posturegate; fwd=miss; stored"

    def setUp(self):
        self.timeline = oracle.Timeline()
        self.timeline.moves = [(0, 1, 0), (FETCHED_S + 10, FETCHED_S + 11, 1),
                               (FETCHED_S + 1000, FETCHED_S + 1001, 2)]
        self.data = FakeData()
        self.oracle = oracle.Oracle(self.data, self.timeline)
        self.judge = legacy.Judge(self.oracle, 60)
        self.consumer = habits.Consumer("old", legacy="allow")
        self.call = self.call_of("5.0", evidenceRequired="1", qdScoreRequired="1",
                                 cloudMetaDataRequired="1")

    def call_of(self, version, policies=(1001,), **params):
        return legacy.Call(version, {"compressionRequired": "0"} | params, [
            {"policyId": str(p), "subscriptionId": "700100", "hostIds": ["7", "8"]} for p in policies])

    def records(self, generation=0, ids=range(10010, 10014), version="5.0"):
        """As with all detail; those of even ids differ in each generation."""
        return [raw_record(i, i // 10, generation if i % 2 == 0 else 0, version) for i in ids]

    def whole(self, body, at_s=0, cache="posturegate; hit"):
        if not isinstance(body, bytes):
            body = compact(body).encode()
        at_s += self.ASKED_S
        return self.judge.whole(self.call, self.consumer, body, at_s, at_s + 1, cache)

    def broken(self, text):
        return self.judge.broken(self.call, self.consumer, text.encode(), self.ASKED_S,
                                 self.ASKED_S + 1, self.LIVE)

    def refused(self, body, text, **more):
        with self.assertRaisesRegex(oracle.Wrong, text):
            self.whole(body, **more)

    def changed(self, place=1, **members):
        """All four, of which one has other values; None takes a member away."""
        records = self.records()
        pairs = dict(records[place]) | members
        records[place] = [(k, v) for k, v in pairs.items() if v != "gone"]
        return records

    def test_right_answers_of_all_versions_pass(self):
        for version in legacy.VERSIONS:
            self.call = self.call_of(version, evidenceRequired="1", cloudMetaDataRequired="1",
                                     qdScoreRequired="1")
            records = self.records(version=version)
            self.assertEqual(self.whole(records), (4, len(compact(records))))
            del self.call.params["compressionRequired"]
            self.call.plain = False
            self.whole(gzip.compress(compact(records).encode()))

    def test_detail_that_was_not_asked_for_is_not_there(self):
        self.call = self.call_of("5.0")
        self.refused(self.records(), "qds.*too many")
        less = [[(k, None if k == "evidence" else v) for k, v in pairs
                 if k not in ("qds", "cloudMetaData")] for pairs in self.records()]
        self.whole(less)
        self.call = self.call_of("5.0", evidenceRequired="1", extendedEvidenceRequired="0")
        self.refused(less, "evidence is None")

    def test_evidence_for_one_who_may_not_see_it(self):
        self.whole(self.records())
        self.consumer.sees_evidence = False
        self.refused(self.records(), "evidence is")
        self.whole([[(k, None if k in oracle.HIDDEN else v) for k, v in pairs]
                    for pairs in self.records()])

    def test_values_that_differ(self):
        for name, value in (("status", "Passed"), ("status", "passed*"), ("firstFailDate", None),
                            ("hostId", "7"), ("hostId", 7.0), ("qds", 6), ("auditTrail", {"skew": -1.0})):
            self.refused(self.changed(**{name: value}), f"posture 10011: {name} is")

    def test_a_number_spelt_otherwise(self):
        self.refused(compact(self.records()).replace('"skew":-1', '"skew":-1.0').encode(), "auditTrail")

    def test_members_that_a_version_has_or_has_not(self):
        self.refused(self.changed(firstFailDate="gone"), "lacking")
        self.call = self.call_of("2.0", evidenceRequired="1")
        self.refused(self.records(version="3.0"), "cloudMetaData.*too many")
        self.refused(self.records(version="1.0"), "evidence is")

    def test_members_in_another_order(self):
        records = self.records()
        records[2][3], records[2][4] = records[2][4], records[2][3]
        self.refused(records, "posture 10012.*another order")

    def test_a_member_that_nobody_knows_may_stand_anywhere(self):
        self.whole([sorted(pairs, key=lambda pair: pair[0] == "auditTrail") for pairs in self.records()])

    def test_a_member_twice(self):
        text = compact(self.records()).replace('"hostId":7', '"hostId":7,"hostId":7', 1)
        self.refused(text.encode(), "member twice")

    def test_postureId_is_for_5_0_alone(self):
        for version, good in (("5.0", True), ("4.0", False)):
            self.call = self.call_of(version, evidenceRequired="1", qdScoreRequired="1",
                                     cloudMetaDataRequired="1")
            text = compact(self.records(version=version)).replace('{"id":10011', '{"postureId":10011')
            if good:
                self.whole(text.encode())
            else:
                self.refused(text.encode(), "begins with")

    def test_batches_and_sizes(self):
        for name, value in (("currentBatch", 3), ("currentBatch", 0), ("totalBatches", None),
                            ("currentBatch", "1"), ("totalDataSizeKB", 2.5), ("currentDataSizeKB", "")):
            self.refused(self.changed(**{name: value}), "posture 10011")
        self.whole(self.changed(currentBatch=7, totalBatches=9, totalDataSizeKB="0.01"))

    def test_records_lost_doubled_or_foreign(self):
        self.refused(self.records(ids=range(10010, 10013)), "3 records, 4 wanted")
        self.refused([], "0 records, 4 wanted")
        self.refused(self.records(ids=[10010, 10011, 10012, 10013, 10011]), "came twice")
        self.refused(self.records(ids=[10010, 10011, 10012, 10020]), "not asked for")
        self.refused(self.records(ids=[10010, 10011, 10012, 10013, 10014]), "foreign")
        self.call.elements[0]["hostIds"] = ["7"]
        self.refused(self.records(), "foreign")
        self.whole(self.records(ids=[10010, 10011]))

    def test_several_policies_each_by_itself(self):
        self.call = self.call_of("5.0", (1002, 1001), evidenceRequired="1", qdScoreRequired="1",
                                 cloudMetaDataRequired="1")
        second = range(10020, 10024)
        self.whole(self.records(ids=[*range(10010, 10014), *second]))
        self.whole(self.records() + self.records(1, ids=second), at_s=10)
        self.refused(self.records(), "0 records, 4 wanted")

    def test_by_posture_only_what_the_grant_shows(self):
        self.call = legacy.Call("5.0", self.call.params, spans=[(10012, 10021)], subscription=700100)
        self.whole(self.records(ids=[10012, 10013, 10020, 10021]))
        self.consumer.policies, self.consumer.sees_all = "1001", False
        self.refused(self.records(ids=[10012, 10013, 10020, 10021]), "foreign")
        self.whole(self.records(ids=[10012, 10013]))

    def test_filters(self):
        self.call = self.call_of("5.0", evidenceRequired="1", qdScoreRequired="1",
                                 cloudMetaDataRequired="1", statusChangedSince="2026-11-02")
        self.whole([])
        self.refused(self.records(), "foreign")
        self.whole(self.records(1, ids=[10010, 10012]), at_s=10)
        for name, value, there in (("status", "failed, Error", False), ("status", "passed", True),
                                   ("criticalityLabels", "minimal, SERIOUS", True),
                                   ("criticalityValues", "0,5", False),
                                   ("previousStatus", "Failed", True)):
            self.call = self.call_of("5.0", evidenceRequired="1", qdScoreRequired="1",
                                     cloudMetaDataRequired="1", **{name: value})
            self.whole(self.records() if there else [])

    def test_data_of_a_time_before_or_behind(self):
        self.refused(self.records(1), "postureModifiedDate")
        self.whole(self.records(0), at_s=60)
        self.refused(self.records(0), "postureModifiedDate", at_s=100)
        self.whole(self.records(1), at_s=100)
        self.judge.lasting = {1001}
        self.whole(self.records(0), at_s=100)

    def test_what_was_fetched_for_the_call_alone_is_of_its_time(self):
        self.whole(self.records(0), at_s=20, cache=self.LIVE)
        self.refused(self.records(0), "postureModifiedDate", at_s=20, cache=self.ALONE)
        self.whole(self.records(1), at_s=20, cache=self.ALONE)

    def test_two_generations_in_what_was_stored_host_by_host(self):
        old, new = self.records(0), self.records(1)
        self.refused(old[:2] + new[2:], "postureModifiedDate", at_s=-2)
        self.whole(old[:2] + new[2:], at_s=10)
        self.assertEqual(self.judge.seen["mixed"], 1)
        for records in (old, new):
            records.append(raw_record(10014, 1001, len(records) == 5, "5.0"))
        for number, g in ((10014, 0), (10014, 1)):
            self.data.generations[g][1001][number] = record(number, 1001, g)
            self.data.raw[g]["5.0"][1001][number] = compact([raw_record(number, 1001, g, "5.0")])[1:-1]
        within = [*old[:2], old[2], old[3], raw_record(10014, 1001, 1, "5.0")]
        self.oracle.wanted_cache.clear()
        self.refused(within, "posture", at_s=10)
        self.whole(within, at_s=10, cache=self.LIVE)

    def test_generations_with_another_one_between_them(self):
        self.timeline.moves[2] = (FETCHED_S + 400, FETCHED_S + 401, 2)
        self.judge.most_age_s = 1000
        old, new = self.records(0), self.records(2)
        self.refused(old[:2] + new[2:], "postureModifiedDate", at_s=500)
        self.whole(self.records(1)[:2] + new[2:], at_s=500)

    def test_a_clean_end_of_what_is_not_whole(self):
        text = compact(self.records()).encode()
        for cut in (text[:-1], text[:len(text) // 2], b"", text + b"]", text + b"\n<html>"):
            self.refused(cut, "not whole")
        self.call.plain = False
        packed = gzip.compress(text)
        for cut in (packed[:-1], packed[:-8], packed[:40], b""):
            self.refused(cut, "without the end|not whole|no gzip")
        self.refused(gzip.compress(text[:-1]), "not whole")
        self.refused(packed + packed, "behind the gzip")
        self.refused(text, "no gzip")
        self.call.plain = True
        self.refused(packed, "not whole|codec")

    def test_an_array_that_scripts_cannot_cut(self):
        text = compact(self.records())
        self.refused(text.replace('},{"id"', '}, {"id"', 1).encode(), "seams")
        self.refused(b"[ ]", "seams")
        self.refused(text.replace('"missing":1', '"missing":NaN', 1).encode(), "not whole")
        self.whole(text.replace('{"id":10013,', '{"id":10013, ').encode())

    def test_what_broke_off_was_right_so_far(self):
        text = compact(self.records())
        for at in (0, 1, 20, len(text) // 2, len(text) - 1, len(text)):
            self.broken(text[:at])
        lie = compact(self.changed(place=0, status="Failed"))
        self.broken(lie[:100])
        with self.assertRaisesRegex(oracle.Wrong, "before it broke off.*status"):
            self.broken(lie[:len(lie) // 2])
        with self.assertRaisesRegex(oracle.Wrong, "came twice"):
            self.broken(compact(self.records(ids=[10010, 10010, 10011]))[:-1])

    def test_what_broke_off_does_not_look_whole(self):
        with self.assertRaisesRegex(oracle.Wrong, "3 records, 4 wanted"):
            self.broken(compact(self.records(ids=range(10010, 10013))))
        with self.assertRaisesRegex(oracle.Wrong, "0 records, 4 wanted"):
            self.broken("[]")

    def test_hosts(self):
        def judge(elements, policies=(1001, 1002), since=None):
            return self.judge.hosts(self.consumer, policies, since, json.dumps(elements).encode(),
                                    self.ASKED_S, self.ASKED_S + 1)
        good = [{"policyId": "1001", "subscriptionId": "700100", "hostIds": ["5", "6"]},
                {"policyId": "1002", "subscriptionId": "700100", "hostIds": ["7"]}]
        self.assertEqual(judge(good)[1], 3)
        self.assertEqual(judge(good, None)[1], 3)
        for place, members in ((0, {"hostIds": ["5"]}), (0, {"hostIds": ["5", "6", "6"]}),
                               (0, {"hostIds": [5, 6]}), (1, {"subscriptionId": 700100}),
                               (1, {"policyId": "1003"}), (1, {"hostIds": [], "error": "x"}),
                               (1, {"more": 1})):
            with self.assertRaises(oracle.Wrong, msg=members):
                judge([e | members if i == place else e for i, e in enumerate(good)])
        for wrong in (good[:1], good[::-1], {}):
            with self.assertRaises(oracle.Wrong):
                judge(wrong)
        self.oracle.may_fail = {1002}
        judge([good[0], good[1] | {"hostIds": [], "error": "x"}])
        with self.assertRaises(oracle.Wrong):
            judge([good[0], good[1] | {"error": "x"}])
        self.data.hosts = {1001: [7, 8, 9]}   # 9 has no postures
        for hosts, right in ((["7", "8"], True), (["7", "8", "9"], True), (["7", "9"], False)):
            element = [good[0] | {"hostIds": hosts}]
            if right:
                judge(element, [1001], "2026-11-08")
            else:
                self.assertRaises(oracle.Wrong, judge, element, [1001], "2026-11-08")
        self.assertRaises(oracle.Wrong, judge, [good[0] | {"hostIds": ["7", "8"]}], [1001], "2026-11-09")

    def test_policy_lists(self):
        def judge(generation, version="1.0", change=None, at_s=0, **params):
            document = json.loads(self.data.raw_lists[generation][version])
            if change is not None:
                change(document)
            return self.judge.policies(self.consumer, version, params, json.dumps(document).encode(),
                                       self.ASKED_S + at_s, self.ASKED_S + at_s + 1)
        self.assertEqual(judge(0), 2)
        judge(0, "2.0", requireTagInfo="1")
        self.assertRaises(oracle.Wrong, judge, 0, "2.0")
        self.assertRaises(oracle.Wrong, judge, 1)
        judge(1, at_s=100)
        for change in (lambda d: d["policyList"].pop(), lambda d: d["policyList"].reverse(),
                       lambda d: d["policyList"][1].update(locked=False),
                       lambda d: d.update(subscriptionId="700100")):
            self.assertRaises(oracle.Wrong, judge, 0, change=change)
        judge(0, change=lambda d: d["policyList"].clear(), lastEvaluationDate="2026-11-02")
        self.consumer.policies, self.consumer.sees_all = "1002", False
        self.assertRaises(oracle.Wrong, judge, 0)
        judge(0, change=lambda d: d["policyList"].pop(0))


class OldErrors(unittest.TestCase):
    """What the scripts make of errors, broken transfers and headers."""

    LIMITS = {"X-RateLimit-Limit": "300", "X-RateLimit-Window-Sec": "3600", "X-RateLimit-Remaining": "300"}
    ENDING = {"Deprecation": "@1", "Sunset": "x", "Link": '</x>; rel="successor-version"'}

    def setUp(self):
        self.struck, self.ails, self.away = set(), False, False
        chaos_now = types.SimpleNamespace(struck=self.struck.__contains__,
                                          ailing=lambda since, until: self.ails,
                                          disturbed=lambda since, until: self.away)
        self.script = scripts.Script(types.SimpleNamespace(
            oracle=None, legacy_judge=None, chaos=chaos_now, stopping=threading.Event(),
            titles=legacy.known_titles(harness.SRCDIR / "gateway/base/status_table.h")),
            habits.Consumer("old", legacy="allow"), 1)

    def answer(self, status=200, message=None, headers=None, body=b"", seconds=1):
        headers = {"Content-Type": "application/json"} | (self.LIMITS if headers is None else headers)
        made = http.client.HTTPMessage()
        for name, value in headers.items():
            made[name] = value
        body = body if message is None else json.dumps({"message": message}).encode()
        return types.SimpleNamespace(status=status, headers=made, body=body, broke=None, began=100,
                                     ended=100 + seconds)

    def excused(self, answer, expect=(200,), version="5.0"):
        return self.script.is_excused("it", answer, version, "postureInfo", expect)

    def refused(self, answer, text, **more):
        with self.assertRaisesRegex(oracle.Wrong, text):
            self.excused(answer, **more)

    def test_an_error_that_is_expected(self):
        self.assertFalse(self.excused(self.answer()))
        self.assertFalse(self.excused(self.answer(400, "x"), (400,)))
        self.refused(self.answer(), "not ", expect=(400,))
        self.refused(self.answer(400, "x"), "without an excuse")
        self.refused(self.answer(204), "not ")

    def test_an_error_has_a_message_and_nothing_else(self):
        for body in (b"", b"[]", b"<html>", b'{"message":""}', b'{"message":"x","status":400}',
                     b'{"type":"/problems/bad-request"}'):
            self.refused(self.answer(400, body=body), "no message", expect=(400,))
        problem = self.answer(400, "x")
        problem.headers.replace_header("Content-Type", "application/problem+json")
        self.refused(problem, "no message", expect=(400,))

    def test_an_error_of_the_upstream_needs_chaos(self):
        down = self.answer(503, "The upstream is not available", self.LIMITS | {"Retry-After": "2"})
        self.refused(down, "without an excuse")
        self.struck.add("failure")
        self.assertTrue(self.excused(down))
        self.refused(self.answer(502, "The upstream is not available"), "without an excuse")
        self.refused(self.answer(503, "The upstream is not available"), "Retry-After")
        self.refused(self.answer(500, "An internal error"), "without an excuse")

    def test_not_ready_comes_after_the_wait(self):
        self.assertTrue(self.excused(self.answer(504, "The answer is not ready yet", seconds=80)))
        self.refused(self.answer(504, "The answer is not ready yet", seconds=20), "after 20")

    def test_an_error_of_nginx_needs_a_kill_and_no_headers(self):
        away = self.answer(502, next(iter(legacy.MESSAGES_OF_NGINX)), {})
        self.struck.add("kill")
        self.refused(away, "while the gateway was up")
        self.away = True
        self.assertTrue(self.excused(away))

    def test_every_answer_tells_the_limits(self):
        for name in self.LIMITS:
            for answer in (self.answer(headers=self.LIMITS | {name: ""}),
                           self.answer(400, "x", self.LIMITS | {name: "many"})):
                self.refused(answer, "X-RateLimit", expect=(200, 400))
        self.refused(self.answer(headers=self.LIMITS | {"X-RateLimit-Remaining": "301"}), "X-RateLimit")

    def test_versions_that_end_say_so(self):
        self.excused(self.answer(headers=self.LIMITS | self.ENDING), version="4.0")
        self.refused(self.answer(headers=self.LIMITS | self.ENDING), "Sunset", version="5.0")
        self.refused(self.answer(), "postureInfo 4.0", version="4.0")
        for name in self.ENDING:
            self.refused(self.answer(headers=self.LIMITS | {name: self.ENDING[name]}), "postureInfo 5.0")
            less = {k: v for k, v in self.ENDING.items() if k != name}
            self.refused(self.answer(headers=self.LIMITS | less), "postureInfo 1.0", version="1.0")

    def test_a_transfer_breaks_for_a_reason(self):
        def break_off(error, streams):
            self.script.broke_off("it", 0, error, streams)
        reset, silent = ConnectionResetError(), TimeoutError()
        self.assertRaises(oracle.Wrong, break_off, reset, True)
        self.ails = True
        break_off(reset, True)
        for error, streams in ((reset, False), (silent, True)):
            self.assertRaises(oracle.Wrong, break_off, error, streams)
        self.away = True
        for error, streams in ((reset, False), (silent, True)):
            break_off(error, streams)

    def test_a_stream_that_breaks_is_judged(self):
        judged = []
        self.script.judge_of = types.SimpleNamespace(broken=lambda *args: judged.append("broken"),
                                                     whole=lambda *args: judged.append("whole") or (0, 2))
        call = legacy.Call("5.0", {}, [{"policyId": "1", "hostIds": ["2"]}])
        answer = self.answer(headers=self.LIMITS | {"Cache-Status": "posturegate; hit"}, body=b"[]")
        self.script.judge_stream(call, answer)
        self.assertEqual(len(self.script.answered), 1)
        answer.broke = ConnectionResetError()
        self.assertRaises(oracle.Wrong, self.script.judge_stream, call, answer)
        self.ails = True
        self.script.judge_stream(call, answer)
        self.assertEqual((judged, len(self.script.answered)), (["whole", "broken"], 1))

    def test_trouble_is_known_until_its_end_and_a_little_longer(self):
        it = chaos.Chaos(None, None, None)
        self.assertFalse(it.ailing(0, 1000))
        it.ails.append([100, 110])
        for since, until, ails in ((0, 99, False), (0, 100, True), (111, 112, True),
                                   (111 + chaos.AILS_S, 200, False)):
            self.assertIs(it.ailing(since, until), ails)


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

    def test_the_migration_report_has_all_that_was_answered(self):
        key = ("old", "1.0", "hostids")
        answered = [(key, 10, 5, 100), (key, 200, 5, 100)]

        def wrong(calls, records=10, size=200, asked=3, kills=()):
            lost, texts = audit.judge_usage({key: (calls, records, size)}, {key: asked}, answered, kills)
            return lost, len(texts)
        self.assertEqual(wrong(2), (0, 0))
        self.assertEqual(wrong(3), (0, 0))
        for figures in ((1, 10, 200), (2, 9, 200), (2, 10, 199), (4, 10, 200)):
            self.assertEqual(wrong(*figures), (0, 1), figures)
        self.assertEqual(wrong(1, 5, 100, kills=[220]), (1, 0))
        self.assertEqual(wrong(1, 5, 100, kills=[20]), (1, 0))
        self.assertEqual(wrong(0, 0, 0, kills=[20]), (1, 1))
        self.assertEqual(wrong(1, 5, 100, kills=[120]), (0, 1))
        self.assertEqual(len(audit.judge_usage({}, {key: 3}, answered, [])[1]), 1)
        self.assertEqual(len(audit.judge_usage({key: (1, 0, 0)}, {}, [], [])[1]), 1)

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
