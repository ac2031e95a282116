"""Who may see what, as docs/api.md says it: keys, grants, fetches, quotas, administrators, and
browser applications of other origins."""

import json
import threading

import harness

UNKNOWN = 4611686018427387904
SIMULATOR = {"policies": 3, "hosts": 4, "controls": 6, "rate": 0, "concurrency": 0, "empty_hosts": 0}
ORIGIN = "https://app.example"


def posture_id(policy, host, control):
    """As the simulator numbers them (its README)."""
    return (policy - 1000) * 10**10 + host * 10**4 + control


def same_but_for_ids(answer):
    """An answer without what differs between any two: ids and moments."""
    headers = sorted((n.lower(), v) for n, v in answer.headers.items() if n.lower() != "date")
    body = {k: v for k, v in answer.json().items() if k != "instance"}
    return answer.status, headers, body


class Waiters:
    """As many requests of one query as may wait for its fetch, which must be under way. That they
    all do shows in the next ones: they are not let wait."""

    WORKERS = 64
    ROOM = WORKERS // 4
    MORE = 4

    def __init__(self, test, stack, consumer, **query):
        self.lock = threading.Lock()
        self.got = []

        def ask():
            client = harness.Client(stack.nginx_socket, stack.consumers[consumer].key)
            with client:
                answer = client.get("/v1/postures", {"Prefer": "wait=600"}, **query)
            with self.lock:
                self.got.append(answer)
        self.threads = [threading.Thread(target=ask) for _ in range(self.ROOM + self.MORE)]
        for thread in self.threads:
            thread.start()
            test.addCleanup(thread.join, harness.PATIENCE_S)
        harness.wait_until(lambda: len(self.got) >= self.MORE, "some are not let wait")
        self.turned_away = self.got[:self.MORE]

    def answers(self):
        """Those of the ones who waited."""
        for thread in self.threads:
            thread.join(harness.PATIENCE_S)
        assert len(self.got) == self.ROOM + self.MORE
        return self.got[self.MORE:]


class Keys(harness.StackTest):
    @classmethod
    def setUpClass(cls):
        old, new = harness.Consumer("turning"), harness.Consumer("turning")
        digests = f"{old.section()['key_sha256']}, {new.section()['key_sha256']}"
        old.grants["key_sha256"] = digests
        cls.share(simulator=SIMULATOR, consumers=[
            harness.Consumer("one"), old, harness.Consumer("late", expires="2020-01-01T00:00:00Z"),
            harness.Consumer("early", expires="2100-01-01T00:00:00Z")])
        cls.second_key = new.key

    def test_a_key_that_is_being_replaced_and_its_successor_both_hold(self):
        for key in (self.shared.consumers[1].key, self.second_key, self.shared.consumers[3].key):
            self.assertEqual(self.shared.client(key=key).get("/v1/fetches").status, 200)

    def test_every_bad_key_gets_the_same_answer_to_the_last_byte(self):
        good = self.shared.consumers[0].key
        keys = [None, "", "one", "one.", ".", "one.wrong", "nobody.wrong", good[:-1], good + "x",
                good.upper(), good.partition(".")[2], "x" * 8000, self.shared.consumers[2].key]
        client = self.shared.client(key="")
        seen = []
        for key in keys:
            for header in ("X-API-Key", "Authorization"):
                value = key if header == "X-API-Key" or key is None else f"Bearer {key}"
                answer = client.get("/v1/postures?policy=1001", {} if key is None else {header: value})
                self.assertEqual(answer.status, 401, (key, answer))
                seen.append(same_but_for_ids(answer))
        seen.append(same_but_for_ids(client.get("/v1/postures?policy=1001",
                                                {"Authorization": f"Basic {good}"})))
        for other in seen[1:]:
            self.assertEqual(other, seen[0])

    def test_a_key_elsewhere_is_no_key(self):
        client = self.shared.client(key="")
        for name in ("key", "api_key", "access_token"):
            answer = client.get("/v1/postures", policy=1001, **{name: self.shared.consumers[0].key})
            self.assertEqual(answer.status, 401, answer)

    def test_both_headers_are_refused_even_if_one_is_wrong(self):
        good = self.shared.consumers[0].key
        client = self.shared.client(key="")
        for one, other in ((good, good), (good, "x.y"), ("x.y", "x.y"), (good, "")):
            answer = client.get("/v1/postures?policy=1001",
                                {"X-API-Key": one, "Authorization": f"Bearer {other}"})
            self.assertEqual(answer.status, 400, answer)
            self.assertEqual(answer.json()["type"], "/problems/bad-request")

    def test_the_key_is_looked_at_before_the_query(self):
        answer = self.shared.client(key="one.wrong").get("/v1/postures", policy="x", bogus=1)
        self.assertEqual(answer.status, 401, answer)


