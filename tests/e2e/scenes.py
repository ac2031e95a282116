"""Scenes that make the gateway give every answer that docs/openapi.yaml knows, and the document's
examples, which are some of these answers.

As a program (./dev openapi) it plays them all and writes the examples into the document, in place.
Data are the simulated upstream's, with a fixed seed and time; what changes with each run (ids,
times, cursors) is replaced by what stays.
"""

import csv
import datetime
import io
import json
import re
import sys
import threading
import urllib.parse

import harness
import openapi

yaml = openapi.yaml

NOW = "2026-11-20T12:00:00Z"
DATA = {"policies": 3, "hosts": 12, "controls": 6, "rate": 0, "concurrency": 0, "now": NOW,
        "empty_hosts": 0, "nasty": False, "unknown_member": False, "evidence_bytes": 60,
        "large_every": 0}
# and a query is answered by its own result alone, so that another filter means another fetch
FAILING = harness.exactly({"upstream": {"retries": 0, "retry_delay": "1ms", "error_memory": "0s"}})
NO_CACHE = {"Cache-Control": "no-cache"}
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
UNKNOWN_ID = 9223372036854775807
ORIGIN = "https://app.example.com"
ASYNC, WAIT = {"Prefer": "respond-async"}, {"Prefer": "wait=20"}
# consumers: all grants; policy 1001 without evidence; one query an hour; told of what old versions had;
# no longer served by the old protocol
TEAM, REPORTS, SMALL, WARNED, LATE = range(5)


class Run:
    """A stack, and what was said to it."""

    def __init__(self, exchanges, simulator=None, settings=None, prepare=None):
        self.exchanges = exchanges
        self.number = 0
        self.stack = harness.Stack(
            simulator=DATA | (simulator or {}), settings=FAILING | (settings or {}),
            consumers=[harness.Consumer("team", force="true", admin="true", legacy="allow"),
                       harness.Consumer("reports", policies="1001", evidence="false"),
                       harness.Consumer("small", quota="1"),
                       harness.Consumer("warned", legacy="warn"),
                       harness.Consumer("late", legacy_until="2020-01-01")])
        if prepare is not None:
            prepare(self.stack)

    def __enter__(self):
        try:
            self.stack.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        self.control = self.stack.control
        return self

    def __exit__(self, kind, *exc):
        if kind is not None:
            print(self.stack.logs(), file=sys.stderr)
        self.stack.close()

    def ask(self, target, name=None, method="GET", headers=None, body=None, consumer=TEAM, key=None):
        with self.stack.client(consumer, key) as client:
            answer = client.request(method, target, headers, body)
        self.exchanges.append(openapi.Exchange(name, method, target, headers, body, answer))
        return answer

    def peek(self, target, method="GET", headers=None, body=None):
        """Asks what nobody has to know of: while waiting for another answer."""
        with self.stack.client(TEAM) as client:
            return client.request(method, target, headers, body)

    def wait_for(self, state, target):
        harness.wait_until(lambda: self.peek(target).json()["state"] == state,
                           f"the fetch {target} is {state}")

    def another(self):
        """A bound that changes nothing, another each time: a query that nothing is stored for."""
        self.number += 1
        return f"2000-01-01T{self.number // 3600:02}:{self.number // 60 % 60:02}:{self.number % 60:02}Z"


class Endpoint:
    """An operation that gives results: how to ask it for something that may be stored, for something
    that is not, and wrongly."""

    def __init__(self, method, stored, new, wrong, foreign=None, unknown=None, long=None,
                 api="postureInfo"):
        self.method = method
        self.api = api  # the upstream's that makes the result
        self.stored = stored
        self.new = new
        self.wrong = wrong
        self.foreign = foreign
        self.unknown = unknown
        self.long = long

    def request(self, run, what, headers=None):
        """`what` is a target, or a body for POST; "@" in it is replaced by another() one."""
        what = what.replace("@", run.another())
        if self.method == "POST":
            return {"target": "/v1/postures/query", "method": "POST", "body": what,
                    "headers": JSON | (headers or {})}
        return {"target": what, "headers": headers}

    def ask(self, run, what, name=None, headers=None, **more):
        return run.ask(name=name, **self.request(run, what, headers), **more)


