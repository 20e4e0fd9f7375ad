"""What is alive and hidden, what is dead and shown, and what consumers do not hear."""

import json
import socket

from clients import Again, Client
from stand import case

from .identity import SHORT, hosts

STEADY = {"preserved.heart.beat.interval": "1000"}


def edit(stand, service, ip, source, **form):
    status, text = stand.nacos("PUT", "/v1/ns/instance", source, "curl/8.5", serviceName=service, ip=ip, port=80, **form)
    assert (status, text) == (200, "ok"), (status, text)


@case("OPERATOR-DISABLED", "F01", what="an operator takes a live instance offline; its client registers again")
def taken_offline(stand):
    stand.start()
    stand.register("f01-svc", "192.0.2.101", 80)
    stand.beats("f01-svc", "192.0.2.101", 80)
    edit(stand, "f01-svc", "192.0.2.101", "127.0.0.91", enabled="false")
    stand.visible()
    assert not hosts(stand, "f01-svc")
    stand.finding(mentions=["192.0.2.101:80", "127.0.0.91", "curl/8.5", "f01-svc"])
    stand.register("f01-svc", "192.0.2.101", 80)
    stand.finding(mentions=["registered again"])
    stand.alone()
    edit(stand, "f01-svc", "192.0.2.101", "127.0.0.91", enabled="true")
    stand.clears()


@case("OPERATOR-WEIGHT-ZERO", "F01", what="an operator sets a live instance's weight to 0")
def weight_zero(stand):
    stand.start()
    stand.register("f01w-svc", "192.0.2.102", 80)
    stand.beats("f01w-svc", "192.0.2.102", 80)
    edit(stand, "f01w-svc", "192.0.2.102", "127.0.0.92", weight=0, enabled="true")
    stand.visible()
    stand.finding(mentions=["192.0.2.102:80", "127.0.0.92", "f01w-svc"])
    stand.alone()
    edit(stand, "f01w-svc", "192.0.2.102", "127.0.0.92", weight=1, enabled="true")
    stand.clears()


@case("OPERATOR-METADATA-HIDES", "F01", what="offline and online by an operator; the client comes back with other metadata")
def metadata_hidden(stand):
    stand.start()
    stand.register("f01m-svc", "192.0.2.106", 80, metadata={"version": "1"})
    stand.beats("f01m-svc", "192.0.2.106", 80)
    for enabled in ("false", "true"):
        edit(stand, "f01m-svc", "192.0.2.106", "127.0.0.93", weight=1, enabled=enabled, metadata='{"version":"1"}')
    stand.register("f01m-svc", "192.0.2.106", 80, metadata={"version": "2"})
    stand.visible()
    assert hosts(stand, "f01m-svc")[0]["metadata"] == {"version": "1"}
    stand.finding(mentions=["192.0.2.106:80", "127.0.0.93", "f01m-svc", "version"])
    # It was, for a moment, and a round may have seen it.
    stand.clears("OPERATOR-DISABLED")
    stand.alone()
    edit(stand, "f01m-svc", "192.0.2.106", "127.0.0.93", weight=1, enabled="true", metadata="{}")
    assert hosts(stand, "f01m-svc")[0]["metadata"] == {"version": "2"}
    stand.clears()


@case("BEAT-REGISTERED-WEIGHT-ZERO", "F02", what="a full beat without a weight registers its instance")
def registered_by_a_beat_without_weight(stand):
    stand.start()
    beat = json.dumps({"serviceName": "DEFAULT_GROUP@@f02-svc", "ip": "192.0.2.103", "port": 80, "cluster": "DEFAULT",
                       "metadata": {}})
    status, text = stand.nacos("PUT", "/v1/ns/instance/beat", serviceName="f02-svc", ip="192.0.2.103", port=80, beat=beat)
    assert status == 200, text
    stand.beats("f02-svc", "192.0.2.103", 80)
    stand.visible()
    stand.finding(mentions=["192.0.2.103:80", "weight 0", "f02-svc"])


@case("REGISTERED-HIDDEN", "F01", what="a client registers itself with enabled=false")
def registered_disabled(stand):
    stand.start()
    stand.register("f01c-svc", "192.0.2.104", 80, enabled="false")
    stand.beats("f01c-svc", "192.0.2.104", 80)
    stand.visible()
    stand.finding(mentions=["192.0.2.104:80", "enabled=false", "f01c-svc"])
    stand.alone()


@case("REGISTERED-UNHEALTHY", "F03", what="a client registers over gRPC with healthy=false")
def registered_unhealthy(stand):
    stand.start()
    client = Client(stand)
    client.register("f03-svc", "192.0.2.105", 80, healthy=False)
    stand.visible()
    stand.finding(mentions=["192.0.2.105:80", client.id, "f03-svc"])
    stand.alone()
    client.register("f03-svc", "192.0.2.105", 80, healthy=True)
    stand.clears()


def masked(stand, threshold):
    metadata = {**SHORT, "preserved.ip.delete.timeout": "60000"}
    stand.register("c017-svc", "192.0.2.106", 80, metadata=metadata)
    assert stand.nacos("PUT", "/v1/ns/service", serviceName="c017-svc", protectThreshold=threshold)[0] == 200
    stand.server.wait_event("instanceUnhealthy")
    stand.visible()
    stand.finding(mentions=["protection masks 1 of 1", "192.0.2.106:80", "c017-svc"])


