"""The policy list and the hosts of a policy: the upstream's own, in pages, cached like postures."""

import json
import threading

import harness
import reference
from test_life import at_once

MEMBERS = ["id", "title", "status", "locked", "createdBy", "createdDate", "modifiedBy",
           "modifiedDate", "lastEvaluatedDate", "subscriptionId"]
LIST = "/pcrs/2.0/posture/policy/list"


def calls(stack, api):
    return stack.control.state()["apis"][api]["calls"]


class Upstream(reference.Upstream):
    def policies(self, **params):
        """What the gateway should answer for the policy list."""
        target = LIST + ("?" + harness.query_string(params) if params else "")
        answer = json.loads(self.authorized("GET", target))
        for policy in answer["policyList"]:
            policy["subscriptionId"] = answer["subscriptionId"]
            policy["locked"] = bool(policy["locked"])
        return [{name: policy[name] for name in MEMBERS} for policy in answer["policyList"]]

    def host_records(self, policy):
        element = self.hosts([policy])[0]
        return [{"policyId": policy, "subscriptionId": int(element["subscriptionId"]), "hostId": host}
                for host in sorted(map(int, element["hostIds"]))]


class Reading(harness.StackTest):
    @classmethod
    def setUpClass(cls):
        cls.share(simulator={"policies": 11, "hosts": 30, "controls": 3, "rate": 0, "concurrency": 0},
                  consumers=[harness.Consumer("all", force="true"),
                             harness.Consumer("red", policies="1001"),
                             harness.Consumer("two", policies="1002,1005,4242"),
                             harness.Consumer("nobodys", policies="4242")])
        cls.upstream = Upstream(cls.shared.upstream, cls.shared.username, cls.shared.password)

    def setUp(self):
        self.client = self.shared.client()

    def walk(self, target, **params):
        """The records of a walk, each page's Link checked against its next."""
        got = []
        for page in self.client.pages(target, **params):
            self.assertLessEqual(len(page["data"]), params.get("limit", 100))
            self.assertEqual(page["page"]["count"], len(page["data"]))
            if "next" in page["page"]:
                self.assertTrue(page["page"]["next"].startswith(target + "?cursor="), page["page"])
            got += page["data"]
        self.assertEqual(page["page"]["total"], len(got))
        return got

    def next_of(self, target, client=None, **params):
        return (client or self.client).get(target, **params).json()["page"]["next"]

    def test_the_list_is_the_upstreams_in_every_page_size(self):
        wanted = self.upstream.policies()
        self.assertEqual(len(wanted), 11)
        self.assertEqual({True, False}, {p["locked"] for p in wanted})
        for limit in (1, 4, 11, 1000):
            with self.subTest(limit=limit):
                got = self.walk("/v1/policies", limit=limit)
                self.assertEqual(got, wanted)
                self.assertEqual([list(p) for p in got], [MEMBERS] * 11)

    def test_since_is_as_upstream_and_a_result_of_its_own(self):
        everything = self.client.get("/v1/policies").json()
        dates = sorted(p["lastEvaluatedDate"] for p in everything["data"])
        for date in (dates[0], dates[5], dates[5][:10], dates[-1]):
            with self.subTest(date):
                wanted = self.upstream.policies(lastEvaluationDate=date)
                self.assertEqual(wanted, [p for p in everything["data"] if p["lastEvaluatedDate"] >= date])
                self.assertGreater(len(wanted), 0)
                self.assertEqual(self.walk("/v1/policies", evaluatedSince=date, limit=3), wanted)
        later = self.client.get("/v1/policies", evaluatedSince="2100-01-01").json()
        self.assertEqual((later["data"], later["page"]["total"]), ([], 0))
        self.assertNotEqual(later["result"]["id"], everything["result"]["id"])
        # a date alone is its first second: no second call
        before = calls(self.shared, "policyList")
        again = self.client.get("/v1/policies", evaluatedSince="2100-01-01T00:00:00Z").json()
        self.assertEqual(again["result"]["id"], later["result"]["id"])
        self.assertEqual(calls(self.shared, "policyList"), before)

    def test_hosts_are_those_that_the_policy_resolves_to(self):
        for policy, limit in ((1001, 7), (1004, 1000)):
            with self.subTest(policy=policy):
                got = self.walk(f"/v1/policies/{policy}/hosts", limit=limit)
                self.assertEqual(got, self.upstream.host_records(policy))
                self.assertEqual(len(got), 30)
                self.assertEqual(list(got[0]), ["policyId", "subscriptionId", "hostId"])

    def test_results_say_how_they_came_to_be(self):
        policies = self.client.get("/v1/policies").json()["result"]
        self.assertEqual(policies["upstreamVersion"], "2.0")
        self.assertEqual((policies["complete"], policies["calls"], policies["batches"]), (True, 1, 0))
        self.assertEqual((policies["hostsAsked"], policies["hostsSeen"]), (0, 0))
        hosts = self.client.get("/v1/policies/1006/hosts").json()["result"]
        self.assertEqual(hosts["upstreamVersion"], "5.0")
        self.assertEqual((hosts["complete"], hosts["calls"], hosts["batches"]), (True, 1, 0))
        self.assertEqual((hosts["hostsAsked"], hosts["hostsSeen"]), (30, 30))
        self.assertNotIn("hostErrors", hosts)

    def test_link_leads_where_next_does(self):
        for target in ("/v1/policies", "/v1/policies/1001/hosts"):
            answer = self.client.get(target, limit=3)
            self.assertEqual(answer.headers["Link"], f'<{answer.json()["page"]["next"]}>; rel="next"')
            more = self.client.get(answer.json()["page"]["next"] + "&limit=5").json()
            self.assertEqual((more["page"]["limit"], len(more["data"])), (5, 5))

    def test_a_second_call_is_a_hit_and_costs_nothing(self):
        for target, api in (("/v1/policies", "policyList"), ("/v1/policies/1003/hosts", "hostids")):
            with self.subTest(target):
                first = self.client.get(target)
                before = calls(self.shared, api)
                again = self.client.get(target, limit=2)
                self.assertRegex(again.headers["Cache-Status"], "^posturegate; hit; ttl=3[56]")
                self.assertEqual(again.json()["result"], first.json()["result"])
                self.assertEqual(calls(self.shared, api), before)

    def test_validators_and_head(self):
        for target in ("/v1/policies", "/v1/policies/1002/hosts"):
            with self.subTest(target):
                get = self.client.get(target, limit=2)
                head = self.client.request("HEAD", target + "?limit=2")
                self.assertEqual((head.status, head.body), (200, b""))
                for name in ("Content-Length", "Content-Type", "ETag", "Link", "Vary", "Cache-Control"):
                    self.assertEqual(head.headers[name].split("max-age")[0], get.headers[name].split("max-age")[0])
                same = self.client.get(target, headers={"If-None-Match": get.headers["ETag"]}, limit=2)
                self.assertEqual((same.status, same.body), (304, b""))
                other = self.client.get(target, headers={"If-None-Match": get.headers["ETag"]}, limit=3)
                self.assertEqual(other.status, 200)

    def test_a_cursor_is_for_its_own_endpoint(self):
        cursors = {"/v1/policies": self.next_of("/v1/policies", limit=3),
                   "/v1/policies/1001/hosts": self.next_of("/v1/policies/1001/hosts", limit=3),
                   "/v1/policies/1002/hosts": self.next_of("/v1/policies/1002/hosts", limit=3),
                   "/v1/postures": self.next_of("/v1/postures", policy=1001, limit=3)}
        for made_at, link in cursors.items():
            cursor = link.partition("?cursor=")[2]
            for target in cursors:
                with self.subTest(made_at=made_at, shown_at=target):
                    answer = self.client.get(target, cursor=cursor)
                    self.assertEqual(answer.status, 200 if target == made_at else 400, answer)
                    if target != made_at:
                        self.assertEqual(answer.json()["type"], "/problems/bad-cursor")
            posted = self.client.post("/v1/postures/query", {"cursor": cursor})
            self.assertEqual(posted.status, 200 if made_at == "/v1/postures" else 400, posted)

    def test_a_cursor_is_for_its_own_consumer(self):
        answer = self.shared.client(2).get(self.next_of("/v1/policies/1002/hosts", limit=3))
        self.assertEqual(answer.json()["type"], "/problems/bad-cursor", answer)

    def test_a_consumer_sees_the_policies_of_its_grant(self):
        wanted = {p["id"]: p for p in self.upstream.policies()}
        self.client.get("/v1/policies")
        before = calls(self.shared, "policyList")
        for consumer, ids in ((1, [1001]), (2, [1002, 1005]), (3, [])):
            with self.subTest(consumer=consumer):
                client = self.shared.client(consumer)
                answer = client.get("/v1/policies").json()
                self.assertEqual(answer["data"], [wanted[i] for i in ids])
                self.assertEqual((answer["page"]["total"], answer["page"]["count"]), (len(ids), len(ids)))
                self.assertNotIn("next", answer["page"])
                self.assertEqual([answer["result"][n] for n in ("batches", "hostsAsked", "hostsSeen")], [None] * 3)
        # one result for all of them, walked as one would walk a whole one
        pages = list(self.shared.client(2).pages("/v1/policies", limit=1))
        self.assertEqual([[p["id"] for p in page["data"]] for page in pages], [[1002], [1005]])
        self.assertEqual(calls(self.shared, "policyList"), before)

    def test_hosts_of_anothers_policy_are_forbidden_cached_or_not(self):
        walk = self.next_of("/v1/policies/1002/hosts", limit=3).partition("?cursor=")[2]
        before = calls(self.shared, "hostids")
        red = self.shared.client(1)
        for target in ("/v1/policies/1002/hosts", "/v1/policies/1007/hosts", "/v1/policies/777/hosts",
                       f"/v1/policies/1002/hosts?cursor={walk}"):
            for headers in ({}, {"Cache-Control": "only-if-cached"}):
                answer = red.get(target, headers=headers)
                self.assertEqual(answer.status, 403, (target, answer))
                self.assertEqual(answer.json()["type"], "/problems/forbidden")
        self.assertEqual(calls(self.shared, "hostids"), before)
        self.assertEqual(red.get("/v1/policies/1001/hosts").status, 200)

    def test_paths_and_methods(self):
        for target in ("/v1/policies/", "/v1/policies/1001", "/v1/policies/0/hosts", "/v1/policies/x/hosts",
                       "/v1/policies/01001/hosts", "/v1/policies/9223372036854775808/hosts",
                       "/v1/policies/1001/hosts/", "/v1/policies/1001/hosts/1", "/v1/policies//hosts",
                       "/v1/policies/1001/Hosts"):
            answer = self.client.get(target)
            self.assertEqual(answer.status, 404, (target, answer))
            self.assertEqual(answer.json()["type"], "/problems/not-found")
        for target in ("/v1/policies", "/v1/policies/1001/hosts"):
            answer = self.client.post(target, {})
            self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD"), answer)
            self.assertEqual(self.shared.client(key="").get(target).status, 401)

    def test_parameters_of_others_are_refused(self):
        for target, names in (("/v1/policies?policy=1001&fields=id&bogus=1", ["policy", "fields", "bogus"]),
                              ("/v1/policies?evaluatedSince=never&limit=0", ["evaluatedSince", "limit"]),
                              ("/v1/policies?lastEvaluationDate=2026-01-01", ["lastEvaluationDate"]),
                              ("/v1/policies/1001/hosts?evaluatedSince=2026-01-01", ["evaluatedSince"]),
                              ("/v1/policies/1001/hosts?policy=1001&format=json&subscription=1",
                               ["policy", "format", "subscription"]),
                              ("/v1/policies?cursor=x&evaluatedSince=2026-01-01", ["cursor", "evaluatedSince"])):
            answer = self.client.get(target)
            self.assertEqual(answer.status, 400, (target, answer))
            self.assertEqual([e["parameter"] for e in answer.json()["errors"]], names, target)

    def test_a_slow_list_is_202_and_its_fetch_is_for_those_who_may_see_it(self):
        red, everything = self.shared.client(1), self.shared.client(0)
        for target, sees in (("/v1/policies?evaluatedSince=2020-01-01", 404), ("/v1/policies/1001/hosts", 200),
                             ("/v1/policies/1002/hosts", 404)):
            with self.subTest(target):
                place = everything.get(target, headers={"Prefer": "respond-async", "Cache-Control": "no-cache"})
                self.assertEqual(place.status, 202, place)
                location = place.headers["Location"]
                self.assertEqual(red.get(location).status, sees)

                def ended():
                    fetch = everything.get(location).json()
                    return fetch if fetch["state"] == "complete" else None
                fetch = harness.wait_until(ended, "the fetch is complete")
                self.assertEqual(fetch["calls"], {"done": 1, "planned": 1})
                self.assertEqual(fetch["records"], 30 if "hosts" in target else 11)
                self.assertGreater(fetch["bytes"], 0)
                self.assertEqual(everything.get(target).json()["result"]["id"], fetch["result"])
        own = red.get("/v1/policies?evaluatedSince=2020-01-02", headers={"Prefer": "respond-async"})
        self.assertEqual(red.get(own.headers["Location"]).status, 200)


