"""Cold: from a query that nothing is stored for to its complete first page, beside what else would
take the same answer from the same simulator. Every repetition begins with an empty store."""

import http.client
import json
import sys
import time
import urllib.parse

import lab

QUERY = {"policy": 1001, "evidence": "extended"}
HOSTS, CONTROLS = 1000, 103
EVIDENCE_BYTES = 700
PROMISED = 8

ONE, SEVERAL = "posturegate, one call", f"posturegate, calls of {lab.DEFAULT_HOSTS} hosts"
WIRE = "curl >/dev/null"
GUNZIP = "curl | gunzip >/dev/null"
JQ = "curl | gunzip | jq -c '.[]' >/dev/null"
PYTHON = "Python requests + json + sqlite"


class Row:
    def __init__(self, name):
        self.name = name
        self.wall, self.cpu, self.memory = lab.Series(), lab.Series(), lab.Series()

    def add(self, wall_s, cpu_s, memory_bytes):
        self.wall.add(wall_s)
        self.cpu.add(cpu_s)
        if memory_bytes is not None:
            self.memory.add(memory_bytes / lab.MB)


class Gateway(Row):
    def __init__(self, name, hosts_per_call):
        super().__init__(name)
        self.hosts_per_call = hosts_per_call

    def measure(self, bench):
        stack = bench.stack
        stack.empty_gateway(self.hosts_per_call)
        client = stack.client()
        stack.control.reset()
        cpu_before = lab.cpu_s(stack.gateway.pid)
        with lab.Watch(stack.gateway.pid) as watch:
            before = time.monotonic()
            page = stack.fetch(client, **QUERY, limit=100).json()
            wall_s = time.monotonic() - before
        self.add(wall_s, lab.cpu_s(stack.gateway.pid) - cpu_before, watch.peak)
        client.close()
        bench.check(page["page"]["total"])
        bench.stored_bytes = stack.store_bytes()


class Command(Row):
    """curl with the gateway's own query, and what is piped behind it."""

    def __init__(self, name, tools, behind, counted):
        super().__init__(name)
        self.tools = tools
        self.behind = behind
        self.counted = counted      # whether the output says how many records there were

    def argv(self, bench):
        for tool in self.tools:
            lab.tool(tool)
        curl = ('curl --silent --show-error --fail --noproxy "*" '
                '-H "Authorization: Bearer $(cat "$2")" '
                '-H "Content-Type: application/json" --data-binary @"$3" "$1"')
        return ["bash", "-c", f"set -o pipefail; {curl} {self.behind}", "bash", bench.url,
                bench.token_file, bench.body_file]

    def measure(self, bench):
        spent = lab.Spent(self.argv(bench))
        self.add(spent.wall_s, spent.cpu_s, spent.resident_bytes)
        if self.counted:
            bench.check(int(spent.output))


class Python(Command):
    def __init__(self):
        super().__init__(PYTHON, [], "", True)

    def argv(self, bench):
        try:
            import requests  # noqa: F401
        except ImportError as e:
            raise lab.Missing("python3-requests is not installed") from e
        database = bench.stack.dir / "peer.db"
        database.unlink(missing_ok=True)
        return [sys.executable, lab.HERE / "peer.py", bench.url, bench.token_file,
                bench.body_file, database]


