"""The upstream's faults: no answer that is not whole and valid ever becomes a 200, no failure hurts
what was there before, and the next good answer is taken."""

import json

import harness

# fault, members, (status, problem) that a caller without an older result gets; None: a good answer.
# The numbers are of the fault matrix: what a wrong 200 could come from.
COLD = [
    ("gzip_cut", {}, (502, "upstream-bad-data")),                                   # 1
    ("gzip_cut", {"framing": "length"}, (502, "upstream-bad-data")),
    ("gzip_no_trailer", {}, (502, "upstream-bad-data")),                            # 2
    ("gzip_half_trailer", {}, (502, "upstream-bad-data")),
    ("gzip_bad_crc", {}, (502, "upstream-bad-data")),                               # 3
    ("gzip_bad_size", {}, (502, "upstream-bad-data")),
    ("gzip_bit_flip", {}, (502, "upstream-bad-data")),                              # 4
    ("gzip_garbage_tail", {}, (502, "upstream-bad-data")),                          # 5
    ("gzip_zero_tail", {}, None),                                                   # 6
    ("gzip_members", {}, None),                                                     # 7
    ("gzip_many_members", {}, None),
    ("gzip_empty_members", {}, None),
    ("gzip_labelled", {}, None),                                                    # 9
    ("plain_labelled", {}, None),                                                   # 10
    ("gzip_double", {}, (502, "upstream-bad-data")),                                # 11
    ("deflate", {}, (502, "upstream-bad-data")),                                    # 12
    ("bomb", {"count": 64 << 20}, (502, "upstream-too-large")),                     # 13
    ("length_long", {}, (502, "upstream-bad-data")),                                # 14
    ("length_short", {}, (502, "upstream-bad-data")),                               # 15
    ("no_final_chunk", {}, (502, "upstream-bad-data")),                             # 16
    ("body_cut", {}, (502, "upstream-bad-data")),
    ("close", {}, (502, "upstream-bad-data")),
    ("500", {}, (503, "upstream-unavailable")),                                     # 18
    ("duplicate_record", {}, None),                                                 # 20
    ("foreign_host", {}, (502, "upstream-bad-data")),                               # 24
    ("foreign_policy", {}, (502, "upstream-bad-data")),
    ("invalid_utf8", {}, (502, "upstream-bad-data")),                               # 25
    ("overlong_utf8", {}, (502, "upstream-bad-data")),
    ("surrogate_utf8", {}, (502, "upstream-bad-data")),
    ("lone_surrogate", {}, (502, "upstream-bad-data")),                             # 26
    ("deep_nesting", {}, (502, "upstream-too-large")),                              # 27
    ("huge_record", {}, (502, "upstream-too-large")),                               # 30
    ("nan", {}, (502, "upstream-bad-data")),                                        # 31
    ("infinity", {}, (502, "upstream-bad-data")),
    ("leading_zero", {}, (502, "upstream-bad-data")),
    ("bare_exponent", {}, (502, "upstream-bad-data")),
    ("plus_sign", {}, (502, "upstream-bad-data")),
    ("large_numbers", {}, None),                                                    # 32
    ("duplicate_member", {}, (502, "upstream-bad-data")),                           # 33
    ("nul_escape", {}, None),                                                       # 34
    ("raw_control", {}, (502, "upstream-bad-data")),
    ("empty", {}, (502, "upstream-bad-data")),                                      # 36
    ("object", {}, (502, "upstream-bad-data")),                                     # 38
    ("error_200", {}, (502, "upstream-bad-data")),
    ("html", {}, (502, "upstream-bad-data")),                                       # 39
    ("html_tail", {}, (502, "upstream-bad-data")),                                  # 40
    ("second_array", {}, (502, "upstream-bad-data")),
    ("array_cut", {}, (502, "upstream-bad-data")),
    ("byte_order_mark", {}, (502, "upstream-bad-data")),
    ("no_id", {}, (502, "upstream-bad-data")),
    ("posture_id", {}, None),
    ("white_space", {}, None),
    ("redirect", {}, (502, "upstream-bad-data")),                                   # 41
    ("403", {}, (503, "upstream-forbidden")),                                       # 47
    ("404", {}, (502, "upstream-retired")),                                         # 48
    ("410", {}, (502, "upstream-retired")),
    ("400", {}, (502, "upstream-refused")),
    ("409_registration", {}, (503, "upstream-forbidden")),
    ("503", {}, (503, "upstream-unavailable")),
    ("504", {}, (504, "upstream-timeout")),
    ("reset", {}, (503, "upstream-unavailable")),                                   # 56
    ("reset_start", {}, (503, "upstream-unavailable")),
    ("no_answer", {}, (503, "upstream-unavailable")),
    ("not_http", {}, (502, "upstream-bad-data")),
    ("bad_chunk", {}, (503, "upstream-unavailable")),
    ("huge_header", {}, (502, "upstream-too-large")),                               # 59
    ("many_headers", {}, (502, "upstream-too-large")),
]
# Faults that another try may mend: one alone must not reach the caller.
PASSING = ["gzip_cut", "gzip_bad_crc", "gzip_bit_flip", "no_final_chunk", "length_long", "reset",
           "reset_start", "500", "502", "503", "504", "empty", "foreign_host", "array_cut"]
