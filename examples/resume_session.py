"""A counter that survives every outage: persistent session, QoS 1, reconnecting with a backoff.

A message that could not be acknowledged stays in the client's table and goes out again, marked
DUP, when the link is back: the program must not publish it once more.

Board: mpremote mount . run examples/resume_session.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/resume_session.py   (and: make broker)
"""

import os
import random
import time

from umqtt_plus import MQTTClient, MQTTException

HOST = "192.168.1.10"  # your broker
PORT = 1883
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)
INTERVAL_MS = 500

client = MQTTClient("resume_session", HOST, PORT, keepalive=10, timeout_ms=5000)
wait_ms = 250
count = 0
while not ROUNDS or count < ROUNDS:
    try:
        present = client.connect(clean_session=False)
        print("connected, session", "resumed" if present else "new")
        wait_ms = 250
        while not ROUNDS or count < ROUNDS:
            count += 1  # taken by the client, also if OSError follows
            client.publish(b"board/count", b"%d" % count, qos=1)
            client.wait_msg(INTERVAL_MS)
        while client.stats()["in_flight"]:
            client.wait_msg(1000)
    except (OSError, MQTTException) as error:
        print("link lost:", error)
        count -= error.args[0] == 105  # ENOBUFS: the table was full, not taken
        time.sleep_ms(wait_ms + random.getrandbits(8))
        wait_ms = min(2 * wait_ms, 30000)
print("resent", client.stats()["resent"])
client.disconnect()
