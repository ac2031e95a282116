"""Cold: from a query that nothing is stored for to its complete first page, beside what else would
take the same answer from the same place. Every repetition begins with an empty store.

What the simulated upstream said is kept and said again by an nginx (recorder.conf.in), so that
making the data is no part of any figure; every row takes its calls from there.
"""

import http.client
import json
import os
import sys
import time
import urllib.parse

import lab

QUERY = {"policy": 1001, "evidence": "extended"}
HOSTS, CONTROLS = 1000, 103
EVIDENCE_BYTES = 700

WIRE = "curl >/dev/null"
MADE = "curl >/dev/null, from the simulator itself"
GUNZIP = "curl | gunzip >/dev/null"
JQ = "curl | gunzip | jq -c '.[]' >/dev/null"
PYTHON = "Python requests + json + sqlite"
NODE = "Node, streaming, into a file"
PROMISED = {PYTHON: 10, NODE: 3, JQ: 13}
PROMISED_ZLIB, PROMISED_ISAL = 1.0, 1.2


class Row:
    """every: measured in each so manieth round; most: in so many rounds at all."""

    def __init__(self, name, every=1, most=1000):
        self.name, self.every, self.most = name, every, most
        self.wall, self.cpu, self.memory = lab.Series(), lab.Series(), lab.Series()

    def due(self, number):
        return number % self.every == 0 and len(self.wall.samples) < self.most

    def add(self, number, wall_s, cpu_s, memory_bytes):
        self.wall.add(wall_s, number)
        self.cpu.add(cpu_s, number)
        if memory_bytes is not None:
            self.memory.add(memory_bytes / lab.MB, number)


class Gateway(Row):
    def __init__(self, program, twins, hosts_per_call=lab.ONE_CALL):
        if not program.exists():
            raise lab.Missing(f"{program} is not built")
        self.library = lab.inflates_with(program)
        self.twins = twins if lab.knows_twins() else "none"
        calls = "" if hosts_per_call == lab.ONE_CALL else f", calls of {hosts_per_call} hosts"
        super().__init__(f"posturegate, {self.library}, twins {self.twins}{calls}")
        self.program, self.hosts_per_call = program, hosts_per_call

    def measure(self, size, number):
        stack = size.stack
        stack.empty_gateway(self.hosts_per_call, self.program, self.twins)
        os.sync()
        client = stack.client()
        stack.control.reset()
        cpu_before = lab.cpu_s(stack.gateway.pid)
        with lab.Watch(stack.gateway.pid) as watch:
            before = time.monotonic()
            page = lab.page_of(stack.fetch(client, **QUERY, limit=100).body)
            wall_s = time.monotonic() - before
        self.add(number, wall_s, lab.cpu_s(stack.gateway.pid) - cpu_before, watch.peak)
        client.close()
        size.check(page["total"])
        if stack.served()[0] != 0:
            raise RuntimeError("the gateway's call was not a recorded one")


class Command(Row):
    """curl with the gateway's own call, and what is piped behind it."""

    def __init__(self, name, tools, behind, made=False, **rounds):
        super().__init__(name, **rounds)
        self.tools, self.behind, self.made = tools, behind, made

    def argv(self, size):
        for tool in self.tools:
            lab.tool(tool)
        curl = ('curl --silent --show-error --fail --noproxy "*" '
                '-H "Authorization: Bearer $(cat "$2")" '
                '-H "Content-Type: application/json" --data-binary @"$3" "$1"')
        return ["bash", "-o", "pipefail", "-c", f"{curl} {self.behind}", "bash",
                size.made_url if self.made else size.url, size.token_file, size.body_file]

    def measure(self, size, number):
        spent = lab.Spent(self.argv(size))
        self.add(number, spent.wall_s, spent.cpu_s, spent.resident_bytes)


