"""Calls: what a working day of many consumers costs the upstream, beside a cache that knows a result by
its exact query alone.

The same seeded day is played to two gateways, each before a simulated upstream of its own and with
clocks that are moved: one as it is shipped, one that is only such a cache (no containment, nothing
fetched broad or ahead). The upstreams count; every answer of the one has to have the records of the
other's.
"""

import bisect
import hashlib
import json
import random

import lab

SEED = 20261120
PROMISED = 0.15
POLICIES = range(1001, 1011)
MINUTE_S = 60
NOW = "2026-11-20T12:00:00Z"
DATA = {"policies": len(POLICIES), "hosts": 40, "controls": 12, "rate": 0, "concurrency": 0, "now": NOW,
        "evidence_bytes": 100, "large_every": 0, "token_lifetime": 10**8}
EXACT = {"containment": "false", "broaden": "false", "ahead": "false"}
APIS = ("policyList", "hostids", "postureInfo")

# of a dashboard: what its tiles show
TILES = [{}, {"status": "Failed"}, {"status": "Failed", "criticality": "4,5"}, {"status": "Error"},
         {"previousStatus": "Passed", "status": "Failed"}, {"criticality": "5"}]
DATES = [f"2026-{month:02}-{day:02}" for month in (8, 9, 10, 11) for day in (1, 5, 10, 15)]


class Dashboard:
    """Shows the same few tiles of the same policies, all day, every few minutes."""

    def __init__(self, rng):
        policies = rng.sample(POLICIES, rng.choice((1, 1, 2)))
        self.every = rng.choice((5, 10, 15))
        self.first = rng.randrange(self.every)
        self.tiles = [{"policy": policies} | tile for tile in rng.sample(TILES, 4)]

    def minute(self, minute):
        return self.tiles if minute % self.every == self.first else []


class Analyst:
    """Looks at one thing after the other: narrow queries, few of them twice, of policies in fashion."""

    def __init__(self, rng):
        self.rng = rng
        self.evidence = rng.choice(("none", "none", "extended"))
        weights = [1 / (n + 1) for n in range(len(POLICIES))]
        self.weights = [sum(weights[:n + 1]) for n in range(len(POLICIES))]

    def policy(self):
        return POLICIES[bisect.bisect(self.weights, self.rng.random() * self.weights[-1])]

    def query(self):
        rng = self.rng
        query = {"policy": self.policy()}
        if rng.random() < 0.6:
            query["status"] = sorted(rng.sample(("Passed", "Failed", "Error"), rng.choice((1, 2))))
        if rng.random() < 0.4:
            query["criticality"] = sorted(rng.sample(range(6), rng.choice((1, 2))))
        if rng.random() < 0.3:
            query["evaluatedSince"] = rng.choice(DATES)
        if rng.random() < 0.2:
            low = rng.randrange(len(DATES) - 1)
            query |= {"scannedFrom": DATES[low], "scannedTo": DATES[rng.randrange(low + 1, len(DATES))]}
        if rng.random() < 0.3:
            query["host"] = "some"   # which there are, the upstream says
        if self.evidence != "none" and rng.random() < 0.5:
            query["evidence"] = self.evidence
        return query

    def minute(self, _):
        return [self.query()] if self.rng.random() < 0.4 else []


class Report:
    """All of some policies, with evidence, once in a while."""

    def __init__(self, rng):
        self.queries = [{"policy": p, "evidence": "extended"} for p in rng.sample(POLICIES, 3)]
        self.first = rng.randrange(120)

    def minute(self, minute):
        return self.queries if minute % 120 == self.first else []


HABITS = [Dashboard] * 5 + [Analyst] * 5 + [Report] * 2


def day(minutes, hosts):
    """[minute: [(consumer, query)]]; hosts: of each policy"""
    rng = random.Random(SEED)
    habits = [habit(random.Random(rng.random())) for habit in HABITS]
    plan = []
    for minute in range(minutes):
        asked = [(n, dict(q)) for n, habit in enumerate(habits) for q in habit.minute(minute)]
        for _, query in asked:
            if query.get("host") == "some":
                query["host"] = sorted(rng.sample(hosts[query["policy"]], rng.choice((1, 3, 10))))
        plan.append(asked)
    return plan


