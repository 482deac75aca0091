"""Who is there? A retained status that the server sets to offline when this board vanishes.

Subscribe to board/status: "online" while it runs, "offline" after a goodbye, and also after a
power cut or a lost network (1.5 times keepalive later), because the last will says so. When the
link is back Link calls up(), which takes the server's "offline" back.

Board: mpremote mount . run examples/availability_will.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/availability_will.py   (and: make broker)
"""

import os
import time

from umqtt_plus import MQTTClient
from umqtt_plus.reconnect import Link

HOST = "192.168.1.10"  # your broker
PORT = 1883
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)
STATUS = b"board/status"


def up(session_present):
    client.publish_nowait(STATUS, b"online", retain=True, qos=1)
    print("online")


def down(error):
    print("link lost:", error)


client = MQTTClient("availability_will", HOST, PORT, keepalive=10)
client.set_last_will(STATUS, b"offline", retain=True, qos=1)
# first_ms: one board may come back at once; many leave it out, so as not to come together
link = Link(client, on_up=up, on_down=down, first_ms=1000)
count = 0
while not ROUNDS or count < ROUNDS:
    due = time.ticks_add(time.ticks_ms(), 1000)
    while time.ticks_diff(due, time.ticks_ms()) > 0:
        link.poll(time.ticks_diff(due, time.ticks_ms()))  # it sends the pings meanwhile
    count += 1
if link.poll():
    client.publish(STATUS, b"offline", retain=True, qos=1)
client.disconnect()  # a goodbye: the server drops the will
