"""Beats and registrations that arrive and are not what keeps the instance alive."""

import json
import time
import urllib.parse

from stand import case

TIMERS = {"preserved.heart.beat.interval": "500", "preserved.heart.beat.timeout": "1600",
          "preserved.ip.delete.timeout": "30000"}


def full(service, ip, number, **more):
    return json.dumps({"serviceName": f"DEFAULT_GROUP@@{service}", "ip": ip, "port": number, "cluster": "DEFAULT",
                       "weight": 1, "metadata": TIMERS, "scheduled": False, **more})


def send(stand, service, ip, number, seconds, **form):
    """Beats for so long, whatever is answered."""
    end = time.monotonic() + seconds
    answers = []
    while time.monotonic() < end:
        answers.append(stand.nacos("PUT", "/v1/ns/instance/beat", source=ip, agent="Nacos-Java-Client:v1.4.8",
                                   serviceName=service, ip=ip, port=number, **form))
        time.sleep(0.4)
    return answers


@case("BEAT-SERVICE-NAME-WRONG", "B01", what="a full beat whose JSON leaves the group out")
def another_service_in_the_json(stand):
    stand.start()
    stand.register("name-svc", "127.1.1.20", 8080, source="127.1.1.20", metadata=TIMERS)
    beat = full("name-svc", "127.1.1.20", 8080, serviceName="billing@@name-svc")
    stand.beats("name-svc", "127.1.1.20", 8080, every=0.5, source="127.1.1.20", beat=beat)
    stand.visible()
    stand.finding(mentions=["127.1.1.20:8080", "billing@@name-svc", "DEFAULT_GROUP@@name-svc"])
    stand.alone()
    # Credited all the same.
    time.sleep(2)
    assert '"healthy":true' in stand.nacos("GET", "/v1/ns/instance/list", serviceName="name-svc")[1]
    stand.register("name-svc", "127.1.1.20", 8080, source="127.1.1.20")
    stand._beats[0].stop()
    stand.beats("name-svc", "127.1.1.20", 8080, every=0.5, source="127.1.1.20", full=True)
    stand.clears()


@case("BEAT-CLUSTER-WRONG", "B04", what="a full beat that names another cluster")
def another_cluster_in_the_json(stand):
    stand.start()
    stand.register("cluster-svc", "127.1.2.20", 8080, source="127.1.2.20", clusterName="east")
    beat = full("cluster-svc", "127.1.2.20", 8080, cluster="west")
    beats = stand.beats("cluster-svc", "127.1.2.20", 8080, every=0.5, source="127.1.2.20", beat=beat)
    stand.visible()
    stand.finding(mentions=["127.1.2.20:8080", "east", "west"])
    stand.alone()
    beats.more["beat"] = full("cluster-svc", "127.1.2.20", 8080, cluster="east")
    stand.clears()


@case("BEAT-NAMESPACE-WRONG", "B02", what="registered by namespace id, beaten for by the namespace's name")
def beats_for_the_namespace_by_its_name(stand):
    stand.start()
    status, text = stand.nacos("POST", "/v1/console/namespaces", customNamespaceId="5f0c-id", namespaceName="dev")
    assert status == 200, text
    stand.register("ns-svc", "127.1.3.20", 8080, source="127.1.3.20", namespaceId="5f0c-id", metadata=TIMERS)
    beats = stand.beats("ns-svc", "127.1.3.20", 8080, every=0.5, source="127.1.3.20", namespaceId="dev")
    stand.visible()
    stand.finding(mentions=["127.1.3.20:8080", "5f0c-id", "dev", "NAME"])
    time.sleep(2)
    stand.alone()
    beats.more["namespaceId"] = "5f0c-id"
    stand.clears()


@case("BEAT-NAMESPACE-WRONG", "B02", what="full beats to public make a twin of an instance in another namespace")
def a_twin_in_another_namespace(stand):
    stand.start()
    stand.register("twin-svc", "127.1.4.20", 8080, source="127.1.4.20", namespaceId="prod", metadata=TIMERS)
    beat = full("twin-svc", "127.1.4.20", 8080)
    beats = stand.beats("twin-svc", "127.1.4.20", 8080, every=0.5, source="127.1.4.20", beat=beat)
    stand.visible()
    stand.finding(mentions=["127.1.4.20:8080", "prod", "public"])
    stand.alone()
    beats.more["namespaceId"] = "prod"
    stand.clears()


@case("BEAT-GROUP-WRONG", "B03", what="registered in a group, beats without groupName")
def beats_without_the_group(stand):
    stand.start()
    stand.register("group-svc", "127.1.5.20", 8080, source="127.1.5.20", groupName="billing", metadata=TIMERS)
    beats = stand.beats("group-svc", "127.1.5.20", 8080, every=0.5, source="127.1.5.20")
    stand.visible()
    stand.finding(mentions=["127.1.5.20:8080", "billing", "DEFAULT_GROUP"])
    time.sleep(2)
    stand.alone()
    beats.more["groupName"] = "billing"
    stand.clears()


