"""What no caller should send, to every endpoint: through nginx, and as raw FastCGI on the gateway's
own socket. Each case is answered by the status that docs/api.md has for it, as a problem, and leaves
the gateway as it was."""

import json
import socket
import struct

import harness

SIMULATOR = {"policies": 2, "hosts": 4, "controls": 6, "rate": 0, "concurrency": 0, "empty_hosts": 0}
ORIGIN = "https://app.example"
OPEN = ["/healthz", "/readyz", "/metrics"]
KEYED = ["/v1/postures?policy=1001", "/v1/postures/summary?policy=1001", "/v1/postures/10000000001",
         "/v1/policies", "/v1/policies/1001/hosts", "/v1/fetches", "/v1/fetches/1", "/admin/v1/fetches", "/admin/v1/fetches/1", "/admin/v1/budget",
         "/admin/v1/consumers"]
NO_IDS = ["-1", "0", "9223372036854775808", "18446744073709551616", "1e3", "%201", "0x1", "%D9%A1", "1.0", "%2b1",
          "1'--", "{{7*7}}", "1%0d%0aX:y", "01x"]
NO_DATES = ["0000-01-01", "2026-13-01", "2026-06-30T23:59:60Z", "2026-01-01T00:00:00", "9999-01-01", "2026-02-30",
            "2026-1-1", "2026-01-01T00:00:00%2b01:00", "now", "1969-12-31"]
IGNORED = ["Range: bytes=0-1", "If-Range: x", 'If-None-Match: garbage,,"', 'If-Match: "x"',
           "If-Modified-Since: Fri, 31 Dec 2999 23:59:59 GMT", "Prefer: wait=99999999999999999999999",
           "Prefer: wait=-1", 'Prefer: wait="', "Prefer: " + ",".join(["wait=0"] * 1000),
           "Cache-Control: max-age=99999999999999999999", "Cache-Control: max-age=-1", "Cache-Control: max-age=",
           "Cache-Control: " + "," * 5000, "Accept-Encoding: gzip;q=0", "Proxy: http://evil.example",
           "X-Forwarded-For: 127.0.0.1", "X-Accel-Redirect: /metrics", "X-Original-URL: /admin/v1/consumers",
           "X-HTTP-Method-Override: DELETE", "Upgrade: h2c", "Origin: null"]


