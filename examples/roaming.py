"""Several access points: where the signal is weak, leave for one that is heard better.

WiFi keeps to an access point until it is lost, then tries the others in the order of the list;
see wifi_sensor.py. For a board that moves, this looks around when the signal falls below WEAK_DBM,
once in LOOK_MS at most, and goes when another one is GAIN_DB stronger, with a goodbye to the
broker before and the same session after. A look holds everything up for two seconds or more.

Board: mpremote mount . run examples/roaming.py   (it brings up the network itself)
PC:    MICROPYPATH=.:.frozen micropython examples/roaming.py   (and: make broker)
"""

import os
import time

from umqtt_plus import MQTTClient
from umqtt_plus.outbox import Outbox
from umqtt_plus.reconnect import Link

NETWORKS = [("hall", "its password"), ("yard", "its password"), ("gate", "its password")]
HOST = "192.168.1.10"  # your broker
PORT = 1883
INTERVAL_MS = 5000
WEAK_DBM, GAIN_DB, LOOK_MS = -75, 8, 60000
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    INTERVAL_MS = int(os.getenv("INTERVAL_MS") or INTERVAL_MS)
    LOOK_MS = int(os.getenv("LOOK_MS") or LOOK_MS)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)


def better():
    """NETWORKS, the strongest first, when it is worth going there; None when it is not."""
    global looked
    try:
        now = wlan.status("rssi")
        if now >= WEAK_DBM or time.ticks_diff(time.ticks_ms(), looked) < LOOK_MS:
            return None
        looked = time.ticks_ms()
        heard = {}
        for name, _, _, dbm, _, _ in wlan.scan():
            heard[name] = max(dbm, heard.get(name, -999))
    except OSError:  # the link went away meanwhile
        return None
    order = sorted(NETWORKS, key=lambda n: -heard.get(n[0].encode(), -999))
    return order if heard.get(order[0][0].encode(), -999) >= now + GAIN_DB else None


client = MQTTClient("roaming", HOST, PORT, keepalive=10, timeout_ms=5000)
link = Link(client, outbox=Outbox(4096), first_ms=1000)
wifi = None  # as on a PC
try:
    import network
    from umqtt_plus.wifi import WiFi

    wlan = network.WLAN(network.STA_IF)
    wifi = WiFi(NETWORKS, wlan=wlan)
except ImportError:
    pass
looked = due = time.ticks_ms()
count = 0
while not ROUNDS or count < ROUNDS or link.pump() or client.stats()["in_flight"]:
    if time.ticks_diff(due, time.ticks_ms()) <= 0 and (not ROUNDS or count < ROUNDS):
        due = time.ticks_add(time.ticks_ms(), INTERVAL_MS)
        count += 1
        link.publish(b"board/roaming", "%d %s" % (count, wifi.status() if wifi else "wire"), qos=1)
        order = better() if wifi and wifi.up else None
        if order:
            client.disconnect()
            wifi.disconnect()
            wifi = WiFi(order, wlan=wlan)
            print("leaving for", order[0][0])
    ms = min(200, wifi.poll()) if wifi else 200
    if wifi and not wifi.up:
        time.sleep_ms(ms)
    else:
        link.poll(ms)
client.disconnect()
