"""Answers of the drop-in surface that share results and fetches with everybody else: each has all that
it was asked for, or breaks."""

import http.client
import json
import socket
import threading
import zlib

import harness
from harness import Consumer
from test_inputs import STDIN, begin, params, record
from test_legacy import DATA, gateway_of, records_of, upstream_of

OLD = [Consumer("old", legacy="allow", admin="true")]


class Later:
    """A call under way."""

    def __init__(self, call, *args, **params):
        self.answer = None
        self.thread = threading.Thread(target=self.run, args=(call, args, params))
        self.thread.start()

    def run(self, call, args, params):
        self.answer = call(*args, **params)

    def get(self):
        self.thread.join()
        return self.answer


class Hosts(harness.StackTest):
    """A policy that gets another host while others fetch its postures."""

    def begin(self):
        self.it = self.stack(simulator=DATA | {"empty_hosts": 0}, consumers=OLD)
        self.gateway, self.upstream = gateway_of(self.it), upstream_of(self.it)

    def start_fetch(self):
        """All postures of policy 1001: its hosts are resolved, and the call that pulls them is held."""
        hold = self.it.control.hold(api="postureInfo", times=1)
        answer = self.it.client().get("/v1/postures", {"Prefer": "respond-async"}, policy=1001)
        self.assertEqual(answer.status, 202)
        self.it.control.wait(api="postureInfo", held=1)
        return hold

    def test_a_fetch_that_had_begun_before_a_host_was_there_is_not_joined(self):
        self.begin()
        hold = self.start_fetch()
        self.it.control.set(hosts=24)
        told = self.gateway.hosts("5.0", policyId=1001).json()
        self.assertEqual(len(told[0]["hostIds"]), 24)
        later = Later(self.gateway.info, "5.0", told)
        self.it.control.wait(api="postureInfo", calls=2)
        self.it.control.release(id=hold)
        self.assertEqual(records_of(later.get()), records_of(self.upstream.info("5.0", told)))

    def test_a_fetch_goes_by_what_the_caller_was_told_of(self):
        self.begin()
        self.assertEqual(len(self.gateway.hosts("5.0", policyId=1001).json()[0]["hostIds"]), 23)
        self.it.control.set(hosts=24)
        told = self.gateway.hosts("5.0", policyId="1001,1002").json()
        self.assertEqual(len(told[0]["hostIds"]), 24)
        self.assertEqual(
            records_of(self.gateway.info("5.0", told)), records_of(self.upstream.info("5.0", told)))

    def test_a_fetch_that_began_later_is_joined(self):
        self.begin()
        told = self.gateway.hosts("5.0", policyId=1001).json()
        hold = self.start_fetch()
        later = {version: Later(self.gateway.info, version, told) for version in ("5.0", "4.0", "1.0")}
        self.it.control.release(id=hold)
        answers = {version: call.get() for version, call in later.items()}
        self.assertEqual(self.it.control.state()["apis"]["postureInfo"]["calls"], 1)
        for version, answer in answers.items():
            self.assertEqual(records_of(answer), records_of(self.upstream.info(version, told)))


class Subscription(harness.StackTest):
    def test_the_postures_of_another_one_do_not_leave_however_late_the_upstream_tells_its_own(self):
        self.it = self.stack(simulator=DATA, consumers=OLD, clock=True)
        body = [{"policyId": "1001", "subscriptionId": "999999", "hostIds": ["5000001", "5000002"]}]
        hold = self.it.control.hold(api="hostids", times=1)
        client = self.it.client()
        later = Later(client.start, "POST", "/pcrs/5.0/posture/postureInfo", body=json.dumps(body))
        self.it.control.wait(api="hostids", held=1)
        self.it.advance(21)
        response = later.get()  # it cannot be told with the status any more
        self.assertEqual(response.status, 200)
        self.it.control.release(id=hold)
        with self.assertRaises(http.client.IncompleteRead) as broken:
            response.read()
        self.assertEqual(zlib.decompressobj(wbits=31).decompress(broken.exception.partial), b"")
        answer = gateway_of(self.it).info("5.0", body)
        self.assertNotEqual(answer.status, 200, answer)


