"""Counts of postures: those that the upstream's own records give, told as a page is."""

import collections
import gzip
import http.server
import itertools
import json
import threading

import harness
import reference

NOW = "2026-11-20T12:00:00Z"
TARGET = "/v1/postures/summary"
MEMBERS = ["status", "criticality", "policyId", "controlId", "hostId", "technologyId"]
STATUSES = ["Passed", "Failed", "Error", None]
UNKNOWN_ID = 9223372036854775807

# Records that lack what they should have, or have something else.
USUAL = {"policyId": 1001, "hostId": 5000001, "controlId": 4, "technologyId": 7,
         "criticality": {"label": "Often", "value": 3}, "status": "Passed"}
ODD = [{"status": "passed*"}, {"status": "Skipped"}, {"status": None}, {"criticality": None},
       {"criticality": {"label": "LOW", "value": 9}}, {"controlId": "none"}, {"technologyId": 0},
       {"policyId": None, "hostId": ""}]
RECORDS = [USUAL | {"id": n} | more for n, more in enumerate([{}, *ODD], 1)]


def value_of(posture, member):
    """What a posture is counted under: a number is an int, whatever is none of the values null."""
    value = posture[member]
    if member == "criticality":
        value = value and value["value"]
    if member == "status":
        return value if value in STATUSES else None
    return None if value is None else int(value)


def place(group):
    """By which groups are in order: null behind all others."""
    return [STATUSES.index(v) if name == "status" else (v is None, v)
            for name, v in group.items() if name != "count"]


def summary(postures, by):
    """What the gateway should answer, as a list of objects."""
    counts = collections.Counter(tuple(value_of(p, name) for name in by) for p in postures)
    groups = [dict(zip(by, key)) | {"count": count} for key, count in counts.items()]
    return sorted(groups, key=place)


def choices():
    """All sets of members, in their order."""
    for n in range(1, len(MEMBERS) + 1):
        yield from map(list, itertools.combinations(MEMBERS, n))


