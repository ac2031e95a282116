"""Size: what the store takes on disk for a result, beside the JSON that the upstream sent."""

import cold
import lab

PROMISED, PROMISED_TWINS = 1.10, 1.35
# of records: with evidence they are some 3.2 KB, without it 2.3
KINDS = {"with evidence": "extended", "without evidence": "none"}
WITHOUT, INGEST, LAZY = "off", "ingest", "lazy"


class Size:
    def __init__(self, quick):
        self.hosts = 200 if quick else 1000
        self.modes = (WITHOUT, INGEST, LAZY) if lab.knows_twins() else (None,)
        self.rows = []
        self.shares = {}        # of a mode, kind by kind

    def run(self):
        with lab.Stack(hosts=self.hosts, controls=cold.CONTROLS,
                       evidence_bytes=cold.EVIDENCE_BYTES) as stack:
            for kind, evidence in KINDS.items():
                for mode in self.modes:
                    self.measure(stack, kind, evidence, mode)
        return self

    def measure(self, stack, kind, evidence, mode):
        stack.empty_gateway(twins=mode)
        stack.control.reset()
        with stack.client() as client:
            stack.fetch(client, policy=1001, evidence=evidence, limit=1)
        records, json_bytes = stack.served()
        share = stack.store_bytes() / json_bytes
        self.shares.setdefault(mode, []).append(share)
        self.rows.append([f"{kind}, twins {mode or 'unknown to this build'}", records,
                          f"{json_bytes / lab.MB:.0f}", f"{stack.store_bytes() / lab.MB:.0f}",
                          f"{share:.3f}"])
        lab.note(f"size: {kind}, twins {mode}: {share:.3f}")

    def markdown(self):
        return lab.table(["records", "number", "JSON MB", "store MB", "store / JSON"], self.rows)

    def targets(self):
        for text, mode, goal in (("without twins", WITHOUT, PROMISED),
                                 ("with twins", INGEST, PROMISED_TWINS)):
            shares = self.shares.get(mode, self.shares.get(None) if mode == WITHOUT else None)
            what = f"store size, {text}"
            if shares is None:
                yield lab.Target(what, f"<= {goal}", "no twins in this build", None, "JSON bytes")
                continue
            measured = ", ".join(f"{s:.3f} {kind}" for s, kind in zip(shares, KINDS))
            yield lab.Target(what, f"<= {goal}", measured, max(shares) <= goal, "JSON bytes")
