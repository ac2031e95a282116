"""What goes wrong, and when: a schedule that is a function of the seed and the length, and the
hands that carry it out, in the thread that started the processes.

ACTS has a row for each kind of thing that happens; each kind has a rhythm of its own, so that a
rare one is never crowded out by a frequent one. What an act does to the upstream's answers is a
row of FAULTS. Only faults are there that a gateway can notice: what an upstream loses or doubles
without a trace, nobody could judge.
"""

import contextlib
import dataclasses
import random
import threading
import time

WINDOW_S = 60    # the upstream's
STALLS = ("stall", "stall_head", "drip")
STALL_S = 12     # so long after one of them was met its call is over, at the upstream too
MET_S = 2        # after a fault was seen to have been met: what follows from it has followed
AILS_S = 10      # after trouble was met, until what fails because of it has failed
FORGIVEN_S = 70  # hosts that the upstream did not tell are asked for again after a minute
ORPHANS_S = 6    # calls of a gateway that was killed run on at the upstream: they may be slow

# fault of the simulator, members, what kind of chaos it is (habits.EXCUSES)
FAULTS = [
    ("500", {}, "failure"), ("502", {}, "failure"), ("503", {}, "failure"), ("504", {}, "failure slow"),
    ("reset", {}, "failure damage"), ("reset_start", {}, "failure damage"),
    ("no_answer", {}, "failure damage"), ("bad_chunk", {}, "failure damage"),
    ("not_http", {}, "damage failure"), ("close", {}, "damage failure"),
    ("length_long", {}, "damage"), ("no_final_chunk", {}, "damage"), ("body_cut", {}, "damage"),
    ("empty", {}, "damage"), ("html", {}, "damage"), ("object", {}, "damage"),
    ("400", {}, "refusal"), ("403", {}, "refusal"), ("404", {}, "refusal"),
    ("409_registration", {}, "refusal"),
]
# of postureInfo alone, whose answers are gzip and records
PULL_FAULTS = [
    ("gzip_cut", {}, "damage"), ("gzip_no_trailer", {}, "damage"), ("gzip_bad_crc", {}, "damage"),
    ("gzip_bit_flip", {}, "damage"), ("gzip_garbage_tail", {}, "damage"), ("gzip_double", {}, "damage"),
    ("array_cut", {}, "damage"),
    # by posture nobody could tell: then it is the upstream's word that the posture is of that policy
    ("foreign_host", {"match": "hostIds"}, "damage"), ("foreign_policy", {"match": "hostIds"}, "damage"),
    ("second_array", {}, "damage"), ("html_tail", {}, "damage"), ("invalid_utf8", {}, "damage"),
    ("nan", {}, "damage"), ("no_id", {}, "damage"), ("lone_surrogate", {}, "damage"),
    # and these are no faults, only unusual
    ("gzip_members", {}, ""), ("gzip_zero_tail", {}, ""), ("gzip_labelled", {}, ""),
    ("plain_labelled", {}, ""), ("white_space", {}, ""), ("posture_id", {}, ""),
]
# The simulator lets such a call in and then refuses it; for the gateway it never was let in.
LIMIT_FAULTS = [("409", {"toWait": "2"}), ("429", {"toWait": "1"}), ("429", {"retryAfter": "2"})]
# and of logins alone: by their names it is seen when a login has met them
LOGIN_FAULTS = [
    ("status", {"status": 500}, "failure"), ("501", {}, "failure"),
    ("status", {"status": 429, "code": 1965, "toWait": "2"}, "limit"), ("login_garbage", {}, "damage"),
    ("login_empty", {}, "damage"), ("login_200", {}, "damage"),
]


@dataclasses.dataclass(frozen=True)
class Act:
    name: str
    every_s: tuple   # least and most between two
    make: object     # (random) -> the members of the event
    needs: str = ""  # the option of the command line without which it does not happen


@dataclasses.dataclass(frozen=True)
class Event:
    at_s: float      # after the chaos has begun
    name: str
    members: dict

    def text(self):
        return f"{self.at_s:7.1f} s  {self.name} " + " ".join(
            f"{k}={v}" for k, v in self.members.items())


