"""HTTP calls, and what each of them is known to have done."""

import enum
import http.client
import json
import urllib.parse

HOST = "127.0.0.1"
TIMEOUT = 60
# What a server says of a write that it did not do and never will; every other failure leaves the outcome open.
NOT_DONE = "not done"


class Outcome(enum.Enum):
    DONE = "acknowledged"
    REFUSED = "refused"    # it did not happen and never will
    UNKNOWN = "unknown"    # no answer, or one that leaves it open


class Answer:
    def __init__(self, status, headers, data):
        self.status, self.headers, self.data = status, headers, data

    @property
    def text(self):
        return self.data.decode(errors="replace")

    def json(self):
        try:
            return json.loads(self.data)
        except ValueError:
            raise AssertionError(f"no JSON, status {self.status}: {self.text[:300]!r}") from None

    def outcome(self):
        if self.status == 200:
            return Outcome.DONE
        if 400 <= self.status < 500 or NOT_DONE in self.text:
            return Outcome.REFUSED
        return Outcome.UNKNOWN


class Caller:
    """A keep-alive connection; not for several threads."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)

    def __call__(self, method, path, form=None, headers=None):
        """`form` becomes the query of a GET or DELETE and the body of others. Raises OSError when no answer came."""
        words = urllib.parse.urlencode({key: value for key, value in (form or {}).items() if value is not None})
        body, headers = None, dict(headers or {})
        if method in ("GET", "DELETE"):
            path += f"?{words}" if words else ""
        else:
            body = words.encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded;charset=UTF-8"
        try:
            self.connection.request(method, "/nacos" + path, body, headers)
            answer = self.connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        except http.client.HTTPException as error:
            self.connection.close()
            raise ConnectionError(f"{type(error).__name__}: {error}") from None
        except OSError:
            self.connection.close()
            raise

    def close(self):
        self.connection.close()


def once(port, method, path, form=None, headers=None):
    caller = Caller(port)
    try:
        return caller(method, path, form, headers)
    finally:
        caller.close()
