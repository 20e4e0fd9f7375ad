"""Tests of the runner itself: that it cannot be green by accident."""

import contextlib
import io
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from suite import applications, behaviours, lifecycle, main, maintainer, report
from suite.clients import CLIENTS, BuildError, Client, GoClient


class Quiet(unittest.TestCase):
    def setUp(self):
        silence = contextlib.redirect_stdout(io.StringIO())
        silence.__enter__()
        self.addCleanup(silence.__exit__, None, None, None)
        self.report = report.Report()
        self.client = Client("some", "Some", "1", {}, lacks={"killed": "no reason"})

    def session(self):
        return behaviours.Session(self.client, None, self.report, None)

    def outcome(self):
        return {row["behaviour"]: row["ok"] for row in self.report.rows}


class Rows(Quiet):
    def run_flow(self, scenario, *rows):
        driver = type("Driver", (), {"ready": lambda self: self})()
        session = behaviours.Session(self.client, None, self.report, lambda role: driver)
        flows, behaviours.FLOWS[:] = behaviours.FLOWS[:], [(scenario, rows)]
        self.addCleanup(behaviours.FLOWS.__setitem__, slice(None), flows)
        session.run()

    def test_rows_after_a_failed_one_fail_too(self):
        def scenario(s):
            with s.row("list"):
                raise AssertionError("no")
        self.run_flow(scenario, "list", "deregister")
        self.assertEqual(self.outcome(), {"install": True, "list": False, "deregister": False})

    def test_a_row_that_a_scenario_forgets_fails(self):
        self.run_flow(lambda s: None, "list")
        self.assertEqual(self.outcome(), {"install": True, "list": False})

    def test_an_error_between_two_rows_fails_the_second(self):
        def scenario(s):
            with s.row("list"):
                pass
            raise ValueError("between")
        self.run_flow(scenario, "list", "deregister")
        self.assertEqual(self.outcome(), {"install": True, "list": True, "deregister": False})

    def test_only_what_an_sdk_lacks_may_be_missing(self):
        self.run_flow(lambda s: None, "killed")
        self.assertEqual(self.outcome(), {"install": True})

    def test_a_panic_in_the_servers_log_is_a_failure(self):
        with tempfile.NamedTemporaryFile("w") as log:
            log.write("fine\nthread 'main' panicked at src/lib.rs:1:1\n")
            log.flush()
            session = self.session()
            session.server = type("Server", (), {"log": log.name})()
            with self.assertRaises(report.FlowBroken):
                session.judge_log()
        self.assertEqual(self.outcome(), {"server_log": False})


class Table(Quiet):
    def test_every_row_of_a_flow_is_in_the_table_and_the_other_way_round(self):
        produced = {row for _, rows in behaviours.FLOWS for row in rows}
        produced |= {"install", "server_log", "mixed_naming", "mixed_config"}
        self.assertTrue(lifecycle.restarts)
        self.assertEqual(produced, {behaviour.name for behaviour in behaviours.BEHAVIOURS})

    def test_each_application_produces_every_row_of_its_table_or_says_why_not(self):
        wanted = {behaviour.name for behaviour in applications.BEHAVIOURS}
        for client in CLIENTS:
            if client.kind in ("sdk", "maintainer"):
                continue
            produced = {row for _, rows in main.FLOWS[client.kind] for row in rows} | {"install", "server_log"}
            self.assertEqual(produced - set(client.lacks) | set(client.lacks), wanted, client.name)

    def test_what_sdks_lack_are_behaviours(self):
        for client in CLIENTS:
            rows = behaviours.BEHAVIOURS if client.kind == "sdk" else applications.BEHAVIOURS
            known = {behaviour.name for behaviour in rows}
            self.assertLessEqual(set(client.lacks), known, client.name)

    def test_the_table_says_yes_no_and_why_not(self):
        for name, ok in (("list", True), ("deregister", False)):
            self.report.add(self.client, name, ok)
        with tempfile.TemporaryDirectory() as folder:
            page = os.path.join(folder, "page.md")
            with open(page, "w", encoding="utf-8") as out:
                begin, end = report.marks("some")
                out.write(f"before\n{begin}\nold\n{end}\nafter\n")
            known = [behaviours.Behaviour(name, name) for name in ("list", "deregister", "killed", "publish")]
            report.write_docs(page, self.report.rows, [("some", [self.client], known)])
            with open(page, encoding="utf-8") as text:
                lines = text.read().splitlines()
        self.assertEqual(lines[0], "before")
        self.assertEqual(lines[4:8], ["| list | yes |", "| deregister | **no** |", "| killed | – (1) |", "| publish | ? |"])
        self.assertIn("1. No reason.", lines)
        self.assertEqual((lines[-1], "old" in lines), ("after", False))

    def test_a_table_of_half_a_result_is_not_written(self):
        with self.assertRaises(SystemExit):
            report._table([], [self.client], behaviours.BEHAVIOURS)
        with self.assertRaises(SystemExit):
            report._methods([], [self.client])

    def test_rows_for_later_are_neither_passed_nor_failed_and_name_their_endpoint(self):
        self.report.add(self.client, "Core.liveness", True)
        self.report.add(self.client, "Core.raftOps", None, "POST /nacos/v3/admin/core/ops/raft", kind="later")
        self.assertEqual((len(self.report.passed()), len(self.report.failed())), (1, 0))
        self.assertIn("| Core | `liveness` | `raftOps` (`POST /v3/admin/core/ops/raft`) |",
                      report._methods(self.report.rows, [self.client]))


