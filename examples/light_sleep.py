"""Stay connected, and sleep lightly in between: as long as next_deadline() allows, no longer.

next_deadline() says when the next ping is due, so the server never gives the board up. board/heap
gets a reading each PERIOD_MS, board/led obeys on and off, at the latest when the board wakes.
It is for boards whose radio works on while they sleep, as a Pico W's (not tried on one yet). An
ESP32 switches its radio off in lightsleep() and may have to connect anew each time: for it there
is battery_node.py, or sleep_ms of time here, which leaves saving power to the radio.

Board: mpremote mount . run examples/light_sleep.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/light_sleep.py   (and: make broker)
"""

import gc
import os
import time

from umqtt_plus import MQTTClient
from umqtt_plus.reconnect import Link

HOST = "192.168.1.10"  # your broker
PORT = 1883
KEEPALIVE = 60  # seconds
PERIOD_MS = 300000
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    KEEPALIVE = int(os.getenv("KEEPALIVE") or KEEPALIVE)
    PERIOD_MS = int(os.getenv("PERIOD_MS") or PERIOD_MS)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)
AWAKE_MS = 100  # so that an answer, or what waited in the network, has time to come

try:
    from machine import lightsleep as sleep_ms
except ImportError:
    from time import sleep_ms  # a PC
try:
    from machine import Pin

    led = Pin("LED", Pin.OUT)
except (ImportError, TypeError, ValueError):
    led = None  # a PC, or a board without that name


def on_message(topic, msg):
    if led:
        led.value(msg == b"on")
    print("led", msg.decode())


def down(error):
    print("link lost:", error)


client = MQTTClient("light_sleep", HOST, PORT, keepalive=KEEPALIVE)
client.set_callback(on_message)
# first_ms: one board may come back at once; many leave it out, so as not to come together
link = Link(client, [(b"board/led", 1)], on_down=down, first_ms=1000)
count = wakes = 0
due = time.ticks_ms()
while not ROUNDS or count < ROUNDS:
    wakes += 1
    try:
        # in this order: poll() reads what came and pings, then next_deadline() knows what is next
        if link.poll(AWAKE_MS) and time.ticks_diff(due, time.ticks_ms()) <= 0:
            due = time.ticks_add(due, PERIOD_MS)
            client.publish(b"board/heap", b"%d" % gc.mem_free(), qos=1)
            count += 1
        ms = client.next_deadline() if link.up else link.next_try()
    except OSError:
        continue  # poll() sees to it
    ms = min(ms, max(1, time.ticks_diff(due, time.ticks_ms())))
    if ms > 0:  # lightsleep(0) may be for ever
        sleep_ms(ms)
print(count, "readings,", wakes, "wakes,", client.stats()["pings"], "pings")
client.disconnect()
