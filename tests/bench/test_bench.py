#!/usr/bin/python3
"""What the benchmark reckons and writes, and that one part of it runs."""

import os
import pathlib
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import lab  # noqa: E402
import page  # noqa: E402


def series(*samples, first=0, step=1):
    result = lab.Series()
    for at, sample in enumerate(samples):
        result.add(sample, first + step * at)
    return result


class Numbers(unittest.TestCase):
    def test_a_series_tells_median_and_range(self):
        self.assertEqual(series(3, 1, 2).text(1), "2.0 (1.0-3.0)")
        self.assertEqual(series(3).text(0), "3")
        self.assertEqual(lab.Series().text(0), "-")

    def test_a_ratio_is_of_the_rounds_that_both_were_measured_in(self):
        often, seldom = series(1, 100, 2, 100, 3), series(10, 30, 20, step=2)
        ratio = lab.Ratio(seldom, often)
        self.assertEqual(ratio.value, 20 / 2)
        self.assertEqual(sorted(ratio.pairs), [20 / 3, 10, 15])

    def test_a_ratio_of_nothing_is_no_number(self):
        for below in (lab.Series(), series(0), series(1, first=7)):
            self.assertIsNone(lab.Ratio(series(1), below).value)
            self.assertEqual(lab.ratio_text(series(1), below), "-")

    def test_a_goal_is_reached_at_its_border_and_not_below(self):
        for samples, reached in (((2, 2), "yes"), ((1.9, 1.99), "no")):
            target = lab.at_least("path", "peer", 2, lab.Ratio(series(*samples), series(1, 1)))
            self.assertEqual(target.row()[-1], reached)

    def test_a_goal_that_was_not_measured_is_neither_reached_nor_missed(self):
        target = lab.at_least("path", "peer", 2, lab.Ratio(series(1), lab.Series()))
        self.assertEqual(target.row(), ["path", "peer", ">= 2", "not measured", "-"])

    def test_the_page_of_an_answer_is_found_behind_records_that_speak_of_pages(self):
        body = b'{"data":[{"text":"\\"page\\":{"}],"page":{"count":1,"total":7},"result":{}}'
        self.assertEqual(lab.page_of(body), {"count": 1, "total": 7})


class Writing(unittest.TestCase):
    ORDER = ("cold", "hot", "deep")

    def filled(self, date, *parts):
        made = page.Page(self.ORDER)
        made.head = f"head of {date}"
        for part in parts:
            rows = [[f"{part} {n}", "curl | gunzip", ">= 1", f"measured {date}", "yes"] for n in "ab"]
            made.put(part, date, rows, f"text of {part}, {date}\n\n| a | b |\n| - | - |")
        return made

    def test_cells_keep_their_pipes(self):
        row = lab.table(["", "x"], [["a | b", "c"]]).splitlines()[-1]
        self.assertEqual(row, "| a \\| b | c |")
        self.assertEqual(page.cells_of(row), ["a | b", "c"])

    def test_rows_and_sections_stand_in_the_order_of_the_parts(self):
        text = self.filled("monday", "deep", "cold", "hot").text()
        self.assertLess(text.index("| hot b"), text.index("| deep a"))
        self.assertLess(text.index("### Cold"), text.index("### Hot"))

    def test_what_was_written_reads_as_the_same_page(self):
        text = self.filled("monday", *self.ORDER).text()
        self.assertEqual(page.read(text, self.ORDER).text(), text)

    def test_a_part_measured_again_replaces_its_own_rows_and_section_alone(self):
        kept = page.read(self.filled("monday", *self.ORDER).text(), self.ORDER)
        kept.take(self.filled("friday", "hot"))
        text = kept.text()
        self.assertIn(page.PARTLY, text)
        self.assertNotIn("head of", text)
        self.assertEqual(text.count("hot, friday |"), 2)
        self.assertEqual(text.count("cold, monday |"), 2)
        self.assertIn("text of hot, friday", text)
        self.assertNotIn("text of hot, monday", text)
        self.assertIn("text of deep, monday", text)
        self.assertEqual(page.read(text, self.ORDER).text(), text)

    def test_a_run_of_all_parts_is_the_page(self):
        kept = page.read(self.filled("monday", *self.ORDER).text(), self.ORDER)
        kept.take(self.filled("friday", *self.ORDER))
        self.assertIn("head of friday", kept.text())

    def test_a_part_that_is_no_more_goes_with_its_rows(self):
        text = page.read(self.filled("monday", *self.ORDER).text(), ("cold", "deep")).text()
        self.assertNotIn("hot", text)

    def test_a_document_without_its_marks_is_left_alone(self):
        whole = f"before\n{page.BEGIN}middle\n{page.END}behind\n"
        self.assertEqual("".join(page.split(whole)), whole)
        with self.assertRaises(SystemExit):
            page.split(whole.replace(page.END, ""))


class Running(unittest.TestCase):
    def test_a_quick_part_tells_its_rows_and_leaves_the_document_alone(self):
        document = lab.harness.SRCDIR / "docs" / "performance.md"
        before = document.read_bytes()
        done = subprocess.run([sys.executable, HERE / "run", "summary", "--quick"], text=True,
                              capture_output=True, env=os.environ, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        told = page.read(done.stdout, ["summary"])
        self.assertEqual([row[2] for row in told.rows["summary"]], ["<= 8"])
        self.assertIn("### Summary", done.stdout)
        self.assertEqual(document.read_bytes(), before)

    def test_a_quick_run_is_never_written(self):
        done = subprocess.run([sys.executable, HERE / "run", "--quick", "--write"], text=True,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--write is not for --quick", done.stderr)


if __name__ == "__main__":
    unittest.main()
