"""The judge must find what it is there to find."""
import unittest

from rack import grpc
from rack.call import Answer, Outcome
from rack.damage import difference
from rack.model import NEWEST, Books, Cell, Chain
from rack.soak import SAMPLE, Soak, growth
from rack.watch import ServiceSubscriber


class CellTest(unittest.TestCase):
    def test_an_acknowledged_value_must_be_there(self):
        cell = Cell()
        cell.acknowledged("a")
        self.assertIsNone(cell.settle("a"))
        self.assertIn("acknowledged is 'a'", cell.settle(None))
        self.assertIn("acknowledged is 'a'", cell.settle("b"))

    def test_an_open_write_may_have_happened_and_is_then_held_ever_after(self):
        cell = Cell()
        cell.acknowledged("a")
        cell.unknown("b")
        self.assertIsNone(cell.settle("b"))
        self.assertIsNotNone(cell.settle("a"), "what was seen once must stay")
        self.assertEqual([*cell.history], ["I", "U"])

    def test_an_open_write_may_not_have_happened_and_then_never_does(self):
        cell = Cell()
        cell.acknowledged("a")
        cell.unknown(None)
        self.assertIsNone(cell.settle("a"))
        self.assertIsNotNone(cell.settle(None))
        self.assertEqual([*cell.history], ["I"])

    def test_a_removal_that_comes_undone_is_found(self):
        cell = Cell()
        cell.acknowledged("a")
        cell.acknowledged(None)
        self.assertIsNotNone(cell.settle("a"))
        self.assertEqual([*cell.history], ["I", "D"])

    def test_what_is_kept_does_not_grow_with_the_run(self):
        cell, chain, before = Cell(), Chain(), None
        for number in range(10 * NEWEST):
            content = f"{number} " + "x" * 10_000
            cell.acknowledged(content)
            chain.note(before, content, True)
            before = content
        self.assertEqual("".join(cell.history), "U" * (NEWEST + 1), "one more than a page tells a short history")
        self.assertLess(sum(map(len, chain.made)), 100 * len(chain.made))
        self.assertIsNone(chain.settle(before))
        self.assertEqual((len(chain.made), chain.length), (0, 10 * NEWEST))


class ChainTest(unittest.TestCase):
    def chain(self):
        chain = Chain()
        chain.note(None, "a", True)
        chain.note("a", "b", True)
        chain.note("b", "c", False)
        return chain

    def test_every_acknowledged_step_leads_to_what_is_there(self):
        for there, steps in (("b", 2), ("c", 3)):
            chain = self.chain()
            self.assertIsNone(chain.settle(there))
            self.assertEqual(chain.length, steps)

    def test_an_acknowledged_step_that_is_gone_is_found(self):
        self.assertIn("lacks", self.chain().settle("a"))
        self.assertIn("lacks", self.chain().settle(None))

    def test_two_successes_over_the_same_value_are_found(self):
        chain = self.chain()
        chain.note("a", "d", True)
        self.assertIn("lacks", chain.settle("b"))
        self.assertIn("lacks", chain.settle("d"))

    def test_a_value_from_nowhere_is_found(self):
        self.assertIn("does not descend", self.chain().settle("x"))


class BooksTest(unittest.TestCase):
    def test_what_nobody_wrote_is_found(self):
        books = Books()
        books.cells["config", "a"] = Cell()
        self.assertEqual(books.settle({}), [])
        self.assertEqual(len(books.settle({("config", "ghost"): "x"})), 1)


class OutcomeTest(unittest.TestCase):
    def test_only_a_plain_no_is_a_refusal(self):
        for status, text, outcome in ((200, "true", Outcome.DONE), (503, "not done: full", Outcome.REFUSED),
                                      (503, "outcome unknown: x", Outcome.UNKNOWN), (500, "caused: x", Outcome.UNKNOWN),
                                      (400, "bad", Outcome.REFUSED)):
            self.assertIs(Answer(status, {}, text.encode()).outcome(), outcome, text)


class DamageTest(unittest.TestCase):
    def test_a_lost_row_is_told(self):
        self.assertIn("table t has 1 rows, written were 2", difference({"t": ["a", "b"]}, {"t": ["a"]}))


class WatchTest(unittest.TestCase):
    def subscriber(self):
        class Rig:
            found = []

            def complain(self, kind, text):
                self.found.append(kind)
        return ServiceSubscriber(Rig()), Rig.found

    def test_something_older_is_reordered(self):
        one, found = self.subscriber()
        for version in (1, 3, 3, 2):
            one.hold("a", version)
        self.assertEqual(found, ["reordered"])

    def test_a_stamp_that_goes_back_is_reordered(self):
        one, found = self.subscriber()
        for stamp in (5, 5, 4):
            one.take({"name": "G@@s", "lastRefTime": stamp, "hosts": []})
        self.assertEqual(found, ["reordered"])


class SoakTest(unittest.TestCase):
    def test_growth_is_told_after_the_warm_up(self):
        flat = [{"life": 1, "memory": 100} for _ in range(100)]
        rising = [{"life": 2, "memory": number} for number in range(100)]
        self.assertEqual(growth(flat, "memory"), (100, 100, 0))
        self.assertEqual(growth(flat + rising, "memory"), growth(rising, "memory"), "a restarted server begins anew")
        first, last, slope = growth(rising, "memory")
        self.assertAlmostEqual(slope, 3600 / SAMPLE)
        self.assertLess(first, last)

    def test_leaks_are_what_stays(self):
        before = {"files": 10, "threads": 5, "tasks": 20}
        self.assertEqual(Soak.leaks(before, dict(before, files=12)), [])
        self.assertEqual(len(Soak.leaks(before, {"files": 100, "threads": 60, "tasks": 90})), 3)


class GrpcTest(unittest.TestCase):
    def test_payloads_read_back(self):
        framed = grpc.pack("InstanceRequest", {"a": "ä" * 300})
        self.assertEqual(int.from_bytes(framed[1:5], "big"), len(framed) - 5)
        self.assertEqual(grpc.unpack(framed[5:]), ("InstanceRequest", {"a": "ä" * 300}))
