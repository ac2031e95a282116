"""Hot: a stored page through nginx, beside the same bytes out of nginx's fastcgi_cache and out of
Varnish."""

import lab
import load

PAGES = (1, 10, 100)
PROMISED = 0.55
PROMISED_FOR = (10, 100)
OURS, CACHED, VARNISH = "posturegate", "nginx fastcgi_cache", "Varnish"
HOSTS, CONTROLS, EVIDENCE_BYTES = 100, 40, 700
QUERY = "policy=1001&evidence=extended"


def target(records):
    return f"/v1/postures?{QUERY}&limit={records}"


class Varnish(lab.harness.Part):
    """Before nginx, in memory, with a working directory of its own."""

    def __init__(self, stack):
        directory = stack.dir / "varnish"
        directory.mkdir()
        lab.harness.render(lab.HERE / "varnish.vcl.in", directory / "bench.vcl", PORT=stack.port)
        self.port = lab.free_ports(1)[0]
        super().__init__("varnish", [
            lab.tool("varnishd"), "-F", "-j", "none", "-n", directory / "work",
            "-a", f"127.0.0.1:{self.port}", "-T", "none", "-f", directory / "bench.vcl",
            "-s", "malloc,64m", "-p", "http_gzip_support=off"], directory / "log")

    def __enter__(self):
        self.start()
        lab.harness.wait_until(lambda: self.check_running() and lab.listens(self.port),
                               "Varnish accepts connections")
        return self

    def __exit__(self, *exc):
        self.stop()


class Hot:
    def __init__(self, quick):
        self.rounds, self.seconds = (3, 1) if quick else (7, 2)
        self.rows = {}

    def run(self):
        lab.tool("wrk")
        with lab.Stack(hosts=HOSTS, controls=CONTROLS, evidence_bytes=EVIDENCE_BYTES) as stack, \
                Varnish(stack) as varnish:
            with stack.client() as client:
                stack.fetch(client, policy=1001, evidence="extended", limit=1)
            for records in PAGES:
                self.prepare(stack, varnish, records)
            load.interleave("hot", [row for rows in self.rows.values() for row in rows.values()],
                            self.rounds, self.seconds)
        return self

    def prepare(self, stack, varnish, records):
        """The caches are filled, and have the very bytes that the gateway sends."""
        ports = {OURS: stack.port, CACHED: stack.cached_port, VARNISH: varnish.port}
        pids = {OURS: [stack.nginx.pid, stack.gateway.pid], CACHED: [stack.nginx.pid],
                VARNISH: [varnish.pid]}
        bodies = {stack.get(port, target(records)).body for port in ports.values()}
        again = {name: stack.get(port, target(records)) for name, port in ports.items()}
        bodies |= {answer.body for answer in again.values()}
        if len(bodies) != 1:
            raise RuntimeError("a cached page differs from the page")
        if (again[CACHED].headers["X-Bench-Cache"] != "HIT" or
                again[VARNISH].headers["X-Bench-Hits"] == "0"):
            raise RuntimeError(f"a cache does not answer by itself: {again[CACHED].headers}\n"
                               f"{again[VARNISH].headers}")
        size = len(bodies.pop())
        self.rows[records] = {
            name: load.Row(f"{records}, {size / 1e3:.1f} KB: {name}",
                           f"http://127.0.0.1:{port}{target(records)}", pids[name],
                           {"Authorization": f"Bearer {stack.key}"})
            for name, port in ports.items()}

    # --- telling

    def markdown(self):
        figures = [row.figures(rows[OURS]) for rows in self.rows.values() for row in rows.values()]
        return (f"{load.described(self.rounds, self.seconds)}\n\n"
                f"{lab.table(['records a page', *load.HEADS], figures)}")

    def targets(self):
        for records in PROMISED_FOR:
            rows = self.rows[records]
            for name, beside in ((CACHED, "nginx fastcgi_cache of the same bytes"),
                                 (VARNISH, "Varnish")):
                yield rows[name].target(f"hot page, {records} records, identity", beside, PROMISED,
                                        rows[OURS])
