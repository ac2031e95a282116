"""Consumers who still speak the upstream's own protocol, as scripts do that are not to be touched: log
in, list policies, resolve their hosts, pull postures with the answer of that in the body. Beside those
of habits.py, in the same loops; what they are answered is judged by legacy.py."""

import collections
import json
import re
import time
import urllib.parse

import habits
import harness
import legacy
from habits import CUT_SHORT, EXCUSES, Stopped
from oracle import Wrong

STREAM_S = 60       # without a byte: pauses are filled every 15 s
BEFORE_RECORDS_S = 240   # in plain text there is nothing to fill with before the first record
LIST_S = 120        # a list is waited for 80 s
LIST_PATIENCE_S = 75     # who is told that it is not ready has waited so long at least
PIECE_BYTES = 65536

# (version, endpoint, parameters, body, the status that it has to have)
MISTAKES = [
    ("1.0", "postureInfo", {"status": "Passed"}, [], 400),
    ("2.0", "postureInfo", {"cloudMetaDataRequired": "1"}, [], 400),
    ("4.0", "postureInfo", {"qdScoreRequired": "1"}, [], 400),
    ("5.0", "postureInfo", {"evidenceRequired": "yes"}, [], 400),
    ("3.0", "postureInfo", {"lastScanDate": "2026-10-01", "lastScanDateTo": "2026-11-01"}, [], 400),
    ("5.0", "postureInfo", {}, {"policyId": "1001"}, 400),
    ("6.0", "postureInfo", {}, [], 404),
    ("1.0", "hostids", {}, None, 400), ("2.0", "hostids", {"statusChangedSince": "2026-10-01"}, None, 400),
    ("0.9", "hostids", {"policyId": "1001"}, None, 404),
    ("3.0", "policyList", {}, None, 404), ("1.0", "policyList", {"requireTagInfo": "1"}, None, 400),
]
PATHS = {"policyList": "policy/list", "hostids": "hostids", "postureInfo": "postureInfo"}
SIMPLE = ({}, {"compressionRequired": "0"}, {"evidenceRequired": "1", "compressionRequired": "1"},
          {"evidenceRequired": "1", "compressionRequired": "0"})
SCANNED = ("2026-10-20", "2026-10-28T12:00:00Z", "2026-11-01")


