"""Ask and answer over MQTT 5.0: each answer comes to who asked, and belongs to its question.

The board asks oven/temperature once a second, and prints the answer; when none comes within
TIMEOUT_MS it says so, and asks again. Meanwhile it answers questions of others on board/ask:
uptime, or memory. See mosquitto_rr for a program that asks.

Board: mpremote mount . run examples/request_response.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/request_response.py   (and: make broker)
"""

import gc
import os
import time

from umqtt_plus import MQTTClient, MQTTException
from umqtt_plus.request import Requests, reply

HOST = "192.168.1.10"  # your broker
PORT = 1883
INTERVAL_MS = 1000
TIMEOUT_MS = 3000
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    INTERVAL_MS = int(os.getenv("INTERVAL_MS") or INTERVAL_MS)
    TIMEOUT_MS = int(os.getenv("TIMEOUT_MS") or TIMEOUT_MS)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)


def on_message(m):
    if m.payload_is(b"uptime"):
        text = b"%d s" % (time.ticks_ms() // 1000)
    elif m.payload_is(b"memory"):
        text = b"%d bytes free" % gc.mem_free()
    else:
        text = b"ask for uptime or memory"
    reply(client, m, text)


# request_response_information: a server that keeps a place for our answers then says where
client = MQTTClient(
    "request_response",
    HOST,
    PORT,
    keepalive=30,
    version=5,
    properties={"request_response_information": 1},
)
client.set_message(on_message)
asking = Requests(client, "board/answers")
client.connect()
client.subscribe("board/ask", 1)
count = 0
while not ROUNDS or count < ROUNDS:
    try:
        answer = asking.request("oven/temperature", b"celsius", 1, TIMEOUT_MS)
        print("oven", answer.decode())
        count += 1
    except MQTTException as error:
        if error.args[0] != 0x10:
            raise
        print("nobody listens to oven/temperature")
    except OSError as error:
        if not client.sock:
            raise  # the link is lost
        print("no answer:", error)
    due = time.ticks_add(time.ticks_ms(), INTERVAL_MS)
    while time.ticks_diff(due, time.ticks_ms()) > 0:
        client.wait_msg(max(0, time.ticks_diff(due, time.ticks_ms())))
client.disconnect()
