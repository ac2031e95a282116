"""What callers of the upstream's own protocol have to be answered: what the upstream itself says in
that version, of one generation that was alive when it was fetched.

The oracle's data have the texts of every version with all detail; less detail is made from them here,
and which records there have to be is worked out as for /v1. Such an answer does not say when it was
fetched. What was fetched for this call alone is of the time of the call; anything else may be as old
as the settings keep results. What is streamed while its fetch runs may be of two generations record by
record, because a call that broke off is made again; what was stored has each host from one call.
"""

import collections
import json
import re
import threading
import zlib

import oracle
import reference
from oracle import Query, Wrong

VERSIONS, LIST_VERSIONS = oracle.VERSIONS, oracle.LIST_VERSIONS
UNKNOWN = "auditTrail"   # a member that no document knows: it may stand anywhere, in 5.0
SIZES, BATCHES = ("currentDataSizeKB", "totalDataSizeKB"), ("currentBatch", "totalBatches")
LONGEST_FETCH_S = 150
HOUR_S = 3600
LABELS = ("UNDEFINED", "MINIMAL", "MEDIUM", "SERIOUS", "CRITICAL", "URGENT")   # of criticality 0 to 5
# parameter -> the same of /v1
FILTERS = {
    "lastEvaluationDate": "evaluatedSince", "lastScanDate": "scannedSince",
    "lastScanDateFrom": "scannedFrom", "lastScanDateTo": "scannedTo",
    "statusChangedSince": "changedSince", "previousStatus": "previousStatus",
}
# of nginx, while the gateway is away -> problem of habits.EXCUSES; the gateway's own answers have
# titles of problems
MESSAGES_OF_NGINX = {
    "The gateway is not available; the request may be sent again": "gateway-unavailable",
    "The gateway did not answer in time": "gateway-timeout",
}


def known_titles(path):
    """{(status, title): slug} of the gateway's table of errors."""
    return {(int(status), title): slug for status, slug, title in re.findall(
        r'^STATUS\(\w+, ([0-9]{3}), \w+, "([a-z-]+)", "([^"]+)"\)', path.read_text(), re.M)}


def refuse_constant(text):
    raise ValueError(f"{text} is no JSON")


HOOKS = {"object_pairs_hook": list, "parse_int": reference.Number, "parse_float": reference.Number,
         "parse_constant": refuse_constant}


def parse(text):
    """JSON with objects as lists of pairs, so that order and repetition are seen, and numbers as
    their text."""
    return json.loads(text, **HOOKS)


# --- what is asked

class Call:
    """A call of postureInfo: params as they stand in the URL; either elements, as hostids tells them,
    or spans of posture IDs, a list of (first, last)."""

    def __init__(self, version, params, elements=None, spans=None, subscription=None):
        self.version, self.params = version, params
        self.elements, self.spans, self.subscription = elements, spans, subscription
        self.plain = params.get("compressionRequired") == "0"

    @property
    def target(self):
        return f"/pcrs/{self.version}/posture/postureInfo"

    def body(self):
        if self.spans is None:
            return json.dumps(self.elements)
        text = ",".join(f"{a}-{b}" if a != b else str(a) for a, b in self.spans)
        return json.dumps([{"subscriptionId": str(self.subscription), "postureId": text}])

    def filters(self):
        params = {FILTERS[k]: v for k, v in self.params.items() if k in FILTERS}
        if "status" in self.params:
            params["status"] = [s.strip() for s in self.params["status"].split(",")]
        if "criticalityValues" in self.params:
            params["criticality"] = self.params["criticalityValues"].split(",")
        if "criticalityLabels" in self.params:
            labels = self.params["criticalityLabels"].upper().split(",")
            params["criticality"] = [LABELS.index(label.strip()) for label in labels]
        if self.params.get("excludeInactiveControl") == "1":
            params["inactive"] = "exclude"
        return params

    def parts(self):
        """The queries of /v1 that it is made of: by posture one, else one for each policy."""
        if self.spans is not None:
            return [Query(posture=self.spans, **self.filters())]
        hosts = collections.defaultdict(set)
        for element in self.elements:
            hosts[int(element["policyId"])].update(map(int, element["hostIds"]))
        return [Query(policy=[p], host=sorted(h), **self.filters())
                for p, h in sorted(hosts.items()) if h]

    # --- detail

    def shows(self, name):
        return self.params.get(name) == "1"

    def evidence(self, pairs):
        if pairs is None or not self.shows("evidenceRequired"):
            return None
        if self.params.get("extendedEvidenceRequired") != "0":
            return pairs
        return [(k, None if k == "extendedEvidence" else v) for k, v in pairs if k != "description"]

    def shown(self, pairs, consumer):
        """A record of the data, with all detail, as this call shows it."""
        seen = []
        for name, value in pairs:
            if (name == "qds" and not self.shows("qdScoreRequired")) or (
                    name == "cloudMetaData" and not self.shows("cloudMetaDataRequired")):
                continue
            if name == "evidence":
                value = self.evidence(value)
            if name in oracle.HIDDEN and not consumer.sees_evidence:
                value = None
            seen.append((name, value))
        return ordered(seen)


