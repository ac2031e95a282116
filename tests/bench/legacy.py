"""Legacy: stored answers in the upstream's own protocol through nginx, gzip'd and plain, beside
nginx sending the same bytes from files. One client at a time: a call is one thread of the gateway."""

import gzip
import http.client
import json
import subprocess
import time
import urllib.parse

import lab

HOSTS, CONTROLS = 1250, 80          # some 310 MB, and some 250 KB a host
EVIDENCE_BYTES = 700
PROMISED_MB_S = 150                 # of JSON, a second of the gateway's CPU time
PROMISED_MEMORY_MB = 48
VERSIONS = ("5.0", "1.0")
CODINGS = {"gzip": {}, "plain": {"compressionRequired": "0"}}
WHOLE, HOST, CUT = "the whole policy", "one host", "one host of the whole policy"
CALLS = {WHOLE: 1, HOST: 400, CUT: 400}     # in one repetition, on one connection
OURS, FILE = "posturegate", "a file"
AT_ONCE, AT_ONCE_S = 16, 3          # readers who stop reading, and for how long


class Speaker:
    """A caller of the upstream's protocol, for what is asked once."""

    def __init__(self, port, consumer):
        self.port = port
        secret = consumer.key.split(".", 1)[1]
        form = {"username": consumer.name, "password": secret, "token": "true"}
        self.token = self.ask("POST", "/auth", urllib.parse.urlencode(form),
                              "application/x-www-form-urlencoded").decode()

    def ask(self, method, target, body, kind="application/json"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        headers = {"Content-Type": kind}
        if kind == "application/json":
            headers["Authorization"] = f"Bearer {self.token}"
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status not in (200, 201):
            raise RuntimeError(f"{target} is answered with {answer.status}: {text[:300]!r}")
        return text


class Row:
    """One answer: of which size, in which version, how coded."""

    def __init__(self, size, version, coding):
        self.size, self.version, self.coding = size, version, coding
        self.calls = CALLS[size]
        parameters = {"evidenceRequired": "1"} | CODINGS[coding]
        self.target = (f"/pcrs/{version}/posture/postureInfo?"
                       f"{urllib.parse.urlencode(parameters)}")
        self.number = list(CALLS).index(size)
        self.file = f"{self.number}-{version}-{coding}"
        self.wall = {OURS: lab.Series(), FILE: lab.Series()}
        self.gateway, self.nginx = lab.Series(), lab.Series()
        self.json_bytes = self.bytes = None

    def rate(self, series):
        """MB of JSON a second, sample by sample."""
        rates = lab.Series()
        for seconds in series.samples:
            rates.add(self.json_bytes * self.calls / lab.MB / seconds)
        return rates


class Legacy:
    """quick: a fifth of the data."""

    def __init__(self, quick):
        self.hosts = HOSTS // 5 if quick else HOSTS
        self.rounds = 3 if quick else 7
        self.rows = [Row(size, version, coding) for size in CALLS for version in VERSIONS
                     for coding in CODINGS]
        self.before = self.peak = self.idle = self.at_once = 0

    def run(self):
        self.curl = lab.tool("curl")
        consumer = lab.harness.Consumer("test", force="true", admin="true", legacy="allow")
        with lab.Stack(consumers=[consumer], hosts=self.hosts, controls=CONTROLS,
                       evidence_bytes=EVIDENCE_BYTES) as stack:
            self.stack = stack
            stack.client().close()
            self.before = lab.anonymous_bytes(stack.gateway.pid)
            self.prepare(Speaker(stack.port, consumer))
            for number in range(self.rounds):
                for row in self.rows:
                    self.measure(row)
                lab.note(f"legacy: round {number + 1}/{self.rounds}")
            self.measure_at_once(self.rows[0])
        return self

    # --- the answers

    def prepare(self, speaker):
        """Lets the gateway fetch what is asked of it, the small result first: once the large one is
        there it would do for the small one too. Every answer becomes a file."""
        asked = json.loads(speaker.ask("GET", "/pcrs/5.0/posture/hostids?policyId=1001", None))
        hosts = asked[0]["hostIds"]
        picked = (h for h in hosts if self.has_records(speaker, asked, h))
        bodies = {HOST: self.body(asked, [next(picked)]), WHOLE: self.body(asked, hosts)}
        self.save(speaker, HOST, bodies)
        self.save(speaker, WHOLE, bodies)
        bodies[CUT] = self.body(asked, [next(picked)])
        self.save(speaker, CUT, bodies)

    @staticmethod
    def body(asked, hosts):
        return json.dumps([asked[0] | {"hostIds": [str(h) for h in hosts]}])

    def has_records(self, speaker, asked, host):
        """A few hosts resolve and have none."""
        row = next(r for r in self.rows if r.size == HOST)
        return len(speaker.ask("POST", row.target, self.body(asked, [host]))) > 1000

    def save(self, speaker, size, bodies):
        rows = [r for r in self.rows if r.size == size]
        (self.stack.dir / f"body-{rows[0].number}").write_text(bodies[size])
        # what leaves while it is fetched has more flushes in it
        speaker.ask("POST", rows[0].target, bodies[size])
        for row in rows:
            answer = speaker.ask("POST", row.target, bodies[size])
            text = gzip.decompress(answer) if row.coding == "gzip" else answer
            row.bytes, row.json_bytes = len(answer), len(text)
            if text[:7] != b'[{"id":' or text[-2:] != b"}]":
                raise RuntimeError(f"{row.target} is answered with {text[:100]!r}")
            (self.stack.files_dir / row.file).write_bytes(answer)
        (self.stack.dir / "token").write_text(f"Authorization: Bearer {speaker.token}")

    # --- measuring

    def measure(self, row):
        gateway, nginx = self.cpu()
        with lab.Watch(self.stack.gateway.pid) as watch:
            row.wall[OURS].add(self.take(row, self.asking(row), row.target))
        self.peak = max(self.peak, watch.peak)
        now_gateway, now_nginx = self.cpu()
        row.gateway.add(now_gateway - gateway)
        row.nginx.add(now_nginx - nginx)
        row.wall[FILE].add(self.take(row, [], f"/files/{row.file}"))

    def asking(self, row):
        return ["-H", f"@{self.stack.dir}/token", "-H", "Content-Type: application/json",
                "--data-binary", f"@{self.stack.dir}/body-{row.number}"]

    def measure_at_once(self, row):
        """What it holds for readers so slow that their answers are all under way at once."""
        url = f"http://127.0.0.1:{self.stack.port}{row.target}"
        argv = [self.curl, "--silent", "--fail", "--noproxy", "*", *self.asking(row), url]
        self.idle = lab.anonymous_bytes(self.stack.gateway.pid)
        with lab.Watch(self.stack.gateway.pid) as watch:
            # into pipes that nobody reads: --limit-rate takes the first 10 MB as they come
            readers = [subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
                       for _ in range(AT_ONCE)]
            time.sleep(AT_ONCE_S)
            ended = [r.poll() for r in readers if r.poll() is not None]
            for reader in readers:
                reader.terminate()
                reader.wait()
                reader.stdout.close()
        self.at_once = watch.peak
        if ended:
            raise RuntimeError(f"slow readers ended with {ended}\n{self.stack.logs()}")

    def cpu(self):
        return lab.cpu_s(self.stack.gateway.pid), self.stack.nginx_cpu_s()

    def take(self, row, options, target):
        """How long curl takes for all calls of one repetition."""
        url = f"http://127.0.0.1:{self.stack.port}{target}"
        argv = [self.curl, "--silent", "--show-error", "--fail", "--noproxy", "*",
                "--write-out", "%{stderr}%{size_download}\n", *options, *[url] * row.calls]
        before = time.monotonic()
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, timeout=600, check=False)
        wall_s = time.monotonic() - before
        if done.returncode != 0 or done.stderr.split() != [str(row.bytes)] * row.calls:
            raise RuntimeError(f"curl took something else: {done.stderr[-300:]}\n"
                               f"{self.stack.logs()}")
        return wall_s

    # --- telling

    def figures(self, row):
        return [f"{row.size}, {row.version}, {row.coding}",
                f"{row.json_bytes / lab.MB:.{0 if row.json_bytes > lab.MB else 3}f}",
                f"{row.bytes / row.json_bytes:.3f}",
                row.rate(row.wall[OURS]).text(0), row.rate(row.wall[FILE]).text(0),
                lab.ratio_text(row.wall[OURS], row.wall[FILE]), row.rate(row.gateway).text(0),
                f"{row.nginx.median * 1e3 / row.calls:.2f}"]

    def markdown(self):
        heads = ["answer", "MB of JSON", "sent / JSON", "MB/s of JSON", "from a file",
                 "wall / file", "MB/s of gateway CPU", "nginx CPU ms"]
        return (f"One curl at a time, {self.rounds} rounds, interleaved; of the small answers "
                f"{CALLS[HOST]} on one connection a round, curl's start included.\n\n"
                f"{lab.table(heads, [self.figures(r) for r in self.rows])}\n\n"
                f"Anonymous memory of the gateway: {self.before / lab.MB:.1f} MB before the first "
                f"fetch, {self.peak / lab.MB:.1f} MB at its highest while it answered one call at a "
                f"time; {self.idle / lab.MB:.1f} MB after them, and {self.at_once / lab.MB:.1f} MB "
                f"with {AT_ONCE} slow readers of the first row at once.")

    def targets(self):
        large = [r for r in self.rows if r.size == WHOLE]
        for coding in CODINGS:
            rates = [r.rate(r.gateway).median for r in large if r.coding == coding]
            yield lab.Target(f"legacy: {coding}, MB of JSON a CPU second", f">= {PROMISED_MB_S}",
                             ", ".join(f"{r:.0f} ({row.version})" for r, row in
                                       zip(rates, (r for r in large if r.coding == coding))),
                             min(rates) >= PROMISED_MB_S)
        yield lab.Target("legacy: anonymous MB while answering", f"< {PROMISED_MEMORY_MB}",
                         f"{self.peak / lab.MB:.1f}", self.peak / lab.MB < PROMISED_MEMORY_MB)