@case("BEAT-KEY-WRONG", "B02", "B07", what="registered with one port, light beats with another")
def beats_for_another_port(stand):
    stand.start()
    stand.register("port-svc", "127.1.12.20", 8080, source="127.1.12.20", metadata=TIMERS)
    beats = stand.beats("port-svc", "127.1.12.20", 8081, every=0.5, source="127.1.12.20")
    time.sleep(2)
    stand.visible()
    stand.finding(mentions=["127.1.12.20:8080", "127.1.12.20:8081", "another port", "20404"])
    time.sleep(1)
    stand.alone()
    beats.number = 8080
    stand.clears()


@case("BEAT-KEY-WRONG", "B02", what="full beats spell the service otherwise, and register a twin")
def full_beats_for_another_service(stand):
    stand.start()
    stand.register("Twin-Svc", "127.1.13.20", 8080, source="127.1.13.20", metadata=TIMERS)
    beat = full("twin.svc", "127.1.13.20", 8080)
    stand.beats("twin.svc", "127.1.13.20", 8080, every=0.5, source="127.1.13.20", beat=beat)
    time.sleep(2)
    stand.visible()
    stand.finding(mentions=["Twin-Svc", "twin.svc", "another serviceName"])
    stand.alone(besides=("SERVICE-NAMES-ALIKE",))


@case("BEAT-OF-PERSISTENT", "B06", what="full beats for a persistent instance")
def full_beats_for_a_persistent_instance(stand):
    stand.start()
    stand.register("firm-svc", "127.0.0.1", stand.port, source="127.0.0.1", ephemeral=False)
    stand.beats("firm-svc", "127.0.0.1", stand.port, every=0.5, source="127.0.0.1",
                beat=full("firm-svc", "127.0.0.1", stand.port))
    stand.visible()
    stand.finding(mentions=[f"127.0.0.1:{stand.port}"])
    stand.alone()


@case("EPHEMERAL-MISMATCH", "B05", what="an ephemeral registration in a service made persistent by the console")
def ephemeral_in_a_persistent_service(stand):
    stand.start()
    stand.register("kind-svc", "127.1.6.21", 8081, source="127.1.6.21", ephemeral=False)
    status, text = stand.register("kind-svc", "127.1.6.20", 8080, source="127.1.6.20")
    assert status == 400 and "persistent service" in text, (status, text)
    stand.visible()
    stand.finding(mentions=["kind-svc", "127.1.6.20", "persistent", "Nacos-Java-Client:v1.4.8"])
    stand.alone(besides=["CHECK-FAILS"])  # nobody listens where the persistent one is said to be
    stand.clears()


@case("BEAT-OF-PERSISTENT", "B06", what="light beats for a persistent instance")
def beats_for_a_persistent_instance(stand):
    stand.start()
    stand.register("own-svc", "127.1.7.20", 8080, source="127.1.7.20", ephemeral=False)
    send(stand, "own-svc", "127.1.7.20", 8080, 2)
    stand.visible()
    stand.finding(mentions=["127.1.7.20:8080", "persistent"])
    stand.alone(besides=["CHECK-FAILS"])  # nobody listens there
    stand.clears()


@case("BEAT-WITHOUT-ADDRESS", "B07", what="light beats without ip and port")
def light_beats_without_an_address(stand):
    stand.start()
    for _ in range(4):
        stand.nacos("PUT", "/v1/ns/instance/beat", source="127.1.8.20", agent="hand-made/1", serviceName="blank-svc")
        time.sleep(0.2)
    stand.visible()
    stand.finding(mentions=["blank-svc", "127.1.8.20", "20404"])
    stand.alone()
    stand.clears()


@case("BEAT-20404-IGNORED", "B08", what="light beats go on after the instance expired, and 20404 is not looked at")
def the_answer_is_ignored(stand):
    stand.start()
    timers = {"preserved.heart.beat.interval": "400", "preserved.heart.beat.timeout": "1300",
              "preserved.ip.delete.timeout": "1500"}
    stand.register("deaf-svc", "127.1.9.20", 8080, source="127.1.9.20", metadata=timers)
    send(stand, "deaf-svc", "127.1.9.20", 8080, 1)
    time.sleep(3.5)
    answers = send(stand, "deaf-svc", "127.1.9.20", 8080, 2)
    assert all("20404" in text for _, text in answers), answers
    stand.visible()
    stand.beats("deaf-svc", "127.1.9.20", 8080, every=0.4, source="127.1.9.20")
    stand.finding(mentions=["127.1.9.20:8080", "not registered here", "20404", "it was removed", "POST"])
    time.sleep(4)
    stand.alone()
    stand.register("deaf-svc", "127.1.9.20", 8080, source="127.1.9.20")
    stand.clears()


@case("BEAT-20404-IGNORED", "D07", what="light beats for an instance that a fresh server never knew")
def a_fresh_server_knows_nothing(stand):
    stand.start()
    send(stand, "fresh-svc", "127.1.9.21", 8080, 2)
    stand.visible()
    stand.finding(mentions=["127.1.9.21:8080", "not registered here", "started"])
    stand.alone()
    stand.clears()


