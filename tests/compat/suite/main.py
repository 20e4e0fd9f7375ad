"""From the command line to the last line: builds the drivers, runs each SDK alone, then all of them together."""

import argparse
import os
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

from . import applications, behaviours, dubbo, lifecycle, maintainer, mixed, spring, starter  # noqa: F401 - lifecycle adds to the flows of behaviours
from .clients import CLIENTS, HERE, BuildError
from .driver import Driver
from .report import Report, load, write_docs
from .server import Server, ServerError

# What each kind of client runs.
FLOWS = {"sdk": behaviours.FLOWS, "spring": spring.FLOWS, "dubbo": dubbo.FLOWS, "maintainer": maintainer.FLOWS, "starter": starter.FLOWS}
ROOT = os.path.dirname(os.path.dirname(HERE))


def main(description):
    args = arguments(description)
    target = os.path.abspath(args.target)
    result = os.path.join(target, "result.json")
    if args.write_docs:
        write_docs(os.path.join(ROOT, "docs", "compatibility.md"), load(result), tables())
        return 0
    clients = chosen(args.client)
    binary = os.path.abspath(args.binary)
    if not os.access(binary, os.X_OK):
        raise SystemExit(f"{binary} is not there: build it first (cargo build -p nacre-cli)")

    report = Report()
    run_dir = os.path.join(target, "run")
    shutil.rmtree(run_dir, ignore_errors=True)
    start = time.monotonic()
    built = build(clients, target, report)
    print(f"built in {time.monotonic() - start:.0f} s", flush=True)
    if args.build_only:
        return 1 if report.failed() else 0
    sdks = [client for client in built if client.kind == "sdk"]
    # SDKs mostly wait, applications mostly compute: a lane of their own, one at a time, beside the others.
    with ThreadPoolExecutor(args.jobs) as waiting, ThreadPoolExecutor(args.applications) as computing:
        for client in built:
            lane = waiting if client in sdks else computing
            lane.submit(judge, client, binary, run_dir, report)
    if len(sdks) > 1:
        together(sdks, binary, run_dir, report)
    report.write(result)
    failed = len(report.failed())
    print(f"took {time.monotonic() - start:.0f} s; rows in {result}, logs in {run_dir}")
    later = len(report.rows) - failed - len(report.passed())
    if later:
        print(f"{later} rows are for later: the calls of a client that the server does not answer yet")
    print(f"{len(report.passed())} passed, {failed} failed", flush=True)
    return 1 if failed or not report.passed() else 0


def tables():
    """Name, clients and rows of each table of the page."""
    kinds = {"sdk": [], "application": [], "maintainer": []}
    for client in CLIENTS:
        kinds[client.kind if client.kind in kinds else "application"].append(client)
    return [("compat", kinds["sdk"], behaviours.BEHAVIOURS), ("applications", kinds["application"], applications.BEHAVIOURS),
            ("maintainer", kinds["maintainer"], None)]


def arguments(description):
    built = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join(built, "debug", "nacre"), help="the nacre to test")
    parser.add_argument("--target", default=os.path.join(built, "compat"), help="where everything built goes")
    parser.add_argument("--client", action="append", default=[], help="run this SDK only; may be repeated")
    parser.add_argument("--jobs", type=int, default=3, help="SDKs at a time; they mostly wait")
    parser.add_argument("--applications", type=int, default=1, help="applications at a time; they mostly compute")
    parser.add_argument("--build-only", action="store_true", help="install and build the drivers, run nothing")
    parser.add_argument("--write-docs", action="store_true", help="write the table of docs/compatibility.md and end")
    return parser.parse_args()


def chosen(names):
    names = names or [name for name in os.environ.get("CLIENT", "").split(",") if name]
    if not names:
        return CLIENTS
    picked = []
    for name in names:
        # `java-2.x` and `java` name all that begin like them.
        wanted = re.compile(re.escape(name).replace(r"\.x", r"\.\d+") + r"(-.*)?")
        found = [client for client in CLIENTS if wanted.fullmatch(client.name)]
        if not found:
            raise SystemExit(f"no SDK named {name}: there are {', '.join(client.name for client in CLIENTS)}")
        picked.extend(client for client in found if client not in picked)
    return picked


def build(clients, target, report):
    def attempt(client):
        start = time.monotonic()
        try:
            client.build(target)
            return client
        except BuildError as failure:
            report.add(client, "install", False, str(failure), (time.monotonic() - start) * 1000)
            return None

    with ThreadPoolExecutor(2) as pool:
        return [client for client in pool.map(attempt, clients) if client is not None]


def judge(client, binary, run_dir, report):
    """Nothing that goes wrong with one client may go unseen."""
    try:
        alone(client, binary, run_dir, report)
    except Exception as failure:
        report.add(client, "install", False, f"{type(failure).__name__}: {failure}")


def alone(client, binary, run_dir, report):
    """The whole scenario of one SDK on a server of its own, so that one may restart without hurting another."""
    home = os.path.join(run_dir, client.name)
    os.makedirs(home)
    server = Server(binary, os.path.join(home, "nacre"), os.path.join(home, "server.log"))
    drivers = []

    def start_driver(role, **target):
        drivers.append(Driver(client, os.path.join(home, role), server, **target))
        return drivers[-1]

    session = behaviours.Session(client, server, report, start_driver)
    try:
        server.start()
        session.run(FLOWS[client.kind])
        session.judge_log()
    except behaviours.FlowBroken:
        pass  # recorded: without its client objects there is nothing to run
    except ServerError as failure:
        report.add(client, "install", False, f"the server: {failure}")
    finally:
        for driver in drivers:
            driver.kill()
        server.kill()


def together(clients, binary, run_dir, report):
    home = os.path.join(run_dir, "mixed")
    os.makedirs(home)
    server = Server(binary, os.path.join(home, "nacre"), os.path.join(home, "server.log"))
    cast = {}
    try:
        server.start()
        for client in clients:
            cast[client] = Driver(client, os.path.join(home, client.name), server)
        for driver in cast.values():
            driver.ready()
        mixed.run(cast, server, report, f"{os.getpid():x}")
    except Exception as failure:
        for client in clients:
            report.add(client, "mixed_naming", False, f"{type(failure).__name__}: {failure}")
    finally:
        for driver in cast.values():
            driver.kill()
        server.kill()

