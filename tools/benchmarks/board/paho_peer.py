"""paho-mqtt on CPython, in its usual way: its network loop runs in the calling thread."""

import os

import paho.mqtt.client as mqtt
from timing import measure, setting

mode = os.environ["BENCH_MODE"]
qos = int(mode[-1]) if mode[-1] in "012" else 0
topic = "sensor/abc"
payload = b"x" * setting("SIZE", 16)
count = 0


def counted(*_):
    global count
    count += 1


def loop_until(n):
    while count < n:
        if c.loop(5.0) != mqtt.MQTT_ERR_SUCCESS:
            raise SystemExit("the link was lost")


def publish(n):
    """QoS 0: its queue is written out by publish() itself."""
    global count
    count = 0
    for i in range(1, n + 1):
        c.publish(topic, payload, qos)
        loop_until(i)


def window(n):
    global count
    count = 0
    for i in range(1, n + 1):
        c.publish(topic, payload, qos)
        loop_until(i - 9)
    loop_until(n)


def receive(n):
    global count
    count = 0
    c.publish(f"go{qos}", str(n))
    loop_until(n)


c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="paho")
kind = mode.rstrip("012")
c.connect("127.0.0.1", setting("PORT", 0))
if setting("NODELAY", 0):
    c.socket().setsockopt(6, 1, 1)
while not c.is_connected():
    c.loop(5.0)
if kind == "receive":
    c.on_message = counted
else:
    c.on_publish = counted
measure({"publish": publish, "window": window, "receive": receive}[kind])
c.disconnect()
