"""A motor that moves by steps, QoS 2 (exactly once): a step must neither get lost nor repeat.

Publish how many steps (0 to 9999) to board/motor/step with QoS 2; board/motor/position answers.
The view that set_message() hands out allocates nothing, also when thousands of messages come.

Board: mpremote mount . run examples/actuator_qos2.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/actuator_qos2.py   (and: make broker)
"""

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

digits = bytearray(4)
position = moved = told = 0


def on_message(m):
    global position, moved
    if m.topic_is(b"board/motor/step") and len(m) <= len(digits):
        steps = 0
        for i in range(m.payload_into(digits)):
            steps = steps * 10 + digits[i] - 48
        position += steps  # a real one moves its motor here
        moved += 1


client = MQTTClient("actuator_qos2", HOST, PORT, keepalive=30)
client.set_message(on_message)
while not ROUNDS or told < ROUNDS:
    try:
        client.connect(clean_session=False)
        client.subscribe(b"board/motor/step", 2)
        while not ROUNDS or told < ROUNDS:
            while moved == told:
                client.wait_msg()
            now = moved  # more steps may come while publish() waits
            client.publish(b"board/motor/position", b"%d" % position, retain=True, qos=2)
            told = now
    except OSError as error:
        print("link lost:", error)
        time.sleep(1)
client.disconnect()
