"""A sensor and a switch that Home Assistant finds by itself (MQTT discovery).

Retained config topics tell it of a temperature and a switch, of one device; states and commands
have topics of their own, availability comes from the last will. Home Assistant and the broker may
restart in any order. To be rid of it, publish an empty retained message to both config topics.

Board: mpremote mount . run examples/home_assistant.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/home_assistant.py   (and: make broker)
"""

import gc
import json
import os
import time

from umqtt_plus import MQTTClient
from umqtt_plus.outbox import Outbox
from umqtt_plus.reconnect import Link

HOST = "192.168.1.10"  # your broker
PORT = 1883
INTERVAL_MS = 30000
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    INTERVAL_MS = int(os.getenv("INTERVAL_MS") or INTERVAL_MS)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)
NAME = "board"  # another one for each board: it is in every topic
STATUS, READING = NAME + "/status", NAME + "/temperature"
STATE, SET = NAME + "/switch", NAME + "/switch/set"
on = False


def announce(kind, what, **keys):
    """One entity; the keys are those of Home Assistant's documentation."""
    keys.update(name=what, unique_id=NAME + "_" + what, availability_topic=STATUS)
    keys["device"] = {"identifiers": [NAME], "name": NAME}
    topic = "homeassistant/%s/%s/%s/config" % (kind, NAME, what)
    link.publish(topic, json.dumps(keys), True, 1)


def up(session_present):
    announce("switch", "switch", state_topic=STATE, command_topic=SET, qos=1)
    degrees = {"device_class": "temperature", "unit_of_measurement": "\u00b0C"}
    announce("sensor", "temperature", state_topic=READING, **degrees)
    link.publish(STATE, b"ON" if on else b"OFF", True, 1)
    link.publish(STATUS, b"online", True, 1)
    print("connected")


def on_message(m):
    global on
    if m.payload_is(b"ON") or m.payload_is(b"OFF"):
        on = m.payload_is(b"ON")  # here goes what it switches
        print("switch", "on" if on else "off")
        link.publish(STATE, b"ON" if on else b"OFF", True, 1)


client = MQTTClient(NAME, HOST, PORT, keepalive=30)
client.set_last_will(STATUS, b"offline", True, 1)
client.set_message(on_message)
link = Link(client, [(SET, 1)], outbox=Outbox(2048, latest=True), on_up=up, first_ms=1000)
count = 0
while not ROUNDS or count < ROUNDS:
    due = time.ticks_add(time.ticks_ms(), INTERVAL_MS)
    link.publish(READING, b"%.1f" % (gc.mem_free() / 10000), True)  # put a thermometer here
    count += 1
    while time.ticks_diff(due, time.ticks_ms()) > 0:
        link.poll(max(0, time.ticks_diff(due, time.ticks_ms())))
link.publish(STATUS, b"offline", True, 1)
while link.pump() or client.stats()["in_flight"]:
    link.poll(1000)
client.disconnect()
