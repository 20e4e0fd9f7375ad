"""A relay in front of the server that remembers what a client really asked and what it was answered."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .server import HOST

# What belongs to one connection and not to the message.
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class Recorder:
    def __init__(self, server):
        self.server = server
        self._calls = []
        self._lock = threading.Lock()
        recorder = self

        class Relay(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def relay(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, answer = recorder.ask(self.command, self.path, self.headers, body)
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = relay

            def log_message(self, *args):
                pass

        self._relay = ThreadingHTTPServer((HOST, 0), Relay)
        self._relay.daemon_threads = True
        self.port = self._relay.server_address[1]
        threading.Thread(target=self._relay.serve_forever, daemon=True).start()

    def ask(self, method, path, headers, body):
        connection = http.client.HTTPConnection(HOST, self.server.port, timeout=20)
        try:
            connection.request(method, path, body, {name: value for name, value in headers.items()
                                                    if name.lower() not in HOP})
            answer = connection.getresponse()
            seen = answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()
        with self._lock:
            self._calls.append((method, path.split("?")[0], seen[0], seen[2].decode(errors="replace")))
        return seen

    def take(self):
        """Method, path, status and text of every call since the last time."""
        with self._lock:
            calls, self._calls = self._calls, []
        return calls

    def close(self):
        self._relay.shutdown()
        self._relay.server_close()