def ordered(pairs):
    """Without what is the batch's and not the record's, and without a place for what has none."""
    pairs = [(k, None if k in SIZES + BATCHES else v) for k, v in pairs]
    return sorted(pairs, key=lambda pair: pair[0] == UNKNOWN)


def identified(pairs, version):
    """(id, the record to be held against the data) of a record of an answer."""
    if not isinstance(pairs, list) or not pairs or not isinstance(pairs[0], tuple):
        raise Wrong(f"no record: {str(pairs)[:200]}")
    name, value = pairs[0]
    # 5.0 keeps what the upstream has called it, and it may call it that
    names = ("id", "postureId") if version == "5.0" else ("id",)
    if name not in names or not isinstance(value, reference.Number):
        raise Wrong(f"a record begins with {pairs[0]}")
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Wrong(f"posture {value} has a member twice: {[k for k, _ in pairs]}")
    for name in SIZES:
        if not re.fullmatch(r"[0-9]+\.[0-9]{2}", members.get(name) or ""):
            raise Wrong(f"posture {value}: {name} is {members.get(name)!r}")
    current, total = (members.get(name) for name in BATCHES)
    if not all(isinstance(n, reference.Number) for n in (current, total)) or not (
            1 <= int(current) <= int(total)):
        raise Wrong(f"posture {value} is of batch {current!r} of {total!r}")
    return int(value), ordered([("id", value), *pairs[1:]])


# --- what comes

def unpacked(body, plain):
    """(the text, whether it ended as it should) of as much as there is of a body."""
    if plain:
        return body, True
    inflater = zlib.decompressobj(31)
    try:
        text = inflater.decompress(body)
    except zlib.error as e:
        raise Wrong(f"no gzip: {e}: {body[:40]!r}") from e
    if inflater.unused_data:
        raise Wrong(f"behind the gzip: {inflater.unused_data[:40]!r}")
    return text, inflater.eof


def whole_records(body, plain):
    """The records of a body that ended cleanly."""
    text, ended = unpacked(body, plain)
    if not ended:
        raise Wrong(f"a clean end without the end of the gzip, behind {text[-60:]!r}")
    try:
        records = parse(text.decode())
    except ValueError as e:
        raise Wrong(f"a clean end of what is not whole: {e}: {text[-80:]!r}") from e
    if not isinstance(records, list) or text[:1] != b"[" or text[-1:] != b"]":
        raise Wrong(f"no array: {text[:80]!r}")
    # how scripts cut it into records, without a parser
    seams = text.count(b'},{"id":') + text.count(b'},{"postureId":')
    if seams != max(len(records) - 1, 0) or (not records and text != b"[]"):
        raise Wrong(f"{len(records)} records with {seams} seams: {text[:80]!r}")
    return records, len(text)


