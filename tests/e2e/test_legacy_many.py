"""Bodies of the drop-in surface that ask for many policies: they take from the upstream what they are
about to give, and no more."""

import json
import threading

import harness
import speaker
from harness import Consumer

POLICIES, HOSTS, AHEAD = 12, 3, 4
DATA = {"policies": POLICIES, "hosts": HOSTS, "controls": 5, "host_overlap": 0, "empty_hosts": 0,
        "now": "2026-11-20T12:00:00Z"} | speaker.UNLIMITED
PLENTY = {"upstream": {"concurrency": 32, "rate_calls": 1000}}
ENDED = ("complete", "failed", "cancelled")


def body_of(policies):
    return [speaker.element(p, speaker.simulated_hosts(p, HOSTS)) for p in policies]


def policies_of(text):
    """In the order in which their first records came."""
    return list(dict.fromkeys(int(dict(r)["policyId"]) for r in speaker.pairs_of(text)))


ALL = body_of(range(1001, 1001 + POLICIES))


class Later(threading.Thread):
    """A call under way."""

    def __init__(self, call, *args, **params):
        super().__init__()
        self.call, self.args, self.params = call, args, params
        self.start()

    def run(self):
        self.answer = self.call(*self.args, **self.params)

    def get(self):
        self.join()
        return self.answer


class Many(harness.StackTest, speaker.Messages):
    def begin(self, lists=True, **options):
        consumers = [Consumer("old", admin="true"), Consumer("other")]
        self.it = self.stack(**{"simulator": DATA, "settings": PLENTY, "consumers": consumers} | options)
        self.gateway, self.upstream = speaker.gateway_of(self.it), speaker.upstream_of(self.it)
        self.control = self.it.control
        if lists:
            self.assertEqual(self.gateway.list().status, 200)

    def fetches(self, running=False):
        data = self.it.client().get("/admin/v1/fetches").json()["data"]
        return [f for f in data if "policy=" in f["query"] and not (running and f["state"] in ENDED)]

    def calls(self, api="postureInfo"):
        return speaker.calls(self.it, api)

    def fill(self, work, count):
        line = f'\npcrs_workers_waiting{{class="{work}"}} {count}\n'
        client = self.it.client(key="")
        harness.wait_until(lambda: line in client.get("/metrics").body.decode(), "all places are taken")

    def stream(self, body, **params):
        s = self.gateway.stream("5.0", body, **params)
        self.addCleanup(s.close)
        return s


class Window(Many):
    def test_fetches_begin_a_few_ahead_of_what_is_given(self):
        self.begin()
        hold = self.control.hold(api="postureInfo", times=1, match="1001")
        later = Later(self.gateway.info, "5.0", ALL)
        self.control.wait(api="postureInfo", held=1, calls=AHEAD)
        harness.wait_until(lambda: len(self.fetches(running=True)) == 1, "all but the first have ended")
        self.assertEqual(len(self.fetches()), AHEAD)
        self.control.release(id=hold)
        answer = later.get()
        self.assertEqual(speaker.records_of(answer), speaker.records_of(self.upstream.info("5.0", ALL)))
        self.assertEqual(policies_of(speaker.text_of(answer)), list(range(1001, 1001 + POLICIES)))
        self.assertEqual(len(self.fetches()), POLICIES)

    def test_what_is_stored_takes_no_place_among_them(self):
        self.begin()
        stored = body_of([1001, 1002, 1004, 1005, 1007])
        self.assertEqual(self.gateway.info("5.0", stored).status, 200)
        before = self.calls()
        hold = self.control.hold(api="postureInfo", times=1, match="1003")
        later = Later(self.gateway.info, "5.0", ALL)
        self.control.wait(api="postureInfo", held=1, calls=before + AHEAD)
        self.control.release(id=hold)
        answer = later.get()
        self.assertEqual(speaker.records_of(answer), speaker.records_of(self.upstream.info("5.0", ALL)))
        line = [l for l in self.it.gateway.text().splitlines() if " request " in l and "postureInfo" in l][-1]
        self.assertIn("cache=miss", line)
        self.assertIn(f" calls={2 * (POLICIES - len(stored))} ", line)


