"""What the parts of the benchmark share: the stack, processes seen through /proc, numbers.

The stack is that of the end-to-end tests (tests/e2e/harness.py), with an nginx that also serves the
same gateway through fastcgi_cache (nginx.conf.in), on ports, because wrk knows no unix sockets.
"""

import os
import pathlib
import resource
import shutil
import socket
import statistics
import subprocess
import sys
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
ONE_CALL = 5000
DEFAULT_HOSTS = 500


class Missing(Exception):
    """A tool that a row needs is not installed."""


def tool(name):
    path = shutil.which(name)
    if path is None:
        raise Missing(f"{name} is not installed")
    return path


# --- numbers

class Series:
    """Samples of one figure, in the order of the repetitions."""

    def __init__(self):
        self.samples = []

    def add(self, value):
        self.samples.append(value)

    @property
    def median(self):
        return statistics.median(self.samples)

    def text(self, digits):
        """median (least-most)"""
        if not self.samples:
            return "-"
        if len(self.samples) == 1:
            return f"{self.median:.{digits}f}"
        least, most = min(self.samples), max(self.samples)
        return f"{self.median:.{digits}f} ({least:.{digits}f}-{most:.{digits}f})"


def ratio_text(above, below):
    """The ratio of the medians, and the range that it has within single repetitions."""
    if not above.samples or not below.samples:
        return "-"
    pairs = [a / b for a, b in zip(above.samples, below.samples)]
    return f"{above.median / below.median:.2f} ({min(pairs):.2f}-{max(pairs):.2f})"


def table(heads, rows):
    """As Markdown that is also fit for a terminal; the first column is text, the others figures."""
    heads, *rows = ([str(cell).replace("|", "\\|") for cell in line] for line in [heads, *rows])
    widths = [max(len(line[i]) for line in [heads, *rows]) for i in range(len(heads))]

    def text(line):
        cells = [line[0].ljust(widths[0])]
        cells += [c.rjust(w) for c, w in zip(line[1:], widths[1:])]
        return "| " + " | ".join(cells) + " |"
    rule = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]
    return "\n".join([text(heads), text(rule), *(text(r) for r in rows)])


class Target:
    """One figure that was promised, and what was measured."""

    def __init__(self, what, promised, measured, reached):
        self.what = what
        self.promised = promised
        self.measured = measured
        self.reached = reached

    def row(self):
        return [self.what, self.promised, self.measured, "yes" if self.reached else "no"]


TARGET_HEADS = ["target", "promised", "measured", "reached"]


def note(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


# --- processes

def cpu_s(pid):
    """User and system time of all its threads so far."""
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    fields = stat[stat.rindex(")") + 2:].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


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


class Stack(harness.Stack):
    """simulator, gateway and nginx; `with Stack(...) as stack:` starts and ends them."""

    def __init__(self, hosts_per_call=ONE_CALL, consumers=None, **simulator):
        super().__init__(simulator=SIMULATOR | simulator, consumers=consumers, settings={
            # as in production: nothing is logged for each call and page but the one line
            "gateway": {"log_level": "info"},
            "upstream": {"hosts_per_call": hosts_per_call, "rate_calls": 10000},
        })
        self.port, self.cached_port = free_ports(2)
        self.files_dir = self.dir / "nginx" / "files"       # what nginx serves under /files/
        self.files_dir.mkdir()
        harness.render(HERE / "nginx.conf.in", self.dir / "nginx" / "nginx.conf",
                       DIR=self.dir / "nginx", SOCKET=self.gateway_socket,
                       LISTEN=f"unix:{self.nginx_socket}", PORT=self.port,
                       CACHED_PORT=self.cached_port,
                       USER="user root;" if os.getuid() == 0 else "")

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *exc):
        self.close()

    @property
    def key(self):
        return self.consumers[0].key

    def empty_gateway(self, hosts_per_call=ONE_CALL):
        """The gateway anew, with nothing stored."""
        self.gateway.stop()
        shutil.rmtree(self.state_dir)
        self.settings["upstream"]["hosts_per_call"] = hosts_per_call
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

    def served(self):
        """Records, and bytes of JSON, that the simulator has sent since its last reset."""
        counts = self.control.state()["apis"]["postureInfo"]
        return counts["records"], counts["bytes"]

    def store_bytes(self):
        """What the store takes on disk."""
        return sum(p.stat().st_blocks * 512 for p in self.state_dir.rglob("*") if p.is_file())

    def nginx_cpu_s(self):
        return sum(cpu_s(pid) for pid in [self.nginx.pid, *children(self.nginx.pid)])