def broken_records(body, plain):
    """(the records, whether it looks whole) of as much as there is of a body that broke off."""
    text, ended = unpacked(body, plain)
    # bytes of a character may be missing
    text, records, decoder = text.decode(errors="ignore"), [], json.JSONDecoder(**HOOKS)
    if text[:1] not in ("", "["):
        raise Wrong(f"no array: {text[:80]!r}")
    at = 1
    while text[at:at + 1] == "{":
        try:
            record, at = decoder.raw_decode(text, at)
        except ValueError:
            return records, False
        records.append(record)
        if text[at:at + 1] != ",":
            break
        at += 1
    return records, ended and text[at:] == "]"


# --- the judge

class Judge:
    """Threads: any. most_age_s: results are kept so long; lasting: policies whose results are kept
    longer."""

    def __init__(self, of, most_age_s, lasting=()):
        self.oracle, self.data, self.timeline = of, of.data, of.timeline
        self.most_age_s, self.lasting = most_age_s, set(lasting)
        self.lock = threading.Lock()
        self.seen = collections.Counter()

    def note(self, what, number=1):
        with self.lock:
            self.seen[what] += number

    # --- postures

    def whole(self, call, consumer, body, began, ended, cache_status):
        """Of a 200 that ended cleanly; how many records there are, and the bytes of JSON."""
        records, text_bytes = whole_records(body, call.plain)
        self.check_all(call, consumer, records, began, ended, cache_status)
        self.note(f"whole {call.version}")
        return len(records), text_bytes

    def broken(self, call, consumer, body, began, ended, cache_status):
        """Of one that broke off: what is there has to be right all the same, and must not look whole
        unless it is."""
        records, looks_whole = broken_records(body, call.plain)
        if looks_whole:
            self.check_all(call, consumer, records, began, ended, cache_status)
        else:
            self.check_some(call, consumer, records, began, ended)
        self.note("broken")
        return len(records)

    def check_all(self, call, consumer, records, began, ended, cache_status):
        parts = call.parts()
        split = [{} for _ in parts]
        for number, pairs in self.take(call, records):
            split[self.part_of(parts, number, pairs)][number] = pairs
        live = "fwd=" in cache_status
        for query, got in zip(parts, split):
            alone = "; stored" in cache_status and len(parts) == 1
            since = began - (1 if alone else self.age_of(query))
            self.check_part(call, consumer, query, got, (since, ended), live)

    def age_of(self, query):
        if query.policies is not None and query.policies & self.lasting:
            return float("inf")
        return self.most_age_s + 1

    @staticmethod
    def take(call, records):
        ids = set()
        for pairs in records:
            number, pairs = identified(pairs, call.version)
            if number in ids:
                raise Wrong(f"posture {number} came twice")
            ids.add(number)
            yield number, pairs

    @staticmethod
    def part_of(parts, number, pairs):
        policy = dict(pairs).get("policyId")
        for i, query in enumerate(parts):
            if query.policies is None or (policy is not None and int(policy) in query.policies):
                return i
        raise Wrong(f"posture {number} of policy {policy} was not asked for")

    def check_part(self, call, consumer, query, got, span, live):
        alive = self.timeline.alive(*span)
        if any(self.fits(call, consumer, query, got, g) for g in alive):
            return
        for mix in self.timeline.mixes(*span, LONGEST_FETCH_S):
            if self.fits_mixed(call, consumer, query, got, mix, live):
                self.note("mixed")
                return
        raise Wrong(self.difference(call, consumer, query, got, alive))

    def fits(self, call, consumer, query, got, generation):
        wanted = self.oracle.wanted(query, consumer, generation)
        return got.keys() == wanted.keys() and all(
            self.same(call, consumer, number, pairs, generation) for number, pairs in got.items())

    def text_of(self, version, number, generation):
        for records in self.data.raw[generation][version].values():
            if number in records:
                return records[number]
        return None

    def same(self, call, consumer, number, pairs, generation):
        text = self.text_of(call.version, number, generation)
        return text is not None and call.shown(parse(text), consumer) == pairs

    def fits_mixed(self, call, consumer, query, got, mix, live):
        wanted = {g: self.oracle.wanted(query, consumer, g) for g in mix}
        if live:
            everywhere = set.intersection(*(set(w) for w in wanted.values()))
            return everywhere <= got.keys() and all(
                any(number in wanted[g] and self.same(call, consumer, number, pairs, g) for g in mix)
                for number, pairs in got.items())
        return all(any(self.host_fits(call, consumer, host, got, wanted[g], g) for g in mix)
                   for host in self.hosts_of(got, *wanted.values()))

    def hosts_of(self, *answers):
        """(policy, host) of all postures in any of them."""
        return {self.host_of(number) for answer in answers for number in answer}

    def host_of(self, number):
        for policy, records in self.data.generations[0].items():
            if number in records:
                return policy, int(records[number]["hostId"])
        return None

    def host_fits(self, call, consumer, host, got, wanted, generation):
        own = {n: pairs for n, pairs in got.items() if self.host_of(n) == host}
        return own.keys() == {n for n in wanted if self.host_of(n) == host} and all(
            self.same(call, consumer, n, pairs, generation) for n, pairs in own.items())

    def check_some(self, call, consumer, records, began, ended):
        parts = call.parts()
        for number, pairs in self.take(call, records):
            query = parts[self.part_of(parts, number, pairs)]
            alive = self.timeline.alive(began - self.age_of(query), ended)
            if not any(number in self.oracle.wanted(query, consumer, g) and
                       self.same(call, consumer, number, pairs, g) for g in alive):
                raise Wrong("before it broke off: " + self.difference(
                    call, consumer, query, {number: pairs}, alive, some=True))

    def difference(self, call, consumer, query, got, alive, some=False):
        """The first thing that is wrong, for each generation that it could be of."""
        told = []
        for generation in sorted(alive):
            wanted = self.oracle.wanted(query, consumer, generation)
            if got.keys() - wanted.keys():
                told.append(f"g{generation}: foreign {sorted(got.keys() - wanted.keys())[:3]}")
            elif not some and wanted.keys() - got.keys():
                told.append(f"g{generation}: {len(got)} records, {len(wanted)} wanted, "
                            f"{sorted(wanted.keys() - got.keys())[:3]} lacking")
            for number, pairs in got.items():
                if not self.same(call, consumer, number, pairs, generation):
                    text = self.text_of(call.version, number, generation)
                    want = call.shown(parse(text), consumer) if text is not None else []
                    told.append(f"g{generation}: posture {number}: " + first_difference(pairs, want))
                    break
        return f"{call.version} {call.params} of {consumer.name}, {query.params.get('policy')}: " + (
            "; ".join(told)[:700])

    # --- lists

    def hosts(self, consumer, policies, since, body, began, ended):
        """The answer of hostids. policies: those asked for, None: all; since: lastScanDate. The
        elements, as they can be posted, and how many hosts they have."""
        try:
            listed = parse(body)
        except ValueError as e:
            raise Wrong(f"hostids: {e}: {body[:200]!r}") from e
        if policies is None:
            policies = [p for p in self.data.policies if consumer.may_see(p)]
        if not isinstance(listed, list) or [dict(e).get("policyId") for e in listed] != [
                str(p) for p in sorted(policies)]:
            raise Wrong(f"hostids of {policies}: {body[:300]!r}")
        alive = self.timeline.alive(began - self.most_age_s - 1, ended)
        for policy, pairs in zip(sorted(policies), listed):
            self.check_hosts(policy, pairs, since, alive)
        elements = [dict(e) for e in listed]
        return elements, sum(len(e["hostIds"]) for e in elements)

    def check_hosts(self, policy, pairs, since, alive):
        names, element = [k for k, _ in pairs], dict(pairs)
        hosts = element.get("hostIds")
        failed = names == ["policyId", "subscriptionId", "hostIds", "error"]
        if element.get("subscriptionId") != str(self.data.subscription) or not (
                failed or names == ["policyId", "subscriptionId", "hostIds"]):
            raise Wrong(f"hostids of {policy}: {str(pairs)[:300]}")
        if any(isinstance(h, reference.Number) or not isinstance(h, str) for h in hosts):
            raise Wrong(f"hostids of {policy}: IDs are not texts: {str(hosts)[:200]}")
        got = {int(h) for h in hosts}
        if len(got) != len(hosts):
            raise Wrong(f"hostids of {policy} has a host twice")
        if failed:
            if hosts or policy not in self.oracle.may_fail:
                raise Wrong(f"hostids of {policy}: {str(pairs)[:300]}")
            return
        if not any(self.hosts_fit(policy, got, since, g) for g in alive):
            raise Wrong(f"hostids of {policy} since {since} has {len(got)} of "
                        f"{len(self.data.hosts[policy])} hosts, generations {sorted(alive)}")

    def hosts_fit(self, policy, got, since, generation):
        """When a host without postures was scanned, the data do not tell."""
        everyone = set(self.data.hosts[policy])
        if since is None:
            return got == everyone
        scans = {int(r["hostId"]): r["complianceLastScanDate"]
                 for r in self.data.generations[generation][policy].values()}
        recent = {h for h, at in scans.items() if at >= oracle.lower_bound(since)}
        return recent <= got <= recent | (everyone - scans.keys())

    def policies(self, consumer, version, params, body, began, ended):
        """The policy list; how many policies it has."""
        alive = self.timeline.alive(began - self.most_age_s - 1, ended)
        try:
            got = parse(body)
        except ValueError as e:
            raise Wrong(f"policy list: {e}: {body[:200]!r}") from e
        wanted = {g: self.policies_wanted(consumer, version, params, g) for g in alive}
        if got not in wanted.values():
            raise Wrong(f"policy list {version} {params} of {consumer.name}: {body[:600]!r}, wanted "
                        + " or ".join(f"{g}: {str(w)[:600]}" for g, w in wanted.items()))
        return len(dict(got)["policyList"])

    def policies_wanted(self, consumer, version, params, generation):
        listed = dict(parse(self.data.raw_lists[generation][version]))
        since, rows = params.get("lastEvaluationDate"), []
        for pairs in listed["policyList"]:
            policy = dict(pairs)
            if not consumer.may_see(int(policy["id"])) or (
                    since is not None and policy["lastEvaluatedDate"] < oracle.lower_bound(since)):
                continue
            rows.append([(k, v) for k, v in pairs
                         if k != "requireTagInfo" or params.get("requireTagInfo") == "1"])
        return [("subscriptionId", listed["subscriptionId"]), ("policyList", rows)]


