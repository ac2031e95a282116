"""The page that the benchmark writes: one table of what was to be reached, and a section for each
part with all its figures. A part can be measured again alone: its rows and its section are replaced,
those of the others stay, with the dates that they have.

docs/performance.md holds it between two marks, and each section begins with one.
"""

import re

import lab

HEADS = ["path", "beside", "to reach", "measured", "reached", "section"]
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
SECTION = "<!-- section: {} -->"
PARTLY = ("Of more than one run: the last column names the section that has the command, the day and "
          "the machine.")


class Page:
    """rows: {part: [cells, ...]}, without the last column. sections: {part: its text}."""

    def __init__(self, order):
        self.order = list(order)
        self.head = ""
        self.rows, self.sections, self.dates = {}, {}, {}

    def put(self, part, date, rows, text):
        self.rows[part] = rows
        self.sections[part] = text.strip()
        self.dates[part] = date

    def take(self, other):
        """What the other page has, in place of one's own. A page of several runs speaks of none of them."""
        self.head = other.head if self.sections.keys() <= other.sections.keys() else PARTLY
        self.rows |= other.rows
        self.sections |= other.sections
        self.dates |= other.dates

    def text(self):
        parts = [p for p in self.order if p in self.sections]
        rows = [[*cells, f"{p}, {self.dates[p]}"] for p in parts for cells in self.rows[p]]
        pieces = [self.head.strip(), lab.table(HEADS, rows, figures=2) if rows else ""]
        pieces += [f"{SECTION.format(p)}\n### {p.capitalize()}\n\n{self.sections[p]}" for p in parts]
        return "\n\n".join(p for p in pieces if p) + "\n"


def read(text, order):
    """The page that Page.text() has written; a row or section of no part in `order` is dropped."""
    page = Page(order)
    before, *found = re.split(r"^<!-- section: (\S+) -->\n", text, flags=re.M)
    lines = before.splitlines()
    page.head = "\n".join(line for line in lines if not line.startswith("|"))
    for part, section in zip(found[::2], found[1::2]):
        if part in page.order:
            page.put(part, "?", [], section.partition("\n")[2])
    for line in lines:
        cells = cells_of(line)
        part, comma, date = cells[-1].partition(", ")
        if comma and part in page.sections:
            page.dates[part] = date
            page.rows[part].append(cells[:-1])
    return page


def cells_of(line):
    cells = re.split(r"(?<!\\)\|", line)[1:-1] or [""]
    return [c.strip().replace("\\|", "|") for c in cells]


def split(document):
    """What is before the page, the page, and what is behind it."""
    head, begin, rest = document.partition(BEGIN)
    body, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit("bench: docs/performance.md has lost its marks")
    return head + begin, body, end + tail
