"""Hot: a stored page through nginx, beside the same bytes out of nginx's fastcgi_cache."""

import http.client
import re
import subprocess

import lab

PAGES = (1, 10, 100)
PROMISED = 0.4
OURS, CACHED = "posturegate", "fastcgi_cache"
CONNECTIONS = 16


class Row:
    def __init__(self, records, server):
        self.records, self.server = records, server
        self.rate, self.p50, self.p99 = lab.Series(), lab.Series(), lab.Series()
        self.nginx, self.gateway = lab.Series(), lab.Series()


def wrk_milliseconds(text, percentile):
    number, unit = re.search(rf"^\s*{percentile}%\s+([0-9.]+)(us|ms|s)$", text, re.M).groups()
    return float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]


class Hot:
    def __init__(self, quick):
        self.rounds, self.seconds = (3, 1) if quick else (7, 2)
        self.rows = [Row(n, server) for n in PAGES for server in (OURS, CACHED)]
        self.page_bytes = {}

    def run(self):
        self.wrk = lab.tool("wrk")
        with lab.Stack(hosts=100, controls=40, evidence_bytes=700) as stack:
            self.stack = stack
            self.ports = {OURS: stack.port, CACHED: stack.cached_port}
            with stack.client() as client:
                stack.fetch(client, policy=1001, evidence="extended", limit=1)
            for records in PAGES:
                self.check_same(records)
            for number in range(self.rounds):
                for row in self.rows:
                    self.measure(row)
                lab.note(f"hot: round {number + 1}/{self.rounds}")
        return self

    def target(self, records):
        return f"/v1/postures?policy=1001&evidence=extended&limit={records}"

    def check_same(self, records):
        bodies = set()
        for port in (*self.ports.values(), self.stack.cached_port):   # the second fills the cache
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", self.target(records),
                               headers={"Authorization": f"Bearer {self.stack.key}"})
            answer = connection.getresponse()
            bodies.add(answer.read())
            connection.close()
            if answer.status != 200:
                raise RuntimeError(f"a page of {records} is answered with {answer.status}")
        if len(bodies) != 1:
            raise RuntimeError("the cached page differs from the page")
        self.page_bytes[records] = len(bodies.pop())

    def measure(self, row):
        nginx_before, gateway_before = self.stack.nginx_cpu_s(), lab.cpu_s(self.stack.gateway.pid)
        text = subprocess.run(
            [self.wrk, "-t1", f"-c{CONNECTIONS}", f"-d{self.seconds}s", "--latency",
             "-H", f"Authorization: Bearer {self.stack.key}",
             f"http://127.0.0.1:{self.ports[row.server]}{self.target(row.records)}"],
            check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=self.seconds + 60).stdout
        nginx_s = self.stack.nginx_cpu_s() - nginx_before
        gateway_s = lab.cpu_s(self.stack.gateway.pid) - gateway_before
        if "Non-2xx" in text or "Socket errors" in text:
            raise RuntimeError(f"wrk had errors:\n{text}\n{self.stack.logs()}")
        requests = int(re.search(r"(\d+) requests in", text)[1])
        row.rate.add(float(re.search(r"Requests/sec:\s+([0-9.]+)", text)[1]))
        row.p50.add(wrk_milliseconds(text, 50))
        row.p99.add(wrk_milliseconds(text, 99))
        row.nginx.add(nginx_s / requests * 1e6)
        row.gateway.add(gateway_s / requests * 1e6)

    # --- telling

    def pair(self, records):
        return [next(r for r in self.rows if (r.records, r.server) == (records, server))
                for server in (OURS, CACHED)]

    def figures(self, row):
        ours, cached = self.pair(row.records)
        ratio = lab.ratio_text(ours.rate, cached.rate) if row is ours else "1"
        return [f"{row.records}, {self.page_bytes[row.records] / 1e3:.1f} KB: {row.server}",
                row.rate.text(0), ratio, f"{row.p50.median:.2f}", f"{row.p99.median:.2f}",
                row.nginx.text(0), row.gateway.text(0)]

    def markdown(self):
        heads = ["records a page", "requests/s", "of fastcgi_cache", "p50 ms", "p99 ms",
                 "nginx CPU us", "gateway CPU us"]
        return (f"`wrk -t1 -c{CONNECTIONS} -d{self.seconds}s`, {self.rounds} rounds, interleaved; "
                f"wrk shares the machine's cores.\n\n"
                f"{lab.table(heads, [self.figures(r) for r in self.rows])}")

    def targets(self):
        ours, cached = self.pair(100)
        yield lab.Target("hot: page of 100, requests/s", f">= {PROMISED} of fastcgi_cache",
                         lab.ratio_text(ours.rate, cached.rate),
                         ours.rate.median / cached.rate.median >= PROMISED)