class Script(Command):
    """A program of peers/ that takes the call, the file that it writes, and tells how many records
    there were."""

    def __init__(self, name, interpreter, script, module=None, **rounds):
        super().__init__(name, [], "", **rounds)
        self.interpreter, self.script, self.module = interpreter, script, module

    def argv(self, size):
        if self.module is not None:
            try:
                __import__(self.module)
            except ImportError as e:
                raise lab.Missing(f"python3-{self.module} is not installed") from e
        return [lab.tool(self.interpreter), lab.HERE / "peers" / self.script, size.url,
                size.token_file, size.body_file, size.stack.dir / "peer.out"]

    def measure(self, size, number):
        spent = lab.Spent(self.argv(size))
        (size.stack.dir / "peer.out").unlink()
        self.add(number, spent.wall_s, spent.cpu_s, spent.resident_bytes)
        size.check(int(spent.output))


class Size:
    """One size of answer, recorded once, and the rows that take it."""

    def __init__(self, hosts, controls, rounds, rows):
        self.hosts, self.controls, self.rounds = hosts, controls, rounds
        self.rows = rows
        self.left_out = set()

    def run(self):
        with lab.Stack(hosts=self.hosts, controls=self.controls, evidence_bytes=EVIDENCE_BYTES,
                       recorded=True) as stack:
            self.stack = stack
            self.prepare()
            for number in range(self.rounds):
                for row in self.rows:
                    if row.due(number):
                        self.measure(row, number)

    def measure(self, row, number):
        if row.name in self.left_out:
            return
        os.sync()       # what others have left to be written is not to be paid by the next
        try:
            row.measure(self, number)
        except lab.Missing as e:
            lab.note(f"left out: {row.name}: {e}")
            self.left_out.add(row.name)
            return
        lab.note(f"cold {self.json_bytes / lab.MB:.0f} MB {number + 1}/{self.rounds}: {row.name}: "
                 f"{row.wall.samples[-1]:.2f} s, CPU {row.cpu.samples[-1]:.2f} s")

    def check(self, records):
        if records != self.records:
            raise RuntimeError(f"{records} records arrived where {self.records} were sent")

    def prepare(self):
        """Lets each kind of gateway ask once, which records its calls, and gives the others the very
        call of the first."""
        stack = self.stack
        for hosts_per_call in dict.fromkeys(r.hosts_per_call for r in self.gateways()):
            stack.empty_gateway(hosts_per_call)
            stack.control.reset()
            with stack.client() as client:
                stack.fetch(client, **QUERY, limit=1)
            if hosts_per_call == lab.ONE_CALL:
                self.records, self.json_bytes = stack.served()
                call = stack.control.state(last=1)["requests"][0]
        self.url, self.made_url = stack.upstream + call["uri"], stack.simulator_url + call["uri"]
        token = self.ask("POST", "/auth", urllib.parse.urlencode({
            "username": stack.username, "password": stack.password, "token": "true"}))
        hosts = self.ask("GET", "/pcrs/5.0/posture/hostids?policyId=1001", None,
                         {"Authorization": f"Bearer {token}"})
        assert len(json.loads(hosts)) == 1
        self.token_file, self.body_file = stack.dir / "token", stack.dir / "body"
        self.token_file.write_text(token)
        self.body_file.write_text(hosts)
        # records the call for the others too, should they not word it as the gateway does
        self.gzip_bytes = int(lab.Spent(Command("", ["curl"], "| wc -c").argv(self)).output)

    def ask(self, method, target, body, headers=None):
        address = urllib.parse.urlsplit(self.stack.simulator_url)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        all_headers = {"Content-Type": "application/x-www-form-urlencoded"} | (headers or {})
        connection.request(method, target, body, all_headers)
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def gateways(self):
        return [r for r in self.rows if isinstance(r, Gateway)]

    def row(self, name):
        """None: it was left out."""
        return next((r for r in self.rows if r.name == name and r.wall.samples), None)

    # --- telling

    def figures(self, row):
        base = self.gateways()[0]
        rate = f"{self.json_bytes / lab.MB / row.wall.median:.0f}"
        return [row.name, row.wall.text(2), rate, lab.ratio_text(row.wall, base.wall),
                row.cpu.text(2), lab.ratio_text(row.cpu, base.cpu), row.memory.text(0)]

    def markdown(self):
        rows = [self.figures(r) for r in self.rows if r.wall.samples]
        heads = ["", "wall s", "MB/s", "wall / the first", "CPU s", "CPU / the first", "memory MB"]
        return (f"{self.records} records, {self.json_bytes / lab.MB:.0f} MB of JSON, "
                f"{self.gzip_bytes / lab.MB:.0f} MB gzip'd, one policy, {self.hosts} hosts; "
                f"{self.rounds} rounds.\n\n{lab.table(heads, rows)}")

    def target(self, gateway, beside, goal):
        row = self.row(beside)
        what = f"cold, {self.json_bytes / lab.MB:.0f} MB of JSON: {gateway.library}, twins {gateway.twins}"
        if row is None or not gateway.wall.samples:
            return lab.Target(what, f">= {goal}", "not measured", None, beside)
        return lab.at_least(what, beside, goal, lab.Ratio(row.wall, gateway.wall),
                            f"; by CPU {lab.ratio_text(row.cpu, gateway.cpu)}")


