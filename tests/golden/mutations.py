"""Requests as callers get them wrong: every step of a scenario is followed by variations of itself.

A variation leaves a parameter out, gives it another value, gives it twice or under another spelling, moves it between
query and form, adds one, sends the form as JSON, as multipart or in another charset, asks by another method, path or
header; some have two such faults. The same seed makes the same variations.
"""
import copy
import random
import urllib.parse

NUMBERS = ["abc", "-1", "0", "1.5", "99999999999", "１", "+1", " 1", "1 ", "0x1", "1e3", ""]
SWITCHES = ["TRUE", "True", "yes", "1", "0", "x", "on", " true", ""]
TEXTS = ["", "  ", "中文", "a b", "a@@b", "@@", "a/b", "a%25b", "a:b", "-", "_", ".", "..", "null", "undefined", "None", "{}", "[]",
         "{{repeat:x:128}}", "{{repeat:x:300}}", "*", "a*", "A", '"q"', "<b>", "a,b", "a\tb", "public", "PUBLIC", "'", "\\",
         "${x}", "a;b", "a&b=c", "é", "😀"]
NAMES = ["namespaceId", "tenant", "groupName", "group", "serviceName", "dataId", "pageNo", "pageSize", "clusterName", "clusters",
         "healthyOnly", "ephemeral", "ip", "port", "weight", "enabled", "metadata", "type", "tag", "search", "config_detail",
         "withInstances", "nid", "username", "appName", "expression", "selector", "protectThreshold", "aggregation", "configTags",
         "desc", "src_user", "encryptedDataKey", "hasIpCount", "serviceNameParam", "groupNameParam", "namespaceName",
         "customNamespaceId", "namespaceDesc"]
# What other versions and languages call it.
OTHERWISE = {"group": "groupName", "groupName": "group", "tenant": "namespaceId", "namespaceId": "tenant", "dataId": "data_id",
             "serviceName": "service", "clusterName": "clusters", "clusters": "clusterName", "pageNo": "page", "pageSize": "size",
             "healthyOnly": "healthy", "ip": "host"}
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"]
FORM_TYPES = ["application/json", "text/plain", "application/x-www-form-urlencoded; charset=GBK",
              "application/x-www-form-urlencoded;charset=UTF-8", "application/X-WWW-FORM-URLENCODED", "multipart/form-data", "",
              "application/octet-stream", "text/xml;charset=utf-8"]
HEADERS = [("Accept", "application/xml"), ("Accept", "text/html"), ("Accept", "text/plain"), ("Accept", "application/json"),
           ("Accept", "*/*"), ("Accept", "image/png"), ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
           ("Accept", "application/json;charset=GBK"), ("Accept-Charset", "gbk"), ("Accept-Language", "zh-CN"),
           ("Accept-Encoding", "gzip"), ("Client-Version", "Nacos-Java-Client:v2.1.0"), ("User-Agent", "Nacos-Java-Client:v1.4.2"),
           ("User-Agent", "Nacos-Go-Client:v1.0.0"), ("User-Agent", "curl/8"), ("X-Forwarded-For", "9.9.9.9"),
           ("X-Real-IP", "9.9.9.8"), ("Origin", "http://a.example"), ("X-HTTP-Method-Override", "DELETE")]


def another_value(value, dice):
    text = str(value[0] if isinstance(value, list) else value)
    if text.lower() in ("true", "false"):
        return dice.choice(SWITCHES)
    try:
        float(text)
        return dice.choice(NUMBERS)
    except ValueError:
        pass
    return dice.choice([f" {text} ", f"{text}!", text if "{{" in text else text.upper(), *dice.sample(TEXTS, 5)])


def parts(step):
    return [part for part in ("query", "form") if isinstance(step.get(part), dict) and step[part]]


# Each changes the step and says what it did; None when there is nothing to do here.

def leave_out(step, dice):
    part = step[dice.choice(parts(step))]
    name = dice.choice(list(part))
    del part[name]
    return f"without-{name}"


def change(step, dice):
    part = step[dice.choice(parts(step))]
    name = dice.choice(list(part))
    part[name] = another_value(part[name], dice)
    return f"{name}={part[name][:12]!r}"


def twice(step, dice):
    part = step[dice.choice(parts(step))]
    name = dice.choice(list(part))
    first = part[name] if isinstance(part[name], list) else [part[name]]
    part[name] = [*first, another_value(first[0], dice)]
    return f"{name}-twice"


