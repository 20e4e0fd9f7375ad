"""The server under test: free ports, start, readiness, SIGTERM; and the Python that speaks gRPC."""
import hashlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
# any of these answering 200 means ready
READY = ["/nacos/v1/console/health/readiness", "/nacos/v3/admin/core/state/readiness",
         "/nacos/v2/console/health/readiness"]
# Switches that the recorded servers ran with.
PROPERTIES = {"management.endpoints.web.exposure.include": "*", "nacos.prometheus.metrics.enabled": "true"}
DRAIN = 10         # seconds in which SIGTERM must end the server


class ServerError(Exception):
    """The server cannot be used; the text says what to do."""


def is_free(port):
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def free_port():
    """A five-digit port below the ephemeral range whose neighbours are free too: gRPC is +1000, the cluster's +1001. None that
    answers have as a number (error codes up to 23000, 30000 as code and as timeout): it would be read as our port."""
    for _ in range(200):
        port = random.randrange(23100, 29900)
        if all(is_free(port + offset) for offset in (0, 1000, 1001, -1000)):
            return port
    raise ServerError("no block of free ports between 22000 and 31000")


def answers_ready(url):
    for path in READY:
        try:
            with urllib.request.urlopen(url + path, timeout=5) as answer:
                if answer.status == 200:
                    return True
        except (OSError, urllib.error.URLError, ValueError):
            pass
    return False


class Server:
    """`nacre server` on a fresh home directory."""

    def __init__(self, binary, log, properties=()):
        self.binary, self.log, self.properties = os.path.abspath(binary), log, list(properties)
        self.process = self.home = None

    def start(self, seconds=60):
        if not os.access(self.binary, os.X_OK):
            raise ServerError(f"{self.binary} is not there: build it (cargo build) or name another with --binary")
        self.home, port = tempfile.mkdtemp(prefix="nacre-golden-"), free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [self.binary, "server", "--home", self.home, "-D", f"server.port={port}"]
        for key, value in PROPERTIES.items():
            command += ["-D", f"{key}={value}"]
        for pair in self.properties:
            command += ["-D", pair]
        # settings of the person who runs this must not reach the server
        environment = {k: v for k, v in os.environ.items() if not re.match(r"(NACOS|NACRE|SPRING|SERVER)_", k)}
        os.makedirs(os.path.dirname(self.log), exist_ok=True)
        started = time.monotonic()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment,
                                            cwd=self.home, start_new_session=True)
        while not answers_ready(self.url):
            if self.process.poll() is not None:
                raise ServerError(f"the server ended at once with exit code {self.process.returncode}:\n{self.tail()}")
            if time.monotonic() - started > seconds:
                raise ServerError(f"the server was not ready within {seconds} s:\n{self.tail()}")
            time.sleep(0.05)
        return self.url

    def alive(self):
        return self.process is None or self.process.poll() is None

    def tail(self, lines=20):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "".join("    " + line for line in file.readlines()[-lines:])

    def stop(self):
        """[(check, ok, detail)] of how the server ended."""
        checks = []
        if self.process is not None:
            early = self.process.poll()
            checks.append(("alive to the end", early is None, "" if early is None else f"ended with exit code {early}"))
            if early is None:
                started = time.monotonic()
                self.process.send_signal(signal.SIGTERM)
                try:
                    code = self.process.wait(DRAIN)
                    detail = f"exit code {code} after {time.monotonic() - started:.1f} s"
                except subprocess.TimeoutExpired:
                    code, detail = None, f"still running {DRAIN} s after SIGTERM"
                    self.process.kill()
                    self.process.wait()
                checks.append(("SIGTERM drains", code == 0, detail))
            with open(self.log, encoding="utf-8", errors="replace") as file:
                panics = [line.strip() for line in file if "panicked at" in line]
            checks.append(("no panic in the log", not panics, "; ".join(panics[:3])))
        if self.home:
            shutil.rmtree(self.home, ignore_errors=True)
        return checks


def grpc_python(target):
    """A Python with grpcio and protobuf, in its own virtual environment below `target`."""
    requirements = os.path.join(HERE, "requirements.txt")
    folder = os.path.join(target, "golden-venv")
    python = os.path.join(folder, "Scripts" if os.name == "nt" else "bin", "python")
    with open(requirements, "rb") as file:
        wanted = hashlib.sha256(file.read() + sys.version.encode()).hexdigest()
    stamp = os.path.join(folder, "installed")
    try:
        with open(stamp, encoding="utf-8") as file:
            if file.read() == wanted and os.path.exists(python):
                return python
    except FileNotFoundError:
        pass
    print(f"installing grpcio and protobuf into {os.path.relpath(folder)} (once)", flush=True)
    for command in ([sys.executable, "-m", "venv", "--clear", folder],
                    [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", requirements]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise ServerError(f"{' '.join(command)} failed:\n{done.stdout}")
    with open(stamp, "w", encoding="utf-8") as file:
        file.write(wanted)
    return python
