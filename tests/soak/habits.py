"""The consumers: each a thread with a grant, a habit and a generator of its own, seeded by the run.

A habit is a class with turn(), which asks once, or walks once; HABITS at the end has one row for
each consumer; those who speak the upstream's own protocol are in scripts.py. Every answer passes
Caller.ask(), which knows what may be said at all; the habit knows what it has asked for.

The loops are light: they think between their turns, and their threads run only when nobody else
wants the processor (SCHED_IDLE), so that it is the gateway that is measured.
"""

import collections
import http.client
import json
import os
import pathlib
import random
import re
import socket
import threading
import time
import traceback

import harness
import oracle
from oracle import Query, Wrong

# problem -> the kinds of chaos of which one must have struck before it is an honest error; "":
# it needs none. What is not here is never honest in this run.
EXCUSES = {
    "bad-request": "", "unauthorized": "", "forbidden": "", "not-found": "", "bad-cursor": "",
    "not-cached": "", "cursor-expired": "", "quota-exceeded": "", "fetch-ended": "",
    "cancelled": "cancel",
    "upstream-bad-data": "damage", "upstream-refused": "refusal", "upstream-retired": "refusal",
    "upstream-incomplete": "holes", "upstream-forbidden": "refusal", "upstream-unavailable": "failure", "upstream-timeout": "slow",
    "upstream-auth": "login", "gateway-unavailable": "kill", "stopping": "kill",
    "gateway-timeout": "kill",
}
PATIENCE_S = 45          # of a socket: far beyond every wait that is asked for
FOLLOW_S = 150           # of one who follows a 202
STATES = ("queued", "resolving", "fetching", "complete", "failed", "cancelled")
CUT_SHORT = (http.client.HTTPException, OSError)


def documented_problems(path):
    """{slug: the statuses that it may have} of the tables in docs/api.md."""
    known = {}
    for slug, status in re.findall(r"^\| `([a-z-]+)` \| ([0-9]{3}) \|", path.read_text(), re.M):
        known.setdefault(slug, set()).add(int(status))
    return known


class Consumer(harness.Consumer):
    """With what its grants mean."""

    def __init__(self, name, policies="*", evidence=True, force=False, admin=False, quota=0,
                 legacy="strict"):
        super().__init__(name, policies=policies, evidence=str(evidence).lower(), quota=quota,
                         force=str(force).lower(), admin=str(admin).lower(), legacy=legacy)
        self.policies = policies
        self.sees_evidence = evidence
        self.forces = force
        self.sees_all = policies == "*"

    def may_see(self, policy):
        return self.sees_all or str(policy) in self.policies.split(",")