class Http(harness.StackTest):
    @classmethod
    def setUpClass(cls):
        cls.share(simulator=SIMULATOR, settings={"request": {"origins": ORIGIN}},
                  consumers=[harness.Consumer("all", force="true", admin="true")])
        cls.key = cls.shared.consumers[0].key
        client = cls.shared.client()
        for target in KEYED:
            client.get(target)
        cls.calls = cls.shared.control.state()["apis"]

    def ask(self, statuses, method, target, *headers, body="", key=True):
        """Sends it as it stands. What is no success is a problem that says its own status."""
        lines = [f"{method} {target} HTTP/1.1", "Host: x", *([f"X-API-Key: {self.key}"] if key else []), *headers,
                 "Connection: close"]
        got = self.shared.raw(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        with self.subTest(method=method, target=target[:80], headers=[h[:60] for h in headers]):
            head, _, content = got.partition(b"\r\n\r\n")
            status = int(head.split(b" ")[1])
            self.assertIn(status, statuses, got[:400])
            self.assertNotIn(b"Content-Range", head)
            self.assertNotIn(b"\r\nX:", head)
            if status >= 400:
                self.assertIn(b"Content-Type: application/problem+json", head)
                self.assertEqual(b"\r\nAllow: " in head, status == 405)
                if method != "HEAD":
                    self.assertEqual(json.loads(content)["status"], status)
                    self.assertTrue(json.loads(content)["type"].startswith("/problems/"))

    def test_keys(self):
        for target in KEYED:
            self.ask([401], "GET", target, key=False)
            self.ask([400], "GET", target, f"X-API-Key: {self.key}")
            self.ask([400], "GET", target, f"Authorization: Bearer {self.key}")

    def test_methods(self):
        for target in OPEN + KEYED:
            for method in ("PUT", "PATCH", "OPTIONS", "TRACE", "FOO"):
                self.ask([405], method, target)
            if not target.startswith("/admin/v1/fetches/"):
                self.ask([405], "DELETE", target)
            self.ask([400], "GET", target, "Content-Length: 5", body="hello")
            self.ask([400], "GET", target, "Transfer-Encoding: chunked", body="5\r\nhello\r\n0\r\n\r\n")
            self.ask([204], "OPTIONS", target, f"Origin: {ORIGIN}", "Access-Control-Request-Method: GET")

    def test_paths(self):
        for target in OPEN + KEYED:
            path = target.partition("?")[0]
            for bad in ("/" + path, path + "/", path + "/.", path + "/..", path.replace("/", "%2f"), path + ";p",
                        path + "\\", path + "%00", path + "%zz", path + "%"):
                self.ask([400, 404], "GET", bad)

    def test_queries(self):
        for target in OPEN + KEYED:
            with_one = target + ("&" if "?" in target else "?")
            for bad in ("%00", "a=%00", "a=%zz", "a=%", "a=%c0%af", "a=%ff", "nocache=1", "key=x", "=", "a=%0d%0aX:y"):
                self.ask([400], "GET", with_one + bad)
            self.ask([414], "GET", with_one + "x" * 8300)
            self.ask([414], "GET", with_one + "x" * 40000)

    def test_headers(self):
        for target in OPEN + KEYED:
            for header in IGNORED:
                self.ask([200, 404], "GET", target, header)
            for accept in ("text/xml", "application/json;q=0", ",,;;q=;"):
                self.ask([406], "GET", target, f"Accept: {accept}")
            self.ask([400], "GET", target, "Accept: */*", "Accept: */*")
            self.ask([431], "GET", target, "X: " + "y" * 1000000)
            self.ask([200, 404], "GET", target, *[f"X-{n}: y" for n in range(300)])

    def test_values(self):
        for one in NO_IDS:
            for target in (f"/v1/postures?policy={one}", f"/v1/postures?posture={one}", f"/v1/policies?limit={one}",
                           f"/v1/fetches?limit={one}", f"/v1/policies/1001/hosts?limit={one}"):
                self.ask([400], "GET", target)
            for target in (f"/v1/postures/{one}", f"/v1/policies/{one}/hosts", f"/v1/fetches/{one}x"):
                self.ask([404], "GET", target)
        for date in NO_DATES:
            self.ask([400], "GET", f"/v1/policies?evaluatedSince={date}")
            self.ask([400], "GET", f"/v1/postures?policy=1001&scannedSince={date}")

    def test_bodies(self):
        target, json_type = "/v1/postures/query", "Content-Type: application/json"
        good = '{"policy":1001,"limit":1}'
        for statuses, body, *headers in (
                ([200], good, json_type), ([200], good, json_type, "Content-Encoding: identity"),
                ([415], good, json_type, "Content-Encoding: gzip"), ([415], good, json_type, "Content-Encoding: x"),
                ([400], good.replace("1001", "1001\0"), json_type), ([400], good + "\0", json_type),
                ([400], "\0", json_type), ([400], "", json_type)):
            self.ask(statuses, "POST", target, *headers, f"Content-Length: {len(body)}", body=body)

    def test_head_is_get(self):
        client = self.shared.client()
        for target in KEYED + OPEN[:2] + ["/v1/nothing", "/v1/postures", "/v1/fetches?limit=0"]:
            with self.subTest(target):
                get, head = client.get(target), client.request("HEAD", target)
                self.assertEqual((head.status, head.body), (get.status, b""))
                moments = ("Date", "Age", "Cache-Control", "Cache-Status")
                self.assertEqual([h for h in head.headers.items() if h[0] not in moments],
                                 [h for h in get.headers.items() if h[0] not in moments])

    def test_a_thousand_requests_at_once_are_answered_in_order(self):
        asked = b"".join(f"GET /v1/postures?policy=1001&fields=id&limit={n} HTTP/1.1\r\nHost: x\r\n"
                         f"X-API-Key: {self.key}\r\n\r\n".encode() for n in range(1, 1001))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(harness.PATIENCE_S)
            s.connect(str(self.shared.nginx_socket))
            s.sendall(asked)
            file, limits = s.makefile("rb"), []
            for _ in range(1000):
                length = 0
                while (line := file.readline()) != b"\r\n":
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                limits.append(json.loads(file.read(length))["page"]["limit"])
        self.assertEqual(limits, list(range(1, 1001)))

    def tearDown(self):
        """Nothing here may cost a call of the upstream."""
        self.assertEqual(self.shared.control.state()["apis"], self.calls)


# --- FastCGI

BEGIN, ABORT, PARAMS, STDIN, GET_VALUES = 1, 2, 4, 5, 9


def record(kind, content=b"", request=1, version=1, padding=0, length=None):
    return struct.pack(">BBHHBB", version, kind, request, len(content) if length is None else length, padding,
                       0) + content + bytes(padding)


def pair(name, value):
    if len(value) < 128:
        return struct.pack(">BB", len(name), len(value)) + name + value
    return struct.pack(">BI", len(name), len(value) | 0x80000000) + name + value


def begin(role=1):
    return record(BEGIN, struct.pack(">HB5x", role, 0))


def params(*pairs):
    content = b"".join(pair(*p) for p in pairs)
    return b"".join(record(PARAMS, content[at:at + 60000]) for at in range(0, len(content), 60000)) + record(PARAMS)


HEALTH = ((b"REQUEST_METHOD", b"GET"), (b"REQUEST_URI", b"/healthz"))
POST = ((b"REQUEST_METHOD", b"POST"), (b"REQUEST_URI", b"/v1/postures/query"), (b"CONTENT_TYPE", b"application/json"))
LIST = ((b"REQUEST_METHOD", b"GET"), (b"REQUEST_URI", b"/v1/fetches"))


class Socket(harness.StackTest):
    """Who can open the socket is nginx, or has its rights; still nothing sent there ends the gateway,
    keeps a worker, or passes for a consumer."""

    @classmethod
    def setUpClass(cls):
        cls.share(simulator=SIMULATOR)
        cls.key = (b"HTTP_X_API_KEY", cls.shared.consumers[0].key.encode())

    def send(self, data):
        """All of it, and no more; what comes back until the end."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(harness.PATIENCE_S)
            s.connect(str(self.shared.gateway_socket))
            got = b""
            try:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                while piece := s.recv(65536):
                    got += piece
            except (BrokenPipeError, ConnectionResetError):
                pass
            return got

    def check(self, cases):
        for name, (data, status) in cases.items():
            with self.subTest(name):
                got = self.send(data)
                if status is None:
                    self.assertNotIn(b"Status:", got)
                else:
                    self.assertIn(f"Status: {status} ".encode(), got)
        self.assertTrue(self.shared.gateway.check_running())
        harness.wait_until(lambda: b"\npcrs_workers_busy 1\n" in self.shared.client().get("/metrics").body,
                           "no worker is kept")

    def test_what_is_no_fastcgi(self):
        self.check({
            "another version": (record(BEGIN, struct.pack(">HB5x", 1, 0), version=9) + params(*HEALTH), None),
            "request 0": (record(BEGIN, struct.pack(">HB5x", 1, 0), request=0) + params(*HEALTH), None),
            "an unknown role": (begin(role=99) + params(*HEALTH) + record(STDIN), None),
            "an end before the beginning": (record(ABORT), None),
            "a short beginning": (record(BEGIN, b"\0\1"), None),
            "parameters that are cut": (begin() + record(PARAMS, b"\x0e\xffREQUEST"), None),
            "a record that is cut": (begin() + record(PARAMS, b"x", length=65535), None),
            "a value of 2 GiB": (begin() + record(PARAMS, struct.pack(">BI", 14, 0x8fffffff) + b"REQUEST_METHOD"),
                                 None),
            "a body without a request": (record(STDIN, b"x"), None),
            "nothing": (b"", None),
            "HTTP": (b"GET / HTTP/1.1\r\n\r\n", None),
            "noise": (bytes(n * 37 % 251 for n in range(4096)), None),
        })

    def test_what_nginx_does_not_send(self):
        self.check({
            "padding": (begin() + record(PARAMS, b"".join(pair(*p) for p in HEALTH), padding=255) +
                        record(PARAMS) + record(STDIN), 200),
            "a question for values": (record(GET_VALUES, pair(b"FCGI_MAX_CONNS", b""), request=0) + begin() +
                                      params(*HEALTH) + record(STDIN), 200),
            "a megabyte of header": (begin() + params(*HEALTH, (b"HTTP_Y", b"z" * 1000000)) + record(STDIN), 200),
            "thousands of headers": (begin() + params(*HEALTH, *[(b"HTTP_X%d" % n, b"y") for n in range(3000)]) +
                                     record(STDIN), 200),
            "no parameters": (begin() + params() + record(STDIN), 404),
            "a user of its own": (begin() + params(*LIST, (b"REMOTE_USER", b"test"), (b"AUTH_TYPE", b"Basic")) +
                                  record(STDIN), 401),
            "two keys": (begin() + params(*LIST, self.key, self.key) + record(STDIN), 400),
            "no length": (begin() + params(*POST, self.key) + record(STDIN, b"{}") + record(STDIN), 400),
            "a longer body announced": (begin() + params(*POST, self.key, (b"CONTENT_LENGTH", b"500")) +
                                        record(STDIN, b"{}") + record(STDIN), 400),
            "a length below zero": (begin() + params(*POST, self.key, (b"CONTENT_LENGTH", b"-5")) +
                                    record(STDIN, b"{}") + record(STDIN), 400),
            "two lengths": (begin() + params(*POST, self.key, (b"CONTENT_LENGTH", b"2"), (b"CONTENT_LENGTH", b"3")) +
                            record(STDIN, b"{}") + record(STDIN), 400),
            "an endless length": (begin() + params(*HEALTH, (b"CONTENT_LENGTH", b"9" * 30)) + record(STDIN), 400),
        })

    def test_a_request_id_is_no_way_into_the_headers(self):
        got = self.send(begin() + params(*LIST, (b"REQUEST_ID", b"abcdefab\r\nX: y")) + record(STDIN))
        self.assertIn(b"Status: 401 ", got)
        self.assertNotIn(b"X: y", got)


if __name__ == "__main__":
    harness.main()
