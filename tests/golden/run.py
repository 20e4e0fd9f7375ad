#!/usr/bin/env python3
"""Replay the golden conversations against nacre and compare with what real Nacos servers answered.

  run.py                              everything in scope, against target/debug/nacre on a fresh home
  run.py --only 'config/*' --verbose  some scenarios (`http:config/*` or `grpc:config/*`: one protocol)
  run.py --server http://127.0.0.1:8848   against a server that runs already
  run.py --report                     group what fails by endpoint, with the first differing bytes
  run.py --report --from target/golden/result.json    the same of the last run
  run.py --update-docs                also write the golden section of docs/compatibility.md

Exit code 1 when a step in scope fails that departures.toml does not list, when an entry there is no longer true, or
when the server does not end well.  Results: target/golden/result.json.  README.md tells what is compared.
"""
import argparse
import os
import sys
import threading
import time

sys.dont_write_bytecode = True
import departures  # noqa: E402
import replay  # noqa: E402
import report  # noqa: E402
import scope  # noqa: E402
import server  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target")


def arguments(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join(TARGET, "debug", "nacre"), help="default: target/debug/nacre")
    parser.add_argument("--server", metavar="URL", help="a running server instead of --binary")
    parser.add_argument("--grpc", metavar="HOST:PORT", help="its gRPC address (default: HTTP port + 1000)")
    parser.add_argument("-D", dest="properties", action="append", default=[], metavar="KEY=VALUE",
                        help="a further property for the server that is started")
    parser.add_argument("--only", action="append", default=[], metavar="GLOB", help="scenarios; may be repeated")
    parser.add_argument("--protocol", choices=("http", "grpc"), help="only this one")
    parser.add_argument("--later", action="store_true", help="ask the HTTP scenarios of later work, too")
    parser.add_argument("--jobs", type=int, default=6, help="HTTP scenarios at the same time")
    parser.add_argument("--grpc-jobs", type=int, default=6, help="gRPC conversations at the same time")
    parser.add_argument("--slack", type=float, default=1.0, help="multiplies the time limits of gRPC")
    parser.add_argument("--without", default="lock,mcp", help="gRPC abilities that are not offered yet")
    parser.add_argument("--limit", type=float, default=900, metavar="SECONDS", help="after which nothing more is asked")
    parser.add_argument("--verbose", action="store_true", help="every step, all differences, requests as curl")
    parser.add_argument("--quiet", action="store_true", help="one line for each scenario")
    parser.add_argument("--report", action="store_true", help="group what fails by endpoint")
    parser.add_argument("--from", dest="source", metavar="FILE", help="use this result instead of running")
    parser.add_argument("--result", default=os.path.join(TARGET, "golden", "result.json"))
    parser.add_argument("--departures", default=os.path.join(HERE, "departures.toml"))
    parser.add_argument("--update-docs", action="store_true")
    parser.add_argument("--docs", default=os.path.join(ROOT, "docs", "compatibility.md"))
    options = parser.parse_args(words)
    if options.server:
        options.server = options.server.rstrip("/")
    return options


class Round:
    """One run: what is asked, by whom it is stopped, and what it printed."""

    def __init__(self, options, entries):
        self.options, self.entries = options, entries
        self.started, self.lock, self.subject = time.monotonic(), threading.Lock(), None
        self.interrupted = False

    def stop(self):
        """Why no more is asked, or None."""
        if self.interrupted:
            return "interrupted"
        if time.monotonic() - self.started > self.options.limit:
            return f"{self.options.limit:.0f} s are over (--limit)"
        if self.subject and not self.subject.alive():
            return "the server has ended"
        return None

    def done(self, protocol, name, items, seconds):
        with self.lock:
            departures.apply(items, self.entries)
            text = report.scenario_text(protocol, name, items, seconds, self.options.verbose, self.options.quiet)
            print(text, flush=True)

    def ask(self, url, http, talks, python):
        """All items: HTTP beside gRPC, then what must be alone."""
        options, gathered = self.options, []

        def shared_http():
            gathered.extend(replay.replay_http([s for s in http if not s.alone], url, options.jobs,
                                               self.stop, self.done))
        beside = threading.Thread(target=shared_http)
        beside.start()
        try:
            items = replay.replay_grpc([t for t in talks if not t.alone], python, url, options, self.stop, self.done)
            beside.join()
            items += replay.replay_grpc([t for t in talks if t.alone], python, url, options, self.stop, self.done)
        except BaseException:
            self.interrupted = True
            beside.join()
            raise
        items += gathered
        for scenario in http:
            if scenario.alone:
                items += replay.replay_http([scenario], url, 1, self.stop, self.done)
        return items


def perform(options, entries):
    """Start, ask, stop; the result."""
    http = [] if options.protocol == "grpc" else replay.http_scenarios(options.only)
    talks = [] if options.protocol == "http" else replay.conversations(options.only)
    http_now = [s for s in http if not s.needs and (s.in_scope or options.later)]
    talks_now = [t for t in talks if t.in_scope]
    if not http_now and not talks_now:
        raise server.ServerError("no such scenario in scope: look at --only, --protocol, scope.tsv (--later)")
    turn, checks = Round(options, entries), []
    python = server.grpc_python(TARGET) if talks_now else None
    url = options.server
    try:
        if not url:
            turn.subject = server.Server(options.binary, os.path.join(TARGET, "golden", "server.log"),
                                            options.properties)
            url = turn.subject.start()
        elif not server.answers_ready(url):
            raise server.ServerError(f"{url} does not say that it is ready")
        print(f"asking {url}: {len(http_now)} HTTP scenarios, {len(talks_now)} gRPC conversations", flush=True)
        turn.started = time.monotonic()
        items = turn.ask(url, http_now, talks_now, python)
        cut = turn.stop()
    finally:
        if turn.subject:
            checks = turn.subject.stop()
    for one in [s for s in http if s not in http_now] + [t for t in talks if t not in talks_now]:
        items += one.unasked()
    stale, warnings = departures.audit(entries)
    whole = not options.only and not options.protocol and not cut
    if whole:
        stale += departures.unknown_steps(entries, [item for item in items if item["scope"] != "no"])
    items.sort(key=lambda item: (item["protocol"], item["label"], item["scenario"]))
    return report.summarise(items, entries, stale, warnings, checks, time.monotonic() - turn.started, whole)


def main(words=None):
    options = arguments(words)
    old = scope.stale()
    if old:
        print(f"{' and '.join(old)} out of date: run tests/golden/scope.py --update, and look at what changed")
        return 2
    try:
        if options.source:
            result = report.read(options.source)
        else:
            result = perform(options, departures.read(options.departures))
            report.write(result, options.result)
    except (server.ServerError, departures.DepartureError, FileNotFoundError) as error:
        print(f"golden: {error}")
        return 2
    except KeyboardInterrupt:
        print("interrupted")
        return 130
    if options.report:
        print(report.report_text(result))
    print(report.counts_text(result))
    if options.update_docs:
        try:
            report.update_docs(result, options.docs)
        except ValueError as error:
            print(f"golden: {error}")
            return 2
    return 0 if report.is_good(result) else 1


if __name__ == "__main__":
    sys.exit(main())
