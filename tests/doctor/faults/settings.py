"""Settings that do something else than whoever set them believes."""

import os
import time

from stand import case


def switch(stand, entry, value):
    status, text = stand.nacos("PUT", "/v1/ns/operator/switches", entry=entry, value=value)
    assert status == 200, text


def write(stand, text, name="application.properties"):
    conf = f"{stand.home}/nacre/conf"
    os.makedirs(conf, exist_ok=True)
    with open(f"{conf}/{name}", "w") as file:
        file.write(text)


@case("PROPERTY-WITHOUT-EFFECT", "D09", "D11", what="a property of 1.x that later versions ignore (C081)")
def a_dead_property(stand):
    write(stand, "nacos.naming.empty-service.clean.period-time-ms=20000\n")
    stand.start()
    stand.visible()
    stand.finding(mentions=["nacos.naming.empty-service.clean.period-time-ms",
                            "nacos.naming.clean.empty-service.interval", "application.properties"])
    stand.alone()


@case("PROPERTY-UNKNOWN", "D09", what="a property with a slip of the pen")
def a_misspelt_property(stand):
    write(stand, "nacos.naming.expiredInstance=false\n")
    stand.start()
    stand.visible()
    stand.finding(mentions=["nacos.naming.expiredInstance", "nacos.naming.expireInstance"])
    stand.alone()


@case("EXPIRY-DISABLED", "D09", what="nacos.naming.expireInstance=false")
def expiry_off_by_a_property(stand):
    stand.start("nacos.naming.expireInstance=false")
    stand.visible()
    stand.finding(mentions=["nacos.naming.expireInstance", "command line"])
    stand.alone()


@case("EXPIRY-DISABLED", "D09", what="the switch healthCheckEnabled off")
def health_checks_off_by_a_switch(stand):
    stand.start()
    switch(stand, "check", "false")
    stand.visible()
    stand.finding(mentions=["healthCheckEnabled", "entry=check"])
    stand.alone()
    switch(stand, "check", "true")
    stand.clears()


@case("PUSH-DISABLED", "F14", what="the switch pushEnabled off")
def pushes_off(stand):
    stand.start()
    switch(stand, "pushEnabled", "false")
    stand.visible()
    stand.finding(mentions=["pushEnabled"])
    stand.alone()
    switch(stand, "pushEnabled", "true")
    stand.clears()


@case("SWITCH-CHANGED", "D09", what="the switch lightBeatEnabled off")
def a_changed_switch(stand):
    stand.start()
    switch(stand, "lightBeatEnabled", "false")
    stand.visible()
    found = stand.finding(mentions=["lightBeatEnabled"])
    assert found["severity"] == "info"
    stand.alone()
    switch(stand, "lightBeatEnabled", "true")
    stand.clears()


@case("CLUSTER-MEMBERS-IGNORED", "D10", what="a cluster.conf with three members")
def a_member_that_runs_alone(stand):
    write(stand, "10.0.0.1:8848\n10.0.0.2:8848\n10.0.0.3:8848\n", "cluster.conf")
    stand.start()
    stand.visible()
    stand.finding(mentions=["10.0.0.2:8848", "runs alone"])
    stand.alone()


@case("LISTENS-WITHOUT-AUTHENTICATION", "F13", what="nacre.listen=0.0.0.0 with authentication asked for")
def listening_everywhere(stand):
    stand.start("nacre.listen=0.0.0.0", "nacos.core.auth.enabled=true")
    stand.visible()
    found = stand.finding(mentions=["0.0.0.0", stand.port, "nacos.core.auth.enabled"])
    assert found["severity"] == "warning"
    stand.alone(besides=["PROPERTY-WITHOUT-EFFECT"])


@case("SETTING-REFUSED", "D09", what="a wrong value written into the file while the server runs")
def a_refused_change(stand):
    write(stand, "nacre.logging=info\n")
    stand.start()
    write(stand, "nacre.logging=info\nnacos.naming.push.pushTaskDelay=soon\n")
    time.sleep(2.5)  # a changed file must hold still before it is read
    stand.visible()
    stand.finding(mentions=["pushTaskDelay"])
    stand.alone()
    write(stand, "nacre.logging=info\nnacos.naming.push.pushTaskDelay=400\n")
    stand.clears()


@case("SETTING-WAITS-FOR-RESTART", "D09", what="a port changed in the file while the server runs")
def a_change_that_waits(stand):
    write(stand, "nacre.logging=info\n")
    stand.start()
    write(stand, "nacre.logging=info\nnacre.limit.instances=1000\n")
    time.sleep(2.5)
    stand.visible()
    found = stand.finding(mentions=["nacre.limit.instances"])
    assert found["severity"] == "info"
    stand.alone()
