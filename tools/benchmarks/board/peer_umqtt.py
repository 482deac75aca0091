"""umqtt.simple or umqtt.robust (BENCH_MODULE), in the way their examples show."""

import gc
import os

from timing import held, measure, setting

gc.collect()
base = gc.mem_alloc()
MQTTClient = __import__(os.getenv("BENCH_MODULE"), None, None, ("MQTTClient",)).MQTTClient

mode = os.getenv("BENCH_MODE")
qos = int(mode[-1]) if mode[-1] in "012" else 0
kind = mode.rstrip("012")
topic = b"sensor/abc"
payload = b"x" * setting("SIZE", 16)
count = 0


def message(topic, msg):
    global count
    count += 1


def connect():
    c.connect()
    if setting("NODELAY", 0):
        c.sock.setsockopt(6, 1, 1)


def publish(n):
    for _ in range(n):
        c.publish(topic, payload, False, qos)


def receive(n):
    global count
    count = 0
    c.publish(b"go%d" % qos, b"%d" % n)
    while count < n:
        c.wait_msg()


def link(n):
    for _ in range(n):
        connect()
        c.disconnect()


def trip(n):
    global count
    count = 0
    for i in range(1, n + 1):
        c.publish(topic, payload)
        while count < i:
            c.wait_msg()


c = MQTTClient(b"peer", "127.0.0.1", setting("PORT", 0))
c.set_callback(message)
if kind != "link":
    connect()
if kind in ("trip", "held"):
    c.subscribe(topic)
if kind == "held":
    c.publish(topic, payload, False, 1)
    held(base)
else:
    run = {"publish": publish, "receive": receive, "link": link, "trip": trip}
    measure(run[kind], most=200 if kind == "link" else 200000)
    if kind != "link":
        c.disconnect()
