"""What a pika client sees of the broker, as one line of JSON."""
import json
import sys

import pika
from pika.exceptions import ChannelClosedByBroker, UnroutableError

port = int(sys.argv[1])
seen = {}
connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, heartbeat=10))
channel = connection.channel()
channel.confirm_delivery()
channel.exchange_declare("events", "topic", durable=True)
channel.queue_declare("letters", durable=True, arguments={"x-max-priority": 3, "x-message-ttl": 60000})
channel.queue_bind("letters", "events", "a.#")

properties = pika.BasicProperties(
    delivery_mode=2, content_type="text/plain", headers={"n": 5, "list": [1, "two"]}, expiration="5000"
)
channel.basic_publish("events", "a.b", b"first", properties, mandatory=True)
try:
    channel.basic_publish("events", "z", b"lost", mandatory=True)
except UnroutableError as error:
    seen["returned"] = error.messages[0].method.reply_code

channel.basic_qos(prefetch_count=1)
for method, got, body in channel.consume("letters", inactivity_timeout=5):
    seen["body"] = body.decode()
    seen["headers"] = got.headers
    seen["redelivered"] = method.redelivered
    channel.basic_nack(method.delivery_tag, requeue=True)
    break
channel.cancel()
method, got, body = channel.basic_get("letters")
seen["again"] = method.redelivered
channel.basic_ack(method.delivery_tag)

try:
    channel.queue_declare("letters", durable=True)
except ChannelClosedByBroker as error:
    seen["inequivalent"] = error.reply_code
channel = connection.channel()
try:
    channel.basic_get("nowhere")
except ChannelClosedByBroker as error:
    seen["missing"] = error.reply_code
channel = connection.channel()
seen["deleted"] = channel.queue_delete("letters").method.message_count
connection.close()
print(json.dumps(seen))
