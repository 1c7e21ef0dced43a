"""A real oslo.messaging program for the interoperability tests.

usage: oslo_peer.py ROLE URL TOPIC

Roles: server, client, listener, notifier. Every role writes JSON lines; server and listener write {"ready": true} once
they serve, and run until SIGTERM.
"""
import json
import math
import signal
import sys
import threading
import time

import oslo_messaging
from oslo_config import cfg

PRIORITIES = ["audit", "debug", "info", "warn", "error", "critical", "sample"]


OUTPUT = threading.Lock()


def say(**fields):
    with OUTPUT:
        sys.stdout.write(json.dumps(fields) + "\n")
        sys.stdout.flush()


def until_stopped():
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    say(ready=True)
    stopped.wait()


class Plain:
    """No namespace, version 1.0."""

    def __init__(self):
        self.seen = []

    def add(self, ctxt, a, b):
        return a + b

    def echo(self, ctxt, **args):
        ctxt.pop("client_timeout", None)
        return {"args": args, "context": ctxt}

    def nothing(self, ctxt):
        return None

    def strange_numbers(self, ctxt):
        return [2**70, -(2**63), math.nan, math.inf]

    def value_error(self, ctxt):
        raise ValueError("not this one")

    def custom_error(self, ctxt):
        raise CustomError("mine")

    def slow(self, ctxt, seconds):
        time.sleep(seconds)
        return "slept"

    def note(self, ctxt, what):
        self.seen.append(what)

    def noted(self, ctxt):
        return sorted(self.seen)


class CustomError(Exception):
    pass


class Versioned:
    target = oslo_messaging.Target(namespace="inventory", version="2.3")

    def which(self, ctxt):
        return "inventory 2.3"


def serve(transport, topic):
    target = oslo_messaging.Target(topic=topic, server="python")
    server = oslo_messaging.get_rpc_server(transport, target, [Plain(), Versioned()], executor="threading")
    server.start()
    until_stopped()
    server.stop()
    server.wait()


def call(transport, topic):
    """Calls our server and tells how each call ended."""

    def client(**options):
        target = {key: options.pop(key) for key in ("namespace", "version", "fanout", "server") if key in options}
        return oslo_messaging.RPCClient(transport, oslo_messaging.Target(topic=topic, **target), **options)

    def attempt(name, work):
        try:
            say(name=name, result=work())
        except Exception as error:  # noqa: BLE001 -- whatever it is, the test wants to know
            exc_type = getattr(error, "exc_type", None)
            say(name=name, error=type(error).__name__, exc_type=exc_type, text=str(error).split("\n")[0])

    context = {"user": "alice", "roles": ["a", "b"], "nothing": None}
    value = {"text": "\u017e\u2603", "list": [1, None, {"deep": True}], "big": 2**70, "half": 0.5}
    plain = client(timeout=20)
    attempt("add", lambda: plain.call(context, "add", a=1, b=2))
    attempt("echo", lambda: plain.call(context, "echo", **value))
    attempt("nothing", lambda: plain.call({}, "nothing"))
    attempt("named server", lambda: client(server="torcello", timeout=20).call({}, "add", a=2, b=2))
    attempt("value error", lambda: plain.call({}, "value_error"))
    attempt("type error", lambda: plain.call({}, "type_error"))
    attempt("own error", lambda: plain.call({}, "own_error"))
    attempt("unknown method", lambda: plain.call({}, "unknown"))
    attempt("private method", lambda: plain.call({}, "_private"))
    attempt("namespace", lambda: client(namespace="inventory", version="2.1", timeout=20).call({}, "which"))
    attempt("newer version", lambda: client(namespace="inventory", version="2.4", timeout=20).call({}, "which"))
    attempt("timeout", lambda: client(timeout=1).call({}, "hang"))
    attempt("after the timeout", lambda: plain.call({}, "add", a=3, b=3))
    attempt("monitored", lambda: client(timeout=20, call_monitor_timeout=3).call({}, "slow", ms=4000))
    attempt("cast", lambda: plain.cast({}, "note", what="cast"))
    attempt("fanout", lambda: client(fanout=True).cast({}, "note", what="fanout"))
    say(done=True)


def listen(transport, topic):
    class Endpoint:
        pass

    def handler(priority):
        def handle(self, ctxt, publisher_id, event_type, payload, metadata):
            ctxt.pop("client_timeout", None)
            said = {"priority": priority, "publisher_id": publisher_id, "event_type": event_type, "payload": payload}
            say(context=ctxt, message_id=metadata["message_id"], timestamp=metadata["timestamp"], **said)

        return handle

    for priority in PRIORITIES:
        setattr(Endpoint, priority, handler(priority))
    targets = [oslo_messaging.Target(topic=topic)]
    listener = oslo_messaging.get_notification_listener(transport, targets, [Endpoint()], executor="threading")
    listener.start()
    until_stopped()
    listener.stop()
    listener.wait()


def notify(transport, topic):
    for driver in ("messaging", "messagingv2"):
        notifier = oslo_messaging.Notifier(transport, "python.one", driver=driver, topics=[topic])
        for priority in PRIORITIES:
            getattr(notifier, priority)({"user": "alice"}, f"{driver}.{priority}", {"of": priority, "text": "\u2603"})
    say(done=True)


def main():
    role, url, topic = sys.argv[1:4]
    # The one that the metrics of oslo.messaging register their options with.
    conf = cfg.CONF
    conf([], project="oslo-peer")
    is_rpc = role in ("server", "client")
    make = oslo_messaging.get_rpc_transport if is_rpc else oslo_messaging.get_notification_transport
    transport = make(conf, url)
    {"server": serve, "client": call, "listener": listen, "notifier": notify}[role](transport, topic)
    transport.cleanup()


main()
