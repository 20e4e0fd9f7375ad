"""The starters of nacos-spring-boot: discovery by hand through the SDK, settings by annotations."""

from . import spring
from .applications import GROUP, mark
from .spring import Spring

FLOWS = []


class Starter(Spring):
    """All contexts of a process share one SDK, which registers one address of a service and tells one context of changes:
    each has a process of its own."""

    source = "SPRING_BOOT"
    imports_anew = False

    def __init__(self, s, stage):
        super().__init__(s, stage)
        self.wanted = {"msg": "at the start"}
        self.at_start = {}

    def publish(self):
        publish = self.s.server.publish
        publish(self.msg, GROUP, "demo.msg=at the start\n", "properties")
        publish(self.fixed, GROUP, f"demo.fixed=for ever\n# {spring.UTF8}\n", "properties")

    def start(self, process, name, service=None):
        fixed = self.s.server.config(self.fixed, GROUP).splitlines()[0].split("=")[1]
        self.at_start[name] = {"first": self.wanted["msg"], "fixed": fixed}
        self.stage.start(process, name, service, f"--compat.msg={self.msg}", f"--compat.fixed={self.fixed}")

    def another_process(self, role):
        return self.s.start_driver(role).ready()

    def expected(self, name):
        """What opted out of refreshing is as it was at the start of this application."""
        return dict(self.at_start[name], msg=self.wanted["msg"])


@mark(FLOWS, "app_start", "config_start", "app_registers", "app_calls", "discovery_list", "app_added", "app_disabled",
      "app_drained", "config_fixed", "config_refresh", "app_closed", "app_killed", "app_outage", "app_return",
      "config_return")
def everything(s):
    spring.perform(s, Starter)
