"""What arrives on the ports, how connections end, and what never arrives."""

import socket
import time

from clients import JAVA, Client, Loop
from stand import case


@case("GRPC-PORT-HTTP1", "C02", what="a proxy that speaks HTTP/1.1 to the gRPC port")
def http1_on_the_grpc_port(stand):
    stand.start()
    status, text = stand.http(stand.grpc_port, "POST", "/", {"a": "b"}, source="127.0.0.40")
    assert status == 400 and "gRPC" in text, (status, text)
    stand.visible()
    found = stand.finding(mentions=["127.0.0.40", stand.grpc_port, "POST"])
    assert found["subject"]["address"] == "127.0.0.40"
    stand.alone()
    stand.clears()


@case("GRPC-PORT-FOREIGN-BYTES", "C13", what="a TLS client hello on the plaintext gRPC port")
def tls_on_the_grpc_port(stand):
    stand.start()
    with socket.create_connection(("127.0.0.1", stand.grpc_port), 10, source_address=("127.0.0.41", 0)) as peer:
        peer.sendall(bytes.fromhex("1603010200010001fc0303") + bytes(200))
        try:
            assert peer.recv(100) == b"", "nothing is answered"
        except ConnectionResetError:
            pass  # closed with bytes unread
    stand.visible()
    stand.finding(mentions=["127.0.0.41", "TLS"])
    stand.alone()
    stand.clears()


@case("GRPC-PORT-NEVER-REACHED", "C01", "C03", what="a 2.x client whose way to main port + 1000 is closed")
def grpc_port_is_never_reached(stand):
    stand.start()
    for _ in range(3):
        stand.nacos("POST", "/v1/auth/users/login", source="127.0.0.42", agent="Nacos-Java-Client:v2.3.2",
                    username="nacos", password="nacos")
    # One login proves nothing: eight seconds without a connection do.
    time.sleep(8)
    stand.visible()
    stand.finding(mentions=["127.0.0.42", stand.grpc_port, "Nacos-Java-Client:v2.3.2"])
    stand.alone()


@case("CONNECTION-SHARED", "C096", what="two clients whose proxy puts both on one connection")
def one_connection_for_two_clients(stand):
    stand.start()
    client = Client(stand, Loop(stand), source="127.0.0.44", version=JAVA)
    client.register("first", "10.0.0.1", 80)

    def second():
        first = client.wire.stream
        client.wire._open()  # another bi-stream over the same connection
        client.wire.say("ConnectionSetupRequest", {"clientVersion": JAVA, "abilityTable": {}, "tenant": "",
                                                   "labels": {"source": "sdk", "module": "naming"}})
        assert client.wire.stream != first

    client.loop.call(second)
    client.register("second", "10.0.0.1", 81)
    stand.visible()
    stand.finding(mentions=["127.0.0.44"])
    stand.alone()
    for name, port in (("first", 80), ("second", 81)):
        assert f'"port":{port}' in stand.nacos("GET", "/v1/ns/instance/list", serviceName=name)[1], name
    stand.clears()