ENDPOINTS = {
    "listPostures": Endpoint(
        "GET", "/v1/postures?policy=1001&status=Failed&fields=id,status,hostId&limit=2",
        "/v1/postures?policy=1001&evaluatedSince=@&limit=1",
        "/v1/postures?policyId=1001&limit=0&previousStatus=Passed,Failed",
        foreign="/v1/postures?policy=1001,1002",
        long="/v1/postures?policy=1001&host=" + ",".join(str(5000001 + i) for i in range(1040))),
    "queryPostures": Endpoint(
        "POST", '{"policy":[1001,1002],"status":["Failed"],"fields":["id","status"],"limit":1}',
        '{"policy":[1001],"evaluatedSince":"@","limit":1}',
        '{"policy":[],"colour":"red"}',
        foreign='{"policy":[1002]}'),
    "summarizePostures": Endpoint(
        "GET", "/v1/postures/summary?policy=1001&criticality=4,5&by=status,criticality",
        "/v1/postures/summary?policy=1001&evaluatedSince=@",
        "/v1/postures/summary?policy=1001&by=colour&limit=1",
        foreign="/v1/postures/summary?policy=1002",
        long="/v1/postures/summary?policy=1001&host=" + ",".join(str(5000001 + i) for i in range(1040))),
    "getPosture": Endpoint(
        "GET", "/v1/postures/10000000001?evidence=extended&cloud=true&qds=true",
        # the upstream is asked anew, whatever is stored
        "/v1/postures/10000000002?fields=id", "/v1/postures/10000000001?limit=1",
        unknown=f"/v1/postures/{UNKNOWN_ID}"),
    "listPolicies": Endpoint(
        "GET", "/v1/policies?limit=1", "/v1/policies?evaluatedSince=@", "/v1/policies?policy=1001",
        api="policyList"),
    "listHosts": Endpoint(
        "GET", "/v1/policies/1001/hosts?limit=2", "/v1/policies/1003/hosts",
        "/v1/policies/1001/hosts?limit=1001", foreign="/v1/policies/1002/hosts",
        unknown="/v1/policies/01/hosts", api="hostids"),
}


class OldEndpoint(Endpoint):
    """One of the upstream's own, in one of its versions. `stored` and the like are query strings."""

    def __init__(self, path, version, new, body=None, **more):
        super().__init__("POST" if body else "GET", "", new, "colour=red", **more)
        self.path = path
        self.version = version
        self.body = body

    def request(self, run, what, headers=None, version=None, body=None):
        query = what.replace("@", run.another())
        target = self.path.replace("{version}", version or self.version) + (f"?{query}" if query else "")
        if self.body is None:
            return {"target": target, "headers": headers}
        return {"target": target, "method": "POST", "body": body or self.body, "headers": JSON | (headers or {})}

    def ask(self, run, what, name=None, headers=None, version=None, body=None, **more):
        return run.ask(name=name, **self.request(run, what, headers, version, body), **more)


def asked_by_host(policy, *hosts):
    return json.dumps([{"policyId": str(policy), "subscriptionId": "700100",
                        "hostIds": [str(h) for h in hosts]}])


BY_POSTURE = json.dumps([{"subscriptionId": "700100", "postureId": "10000000001,10000000003-10000000004"}])
DROP_IN = {
    "listPoliciesAsUpstream": OldEndpoint(
        "/pcrs/{version}/posture/policy/list", "1.0", "lastEvaluationDate=@", api="policyList"),
    "resolveHostsAsUpstream": OldEndpoint(
        "/pcrs/{version}/posture/hostids", "4.0", "policyId=1001&lastScanDate=@",
        foreign="policyId=1001,1002", api="hostids"),
    "getPosturesAsUpstream": OldEndpoint(
        "/pcrs/{version}/posture/postureInfo", "4.0", "lastEvaluationDate=@",
        body=asked_by_host(1001, 5000001, 5000002)),
}


# --- what every operation that gives results has

def plain(run, operation, endpoint):
    """Served anew and stored, for GET, HEAD and with a validator; and what is wrong by itself."""
    names = {"listPostures": "postures", "summarizePostures": "summary", "getPosture": "posture",
             "listPolicies": "policies", "listHosts": "hosts"}
    first = endpoint.ask(run, endpoint.stored, names.get(operation))
    endpoint.ask(run, endpoint.stored)
    if endpoint.method == "GET":
        run.ask(endpoint.stored, method="HEAD")
        run.ask(endpoint.stored, headers={"If-None-Match": first.headers["ETag"]})
    names = {"listPostures": "problemBadRequest"}
    endpoint.ask(run, endpoint.wrong, names.get(operation))
    endpoint.ask(run, endpoint.stored, key="")
    endpoint.ask(run, endpoint.stored, headers={"Accept": "text/html"})
    if endpoint.foreign:
        names = {"listPostures": "problemForbidden"}
        endpoint.ask(run, endpoint.foreign, names.get(operation), consumer=REPORTS)
    if endpoint.unknown:
        endpoint.ask(run, endpoint.unknown)
    endpoint.ask(run, endpoint.stored, headers=NO_CACHE | WAIT)
    endpoint.ask(run, endpoint.stored, headers={"X-Note": "a" * 9300})
    if endpoint.long:
        endpoint.ask(run, endpoint.long, "problemUriTooLong" if operation == "listPostures" else None)
    names = {"listPostures": "problemNotCached"}
    wanted = {"Cache-Control": "only-if-cached"}
    endpoint.ask(run, endpoint.new, names.get(operation), wanted)


