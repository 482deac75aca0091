"""A lamp switched by messages; its state is printed where a board has a pin."""

import os

from umqtt_plus import MQTTClient

TOPIC = b"led"
state = 0


def command(topic, msg):
    global state
    if msg == b"on":
        state = 1
    elif msg == b"off":
        state = 0
    elif msg == b"toggle":
        state = 1 - state
    print(topic, state)


c = MQTTClient(b"led_client", os.getenv("MQTT_HOST"), int(os.getenv("MQTT_PORT")))
c.set_callback(command)
c.connect()
c.subscribe(TOPIC)
print("Connected, subscribed to %s topic" % TOPIC)  # noqa: UP031
try:
    while True:
        c.wait_msg()
finally:
    c.disconnect()
