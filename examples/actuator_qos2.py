"""A motor that moves by steps, QoS 2 (exactly once): a step must neither get lost nor repeat.

Publish how many steps (0 to 9999) to board/motor/step with QoS 2; board/motor/position answers.
The view that set_message() hands out allocates nothing, also when thousands of messages come.
Link brings the connection back; the session at the server and here is what counts the steps.

Board: mpremote mount . run examples/actuator_qos2.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/actuator_qos2.py   (and: make broker)
"""

import os

from umqtt_plus import MQTTClient
from umqtt_plus.reconnect import Link

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


def down(error):
    print("link lost:", error)


client = MQTTClient("actuator_qos2", HOST, PORT, keepalive=30)
client.set_message(on_message)
# first_ms: one board may come back at once; many leave it out, so as not to come together
link = Link(client, [(b"board/motor/step", 2)], on_down=down, first_ms=1000)
while not ROUNDS or told < ROUNDS:
    if link.poll(0 if moved != told else 1000) and moved != told:
        now = moved  # more steps may come while publish() waits
        try:
            client.publish(b"board/motor/position", b"%d" % position, retain=True, qos=2)
            told = now
        except OSError:
            pass  # poll() sees to the link; the position is told again
client.disconnect()