def rename(step, dice):
    part = step[dice.choice(parts(step))]
    name = dice.choice(list(part))
    other = dice.choice([OTHERWISE.get(name, name.upper()), name.upper(), name.lower()])
    if other in part:
        return None
    part[other] = part.pop(name)
    return f"{name}-as-{other}"


def move(step, dice):
    source = dice.choice(parts(step))
    other = "form" if source == "query" else "query"
    if other == "form" and step["method"] in ("GET", "HEAD", "DELETE") or not isinstance(step.get(other, {}), dict):
        return None
    step.setdefault(other, {}).update(step.pop(source))
    return f"{source}-to-{other}"


def add(step, dice):
    name, part = dice.choice(NAMES), (parts(step) or ["query"])[0]
    if not isinstance(step.get(part, {}), dict) or name in step.get(part, {}):
        return None
    step.setdefault(part, {})[name] = dice.choice(TEXTS + SWITCHES + NUMBERS)
    return f"with-{name}={step[part][name][:12]!r}"


def as_json(step, dice):
    if "form" not in parts(step):
        return None
    step["json"] = step.pop("form")
    return "form-as-json"


def as_multipart(step, dice):
    if "form" not in parts(step):
        return None
    form = step.pop("form")
    step["multipart"] = [{"name": name, "value": value[0] if isinstance(value, list) else value} for name, value in form.items()]
    return "form-as-multipart"


def of_another_type(step, dice):
    if "form" not in parts(step):
        return None
    pairs = [(name, one) for name, value in step.pop("form").items() for one in (value if isinstance(value, list) else [value])]
    # Placeholders stay readable.
    step["raw"] = urllib.parse.urlencode(pairs, safe="{}:")
    kind = dice.choice(FORM_TYPES)
    step.setdefault("headers", {})["Content-Type"] = kind
    return f"form-as-{kind or 'nothing'}"


def with_header(step, dice):
    name, value = dice.choice(HEADERS)
    if not isinstance(step.setdefault("headers", {}), dict):
        return None
    step["headers"][name] = value
    return f"{name}-{value[:14]}"


def other_method(step, dice):
    method = dice.choice(METHODS)
    if method == step["method"]:
        return None
    step["method"] = method
    if method in ("GET", "HEAD") and "form" in parts(step):
        if not isinstance(step.setdefault("query", {}), dict):
            return None
        step["query"].update(step.pop("form"))
    return method


def other_path(step, dice):
    step["path"] += dice.choice(["/", "x", "/x"])
    return "path"


OF_PARAMETERS = [leave_out] * 6 + [change] * 10 + [twice] * 2 + [rename] * 2 + [move]
OF_REQUESTS = [add] * 4 + [as_json, as_multipart, of_another_type, with_header, with_header, other_method, other_path]


def variation(step, dice):
    """A step with one fault or two, and their names; None when the dice fell on something that does not fit."""
    changed = copy.deepcopy(step)
    for key in ("save", "saveOptional", "headersCompared", "pause"):
        changed.pop(key, None)
    names = []
    for _ in range(1 if dice.random() < 0.75 else 2):
        ways = OF_PARAMETERS if parts(changed) and dice.random() < 0.75 else OF_REQUESTS
        name = dice.choice(ways)(changed, dice)
        if name is None:
            return None
        names.append(name)
    if "retry" in changed:
        changed["retry"] = {"seconds": 2, "every": 0.4}
    return changed, "+".join(names)


def is_fit(step):
    """Steps in the background, that wait, that send files or change the whole server stay as they are."""
    return "method" in step and not any(key in step for key in ("background", "collect", "elapsed", "multipart")) and not (
        "/ops/" in step["path"] and step["method"] != "GET")


def mutated(scenario, name, seed, count):
    """The scenario with `count` variations behind each step that is fit for it."""
    dice, steps = random.Random(f"{seed} {name}"), []
    for step in scenario["steps"]:
        steps.append(step)
        if not is_fit(step):
            continue
        made = [variation(step, dice) for _ in range(count)]
        for number, (one, fault) in enumerate(filter(None, made)):
            steps.append({**one, "id": f"{step['id']}--{number}-{fault}"})
    return {**scenario, "steps": steps}
