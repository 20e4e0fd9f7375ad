"""The SDKs: where each comes from, how its driver is built, and what it does not offer."""

import glob
import hashlib
import os
import shutil
import subprocess
import sys
import threading

from .server import free_port

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD_WITHIN = 1500

# Small heaps and no second compiler: two thirds of the start-up time and half of its work.
JVM = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-Duser.home={home}",
       "-Djava.util.logging.config.file=/dev/null"]
# Maven's local repository must not be written by two of its processes at once.
_maven = threading.Lock()


class BuildError(Exception):
    """The driver of an SDK cannot be built; the text says what is missing."""


class Client:
    """One SDK or application in one version. `beats` tells the HTTP generation (known by beats) from the gRPC one (known by connection)."""

    # Which scenario it runs and which table its rows are in.
    kind = "sdk"

    def __init__(self, name, title, version, tools, beats=False, lacks=None, all_clusters=(), zero_weight=True,
                 redo_within=45, ordered=True):
        self.name = name
        self.title = title
        self.version = version
        self.tools = tools
        self.beats = beats
        self.lacks = dict(lacks or {})
        self.all_clusters = list(all_clusters)
        self.zero_weight = zero_weight
        self.redo_within = redo_within
        self.ordered = ordered
        self.out = None

    def build(self, target):
        """Installs and builds what has changed since the last time; raises BuildError with a sentence."""
        for tool, purpose in self.tools.items():
            if shutil.which(tool) is None:
                raise BuildError(f"{self.title} needs {purpose}: `{tool}` is not on PATH")
        self.out = os.path.join(target, self.name)
        os.makedirs(self.out, exist_ok=True)
        stamp = os.path.join(self.out, "stamp")
        wanted = _digest(self._inputs()) + "\n"
        if os.path.exists(stamp) and open(stamp, encoding="utf-8").read() == wanted:
            return
        self._build()
        with open(stamp, "w", encoding="utf-8") as out:
            out.write(wanted)

    def env(self):
        """The environment of a driver: without the variables by which an SDK would be told of another server."""
        return {name: value for name, value in os.environ.items() if not name.upper().startswith("NACOS_")}

    def _run(self, command, cwd, **env):
        log = os.path.join(self.out, "build.log")
        with open(log, "wb") as out:
            try:
                done = subprocess.run(command, cwd=cwd, env=dict(os.environ, **env), stdin=subprocess.DEVNULL,
                                      stdout=out, stderr=out, timeout=BUILD_WITHIN)
            except subprocess.TimeoutExpired:
                raise BuildError(f"`{' '.join(command[:4])}` has not ended after {BUILD_WITHIN} s; see {log}")
        if done.returncode != 0:
            with open(log, encoding="utf-8", errors="replace") as text:
                tail = " | ".join(text.read().strip().splitlines()[-4:])
            raise BuildError(f"`{' '.join(command[:4])}` failed; see {log}: {tail}")


class JavaClient(Client):
    def __init__(self, profile, version, **traits):
        super().__init__(profile, "Java", version,
                         {"mvn": "Maven 3.8 or newer", "javac": "a JDK 17 or newer", "java": "a JDK 17 or newer"},
                         **traits)

    def _inputs(self):
        return [os.path.join(HERE, "java", "pom.xml")] + _files(os.path.join(HERE, "java", "src"))

    def _build(self):
        self._maven(os.path.join(HERE, "java"))

    def command(self):
        return self._java("compat.Driver")

    def _maven(self, folder):
        with _maven:
            self._run(["mvn", "-q", "-B", "-P", self.name, f"-Dbuild.root={os.path.dirname(self.out)}",
                       "process-classes"], folder)

    def _java(self, main):
        path = os.pathsep.join([os.path.join(self.out, "classes"), os.path.join(self.out, "lib", "*")])
        return JVM + ["-cp", path, main]


class Application(JavaClient):
    """A real application: one Maven project under `apps` per framework, one profile per version of it."""

    def __init__(self, name, title, version, kind, main, **traits):
        super().__init__(name, version, **traits)
        self.title = title
        self.kind = kind
        self.main = main
        self.folder = os.path.join(HERE, "apps", kind)

    def _inputs(self):
        return [path for folder in (self.folder, os.path.join(HERE, "apps", "common"),
                                    os.path.join(HERE, "java", "src", "protocol")) for path in _files(folder)]

    def _build(self):
        self._maven(self.folder)

    def command(self):
        return self._java(self.main)


