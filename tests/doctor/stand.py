"""The test stand: a server of one's own, clients that misbehave, and the doctor to ask.

A fault is a function with the decorator `case`; it is handed a `Stand`:

    @case("GRPC-PORT-HTTP1", "C02", what="an HTTP/1.1 proxy in front of the gRPC port")
    def http1_proxy(stand):
        server = stand.start()
        stand.http(stand.grpc_port, "POST", "/", source="127.0.0.40")
        stand.visible()                              # from now on a server could know
        finding = stand.finding(mentions=["127.0.0.40"])
        stand.alone()                                # no other finding as severe
        stand.clears()                               # the fault is over: so is the finding
"""

import dataclasses
import http.client
import json
import re
import threading
import time
import urllib.parse

from rack import process

SEVERITIES = ["info", "warning", "critical"]
# A cause is to be named within this after the symptom is visible; the test machine may be slow.
WITHIN = 10
# Events that happened once are told this long here, not a minute.
TOLD_MS = 3_000
CLEARS_WITHIN = 30
# Findings that quote what a machine, a library or an answer said, as it was said (as in the rules' own tests).
QUOTING = {"BEAT-JSON-BROKEN", "CONFIG-REFUSED", "CONFIG-UNPARSEABLE", "CONNECTION-NEVER-SET-UP", "DATABASE-REFUSES-WRITES", "DISK-FAILED", "DISK-FULL", "DISK-READ-ONLY",
           "DISK-SLOW", "EPHEMERAL-MISMATCH", "LOG-PART-GIVEN-UP", "OLD-API-CLOSED", "PARAMETER-REFUSED", "PROPERTY-WITHOUT-EFFECT", "REGISTER-OVER-LIMIT",
           "REGISTER-REFUSED", "SETTING-REFUSED", "WORKER-RESTARTED", "WRITES-RECOVERED"}

CASES = []


@dataclasses.dataclass
class Case:
    code: str
    causes: tuple
    what: str
    family: str
    name: str
    run: object
    alone: bool


def case(code, *causes, what, alone=False):
    """`causes` are of the catalogue (A01 to F14); `what` is the injected fault in a few words, for docs/diagnosis.md."""
    def mark(function):
        family = function.__module__.rsplit(".", 1)[-1]
        CASES.append(Case(code, causes, what, family, function.__name__, function, alone))
        return function
    return mark


