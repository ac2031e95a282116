"""What nginx does with requests before and after the gateway, with a made-up application in the
gateway's place: its own refusals, what it passes on, and what an answer cannot make it do."""

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import unittest

import harness
from fakeapp import Abort, FakeApp

PARAMS = ["REQUEST_METHOD", "REQUEST_URI", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH",
          "SERVER_PROTOCOL", "REQUEST_SCHEME", "REMOTE_ADDR", "REQUEST_ID",
          "POSTUREGATE_INTERNAL"]
PLAIN = b"Content-Type: text/plain\r\n\r\n"
OLD_PATHS = {"/auth": "POST", "/auth/": "POST", "/pcrs": "GET, HEAD", "/pcrs/1.0/posture/postureInfo": "POST",
             "/pcrs/2.0/posture/postureInfo/": "POST", "/pcrs/5.0/posture/hostids": "GET, HEAD"}
STREAMS = "/", "/pcrs/1.0/posture/postureInfo", "/v1/postures?policy=1", "/v1/postures/query"


def echo(params, body, send):
    """Says what it was given."""
    text = json.dumps({"params": params, "body": len(body)}).encode()
    send(b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(text) + text)


def request(target="/", method="GET", headers=""):
    return f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n".encode()


class Behind(unittest.TestCase):
    """nginx with one made-up application, shared by the tests: each sets `answer`."""

    @classmethod
    def setUpClass(cls):
        cls.dir = harness.temporary_directory()
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.socket = cls.dir / "http.sock"
        cls.app = FakeApp(cls.dir / "app.sock", lambda *a: Behind.answer(*a))
        cls.addClassCleanup(cls.app.close)
        cls.nginx = harness.nginx_part(cls.dir / "nginx", cls.dir / "app.sock",
                                       f"unix:{cls.socket}")
        cls.nginx.start()
        cls.addClassCleanup(cls.nginx.stop)
        harness.wait_until(lambda: cls.nginx.check_running() and
                           harness.accepts_connections(cls.socket), "nginx accepts connections")

    def setUp(self):
        Behind.answer = staticmethod(echo)

    def client(self):
        client = harness.Client(self.socket)
        self.addCleanup(client.close)
        return client

    def check_problem(self, raw, status, slug):
        head, _, body = raw.partition(b"\r\n\r\n")
        self.assertEqual(int(head.split()[1]), status, raw[:500])
        self.assertIn(b"Content-Type: application/problem+json", head)
        self.assertIn(b"Cache-Control: no-store", head)
        problem = json.loads(body)
        self.assertEqual(problem["status"], status)
        self.assertEqual(problem["type"], "/problems/" + slug)
        self.assertTrue(problem["title"])
        self.assertRegex(problem["instance"], "^[0-9a-f]{32}$")
        return head

    # --- refusals of its own

    def test_own_refusals_are_problems(self):
        cases = [
            (b"\x01\x02\r\n\r\n", 400, "bad-request"),
            (b"GET / HTTP/1.1\r\n\r\n", 400, "bad-request"),
            (request("/%00"), 400, "bad-request"),
            (request("/", headers="Authorization: a\r\nAuthorization: b\r\n"), 400, "bad-request"),
            (request("/", "POST", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
             400, "bad-request"),
            (request("/", "POST", "Transfer-Encoding: rot13\r\n"), 501, "not-implemented"),
            (request("/" + "a" * 12000), 414, "uri-too-long"),
            (request("/", headers="X-A: " + "a" * 9300 + "\r\n"), 431, "headers-too-large"),
            (request("/", headers="".join(f"X-{i}: {'a' * 1000}\r\n" for i in range(60))),
             431, "headers-too-large"),
            (request("/", "POST", "Content-Length: 6000000\r\n"), 413, "too-large"),
            (b"GET / HTTP/3.1\r\nHost: x\r\n\r\n", 505, "version-not-supported"),
            (request("/_problem/502"), 404, "not-found"),
        ]
        for data, status, slug in cases:
            with self.subTest(data[:60]):
                self.check_problem(harness.raw(self.socket, data), status, slug)

    def test_method_not_allowed_names_the_methods(self):
        head = self.check_problem(harness.raw(self.socket, request("/", "TRACE")), 405,
                                  "method-not-allowed")
        self.assertIn(b"\r\nAllow: GET, HEAD, POST", head)

    def test_problem_for_head_has_no_body(self):
        def dead(params, body, send):
            raise Abort
        Behind.answer = staticmethod(dead)
        got = self.client().request("HEAD", "/")
        self.assertEqual((got.status, got.body), (502, b""))
        self.assertEqual(got.headers["Content-Type"], "application/problem+json")

    def test_dying_application_is_502_with_retry_after(self):
        def dead(params, body, send):
            raise Abort
        Behind.answer = staticmethod(dead)
        head = self.check_problem(harness.raw(self.socket, request()), 502, "gateway-unavailable")
        self.assertIn(b"\r\nRetry-After: ", head)

    def test_own_refusals_on_the_drop_in_surface_are_messages(self):
        def dead(params, body, send):
            raise Abort
        Behind.answer = staticmethod(dead)
        for path in OLD_PATHS:
            for more, status in (("Content-Length: 6000000\r\n", 413), ("Content-Length: 0\r\n", 502)):
                with self.subTest(path, status=status):
                    head, _, body = harness.raw(self.socket, request(path, "POST", more)).partition(b"\r\n\r\n")
                    self.assertEqual(int(head.split()[1]), status)
                    self.assertIn(b"\r\nContent-Type: application/json\r\n", head)
                    self.assertIn(b"\r\nCache-Control: no-store", head)
                    self.assertEqual(b"\r\nRetry-After: " in head, status == 502)
                    self.assertEqual(list(json.loads(body)), ["message"])
        self.check_problem(harness.raw(self.socket, request("/_message/502")), 404, "not-found")

    def test_a_method_that_it_refuses_on_the_drop_in_surface_is_told_as_the_surface_does(self):
        for path, allowed in OLD_PATHS.items():
            for target in (path, path + "?policyId=1"):
                with self.subTest(target):
                    head, _, body = harness.raw(self.socket, request(target, "TRACE")).partition(b"\r\n\r\n")
                    self.assertEqual(int(head.split()[1]), 405)
                    self.assertIn(b"\r\nContent-Type: application/json\r\n", head)
                    self.assertIn(f"\r\nAllow: {allowed}\r\n".encode(), head + b"\r\n")
                    self.assertEqual(list(json.loads(body)), ["message"])
        for target in ("/authority", "/pcrsx", "/v1/postures?x=/pcrs/1.0", "/x/auth"):
            self.check_problem(harness.raw(self.socket, request(target, "TRACE")), 405, "method-not-allowed")

    def test_the_drop_in_surface_is_not_redirected_to_its_folder(self):
        self.assertEqual(dict(self.client().get("/pcrs?x=1").json()["params"])["REQUEST_URI"], "/pcrs?x=1")

    def test_garbage_from_the_application_is_502(self):
        Behind.answer = staticmethod(lambda params, body, send: send(b"\0\1\2 no header\n\n"))
        self.check_problem(harness.raw(self.socket, request()), 502, "gateway-unavailable")

    # --- what passes on

    def test_exact_parameters(self):
        got = self.client().get("/v1//postures/../%41?policy=1&x=%20").json()["params"]
        names = [name for name, _ in got if not name.startswith("HTTP_")]
        self.assertEqual(sorted(names), sorted(PARAMS))
        params = dict(got)
        self.assertEqual(params["REQUEST_URI"], "/v1//postures/../%41?policy=1&x=%20")
        self.assertEqual(params["QUERY_STRING"], "policy=1&x=%20")
        self.assertRegex(params["REQUEST_ID"], "^[0-9a-f]{32}$")

    def test_every_method_of_the_api_reaches_the_gateway(self):
        for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS"):
            answer = self.client().request(method, "/v1/postures", {"Origin": "https://app.example"})
            self.assertEqual(answer.status, 200, method)
            if method != "HEAD":
                params = dict(answer.json()["params"])
                self.assertEqual((params["REQUEST_METHOD"], params["HTTP_ORIGIN"]),
                                 (method, "https://app.example"))

    def test_an_origin_that_came_twice_arrives_twice(self):
        got = harness.raw(self.socket, request(headers="Origin: a\r\nOrigin: b\r\n"))
        params = json.loads(got.partition(b"\r\n\r\n")[2])["params"]
        self.assertEqual([v for n, v in params if n == "HTTP_ORIGIN"], ["a", "b"])

    def test_an_answer_without_content_passes_and_the_connection_stays(self):
        Behind.answer = staticmethod(lambda params, body, send: send(
            b"Status: 204 No Content\r\nAccess-Control-Max-Age: 60\r\n\r\n"))
        client = self.client()
        for _ in range(3):
            got = client.request("OPTIONS", "/v1/postures")
            self.assertEqual((got.status, got.body, got.headers["Access-Control-Max-Age"]), (204, b"", "60"))
            self.assertIsNone(got.headers["Content-Length"])

    def test_no_origin_may_read_a_problem_of_its_own_unless_it_is_listed(self):
        answer = harness.raw(self.socket, request("/_problem/502", headers="Origin: https://app.example.com\r\n"))
        self.check_problem(answer, 404, "not-found")
        self.assertNotIn(b"Access-Control-", answer)

    def test_hostile_headers_do_not_become_parameters(self):
        got = self.client().get("/", {"Proxy": "http://evil", "X_API_Key": "k",
                                      "X-Accel-Redirect": "/x"}).json()["params"]
        names = [name for name, _ in got]
        self.assertNotIn("HTTP_PROXY", names)
        self.assertNotIn("HTTP_X_API_KEY", names)

    def test_duplicate_key_headers_arrive_twice(self):
        got = harness.raw(self.socket, request(headers="X-API-Key: a\r\nX-API-Key: b\r\n"))
        params = json.loads(got.partition(b"\r\n\r\n")[2])["params"]
        self.assertEqual([v for n, v in params if n == "HTTP_X_API_KEY"], ["a", "b"])

    def test_what_the_gateway_refuses_reaches_it(self):
        """8 KB of URL and 4 MB of body are the gateway's own limits: nginx's are a little wider."""
        target = "/?" + "a" * 8300
        self.assertEqual(dict(self.client().get(target).json()["params"])["REQUEST_URI"], target)
        body = b"x" * (4 * 1024 * 1024 + 1)
        self.assertEqual(self.client().request("POST", "/", body=body).json()["body"], len(body))

    def test_chunked_body_arrives_whole_with_its_length(self):
        data = request("/", "POST", "Transfer-Encoding: chunked\r\n") + \
            b"5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n"
        got = json.loads(harness.raw(self.socket, data).partition(b"\r\n\r\n")[2])
        self.assertEqual((got["body"], dict(got["params"])["CONTENT_LENGTH"]), (8, "8"))

    def test_operator_pages_pass_for_this_machine(self):
        for target in ["/metrics", "/openapi.json", "/console/", "/console/app.js"]:
            self.assertEqual(self.client().get(target).status, 200)

    def test_connections_to_the_gateway_are_kept(self):
        client = self.client()
        client.get("/")
        before = self.app.connections
        for _ in range(20):
            client.get("/")
        self.assertEqual(self.app.connections, before)

    # --- what an answer can and cannot do

    def test_gateways_own_errors_pass_as_they_are(self):
        def refuse(params, body, send):
            send(b"Status: 404 Not Found\r\nContent-Type: application/problem+json\r\n"
                 b"Content-Length: 2\r\n\r\n{}")
        Behind.answer = staticmethod(refuse)
        got = self.client().get("/")
        self.assertEqual((got.status, got.body), (404, b"{}"))

    def test_answer_cannot_steer_nginx(self):
        def steer(params, body, send):
            send(b"X-Accel-Redirect: /_problem/503\r\nX-Accel-Limit-Rate: 1\r\n"
                 b"X-Accel-Buffering: no\r\nCache-Control: private, max-age=5\r\n"
                 b"Vary: Accept\r\nContent-Length: 2\r\n" + PLAIN + b"ok")
        Behind.answer = staticmethod(steer)
        got = self.client().get("/")
        self.assertEqual((got.status, got.body), (200, b"ok"))
        self.assertEqual(got.headers["Cache-Control"], "private, max-age=5")
        self.assertEqual(got.headers["Vary"], "Accept")
        self.assertFalse([n for n in got.headers if n.lower().startswith("x-accel")])

    def test_server_header_has_no_version(self):
        self.assertEqual(self.client().get("/").headers["Server"], "nginx")

    def test_whole_page_is_taken_from_the_gateway_before_the_client_reads(self):
        """A slow reader holds nginx's buffers, not a thread of the gateway."""
        for target in ("/", "/v1/postures?policy=1", "/v1/postures/query"):
            with self.subTest(target):
                self.check_page(target)

    def check_page(self, target):
        page = b"x" * (8 * 1024 * 1024)
        done = []

        def large(params, body, send):
            send(b"Content-Length: %d\r\n" % len(page) + PLAIN + page)
            done.append(True)
        Behind.answer = staticmethod(large)
        client = self.client()
        response = client.start("GET", target)
        harness.wait_until(lambda: done, "the application is rid of its page")
        self.assertEqual(response.read(), page)

    def test_whole_results_are_taken_a_little_at_a_time_and_not_to_the_disk(self):
        mib = 1024 * 1024
        for target in ("/v1/postures?policy=1&format=csv", "/v1/postures/query"):
            sent = []

            def endless(params, body, send, sent=sent):
                send(PLAIN)
                for _ in range(40):
                    sent.append(1)
                    send(b"x" * mib)
            Behind.answer = staticmethod(endless)
            said = self.nginx.text().count("temporary file")
            response = self.client().start("GET", target)
            harness.wait_until(lambda sent=sent: len(sent) > 8, "the buffers are full")
            for read in range(1, 41):
                self.assertEqual(len(response.read(mib)), mib)
                self.assertLess(len(sent) - read, 20, "it is no further ahead than the buffers are large")
            self.assertEqual(response.read(), b"")
            self.assertEqual(self.nginx.text().count("temporary file"), said)

    def test_short_answer_with_length_breaks(self):
        def short(params, body, send):
            send(b"Content-Length: 1000\r\n" + PLAIN + b"x" * 10)
            raise Abort
        Behind.answer = staticmethod(short)
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            self.client().get("/")

    def test_dying_stream_breaks_visibly(self):
        """Without Content-Length too: the client must not see a clean end of a chunked answer."""
        def stream(params, body, send):
            send(PLAIN + b"[1,2")
            raise Abort
        Behind.answer = staticmethod(stream)
        for target in STREAMS:
            for _ in range(3):
                with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
                    self.client().get(target)

    def test_a_long_stream_that_dies_breaks_visibly(self):
        """Also where more was on its way than nginx has buffers for."""
        for target in STREAMS:
            for pieces in (1, 7, 30):
                def stream(params, body, send):
                    send(PLAIN)
                    for _ in range(pieces):
                        send(b"x" * 100000)
                    raise Abort
                Behind.answer = staticmethod(stream)
                with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
                    self.client().get(target)

    def test_living_stream_ends_cleanly(self):
        Behind.answer = staticmethod(lambda params, body, send: send(PLAIN + b"[1,2]"))
        for target in STREAMS:
            self.assertEqual(self.client().get(target).body, b"[1,2]")

    def test_small_pieces_of_a_stream_pass_at_once(self):
        """In both senses: nothing is held back for more. (nginx holds back a first piece that came
        with the header and is shorter than a record's header, 8 bytes; ours are longer.)"""
        pieces = [b"[{\"id\":1}", b" ", b",", b"{\"id\":2}]"]
        read = threading.Semaphore(1)

        def drip(params, body, send):
            for i, piece in enumerate(pieces):
                read.acquire(timeout=harness.PATIENCE_S)
                send((PLAIN if i == 0 else b"") + piece)
        Behind.answer = staticmethod(drip)
        for target in STREAMS:
            response = self.client().start("GET", target)
            for piece in pieces:
                self.assertEqual(response.read(len(piece)), piece)
                read.release()
            self.assertEqual(response.read(), b"")

    def test_the_head_of_a_stream_passes_before_its_body(self):
        go_on = threading.Event()

        def late(params, body, send):
            send(PLAIN)
            go_on.wait(2 * harness.PATIENCE_S)
            send(b"[]")
        Behind.answer = staticmethod(late)
        response = self.client().start("POST", STREAMS[1])
        self.assertEqual(response.status, 200)
        go_on.set()
        self.assertEqual(response.read(), b"[]")

    def test_a_stream_that_pauses_leaves_nothing_behind(self):
        """However much has come: the client has all of it while nothing follows."""
        for size in (230000, 247673, 254351, 296304, 1000003, 3333333):
            go_on = threading.Event()

            def pause(params, body, send):
                send(PLAIN + b"x" * size)
                go_on.wait(2 * harness.PATIENCE_S)
                send(b"]")
            Behind.answer = staticmethod(pause)
            for _ in range(5):
                go_on.clear()
                response = self.client().start("POST", STREAMS[1])
                self.assertEqual(len(response.read(size)), size)
                go_on.set()
                self.assertEqual(response.read(), b"]")

    # --- its log

    def test_log_has_no_query_and_no_key(self):
        log = self.dir / "nginx" / "nginx-access.log"
        self.client().get("/v1/postures?policy=123456789", {"X-API-Key": "name.secretsecret"})
        line = harness.wait_until(
            lambda: [l for l in log.read_text().splitlines() if '"/v1/postures"' in l], "it is logged")[-1]
        self.assertRegex(line, r"id=[0-9a-f]{32} ")
        self.assertNotIn("123456789", line)
        self.assertNotIn("secretsecret", line)


class Sites(unittest.TestCase):
    """Both sites are right in nginx's own eyes."""

    def setUp(self):
        self.dir = harness.temporary_directory()
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def nginx_test(self, config):
        done = subprocess.run([harness.program("nginx"), "-t", "-p", self.dir, "-e",
                               self.dir / "error.log", "-c", config], capture_output=True,
                              text=True, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("[warn]", done.stderr)

    def certificate(self):
        subprocess.run([harness.program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj",
                        "/CN=posturegate.example", "-keyout", self.dir / "key.pem", "-out",
                        self.dir / "certificate.pem"], check=True, capture_output=True)

    def test_site_of_dev_run(self):
        part = harness.nginx_part(self.dir / "nginx", self.dir / "app.sock",
                                  f"unix:{self.dir}/http.sock")
        self.assertTrue(part.argv)
        self.nginx_test(self.dir / "nginx" / "nginx.conf")

    def production(self):
        self.certificate()
        # everything that nginx.conf says in a plain installation, but for its paths
        shutil.copytree(harness.SRCDIR / "nginx" / "posturegate", self.dir / "posturegate")
        harness.render(harness.SRCDIR / "nginx" / "site.conf.in", self.dir / "site.conf",
                       SOCKET=self.dir / "app.sock", SERVER_NAME="posturegate.example",
                       CERTIFICATE=self.dir / "certificate.pem",
                       CERTIFICATE_KEY=self.dir / "key.pem", LOG_DIR=self.dir)
        (self.dir / "nginx.conf").write_text(
            f"pid {self.dir}/pid;\nevents {{}}\nhttp {{\n" + "".join(
                f"{kind}_temp_path {self.dir}/{kind};\n"
                for kind in ["client_body", "fastcgi", "proxy", "scgi", "uwsgi"]) +
            "include site.conf;\n}\n")

    def test_production_site(self):
        self.production()
        self.nginx_test(self.dir / "nginx.conf")

    def serve_production(self):
        """The same file on a unix socket in place of port 443; returns its path."""
        self.production()
        networks = self.dir / "posturegate" / "networks.conf"
        networks.write_text(networks.read_text().replace("# https://app.example.com ", "https://app.example.com "))
        path = self.dir / "https.sock"
        site = (self.dir / "site.conf").read_text()
        site = re.sub(r"listen 443 (.*);", rf"listen unix:{path} \1;", site)
        site = re.sub(r"\n\tlisten \[::\]:443 .*;", "", site)
        (self.dir / "site.conf").write_text(site)
        config = self.dir / "nginx.conf"
        config.write_text(("user root;\n" if os.getuid() == 0 else "") + "daemon off;\n" +
                          config.read_text())
        app = FakeApp(self.dir / "app.sock", echo)
        self.addCleanup(app.close)
        nginx = harness.Part("nginx", [harness.program("nginx"), "-p", self.dir, "-e",
                                       self.dir / "error.log", "-c", config],
                             self.dir / "error.log")
        nginx.start()
        self.addCleanup(nginx.stop)
        harness.wait_until(lambda: nginx.check_running() and harness.accepts_connections(path),
                           "nginx accepts connections")
        return path

    def test_production_site_serves_tls_and_http2(self):
        path = self.serve_production()

        def fetch(*options, url="https://posturegate.example/metrics"):
            return subprocess.run([harness.program("curl"), "--silent", "--include", "--unix-socket",
                                   path, "--cacert", self.dir / "certificate.pem", *options, url],
                                  capture_output=True, stdin=subprocess.DEVNULL)
        got = fetch("--http2", "--tlsv1.2")
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertTrue(got.stdout.startswith(b"HTTP/2 200"), got.stdout)
        self.assertIn(b"strict-transport-security: max-age=", got.stdout)
        params = dict(json.loads(got.stdout.partition(b"\r\n\r\n")[2])["params"])
        self.assertEqual((params["HTTPS"], params["REQUEST_SCHEME"]), ("on", "https"))

        old = fetch("--tlsv1.0", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0")
        self.assertEqual(old.returncode, 35, old.stderr)

        plain = harness.raw(path, request())
        self.assertTrue(plain.startswith(b"HTTP/1.1 400 "), plain)
        self.assertIn(b"/problems/bad-request", plain)

    def test_only_keyless_requests_are_limited_by_address(self):
        path = self.serve_production()
        context = ssl.create_default_context(cafile=self.dir / "certificate.pem")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as plain:
            plain.connect(str(path))
            connection = http.client.HTTPConnection("posturegate.example")
            connection.sock = context.wrap_socket(plain, server_hostname="posturegate.example")

            def statuses(headers, method="GET"):
                for _ in range(100):
                    connection.request(method, "/v1/postures", headers=headers)
                    answer = harness.Answer(connection.getresponse())
                    yield answer.status
                    if answer.status == 429:
                        refused.append(answer)
            refused = []
            self.assertEqual(set(statuses({"X-API-Key": "name.secret"})), {200})
            self.assertEqual(set(statuses({"Authorization": "Bearer name.secret"})), {200})
            preflight = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
            self.assertEqual(set(statuses(preflight, "OPTIONS")), {200})
            self.assertEqual(set(statuses({})), {200, 429})
            self.assertIsNone(refused[0].headers["Access-Control-Allow-Origin"])
            # what it refuses itself can be read where networks.conf says so
            refused.clear()
            self.assertIn(429, set(statuses({"Origin": "https://app.example.com"})))
            self.assertEqual(refused[0].headers["Access-Control-Allow-Origin"], "https://app.example.com")
            self.assertIn("Retry-After", refused[0].headers["Access-Control-Expose-Headers"])
            self.assertEqual(refused[0].json()["type"], "/problems/too-many-requests")
            connection.close()


if __name__ == "__main__":
    harness.main(simulator=False)