class GoClient(Client):
    def __init__(self, name, version, package, **traits):
        super().__init__(name, "Go", version, {"go": "Go 1.24 or newer"}, **traits)
        self.package = package

    def _inputs(self):
        return _files(os.path.join(HERE, "go"))

    def _build(self):
        self._run(["go", "build", "-o", os.path.join(self.out, "driver"), f"./{self.package}"],
                  os.path.join(HERE, "go"), GOFLAGS="-mod=readonly")

    def command(self):
        return [os.path.join(self.out, "driver")]


class PythonClient(Client):
    def __init__(self, name, version, driver="driver.py", **traits):
        super().__init__(name, "Python", version, {}, **traits)
        self.driver = driver
        self.requirements = os.path.join(HERE, "python", name.replace("python", "requirements") + ".txt")

    def _inputs(self):
        return [self.requirements]

    def _build(self):
        venv = os.path.join(self.out, "venv")
        self._run([sys.executable, "-m", "venv", "--clear", venv], HERE)
        self._run([os.path.join(venv, "bin", "pip"), "install", "--disable-pip-version-check", "-r",
                   self.requirements], HERE)

    def command(self):
        return [os.path.join(self.out, "venv", "bin", "python"), os.path.join(HERE, "python", self.driver)]


class NodeClient(Client):
    def _inputs(self):
        return [os.path.join(HERE, "node", name) for name in ("package.json", "package-lock.json", "driver.js")]

    def _build(self):
        for source in self._inputs():
            shutil.copy(source, self.out)
        self._run(["npm", "ci", "--no-audit", "--no-fund"], self.out)

    def command(self):
        return ["node", os.path.join(self.out, "driver.js")]

    def env(self):
        """The config clients of all Node processes of a machine share the one that took port 7777 first, its server and
        its namespace included: a port of its own keeps each driver to itself."""
        return dict(super().env(), NODE_CLUSTER_CLIENT_PORT=str(free_port()))


class RustClient(Client):
    def _inputs(self):
        return [os.path.join(HERE, "rust", "Cargo.toml"), os.path.join(HERE, "rust", "Cargo.lock")] + _files(
            os.path.join(HERE, "rust", "src"))

    def _build(self):
        self._run(["cargo", "build", "--locked"], os.path.join(HERE, "rust"), CARGO_TARGET_DIR=self.out)

    def command(self):
        return [os.path.join(self.out, "debug", "compat-driver")]


def _files(folder):
    return sorted(path for path in glob.glob(os.path.join(folder, "**"), recursive=True) if os.path.isfile(path))


def _digest(paths):
    digest = hashlib.sha256()
    for path in paths:
        digest.update(os.path.relpath(path, HERE).encode() + b"\0")
        with open(path, "rb") as source:
            digest.update(source.read() + b"\0")
    return digest.hexdigest()


NO_BATCH = "batches came with the gRPC clients"
NO_CAS = "this SDK has no compare-and-set"
NO_FUZZY = "fuzzy watch is an API of the Java client since 3.0"
NO_ADMIN = "this SDK administers no services"
NO_BATCH_DEREGISTER = "this SDK registers batches but does not deregister parts of them"
BEATS_ONLY = "this SDK is known by its beats, so that only silence tells; see the frozen process"
NO_METADATA = "a notion of Dubbo"
HTTP_ONLY = "this SDK speaks HTTP only"
NO_STATUS = "this SDK has no call that asks"


def _without(reason, *behaviours):
    return {name: reason for name in behaviours}


BATCH = ("batch_register", "batch_replace", "batch_deregister")
CAS = ("cas_absent", "cas_wrong", "cas_right")
FUZZY = ("fuzzy_naming", "fuzzy_config", "redo_fuzzy")
ADMIN = ("service_admin", "service_ways", "instance_admin")

# The SDK that only Python had before gRPC. Its healthy ones are those of the server, which shows a weight of 0, and a key
# that is listened to beside others waits for the end of their long poll.
PYTHON_HTTP = {
    **_without(NO_BATCH, *BATCH), **_without(NO_CAS, *CAS), **_without(NO_FUZZY, *FUZZY),
    **_without(NO_ADMIN, "service_admin", "service_ways"), **_without(HTTP_ONLY, "main_port"), **_without(BEATS_ONLY, "killed"),
    "server_status": NO_STATUS, "service_list": "this SDK has no call that lists services"}

