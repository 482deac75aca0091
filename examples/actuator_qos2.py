"""A motor that moves by steps, QoS 2 (exactly once): a step must neither get lost nor repeat.

Publish how many steps (0 to 9999) to board/motor/step with QoS 2; board/motor/position answers.
Link brings the connection back after a lost link; the store brings the session back after a reset
or a power cut. Where the motor is to stand is written down together with the number of the message
that moved it there, so that a message which a power cut interrupted counts once.

Board: mpremote mount . run examples/actuator_qos2.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/actuator_qos2.py   (and: make broker)
"""

import os

from umqtt_plus import MQTTClient
from umqtt_plus.reconnect import Link
from umqtt_plus.store import Store

HOST = "192.168.1.10"  # your broker
PORT = 1883
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)
NAME = "actuator.position"

digits = bytearray(4)
moved = 1  # so that the position is told at the start
told = 0
last = position = 0
try:
    with open(NAME) as f:
        last, position = [int(x) for x in f.read().split()]
except OSError:
    pass  # the first start


def on_message(m):
    global last, position, moved
    if m.number == last or not m.topic_is(b"board/motor/step") or len(m) > len(digits):
        return  # done before the power cut; or not for us
    steps = 0
    for i in range(m.payload_into(digits)):
        steps = steps * 10 + digits[i] - 48
    with open(NAME + ".new", "w") as f:
        f.write("%d %d" % (m.number, position + steps))
    os.rename(NAME + ".new", NAME)  # whole, or not at all
    last = m.number
    position += steps  # a real one moves its motor there
    moved += 1


def down(error):
    print("link lost:", error)


client = MQTTClient("actuator_qos2", HOST, PORT, keepalive=30, buffer_size=256)
store = Store(client, "actuator.log")
if store.number < last:  # the file was lost: numbers begin again
    last = 0
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
