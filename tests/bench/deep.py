"""Deep: the last page of a long result beside its first, on one kept connection."""

import socket
import time

import lab

SIZES = (1, 100)
PROMISED = 1.2
WALK = 1000


class Asker:
    """Sends one prepared request again and again; reads what comes back with as little of Python as
    can be, so that it is the server that is measured."""

    def __init__(self, path, target, key):
        self.request = (f"GET {target} HTTP/1.1\r\nHost: localhost\r\n"
                        f"Authorization: Bearer {key}\r\n\r\n").encode()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self.buffer = memoryview(bytearray(16 << 20))
        self.micros = lab.Series()
        self.size = self.ask()

    def ask(self):
        self.socket.sendall(self.request)
        have, whole = self.socket.recv_into(self.buffer), None
        while whole is None or have < whole:
            if whole is None:
                head, separator, _ = bytes(self.buffer[:min(have, 16384)]).partition(b"\r\n\r\n")
                if separator:
                    whole = len(head) + 4 + self.length(head)
                    continue
            got = self.socket.recv_into(self.buffer[have:])
            if got == 0:
                raise RuntimeError("the connection ended within a page")
            have += got
        return have

    @staticmethod
    def length(head):
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"a page is answered with {head[:200]!r}")
        at = head.lower().index(b"\r\ncontent-length:")
        return int(head[at + 17:].split(b"\r\n")[0])

    def measure(self):
        before = time.perf_counter()
        self.ask()
        self.micros.add((time.perf_counter() - before) * 1e6)

    def close(self):
        self.socket.close()


def walk(client, page, end):
    """Follows a walk behind its first page; yields (position, cursor) of each next page until the
    position is past `end`."""
    position = page["count"]
    while "next" in page:
        yield position, page["next"]
        if position > end:
            return
        page = lab.page_of(client.get(page["next"]).body)
        position += page["count"]


class Deep:
    def __init__(self, quick):
        self.data = lab.MILLION | ({"hosts": 1000} if quick else {})
        self.rounds = 1000 if quick else 4000
        self.rows = []

    def run(self):
        with lab.Stack(**self.data) as stack:
            with stack.client() as client:
                page = lab.page_of(stack.fetch(client, policy=1001, limit=WALK).body)
                self.total = page["total"]
                _, self.json_bytes = stack.served()
                *_, (position, last) = walk(client, page, self.total - WALK - max(SIZES))
            lab.note(f"deep: {self.total} records stored; the last page begins at {position}")
            for limit in SIZES:
                self.measure(stack, limit, last, position)
        return self

    def measure(self, stack, limit, last, position):
        first = Asker(stack.nginx_socket, f"/v1/postures?policy=1001&limit={limit}", stack.key)
        deep = Asker(stack.nginx_socket, f"{last}&limit={limit}", stack.key)
        for number in range(self.rounds):
            # turn about, as neither may gain from what the other leaves in caches
            for asker in (first, deep) if number % 2 else (deep, first):
                asker.measure()
        for asker in (first, deep):
            asker.close()
        ratio = deep.micros.median / first.micros.median
        self.rows.append((limit, position, first, deep, ratio))
        lab.note(f"deep: pages of {limit}: {ratio:.2f}")

    def markdown(self):
        rows = [[f"{limit}: {first.size / 1e3:.1f} and {deep.size / 1e3:.1f} KB",
                 position, f"{first.micros.median:.0f}", f"{deep.micros.median:.0f}",
                 f"{ratio:.2f}"]
                for limit, position, first, deep, ratio in self.rows]
        heads = ["records a page", "deep page begins at", "first us", "deep us", "deep / first"]
        return (f"{self.total} records without evidence, {self.json_bytes / lab.MB:.0f} MB of JSON; "
                f"medians of {self.rounds} requests each, turn about, over nginx's unix socket.\n\n"
                f"{lab.table(heads, rows)}")

    def targets(self):
        for limit, _, _, _, ratio in self.rows:
            yield lab.Target(f"deep page at {self.total / 1e6:.1f}M records, of {limit}",
                             f"<= {PROMISED}", f"{ratio:.2f}", ratio <= PROMISED, "the first page")
