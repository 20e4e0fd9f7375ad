#!/usr/bin/env python3
"""Traces of a real process, read with OpenTelemetry's own messages. Needs Python 3.9 and pip.

A collector of the standard library takes what a server sends by OTLP and reads it with the package opentelemetry-proto (fetched
into target/tools/otlp; without it the test fails). A caller with a traceparent publishes a config that a gRPC client listens to.
The last line is "N passed, N failed".
"""
import argparse
import asyncio
import http.server
import importlib
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "torture"))
from rack import call, grpc  # noqa: E402
from rack.process import Server  # noqa: E402

TARGET = os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target")
PACKAGES = ["opentelemetry-proto==1.45.2", "protobuf==5.29.5"]
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
# Certificates of the tests.
TLS = os.path.join(ROOT, "crates", "nacre-cli", "tests", "files", "tls")
# Far longer than anything takes.
LONG = 60


def messages():
    """OpenTelemetry's ExportTraceServiceRequest and its answer."""
    name = "opentelemetry.proto.collector.trace.v1.trace_service_pb2"
    folder = os.path.join(TARGET, "tools", "otlp")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ImportError:
        pass
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(folder)) as work:
        venv, packages = os.path.join(work, "venv"), os.path.join(work, "packages")
        pip = [os.path.join(venv, "bin", "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        for command in ([sys.executable, "-m", "venv", venv], [*pip, "--target", packages, *PACKAGES]):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{PACKAGES[0]} cannot be had: {done.stdout}{done.stderr}\n0 passed, 1 failed")
        try:
            os.rename(packages, folder)
        except OSError:
            pass  # somebody else was first
    importlib.invalidate_caches()
    return importlib.import_module(name)


class Collector:
    """Takes POST /v1/traces and keeps what it says."""

    def __init__(self, proto, tls=False):
        self.proto, self.requests, self.bad = proto, [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path != "/v1/traces" or self.headers["Content-Type"] != "application/x-protobuf":
                    outer.bad.append((self.path, dict(self.headers)))
                request = proto.ExportTraceServiceRequest()
                try:
                    request.ParseFromString(body)
                    outer.requests.append(request)
                except Exception as error:
                    outer.bad.append(str(error))
                answer = proto.ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(os.path.join(TLS, "server.pem"), os.path.join(TLS, "server.key"))
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        # The certificate is for this name.
        host = "https://localhost" if tls else "http://127.0.0.1"
        self.url = f"{host}:{self.server.server_address[1]}"

    def spans(self, name=None):
        found = [span for request in list(self.requests) for one in request.resource_spans
                 for scope in one.scope_spans for span in scope.spans]
        return [span for span in found if name in (None, span.name)]

    def wait(self, name):
        end = time.monotonic() + LONG
        while not self.spans(name):
            assert time.monotonic() < end, f"no span {name}, but {sorted({span.name for span in self.spans()})}"
            time.sleep(0.05)
        return self.spans(name)[-1]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def __call__(self, what, good, seen=""):
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        if not good:
            print(f"FAILED {what}: {seen}", flush=True)

    def same(self, what, seen, want):
        self(what, seen == want, f"{seen!r}, wanted {want!r}")


def unknown_fields(message):
    """Whether the reader met a field that its schema does not have, anywhere."""
    from google.protobuf import unknown_fields as reader
    if len(reader.UnknownFieldSet(message)):
        return True
    for field, value in message.ListFields():
        if field.message_type:
            for one in (value if hasattr(value, "__len__") else [value]):
                if unknown_fields(one):
                    return True
    return False


def attributes(holder):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in holder.attributes}


async def listener(port, listening, done):
    """A gRPC client that listens to the config, says so, and acknowledges what it is told until all is done."""
    client = await grpc.Client.connect(port + 1000, "config")
    await client.listen("traced", "g", "")
    listening.set()
    while not done.is_set():
        await asyncio.sleep(0.05)
    await client.close()


def check_spans(check, collector, port):
    listening, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(listener(port, listening, done)), daemon=True)
    thread.start()
    check("a client listens", listening.wait(LONG))
    ask = call.Caller(port)
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
    answer = ask("POST", "/v1/cs/configs", {"dataId": "traced", "group": "g", "content": "c"}, headers)
    check.same("the publish is answered", answer.status, 200)
    root = collector.wait("POST /nacos/v1/cs/configs")
    check.same("it is in its caller's trace", (root.trace_id.hex(), root.parent_span_id.hex()), (TRACE, PARENT))
    check.same("its state goes on", root.trace_state, "vendor=1")
    check.same("it is a server's", (root.kind, len(root.span_id)), (2, 8))
    seen = attributes(root)
    for key, want in (("http.request.method", "POST"), ("http.route", "/nacos/v1/cs/configs"), ("url.scheme", "http"),
                      ("http.response.status_code", 200), ("client.address", "127.0.0.1")):
        check.same(key, seen.get(key), want)
    write = collector.wait("durable write")
    check.same("the write is its child", write.parent_span_id, root.span_id)
    for name in ("write queue", "log fsync", "apply"):
        part = collector.wait(name)
        check.same(f"{name} is the write's child", (part.trace_id, part.parent_span_id), (root.trace_id, write.span_id))
        check(f"{name} is within it", write.start_time_unix_nano <= part.start_time_unix_nano
              <= part.end_time_unix_nano <= write.end_time_unix_nano)
    check("its time is now", abs(root.start_time_unix_nano / 1e9 - time.time()) < LONG, root.start_time_unix_nano)
    push = collector.wait("ConfigChangeNotifyRequest")
    check.same("the push is linked to the publish", [(one.trace_id, one.span_id) for one in push.links],
               [(root.trace_id, root.span_id)])
    listen = collector.wait("ConfigBatchListenRequest")
    check.same("a gRPC request is named", attributes(listen).get("rpc.method"), "ConfigBatchListenRequest")
    done.set()
    thread.join(LONG)