def slow(run, operation, endpoint):
    hold = run.control.hold(api=endpoint.api)
    name = "accepted" if operation == "listPostures" else None
    accepted = endpoint.ask(run, endpoint.new, name, NO_CACHE | ASYNC)
    run.control.wait(api=endpoint.api, held=1)
    run.control.release(id=hold)
    run.wait_for("complete", accepted.headers["Location"])
    run.ask(accepted.headers["Location"], "fetch" if name else None)
    run.control.reset()


def early(run):
    """Pages of a fetch under way, the end of their walk, and what becomes of one whose fetch fails."""
    hold = run.control.hold(api="postureInfo", records=5)
    query = f"/v1/postures?policy=1001&evaluatedSince={run.another()}&fields=id,status&limit=2&partial=true"
    walk = run.ask(query, "posturesEarly").json()["page"]["next"]
    walk = run.ask(walk).json()["page"]["next"]
    run.ask(walk, method="HEAD")
    run.control.wait(api="postureInfo", held=1)
    run.control.release(id=hold)
    while walk:
        answer = run.ask(walk, headers=WAIT)
        walk = answer.json()["page"].get("next")
    hold = run.control.hold(api="postureInfo", records=5)
    body = {"policy": [1001], "evaluatedSince": run.another(), "partial": True, "limit": 3}
    page = run.ask("/v1/postures/query", method="POST", headers=JSON, body=json.dumps(body)).json()
    run.control.fault("403", api="postureInfo", times=-1)
    run.control.wait(api="postureInfo", held=1)
    run.control.release(id=hold, broken=True)
    harness.wait_until(lambda: run.peek(page["page"]["next"], headers=WAIT).status == 410, "the fetch has failed")
    run.ask(page["page"]["next"])
    run.control.reset()


FAULTS = [  # a fault of the upstream, its example
    ("html", "problemUpstreamBadData"),
    ("deep_nesting", "problemUpstreamTooLarge"),
    ("400", "problemUpstreamRefused"),
    ("404", "problemUpstreamRetired"),
    ("500", "problemUpstreamUnavailable"),
    ("403", "problemUpstreamForbidden"),
    ("504", "problemUpstreamTimeout"),
]


def failing(run, operation, endpoint):
    for fault, name in FAULTS:
        run.control.fault(fault, api=endpoint.api, times=-1)
        endpoint.ask(run, endpoint.new, name if operation == "listPostures" else None, NO_CACHE | WAIT)
        run.control.reset()
    if operation == "listPostures":
        run.control.fault("403", api="hostids", times=-1)
        run.ask(endpoint.stored, "problemCachedAge", headers=NO_CACHE)
        run.control.reset()


def expired(run, operation, endpoint):
    first = endpoint.ask(run, endpoint.stored).json()["page"]["next"]
    walk = first
    if endpoint.method == "POST":
        walk = json.dumps({"cursor": first.partition("cursor=")[2]})
    endpoint.ask(run, walk)
    endpoint.ask(run, endpoint.stored, headers=NO_CACHE)

    def gone():
        return run.peek(**endpoint.request(run, walk)).status == 410
    harness.wait_until(gone, "the replaced result is gone")
    endpoint.ask(run, walk, "problemCursorExpired" if operation == "listPostures" else None)


# --- the drop-in surface

def log_in(run, consumer, name=None, **other):
    username, password = run.stack.consumers[consumer].key.split(".", 1)
    form = {"username": username, "password": password, "token": "true", "permissions": "true"} | other
    return run.ask("/auth", name, "POST", FORM, urllib.parse.urlencode(form), key="")


def logins(run):
    token = log_in(run, TEAM, "token").body.decode()
    log_in(run, TEAM, password=run.stack.consumers[TEAM].key)
    log_in(run, TEAM, "messageLogin", password="another")
    log_in(run, TEAM, "messageForm", password="")
    log_in(run, TEAM, "messageFormTooLarge", permissions="x" * 4096)
    log_in(run, LATE, "messageEndedConsumer")
    run.ask("/auth/", method="GET", key="")
    run.ask("/auth", method="POST", headers=FORM | {"X-Note": "a" * 9300}, body="username=team", key="")
    return token


def old_lists(run, shown):
    policies, hosts = DROP_IN["listPoliciesAsUpstream"], DROP_IN["resolveHostsAsUpstream"]
    policies.ask(run, "", "policyListOfUpstream", headers=shown, key="")
    policies.ask(run, "requireTagInfo=1", "policyListOfUpstreamTags", version="2.0")
    policies.ask(run, "", version="3.0")
    run.ask("/pcrs/1.0/posture/policy/list/", method="HEAD")
    hosts.ask(run, "policyId=1001", "hostsOfUpstream", headers=shown, key="")
    hosts.ask(run, "policyId=1001,1999", "hostsOfUpstreamUnknown", version="5.0")
    hosts.ask(run, "policyId=1001", "_warned", version="1.0", consumer=WARNED)
    hosts.ask(run, "", version="5.0", consumer=REPORTS)
    hosts.ask(run, "", version="2.0")
    run.ask("/pcrs/5.0/posture/hostids?policyId=1001", method="HEAD")