class Life(harness.StackTest):
    TARGETS = (("/v1/policies", "policyList"), ("/v1/policies/1001/hosts", "hostids"))

    def run_stack(self, **settings):
        return self.stack(simulator={"policies": 3, "hosts": 20, "controls": 3, "rate": 0, "concurrency": 0},
                          settings={"upstream": {"retries": 0, "retry_delay": "1ms"}} | settings)

    def test_concurrent_callers_make_one_fetch(self):
        stack = self.run_stack()
        for target, api in self.TARGETS:
            with self.subTest(target):
                hold = stack.control.hold(api=api)
                clients = [stack.client() for _ in range(20)]
                answers = []
                herd = threading.Thread(target=lambda: answers.extend(at_once(
                    20, lambda n: clients[n].get(target, headers={"Prefer": "wait=60"}))))
                herd.start()
                stack.control.wait(api=api, held=1)
                stack.control.release(id=hold)
                herd.join()
                self.assertEqual([a.status for a in answers], [200] * 20)
                self.assertEqual(len({a.json()["result"]["id"] for a in answers}), 1)
                self.assertEqual(calls(stack, api), 1)

    def test_stale_is_served_and_refreshed_behind(self):
        stack = self.run_stack(cache={"fresh_for": "1ms", "stale_for": "1h"})
        client = stack.client()
        for target, _ in self.TARGETS:
            first = client.get(target).json()["result"]["id"]

            def newer():
                answer = client.get(target)
                self.assertRegex(answer.headers["Cache-Status"], "^posturegate; hit; ttl=(-|0)")
                return answer.json()["result"]["id"] != first
            harness.wait_until(newer, "the refresh behind has come")

    def test_stale_stands_in_while_the_upstream_fails(self):
        stack = self.run_stack(cache={"fresh_for": "1ms", "stale_for": "1ms", "keep_for": "1h"})
        client = stack.client()
        first = [client.get(target).json() for target, _ in self.TARGETS]
        stack.simulator.kill()
        for (target, _), wanted in zip(self.TARGETS, first):
            def stand_in():
                answer = client.get(target)
                self.assertEqual(answer.status, 200, answer)
                self.assertEqual(answer.json(), wanted)
                return "; hit; ttl=-" in answer.headers["Cache-Status"]
            harness.wait_until(stand_in, "an answer")

    def test_freshness_is_the_policys_for_hosts_and_the_overall_one_for_the_list(self):
        stack = self.run_stack(**{"cache": {"fresh_for": "1h"}, 'cache "policy 1001"': {"fresh_for": "1m"}})
        client = stack.client()
        for target, least, most in (("/v1/policies", 3500, 3600), ("/v1/policies/1002/hosts", 3500, 3600),
                                    ("/v1/policies/1001/hosts", 0, 60)):
            client.get(target)
            ttl = int(client.get(target).headers["Cache-Status"].rpartition("ttl=")[2])
            self.assertTrue(least <= ttl <= most, (target, ttl))

    def test_a_restart_keeps_lists_and_walks(self):
        stack = self.run_stack()
        client = stack.client()
        walks = [client.get(target, limit=2).json() for target, _ in self.TARGETS]
        before = [calls(stack, api) for _, api in self.TARGETS]
        stack.restart_gateway()
        client = stack.client()
        for (target, _), walk in zip(self.TARGETS, walks):
            self.assertEqual(client.get(target, limit=2).json(), walk)
            self.assertEqual(client.get(walk["page"]["next"]).status, 200)
        self.assertEqual([calls(stack, api) for _, api in self.TARGETS], before)

    def test_a_stored_list_tells_the_subscription(self):
        stack = self.run_stack(cache={"fresh_for": "1h"})
        client = stack.client()
        ids = [p["id"] for p in client.get("/v1/postures", policy=1001, limit=3).json()["data"]]
        cold = client.get("/v1/postures", posture=ids[0]).json()
        self.assertEqual((cold["result"]["calls"], calls(stack, "policyList")), (2, 1))
        client.get("/v1/policies")
        known = client.get("/v1/postures", posture=ids[1:]).json()
        self.assertEqual([p["id"] for p in known["data"]], ids[1:])
        self.assertEqual((known["result"]["calls"], calls(stack, "policyList")), (1, 2))

    def test_hosts_that_a_fresh_resolution_has_are_not_looked_for_again(self):
        stack = self.stack(simulator={"policies": 2, "hosts": 6, "controls": 3, "rate": 0, "empty_hosts": 0})
        client = stack.client()
        hosts = [h["hostId"] for h in client.get("/v1/policies/1001/hosts").json()["data"]]

        def postures(policy, hosts, before):
            page = client.get("/v1/postures", policy=policy, host=hosts, limit=1000).json()
            self.assertEqual(calls(stack, "hostids"), before, "hosts that are known, or not")
            return page
        page = postures(1001, hosts[:3], 1)
        self.assertEqual({p["hostId"] for p in page["data"]}, set(hosts[:3]))
        self.assertEqual((page["result"]["hostsAsked"], page["result"]["hostsSeen"]), (3, 3))
        # one that it does not have may be there by now; of another policy nothing is known
        self.assertEqual({p["hostId"] for p in postures(1001, [hosts[0], 4242], 2)["data"]}, {hosts[0]})
        postures(1002, hosts[:3], 3)
        self.assertEqual(client.get("/v1/postures", policy=1001).json()["page"]["total"], 18)
        self.assertEqual(calls(stack, "hostids"), 3, "all hosts, as they were a moment ago")
        client.get("/v1/postures", {"Cache-Control": "no-cache"}, policy=1001, host=hosts[:3])
        self.assertEqual(calls(stack, "hostids"), 4, "forced is forced")

    def test_a_stale_or_empty_list_tells_no_subscription(self):
        stack = self.run_stack(cache={"fresh_for": "1ms"})
        client = stack.client()
        posture = client.get("/v1/postures", policy=1001, limit=1).json()["data"][0]["id"]
        client.get("/v1/policies")
        answer = client.get("/v1/postures", posture=posture).json()
        self.assertEqual((answer["result"]["calls"], calls(stack, "policyList")), (2, 2))
        stack = self.run_stack(cache={"fresh_for": "1h"})
        client = stack.client()
        stack.control.fault("204", api="policyList", times=1)
        self.assertEqual(client.get("/v1/policies").json()["data"], [])
        answer = client.get("/v1/postures", posture=posture).json()
        self.assertEqual([p["id"] for p in answer["data"]], [posture])

    def test_a_refetch_does_not_disturb_a_walk(self):
        stack = self.run_stack()
        client = stack.client()
        first = client.get("/v1/policies", limit=1).json()
        stack.control.set(policies=9, generation=3)
        newer = client.get("/v1/policies", headers={"Cache-Control": "no-cache"}).json()
        self.assertEqual(newer["page"]["total"], 9)
        rest = list(client.pages(first["page"]["next"]))
        self.assertEqual([p["result"]["id"] for p in rest], [first["result"]["id"]] * 2)
        self.assertEqual([p["id"] for page in [first] + rest for p in page["data"]], [1001, 1002, 1003])