class Caller(threading.Thread):
    """One consumer at work. soak has: stack, oracle, chaos, stopping, problems (documented),
    wrong(text)."""

    grants = {}
    think_s = (0.5, 2)
    patience_s = PATIENCE_S

    def __init__(self, soak, consumer, seed):
        super().__init__(name=consumer.name, daemon=True)
        self.soak = soak
        self.oracle = soak.oracle
        self.consumer = consumer
        self.random = random.Random(f"{seed} {consumer.name}")
        self.counts = collections.Counter()
        self.client = None
        self.turns = 0

    # --- the loop

    def run(self):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        while not self.soak.stopping.wait(self.random.uniform(*self.think_s)):
            try:
                self.turn()
                self.turns += 1
            except Wrong as e:
                self.soak.wrong(f"{self.name}: {e}")
            except Stopped:
                break
            except Exception:  # noqa: BLE001  what nobody has thought of is wrong too
                self.soak.wrong(f"{self.name}: {traceback.format_exc(limit=-4)}")
        self.close()

    def turn(self):
        raise NotImplementedError

    def close(self):
        if self.client is not None:
            self.client.close()
            self.client = None

    # --- asking

    def ask(self, method, target, headers=None, body=None, key=None, expect=()):
        """An answer, or None where the gateway or nginx broke off because the gateway was killed.
        What is not in `expect` and no usual way to end is Wrong."""
        if self.soak.stopping.is_set():
            raise Stopped
        if self.client is None or self.client.key != (self.consumer.key if key is None else key):
            self.close()
            self.client = harness.Client(self.soak.stack.nginx_socket,
                                         self.consumer.key if key is None else key, PATIENCE_S)
        began = time.time()
        try:
            answer = self.client.request(method, target, headers, body)
        except CUT_SHORT as e:
            self.close()
            if self.soak.chaos.disturbed(began, time.time()):
                self.counts["cut"] += 1
                return None
            raise Wrong(f"{method} {target[:200]} broke off: {e!r}") from e
        answer.began, answer.ended = began, time.time()
        self.counts[answer.status] += 1
        self.judge(method, target, answer, expect)
        return answer

    def get(self, target, headers=None, expect=(), **params):
        if params:
            target += "?" + harness.query_string(params)
        return self.ask("GET", target, headers, expect=expect)

    def judge(self, method, target, answer, expect):
        """What holds for every answer."""
        what = f"{method} {target[:300]}: {answer}"
        status, headers = answer.status, answer.headers
        if method != "HEAD" and status != 304 and int(headers["Content-Length"]) != len(answer.body):
            raise Wrong(f"Content-Length {headers['Content-Length']} of {len(answer.body)}: {what}")
        if status >= 400 and method != "HEAD":
            self.judge_problem(answer, what)
        if status in expect:
            return
        if status == 202:
            if not re.fullmatch(r"/v1/fetches/[0-9a-f]+", headers["Location"] or ""):
                raise Wrong(f"no Location: {what}")
            self.check_retry_after(answer, what)
            self.check_fetch(answer.json(), what)
        elif status not in (200, 304, 502, 503, 504):
            raise Wrong(what)
        if status in (200, 304) and target.startswith(("/v1/postures", "/v1/policies")):
            self.check_cache_status(answer, what)

    def judge_problem(self, answer, what):
        if answer.headers["Content-Type"] != "application/problem+json":
            raise Wrong(f"no problem+json: {what}")
        problem = answer.json()
        slug = problem["type"].removeprefix("/problems/")
        if answer.status not in self.soak.problems.get(slug, ()) or problem["status"] != answer.status:
            raise Wrong(f"not documented: {what}")
        self.counts[slug] += 1
        excuse = EXCUSES.get(slug)
        if excuse is None or (excuse and not self.soak.chaos.struck(excuse)):
            raise Wrong(f"without an excuse: {what}")
        if excuse == "kill" and not self.soak.chaos.disturbed(answer.began, answer.ended):
            raise Wrong(f"while the gateway was up: {what}")
        if answer.status in (429, 503) or slug == "gateway-unavailable":
            self.check_retry_after(answer, what)

    @staticmethod
    def check_retry_after(answer, what):
        if not re.fullmatch("[0-9]{1,5}", answer.headers["Retry-After"] or ""):
            raise Wrong(f"Retry-After is {answer.headers['Retry-After']}: {what}")

    @staticmethod
    def check_cache_status(answer, what):
        text = answer.headers["Cache-Status"] or ""
        if not text.startswith("posturegate") or ("; hit" in text) == ("; fwd=" in text):
            raise Wrong(f"Cache-Status is {text}: {what}")

    @staticmethod
    def check_fetch(fetch, what):
        done, planned = fetch["calls"]["done"], fetch["calls"]["planned"]
        if fetch["state"] not in STATES or done > planned:
            raise Wrong(f"a fetch is {fetch}: {what}")
        if (fetch["state"] == "complete") != (fetch["result"] is not None):
            raise Wrong(f"a fetch is {fetch}: {what}")

    # --- queries

    def first_page(self, query, headers=None, post=False):
        """Asks a query and follows 202 until there is a page. The answer, or None: an honest error
        or the end of patience."""
        if not post:
            return self.followed(lambda: self.get("/v1/postures", headers, **query.url()))
        body = json.dumps(query.document() | {"limit": query.limit})
        headers = {"Content-Type": "application/json"} | (headers or {})
        return self.followed(lambda: self.ask("POST", "/v1/postures/query", headers, body))

    def followed(self, ask):
        """Asks again and again while the answer is 202."""
        deadline = time.monotonic() + FOLLOW_S
        while True:
            answer = ask()
            if answer is None or answer.status != 202:
                return answer if answer is not None and answer.status in (200, 304) else None
            self.look_at_fetch(answer)
            if time.monotonic() > deadline:
                self.counts["gave up"] += 1
                return None
            self.pause(int(answer.headers["Retry-After"]))

    def look_at_fetch(self, accepted):
        """The resource that a 202 names answers; the fetch, or None."""
        answer = self.get(accepted.headers["Location"], expect=(404,))
        if answer is None or answer.status != 200:
            # fetches do not outlive the process
            if (answer is not None and answer.status == 404 and
                    not self.soak.chaos.disturbed(accepted.began, answer.ended)):
                raise Wrong(f"{accepted.headers['Location']} of a 202 is {answer}")
            return None
        fetch = answer.json()
        self.check_fetch(fetch, "GET " + accepted.headers["Location"])
        return fetch

    def follow(self, accepted):
        """Watches the fetch of a 202 until it has ended; it, or None."""
        deadline = time.monotonic() + FOLLOW_S
        while time.monotonic() < deadline:
            self.pause(2)
            fetch = self.look_at_fetch(accepted)
            if fetch is None or fetch["state"] in ("complete", "failed", "cancelled"):
                if fetch is not None and fetch["state"] == "failed":
                    self.counts["failed fetches"] += 1
                    if fetch.get("problem", "").removeprefix("/problems/") not in EXCUSES:
                        raise Wrong(f"a fetch failed: {fetch}")
                return fetch
        self.counts["gave up"] += 1
        return None

    def pause(self, seconds):
        if self.soak.stopping.wait(seconds):
            raise Stopped

    def check_page(self, query, answer, position=0):
        self.oracle.check_tag(answer.headers["ETag"], answer.body)
        if not self.consumer.sees_evidence and b'"expectedValues"' in answer.body:
            raise Wrong(f"{self.name} sees evidence")
        if position == 0 and query.policies != {self.soak.probed} and (
                int(answer.headers["Age"]) > self.soak.most_age_s + 1):
            raise Wrong(f"a page of age {answer.headers['Age']}, kept for too long: {query.params}")
        self.counts["pages"] += 1
        return self.oracle.page(query, self.consumer, answer.body, position, answer.ended)

    def walk(self, query, headers=None, post=False, rest_s=(0, 0.1)):
        """From the first page to the last one; honest errors end it early."""
        answer = self.first_page(query, headers, post)
        ids, result = [], None
        while answer is not None and answer.status == 200:
            page = self.check_page(query, answer, len(ids))
            if result not in (None, page["result"]["id"]):
                raise Wrong(f"a walk went from result {result} to {page['result']['id']}")
            result = page["result"]["id"]
            ids += [p["id"] for p in page["data"]]
            if "next" not in page["page"]:
                self.oracle.whole(query, self.consumer, ids, result)
                self.counts["walks"] += 1
                return
            self.soak.a_cursor = page["page"]["next"]
            self.pause(self.random.uniform(*rest_s))
            answer = self.next_page(page["page"]["next"])

    def next_page(self, target):
        """A page of a walk is always there while the gateway is: its result is kept."""
        for _ in range(20):
            answer = self.get(target)
            if answer is not None and answer.status != 502:
                if answer.status != 200:
                    raise Wrong(f"a walk was ended by {answer}")
                return answer
            self.pause(0.5)   # the gateway has just been killed
        raise Wrong(f"a walk found no gateway for long: {target[:100]}")

    # --- making queries

    def policy(self):
        return self.random.choice(self.soak.policies)

    def some(self, values, most):
        return sorted(self.random.sample(values, self.random.randint(1, min(most, len(values)))))

    def day(self):
        """A date in the months that the data are of."""
        text = f"2026-{self.random.randint(8, 10):02}-{self.random.randint(1, 30):02}"
        return text + self.random.choice(["", "T08:30:00Z"])