class Stream:
    """An answer that is read as it comes; broke: what it broke off with, or None. It holds what came
    until then."""

    def __init__(self, response, piece_read):
        self.status, self.headers = response.status, response.headers
        self.body, self.broke = b"", None
        try:
            while piece := response.read1(PIECE_BYTES):
                self.body += piece
                piece_read(len(self.body))
            if response.length:   # http.client takes a short one for whole
                raise ConnectionError(f"{response.length} bytes less than announced")
            response.close()      # which read1() leaves to others
        except CUT_SHORT as e:
            self.broke = e

    @property
    def ends_visibly(self):
        """Its end cannot be taken for that of the connection."""
        return self.headers["Transfer-Encoding"] == "chunked" or "Content-Length" in self.headers

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Script(habits.Caller):
    """All grants. One turn is one pull, now and then with lists before it that are new; what hostids has
    told is used again meanwhile, as a whole or in pieces."""

    grants = {"legacy": "allow"}
    think_s = (1, 4)
    patience_s = BEFORE_RECORDS_S

    def __init__(self, *args):
        super().__init__(*args)
        self.judge_of = self.soak.legacy_judge
        self.token = None
        self.spoilt = False
        self.resolved = []                    # as hostids told it last, whatever the version
        self.asked = collections.Counter()    # (version, endpoint): requests that left
        self.answered = []                    # ((version, endpoint), ended, records, bytes)

    # --- asking

    def request(self, method, target, body=None, headers=None, timeout_s=LIST_S, reading=None):
        """A Stream, with .began and .ended; None: cut short by a kill before there was a head."""
        if self.soak.stopping.is_set():
            raise Stopped
        if self.client is None:
            self.client = harness.Client(self.soak.stack.nginx_socket)
        connection = self.client.connection
        connection.timeout = timeout_s
        if connection.sock is not None:
            connection.sock.settimeout(timeout_s)
        began, answer = time.time(), None
        try:
            answer = Stream(self.client.start(method, target, headers, body), reading or (lambda _: None))
        except CUT_SHORT as e:
            self.broke_off(f"{method} {target[:200]}", began, e, False)
            return None
        finally:
            if answer is None or answer.broke is not None:
                self.close()
        answer.began, answer.ended = began, time.time()
        self.counts[answer.status] += 1
        if not answer.ends_visibly:
            raise Wrong(f"an answer whose end cannot be seen: {method} {target[:200]}: {answer}")
        return answer

    def broke_off(self, what, began, error, streams):
        """The transfer broke: for whose sake? A pause that nobody fills is no break."""
        ended = time.time()
        if not self.soak.chaos.disturbed(began, ended):
            if not streams or isinstance(error, TimeoutError) or not self.soak.chaos.ailing(began, ended):
                raise Wrong(f"{what} broke off after {ended - began:.1f} s: {error!r}")
        self.counts["cut"] += 1

    def login(self, secret=None, expect=201):
        """True: there is a token."""
        self.asked[None, "auth"] += 1
        name, _, own = self.consumer.key.partition(".")
        answer = self.request("POST", "/auth", urllib.parse.urlencode(
            {"username": name, "password": secret or own, "token": "true", "permissions": "true"}),
            {"Content-Type": "application/x-www-form-urlencoded"})
        if answer is None or self.is_excused("POST /auth", answer, None, None, (expect,)):
            return False
        if answer.status == 201:
            if not re.fullmatch(rb"[\w-]+\.[\w-]+\.[\w-]+", answer.body):
                raise Wrong(f"a token is {answer}")
            self.token = answer.body.decode()
            self.answered.append(((None, "auth"), answer.ended, 0, 0))
        return answer.status == 201

    def call(self, version, endpoint, params, body=None, expect=(200,), **more):
        """An answer with one of the expected statuses, or None: one that is excused. It logs in where
        there is no token, and again where the gateway says so."""
        for _ in range(2):
            if self.token is None and not self.login():
                return None
            answer = self.call_once(version, endpoint, params, body, expect, **more)
            if answer is None or answer.status == 404:   # a version there is not: nobody looks at tokens
                return answer
            if answer.status != 401:
                if self.spoilt:
                    raise Wrong(f"a spoilt token was taken: {answer}")
                return answer
            if not self.spoilt:
                raise Wrong(f"a good token was refused: {answer}")
            self.token, self.spoilt = None, False
        raise Wrong(f"a new token was refused: {answer}")

    def call_once(self, version, endpoint, params, body, expect, **more):
        target = f"/pcrs/{version}/posture/{PATHS[endpoint]}"
        target += ("?" + urllib.parse.urlencode(params)) if params else ""
        self.asked[version, endpoint] += 1
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        answer = self.request("GET" if body is None else "POST", target, body, headers, **more)
        if answer is None or self.is_excused(target, answer, version, endpoint, (*expect, 401)):
            return None
        if answer.status >= 400 and answer.broke is None and answer.status not in (401, 404):
            self.answered.append(((version, endpoint), answer.ended, 0, 0))
        return answer

    def is_excused(self, what, answer, version, endpoint, expect):
        """What holds for every answer. True: it is an error, one that may be in this run."""
        what = f"{what[:300]}: {answer}"
        error = answer.status >= 400
        if error and answer.broke is not None:
            self.broke_off(what, answer.began, answer.broke, False)
            return True
        message = legacy.message_of(answer.headers, answer.body, what) if error else None
        of_nginx = legacy.MESSAGES_OF_NGINX.get(message)
        if of_nginx is None:
            legacy.check_limits(answer.headers, what)
            if version in legacy.VERSIONS and answer.status != 404:
                legacy.check_sunset(answer.headers, endpoint, version, what)
        if answer.status in expect:
            return False
        if not error:
            raise Wrong(f"not {expect}: {what}")
        slug = of_nginx or self.soak.titles.get((answer.status, message))
        self.counts[slug or "unknown"] += 1
        self.check_excuse(slug, answer, what)
        return True

    def check_excuse(self, slug, answer, what):
        chaos = self.soak.chaos
        if slug == "not-ready":
            if answer.ended - answer.began < LIST_PATIENCE_S and (
                    not chaos.disturbed(answer.began, answer.ended)):
                raise Wrong(f"after {answer.ended - answer.began:.1f} s: {what}")
            return
        excuse = EXCUSES.get(slug)
        if not excuse or not chaos.struck(excuse):
            raise Wrong(f"without an excuse: {what}")
        if excuse == "kill" and not chaos.disturbed(answer.began, answer.ended):
            raise Wrong(f"while the gateway was up: {what}")
        if answer.status in (429, 503):
            self.check_retry_after(answer, what)

    # --- turns

    def turn(self):
        if self.token is not None and self.random.random() < 0.04:
            self.token, self.spoilt = self.token[:-6] + "AAAAAA", True
        version = self.random.choice(legacy.VERSIONS)
        chance = self.random.random()
        if chance < 0.06:
            self.mistake()
        elif chance < 0.12:
            self.list_policies()
        elif not self.resolved or chance < 0.3:
            self.resolve(version)
        if self.resolved:
            self.pull(version)

    def mistake(self):
        version, endpoint, params, body, status = self.random.choice(MISTAKES)
        if self.random.random() < 0.1:
            self.login(secret="0" * 64, expect=401)
            return
        body = None if body is None else json.dumps(body)
        self.call(version, endpoint, params, body, expect=(status,))

    def list_policies(self):
        version, params = self.random.choice(legacy.LIST_VERSIONS), {}
        if version == "2.0" and self.random.random() < 0.5:
            params["requireTagInfo"] = self.random.choice("01")
        if self.random.random() < 0.4:
            params["lastEvaluationDate"] = self.random.choice(["2026-10-28", "2026-11-03T12:00:00Z"])
        answer = self.call(version, "policyList", params)
        if answer is None or self.is_broken(answer, "policyList"):
            return
        count = self.judge_of.policies(self.consumer, version, params, answer.body, answer.began,
                                       answer.ended)
        self.note(version, "policyList", answer, count, len(answer.body))

    def resolve(self, version):
        """Hosts of some policies, as scripts write their lists; of all there are, where a version has
        that."""
        known, params = self.known_policies(), {}
        # few lists, so that they are asked for again
        policies = self.random.choice([known[:1], known[:2], known[1:4], known[-2:]])
        if version >= "3.0" and self.random.random() < 0.15:
            policies = None
        else:
            params["policyId"] = self.random.choice([",", ", "]).join(map(str, policies))
        since = self.random.choice(SCANNED) if self.random.random() < 0.15 else None
        if since is not None:
            params["lastScanDate"] = since
        answer = self.call(version, "hostids", params)
        if answer is None or self.is_broken(answer, "hostids"):
            return
        elements, hosts = self.judge_of.hosts(self.consumer, policies, since, answer.body, answer.began,
                                              answer.ended)
        self.note(version, "hostids", answer, hosts, len(answer.body))
        self.resolved = elements

    def is_broken(self, answer, what):
        if answer.broke is None:
            return False
        self.broke_off(what, answer.began, answer.broke, False)
        return True

    def known_policies(self):
        return [p for p in self.soak.policies if self.consumer.may_see(p)]

    def note(self, version, endpoint, answer, records, size):
        self.answered.append(((version, endpoint), answer.ended, records, size))

    # --- pulling

    def params(self, version):
        """Random parameters of a version, of few values, so that some come again; most scripts are
        simple."""
        rng, params = self.random, {}
        if rng.random() < 0.5:
            return dict(rng.choice(SIMPLE))
        def sometimes(chance, since, name, *values):
            if version >= since and rng.random() < chance:
                params[name] = rng.choice(values)
        sometimes(0.7, "1.0", "compressionRequired", "0", "1")
        sometimes(0.6, "1.0", "evidenceRequired", "0", "1", "1")
        sometimes(0.1, "1.0", "evidenceTruncationLimit", "1000")
        sometimes(0.1, "1.0", "lastEvaluationDate", *SCANNED)
        sometimes(0.1, "1.0", "statusChangedSince", "2026-09-15", "2026-11-02")
        sometimes(0.1, "1.0", "lastScanDate", *SCANNED)
        if "lastScanDate" not in params and rng.random() < 0.1:
            params |= {"lastScanDateFrom": "2026-10-15", "lastScanDateTo": rng.choice(SCANNED)}
        sometimes(0.15, "2.0", "excludeInactiveControl", "0", "1")
        sometimes(0.3, "3.0", "cloudMetaDataRequired", "0", "1")
        sometimes(0.2, "3.0", "status", "Passed", "failed, Error", "ERROR")
        sometimes(0.1, "3.0", "previousStatus", "Passed", "Failed")
        sometimes(0.1, "3.0", "criticalityValues", "0,5", "3")
        if "criticalityValues" not in params:
            sometimes(0.1, "3.0", "criticalityLabels", "URGENT", "minimal, SERIOUS")
        sometimes(0.4, "5.0", "extendedEvidenceRequired", "0", "1")
        sometimes(0.3, "5.0", "qdScoreRequired", "0", "1")
        return params

    def pull(self, version):
        if version == "5.0" and self.random.random() < 0.2:
            call = self.by_posture()
        else:
            call = legacy.Call(version, self.params(version), self.elements())
        self.pull_call(call)

    def elements(self):
        """Of what hostids has told: whole lists, or pieces."""
        chosen, pieces = [], self.random.random() < 0.4
        most = min(len(self.resolved), self.random.randint(1, 3))
        for element in self.random.sample(self.resolved, most):
            hosts = element["hostIds"]
            if pieces and hosts:
                hosts = self.random.sample(hosts, self.random.randint(1, len(hosts)))
            chosen.append({**element, "hostIds": hosts})
        return chosen

    def by_posture(self):
        data, spans = self.oracle.data, []
        for _ in range(self.random.randint(1, 4)):
            policy = self.random.choice(self.soak.policies[:3])
            first = self.random.choice(sorted(data.generations[0][policy]))
            spans.append((first, first + self.random.choice([0, 3, 20000])))
        return legacy.Call("5.0", self.params("5.0"), spans=spans, subscription=data.subscription)

    def pull_call(self, call):
        plain = call.plain
        slowly = self.random.random() < 0.05
        leaves_at = self.random.choice([1, 20000]) if self.random.random() < 0.03 else None

        def reading(came):
            if plain and self.client.connection.sock is not None:
                self.client.connection.sock.settimeout(STREAM_S)
            if leaves_at is not None and came >= leaves_at:
                raise Left
            if slowly:
                self.pause(self.random.uniform(0, 0.5))
        try:
            answer = self.call(call.version, "postureInfo", call.params, call.body(), reading=reading,
                               timeout_s=BEFORE_RECORDS_S if plain else STREAM_S)
        except Left:
            self.close()
            self.counts["hung up"] += 1
            return
        if answer is not None:
            self.judge_stream(call, answer)

    def judge_stream(self, call, answer):
        cache_status = answer.headers["Cache-Status"] or ""
        if call.parts() and not cache_status.startswith("posturegate; "):
            raise Wrong(f"Cache-Status is {cache_status}")
        self.counts["live" if "fwd=" in cache_status else "hits"] += 1
        more = (call, self.consumer, answer.body, answer.began, answer.ended, cache_status)
        if answer.broke is not None:
            self.broke_off(f"{call.version} {call.params}", answer.began, answer.broke, True)
            self.judge_of.broken(*more)
            return
        records, size = self.judge_of.whole(*more)
        self.counts["records"] += records
        self.note(call.version, "postureInfo", answer, records, size)


class Left(Exception):
    """The script was ended in the middle of an answer."""


class Restricted(Script):
    """May see two policies and no evidence, and asks for more."""

    grants = {"legacy": "allow", "policies": "1001,1003", "evidence": False}
    FOREIGN = 1002

    def turn(self):
        if self.random.random() < 0.1:
            self.ask_for_foreign()
        super().turn()

    def ask_for_foreign(self):
        version = self.random.choice(legacy.VERSIONS)
        if self.random.random() < 0.5:
            self.call(version, "hostids", {"policyId": f"1001,{self.FOREIGN}"}, expect=(403,))
            return
        body = json.dumps([{"policyId": str(self.FOREIGN), "hostIds": ["5000001"],
                                   "subscriptionId": str(self.oracle.data.subscription)}])
        self.call(version, "postureInfo", {}, body, expect=(403,))


HABITS = [("old-script", Script), ("old-restricted", Restricted)]
