"""A log that survives a reset: a reading every ten seconds, each of them exactly once, QoS 2.

What cannot be sent waits in flash, and so does what is on its way: unplug the board, cut the
network, stop the broker, at any time. A reading that publish() has taken arrives once, in order.

board/log gets {"n": its number, "time": Unix time when it was measured, "value": ...}. The number
needs no note of our own: the store knows how many messages it has taken over for sending
(accepted), the outbox how many wait. That holds because all are QoS 1 or 2 and none is ever
dropped: when 8 KB are full, "newest" takes no more, and n does not count on.

A reading is flushed to flash twice, three times when it has to wait. A flush costs littlefs about
one block: 250 free blocks, good for 100000 erases each, last for 3 years at this pace, not at
one a second.

Board: mpremote mount . run examples/durable_logger.py   (boot.py: the network, ntptime.settime())
PC:    MICROPYPATH=.:.frozen micropython examples/durable_logger.py   (and: make broker)
"""

import gc
import os
import time

from umqtt_plus import MQTTClient
from umqtt_plus.outbox import Outbox
from umqtt_plus.reconnect import Link
from umqtt_plus.store import Store

HOST = "192.168.1.10"  # your broker
PORT = 1883
INTERVAL_MS = 10000
ROUNDS = 0  # 0: for ever; else stop when so many have arrived, over all starts
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    INTERVAL_MS = int(os.getenv("INTERVAL_MS") or INTERVAL_MS)
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
    print("connected,", len(box), "waiting")


def down(error):
    print("link lost:", error)


client = MQTTClient("durable_logger", HOST, PORT, keepalive=10, buffer_size=128, timeout_ms=5000)
box = Outbox(8192, 256, "newest")
store = Store(client, "durable_logger.log", max_bytes=32768, outbox=box)
link = Link(client, outbox=box, on_up=up, on_down=down, first_ms=1000)
count = store.accepted + len(box)
print(count, "taken so far,", len(box), "of them waiting")
due = time.ticks_ms()
while not ROUNDS or count < ROUNDS:
    link.poll(max(0, time.ticks_diff(due, time.ticks_ms())))
    if time.ticks_diff(due, time.ticks_ms()) <= 0:
        due = time.ticks_add(time.ticks_ms(), INTERVAL_MS)
        n = count + 1
        text = b'{"n": %d, "time": %d, "value": %d}' % (n, time.time() + EPOCH, reading())
        try:
            link.publish(b"board/log", text, qos=2)
        except OSError as error:
            print("flash:", error)  # not taken
        count = store.accepted + len(box)
        if len(box):
            print(len(box), "waiting")
while len(box) or client.stats()["in_flight"]:
    link.poll(1000)
client.disconnect()
store.close()