# The slow ones first: they mostly wait.
CLIENTS = [
    # It asks for changed configs once a minute only, and runs each callback in a task of its own, the newest first.
    RustClient("rust", "Rust", "0.8.3", {"cargo": "Rust 1.85 or newer"}, redo_within=80, ordered=False, lacks={
        **_without(NO_BATCH_DEREGISTER, "batch_deregister"), **_without(NO_FUZZY, *FUZZY), **_without(NO_ADMIN, *ADMIN),
        "server_status": NO_STATUS,
        "remove_event": "this SDK tells its listeners nothing when a config is removed"}),
    # It learns from its second failed health check that its connection is gone, and redoes every half minute.
    PythonClient("python-2.0", "2.0.11", redo_within=80, lacks={
        **_without(NO_FUZZY, *FUZZY), **_without(NO_ADMIN, *ADMIN)}),
    PythonClient("python-3.2", "3.2.0", lacks={**_without(NO_FUZZY, *FUZZY), **_without(NO_ADMIN, *ADMIN)}),
    *(PythonClient(name, version, "driver1.py", beats=True, zero_weight=False, lacks=PYTHON_HTTP)
      for name, version in (("python-0.1", "0.1.17"), ("python-1.0", "1.0.0"))),
    JavaClient("java-1.4", "1.4.8", beats=True, lacks={
        **_without(NO_BATCH, *BATCH), **_without(NO_CAS, *CAS), **_without(NO_FUZZY, *FUZZY),
        **_without(HTTP_ONLY, "main_port"), **_without(BEATS_ONLY, "killed")}),
    JavaClient("java-2.1", "2.1.0", lacks={
        **_without("batches came with a later version of this SDK", *BATCH), **_without(NO_FUZZY, *FUZZY)}),
    JavaClient("java-2.2", "2.2.0", lacks=_without(NO_FUZZY, *FUZZY)),
    JavaClient("java-2.5", "2.5.1", lacks=_without(NO_FUZZY, *FUZZY)),
    JavaClient("java-3.0", "3.0.3"),
    JavaClient("java-3.1", "3.1.1"),
    JavaClient("java-3.2", "3.2.1-2026.03.30"),
    GoClient("go-1.1", "1.1.6", "v1", beats=True, lacks={
        **_without(NO_BATCH, *BATCH), **_without(NO_CAS, *CAS), **_without(NO_FUZZY, *FUZZY),
        **_without(NO_ADMIN, "service_admin", "service_ways"), **_without(HTTP_ONLY, "main_port"), **_without(BEATS_ONLY, "killed"),
        "server_status": NO_STATUS}),
    GoClient("go-2.3", "2.3.5", "v2", lacks={
        **_without(NO_BATCH_DEREGISTER, "batch_deregister"), **_without(NO_FUZZY, *FUZZY),
        **_without(NO_ADMIN, *ADMIN)}),
    # Its subscriptions without a cluster ask for DEFAULT, and a weight of 0 becomes 1 inside the SDK.
    NodeClient("node", "Node", "2.6.3", {"node": "Node 18 or newer", "npm": "npm 8 or newer"}, beats=True,
               all_clusters=("DEFAULT", "C2"), zero_weight=False, lacks={
                   **_without(NO_BATCH, *BATCH), **_without(NO_CAS, *CAS), **_without(NO_FUZZY, *FUZZY),
                   **_without(NO_ADMIN, *ADMIN), **_without(HTTP_ONLY, "main_port"), **_without(BEATS_ONLY, "killed"),
                   "empty_push": "this SDK ignores empty lists by design"}),
    *(Application(f"java-spring-{line}", "Spring Cloud Alibaba", version, "spring", "compat.spring.Shop",
                  lacks=_without(NO_METADATA, "metadata", "mapping"))
      for line, version in (("2021", "2021.0.6.2"), ("2025.0", "2025.0.0.0"), ("2025.1", "2025.1.0.0"))),
    *(Application(f"java-dubbo-{version[:3]}", "Dubbo", f"3.3.6 on client {version}", "dubbo", "compat.dubbo.Shop", lacks={
        "app_drained": "Dubbo pays no heed to the registry's weight",
        **_without("an endpoint of Spring Cloud", "health", "self_drained"),
        **_without("a call of Spring", "discovery_list", "config_fixed")})
      for version in ("2.5.1", "3.1.1")),
    *(Application(f"java-starter-{version[:3]}", "nacos-spring-boot", version, "starter", "compat.starter.Shop", lacks={
        **_without(NO_METADATA, "metadata", "mapping"),
        **_without("an endpoint of Spring Cloud", "health", "self_drained")}) for version in ("0.2.12", "0.3.0-RC")),
    Application("java-maintainer-3.2", "Maintainer client", "3.2.1-2026.03.30", "maintainer",
                "compat.maintainer.Maintainer"),
]
