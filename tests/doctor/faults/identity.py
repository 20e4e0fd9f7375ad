"""Who publishes which address, and under which name."""

import json

from clients import Client
from rack.process import eventually
from stand import case

FAST = {"preserved.heart.beat.interval": "1000", "preserved.heart.beat.timeout": "60000",
        "preserved.ip.delete.timeout": "90000"}
SHORT = {"preserved.heart.beat.interval": "500", "preserved.heart.beat.timeout": "1500",
         "preserved.ip.delete.timeout": "3000"}


def hosts(stand, service, **query):
    status, text = stand.nacos("GET", "/v1/ns/instance/list", serviceName=service, **query)
    assert status == 200, text
    return json.loads(text)["hosts"]


@case("ADDRESS-PUBLISHED-TWICE", "E04", "E02", what="two connections register one ip:port with weights 1 and 100")
def c012_one_address_two_publishers(stand):
    stand.start()
    one, other = Client(stand), Client(stand)
    one.register("c012-svc", "192.0.2.60", 80, weight=1.0)
    other.register("c012-svc", "192.0.2.60", 80, weight=100.0)
    stand.visible()
    assert [host["weight"] for host in hosts(stand, "c012-svc")] == [100.0]
    stand.finding(mentions=["two clients publish the same address", "192.0.2.60:80", one.id, other.id,
                            "c012-svc"])
    stand.alone()
    other.close()
    stand.clears()
    assert [host["weight"] for host in hosts(stand, "c012-svc")] == [1.0]
    one.close()
    assert eventually(lambda: not hosts(stand, "c012-svc")), "nobody publishes it any more"


@case("ADDRESS-HTTP-AND-GRPC", "E04", what="one ip:port registered over HTTP and over gRPC")
def both_transports(stand):
    stand.start()
    stand.register("e04-svc", "192.0.2.61", 80)
    stand.beats("e04-svc", "192.0.2.61", 80)
    client = Client(stand)
    client.register("e04-svc", "192.0.2.61", 80)
    stand.visible()
    stand.finding(mentions=["two clients publish the same address", "192.0.2.61:80#true", client.id])
    stand.alone()
    client.close()
    stand.clears()


@case("BEATS-FROM-GHOST", "E03", what="an old process goes on beating for an address that another host owns now")
def ghost_of_an_old_pod(stand):
    stand.start()
    stand.register("e03-svc", "127.0.0.81", 80, source="127.0.0.81", metadata=FAST)
    stand.beats("e03-svc", "127.0.0.81", 80, source="127.0.0.81")
    stand.beats("e03-svc", "127.0.0.81", 80, every=0.9, source="127.0.0.82", agent="Nacos-Go-Client:v1.0.9")
    stand.visible()
    stand.finding(mentions=["127.0.0.82", "127.0.0.81:80", "Nacos-Go-Client:v1.0.9", "e03-svc"])
    stand.alone()
    stand._beats[1].stop()
    stand.clears()


@case("BEATS-FROM-TWO-SENDERS", "E02", what="two processes on other hosts beat for one instance")
def two_senders(stand):
    stand.start()
    stand.register("e02-svc", "192.0.2.90", 80, source="127.0.0.83", metadata=FAST)
    stand.beats("e02-svc", "192.0.2.90", 80, source="127.0.0.83")
    stand.beats("e02-svc", "192.0.2.90", 80, every=0.9, source="127.0.0.84")
    stand.visible()
    stand.finding(mentions=["127.0.0.83", "127.0.0.84", "192.0.2.90:80", "e02-svc"])
    stand.alone()
    stand._beats[0].stop()
    stand.clears()


@case("DEREGISTER-MISSED-PERSISTENT", "F10", what="DELETE without ephemeral=false of a persistent instance")
def c014_delete_says_ok_and_deletes_nothing(stand):
    stand.start("nacos.naming.clean.expired-metadata.interval=5000")
    assert stand.register("c014-svc", "192.0.2.62", 80, ephemeral=False)[0] == 200
    assert stand.nacos("DELETE", "/v1/ns/instance", serviceName="c014-svc", ip="192.0.2.62", port=80) == (200, "ok")
    stand.visible()
    assert len(hosts(stand, "c014-svc")) == 1
    stand.finding(mentions=["192.0.2.62:80", "c014-svc", "ephemeral=false"])
    stand.alone()
    stand.nacos("DELETE", "/v1/ns/instance", serviceName="c014-svc", ip="192.0.2.62", port=80, ephemeral="false")
    assert not hosts(stand, "c014-svc")
    stand.clears()


@case("HOST-IN-TWO-FORMS", "E08", what="one process registers its IPv4 and its IPv6 address")
def one_host_in_two_forms(stand):
    stand.start()
    stand.register("e08-svc", "127.0.0.85", 8080, source="127.0.0.85")
    stand.register("e08-svc", "2001:db8::7", 8080, source="127.0.0.85")
    stand.visible()
    stand.finding(mentions=["127.0.0.85:8080", "2001:db8::7:8080", "e08-svc"])
    stand.nacos("DELETE", "/v1/ns/instance", serviceName="e08-svc", ip="2001:db8::7", port=8080)
    stand.clears()


@case("PORT-CHANGES-EACH-START", "E07", what="a process that takes another port at each start and never deregisters")
def random_ports(stand):
    stand.start()
    for port in (31001, 31002):
        stand.register("e07-svc", "127.0.0.86", port, source="127.0.0.86", metadata=SHORT)
    stand.register("e07-svc", "127.0.0.86", 31003, source="127.0.0.86", metadata=FAST)
    stand.beats("e07-svc", "127.0.0.86", 31003, source="127.0.0.86")
    for port in (31001, 31002):
        stand.server.wait_event("instanceUnhealthy", lambda event: f":{port}:" in json.dumps(event))
    stand.visible()
    stand.finding(mentions=["127.0.0.86", "31001", "31002", "31003", "e07-svc"])


@case("REGISTERED-UNREACHABLE-IP", "E01", what="a process on another host registers its docker bridge address")
def docker_bridge_address(stand):
    stand.start()
    stand.register("e01-svc", "172.17.0.5", 8080, source="127.0.0.87")
    stand.beats("e01-svc", "172.17.0.5", 8080, source="127.0.0.87")
    stand.visible()
    stand.finding(mentions=["172.17.0.5:8080", "127.0.0.87", "docker", "e01-svc"])
    stand.alone()
    for beats in stand._beats:
        beats.stop()
    stand.nacos("DELETE", "/v1/ns/instance", serviceName="e01-svc", ip="172.17.0.5", port=8080)
    stand.clears()


@case("SERVICE-NAMES-ALIKE", "E05", what="providers register one service as Orders and as orders")
def names_that_look_alike(stand):
    stand.start()
    stand.register("Orders", "192.0.2.91", 80)
    stand.register("orders", "192.0.2.92", 80)
    for service, ip in (("Orders", "192.0.2.91"), ("orders", "192.0.2.92")):
        stand.beats(service, ip, 80)
    stand.visible()
    stand.finding(mentions=["DEFAULT_GROUP@@Orders", "DEFAULT_GROUP@@orders"])
    stand.alone()