# Statuses whose meaning a caller must not see upstream text of.
SECRETS = ["simulated", "Sign in", "127.0.0.1"]


class Faults(harness.StackTest):
    @classmethod
    def setUpClass(cls):
        cls.share(simulator={"policies": 1, "hosts": 3, "controls": 8, "rate": 0, "concurrency": 0,
                             "now": "2026-11-20T12:00:00Z", "empty_hosts": 0},
                  settings=harness.exactly(
                      {"upstream": {"retries": 2, "retry_delay": "1ms", "error_memory": "0s"}}))
        cls.control = cls.shared.control
        cls.client = cls.shared.client()
        cls.good = cls.client.get("/v1/postures", policy=1001).json()

    def setUp(self):
        self.addCleanup(self.control.reset)

    def fresh_query(self):
        """A query that nothing is cached for: a bound that changes nothing, another each time."""
        type(self).number = getattr(self, "number", 0) + 1
        return dict(policy=1001, evaluatedSince=f"2000-01-01T00:{self.number // 60:02}:{self.number % 60:02}Z")

    def check_problem(self, answer, status, slug):
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        self.assertEqual(answer.json()["type"], f"/problems/{slug}")
        for secret in SECRETS + [self.shared.password, self.shared.username]:
            self.assertNotIn(secret, answer.body.decode())

    def ids(self, answer):
        return [p["id"] for p in answer.json()["data"]]

    def test_cold(self):
        wanted = [p["id"] for p in self.good["data"]]
        for fault, members, problem in COLD:
            with self.subTest(fault=fault, **members):
                self.control.reset()
                self.control.fault(fault, api="postureInfo", times=-1, **members)
                query = self.fresh_query()
                answer = self.client.get("/v1/postures", **query)
                if problem is not None:
                    self.check_problem(answer, *problem)
                    # and nothing of it was kept: once the upstream is well, the answer is whole
                    self.control.reset()
                    answer = self.client.get("/v1/postures", **query)
                self.assertEqual(answer.status, 200, answer)
                got = self.ids(answer)
                if fault == "duplicate_record":
                    self.assertEqual(len(got), len(wanted) + 1)
                self.assertEqual(sorted(set(got)), sorted(wanted))
                self.assertIs(answer.json()["result"]["complete"], True)

    def test_a_passing_fault_is_mended_by_another_try(self):
        for fault in PASSING:
            with self.subTest(fault):
                self.control.reset()
                self.control.fault(fault, api="postureInfo", times=1)
                answer = self.client.get("/v1/postures", **self.fresh_query())
                self.assertEqual(answer.status, 200, answer)
                self.assertEqual(sorted(self.ids(answer)), sorted(p["id"] for p in self.good["data"]))
                self.assertEqual(answer.json()["page"]["total"], len(self.good["data"]))
                self.assertEqual(self.control.state()["apis"]["postureInfo"]["calls"], 2)

    def test_what_no_try_can_mend_is_not_tried_again(self):
        for fault in ("400", "403", "404", "invalid_utf8", "html", "redirect"):
            with self.subTest(fault):
                self.control.reset()
                self.control.fault(fault, api="postureInfo", times=-1)
                self.client.get("/v1/postures", **self.fresh_query())
                self.assertEqual(self.control.state()["apis"]["postureInfo"]["calls"], 1)

    def test_a_failed_refresh_leaves_the_good_result(self):
        for fault in ("gzip_cut", "500", "html", "403", "reset_start"):
            with self.subTest(fault):
                self.control.reset()
                self.control.fault(fault, api="postureInfo", times=-1)
                forced = self.client.get("/v1/postures", headers={"Cache-Control": "no-cache"}, policy=1001)
                self.assertIn(forced.status, (502, 503), forced)
                self.assertGreaterEqual(forced.json()["cachedAge"], 0)
                kept = self.client.get("/v1/postures", policy=1001)
                self.assertEqual(kept.status, 200)
                self.assertIn("; hit", kept.headers["Cache-Status"])
                self.assertEqual(self.ids(kept), [p["id"] for p in self.good["data"]])

    def test_no_records_is_an_answer(self):
        for fault in ("204", "body"):
            with self.subTest(fault):
                self.control.reset()
                self.control.fault(fault, api="postureInfo", times=-1)
                query = self.fresh_query()
                for _ in range(2):
                    answer = self.client.get("/v1/postures", **query)
                    self.assertEqual(answer.status, 200, answer)
                    self.assertEqual(answer.json()["data"], [])
                    self.assertEqual(answer.json()["page"]["total"], 0)
                    self.assertNotIn("next", answer.json()["page"])
                self.assertEqual(self.control.state()["apis"]["postureInfo"]["calls"], 1)

    def test_hosts_that_cannot_be_resolved(self):
        for fault, status, slug in [("500", 503, "upstream-unavailable"), ("html", 502, "upstream-bad-data"),
                                    ("object", 502, "upstream-bad-data"), ("403", 503, "upstream-forbidden"),
                                    ("gzip_cut", 502, "upstream-bad-data")]:
            with self.subTest(fault):
                self.control.reset()
                self.control.fault(fault, api="hostids", times=-1)
                self.check_problem(self.client.get("/v1/postures", **self.fresh_query()), status, slug)

    def test_a_policy_with_an_in_band_error_makes_the_result_incomplete(self):
        answer = self.client.get("/v1/postures", policy="1001,1999")
        self.assertEqual(answer.status, 200, answer)
        result = answer.json()["result"]
        self.assertIs(result["complete"], False)
        self.assertEqual(result["hostErrors"], [1999])
        self.assertEqual(len(answer.json()["data"]), len(self.good["data"]))

    def test_many_policies_are_resolved_in_several_calls(self):
        # every one is asked once: those that the upstream does not know are all told, and no other
        self.control.reset()
        asked = range(1001, 1451)
        answer = self.client.get("/v1/postures", policy=list(asked), limit=1)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json()["result"]["hostErrors"], list(asked)[1:])
        self.assertEqual(answer.json()["page"]["total"], len(self.good["data"]))
        self.assertEqual(self.control.state()["apis"]["hostids"]["calls"], 3)

    def test_a_policy_that_is_resolved_twice_spoils_the_answer(self):
        hosts = {"policyId": "1001", "subscriptionId": "700100", "hostIds": ["5000001", "5000002"]}
        self.control.fault("body", api="hostids", times=-1, value=json.dumps([hosts, hosts]))
        self.check_problem(self.client.get("/v1/postures", **self.fresh_query()), 502, "upstream-bad-data")

    def test_progress_counts_what_came(self):
        self.control.fault("reset", api="postureInfo", times=1)
        place = self.client.get("/v1/postures", headers={"Prefer": "respond-async"}, **self.fresh_query())
        self.assertEqual(place.status, 202, place)

        def ended():
            fetch = self.client.get(place.headers["Location"]).json()
            self.assertIn(fetch["state"], ("queued", "resolving", "fetching", "complete"))
            return fetch if fetch["state"] == "complete" else None
        fetch = harness.wait_until(ended, "the fetch is complete")
        self.assertEqual(fetch["records"], len(self.good["data"]))
        self.assertEqual(fetch["calls"], {"done": 1, "planned": 1})
        self.assertGreater(fetch["bytes"], 0)
        self.assertEqual(fetch["batches"]["seen"], self.good["result"]["batches"])

    def test_a_token_that_dies_is_renewed_once(self):
        logins = self.control.state()["logins"]
        self.control.expire()
        answer = self.client.get("/v1/postures", **self.fresh_query())
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(self.control.state()["logins"] - logins, 1)

    def test_a_redirect_takes_no_token_elsewhere(self):
        elsewhere = self.stack(simulator={"policies": 1})
        self.control.fault("redirect", api="postureInfo", times=-1, value=elsewhere.upstream + "/auth")
        self.check_problem(self.client.get("/v1/postures", **self.fresh_query()), 502, "upstream-bad-data")
        state = elsewhere.control.state()
        self.assertEqual(sum(api["calls"] for api in state["apis"].values()), 0)

    def test_nothing_secret_is_in_the_logs(self):
        self.client.get("/v1/postures", **self.fresh_query())
        log = self.shared.gateway.text()
        self.assertNotIn(self.shared.password, log)
        self.assertNotIn(self.shared.consumers[0].key.split(".")[1], log)
        self.assertNotIn("Bearer", log)


