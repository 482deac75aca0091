"""A watchdog that is fed only while the broker answers: whatever hangs, the board starts anew.

Programs that feed it in their main loop are reset when the loop hangs, but not when the radio or
the network stack does. Here it is the acknowledgement of a reading (QoS 1) that counts:
PATIENCE_MS after the last one nobody feeds any more, and the watchdog bites. Let that be longer
than the broker is ever away. board/watchdog says, retained, why the board started.

Board: mpremote mount . run examples/watchdog.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/watchdog.py   (and: make broker)
"""

import gc
import os
import time

from umqtt_plus import MQTTClient
from umqtt_plus.reconnect import Link

HOST = "192.168.1.10"  # your broker
PORT = 1883
INTERVAL_MS = 5000
PATIENCE_MS = 600000
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    INTERVAL_MS = int(os.getenv("INTERVAL_MS") or INTERVAL_MS)
    PATIENCE_MS = int(os.getenv("PATIENCE_MS") or PATIENCE_MS)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)

feed = None
try:
    from machine import WDT, WDT_RESET, reset_cause

    why = b"watchdog" if reset_cause() == WDT_RESET else b"power or reset"
    # the longest that a Pico W can wait; no call below takes so long, see timeout_ms
    feed = WDT(timeout=8000).feed
except ImportError:
    why = b"no watchdog here"


def published(packet_id):
    global alive, count
    alive = time.ticks_ms()
    count += 1


def up(session_present):
    client.publish_nowait(b"board/watchdog", why, True, 1)
    print("connected")


def down(error):
    print("link lost:", error)


def wait(ms):
    """Look after the link, and feed as long as it lives."""
    end = time.ticks_add(time.ticks_ms(), ms)
    while time.ticks_diff(end, time.ticks_ms()) > 0:
        if feed and time.ticks_diff(time.ticks_ms(), alive) < PATIENCE_MS:
            feed()
        link.poll(min(1000, max(0, time.ticks_diff(end, time.ticks_ms()))))


client = MQTTClient("watchdog", HOST, PORT, keepalive=10, timeout_ms=5000)
client.on_published(published)
link = Link(client, on_up=up, on_down=down, first_ms=1000)
alive = time.ticks_ms()
count = 0
while not ROUNDS or count < ROUNDS:
    try:
        if link.up:
            client.publish_nowait(b"board/reading", b"%d" % gc.mem_free(), qos=1)
    except OSError as error:
        print("not taken:", error)
    wait(INTERVAL_MS)
client.disconnect()
