"""Summary: counting a long stored result through nginx, beside a plain copy of as many bytes as its
rows have: what reading them once costs."""

import time

import deep
import lab

ROW_BYTES = 88
PROMISED = 8                        # copies
BY = ("status", "criticality", "policyId,status", "technologyId", "hostId", "controlId,status",
      "status,criticality,controlId,technologyId")
COPY = "a copy of the rows"


class Row:
    def __init__(self, stack, by):
        target = f"/v1/postures/summary?policy=1001&by={by}"
        with stack.client() as client:
            self.groups = len(client.get(target).json()["data"])
        self.by = by
        self.asker = deep.Asker(stack.nginx_socket, target, stack.key)
        self.gateway = lab.Series()


class Summary:
    def __init__(self, quick):
        self.data = lab.MILLION | ({"hosts": 1000} if quick else {})
        self.rounds = 5 if quick else 15
        self.calls = 20
        self.copying = lab.Series()

    def run(self):
        with lab.Stack(**self.data) as stack:
            with stack.client() as client:
                self.total = stack.fetch(client, policy=1001, limit=1).json()["page"]["total"]
            source = memoryview(bytearray(b"x") * (self.total * ROW_BYTES))
            target = memoryview(bytearray(b"y") * len(source))
            self.rows = [Row(stack, by) for by in BY]
            for number in range(self.rounds):
                for row in self.rows:
                    self.measure(stack, row, source, target)
                lab.note(f"summary: round {number + 1}/{self.rounds}")
            for row in self.rows:
                row.asker.close()
        return self

    def measure(self, stack, row, source, target):
        before = lab.cpu_s(stack.gateway.pid)
        for _ in range(self.calls):
            row.asker.measure()
        row.gateway.add((lab.cpu_s(stack.gateway.pid) - before) * 1e3 / self.calls)
        before = time.perf_counter()
        target[:] = source
        self.copying.add((time.perf_counter() - before) * 1e6)

    def copies(self, row):
        return row.asker.micros.median / self.copying.median

    def markdown(self):
        rows = [[row.by, row.groups, f"{row.asker.micros.median / 1e3:.2f}", row.gateway.text(2),
                 f"{row.asker.micros.median * 1e3 / self.total:.1f}", f"{self.copies(row):.2f}"]
                for row in self.rows]
        median_ms = self.copying.median / 1e3
        rows.append([COPY, "", f"{median_ms:.2f}", "", f"{median_ms * 1e6 / self.total:.1f}", "1.00"])
        heads = ["by", "groups", "wall ms", "gateway CPU ms", "ns a row", "wall / copy"]
        return (f"{self.total} records, of which {self.total * ROW_BYTES / lab.MB:.0f} MB are rows; medians "
                f"of {self.rounds} rounds of {self.calls} requests each, interleaved, over nginx's unix "
                f"socket.\n\n{lab.table(heads, rows)}")

    def targets(self):
        worst = max(self.rows, key=self.copies)
        yield lab.Target(f"summary over {self.total / 1e6:.1f}M rows, the slowest", f"<= {PROMISED}",
                         f"{self.copies(worst):.2f} (by {worst.by})",
                         self.copies(worst) <= PROMISED, "a memcpy of the same rows")