class Credentials(harness.StackTest):
    def test_rejected_credentials_stop_the_logins(self):
        stack = self.stack(simulator={"rate": 0}, start=False)
        stack.start_simulator()
        stack.control.set(password="another")
        stack.start_gateway()
        stack.start_nginx()
        client = stack.client()
        for _ in range(5):
            answer = client.get("/v1/postures", policy=1001)
            self.assertEqual(answer.status, 503, answer)
            self.assertEqual(answer.json()["type"], "/problems/upstream-auth")
        self.assertEqual(stack.control.state()["apis"]["auth"]["calls"], 1)
        ready = client.get("/readyz")
        self.assertEqual(ready.status, 503)
        self.assertEqual(ready.json()["status"], "down")

    def test_a_limit_on_logins_is_waited_out(self):
        stack = self.stack(simulator={"rate": 0})
        stack.control.fault("429", api="auth", times=1, toWait="2")
        answer = stack.client().get("/v1/postures", policy=1001)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(stack.control.state()["apis"]["auth"]["calls"], 2)
        self.assertEqual(stack.gateway.text().count("status=upstream-limit"), 0)
        self.assertLess(stack.gateway.text().count(" call fetch="), 10)

    def test_tokens_that_are_none(self):
        for fault in ("login_200", "login_garbage", "login_empty", "login_huge"):
            with self.subTest(fault):
                stack = self.stack(simulator={"rate": 0}, settings={"upstream": {"retries": 0}})
                stack.control.fault(fault, api="auth", times=-1)
                answer = stack.client().get("/v1/postures", policy=1001)
                self.assertIn(answer.status, (502, 503), answer)
                self.assertEqual(stack.control.state()["apis"]["hostids"]["calls"], 0)


if __name__ == "__main__":
    harness.main()
