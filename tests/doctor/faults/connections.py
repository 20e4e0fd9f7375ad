"""How connections end, who comes back, and what the one that came back no longer does."""

import os
import signal
import subprocess
import sys
import time

from clients import GO, JAVA, Client, Loop, Proxy
from stand import case

# Silence is noticed within three seconds here, not within thirteen.
QUICK = ("nacre.grpc.detection.idle=2000", "nacre.grpc.detection.timeout=1000")


@case("REDO-LOST", "C08", what="a client that registered is cut off, connects again and registers nothing (C095)")
def redo_is_lost_after_a_reconnect(stand):
    stand.start("nacre.doctor.told=60000")
    loop = Loop(stand)
    consumer = Client(stand, loop, source="127.0.0.51", version=GO)
    first = Client(stand, loop, source="127.0.0.50", version=GO)
    first.register("c15-svc", "127.0.0.50", 8080)
    first.abort()
    consumer.abort()
    time.sleep(0.5)
    Client(stand, loop, source="127.0.0.50", version=GO)
    Client(stand, loop, source="127.0.0.51", version=GO)  # never published: nothing is to be said of it
    time.sleep(10)  # what an SDK has for its redo
    stand.visible()
    found = stand.finding(mentions=["127.0.0.50", "c15-svc", GO, "upgrade"])
    assert found["count"] == 1 and "127.0.0.51" not in str(found), found
    stand.alone()


@case("REDO-LOST", "C08", what="a redo that comes late; a redeployment in order beside it")
def redo_comes_late(stand):
    stand.start()
    loop = Loop(stand)
    rolled = Client(stand, loop, source="127.0.0.65", version=GO)
    rolled.register("rolled", "127.0.0.65", 8080)
    rolled.register("rolled", "127.0.0.65", 8080, kind="deregisterInstance")
    rolled.close()
    Client(stand, loop, source="127.0.0.65", version=GO)  # redeployed in order: nothing is to be said of it
    first = Client(stand, loop, source="127.0.0.52", version=GO)
    first.register("late", "127.0.0.52", 8080)
    first.abort()
    time.sleep(0.3)
    second = Client(stand, loop, source="127.0.0.52", version=GO)
    time.sleep(10)
    stand.visible()
    found = stand.finding(mentions=["late"])
    assert found["count"] == 1 and "rolled" not in str(found), found
    second.register("late", "127.0.0.52", 8080)
    stand.clears()


@case("REDO-LOST", "C08", what="a client that comes back after the server was killed and registers nothing; others do")
def redo_is_lost_over_a_restart(stand):
    server = stand.start("nacre.doctor.told=60000")
    loop = Loop(stand)
    Client(stand, loop, source="127.0.0.66", version=GO).register("lost", "127.0.0.66", 8080)
    Client(stand, loop, source="127.0.0.67", version=GO).register("kept", "127.0.0.67", 8080)
    Client(stand, loop, source="127.0.0.68", version=GO).subscribe("kept")
    server.wait_event("instanceRegistered", lambda event: "127.0.0.67" in str(event))
    time.sleep(0.5)  # what is journalled is on disk within 100 ms
    server.kill()
    stand.start("nacre.doctor.told=60000")
    Client(stand, loop, source="127.0.0.66", version=GO)
    Client(stand, loop, source="127.0.0.67", version=GO).register("kept", "127.0.0.67", 8080)
    Client(stand, loop, source="127.0.0.68", version=GO).subscribe("kept")
    time.sleep(10)  # what an SDK has for its redo
    stand.visible()
    found = stand.finding(mentions=["127.0.0.66", "lost", GO, "upgrade"])
    assert found["count"] == 1 and found["severity"] == "warning", found
    stand.alone()


@case("REDO-LOST", "C08", what="strangers on hosts whose publishers died; one of whom nothing tells it from the dead")
def strangers_where_publishers_died(stand):
    stand.start("nacre.doctor.told=60000")
    loop = Loop(stand)
    sources = [f"127.0.0.{host}" for host in (46, 47, 48)]
    publishers = [Client(stand, loop, source=source, version=JAVA) for source in sources]
    for source, publisher in zip(sources, publishers):
        publisher.register("died", source, 8080)
        publisher.abort()
    time.sleep(6)  # a process that starts takes its time; a connection that comes again does not
    Client(stand, loop, source=sources[0], version=GO)  # another SDK
    Client(stand, loop, source=sources[1], version=JAVA).subscribe("other")  # asks for what the dead never asked for
    Client(stand, loop, source=sources[2], version=JAVA)
    stand.none(for_seconds=12)
    time.sleep(8)
    stand.visible()
    found = stand.finding(mentions=[sources[2]])
    text = str(found)
    assert found["count"] == 1 and sources[0] not in text and sources[1] not in text, found
    assert (found["severity"], found["confidence"]) == ("info", "low"), found