def make_fault(rng):
    api = rng.choice(["postureInfo", "postureInfo", "hostids"])
    fault, members, kinds = rng.choice(FAULTS + (PULL_FAULTS if api == "postureInfo" else []))
    times = 1 if kinds == "refusal" or rng.random() < 0.7 else rng.randint(2, 5)
    return {"api": api, "fault": fault, "times": times, "kinds": kinds} | members


def make_stall(rng):
    return {"api": rng.choice(["postureInfo", "hostids"]),
            "fault": rng.choice(STALLS), "seconds": rng.uniform(1, 7)}


def make_pause(rng):
    """Some are shorter than the gateway's patience (stall_timeout in run), some are not."""
    return {"records": rng.choice([1, 40, 250]), "seconds": rng.choice([1.5, 3, 9])}


def make_limit(rng):
    fault, members = rng.choice(LIMIT_FAULTS)
    return {"api": rng.choice(["postureInfo", "hostids"]), "fault": fault,
            "times": rng.randint(1, 3)} | members


def make_login(rng):
    fault, members, kinds = rng.choice(LOGIN_FAULTS)
    return {"fault": fault, "times": rng.randint(1, 2), "kinds": kinds} | members


ACTS = [
    Act("fault", (7, 15), make_fault),
    Act("stall", (25, 45), make_stall),
    Act("pause", (25, 50), make_pause),
    Act("limit", (70, 120), make_limit),
    Act("slow", (20, 40), lambda rng: {"latency_ms": rng.choice([200, 1000, 2500]),
                                       "seconds": rng.uniform(3, 8)}),
    Act("order", (30, 60), lambda rng: {"order": rng.randrange(1000),
                                        "batch_hosts": rng.randint(1, 20)}),
    Act("move", (35, 70), lambda rng: {"step": rng.randint(1, 3)}),
    Act("expire", (60, 110), lambda rng: {}),
    Act("unauthorized", (70, 120), lambda rng: {}),
    Act("login", (75, 120), make_login),
    Act("password", (100, 170), lambda rng: {"seconds": rng.uniform(6, 14)}),
    Act("simulator", (60, 110), lambda rng: {"kill": rng.random() < 0.5,
                                             "seconds": rng.uniform(0.2, 5)}),
    Act("gateway", (50, 100), lambda rng: {"kill": rng.random() < 0.7,
                                           "seconds": rng.uniform(0, 1)}, needs="kill"),
    Act("others", (60, 120), lambda rng: {"api": rng.choice(["postureInfo", "hostids"]),
                                          "calls": rng.choice([3, 8, 30])}),
    Act("failing", (70, 130), lambda rng: {"policies": sorted(rng.sample([1001, 1002, 1003], 1)),
                                           "seconds": rng.uniform(4, 10)}),
    Act("lie", (10, 20), lambda rng: {"fault": rng.choice(["lost_records", "duplicate_record"])},
        needs="lie"),
]


def schedule(seed, seconds, options):
    """All events of a run, in order. options: what Act.needs may name."""
    events = []
    for act in ACTS:
        if act.needs and act.needs not in options:
            continue
        rng = random.Random(f"{seed} {act.name}")
        # the first one may come early: a short run is to see every kind
        at = rng.uniform(act.every_s[0] * 0.2, act.every_s[0] * 0.7)
        while at < seconds:
            events.append(Event(at, act.name, act.make(rng)))
            at += rng.uniform(*act.every_s)
    return sorted(events, key=lambda e: e.at_s)