class Counting(harness.StackTest):
    @classmethod
    def setUpClass(cls):
        cls.share(simulator={"policies": 3, "hosts": 20, "controls": 15, "rate": 0, "concurrency": 0,
                             "now": NOW, "lowercase": 100},
                  settings={"upstream": {"hosts_per_call": 12}},
                  consumers=[harness.Consumer("test", force="true"),
                             harness.Consumer("red", policies="1001", evidence="false"),
                             harness.Consumer("blind", policies="1999")])
        cls.upstream = reference.Upstream(cls.shared.upstream, cls.shared.username,
                                          cls.shared.password)

    def data(self, consumer=0, **params):
        answer = self.shared.client(consumer).get(TARGET, **params)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertEqual(list(answer.json()), ["data", "result"])
        return answer.json()["data"]

    def same(self, got, wanted):
        self.assertEqual(got, wanted)
        self.assertEqual([list(g) for g in got], [list(g) for g in wanted], "members and their order")

    def test_counts_are_those_of_the_upstreams_records_by_whatever(self):
        postures = self.upstream.postures([1001, 1002]).values()
        for by in choices():
            with self.subTest(by=by):
                self.same(self.data(policy="1001,1002", by=by), summary(postures, by))

    def test_members_come_in_one_order_however_they_are_asked(self):
        wanted = self.data(policy=1001, by="status,policyId,hostId")
        self.assertEqual(list(wanted[0]), ["status", "policyId", "hostId", "count"])
        for query in ("by=hostId,policyId,status", "by=POLICYID&by=hostid&by=STATUS,status"):
            answer = self.shared.client().get(f"{TARGET}?policy=1001&{query}")
            self.assertEqual(answer.json()["data"], wanted)

    def test_without_by_it_is_by_status(self):
        client = self.shared.client()
        answer = client.get(TARGET, policy=1001)
        self.same(answer.json()["data"], summary(self.upstream.postures([1001]).values(), ["status"]))
        asked = client.get(TARGET, policy=1001, by="status")
        self.assertEqual((asked.body, asked.headers["ETag"]), (answer.body, answer.headers["ETag"]))

    def test_filters_filter_as_upstream(self):
        by = ["status", "criticality", "hostId"]
        hosts = [int(h) for h in self.upstream.hosts([1001])[0]["hostIds"]][3:8]
        cases = [
            (dict(status="Failed"), dict(status="Failed")),
            (dict(criticality="4,URGENT"), dict(criticalityValues="4,5")),
            (dict(changedSince="2026-10-01"), dict(statusChangedSince="2026-10-01")),
            (dict(inactive="exclude"), dict(excludeInactiveControl=1)),
            (dict(host=hosts), dict(hosts=set(hosts))),
        ]
        for ours, theirs in cases:
            with self.subTest(ours):
                wanted = summary(self.upstream.postures([1001], **theirs).values(), by)
                self.assertTrue(wanted)
                self.same(self.data(policy=1001, by=by, **ours), wanted)

    def test_postures_by_their_ids(self):
        wanted = self.upstream.postures([1001])
        ids = sorted(int(i) for i in wanted)[10:40]
        some = [p for p in wanted.values() if ids[0] <= int(p["id"]) <= ids[9]]
        self.same(self.data(posture=f"{ids[0]}-{ids[9]}", by="controlId,hostId"),
                  summary(some, ["controlId", "hostId"]))

    def test_nothing_is_counted_as_nothing(self):
        for params in (dict(policy=1001, changedSince="2099-01-01"), dict(posture=UNKNOWN_ID),
                       dict(policy=1003, host=UNKNOWN_ID), dict(policy=1777)):
            for by in ("status", "hostId", "criticality,technologyId"):
                with self.subTest(params, by=by):
                    self.assertEqual(self.data(by=by, **params), [])

    def test_it_is_the_result_of_the_pages(self):
        client = self.shared.client()
        query = dict(policy="1002,1003", status="Passed,Failed")
        page = client.get("/v1/postures", limit=1, **query).json()
        calls = self.shared.control.state()["apis"]["postureInfo"]["calls"]
        answer = client.get(TARGET, by="controlId", **query)
        self.assertRegex(answer.headers["Cache-Status"], r"^posturegate; hit; ttl=35\d\d$")
        self.assertEqual(answer.json()["result"], page["result"])
        self.assertEqual(sum(g["count"] for g in answer.json()["data"]), page["page"]["total"])
        self.assertEqual(self.shared.control.state()["apis"]["postureInfo"]["calls"], calls)

    # --- headers

    def test_the_validator_is_that_of_one_by(self):
        client = self.shared.client()
        tags = {client.get(TARGET, policy=1001, by=by).headers["ETag"] for by in choices()}
        self.assertEqual(len(tags), 63)
        tags |= {client.get("/v1/postures", policy=1001).headers["ETag"],
                 self.shared.client(1).get(TARGET, policy=1001).headers["ETag"]}
        self.assertEqual(len(tags), 65)
        first = client.get(TARGET, policy=1001, by="hostId")
        seen = {"If-None-Match": first.headers["ETag"]}
        again = client.get(TARGET, seen, policy=1001, by="hostId")
        self.assertEqual((again.status, again.body), (304, b""))
        for name in ("ETag", "Vary", "Cache-Control", "Cache-Status"):
            self.assertIn(name, again.headers)
        self.assertEqual(client.get(TARGET, seen, policy=1001, by="hostId,status").status, 200)
        self.assertEqual(client.get(TARGET, seen, policy=1001).status, 200)

    def test_head_is_get_without_the_body(self):
        client = self.shared.client()
        get = client.get(TARGET, policy=1001, by="hostId")
        head = client.request("HEAD", f"{TARGET}?policy=1001&by=hostId")
        self.assertEqual((head.status, head.body), (200, b""))
        for name in ("Content-Length", "Content-Type", "ETag", "Vary"):
            self.assertEqual(head.headers[name], get.headers[name], name)
        self.assertIsNone(get.headers["Link"])

    def test_freshness_is_told_as_of_a_page(self):
        client = self.shared.client()
        page = client.get("/v1/postures", policy=1001)
        answer = client.get(TARGET, policy=1001)
        self.assertEqual(answer.headers["Vary"], page.headers["Vary"])
        self.assertRegex(answer.headers["Age"], r"^\d+$")
        self.assertRegex(answer.headers["Cache-Control"], r"^private, max-age=3\d\d\d$")

    # --- grants

    def test_what_the_grant_does_not_cover_is_403(self):
        self.data(policy=1002)
        for policy in (1002, "1001,1002", 1888):
            answer = self.shared.client(1).get(TARGET, policy=policy)
            self.assertEqual(answer.status, 403, answer)
            self.assertIsNone(answer.headers["Cache-Status"])
        self.same(self.data(1, policy=1001, by="hostId"), self.data(policy=1001, by="hostId"))
        self.assertEqual(self.shared.client(key="").get(TARGET, policy=1001).status, 401)

    def test_by_posture_foreign_postures_are_not_counted(self):
        mine, foreign = (list(self.upstream.postures([p]).values())[:9] for p in (1001, 1002))
        asked = dict(posture=",".join(str(p["id"]) for p in mine + foreign))
        for by in (["status"], ["hostId"], MEMBERS):
            with self.subTest(by=by):
                self.same(self.data(by=by, **asked), summary(mine + foreign, by))
                self.same(self.data(1, by=by, **asked), summary(mine, by))
                self.same(self.data(2, by=by, **asked), [])
        counts = ("batches", "calls", "hostsAsked", "hostsSeen")
        seen = self.shared.client(1).get(TARGET, **asked).json()["result"]
        self.assertEqual([seen[name] for name in counts], [None] * 4)
        own = self.shared.client(1).get(TARGET, policy=1001).json()["result"]
        self.assertNotIn(None, [own[name] for name in counts])

    # --- what it does not take

    def test_every_wrong_parameter_is_named(self):
        cases = [
            ("policy=1001&fields=id&limit=5&cursor=x&format=json&partial=false",
             ["fields", "limit", "cursor", "format", "partial"]),
            ("by=status", ["policy"]),
            ("policy=1001&by=", ["by"]),
            ("policy=1001&by=status,", ["by"]),
            ("policy=1001&by=colour&sort=count", ["by", "sort"]),
            ("policy=1001&by=id", ["by"]),
            ("policyId=1001&group=status", ["policyId", "group", "policy"]),
            ("policy=1001&posture=5", ["posture", "policy"]),
        ]
        for query, wanted in cases:
            with self.subTest(query):
                answer = self.shared.client().get(f"{TARGET}?{query}")
                self.assertEqual(answer.status, 400, answer)
                self.assertEqual([e["parameter"] for e in answer.json()["errors"]], wanted)

    def test_there_is_get_alone(self):
        client = self.shared.client()
        answer = client.post(TARGET, {"policy": [1001]})
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD"))
        self.assertEqual(client.get(TARGET, {"Accept": "text/csv"}, policy=1001).status, 406)
        for target in (TARGET + "/", "/v1/postures/Summary", TARGET + "/1001"):
            self.assertEqual(client.get(target, policy=1001).status, 404, target)


