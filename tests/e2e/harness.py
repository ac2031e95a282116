"""The stack of an end-to-end test: simulated upstream, gateway and nginx, each a real process.

Everything lives in a temporary directory and goes with it. nginx listens on a unix socket, so that
no port is ever taken; the simulated upstream takes ports of the kernel's choice. What must have
happened is waited for with wait_until(), bounded; nothing sleeps for a guessed time.

    class Pages(StackTest):
        def test_walk(self):
            stack = self.stack(simulator={"policies": 2}, settings={"cache": {"fresh_for": "1s"}})
            answer = stack.client().get("/v1/postures", policy=1001)
            self.assertEqual(answer.status, 200)

Environment: top_srcdir and top_builddir (make check sets them); E2E_KEEP=1 keeps the directories,
E2E_PATIENCE_S=10 gives up sooner than after a minute.
"""

import ctypes
import hashlib
import http.client
import json
import mmap
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

SRCDIR = pathlib.Path(os.environ.get("top_srcdir", pathlib.Path(__file__).parents[2])).resolve()
BUILDDIR = pathlib.Path(os.environ.get("top_builddir", SRCDIR / "build")).resolve()
GATEWAY = BUILDDIR / "posturegate"
GATEWAY_MOVED = BUILDDIR / "posturegate-moved"  # tests/clock/; made by make check
SIMULATOR = BUILDDIR / "posturegate-simulator"

# Generous: reached only when something is broken, and sanitizers on a busy machine are slow.
PATIENCE_S = int(os.environ.get("E2E_PATIENCE_S", 60))


def wait_until(condition, what, seconds=PATIENCE_S):
    """Polls until condition() is true and returns its value; fails with `what` in the end."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"gave up after {seconds} s waiting until {what}")
        time.sleep(0.01)


def program(name):
    """A program that Debian may keep outside of a plain user's PATH."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise unittest.SkipTest(f"{name} is not installed")
    return found


def accepts_connections(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        try:
            s.connect(str(path))
        except OSError:
            return False
        return True


class Part:
    """A process, its log, and the end that it came to.

    The kernel ends it if this one dies; that is tied to the thread that started it, so start parts
    in the main thread.
    """

    def __init__(self, name, argv, log, environment=None):
        self.name = name
        self.argv = [str(a) for a in argv]
        self.environment = environment or {}
        self.log = pathlib.Path(log)
        self.process = None

    def start(self):
        assert self.process is None, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [program("setpriv"), "--pdeathsig", "KILL", *self.argv],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=os.environ | self.environment)

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def check_running(self):
        """True; fails with the log if the process has ended."""
        if not self.running():
            raise AssertionError(f"{self.name} has ended:\n{self.tail()}")
        return True

    def wait(self):
        """Until it ends by itself or by an earlier signal; returns its exit status."""
        try:
            status = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.process = None
            raise AssertionError(f"{self.name} did not end:\n{self.tail()}") from None
        self.process = None
        return status

    def stop(self, number=signal.SIGTERM):
        """An orderly end: returns the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def kill(self):
        self.process.kill()
        self.wait()

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines=60):
        return "\n".join(self.text().splitlines()[-lines:])


class Answer:
    """A whole answer; the connection is free again."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def query_string(params):
    """Lists and tuples are joined by commas, booleans written as the API does."""
    def text(value):
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (list, tuple)):
            return ",".join(text(v) for v in value)
        return str(value)
    return urllib.parse.urlencode({k: text(v) for k, v in params.items()}, safe=",:*-")


