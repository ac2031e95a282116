"""Partial: the first page of a result whose batches come slowly, asked for with partial=true, beside
the complete one. Both callers ask at the same moment, and so wait for the same fetch."""

import threading
import time

import lab

BATCHES = 20
HOSTS, CONTROLS, EVIDENCE_BYTES = 200, 100, 700
DRIP = 550000           # bytes a second, gzip'd: some ten seconds in all
LIMIT = 100
PROMISED = 0.1
HEADERS = {"Prefer": "wait=60"}


class Partial:
    def __init__(self, quick):
        self.rounds = 1 if quick else 3
        self.drip = 4 * DRIP if quick else DRIP
        self.first, self.complete = lab.Series(), lab.Series()
        self.refused = None

    def run(self):
        with lab.Stack(hosts=HOSTS, controls=CONTROLS, evidence_bytes=EVIDENCE_BYTES,
                       batch_hosts=HOSTS // BATCHES, drip=self.drip) as stack:
            for number in range(self.rounds):
                stack.empty_gateway()
                stack.control.reset()
                self.measure(stack)
                if self.refused is not None:
                    lab.note(f"partial: {self.refused}")
                    break
                lab.note(f"partial: round {number + 1}/{self.rounds}: "
                         f"{self.first.samples[-1]:.2f} of {self.complete.samples[-1]:.2f} s")
        return self

    def measure(self, stack):
        query = f"/v1/postures?policy=1001&evidence=extended&limit={LIMIT}"
        with stack.client() as early, stack.client() as late:
            whole = []
            before = time.monotonic()
            other = threading.Thread(target=lambda: whole.append(self.ask_whole(late, query, before)))
            other.start()
            answer = early.get(f"{query}&partial=true", HEADERS)
            first_s = time.monotonic() - before
            other.join()
        if answer.status == 400:
            self.refused = "this build has no partial=true"
            return
        page, (complete_s, total) = answer.json(), whole[0]
        if answer.status != 200 or page["result"]["complete"] or not page["data"]:
            raise RuntimeError(f"the first page is {answer}")
        self.records, self.json_bytes = stack.served()
        if total != self.records or stack.control.state()["apis"]["postureInfo"]["calls"] != 1:
            raise RuntimeError("the two callers were not served by one whole fetch")
        self.first.add(first_s)
        self.complete.add(complete_s)

    @staticmethod
    def ask_whole(client, query, before):
        while True:
            answer = client.get(query, HEADERS)
            if answer.status != 202:
                return time.monotonic() - before, answer.json()["page"]["total"]

    # --- telling

    def markdown(self):
        if self.refused is not None:
            return f"Not measured: {self.refused}."
        rows = [[f"first page of {LIMIT}, partial=true", self.first.text(2),
                 lab.ratio_text(self.first, self.complete)],
                ["complete result", self.complete.text(2), "1"]]
        return (f"{self.records} records in {BATCHES} batches, {self.json_bytes / lab.MB:.0f} MB of JSON, "
                f"sent at {self.drip / lab.MB:.2f} MB a second of gzip; {self.rounds} rounds.\n\n"
                f"{lab.table(['', 'seconds', 'of the whole'], rows)}")

    def targets(self):
        ratio = lab.Ratio(self.first, self.complete)
        yield lab.Target(f"first page with partial=true, {BATCHES} slow batches",
                         f"<= {PROMISED} of the time", self.refused or ratio.text(3),
                         None if self.refused else ratio.value <= PROMISED, "complete result")