class Stopped(Exception):
    """The soak is over."""


# --- the habits

class Walker(Caller):
    """Walks through all pages, of any size."""

    think_s = (1, 4)

    def turn(self):
        limit = self.random.choice([7, 50, 250, 1000])
        query = dict(policy=self.some(self.soak.policies, 2), limit=limit)
        if limit == 7:
            query |= dict(policy=[self.policy()], status="Error")
        if self.random.random() < 0.5:
            query["evidence"] = "extended"
        # slow enough, now and then, for its result to be replaced meanwhile
        self.walk(Query(**query), rest_s=self.random.choice([(0, 0.1), (0, 0.1), (0.5, 4)]))


class Dashboard(Caller):
    """Polls the same few queries, with the ETag of the last time; may not see evidence, and asks
    for it."""

    grants = {"evidence": False}
    think_s = (0.3, 1)

    def __init__(self, *args):
        super().__init__(*args)
        self.queries = [
            Query(policy=[1001], status="Failed", limit=25, evidence="extended"),
            Query(policy=[1002], evidence="extended", limit=50),
            Query(policy=[1001], limit=20, fields=["id", "status", "evidence", "causeOfFailure"]),
        ]
        self.tags = {}

    def turn(self):
        number = self.random.randrange(len(self.queries))
        query, tag = self.queries[number], self.tags.get(number)
        answer = self.first_page(query, {"If-None-Match": tag} if tag else None)
        if answer is None:
            return
        if answer.status == 304:
            if answer.headers["ETag"] != tag or answer.body:
                raise Wrong(f"a 304 to {tag} has {answer.headers['ETag']} and {len(answer.body)} bytes")
            return
        if answer.headers["ETag"] == tag:
            raise Wrong(f"a whole answer with the ETag {tag} that was asked not to come again")
        self.check_page(query, answer)
        self.tags[number] = answer.headers["ETag"]


