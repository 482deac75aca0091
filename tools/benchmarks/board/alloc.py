"""Heap bytes per operation in the six directions, counted with the collector switched off."""

import gc
import os

from umqtt_plus import MQTTClient

COUNT = 500
got = 0


def message(m):
    global got
    got += 1


def publish(qos, n):
    for _ in range(n):
        c.publish(topic, payload, False, qos)


def receive(qos, n):
    global got
    got = 0
    c.publish(go[qos], number)
    while got < n:
        if not c.wait_msg(5000):
            raise SystemExit("no message")


c = MQTTClient(b"alloc", "127.0.0.1", int(os.getenv("BENCH_PORT")), buffer_size=1024)
c.set_message(message)
c.connect()
topic = b"sensor/abc"
payload = b"0123456789abcdef"
go = (b"go0", b"go1", b"go2")
number = b"%d" % COUNT
for name, run in (("publish", publish), ("receive", receive)):
    for qos in range(3):
        run(qos, COUNT)  # once before: buffers and modules are made
        gc.collect()
        gc.disable()
        before = gc.mem_alloc()
        run(qos, COUNT)
        used = gc.mem_alloc() - before
        gc.enable()
        print(name, qos, used / COUNT)
c.disconnect()