class Cold:
    """quick: a fifth of the data. The slow ones are measured in every second repetition."""

    def __init__(self, quick):
        self.controls = CONTROLS // 5 if quick else CONTROLS
        self.rounds = 3 if quick else 5
        self.records = None
        self.stored_bytes = None
        self.fast = [Gateway(ONE, lab.ONE_CALL), Gateway(SEVERAL, lab.DEFAULT_HOSTS),
                     Command(WIRE, ["curl"], ">/dev/null", False),
                     Command(GUNZIP, ["curl", "gunzip"], "| gunzip >/dev/null", False)]
        self.slow = [Command(JQ, ["curl", "gunzip", "jq"], "| gunzip | jq -c '.[]' >/dev/null",
                             False), Python()]
        self.left_out = []

    def check(self, records):
        if records != self.records:
            raise RuntimeError(f"{records} records arrived where {self.records} were sent")

    def run(self):
        with lab.Stack(hosts=HOSTS, controls=self.controls,
                       evidence_bytes=EVIDENCE_BYTES) as stack:
            self.stack = stack
            self.prepare()
            for number in range(self.rounds):
                rows = self.fast + (self.slow if number % 2 == 0 else [])
                for row in rows:
                    self.measure(row, number)
        return self

    def measure(self, row, number):
        if row.name in self.left_out:
            return
        try:
            row.measure(self)
        except lab.Missing as e:
            lab.note(f"left out: {row.name}: {e}")
            self.left_out.append(row.name)
            return
        lab.note(f"cold {number + 1}/{self.rounds}: {row.name}: {row.wall.samples[-1]:.2f} s, "
                 f"CPU {row.cpu.samples[-1]:.2f} s")

    def prepare(self):
        """Lets the gateway ask once, and gives the others the very call that it made."""
        stack = self.stack
        with stack.client() as client:
            stack.control.reset()
            stack.fetch(client, **QUERY, limit=1)
        self.records, self.json_bytes = stack.served()
        call = stack.control.state(last=1)["requests"][0]
        self.url = stack.upstream + call["uri"]
        token = self.ask("POST", "/auth", urllib.parse.urlencode({
            "username": stack.username, "password": stack.password, "token": "true"}))
        hosts = self.ask("GET", "/pcrs/5.0/posture/hostids?policyId=1001", None,
                         {"Authorization": f"Bearer {token}"})
        assert len(json.loads(hosts)) == 1
        self.token_file, self.body_file = stack.dir / "token", stack.dir / "body"
        self.token_file.write_text(token)
        self.body_file.write_text(hosts)
        self.gzip_bytes = int(lab.Spent(Command("", ["curl"], "| wc -c", False).argv(self)).output)

    def ask(self, method, target, body, headers=None):
        address = urllib.parse.urlsplit(self.stack.upstream)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        all_headers = {"Content-Type": "application/x-www-form-urlencoded"} | (headers or {})
        connection.request(method, target, body, all_headers)
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    # --- telling

    def base(self, row):
        """The gateway in those repetitions in which the row was measured too."""
        step = 2 if row in self.slow else 1
        base = Row(ONE)
        base.wall.samples = self.fast[0].wall.samples[::step]
        base.cpu.samples = self.fast[0].cpu.samples[::step]
        return base

    def figures(self, row):
        base = self.base(row)
        rate = f"{self.json_bytes / lab.MB / row.wall.median:.0f}"
        return [row.name, row.wall.text(2), rate, lab.ratio_text(row.wall, base.wall),
                row.cpu.text(2), lab.ratio_text(row.cpu, base.cpu), row.memory.text(0)]

    def markdown(self):
        rows = [self.figures(r) for r in self.fast + self.slow if r.wall.samples]
        heads = ["", "wall s", "MB/s", "wall / posturegate", "CPU s", "CPU / posturegate",
                 "memory MB"]
        return (f"{self.records} records, {self.json_bytes / lab.MB:.0f} MB of JSON, "
                f"{self.gzip_bytes / lab.MB:.0f} MB gzip'd, one policy, {HOSTS} hosts.\n\n"
                f"{lab.table(heads, rows)}\n\n"
                f"Store: {self.stored_bytes / lab.MB:.0f} MB on disk, "
                f"{self.stored_bytes / self.json_bytes:.3f} of the JSON.")

    def targets(self):
        for row in self.slow:
            if row.wall.samples:
                base = self.base(row)
                yield lab.Target(f"cold: {row.name}", f">= {PROMISED} x posturegate's wall time",
                                 f"{lab.ratio_text(row.wall, base.wall)}; "
                                 f"CPU {lab.ratio_text(row.cpu, base.cpu)}",
                                 row.wall.median / base.wall.median >= PROMISED)
