"""The page is made of whatever results there are."""
import json
import math
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import instructions  # noqa: E402
import page  # noqa: E402

FACTS = {"cores": 2, "cpu": "x", "memory": "1 GiB", "kernel": "6", "nacre": "0.1.0 (abc)", "rustc": "rustc 1", "rnacos": "0.8"}
LATENCY = {"min": 1, "mean": 1, "p50": 1, "p90": 1, "p99": 1, "p999": 1, "max": 1}


def contest(*ratios):
    one = {"rate": 1000.0, "latency_us": LATENCY, "cpu_us_each": 1.0, "tool_cpu_us_each": 1.0}
    return {
        "operation": "http list v1", "command": "nacre bench http list", "settings": {"connections": 64},
        "servers": [{"name": "target", **one}] + [{"name": name, **one} for name, _ in ratios],
        "ratios": [{"of": "target", "to": name, "rate": rate, "cpu": 1.0} for name, rate in ratios],
    }


class Page(unittest.TestCase):
    def test_nothing_measured_is_said_so_and_never_a_hit(self):
        rows = page.rows({})
        self.assertGreater(len(rows), 15)
        self.assertEqual({row.verdict for row in rows}, {"open"})
        self.assertIn("not measured", page.render({}, FACTS))

    def test_a_ratio_below_its_target_is_missed(self):
        rows = page.rows({"http-list": contest(("bare hyper", 0.79), ("r-nacos", 2.5))})
        found = {row.what: row.verdict for row in rows}
        self.assertEqual(found["HTTP instance list (10), to bare hyper"], "missed")
        self.assertEqual(found["HTTP instance list (10), to r-nacos"], "hit")
        self.assertNotIn("HTTP instance list (10), to java-nacos", found)

    def test_what_the_signals_cost_is_judged_over_all_operations(self):
        def measured(rate, cpu):
            # Each pair by itself: the machine was three times as fast in the second.
            on = [{"rate": rate * speed, "cpu": cpu / speed} for speed in (1, 3)]
            return {"on": on, "off": [{"rate": speed, "cpu": 1 / speed} for speed in (1, 3)], "command": "nacre bench"}

        results = {"signals-http-beat": measured(0.97, 1.02), "signals-grpc-register": measured(1.1, 1.0)}
        first, *others = page.overhead_rows(results)
        self.assertEqual((first.verdict, len(others)), ("hit", 2))
        self.assertIn("1.0 % ± 0.0 by CPU time over 2 operations, most for HTTP beat: 2.0 % ± 0.0;", first.measured)
        results["signals-http-list"] = measured(1.0, 1.2)
        self.assertEqual(page.overhead_rows(results)[0].verdict, "missed")
        self.assertEqual(page.overhead_rows({})[0].verdict, "open")
        self.assertIn("1.020 ± 0.000 x the CPU time, 0.970 x the throughput of the same server", others[0].measured)

    def test_instructions_say_what_share_of_them_is_the_signals(self):
        def measured(on, off):
            return {"on": [{"instructions": on}] * 2, "off": [{"instructions": off}] * 2, "command": "nacre bench"}

        first, one = page.instruction_rows({"instructions-http-config-get": measured(20_000, 19_800)})
        self.assertEqual((first.verdict, one.what), ("hit", "instructions, HTTP config-get"))
        self.assertIn("1.0 % ± 0.0 of the instructions over 1 operations", first.measured)
        self.assertEqual(one.measured, "20,000 a call, of which signals 1.0 % ± 0.0")
        self.assertEqual(page.instruction_rows({"instructions-http-beat": measured(103, 100)})[0].verdict, "missed")
        self.assertEqual(page.instruction_rows({})[0].verdict, "open")

    def test_the_newest_dump_of_each_thread_is_read(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("callgrind.2-01", "fn=x\ntotals: 5\n"), ("callgrind.10-01", "part: 1\ntotals: 7\n"), ("callgrind.10-03", "totals: 9\n")):
                with open(os.path.join(folder, name), "w", encoding="ascii") as file:
                    file.write(text)
            self.assertEqual(instructions.totals(folder), {1: 7, 3: 9})

    def test_the_error_of_turns_says_how_far_they_differ(self):
        turns = {"on": [{"cpu": 2.0}, {"cpu": 0.5}], "off": [{"cpu": 1.0}, {"cpu": 1.0}]}
        ratio, spread = page.in_turns(turns, "cpu")
        self.assertAlmostEqual(ratio, 1.0)
        self.assertAlmostEqual(spread, math.log(2) ** 2)
        self.assertEqual(page.in_turns({"on": [{"cpu": 2.0}], "off": [{"cpu": 1.0}]}, "cpu"), (2.0, 0.0))

    def test_the_figures_of_the_promise_page_have_their_keys(self):
        spans = {**LATENCY, "p99": 99_000.0}
        ours = {"name": "target", "changes": 5, "last_after_acknowledged_us": spans, "missed": 0}
        with tempfile.TemporaryDirectory() as folder:
            page.promises({"fan-out-service-10k": {"servers": [ours], "command": "c"}}, FACTS, folder)
            with open(os.path.join(folder, "F3.json"), encoding="utf-8") as file:
                value = json.load(file)
        self.assertEqual(set(value), {"row", "what", "target", "measured", "unit", "ok", "command", "version", "note"})
        self.assertEqual((value["row"], value["measured"], value["ok"]), ("F3", 99.0, True))

    def test_the_words_of_the_footprint_example_are_read(self):
        text = "register          512 ns\nresident          407 bytes an instance\nbeat  90 ns\n"
        self.assertEqual(page.footprint(text), {"register_ns": 512, "bytes_an_instance": 407, "beat_ns": 90})


if __name__ == "__main__":
    unittest.main()
