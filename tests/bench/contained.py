"""Contained: pages of a narrow query taken out of the stored result of a broad one, at several
depths, beside as many records of the broad one."""

import time

import deep
import lab

LIMIT = 100
PROMISED = 2
SHARES = (0, 0.25, 0.5, 0.75, 1)        # of the way, where pages are asked for
BROAD = "policy=1001"
# some 5 % of the records each; the first is walked through, the others are asked for once
FILTERS = [f"{BROAD}&status=Failed&criticality={value}" for value in (3, 0, 1, 2, 4, 5)]


class Depth:
    """One page, and what it is of: `there` of the matches, or of all records, are before it."""

    def __init__(self, stack, there, target):
        self.there = there
        self.asker = deep.Asker(stack.nginx_socket, target, stack.key)


class Contained:
    def __init__(self, quick):
        self.data = lab.MILLION | ({"hosts": 1000} if quick else {})
        self.rounds = 300 if quick else 1500
        self.first = lab.Series()

    def run(self):
        with lab.Stack(**self.data) as stack:
            with stack.client() as client:
                page = lab.page_of(stack.fetch(client, policy=1001, limit=deep.WALK).body)
                self.total = page["total"]
                stack.control.reset()
                self.broad = self.depths(stack, client, f"{BROAD}&limit={LIMIT}", page)
                page = self.first_pages(client)
                self.matches = page["total"]
                self.narrow = self.depths(stack, client, f"{FILTERS[0]}&limit={LIMIT}", page)
            for number in range(self.rounds):
                # round about, as none may gain from what another leaves in caches
                both = self.broad + self.narrow
                for at in range(len(both)):
                    both[(at + number) % len(both)].asker.measure()
            for depth in self.broad + self.narrow:
                depth.asker.close()
            if stack.control.state()["apis"]["postureInfo"]["calls"] != 0:
                raise RuntimeError("a narrow query was fetched")
        return self

    def first_pages(self, client):
        """The first page of a filter has to find out how many there are; of each once."""
        for number, query in enumerate(FILTERS):
            before = time.perf_counter()
            answer = client.get(f"/v1/postures?{query}&limit={LIMIT}")
            self.first.add((time.perf_counter() - before) * 1e6)
            if "detail=contained" not in answer.headers["Cache-Status"]:
                raise RuntimeError(f"not contained: {answer.headers}")
            if number == 0:
                lab.note(f"contained: {answer.headers['Cache-Status']}")
        return lab.page_of(client.get(f"/v1/postures?{FILTERS[0]}&limit={deep.WALK}").body)

    @staticmethod
    def depths(stack, client, query, page):
        """Pages of LIMIT at the depths: the first as it is asked for, the others by cursors."""
        total = page["total"]
        end = total - deep.WALK - LIMIT
        cursors = list(deep.walk(client, page, end))
        found = [Depth(stack, 0, f"/v1/postures?{query}")]
        for share in SHARES:
            position, cursor = cursors[round(share * (len(cursors) - 1))]
            found.append(Depth(stack, position / total, f"{cursor}&limit={LIMIT}"))
        return found

    # --- telling

    def ratio(self, depth):
        return depth.asker.micros.median / self.broad[0].asker.micros.median

    def markdown(self):
        rows = [[f"{name}, behind {depth.there:.0%}", f"{depth.asker.size / 1e3:.0f}",
                 f"{depth.asker.micros.median:.0f}", f"{self.ratio(depth):.2f}"]
                for name, depths in (("unfiltered", self.broad), ("filtered", self.narrow))
                for depth in depths]
        heads = [f"{LIMIT} records a page", "KB", "us", "/ first unfiltered"]
        return (f"{self.total} records without evidence are stored, {self.matches} of them "
                f"({self.matches / self.total:.1%}) match `{FILTERS[0].partition('&')[2]}`; medians of "
                f"{self.rounds} requests each, in turn, over nginx's unix socket.\n\n"
                f"{lab.table(heads, rows)}\n\n"
                f"The first page ever of such a filter, of {len(FILTERS)} filters once each: "
                f"{self.first.text(0)} us.")

    def targets(self):
        ratios = [self.ratio(depth) for depth in self.narrow[1:]]
        yield lab.Target(f"contained page, {self.matches / self.total:.1%} match in "
                         f"{self.total / 1e6:.1f}M rows, after the first", f"<= {PROMISED} at any depth",
                         f"{min(ratios):.2f} to {max(ratios):.2f}", max(ratios) <= PROMISED,
                         "unfiltered page")
