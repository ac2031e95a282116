"""Serialise: a stored page of 100 records, beside servers that have its records as objects and make
JSON of them for each request. These are asked directly; the gateway is behind nginx."""

import sys

import hot
import lab
import load

RECORDS = 100
OURS, NODE, FASTAPI = "posturegate", "Node http, JSON.stringify", "FastAPI returning a list"
PROMISED = {NODE: 7, FASTAPI: 50}


class Server(lab.harness.Part):
    def __init__(self, name, argv, stack):
        self.port = lab.free_ports(1)[0]
        super().__init__(name, [*argv, stack.dir / "page.json", self.port],
                         stack.dir / f"{argv[-1].stem}.log")

    def __enter__(self):
        self.start()
        lab.harness.wait_until(lambda: self.check_running() and lab.listens(self.port),
                               f"{self.name} accepts connections")
        return self

    def __exit__(self, *exc):
        self.kill()


class Serialise:
    def __init__(self, quick):
        self.rounds, self.seconds = (3, 1) if quick else (5, 2)
        self.rows = {}

    def run(self):
        lab.tool("wrk")
        node = lab.tool("node")
        try:
            import fastapi  # noqa: F401
            import uvicorn  # noqa: F401
        except ImportError as e:
            raise lab.Missing(f"python3-{e.name} is not installed") from e
        peers = lab.HERE / "peers"
        # without auditTrail: it has numbers that FastAPI refuses to write, and JavaScript alters
        with lab.Stack(hosts=hot.HOSTS, controls=hot.CONTROLS, unknown_member=False,
                       evidence_bytes=hot.EVIDENCE_BYTES) as stack:
            with stack.client() as client:
                stack.fetch(client, policy=1001, evidence="extended", limit=1)
            page = stack.get(stack.port, hot.target(RECORDS))
            (stack.dir / "page.json").write_bytes(page.body)
            self.add(stack, OURS, stack.port, hot.target(RECORDS),
                     [stack.nginx.pid, stack.gateway.pid])
            with Server(NODE, [node, peers / "stringify.mjs"], stack) as stringify, \
                    Server(FASTAPI, [sys.executable, peers / "fastapi_list.py"], stack) as listing:
                for server in (stringify, listing):
                    self.add(stack, server.name, server.port, "/", [server.pid])
                self.check(stack, page.json(), stringify, listing)
                load.interleave("serialise", self.rows.values(), self.rounds, self.seconds)
        return self

    def add(self, stack, name, port, target, pids):
        size = len(stack.get(port, target).body)
        self.rows[name] = load.Row(f"{name}, {size / 1e3:.1f} KB", f"http://127.0.0.1:{port}{target}",
                                   pids, {"Authorization": f"Bearer {stack.key}"})

    @staticmethod
    def check(stack, page, stringify, listing):
        if (stack.get(stringify.port, "/").json() != page or
                stack.get(listing.port, "/").json() != page["data"]):
            raise RuntimeError("a server sends other records")

    # --- telling

    def markdown(self):
        figures = [row.figures(self.rows[OURS]) for row in self.rows.values()]
        return (f"{load.described(self.rounds, self.seconds)}\n\n"
                f"{lab.table([f'{RECORDS} records', *load.HEADS], figures)}")

    def targets(self):
        for name, goal in PROMISED.items():
            yield self.rows[name].target(f"servers that serialise, {RECORDS} records", name, goal,
                                         self.rows[OURS])
