"""The server under test: started, stopped, killed and asked over plain HTTP."""

import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

HOST = "127.0.0.1"
READY_WITHIN = 20
EXIT_WITHIN = 12
# Below the range that Linux hands to outgoing connections, so that no client steals a port of a server that restarts.
PORTS = range(20000, 31000)

_lock = threading.Lock()
_taken = set()
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url, method="GET", document=None, **headers):
    """Status and text of one request, past any proxy."""
    request = urllib.request.Request(url, method=method, data=document and document.encode(), headers=headers)
    if document:
        request.add_header("Content-Type", "application/json")
    try:
        with _direct.open(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.read().decode()


class ServerError(Exception):
    """The server did not do what a server must do before any SDK can be judged."""


def free_block():
    """A main port P whose companions (P+1000 for SDKs, P+1001 between servers) are free too."""
    return _free(0, 1000, 1001)


def free_port():
    return _free(0)


def _free(*offsets):
    start = random.Random(os.getpid()).choice(PORTS)
    with _lock:
        for step in range(len(PORTS)):
            port = PORTS[(start - PORTS[0] + step) % len(PORTS)]
            block = {port + offset for offset in offsets}
            if not block & _taken and all(_is_free(one) for one in block):
                _taken.update(block)
                return port
    raise ServerError("no free block of ports")


def _is_free(port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                return False
    return True


class Server:
    """One nacre process on its own home and its own ports; restarts keep both."""

    def __init__(self, binary, home, log):
        self.binary = binary
        self.home = home
        self.log = log
        self.port = free_block()
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "server", "--home", self.home, "-D", f"server.port={self.port}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ServerError(f"the server ended with {self.process.returncode}; see {self.log}")
            try:
                status, _ = self.get("/nacos/v1/console/health/readiness")
                if status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)  # an open port is not announced: it can only be asked for
        raise ServerError(f"the server is not ready after {READY_WITHIN} s; see {self.log}")

    def terminate(self):
        """SIGTERM, as an operator does it; the exit code, or an error when it does not end in time."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(EXIT_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(f"the server has not ended {EXIT_WITHIN} s after SIGTERM")

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def get(self, path, **query):
        """Status and text of a GET: what the server says without any SDK, its caches and its snapshots in between."""
        return self.request("GET", path, **query)

    def request(self, method, path, **query):
        url = f"http://{HOST}:{self.port}{path}"
        if query:
            url += "?" + urllib.parse.urlencode(query)
        return ask(url, method)

    def hosts(self, service, group, namespace="public"):
        status, text = self.get("/nacos/v1/ns/instance/list", serviceName=service, groupName=group,
                                namespaceId=namespace, healthyOnly="false")
        if status != 200:
            raise ServerError(f"GET instance/list answered {status}: {text}")
        return json.loads(text)["hosts"]

    def publish(self, data_id, group, content, kind="text", **headers):
        """What an operator does in a console: no SDK of the applications has its hand in it."""
        url = f"http://{HOST}:{self.port}/nacos/v3/admin/cs/config?" + urllib.parse.urlencode(
            {"dataId": data_id, "groupName": group, "content": content, "type": kind})
        status, text = ask(url, "POST", **headers)
        if status != 200:
            raise ServerError(f"publishing {data_id} answered {status}: {text}")

    def remove(self, data_id, group):
        status, text = self.request("DELETE", "/nacos/v3/admin/cs/config", dataId=data_id, groupName=group)
        if status != 200:
            raise ServerError(f"removing {data_id} answered {status}: {text}")

    def operate(self, path, service, group, ip, port, **values):
        """An operator changes weight or enabled of an instance."""
        status, text = self.request("PUT", path, serviceName=service, groupName=group, ip=ip, port=port, **values)
        if status != 200:
            raise ServerError(f"PUT {path} of {ip}:{port} with {values} answered {status}: {text}")

    def config(self, data_id, group, namespace=""):
        status, text = self.get("/nacos/v1/cs/configs", dataId=data_id, group=group, tenant=namespace)
        if status == 404:
            return None
        if status != 200:
            raise ServerError(f"GET configs answered {status}: {text}")
        return text