class Client:
    """One consumer at nginx's socket, on one kept connection. Not for several threads at once."""

    def __init__(self, path, key=None, timeout=PATIENCE_S):
        self.path = path
        self.key = key
        self.connection = UnixConnection(path, timeout)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.connection.close()

    def start(self, method, target, headers=None, body=None):
        """Sends a request and returns http.client's response with its body unread."""
        all_headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        all_headers.update(headers or {})
        try:
            self.connection.request(method, target, body=body, headers=all_headers)
            return self.connection.getresponse()
        except BaseException:
            self.connection.close()
            raise

    def request(self, method, target, headers=None, body=None):
        response = self.start(method, target, headers, body)
        try:
            return Answer(response)
        except BaseException:
            self.connection.close()
            raise

    def get(self, target, headers=None, **params):
        if params:
            target += "?" + query_string(params)
        return self.request("GET", target, headers)

    def post(self, target, document, headers=None):
        all_headers = {"Content-Type": "application/json"}
        all_headers.update(headers or {})
        return self.request("POST", target, all_headers, json.dumps(document))

    def pages(self, target, headers=None, **params):
        """Yields the pages of a walk as parsed JSON, following page.next to its end."""
        answer = self.get(target, headers, **params)
        while True:
            if answer.status != 200:
                raise AssertionError(f"a page of {target} is {answer}")
            page = answer.json()
            yield page
            if "next" not in page["page"]:
                return
            answer = self.get(page["page"]["next"], headers)

    def records(self, target, headers=None, **params):
        return [r for page in self.pages(target, headers, **params) for r in page["data"]]


def raw(path, data, timeout=PATIENCE_S):
    """Sends bytes as they are and returns what comes back until the first answer is whole (by its
    Content-Length) or the connection ends."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(timeout)
        s.connect(str(path))
        try:
            s.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before it was all sent; the answer is there
        got = b""
        while not whole(got):
            try:
                piece = s.recv(65536)
            except ConnectionResetError:
                break
            if not piece:
                break
            got += piece
        return got


def whole(got):
    head, separator, body = got.partition(b"\r\n\r\n")
    if not separator:
        return False
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
    return False


class Control:
    """The simulated upstream's control port: counts, faults and holds (tests/simulator/README.md
    has the names). Keywords are members of the request as they are, but "_" in option names of
    set() is "-"."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.address = (parts.hostname, parts.port)

    def call(self, method, target, document=None):
        connection = http.client.HTTPConnection(*self.address, timeout=2 * PATIENCE_S)
        try:
            connection.request(method, target,
                               body=None if document is None else json.dumps(document))
            answer = Answer(connection.getresponse())
        finally:
            connection.close()
        if answer.status != 200:
            raise AssertionError(f"the simulator says to {method} {target} {document}: {answer}")
        return answer.json()

    def get(self, path, **params):
        return self.call("GET", path + ("?" + query_string(params) if params else ""))

    def state(self, **params):
        return self.get("/state", **params)

    def wait(self, **counts):
        """Until so many calls= came, ended=, held= of api= (postureInfo), or stalled=."""
        answer = self.get("/wait", timeout_ms=PATIENCE_S * 1000, **counts)
        if not answer["reached"]:
            raise AssertionError(f"gave up waiting at the simulator for {counts}: {answer}")
        return answer

    def set(self, **options):
        return self.call("POST", "/set", {k.replace("_", "-"): v for k, v in options.items()})

    def fault(self, fault, **members):
        return self.call("POST", "/fault", {"fault": fault} | members)

    def hold(self, **members):
        """Returns the hold's id."""
        return self.call("POST", "/hold", members)["id"]

    def release(self, **members):
        return self.call("POST", "/release", members)

    def advance(self, seconds):
        """Moves the simulator's clock alone; Stack.advance() moves everybody's."""
        return self.call("POST", "/advance", {"seconds": seconds})

    def use(self, calls, api="postureInfo"):
        """So many calls of other users of the subscription fill the API's window."""
        return self.call("POST", "/use", {"api": api, "calls": calls})

    def expire(self):
        """Ends the life of every token that was given out."""
        return self.call("POST", "/expire", {})

    def reset(self):
        """Forgets counts, windows, faults and holds."""
        return self.call("POST", "/reset", {})


class Consumer:
    def __init__(self, name, **grants):
        self.name = name
        self.key = f"{name}.{secrets.token_hex(32)}"
        self.grants = {"policies": "*", "evidence": "true"} | grants

    def section(self):
        return {"key_sha256": hashlib.sha256(self.key.encode()).hexdigest()} | self.grants