class Chaos:
    """Carries events out. Threads: the main one; struck(), disturbed(): any. What it remembers for
    the judges is in spans of time.time(), which is the ledger's time too."""

    GRACE_S = 2      # after a start: nginx may still find the old socket dead
    GENERATIONS = 4

    def __init__(self, stack, timeline, log):
        self.stack = stack
        self.timeline = timeline
        self.log = log
        self.lock = threading.Lock()
        self.kinds = set()
        self.disturbances = []    # [from, to] of time.time(): the gateway is not wholly there
        self.counts = {}
        self.generation = 0
        self.deadline = None      # of time.monotonic(): whatever takes time ends then
        self.login_causes = []    # [from, to, how often]: the token dies, or a login is spoilt
        self.mended = []          # times at which a rejected credential may be tried again
        self.met_by = []          # (span, name of a fault): open until a call has met the fault
        self.release_at = None    # time.time(): a call stalls, and nobody has let it go since
        self.limits_faked = []    # [from, to, how often, api]: calls that were let in and then refused
        self.others_spans = []    # others may have used up the window
        self.gone_spans = []      # calls whose caller is gone may still run at the upstream
        self.may_fail = set()     # policies whose hosts the upstream did not tell
        self.ails = []            # the upstream fails: a stream may break because of it
        self.kills = []           # times at which the gateway went without a word

    # --- what is known of it

    def struck(self, kind):
        with self.lock:
            return kind in self.kinds

    def disturbed(self, since, until):
        """Was the gateway away, or just back, in that time?"""
        with self.lock:
            return any(a - 0.1 <= until and since <= b + self.GRACE_S for a, b in self.disturbances)

    def ailing(self, since, until):
        """May a fetch have failed in that time, by the upstream's fault or an operator's?"""
        return any(a <= until and since <= b + AILS_S for a, b, *_ in list(self.ails))

    def add_kinds(self, *kinds):
        with self.lock:
            self.kinds.update(kinds)

    @contextlib.contextmanager
    def span(self, spans, *more):
        """While the block runs, and a little more: an entry of that list, with what more it has."""
        span = [time.time() - 0.1, float("inf"), *more]
        spans.append(span)
        try:
            yield span
        finally:
            span[1] = time.time() + 0.5

    def watch(self):
        """Called now and then: sees which faults have been met, and ends what stalls because of
        them."""
        if self.release_at is not None and time.time() > self.release_at:
            self.release_at = None
            self.stack.control.release()
        if not self.met_by:
            return
        queued = {f["fault"] for f in self.stack.control.get("/faults")["queued"]}
        now = time.time()
        for span, fault in self.met_by:
            span[1] = now + (STALL_S if fault in STALLS else MET_S)
            if fault in queued:
                span[1] = float("inf")
            elif fault in STALLS:
                self.release_at = now + STALL_S / 2
        self.met_by = [(s, f) for s, f in self.met_by if f in queued]

    def until_met(self, fault, spans, *more):
        """An entry of that list, from now on until calls have met the fault."""
        span = [time.time() - 0.1, float("inf"), *more]
        spans.append(span)
        self.met_by.append((span, fault))

    # --- the events

    def run(self, event):
        self.counts[event.name] = self.counts.get(event.name, 0) + 1
        self.log(f"chaos: {event.text()}")
        getattr(self, "do_" + event.name)(**event.members)

    def rest(self, seconds):
        until = min(self.deadline, time.monotonic() + seconds)
        while time.monotonic() < until:
            if self.stack.simulator.running():
                self.watch()
            time.sleep(max(0, min(0.5, until - time.monotonic())))

    def do_fault(self, api, fault, times, kinds, **members):
        self.add_kinds(*kinds.split())
        self.stack.control.fault(fault, api=api, times=times, **members)
        self.until_met(fault, self.ails)

    def do_limit(self, api, fault, times, **members):
        self.add_kinds("limit")
        self.stack.control.fault(fault, api=api, times=times, **members)
        self.until_met(fault, self.limits_faked, times, api)
        self.until_met(fault, self.ails)

    def do_lie(self, fault):
        self.stack.control.fault(fault, api="postureInfo", times=1)

    def do_stall(self, api, fault, seconds):
        """The gateway may give the call up long before the upstream sees that nobody listens."""
        self.add_kinds("slow", "failure", "damage")
        self.stack.control.fault(fault, api=api, times=1, **({"count": 200} if fault == "drip" else {}))
        self.until_met(fault, self.gone_spans)
        self.until_met(fault, self.ails)
        self.rest(seconds)
        self.stack.control.release()

    def do_pause(self, records, seconds):
        """In the middle of its records a call stands still, while they are passed on: then it goes on,
        or the gateway has given it up."""
        self.add_kinds("slow", "failure", "damage")
        with self.span(self.ails), self.span(self.gone_spans) as gone:
            hold = self.stack.control.hold(api="postureInfo", records=records, times=1)
            self.rest(seconds)
            self.stack.control.release(id=hold)
        gone[1] += ORPHANS_S

    def do_slow(self, latency_ms, seconds):
        """When a fetch fails its other calls are given up; the upstream only knows after its wait."""
        self.add_kinds("slow")
        with self.span(self.ails), self.span(self.gone_spans) as span:
            self.stack.control.set(latency_ms=latency_ms)
            self.rest(seconds)
            self.stack.control.set(latency_ms=0)
        span[1] += latency_ms / 1000

    def do_order(self, order, batch_hosts):
        self.stack.control.set(order=order, batch_hosts=batch_hosts)

    def do_move(self, step):
        self.generation = (self.generation + step) % self.GENERATIONS
        self.timeline.move(self.generation,
                           lambda: self.stack.control.set(generation=self.generation))

    def do_expire(self):
        with self.span(self.login_causes, 1):
            self.stack.control.expire()

    def do_unauthorized(self):
        self.add_kinds("login")
        self.stack.control.fault("401", api="postureInfo", times=1)
        self.until_met("401", self.login_causes, 1)
        self.until_met("401", self.ails)

    def do_login(self, fault, times, kinds, **members):
        self.add_kinds("login", *kinds.split())
        self.stack.control.fault(fault, api="auth", times=times, **members)
        self.until_met(fault, self.login_causes, times)
        self.until_met(fault, self.ails)
        self.do_expire()

    def do_password(self, seconds):
        """The account's password is another for a while; then it is the old one again, and the file
        is written anew, as somebody would who mends it."""
        self.add_kinds("login")
        with self.span(self.ails), self.span(self.login_causes, 1):
            self.stack.control.set(password="another")
            self.stack.control.expire()
            self.rest(seconds)
            self.stack.control.set(password=self.stack.password)
            self.mended.append(time.time())
            # in one step, as an operator should: the gateway may be reading it just now
            new = self.stack.dir / "upstream-password.new"
            new.touch(mode=0o600)
            new.write_text(self.stack.password)
            new.replace(self.stack.dir / "upstream-password")

    def do_simulator(self, kill, seconds):
        """Its tokens are gone with it; its windows are not, the ledger has them."""
        self.add_kinds("failure", "slow", "damage")
        with self.span(self.ails), self.span(self.login_causes, 1):
            self.stack.end_simulator(kill)
            self.rest(seconds)
            self.stack.start_simulator(self.generation)

    def do_gateway(self, kill, seconds):
        self.add_kinds("kill")
        disturbance = [time.time(), float("inf")]
        with self.lock:
            self.disturbances.append(disturbance)
        with self.span(self.login_causes, 1), self.span(self.gone_spans) as span:
            if kill:
                self.stack.gateway.kill()
                self.kills.append(time.time())
            else:
                status = self.stack.gateway.stop()
                if status != 0:
                    raise AssertionError(
                        f"the gateway ended with {status}:\n{self.stack.gateway.tail()}")
            self.rest(seconds)
            self.mended.append(time.time())
            self.stack.start_gateway()
        span[1] += ORPHANS_S
        with self.lock:
            disturbance[1] = time.time()

    def do_others(self, api, calls):
        """Other users of the subscription; the gateway learns of it by the next answer's headers, or
        by a refusal."""
        self.add_kinds("limit")
        now = time.time()
        self.others_spans.append((now - 0.1, now + WINDOW_S + 1))
        self.stack.control.use(calls, api=api)

    def do_failing(self, policies, seconds):
        """The upstream answers, but not for some policies."""
        self.add_kinds("holes")
        self.may_fail.update(policies)
        with self.span(self.ails) as span:
            self.stack.control.set(failing_policies=",".join(map(str, policies)))
            self.rest(seconds)
            self.stack.control.set(failing_policies="")
        span[1] += FORGIVEN_S

    def calm(self):
        """Nothing goes wrong any more: a simulator that begins anew has only its windows from before."""
        self.do_simulator(kill=False, seconds=0)
        self.watch()
