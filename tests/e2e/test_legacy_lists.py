"""Lists of the drop-in surface that are longer than anybody wants to hold: they leave in pieces."""

import http.client
import json

import harness
import speaker
from harness import Consumer
from test_legacy_volume import SANITIZED, Memory

POLICIES = 10 if SANITIZED else 60
HOSTS = 50000
LEAST_BYTES = 4_000_000 if SANITIZED else 24 << 20
MOST_FETCHING_MB = 250  # a fetch holds the IDs of all hosts more than once, 24 MB each time
SOME = (1002, 1005, 1006, 1009)
WORKERS, PLACES = 64, 16  # for streams: a quarter


def simulated(**options):
    return {"controls": 1, "host_overlap": 0, "empty_hosts": 0} | speaker.UNLIMITED | options


def allowed(name, **grants):
    return Consumer(name, legacy="allow", **grants)


class Long(harness.StackTest, speaker.Messages):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.it = cls.share(
            simulator=simulated(policies=POLICIES, hosts=HOSTS),
            consumers=[allowed("all"), allowed("some", policies=",".join(map(str, SOME))),
                       allowed("none", policies="9999")],
            settings={"gateway": {"workers": WORKERS}})
        cls.all, cls.some, cls.none = (speaker.gateway_of(cls.it, n) for n in range(3))
        cls.upstream = speaker.upstream_of(cls.it)
        cls.wanted = cls.upstream.hosts("5.0").body

    def check_streamed(self, answer, wanted):
        self.assertEqual(answer.status, 200, answer.body[:200])
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertEqual(answer.headers["Transfer-Encoding"], "chunked")
        self.assertIsNone(answer.headers["Content-Length"])
        self.assertTrue(answer.body == wanted, f"{len(answer.body)} bytes are not those wanted: {len(wanted)}")

    def check_whole(self, answer, wanted):
        self.assertEqual(answer.status, 200, answer.body[:200])
        self.assertEqual(answer.headers["Content-Length"], str(len(wanted)))
        self.assertEqual(answer.body, wanted)

    def ask(self, version):
        """The answer, and the most memory of the gateway meanwhile."""
        memory = Memory(self.it.gateway.pid)
        answer = self.all.hosts(version)
        return answer, memory.stop()

    def test_all_hosts_are_those_of_the_upstream_in_bounded_memory(self):
        self.assertGreater(len(self.wanted), LEAST_BYTES)
        self.it.restart_gateway()
        cold, fetching = self.ask("5.0")
        self.it.restart_gateway()
        hit, reading = self.ask("3.0")
        for answer in cold, hit:
            self.check_streamed(answer, self.wanted)
        self.assertEqual(hit.headers["Cache-Status"], "posturegate; hit")
        if not SANITIZED:
            self.assertLess(fetching, MOST_FETCHING_MB)
            self.assertLess(reading, POLICIES * HOSTS * 8 / 2**20 + 20)  # the IDs that the result's manifest has

    def test_a_grant_leaves_its_policies_of_a_long_list(self):
        wanted = [e for e in json.loads(self.wanted) if int(e["policyId"]) in SOME]
        self.assertEqual(len(wanted), len(SOME))
        self.check_streamed(self.some.hosts("4.0"), json.dumps(wanted, separators=(",", ":")).encode())

    def test_what_is_short_has_its_length(self):
        self.check_whole(self.all.list(), self.upstream.list().body)
        self.check_whole(self.none.hosts("5.0"), b"[]")

    def test_head_has_the_length_that_get_has(self):
        for path, known in ((speaker.hostids("5.0"), False), (speaker.policy_list("1.0"), True)):
            got, head = (self.all.call(method, path) for method in ("GET", "HEAD"))
            self.assertEqual((head.status, head.body), (200, b""))
            self.assertEqual(head.headers["Content-Length"], str(len(got.body)) if known else None)
            self.assertEqual(head.headers["Content-Length"], got.headers["Content-Length"])

    def test_readers_who_do_not_read_leave_room_for_others(self):
        """Each of them holds a worker for as long as it pleases."""
        self.assertEqual(self.all.hosts("5.0").status, 200)
        slow = []
        self.addCleanup(lambda: [part.close() for pair in slow for part in pair])
        status = 200
        while status == 200:
            self.assertLessEqual(len(slow), PLACES)
            connection = self.all.connect()
            connection.request("GET", speaker.hostids("5.0"), headers=self.all.headers())
            slow.append((connection.getresponse(), connection))
            status = slow[-1][0].status
        refused = harness.Answer(slow[-1][0])
        self.check_message(refused, 503)
        self.assertGreater(int(refused.headers["Retry-After"]), 0)
        self.assertEqual(self.all.list().status, 200)
        for part in (part for pair in slow for part in pair):
            part.close()
        harness.wait_until(lambda: self.all.hosts("5.0").status == 200, "there is a place again")


