"""A program on Python's qpid-proton for the interoperability tests.

usage: proton_peer.py send|receive URL ADDRESS COUNT

Writes a JSON line for everything that was received, and {"done": true} in the end.
"""
import json
import sys

from proton import Message
from proton.utils import BlockingConnection


def say(**fields):
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def send(connection, address, count):
    sender = connection.create_sender(address)
    for at in range(count):
        kinds = [b"bytes", "text", None]
        message = Message(body=kinds[at % 3], id=f"id-{at}", correlation_id=at, subject="kind", durable=True)
        message.properties = {"text": "\u2603", "number": at, "yes": True, "half": 0.5}
        message.inferred = True
        sender.send(message)


def receive(connection, address, count):
    receiver = connection.create_receiver(address, credit=1)
    for _ in range(count):
        message = receiver.receive(timeout=20)
        # The example broker settles what it sends beforehand.
        if receiver.fetcher.unsettled:
            receiver.accept()
        body = message.body
        is_bytes = isinstance(body, (bytes, memoryview))
        text = bytes(body).decode() if is_bytes else body
        properties = {name: value for name, value in (message.properties or {}).items()}
        say(body=text, bytes=is_bytes, id=message.id, subject=message.subject, durable=message.durable,
            properties=properties, to=message.address, ttl=message.ttl, priority=message.priority)


def main():
    role, url, address, count = sys.argv[1:5]
    connection = BlockingConnection(url, timeout=20)
    {"send": send, "receive": receive}[role](connection, address, int(count))
    connection.close()
    say(done=True)


main()
