"""What the parts of the benchmark share: the stack, processes seen through /proc, numbers.

The stack is that of the end-to-end tests (tests/e2e/harness.py), with an nginx that also serves the
same gateway in the ways of others (nginx.conf.in), on ports, because wrk knows no unix sockets.
"""

import functools
import http.client
import json
import os
import pathlib
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import harness  # noqa: E402

MB = 1e6
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
SAMPLE_S = 0.01

# one policy in one call, and no limit of the upstream in the way
SIMULATOR = {"policies": 1, "rate": 0, "concurrency": 0}
ONE_CALL = 20000
DEFAULT_HOSTS = 500
# a million records: 3 % of the hosts have no postures
MILLION = {"hosts": 10310, "controls": 100}

# the gateway once more, built --without-isal (./dev bench makes it)
ZLIB_GATEWAY = pathlib.Path(os.environ.get("bench_zlib_builddir",
                                           harness.SRCDIR / "build-zlib")) / "posturegate"


class Missing(Exception):
    """A tool that a row needs is not installed."""


def tool(name):
    path = shutil.which(name)
    if path is None:
        raise Missing(f"{name} is not installed")
    return path


# --- numbers

class Series:
    """Samples of one figure, each with the round that it was taken in."""

    def __init__(self):
        self.rounds = {}

    def add(self, value, number=None):
        """number: of the round; without, the next one."""
        self.rounds[len(self.rounds) if number is None else number] = value

    @property
    def samples(self):
        return list(self.rounds.values())

    @property
    def median(self):
        return statistics.median(self.samples)

    def text(self, digits):
        """median (least-most)"""
        if not self.rounds:
            return "-"
        return range_text(self.median, self.samples, digits)


def range_text(median, samples, digits):
    if len(samples) == 1:
        return f"{median:.{digits}f}"
    return f"{median:.{digits}f} ({min(samples):.{digits}f}-{max(samples):.{digits}f})"


class Ratio:
    """above / below: of their medians, and the range that it has within single rounds. Only rounds
    in which both were measured count."""

    def __init__(self, above, below):
        both = [n for n in above.rounds if n in below.rounds]
        self.pairs = [above.rounds[n] / below.rounds[n] for n in both if below.rounds[n]]
        under = statistics.median(below.rounds[n] for n in both) if both else 0
        self.value = statistics.median(above.rounds[n] for n in both) / under if under else None

    def text(self, digits=2):
        return "-" if self.value is None else range_text(self.value, self.pairs, digits)


def ratio_text(above, below):
    return Ratio(above, below).text()