def old_postures(run, shown):
    info = DROP_IN["getPosturesAsUpstream"]
    everything = "evidenceRequired=1&cloudMetaDataRequired=1&qdScoreRequired=1"
    one = asked_by_host(1001, 5000001)
    info.ask(run, "evidenceRequired=1&compressionRequired=0", "postureInfo1", version="1.0", body=one,
             headers=shown, key="")
    info.ask(run, everything + "&compressionRequired=0", "postureInfo5", version="5.0", body=one)
    info.ask(run, everything, version="5.0", body=one, consumer=REPORTS)
    info.ask(run, "evidenceRequired=1", "postureInfoByHost", version="2.0", consumer=WARNED)
    info.ask(run, "", "messageAssets", version="2.0", consumer=REPORTS)
    info.ask(run, "criticalityValues=0,5&status=Failed&compressionRequired=0", version="3.0")
    info.ask(run, "", "postureInfoByPosture", version="5.0", body=BY_POSTURE)
    info.ask(run, "compressionRequired=0", version="5.0", body=asked_by_host(1001))
    info.ask(run, "", "messageBody", body="[]")
    wide = json.dumps([{"subscriptionId": "700100", "postureId": "1-400001"}])
    info.ask(run, "", "messageTooLarge", version="5.0", body=wide)


NAMED = "resolveHostsAsUpstream"  # whose answers are the examples


def old_errors(run, operation, endpoint):
    def name(name):
        return name if operation == NAMED else None
    endpoint.ask(run, endpoint.wrong, name("messageParameter"))
    endpoint.ask(run, endpoint.stored, name("messageToken"), headers={"Authorization": "Bearer old"}, key="")
    endpoint.ask(run, endpoint.stored, name("messageNotFound"), version="6.0")
    endpoint.ask(run, endpoint.stored, consumer=LATE)
    if endpoint.foreign or endpoint.body:
        body = endpoint.body and asked_by_host(1002, 5000001)
        endpoint.ask(run, endpoint.foreign or "", name("messageForbidden"), body=body, consumer=REPORTS)
    endpoint.ask(run, endpoint.stored, headers={"X-Note": "a" * 9300})
    endpoint.ask(run, endpoint.new, headers={"Cache-Control": "only-if-cached"})


OLD_FAULTS = {"html": "messageBadGateway", "500": "messageUnavailable", "504": "messageTimeout"}


def old_failures(run, operation, endpoint):
    for fault, name in OLD_FAULTS.items():
        run.control.fault(fault, api=endpoint.api, times=-1)
        endpoint.ask(run, endpoint.new, name if operation == NAMED else None)
        run.control.reset()


def drop_in(exchanges):
    with Run(exchanges) as run:
        shown = {"Authorization": f"Bearer {logins(run)}"}
        old_lists(run, shown)
        old_postures(run, shown)
        for operation, endpoint in DROP_IN.items():
            old_errors(run, operation, endpoint)
            old_failures(run, operation, endpoint)
        run.ask("/admin/v1/migration", "migration")
        run.ask("/admin/v1/migration?format=csv", "migrationCsv")
        run.stack.gateway.stop()
        for operation, endpoint in DROP_IN.items():
            endpoint.ask(run, endpoint.new, "messageDown" if operation == NAMED else None)
        log_in(run, TEAM)
        run.stack.start_gateway()
    with Run(exchanges, settings={"cutoff": {"1.0": "2020-01-01", "4.0": "2020-01-01"}}) as run:
        for operation, endpoint in DROP_IN.items():
            endpoint.ask(run, endpoint.stored, "messageEnded" if operation == NAMED else None)
    with Run(exchanges) as run:
        for operation, endpoint in DROP_IN.items():
            endpoint.ask(run, endpoint.new, consumer=SMALL)
            endpoint.ask(run, endpoint.new, "messageQuota" if operation == NAMED else None, consumer=SMALL)


# --- scenes: each takes the list that exchanges go to

def results(exchanges):
    with Run(exchanges) as run:
        for operation, endpoint in ENDPOINTS.items():
            plain(run, operation, endpoint)
            slow(run, operation, endpoint)
            failing(run, operation, endpoint)
        early(run)


def whole(exchanges):
    """Results without pages."""
    query = "/v1/postures?policy=1001&host=5000001&fields=id,status,technology"
    posted = {"policy": [1001], "host": [5000001], "format": "csv"}
    with Run(exchanges) as run:
        run.ask(query + "&format=ndjson", "posturesNdjson")
        run.ask(query, "posturesCsv", headers={"Accept": "text/csv"})
        run.ask(query + "&format=csv", method="HEAD")
        run.ask("/v1/postures/query", method="POST", headers=JSON, body=json.dumps(posted))
        run.ask("/v1/postures?policy=1001,1999&format=csv", "_incomplete")
        run.ask("/v1/postures?policy=1001&evidence=extended&cloud=true&qds=true&format=ndjson")