class Outage(harness.StackTest):
    """What is kept for the time in which the upstream fails serves such callers, too."""

    def test_hosts_that_were_told_are_answered_out_of_an_older_result(self):
        self.it = self.stack(
            simulator=DATA, consumers=OLD, clock=True,
            settings={"cache": {"fresh_for": "10m", "stale_for": "10m"}})
        gateway = gateway_of(self.it)
        told = gateway.hosts("5.0", policyId=1001).json()
        some = [{**told[0], "hostIds": told[0]["hostIds"][3:9]}]
        wanted = records_of(gateway.info("5.0", told, evidenceRequired=1))
        hosts = {int(host) for host in some[0]["hostIds"]}
        wanted_of_some = {i: r for i, r in wanted.items() if int(dict(r)["hostId"]) in hosts}
        self.assertLess(len(wanted_of_some), len(wanted))
        self.it.advance(1500)
        for api in ("hostids", "postureInfo"):
            self.it.control.fault("500", api=api, times=-1)
        for _ in range(2):  # the fetch fails; and then it is known that it would
            self.assertEqual(gateway.hosts("5.0", policyId=1001).json(), told)
            for body, of_these in ((told, wanted), (some, wanted_of_some)):
                answer = gateway.info("5.0", body, evidenceRequired=1)
                self.assertEqual(answer.headers["Cache-Status"][:16], "posturegate; hit")
                self.assertEqual(records_of(answer), of_these)
                basic = gateway.info("4.0", body)
                self.assertEqual(set(records_of(basic)), set(of_these))
        self.assertEqual(gateway.info("5.0", told, {"Cache-Control": "no-cache"}).status, 200)
        self.assertEqual(gateway.info("5.0", told, qdScoreRequired=1).status, 503)


class Log(harness.StackTest):
    def last_line(self):
        lines = [line for line in self.it.gateway.text().splitlines()
                 if " request " in line and "postureInfo" in line]
        return lines and dict(word.split("=", 1) for word in lines[-1].split() if "=" in word)

    def test_of_several_sources_it_tells_the_one_that_needed_most_and_all_calls(self):
        self.it = self.stack(simulator=DATA, consumers=OLD)
        gateway, upstream = gateway_of(self.it), upstream_of(self.it)
        told = gateway.hosts("5.0", policyId="1001,1002,1003").json()
        hold = self.it.control.hold(api="postureInfo", times=1)
        self.assertEqual(self.it.client().get(
            "/v1/postures", {"Prefer": "respond-async"}, policy=1003).status, 202)
        self.it.control.wait(api="postureInfo", held=1)
        later = Later(gateway.info, "5.0", told)  # two fetches of its own, and that one
        self.it.control.wait(api="postureInfo", ended=2)
        self.it.control.release(id=hold)
        answer = later.get()
        self.assertEqual(records_of(answer), records_of(upstream.info("5.0", told)))
        self.assertEqual(answer.headers["Cache-Status"], "posturegate; fwd=miss; stored")
        line = harness.wait_until(self.last_line, "it is logged")
        self.assertEqual((line["cache"], line["calls"]), ("miss", "4"), line)


class Gone(harness.StackTest):
    """A caller that goes away while nothing is there to be sent."""

    def streams(self):
        for line in self.it.client().get("/metrics").body.decode().splitlines():
            if line.startswith('pcrs_workers_waiting{class="stream"}'):
                return int(line.split()[1])
        raise AssertionError("there is no such figure")

    def test_it_holds_no_place_until_the_fetch_has_ended(self):
        self.it = self.stack(simulator=DATA, consumers=OLD, clock=True)
        hold = self.it.control.hold(api="postureInfo", times=1)
        body = json.dumps(gateway_of(self.it).hosts("5.0", policyId=1001).json()).encode()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(harness.PATIENCE_S)
            s.connect(str(self.it.gateway_socket))
            s.sendall(begin() + params(
                (b"REQUEST_METHOD", b"POST"), (b"CONTENT_LENGTH", str(len(body)).encode()),
                (b"REQUEST_URI", b"/pcrs/5.0/posture/postureInfo?compressionRequired=0"),
                (b"HTTP_X_API_KEY", self.it.consumers[0].key.encode())) + record(STDIN, body) + record(STDIN))
            self.it.control.wait(api="postureInfo", held=1)
            self.it.advance(21)
            self.assertIn(b"Status: 200", s.recv(4096))
            self.assertEqual(self.streams(), 1)
        self.it.advance(16)
        harness.wait_until(lambda: self.streams() == 0, "its place is free", 20)
        self.assertIn("client=gone", self.it.gateway.text())
        self.it.control.release(id=hold)


if __name__ == "__main__":
    harness.main()
