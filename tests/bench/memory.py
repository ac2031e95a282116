"""Memory: anonymous memory of the whole gateway at its highest, during one call of some size."""

import cold
import lab

PROMISED_MB = 48


class Memory:
    def __init__(self, quick):
        self.sizes = [200, 1000] if quick else [1000, 4800]
        self.rows = []
        self.peaks = []

    def run(self):
        for hosts in self.sizes:
            with lab.Stack(hosts=hosts, controls=cold.CONTROLS,
                           evidence_bytes=cold.EVIDENCE_BYTES) as stack:
                self.measure(stack)
        return self

    def measure(self, stack):
        with stack.client() as client, lab.Watch(stack.gateway.pid) as watch:
            stack.fetch(client, **cold.QUERY, limit=100)
        records, json_bytes = stack.served()
        stored = stack.store_bytes()
        self.peaks.append(watch.peak / lab.MB)
        self.rows.append([f"{json_bytes / lab.MB:.0f} MB of JSON", records,
                          f"{watch.before / lab.MB:.1f}", f"{watch.peak / lab.MB:.1f}",
                          f"{stored / lab.MB:.0f}", f"{stored / json_bytes:.3f}"])
        lab.note(f"memory: {json_bytes / lab.MB:.0f} MB: {watch.peak / lab.MB:.1f} MB anonymous")

    def markdown(self):
        heads = ["one call", "records", "before MB", "peak MB", "store MB", "store / JSON"]
        return lab.table(heads, self.rows)

    def targets(self):
        measured = ", ".join(f"{p:.1f}" for p in self.peaks)
        yield lab.Target("memory: anonymous MB at both sizes", f"< {PROMISED_MB}", measured,
                         max(self.peaks) < PROMISED_MB)
