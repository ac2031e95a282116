"""Pages while the fetch still runs (partial=true): what comes when, where walks go on, and where they end."""

import itertools
import random
import threading

import harness
from harness import Consumer

HOSTS, CONTROLS, PER_CALL, CALLS = 20, 10, 5, 4
CALL = PER_CALL * CONTROLS  # records of one
ALL = HOSTS * CONTROLS      # of a policy
DATA = {"policies": 3, "hosts": HOSTS, "controls": CONTROLS, "host_overlap": 0, "empty_hosts": 0,
        "batch_hosts": 1, "now": "2026-11-20T12:00:00Z", "rate": 0, "concurrency": 0}
SETTINGS = harness.exactly({"upstream": {
    "hosts_per_call": PER_CALL, "concurrency": CALLS, "rate_calls": 10000, "retries": 10, "retry_delay": "1ms",
    "error_memory": "0s"}})
NOW = {"Prefer": "wait=0"}
FIRST_HOST = '"5000001"'  # of policy 1001: in the body of its first call
GONE = "/problems/cursor-expired"


def call_of(number):
    """What stands in the body of that call of policy 1001, and in no other."""
    return f'"{5000001 + number * PER_CALL}"'


def ids(records):
    return [r["id"] for r in records]


class Walks(harness.StackTest):
    """Each test asks for something that nobody has asked for before."""

    number = itertools.count()

    @classmethod
    def begin(cls, **options):
        cls.share(**({"simulator": DATA, "settings": SETTINGS} | options))

    def setUp(self):
        self.it, self.control = self.shared, self.shared.control
        self.client = self.it.client()
        # what a test leaves held may not hold up the next one
        self.addCleanup(self.control.reset)

    def anew(self, **params):
        """Parameters of a query that is new, and leaves nothing out."""
        n = next(self.number)
        params = {"evaluatedSince": f"2020-01-01T00:{n // 60:02}:{n % 60:02}Z", "partial": True} | params
        return params if "posture" in params else {"policy": 1001} | params

    @staticmethod
    def complete(params):
        return {k: v for k, v in params.items() if k not in ("partial", "limit")}

    def page(self, answer, count=None):
        """One of a fetch under way."""
        self.assertEqual(answer.status, 200, answer)
        page = answer.json()
        self.assertIsNone(page["page"]["total"])
        self.assertFalse(page["result"]["complete"])
        self.assertEqual(page["page"]["count"], len(page["data"]))
        if count is not None:
            self.assertEqual(len(page["data"]), count)
        return page

    def get(self, page, headers=None, client=None):
        return (client or self.client).get(page["page"]["next"], headers)

    def rest(self, page, client=None):
        """The records that follow, with the last page; waits for all."""
        records = []
        while "next" in page["page"]:
            answer = self.get(page, client=client)
            self.assertEqual(answer.status, 200, answer)
            page = answer.json()
            records += page["data"]
        return records, page

    def check_whole(self, records, params, last, client=None):
        """That these were all, each once, in the order of the result; that the last page says so."""
        self.assertEqual(last["result"]["complete"], True)
        whole = (client or self.client).records("/v1/postures", **self.complete(params))
        self.assertEqual(last["page"]["total"], len(whole))
        self.assertEqual(ids(records), ids(whole))
        self.assertEqual(records, whole)

    def check_gone(self, answer, text):
        self.assertEqual(answer.status, 410, answer)
        self.assertEqual(answer.json()["type"], GONE)
        self.assertIn(text, answer.json()["detail"])
        self.assertIn("Begin anew", answer.json()["detail"])

    def first_page(self, records=30, limit=20, match=FIRST_HOST, **params):
        """Of a fetch whose first call is held after so many records. The page, the parameters, the hold."""
        params = self.anew(limit=limit, **params)
        hold = self.control.hold(api="postureInfo", records=records, match=match)
        page = self.page(self.client.get("/v1/postures", **params), limit)
        self.control.wait(api="postureInfo", held=1)
        return page, params, hold