@case("CONNECTION-LIFETIME-CONSTANT", "C04", what="a proxy that closes every connection after four seconds")
def a_proxy_with_a_maximum_life(stand):
    stand.start()
    loop, proxy = Loop(stand), Proxy(stand, stand.grpc_port, life=4, source="127.0.0.53")
    for _ in range(4):
        client = Client(stand, loop, port=proxy.port, version=JAVA, claim="10.9.0.7")
        client.register("behind", "10.9.0.7", 8080)
        client.wait_end()
    client = Client(stand, loop, port=proxy.port, version=JAVA, claim="10.9.0.7")
    client.register("behind", "10.9.0.7", 8080)
    stand.visible()
    stand.finding(mentions=["127.0.0.53", "10.9.0.7", "proxy_timeout"])
    stand.alone()


@case("CONNECTION-CHURN", "C09", what="a client that crashes and comes back in a loop")
def a_crash_loop(stand):
    stand.start("nacre.doctor.told=5000")
    loop = Loop(stand)
    for life in (0.1, 0.9, 0.3, 1.6, 0.2, 0.7, 1.1):
        client = Client(stand, loop, source="127.0.0.54", version=JAVA)
        client.register("crashing", "127.0.0.54", 8080)
        time.sleep(life)
        client.abort()
        time.sleep(0.1)
    client = Client(stand, loop, source="127.0.0.54", version=JAVA)
    client.register("crashing", "127.0.0.54", 8080)
    stand.visible()
    stand.finding(mentions=["127.0.0.54", "times within a minute", JAVA])
    stand.alone()
    stand.clears()


FROZEN = """
import asyncio, sys
sys.path[:0] = [{doctor!r}, {torture!r}]
from clients import Wire
async def main():
    wire = await Wire.open({port}, source={source!r})
    await wire.register("frozen", {source!r}, 8080)
    print("registered", flush=True)
    while True:
        await wire.call("HealthCheckRequest", {{}})
        await asyncio.sleep(0.5)
asyncio.run(main())
"""


@case("CLIENT-FROZEN", "C07", "A09", what="a client process under SIGSTOP")
def a_stopped_client_process(stand):
    stand.start(*QUICK)
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    text = FROZEN.format(doctor=here, torture=os.path.join(os.path.dirname(here), "torture"), port=stand.grpc_port,
                         source="127.0.0.55")
    child = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE)
    stand.at_end(child.wait)
    stand.at_end(child.kill)
    assert child.stdout.readline() == b"registered\n"
    os.kill(child.pid, signal.SIGSTOP)
    time.sleep(4)  # two of silence, one for the answer
    stand.visible()
    stand.finding(mentions=["127.0.0.55", "frozen", "127.0.0.55:8080:DEFAULT"])
    stand.alone()
    stand.clears()


@case("CONNECTION-CUT-SILENTLY", "C05", what="a network that drops everything between client and server")
def a_network_that_is_cut(stand):
    from rack import disk
    nft = disk.need("nft", "nftables")
    stand.start(*QUICK)
    loop = Loop(stand)
    client = Client(stand, loop, source="127.0.0.56", version=JAVA)
    client.register("cut", "127.0.0.56", 8080)
    table = f"nacre_cut_{stand.port}"
    rules = (f"table inet {table} {{\n chain cut {{\n type filter hook input priority 0;\n"
             f"ip saddr 127.0.0.56 tcp dport {stand.grpc_port} drop\n"
             f"ip daddr 127.0.0.56 tcp sport {stand.grpc_port} drop\n}}\n}}\n")
    done = subprocess.run([nft, "-f", "-"], input=rules, text=True, capture_output=True)
    assert done.returncode == 0, f"nft: {done.stderr} (needs root)"
    stand.at_end(lambda: subprocess.run([nft, "delete", "table", "inet", table], capture_output=True))
    time.sleep(4)
    stand.visible()
    stand.finding(mentions=["127.0.0.56", "cut", "127.0.0.56:8080:DEFAULT"])
    stand.alone()
    stand.clears()


@case("CLIENT-GONE-WITHOUT-DEREGISTERING", "C06", what="a client process that is gone without a deregistration")
def a_killed_client(stand):
    stand.start("nacre.doctor.told=8000")
    loop = Loop(stand)
    client = Client(stand, loop, source="127.0.0.57", version=JAVA)
    client.register("killed", "127.0.0.57", 8080)
    client.close()
    time.sleep(5)
    stand.visible()
    found = stand.finding(mentions=["127.0.0.57", "FIN", "127.0.0.57:8080:DEFAULT"])
    assert found["severity"] == "info"
    stand.alone()
    stand.clears()


