"""A sensor of Azure IoT Hub: it makes its own tokens, and comes back with a new one in time.

Other clouds differ in one line: make the profile with aws(), hivemq(), emqx(), thingsboard(),
adafruit() or clearblade() of umqtt_plus.clouds, and take their topics. What the cloud does not
take (QoS 2, retained messages, other topics) is a ValueError here, before anything is sent.
Put the CA on the board as ca.der (python tools/certs.py der CA.pem makes it). KEY is the primary
key of the device; who reads it can be the device.

Board: mpremote mount . run examples/cloud_sensor.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/cloud_sensor.py   (KEY=... CA=... before it)
"""

import gc
import json
import os
import time

from umqtt_plus import MQTTClient
from umqtt_plus.clouds import azure, client
from umqtt_plus.identity import facts
from umqtt_plus.outbox import Outbox
from umqtt_plus.reconnect import Link

HUB = "NAME.azure-devices.net"
DEVICE = "device1"
KEY = ""  # base64, as the portal shows it
CA = "ca.der"
LIFE_S = 3600  # of a token
INTERVAL_MS = 60000
ROUNDS = 0  # 0: for ever
OTHERS = {}
if hasattr(os, "getenv"):  # on a PC
    KEY = os.getenv("KEY") or "bm8ga2V5"
    CA = os.getenv("CA") or CA
    LIFE_S = int(os.getenv("LIFE_S") or LIFE_S)
    INTERVAL_MS = int(os.getenv("INTERVAL_MS") or INTERVAL_MS)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)
    OTHERS = {"server": os.getenv("MQTT_HOST") or HUB, "port": int(os.getenv("MQTT_PORT") or 0)}
READINGS = "devices/%s/messages/events/" % DEVICE
COMMANDS = "devices/%s/messages/devicebound/#" % DEVICE


def set_clock():
    """Tokens and certificates have dates; a board without a battery wakes up years ago."""
    while time.gmtime()[0] < 2024:
        import ntptime

        try:
            ntptime.settime()
        except OSError as error:
            print("no time yet:", error)
            time.sleep(2)


def up(session_present):
    print("connected as", DEVICE)
    link.publish(READINGS, json.dumps(facts(firmware="1.0")), qos=1)


def down(error):
    print("link lost:", error)  # 127: on purpose, the next connection has a new token


def on_message(m):
    print("told to", m.payload)


set_clock()
profile = azure(HUB, DEVICE, KEY, CA, life_s=LIFE_S)
board = client(MQTTClient, profile, buffer_size=1024, **OTHERS)
board.set_message(on_message)
link = Link(board, [(COMMANDS, 1)], outbox=Outbox(4096), on_up=up, on_down=down, first_ms=2000)
count = 0
while not ROUNDS or count < ROUNDS:
    due = time.ticks_add(time.ticks_ms(), INTERVAL_MS)
    link.publish(READINGS, json.dumps({"n": count, "free": gc.mem_free()}), qos=1)
    count += 1
    while time.ticks_diff(due, time.ticks_ms()) > 0:
        link.poll(max(0, time.ticks_diff(due, time.ticks_ms())))
while link.pump() or board.stats()["in_flight"]:
    link.poll(1000)
board.disconnect()