class WhileItRuns(Walks):
    @classmethod
    def setUpClass(cls):
        cls.begin(consumers=[Consumer("test", force="true", admin="true"), Consumer("other"),
                             Consumer("second", policies="1002"), Consumer("blind", evidence="false")])

    # --- what comes when

    def test_the_first_page_is_there_while_the_first_call_is_held(self):
        page, params, hold = self.first_page()
        self.assertEqual(sorted(page["result"]), sorted([
            "id", "fetchedAt", "freshUntil", "upstreamVersion", "complete", "batches", "calls", "hostsAsked",
            "hostsSeen"]))
        self.assertEqual(page["result"]["upstreamVersion"], "5.0")
        self.assertIsNone(page["result"]["freshUntil"])
        self.control.release(id=hold)
        records, last = self.rest(page)
        self.check_whole(page["data"] + records, params, last)
        self.assertEqual([last["result"][m] for m in ("id", "fetchedAt")],
                         [page["result"][m] for m in ("id", "fetchedAt")])
        self.assertEqual(last["result"]["hostsSeen"], HOSTS)

    def test_explain_tells_the_fetch_that_a_walk_goes_through_and_does_not_wait_for_it(self):
        page, _, hold = self.first_page()
        fetch = self.client.get("/v1/fetches").json()["data"][0]["id"]
        cursor = page["page"]["next"].split("cursor=")[1]
        said = self.client.get("/v1/postures/explain", cursor=cursor).json()
        self.assertEqual((said["serves"]["fetch"], said["serves"]["result"], said["serves"]["age"]),
                         (fetch, None, "inFlight"))
        self.control.release(id=hold)
        self.rest(page)
        said = self.client.get("/v1/postures/explain", cursor=cursor).json()
        self.assertEqual((said["serves"]["result"], said["serves"]["age"]), (page["result"]["id"], "pinned"))

    def test_records_of_later_calls_wait_for_those_before_them(self):
        params = self.anew(limit=20)
        first = self.control.hold(api="postureInfo", match=call_of(0))
        self.assertEqual(self.client.get("/v1/postures", NOW, **params).status, 202)
        self.control.wait(api="postureInfo", held=1)
        fetch = self.client.get("/v1/fetches").json()["data"][0]
        harness.wait_until(lambda: self.client.get(f"/v1/fetches/{fetch['id']}").json()["calls"]["done"] == CALLS - 1,
                           "the other calls are done")
        self.assertEqual(self.client.get("/v1/postures", NOW, **params).status, 202)
        self.control.release(id=first)
        page = self.client.get("/v1/postures", **params).json()
        records, last = self.rest(page)
        self.check_whole(page["data"] + records, params, last)

    def test_what_is_not_there_yet_is_a_202_and_the_same_cursor_goes_on(self):
        page, params, hold = self.first_page(records=20, limit=20)
        for _ in range(2):
            answer = self.get(page, NOW)
            self.assertEqual(answer.status, 202, answer)
            self.assertRegex(answer.headers["Location"], "^/v1/fetches/[0-9a-f]+$")
            self.assertLessEqual(int(answer.headers["Retry-After"]), 2)
            self.assertEqual(answer.json()["state"], "fetching")
            self.assertEqual(self.client.get(answer.headers["Location"]).status, 200)
        self.control.release(id=hold)
        records, last = self.rest(page)
        self.check_whole(page["data"] + records, params, last)

    def test_nothing_yet_is_a_202(self):
        hold = self.control.hold(api="postureInfo")
        params = self.anew(limit=5)
        answer = self.client.get("/v1/postures", {"Prefer": "respond-async"}, **params)
        self.assertEqual((answer.status, answer.headers["Preference-Applied"]), (202, "respond-async"))
        self.control.release(id=hold)
        page = self.client.get("/v1/postures", **params).json()
        records, last = self.rest(page)
        self.check_whole(page["data"] + records, params, last)

    def test_who_waits_in_vain_gets_what_there_is(self):
        page, params, hold = self.first_page(records=30, limit=20)
        shown = page["data"]
        page = self.page(self.get(page, {"Prefer": "wait=1"}), 10)
        self.assertEqual(self.get(page, NOW).status, 202)
        self.control.release(id=hold)
        records, last = self.rest(page)
        self.check_whole(shown + page["data"] + records, params, last)

    def test_who_waits_gets_the_page_when_it_is_full(self):
        page, params, hold = self.first_page(records=30, limit=20)
        other, got = self.it.client(), []
        thread = threading.Thread(target=lambda: got.append(self.get(page, {"Prefer": "wait=60"}, other)))
        thread.start()
        self.control.release(id=hold)
        thread.join()
        self.assertEqual((got[0].status, got[0].json()["page"]["count"]), (200, 20))
        records, last = self.rest(got[0].json())
        self.check_whole(page["data"] + got[0].json()["data"] + records, params, last)

    def test_pages_ask_the_upstream_nothing_more(self):
        before = self.control.state()["apis"]["postureInfo"]["calls"]
        page, params, hold = self.first_page()
        joined = self.page(self.it.client(1).get("/v1/postures", **params), 20)
        self.control.release(id=hold)
        self.rest(page)
        self.rest(joined, self.it.client(1))
        self.assertEqual(self.control.state()["apis"]["postureInfo"]["calls"], before + CALLS)

    def test_headers_say_that_it_is_nobodys_to_keep(self):
        params = self.anew(limit=20)
        hold = self.control.hold(api="postureInfo", records=45, match=FIRST_HOST)
        first = self.client.get("/v1/postures", **params)
        page = self.page(first)
        joined = self.client.get("/v1/postures", **params)
        walked = self.get(page)
        head = self.client.request("HEAD", page["page"]["next"])
        self.assertEqual(first.headers["Cache-Status"], "posturegate; fwd=miss")
        for answer in (joined, walked, head):
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.headers["Cache-Status"], "posturegate; fwd=miss; collapsed")
        for answer in (first, joined, walked, head):
            self.assertEqual(answer.headers["Cache-Control"], "no-store")
            self.assertIsNone(answer.headers["ETag"])
            self.assertIsNone(answer.headers["Age"])
            self.assertIn("Authorization", answer.headers["Vary"])
        self.assertEqual(first.headers["Link"], f"<{page['page']['next']}>; rel=\"next\"")
        self.assertEqual(head.headers["Content-Length"], walked.headers["Content-Length"])
        self.assertEqual(head.body, b"")
        self.control.release(id=hold)
        records, last = self.rest(page)
        self.check_whole(page["data"] + records, params, last)

    # --- that it is the complete result

    def held_page(self, params):
        """The first page, or a part of it, of a fetch all of whose calls are held after some records."""
        return self.page(harness.wait_until(
            lambda: (a := self.client.get("/v1/postures", NOW, **params)).status == 200 and a, "there are records"))

    def test_any_walk_is_the_complete_result(self):
        dice = random.Random(20261120)
        for held, limit in ((1, 7), (13, 1000), (50, 50), (49, 3), (30, 60), (45, 45), (25, 100)):
            with self.subTest(held=held, limit=limit):
                params = self.anew(limit=limit)
                hold = self.control.hold(api="postureInfo", records=held)
                page = self.held_page(params)
                records = page["data"]
                while "next" in page["page"]:
                    answer = self.get(page, NOW)
                    if answer.status == 202:
                        self.control.release(id=hold, count=dice.randrange(2))
                        continue
                    self.assertEqual(answer.status, 200, answer)
                    page = answer.json()
                    records += page["data"]
                self.control.release(id=hold)
                self.check_whole(records, params, page)

    def test_any_walk_through_calls_that_break_anywhere_is_the_complete_result(self):
        """They come again in the same order, so that no walk may end before its time."""
        seed = random.randrange(1 << 32)
        dice = random.Random(seed)
        for _ in range(6):
            with self.subTest(seed=seed):
                params = self.anew(limit=dice.choice((3, 20, 60, 1000)))
                hold, breaks = self.control.hold(api="postureInfo", records=dice.randrange(1, CALL)), dice.randrange(1, 8)
                page = self.held_page(params)
                records = page["data"]
                while "next" in page["page"]:
                    answer = self.get(page, NOW)
                    if answer.status == 202 and breaks > 0:
                        # some of the calls go on to their end; the others break off, and are held somewhere else
                        self.control.release(id=hold, count=dice.randrange(3))
                        self.control.release(id=hold, broken=True)
                        hold = self.control.hold(api="postureInfo", records=dice.randrange(1, CALL))
                        breaks -= 1
                    elif answer.status == 202:
                        self.control.release()
                    else:
                        self.assertEqual(answer.status, 200, answer)
                        page = answer.json()
                        records += page["data"]
                self.control.release()
                self.check_whole(records, params, page)

    def test_a_result_that_comes_between_two_pages_goes_on_as_an_ordinary_walk(self):
        page, params, hold = self.first_page()
        self.control.release(id=hold)
        self.client.records("/v1/postures", **self.complete(params))  # it is complete
        answer = self.get(page)
        self.assertEqual(answer.json()["page"]["total"], ALL)
        self.assertTrue(answer.json()["result"]["complete"])
        self.assertRegex(answer.headers["Cache-Status"], "^posturegate; hit; ttl=[0-9]+$")
        self.assertIsNotNone(answer.headers["ETag"])
        records, last = self.rest(answer.json())
        self.check_whole(page["data"] + answer.json()["data"] + records, params, last)
        # and once more: a cursor is good as often as it is shown
        self.assertEqual(self.get(page).json(), answer.json())

    def test_what_is_stored_is_served_as_ever(self):
        params = self.anew(limit=30)
        plain = {k: v for k, v in params.items() if k != "partial"}
        wanted = self.client.get("/v1/postures", **plain)
        answer = self.client.get("/v1/postures", **params)
        self.assertEqual((answer.status, answer.json()), (200, wanted.json()))
        self.assertEqual(answer.headers["ETag"], self.client.get("/v1/postures", **plain).headers["ETag"])

    def test_a_short_answer_is_complete_at_once(self):
        params = self.anew(limit=1000)
        page = self.client.get("/v1/postures", **params).json()
        self.assertTrue(page["result"]["complete"])
        self.assertNotIn("next", page["page"])
        self.check_whole(page["data"], params, page)

    def test_an_empty_answer_is_complete_at_once(self):
        params = self.anew(evaluatedSince="2100-01-01")
        page = self.client.get("/v1/postures", **params).json()
        self.assertEqual((page["data"], page["page"]["total"], page["result"]["complete"]), ([], 0, True))

    # --- a call is made again

    def test_a_call_that_comes_again_in_the_same_order_is_shown_once(self):
        page, params, hold = self.first_page(records=30, limit=20)
        again = self.control.hold(api="postureInfo", records=10, match=FIRST_HOST)
        self.control.release(id=hold, broken=True)
        self.control.wait(api="postureInfo", held=1)
        # until the new attempt has committed something the one before counts; then less is there than was shown
        harness.wait_until(lambda: self.get(page, NOW).status == 202, "the new attempt is seen")
        third = self.control.hold(api="postureInfo", records=25, match=FIRST_HOST)
        self.control.release(id=again, broken=True)
        self.control.wait(api="postureInfo", held=1)
        answer = harness.wait_until(lambda: (a := self.get(page, NOW)).status == 200 and a, "more than was shown is there")
        second = self.page(answer, 5)
        self.control.release(id=third)
        records, last = self.rest(second)
        self.check_whole(page["data"] + second["data"] + records, params, last)

    def test_a_call_that_came_again_in_the_same_order_is_good_in_the_result(self):
        page, params, hold = self.first_page(records=30, limit=20)
        self.control.release(id=hold, broken=True)
        # what was shown is of the attempt that broke: when it was made is told by no date here (DATA's now)
        whole = self.client.records("/v1/postures", **self.complete(params))
        records, last = self.rest(page)
        self.assertEqual(page["data"] + records, whole)
        self.check_whole(page["data"] + records, params, last)

    def test_a_call_that_comes_again_in_another_order_ends_the_walk(self):
        for when in ("while it runs", "in the result"):
            with self.subTest(when):
                page, params, hold = self.first_page(records=30, limit=20)
                again = self.control.hold(api="postureInfo", records=40, match=FIRST_HOST)
                self.control.set(order=1)
                self.addCleanup(self.control.set, order=0)
                self.control.release(id=hold, broken=True)
                self.control.wait(api="postureInfo", held=1)
                if when == "in the result":
                    self.control.release(id=again)
                    whole = self.client.records("/v1/postures", **self.complete(params))
                    self.assertNotEqual(ids(whole)[:20], ids(page["data"]))
                answer = harness.wait_until(
                    lambda: (a := self.get(page, NOW)).status != 200 and a, "the new attempt is seen")
                self.check_gone(answer, "order")
                self.control.release(id=again)
                self.control.set(order=0)
                # and the query begins anew
                self.assertEqual(self.client.get("/v1/postures", **params).status, 200)

    def test_a_call_behind_the_page_may_come_in_any_order(self):
        params = self.anew(limit=CALL)
        hold = self.control.hold(api="postureInfo", records=30, match=call_of(1))
        page = self.page(self.client.get("/v1/postures", **params), CALL)
        self.control.wait(api="postureInfo", held=1)
        self.control.set(order=1)
        self.addCleanup(self.control.set, order=0)
        self.control.release(id=hold, broken=True)
        records, last = self.rest(page)
        self.check_whole(page["data"] + records, params, last)

    # --- where it ends

    def test_a_fetch_that_fails_ends_the_walk_with_its_reason(self):
        page, params, hold = self.first_page()
        self.control.fault("403", api="postureInfo", match=FIRST_HOST, times=-1)
        self.control.release(id=hold, broken=True)
        answer = self.get(page, {"Prefer": "wait=60"})
        while answer.status == 200:  # what the broken attempt had brought
            answer = self.get(answer.json(), {"Prefer": "wait=60"})
        self.check_gone(answer, "The upstream forbids this to the gateway's account")
        self.check_gone(self.get(page), "The upstream forbids this to the gateway's account")

    def test_a_fetch_that_fails_before_the_first_page_is_a_failure_like_any(self):
        self.control.fault("403", api="postureInfo", times=-1)
        answer = self.client.get("/v1/postures", **self.anew())
        self.assertEqual((answer.status, answer.json()["type"]), (503, "/problems/upstream-forbidden"))

    def test_a_fetch_that_is_cancelled_ends_the_walk(self):
        page, params, hold = self.first_page(records=20)
        fetch = self.get(page, NOW).headers["Location"]
        self.assertIn(self.client.request("DELETE", f"/admin{fetch}").status, (200, 202, 204))
        self.check_gone(self.get(page, {"Prefer": "wait=60"}), "cancelled")

    # --- whose it is

    def test_the_cursor_is_the_consumers_own(self):
        page, params, hold = self.first_page(limit=10)
        foreign = self.get(page, client=self.it.client(1))
        self.assertEqual((foreign.status, foreign.json()["type"]), (400, "/problems/bad-cursor"))
        for other in ("/v1/policies", "/v1/policies/1001/hosts"):
            answer = self.client.get(page["page"]["next"].replace("/v1/postures", other))
            self.assertEqual((answer.status, answer.json()["type"]), (400, "/problems/bad-cursor"))
        tampered = page["page"]["next"][:-1] + ("A" if page["page"]["next"][-1] != "A" else "B")
        self.assertEqual(self.client.get(tampered).status, 400)
        self.assertEqual(self.client.get(page["page"]["next"] + "&partial=true").status, 400)
        self.page(self.client.get(page["page"]["next"] + "&limit=3"), 3)
        posted = self.client.post("/v1/postures/query", {"cursor": page["page"]["next"].split("=", 1)[1]})
        self.page(posted, 10)

    def test_a_grant_is_a_predicate_on_the_records_of_every_page(self):
        every = self.client.records("/v1/postures", policy=[1001, 1002])
        mine = [r["id"] for r in every if r["policyId"] == 1002]
        second = self.it.client(2)
        params = self.anew(posture=[r["id"] for r in every], limit=30)
        hold = self.control.hold(api="postureInfo", records=ALL // 2)  # all of them of the other policy
        answer = second.get("/v1/postures", NOW, **params)
        self.assertEqual(answer.status, 202)
        self.control.wait(api="postureInfo", held=1)
        answer = second.get("/v1/postures", {"Prefer": "wait=1"}, **params)
        self.assertEqual(answer.status, 202)
        self.assertIsNone(answer.json()["records"])
        self.control.release(id=hold)
        again = self.anew(posture=[r["id"] for r in every], limit=30)
        hold = self.control.hold(api="postureInfo", records=ALL + 50)
        page = self.page(second.get("/v1/postures", **again), 30)
        self.control.wait(api="postureInfo", held=1)
        self.control.release(id=hold)
        records, last = self.rest(page, second)
        self.assertEqual(sorted(ids(page["data"] + records)), sorted(mine))
        self.check_whole(page["data"] + records, again, last, second)

    def test_fields_and_evidence_are_as_on_any_page(self):
        params = self.anew(limit=20, fields="id,status", evidence="basic")
        hold = self.control.hold(api="postureInfo", records=30, match=FIRST_HOST)
        page = self.page(self.client.get("/v1/postures", **params), 20)
        self.assertEqual(list(page["data"][0]), ["id", "status"])
        blind = self.it.client(3)
        hidden = self.page(blind.get("/v1/postures", **(params | {"fields": "id,evidence,causeOfFailure"})), 20)
        self.assertEqual({(r["evidence"], r["causeOfFailure"]) for r in hidden["data"]}, {(None, None)})
        shown = self.page(self.client.get("/v1/postures", **(params | {"fields": "id,evidence"})), 20)
        self.assertTrue(any(r["evidence"] for r in shown["data"]))
        self.control.release(id=hold)
        records, last = self.rest(page)
        self.check_whole(page["data"] + records, params, last)
        records, last = self.rest(hidden, blind)
        self.assertEqual({r["evidence"] for r in records}, {None})

    def test_a_posted_query_is_the_same(self):
        params = self.anew(limit=20)
        hold = self.control.hold(api="postureInfo", records=30, match=FIRST_HOST)
        page = self.page(self.client.post("/v1/postures/query", params), 20)
        self.control.release(id=hold)
        records, last = self.rest(page)
        self.check_whole(page["data"] + records, params, last)

    def test_whole_results_have_no_pages(self):
        for form in ({"format": "ndjson"}, {"format": "csv"}):
            answer = self.client.get("/v1/postures", **self.anew(**form))
            self.assertEqual(answer.status, 400)
            self.assertIn("partial", [e["parameter"] for e in answer.json()["errors"]])

    def test_only_if_cached_begins_nothing_and_has_no_effect_on_a_walk(self):
        page, params, hold = self.first_page(records=45)
        second = self.page(self.get(page, {"Cache-Control": "only-if-cached, no-cache"}), 20)
        self.control.release(id=hold)
        records, last = self.rest(second)
        self.check_whole(page["data"] + second["data"] + records, params, last)
        before = self.control.state()["apis"]["postureInfo"]["calls"]
        answer = self.client.get("/v1/postures", {"Cache-Control": "only-if-cached"}, **self.anew())
        self.assertEqual((answer.status, answer.json()["type"]), (504, "/problems/not-cached"))
        self.assertEqual(self.control.state()["apis"]["postureInfo"]["calls"], before)


class Restarts(Walks):
    def setUp(self):
        self.it = self.stack(simulator=DATA, settings=SETTINGS)
        self.control, self.client = self.it.control, self.it.client()

    def test_a_restart_ends_the_walk_and_an_end_in_order_says_so(self):
        for kill in (True, False):
            with self.subTest(kill=kill):
                page, params, hold = self.first_page()
                self.it.restart_gateway(kill=kill)
                self.client.close()
                self.check_gone(self.get(page), "The result of this walk is gone.")
                self.control.release(id=hold)
                self.assertEqual(self.client.get("/v1/postures", **params).status, 200)

    def test_a_walk_goes_on_in_the_result_after_a_restart(self):
        page, params, hold = self.first_page()
        self.control.release(id=hold)
        whole = self.client.records("/v1/postures", **self.complete(params))
        self.it.restart_gateway()
        self.client.close()
        records, last = self.rest(page)
        self.assertEqual(page["data"] + records, whole)


class Versions(Walks):
    @classmethod
    def setUpClass(cls):
        cls.begin(settings=harness.exactly(
            {"upstream": SETTINGS["upstream"] | {"concurrency": 1, "versions": "5.0, 4.0"},
             "lifecycle": {"postureInfo 4.0": "active"}}))

    def test_a_fetch_that_begins_anew_in_another_version_ends_the_walk(self):
        page, params, hold = self.first_page()
        self.control.set(retired="postureInfo/5.0")
        again = self.control.hold(api="postureInfo", match=FIRST_HOST)
        self.control.release(id=hold)  # the second call is told that there is no such version
        self.control.wait(api="postureInfo", held=1)
        # that may still have been the first one: until the fetch begins anew its pages are good
        harness.wait_until(lambda: self.get(page, NOW).status == 410, "the fetch has begun anew")
        self.check_gone(self.get(page), "Begin anew")
        self.control.release(id=again)
        new = self.client.get("/v1/postures", **params).json()
        self.assertEqual(new["result"]["upstreamVersion"], "4.0")
        records, last = self.rest(new)
        self.check_whole(new["data"] + records, params, last)


class Older(Walks):
    """There is a result already."""

    def setUp(self):
        self.it = self.stack(clock=True, simulator=DATA, settings=SETTINGS | {"cache": SETTINGS["cache"] | {
            "fresh_for": "1h", "stale_for": "1h", "keep_for": "100h"}})
        self.control, self.client = self.it.control, self.it.client()
        self.params = self.anew(limit=20)
        self.old = self.client.get("/v1/postures", **self.complete(self.params)).json()

    def hold(self):
        return self.control.hold(api="postureInfo", records=30, match=FIRST_HOST)

    def check_new(self, answer, hold, fwd):
        page = self.page(answer, 20)
        self.assertEqual(answer.headers["Cache-Status"], f"posturegate; fwd={fwd}")
        self.assertNotEqual(page["result"]["id"], self.old["result"]["id"])
        self.control.release(id=hold)
        records, last = self.rest(page)
        self.check_whole(page["data"] + records, self.params, last)

    def test_no_cache_shows_the_new_fetch_while_others_get_the_old_result(self):
        hold = self.hold()
        answer = self.client.get("/v1/postures", {"Cache-Control": "no-cache"}, **self.params)
        self.assertEqual(self.client.get("/v1/postures", **self.complete(self.params)).json(), self.old)
        self.check_new(answer, hold, "request")

    def test_a_stale_one_is_served_at_once_and_whole(self):
        self.it.advance(5000)
        hold = self.hold()
        answer = self.client.get("/v1/postures", **self.params)
        self.assertRegex(answer.headers["Cache-Status"], "^posturegate; hit; ttl=-[0-9]+$")
        self.assertEqual((answer.json()["result"], answer.json()["page"]["total"]), (self.old["result"], ALL))
        self.control.release(id=hold)

    def test_an_expired_one_gives_way_to_the_new_fetch(self):
        self.it.advance(10000)
        hold = self.hold()
        self.check_new(self.client.get("/v1/postures", **self.params), hold, "stale")

    def test_an_expired_one_stands_in_for_a_fetch_that_fails(self):
        self.it.advance(10000)
        self.control.fault("403", api="postureInfo", times=-1)
        answer = self.client.get("/v1/postures", **self.params)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual((answer.json()["result"], answer.json()["page"]["total"]), (self.old["result"], ALL))

    def test_the_walk_of_a_fetch_that_fails_does_not_go_on_in_an_older_result(self):
        self.it.advance(10000)
        hold = self.hold()
        page = self.page(self.client.get("/v1/postures", **self.params), 20)
        self.control.fault("403", api="postureInfo", match=FIRST_HOST, times=-1)
        self.control.release(id=hold, broken=True)
        answer = self.get(page, {"Prefer": "wait=60"})
        while answer.status == 200:
            answer = self.get(answer.json(), {"Prefer": "wait=60"})
        self.check_gone(answer, "The upstream forbids")


if __name__ == "__main__":
    harness.main()
