"""oslo.messaging under command: one JSON command a line on stdin, one JSON answer a line on stdout.

usage: oslo_points.py URL

A command has `id` and `op`; its answer has the id and `result`, or `error`, `exc_type` and `text`.
"""
import json
import sys
import threading
import time

import oslo_messaging
from oslo_config import cfg

LOCK = threading.Lock()
SERVERS = {}
HEARD = {}
TRANSPORTS = {}


def say(**fields):
    with LOCK:
        sys.stdout.write(json.dumps(fields) + "\n")
        sys.stdout.flush()


class CustomError(Exception):
    pass


class Endpoint:
    def __init__(self, name):
        self.name = name
        self.seen = []

    def echo(self, ctxt, **args):
        return args

    def context(self, ctxt):
        ctxt.pop("client_timeout", None)
        return ctxt

    def none(self, ctxt):
        return None

    def who(self, ctxt):
        return self.name

    def note(self, ctxt, what):
        self.seen.append(what)

    def noted(self, ctxt):
        return self.seen

    def slow(self, ctxt, seconds):
        time.sleep(seconds)
        return "slept"

    def key_error(self, ctxt):
        raise KeyError("absent")

    def custom(self, ctxt):
        raise CustomError("mine")

    @oslo_messaging.expected_exceptions(ValueError)
    def expected(self, ctxt):
        raise ValueError("expected")


class Versioned:
    target = oslo_messaging.Target(namespace="inventory", version="2.3", legacy_namespaces=["old"])

    def which(self, ctxt):
        return "2.3"


def transport(url, kind="rpc"):
    make = oslo_messaging.get_rpc_transport if kind == "rpc" else oslo_messaging.get_notification_transport
    if (url, kind) not in TRANSPORTS:
        TRANSPORTS[(url, kind)] = make(cfg.CONF, url, allowed_remote_exmods=["known.module"])
    return TRANSPORTS[(url, kind)]


def serve(url, topic, server="python", **rest):
    target = oslo_messaging.Target(topic=topic, server=server, **rest)
    it = oslo_messaging.get_rpc_server(
        transport(url), target, [Endpoint(server), Versioned()], executor="threading"
    )
    it.start()
    SERVERS[(topic, server)] = it


def stop(url, topic, server="python"):
    it = SERVERS.pop((topic, server))
    it.stop()
    it.wait()


def client(url, topic, options):
    target = {key: options[key] for key in ("server", "namespace", "version", "fanout", "exchange") if key in options}
    more = {"timeout": options.get("timeout", 15)}
    if options.get("version_cap"):
        more["version_cap"] = options["version_cap"]
    if options.get("monitor"):
        more["call_monitor_timeout"] = options["monitor"]
    if options.get("at_least_once"):
        more["transport_options"] = oslo_messaging.TransportOptions(at_least_once=True)
    return oslo_messaging.RPCClient(transport(url), oslo_messaging.Target(topic=topic, **target), **more)


def call(url, topic, method, args=None, ctxt=None, **options):
    return client(url, topic, options).call(ctxt or {}, method, **(args or {}))


def cast(url, topic, method, args=None, ctxt=None, **options):
    client(url, topic, options).cast(ctxt or {}, method, **(args or {}))


class Listener:
    def __init__(self, key, verdicts):
        self.key = key
        self.verdicts = verdicts

    def _heard(self, priority, event_type, payload, ctxt, publisher_id):
        ctxt.pop("client_timeout", None)
        HEARD[self.key].append([priority, event_type, payload, ctxt, publisher_id])
        verdict = self.verdicts.pop(0) if self.verdicts else "handled"
        if verdict == "raise":
            raise ValueError("not now")
        return oslo_messaging.NotificationResult.REQUEUE if verdict == "requeue" else None


def handler(priority):
    def handle(self, ctxt, publisher_id, event_type, payload, metadata):
        return self._heard(priority, event_type, payload, ctxt, publisher_id)

    return handle


for each in ["audit", "debug", "info", "warn", "error", "critical", "sample"]:
    setattr(Listener, each, handler(each))


def listen(url, topic, key, pool=None, verdicts=None, requeue=False):
    HEARD[key] = []
    it = oslo_messaging.get_notification_listener(
        transport(url, "notify"),
        [oslo_messaging.Target(topic=topic)],
        [Listener(key, verdicts or [])],
        executor="threading",
        allow_requeue=requeue,
        pool=pool,
    )
    it.start()
    SERVERS[(topic, key)] = it


def heard(url, key, count):
    until = time.time() + 15
    while len(HEARD[key]) < count and time.time() < until:
        time.sleep(0.02)
    return HEARD[key]


def notify(url, topic, priority, event, payload, driver="messagingv2", ctxt=None):
    it = oslo_messaging.Notifier(transport(url, "notify"), "python.one", driver=driver, topics=[topic])
    getattr(it, priority)(ctxt or {}, event, payload)


OPS = {f.__name__: f for f in (serve, stop, call, cast, listen, heard, notify)}


def run(command):
    name = command.pop("op")
    number = command.pop("id")
    try:
        say(id=number, result=OPS[name](**command))
    except Exception as error:  # noqa: BLE001 -- whatever it is, the test wants to know
        kind = type(error)
        say(
            id=number,
            error=kind.__name__,
            bases=[base.__name__ for base in kind.__mro__],
            exc_type=getattr(error, "exc_type", None),
            text=str(error).split("\n")[0],
        )


def main():
    cfg.CONF([], project="oslo-points")
    for line in sys.stdin:
        threading.Thread(target=run, args=(json.loads(line),), daemon=True).start()


main()