def gateways(several):
    """Those that are measured, the one that others are held against first."""
    rows = [Gateway(lab.harness.GATEWAY, "ingest"), Gateway(lab.harness.GATEWAY, "lazy")]
    try:
        rows.append(Gateway(lab.ZLIB_GATEWAY, "lazy"))
    except lab.Missing as e:
        lab.note(f"left out: posturegate with zlib: {e}")
    if several:
        rows.append(Gateway(lab.harness.GATEWAY, "ingest", lab.DEFAULT_HOSTS))
    return list({row.name: row for row in rows}.values())


def small_rows():
    return [*gateways(True),
            Command(WIRE, ["curl"], ">/dev/null"),
            Command(MADE, ["curl"], ">/dev/null", made=True),
            Command(GUNZIP, ["curl", "gunzip"], "| gunzip >/dev/null"),
            Command(JQ, ["curl", "gunzip", "jq"], "| gunzip | jq -c '.[]' >/dev/null", every=2),
            Script(PYTHON, sys.executable, "sqlite_client.py", "requests", every=2),
            Script(NODE, "node", "stream.mjs")]


def large_rows():
    """jq and Python hold the whole answer in memory: at this size, most of the machine's."""
    return [*gateways(False),
            Command(WIRE, ["curl"], ">/dev/null", most=1),
            Command(GUNZIP, ["curl", "gunzip"], "| gunzip >/dev/null"),
            Script(NODE, "node", "stream.mjs", most=1)]


class Cold:
    """quick: a fifth of the data, and a tenth of the large answer's."""

    def __init__(self, quick):
        controls = CONTROLS // 5 if quick else CONTROLS
        self.small = Size(HOSTS, controls, 3 if quick else 5, small_rows())
        self.large = Size(HOSTS if quick else 10 * HOSTS, CONTROLS, 1 if quick else 3, large_rows())

    def run(self):
        for size in (self.small, self.large):
            size.run()
        return self

    def markdown(self):
        return ("All rows take the same recorded call from the same nginx, one after the other; before "
                "each, what was written is synced.\n\n"
                f"{self.small.markdown()}\n\n{self.large.markdown()}")

    def targets(self):
        for size in (self.small, self.large):
            for gateway in size.gateways():
                if gateway.hosts_per_call != lab.ONE_CALL:
                    continue
                if gateway.library == "zlib" and gateway.twins != "ingest":
                    yield size.target(gateway, GUNZIP, PROMISED_ZLIB)
                elif gateway.library == "libisal" and gateway.twins != "lazy":
                    yield size.target(gateway, GUNZIP, PROMISED_ISAL)
        for beside, goal in PROMISED.items():
            yield self.small.target(self.small.gateways()[0], beside, goal)
        yield self.large.target(self.large.gateways()[0], NODE, PROMISED[NODE])
