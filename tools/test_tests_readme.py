"""The tests that tests/README.md names exist."""
import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CRATES = os.path.join(ROOT, "crates")


def functions():
    names = set()
    for folder, _, files in os.walk(CRATES):
        for name in files:
            if name.endswith(".rs"):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    names.update(re.findall(r"\bfn (\w+)", file.read()))
    return names


class Readme(unittest.TestCase):
    def test_every_test_it_names_exists(self):
        with open(os.path.join(ROOT, "tests", "README.md"), encoding="utf-8") as file:
            named = {word for word in re.findall(r"`(\w+)`", file.read()) if word.count("_") >= 3}
        self.assertGreater(len(named), 50)
        self.assertEqual(sorted(named - functions()), [])


if __name__ == "__main__":
    unittest.main()
