"""Limits that are reached."""

import resource
import socket
import struct

from clients import Again, Client, Loop
from rack import cgroup, disk, grpc
from rack.process import eventually
from stand import case


def wait_for_room(stand):
    """A server that is full closes new connections at once; what was closed is free a moment later."""
    def answers():
        try:
            return stand.findings() is not None
        except OSError:
            return False
    assert eventually(answers, 15, pause=0.1), "there is no room again"


@case("LIMIT-OPEN-FILES", "D08", "C09", what="a process with 256 file handles and a thousand connections (C087)")
def out_of_file_handles(stand):
    stand.start(preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)))
    held = []
    stand.at_end(lambda: [one.close() for one in held])
    for _ in range(400):
        try:
            one = socket.create_connection(("127.0.0.1", stand.port), 2)
            one.sendall(b"GET /nacos/v1/ns/operator/switches HTTP/1.1\r\nHost: x\r\n")  # has spoken, and goes on speaking
            held.append(one)
        except OSError:
            break
    # Room for those who ask: the server may have given up any of the first ones itself.
    for one in held[:300]:
        one.close()
    wait_for_room(stand)
    stand.visible()
    stand.finding(mentions=["file limit 256", "LimitNOFILE"])
    stand.alone()
    for one in held:
        one.close()
    stand.clears()


@case("LIMIT-CONNECTIONS", "C09", "D08", what="more gRPC clients than nacre.limit.connections")
def too_many_connections(stand):
    stand.start("nacre.limit.connections=40")
    loop = Loop(stand)
    clients = []
    for number in range(37):
        try:
            clients.append(Client(stand, loop, source=f"127.0.1.{number + 1}"))
        except Exception:  # noqa: BLE001: the limit itself
            break
    stand.visible()
    stand.finding(mentions=["nacre.limit.connections", "40"])
    stand.alone()
    for client in clients[20:]:
        client.close()
    stand.clears()


@case("LIMIT-REACHED", "D08", what="a client that listens to more configs than it may")
def too_many_listened_keys(stand):
    stand.start("nacre.limit.listened-keys=3")
    client = Client(stand, Loop(stand), source="127.0.0.71", module="config")
    contexts = [{"dataId": f"d{n}", "group": "G", "tenant": "", "md5": ""} for n in range(6)]
    client.ask("ConfigBatchListenRequest", {"listen": True, "configListenContexts": contexts})
    stand.visible()
    stand.finding(mentions=["nacre.limit.listened-keys", "127.0.0.71"])
    stand.alone()
    stand.clears()


@case("LIMIT-REACHED", "D08", what="more instances than nacre.limit.instances")
def too_many_instances(stand):
    stand.start("nacre.limit.instances=2")
    for port in range(4):
        stand.register("many", "10.0.0.1", 8000 + port, source="127.0.0.72")
    stand.visible()
    stand.finding(mentions=["nacre.limit.instances"])
    stand.clears()


@case("GRPC-MESSAGE-TOO-BIG", "C14", what="a gRPC message of 11 MiB")
def a_grpc_message_that_is_too_big(stand):
    stand.start()
    client = Client(stand, Loop(stand), source="127.0.0.73")

    def say():
        """The beginning of a message says how long it is: that is enough to be refused."""
        wire, stream = client.wire, client.wire._stream_id()
        wire.transport.write(grpc.frame(grpc.HEADERS, grpc.END_HEADERS, stream, grpc.headers(grpc.UNARY))
                             + grpc.frame(grpc.DATA, 0, stream, struct.pack(">BI", 0, 11 << 20) + bytes(1000)))

    client.loop.call(say)
    stand.visible()
    stand.finding(mentions=["127.0.0.73", "RESOURCE_EXHAUSTED", "max-inbound-message-size"])
    stand.alone()
    stand.clears()


@case("HTTP-BODY-TOO-BIG", "C14", what="an HTTP body beyond nacre.http.max-body")
def an_http_body_that_is_too_big(stand):
    stand.start("nacre.http.max-body=1048576")
    try:
        stand.http(stand.port, "POST", "/nacos/v1/cs/configs", body="content=" + "x" * (2 << 20), source="127.0.0.74",
                   headers={"Content-Type": "application/x-www-form-urlencoded"})
    except OSError:
        pass  # answered before all was read
    stand.visible()
    stand.finding(mentions=["127.0.0.74", "nacre.http.max-body"])
    stand.alone()
    stand.clears()


@case("MEMORY-NEAR-LIMIT", "D08", what="a control group with hardly more memory than the server has already")
def out_of_memory(stand):
    group = cgroup.Group("memory")
    stand.at_end(group.remove)
    stand.at_end(lambda: stand.server and stand.server.kill())
    server = stand.start(preexec=group.enter)
    stand.none()
    group.memory(int(server.memory() * 1.06))
    stand.visible()
    stand.finding(mentions=["memory.max", "MiB"])
    stand.alone()
    group.memory(server.memory() * 4)
    stand.clears()


@case("WRITE-QUEUE-FULL", "C10", "D01", what="twelve publishers, a flush that takes 400 ms, and room for two writes that wait")
def more_writes_than_the_disk_takes(stand):
    strace = disk.need("strace", "strace")
    stand.start("nacre.limit.write-queue=2",
                wrapper=[strace, "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e", "trace=fdatasync,fsync",
                         "-e", "inject=fdatasync,fsync:delay_exit=400000"])

    def publisher(number):
        return Again(stand, lambda: stand.nacos("POST", "/v1/cs/configs", dataId=f"c{number}", group="G", content="x"),
                     every=0.01)

    publishers = [publisher(number) for number in range(12)]
    assert eventually(lambda: any(status == 503 for one in publishers for status, _ in one.answers), 20), \
        "nobody was refused"
    stand.visible()
    stand.finding(mentions=["503", "nacre.limit.write-queue"])
    stand.alone(besides=["SERVER-STALLED"])  # whoever attaches to a process stops it for a moment
    for one in publishers:
        one.stop()
    stand.clears()