def first_difference(got, wanted):
    if [k for k, _ in got] != [k for k, _ in wanted]:
        names = [k for k, _ in wanted]
        return (f"members {[k for k, _ in got if k not in names]} too many, "
                f"{[k for k in names if k not in dict(got)]} lacking, or in another order")
    return next((f"{k} is {str(v)[:200]}, not {str(w)[:200]}"
                 for (k, v), (_, w) in zip(got, wanted) if v != w), "nothing")


# --- headers and errors

def check_limits(headers, what):
    """Clients pause where these are missing or small."""
    values = [headers[f"X-RateLimit-{name}"] or "" for name in ("Limit", "Window-Sec", "Remaining")]
    if not all(re.fullmatch("[0-9]{1,9}", v) for v in values):
        raise Wrong(f"X-RateLimit is {values}: {what}")
    limit, window, left = map(int, values)
    if limit == 0 or left > limit or window != HOUR_S:
        raise Wrong(f"X-RateLimit is {values}: {what}")


def check_sunset(headers, api, version, what):
    """Versions that are ending say so, and others do not."""
    ending = version in (LIST_VERSIONS[:-1] if api == "policyList" else VERSIONS[:-1])
    told = [name for name in ("Deprecation", "Sunset", "Link") if headers[name] is not None]
    if (told == ["Deprecation", "Sunset", "Link"]) != ending or (told and not ending):
        raise Wrong(f"{told} in an answer of {api} {version}: {what}")
    if ending and (not re.fullmatch("@[0-9]+", headers["Deprecation"]) or
                   'rel="successor-version"' not in headers["Link"]):
        raise Wrong(f"{headers['Deprecation']}, {headers['Link']}: {what}")


def message_of(headers, body, what):
    """The text of an error, which has nothing else."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if headers["Content-Type"] != "application/json" or not isinstance(document, dict) or (
            list(document) != ["message"]) or not isinstance(document["message"], str) or (
            not document["message"]):
        raise Wrong(f"no message: {what}")
    return document["message"]
