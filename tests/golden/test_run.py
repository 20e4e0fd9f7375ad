"""Tests of the replay itself: scope, departures, starting and ending the server, and one run against a fake nacre.

    python3 -m unittest discover -s tests/golden
"""
import http.server
import io
import json
import os
import stat
import sys
import tempfile
import threading
import unittest
from contextlib import redirect_stdout

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import departures  # noqa: E402
import replay  # noqa: E402
import report  # noqa: E402
import run  # noqa: E402
import scope  # noqa: E402
import server  # noqa: E402

# A `nacre server` that knows three paths; MODE says how it ends.
FAKE = '''#!{python}
import http.server, os, signal, sys, threading
mode = {mode!r}
port = int(next(word for word in sys.argv if word.startswith("server.port="))[12:])
if mode == "refuses":
    sys.exit("another process uses this directory")
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        path = self.path.rstrip("/")
        known = path in ("/nacos/v1/console/health/readiness", "/nacos/v1/console/health/liveness")
        body = b"OK" if known else b"not here"
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "text/plain;charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET
    def log_message(self, *words):
        pass
if mode == "panics":
    print("thread 'main' panicked at src/lib.rs:1:1", flush=True)
signal.signal(signal.SIGTERM, lambda *_: os._exit(3 if mode == "dirty" else 0))
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
'''


def fake(folder, mode="good"):
    path = os.path.join(folder, "nacre-" + mode)
    with open(path, "w", encoding="utf-8") as file:
        file.write(FAKE.format(python=sys.executable, mode=mode))
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
    return path


def item(step="a", status="failed", scenario="config/v1-cas", differences=("status: expected 200, got 500",), **more):
    return {"protocol": "http", "label": "nacos-2.5.1", "scenario": scenario, "step": step, "scope": "yes", "area": "",
            "endpoint": "GET /x", "status": status, "differences": list(differences), **more}


def entry(**more):
    fields = {"scenario": "config/v1-cas", "steps": ["a"], "label": "nacos-2.5.1", "kind": "better",
              "reason": "it hurts", "docs": "nacre answers 200", **more}
    return departures.Departure(1, {key: value for key, value in fields.items() if value is not None})


