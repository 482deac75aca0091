"""Publishes each press of a button; a line of input stands for a press."""

import os
import sys

from umqtt_plus import MQTTClient

c = MQTTClient("button_client", os.getenv("MQTT_HOST"), int(os.getenv("MQTT_PORT")))
c.connect()
print("ready")
while True:
    line = sys.stdin.readline().strip()
    if line == "end":
        break
    print("Button pressed")
    c.publish(b"foo_topic", b"toggle")
    c.ping()
    c.check_msg()
c.disconnect()
