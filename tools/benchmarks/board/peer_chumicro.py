"""chumicro-mqtt, turned as its runner does: wait for what the client asks for, then handle()."""

import gc
import os

from timing import held, measure, setting

gc.collect()
base = gc.mem_alloc()
import select  # noqa: E402
from time import ticks_ms  # noqa: E402

from chumicro_mqtt import MQTTClient  # noqa: E402

mode = os.getenv("BENCH_MODE")
qos = int(mode[-1]) if mode[-1] in "012" else 0
kind = mode.rstrip("012")
topic = "sensor/abc"
payload = b"x" * setting("SIZE", 16)
count = events = 0
sock = None


def counted(*_):
    global count
    count += 1


def turn():
    """io_interest(): 1 to read, 2 to write; the poller's bits are 1 and 4."""
    global events, sock
    now = ticks_ms()
    asked = c.io_interest(now)
    asked = asked & 1 | (asked & 2) << 1
    s = c.io_socket
    if s and asked:
        s = getattr(s, "sock", s)
        if s is not sock:
            poll.register(s, asked)
            sock = s
        elif asked != events:
            poll.modify(s, asked)
        events = asked
        for _ in poll.ipoll(5000):
            pass
    if c.check(now):
        c.handle(ticks_ms())


def connect():
    c.connect()
    while c.state != "connected":
        turn()
    if setting("NODELAY", 0):
        sock.setsockopt(6, 1, 1)


def disconnect():
    global sock
    poll.unregister(sock)
    sock = None
    c.disconnect()


def written():
    while c.io_interest(ticks_ms()) & 2:
        c.handle(ticks_ms())


def publish(n):
    global count
    count = 0
    for i in range(1, n + 1):
        c.publish(topic, payload, qos=qos, on_publish=counted)
        written()
        while qos and count < i:
            turn()


def window(n):
    global count
    count = 0
    for i in range(1, n + 1):
        c.publish(topic, payload, qos=qos, on_publish=counted)
        written()
        while count < i - 9:
            turn()
    while count < n:
        turn()


def receive(n):
    global count
    count = 0
    c.publish("go" + str(qos), b"%d" % n)
    while count < n:
        turn()


def trip(n):
    global count
    count = 0
    for i in range(1, n + 1):
        c.publish(topic, payload)
        while count < i:
            turn()


def link(n):
    for _ in range(n):
        connect()
        disconnect()


poll = select.poll()
server = {"mqtt.broker.host": "127.0.0.1", "mqtt.broker.port": setting("PORT", 0)}
c = MQTTClient.from_config(server)
c.on_message = counted
if kind != "link":
    connect()
if kind in ("trip", "held"):
    c.on_subscribe = counted
    c.subscribe(topic)
    while not count:
        turn()
if kind == "held":
    publish(1)
    held(base)
else:
    run = {"publish": publish, "window": window, "receive": receive, "link": link, "trip": trip}
    measure(run[kind], most=200 if kind == "link" else 200000)
    if kind != "link":
        disconnect()