def check_resource(check, collector):
    seen = attributes(collector.requests[0].resource_spans[0].resource)
    check.same("the property names the service", seen.get("service.name"), "traced-registry")
    check.same("the environment adds to the resource", seen.get("deployment.environment.name"), "test")
    check("nothing was sent that OpenTelemetry does not know", not any(map(unknown_fields, collector.requests)))
    check.same("path and type are right", collector.bad, [])


def check_https(check, proto, binary):
    collector = Collector(proto, tls=True)
    try:
        with tempfile.TemporaryDirectory(prefix="nacre-traces-") as home:
            settings = [f"nacre.tracing.otlp.endpoint={collector.url}", "nacre.tracing.delay=50"]
            trusted = {"OTEL_EXPORTER_OTLP_CERTIFICATE": os.path.join(TLS, "ca.pem")}
            server = Server(binary, os.path.join(home, "trusting"), settings, env=trusted).wait_ready()
            try:
                call.Caller(server.port)("GET", "/v1/console/server/state")
                check("an https collector gets spans", collector.wait("GET /nacos/v1/console/server/state"))
            finally:
                server.stop()
            before = len(collector.requests)
            strange = settings + [f"nacre.tracing.otlp.ca-file={os.path.join(TLS, 'other-ca.pem')}"]
            server = Server(binary, os.path.join(home, "wary"), strange).wait_ready()
            try:
                caller = call.Caller(server.port)
                caller("GET", "/v1/console/server/state")
                why = undelivered(caller)
                check("one of an unknown authority is told in the journal", "nacre.tracing.otlp.ca-file" in why, why)
                check.same("and gets nothing", len(collector.requests), before)
            finally:
                server.stop()
    finally:
        collector.stop()


def undelivered(caller):
    """What the journal says of traces that do not arrive."""
    end = time.monotonic() + LONG
    while True:
        found = caller("GET", "/v3/admin/diagnosis/events", {"kind": "tracesUndelivered"}).text
        if "tracesUndelivered" in found:
            return found
        assert time.monotonic() < end, f"no tracesUndelivered in the journal: {found}"
        time.sleep(0.05)


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--binary", default=os.path.join(TARGET, "debug", "nacre"))
    options = options.parse_args()
    began, check = time.monotonic(), Checks()
    proto = messages()
    collector = Collector(proto)
    try:
        with tempfile.TemporaryDirectory(prefix="nacre-traces-") as home:
            settings = [f"nacre.tracing.otlp.endpoint={collector.url}", "nacre.tracing.service-name=traced-registry",
                        "nacre.tracing.delay=50"]
            env = {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test", "OTEL_SERVICE_NAME": "no"}
            server = Server(options.binary, os.path.join(home, "nacre"), settings, env=env).wait_ready()
            try:
                check_spans(check, collector, server.port)
                check_resource(check, collector)
                call.Caller(server.port)("GET", "/v1/console/server/state")
                check.same("it stops well", server.stop(), 0)
                check("the last span left before the end", collector.spans("GET /nacos/v1/console/server/state"))
                check.same("it complained of nothing", server.complaints(), [])
            finally:
                server.kill()
    finally:
        collector.stop()
    check_https(check, proto, options.binary)
    print(f"traces: {round(time.monotonic() - began)} s")
    print(f"{check.passed} passed, {check.failed} failed")
    return 1 if check.failed or not check.passed else 0


if __name__ == "__main__":
    sys.exit(main())