class Cold(Caller):
    """Asks what nobody has asked before."""

    think_s = (4, 10)

    def turn(self):
        query = dict(policy=[self.policy()], limit=self.random.choice([20, 100, 200]))
        filters = {
            "status": lambda: self.some(["Passed", "Failed", "Error"], 2),
            "previousStatus": lambda: self.random.choice(["Passed", "Failed"]),
            "criticality": lambda: self.some([0, 1, 2, 3, 4, 5], 3),
            "evaluatedSince": self.day, "scannedSince": self.day, "changedSince": self.day,
            "inactive": lambda: "exclude", "cloud": lambda: True, "qds": lambda: True,
            "evidence": lambda: self.random.choice(["basic", "extended"]),
            "host": lambda: self.some(self.soak.oracle.data.hosts[query["policy"][0]], 20),
            "fields": lambda: ["id", "status", "hostId", "controlId", "qds"],
        }
        for name in self.random.sample(sorted(filters), self.random.randint(1, 4)):
            query[name] = filters[name]()
        self.walk(Query(**query))


class ByPosture(Caller):
    """Asks for postures by their own IDs, single ones and ranges; sees one policy only."""

    grants = {"policies": "1001"}
    think_s = (3, 8)

    def posture(self, policy):
        data = self.oracle.data.generations[0][policy]
        return self.random.choice(sorted(data))

    def turn(self):
        if self.random.random() < 0.4:
            self.one(self.posture(self.random.choice([1001, 1001, 1002])))
            return
        spans = [(self.posture(1001),) * 2 for _ in range(self.random.randint(1, 5))]
        first = self.posture(self.random.choice([1001, 1002]))
        spans.append((first, first + self.random.randint(1, 20000)))
        spans.append((self.posture(1002),) * 2)
        self.walk(Query(posture=spans, limit=self.random.choice([3, 50])))

    def one(self, number):
        answer = self.get(f"/v1/postures/{number}", expect=(404,))
        there = self.oracle.exists(number, self.consumer)
        if answer is None or answer.status not in (200, 404):
            return
        if (answer.status == 200) != there:
            raise Wrong(f"posture {number} is answered with {answer}")
        if there:
            body = oracle.reference.parse(answer.body)
            self.oracle.one(number, self.consumer, body["data"], body["result"], answer.ended)