class Choice(Quiet):
    def names(self, *wanted):
        return [client.name for client in main.chosen(list(wanted))]

    def test_a_name_a_generation_and_a_language(self):
        self.assertEqual(self.names("java-2.5"), ["java-2.5"])
        self.assertEqual(self.names("java-2.x"), ["java-2.1", "java-2.2", "java-2.5"])
        self.assertEqual(self.names("go", "node"), ["go-1.1", "go-2.3", "node"])

    def test_an_unknown_name_ends_the_run(self):
        with self.assertRaises(SystemExit):
            main.chosen(["cobol"])


class Toolchains(Quiet):
    def test_a_missing_toolchain_is_a_failed_row_with_a_sentence(self):
        client = GoClient("go-9", "9", "v9")
        client.tools = {"no-such-tool-here": "Go 1.24 or newer"}
        with tempfile.TemporaryDirectory() as folder, self.assertRaises(BuildError) as failure:
            client.build(folder)
        self.assertEqual(str(failure.exception), "Go needs Go 1.24 or newer: `no-such-tool-here` is not on PATH")
        self.assertEqual(main.build([client], "/nowhere", self.report), [])
        self.assertEqual(self.outcome(), {"install": False})


class Methods(unittest.TestCase):
    """What the maintainer client is called with, and that no call is taken for one of later by accident."""

    def judged(self, answers, call=None, name="Core.x"):
        client = type("Client", (), {"call": lambda self, op, **args: None})()
        recorder = type("Recorder", (), {"take": lambda self: list(answers)})()
        shelf = type("Shelf", (), {"values": {}})()
        return maintainer.judged(client, recorder, shelf, name, ["CoreMaintainerService.x()"], call)[:2]

    def test_a_method_without_an_expectation_is_for_later_only_when_its_endpoint_is_not_there(self):
        missing = ("GET", "/nacos/v3/x", 404, "type=Not Found, status=404")
        self.assertEqual(self.judged([missing]), (None, "later"))
        self.assertEqual(self.judged([missing, ("GET", "/nacos/v3/x", 200, "{}")]), (False, ""))
        self.assertEqual(self.judged([("GET", "/nacos/v3/x", 404, "resource not found")]), (False, ""))
        self.assertEqual(self.judged([]), (False, ""))

    def test_a_method_with_an_expectation_fails_when_nothing_was_asked_or_the_answer_is_wrong(self):
        seen = ("GET", "/nacos/v3/x", 200, "{}")
        self.assertEqual(self.judged([seen], maintainer.Call(lambda value: None)), (True, ""))
        self.assertEqual(self.judged([], maintainer.Call(lambda value: None)), (False, ""))
        self.assertEqual(self.judged([seen], maintainer.Call(maintainer.true)), (False, ""))
        self.assertEqual(self.judged([seen], maintainer.Call(maintainer.true, refused={(): "no"})), (False, ""))

    def test_every_parameter_gets_a_blank_by_its_name(self):
        signature = "AMaintainerService.m(java.lang.String a, java.util.Map<java.lang.String, java.lang.Object> b, byte[] c, int d)"
        self.assertEqual(maintainer.blanks(signature), {"a": "blank", "b": {}, "c": "", "d": 1})
        self.assertEqual(maintainer.blanks("AMaintainerService.m()"), {})


class Predicates(unittest.TestCase):
    def test_exactly_means_these_hosts_with_these_values_and_no_others(self):
        one, two = behaviours.instance("10.9.0.1"), behaviours.instance("10.9.0.2", metadata={"a": "b"})
        seen = [dict(host, healthy=True) for host in (two, one)]
        self.assertTrue(behaviours.exactly(one, two)({"hosts": seen}))
        self.assertFalse(behaviours.exactly(one)({"hosts": seen}))
        self.assertFalse(behaviours.exactly(one, dict(two, metadata={}))({"hosts": seen}))
        self.assertFalse(behaviours.exactly(one, two)({"hosts": [dict(host, healthy=False) for host in seen]}))
        self.assertTrue(behaviours.exactly()({"hosts": []}))


if __name__ == "__main__":
    unittest.main()
