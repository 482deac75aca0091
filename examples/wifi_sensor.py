"""A sensor that looks after its Wi-Fi, and lives through the loss of it or of the broker.

Publishes board/wifi/reading (QoS 1, numbered; an outbox keeps the newest while a link is down) and
board/wifi/link (retained: which Wi-Fi, how strong). Where there is no Wi-Fi - on a PC, or with
Ethernet - it does the same without.

Board: mpremote mount . run examples/wifi_sensor.py   (it brings up the network itself)
PC:    MICROPYPATH=.:.frozen micropython examples/wifi_sensor.py   (and: make broker)
"""

import gc
import os
import time

from umqtt_plus import MQTTClient
from umqtt_plus.outbox import Outbox
from umqtt_plus.reconnect import Link

NETWORKS = [("my network", "its password"), ("another", "its password")]  # the preferred first
HOST = "192.168.1.10"  # your broker
PORT = 1883
INTERVAL_MS = 5000
WATCHDOG_MS = 0  # 8000: the board resets itself when the program is stuck
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    INTERVAL_MS = int(os.getenv("INTERVAL_MS") or INTERVAL_MS)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)


def reading():
    """The chip's temperature where MicroPython tells it, else the free heap."""
    try:
        import esp32

        return esp32.mcu_temperature()
    except (ImportError, AttributeError):
        return gc.mem_free()


def tell():
    link.publish(b"board/wifi/link", wifi.status() if wifi else "no Wi-Fi here", True, 1)


def wifi_changed(up):
    print("Wi-Fi:", wifi.status())
    if up and link.up:
        tell()  # if that connection is dead, keepalive finds out


def up(session_present):
    global failures
    failures = 0
    print("connected, session", "resumed" if session_present else "new")
    tell()


def down(error):
    global failures
    failures += 1
    print("link lost:", error)
    if wifi and failures % 8 == 0:
        wifi.disconnect()  # it may only seem to be up
        wifi.start()


def wait(ms):
    """Look after both links for ms. Without Wi-Fi there is no point in trying the broker."""
    end = time.ticks_add(time.ticks_ms(), ms)
    while ms > 0:
        feed()
        ms = min(ms, 1000)
        if wifi:
            ms = min(ms, wifi.poll())
        if wifi and not wifi.up:
            time.sleep_ms(ms)
        else:
            link.poll(ms)
        ms = time.ticks_diff(end, time.ticks_ms())


feed = int  # int() does nothing
if WATCHDOG_MS:
    from machine import WDT

    feed = WDT(timeout=WATCHDOG_MS).feed
try:
    from umqtt_plus.wifi import WiFi

    wifi = WiFi(NETWORKS, hostname="sensor", ntp=True, feed=feed)
    wifi.on_change(wifi_changed)
except ImportError:
    wifi = None  # no module `network` here
# a connect() that takes 5 s leaves the watchdog its time
client = MQTTClient("wifi_sensor", HOST, PORT, keepalive=10, timeout_ms=5000)
link = Link(client, outbox=Outbox(512), on_up=up, on_down=down)
failures = count = 0
while not ROUNDS or count < ROUNDS:
    count += 1
    link.publish(b"board/wifi/reading", b"%d %d" % (count, reading()), False, 1)
    wait(INTERVAL_MS)
while link.pump() or client.stats()["in_flight"]:
    wait(1000)
client.disconnect()
if wifi:
    wifi.disconnect()  # switches the radio off, for sleeping
