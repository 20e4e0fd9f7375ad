"""All generations on one server at once: whatever one SDK registers or publishes, every other one must see."""

from .behaviours import GROUP, UTF8, addresses, equal, instance
from .report import FlowBroken

SEEN_WITHIN = 30


def run(cast, server, report, token):
    """`cast` maps each client to its driver; all of them are connected to the one server."""
    here = {"service": f"mixed.{token}", "group": GROUP}
    key = {"dataId": f"mixed.{token}", "group": GROUP}
    # It must exist before it is listened to: the Rust SDK takes the first content that it sees for what it began with.
    next(iter(cast.values())).call("publish", content="start", **key)
    for client, driver in cast.items():
        driver.call("subscribe", tag="mixed", clusters=client.all_clusters, **here)
        driver.call("listen", tag="mixed-config", **key)

    everyone = sorted(f"10.9.8.{number}" for number in range(1, len(cast) + 1))
    for ip, driver in zip(everyone, cast.values()):
        driver.call("register", instance=instance(ip, metadata=UTF8), **here)
    equal(addresses(server.hosts(here["service"], GROUP)), everyone, "the server's own list")

    def complete(event):
        return addresses(event["hosts"]) == everyone and all(host["metadata"] == UTF8 for host in event["hosts"])

    missed = {client: [] for client in cast}
    for publisher, driver in cast.items():
        content = f"from {publisher.name} 🦪"
        driver.call("publish", content=content, **key)
        for client, listener in cast.items():
            try:
                listener.last("mixed-config", lambda event: event["content"] == content, f"what {publisher.name} published",
                              within=SEEN_WITHIN)
            except AssertionError as failure:
                missed[client].append(str(failure))

    for client, driver in cast.items():
        try:
            with report.row(client, "mixed_naming"):
                driver.last("mixed", complete, "the providers of all SDKs", within=SEEN_WITHIN)
            with report.row(client, "mixed_config"):
                equal(missed[client], [], "publications missed")
        except FlowBroken:
            pass  # recorded; the other SDKs are judged on their own