class Told(Many):
    def test_all_hosts_of_a_policy_as_one_answer_told_them_are_everybodys_query(self):
        self.begin()
        told = self.gateway.hosts("5.0", policyId=",".join(e["policyId"] for e in ALL)).json()
        self.assertEqual(len(told), POLICIES)
        told[3]["hostIds"].pop(0)
        told[6]["hostIds"].pop()
        told[9]["hostIds"][1] = "4000000"
        answer = self.gateway.info("5.0", told)
        self.assertEqual(speaker.records_of(answer), speaker.records_of(self.upstream.info("5.0", told)))
        client = self.it.client()
        for at, element in enumerate(told):
            status = client.get("/v1/postures", policy=element["policyId"]).headers["Cache-Status"]
            self.assertRegex(status, "fwd=miss" if at in (3, 6, 9) else "; hit")


class Failures(Many):
    def test_a_fetch_that_cannot_begin_when_its_turn_comes_breaks_the_transfer(self):
        self.begin(consumers=[Consumer("old", admin="true", quota=7)])  # one of them was the list's
        hold = self.control.hold(api="postureInfo", times=1, match="1001")
        later = self.stream(ALL[:6], compressionRequired=0)
        self.control.wait(api="postureInfo", held=1, calls=AHEAD)
        another = self.it.client().get("/v1/postures", policy=1000 + POLICIES)
        self.assertEqual(another.status, 200)  # and with that the last of it is gone
        self.control.release(id=hold)
        self.assertEqual(later.head(), 200)
        given = policies_of(later.broken() + b"]")
        self.assertEqual(given, list(range(1001, 1001 + len(given))))
        harness.wait_until(lambda: "status=200 problem=QUOTA_EXCEEDED" in self.it.gateway.text(), "it is logged")
        self.assertEqual(self.calls(), 6)


class Quota(Many):
    def left(self, answer):
        return int(answer.headers["X-RateLimit-Remaining"])

    def test_what_would_be_more_than_is_left_is_refused_before_anything_begins(self):
        self.begin(consumers=[Consumer("old", admin="true", quota=3)])  # one of them was the list's
        answer = self.gateway.info("5.0", ALL[:3])
        self.check_message(answer, 429, "^3 policies .* quota of 3 queries an hour 2 are left$")
        self.assertGreater(int(answer.headers["Retry-After"]), 3500)
        self.assertEqual((self.left(answer), len(self.fetches()), self.calls("hostids")), (2, 0, 0))
        answer = self.gateway.info("5.0", ALL[:2])
        self.assertEqual((len(speaker.records_of(answer)), self.left(answer)), (2 * HOSTS * 5, 0))
        self.assertEqual(self.gateway.info("5.0", ALL[:2]).status, 200)

    def test_a_fetch_of_another_costs_nothing(self):
        self.begin(consumers=[Consumer("old", admin="true", quota=2), Consumer("other")])
        other = speaker.gateway_of(self.it, 1)
        hold = self.control.hold(api="postureInfo", times=1)
        first = Later(other.info, "5.0", ALL[:1])
        self.control.wait(api="postureInfo", held=1)
        later = Later(self.gateway.info, "5.0", ALL[:2])
        self.control.wait(api="postureInfo", calls=2)
        self.control.release(id=hold)
        for answer in (first.get(), later.get()):
            self.assertEqual(answer.status, 200)

    def test_what_is_older_stands_in_for_as_many_as_are_too_many(self):
        self.begin(clock=True, settings=PLENTY | {"cache": {"fresh_for": "10m", "stale_for": "10m"}},
                   consumers=[Consumer("old", admin="true", quota=5)])
        self.assertEqual(self.gateway.info("5.0", ALL[:4]).status, 200)
        self.it.advance(1500)
        self.assertEqual(self.gateway.info("5.0", ALL[:4]).status, 200)
        self.check_message(self.gateway.info("5.0", ALL[:5]), 429, "^5 policies")
        self.assertEqual(self.calls(), 4)
        self.it.advance(3661 - 1500)
        self.assertEqual(self.gateway.info("5.0", ALL[:3] + ALL[4:6]).status, 200)
        self.assertEqual(self.calls(), 9)


    def test_of_many_stale_results_few_are_renewed_at_a_time(self):
        self.begin(clock=True, settings=PLENTY | {"cache": {"fresh_for": "10m", "stale_for": "10h", "keep_for": "20h"}})
        self.assertEqual(self.gateway.info("5.0", ALL).status, 200)
        self.it.advance(3600)
        for renewed in (4, 8):
            self.assertEqual(self.gateway.info("5.0", ALL).status, 200)
            harness.wait_until(lambda: self.calls() >= len(ALL) + renewed and not self.fetches(running=True), "renewed")
            self.assertEqual(self.calls(), len(ALL) + renewed)


