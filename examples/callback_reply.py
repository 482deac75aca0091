"""Answer from inside the callback: requests on board/ask, answers on board/answer, QoS 1.

Inside a callback publishing does not wait for the acknowledgement. When the table of messages on
their way is full (inflight=4) publish_nowait() returns 0; such an answer waits for the main loop.

Board: mpremote mount . run examples/callback_reply.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/callback_reply.py   (and: make broker)
"""

import gc
import os
import time

from umqtt_plus import MQTTClient

HOST = "192.168.1.10"  # your broker
PORT = 1883
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)
ANSWER = b"board/answer"

waiting = []
count = 0


def on_message(topic, msg):
    global count
    if msg == b"uptime":
        text = b"uptime %d s" % (time.ticks_ms() // 1000)
    elif msg == b"memory":
        text = b"memory %d bytes free" % gc.mem_free()
    else:
        text = msg + b"?"
    if waiting or not client.publish_nowait(ANSWER, text, qos=1):
        waiting.append(text)
    count += 1


client = MQTTClient("callback_reply", HOST, PORT, keepalive=30, inflight=4)
client.set_callback(on_message)
client.connect()
client.subscribe(b"board/ask", 1)
while waiting or not ROUNDS or count < ROUNDS:
    client.wait_msg(None if not waiting else 0)
    while waiting:
        client.publish(ANSWER, waiting[0], qos=1)  # waits until there is room
        waiting.pop(0)
while client.stats()["in_flight"]:
    client.wait_msg(1000)
client.disconnect()
