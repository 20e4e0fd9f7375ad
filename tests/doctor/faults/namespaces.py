"""Namespaces that nobody created."""

from clients import Again
from stand import case

ID = "5f0c3c1e-0a4f-4c8b-9d0e-7a1b2c3d4e5f"


def made(stand):
    stand.start()
    status, text = stand.nacos("POST", "/v1/console/namespaces", customNamespaceId=ID, namespaceName="test",
                               namespaceDesc="d")
    assert (status, text) == (200, "true"), (status, text)
    assert stand.nacos("POST", "/v1/cs/configs", dataId="K", group="G", tenant=ID, content="v")[0] == 200


def reads(stand, tenant, source):
    return Again(stand, lambda: stand.nacos("GET", "/v1/cs/configs", source, "Nacos-Java-Client:v1.4.8", dataId="K",
                                            group="G", tenant=tenant))


@case("NAMESPACE-IS-NAME", "C100", "E06", "B02", what="a client reads a config with the namespace's name")
def c100_name_where_the_id_is_needed(stand):
    made(stand)
    asking = reads(stand, "test", "127.0.0.111")
    stand.visible()
    stand.finding(mentions=[ID, "`test`", "config K of group G", "127.0.0.111"])
    assert asking.answers[0][0] == 404, asking.answers[0]
    stand.alone()
    asking.stop()
    stand.clears()


@case("NAMESPACE-IS-NAME", "C100", "B02", what="a service is registered with the namespace's name")
def c100_registered_under_the_name(stand):
    made(stand)
    stand.register("c100-svc", "192.0.2.130", 80, namespaceId="test")
    stand.beats("c100-svc", "192.0.2.130", 80, namespaceId="test")
    stand.visible()
    stand.finding(mentions=[ID, "`test`", "192.0.2.130", "c100-svc"])
    stand.alone()


@case("NAMESPACE-NEARLY-RIGHT", "C100", what="a client reads with the name in other letter case")
def c100_near_miss_by_case(stand):
    made(stand)
    reads(stand, "TEST", "127.0.0.112")
    stand.visible()
    stand.finding(mentions=[ID, "`TEST`", "config K of group G", "127.0.0.112"])
    stand.alone()


@case("NAMESPACE-NEARLY-RIGHT", "C100", what="a client reads with the id and a blank behind it")
def c100_near_miss_by_a_trailing_blank(stand):
    made(stand)
    for tenant, source in ((ID + " ", "127.0.0.113"), ("test ", "127.0.0.114")):
        reads(stand, tenant, source)
    stand.visible()
    stand.finding(mentions=[ID, "127.0.0.113"])
    stand.finding(mentions=[ID, "127.0.0.114"])


@case("NAMESPACE-DELETED-IN-USE", "B02", what="a namespace is deleted with a config and an instance in it")
def deleted_with_what_is_in_it(stand):
    made(stand)
    stand.register("kept-svc", "192.0.2.131", 80, namespaceId=ID)
    stand.beats("kept-svc", "192.0.2.131", 80, namespaceId=ID)
    asking = reads(stand, ID, "127.0.0.115")
    stand.none()
    assert stand.nacos("DELETE", "/v1/console/namespaces", namespaceId=ID) == (200, "true")
    stand.visible()
    stand.finding(mentions=[ID, "1 configs", "1 instances", "kept-svc"])
    stand.alone()
    asking.stop()
    assert asking.answers[-1] == (200, "v"), asking.answers[-1]
    status, text = stand.nacos("POST", "/v1/console/namespaces", customNamespaceId=ID, namespaceName="test",
                               namespaceDesc="d")
    assert (status, text) == (200, "true"), (status, text)
    stand.clears()