class Player:
    """One gateway, and its upstream."""

    def __init__(self, name, cache):
        consumers = [lab.harness.Consumer(f"consumer{n}") for n in range(len(HABITS))]
        self.name = name
        self.stack = lab.harness.Stack(simulator=DATA, settings={
            "gateway": {"log_level": "info"}, "cache": cache}, consumers=consumers, clock=True)
        self.queries = self.hits = 0

    def start(self):
        self.stack.start()
        self.clients = [self.stack.client(n) for n in range(len(HABITS))]

    def hosts(self, policy):
        page = self.clients[0].get(f"/v1/policies/{policy}/hosts", limit=1000).json()
        return [h["hostId"] for h in page["data"]]

    def calls(self):
        apis = self.stack.control.state()["apis"]
        return sum(apis[api]["calls"] for api in APIS)

    def figure(self, name):
        """Of /metrics; of one with labels the sum."""
        text = self.stack.client(key="").get("/metrics").body.decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                   if line.split("{")[0].split(" ")[0] == name)

    def ask(self, consumer, query):
        """What the records are, whatever order and batches they came in."""
        answer = self.clients[consumer].get("/v1/postures", {"Prefer": "wait=60"}, format="ndjson", **query)
        if answer.status != 200:
            raise RuntimeError(f"{self.name}: {query} was answered with {answer}\n{self.stack.logs()}")
        self.queries += 1
        self.hits += "hit" in answer.headers["Cache-Status"]
        records = []
        for line in answer.body.splitlines()[:-1]:
            record = json.loads(line)
            record.pop("currentBatch", None)
            record.pop("totalBatches", None)
            records.append(json.dumps(record, sort_keys=True))
        return len(records), hashlib.sha256("\n".join(sorted(records)).encode()).hexdigest()


class Calls:
    def __init__(self, quick):
        self.minutes = 120 if quick else 480
        self.cached = Player("an exact-key cache", EXACT)
        self.shipped = Player("posturegate", {})
        self.players = [self.cached, self.shipped]

    def run(self):
        try:
            for player in self.players:
                player.start()
            self.play()
        finally:
            for player in self.players:
                player.stack.close()
        return self

    def play(self):
        plan = day(self.minutes, {policy: self.shipped.hosts(policy) for policy in POLICIES})
        for player in self.players:
            player.before = player.calls()
        self.records = 0
        for minute, asked in enumerate(plan):
            for consumer, query in asked:
                self.compare(consumer, query)
            for player in self.players:
                player.stack.advance(MINUTE_S)
            if minute % 60 == 59:
                lab.note(f"calls: hour {minute // 60 + 1}/{self.minutes // 60}")
        for player in self.players:
            player.made = player.calls() - player.before
        self.broad = self.shipped.figure("pcrs_broad_fetches_total")
        self.ahead = self.shipped.figure("pcrs_ahead_fetches_total")

    def compare(self, consumer, query):
        exact, ours = (player.ask(consumer, query) for player in self.players)
        if exact != ours:
            raise RuntimeError(f"calls: {query}: {ours} and {exact} records\n{self.shipped.stack.logs()}")
        self.records += ours[0]

    @staticmethod
    def per_thousand(player):
        return player.made * 1000 / player.queries

    def ratio(self):
        return self.shipped.made / self.cached.made

    def markdown(self):
        rows = [[p.name, p.queries, p.made, f"{self.per_thousand(p):.0f}", f"{p.hits / p.queries:.1%}"]
                for p in self.players]
        heads = ["", "queries", "upstream calls", "a thousand queries", "hits"]
        return (f"{len(HABITS)} consumers (5 dashboards of 4 tiles, 5 analysts with narrow queries of their "
                f"own, 2 reports) at {len(POLICIES)} policies of {DATA['hosts']} hosts, "
                f"{self.minutes // 60} simulated hours with `fresh_for` of an hour, one query after the "
                f"other, counted by the simulated upstream: hostids and postureInfo alike. All "
                f"{self.shipped.queries} answers, of {self.records} records, are equal. {self.broad:.0f} "
                f"fetches of posturegate were broader than their query, {self.ahead:.0f} came before "
                f"anybody asked.\n\n{lab.table(heads, rows)}")

    def targets(self):
        yield lab.Target("upstream calls of a working day", f"<= {PROMISED}",
                         f"{self.ratio():.3f}", self.ratio() <= PROMISED, "an exact-key cache")
