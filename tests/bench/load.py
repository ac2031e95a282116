"""One page asked for by wrk again and again, of one server: requests a second, and the CPU time that
the server's processes took for each. wrk knows only TCP, and has one of the machine's cores."""

import re
import subprocess

import lab

CONNECTIONS = 16
HEADS = ["requests/s", "posturegate / it", "p50 ms", "p99 ms", "CPU us a request",
         "it / posturegate's"]


def wrk_milliseconds(text, percentile):
    number, unit = re.search(rf"^\s*{percentile}%\s+([0-9.]+)(us|ms|s)$", text, re.M).groups()
    return float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]


class Row:
    """pids: of the server, each with its children."""

    def __init__(self, name, url, pids, headers):
        self.name, self.url, self.pids, self.headers = name, url, pids, headers
        self.rate, self.p50, self.p99, self.cpu = (lab.Series() for _ in range(4))
        self.bytes = 0

    def cpu_s(self):
        return sum(lab.tree_cpu_s(pid) for pid in self.pids)

    def measure(self, seconds):
        before = self.cpu_s()
        argv = [lab.tool("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
        for name, value in self.headers.items():
            argv += ["-H", f"{name}: {value}"]
        text = subprocess.run([*argv, self.url], check=True, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=seconds + 60).stdout
        cpu_s = self.cpu_s() - before
        # a server that takes long for each leaves some unanswered in the end: these are time-outs
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+)", text)
        if "Non-2xx" in text or (errors and any(int(n) for n in errors.groups())):
            raise RuntimeError(f"wrk had errors at {self.name}:\n{text}")
        requests = int(re.search(r"(\d+) requests in", text)[1])
        self.rate.add(float(re.search(r"Requests/sec:\s+([0-9.]+)", text)[1]))
        self.p50.add(wrk_milliseconds(text, 50))
        self.p99.add(wrk_milliseconds(text, 99))
        self.cpu.add(cpu_s / requests * 1e6)

    def figures(self, ours):
        """Beside the row of posturegate."""
        return [self.name, self.rate.text(0), lab.ratio_text(ours.rate, self.rate),
                f"{self.p50.median:.2f}", f"{self.p99.median:.2f}", self.cpu.text(0),
                lab.ratio_text(self.cpu, ours.cpu)]

    def target(self, what, beside, goal, ours):
        """That `ours` is to answer at least `goal` times as many as this one."""
        cpu = lab.Ratio(self.cpu, ours.cpu)
        return lab.at_least(what, beside, goal, lab.Ratio(ours.rate, self.rate),
                            f"; by CPU {cpu.text()}")


def interleave(part, rows, rounds, seconds):
    for number in range(rounds):
        for row in rows:
            row.measure(seconds)
        lab.note(f"{part}: round {number + 1}/{rounds}")


def described(rounds, seconds):
    return (f"`wrk -t1 -c{CONNECTIONS} -d{seconds}s`, {rounds} rounds, interleaved; wrk shares the "
            f"machine's cores.")