def odd(exchanges):
    """All that the simulated upstream can say of a posture, hard texts and unknown members too."""
    with Run(exchanges, simulator={"nasty": True, "unknown_member": True, "hosts": 60}) as run:
        run.ask("/v1/postures?policy=1001&evidence=extended&cloud=true&qds=true&limit=1000")
        for version in ("1.0", "5.0"):
            DROP_IN["getPosturesAsUpstream"].ask(
                run, "evidenceRequired=1", version=version,
                body=asked_by_host(1001, *range(5000001, 5000061)))


def summaries(exchanges):
    path = "/v1/postures/summary"
    everything = "status,criticality,policyId,controlId,hostId,technologyId"
    with Run(exchanges) as run:
        run.ask(f"{path}?policy=1001,1002&by={everything}")
        run.ask(f"{path}?policy=1001&changedSince=2100-01-01", "summaryEmpty")
    # with all members a group has some 110 bytes: 8 MiB are 76,000
    with Run(exchanges, simulator={"policies": 1, "hosts": 800, "controls": 110, "evidence_bytes": 0}) as run:
        run.ask(f"{path}?policy=1001&by={everything}", "problemTooManyGroups", headers={"Prefer": "wait=60"})


def explanations(exchanges):
    path = "/v1/postures/explain"
    # here a query is answered out of a broader result, too
    with Run(exchanges, settings={"cache": {"cursor_grace": "1ms"}}) as run:
        run.ask(f"{path}?policy=1003")
        first = run.ask("/v1/postures?policy=1001,1002&limit=1").json()["page"]["next"]
        run.ask("/v1/postures?policy=1001&evidence=basic&limit=1")
        run.ask("/v1/policies/1001/hosts")
        run.ask(f"{path}?policy=1001&status=Failed", "explanation")
        run.ask(f"{path}?policy=1001&evidence=extended", "explanationOfAFetch")
        run.ask("/v1/postures?policy=1002&inactive=exclude&status=Failed&limit=1")
        run.ask(f"{path}?policy=1002&inactive=exclude&status=Error")
        run.ask(f"{path}?policy=1001&status=Failed", method="HEAD")
        run.ask(f"{path}?policy=1001&status=Passed", consumer=REPORTS)
        run.ask(f"{path}?{first.partition('?')[2]}")
        run.ask(f"{path}?policy=1001&assets=all", "explanationOfAProblem")
        hold = run.control.hold(api="postureInfo")
        accepted = run.ask("/v1/postures?policy=1003", headers=ASYNC)
        run.ask(f"{path}?policy=1003&status=Failed", "explanationInFlight")
        run.control.release(id=hold)
        run.wait_for("complete", accepted.headers["Location"])
        run.ask(f"{path}?policy=1001&limit=0&colour=red")
        run.ask(f"{path}?policy=1001", key="")
        run.ask(f"{path}?policy=1002", consumer=REPORTS)
        run.ask(f"{path}?policy=1001", headers={"Accept": "text/html"})
        run.ask(f"{path}?policy=1001", headers={"X-Note": "a" * 9300})
        run.ask(ENDPOINTS["summarizePostures"].long.replace("summary", "explain"))
        run.ask("/v1/postures?policy=1001,1002", headers=NO_CACHE)
        harness.wait_until(lambda: run.peek(f"{path}?{first.partition('?')[2]}").status == 410, "the cursor is gone")
        run.ask(f"{path}?{first.partition('?')[2]}")


def walks(exchanges):
    with Run(exchanges, settings={"cache": {"cursor_grace": "1ms"}}) as run:
        for operation, endpoint in ENDPOINTS.items():
            if "limit" in endpoint.stored:
                expired(run, operation, endpoint)
        run.ask("/v1/postures?cursor=AR-changed", "problemBadCursor")


def bodies(exchanges):
    path = "/v1/postures/query"
    with Run(exchanges) as run:
        run.ask(path, "queryRequest", "POST", JSON, ENDPOINTS["queryPostures"].stored)
        run.ask(path, "problemUnsupportedMediaType", "POST", {"Content-Type": "text/csv"}, "1001")
        large = json.dumps({"policy": [1001], "host": list(range(5000001, 5600001))})
        run.ask(path, "problemTooLarge", "POST", JSON, large)