class Scope(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rows = scope.read_rows()
        cls.lines = {(line["label"], line["scenario"], line["step"]): line for line in scope.compute()}

    def of(self, scenario, step, label="nacos-2.5.1"):
        return self.lines[label, scenario, step]

    def test_generated_files_are_what_the_rules_give(self):
        self.assertEqual(scope.stale(), [])

    def test_every_open_row_of_the_recorded_scenarios_is_in_scope(self):
        open_rows = {row.name for row in self.rows if row.compat == "open" or row.generation == "v3-client"}
        lost = [line for line in self.lines.values() if line["row"] in open_rows and line["scope"] == "no"
                and line["area"] not in ("auth", "other version")]
        self.assertEqual(lost, [])

    def test_v1_and_v2_steps_of_3x_are_left_to_the_deciding_label(self):
        line = self.of("core/cors-and-errors", "preflight", "nacos-3.1.0")
        self.assertEqual((line["scope"], line["area"]), ("no", "other version"))
        self.assertEqual(self.of("core/cors-and-errors", "preflight")["scope"], "yes")

    def test_a_scenario_with_authentication_is_for_later(self):
        areas = {line["area"] for line in self.lines.values() if line["scenario"] == "auth/v1-login"}
        self.assertEqual(areas, {"auth"})

    def test_the_row_with_a_condition_wins(self):
        step = {"method": "GET", "path": "/nacos/v1/cs/configs", "query": {"search": "blur"}}
        self.assertEqual(scope.row_of(self.rows, step).path, "/nacos/v1/cs/configs?search=blur")
        plain = dict(step, query={"dataId": "d"})
        self.assertEqual(scope.row_of(self.rows, plain).path, "/nacos/v1/cs/configs")

    def test_another_method_on_a_client_path_belongs_to_it(self):
        line = self.of("config/v1-publish-errors", "put")
        self.assertEqual((line["scope"], line["row"]), ("yes", "GET /nacos/v1/cs/configs"))

    def test_setup_is_a_change_before_a_client_step_and_not_after(self):
        client = {"id": "c", "method": "GET", "path": "/nacos/v1/cs/configs"}
        create = {"id": "s", "method": "POST", "path": "/nacos/v1/console/namespaces"}
        answers = {"c": {"status": 200}, "s": {"status": 200}}

        def scopes(steps, answers=answers):
            found = scope.plan(self.rows, {"steps": steps, "commonMasks": []}, "nacos-2.5.1", answers)
            return {name: decision.scope for name, decision in found.items()}
        self.assertEqual(scopes([create, client])["s"], "setup")
        self.assertEqual(scopes([client, create])["s"], "no")
        self.assertEqual(scopes([create, client], {"s": {"status": 400}})["s"], "no")

    def test_a_read_that_gives_a_later_step_its_variable_is_setup(self):
        page = {"id": "p", "method": "GET", "path": "/nacos/v1/cs/history", "save": {"_nid": "$.id"}}
        client = {"id": "c", "method": "GET", "path": "/nacos/v1/cs/configs", "query": {"dataId": "{{_nid}}"}}
        found = scope.plan(self.rows, {"steps": [page, client], "commonMasks": []}, "nacos-2.5.1", {})
        self.assertEqual(found["p"].scope, "setup")

    def test_every_step_that_is_not_in_scope_names_its_area(self):
        self.assertEqual([line for line in self.lines.values() if line["scope"] == "no" and line["area"] == "-"], [])


class Toml(unittest.TestCase):
    TEXT = '''# a comment
[[departure]]
scenario = "config/v1-*"   # a glob
steps = ["a", 'b\\n',
  "c \\u00e9",
]
docs = """
two "quoted" lines, \\
  joined
and a third"""
empty = []

[[departure]]
steps = [ "x" ]
'''

    def test_reads_what_people_write(self):
        first, second = departures.parse(self.TEXT)["departure"]
        self.assertEqual(first, {"scenario": "config/v1-*", "steps": ["a", "b\\n", "c é"], "empty": [],
                                 "docs": 'two "quoted" lines, joined\nand a third'})
        self.assertEqual(second, {"steps": ["x"]})

    def test_reads_the_same_as_the_standard_library(self):
        try:
            import tomllib
        except ImportError:
            self.skipTest("Python before 3.11")
        with open(os.path.join(HERE, "departures.toml"), encoding="utf-8") as file:
            for text in (self.TEXT, file.read()):
                self.assertEqual(departures.parse(text), tomllib.loads(text))

    def test_refuses_what_it_cannot_read(self):
        for text in ('[[departure]]\nkind = better\n', '[[departure]]\nkind = "a" "b"\n', 'kind = "x"\n',
                     '[[departure]]\nsteps = ["a" "b"]\n', '[[departure]]\nsteps = ["a"\n',
                     '[[departure]]\nkind = "a"\nkind = "b"\n', '[[departure]]\nkind = "\\q"\n'):
            with self.subTest(text), self.assertRaises(departures.DepartureError):
                departures.parse(text)

    def test_refuses_entries_that_cannot_be_meant(self):
        for wrong in ({"kind": "other"}, {"reason": None}, {"docs": " "}, {"steps": []}, {"steps": "a"},
                      {"kind": "later"}, {"area": "ai"}, {"protocol": "udp"}, {"colour": "red"}):
            with self.subTest(wrong), self.assertRaises(departures.DepartureError):
                entry(**wrong)

    def test_the_file_itself_is_good_and_names_only_steps_in_scope(self):
        known = [one for s in replay.http_scenarios([]) for one in s.unasked()]
        known += [one for talk in replay.conversations([]) for one in talk.unasked()]
        entries = departures.read(os.path.join(HERE, "departures.toml"))
        self.assertEqual(departures.unknown_steps(entries, [one for one in known if one["scope"] != "no"]), [])


class Departures(unittest.TestCase):
    def judged(self, items, *entries):
        departures.apply(items, entries)
        return departures.audit(entries)

    def test_a_listed_failure_is_a_departure_of_its_kind(self):
        one = item()
        self.assertEqual(self.judged([one], entry()), ([], []))
        self.assertEqual((one["status"], one["kind"]), ("departure", "better"))

    def test_an_unlisted_failure_stays_one(self):
        for other in (entry(steps=["b"]), entry(label="nacos-3.1.0"), entry(scenario="config/v2-*"),
                      entry(protocol="grpc")):
            one = item()
            self.judged([one], other)
            self.assertEqual(one["status"], "failed")

    def test_a_departure_does_not_hide_other_differences(self):
        only_status = entry(differs=["^status: expected 200"])
        one, two = item(), item(differences=["status: expected 200, got 500", "header tag: expected 'a', got None"])
        self.judged([one, two], only_status)
        self.assertEqual((one["status"], two["status"]), ("departure", "failed"))

    def test_an_exact_entry_that_matches_again_is_stale(self):
        stale, _ = self.judged([item(status="passed"), item(step="b")], entry(steps=["a", "b"]))
        self.assertEqual(len(stale), 1)

    def test_a_glob_is_only_warned_about_and_only_when_nothing_differs(self):
        glob = entry(steps=["*"])
        self.assertEqual(self.judged([item(status="passed"), item(step="b")], glob), ([], []))
        stale, warnings = self.judged([item(status="passed")], entry(steps=["*"]))
        self.assertEqual((stale, len(warnings)), ([], 1))

    def test_a_step_that_could_not_be_asked_is_never_a_departure(self):
        one = replay.never(item(), "the server has ended")
        self.judged([one], entry())
        self.assertEqual(one["status"], "failed")

    def test_steps_of_later_work_need_no_entry(self):
        one = item(scope="no", area="console")
        self.judged([one], entry())
        self.assertEqual(one["status"], "failed")
        result = report.summarise([one, item(status="passed")], [], [], [], [], 1, True)
        self.assertTrue(report.is_good(result))

    def test_an_entry_that_names_nothing_is_reported(self):
        self.assertEqual(len(departures.unknown_steps([entry(steps=["gone"])], [item()])), 1)


class Results(unittest.TestCase):
    def result(self, *items, **more):
        given = {"entries": [], "stale": [], "warnings": [], "checks": [], "seconds": 1, "whole": True, **more}
        return report.summarise(list(items), **given)

    def test_nothing_asked_is_not_good(self):
        self.assertFalse(report.is_good(self.result()))
        self.assertFalse(report.is_good(self.result(item(status="not asked"))))

    def test_a_failure_a_stale_entry_or_a_bad_end_is_not_good(self):
        fine = item(status="passed")
        self.assertTrue(report.is_good(self.result(fine)))
        self.assertFalse(report.is_good(self.result(fine, item())))
        self.assertFalse(report.is_good(self.result(fine, stale=["x"])))
        self.assertFalse(report.is_good(self.result(fine, checks=[("SIGTERM drains", False, "still running")])))

    def test_a_failing_grpc_step_fails_its_conversation(self):
        steps = [item(protocol="grpc", step="0", status="passed"), item(protocol="grpc", step="1")]
        result = self.result(*steps)
        self.assertEqual(result["grpc"]["conversations"]["failed"], 1)
        self.assertFalse(report.is_good(result))

    def test_docs_are_replaced_between_the_markers_only(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "docs", "compatibility.md")
            given, entries = [item()], [entry(docs="a | b")]
            departures.apply(given, entries)
            result = self.result(*given, entries=entries)
            report.update_docs(result, path)
            with open(path, encoding="utf-8") as file:
                text = file.read()
            self.assertIn("| better | `GET /x` | 1 | a \\| b | it hurts |", text)
            with open(path, "w", encoding="utf-8") as file:
                file.write("# Mine\n\nbefore\n\n" + text[text.index(report.BEGIN):] + "\n## After\n")
            for _ in range(2):
                report.update_docs(result, path)
            with open(path, encoding="utf-8") as file:
                text = file.read()
            self.assertTrue(text.startswith("# Mine\n\nbefore\n\n" + report.BEGIN))
            self.assertTrue(text.endswith(report.END + "\n\n## After\n"))
            self.assertEqual(text.count(report.BEGIN), 1)

    def test_a_cut_down_run_does_not_write_the_docs(self):
        with self.assertRaises(ValueError):
            report.update_docs(self.result(item(status="passed"), whole=False), "/nonexistent/page.md")

    def test_the_report_groups_by_endpoint_and_shows_the_first_difference(self):
        text = report.report_text(self.result(item(first="text at 3: want 'a', got 'b'", request="curl -i http://x")))
        self.assertIn("== GET /x: 1 of 1 steps fail", text)
        self.assertIn("text at 3: want 'a', got 'b'", text)


class Replay(unittest.TestCase):
    """One scenario of our own against a server of our own."""

    def setUp(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = b"value" if "known" in self.path else b'{"code":1,"text":"other"}'
                self.send_response(200)
                self.send_header("Content-Type", "text/plain" if "known" in self.path else "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words):
                pass
        self.web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.web.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.web.server_port}"
        path = "/nacos/v1/cs/configs"
        steps = [{"id": "good", "method": "GET", "path": path, "query": {"dataId": "known"}},
                 {"id": "bad", "method": "GET", "path": path, "query": {"dataId": "x"}}]
        answers = {"good": {"status": 200, "headers": {"Content-Type": "text/plain"}, "text": "value"},
                   "bad": {"status": 200, "headers": {"Content-Type": "application/json"},
                           "json": {"code": 1, "text": "some"}}}
        recording = {"scenario": "config/own", "label": "nacos-2.5.1", "answers": answers}
        self.scenario = replay.HttpScenario(recording, {"steps": steps, "commonMasks": []}, scope.read_rows())

    def tearDown(self):
        self.web.shutdown()
        self.web.server_close()

    def test_equal_answers_pass_and_others_say_where_they_differ(self):
        good, bad = self.scenario.replay(self.url, lambda: None)
        self.assertEqual((good["status"], good["differences"]), ("passed", []))
        self.assertEqual(bad["status"], "failed")
        self.assertEqual(bad["differences"], ['$.text: expected "some", got "other"'])
        self.assertIn("dataId=x", bad["request"])
        self.assertRegex(bad["first"], r"json at \d+: want .*some.*, got .*other")

    def test_nothing_is_asked_after_the_stop(self):
        items = self.scenario.replay(self.url, lambda: "the server has ended")
        self.assertEqual([one["differences"] for one in items], [["not asked: the server has ended"]] * 2)

    def test_an_absent_server_is_a_failure(self):
        items = self.scenario.replay(f"http://127.0.0.1:{server.free_port()}", lambda: None)
        self.assertEqual({one["status"] for one in items}, {"failed"})


class Whole(unittest.TestCase):
    """run.py from end to end against a fake binary."""

    def run_it(self, *words, mode="good", entries=""):
        with tempfile.TemporaryDirectory() as folder:
            listed, result = os.path.join(folder, "departures.toml"), os.path.join(folder, "result.json")
            with open(listed, "w", encoding="utf-8") as file:
                file.write(entries)
            printed = io.StringIO()
            with redirect_stdout(printed):
                code = run.main(["--binary", fake(folder, mode), "--departures", listed, "--result", result,
                                 "--only", "http:console/v1-state-health", *words])
            found = None
            if os.path.exists(result):
                with open(result, encoding="utf-8") as file:
                    found = json.load(file)
            return code, found, printed.getvalue()

    def test_failures_fail_the_run_and_are_reported_by_endpoint(self):
        code, result, text = self.run_it("--report")
        states = {one["step"]: one["status"] for one in result["items"] if one["scope"] != "no"}
        self.assertEqual((states["readiness"], states["liveness"], states["state"]), ("passed", "passed", "failed"))
        self.assertEqual(code, 1)
        self.assertIn("== GET /nacos/v1/console/server/state: 2 of 2 steps fail", text)
        self.assertEqual({check["check"]: check["ok"] for check in result["checks"]},
                         {"alive to the end": True, "SIGTERM drains": True, "no panic in the log": True})

    def listed(self, steps):
        return ('[[departure]]\nscenario = "console/v1-state-health"\nlabel = "nacos-2.5.1"\nkind = "accident"\n'
                f'steps = {json.dumps(steps)}\nreason = "r"\ndocs = "d"\n')

    def test_listed_failures_pass_and_are_counted(self):
        failing = ["state", "state-post", "v2-*", "unknown"]
        code, result, text = self.run_it(entries=self.listed(failing))
        self.assertEqual((code, result["kinds"]["accident"], result["http"]["failed"]), (0, 5, 0), text)

    def test_a_stale_entry_fails_the_run(self):
        code, result, _ = self.run_it(entries=self.listed(["state", "state-post", "v2-*", "unknown", "liveness"]))
        self.assertEqual((code, len(result["stale"])), (1, 1))

    def test_a_dirty_end_fails_the_run(self):
        entries = self.listed(["state", "state-post", "v2-*", "unknown"])
        for mode, check in (("dirty", "SIGTERM drains"), ("panics", "no panic in the log")):
            code, result, _ = self.run_it(mode=mode, entries=entries)
            self.assertEqual((code, [c["check"] for c in result["checks"] if not c["ok"]]), (1, [check]))

    def test_a_server_that_does_not_start_is_said_with_its_words(self):
        code, result, text = self.run_it(mode="refuses")
        self.assertEqual((code, result), (2, None))
        self.assertIn("another process uses this directory", text)

    def test_an_absent_binary_is_said(self):
        printed = io.StringIO()
        with redirect_stdout(printed):
            code = run.main(["--binary", "/nonexistent/nacre", "--only", "http:console/v1-state-health"])
        self.assertEqual(code, 2)
        self.assertIn("build it", printed.getvalue())


if __name__ == "__main__":
    unittest.main()
