"""Answers of the drop-in surface while the fetch still runs that makes them: what comes when, and that
nothing which breaks off can be taken for something whole."""

import gzip
import itertools
import json
import re
import signal
import subprocess

import harness
import speaker
from harness import Consumer

HOSTS, CONTROLS = 20, 11
DATA = {"policies": 4, "hosts": HOSTS, "controls": CONTROLS, "host_overlap": 0, "empty_hosts": 0,
        "batch_hosts": 5, "now": "2026-11-20T12:00:00Z"} | speaker.UNLIMITED
ONE_CALL_AT_A_TIME = {"concurrency": 1, "rate_calls": 1000, "hosts_per_call": 10}
FILLER_S, STATUS_S = 15, 20
ENDED = ("complete", "failed", "cancelled")
LINGER_S = 3  # for so long the upstream may take a call that was broken off to be running
HALF = HOSTS // 2 * CONTROLS  # records of a policy that one of its two calls brings


def body_of(*policies):
    return [speaker.element(p, speaker.simulated_hosts(p, HOSTS)) for p in policies]


HALVES = [[speaker.element(1001, speaker.simulated_hosts(1001, HOSTS)[at:at + HOSTS // 2])]
          for at in (0, HOSTS // 2)]


def ids_of(text):
    """In the order in which they came."""
    return [dict(r)["id"] for r in speaker.pairs_of(text)]


class Streams(harness.StackTest, speaker.Messages):
    """Each test asks for something that nobody has asked for before."""

    number = itertools.count()

    def stack(self, settings=None, **options):
        return super().stack(settings=harness.exactly(settings), **options)

    @classmethod
    def share(cls, settings=None, **options):
        return super().share(settings=harness.exactly(settings), **options)

    def anew(self, **params):
        """Parameters of a query that is new, and leaves nothing out."""
        n = next(self.number)
        return {"evidenceRequired": 1, "lastEvaluationDate": f"2020-01-01T00:{n // 60:02}:{n % 60:02}Z"} | params

    def begin(self, stack, **options):
        """Speakers on both sides."""
        self.it, self.control = stack, stack.control
        self.gateway, self.upstream = speaker.gateway_of(stack), speaker.upstream_of(stack)
        self.addCleanup(lambda: stack.control.release())  # a restarted upstream has another
        for s in (self.gateway, self.upstream):
            self.assertEqual(s.login().status, 201)
        self.assertEqual(self.gateway.list().status, 200)  # the gateway knows the subscription

    def stream(self, version, body, **params):
        s = self.gateway.stream(version, body, **params)
        self.addCleanup(s.close)
        return s

    def first_half(self, version, fault=None, **params):
        """A stream of policy 1001 whose first call is done and has been given, but for the record that is
        held back; its second one waits at the upstream, and will meet the fault. The stream, the hold."""
        if fault:
            self.control.fault(fault, api="postureInfo", skip=1)
        hold = self.control.hold(api="postureInfo", skip=1)
        s = self.stream(version, body_of(1001), **params)
        s.until_records(HALF - 1)
        self.control.wait(api="postureInfo", held=1)
        return s, hold

    def quiet(self):
        """Waits until no fetch is left of what was asked before; not for what it waits for."""
        client = self.it.client()

        def ended():
            if all(f["state"] in ENDED for f in client.get("/admin/v1/fetches").json()["data"]):
                return True
            self.it.advance(1)
            return False
        harness.wait_until(ended, "no fetch is under way")

    def logged(self, what):
        """Waits until the last call of postureInfo that was logged is told so; its line."""
        def told():
            lines = [l for l in self.it.gateway.text().splitlines() if "postureInfo\" status=" in l]
            return lines[-1] if lines and what in lines[-1] else None
        return harness.wait_until(told, f"the log tells {what}")


class WhileItRuns(Streams):
    @classmethod
    def setUpClass(cls):
        cls.share(clock=True, simulator=DATA, consumers=[Consumer("old", legacy="allow", admin="true")],
                  settings={"upstream": ONE_CALL_AT_A_TIME})

    def setUp(self):
        self.begin(self.shared)
        self.quiet()

    # --- what comes when

    def test_status_and_first_records_come_long_before_the_last(self):
        for compressed in (1, 0):
            with self.subTest(compressionRequired=compressed):
                params = self.anew(compressionRequired=compressed)
                wanted = speaker.records_of(self.upstream.info("1.0", body_of(1001), **params))
                hold = self.control.hold(api="postureInfo", records=40)
                s = self.stream("1.0", body_of(1001), **params)
                self.control.wait(api="postureInfo", held=1)
                self.it.advance(2)  # what is there for a second is stored, without waiting for more
                s.until_records(39)
                self.assertEqual((s.head(), s.is_gzip()), (200, bool(compressed)))
                self.assertTrue(s.text.startswith(b'[{"id":'))
                self.control.release(id=hold)
                self.assertEqual(speaker.records_in(s.rest()), wanted)

    def test_the_last_record_in_hand_is_held_back_until_there_is_another(self):
        for version, compressed in (("5.0", 1), ("1.0", 0)):
            with self.subTest(version=version, compressionRequired=compressed):
                params = self.anew(compressionRequired=compressed)
                halves = [speaker.text_of(self.upstream.info("5.0", half, **params)) for half in HALVES]
                s, hold = self.first_half(version, **params)
                early = json.loads(s.text + b"]")
                self.assertEqual([r["id"] for r in early], [r["id"] for r in json.loads(halves[0])][:-1])
                self.control.release(id=hold)
                self.assertEqual(ids_of(s.rest()), ids_of(halves[0]) + ids_of(halves[1]))

    def test_everybody_who_asks_meanwhile_gets_the_same_from_the_one_fetch(self):
        params, before = self.anew(), speaker.calls(self.it)
        s, hold = self.first_half("1.0", **params)
        others = [self.stream(version, body_of(1001), **params) for version in ("1.0", "2.0", "1.0")]
        for other in others:
            other.until_records(HALF - 1)
            self.assertRegex(other.response.headers["Cache-Status"], "fwd=miss; collapsed")
        self.control.release(id=hold)
        records = speaker.records_in(s.rest())
        self.assertEqual(len(records), 2 * HALF)
        self.assertEqual(speaker.records_in(others[0].rest()), records)
        self.assertEqual(speaker.records_in(others[2].rest()), records)
        self.assertEqual(ids_of(others[1].rest()), ids_of(s.text))
        self.assertEqual(speaker.calls(self.it), before + 2)

    # --- pauses

    def test_a_pause_of_gzip_is_filled_with_blocks_that_hold_nothing(self):
        s, hold = self.first_half("1.0", **self.anew())
        before = s.text
        for _ in range(3):
            self.it.advance(FILLER_S + 1)
            self.assertTrue(s.take())
            self.assertEqual(s.text, before)
        self.control.release(id=hold)
        self.assertEqual(len(json.loads(s.rest())), 2 * HALF)
        self.assertEqual(gzip.decompress(s.raw), s.text)

    def test_a_pause_of_plain_text_is_filled_with_spaces_inside_of_a_record(self):
        params = self.anew(compressionRequired=0)
        wanted = self.upstream.info("1.0", body_of(1001), **params)
        s, hold = self.first_half("1.0", **params)
        before = s.text
        for n in range(1, 4):
            self.it.advance(FILLER_S + 1)
            s.take()
            self.assertRegex(s.text[len(before):], rb'^,\{"id":[0-9]+,' + b" " * n + b"$")
        self.control.release(id=hold)
        self.assertEqual(speaker.records_in(s.rest()), speaker.records_of(wanted))
        # the space is all that is there more; a client that splits at },{ sees every record
        self.assertEqual(s.text.count(b"   "), 1 + wanted.body.count(b"   "))
        self.assertEqual(s.text.count(b'},{"id":'), 2 * HALF - 1)

    def test_a_pause_after_the_last_record_is_filled_too(self):
        """The record held back may be the very last: it is whole only when all has ended."""
        params = self.anew(compressionRequired=0)
        self.control.fault("body", api="postureInfo", match='"1003"', value="[]", times=2)
        hold = self.control.hold(api="postureInfo", match='"1003"')
        s = self.stream("1.0", body_of(1001, 1003), **params)
        s.until_records(2 * HALF - 1)
        self.control.wait(api="postureInfo", held=1)
        self.it.advance(FILLER_S + 1)
        s.until(lambda s: s.text.endswith(b", "))
        self.control.release(id=hold)
        self.assertEqual(len(json.loads(s.rest())), 2 * HALF)

    def test_the_status_waits_for_a_first_record_twenty_seconds_at_most(self):
        for compressed in (1, 0):
            with self.subTest(compressionRequired=compressed):
                hold = self.control.hold(api="postureInfo")
                params = self.anew(compressionRequired=compressed)
                s = self.stream("1.0", body_of(1001), **params)
                self.control.wait(api="postureInfo", held=1)
                self.it.advance(STATUS_S - 2)
                client = self.it.client()
                for _ in range(100):  # time enough for who does not wait
                    self.assertEqual(client.get("/healthz").status, 200)
                self.assertFalse(s.has_head())
                self.it.advance(3)
                self.assertEqual(s.head(), 200)
                for _ in range(2 * compressed):  # plain text has nothing yet to put anything into
                    self.it.advance(FILLER_S + 1)
                    self.assertTrue(s.take())
                self.assertEqual(s.text, b"")
                self.control.release(id=hold)
                self.assertEqual(len(json.loads(s.rest())), 2 * HALF)
                self.assertGreaterEqual(int(re.search(r" wait_ms=(\d+) ", self.logged("wait_ms="))[1]), 1000 * STATUS_S)

    def test_the_status_of_what_is_known_to_be_empty_does_not_wait(self):
        for compressed in (1, 0):
            s = self.stream("1.0", body_of(1001), **self.anew(
                compressionRequired=compressed, statusChangedSince="2030-01-01"))
            self.assertEqual((s.head(), s.rest()), (200, b"[]"))
            self.assertEqual(s.is_gzip(), bool(compressed))

    # --- who leaves

    def test_who_hangs_up_leaves_no_worker_behind_and_the_fetch_goes_on(self):
        params, before = self.anew(), speaker.calls(self.it)
        s, hold = self.first_half("1.0", **params)
        self.assertEqual(self.streaming(), 1)
        s.close()

        def noticed():
            self.it.advance(FILLER_S + 1)
            return self.streaming() == 0
        harness.wait_until(noticed, "the worker is free")
        self.logged(" client=gone")
        self.control.release(id=hold)
        self.control.wait(api="postureInfo", ended=before + 2)
        again = self.gateway.info("1.0", body_of(1001), **params)
        self.assertEqual(len(speaker.records_of(again)), 2 * HALF)
        self.assertEqual(speaker.calls(self.it), before + 2)

    def streaming(self):
        text = self.it.client().get("/metrics").body.decode()
        return int(re.search(r'^pcrs_workers_waiting\{class="stream"\} ([0-9]+)$', text, re.M)[1])


class Policies(Streams):
    def test_policies_come_one_after_the_other_and_each_as_soon_as_it_is_there(self):
        self.begin(self.stack(simulator=DATA, consumers=[Consumer("old", legacy="allow")],
                              settings={"upstream": {"concurrency": 8, "rate_calls": 1000}}))
        params = self.anew(compressionRequired=0)
        hold = self.control.hold(api="postureInfo", match='"1003"')
        s = self.stream("1.0", body_of(1002, 1003, 1001), **params)
        s.until_records(4 * HALF - 1)
        self.control.wait(api="postureInfo", held=1)
        self.assertEqual({r["policyId"] for r in json.loads(s.text + b"]")}, {1001, 1002})
        self.control.release(id=hold)
        policies = [r["policyId"] for r in json.loads(s.rest())]
        self.assertEqual(policies, [1001] * 2 * HALF + [1002] * 2 * HALF + [1003] * 2 * HALF)


class Failures(Streams):
    @classmethod
    def setUpClass(cls):
        cls.share(clock=True, simulator=DATA, consumers=[Consumer("old", legacy="allow", admin="true")],
                  settings={"upstream": ONE_CALL_AT_A_TIME | {"retries": 0, "error_memory": "0s"}})

    def setUp(self):
        self.begin(self.shared)
        self.addCleanup(self.control.reset)

    def anew(self, **params):
        self.quiet()
        self.it.advance(LINGER_S + 1)
        return super().anew(**params)

    def test_before_the_first_record_a_failure_has_its_status(self):
        for fault, status in (("403", 503), ("500", 503), ("400", 502), ("html", 502), ("object", 502),
                              ("empty", 502), ("foreign_host", 502), ("no_answer", 503)):
            with self.subTest(fault):
                self.control.fault(fault, api="postureInfo")
                answer = self.gateway.info("1.0", body_of(1001), **self.anew())
                message = self.check_message(answer, status)
                self.assertNotIn("simulated", message)
                self.assertEqual(answer.headers["X-RateLimit-Remaining"], "300")

    def test_a_failure_of_any_policy_before_the_first_record_is_the_calls_own(self):
        self.control.fault("500", api="postureInfo", match='"1002"')
        self.check_message(self.gateway.info("1.0", body_of(1002, 1003), **self.anew()), 503)

    def test_after_the_first_record_a_failure_breaks_the_transfer(self):
        for compressed in (1, 0):
            for fault in ("500", "close", "array_cut", "foreign_host"):
                with self.subTest(fault, compressionRequired=compressed):
                    s, hold = self.first_half("1.0", fault=fault, **self.anew(compressionRequired=compressed))
                    self.control.release(id=hold)
                    s.broken()
                    self.logged(" broken=1")

    def test_a_failure_of_a_later_policy_breaks_the_transfer(self):
        self.control.fault("500", api="postureInfo", match='"1002"')
        hold = self.control.hold(api="postureInfo", match='"1002"')
        s = self.stream("1.0", body_of(1001, 1002), **self.anew())
        s.until_records(2 * HALF - 1)
        self.control.release(id=hold)
        s.broken()

    def test_after_a_filler_in_the_middle_of_a_record_it_breaks_as_well(self):
        s, hold = self.first_half("1.0", fault="500", **self.anew(compressionRequired=0))
        self.it.advance(FILLER_S + 1)
        s.until(lambda s: s.text.endswith(b", "))
        self.control.release(id=hold)
        s.broken()

    def test_curl_reports_a_broken_transfer(self):
        for compressed in (1, 0):
            with self.subTest(compressionRequired=compressed):
                params = self.anew(compressionRequired=compressed)
                self.control.fault("500", api="postureInfo", skip=1)
                hold = self.control.hold(api="postureInfo", skip=1)
                out = self.it.dir / f"curl-{compressed}"
                curl = subprocess.Popen(
                    [harness.program("curl"), "-sS", "--unix-socket", self.it.nginx_socket, "-N", "-o", out,
                     "-H", f"Authorization: Bearer {self.gateway.token}", "--json", json.dumps(body_of(1001)),
                     "http://localhost" + speaker.posture_info("1.0") + "?" + harness.query_string(params)],
                    stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
                self.addCleanup(curl.kill)
                harness.wait_until(lambda: out.exists() and out.stat().st_size > 2000, "curl has records")
                self.control.release(id=hold)
                told = curl.communicate(timeout=harness.PATIENCE_S)[1]
                self.assertIn(curl.returncode, (18, 92), told)

    def test_a_fetch_that_is_cancelled_breaks_what_it_gave(self):
        s, hold = self.first_half("1.0", **self.anew())
        client = self.it.client()
        running = [f for f in client.get("/admin/v1/fetches").json()["data"] if f["state"] == "fetching"]
        self.assertEqual(len(running), 1)
        self.assertIn(client.request("DELETE", f"/admin/v1/fetches/{running[0]['id']}").status, (200, 202))
        s.broken()
        self.control.release(id=hold)


class Retries(Streams):
    def setUp(self):
        self.begin(self.stack(
            clock=True, simulator=DATA, consumers=[Consumer("old", legacy="allow", admin="true")],
            settings={"upstream": ONE_CALL_AT_A_TIME | {"retries": 100, "retry_delay": "50ms", "error_memory": "0s",
                                                        "hosts_per_call": HOSTS}}))

    def cut_off(self, after, **params):
        """A stream whose only call has brought so many records when the upstream dies; it comes back with
        other options."""
        self.control.hold(api="postureInfo", records=after)
        s = self.stream("1.0", body_of(1001), **params)
        self.control.wait(api="postureInfo", held=1)
        self.it.advance(2)
        s.until_records(after - 1)
        return s

    def restart(self, **options):
        self.it.simulator_options = self.it.simulator_options | options
        self.it.restart_simulator(kill=True)

    def test_a_call_that_is_made_again_gives_every_record_once(self):
        for order, compressed in ((0, 1), (5, 1), (7, 0)):
            with self.subTest(order=order):
                params = self.anew(compressionRequired=compressed)
                wanted = speaker.records_of(speaker.upstream_of(self.it).info("1.0", body_of(1001), **params))
                s = self.cut_off(100, **params)
                given = ids_of(s.text + b"]")
                self.restart(order=order)
                records = speaker.records_in(s.rest())
                self.assertEqual(records, wanted)
                self.assertEqual(ids_of(s.text)[:len(given)], given)
                self.control = self.it.control

    def test_a_record_that_does_not_come_again_breaks_the_transfer_but_not_the_fetch(self):
        params = self.anew()
        s = self.cut_off(100, **params)
        self.restart(controls=CONTROLS - 1)
        s.broken()
        self.quiet()
        again = self.gateway.info("1.0", body_of(1001), **params)
        self.assertEqual(len(speaker.records_of(again)), HOSTS * (CONTROLS - 1))
        self.assertIn("; hit", again.headers["Cache-Status"])


class Room(Streams):
    """64 workers: 16 may stream, eight of them for one consumer."""
    SHARE = 64 // 4 // 2

    def begin_two(self):
        self.begin(self.stack(simulator=DATA,
                              consumers=[Consumer("old", legacy="allow", admin="true"), Consumer("other", legacy="allow"),
                                         Consumer("third", legacy="allow")],
                              settings={"gateway": {"workers": 64, "nginx_connections": 32}}))
        self.gateways = [self.gateway] + [speaker.gateway_of(self.it, i) for i in (1, 2)]
        for g in self.gateways[1:]:
            g.login()

    def fill(self, number, params):
        """As many streams as this consumer may have."""
        streams = [self.gateways[number].stream("1.0", body_of(1001), **params) for _ in range(self.SHARE)]
        for s in streams:
            self.addCleanup(s.close)
        return streams

    def wait_for(self, streams):
        gauge = f'pcrs_workers_waiting{{class="stream"}} {streams}\n'
        client = self.it.client()
        harness.wait_until(lambda: gauge in client.get("/metrics").body.decode(), "all of them stream")

    def check_busy(self, refused):
        self.check_message(refused, 503, "busy")
        self.assertGreaterEqual(int(refused.headers["Retry-After"]), 1)
        self.assertEqual(refused.headers["X-RateLimit-ToWait-Sec"], refused.headers["Retry-After"])

    def test_one_consumer_streams_in_half_of_it_and_all_in_a_quarter_of_the_workers(self):
        self.begin_two()
        stored, params = body_of(1002), self.anew()
        self.assertEqual(self.gateway.info("1.0", stored, evidenceRequired=1).status, 200)
        hold = self.control.hold(api="postureInfo")
        streams = self.fill(0, params)
        self.wait_for(self.SHARE)
        for body, more in ((body_of(1001), params), (stored, {"evidenceRequired": 1})):
            self.check_busy(self.gateway.info("1.0", body, **more))
        # which takes nothing from the others
        self.assertEqual(self.gateways[1].info("1.0", stored, evidenceRequired=1).status, 200)
        streams += self.fill(1, params)
        self.wait_for(2 * self.SHARE)
        self.check_busy(self.gateways[2].info("1.0", stored, evidenceRequired=1))
        self.assertEqual(self.gateway.hosts("1.0", policyId="1002").status, 200)
        self.assertEqual(self.gateway.list().status, 200)
        self.control.release(id=hold)
        for s in streams:
            self.assertEqual(len(json.loads(s.rest())), 2 * HALF)
        for g in self.gateways:
            harness.wait_until(lambda: g.info("1.0", stored).status == 200, "there is room again")


class Ends(Streams):
    """The gateway itself ends while it streams."""

    def running(self, **settings):
        self.begin(self.stack(clock=True, simulator=DATA, consumers=[Consumer("old", legacy="allow", admin="true")],
                              settings={"upstream": ONE_CALL_AT_A_TIME}))
        streams = [self.first_half("1.0", **self.anew(compressionRequired=1))[0]]
        plain = self.stream("5.0", body_of(1001), **self.anew(compressionRequired=0))  # waits for the first
        streams.append(plain)
        return streams

    def test_a_stop_ends_soon_and_breaks_what_streams(self):
        first, waits = self.running()
        self.assertEqual(self.it.gateway.stop(), 0)
        first.broken()
        # of the other one nothing had left: it has a status
        self.assertIn(waits.head(), (502, 503))
        self.assertEqual(list(json.loads(waits.rest())), ["message"])

    def test_a_kill_breaks_what_streams(self):
        first, waits = self.running()
        self.it.gateway.kill()
        first.broken()
        self.assertEqual(waits.head(), 502)
        self.assertEqual(list(json.loads(waits.rest())), ["message"])

    def test_a_stop_does_not_wait_for_a_client_that_does_not_read(self):
        self.begin(self.stack(clock=True, simulator=DATA | {"evidence_bytes": 100000, "nasty": False},
                              consumers=[Consumer("old", legacy="allow", admin="true")]))
        params = self.anew(compressionRequired=0)
        self.assertEqual(self.gateway.info("2.0", body_of(1001), **params).status, 200)
        s = self.stream("2.0", body_of(1001), **params)  # 22 MB, and sockets hold a few
        self.assertEqual(s.head(), 200)
        self.it.gateway.process.send_signal(signal.SIGTERM)
        harness.wait_until(lambda: not harness.accepts_connections(self.it.gateway_socket) or
                           self.it.advance(1), "it stops")
        self.assertEqual(self.it.gateway.wait(), 0)
        s.broken()


if __name__ == "__main__":
    harness.main()
