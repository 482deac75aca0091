"""A broker in the cloud over TLS, which proves by its certificate that it is the right one.

Put the certificate of its CA on the board as ca.der (python tools/certs.py der CA.pem makes it);
HOST is a name that is in the server's certificate. Clouds ask for user and password, or for a
certificate of the board ("cert" and "key" in TLS; tools/certs.py makes these, too).
Certificates have dates, so the clock is set first. A handshake takes some 40 KB of heap for a
while: with "no memory for TLS" make the client before everything else.

Board: mpremote mount . run examples/tls_cloud.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/tls_cloud.py   (CA=... MQTT_HOST=... before it)
"""

import gc
import os
import time

from umqtt_plus import MQTTClient
from umqtt_plus.reconnect import Link

HOST = "broker.example"  # the name in the certificate, no address
PORT = 8883
USER = PASSWORD = None
TLS = {"cadata": "ca.der"}  # and "cert": "board.der", "key": "board.key.der" if it wants them
INTERVAL_MS = 10000
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "localhost"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    USER = os.getenv("MQTT_USER") or USER
    PASSWORD = os.getenv("MQTT_PASSWORD") or PASSWORD
    TLS["cadata"] = os.getenv("CA") or TLS["cadata"]
    INTERVAL_MS = int(os.getenv("INTERVAL_MS") or INTERVAL_MS)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)


def set_clock():
    """From the network, until it is right: a board without a battery wakes up years ago."""
    while time.localtime()[0] < 2025:
        import ntptime

        try:
            ntptime.settime()
        except OSError as error:
            print("no time yet:", error)
            time.sleep(2)


def up(session_present):
    print("connected to", HOST)


def down(error):
    print("link lost:", error)  # of a certificate it says what is wrong with it


set_clock()
client = MQTTClient(
    "tls_cloud", HOST, PORT, USER, PASSWORD, keepalive=60, ssl=True, ssl_params=TLS
)
link = Link(client, on_up=up, on_down=down)
count = 0
while not ROUNDS or count < ROUNDS:
    due = time.ticks_add(time.ticks_ms(), INTERVAL_MS)
    if link.poll():
        try:
            client.publish(b"board/reading", b"%d" % gc.mem_free(), qos=1)
            count += 1
        except OSError as error:
            print("not acknowledged:", error)  # it goes out again when the link is back
    while time.ticks_diff(due, time.ticks_ms()) > 0:
        link.poll(max(0, time.ticks_diff(due, time.ticks_ms())))
client.disconnect()