class Poster(Caller):
    """Sends long lists of hosts in a body."""

    grants = {"policies": "1001,1002,1003"}
    think_s = (4, 9)

    def turn(self):
        policies = self.some([1001, 1002, 1003], 2)
        hosts = sorted({h for p in policies for h in self.oracle.data.hosts[p]})
        known = self.some(hosts, len(hosts))
        unknown = list(range(9000000, 9000000 + self.random.choice([0, 10, 2000])))
        self.walk(Query(policy=policies, host=known + unknown, limit=100), post=True)


class Forcing(Caller):
    """Wants it fetched anew, and may. A 202 is followed to the end of its fetch; what is asked then
    is the plain query, because no-cache would begin again."""

    grants = {"force": True}
    think_s = (8, 16)

    def turn(self):
        query = Query(policy=[self.random.choice([1003, 1004])], limit=50)
        began = time.time()
        answer = self.get("/v1/postures", {"Cache-Control": "no-cache"}, **query.url())
        if answer is not None and answer.status == 202:
            fetch = self.follow(answer)
            if fetch is None or fetch["state"] != "complete":
                return
            answer = self.get("/v1/postures", **query.url())
        elif answer is not None and answer.status == 200 and "; hit" in answer.headers["Cache-Status"]:
            raise Wrong(f"no-cache was answered with {answer.headers['Cache-Status']}")
        if answer is None or answer.status != 200:
            return
        page = self.check_page(query, answer)
        # whoever joins a fetch under way gets what was fetched a little before
        if "; collapsed" in answer.headers["Cache-Status"]:
            return
        if oracle.instant(page["result"]["fetchedAt"]) < began - FOLLOW_S:
            raise Wrong(f"no-cache got what was fetched at {page['result']['fetchedAt']}")
        self.counts["forced"] += 1


class MaxAge(Caller):
    """Wants it no older than so many seconds; the floor holds."""

    think_s = (4, 9)

    def turn(self):
        seconds = self.random.choice([0, 5, 20, 40])
        query = Query(policy=[self.random.choice([1002, 1005])], status="Failed", limit=30)
        answer = self.first_page(query, {"Cache-Control": f"max-age={seconds}"})
        if answer is None:
            return
        self.check_page(query, answer)
        bound = max(seconds, self.soak.max_age_floor)
        if "; hit" in answer.headers["Cache-Status"] and int(answer.headers["Age"]) > bound + 1:
            raise Wrong(f"max-age={seconds} got a hit of age {answer.headers['Age']}")


class OnlyIfCached(Caller):
    """Never wants to wait."""

    grants = {"evidence": False}
    think_s = (0.5, 1.5)

    def turn(self):
        query = Query(policy=[self.policy()], limit=self.random.choice([1, 10, 100]),
                      **self.random.choice([{}, {"evidence": "extended"}, {"status": "Failed"}]))
        headers = {"Cache-Control": "only-if-cached"}
        answer = self.get("/v1/postures", headers, **query.url())
        if answer is None:
            return
        if answer.status == 200 and self.random.random() < 0.2:
            self.check_head(query, headers, answer)
        if answer.status == 200:
            if "; hit" not in answer.headers["Cache-Status"]:
                raise Wrong(f"only-if-cached was {answer.headers['Cache-Status']}")
            self.check_page(query, answer)
        elif answer.status != 502 and answer.json()["type"] != "/problems/not-cached":
            raise Wrong(f"only-if-cached is answered with {answer}")


    def check_head(self, query, headers, answer):
        head = self.ask("HEAD", "/v1/postures?" + harness.query_string(query.url()), headers)
        if head is None or head.status != 200:
            return
        if head.body or (head.headers["ETag"] == answer.headers["ETag"] and
                         head.headers["Content-Length"] != answer.headers["Content-Length"]):
            raise Wrong(f"HEAD is not as GET: {head.headers} {answer.headers}")


