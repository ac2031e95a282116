"""Memory: anonymous memory of the whole gateway at its highest, during one call of some size."""

import cold
import lab

PROMISED_MB = 32
SAME = 1.1              # how far the larger may be above the smaller and still be called the same


class Memory:
    def __init__(self, quick):
        self.sizes = [200, 1000] if quick else [1000, 10000]
        self.rows = []
        self.peaks = []
        self.json_mb = []

    def run(self):
        for hosts in self.sizes:
            with lab.Stack(hosts=hosts, controls=cold.CONTROLS, twins="ingest",
                           evidence_bytes=cold.EVIDENCE_BYTES) as stack:
                self.measure(stack)
        return self

    def measure(self, stack):
        with stack.client() as client, lab.Watch(stack.gateway.pid) as watch:
            stack.fetch(client, **cold.QUERY, limit=100)
        records, json_bytes = stack.served()
        self.peaks.append(watch.peak / lab.MB)
        self.json_mb.append(json_bytes / lab.MB)
        self.rows.append([f"{json_bytes / lab.MB:.0f} MB of JSON", records,
                          f"{watch.before / lab.MB:.1f}", f"{watch.peak / lab.MB:.1f}"])
        lab.note(f"memory: {json_bytes / lab.MB:.0f} MB: {watch.peak / lab.MB:.1f} MB anonymous")

    def markdown(self):
        return lab.table(["one call", "records", "before MB", "peak MB"], self.rows)

    def targets(self):
        small, large = self.peaks
        measured = ", ".join(f"{p:.1f} MB at {size:.0f} MB" for p, size in
                             zip(self.peaks, self.json_mb))
        yield lab.Target("memory of a cold call, anonymous", f"< {PROMISED_MB} MB, the same at both",
                         measured, max(self.peaks) < PROMISED_MB and large <= SAME * small)