@case("PROTECTION-ZERO-MASKS", "F05", what="the only instance dies in a service that was made with threshold 0")
def c017_threshold_zero(stand):
    stand.start()
    masked(stand, 0)
    found = hosts(stand, "c017-svc")
    assert found[0]["healthy"] is True, found
    status, _ = stand.nacos("PUT", "/v1/ns/service", serviceName="c017-svc", protectThreshold=-1)
    assert status == 200
    stand.finding(mentions=["protection masks 1 of 1"])
    stand.beats("c017-svc", "192.0.2.106", 80)
    stand.clears()


@case("PROTECTION-MASKS", "F04", what="half of a service's instances die below its threshold 0.8")
def protection_masks(stand):
    stand.start()
    masked(stand, 0.8)
    stand.beats("c017-svc", "192.0.2.106", 80, every=0.3)
    stand.clears()


@case("PROTECTION-ZERO-MASKS", "F05", what="persistent instances that refuse TCP, threshold 0")
def c016_protection_shows_the_sick_as_healthy(stand):
    stand.start()
    stand.nacos("POST", "/v1/ns/service", serviceName="c016-svc", protectThreshold=0, ephemeral="false")
    for port in (1, 2):
        stand.register("c016-svc", "127.0.0.1", port, ephemeral=False, healthy="false")
    stand.visible()
    assert all(host["healthy"] for host in hosts(stand, "c016-svc"))
    stand.finding(mentions=["protection masks 2 of 2", "c016-svc"])


@case("UDP-PUSH-UNACKED", "F07", what="a 1.x subscriber whose UDP port swallows every datagram")
def udp_is_not_acknowledged(stand):
    stand.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.93", 0))
        port = deaf.getsockname()[1]
        stand.register("f07-svc", "192.0.2.107", 80)
        stand.beats("f07-svc", "192.0.2.107", 80)
        Again(stand, lambda: stand.nacos("GET", "/v1/ns/instance/list", "127.0.0.93", "Nacos-Java-Client:v1.4.8",
                                         serviceName="f07-svc", clientIP="127.0.0.93", udpPort=port), every=2)
        stand.server.wait_event("subscribed")
        stand.register("f07-svc", "192.0.2.108", 80)
        stand.server.wait_event("pushGaveUp", within=60)
        stand.visible()
        stand.finding(mentions=[f"127.0.0.93:{port}", "Nacos-Java-Client:v1.4.8", "f07-svc"])


@case("EMPTY-PUSH-IGNORED", "F08", "C010", what="a Go client is pushed an empty list, which it does not take over")
def c010_the_last_instance_goes_away(stand):
    stand.start()
    consumer = Client(stand, version="Nacos-Go-Client:v2.2.1")
    consumer.subscribe("c010-svc")
    provider = Client(stand)
    provider.register("c010-svc", "192.0.2.110", 80)
    provider.close()
    stand.visible()
    stand.finding(mentions=["Nacos-Go-Client:v2.2.1", "127.0.0.1", "hosts=[]", "c010-svc"])
    consumer.close()
    stand.clears()


def checked(stand, service, port, **cluster):
    stand.nacos("POST", "/v1/ns/service", serviceName=service, protectThreshold=0.0, ephemeral="false")
    if cluster:
        status, text = stand.nacos("PUT", "/v1/ns/cluster", serviceName=service, clusterName="DEFAULT",
                                   healthChecker=json.dumps({"type": "TCP"}), **cluster)
        assert (status, text) == (200, "ok"), (status, text)
    assert stand.register(service, "127.0.0.1", port, ephemeral=False)[0] == 200
    stand.server.wait_event("instanceUnhealthy", within=60)
    stand.visible()


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@case("CHECK-FAILS", "F09", what="a persistent instance on a port that nobody listens on")
def nobody_listens(stand):
    stand.start()
    port = free_port()
    checked(stand, "f09-svc", port)
    stand.finding(mentions=[f"127.0.0.1:{port}", "TCP", "unable2connect", "f09-svc"])


@case("CHECK-WRONG-PORT", "F09", what="a cluster whose checks go to port 80 instead of the instance's port")
def checks_go_elsewhere(stand):
    stand.start()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port, wrong = listening.getsockname()[1], free_port()
        checked(stand, "f09p-svc", port, checkPort=wrong, useInstancePort4Check="false")
        stand.finding(mentions=[f"127.0.0.1:{wrong}", str(port), "useInstancePort4Check", "f09p-svc"])


@case("CHECKER-NONE-FROZEN", "F11", what="a persistent instance is unhealthy and its cluster has no checker")
def frozen(stand):
    stand.start()
    stand.nacos("POST", "/v1/ns/service", serviceName="f11-svc", protectThreshold=0.0, ephemeral="false")
    status, text = stand.nacos("PUT", "/v1/ns/cluster", serviceName="f11-svc", clusterName="DEFAULT", checkPort=80,
                               useInstancePort4Check="true", healthChecker=json.dumps({"type": "NONE"}))
    assert (status, text) == (200, "ok"), (status, text)
    stand.register("f11-svc", "192.0.2.111", 80, ephemeral=False, healthy="false")
    stand.visible()
    stand.finding(mentions=["192.0.2.111:80", "NONE", "f11-svc"])
    stand.register("f11-svc", "192.0.2.111", 80, ephemeral=False, healthy="true")
    stand.clears()