class Stand:
    def __init__(self, case, binary, home):
        self.case, self.binary, self.home = case, binary, home
        self.server = None
        self.loop = None  # of its gRPC clients (clients.Loop)
        self.found_after = []
        self._visible = None
        self._closing = []
        self._beats = []

    # ---------------------------------------------------------------------------------------------------- the server

    def start(self, *settings, wrapper=(), env=None, preexec=None, stderr=None):
        """A server of this case's own; settings are `key=value`."""
        wanted = [f"nacre.doctor.told={TOLD_MS}", *settings]
        self.server = process.Server(self.binary, f"{self.home}/nacre", wanted, wrapper=wrapper, env=env,
                                     preexec=preexec, stderr=stderr).wait_ready()
        return self.server

    @property
    def port(self):
        return self.server.port

    @property
    def grpc_port(self):
        return self.server.port + 1000

    def close(self):
        """Ends everything, whatever hinders it; answers what did."""
        endings = [*reversed(self._closing), *(beats.stop for beats in self._beats)]
        if self.server is not None:
            endings.append(self.server.kill)
        hindered = []
        for ending in endings:
            try:
                ending()
            except Exception as error:  # noqa: BLE001: the rest must end, too
                hindered.append(f"{type(error).__name__}: {error}")
        return hindered

    def at_end(self, closing):
        """To be called when the case is over, however it ends."""
        self._closing.append(closing)

    # --------------------------------------------------------------------------------------------------- the clients

    def http(self, port, method, path, form=None, headers=None, source=None, body=None):
        """One HTTP/1.1 request, from a source address if one is given: `(status, text)`."""
        at = (source, 0) if source else None
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30, source_address=at)
        words = urllib.parse.urlencode(form or {})
        headers = dict(headers or {})
        if method in ("GET", "DELETE"):
            path += f"?{words}" if words else ""
        elif body is None:
            body = words
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def nacos(self, method, path, source=None, agent=None, **form):
        """A call below the context path: `(status, text)`."""
        headers = {"User-Agent": agent} if agent else {}
        return self.http(self.port, method, "/nacos" + path, form, headers, source)

    def register(self, service, ip, port, source=None, agent="Nacos-Java-Client:v1.4.8", ephemeral=True, metadata=None,
                 **more):
        form = {"serviceName": service, "ip": ip, "port": port, "ephemeral": str(ephemeral).lower(), **more}
        if metadata:
            form["metadata"] = json.dumps(metadata)
        return self.nacos("POST", "/v1/ns/instance", source, agent, **form)

    def beat(self, service, ip, port, source=None, agent="Nacos-Java-Client:v1.4.8", full=False, **more):
        form = {"serviceName": service, "ip": ip, "port": port, **more}
        if full:
            form["beat"] = json.dumps({"serviceName": f"DEFAULT_GROUP@@{service}", "ip": ip, "port": port,
                                       "cluster": "DEFAULT", "weight": 1, "metadata": {}, "scheduled": False})
        return self.nacos("PUT", "/v1/ns/instance/beat", source, agent, **form)

    def beats(self, service, ip, port, every=1.0, **more):
        """Sends beats from a thread until `.stop()`, or the case ends. `.paused` keeps them back, `.every` is the gap."""
        beats = Beats(self, service, ip, port, every, more)
        self._beats.append(beats)
        beats.start()
        return beats

    # ---------------------------------------------------------------------------------------------------- the doctor

    def visible(self):
        """From now on a server could know."""
        self._visible = time.monotonic()

    def findings(self, **query):
        status, text = self.nacos("GET", "/v3/admin/diagnosis/findings", **query)
        assert status == 200, text
        return json.loads(text)["data"]["findings"]

    def finding(self, code=None, mentions=(), within=WITHIN, holds=lambda finding: True):
        """The finding of the case's code that names all of `mentions` somewhere; waits for it."""
        code = code or self.case.code
        began = self._visible or time.monotonic()

        def look():
            for found in self.findings(code=code):
                text = json.dumps(found, ensure_ascii=False)
                if all(str(mention) in text for mention in mentions) and holds(found):
                    return found
            return None

        found = process.eventually(look, within + 5, pause=0.1)
        took = time.monotonic() - began
        if not found:
            raise AssertionError(f"no finding {code} that names {list(mentions)} after {took:.1f} s; there are "
                                 f"{json.dumps(self.findings(), ensure_ascii=False)[:2000]}")
        self.found_after.append(took)
        assert found["evidence"], f"a finding without evidence: {found}"
        assert found["remedy"] and found["cause"] and "{" not in found["cause"], found
        self._in_chinese(found["id"])
        return found

    def _in_chinese(self, wanted):
        """Whoever asks in Chinese reads Chinese, to the last line of evidence."""
        for found in self.findings(lang="zh"):
            if found["id"] == wanted:
                lines = [found["title"], found["cause"], *(seen["text"] for seen in found["evidence"]), *found["ruledOut"]]
                english = [line for line in lines if not any("\u4e00" <= letter <= "\u9fff" for letter in line)]
                assert not english, f"not in Chinese: {english}"
                # What a machine, a library or somebody's call said is quoted as it was said.
                own = [re.sub("“[^”]*”|`[^`]*`", "", line) for line in lines]
                words = [line for line in own if re.search("(?<![-/=.\\w])[a-z']{2,}( [a-z']{2,}){2,}(?![-/=\\w])", line)]
                assert not words or found["code"] in QUOTING, f"English in Chinese: {words}"

    def alone(self, besides=()):
        """No other finding is as severe as the case's; `besides` are codes that come with this fault by nature."""
        mine = next(f for f in self.findings() if f["code"] == self.case.code)
        floor = SEVERITIES.index(mine["severity"])
        others = [f for f in self.findings() if f["code"] not in (self.case.code, *besides)
                  and SEVERITIES.index(f["severity"]) >= floor]
        assert not others, f"also found: {[(f['code'], f['cause']) for f in others]}"

    def none(self, code=None, for_seconds=3):
        """The finding does not come."""
        code, end = code or self.case.code, time.monotonic() + for_seconds
        while time.monotonic() < end:
            found = self.findings(code=code)
            assert not found, f"a false finding: {found}"
            time.sleep(0.2)

    def clears(self, code=None, within=CLEARS_WITHIN):
        code = code or self.case.code
        assert process.eventually(lambda: not self.findings(code=code), within, pause=0.1), \
            f"{code} did not clear: {self.findings(code=code)}"


class Beats(threading.Thread):
    def __init__(self, stand, service, ip, port, every, more):
        super().__init__(daemon=True)
        self.stand, self.service, self.ip, self.number = stand, service, ip, port
        self.every, self.more = every, more
        self.paused = False
        self.answers = []
        self._stopped = threading.Event()

    def run(self):
        while not self._stopped.is_set():
            if not self.paused:
                try:
                    self.answers.append(self.stand.beat(self.service, self.ip, self.number, **self.more))
                except OSError as error:
                    self.answers.append((0, str(error)))
            self._stopped.wait(self.every)

    def stop(self):
        self._stopped.set()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(5)