def exactly(settings=None):
    """Settings with which a query is answered by its own result alone: for tests in which another
    filter is to mean another fetch."""
    settings = dict(settings or {})
    settings["cache"] = {"containment": "false"} | settings.get("cache", {})
    return settings


def ini(sections):
    """{"section": {"name": value}} as the text of a settings file."""
    lines = []
    for section, settings in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{name} = {value}" for name, value in settings.items()]
        lines.append("")
    return "\n".join(lines)


def render(template, target, **values):
    text = template.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    target.write_text(text)


def nginx_part(directory, socket_path, listen):
    """nginx with the site of ./dev run, all its files in `directory` (made if missing)."""
    directory.mkdir(exist_ok=True)
    shutil.copytree(SRCDIR / "nginx" / "posturegate", directory / "posturegate",
                    dirs_exist_ok=True)
    render(SRCDIR / "nginx" / "run.conf.in", directory / "nginx.conf", DIR=directory,
           LISTEN=listen, SOCKET=socket_path, USER="user root;" if os.getuid() == 0 else "")
    return Part("nginx", [program("nginx"), "-p", directory, "-e", directory / "nginx-error.log",
                          "-c", directory / "nginx.conf"], directory / "nginx-error.log")


TLS_SERVER = """
	server {
		listen unix:@DIR@/https.sock ssl;
		ssl_certificate @DIR@/tls.pem;
		ssl_certificate_key @DIR@/tls.key;
		include posturegate/server.conf;
	}
}
"""


def add_tls(directory):
    """A second server in that directory's nginx.conf, at https.sock, with a certificate for 127.0.0.1
    that nobody else has signed (tls.pem)."""
    subprocess.run([program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=posturegate",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", directory / "tls.key",
                    "-out", directory / "tls.pem"], check=True, capture_output=True)
    conf = directory / "nginx.conf"
    text = conf.read_text().rstrip()
    assert text.endswith("}"), "the http block is not the last"
    conf.write_text(text[:-1] + TLS_SERVER.replace("@DIR@", str(directory)))


class Door(threading.Thread):
    """A port of 127.0.0.1, of the kernel's choice, that leads to a unix socket: for clients that know
    only TCP. Bytes pass as they are, and so do ends: an end on one side is one on the other, and a
    connection that breaks breaks."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path = str(path)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                outside, _ = self.server.accept()
            except OSError:
                return
            inside = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                inside.connect(self.path)
            except OSError:
                outside.close()
                inside.close()
                continue
            threading.Thread(target=self.join_up, args=(outside, inside), daemon=True).start()

    def join_up(self, outside, inside):
        with outside, inside:
            back = threading.Thread(target=self.pass_on, args=(inside, outside), daemon=True)
            back.start()
            self.pass_on(outside, inside)
            back.join()

    @staticmethod
    def pass_on(source, target):
        try:
            while piece := source.recv(65536):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            for s in (source, target):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        # close() alone would leave accept() waiting
        try:
            self.server.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.server.close()


def temporary_directory():
    """Short enough for the path of a unix socket in it."""
    base = tempfile.gettempdir()
    return pathlib.Path(tempfile.mkdtemp(prefix="pg-", dir=base if len(base) < 60 else "/tmp"))


class MovedClock:
    """The file that tells posturegate-moved how far its clocks are ahead (tests/clock/)."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self.map = mmap.mmap(file.fileno(), 8)
        self.ahead_ms = 0

    def advance(self, ms):
        self.ahead_ms += ms
        # one store of eight bytes: who reads sees the old number or the new one
        ctypes.c_int64.from_buffer(self.map).value = self.ahead_ms

    def close(self):
        self.map.close()


