"""Reads everything that a model knows of from a running server, over two roads: memory and database must agree."""

import json

from . import call
from .model import NEWEST, Chain, md5

GROUP = "torture"
PAGE = 500


def config_text(ask, data_id):
    """Content of a config, `None` when there is none; its md5 header must be that of the content."""
    answer = ask("GET", "/v1/cs/configs", {"dataId": data_id, "group": GROUP})
    if answer.status == 404:
        return None
    assert answer.status == 200, f"{data_id}: {answer.status} {answer.text[:200]}"
    text = answer.data.decode()
    told = answer.headers.get("Content-MD5")
    assert told == md5(text), f"config {data_id}: the md5 header is {told}, the content has {md5(text)}"
    return text


def beta_text(ask, data_id):
    answer = ask("GET", "/v1/cs/configs", {"dataId": data_id, "group": GROUP, "beta": "true"})
    data = answer.json()["data"]
    if data is None:
        return None
    assert data["md5"] == md5(data["content"]), f"beta of {data_id}: md5 {data['md5']}"
    return data["content"]


def database_configs(ask):
    """Contents by dataId as the searches see them, which read the database."""
    found, page = {}, 1
    while True:
        query = {"search": "blur", "dataId": "", "group": GROUP, "pageNo": page, "pageSize": PAGE}
        answer = ask("GET", "/v1/cs/configs", query).json()
        found.update({item["dataId"]: item["content"] for item in answer["pageItems"]})
        if page >= answer["pagesAvailable"]:
            assert len(found) == answer["totalCount"], f"{len(found)} of {answer['totalCount']} configs on the pages"
            return found
        page += 1


def instances(ask, service):
    hosts = ask("GET", "/v1/ns/instance/list", {"serviceName": service}).json()["hosts"]
    seen = {}
    for host in hosts:
        name = f"{service} {host['ip']}:{host['port']}"
        assert name not in seen, f"{name} is listed twice"
        seen[name] = instance_value(host["weight"], host["metadata"])
    return seen


def instance_value(weight, metadata):
    return json.dumps([float(weight), metadata], sort_keys=True)


def namespaces(ask):
    data = ask("GET", "/v1/console/namespaces").json()["data"]
    return {one["namespace"]: json.dumps([one["namespaceShowName"], one["namespaceDesc"]])
            for one in data if one["namespace"]}


def service(ask, name):
    answer = ask("GET", "/v1/ns/service", {"serviceName": name})
    if answer.status != 200:
        return None
    data = answer.json()
    return json.dumps([data["protectThreshold"], data["metadata"]], sort_keys=True)


def everything(port, books):
    """Key -> value of all that is there."""
    ask, seen = call.Caller(port), {}
    stored = database_configs(ask)
    for data_id in books.kind("config"):
        text = config_text(ask, data_id)
        assert text == stored.get(data_id), f"config {data_id}: memory and database differ"
        if text is not None:
            seen["config", data_id] = text
    for data_id in stored:
        seen.setdefault(("config", data_id), stored[data_id])
    for data_id in books.kind("beta"):
        text = beta_text(ask, data_id)
        if text is not None:
            seen["beta", data_id] = text
    for name in {name.split()[0] for name in books.kind("instance")}:
        seen.update({("instance", one): value for one, value in instances(ask, name).items()})
    seen.update({("namespace", one): value for one, value in namespaces(ask).items()})
    for name in books.kind("service"):
        value = service(ask, name)
        if value is not None:
            seen["service", name] = value
    ask.close()
    return seen


def history_complaints(port, books, data_ids):
    """Every write left one row in its order: the newest rows of a config are the newest operations of its cell."""
    ask, complaints = call.Caller(port), []
    for data_id in data_ids:
        query = {"search": "accurate", "dataId": data_id, "group": GROUP, "pageNo": 1, "pageSize": NEWEST}
        page = ask("GET", "/v1/cs/history", query).json()
        formal = [row for row in page["pageItems"] if row["publishType"] == "formal"]
        rows = "".join(row["opType"].strip() for row in reversed(formal))
        cell = books.cells["config", data_id]
        if isinstance(cell, Chain):
            expected = "I" + "U" * (cell.length - 1) if cell.length else ""
        else:
            expected = "".join(cell.history)
        # Gray rows are on the page, too: what is compared is as much as is there.
        whole = page["totalCount"] <= NEWEST
        if rows != (expected if whole else expected[len(expected) - len(rows):]):
            complaints.append(f"history of {data_id}: {rows[-40:]} ({len(rows)}), written were {expected[-40:]} "
                              f"({len(expected)} kept)")
    ask.close()
    return complaints


def verify(port, books, histories=None):
    """All complaints; the model learns which of the open writes happened."""
    try:
        complaints = books.settle(everything(port, books))
    except AssertionError as error:
        return [str(error)]
    wanted = books.kind("config") if histories is None else histories
    return complaints + history_complaints(port, books, wanted)
