"""Months on a battery: wake, send, take the commands that waited, sleep deeply. QoS 1 both ways.

board/battery gets "number reading". What cannot be sent is kept for the next wake, up to 30 of
them. Publish 1000 to 3600000 to board/battery/sleep_ms with QoS 1: the server keeps it until the
board wakes. After a deep sleep the program starts anew and knows nothing but its notes, so it
takes over its session at the server (adopt=True). QoS 2 would need ids that outlive the sleep.

Board: mpremote mount . run examples/battery_node.py   (one wake; for more copy it to main.py)
PC:    MICROPYPATH=.:.frozen micropython examples/battery_node.py   (and: make broker)
"""

import gc
import json
import os
import time

from umqtt_plus import MQTTClient, MQTTException

HOST = "192.168.1.10"  # your broker
PORT = 1883
SLEEP_MS = 60000
AWAKE_MS = 5000  # at most, for commands
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    SLEEP_MS = int(os.getenv("SLEEP_MS") or SLEEP_MS)
    AWAKE_MS = int(os.getenv("AWAKE_MS") or AWAKE_MS)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)
QUIET_MS = 500  # nothing more has come for so long: that was all
NAME = "battery_node.json"

try:
    from machine import RTC

    memory = RTC().memory  # ESP32: 2 KB that outlive deep sleep, and no wear of the flash
except (ImportError, AttributeError):
    memory = None


def load():
    """What is known from earlier wakes: last number, how long to sleep, what waits."""
    try:
        if memory:
            return json.loads(memory())
        with open(NAME) as f:
            return json.load(f)
    except (OSError, ValueError):
        return [0, SLEEP_MS, []]


def save(notes):
    text = json.dumps(notes)
    if memory:
        memory(text)
        return
    with open(NAME + ".new", "w") as f:
        f.write(text)
    os.rename(NAME + ".new", NAME)  # whole, or not there at all


def sleep(ms):
    try:
        import network
        from machine import deepsleep

        network.WLAN(network.STA_IF).active(False)  # a Pico W would not sleep with it
        deepsleep(ms)  # ends in a reset
    except ImportError:
        time.sleep_ms(ms)  # a PC


def wake():
    notes = load()

    def command(topic, msg):
        if msg.isdigit() and len(msg) < 8 and 1000 <= int(msg) <= 3600000:
            notes[1] = int(msg)
            print("will sleep", notes[1], "ms")

    notes[0] += 1
    waiting = notes[2]
    waiting.append((notes[0], gc.mem_free()))  # a real one measures here
    del waiting[:-30]  # so many at most, the oldest goes
    client = MQTTClient("battery_node", HOST, PORT, keepalive=30, timeout_ms=5000)
    client.set_callback(command)
    try:
        if not client.connect(clean_session=False, adopt=True):
            client.subscribe(b"board/battery/sleep_ms", 1)
        while waiting:
            client.publish(b"board/battery", b"%d %d" % tuple(waiting[0]), qos=1)
            waiting.pop(0)  # the server has it
        end = time.ticks_add(time.ticks_ms(), AWAKE_MS)
        while client.wait_msg(QUIET_MS) and time.ticks_diff(end, time.ticks_ms()) > 0:
            pass
        client.disconnect()
    except (OSError, MQTTException) as error:
        print(len(waiting), "kept for the next time:", error)
    save(notes)
    return notes[1]


count = 0
while True:
    ms = wake()
    count += 1
    if count == ROUNDS:
        break
    sleep(ms)