class Stack:
    """simulator: its options as a dict (True: --name, False: --no-name, _ for -); with
        "ledger": True it keeps one, which ledger() reads.
    settings: {"section": {"name": value}} laid over the harness's own.
    consumers: of class Consumer; without, one named "test" with all grants.
    upstream: the URL of another upstream; then no simulator is started.
    tls: True for a second nginx server, with a certificate that nobody has signed (door()).
    clock: True for a gateway whose clocks advance() moves, together with the simulator's."""

    def __init__(self, simulator=None, settings=None, consumers=None, upstream=None, clock=False,
                 tls=False):
        self.dir = temporary_directory()
        self.clock = MovedClock(self.dir / "clock") if clock else None
        self.tails = None
        self.consumers = consumers or [Consumer("test", force="true", admin="true")]
        self.username, self.password = "test-user", secrets.token_hex(16)
        self.gateway_socket = self.dir / "gateway.sock"
        self.nginx_socket = self.dir / "http.sock"
        self.state_dir = self.dir / "state"
        self.settings_file = self.dir / "posturegate.conf"
        self.settings = settings or {}
        self.upstream = upstream
        self.control = None
        self.clients = []
        self.doors = []
        self.parts = []
        self.simulator_options = simulator or {}
        self.simulator_port = 0
        self.ledger_file = self.dir / "ledger"
        self.simulator = self.part("simulator", self.simulator_argv())
        self.gateway = self.part(
            "gateway", [GATEWAY_MOVED if clock else GATEWAY, "--settings", self.settings_file])
        if clock:
            self.gateway.environment = {"POSTUREGATE_MOVED_CLOCK": str(self.clock.path)}
        self.nginx_dir = self.dir / "nginx"
        self.nginx = nginx_part(self.nginx_dir, self.gateway_socket, f"unix:{self.nginx_socket}")
        self.certificate = self.nginx_dir / "tls.pem"
        if tls:
            add_tls(self.nginx_dir)
        self.parts.append(self.nginx)

    def part(self, name, argv):
        part = Part(name, argv, self.dir / f"{name}.log")
        self.parts.append(part)
        return part

    def simulator_argv(self):
        argv = [SIMULATOR, "--port", self.simulator_port, "--control-port", 0, "--username", self.username,
                "--password", self.password]
        for name, value in self.simulator_options.items():
            name = name.replace("_", "-")
            if name == "ledger" and value is True:
                argv += ["--ledger", self.ledger_file]
            elif isinstance(value, bool):
                argv.append(f"--{name}" if value else f"--no-{name}")
            else:
                argv += [f"--{name}", value]
        if self.clock is not None:
            argv += ["--ahead-ms", self.clock.ahead_ms]
        return [str(a) for a in argv]

    # --- starting

    def start(self):
        if self.upstream is None:
            self.start_simulator()
        self.start_gateway()
        self.start_nginx()
        return self

    def start_simulator(self):
        already = self.simulator.text().count("ready: ")
        self.simulator.argv = self.simulator_argv()  # a clock that was moved stays so
        self.simulator.start()

        def ready_line():
            self.simulator.check_running()
            lines = [l for l in self.simulator.text().splitlines() if l.startswith("ready: ")]
            return lines[-1] if len(lines) > already else None
        words = wait_until(ready_line, "the simulator is ready").split()
        self.upstream = words[1]
        self.control = Control(words[words.index("control:") + 1])

    def restart_simulator(self, kill=False):
        """At the address that it had; all it remembers is its ledger, if it keeps one."""
        self.simulator_port = urllib.parse.urlsplit(self.upstream).port
        if kill:
            self.simulator.kill()
        else:
            self.simulator.stop()
        self.start_simulator()

    def ledger(self):
        """What the simulator's limits decided so far, as dicts (tests/simulator/ledger.h)."""
        return [json.loads(line) for line in self.ledger_file.read_text().splitlines()]

    def write_settings(self):
        password_file = self.dir / "upstream-password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        sections = {
            "gateway": {"socket": self.gateway_socket, "state_dir": self.state_dir,
                        "nginx_connections": 32, "log_level": "debug"},
            # no limit but those that a test sets: the default of 25 calls would take it a minute
            "upstream": {"url": self.upstream, "username": self.username,
                         "password_file": password_file, "rate_calls": 1000},
        }
        for consumer in self.consumers:
            sections[f"consumer {consumer.name}"] = consumer.section()
        for section, settings in self.settings.items():
            sections.setdefault(section, {}).update(settings)
        self.settings_file.write_text(ini(sections))

    def start_gateway(self):
        self.state_dir.mkdir(mode=0o700, exist_ok=True)
        self.write_settings()
        self.gateway.start()
        wait_until(lambda: self.gateway.check_running() and accepts_connections(self.gateway_socket),
                   "the gateway accepts connections")

    def start_nginx(self):
        # a killed nginx leaves its socket behind, and bind() refuses a path that exists
        self.nginx_socket.unlink(missing_ok=True)
        self.nginx.start()
        wait_until(lambda: self.nginx.check_running() and accepts_connections(self.nginx_socket),
                   "nginx accepts connections")

    def restart_gateway(self, kill=False):
        if kill:
            self.gateway.kill()
        else:
            status = self.gateway.stop()
            if status != 0:
                raise AssertionError(f"the gateway ended with {status}:\n{self.gateway.tail()}")
        self.start_gateway()

    # --- use

    def client(self, consumer=0, key=None, timeout=PATIENCE_S):
        """A client with the key of that consumer (its number), or with `key` ("": none)."""
        key = self.consumers[consumer].key if key is None else key
        client = Client(self.nginx_socket, key, timeout)
        self.clients.append(client)
        return client

    def raw(self, data):
        return raw(self.nginx_socket, data)

    def door(self, tls=False):
        """The base URL of nginx for clients that know only TCP. tls: of a stack made with it; its
        certificate is self.certificate."""
        door = Door(self.nginx_dir / "https.sock" if tls else self.nginx_socket)
        self.doors.append(door)
        return f"{'https' if tls else 'http'}://127.0.0.1:{door.port}"

    def advance(self, seconds):
        """Moves time for everybody but nginx, the upstream first: whoever acts on the gateway's
        new time finds the upstream already there. Waits in the gateway see it within moments:
        wait_until() what is to follow."""
        assert self.clock is not None, "a stack whose clock moves is made with clock=True"
        ms = round(seconds * 1000)
        if self.simulator.running():
            self.control.advance(ms / 1000)
        self.clock.advance(ms)

    def now(self):
        """The wall time of simulator and gateway, in seconds since 1970."""
        return time.time() + (self.clock.ahead_ms / 1000 if self.clock is not None else 0)

    # --- the end

    def close(self):
        """Stops what runs, last started first. The gateway must end in order: its sanitizers
        speak through its exit status."""
        complaints = []
        for client in self.clients + self.doors:
            client.close()
        for part in reversed(self.parts):
            if part.process is None:
                continue
            try:
                status = part.stop()
            except AssertionError as e:
                complaints.append(str(e))
                continue
            if status != 0 and part is self.gateway:
                complaints.append(f"the gateway ended with status {status}")
        if self.clock is not None:
            self.clock.close()
        self.tails = self.logs()
        if not os.environ.get("E2E_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)
        if complaints:
            raise AssertionError("\n".join(complaints))

    def logs(self):
        if self.tails is not None:
            return self.tails
        return "".join(f"--- {p.name}: {p.log}\n{p.tail()}\n" for p in self.parts)


class StackTest(unittest.TestCase):
    """A test case whose stacks are closed after it, and whose logs are shown if it failed.

    A class may share one stack among its tests: set class attributes in setUpClass with
    cls.share(...)."""

    def stack(self, start=True, **options):
        stack = Stack(**options)
        self.stacks.append(stack)
        self.addCleanup(stack.close)
        return stack.start() if start else stack

    @classmethod
    def share(cls, **options):
        stack = Stack(**options)
        cls.shared = stack
        cls.addClassCleanup(stack.close)
        return stack.start()

    def run(self, result=None):
        self.stacks = []
        result = self.defaultTestResult() if result is None else result
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            for stack in self.stacks + [s for s in [getattr(self, "shared", None)] if s]:
                print(f"=== {self.id()}\n{stack.logs()}", file=sys.stderr)
        return result


def main(simulator=True):
    """Ends with 77, automake's "skipped", where a needed program was not built."""
    if simulator and not SIMULATOR.exists():
        print("skipped: the simulated upstream was not built (libmicrohttpd)")
        sys.exit(77)
    unittest.main(verbosity=2)
