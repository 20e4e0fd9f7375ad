"""Tests of deny.py: what it must refuse."""
import unittest

import deny

LICENCES = {"MIT", "Apache-2.0", "BSD-3-Clause", "Apache-2.0 WITH LLVM-exception"}


def package(name="a", version="1.2.3", license="MIT", source="registry+https://r"):
    return {"name": name, "version": version, "license": license, "source": source}


class Licences(unittest.TestCase):
    def test_one_side_of_or_is_enough_and_both_of_and(self):
        for good in ("MIT", "GPL-3.0 OR MIT", "MIT/GPL-3.0", "(MIT OR GPL-3.0) AND BSD-3-Clause",
                     "Apache-2.0 WITH LLVM-exception", "GPL-2.0 OR (MIT AND Apache-2.0)"):
            self.assertTrue(deny.allowed(good, LICENCES), good)
        for bad in ("", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR GPL-3.0) AND GPL-2.0", "MIT WITH Odd-exception"):
            self.assertFalse(deny.allowed(bad, LICENCES), bad)


class Policy(unittest.TestCase):
    def test_the_file_is_read_as_cargo_deny_reads_it(self):
        rules = deny.policy('''
            [licenses]
            allow = ["MIT", "Zlib"]  # short
            [bans]
            deny = [
                { crate = "openssl-sys", reason = "no # here" },
            ]
            skip = [
                { crate = "rand@0.8", reason = "old" },
                "syn@2",
            ]
        ''')
        self.assertEqual(rules, {"licenses.allow": ["MIT", "Zlib"], "bans.deny": ["openssl-sys"],
                                 "bans.skip": ["rand@0.8", "syn@2"]})


class Problems(unittest.TestCase):
    RULES = {"licenses.allow": ["MIT"], "bans.deny": ["bad"], "bans.skip": ["twice@1"],
             "sources.allow-registry": ["https://r"]}

    def found(self, *packages):
        return deny.problems(list(packages) + [package("twice", "1.0.0")], self.RULES)

    def test_a_clean_tree_has_none(self):
        self.assertEqual(self.found(package(), package("twice", "2.0.0"), package("own", source=None)), [])

    def test_every_rule_refuses(self):
        self.assertIn("licence GPL-3.0", self.found(package(license="GPL-3.0"))[0])
        self.assertIn("banned", self.found(package("bad"))[0])
        self.assertIn("comes from git", self.found(package(source="git+https://x"))[0])
        self.assertIn("two versions, 1.0.0 and 2.0.0", self.found(package("b", "1.0.0"), package("b", "2.0.0"))[0])

    def test_a_skip_without_a_crate_is_dead(self):
        self.assertIn("skips twice@1", deny.problems([package()], self.RULES)[0])


if __name__ == "__main__":
    unittest.main()