class Places(Many):
    def test_without_a_place_for_its_stream_a_call_begins_nothing(self):
        self.begin(consumers=[Consumer("old", admin="true", quota=9), Consumer("other"), Consumer("third")],
                   settings=PLENTY | {"gateway": {"workers": 64}})
        others = [speaker.gateway_of(self.it, i) for i in (1, 2)]
        hold = self.control.hold(api="postureInfo", times=1)
        streams = [other.stream("5.0", ALL[:1]) for other in others for _ in range(64 // 4 // 2)]
        for s in streams:
            self.addCleanup(s.close)
        self.fill("stream", 16)
        before = self.calls("hostids")
        answer = self.gateway.info("5.0", ALL[1:4])
        self.check_message(answer, 503)
        self.assertIn("Retry-After", answer.headers)
        self.assertEqual(answer.headers["X-RateLimit-Remaining"], "8")
        self.assertEqual((self.calls("hostids"), len(self.fetches())), (before, 1))
        self.control.release(id=hold)
        for s in streams:
            self.assertEqual(len(speaker.records_in(s.rest())), HOSTS * 5)
        self.assertEqual(self.gateway.info("5.0", ALL[1:4]).status, 200)


class Lists(Many):
    def test_the_list_and_the_hosts_of_all_its_policies_have_eighty_seconds_together(self):
        self.begin(lists=False, clock=True)
        holds = [self.control.hold(api=api, times=1) for api in ("policyList", "hostids")]
        later = Later(self.gateway.hosts, "5.0")
        self.control.wait(api="policyList", held=1)
        self.it.advance(50)
        self.control.release(id=holds[0])
        self.control.wait(api="hostids", held=1)
        self.it.advance(31)
        self.check_message(later.get(), 504)
        self.control.release(id=holds[1])

    def test_a_list_that_has_no_place_to_wait_in_is_told_to_come_again(self):
        self.begin(settings=PLENTY | {"gateway": {"workers": 64}})
        hold = self.control.hold(api="hostids", times=1)
        waits = [Later(self.gateway.hosts, "5.0", policyId=1001) for _ in range(64 // 4)]
        self.fill("fetch", 16)
        answer = self.gateway.hosts("5.0", policyId=1001)
        self.check_message(answer, 503, "busy")
        self.assertIn("Retry-After", answer.headers)
        self.control.release(id=hold)
        for later in waits:
            self.assertEqual(later.get().status, 200)


class Bounds(Many):
    MOST = 10000

    def test_a_body_of_more_policies_than_may_be_is_refused(self):
        self.begin()
        body = [speaker.element(p, [1]) for p in range(1, self.MOST + 2)]
        self.check_message(self.gateway.info("5.0", body), 400, f"{self.MOST} policies")
        self.assertEqual(self.calls("hostids"), 0)

    def test_others_are_served_while_a_body_has_very_many(self):
        self.begin()
        hold = self.control.hold(api="hostids", times=AHEAD)
        s = self.stream([speaker.element(p, [1]) for p in range(1, self.MOST + 1)])
        self.control.wait(api="hostids", held=AHEAD)
        other = speaker.gateway_of(self.it, 1)
        self.assertEqual(len(speaker.records_of(other.info("5.0", body_of([1001])))), HOSTS * 5)
        self.assertEqual(len(self.fetches(running=True)), AHEAD)
        self.control.release(id=hold)
        self.assertEqual(s.head(), 502)


if __name__ == "__main__":
    harness.main()
