"""Writers that change everything durable until the server dies under them, and keep books."""

import json
import random
import threading

from . import survey
from .call import Caller, Outcome
from .model import Cell, Chain, md5

CONFIGS = 8          # of each writer
INSTANCES = 6
SHARED = 2           # configs that all writers change by compare-and-set
LARGEST = 20_000     # characters of a content
SERVICES = 2
ALPHABET = "abcdefghij 0123456789=:{}\n\"'&%+<>äß漢字"
CAS_LOST = "Cas publish fail"


class Writer:
    """One caller with keys of its own."""

    def __init__(self, number, books, seed):
        self.number, self.books, self.random = number, books, random.Random(f"{seed}/{number}")
        self.serial = 0
        self.mine = {("config", f"c{number}-{n}"): Cell() for n in range(CONFIGS)}
        self.mine |= {("beta", f"c{number}-{n}"): Cell() for n in range(2)}
        self.mine |= {("instance", f"s{n % SERVICES} 192.0.2.{number + 1}:{n + 1}"): Cell() for n in range(INSTANCES)}
        self.mine |= {("service", f"meta{number}"): Cell(), ("namespace", f"ns{number}"): Cell()}
        self.shared = [("config", f"shared-{n}") for n in range(SHARED)]
        books.cells |= self.mine
        for key in self.shared:
            books.cells.setdefault(key, Chain())
        self.failure = None
        self.counts = dict.fromkeys(Outcome, 0)

    def run(self, port):
        """Writes until no answer comes any more."""
        ask = Caller(port)
        try:
            while True:
                self.step(ask)
        except OSError:
            pass
        except Exception as error:  # a wrong answer is a finding, not the end of a thread
            self.failure = f"writer {self.number}: {type(error).__name__}: {error}"
        finally:
            ask.close()

    def step(self, ask):
        dice = self.random.random()
        if dice < 0.15:
            return self.compete(ask, self.random.choice(self.shared))
        kind = ("config" if dice < 0.65 else "instance" if dice < 0.85 else "beta" if dice < 0.92
                else "service" if dice < 0.96 else "namespace")
        key = self.random.choice([key for key in self.mine if key[0] == kind])
        cell = self.mine[key]
        if cell.open:
            return None  # nobody knows what it holds until somebody has looked
        value, request = getattr(self, kind)(key[1], cell.value)
        if request is None:
            return None
        return self.write(ask, cell, value, request)

    def write(self, ask, cell, value, request):
        try:
            answer = ask(*request)
        except OSError:
            cell.unknown(value)
            self.counts[Outcome.UNKNOWN] += 1
            raise
        outcome = answer.outcome()
        if outcome is Outcome.DONE:
            cell.acknowledged(value)
            self.counts[Outcome.DONE] += 1
        elif outcome is Outcome.UNKNOWN:
            cell.unknown(value)
            self.counts[Outcome.UNKNOWN] += 1
        elif answer.status == 503:
            self.counts[outcome] += 1  # it stops or is overloaded, and says that it did not
        else:
            raise AssertionError(f"{request[:2]} answered {answer.status}: {answer.text[:200]}")

    def text(self):
        """Never the same twice."""
        self.serial += 1
        length = int(self.random.random() ** 4 * LARGEST)
        filler = "".join(self.random.choices(ALPHABET, k=min(length, 200)))
        return f"{self.number}.{self.serial} " + (filler * (length // 200 + 1))[:length]

    # -- one request of each kind: the value it makes, and how it is said

    def config(self, name, value):
        if value is not None and self.random.random() < 0.15:
            return None, self.removal(name)
        text = self.text()
        form = {"dataId": name, "group": survey.GROUP, "content": text}
        way = self.random.randrange(4)
        if way == 0:
            return text, ("POST", "/v2/cs/config", form)
        if way == 1:
            form = {"dataId": name, "groupName": survey.GROUP, "content": text}
            return text, ("POST", "/v3/admin/cs/config", form)
        headers = {"casMd5": md5(value)} if value is not None and way == 2 else None
        return text, ("POST", "/v1/cs/configs", form, headers)

    def removal(self, name):
        if self.random.random() < 0.5:
            return "DELETE", "/v3/admin/cs/config", {"dataId": name, "groupName": survey.GROUP}
        return "DELETE", "/v1/cs/configs", {"dataId": name, "group": survey.GROUP}

    def beta(self, name, value):
        form = {"dataId": name, "group": survey.GROUP}
        if value is not None and self.random.random() < 0.4:
            return None, ("DELETE", "/v1/cs/configs", form | {"beta": "true"})
        text = self.text()
        return text, ("POST", "/v1/cs/configs", form | {"content": text}, {"betaIps": "192.0.2.77"})

    def instance(self, name, value):
        service, address = name.split()
        ip, port = address.split(":")
        form = {"serviceName": service, "ip": ip, "port": port, "ephemeral": "false"}
        if value is not None and self.random.random() < 0.3:
            return None, ("DELETE", "/v1/ns/instance", form)
        self.serial += 1
        metadata = {"version": f"{self.number}.{self.serial}"}
        weight = self.random.randrange(1, 100)
        form |= {"weight": weight, "metadata": json.dumps(metadata)}
        return survey.instance_value(weight, metadata), ("POST", "/v1/ns/instance", form)

    def service(self, name, value):
        # An empty service may be cleaned away after a minute: it is created and changed in turn, never left alone long.
        if value is not None and self.random.random() < 0.3:
            return None, ("DELETE", "/v1/ns/service", {"serviceName": name})
        self.serial += 1
        metadata, threshold = {"serial": f"{self.number}.{self.serial}"}, self.random.randrange(0, 100) / 100
        form = {"serviceName": name, "protectThreshold": threshold, "metadata": json.dumps(metadata)}
        value_made = json.dumps([threshold, metadata], sort_keys=True)
        return value_made, ("POST" if value is None else "PUT", "/v1/ns/service", form)

    def namespace(self, name, value):
        self.serial += 1
        shown = f"name {self.number}.{self.serial}"
        made = json.dumps([shown, "a description"])
        if value is None:
            form = {"customNamespaceId": name, "namespaceName": shown, "namespaceDesc": "a description"}
            return made, ("POST", "/v1/console/namespaces", form)
        if self.random.random() < 0.3:
            return None, ("DELETE", "/v1/console/namespaces", {"namespaceId": name})
        form = {"namespace": name, "namespaceShowName": shown, "namespaceDesc": "a description"}
        return made, ("PUT", "/v1/console/namespaces", form)

    # -- many writers, one config

    def compete(self, ask, key):
        """Reads, and replaces what it read unless somebody was faster."""
        chain, before = self.books.cells[key], survey.config_text(ask, key[1])
        after = self.text()
        if before is None:
            if self.number:
                return  # the first writer makes it
            headers = None
        else:
            headers = {"casMd5": md5(before)}
        form = {"dataId": key[1], "group": survey.GROUP, "content": after}
        try:
            answer = ask("POST", "/v1/cs/configs", form, headers)
        except OSError:
            chain.note(before, after, False)
            self.counts[Outcome.UNKNOWN] += 1
            raise
        if answer.outcome() is Outcome.DONE:
            chain.note(before, after, True)
            self.counts[Outcome.DONE] += 1
        elif CAS_LOST in answer.text or answer.outcome() is Outcome.REFUSED:
            self.counts[Outcome.REFUSED] += 1
        else:
            chain.note(before, after, False)
            self.counts[Outcome.UNKNOWN] += 1


class Crew:
    """All writers and their books."""

    def __init__(self, books, seed, size=6):
        self.books = books
        self.writers = [Writer(number, books, seed) for number in range(size)]
        self.threads = []

    def begin(self, port):
        self.threads = [threading.Thread(target=writer.run, args=(port,), daemon=True) for writer in self.writers]
        for thread in self.threads:
            thread.start()

    def end(self):
        """After the server's death; what writers found wrong."""
        for thread in self.threads:
            thread.join()
        found = [writer.failure for writer in self.writers if writer.failure]
        for writer in self.writers:
            writer.failure = None
        return found

    def count(self, outcome):
        return sum(writer.counts[outcome] for writer in self.writers)
