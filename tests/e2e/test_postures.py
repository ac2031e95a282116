"""The main job: a query in, one stitched, normalised, paginated answer out, equal to what the
upstream says."""

import json
import unittest

import harness
import reference

NOW = "2026-11-20T12:00:00Z"


class Reading(harness.StackTest):
    @classmethod
    def setUpClass(cls):
        cls.share(simulator={"policies": 4, "hosts": 30, "controls": 25, "rate": 0,
                             "concurrency": 0, "now": NOW},
                  settings={"upstream": {"hosts_per_call": 12}})
        cls.upstream = reference.Upstream(cls.shared.upstream, cls.shared.username,
                                          cls.shared.password)

    def walk(self, **params):
        """All postures of a walk, by id; fails on one that comes twice."""
        got = {}
        for page in self.pages(**params):
            for posture in page["data"]:
                self.assertNotIn(posture["id"], got)
                got[posture["id"]] = posture
        return got

    def pages(self, **params):
        client = self.shared.client()
        answer = client.get("/v1/postures", **params)
        while True:
            self.assertEqual(answer.status, 200, answer)
            page = reference.parse(answer.body)
            yield page
            if "next" not in page["page"]:
                return
            self.assertIn(f'<{page["page"]["next"]}>; rel="next"', answer.headers["Link"])
            answer = client.get(page["page"]["next"])

    def same(self, got, wanted):
        self.assertEqual(got.keys(), wanted.keys())
        for key, posture in wanted.items():
            self.assertEqual(list(got[key]), list(posture), "members and their order")
            self.assertEqual(got[key], posture)

    def test_a_walk_sees_every_posture_once_as_the_upstream_has_it(self):
        for limit in (7, 100, 1000):
            with self.subTest(limit=limit):
                self.same(self.walk(policy=[1001, 1002], limit=limit),
                          self.upstream.postures([1001, 1002]))

    def test_detail_that_was_asked_for_is_there(self):
        self.same(self.walk(policy=1003, evidence="extended", cloud=True, qds=True),
                  self.upstream.postures([1003], evidenceRequired=1, extendedEvidenceRequired=1,
                                         cloudMetaDataRequired=1, qdScoreRequired=1))
        self.same(self.walk(policy=1003, evidence="basic"),
                  self.upstream.postures([1003], evidenceRequired=1, extendedEvidenceRequired=0))

    def test_filters_filter_as_upstream(self):
        cases = [
            (dict(status="Failed"), dict(status="Failed")),
            (dict(status="passed,ERROR"), dict(status="Passed,Error")),
            (dict(previousStatus="Failed"), dict(previousStatus="Failed")),
            (dict(criticality="4,URGENT"), dict(criticalityValues="4,5")),
            (dict(inactive="exclude"), dict(excludeInactiveControl=1)),
            (dict(evaluatedSince="2026-10-20"), dict(lastEvaluationDate="2026-10-20")),
            (dict(scannedSince="2026-10-15T00:00:00Z"), dict(lastScanDate="2026-10-15T00:00:00Z")),
            (dict(scannedFrom="2026-10-01", scannedTo="2026-10-20"),
             dict(lastScanDateFrom="2026-10-01", lastScanDateTo="2026-10-20")),
            (dict(changedSince="2026-10-01"), dict(statusChangedSince="2026-10-01")),
        ]
        everything = len(self.upstream.postures([1001]))
        for ours, theirs in cases:
            with self.subTest(ours):
                wanted = self.upstream.postures([1001], **theirs)
                self.assertTrue(0 < len(wanted) < everything, "the case must tell something")
                self.same(self.walk(policy=1001, **ours), wanted)

    def test_hosts_narrow_the_answer(self):
        hosts = [int(h) for h in self.upstream.hosts([1001])[0]["hostIds"]][3:8]
        answer = self.shared.client().get("/v1/postures", policy=1001, host=hosts,
                                          changedSince="1990-01-01").json()  # no other result has it
        self.assertEqual(answer["result"]["hostsAsked"], 5)
        self.same(self.walk(policy=1001, host=hosts), self.upstream.postures([1001], set(hosts)))

    def test_postures_by_their_ids(self):
        wanted = self.upstream.postures([1001])
        ids = sorted(int(i) for i in wanted)[10:40]
        text = f"{ids[0]}-{ids[9]},{ids[20]}"
        got = self.walk(posture=text)
        self.assertIn(reference.Number(ids[20]), got)
        for key, posture in got.items():
            self.assertTrue(ids[0] <= int(key) <= ids[9] or int(key) == ids[20])
            self.assertEqual(posture, wanted[key])
        self.assertEqual(len(got), sum(ids[0] <= i <= ids[9] or i == ids[20]
                                       for i in map(int, wanted)))

    def test_one_posture_by_its_id(self):
        wanted = self.upstream.postures([1002])
        key = sorted(wanted)[5]
        client = self.shared.client()
        answer = client.get(f"/v1/postures/{key}")
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(reference.parse(answer.body)["data"], wanted[key])
        missing = client.get("/v1/postures/9223372036854775807")
        self.assertEqual(missing.status, 404, missing)
        self.assertEqual(missing.json()["type"], "/problems/not-found")

    def test_the_same_query_as_a_json_body(self):
        client = self.shared.client()
        body = client.post("/v1/postures/query", {"policy": [1002, 1001], "status": ["Failed"],
                                                  "limit": 50})
        url = client.get("/v1/postures", policy="1001,1002", status="failed", limit=50)
        self.assertEqual(body.status, 200, body)
        self.assertEqual(body.json()["data"], url.json()["data"])
        self.assertEqual(body.json()["result"], url.json()["result"])
        self.assertIn("hit", url.headers["Cache-Status"])

    def test_spelling_does_not_cost_a_second_fetch(self):
        client = self.shared.client()
        client.get("/v1/postures", policy="1003,1004", criticality="4",
                   evaluatedSince="2026-01-01")
        calls = self.shared.control.state()["apis"]["postureInfo"]["calls"]
        for target in ("/v1/postures?criticality=critical&policy=1004&policy=1003"
                       "&evaluatedSince=2026-01-01T00:00:00Z",
                       "/v1/postures?policy=1003,1003,1004&criticality=4,CRITICAL"
                       "&evaluatedSince=2026-01-01&evidence=none&cloud=false"):
            answer = client.get(target)
            self.assertEqual(answer.status, 200, answer)
            self.assertIn("; hit; ttl=", answer.headers["Cache-Status"])
        self.assertEqual(self.shared.control.state()["apis"]["postureInfo"]["calls"], calls)

    def test_the_result_says_how_it_came_to_be(self):
        answer = self.shared.client().get("/v1/postures", policy=[1001, 1004], qds=True, limit=3)
        page, result = answer.json()["page"], answer.json()["result"]
        self.assertEqual((page["limit"], page["count"]), (3, 3))
        self.assertEqual(page["total"], len(self.upstream.postures([1001, 1004])))
        self.assertEqual(result["upstreamVersion"], "5.0")
        self.assertIs(result["complete"], True)
        # 30 hosts each in calls of 12, and one resolution
        self.assertEqual(result["calls"], 7)
        asked = {h for e in self.upstream.hosts([1001, 1004]) for h in e["hostIds"]}
        self.assertEqual(result["hostsAsked"], len(asked))
        seen = {p["hostId"] for p in self.upstream.postures([1001, 1004]).values()}
        self.assertEqual(result["hostsSeen"], len(seen))
        self.assertGreater(result["batches"], 0)

    def test_fields_are_what_is_shown(self):
        postures = self.walk(policy=1001, fields="hostId,id,evidence,status", limit=300)
        wanted = self.upstream.postures([1001])
        self.assertEqual(postures.keys(), wanted.keys())
        for key, posture in postures.items():
            self.assertEqual(list(posture), ["id", "status", "hostId", "evidence"])
            self.assertEqual(posture, {n: wanted[key][n] for n in posture})

    def test_a_walk_keeps_its_fields_and_takes_another_limit(self):
        client = self.shared.client()
        first = client.get("/v1/postures", policy=1001, fields="id", limit=10).json()
        second = client.get(first["page"]["next"] + "&limit=20").json()
        self.assertEqual(second["page"]["limit"], 20)
        self.assertEqual(len(second["data"]), 20)
        self.assertEqual(list(second["data"][0]), ["id"])

    def test_batches_that_never_came_are_told(self):
        stack = self.stack(simulator={"policies": 1, "hosts": 40, "controls": 3, "rate": 0,
                                      "concurrency": 0, "batches": "skip", "batch_hosts": 1,
                                      "empty_hosts": 30})
        client = stack.client()
        # with a filter a gap means nothing: a batch may hold nothing that passes
        filtered = client.get("/v1/postures", policy=1001, status="Error").json()["result"]
        self.assertNotIn("missingBatches", filtered)
        result = client.get("/v1/postures", policy=1001).json()["result"]
        missing = result["missingBatches"]
        self.assertEqual(missing, sorted(set(missing)))
        self.assertEqual(len(missing), result["hostsAsked"] - result["hostsSeen"])
        self.assertEqual(result["batches"], result["hostsSeen"])
        self.assertIs(result["complete"], True)

    def test_large_pages_are_cut_early_and_lose_nothing(self):
        # 1000 records with their evidence are some 3 MB: the cap needs larger ones
        stack = self.stack(simulator={"policies": 1, "hosts": 4, "controls": 30, "rate": 0, "concurrency": 0,
                                      "large_every": 2, "large_bytes": 900000, "now": NOW,
                                      "nasty": False})
        client = stack.client()
        counts, ids = [], []
        for page in client.pages("/v1/postures", policy=1001, evidence="extended", limit=1000):
            counts.append(page["page"]["count"])
            ids += [p["id"] for p in page["data"]]
            self.assertLess(len(json.dumps(page)), 10 << 20)
        self.assertGreater(len(counts), 3)
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(len(ids), page["page"]["total"])