class Faults(harness.StackTest):
    @classmethod
    def setUpClass(cls):
        cls.share(simulator={"policies": 2, "hosts": 5, "controls": 2, "rate": 0, "concurrency": 0},
                  settings={"upstream": {"retries": 1, "retry_delay": "1ms"}})
        cls.control = cls.shared.control
        cls.client = cls.shared.client()

    def setUp(self):
        self.addCleanup(self.control.reset)
        self.addCleanup(self.control.set, unknown_policy="error", policies=2)

    def fetch(self, target, api, value=None, fault="body", **members):
        """The answer to `target`, fetched anew, where the upstream's answer has that fault."""
        self.control.reset()
        if value is not None:
            members["value"] = value if isinstance(value, str) else json.dumps(value)
        self.control.fault(fault, api=api, times=-1, **members)
        return self.client.get(target, headers={"Cache-Control": "no-cache"})

    def list_of(self, value):
        return self.fetch("/v1/policies", "policyList", value)

    def hosts_of(self, value, policy=1001):
        return self.fetch(f"/v1/policies/{policy}/hosts", "hostids", value)

    def refused(self, answer, status=502, slug="upstream-bad-data"):
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.json()["type"], f"/problems/{slug}")
        self.assertNotIn("simulated", answer.body.decode())

    def test_types_are_ours_whatever_they_were(self):
        answer = self.list_of({"subscriptionId": "12", "policyList": [
            {"id": "31", "locked": "1", "createdDate": "", "tags": [1], "status": "active"}]})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json()["data"], [dict.fromkeys(MEMBERS) | {
            "id": 31, "locked": True, "status": "active", "subscriptionId": 12}])
        answer = self.hosts_of([{"policyId": 1001, "subscriptionId": 12, "hostIds": ["9", 7, "9"]}])
        self.assertEqual([h["hostId"] for h in answer.json()["data"]], [7, 9])

    def test_a_list_that_is_not_one_is_no_answer(self):
        policy = {"id": 1}
        for value in ("", "[]", "{}", "<html>simulated</html>", {"policyList": [policy, policy]},
                      {"policyList": [policy, {"id": 2}, {"id": "1"}]}, {"policyList": [{"title": "x"}]},
                      {"policyList": policy}, {"subscriptionId": "x", "policyList": []},
                      '{"policyList":[{"id":1}]', '{"policyList":[{"id":1,}]}', '{"policyList":[]}{}',
                      '{"policyList":[{"id":1,"id":1}]}', '{"error":"simulated"}'):
            with self.subTest(value=value):
                self.refused(self.list_of(value))
        self.refused(self.list_of('{"policyList":[{"id":1,"title":' + "[" * 100 + "]" * 100 + "}]}"),
                     502, "upstream-too-large")

    def test_no_policies_is_an_answer(self):
        for answer in (self.list_of({"subscriptionId": 1, "policyList": []}), self.list_of({"policyList": None}),
                       self.fetch("/v1/policies", "policyList", fault="204")):
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual((answer.json()["data"], answer.json()["page"]["total"]), ([], 0))
            self.assertIs(answer.json()["result"]["complete"], True)

    def test_statuses_are_told_as_ever(self):
        for target, api in (("/v1/policies", "policyList"), ("/v1/policies/1001/hosts", "hostids")):
            for fault, status, slug in (("403", 503, "upstream-forbidden"), ("404", 502, "upstream-retired"),
                                        ("500", 503, "upstream-unavailable"), ("gzip_cut", 502, "upstream-bad-data"),
                                        ("gzip_bad_crc", 502, "upstream-bad-data"),
                                        ("body_cut", 502, "upstream-bad-data"),
                                        ("html", 502, "upstream-bad-data")):
                with self.subTest(target=target, fault=fault):
                    self.refused(self.fetch(target, api, fault=fault), status, slug)

    def test_a_failed_refetch_leaves_the_good_result(self):
        self.control.reset()
        for target, api in (("/v1/policies", "policyList"), ("/v1/policies/1002/hosts", "hostids")):
            good = self.client.get(target, headers={"Cache-Control": "no-cache"}).json()
            failed = self.fetch(target, api, "[{}]")
            self.refused(failed)
            self.assertGreaterEqual(failed.json()["cachedAge"], 0)
            self.assertEqual(self.client.get(target).json(), good)

    def test_a_passing_fault_is_mended_by_another_try(self):
        for target, api in (("/v1/policies", "policyList"), ("/v1/policies/1001/hosts", "hostids")):
            for fault in ("500", "gzip_cut", "reset"):
                with self.subTest(target=target, fault=fault):
                    self.control.reset()
                    self.control.fault(fault, api=api, times=1)
                    answer = self.client.get(target, headers={"Cache-Control": "no-cache"})
                    self.assertEqual(answer.status, 200, answer)
                    self.assertEqual(answer.json()["result"]["calls"], 2)
                    self.assertEqual(len(answer.json()["data"]), 2 if api == "policyList" else 5)

    def incomplete(self, answer, policy, hosts):
        self.assertEqual(answer.status, 200, answer)
        result = answer.json()["result"]
        self.assertEqual((result["complete"], result["hostErrors"]), (False, [policy]))
        self.assertEqual([h["hostId"] for h in answer.json()["data"]], hosts)

    def test_a_policy_that_cannot_be_resolved_makes_the_result_incomplete(self):
        for choice in ("error", "omit"):
            self.control.set(unknown_policy=choice)
            answer = self.client.get("/v1/policies/1999/hosts", headers={"Cache-Control": "no-cache"})
            self.incomplete(answer, 1999, [])
            ttl = int(self.client.get("/v1/policies/1999/hosts").headers["Cache-Status"].rpartition("ttl=")[2])
            self.assertLessEqual(ttl, 60)
        self.incomplete(self.fetch("/v1/policies/1998/hosts", "hostids", fault="204"), 1998, [])

    def test_what_came_beside_an_error_is_kept(self):
        answer = self.fetch("/v1/policies/1997/hosts", "hostids", json.dumps(
            [{"policyId": "1997", "hostIds": ["4", "3"], "error": "simulated"}]))
        self.incomplete(answer, 1997, [3, 4])
        self.assertEqual([h["subscriptionId"] for h in answer.json()["data"]], [None, None])
        self.assertNotIn("simulated", answer.body.decode())

    def test_an_error_does_not_take_the_place_of_what_was_whole(self):
        good = self.client.get("/v1/policies/1001/hosts").json()
        failed = self.hosts_of([{"policyId": "1001", "hostIds": [], "error": "simulated"}])
        self.refused(failed, 502, "upstream-incomplete")
        self.assertEqual(self.client.get("/v1/policies/1001/hosts").json(), good)

    def test_hosts_of_what_nobody_asked_for_are_no_answer(self):
        one = {"policyId": "1001", "subscriptionId": "1", "hostIds": ["3"]}
        for value in ([one | {"policyId": "1002"}], [one, one | {"policyId": "1002"}], [one, one],
                      [one, one | {"error": "x"}], [one | {"hostIds": ["x"]}], [one | {"hostIds": [0]}],
                      [{"policyId": "1001", "subscriptionId": "1"}], {"policyId": "1001"}, [[]], "", "[", "[{}]"):
            with self.subTest(value=value):
                self.refused(self.hosts_of(value))

    def test_a_policy_without_hosts_is_an_answer(self):
        answer = self.hosts_of([{"policyId": "1001", "subscriptionId": "1", "hostIds": []}])
        self.assertEqual((answer.status, answer.json()["data"]), (200, []), answer)
        self.assertIs(answer.json()["result"]["complete"], True)

    def test_a_list_of_thousands(self):
        self.control.set(policies=9000)
        self.control.reset()
        answer = self.client.get("/v1/policies", headers={"Cache-Control": "no-cache"}, limit=1000)
        self.assertEqual((answer.status, answer.json()["page"]["total"]), (200, 9000))
        got = [p["id"] for p in self.client.records("/v1/policies", limit=1000)]
        self.assertEqual(got, list(range(1001, 10001)))


if __name__ == "__main__":
    harness.main()