def house(exchanges):
    """What is not about results, and what can come in any place."""
    with Run(exchanges) as run:
        run.ask("/metrics", "metrics", key="")
        run.ask("/metrics", "metricsText", headers={"Accept": "text/plain"}, key="")
        run.ask("/healthz", "alive", key="")
        run.ask("/readyz", "ready", key="")
        for path in ("/healthz", "/readyz", "/metrics"):
            run.ask(path, method="HEAD", key="")
            run.ask(path, headers={"Accept": "text/html"}, key="")
            run.ask(path + "?verbose=1", key="")
        run.ask("/v1/postures?policy=1001", "problemUnauthorized", key="")
        run.ask("/v1/postures?policy=1001", "problemNotAcceptable", headers={"Accept": "text/html"})
        run.ask("/v1/postures/10000000001", "problemMethodNotAllowed", "PUT")
        run.ask("/v1/nothing")
        run.ask("/v1/postures?policy=1001", "problemHeadersTooLarge", headers={"X-Note": "a" * 9300})
        run.ask("/v1/postures?policy=1001&assets=all", "problemVersionUnavailable")
        run.ask("/v1/postures?policy=1001,1999&limit=1&fields=id", "posturesIncomplete")
        by_posture = "/v1/postures?posture=10000000001-10000000003&fields=id"
        run.ask(by_posture, headers=ASYNC, consumer=REPORTS)
        run.ask(by_posture, consumer=REPORTS)
        run.ask("/v1/postures?policy=1002", headers={"Transfer-Encoding": "rot13"})
        fetches(run)
        run.stack.gateway.stop()
        for operation in ENDPOINTS.values():
            operation.ask(run, operation.stored)
        for path in ("/v1/fetches/1", "/healthz", "/readyz"):
            run.ask(path)
        run.ask("/v1/postures?policy=1001", "problemGatewayUnavailable")
        run.stack.start_gateway()


def fetches(run):
    run.control.fault("403", api="hostids", times=-1)
    accepted = run.ask("/v1/postures?policy=1003", headers=ASYNC)
    place = accepted.headers["Location"]
    run.wait_for("failed", place)
    run.control.reset()
    run.ask(place, "fetchFailed")
    run.ask(place, method="HEAD")
    run.ask("/v1/fetches/1", "problemNotFound")
    run.ask(place, consumer=REPORTS)
    run.ask(place, key="")
    run.ask(place, headers={"Accept": "text/html"})
    run.ask(place + "?limit=1")
    closed(run, "/v1/fetches")
    run.ask("/v1/fetches?limit=0")


def closed(run, path, method="GET"):
    """What a path with a key says to those who do not get in."""
    run.ask(path, method=method, key="")
    run.ask(path, method=method, headers={"Accept": "text/html"})
    run.ask(path + "?colour=red", method=method)
    run.ask(path, method=method, headers={"X-Note": "a" * 9300})
    if method == "GET":
        run.ask(path, method="HEAD")
    if path.startswith("/admin/"):
        run.ask(path, method=method, consumer=REPORTS)


def administration(exchanges):
    alone = {"upstream": FAILING["upstream"] | {"concurrency": 1, "rate_pinned": "true"}}
    with Run(exchanges, settings=alone) as run:
        hold = run.control.hold(api="postureInfo")
        first = "/admin" + run.ask("/v1/postures?policy=1001", headers=ASYNC).headers["Location"]
        run.control.wait(api="postureInfo", held=1)
        waiter = threading.Thread(target=run.ask, args=("/v1/postures?policy=1002", "problemCancelled"),
                                  kwargs={"headers": WAIT})
        waiter.start()
        second = harness.wait_until(lambda: find_fetch(run, "q1;policy=1002"), "its hosts are known")
        run.ask("/v1/fetches", "fetches")
        run.ask("/admin/v1/fetches", "adminFetches")
        run.ask(second, "adminFetch")
        run.ask("/admin/v1/budget", "budget")
        run.ask(second, "fetchCancelled", "DELETE")
        waiter.join()
        run.control.release(id=hold)
        run.wait_for("complete", first)
        run.ask(first, "problemFetchEnded", "DELETE")
        run.ask("/admin/v1/fetches/1", method="DELETE")
        run.ask("/admin/v1/fetches/1")
        closed(run, first, "DELETE")
        run.ask("/admin/v1/consumers", "consumers")
        run.ask("/admin/v1/migration?format=ndjson")
        for path in ("/admin/v1/fetches", first, "/admin/v1/budget", "/admin/v1/consumers",
                     "/admin/v1/migration"):
            closed(run, path)


def find_fetch(run, query):
    """The path of that query's fetch, once it fetches."""
    for fetch in run.peek("/admin/v1/fetches").json()["data"]:
        if (fetch["query"], fetch["state"]) == (query, "fetching"):
            return "/admin/v1/fetches/" + fetch["id"]
    return None


def quotas(exchanges):
    short = {"cache": {"fresh_for": "1ms", "stale_for": "0s", "keep_for": "1h"}}
    endpoint = ENDPOINTS["listPostures"]
    with Run(exchanges, settings=short) as run:
        endpoint.ask(run, endpoint.stored, consumer=SMALL)
        endpoint.ask(run, endpoint.stored, consumer=SMALL)  # an old result stands in
        for operation, endpoint in ENDPOINTS.items():
            name = "problemQuotaExceeded" if operation == "listPostures" else None
            endpoint.ask(run, endpoint.new, name, consumer=SMALL)


