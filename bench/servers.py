"""Servers that are measured: each a process with a home of its own, free ports, and an end."""
import http.client
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time


def free_port():
    """A port whose neighbour 1000 above is free as well: gRPC listens there."""
    for _ in range(200):
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            if port > 62000:
                continue
            try:
                with socket.socket() as second, socket.socket() as third:
                    second.bind(("127.0.0.1", port + 1000))
                    third.bind(("127.0.0.1", port + 2000))
                    return port
            except OSError:
                continue
    raise RuntimeError("no free ports")


class Server:
    """A running server; `address` is host:port."""

    def __init__(self, name, command, port, home, env=None, ready="/nacos/v1/ns/operator/metrics"):
        self.name, self.port, self.home = name, port, home
        self.address = f"127.0.0.1:{port}"
        self.ready_path = ready
        self.log = open(os.path.join(home, "bench.log"), "wb")
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            command, stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})}, cwd=home)

    @property
    def pid(self):
        return self.process.pid

    def wait(self, seconds=60, path=None, want=(200,)):
        """Waits until it answers; seconds since the process was started."""
        path = path or self.ready_path
        while time.monotonic() - self.begun < seconds:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}; see {self.log.name}")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
                connection.request("GET", path)
                if connection.getresponse().status in want:
                    return time.monotonic() - self.begun
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.002)
        raise RuntimeError(f"{self.name} did not answer within {seconds} s")

    def settle(self, seconds=30):
        """Waits until what is published can be read: a server that answers may still be choosing its leader."""
        end = time.monotonic() + seconds
        key = "dataId=bench-settle&group=bench-settle"
        while time.monotonic() < end:
            try:
                for method, path, body in (("POST", "", key + "&content=x"), ("GET", "?" + key, None), ("DELETE", "?" + key, None)):
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                    headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
                    connection.request(method, "/nacos/v1/cs/configs" + path, body, headers)
                    if connection.getresponse().status != 200:
                        break
                    if method == "POST":
                        time.sleep(1)
                else:
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.5)
        raise RuntimeError(f"{self.name} acknowledges a publish and does not show it")

    def memory(self):
        """Resident bytes, and the part of them that no file backs."""
        text = open(f"/proc/{self.pid}/status", encoding="ascii").read()
        value = lambda name: int(re.search(rf"^{name}:\s+(\d+) kB", text, re.M).group(1)) * 1024
        return {"resident": value("VmRSS"), "anonymous": value("RssAnon")}

    def cpu(self):
        """CPU seconds so far."""
        fields = open(f"/proc/{self.pid}/stat", encoding="utf-8").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def signals(self, on):
        """Switches nacre's doctor while it runs, and waits until it is so: it says what it keeps, or nothing."""
        conf = os.path.join(self.home, "conf")
        os.makedirs(conf, exist_ok=True)
        with open(os.path.join(conf, "application.properties"), "w", encoding="ascii") as file:
            file.write(f"nacre.doctor.enabled={str(on).lower()}\n")
        end = time.monotonic() + 30
        while time.monotonic() < end:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/nacos/actuator/prometheus")
            if (b"\nnacre_doctor_kept{" in connection.getresponse().read()) == on:
                return
            time.sleep(0.2)
        raise RuntimeError(f"the doctor of {self.name} was not switched {'on' if on else 'off'}")

    def stop(self, keep=False):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        if not keep:
            shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def home(base):
    os.makedirs(base, exist_ok=True)
    return tempfile.mkdtemp(dir=base)


def nacre(binary, base, where=None, port=None, settings=(), wrap=None):
    """nacre, logging what is wrong only. `where` is the home of an earlier one, `settings` are further properties; `wrap` makes
    another command of the command and its home, and says what that needs in its environment."""
    where, port = where or home(base), port or free_port()
    command = [binary, "server", "--home", where, "-D", f"server.port={port}", "-D", "nacre.logging=warn"]
    command += [word for setting in settings for word in ("-D", setting)]
    command, env = wrap(command, where) if wrap else (command, None)
    return Server("nacre", command, port, where, env)


def rnacos(binary, base):
    """r-nacos, as its documentation starts it."""
    where, port = home(base), free_port()
    env = {
        "RNACOS_HTTP_PORT": str(port), "RNACOS_GRPC_PORT": str(port + 1000), "RNACOS_HTTP_CONSOLE_PORT": str(port + 2000),
        "RNACOS_DATA_DIR": where, "RNACOS_CONFIG_DB_DIR": where, "RUST_LOG": "error",
    }
    missing = "/nacos/v1/cs/configs?dataId=nobody&group=nobody"
    server = Server("r-nacos", [binary], port, where, env, missing)
    server.want = (200, 404)
    return server