class Grants(harness.StackTest):
    """One consumer with everything, and ones who may see less."""

    @classmethod
    def setUpClass(cls):
        cls.share(simulator=SIMULATOR, settings=harness.exactly({"request": {"max_age_floor": "1h"}}),
                  consumers=[
            harness.Consumer("all", force="true", admin="true"),
            harness.Consumer("red", policies="1001,1002", evidence="false"),
            harness.Consumer("plain", evidence="false")])
        cls.control = cls.shared.control

    def setUp(self):
        self.everyone, self.red, self.plain = (self.shared.client(i) for i in range(3))

    def calls(self):
        return self.control.state()["apis"]["postureInfo"]["calls"]

    def evidence_of(self, answer):
        """Everything in `evidence` and `causeOfFailure` of a page that is worth hiding."""
        texts = set()

        def walk(value):
            if isinstance(value, dict):
                for v in value.values():
                    walk(v)
            elif isinstance(value, list):
                for v in value:
                    walk(v)
            elif isinstance(value, str) and len(value) > 8:
                texts.add(json.dumps(value)[1:-1])
        shown = []
        for posture in answer.json()["data"]:
            walk([posture["evidence"], posture["causeOfFailure"]])
            shown.append(json.dumps({k: v for k, v in posture.items()
                                     if k not in ("evidence", "causeOfFailure")}))
        return {t for t in texts if not any(t in s for s in shown)}

    def test_without_evidence_not_a_byte_of_it_is_received_though_it_is_cached(self):
        query = dict(policy=1001, evidence="extended")
        one = posture_id(1001, 0, 1)
        whole = self.everyone.get("/v1/postures", **query, limit=1000)
        secrets = self.evidence_of(whole)
        self.assertGreater(len(secrets), 10)
        self.assertTrue(any(p["causeOfFailure"] for p in whole.json()["data"]))
        for target in (f"/v1/postures/{one}?evidence=extended", f"/v1/postures?posture={one}&evidence=extended"):
            self.assertEqual(self.everyone.get(target).status, 200)
        before = self.calls()
        for client in (self.red, self.plain):
            answers = [
                client.get("/v1/postures", **query, limit=1000),
                client.get("/v1/postures", **query, fields="evidence,causeOfFailure,id", limit=1000),
                client.get("/v1/postures", **query, fields="evidence"),
                client.get(f"/v1/postures/{one}?evidence=extended"),
                client.get(f"/v1/postures/{one}?evidence=extended&fields=evidence"),
                client.get("/v1/postures", posture=one, evidence="extended"),
                client.post("/v1/postures/query", {"policy": [1001], "evidence": "extended"}),
            ]
            answers += [client.get(answers[6].json()["page"]["next"])] if "next" in answers[6].json()["page"] else []
            first = client.get("/v1/postures", **query, limit=3).json()
            answers.append(client.get(first["page"]["next"]))
            answers.append(client.get("/v1/fetches"))
            for number, answer in enumerate(answers):
                with self.subTest(client=client.key.partition(".")[0], number=number):
                    self.assertEqual(answer.status, 200, answer)
                    text = answer.body.decode()
                    self.assertFalse([s for s in secrets if s in text])
                    data = answer.json()["data"]
                    for posture in data if isinstance(data, list) else [data]:
                        self.assertIsNone(posture.get("evidence"))
                        self.assertIsNone(posture.get("causeOfFailure"))
        self.assertEqual(self.calls(), before, "all of it was cached")

    def test_another_sight_of_the_same_result_has_another_validator(self):
        query = dict(policy=1001, evidence="basic")
        whole = self.everyone.get("/v1/postures", **query)
        hidden = self.plain.get("/v1/postures", {"If-None-Match": whole.headers["ETag"]}, **query)
        self.assertEqual(hidden.status, 200, hidden)
        self.assertNotEqual(hidden.headers["ETag"], whole.headers["ETag"])
        self.assertIn("Authorization", hidden.headers["Vary"])

    def test_asking_for_evidence_is_no_error(self):
        self.assertEqual(self.plain.get("/v1/postures", policy=1002, evidence="basic").status, 200)

    def test_what_the_grant_does_not_cover_looks_the_same_cached_or_not(self):
        self.assertEqual(self.everyone.get("/v1/postures", policy=1003).status, 200)
        before = self.calls()
        stored = self.red.get("/v1/postures", policy=1003)
        absent = self.red.get("/v1/postures", policy=1003, qds=True)
        unknown = self.red.get("/v1/postures", policy=999999)
        self.assertEqual(stored.status, 403, stored)
        self.assertEqual(same_but_for_ids(stored), same_but_for_ids(absent))
        self.assertEqual(same_but_for_ids(stored), same_but_for_ids(unknown))
        for headers in ({"Cache-Control": "only-if-cached"}, {"Cache-Control": "no-cache"},
                        {"Prefer": "respond-async"}):
            self.assertEqual(self.red.get("/v1/postures", headers, policy="1001,1003").status, 403)
        posted = self.red.post("/v1/postures/query", {"policy": [1001, 1003]})
        self.assertEqual(posted.status, 403, posted)
        self.assertEqual(self.calls(), before)

    def test_a_foreign_posture_and_an_unknown_one_look_the_same(self):
        foreign = posture_id(1003, 0, 1)
        self.assertEqual(self.everyone.get(f"/v1/postures/{foreign}").status, 200)
        for params in ("", "?evidence=extended", "?fields=id"):
            # twice: fetched for it, and out of the store
            for headers in ({}, {}, {"If-None-Match": "*"}):
                hidden = self.red.get(f"/v1/postures/{foreign}{params}", headers)
                unknown = self.red.get(f"/v1/postures/{UNKNOWN}{params}", headers)
                self.assertEqual(hidden.status, 404, hidden)
                self.assertEqual(same_but_for_ids(hidden), same_but_for_ids(unknown))

    def test_nor_does_the_fetch_tell_of_a_foreign_posture(self):
        foreign = posture_id(1003, 0, 2)
        seen = []
        for one in (foreign, UNKNOWN):
            accepted = self.red.get(f"/v1/postures/{one}?cloud=true", {"Prefer": "respond-async"})
            if accepted.status == 202:
                self.assertIsNone(accepted.json()["records"])
            self.red.get(f"/v1/postures/{one}?cloud=true")
            [fetch] = [f for f in self.red.get("/v1/fetches").json()["data"]
                       if f["query"] == f"q1;posture={one};cloud=true"]
            place = self.red.get(f"/v1/fetches/{fetch['id']}")
            self.assertEqual(place.status, 200, place)
            for f in (fetch, place.json()):
                for name in ("records", "bytes"):
                    self.assertIsNone(f[name])
                self.assertEqual(f["batches"], {"seen": None, "announced": None})
            seen.append({k: v for k, v in fetch.items() if k not in ("id", "query", "result", "seconds")})
        self.assertEqual(seen[0], seen[1])
        # who may see every policy sees the counts
        [fetch] = [f for f in self.everyone.get("/v1/fetches").json()["data"]
                   if f["query"] == f"q1;posture={foreign};cloud=true"]
        self.assertEqual(fetch["records"], 1)

    def test_totals_count_what_may_be_seen(self):
        mine, foreign = posture_id(1001, 0, 1), posture_id(1003, 0, 1)
        page = self.red.get("/v1/postures", posture=[mine, foreign, UNKNOWN]).json()
        self.assertEqual([p["id"] for p in page["data"]], [mine])
        self.assertEqual((page["page"]["count"], page["page"]["total"]), (1, 1))
        self.assertIsNone(page["result"]["hostsSeen"])

    def test_without_force_a_newer_answer_is_not_asked_for(self):
        self.everyone.get("/v1/postures", policy=1002)
        before = self.calls()
        for value in ("no-cache", "max-age=0", "max-age=1, no-cache"):
            answer = self.plain.get("/v1/postures", {"Cache-Control": value}, policy=1002)
            self.assertEqual(answer.status, 200, answer)
            self.assertIn("; hit; ttl=", answer.headers["Cache-Status"])
        self.assertEqual(self.calls(), before)
        answer = self.everyone.get("/v1/postures", {"Cache-Control": "no-cache"}, policy=1002)
        self.assertEqual(answer.headers["Cache-Status"], "posturegate; fwd=request; stored")
        self.assertGreater(self.calls(), before)

    def test_the_cursor_of_another_consumer_is_refused(self):
        after = self.everyone.get("/v1/postures", policy=1001, limit=2).json()["page"]["next"]
        answer = self.plain.get(after)
        self.assertEqual(answer.status, 400, answer)
        self.assertEqual(answer.json()["type"], "/problems/bad-cursor")

    def test_a_grant_that_shrank_ends_the_walk(self):
        stack = self.stack(simulator=SIMULATOR, consumers=[harness.Consumer("team")])
        client = stack.client()
        after = client.get("/v1/postures", policy=[1001, 1002], limit=2).json()["page"]["next"]
        stack.consumers[0].grants["policies"] = "1001"
        stack.restart_gateway()
        self.assertEqual(client.get(after).status, 403)

    def test_the_total_of_a_walk_is_of_the_grant_that_holds(self):
        """By posture and of the policy list the grant is a predicate on records."""
        stack = self.stack(simulator=SIMULATOR, consumers=[harness.Consumer("team", policies="1001,1002")])
        client = stack.client()
        walks = [client.get("/v1/policies", limit=1).json()["page"],
                 client.get("/v1/postures", posture=[posture_id(1001, 0, 1), posture_id(1002, 0, 1)],
                            limit=1).json()["page"]]
        self.assertEqual([page["total"] for page in walks], [2, 2])
        for policies, counts, totals in (("1001", (0, 0), (1, 1)), ("1002", (1, 1), (1, 1)), ("*", (1, 1), (3, 2))):
            stack.consumers[0].grants["policies"] = policies
            stack.restart_gateway()
            now = [client.get(page["next"]).json()["page"] for page in walks]
            self.assertEqual([page["count"] for page in now], list(counts))
            self.assertEqual([page["total"] for page in now], list(totals))

    def test_nor_do_the_calls_of_a_result_tell_of_what_is_hidden(self):
        """A call whose answer has a gap is made twice: there was something in it."""
        foreign = posture_id(1003, 0, 3)
        self.addCleanup(self.control.reset)
        for one in (foreign, UNKNOWN + 1):
            answer = self.red.get("/v1/postures", posture=one)
            self.assertEqual((answer.status, answer.json()["data"]), (200, []))
            for name in ("batches", "calls", "hostsAsked", "hostsSeen"):
                self.assertIsNone(answer.json()["result"][name])
            self.assertIsInstance(self.everyone.get("/v1/postures", posture=one).json()["result"]["calls"], int)

    # --- fetches

    def test_a_consumer_sees_its_own_fetches_and_those_of_its_policies(self):
        self.everyone.get("/v1/postures", policy=1002, previousStatus="Failed")
        self.everyone.get("/v1/postures", policy="1002,1003", previousStatus="Failed")
        self.everyone.get("/v1/postures", posture=posture_id(1001, 0, 3))
        self.red.get("/v1/postures", posture=posture_id(1001, 0, 4))
        shared, foreign = "q1;policy=1002;previousStatus=Failed", "q1;policy=1002,1003;previousStatus=Failed"
        by_posture = f"q1;posture={posture_id(1001, 0, 3)}"
        own = f"q1;posture={posture_id(1001, 0, 4)}"
        all_of_them = {f["query"]: f for f in self.everyone.get("/v1/fetches", limit=1000).json()["data"]}
        reds = {f["query"]: f for f in self.red.get("/v1/fetches", limit=1000).json()["data"]}
        self.assertTrue({shared, foreign, by_posture, own} <= all_of_them.keys())
        self.assertTrue({shared, own} <= reds.keys())
        self.assertFalse({foreign, by_posture} & reds.keys())
        self.assertEqual(reds[shared]["records"], all_of_them[shared]["records"])
        for query, status in ((shared, 200), (own, 200), (foreign, 404), (by_posture, 404)):
            answer = self.red.get(f"/v1/fetches/{all_of_them[query]['id']}")
            self.assertEqual(answer.status, status, answer)
        hidden = self.red.get(f"/v1/fetches/{all_of_them[foreign]['id']}")
        unknown = self.red.get("/v1/fetches/1")
        self.assertEqual(same_but_for_ids(hidden), same_but_for_ids(unknown))
        self.assertNotIn("consumer", all_of_them[own])

    def test_who_joined_a_fetch_may_look_at_it(self):
        """The place that a 202 names must be there for whoever got it."""
        mine = posture_id(1001, 0, 5)
        self.addCleanup(self.control.reset)
        for api, target in (("policyList", "/v1/policies?evaluatedSince=2001-02-03"),
                            ("postureInfo", f"/v1/postures?posture={mine}&qds=true")):
            with self.subTest(target):
                self.control.hold(api=api)
                place = self.everyone.get(target, {"Prefer": "respond-async"}).headers["Location"]
                self.assertEqual(self.red.get(place).status, 404, "not yet")
                joined = self.red.get(target, {"Prefer": "respond-async"})
                self.assertEqual((joined.status, joined.headers["Location"]), (202, place), joined)
                for _ in range(2):  # under way, and ended
                    seen = self.red.get(place)
                    self.assertEqual(seen.status, 200, seen)
                    self.assertIsNone(seen.json()["records"])
                    self.assertIn(seen.json()["id"],
                                  [f["id"] for f in self.red.get("/v1/fetches", limit=1000).json()["data"]])
                    self.control.release()
                    self.assertEqual(self.red.get(target).status, 200)

    def test_fetches_are_listed_newest_first_and_cut(self):
        for year in (2001, 2002, 2003):
            self.everyone.get("/v1/postures", policy=1001, evaluatedSince=f"{year}-01-01")
        listed = self.everyone.get("/v1/fetches", limit=3)
        self.assertEqual(listed.status, 200, listed)
        self.assertEqual(listed.headers["Cache-Control"], "no-store")
        self.assertIn("Authorization", listed.headers["Vary"])
        dates = [int(f["query"].rpartition("=")[2]) for f in listed.json()["data"]]
        self.assertEqual(dates, sorted(dates, reverse=True))
        self.assertEqual(len(dates), 3)
        self.assertEqual(self.everyone.request("HEAD", "/v1/fetches?limit=3").body, b"")
        for bad in ("limit=0", "limit=1001", "limit=x", "cursor=x", "policy=1001", "bogus=1"):
            answer = self.everyone.get(f"/v1/fetches?{bad}")
            self.assertEqual(answer.status, 400, answer)
            self.assertEqual([e["parameter"] for e in answer.json()["errors"]], [bad.partition("=")[0]])

    def test_a_long_query_is_cut_in_the_list_alone(self):
        hosts = list(range(5000001, 5000601))
        self.assertEqual(self.everyone.post("/v1/postures/query", {"policy": [1001], "host": hosts}).status, 200)
        listed = self.everyone.get("/v1/fetches", limit=1).json()["data"][0]
        self.assertTrue(listed["query"].startswith("q1;policy=1001;host=5000001,"))
        self.assertTrue(listed["query"].endswith("…"))
        self.assertLess(len(listed["query"]), 1100)
        whole = self.everyone.get(f"/v1/fetches/{listed['id']}").json()["query"]
        self.assertEqual(whole, "q1;policy=1001;host=" + ",".join(map(str, hosts)))

    def test_a_query_of_more_than_64_kib_is_not_kept_when_its_fetch_has_ended(self):
        hosts = list(range(5000001, 5009001))
        self.assertEqual(self.red.post("/v1/postures/query", {"policy": [1001], "host": hosts}).status, 200)
        listed = self.everyone.get("/v1/fetches", limit=1).json()["data"][0]

        def let_go():
            return self.everyone.get(f"/v1/fetches/{listed['id']}").json()["query"] is None
        harness.wait_until(let_go, "the fetch's thread is done with it")
        self.assertIsNone(self.everyone.get("/v1/fetches", limit=1).json()["data"][0]["query"])
        # who began it sees it still, without counts: whether its grant covers all of it is known no more
        seen = self.red.get(f"/v1/fetches/{listed['id']}")
        self.assertEqual((seen.status, seen.json()["query"], seen.json()["records"]), (200, None, None))

    # --- administrators

    def test_administration_is_for_administrators(self):
        for target in ("/admin/v1/fetches", "/admin/v1/budget", "/admin/v1/consumers", "/admin/v1/fetches/1"):
            answer = self.plain.get(target)
            self.assertEqual(answer.status, 403, answer)
            self.assertEqual(answer.json()["type"], "/problems/forbidden")
            self.assertEqual(self.shared.client(key="").get(target).status, 401)
        self.assertEqual(self.plain.request("DELETE", "/admin/v1/fetches/1").status, 403)
        for target in ("/admin", "/admin/", "/admin/v1", "/admin/v1/nothing", "/admin/v2/budget"):
            self.assertEqual(self.everyone.get(target).status, 404)
            self.assertEqual(self.plain.get(target).status, 404)
        answer = self.everyone.request("DELETE", "/admin/v1/budget")
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD"))
        answer = self.everyone.request("POST", "/admin/v1/fetches/1", {"Content-Type": "application/json"}, "{}")
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD, DELETE"))
        self.assertEqual(self.everyone.request("DELETE", "/v1/fetches/1").status, 405)

    def test_consumers_are_listed_without_their_keys(self):
        answer = self.everyone.get("/admin/v1/consumers")
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["Cache-Control"], "no-store")
        listed = {c["name"]: c for c in answer.json()["data"]}
        self.assertEqual(list(listed), ["all", "red", "plain"])
        self.assertEqual(listed["red"] | {"quota": None}, {
            "name": "red", "policies": [1001, 1002], "evidence": False, "force": False, "admin": False,
            "expires": None, "legacy": "strict", "legacyUntil": None, "quota": None})
        self.assertEqual(listed["all"]["policies"], "*")
        self.assertTrue(listed["all"]["admin"])
        self.assertIsNone(listed["red"]["quota"]["queries"])
        text = answer.body.decode()
        for consumer in self.shared.consumers:
            self.assertNotIn(consumer.section()["key_sha256"], text)
            self.assertNotIn(consumer.key.partition(".")[2], text)

    def test_the_budget_is_shown(self):
        self.everyone.get("/v1/postures", policy=1001)
        answer = self.everyone.get("/admin/v1/budget")
        self.assertEqual(answer.status, 200, answer)
        apis = {a["api"]: a for a in answer.json()["data"]}
        self.assertEqual(set(apis), {"policyList", "hostids", "postureInfo"})
        info = apis["postureInfo"]
        self.assertEqual((info["rate"]["calls"], info["rate"]["windowSeconds"]), (1000, 60))
        self.assertGreater(info["rate"]["used"], 0)
        self.assertEqual((info["concurrency"]["used"], info["queued"], info["closedForSeconds"]),
                         (0, {"interactive": 0, "background": 0}, 0))

    def test_names_of_consumers_are_for_administrators(self):
        self.red.get("/v1/postures", policy=1001, status="Error", criticality=2)
        wanted = "q1;policy=1001;status=Error;criticality=2"
        listed = self.everyone.get("/admin/v1/fetches", limit=1000).json()["data"]
        self.assertEqual([f["consumer"] for f in listed if f["query"] == wanted], ["red"])
        place = next(f["id"] for f in listed if f["query"] == wanted)
        self.assertEqual(self.everyone.get(f"/admin/v1/fetches/{place}").json()["consumer"], "red")
        for client in (self.red, self.plain, self.everyone):
            for target in ("/v1/fetches?limit=1000", f"/v1/fetches/{place}", "/v1/postures?policy=1001",
                           "/admin/v1/consumers" if client is not self.everyone else "/v1/fetches"):
                self.assertNotIn('"consumer"', client.get(target).body.decode())