class Async(Caller):
    """Goes away with a 202, looks at the fetch until it has ended, then comes for the page."""

    think_s = (5, 12)

    def turn(self):
        query = Query(policy=self.some([1003, 1004, 1005], 2), limit=200,
                      changedSince=f"2026-09-{self.random.randint(1, 30):02}")
        answer = self.get("/v1/postures", {"Prefer": "respond-async"}, **query.url())
        if answer is None or answer.status != 202:
            if answer is not None and answer.status == 200:
                self.check_page(query, answer)
            return
        if answer.headers["Preference-Applied"] != "respond-async":
            raise Wrong(f"respond-async: {answer} {answer.headers}")
        fetch = self.follow(answer)
        if fetch is not None and fetch["state"] == "complete":
            self.come_back(query, fetch, answer)

    def come_back(self, query, fetch, accepted):
        answer = self.get("/v1/postures", **query.url())
        if answer is None or answer.status != 200:
            if answer is not None and not self.soak.chaos.disturbed(accepted.began, answer.ended):
                raise Wrong(f"after {fetch}: {answer}")
            return
        page = self.check_page(query, answer)
        self.counts["followed"] += page["result"]["id"] == fetch["result"]


class Impatient(Caller):
    """Waits a second, if that, and hangs up."""

    think_s = (2, 5)

    def turn(self):
        query = Query(policy=[1001 + self.random.randrange(3)], status="Error", qds=True, limit=40)
        headers = {"Prefer": "wait=1"}
        if self.random.random() < 0.5:
            answer = self.get("/v1/postures", headers, **query.url())
            if answer is not None and answer.status == 200:
                self.check_page(query, answer)
            elif answer is not None and answer.ended - answer.began > 1 + PATIENCE_S / 2:
                raise Wrong(f"wait=1 took {answer.ended - answer.began:.1f} s: {answer}")
            return
        self.hang_up("/v1/postures?" + harness.query_string(query.url()), headers)

    def hang_up(self, target, headers):
        """Sends a request and goes before its answer, or in the middle of it."""
        client = harness.Client(self.soak.stack.nginx_socket, self.consumer.key, PATIENCE_S)
        try:
            client.connection.request("GET", target, headers=headers | {
                "Authorization": f"Bearer {self.consumer.key}"})
            client.connection.sock.settimeout(self.random.uniform(0.01, 0.6))
            client.connection.sock.recv(1024)
        except (*CUT_SHORT, socket.timeout):
            pass
        finally:
            client.close()
        self.counts["hung up"] += 1


class Lister(Caller):
    """Walks through the list of policies, of which it may see some, and through their hosts."""

    grants = {"policies": "1001,1003,1006"}
    think_s = (3, 7)

    def turn(self):
        limit = self.random.choice([1, 2, 30, 100])
        if self.random.random() < 0.5:
            since = self.random.choice([None, f"2026-10-{self.random.randint(26, 31)}",
                                        f"2026-11-{self.random.randint(1, 6):02}T12:00:00Z"])
            listing = oracle.Listing.policies(self.consumer, limit, since)
        else:
            listing = oracle.Listing.hosts(self.random.choice([1001, 1003]), max(limit, 10))
        self.walk_list(listing)

    def walk_list(self, listing):
        answer = self.followed(lambda: self.get(listing.target, limit=listing.limit, **listing.params))
        seen, result = 0, None
        while answer is not None and answer.status == 200:
            page = self.oracle.listing(listing, answer.body, seen, answer.ended)
            self.counts["pages"] += 1
            if result not in (None, page["result"]["id"]):
                raise Wrong(f"a walk went from result {result} to {page['result']['id']}")
            result, seen = page["result"]["id"], seen + len(page["data"])
            if "next" not in page["page"]:
                self.counts["walks"] += 1
                return
            answer = self.next_page(page["page"]["next"])


class Quota(Caller):
    """Has used up its quota soon, and asks on."""

    QUOTA = 4
    grants = {"quota": QUOTA}
    think_s = (6, 12)

    def __init__(self, *args):
        super().__init__(*args)
        self.begun = []   # when answers came of fetches that it has begun

    def turn(self):
        query = Query(policy=[1004], criticality=self.some([0, 1, 2, 3, 4, 5], 2), limit=20)
        answer = self.get("/v1/postures", {"Prefer": "wait=10"}, expect=(429,), **query.url())
        if answer is None or answer.status != 200:
            return
        self.check_page(query, answer)
        if "; stored" not in answer.headers["Cache-Status"]:
            return
        self.begun = [t for t in self.begun if not self.soak.chaos.disturbed(t, answer.ended)]
        self.begun.append(answer.ended)
        if sum(t > answer.ended - 3600 for t in self.begun) > self.QUOTA:
            raise Wrong(f"more than {self.QUOTA} fetches in an hour: {self.begun}")


