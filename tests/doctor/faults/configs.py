"""Versions that reach nobody, listeners that stay behind, contents that are not what they seem."""

import hashlib
import pathlib
import sqlite3
import threading
import time
import urllib.parse

from clients import Again, Client
from stand import case

KEY = {"dataId": "K", "group": "G"}
MD5_OF_NOTHING = "d41d8cd98f00b204e9800998ecf8427e"


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def publish(stand, content, source=None, headers=None, **form):
    form = {**KEY, "content": content, **form}
    return stand.http(stand.port, "POST", "/nacos/v1/cs/configs", form, headers, source)


def poll(stand, md5_, source=None, forwarded=None):
    headers = {"Long-Pulling-Timeout": "30000", **({"X-Forwarded-For": forwarded} if forwarded else {})}
    words = {"Listening-Configs": f"K\x02G\x02{md5_}\x01"}
    return stand.http(stand.port, "POST", "/nacos/v1/cs/configs/listener", words, headers, source)


@case("GRAY-MATCHES-NOBODY", "C099", what="a beta for 10.9.9.9; listeners come from 127.0.0.1 and through a proxy")
def c099_beta_for_nobody(stand):
    stand.start()
    publish(stand, "v1")
    client = Client(stand, module="config")
    answer = client.ask("ConfigBatchListenRequest", {"listen": True, "configListenContexts": [
        {"dataId": "K", "group": "G", "tenant": "", "md5": md5("v1")}]})
    assert answer["resultCode"] == 200, answer
    for forwarded in (None, "192.0.2.77"):
        threading.Thread(target=lambda f=forwarded: quietly(poll, stand, md5("v1"), "127.0.0.121", f), daemon=True).start()
    assert publish(stand, "v2", headers={"betaIps": "10.9.9.9"})[1] == "true"
    stand.visible()
    stand.finding(mentions=["10.9.9.9", "127.0.0.1 (gRPC)", "127.0.0.121 (long poll)", "192.0.2.77 (long poll)",
                            "none of 3 listeners"])
    stand.alone()
    publish(stand, "v2", headers={"betaIps": "10.9.9.9,127.0.0.1"})
    stand.clears()


@case("GRAY-TAG-MATCHES-NOBODY", what="a gray version for a tag that one listener spells otherwise and the others lack")
def a_tag_that_nobody_has(stand):
    stand.start()
    publish(stand, "v1")
    listen = {"listen": True, "configListenContexts": [{"dataId": "K", "group": "G", "tenant": "", "md5": md5("v1")}]}
    Client(stand, module="config", source="127.0.0.133").ask("ConfigBatchListenRequest", listen)
    tagged = Client(stand, module="config", source="127.0.0.134", labels={"app_Vipserver-Tag": "Canary"})
    tagged.ask("ConfigBatchListenRequest", listen)
    threading.Thread(target=lambda: quietly(poll, stand, md5("v1"), "127.0.0.135"), daemon=True).start()
    assert publish(stand, "v2", tag="canary")[1] == "true"
    stand.visible()
    found = stand.finding(mentions=["canary", "`Canary`", "127.0.0.133", "127.0.0.134", "127.0.0.135", "none of 3 listeners"])
    assert found["severity"] == "warning", found
    stand.alone()
    assert publish(stand, "v2", tag="Canary")[1] == "true"
    assert stand.nacos("DELETE", "/v1/cs/configs", tag="canary", **KEY)[0] == 200
    stand.clears()


def quietly(call, *arguments):
    try:
        return call(*arguments)
    except OSError:
        return None


@case("LISTENER-STALE-MD5", "C041", what="a client polls an absent config with the md5 of the empty text")
def c041_listening_for_what_does_not_exist(stand):
    stand.start()
    asking = Again(stand, lambda: (time.monotonic(), poll(stand, MD5_OF_NOTHING, "127.0.0.122")), every=0.01)
    stand.visible()
    stand.finding(mentions=["127.0.0.122", "K", MD5_OF_NOTHING, "empty text"])
    stand.alone()
    began, before = time.monotonic(), len(asking.answers)
    time.sleep(3)
    rate = (len(asking.answers) - before) / (time.monotonic() - began)
    assert rate <= 2.2, rate
    asking.stop()
    stand.clears()


@case("LISTENER-NOT-UPDATED", "F08", what="a listener is told of a new version and keeps the old md5")
def a_listener_stays_behind(stand):
    stand.start()
    publish(stand, "v1")
    client = Client(stand, module="config")
    listen = {"listen": True, "configListenContexts": [{"dataId": "K", "group": "G", "tenant": "", "md5": md5("v1")}]}
    client.ask("ConfigBatchListenRequest", listen)
    publish(stand, "v2")
    time.sleep(6)  # a client has this long to follow
    stand.visible()
    stand.finding(mentions=["127.0.0.1", "K", md5("v1"), md5("v2")])
    stand.alone()
    listen["configListenContexts"][0]["md5"] = md5("v2")
    client.ask("ConfigBatchListenRequest", listen)
    stand.clears()


