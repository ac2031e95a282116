"""What is judged of the run as a whole, from what was written down: the upstream's side, the
gateway's log, its process, the probes. Pure functions and one sampler; test_judges.py tries them on
runs that went wrong.
"""

import collections
import os
import pathlib
import re
import resource
import threading

RENEWED_EARLY_S = 2      # clocks, and the way of the answer
# line of the gateway's log at level error -> the kind of chaos that explains it
EXPLAINED_ERRORS = {"credential-rejected": "login", "token-refused": "login"}


# --- numbers

def percentile(values, percent):
    """The least value that so many percent of them do not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else None


# --- (b) the budget

def most_in_window(times, window):
    """The most calls in any window that is open at one end, as a rolling window of the upstream is;
    (count, when it began)."""
    ordered, first, worst = sorted(times), 0, (0, None)
    for last, at in enumerate(ordered):
        while ordered[first] <= at - window:
            first += 1
        worst = max(worst, (last - first + 1, ordered[first]), key=lambda w: w[0])
    return worst


def judge_calls(ledger, limits, others, gone, faked):
    """The lines of the ledger (tests/simulator/ledger.h) against the limits: (rate, window,
    concurrency). others: spans in which other users of the subscription may have used up the window;
    gone: spans in which calls whose caller is gone may still run at the upstream; faked: (from, to,
    how often, api) calls that were let in and then refused, which nobody but the ledger counts.
    {"wrong": texts, "most": {api: in a window}, "refused": {verdict: how often}}"""
    rate, window, concurrency = limits
    wrong, most, refused = [], {}, collections.Counter()
    times = collections.defaultdict(list)
    excuses = {"too-often": others + [(a, b + window) for a, b, _, _ in faked], "too-many": gone}
    for line in ledger:
        verdict = line["verdict"]
        if verdict == "entered":
            times[line["api"]].append(line["t"])
            if line["running"] > concurrency and not in_any(line["t"], gone):
                wrong.append(f"{line['running']} calls at a time: {line}")
        elif verdict in excuses:
            refused[verdict] += 1
            if not in_any(line["t"], excuses[verdict]):
                wrong.append(f"refused: {line}")
    for api, entered in sorted(times.items()):
        most[api], since = most_in_window(entered, window)
        for last in entered:
            in_window = sum(last - window < t <= last for t in entered)
            excess = in_window - rate - sum(
                n for a, b, n, who in faked if who == api and a <= last and b >= last - window)
            if excess > 0:
                wrong.append(f"{in_window} calls of {api} in the {window} s up to {last:.1f}")
    return {"wrong": wrong, "most": most, "refused": dict(refused)}


# --- (c) the logins

def judge_logins(logins, causes, mended, life_s):
    """logins: (time, status) as the upstream has them. causes: (from, to, how often): some time in
    it, so often, the token dies or a login is spoilt. mended: when the password file was written anew
    or a gateway began. life_s: of a token, which may be renewed after four fifths of it.

    Each login needs a cause. A good one settles all causes that are over, and is paid by one that is
    not over only if there is none; a bad one is tried again. What was wrong, as texts."""
    wrong, last_good, rejected_at = [], None, None
    left = [[since, to, times] for since, to, times in causes]
    for at, status in sorted(logins):
        if rejected_at is not None and not any(rejected_at <= m <= at for m in mended):
            wrong.append(f"a login at {at:.3f} after the credential was rejected")
        due = sorted((c for c in left if c[0] <= at and c[2] > 0), key=lambda c: c[1])
        old = last_good is not None and at - last_good >= 0.8 * life_s - RENEWED_EARLY_S
        if not due and not old:
            wrong.append(f"a login at {at:.3f} although the token was good")
        if status == 201:
            over = [c for c in due if c[1] <= at]
            for cause in over or ([] if old else due[:1]):
                cause[2] = 0 if cause in over else cause[2] - 1
            last_good = at
        rejected_at = at if status in (401, 403) else None
    return wrong


# --- (f) the migration report

KEPT_EVERY_S = 75   # sums are written down once a minute, at a round of 5 s, on a busy machine


def judge_usage(rows, asked, answered, kills):
    """rows: {(consumer, version, endpoint): (calls, records, bytes)} as they were reported. asked:
    {the same key: requests that left}; answered: (key, when it ended, records, bytes) of those that
    came whole. kills: when the gateway was, which may lose what was counted since it was last written
    down, and nothing else. (answers that may be lost, what is wrong, as texts)"""
    wrong, least, lost = [], collections.defaultdict(lambda: [0, 0, 0]), 0
    for key, ended, records, size in answered:
        if any(k - KEPT_EVERY_S <= ended <= k + 0.5 for k in kills):
            lost += 1
        else:
            least[key] = [a + b for a, b in zip(least[key], (1, records, size))]
    for key in sorted({*rows, *least}, key=str):
        told, seen = rows.get(key, (0, 0, 0)), least[key]
        if any(t < s for t, s in zip(told, seen)):
            wrong.append(f"{key}: {told} calls, records, bytes were told, {seen} were seen")
        if told[0] > asked.get(key, 0):
            wrong.append(f"{key}: {told[0]} calls were told, {asked.get(key, 0)} were asked")
    return lost, wrong


# --- (e) the process and its log

def log_errors(text, struck):
    """Lines of level error that nothing explains. struck(kind): has this chaos been?"""
    wrong = []
    for line in text.splitlines():
        words = line.split(" ", 3)
        if len(words) < 3 or not re.match(r"\d{4}-\d\d-\d\dT", words[0]):
            wrong.append(line)   # not of the log at all: a sanitizer, an assertion
        elif words[1] == "error" and not struck(EXPLAINED_ERRORS.get(words[2], "-")):
            wrong.append(line)
    return wrong


def log_events(text):
    """How many lines of each event at warning or above."""
    return collections.Counter(
        f"{words[1]} {words[2]}" for words in (line.split(" ", 3) for line in text.splitlines())
        if len(words) > 2 and words[1] in ("error", "warning"))


Sample = collections.namedtuple("Sample", "at pid memory_mb fds threads")


def sample(pid, at):
    """None: the process is gone."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        fds = len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))
        return Sample(at, pid, int(re.search(r"RssAnon:\s+(\d+)", status)[1]) / 1024, fds,
                      int(re.search(r"Threads:\s+(\d+)", status)[1]))
    except (OSError, TypeError):
        return None