class Operator(Caller):
    """Looks at budget and fetches, and cancels one now and then."""

    grants = {"admin": True}
    think_s = (3, 8)
    PATIENT = ("impatient", "async", "forcing", "cold")   # whose fetches it cancels

    def turn(self):
        self.random.choice([self.look_at_budget, self.look_at_fetches, self.cancel])()

    def look_at_budget(self):
        answer = self.get("/admin/v1/budget")
        if answer is None or answer.status != 200:
            return
        for api in answer.json()["data"]:
            for limit in (api["rate"], api["concurrency"]):
                if limit["calls"] is not None and limit["used"] > limit["calls"]:
                    raise Wrong(f"the budget is {api}")

    def look_at_fetches(self):
        answer = self.get(self.random.choice(["/v1/fetches", "/admin/v1/fetches"]), limit=50)
        fetches = answer.json()["data"] if answer is not None and answer.status == 200 else []
        for fetch in fetches:
            self.check_fetch(fetch, "of a list")
        return fetches

    def cancel(self):
        answer = self.get("/admin/v1/fetches", limit=50)
        fetches = answer.json()["data"] if answer is not None and answer.status == 200 else []
        running = [f["id"] for f in fetches if f["consumer"] in self.PATIENT and
                   f["state"] in ("queued", "resolving", "fetching")]
        if not running or self.random.random() < 0.5:
            return
        self.soak.chaos.add_kinds("cancel")
        with self.soak.chaos.span(self.soak.chaos.ails):
            self.cancel_one(self.random.choice(running))

    def cancel_one(self, fetch):
        answer = self.ask("DELETE", f"/admin/v1/fetches/{fetch}",
                          expect=(202, 404, 409))
        if answer is not None and answer.status == 200 and answer.json()["state"] != "cancelled":
            raise Wrong(f"a fetch that was cancelled is {answer}")


class Stranger(Caller):
    """Shows wrong keys and the cursors of others, asks for what its grant does not cover, and
    misspells."""

    grants = {"policies": "1002"}
    think_s = (0.5, 2)

    def turn(self):
        bad_key = f"{self.consumer.name}.{self.random.getrandbits(256):064x}"
        query = harness.query_string({"policy": 1002, "limit": 5})
        cases = [
            (401, f"/v1/postures?{query}", bad_key), (401, f"/v1/postures?{query}", ""),
            (403, "/admin/v1/budget", None), (403, "/v1/policies/1001/hosts", None), (403, "/v1/postures?policy=1001", None), (403, "/v1/postures?policy=1001,1002", None),
            (400, f"/v1/postures?{query}&policyId=1", None),
            (400, "/v1/postures?policy=1002&limit=0", None),
            (400, "/v1/postures?cursor=AAAA", None), (400, self.soak.a_cursor, None),
            (404, "/v1/fetches/1", None), (404, "/v1/nothing", None),
        ]
        status, target, key = self.random.choice(cases)
        answer = self.ask("GET", target, key=key, expect=(status,))
        if answer is None or answer.status == 502:
            return
        if answer.status != status:
            raise Wrong(f"{target} is answered with {answer}, not {status}")


HABITS = [
    ("walker", Walker), ("dashboard", Dashboard), ("cold", Cold), ("by-posture", ByPosture),
    ("poster", Poster), ("forcing", Forcing), ("max-age", MaxAge),
    ("only-if-cached", OnlyIfCached), ("async", Async), ("impatient", Impatient),
    ("lister", Lister), ("quota", Quota), ("operator", Operator), ("stranger", Stranger),
]
API_DOCUMENT = pathlib.Path("docs/api.md")
