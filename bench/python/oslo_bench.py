"""oslo.messaging as a contender: commands on stdin, one JSON a line; answers {messages, cpuUs} on stdout.

usage: oslo_bench.py URL
"""
import json
import sys
import threading
import time

import oslo_messaging
from oslo_config import cfg


class Endpoint:
    def add(self, ctxt, a, b):
        return a + b


def rpc(url, topic, count, outstanding):
    client = oslo_messaging.RPCClient(TRANSPORT, oslo_messaging.Target(topic=topic), timeout=60)

    def work(times):
        for _ in range(times):
            client.call({}, "add", a=1, b=2)

    threads = [threading.Thread(target=work, args=(count // outstanding,)) for _ in range(outstanding)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def notify(url, topic, count, outstanding):
    it = oslo_messaging.Notifier(NOTIFY, "bench", driver="messagingv2", topics=[topic])
    for number in range(count):
        it.info({}, "bench.event", {"number": number})


cfg.CONF([], project="oslo-bench")
URL = sys.argv[1]
TRANSPORT = oslo_messaging.get_rpc_transport(cfg.CONF, URL)
NOTIFY = oslo_messaging.get_notification_transport(cfg.CONF, URL)
TARGET = oslo_messaging.Target(topic="bench-python", server="one")
SERVER = oslo_messaging.get_rpc_server(TRANSPORT, TARGET, [Endpoint()], executor="threading")
SERVER.start()
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    command = json.loads(line)
    before = time.process_time()
    count = command["count"]
    {"rpc": rpc, "notify": notify}[command["op"]](URL, command["topic"], count, command["outstanding"])
    cpu = (time.process_time() - before) * 1e6
    print(json.dumps({"messages": count, "cpuUs": cpu}), flush=True)
