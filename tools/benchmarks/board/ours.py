"""umqtt_plus, used as its README says."""

import gc
import os

from timing import held, measure, setting

gc.collect()
base = gc.mem_alloc()
from umqtt_plus import MQTTClient  # noqa: E402

mode = os.getenv("BENCH_MODE")
qos = int(mode[-1]) if mode[-1] in "012" else 0
topic = b"sensor/abc"
payload = b"x" * setting("SIZE", 16)
topics = setting("TOPICS", 1)
go = b"go%d" % qos
port = setting("PORT", 0)
count = 0


def message(m):
    global count
    count += 1


def published(packet_id):
    global count
    count += 1


def publish0(n):
    for _ in range(n):
        c.publish(topic, payload)


def in_turn(n):
    other = b"sensor/abz"
    for _ in range(n // 2):
        c.publish(topic, payload)
        c.publish(other, payload)


def publish(n):
    for _ in range(n):
        c.publish(topic, payload, False, qos)


def window(n):
    global count
    count = 0
    for _ in range(n):
        while not c.publish_nowait(topic, payload, False, qos):
            c.wait_msg(10000)
    while count < n:
        c.wait_msg(10000)


def receive(n):
    global count
    count = 0
    c.publish(go, b"%d 64 10 %d" % (n, topics - 1))
    while count < n:
        if not c.wait_msg(10000):
            raise SystemExit("no message")


def link(n):
    for _ in range(n):
        c.connect()
        c.disconnect()


def trip(n):
    global count
    count = 0
    for i in range(1, n + 1):
        c.publish(topic, payload)
        while count < i:
            if not c.wait_msg(10000):
                raise SystemExit("no message")


kind = mode.rstrip("012")
options = {"buffer_size": 1024, "inflight": 10 if kind == "window" else 4}
c = MQTTClient(b"ours", "127.0.0.1", port, **({} if kind == "held" else options))
if kind == "window":
    c.on_published(published)
if kind in ("receive", "trip", "held"):
    c.set_message(message)
if kind != "link":
    c.connect()
if kind in ("trip", "held"):
    c.subscribe(topic)
if kind == "held":
    c.publish(topic, payload, False, 1)
    held(base)
else:
    run = {"publish": publish, "window": window, "receive": receive, "link": link, "trip": trip}
    if mode == "publish0":
        run["publish"] = publish0 if topics == 1 else in_turn
    measure(run[kind], most=200 if kind == "link" else 200000)
c.disconnect()
