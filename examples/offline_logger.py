"""A log without gaps: a reading a second; what cannot be sent waits, and goes out in order later.

board/log gets {"n": its number, "time": Unix time when it was measured, "value": ...}, QoS 1.
16 KB hold about 240 readings. When they are full the oldest ones go, because after a long outage
the last minutes tell more than the first; n shows what is missing. "newest" in place of "oldest"
would keep the beginning: better to find out why a link broke.

Board: mpremote mount . run examples/offline_logger.py   (boot.py: the network, ntptime.settime())
PC:    MICROPYPATH=.:.frozen micropython examples/offline_logger.py   (and: make broker)
"""

import gc
import os
import time

from umqtt_plus import MQTTClient
from umqtt_plus.outbox import Outbox
from umqtt_plus.reconnect import Link

HOST = "192.168.1.10"  # your broker
PORT = 1883
INTERVAL_MS = 1000
BOX_BYTES = 16384
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    INTERVAL_MS = int(os.getenv("INTERVAL_MS") or INTERVAL_MS)
    BOX_BYTES = int(os.getenv("BOX_BYTES") or BOX_BYTES)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)
EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0  # boards count from 2000


def reading():
    """The chip's temperature where MicroPython tells it, else the free heap."""
    try:
        import esp32

        return esp32.mcu_temperature()
    except (ImportError, AttributeError):
        return gc.mem_free()


def up(session_present):
    print("connected,", len(box), "waiting,", box.stats()["oldest"], "dropped")


def down(error):
    print("link lost:", error)


client = MQTTClient("offline_logger", HOST, PORT, keepalive=10, timeout_ms=5000)
box = Outbox(BOX_BYTES, BOX_BYTES // 32, "oldest")
# first_ms: one board may come back at once; many leave it out, so as not to come together
link = Link(client, outbox=box, on_up=up, on_down=down, first_ms=1000)
count = 0
due = time.ticks_ms()
while not ROUNDS or count < ROUNDS:
    # connecting to a network that is silent holds the readings up, for 5 s at most
    link.poll(max(0, time.ticks_diff(due, time.ticks_ms())))
    if time.ticks_diff(due, time.ticks_ms()) <= 0:
        due = time.ticks_add(time.ticks_ms(), INTERVAL_MS)
        count += 1
        text = b'{"n": %d, "time": %d, "value": %d}' % (count, time.time() + EPOCH, reading())
        link.publish(b"board/log", text, qos=1)
        if len(box):
            print(len(box), "waiting")
while len(box) or client.stats()["in_flight"]:
    link.poll(1000)
client.disconnect()