def browsers(exchanges):
    """Applications of an origin that is listed, and of one that is not."""
    with Run(exchanges, settings={"request": {"origins": ORIGIN}}) as run:
        for origin in (ORIGIN, "https://other.example.com"):
            name = "_browser" if origin == ORIGIN else None
            run.ask("/v1/postures?policy=1001&limit=1", name, headers={"Origin": origin})
            for path in ("/v1/postures?limit=0", "/v1/fetches", "/admin/v1/budget", "/healthz",
                         "/readyz", "/metrics", "/v1/nothing", "/v1/fetches/1"):
                run.ask(path, headers={"Origin": origin})
                run.ask(path, headers={"Origin": origin}, key="")
            for operation in DROP_IN.values():
                operation.ask(run, operation.stored, headers={"Origin": origin})
                operation.ask(run, operation.wrong, headers={"Origin": origin})
            run.ask("/auth", None, "POST", FORM | {"Origin": origin}, "username=team", key="")


def rejected(exchanges):
    """The upstream does not take the credential: from the start on, and after a good time."""
    with Run(exchanges) as run:
        run.ask("/v1/postures?policy=1001&limit=1")
        run.control.set(password="another")
        run.control.expire()
        run.ask("/v1/postures?policy=1002&limit=1", "problemUpstreamAuth")
        run.ask("/readyz", "readyDegraded", key="")
    with Run(exchanges) as run:
        run.control.set(password="another")
        run.ask("/v1/postures?policy=1001&limit=1")
        run.ask("/readyz", "readyDown", key="")


def holes(exchanges):
    strict = {"upstream": FAILING["upstream"] | {"missing_batches": "strict"}}
    with Run(exchanges, simulator={"hosts": 40}, settings=strict) as run:
        run.ask("/v1/postures?policy=1001&limit=1&fields=id")
        run.control.fault("lost_batch", api="postureInfo", times=-1)
        run.ask("/v1/postures?policy=1001&limit=1&fields=id", "problemUpstreamIncomplete",
                headers=NO_CACHE)
    with Run(exchanges, simulator={"hosts": 40, "batches": "skip", "batch_hosts": 1, "empty_hosts": 30}) as run:
        run.ask("/v1/postures?policy=1001&limit=1&fields=id")


def outside(exchanges):
    """A client of a network that is not an internal one."""
    def close_doors(stack):
        networks = stack.dir / "nginx" / "posturegate" / "networks.conf"
        networks.write_text(re.sub(r"^(\s+255\.255\.255\.255\s+)1;", r"\g<1>0;",
                                   networks.read_text(), flags=re.MULTILINE))
    with Run(exchanges, prepare=close_doors) as run:
        run.ask("/readyz", key="")
        run.ask("/metrics", key="")


SCENES = [results, whole, odd, summaries, explanations, walks, bodies, house, administration, quotas, browsers, rejected, holes,
          outside, drop_in]


def play():
    exchanges = []
    for scene in SCENES:
        scene(exchanges)
    return exchanges


# --- examples