def table(heads, rows, figures=1):
    """As Markdown that is also fit for a terminal; from column `figures` on they are figures."""
    heads, *rows = ([str(cell).replace("|", "\\|") for cell in line] for line in [heads, *rows])
    widths = [max(len(line[i]) for line in [heads, *rows]) for i in range(len(heads))]

    def text(line):
        cells = [c.ljust(w) if i < figures else c.rjust(w)
                 for i, (c, w) in enumerate(zip(line, widths))]
        return "| " + " | ".join(cells) + " |"
    rule = ["-" * w if i < figures else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return "\n".join([text(heads), text(rule), *(text(r) for r in rows)])


class Target:
    """One figure that was promised, and what was measured. reached None: it was not measured, and
    `measured` says why."""

    def __init__(self, what, promised, measured, reached, beside="-"):
        self.what = what
        self.beside = beside
        self.promised = promised
        self.measured = measured
        self.reached = reached

    def row(self):
        reached = "-" if self.reached is None else "yes" if self.reached else "no"
        return [self.what, self.beside, self.promised, self.measured, reached]


def at_least(what, beside, goal, ratio, more=""):
    """The target of a Ratio that is to be large."""
    if ratio.value is None:
        return Target(what, f">= {goal}", "not measured", None, beside)
    return Target(what, f">= {goal}", ratio.text() + more, ratio.value >= goal, beside)


def note(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


# --- processes

def cpu_s(pid):
    """User and system time of all its threads so far."""
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    fields = stat[stat.rindex(")") + 2:].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def tree_cpu_s(pid):
    """The same of a process and its children."""
    return sum(cpu_s(p) for p in [pid, *children(pid)])


def children(pid):
    return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def anonymous_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this kernel does not tell RssAnon")


class Watch:
    """Samples the anonymous memory of a process while the block runs."""

    def __init__(self, pid):
        self.pid = pid
        self.before = self.peak = anonymous_bytes(pid)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over.wait(SAMPLE_S):
            self.peak = max(self.peak, anonymous_bytes(self.pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.thread.join()


class Spent:
    """What a command and all it started took: wall time, CPU time, largest resident set."""

    def __init__(self, argv, **options):
        before = time.monotonic()
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              **options) as process:
            self.output = process.stdout.read().decode()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        self.wall_s = time.monotonic() - before
        self.cpu_s = usage.ru_utime + usage.ru_stime
        # a child counts what it was forked from: nothing can be said of smaller ones
        own_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.resident_bytes = usage.ru_maxrss * 1024 if usage.ru_maxrss > 1.1 * own_kb else None
        if process.returncode != 0:
            raise RuntimeError(f"{argv} ended with {process.returncode}: {self.output[-300:]}")


# --- the stack

def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def inflates_with(program):
    """Which library a gateway inflates with."""
    config = (program.parent / "config.h").read_text()
    return "libisal" if "#define HAVE_ISAL 1" in config else "zlib"


@functools.cache
def knows_twins():
    """Whether this build has the setting [cache] twins."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write("[cache]\ntwins = lazy\n")
        file.flush()
        told = subprocess.run([harness.GATEWAY, "--check", file.name], capture_output=True,
                              text=True, check=False)
    return "no such setting" not in told.stdout + told.stderr


def page_of(body):
    """The member "page" of an answer, without parsing its records."""
    return json.loads(b"{" + body[body.rindex(b'"page":{'):])["page"]


class Stack(harness.Stack):
    """simulator, gateway and nginx; `with Stack(...) as stack:` starts and ends them.

    twins: what [cache] twins is set to, where the build knows it; None: its default.
    recorded: another nginx stands before the simulator, keeps each of its answers of postures and
        says it again from the file: then its making is not part of what is measured."""

    def __init__(self, hosts_per_call=ONE_CALL, consumers=None, twins=None, recorded=False,
                 **simulator):
        super().__init__(simulator=SIMULATOR | simulator, consumers=consumers, settings={
            # as in production: nothing is logged for each call and page but the one line
            "gateway": {"log_level": "info"},
            "upstream": {"hosts_per_call": hosts_per_call, "rate_calls": 10000},
        })
        if twins is not None:
            self.set_twins(twins)
        ports = free_ports(4)
        self.port, self.cached_port, self.gzip_port, self.recorder_port = ports
        self.files_dir = self.dir / "nginx" / "files"       # what nginx serves under /files/
        self.files_dir.mkdir()
        user = "user root;" if os.getuid() == 0 else ""
        harness.render(HERE / "nginx.conf.in", self.dir / "nginx" / "nginx.conf",
                       DIR=self.dir / "nginx", SOCKET=self.gateway_socket,
                       LISTEN=f"unix:{self.nginx_socket}", PORT=self.port,
                       CACHED_PORT=self.cached_port, GZIP_PORT=self.gzip_port, USER=user)
        self.recorder = self.recorder_part(user) if recorded else None

    def recorder_part(self, user):
        directory = self.dir / "recorder"
        directory.mkdir()
        self.recorder_user = user
        return self.part("recorder", [harness.program("nginx"), "-p", directory, "-e",
                                      directory / "error.log", "-c", directory / "nginx.conf"])

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *exc):
        self.close()

    def start_simulator(self):
        super().start_simulator()
        self.simulator_url = self.upstream
        if self.recorder is None:
            return
        directory = self.dir / "recorder"
        harness.render(HERE / "recorder.conf.in", directory / "nginx.conf", DIR=directory,
                       PORT=self.recorder_port, SIMULATOR=self.simulator_url,
                       USER=self.recorder_user)
        self.recorder.start()
        harness.wait_until(lambda: self.recorder.check_running() and
                           listens(self.recorder_port), "the recorder accepts connections")
        self.upstream = f"http://127.0.0.1:{self.recorder_port}"

    @property
    def key(self):
        return self.consumers[0].key

    def set_twins(self, twins):
        if knows_twins():
            self.settings["cache"] = {"twins": twins}

    def empty_gateway(self, hosts_per_call=ONE_CALL, program=harness.GATEWAY, twins=None):
        """The gateway anew, with nothing stored."""
        self.gateway.stop()
        shutil.rmtree(self.state_dir)
        self.settings["upstream"]["hosts_per_call"] = hosts_per_call
        if twins is not None:
            self.set_twins(twins)
        self.gateway.argv[0] = str(program)
        self.start_gateway()

    def client(self):
        """One whose way to the gateway is open."""
        client = super().client()
        harness.wait_until(lambda: client.get("/healthz").status == 200, "the gateway is healthy")
        return client

    def fetch(self, client, **query):
        """Asks until the page of a complete result is there."""
        while True:
            answer = client.get("/v1/postures", {"Prefer": "wait=60"}, **query)
            if answer.status == 200:
                return answer
            if answer.status != 202:
                raise RuntimeError(f"the query was answered with {answer}\n{self.logs()}")

    def get(self, port, target, **headers):
        """One answer over TCP, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", target, headers={
                "Authorization": f"Bearer {self.key}"} | headers)
            answer = harness.Answer(connection.getresponse())
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{target} is answered with {answer}\n{self.logs()}")
        return answer

    def served(self):
        """Records, and bytes of JSON, that the simulator has sent since its last reset."""
        counts = self.control.state()["apis"]["postureInfo"]
        return counts["records"], counts["bytes"]

    def store_bytes(self):
        """What the store takes on disk."""
        return sum(p.stat().st_blocks * 512 for p in self.state_dir.rglob("*") if p.is_file())

    def nginx_cpu_s(self):
        return tree_cpu_s(self.nginx.pid)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
