"""What the answers have to be.

The data of the simulated upstream are a pure function of its options, so a second simulator that
nothing ever happens to gives all of them, once for each generation, with all detail
(tests/e2e/reference.py). Filters, detail and grants are then worked out here, in Python.

Generations move while the soak runs. A result has no generation on it, but it has the time at which
its fetch began: it is of one generation that was alive between then and the first sight of it,
wholly, on every page that anybody sees of it. Only where a generation ended in just that time may
the calls of one result be of two; then each posture has to be of one of them.

What answers in the upstream's own protocol have to be, legacy.py works out from the same data.
"""

import collections
import datetime
import json
import threading
import time

import harness
import reference

HIDDEN = ("evidence", "causeOfFailure")   # from a consumer without the grant of evidence
COUNTS = ("batches", "hostsAsked", "hostsSeen")   # null where a grant may hide postures

VERSIONS = ("1.0", "2.0", "3.0", "4.0", "5.0")
LIST_VERSIONS = ("1.0", "2.0")   # of the policy list

POLICY_MEMBERS = ("id", "title", "status", "locked", "createdBy", "createdDate", "modifiedBy",
                  "modifiedDate", "lastEvaluatedDate")


class Wrong(Exception):
    """An answer is not what it has to be."""


def instant(text):
    """Seconds since 1970 of an RFC 3339 date in UTC."""
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(
        tzinfo=datetime.timezone.utc).timestamp()


def lower_bound(text):
    return text if "T" in text else text + "T00:00:00Z"


def upper_bound(text):
    return text if "T" in text else text + "T23:59:59Z"


class Data:
    """generations[g][policy] = {id: the posture with all detail}, ids as int;
    lists[g] = [the policies]; hosts[policy] = [ids, ascending];
    raw[g][version][policy] = {id: the record's text as that version sends it, with all detail that
    it knows}; raw_lists[g][version] = the policy list's text, with tags where it knows them."""

    DETAIL = {"evidenceRequired": "1.0", "cloudMetaDataRequired": "3.0",
              "extendedEvidenceRequired": "5.0", "qdScoreRequired": "5.0"}   # since which version

    def __init__(self, control, upstream, policies, generations):
        self.policies = policies
        self.generations, self.lists, self.raw, self.raw_lists = [], [], [], []
        resolved, kept = upstream.hosts(policies), {}
        for generation in range(generations):
            control.set(generation=generation)
            self.lists.append(self.policy_list(upstream))
            self.generations.append({p: self.read(upstream, p, **self.detail("5.0"))
                                     for p in policies})
            self.raw.append({v: self.read_raw(upstream, v, resolved, kept) for v in VERSIONS})
            self.raw_lists.append({v: self.raw_list(upstream, v) for v in LIST_VERSIONS})
        control.set(generation=0)
        self.active = {i for p in policies
                       for i in self.read(upstream, p, excludeInactiveControl=1)}
        self.subscription = int(resolved[0]["subscriptionId"])
        self.hosts = {int(e["policyId"]): sorted(int(h) for h in e["hostIds"]) for e in resolved}

    @staticmethod
    def policy_list(upstream):
        """As the contract has it."""
        answer = json.loads(upstream.authorized("GET", "/pcrs/2.0/posture/policy/list"))
        return [{name: bool(p["locked"]) if name == "locked" else p[name] for name in POLICY_MEMBERS} |
                {"subscriptionId": answer["subscriptionId"]} for p in answer["policyList"]]

    @staticmethod
    def read(upstream, policy, **params):
        return {int(i): r for i, r in upstream.postures([policy], **params).items()}

    @classmethod
    def detail(cls, version):
        return {name: 1 for name, first in cls.DETAIL.items() if version >= first}

    @staticmethod
    def raw_list(upstream, version):
        tags = "?requireTagInfo=1" if version >= "2.0" else ""
        return upstream.authorized("GET", f"/pcrs/{version}/posture/policy/list{tags}").decode()

    @classmethod
    def read_raw(cls, upstream, version, resolved, kept):
        """Most records are the same in all generations: `kept` has their texts once."""
        params = harness.query_string(cls.detail(version) | {"compressionRequired": 0})
        target = f"/pcrs/{version}/posture/postureInfo?{params}"
        return {int(e["policyId"]): cls.split(
            upstream.authorized("POST", target, json.dumps([e])).decode(), kept) for e in resolved}

    @staticmethod
    def split(text, kept):
        """{id: its text} of an array of records."""
        found, at, decoder = {}, 1, json.JSONDecoder()
        while at < len(text) and text[at] == "{":
            record, end = decoder.raw_decode(text, at)
            own = text[at:end]
            found[record["id"]] = kept.setdefault(own, own)
            at = end + 1
        return found


