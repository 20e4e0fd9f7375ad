"""The promise page names tests that exist and shows a miss as a miss."""
import pathlib
import re
import unittest

from rack import faults, promises

ROOT = pathlib.Path(__file__).resolve().parents[2]


class PromisesTest(unittest.TestCase):
    def test_every_row_of_what_happens_when_has_a_test_that_exists(self):
        tests = set()
        for path in ROOT.glob("crates/**/*.rs"):
            tests.update(re.findall(r"fn (\w+)\(", path.read_text()))
        for *_, test in promises.ELSEWHERE:
            self.assertIn(test, tests)

    def test_every_fault_has_its_row_in_words(self):
        for test in faults.TESTS:
            self.assertEqual(len(faults.row(test)), 4, test.__name__)

    def test_a_miss_is_shown_as_one(self):
        found = {"F9": [{"row": "F9", "what": "", "target": "", "measured": 3, "unit": "lost", "ok": False, "command": "c",
                         "version": "v", "note": ""}]}
        self.assertIn("**3 lost (missed)**", "\n".join(promises.table(found)))

    def test_what_was_not_measured_again_stays_as_it_was(self):
        one = {"row": "F14", "target": "t", "measured": 0, "unit": "", "ok": True, "note": "n", "command": "c"}
        first, second = ({**one, "what": what, "version": "old"} for what in ("5 faults", "False findings"))
        before = "\n".join(promises.table({"F14": [first, second]}))
        self.assertEqual("\n".join(promises.table({}, before)), before)
        after = promises.table({"F14": [{**first, "what": "60 faults", "version": "new"}]}, before)
        rows = [line for line in after if line.startswith("| F14 |")]
        self.assertEqual(["new" in row for row in rows], [True, False])
        self.assertIn("False findings", rows[1])

    def test_rows_that_nobody_measured_say_so(self):
        self.assertEqual("\n".join(promises.table({})).count("not measured yet"), len(promises.ROWS))


if __name__ == "__main__":
    unittest.main()