def plateaus(samples, slack):
    """slack: {member: (factor, plus)}. Of the life with the most samples: the most of its last third
    against the most of its middle third. Texts of what still grows."""
    lives = collections.defaultdict(list)
    for s in samples:
        lives[s.pid].append(s)
    life = max(lives.values(), key=len, default=[])
    third = len(life) // 3
    wrong = []
    for member, (factor, plus) in slack.items():
        if third == 0:
            break
        before = max(getattr(s, member) for s in life[third:2 * third])
        after = max(getattr(s, member) for s in life[2 * third:])
        if after > before * factor + plus:
            wrong.append(f"{member} went from {before:.1f} to {after:.1f}")
    return wrong


class Sampler(threading.Thread):
    """Looks at the gateway's process every so many seconds."""

    def __init__(self, part, every_s, clock):
        super().__init__(daemon=True)
        self.part, self.every_s, self.clock = part, every_s, clock
        self.over = threading.Event()
        self.samples = []

    def run(self):
        while not self.over.wait(self.every_s):
            process = self.part.process
            seen = sample(process.pid, self.clock()) if process is not None else None
            if seen is not None:
                self.samples.append(seen)

    def stop(self):
        self.over.set()
        self.join()


# --- the machine

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def used_s(pid):
    """Processor time of a process and its children; 0 if it is gone."""
    try:
        path = pathlib.Path(f"/proc/{pid}")
        fields = (path / "stat").read_text().rpartition(")")[2].split()
        children = (path / "task" / str(pid) / "children").read_text().split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) * TICK_S + sum(map(used_s, children))


def others_s():
    """Processor time that nobody of this process's family has used, since ever: of two looks the
    difference tells whether the machine was ours."""
    fields = list(map(int, pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]))
    busy = sum(fields) - fields[3] - fields[4]   # all but idle and waiting for the disk
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return busy * TICK_S - used_s(os.getpid()) - ended.ru_utime - ended.ru_stime


# --- (d) the probes

Probe = collections.namedtuple("Probe", "sent_s latency_ms status hit target")


def read_probes(text):
    probes = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 5:
            sent, latency, status, hit, target = map(int, words)
            probes.append(Probe(sent / 1e6, latency / 1e3, status, bool(hit), target))
    return probes


def in_any(at, spans):
    return any(a <= at <= b for a, b in spans)


EDGE_S = 0.02  # between two clocks, and between a signal and when it is noted


def touches_any(probe, spans):
    """Whether it was on its way in one of the spans: one that was sent just before is lost with it."""
    begun, ended = probe.sent_s - EDGE_S, probe.sent_s + probe.latency_ms / 1e3 + EDGE_S
    return any(a <= ended and begun <= b for a, b in spans)