class Answers(harness.StackTest):
    @classmethod
    def setUpClass(cls):
        cls.share(simulator={"policies": 2, "hosts": 5, "controls": 10, "rate": 0, "concurrency": 0}, consumers=[
            harness.Consumer("all", force="true"),
            harness.Consumer("red", policies="1001", evidence="false"),
            harness.Consumer("late", expires="2020-01-01T00:00:00Z"),
        ])

    def test_validators_spare_the_body(self):
        client = self.shared.client()
        first = client.get("/v1/postures", policy=1001)
        again = client.get("/v1/postures", headers={"If-None-Match": first.headers["ETag"]},
                           policy=1001)
        self.assertEqual(again.status, 304, again)
        self.assertEqual(again.body, b"")
        self.assertEqual(again.headers["ETag"], first.headers["ETag"])
        other = client.get("/v1/postures", headers={"If-None-Match": first.headers["ETag"]},
                           policy=1001, limit=5)
        self.assertEqual(other.status, 200)
        self.assertNotEqual(other.headers["ETag"], first.headers["ETag"])

    def test_what_has_no_validator_is_not_spared(self):
        client = self.shared.client()
        unknown = client.get("/v1/postures/9223372036854775807", headers={"If-None-Match": "*"})
        self.assertEqual(unknown.status, 404, unknown)
        etag = client.get("/v1/postures", policy=1001).headers["ETag"]
        posted = client.post("/v1/postures/query", {"policy": [1001]}, headers={"If-None-Match": etag})
        self.assertEqual(posted.status, 200, posted)

    def test_a_body_that_nobody_read_does_not_spoil_the_connection(self):
        body = json.dumps({"policy": list(range(1, 20000))})
        wrong, right = self.shared.client(key="all.wrong"), self.shared.client()
        for _ in range(40):
            refused = wrong.request("POST", "/v1/postures/query", {"Content-Type": "application/json"}, body)
            self.assertEqual(refused.status, 401, refused)
            self.assertEqual(right.get("/healthz").status, 200)

    def test_a_deeply_nested_body_is_refused(self):
        client = self.shared.client()
        for body in ('{"policy":' + "[" * 2040, "[" * 100000, '{"policy":' * 2000):
            answer = client.request("POST", "/v1/postures/query", {"Content-Type": "application/json"}, body)
            self.assertEqual(answer.status, 400, answer)
        self.assertEqual(client.get("/healthz").status, 200)

    def test_head_is_get_without_the_body(self):
        client = self.shared.client()
        get = client.get("/v1/postures", policy=1001, limit=5)
        head = client.request("HEAD", "/v1/postures?policy=1001&limit=5")
        self.assertEqual(head.status, 200)
        self.assertEqual(head.body, b"")
        for name in ("Content-Length", "Content-Type", "ETag", "Link", "Vary"):
            self.assertEqual(head.headers[name], get.headers[name], name)

    def test_freshness_is_told(self):
        client = self.shared.client()
        client.get("/v1/postures", policy=1002)
        hit = client.get("/v1/postures", policy=1002)
        self.assertRegex(hit.headers["Cache-Status"], r"^posturegate; hit; ttl=35\d\d(; detail=contained)?$")
        self.assertRegex(hit.headers["Age"], r"^\d+$")
        self.assertRegex(hit.headers["Cache-Control"], r"^private, max-age=3\d\d\d$")
        self.assertIn("Authorization", hit.headers["Vary"])

    def test_no_key_and_a_wrong_key_look_the_same(self):
        bodies = set()
        for key in ("", "nobody.x", "all.wrong", "all", self.shared.consumers[2].key):
            client = self.shared.client(key=key)
            answer = client.get("/v1/postures", policy=1001)
            self.assertEqual(answer.status, 401, key)
            self.assertEqual(answer.headers["WWW-Authenticate"], 'Bearer realm="posturegate"')
            problem = answer.json()
            self.assertEqual(problem.pop("instance"), answer.json()["instance"])
            bodies.add(json.dumps(problem))
        self.assertEqual(len(bodies), 1)

    def test_a_key_is_taken_from_either_header_but_not_both(self):
        key = self.shared.consumers[0].key
        client = self.shared.client(key="")
        self.assertEqual(client.get("/v1/postures", headers={"X-API-Key": key}, policy=1001).status, 200)
        both = client.get("/v1/postures", policy=1001,
                          headers={"X-API-Key": key, "Authorization": f"Bearer {key}"})
        self.assertEqual(both.status, 400)
        twice = self.shared.raw(f"GET /v1/postures?policy=1001 HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n"
                                f"X-API-Key: {key}\r\nConnection: close\r\n\r\n".encode())
        self.assertIn(b" 400 ", twice.split(b"\r\n")[0])

    def test_what_the_grant_does_not_cover_is_403_cached_or_not(self):
        everyone, red = self.shared.client(), self.shared.client(1)
        self.assertEqual(everyone.get("/v1/postures", policy=1002).status, 200)
        for policy in (1002, "1001,1002", 1999):
            answer = red.get("/v1/postures", policy=policy)
            self.assertEqual(answer.status, 403, answer)
            self.assertEqual(answer.json()["type"], "/problems/forbidden")
            self.assertIsNone(answer.headers["Cache-Status"])
        self.assertEqual(red.get("/v1/postures", policy=1001).status, 200)

    def test_by_posture_the_grant_is_a_predicate_on_records(self):
        everyone, red = self.shared.client(), self.shared.client(1)
        mine = everyone.get("/v1/postures", policy=1001).json()["data"][0]["id"]
        foreign = everyone.get("/v1/postures", policy=1002).json()["data"][0]["id"]
        both = {"posture": [mine, foreign]}
        self.assertEqual(everyone.get("/v1/postures", **both).json()["page"]["total"], 2)
        seen = red.get("/v1/postures", **both).json()
        self.assertEqual([p["id"] for p in seen["data"]], [mine])
        self.assertEqual(seen["page"]["total"], 1)
        self.assertEqual(red.get(f"/v1/postures/{mine}").status, 200)
        hidden = red.get(f"/v1/postures/{foreign}")
        unknown = red.get("/v1/postures/4611686018427387904")
        self.assertEqual((hidden.status, unknown.status), (404, 404))
        strip = lambda a: {k: v for k, v in a.json().items() if k != "instance"}
        self.assertEqual(strip(hidden), strip(unknown))
        # nor do the counts of a list tell them apart
        results = [red.get("/v1/postures", posture=p).json() for p in (foreign, 4611686018427387904)]
        for answer in results:
            self.assertEqual(answer["data"], [])
            for name in ("id", "fetchedAt", "freshUntil"):
                answer["result"].pop(name)
        self.assertEqual(results[0], results[1])

    def test_evidence_is_for_those_who_may_see_it(self):
        everyone, red = self.shared.client(), self.shared.client(1)
        params = dict(policy=1001, evidence="extended", limit=1000)
        whole = everyone.get("/v1/postures", **params).json()["data"]
        self.assertTrue(any(p["evidence"] for p in whole))
        self.assertTrue(any(p["causeOfFailure"] for p in whole))
        for posture in red.get("/v1/postures", **params).json()["data"]:
            self.assertIsNone(posture["evidence"])
            self.assertIsNone(posture["causeOfFailure"])

    def test_a_cursor_is_its_consumers_own_and_cannot_be_changed(self):
        everyone, red = self.shared.client(), self.shared.client(1)
        cursor = everyone.get("/v1/postures", policy=1001, limit=5).json()["page"]["next"]
        self.assertEqual(red.get(cursor).status, 400)
        self.assertEqual(everyone.get(cursor + "&policy=1001").status, 400)
        text = cursor.split("=", 1)[1]
        for at in range(0, len(text), 7):
            other = "A" if text[at] != "A" else "B"
            answer = everyone.get(f"/v1/postures?cursor={text[:at]}{other}{text[at + 1:]}")
            self.assertEqual(answer.status, 400, answer)
        self.assertEqual(everyone.get(cursor).status, 200)

    def test_only_if_cached_never_asks(self):
        client = self.shared.client()
        calls = self.shared.control.state()["apis"]["hostids"]["calls"]
        answer = client.get("/v1/postures", headers={"Cache-Control": "only-if-cached"},
                            policy=1001, status="Error", inactive="exclude")
        self.assertEqual(answer.status, 504)
        self.assertEqual(answer.json()["type"], "/problems/not-cached")
        self.assertEqual(self.shared.control.state()["apis"]["hostids"]["calls"], calls)

    def test_forcing_is_a_grant(self):
        everyone, red = self.shared.client(), self.shared.client(1)
        force = {"Cache-Control": "no-cache"}
        everyone.get("/v1/postures", policy=1001)
        forced = everyone.get("/v1/postures", headers=force, policy=1001)
        self.assertIn("fwd=request", forced.headers["Cache-Status"])
        self.assertIn("; hit", red.get("/v1/postures", headers=force, policy=1001).headers["Cache-Status"])

    def test_an_impatient_caller_gets_202_and_the_fetch_goes_on(self):
        client = self.shared.client()
        hold = self.shared.control.hold(api="postureInfo")
        params = dict(policy=1002, qds=True, cloud=True)
        answer = client.get("/v1/postures", headers={"Prefer": "respond-async"}, **params)
        self.assertEqual(answer.status, 202, answer)
        self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
        place = answer.headers["Location"]
        self.assertIn(client.get(place).json()["state"], ("queued", "resolving", "fetching"))
        self.shared.control.wait(api="postureInfo", held=1)
        self.shared.control.release(id=hold)
        whole = client.get("/v1/postures", **params)
        self.assertEqual(whole.status, 200, whole)
        done = harness.wait_until(
            lambda: (lambda f: f if f["state"] == "complete" else None)(client.get(place).json()),
            "the fetch is complete")
        self.assertEqual(done["result"], whole.json()["result"]["id"])
        self.assertEqual(done["records"], whole.json()["page"]["total"])
        self.assertEqual(self.shared.client(1).get(place).status, 404)

    def test_health_needs_no_key(self):
        client = self.shared.client(key="")
        self.assertEqual(client.get("/healthz").status, 200)
        ready = client.get("/readyz").json()
        self.assertEqual(ready["status"], "ok")
        self.assertEqual(ready["checks"]["store"], "ok")

    def test_a_header_of_the_client_changes_nothing_within(self):
        answer = self.shared.client().get("/v1/postures", policy=1001, headers={
            "Proxy": "http://evil.example", "X-Accel-Redirect": "/etc/passwd",
            "X-Forwarded-For": "1.2.3.4", "X-Original-URL": "/healthz"})
        self.assertEqual(answer.status, 200)
        self.assertIn("data", answer.json())