class Listing:
    """A list that is not of postures. rows(data, generation): what is in it, in its order; hides:
    whether the grant may hide some of it."""

    def __init__(self, target, limit, rows, hides=False, policy=None, **params):
        self.target, self.limit, self.rows, self.hides = target, limit, rows, hides
        self.policy = policy   # whose hosts they are
        self.params = params

    @classmethod
    def policies(cls, consumer, limit, since=None):
        def rows(data, generation):
            return [p for p in data.lists[generation] if consumer.may_see(int(p["id"])) and
                    (since is None or p["lastEvaluatedDate"] >= lower_bound(since))]
        params = {} if since is None else {"evaluatedSince": since}
        return cls("/v1/policies", limit, rows, hides=not consumer.sees_all, **params)

    @classmethod
    def hosts(cls, policy, limit):
        def rows(data, _):
            return [{"policyId": policy, "subscriptionId": data.subscription, "hostId": h}
                    for h in data.hosts[policy]]
        return cls(f"/v1/policies/{policy}/hosts", limit, rows, policy=policy)


class Query:
    """A query as it is asked, and which postures it wants. Values are as harness.query_string()
    takes them; posture is a list of (first, last)."""

    VIEW = ("fields", "limit")

    def __init__(self, **params):
        self.params = params
        self.policies = self.ints("policy")
        self.hosts = self.ints("host")
        self.spans = params.get("posture", [])
        self.statuses = self.words("status")
        self.previous = self.words("previousStatus")
        self.criticality = self.ints("criticality")
        self.fields = params.get("fields")
        self.limit = params.get("limit", 100)
        self.evidence = params.get("evidence", "none")
        # what picks the result and its postures, as text
        self.key = repr(sorted((k, v) for k, v in params.items() if k not in self.VIEW))

    def listed(self, name):
        value = self.params.get(name)
        return None if value is None else value if isinstance(value, list) else [value]

    def ints(self, name):
        value = self.listed(name)
        return None if value is None else {int(v) for v in value}

    def words(self, name):
        value = self.listed(name)
        return None if value is None else {v.lower() for v in value}

    def url(self):
        """Parameters for GET."""
        params = dict(self.params)
        if self.spans:
            params["posture"] = [f"{a}-{b}" if a != b else str(a) for a, b in self.spans]
        return params

    def document(self):
        """The body for POST /v1/postures/query."""
        return {k: v if isinstance(v, (list, int, bool, str)) else str(v)
                for k, v in self.url().items()}

    def wants(self, posture, active):
        number = int(posture["id"])
        if self.spans and not any(a <= number <= b for a, b in self.spans):
            return False
        if self.hosts is not None and int(posture["hostId"]) not in self.hosts:
            return False
        if self.statuses is not None and posture["status"].lower() not in self.statuses:
            return False
        if self.previous is not None and posture["previousStatus"].lower() not in self.previous:
            return False
        if (self.criticality is not None and
                int(posture["criticality"]["value"]) not in self.criticality):
            return False
        if self.params.get("inactive") == "exclude" and number not in active:
            return False
        return self.in_time(posture)

    def in_time(self, posture):
        scanned = posture["complianceLastScanDate"]
        bounds = [("evaluatedSince", posture["lastEvaluatedDate"]),
                  ("changedSince", posture["postureModifiedDate"]), ("scannedSince", scanned),
                  ("scannedFrom", scanned)]
        if any(name in self.params and date < lower_bound(self.params[name])
               for name, date in bounds):
            return False
        return "scannedTo" not in self.params or scanned <= upper_bound(self.params["scannedTo"])

    def shown(self, posture, sees_evidence):
        """As this query shows it to one who may see evidence, or not."""
        seen = dict(posture)
        if self.evidence == "none":
            seen["evidence"] = None
        elif self.evidence == "basic" and seen["evidence"] is not None:
            seen["evidence"] = {k: v for k, v in seen["evidence"].items() if k != "extendedEvidence"}
        if not self.params.get("cloud"):
            seen["cloudMetaData"] = None
        if not self.params.get("qds"):
            seen["qds"] = None
        if not sees_evidence:
            seen.update(dict.fromkeys(HIDDEN))
        if self.fields is not None:
            seen = {k: v for k, v in seen.items() if k in self.fields}
        return seen


