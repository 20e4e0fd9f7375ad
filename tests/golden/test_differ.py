"""Tests of what is asked of two servers at once: the same seed asks the same, and what is asked can be played."""
import json
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import differ  # noqa: E402
import mutations  # noqa: E402
import stories  # noqa: E402


def beat():
    with open(os.path.join(HERE, "scenarios", "naming", "v1-beat.json"), encoding="utf-8") as file:
        return json.load(file)


class Mutations(unittest.TestCase):
    def test_the_same_seed_makes_the_same_and_another_one_does_not(self):
        first = mutations.mutated(beat(), "naming/v1-beat", "1", 3)
        self.assertEqual(first, mutations.mutated(beat(), "naming/v1-beat", "1", 3))
        self.assertNotEqual(first, mutations.mutated(beat(), "naming/v1-beat", "2", 3))

    def test_the_steps_themselves_stay_and_each_variation_has_a_name_of_its_own(self):
        scenario = beat()
        made = mutations.mutated(scenario, "naming/v1-beat", "1", 3)["steps"]
        ids = [step["id"] for step in made if "id" in step]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual([step for step in made if "--" not in step.get("id", "")], scenario["steps"])
        self.assertGreater(len(made), 2 * len(scenario["steps"]))

    def test_a_variation_saves_nothing_that_later_steps_would_use(self):
        for step in mutations.mutated(beat(), "naming/v1-beat", "3", 3)["steps"]:
            if "--" in step.get("id", ""):
                self.assertFalse({"save", "saveOptional", "pause"} & step.keys(), step["id"])


class Stories(unittest.TestCase):
    def test_the_same_seed_tells_the_same(self):
        for kind in stories.KINDS:
            self.assertEqual(stories.story(kind, "1"), stories.story(kind, "1"), kind)
            self.assertNotEqual(stories.story(kind, "1"), stories.story(kind, "2"), kind)

    def test_nobody_speaks_before_he_came_or_after_he_left(self):
        for kind in stories.KINDS:
            for seed in range(20):
                there = set()
                for step in stories.story(kind, str(seed))["steps"]:
                    if "open" in step:
                        there.add(step["open"])
                    elif "close" in step:
                        there.remove(step["close"])
                    elif "on" in step:
                        self.assertIn(step["on"], there, (kind, seed, step))


class Told(unittest.TestCase):
    def test_steps_of_http_and_stories_of_grpc_are_counted(self):
        options = differ.arguments(["--reference", "http://r", "--label", "l"])
        steps = [{"id": "a", "ok": True, "differences": []}, {"id": "b", "ok": False, "differences": ["status"]}]
        self.assertEqual(differ.told({"scenarios": [{"scenario": "s", "steps": steps}]}, options), (1, 1))
        options.stories = 2
        parted = {"scenario": "t", "differences": [{"step": 1, "what": "call", "difference": "type"}]}
        self.assertEqual(differ.told({"scenarios": [parted, {"scenario": "u", "differences": []}]}, options), (1, 1))


if __name__ == "__main__":
    unittest.main()