class Cancelling(harness.StackTest):
    @classmethod
    def setUpClass(cls):
        # one call at a time: the others wait in the budget
        cls.share(simulator=SIMULATOR, settings={
            "gateway": {"workers": Waiters.WORKERS}, "request": {"wait_max": "10m"},
            "upstream": {"hosts_per_call": 1, "concurrency": 1, "retries": 0, "rate_pinned": "true"},
            "cache": {"fresh_for": "1ms", "stale_for": "1ms", "keep_for": "1h"}},
            consumers=[harness.Consumer("admin", admin="true", policies="1001", force="true"),
                       harness.Consumer("team", force="true")])
        cls.control = cls.shared.control

    def setUp(self):
        self.addCleanup(self.control.reset)
        self.admin, self.team = self.shared.client(0), self.shared.client(1)

    def begin(self, **query):
        """A fetch whose first call for postures is held at the upstream; its path for admins."""
        self.control.hold(api="postureInfo")
        accepted = self.team.get("/v1/postures", {"Prefer": "respond-async"}, **query)
        self.assertEqual(accepted.status, 202, accepted)
        self.control.wait(api="postureInfo", held=1)
        return "/admin" + accepted.headers["Location"]

    def cancel(self, place):
        """Returns the fetch once it has ended: while a call is under way that may take a moment."""
        answer = self.admin.request("DELETE", place)
        self.assertIn(answer.status, (200, 202), answer)
        return harness.wait_until(lambda: (lambda f: f if f["state"] == "cancelled" else None)(
            self.admin.get(place).json()), "the fetch has ended")

    def test_everyone_who_waits_is_told(self):
        place = self.begin(policy=1002)
        waiters = Waiters(self, self.shared, 1, policy=1002)
        ended = self.cancel(place)
        self.assertEqual((ended["consumer"], ended["problem"]), ("team", "/problems/cancelled"))
        self.assertIsNone(ended["result"])
        for answer in waiters.answers():
            self.assertEqual(answer.status, 503, answer)
            self.assertEqual(answer.json()["type"], "/problems/cancelled")
            self.assertGreater(int(answer.headers["Retry-After"]), 0)

    def test_one_that_takes_its_time_to_end_says_where_and_when_to_look(self):
        place = self.begin(policy=1002, evidence="basic")
        waiters = Waiters(self, self.shared, 1, policy=1002, evidence="basic")
        # nobody else may wait, and a call that is under way ends in a moment, not at once
        answer = self.admin.request("DELETE", place)
        self.assertEqual(answer.status, 202, answer)
        self.assertEqual(answer.headers["Location"], place)
        self.assertGreater(int(answer.headers["Retry-After"]), 0)
        self.assertEqual({a.status for a in waiters.answers()}, {503})
        self.assertEqual(self.admin.get(answer.headers["Location"]).json()["state"], "cancelled")

    def test_calls_that_wait_are_taken_back(self):
        place = self.begin(policy=1001)
        self.assertEqual(self.admin.get(place).json()["calls"]["planned"], 4)
        budget = {a["api"]: a for a in self.admin.get("/admin/v1/budget").json()["data"]}["postureInfo"]
        self.assertEqual((budget["concurrency"]["used"], budget["queued"]["interactive"]), (1, 3))
        self.cancel(place)

        def budget():
            return {a["api"]: a for a in self.admin.get("/admin/v1/budget").json()["data"]}["postureInfo"]
        self.assertEqual(budget()["queued"]["interactive"], 0)
        # the one that was made may run upstream for a moment more
        harness.wait_until(lambda: budget()["concurrency"]["used"] == 0, "its place is free")
        self.control.release()
        calls = self.control.state()["apis"]["postureInfo"]["calls"]
        # it is no fault of the upstream: the next one asks at once, and gets it
        answer = self.team.get("/v1/postures", policy=1001)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(self.control.state()["apis"]["postureInfo"]["calls"], calls + 4)

    def test_an_older_result_stands_in(self):
        first = self.team.get("/v1/postures", policy=1003)
        self.assertEqual(first.status, 200, first)
        place = self.begin(policy=1003)
        waiters = Waiters(self, self.shared, 1, policy=1003)
        self.cancel(place)
        for answer in waiters.answers():
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(answer.json()["result"]["id"], first.json()["result"]["id"])
            self.assertRegex(answer.headers["Cache-Status"], r"^posturegate; hit; ttl=-\d+$")

    def test_what_has_ended_cannot_be_cancelled(self):
        answer = self.team.get("/v1/postures", policy=1001, qds=True)
        self.assertEqual(answer.status, 200, answer)
        [fetch] = [f for f in self.team.get("/v1/fetches").json()["data"]
                   if f["query"] == "q1;policy=1001;qds=true"]
        for _ in range(2):
            again = self.admin.request("DELETE", f"/admin/v1/fetches/{fetch['id']}")
            self.assertEqual(again.status, 409, again)
            self.assertEqual(again.json()["type"], "/problems/fetch-ended")
        self.assertEqual(self.team.get(f"/v1/fetches/{fetch['id']}").json()["state"], "complete")

    def test_an_unknown_fetch_is_404(self):
        for text in ("1", "0", "xyz", "ffffffffffffffffffff"):
            self.assertEqual(self.admin.request("DELETE", f"/admin/v1/fetches/{text}").status, 404)

    def test_cancelled_while_it_waits_for_its_turn(self):
        held = self.begin(policy=1001, cloud=True)
        waiting = self.team.get("/v1/postures", {"Prefer": "respond-async"}, policy=1002, cloud=True)
        place = "/admin" + waiting.headers["Location"]
        harness.wait_until(lambda: self.admin.get(place).json()["state"] == "fetching", "its hosts are known")
        answer = self.admin.request("DELETE", place)
        self.assertEqual((answer.status, answer.json()["state"]), (200, "cancelled"), answer)
        self.assertEqual(self.admin.get(held).json()["state"], "fetching")
        self.control.release()
        whole = self.team.get("/v1/postures", policy=1001, cloud=True)
        self.assertEqual(whole.status, 200, whole)