@case("LISTENER-NOT-UPDATED", "F08", what="a client begins to listen with an old md5 long after the publication, and keeps it")
def a_listener_begins_behind(stand):
    stand.start()
    publish(stand, "v1")
    publish(stand, "v2")
    time.sleep(6)  # whoever listened at the publication has followed
    client = Client(stand, module="config")
    listen = {"listen": True, "configListenContexts": [{"dataId": "K", "group": "G", "tenant": "", "md5": md5("v1")}]}
    answer = client.ask("ConfigBatchListenRequest", listen)
    assert answer["changedConfigs"], answer
    time.sleep(6)  # a client has this long to follow
    stand.visible()
    stand.finding(mentions=["127.0.0.1", "K", md5("v1"), md5("v2")])
    stand.alone()
    client.close()
    stand.clears()


@case("CONFIG-OVERWRITTEN-IN-TURNS", what="two deployments publish their own content in turns")
def two_publishers(stand):
    stand.start()
    for content, source in (("a", "127.0.0.123"), ("b", "127.0.0.124")) * 2:
        assert publish(stand, content, source)[1] == "true"
    stand.visible()
    stand.finding(mentions=["127.0.0.123", "127.0.0.124", "K"])
    stand.alone()


@case("CONFIG-CAS-CONFLICTS", what="a client publishes again and again with an old md5")
def conflicts(stand):
    stand.start()
    publish(stand, "v1")
    for _ in range(4):
        publish(stand, "v2", "127.0.0.125", {"casMd5": md5("v0")})
    stand.visible()
    stand.finding(mentions=["127.0.0.125", md5("v0"), md5("v1"), "K"])
    stand.alone()
    stand.clears()


@case("CONFIG-UNPARSEABLE", "C078", what="broken JSON and XML, YAML with a tab, with a key twice and badly indented are published")
def c078_broken_contents(stand):
    stand.start()
    assert publish(stand, '{"a": 1,\n}', "127.0.0.126", type="json")[1] == "true"
    broken = {"tab": "a:\n\tb: 1\n", "indent": "a: 1\n    b: 3\nc: 4\n", "twice": "server:\n  port: 1\n  host: a\n  port: 2\n"}
    for name, content in broken.items():
        assert publish(stand, content, "127.0.0.126", dataId=name, type="yaml")[1] == "true"
    assert publish(stand, "<a>\n<b></a>", "127.0.0.126", dataId="X", type="xml")[1] == "true"
    # Legal, however odd it looks (case C079).
    tricky = "base: &base\n  a: 1\nmore:\n  <<: *base\n  text: \"one\\\n    two\"\n---\nsecond: doc\n"
    assert publish(stand, tricky, dataId="tricky", type="yaml")[1] == "true"
    stand.visible()
    stand.finding(mentions=["127.0.0.126", "not parseable as json", "line 2"])
    stand.finding(mentions=["tab", "not parseable as yaml", "line 2, column 1", "a tab"])
    stand.finding(mentions=["indent", "line 2, column 6", "mapping values"])
    stand.finding(mentions=["twice", "line 4, column 3", "`port`"])
    stand.finding(mentions=["not parseable as xml", "line 2, column 4"])
    stand.alone()
    publish(stand, '{"a": 1}', type="json")
    publish(stand, "<a/>", dataId="X", type="xml")
    for name in broken:
        publish(stand, "a:\n  b: 1\n", dataId=name, type="yaml")
    stand.clears()


@case("CONFIG-NOT-URLENCODED", "C088", "B17", what="curl -d with a content that nobody encoded")
def c088_raw_content(stand):
    stand.start()
    body = "dataId=K&group=G&content=jdbc:mysql://h/db?a=1&useSSL=false&password=p"
    headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "curl/8.5"}
    status, text = stand.http(stand.port, "POST", "/nacos/v1/cs/configs", headers=headers, source="127.0.0.127", body=body)
    assert (status, text) == (200, "true"), (status, text)
    stand.visible()
    stand.finding(mentions=["useSSL", "url-encod", "127.0.0.127", "K"])
    stand.alone()
    publish(stand, "jdbc:mysql://h/db?a=1&useSSL=false")
    stand.clears()


@case("CONFIG-CHARACTERS-LOST", "B17", what="a publisher that encodes its content as GBK")
def not_utf8(stand):
    stand.start()
    body = b"dataId=K&group=G&content=a%3A+1%0Aname%3A+" + urllib.parse.quote("中文".encode("gbk")).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded;charset=GBK", "User-Agent": "curl/8.5"}
    status, text = stand.http(stand.port, "POST", "/nacos/v1/cs/configs", headers=headers, source="127.0.0.129", body=body)
    assert (status, text) == (200, "true"), (status, text)
    stand.visible()
    stand.finding(mentions=["U+FFFD", "line 2", "127.0.0.129", "K"])
    stand.alone()
    publish(stand, "a: 1\nname: 中文")
    stand.clears()