@case("REGISTRATION-REPLACED", "C11", what="two addresses registered for one service over one connection (C013)")
def a_second_address_on_one_connection(stand):
    stand.start()
    client = Client(stand, Loop(stand), source="127.0.0.58", version=JAVA)
    client.register("gateway", "10.0.0.1", 80)
    client.register("gateway", "10.0.0.2", 80)
    stand.visible()
    stand.finding(mentions=["10.0.0.1:80:DEFAULT", "10.0.0.2:80:DEFAULT", "batchRegisterInstance"])
    stand.alone()
    time.sleep(6)  # longer than anything is told here: it stands as long as the instance is missing
    assert stand.findings(code="REGISTRATION-REPLACED"), "it cleared, and nothing was mended"
    instances = [{"ip": f"10.0.0.{n}", "port": 80, "ephemeral": True, "clusterName": "DEFAULT"} for n in (1, 2, 3)]
    answer = client.ask("BatchInstanceRequest", {
        "namespace": "public", "serviceName": "gateway", "groupName": "DEFAULT_GROUP", "type": "batchRegisterInstance",
        "instances": instances})
    assert answer.get("resultCode") == 200, answer
    stand.clears()


@case("BATCH-DEREGISTERED-WHOLE", "C11", what="one of three instances of a batch is deregistered by itself")
def one_of_a_batch_is_deregistered(stand):
    stand.start()
    client = Client(stand, Loop(stand), source="127.0.0.57", version=JAVA)

    def batch(*last):
        instances = [{"ip": f"10.0.0.{n}", "port": 80, "ephemeral": True, "clusterName": "DEFAULT"} for n in last]
        answer = client.ask("BatchInstanceRequest", {
            "namespace": "public", "serviceName": "gateway", "groupName": "DEFAULT_GROUP", "type": "batchRegisterInstance",
            "instances": instances})
        assert answer.get("resultCode") == 200, answer

    batch(1, 2, 3)
    answer = client.ask("InstanceRequest", {
        "namespace": "public", "serviceName": "gateway", "groupName": "DEFAULT_GROUP", "type": "deregisterInstance",
        "instance": {"ip": "10.0.0.3", "port": 80, "ephemeral": True, "clusterName": "DEFAULT"}})
    assert answer.get("resultCode") == 200, answer
    stand.visible()
    stand.finding(mentions=["127.0.0.57", "gateway", "all 3", "batchRegisterInstance"])
    stand.alone()
    batch(1, 2)
    stand.clears()


@case("CONNECTION-NEVER-SET-UP", "C12", "C15", what="unary calls over a connection whose stream never came")
def calls_without_a_set_up(stand):
    stand.start()
    client = Client(stand, Loop(stand), source="127.0.0.59", set_up=False, speaks=False)
    for _ in range(4):
        answer = client.ask("ServiceQueryRequest", {"namespace": "public", "serviceName": "x", "groupName": "g"})
        assert answer.get("errorCode") == 301, answer
    stand.visible()
    stand.finding(mentions=["127.0.0.59", "301", "bi-stream"])
    stand.alone()
    stand.clears()


@case("PUSH-NOT-ACKNOWLEDGED", "C16", "F07", what="a subscriber that reads pushes and never answers")
def a_subscriber_that_does_not_acknowledge(stand):
    stand.start("nacos.naming.push.pushTaskTimeout=500", "nacos.naming.push.pushTaskRetryDelay=200",
                "nacos.naming.push.pushTaskDelay=100")
    loop = Loop(stand)
    client = Client(stand, loop, source="127.0.0.60", version=JAVA)
    client.subscribe("unheard")
    client.wire.acknowledges = False
    publisher = Client(stand, loop, source="127.0.0.61", version=JAVA)
    publisher.register("unheard", "10.0.0.1", 80)
    time.sleep(1.5)
    stand.visible()
    stand.finding(mentions=["127.0.0.60", "unheard"])
    stand.alone()
    client.wire.acknowledges = True
    stand.clears()


@case("CONNECTED-THROUGH-PROXY", "C04", what="a client behind a proxy, whose socket has another address")
def a_client_behind_a_proxy(stand):
    stand.start()
    proxy = Proxy(stand, stand.grpc_port, source="127.0.0.62")
    client = Client(stand, Loop(stand), port=proxy.port, claim="10.9.0.8")
    stand.visible()
    found = stand.finding(mentions=["127.0.0.62", "10.9.0.8"])
    assert found["severity"] == "info"
    stand.alone()
    client.close()
    stand.clears()


@case("CLIENTS-CLAIM-ONE-ADDRESS", "C01", what="containers of two hosts that say the same address")
def two_hosts_with_one_claimed_address(stand):
    stand.start()
    loop = Loop(stand)
    clients = [Client(stand, loop, source=f"127.0.0.{host}", claim="172.17.0.2") for host in (63, 64)]
    stand.visible()
    stand.finding(mentions=["127.0.0.63", "127.0.0.64", "172.17.0.2"])
    stand.alone(besides=["CONNECTED-THROUGH-PROXY"])
    clients[0].close()
    stand.clears()
