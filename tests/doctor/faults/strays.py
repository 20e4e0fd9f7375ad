"""Calls that meet nothing: another context path, requests that this server does not have."""

import time

from clients import JAVA, Again, Client
from stand import case


@case("CONTEXT-PATH-WRONG", "B15", what="a 1.x client that leaves the context path out of every call")
def another_context_path(stand):
    stand.start()
    for _ in range(2):
        assert stand.http(stand.port, "PUT", "/v1/ns/instance/beat?serviceName=s&ip=10.0.0.1&port=1", source="127.0.0.36",
                          headers={"User-Agent": "Nacos-Java-Client:v1.4.8"})[0] == 404
    stand.none(for_seconds=2)  # a slip of somebody's hand
    stand.http(stand.port, "GET", "/v1/cs/configs?dataId=d&group=G", source="127.0.0.36")
    stand.visible()
    stand.finding(mentions=["127.0.0.36", "contextPath=/nacos", "below /,"])
    stand.alone()
    stand.clears()


@case("CALL-METHOD-WRONG", "A12", "B15", what="a client by hand registers with POST and beats with POST too")
def beats_by_post(stand):
    stand.start()
    stand.register("a12-svc", "192.0.2.190", 80, source="127.0.0.38",
                   metadata={"preserved.heart.beat.timeout": "3000", "preserved.ip.delete.timeout": "30000"})
    beat = "/nacos/v1/ns/instance/beat?serviceName=a12-svc&ip=192.0.2.190&port=80"
    beating = Again(stand, lambda: stand.http(stand.port, "POST", beat, source="127.0.0.38"), every=1)
    stand.visible()
    stand.finding(mentions=["127.0.0.38", "POST /v1/ns/instance/beat", "PUT", "192.0.2.190", "none of these beats counts"])
    time.sleep(6)  # it turns unhealthy, and the reason is told already
    stand.alone()
    beating.stop()
    stand.register("a12-svc", "192.0.2.190", 80, source="127.0.0.38")
    stand.beats("a12-svc", "192.0.2.190", 80, source="127.0.0.38")
    stand.clears()


@case("CALL-METHOD-WRONG", "B15", what="the address of a registration in a browser, which gets it")
def registration_by_get(stand):
    stand.start()
    for _ in range(3):
        status, text = stand.nacos("GET", "/v1/ns/instance", "127.0.0.39", "Mozilla/5.0", serviceName="b15-svc", ip="192.0.2.191",
                                   port=80, weight=1, healthy="true")
        assert status == 404 and "no ips found" in text, (status, text)
    stand.visible()
    stand.finding(mentions=["127.0.0.39", "GET /v1/ns/instance", "POST", "192.0.2.191", "nothing is registered"])
    stand.alone()
    stand.register("b15-svc", "192.0.2.191", 80, source="127.0.0.39")
    stand.beats("b15-svc", "192.0.2.191", 80, source="127.0.0.39")
    stand.clears()


@case("CLIENT-CALLS-UNKNOWN-API", "C12", what="a 3.x client that asks for a lock, which this server does not have")
def a_request_nobody_knows(stand):
    stand.start()
    client = Client(stand, source="127.0.0.37", version=JAVA)
    answer = client.ask("LockOperationRequest", {"lockInstance": {"key": "k"}, "lockOperationEnum": "ACQUIRE"})
    assert answer.get("errorCode") == 302, answer
    stand.visible()
    found = stand.finding(mentions=["127.0.0.37", JAVA, "LockOperationRequest", "302"])
    assert found["severity"] == "info"
    stand.alone()
    stand.clears()
