"""MQTT over WebSocket, for networks that let only the web through.

A reading every five seconds to board/reading; what comes to board/say is printed. Only the second
argument of MQTTClient differs from other programs: a WebSocket in place of a name and a port.

Board: mpremote mount . run examples/websocket.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/websocket.py   (MQTT_URL=ws://... before it)
"""

import gc
import os
import time

from umqtt_plus import MQTTClient
from umqtt_plus.reconnect import Link
from umqtt_plus.ws import WebSocket

URL = "wss://broker.example/mqtt"  # ws:// is without TLS; ws://192.168.1.10:9001/mqtt has a port
TLS = {"cadata": "ca.der"}  # for wss, see tls_cloud.py
INTERVAL_MS = 5000
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    URL = os.getenv("MQTT_URL") or "ws://127.0.0.1:9001/mqtt"
    TLS["cadata"] = os.getenv("CA") or TLS["cadata"]
    INTERVAL_MS = int(os.getenv("INTERVAL_MS") or INTERVAL_MS)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)


def on_message(topic, msg):
    print("told", msg.decode())


def up(session_present):
    print("connected to", URL)


def down(error):
    print("link lost:", error)


server = WebSocket(URL, ssl_params=TLS)
client = MQTTClient("websocket", server, keepalive=30)  # pings keep proxies from closing it
client.set_callback(on_message)
# first_ms: one board may come back at once; many leave it out, so as not to come together
link = Link(client, [(b"board/say", 1)], on_up=up, on_down=down, first_ms=1000)
count = 0
due = time.ticks_ms()
while not ROUNDS or count < ROUNDS:
    link.poll(max(0, time.ticks_diff(due, time.ticks_ms())))
    if time.ticks_diff(due, time.ticks_ms()) <= 0:
        due = time.ticks_add(time.ticks_ms(), INTERVAL_MS)
        try:
            link.publish(b"board/reading", b"%d" % gc.mem_free())
            count += 1
        except OSError:
            pass  # not connected: this reading is not worth keeping
client.disconnect()