class BadRequests(harness.StackTest):
    """Each parameter's bad forms, as a caller sees them; none of them costs an upstream call."""

    @classmethod
    def setUpClass(cls):
        cls.share(simulator={"policies": 1, "hosts": 2, "controls": 2, "rate": 0, "concurrency": 0})

    CASES = {
        "policy": ["", "0", "-1", "x", "1.0", "1e3", " 1", "0x1", "9223372036854775808",
                   "18446744073709551616", "1,,2", "1,", "%D9%A1", "1%00"],
        "host": ["0", "a", "1-2"],
        "posture": ["0", "5-1", "1-", "-1", "1-2-3", "1-400001", "a-b"],
        "subscription": ["0", "1,2", "x"],
        "assets": ["sca", ""],
        "evidence": ["1", "full"],
        "cloud": ["1", "yes"],
        "qds": ["0", ""],
        "inactive": ["true"],
        "status": ["Pass", "Passed,", "Passed*"],
        "previousStatus": ["Passed,Failed", "nope"],
        "criticality": ["6", "-1", "HIGH", "1,,2"],
        "evaluatedSince": ["yesterday", "2026-13-01", "2026-02-29", "0000-01-01", "2026-01-01T00:00:00",
                           "2026-01-01T00:00:60Z", "2026-01-01T24:00:00Z", "2026-1-1"],
        "scannedSince": ["2026-01-01 00:00:00Z"],
        "changedSince": ["99999-01-01"],
        "fields": ["id,nope", "", "ID"],
        "limit": ["0", "-1", "1001", "1e2", "10000000000000000000", ""],
        "format": ["xml", "csv,json", ""],
        "partial": ["maybe", "1", ""],
        "cursor": ["", "abc", "!!!!"],
        "bogus": ["1"],
        "policyId": ["1"],
    }

    def refused(self, target, *parameters):
        answer = self.shared.client().get(target)
        self.assertEqual(answer.status, 400, (target, answer))
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        problem = answer.json()
        if problem["type"] == "/problems/bad-request":
            named = {e["parameter"] for e in problem["errors"]}
            self.assertTrue(set(parameters) <= named, (target, problem))
        return problem

    def test_each_bad_form_is_named(self):
        before = self.shared.control.state()
        for name, values in self.CASES.items():
            base = "" if name in ("policy", "cursor", "posture") else "policy=1001&"
            for value in values:
                with self.subTest(name=name, value=value):
                    self.refused(f"/v1/postures?{base}{name}={value.replace(' ', '%20')}", name)
        after = self.shared.control.state()
        self.assertEqual(before["apis"], after["apis"])

    def test_all_offending_parameters_are_told_at_once(self):
        self.refused("/v1/postures?policy=x&limit=0&bogus=1&status=nope&evaluatedSince=never",
                     "policy", "limit", "bogus", "status", "evaluatedSince")

    def test_conflicts_are_refused(self):
        self.refused("/v1/postures", "policy")
        self.refused("/v1/postures?posture=1&policy=2", "posture")
        self.refused("/v1/postures?policy=1&scannedSince=2026-01-01&scannedFrom=2026-01-01"
                     "&scannedTo=2026-01-02", "scannedSince")
        self.refused("/v1/postures?policy=1&scannedFrom=2026-01-01", "scannedTo")
        self.refused("/v1/postures?policy=1&limit=1&limit=1", "limit")
        self.refused("/v1/postures?policy=1001&assets=all&bogus=", "bogus")

    def test_sca_is_refused_with_a_reason(self):
        answer = self.shared.client().get("/v1/postures", policy=1001, assets="all")
        self.assertEqual(answer.status, 400, answer)
        self.assertEqual(answer.json()["type"], "/problems/version-unavailable")

    def test_paths_and_methods(self):
        client = self.shared.client()
        for target in ("/", "/v1", "/v1/postures/", "/v1/Postures", "/v1//postures", "/v1/x/../postures",
                       "/v1/%70ostures", "/v1/postures;a=b"):
            with self.subTest(target):
                self.assertEqual(client.get(target).status, 404, target)
        answer = client.request("DELETE", "/v1/postures")
        self.assertEqual(answer.status, 405)
        self.assertEqual(answer.headers["Allow"], "GET, HEAD")
        self.assertEqual(client.get("/v1/postures/query").status, 405)

    def test_bodies(self):
        client = self.shared.client()
        target = "/v1/postures/query"
        js = {"Content-Type": "application/json"}
        for headers, body, status in [
                (js, b"", 400), (js, b"{", 400), (js, b"[]", 400), (js, b"{} x", 400),
                (js, b'{"policy":[1001],"policy":[1001]}', 400), (js, b"\xef\xbb\xbf{}", 400),
                (js, b'{"policy":1.5}', 400), (js, b'{"policy":["1001"],"limit":true}', 400),
                (js, b"[" * 100 + b"]" * 100, 400), (js, b'{"policy":[1001]}\0', 400),
                ({"Content-Type": "text/plain"}, b"{}", 415), ({}, b"{}", 415),
                ({"Content-Type": "application/json; charset=utf-16"}, b"{}", 415),
                (js, b'{"policy":[1001]' + b" " * (4 << 20) + b"}", 413)]:
            with self.subTest(body=body[:40], headers=headers):
                answer = client.request("POST", target, headers, body)
                self.assertEqual(answer.status, status, answer)
                self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        self.assertEqual(client.request("GET", "/v1/postures?policy=1001", {}, b"hello").status, 400)

    def test_the_type_of_a_body(self):
        client = self.shared.client()
        for good in ("application/json", "Application/JSON", "application/json;charset=utf-8",
                     "application/json; charset=UTF-8", 'application/json; charset="utf-8"'):
            answer = client.post("/v1/postures/query", {"policy": [1001]}, {"Content-Type": good})
            self.assertEqual(answer.status, 200, (good, answer))
        for bad in ("application/jsonx", "application/json; charset=utf-16", 'application/json; charset="utf-8',
                    "application/json; charset=utf-8; charset=utf-8", "text/json"):
            answer = client.post("/v1/postures/query", {"policy": [1001]}, {"Content-Type": bad})
            self.assertEqual(answer.status, 415, (bad, answer))

    def test_a_header_that_may_come_once_comes_once(self):
        key = self.shared.consumers[0].key
        for header in ("Content-Type: application/json", "Accept: */*", "If-None-Match: *"):
            body = b'{"policy":[1001]}'
            got = self.shared.raw((f"POST /v1/postures/query HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n"
                                   f"Content-Length: {len(body)}\r\n{header}\r\n{header}\r\n"
                                   "Connection: close\r\n\r\n").encode() + body)
            self.assertIn(b" 400 ", got.split(b"\r\n")[0], header)

    def test_an_endpoint_without_parameters_takes_none(self):
        client = self.shared.client()
        for target in ("/healthz?x=1", "/v1/fetches/1?x=1"):
            self.assertEqual(client.get(target).status, 400, target)
        answer = client.post("/v1/postures/query?limit=5", {"policy": [1001]})
        self.assertEqual(answer.status, 400, answer)

    def test_what_cannot_be_served_is_not_acceptable(self):
        client = self.shared.client()
        for accept, status in [("text/plain", 406), ("application/json;q=0", 406), ("text/html, */*;q=0.1", 200),
                               ("application/*", 200), ("", 200), ("application/json, */*;q=0", 200)]:
            answer = client.get("/v1/postures", headers={"Accept": accept}, policy=1001)
            self.assertEqual(answer.status, status, (accept, answer))

    def test_urls_that_are_too_long(self):
        answer = self.shared.client().get("/v1/postures?policy=1001&host=" + "1," * 5000 + "1")
        self.assertEqual(answer.status, 414, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")


if __name__ == "__main__":
    harness.main()