class Quota(harness.StackTest):
    @classmethod
    def setUpClass(cls):
        cls.share(simulator=SIMULATOR, settings={"cache": {"stale_for": "0s", "containment": "false"},
                                                 'cache "policy 1002"': {"fresh_for": "1ms"}},
                  consumers=[harness.Consumer("admin", admin="true", quota=3),
                             harness.Consumer("few", quota=3, force="true"),
                             harness.Consumer("three", quota=3), harness.Consumer("old", quota=1),
                             harness.Consumer("joins", quota=1), harness.Consumer("free", force="true"),
                             harness.Consumer("herd", quota=1)])
        cls.control = cls.shared.control

    def used(self, name):
        return {c["name"]: c["quota"] for c in
                self.shared.client().get("/admin/v1/consumers").json()["data"]}[name]

    def spent(self, answer):
        self.assertEqual(answer.status, 429, answer)
        problem = answer.json()
        self.assertEqual((problem["type"], problem["status"]), ("/problems/quota-exceeded", 429))
        wait = int(answer.headers["Retry-After"])
        self.assertTrue(3540 < wait <= 3660, wait)
        return problem

    def test_beyond_it_what_is_cached_is_served_and_the_rest_refused(self):
        few, free = self.shared.client(1), self.shared.client(5)
        for year in range(2001, 2004):
            self.assertEqual(few.get("/v1/postures", policy=1001, evaluatedSince=f"{year}-01-01").status, 200)
        self.assertEqual(self.used("few"), {"queries": 3, "used": 3})
        before = self.control.state()["apis"]
        self.spent(few.get("/v1/postures", policy=1001, evaluatedSince="2004-01-01"))
        self.spent(few.get(f"/v1/postures/{posture_id(1001, 0, 1)}"))
        problem = self.spent(few.get("/v1/postures", {"Cache-Control": "no-cache"}, policy=1001,
                                     evaluatedSince="2001-01-01"))
        self.assertIsInstance(problem["cachedAge"], int)
        self.assertEqual(self.control.state()["apis"], before)
        hit = few.get("/v1/postures", policy=1001, evaluatedSince="2002-01-01")
        self.assertIn("; hit; ttl=", hit.headers["Cache-Status"])
        # others have their own, and what they fetch is there for all
        self.assertEqual(free.get("/v1/postures", policy=1001, evaluatedSince="2004-01-01").status, 200)
        self.assertEqual(few.get("/v1/postures", policy=1001, evaluatedSince="2004-01-01").status, 200)
        self.assertEqual(self.used("few"), {"queries": 3, "used": 3})

    def test_a_thousand_cold_queries_of_one_are_three_for_the_upstream(self):
        three, free = self.shared.client(2), self.shared.client(5)
        before = self.control.state()["apis"]["postureInfo"]["calls"]
        statuses = [three.get("/v1/postures", policy=1003,
                              changedSince=f"2001-01-01T00:{n // 60:02}:{n % 60:02}Z").status for n in range(1000)]
        self.assertEqual(statuses, [200] * 3 + [429] * 997)
        self.assertEqual(self.control.state()["apis"]["postureInfo"]["calls"], before + 3)
        self.assertEqual(free.get("/v1/postures", policy=1003).status, 200)

    def test_an_older_result_stands_in_and_says_why(self):
        old = self.shared.client(3)
        self.assertEqual(old.get("/v1/postures", policy=1002).status, 200)
        calls = self.control.state()["apis"]["postureInfo"]["calls"]
        answer = old.get("/v1/postures", policy=1002)
        self.assertEqual(answer.status, 200, answer)
        self.assertRegex(answer.headers["Cache-Status"], r"^posturegate; hit; ttl=-\d+; detail=quota$")
        self.assertEqual(self.control.state()["apis"]["postureInfo"]["calls"], calls)

    def test_joining_the_fetch_of_another_is_free(self):
        joins, free = self.shared.client(4), self.shared.client(5)
        hold = self.control.hold(api="postureInfo")
        begun = free.get("/v1/postures", {"Prefer": "respond-async"}, policy=1001, qds=True)
        joined = joins.get("/v1/postures", {"Prefer": "respond-async"}, policy=1001, qds=True)
        self.assertEqual((begun.status, joined.status), (202, 202))
        self.assertEqual(joined.headers["Location"], begun.headers["Location"])
        self.assertEqual(self.used("joins")["used"], 0)
        # its own fetch counts once, however often it asks
        for _ in range(3):
            own = joins.get("/v1/postures", {"Prefer": "respond-async"}, policy=1001, cloud=True)
            self.assertEqual(own.status, 202, own)
        self.spent(joins.get("/v1/postures", policy=1003, cloud=True))
        # nor does an empty quota keep it from joining
        again = joins.get("/v1/postures", {"Prefer": "respond-async"}, policy=1001, qds=True)
        self.assertEqual(again.status, 202, again)
        self.control.release(id=hold)
        self.assertEqual(joins.get("/v1/postures", policy=1001, qds=True).status, 200)
        self.assertEqual(self.used("joins"), {"queries": 1, "used": 1})

    def test_many_at_once_who_ask_the_same_count_once(self):
        got = []

        def ask():
            with harness.Client(self.shared.nginx_socket, self.shared.consumers[6].key) as client:
                got.append(client.get("/v1/postures", policy=1001, inactive="exclude").status)
        threads = [threading.Thread(target=ask) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(harness.PATIENCE_S)
        self.assertEqual(got, [200] * 40)
        self.assertEqual(self.used("herd"), {"queries": 1, "used": 1})

    def test_administrators_have_one_too(self):
        admin = self.shared.client(0)
        for year in range(2011, 2014):
            self.assertEqual(admin.get("/v1/postures", policy=1001, scannedSince=f"{year}-01-01").status, 200)
        self.spent(admin.get("/v1/postures", policy=1001, scannedSince="2014-01-01"))


class Preferences(harness.StackTest):
    @classmethod
    def setUpClass(cls):
        cls.share(simulator=SIMULATOR, settings={
            "request": {"wait_max": "10m", "wait_default": "10ms"}, "gateway": {"workers": Waiters.WORKERS}})
        cls.control = cls.shared.control

    def setUp(self):
        self.addCleanup(self.control.reset)
        self.client = self.shared.client()

    def fresh(self, **more):
        type(self).number = getattr(self, "number", 0) + 1
        return dict(policy=1001, changedSince=f"2001-01-01T00:{self.number // 60:02}:{self.number % 60:02}Z")

    def ask(self, prefer, **query):
        answer = self.client.get("/v1/postures", {"Prefer": prefer} if prefer else {}, **query)
        return answer.status, answer.headers["Preference-Applied"]

    def test_what_was_heeded_is_told_on_a_202(self):
        self.control.hold(api="postureInfo")
        for prefer, applied in ((None, None), ("wait=1", "wait=1"), ("wait=0", "wait=0"),
                                ("respond-async", "respond-async"), ("wait=0, wait=99", "wait=0"),
                                ("respond-async, wait=0", "respond-async, wait=0"),
                                ("handling=strict", None), ("wait=-1", None), ("wait=soon", None)):
            with self.subTest(prefer):
                self.assertEqual(self.ask(prefer, **self.fresh()), (202, applied))

    def test_and_on_what_was_waited_for(self):
        query = self.fresh()
        self.assertEqual(self.ask("wait=9999", **query), (200, "wait=600"))
        # nobody waited for what was there
        self.assertEqual(self.ask("wait=600", **query), (200, None))
        self.assertEqual(self.ask("respond-async", **query), (200, None))
        self.control.fault("403", api="postureInfo", times=-1)
        self.assertEqual(self.ask("wait=60", **self.fresh()), (503, "wait=60"))

    def test_where_too_many_wait_already_nobody_else_does(self):
        self.control.hold(api="postureInfo")
        query = self.fresh()
        self.client.get("/v1/postures", {"Prefer": "respond-async"}, **query)
        waiters = Waiters(self, self.shared, 0, **query)
        for answer in waiters.turned_away:
            self.assertEqual((answer.status, answer.headers["Preference-Applied"]), (202, "wait=0"), answer)
        self.control.release()
        for answer in waiters.answers():
            self.assertEqual((answer.status, answer.headers["Preference-Applied"]), (200, "wait=600"), answer)


class Browsers(harness.StackTest):
    ASK = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET",
           "Access-Control-Request-Headers": "authorization"}

    @classmethod
    def setUpClass(cls):
        cls.share(simulator=SIMULATOR, settings={"request": {"origins": f"http://localhost:3000, {ORIGIN}"}},
                  consumers=[harness.Consumer("all", force="true", admin="true"),
                             harness.Consumer("red", policies="1001")])

    def none(self, answer):
        self.assertFalse([n for n in answer.headers if n.lower().startswith("access-control-")], answer.headers)

    def test_a_preflight_is_answered_before_the_key_is_looked_at(self):
        client = self.shared.client(key="")
        for target, methods in (("/v1/postures?policy=1&what=ever", "GET, HEAD"), ("/v1/postures/query", "POST"),
                                ("/v1/postures/17", "GET, HEAD"), ("/v1/fetches", "GET, HEAD"),
                                ("/admin/v1/fetches/1", "GET, HEAD, DELETE"), ("/healthz", "GET, HEAD")):
            answer = client.request("OPTIONS", target, self.ASK)
            self.assertEqual((answer.status, answer.body), (204, b""), answer)
            self.assertIsNone(answer.headers["Content-Length"])
            self.assertEqual(answer.headers["Access-Control-Allow-Origin"], ORIGIN)
            self.assertEqual(answer.headers["Access-Control-Allow-Methods"], methods)
            allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
            for name in ("authorization", "x-api-key", "content-type", "accept", "if-none-match", "cache-control",
                         "prefer"):
                self.assertIn(name, allowed)
            self.assertGreater(int(answer.headers["Access-Control-Max-Age"]), 0)
            self.assertIsNone(answer.headers["Access-Control-Allow-Credentials"])
            self.assertEqual(answer.headers["Vary"],
                             "Access-Control-Request-Method, Access-Control-Request-Headers, Origin")
        # the connection is none the worse for it
        self.assertEqual(client.get("/healthz").status, 200)

    def test_who_is_not_listed_sees_no_such_header(self):
        client = self.shared.client()
        for origin in ("https://evil.example", "null", "http://app.example", ORIGIN + ":443", ORIGIN + "/",
                       ORIGIN + ".evil.example", "HTTPS://APP.EXAMPLE", "*"):
            with self.subTest(origin):
                answer = client.request("OPTIONS", "/v1/postures", self.ASK | {"Origin": origin})
                self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD"))
                self.none(answer)
                answer = client.get("/v1/postures", {"Origin": origin}, policy=1001)
                self.assertEqual(answer.status, 200, answer)
                self.none(answer)
                self.assertIn("Origin", answer.headers["Vary"].split(", "))

    def test_an_origin_that_came_twice_is_none(self):
        twice = self.shared.raw(f"OPTIONS /v1/postures HTTP/1.1\r\nHost: x\r\nOrigin: {ORIGIN}\r\nOrigin: {ORIGIN}\r\n"
                                "Access-Control-Request-Method: GET\r\nConnection: close\r\n\r\n".encode())
        self.assertIn(b" 405 ", twice.split(b"\r\n")[0])
        self.assertNotIn(b"Access-Control-", twice)

    def test_what_is_no_preflight_is_405(self):
        client = self.shared.client()
        answer = client.request("OPTIONS", "/v1/postures", {"Origin": ORIGIN})
        self.assertEqual(answer.status, 405, answer)
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], ORIGIN)
        answer = client.request("OPTIONS", "/v1/postures", {"Access-Control-Request-Method": "GET"})
        self.assertEqual(answer.status, 405, answer)
        self.none(answer)
        self.assertEqual(client.request("OPTIONS", "/nothing", self.ASK).status, 404)

    def test_every_answer_can_be_read(self):
        """Whatever the status: an application must see why."""
        everyone, red, nobody = self.shared.client(), self.shared.client(1), self.shared.client(key="")
        origin = {"Origin": ORIGIN}
        first = everyone.get("/v1/postures", origin, policy=1001)
        self.shared.control.hold(api="postureInfo")
        self.addCleanup(self.shared.control.reset)
        answers = [
            (200, first),
            (200, everyone.get("/v1/fetches", origin)),
            (200, nobody.get("/healthz", origin)),
            (202, everyone.get("/v1/postures", origin | {"Prefer": "respond-async"}, policy=1001, qds=True)),
            (304, everyone.get("/v1/postures", origin | {"If-None-Match": first.headers["ETag"]}, policy=1001)),
            (400, everyone.get("/v1/postures", origin)),
            (401, nobody.get("/v1/postures", origin)),
            (403, red.get("/v1/postures", origin, policy=1002)),
            (404, everyone.get("/nothing", origin)),
            (405, everyone.request("DELETE", "/v1/postures", origin)),
            (406, everyone.get("/v1/postures", origin | {"Accept": "text/html"}, policy=1001)),
            (414, everyone.get("/v1/postures?" + "x" * 8300, origin)),
            (504, everyone.get("/v1/postures", origin | {"Cache-Control": "only-if-cached"}, policy=1003)),
        ]
        for status, answer in answers:
            with self.subTest(status):
                self.assertEqual(answer.status, status, answer)
                self.assertEqual(answer.headers.get_all("Access-Control-Allow-Origin"), [ORIGIN])
                exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
                for name in ("ETag", "Age", "Link", "Location", "Retry-After", "Cache-Status", "Preference-Applied",
                             "Deprecation", "Sunset", "WWW-Authenticate"):
                    self.assertIn(name, exposed)
                self.assertEqual(len(answer.headers.get_all("Vary")), 1)
                self.assertIn("Origin", answer.headers["Vary"].split(", "))
                self.assertIsNone(answer.headers["Access-Control-Allow-Credentials"])

    def test_every_answer_varies_by_origin_without_one_too(self):
        for answer in (self.shared.client().get("/v1/postures", policy=1001), self.shared.client(key="").get("/x")):
            self.assertIn("Origin", answer.headers["Vary"].split(", "))
            self.none(answer)

    def test_without_the_setting_there_is_nothing_of_it(self):
        stack = self.stack(simulator=SIMULATOR)
        client = stack.client()
        answer = client.request("OPTIONS", "/v1/postures", self.ASK)
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD"))
        self.none(answer)
        self.assertIsNone(answer.headers["Vary"])
        answer = client.get("/v1/postures", {"Origin": ORIGIN}, policy=1001)
        self.none(answer)
        self.assertNotIn("Origin", answer.headers["Vary"])


if __name__ == "__main__":
    harness.main()