class Timeline:
    """Which generation the upstream had when; of time.time()."""

    def __init__(self):
        self.moves = []   # (asked at, done at, generation)

    def move(self, generation, change):
        """Calls change() and remembers when."""
        asked = time.time()
        change()
        self.moves.append((asked, time.time(), generation))

    def alive(self, since, until):
        """The generations of that time; both ends are generous."""
        moves = list(self.moves)
        ends = [done for _, done, _ in moves[1:]] + [float("inf")]
        return {g for (asked, _, g), end in zip(moves, ends) if asked <= until and end >= since}

    def mixes(self, since, until, longest_s):
        """The sets of generations that one fetch of that time may have met while they changed, if it
        took at most so long."""
        moves = list(self.moves)
        for i, (_, gone) in enumerate(m[:2] for m in moves[1:]):
            for j in range(i + 1, len(moves)):
                if moves[j][0] > min(until, gone + longest_s) or gone < since:
                    break
                yield {g for _, _, g in moves[i:j + 1]}


SIGHTS_KEPT = 400   # far more than there are results that a walk may still be on


class Sight:
    """What was seen of one result so far."""

    def __init__(self, generations, without):
        self.generations = generations   # those that all pages so far agree with
        self.alive = set(generations)
        self.without = without           # policies whose hosts the upstream did not tell
        self.mixed = False
        self.orders = {}                 # (query, who) -> {position: id}


