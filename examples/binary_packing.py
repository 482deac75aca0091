"""Readings as JSON and packed into a few bytes with struct, side by side; commands packed, too.

board/json gets each reading as JSON, 61 bytes or so: made for people and dashboards. board/packed
gets BATCH readings in one message of 10 bytes each: a version, seconds, hundredths of a degree,
millivolts, dBm. On a PC, and without any library of ours:
    for version, seconds, t, mv, dbm in struct.iter_unpack(">BIhHb", payload): ...
board/packed/set takes version 1 and the interval in ms as 5 bytes, ">BI".

Board: mpremote mount . run examples/binary_packing.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/binary_packing.py   (and: make broker)
"""

import json
import os
import time
from struct import calcsize, pack_into, unpack_from

from umqtt_plus import MQTTClient
from umqtt_plus.reconnect import Link

HOST = "192.168.1.10"  # your broker
PORT = 1883
INTERVAL_MS = 1000
BATCH = 10
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    INTERVAL_MS = int(os.getenv("INTERVAL_MS") or INTERVAL_MS)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)
READING = ">BIhHb"  # ">": the same on each chip, and without gaps
COMMAND = ">BI"
VERSION = 1  # whoever reads it sees when the layout has changed
EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0  # boards count from 2000


def reading():
    """In whole numbers: hundredths of a degree, millivolts, dBm. Put your own here."""
    return 2150 + count % 100, 3291, -61


def on_message(m):
    """Unpacked where it lies, after a look at its length: no copy of it is made."""
    global interval_ms
    if len(m) != calcsize(COMMAND) or m.buf[m.start] != VERSION:
        print("not understood:", len(m), "bytes")
        return
    interval_ms = max(10, unpack_from(COMMAND, m.buf, m.start)[1])
    print("a reading every", interval_ms, "ms")


client = MQTTClient("binary_packing", HOST, PORT, keepalive=30)
client.set_message(on_message)
link = Link(client, [(b"board/packed/set", 1)], first_ms=1000)
interval_ms = INTERVAL_MS
size = calcsize(READING)
packed = bytearray(BATCH * size)  # made once; publish() takes it as it is
count = 0
due = time.ticks_ms()
while not ROUNDS or count < ROUNDS:
    link.poll(max(0, time.ticks_diff(due, time.ticks_ms())))
    if time.ticks_diff(due, time.ticks_ms()) > 0:
        continue
    due = time.ticks_add(time.ticks_ms(), interval_ms)
    seconds = int(time.time()) + EPOCH
    t, mv, dbm = reading()
    pack_into(READING, packed, count % BATCH * size, VERSION, seconds, t, mv, dbm)
    count += 1
    try:
        text = json.dumps({"time": seconds, "temperature": t / 100, "mv": mv, "dbm": dbm})
        link.publish(b"board/json", text)
        if count % BATCH == 0:
            link.publish(b"board/packed", packed, qos=1)  # copied: fill it again
    except OSError as error:
        print("not taken:", error)  # the link is down, see offline_logger.py
while link.up and client.stats()["in_flight"]:
    link.poll(1000)
client.disconnect()
