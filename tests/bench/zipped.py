"""Gzip: a stored page of 100 records for callers who accept gzip, beside nginx compressing the
gateway's plain page each time, and beside the gateway's own gzip out of fastcgi_cache."""

import gzip
import subprocess

import hot
import lab
import load

RECORDS = 100
ODD = 37                                # a page that begins within a ready piece
PROMISED_NGINX, PROMISED_CACHED, PROMISED_SIZE = 20, 0.4, 1.25
OURS, ODD_END, PLAIN = "posturegate", f"posturegate, from record {ODD + 1} on", "posturegate, plain"
NGINX, CACHED = "nginx gzip on, level 1", "nginx fastcgi_cache of it"
ACCEPT = {"Accept-Encoding": "gzip"}


class Zipped:
    def __init__(self, quick):
        self.rounds, self.seconds = (3, 1) if quick else (7, 2)
        self.rows = {}
        self.sizes = {}

    def run(self):
        lab.tool("wrk")
        with lab.Stack(hosts=hot.HOSTS, controls=hot.CONTROLS,
                       evidence_bytes=hot.EVIDENCE_BYTES, twins="ingest") as stack:
            with stack.client() as client:
                stack.fetch(client, policy=1001, evidence="extended", limit=1)
            plain = stack.get(stack.port, hot.target(RECORDS)).body
            self.plain_bytes = len(plain)
            self.gzip6_bytes = len(subprocess.run([lab.tool("gzip"), "-6"], input=plain,
                                                  capture_output=True, check=True).stdout)
            cursor = lab.page_of(stack.get(stack.port, hot.target(ODD)).body)["next"]
            self.prepare(stack, plain, f"{cursor}&limit={RECORDS}")
            load.interleave("gzip", self.rows.values(), self.rounds, self.seconds)
        return self

    def prepare(self, stack, plain, odd_target):
        both, nginx = [stack.nginx.pid, stack.gateway.pid], [stack.nginx.pid]
        whole = hot.target(RECORDS)
        self.served = self.zips(stack, stack.port, whole, plain)
        self.add(stack, PLAIN, stack.port, whole, both, {})
        self.zips(stack, stack.gzip_port, whole, plain)
        self.add(stack, NGINX, stack.gzip_port, whole, both, ACCEPT)
        if not self.served:
            return
        self.add(stack, OURS, stack.port, whole, both, ACCEPT)
        self.zips(stack, stack.port, odd_target, stack.get(stack.port, odd_target).body)
        self.add(stack, ODD_END, stack.port, odd_target, both, ACCEPT)
        stack.get(stack.cached_port, whole, **ACCEPT)
        self.zips(stack, stack.cached_port, whole, plain)
        if stack.get(stack.cached_port, whole, **ACCEPT).headers["X-Bench-Cache"] != "HIT":
            raise RuntimeError("nginx does not answer from its cache")
        self.add(stack, CACHED, stack.cached_port, whole, nginx, ACCEPT)

    @staticmethod
    def zips(stack, port, target, plain):
        """Whether the answer is gzip; if so it has to be that of these bytes."""
        answer = stack.get(port, target, **ACCEPT)
        if answer.headers["Content-Encoding"] != "gzip":
            return False
        if gzip.decompress(answer.body) != plain:
            raise RuntimeError(f"{target} inflates to something else than the plain page")
        return True

    def add(self, stack, name, port, target, pids, headers):
        self.sizes[name] = len(stack.get(port, target, **headers).body)
        self.rows[name] = load.Row(
            f"{name}, {self.sizes[name] / 1e3:.1f} KB", f"http://127.0.0.1:{port}{target}", pids,
            {"Authorization": f"Bearer {stack.key}"} | headers)

    # --- telling

    def ours(self):
        return self.rows[OURS if self.served else PLAIN]

    def markdown(self):
        figures = [row.figures(self.ours()) for row in self.rows.values()]
        text = (f"A page of {RECORDS} records, {self.plain_bytes / 1e3:.1f} KB plain, "
                f"{self.gzip6_bytes / 1e3:.1f} KB by `gzip -6`. "
                f"{load.described(self.rounds, self.seconds)}\n\n"
                f"{lab.table(['page', *load.HEADS], figures)}")
        if not self.served:
            text += "\n\nThis build does not serve gzip: its plain page stands for it."
        return text

    def targets(self):
        what = f"hot page, {RECORDS} records, gzip"
        besides = (("nginx `gzip on` level 1 in front of the same app", NGINX, PROMISED_NGINX),
                   ("nginx fastcgi_cache of a gzip body", CACHED, PROMISED_CACHED))
        for beside, name, goal in besides:
            yield (self.rows[name].target(what, beside, goal, self.ours()) if self.served else
                   lab.Target(what, f">= {goal}", "not served", None, beside))
        ratio = self.sizes[OURS] / self.gzip6_bytes if self.served else None
        yield lab.Target(f"{what}: size", f"<= {PROMISED_SIZE}",
                         f"{ratio:.2f}" if self.served else "not served",
                         ratio <= PROMISED_SIZE if self.served else None, "`gzip -6`")