@case("BEAT-JSON-BROKEN", "B17", what="a beat whose JSON was cut at an unencoded ampersand")
def a_beat_that_is_no_json(stand):
    stand.start()
    body = 'serviceName=json-svc&ip=127.1.10.20&port=8080&beat={"serviceName":"json-svc","metadata":{"q":"a&b"}}'
    headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "Nacos-Go-Client:v1.0.1"}
    for _ in range(2):
        status, text = stand.http(stand.port, "PUT", "/nacos/v1/ns/instance/beat", headers=headers, source="127.1.10.20",
                                  body=body)
        assert status >= 400, (status, text)
    stand.visible()
    stand.finding(mentions=["json-svc", "127.1.10.20", "Nacos-Go-Client:v1.0.1"])
    stand.alone()
    stand.clears()


@case("BEAT-PARAMETERS-MISSING", "B18", what="a PUT form without its content type")
def a_form_without_its_type(stand):
    stand.start()
    body = urllib.parse.urlencode({"serviceName": "form-svc", "ip": "127.1.11.20", "port": 8080})
    status, text = stand.http(stand.port, "PUT", "/nacos/v1/ns/instance/beat", source="127.1.11.20", body=body,
                              headers={"Content-Type": "text/plain", "User-Agent": "hand-made/2"})
    assert status == 400, (status, text)
    stand.visible()
    stand.finding(mentions=["127.1.11.20", "hand-made/2", "Content-Type"])
    stand.alone()
    stand.clears()


@case("OLD-API-CLOSED", "B16", what="a 1.x client at a server whose old APIs are switched off")
def old_apis_are_off(stand):
    stand.start("nacos.core.api.compatibility.client.enabled=false")
    status, text = stand.register("old-svc", "127.1.12.20", 8080, source="127.1.12.20")
    assert status == 410, (status, text)
    stand.visible()
    stand.finding(mentions=["127.1.12.20", "Nacos-Java-Client:v1.4.8", "410",
                            "nacos.core.api.compatibility.client.enabled"])
    stand.alone()
    stand.clears()


@case("REGISTER-OVER-LIMIT", "B13", what="more instances than the server may hold")
def more_instances_than_allowed(stand):
    stand.start("nacre.limit.instances=1")
    assert stand.register("first-svc", "127.1.13.21", 8080, source="127.1.13.21")[0] == 200
    beats = stand.beats("first-svc", "127.1.13.21", 8080, source="127.1.13.21")
    status, text = stand.register("second-svc", "127.1.13.20", 8080, source="127.1.13.20")
    assert status == 503, (status, text)
    stand.visible()
    stand.finding(mentions=["second-svc", "127.1.13.20", "nacre.limit.instances", "of 1 is reached"])
    assert not beats.paused
    stand.alone(besides=["LIMIT-REACHED"])  # the same, from the server's side
    stand.clears()


@case("REGISTER-REFUSED", "A16", what="a registration with an interval over its timeout; the client only queries afterwards")
def a_registration_is_refused(stand):
    stand.start()
    status, text = stand.register("refused-svc", "127.1.14.20", 8099, source="127.1.14.20",
                                  metadata={"preserved.heart.beat.interval": "20000"})
    assert status == 400, (status, text)
    stand.nacos("GET", "/v1/ns/instance/list", source="127.1.14.20", agent="Nacos-Java-Client:v1.4.8",
                serviceName="other-svc")
    stand.visible()
    stand.finding(mentions=["refused-svc", "127.1.14.20", "8099", "asking for instance lists"])
    stand.alone()
    stand.clears()


def switch(stand, entry, value):
    status, text = stand.nacos("PUT", "/v1/ns/operator/switches", entry=entry, value=value)
    assert status == 200, text


@case("SERVER-STATUS-FORCED", "B14", what="the switch overriddenServerStatus set to DOWN")
def the_status_is_forced(stand):
    stand.start()
    switch(stand, "overriddenServerStatus", "DOWN")
    status, _ = stand.beat("any-svc", "127.1.15.20", 8080, source="127.1.15.20")
    assert status == 503
    stand.visible()
    stand.finding(mentions=["DOWN", "127.1.15.20", "overriddenServerStatus"],
                  holds=lambda found: found["severity"] == "critical")
    stand.alone()
    switch(stand, "overriddenServerStatus", "null")
    stand.clears()


@case("URL-LIMITED", "B15", what="the switch limitedUrlMap answers beats with 429")
def a_url_is_limited(stand):
    stand.start()
    switch(stand, "limitedUrlMap", "/nacos/v1/ns/instance/beat:429")
    status, _ = stand.beat("any-svc", "127.1.16.20", 8080, source="127.1.16.20")
    assert status == 429
    stand.visible()
    stand.finding(mentions=["/nacos/v1/ns/instance/beat", "429", "127.1.16.20"])
    stand.alone()
    # As in Nacos an empty value changes nothing: another URL takes its place, and is told as well.
    switch(stand, "limitedUrlMap", "/none:429")
    stand.finding(mentions=["/none"], holds=lambda found: "beat" not in found["cause"].split(":")[0])
