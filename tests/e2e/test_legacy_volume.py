"""A gigabyte in one call, at the memory of a small one."""

import json
import threading
import zlib

import harness
import speaker
from harness import Consumer

SANITIZED = b"__asan_init" in harness.GATEWAY.read_bytes() or b"__tsan_init" in harness.GATEWAY.read_bytes()
CONTROLS = 500
HOSTS = 60 if SANITIZED else 940
LEAST_BYTES = 60_000_000 if SANITIZED else 1_000_000_000
SMALL = HOSTS // 10
MOST_ANON_MB = 200
GROWTH_MB = 100  # a tenth of what comes; each of the threads that fetch keeps some of what it has used
BETWEEN = b'},{"id":'


class Reader:
    """Takes a stream without keeping it: how long its text was, how many records it had, how it began and
    ended."""

    def __init__(self, response):
        self.length = self.count = 0
        self.begin = self.end = b""
        inflater = None
        buffer = memoryview(bytearray(1 << 20))
        while got := response.readinto(buffer):
            piece = bytes(buffer[:got])
            if not self.length and not inflater and piece.startswith(speaker.GZIP):
                inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
            self.add(inflater.decompress(piece) if inflater else piece)
        self.whole = not inflater or (inflater.eof and not inflater.unused_data)

    def add(self, text):
        self.begin = self.begin or text[:7]
        self.length += len(text)
        joined = self.end[1 - len(BETWEEN):] + text
        self.count += joined.count(BETWEEN)
        self.end = joined[-len(BETWEEN):]


class Memory(threading.Thread):
    """The most that a process has of its own at a time, in MB; what it maps of files does not count."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.most = pid, 0
        self.over = threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.02):
            with open(f"/proc/{self.pid}/status") as status:
                kilobytes = [int(line.split()[1]) for line in status if line.startswith("RssAnon:")]
            self.most = max(self.most, kilobytes[0] / 1024)

    def stop(self):
        self.over.set()
        self.join()
        return self.most


class Volume(harness.StackTest):
    def read(self, body, records, **params):
        """The most memory of the gateway meanwhile."""
        connection = self.gateway.connect()
        memory = Memory(self.it.gateway.pid)
        target = speaker.posture_info("1.0") + "?" + harness.query_string({"evidenceRequired": 1} | params)
        connection.request("POST", target, json.dumps(body), self.gateway.headers())
        response = connection.getresponse()
        self.assertEqual(response.status, 200)
        got = Reader(response)
        connection.close()
        most = memory.stop()
        self.assertTrue(got.whole)
        self.assertEqual((got.begin, got.end[-2:], got.count + 1), (b'[{"id":', b"}]", records))
        self.length = got.length
        return most

    def test_a_gigabyte_takes_no_more_memory_than_a_tenth_of_it(self):
        self.it = self.stack(
            simulator={"policies": 2, "hosts": HOSTS, "controls": CONTROLS, "host_overlap": 0, "empty_hosts": 0,
                       "evidence_bytes": 0, "large_every": 0} | speaker.UNLIMITED,
            consumers=[Consumer("old", legacy="allow")],
            settings={"upstream": {"concurrency": 2, "hosts_per_call": 40}})
        self.gateway = speaker.gateway_of(self.it)
        small, large = (self.gateway.hosts("1.0", policyId=p).json() for p in (1002, 1001))
        small[0]["hostIds"] = small[0]["hostIds"][:SMALL]
        few = self.read(small, SMALL * CONTROLS)
        self.assertLess(self.length, LEAST_BYTES / 8)
        for params in ({"compressionRequired": 1}, {"compressionRequired": 0}):
            most = self.read(large, HOSTS * CONTROLS, **params)
            self.assertGreaterEqual(self.length, LEAST_BYTES)
            if not SANITIZED:
                self.assertLess(most, MOST_ANON_MB)
                self.assertLess(most, few + GROWTH_MB)


if __name__ == "__main__":
    harness.main()
