"""Months on a battery: wake, send, obey the commands that waited, sleep deeply. QoS 2 commands.

board/battery gets "number reading", QoS 1. What cannot be sent is kept for the next wake, 30 of
them at most. Publish 1000 to 3600000 to board/battery/sleep_ms, or a pattern like 101 for the LED
to board/battery/blink, with QoS 2: the server keeps it until the board wakes, and it is obeyed
once. SleepStore keeps session and notes over the sleep in RTC memory on ESP32, else in a file, so
that the board neither subscribes again nor sends anything twice.

A reset or a power cut while awake begins a new session; commands that wait at the server then are
lost. Where that counts, store.Store writes each message down, at one to two flushes each.

Board: mpremote mount . run examples/battery_node.py   (one wake; for more copy it to main.py)
PC:    MICROPYPATH=.:.frozen micropython examples/battery_node.py   (and: make broker)
"""

import gc
import json
import os
import time

from umqtt_plus import MQTTClient, MQTTException
from umqtt_plus.sleep import RTCMemory, SleepStore

HOST = "192.168.1.10"  # your broker
PORT = 1883
SLEEP_MS = 300000
AWAKE_MS = 5000  # at most, once connected
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    SLEEP_MS = int(os.getenv("SLEEP_MS") or SLEEP_MS)
    AWAKE_MS = int(os.getenv("AWAKE_MS") or AWAKE_MS)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)
QUIET_MS = 500  # nothing more has come for so long: that was all
COMMANDS = [(b"board/battery/sleep_ms", 2), (b"board/battery/blink", 2)]

try:
    from machine import RTC

    RTC().memory  # ESP32: 2 KB, and no wear of the flash
    medium = RTCMemory()
except (ImportError, AttributeError):
    from umqtt_plus.media import File

    medium = File("battery_node.session")


def blink(pattern):
    print("blink", pattern)  # a board with an LED: Pin("LED").value(c == "1") for each


def sleep(ms):
    try:
        import network
        from machine import deepsleep

        network.WLAN(network.STA_IF).active(False)  # a Pico W would not sleep with it
        deepsleep(ms)  # ends in a reset
    except ImportError:
        time.sleep_ms(ms)  # a PC


def wake():
    client = MQTTClient("battery_node", HOST, PORT, keepalive=30, buffer_size=256, timeout_ms=5000)
    store = SleepStore(client, medium)
    # of earlier wakes: last number, how long to sleep, whether subscribed, what is not sent yet
    notes = json.loads(store.notes or "[0, %d, false, []]" % SLEEP_MS)
    waiting = notes[3]

    def command(m):
        text = m.payload
        if m.topic_is(b"board/battery/blink"):
            blink(text)
        elif text.isdigit() and len(text) < 8 and 1000 <= int(text) <= 3600000:
            notes[1] = int(text)
            print("will sleep", notes[1], "ms")

    notes[0] += 1
    waiting.append("%d %d" % (notes[0], gc.mem_free()))  # a real one measures here
    del waiting[:-30]  # so many at most, the oldest goes
    client.set_message(command)
    try:
        present = client.connect(clean_session=False)
        print("connected, session", "resumed" if present else "new")
        notes[2] = notes[2] and present
        if not notes[2]:
            client.subscribe(COMMANDS)
            notes[2] = True
        end = time.ticks_add(time.ticks_ms(), AWAKE_MS)
        while time.ticks_diff(end, time.ticks_ms()) > 0:
            while waiting and client.publish_nowait(b"board/battery", waiting[0], qos=1):
                waiting.pop(0)  # it is in the table, and sleeps with it until the server has it
            if not client.wait_msg(QUIET_MS) and not client.stats()["in_flight"]:
                break
    except (OSError, MQTTException) as error:
        print("link lost:", error)
    client.disconnect()
    if waiting:
        print(len(waiting), "kept for the next time")
    store.save(json.dumps(notes).encode())
    return notes[1]


count = 0
while True:
    ms = wake()
    count += 1
    if count == ROUNDS:
        break
    sleep(ms)