ID, FETCH, RESULT = "b83c352871c5d729e72dfa45fc78d6bc", "2195c191213f", "1a2017a8f7d2ae42"
ETAG = "62d0faf3ab9501614bf6641d749dbce0"
CURSOR = "ARogF6j30q5CAAAAAAAAAAE6cJUOgGiWvwrxfZiItmu07yYOmqPGc68AAAAAAAAgAQAAAAAAAAIKAAEA1OBn7cGAlUxJalHSr7gtcQ"
TOKEN = ("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ0ZWFtIiwiaXNzIjoicG9zdHVyZWdhdGUiLCJhdWQiOiJwY3JzIi"
         "wiaWF0IjoxNzk1MzQxNjAwLCJleHAiOjE3OTUzNTYwMDAsImtpZCI6IjAxMjM0NTY3ODlhYmNkZWYifQ."
         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
ESTIMATE = 2
BEGUN = "2026-11-22T10:00:00Z"

# header, the example whose answer it is taken from, its own name if that is another
HEADERS = [
    ("ETag", "postures"), ("Cache-Control", "postures"), ("Vary", "postures"),
    ("Cache-Status", "postures"), ("Link", "postures"), ("Content-Disposition", "posturesCsv"),
    ("Warning", "_incomplete", "Incomplete"), ("Location", "accepted"),
    ("Retry-After", "accepted"), ("Preference-Applied", "accepted"),
    ("Allow", "problemMethodNotAllowed"), ("WWW-Authenticate", "problemUnauthorized"),
    ("Access-Control-Allow-Origin", "_browser"), ("Access-Control-Expose-Headers", "_browser"),
    ("Deprecation", "_warned"), ("Sunset", "_warned"), ("Link", "_warned", "Successor"), ("Warning", "_warned"),
]


def moment(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")


def stable_text(text):
    text = re.sub(r"cursor=[A-Za-z0-9_-]+", "cursor=" + CURSOR, text)
    text = re.sub(r"/fetches/[0-9a-f]{6,}", "/fetches/" + FETCH, text)
    text = re.sub(r"postures-[0-9]{8}T[0-9]{6}Z", "postures-" + re.sub("[-:]", "", BEGUN), text)
    text = re.sub(r"^eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$", TOKEN, text)
    return re.sub(r'"[0-9a-f]{32}"', f'"{ETAG}"', text)


def days_left(end):
    return (moment(end) - moment(BEGUN)).days if end else None


def stable_csv(text):
    """A report, as of the time that all examples are of."""
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, rows[0].keys())
    writer.writeheader()
    for row in rows:
        writer.writerow(row | {"firstSeen": BEGUN, "lastSeen": BEGUN, "daysLeft": days_left(row["endOfLife"])})
    return out.getvalue()


def stable(value):
    """The value with what stays in place of what changes with each run."""
    if isinstance(value, list):
        return [stable(v) for v in value]
    if not isinstance(value, dict):
        return stable_text(value) if isinstance(value, str) else value
    known = {"cachedAge": 842, "seconds": 1.158}
    if "title" in value and "status" in value:  # a problem: a posture has an instance, too
        known["instance"] = ID
    changed = {k: known.get(k, stable(v)) for k, v in value.items()}
    if "fetchedAt" in value:  # a result
        changed |= {"id": RESULT, "fetchedAt": BEGUN}
        if value["freshUntil"] is not None:
            life = moment(value["freshUntil"]) - moment(value["fetchedAt"])
            changed["freshUntil"] = (moment(BEGUN) + life).strftime("%Y-%m-%dT%H:%M:%SZ")
    if "how" in value or "refused" in value:  # of an explanation
        changed |= {"result": value["result"] and RESULT, "fetch": value["fetch"] and FETCH}
    if "daysLeft" in value:  # a row of the report
        changed |= {"firstSeen": BEGUN, "lastSeen": BEGUN, "daysLeft": days_left(value["endOfLife"])}
    if "estimateSeconds" in value:  # a fetch
        changed |= {"id": FETCH, "result": value["result"] and RESULT,
                    "estimateSeconds": value["estimateSeconds"] and ESTIMATE}
    return changed


def excerpt(text):
    """Of the figures, those of one name, which are 0 in a new gateway; and the end, if it has one."""
    return "".join(line for line in text.splitlines(keepends=True)
                   if "pcrs_stale_served" in line or line == "# EOF\n")


def asked(exchange):
    """The request in a line."""
    target = stable_text(exchange.target)
    if len(target) > 200:
        target = f"{target[:60]}… ({len(target)} bytes)"
    headers = "".join(f", {k}: {v[:40]}{'…' if len(v) > 40 else ''}"
                      for k, v in exchange.headers.items() if k not in ("Content-Type", "Authorization"))
    return f"{exchange.method} {target}{headers}"


def examples(exchanges):
    """name -> example object, by name."""
    made = {}
    named = {}
    for e in exchanges:
        if e.name is None:
            continue
        assert e.name not in named, e.name
        named[e.name] = e
        if e.name.startswith("_"):  # wanted for its headers alone
            continue
        made[e.name] = {"summary": asked(e), "value": stable(value_of(e))}
    for header, name, *own in HEADERS:
        text = named[name].answer.headers[header]
        value = ESTIMATE if header == "Retry-After" else stable_text(text)
        made["header" + (own[0] if own else header.replace("-", ""))] = {"value": value}
    return dict(sorted(made.items()))


OF_REQUESTS = {"queryRequest", "postureInfoByPosture", "postureInfoByHost"}
FIRST_ALONE = {"postureInfo1", "postureInfo5"}  # of many postures


def value_of(exchange):
    if exchange.name in OF_REQUESTS:
        return json.loads(exchange.body)
    if exchange.answer.headers["Content-Type"] == openapi.NDJSON:
        lines = map(json.loads, exchange.answer.body.splitlines())
        return "".join(json.dumps(stable(line), separators=(",", ":"), ensure_ascii=False) + "\n" for line in lines)
    if "json" in exchange.answer.headers.get("Content-Type", ""):
        value = exchange.answer.json()
        return value[:1] if exchange.name in FIRST_ALONE else value
    text = exchange.answer.body.decode()
    if exchange.name == "migrationCsv":
        return stable_csv(text)
    return excerpt(text) if "pcrs_" in text else text


class Dumper(yaml.SafeDumper):
    """Lists are indented, as in the part that people write."""

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


MADE = re.compile(r"(?<=\n  examples:)[ \n].*", re.DOTALL)


def write(path, made):
    lines = yaml.dump(made, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=96).splitlines()
    text = "\n" + "".join(f"    {line}".rstrip() + "\n" for line in lines)
    path.write_text(MADE.sub(lambda _: text, path.read_text()))


if __name__ == "__main__":
    write(openapi.PATH, examples(play()))
