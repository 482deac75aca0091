"""Obey commands, QoS 1 (at least once), and report what was done.

Publish on or off to board/led/set; board/led says, retained, what the LED does. Asking twice for
"on" does no harm, so QoS 1 is enough here; see actuator_qos2.py for commands that must not repeat.
Commands wait at the server while the link is down. Of the reports only the newest is worth
keeping: that is what latest=True of the outbox does.

Board: mpremote mount . run examples/commands_qos1.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/commands_qos1.py   (and: make broker)
"""

import os

from umqtt_plus import MQTTClient
from umqtt_plus.outbox import Outbox
from umqtt_plus.reconnect import Link

HOST = "192.168.1.10"  # your broker
PORT = 1883
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)

try:
    from machine import Pin

    led = Pin("LED", Pin.OUT)
except (ImportError, TypeError, ValueError):
    led = None  # a PC, or a board without that name
todo = []


def on_message(topic, msg):
    if msg in (b"on", b"off"):
        todo.append(msg)


def up(session_present):
    print("connected, granted QoS", link.granted[0])


def down(error):
    print("link lost:", error)


client = MQTTClient("commands_qos1", HOST, PORT, keepalive=30)
client.set_callback(on_message)
# first_ms: one board may come back at once; many leave it out, so as not to come together
link = Link(
    client,
    [(b"board/led/set", 1)],
    outbox=Outbox(256, latest=True),
    on_up=up,
    on_down=down,
    first_ms=1000,
)
count = 0
while not ROUNDS or count < ROUNDS:
    link.poll(1000)
    for state in todo:
        if led:
            led.value(state == b"on")
        print("led", state.decode())
        link.publish(b"board/led", state, retain=True, qos=1)
        count += 1
    todo.clear()
while link.pump() or client.stats()["in_flight"]:
    link.poll(1000)
client.disconnect()