class Oracle:
    """Judges pages. Threads: any."""

    def __init__(self, data, timeline):
        self.data = data
        self.timeline = timeline
        self.lock = threading.Lock()
        self.sights = {}                 # result -> Sight, the last one used at the end
        self.seen = collections.Counter()
        self.tags = {}                   # ETag -> hash of the body
        self.may_fail = set()            # policies whose hosts the upstream did not tell, once at least
        self.wanted_cache = {}

    # --- what is wanted

    def wanted(self, query, consumer, generation, without=()):
        """{id: posture with all detail} of a whole answer, but for some policies."""
        key = (query.key, consumer.policies, generation, tuple(without))
        with self.lock:
            known = self.wanted_cache.get(key)
        if known is None:
            postures = self.data.generations[generation]
            policies = query.policies if query.policies is not None else self.data.policies
            visible = [p for p in policies
                       if p in postures and consumer.may_see(p) and p not in without]
            known = {i: r for p in visible for i, r in postures[p].items()
                     if query.wants(r, self.data.active)}
            with self.lock:
                if len(self.wanted_cache) > 400:
                    self.wanted_cache.clear()
                self.wanted_cache[key] = known
        return known

    # --- the pages

    def sight(self, result, now):
        with self.lock:
            sight = self.sights.pop(result["id"], None)
            if sight is not None:
                self.sights[result["id"]] = sight   # the last one used is the last one
            else:
                alive = self.timeline.alive(instant(result["fetchedAt"]), now)
                without = tuple(sorted(int(p) for p in result.get("hostErrors", [])))
                sight = self.sights[result["id"]] = Sight(alive, without)
                self.seen["results"] += 1
                self.seen["lacking"] += bool(without)
                if len(self.sights) > SIGHTS_KEPT:
                    del self.sights[next(iter(self.sights))]
            return sight

    def page(self, query, consumer, body, position, now):
        """Checks a page that begins at this position of its walk; returns it, parsed."""
        page = reference.parse(body)
        result, total = page["result"], self.check_frame(page, query.limit, position)
        hides = query.policies is None and not consumer.sees_all
        self.check_result(result, hides, "5.0", now)
        sight = self.sight(result, now)
        self.check_postures(query, consumer, page["data"], total, sight, result["id"])
        self.check_order(query, consumer, page["data"], position, sight)
        return page

    def listing(self, listing, body, position, now):
        """The same of a list that is not of postures."""
        page = json.loads(body)
        result, total = page["result"], self.check_frame(page, listing.limit, position)
        version = "2.0" if listing.policy is None else "5.0"
        self.check_result(result, listing.hides, version, now)
        sight = self.sight(result, now)
        lists = {g: [] if listing.policy in sight.without else listing.rows(self.data, g)
                 for g in sight.generations}
        fits = {g for g, rows in lists.items() if total == len(rows) and
                list(map(list, page["data"])) == list(map(list, rows[position:][:len(page["data"])])) and
                page["data"] == rows[position:position + len(page["data"])]}
        if not fits:
            raise Wrong(f"{listing.target} {listing.params} from {position} on is {page}")
        with self.lock:
            sight.generations &= fits
        return page

    @staticmethod
    def check_frame(page, limit, position):
        """What every page has, whatever is on it; returns the total."""
        if list(page) != ["data", "page", "result"]:
            raise Wrong(f"a page has the members {list(page)}")
        count, total = len(page["data"]), int(page["page"]["total"])
        if int(page["page"]["count"]) != count:
            raise Wrong(f"count is {page['page']['count']}, and there are {count}")
        if count > int(page["page"]["limit"]) or int(page["page"]["limit"]) != limit:
            raise Wrong(f"limit {limit} was asked: {page['page']}")
        if ("next" in page["page"]) != (position + count < total):
            raise Wrong(f"{count} from {position} on: {page['page']}")
        if total and count == 0:
            raise Wrong(f"an empty page of {page['page']}")
        return total

    def check_result(self, result, hides, version, now):
        errors = {int(p) for p in result.get("hostErrors", [])}
        if (result["complete"] is not (not errors) or not errors <= self.may_fail or
                result["upstreamVersion"] != version or "missingBatches" in result):
            raise Wrong(f"the result is {result}")
        if instant(result["fetchedAt"]) > now + 1:
            raise Wrong(f"fetched in the future: {result}")
        for name in COUNTS:
            if (result[name] is None) != hides:
                raise Wrong(f"{name} in {result}")

    def check_postures(self, query, consumer, postures, total, sight, result_id):
        fits = {g for g in sight.generations
                if self.fits(query, consumer, postures, total, g, sight.without)}
        with self.lock:
            if fits and not sight.mixed:
                sight.generations &= fits
                if sight.generations:
                    return
        if len(sight.alive) > 1 and self.fits_mixed(query, consumer, postures, total, sight):
            with self.lock:
                self.seen["mixed"] += not sight.mixed
                sight.mixed = True
            return
        raise Wrong(f"result {result_id}, generations {sorted(sight.alive)}: "
                    f"{self.difference(query, consumer, postures, total, sight)}")

    def fits(self, query, consumer, postures, total, generation, without):
        wanted = self.wanted(query, consumer, generation, without)
        return total == len(wanted) and all(
            self.same(query, consumer, posture, wanted) for posture in postures)

    @staticmethod
    def same(query, consumer, posture, wanted):
        known = wanted.get(int(posture["id"]))
        if known is None:
            return False
        shown = query.shown(known, consumer.sees_evidence)
        return posture == shown and list(posture) == list(shown)

    def fits_mixed(self, query, consumer, postures, total, sight):
        answers = [self.wanted(query, consumer, g, sight.without) for g in sight.alive]
        everywhere = set.intersection(*(set(a) for a in answers))
        anywhere = set.union(*(set(a) for a in answers))
        return len(everywhere) <= total <= len(anywhere) and all(
            any(self.same(query, consumer, posture, wanted) for wanted in answers)
            for posture in postures)

    def difference(self, query, consumer, postures, total, sight):
        """The first thing that is wrong, as text, for each generation that it could be of."""
        told = []
        for generation in sorted(sight.alive):
            wanted = self.wanted(query, consumer, generation, sight.without)
            if total != len(wanted):
                told.append(f"g{generation}: total {total}, {len(wanted)} wanted")
            for posture in postures:
                if not self.same(query, consumer, posture, wanted):
                    known = wanted.get(int(posture["id"]))
                    shown = known and query.shown(known, consumer.sees_evidence)
                    members = "foreign" if shown is None else [
                        (k, posture.get(k), shown.get(k)) for k in {*posture, *shown}
                        if posture.get(k) != shown.get(k)][:3]
                    told.append(f"g{generation}: posture {posture['id']}: {members}")
                    break
        return f"{query.params} of {consumer.name}: " + "; ".join(told)[:600]

    def check_order(self, query, consumer, postures, position, sight):
        with self.lock:
            order = sight.orders.setdefault((query.key, consumer.policies), {})
            for at, posture in enumerate(postures, position):
                if order.setdefault(at, posture["id"]) != posture["id"]:
                    raise Wrong(f"place {at} of a result is {posture['id']}, it was {order[at]}")

    def whole(self, query, consumer, ids, result_id):
        """The ids of a finished walk: each posture exactly once."""
        if len(set(ids)) != len(ids):
            raise Wrong(f"a walk saw {len(ids) - len(set(ids))} postures twice")
        sight = self.sights[result_id]
        answers = [set(self.wanted(query, consumer, g, sight.without))
                   for g in (sight.alive if sight.mixed else sight.generations)]
        got = set(map(int, ids))
        if sight.mixed:
            good = set.intersection(*answers) <= got <= set.union(*answers)
        else:
            good = got in answers
        if not good:
            raise Wrong(f"a walk of {query.params} saw {len(got)} postures, not those of its result")

    # --- other answers

    def one(self, number, consumer, posture, result, now):
        """The body of GET /v1/postures/{id}, parsed."""
        query = Query(posture=[(number, number)])
        sight = self.sight(result, now)
        self.check_postures(query, consumer, [posture], 1, sight, result["id"])

    def exists(self, number, consumer):
        query = Query(posture=[(number, number)])
        return bool(self.wanted(query, consumer, 0))

    def check_tag(self, tag, body):
        """The same ETag means the same bytes."""
        with self.lock:
            if len(self.tags) > 100000:
                self.tags.clear()
            if self.tags.setdefault(tag, hash(body)) != hash(body):
                raise Wrong(f"two bodies have the ETag {tag}")

    def counts(self):
        """(results seen, those of two generations, those that lack a policy)"""
        with self.lock:
            return self.seen["results"], self.seen["mixed"], self.seen["lacking"]


def load(stack, policies, generations):
    """The data, from a simulator of its own that is ended again."""
    part = stack.part("oracle", stack.oracle_argv())
    part.start()

    def ready():
        part.check_running()
        return [l for l in part.text().splitlines() if l.startswith("ready: ")]
    words = harness.wait_until(ready, "the oracle's simulator is ready")[-1].split()
    upstream = reference.Upstream(words[1], stack.username, stack.password)
    data = Data(harness.Control(words[3]), upstream, policies, generations)
    part.stop()
    return data