@case("CONFIG-REFUSED", "C14", what="a content longer than maxContent")
def too_long(stand):
    stand.start("maxContent=1000")
    assert publish(stand, "x" * 1001, "127.0.0.128")[0] == 400
    stand.visible()
    stand.finding(mentions=["127.0.0.128", "maxContent", "K", "1000"])
    stand.alone()
    stand.clears()


@case("CONFIG-CIPHER-PLAIN", what="a client without the encryption plugin publishes cipher-aes-app")
def cipher_in_plain_text(stand):
    stand.start()
    publish(stand, "password: secret", "127.0.0.129", dataId="cipher-aes-app.yml")
    stand.visible()
    stand.finding(mentions=["127.0.0.129", "cipher-aes-app.yml", "encryptedDataKey"])
    stand.alone()


def reads(stand, source, **query):
    return Again(stand, lambda: stand.nacos("GET", "/v1/cs/configs", source, "Nacos-Java-Client:v1.4.8", **{**KEY, **query}))


@case("CONFIG-WRONG-GROUP", "E06", what="a client reads a config in another group than it is in")
def another_group(stand):
    stand.start()
    publish(stand, "v")
    asking = reads(stand, "127.0.0.130", group="H")
    stand.visible()
    stand.finding(mentions=["127.0.0.130", "group H", "group G"])
    stand.alone()
    asking.stop()
    stand.clears()


@case("CONFIG-NAME-DIFFERS", "E06", "C033", what="a client reads a data id in other letter case")
def another_name(stand):
    stand.start()
    publish(stand, "v", dataId="seataServer.properties")
    reads(stand, "127.0.0.131", dataId="seataserver.properties")
    stand.visible()
    stand.finding(mentions=["127.0.0.131", "seataserver.properties", "seataServer.properties"])
    stand.alone()


@case("CONFIG-NAME-MISSPELT", "E06", what="a client reads a data id with a letter too few; data ids that differ in figures stay unnamed")
def a_slip_of_the_pen(stand):
    stand.start()
    publish(stand, "v", dataId="gateway-routes.yaml")
    publish(stand, "v", dataId="shard-10.yaml")
    reads(stand, "127.0.0.134", dataId="shard-11.yaml")
    reads(stand, "127.0.0.134", dataId="gatway-routes.yaml")
    stand.visible()
    stand.finding(mentions=["127.0.0.134", "gatway-routes.yaml", "gateway-routes.yaml"])
    stand.alone()


@case("CONFIG-WRONG-NAMESPACE", "E06", what="a client reads in a namespace that nobody created")
def another_namespace(stand):
    stand.start()
    publish(stand, "v")
    reads(stand, "127.0.0.132", tenant="prod")
    stand.visible()
    stand.finding(mentions=["127.0.0.132", "prod", "public"])
    stand.alone()


def sql(stand, statement):
    """Changes the database as somebody with SQL does, and has it read again as the documentation says."""
    path = next(pathlib.Path(f"{stand.home}/nacre").rglob("nacos.db"))
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    connection.execute(statement)
    connection.close()
    status, text = stand.nacos("POST", "/v1/cs/ops/localCache")
    assert status == 200, (status, text)


@case("CONFIG-DOUBLE-ROWS", "C052", what="a database with a row of tenant 'public' and a blank one of the same key")
def c052_double_rows(stand):
    stand.start()
    publish(stand, "served")
    wait_for_row(stand)
    sql(stand, "INSERT INTO config_info (data_id, group_id, tenant_id, content, md5, gmt_create, gmt_modified, app_name) "
               "SELECT data_id, group_id, '', 'phantom', '" + md5("phantom") + "', gmt_create, gmt_modified, app_name "
               "FROM config_info WHERE data_id = 'K'")
    stand.visible()
    stand.finding(mentions=["K of group G", md5("served"), md5("phantom"), "is served"])
    assert stand.nacos("GET", "/v1/cs/configs", **KEY) == (200, "served")
    stand.alone()
    sql(stand, "DELETE FROM config_info WHERE data_id = 'K' AND tenant_id = ''")
    stand.clears()


@case("CONFIG-MD5-ROWS", "C031", what="UPDATE of a content by SQL without its md5")
def c031_edited_by_hand(stand):
    stand.start()
    publish(stand, "v1")
    wait_for_row(stand)
    sql(stand, "UPDATE config_info SET content = 'v2 by hand' WHERE data_id = 'K'")
    stand.visible()
    stand.finding(mentions=["K", md5("v1"), md5("v2 by hand")])
    assert stand.nacos("GET", "/v1/cs/configs", **KEY) == (200, "v2 by hand")
    stand.alone()
    assert stand.nacos("POST", "/v1/cs/ops/localCache")[0] == 200
    stand.clears()


def wait_for_row(stand):
    """The database is written behind; a reader asks it for the history, which waits for it."""
    status, text = stand.nacos("GET", "/v1/cs/history", search="accurate", pageNo=1, pageSize=10, **KEY)
    assert status == 200 and '"K"' in text, (status, text)
