"""Who looks where nothing is, and what the parameter check refuses."""

from clients import Again, Client
from stand import case

AGENT = "Nacos-Java-Client:v1.4.8"


def provide(stand, service="e06-svc", **more):
    stand.register(service, "192.0.2.120", 80, **more)
    stand.beats(service, "192.0.2.120", 80, **more)


def asks(stand, source, service="e06-svc", **query):
    return Again(stand, lambda: stand.nacos("GET", "/v1/ns/instance/list", source, AGENT, serviceName=service, **query))


@case("CONSUMER-WRONG-GROUP", "E06", what="a consumer polls a group in which the service has no providers")
def another_group(stand):
    stand.start()
    provide(stand)
    asking = asks(stand, "127.0.0.101", groupName="OTHER_GROUP")
    stand.visible()
    stand.finding(mentions=["127.0.0.101", AGENT, "OTHER_GROUP", "DEFAULT_GROUP@@e06-svc"])
    stand.alone()
    asking.stop()
    stand.clears()


@case("CONSUMER-WRONG-CLUSTER", "E06", "F06", what="a consumer subscribes to a cluster without providers")
def another_cluster(stand):
    stand.start()
    provide(stand)
    consumer = Client(stand)
    consumer.subscribe("e06-svc", clusters="HANGZHOU")
    stand.visible()
    stand.finding(mentions=["127.0.0.1", "HANGZHOU", "DEFAULT", "e06-svc"])
    stand.alone()
    consumer.close()
    stand.clears()


@case("CONSUMER-NAME-DIFFERS", "E06", "E05", what="a consumer asks for the name in other letter case")
def another_name(stand):
    stand.start()
    provide(stand)
    asking = asks(stand, "127.0.0.102", "E06-Svc")
    stand.visible()
    stand.finding(mentions=["127.0.0.102", "DEFAULT_GROUP@@E06-Svc", "DEFAULT_GROUP@@e06-svc"])
    stand.alone()
    asking.stop()
    stand.clears()


@case("CONSUMER-NAME-MISSPELT", "E06", what="a consumer polls a service with two letters in the wrong order, and then the right one")
def a_slip_of_the_pen(stand):
    stand.start()
    provide(stand, "e06-payments")
    asking = asks(stand, "127.0.0.106", "e06-paymnets")
    stand.visible()
    stand.finding(mentions=["127.0.0.106", AGENT, "DEFAULT_GROUP@@e06-paymnets", "DEFAULT_GROUP@@e06-payments"])
    stand.alone()
    asking.stop()
    stand.clears()


@case("CONSUMER-WRONG-NAMESPACE", "E06", what="a consumer asks in another namespace; then its providers start there")
def another_namespace(stand):
    stand.start()
    provide(stand)
    asks(stand, "127.0.0.103", namespaceId="dev")
    stand.visible()
    stand.finding(mentions=["127.0.0.103", "dev", "public", "e06-svc", "was never created"])
    stand.alone()
    provide(stand, namespaceId="dev")
    stand.clears()


@case("METADATA-TOO-LONG", "A16", "C085", what="registrations over gRPC and HTTP with 6000 characters of metadata")
def c085_metadata_too_long(stand):
    stand.start()
    client = Client(stand)
    assert client.register("c085-ok", "192.0.2.121", 80, metadata={"k": "x" * 1023})["resultCode"] == 200
    body = {"namespace": "public", "serviceName": "c085-svc", "groupName": "DEFAULT_GROUP", "type": "registerInstance",
            "instance": {"ip": "192.0.2.122", "port": 80, "ephemeral": True, "clusterName": "DEFAULT",
                         "metadata": {"k": "x" * 5999}}}
    answer = client.ask("InstanceRequest", body)
    assert answer["errorCode"] == 400 and "should not exceed 1024" in answer["message"], answer
    status, text = stand.register("c085-http", "192.0.2.123", 80, source="127.0.0.104", metadata={"k": "x" * 1024})
    assert status == 400 and "should not exceed 1024" in text, (status, text)
    stand.visible()
    stand.finding(mentions=["c085-svc", "192.0.2.122:80", "6000", "1024", "nacos.naming.service.metadata.length"])
    stand.finding(mentions=["c085-http", "192.0.2.123:80", "1025", "127.0.0.104"])
    stand.alone()
    stand.clears()


@case("PARAMETER-REFUSED", "A16", what="a client registers a cluster name that the check refuses")
def refused_parameters(stand):
    stand.start()
    registering = Again(stand, lambda: stand.register("b18-svc", "192.0.2.124", 80, source="127.0.0.105",
                                                      clusterName="hang zhou"))
    stand.visible()
    stand.finding(mentions=["127.0.0.105", "b18-svc", "cluster", "/v1/ns/instance"])
    registering.stop()
    stand.clears()


@case("PARAMETER-REFUSED", "B18", what="a listener by hand that sends ^2 and ^1 as documents write them")
def listens_as_documents_write(stand):
    stand.start()
    listening = Again(stand, lambda: stand.nacos("POST", "/v1/cs/configs/listener", "127.0.0.106", "curl/8.5",
                                                 **{"Listening-Configs": "data1^2DEFAULT_GROUP^2^1"}))
    stand.visible()
    stand.finding(mentions=["127.0.0.106", "/v1/cs/configs/listener", "%02", "^2"])
    listening.stop()
    stand.clears()


@case("LIST-LARGE", "C14", what="a service of more than a megabyte is pushed")
def large_list(stand):
    stand.start("nacos.naming.service.metadata.length=10240")
    consumer = Client(stand)
    consumer.subscribe("c14-svc")
    for n in range(120):
        stand.register("c14-svc", f"192.0.2.{n}", 80, metadata={"k": "x" * 10_000})
    stand.server.wait_event("pushSent")
    stand.visible()
    stand.finding(mentions=["c14-svc", "120 instances", "MB"])
