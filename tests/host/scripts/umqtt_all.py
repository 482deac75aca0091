"""Every call and attribute of umqtt.simple that programs use, each as they write it."""

import os
import select

from umqtt_plus import MQTTClient, MQTTException

HOST = os.getenv("MQTT_HOST")
PORT = int(os.getenv("MQTT_PORT"))
got = []

c = MQTTClient("all", HOST, PORT, "user", "secret", 30, False, {})
c.set_last_will("will", "gone", False, 0)
c.set_callback(lambda t, m: got.append((t, m)))
print(c.server == HOST, c.port == PORT, c.keepalive, c.sock, callable(c.cb))
print(c.connect(True))
c.subscribe("t/#")
c.subscribe(b"u", qos=1)

# a program with a poller of its own
poller = select.poll()
poller.register(c.sock, select.POLLIN)
for i in range(100):
    c.publish("t/x", str(i), qos=i % 2)
turns = 0
while len(got) < 100 and turns < 300:
    turns += 1
    if poller.poll(2000):
        c.check_msg()
    else:
        print("nothing for two seconds")
        break
print(len(got), [int(m) for _, m in got] == list(range(100)))

c.cb = lambda t, m: print("another", t, m)
c.publish("u", "x", False, 1)
c.ping()
c.wait_msg()
c.disconnect()

try:
    MQTTClient("all", HOST, PORT, user="user", password="wrong").connect()
except MQTTException as e:
    print("refused", e.args[0])
try:
    c.publish("t", "m")
except OSError:
    print("not connected")
try:
    MQTTClient("all", HOST, 1).connect()
except OSError:
    print("nobody there")