class Fetching(harness.StackTest):
    """What is not there yet, or can no longer be had, is told as of a page."""

    def begin(self, simulator=None, **settings):
        self.it = self.stack(
            simulator={"policies": 2, "hosts": 5, "controls": 10, "rate": 0, "concurrency": 0} | (simulator or {}),
            settings={"upstream": {"retries": 0, "error_memory": "0s"}} | settings,
            consumers=[harness.Consumer("test", force="true")])
        return self.it.client(), self.it.control

    def test_a_slow_fetch_is_joined(self):
        client, control = self.begin()
        hold = control.hold(api="postureInfo")
        answer = client.get(TARGET, {"Prefer": "respond-async"}, policy=1001, by="hostId")
        self.assertEqual(answer.status, 202, answer)
        self.assertRegex(answer.headers["Location"], "^/v1/fetches/[0-9a-f]+$")
        self.assertIn("Retry-After", answer.headers)
        page = self.it.client().get("/v1/postures", {"Prefer": "respond-async"}, policy=1001)
        self.assertEqual(page.headers["Location"], answer.headers["Location"])
        control.wait(api="postureInfo", held=1)
        control.release(id=hold)
        answer = client.get(TARGET, {"Prefer": "wait=60"}, policy=1001, by="hostId")
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(len(answer.json()["data"]), answer.json()["result"]["hostsSeen"])
        self.assertEqual(control.state()["apis"]["postureInfo"]["calls"], 1)

    def test_only_what_is_stored(self):
        client, _ = self.begin()
        answer = client.get(TARGET, {"Cache-Control": "only-if-cached"}, policy=1001)
        self.assertEqual((answer.status, answer.json()["type"]), (504, "/problems/not-cached"))

    def test_what_is_old_stands_in_for_an_upstream_that_fails(self):
        client, control = self.begin(cache={"fresh_for": "1ms", "stale_for": "0s", "keep_for": "1h"})
        first = client.get(TARGET, policy=1001)
        control.fault("500", api="hostids", times=-1)
        stale = client.get(TARGET, policy=1001)
        self.assertEqual(stale.status, 200, stale)
        self.assertRegex(stale.headers["Cache-Status"], r"^posturegate; hit; ttl=-\d+$")
        self.assertEqual(stale.body, first.body)
        forced = client.get(TARGET, {"Cache-Control": "no-cache"}, policy=1001)
        self.assertEqual(forced.status, 503, forced)
        self.assertIn("cachedAge", forced.json())
        new = client.get(TARGET, policy=1002)
        self.assertEqual((new.status, new.json()["type"]), (503, "/problems/upstream-unavailable"))

    def test_too_many_groups_are_refused_and_fewer_are_not(self):
        # with all members a group has some 110 bytes: 8 MiB are 76,000
        client, _ = self.begin(simulator={
            "policies": 1, "hosts": 800, "controls": 110, "empty_hosts": 0, "evidence_bytes": 0,
            "large_every": 0, "nasty": False, "unknown_member": False})
        answer = client.get(TARGET, {"Prefer": "wait=60"}, policy=1001, by="hostId")
        self.assertEqual((answer.status, len(answer.json()["data"])), (200, 800))
        for headers in ({}, {"If-None-Match": answer.headers["ETag"]}):
            refused = client.get(TARGET, headers, policy=1001, by=MEMBERS)
            self.assertEqual(refused.status, 422, refused)
            self.assertEqual(refused.json()["type"], "/problems/too-many-groups")
            self.assertEqual(refused.headers["Cache-Control"], "no-store")
            self.assertIsNone(refused.headers["ETag"])
        fewer = client.get(TARGET, policy=1001, by="hostId,controlId,status", criticality="5")
        self.assertEqual(fewer.status, 200, fewer)


class Odd(harness.StackTest):
    """An upstream that has nothing but RECORDS."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status, body):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.startswith("/auth"):
                self.answer(201, b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0ZXN0In0.c2lnbmVk")
            else:
                self.answer(200, gzip.compress(json.dumps(RECORDS).encode()))

        def log_message(self, *args):
            pass

    def test_what_is_none_of_the_values_is_null(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        client = self.stack(upstream=f"http://127.0.0.1:{server.server_port}").client()
        wanted = {"status": ("Passed", 7, 2), "criticality": (3, 7, 2), "policyId": (1001, 8, 1),
                  "controlId": (4, 8, 1), "hostId": (5000001, 8, 1), "technologyId": (7, 8, 1)}
        for by, (value, count, others) in wanted.items():
            with self.subTest(by=by):
                answer = client.get(TARGET, posture="1-9", subscription=7, by=by)
                self.assertEqual(answer.status, 200, answer)
                self.assertEqual(answer.json()["data"], [{by: value, "count": count},
                                                         {by: None, "count": others}])


if __name__ == "__main__":
    harness.main()