class Policies(harness.StackTest):
    def test_a_long_list_of_policies_is_that_of_the_upstream(self):
        it = self.stack(simulator=simulated(policies=3000, hosts=1),
                        consumers=[allowed("all"), allowed("some", policies="1002,3999,4000,4001")])
        upstream, gateway, some = speaker.upstream_of(it), speaker.gateway_of(it), speaker.gateway_of(it, 1)
        for version, params in (("1.0", {}), ("2.0", {"requireTagInfo": 1})):
            wanted, got = upstream.list(version, **params), gateway.list(version, **params)
            self.assertGreater(len(wanted.body), 2 * 256 * 1024)
            self.assertTrue(got.body == wanted.body, got)
            self.assertIsNone(got.headers["Content-Length"])
        wanted = [p for p in wanted.json()["policyList"] if p["id"] in (1002, 3999, 4000, 4001)]
        self.assertEqual(len(wanted), 3)
        got = some.list("2.0", requireTagInfo=1)
        self.assertEqual(got.json()["policyList"], wanted)
        self.assertEqual(got.headers["Content-Length"], str(len(got.body)))


class Damage(harness.StackTest, speaker.Messages):
    """What is found of a stored list only while it is read."""

    def begin(self):
        self.it = self.stack(simulator=simulated(policies=2, hosts=HOSTS), consumers=[allowed("old")])
        self.gateway = speaker.gateway_of(self.it)
        self.good = self.gateway.hosts("5.0")
        self.hosts = self.good.json()[-1]["hostIds"]

    def damage(self, host):
        self.it.gateway.stop()
        path = self.it.state_dir / "store" / "env" / "data.mdb"
        stored = path.read_bytes()
        old, new = (b'"hostId":' + h.encode() + b"}" for h in (host, "9" + host[1:]))
        self.assertIn(old, stored)  # or twice: pages that are free keep what they had
        path.write_bytes(stored.replace(old, new))
        self.it.start_gateway()

    def check_it_mends(self):
        """The damaged result is not found again."""
        again = self.gateway.hosts("5.0")
        self.assertEqual(again.status, 200)
        self.assertTrue(again.body == self.good.body)

    def test_found_on_the_way_it_breaks_the_transfer(self):
        self.begin()
        self.damage(self.hosts[-1])
        with self.assertRaises(speaker.BROKEN) as broken:
            self.gateway.hosts("5.0")
        self.assertIsInstance(broken.exception, http.client.IncompleteRead)
        got = broken.exception.partial
        self.assertTrue(self.good.body.startswith(got))
        self.assertFalse(speaker.is_array(got))
        harness.wait_until(lambda: " broken=1" in self.it.gateway.text(), "the log has it")
        self.check_it_mends()

    def test_found_before_anything_left_it_has_its_status(self):
        self.begin()
        self.damage(self.good.json()[0]["hostIds"][0])
        self.check_message(self.gateway.hosts("5.0"), 503)
        self.check_it_mends()


if __name__ == "__main__":
    harness.main()
