"""The smallest useful sensor: publish a reading every second, QoS 0 (at most once).

Board: mpremote mount . run examples/sensor_qos0.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/sensor_qos0.py   (and: make broker)
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


def reading():
    """The chip's temperature where MicroPython tells it, else the free heap."""
    try:
        import esp32

        return esp32.mcu_temperature()
    except (ImportError, AttributeError):
        return gc.mem_free()


client = MQTTClient("sensor_qos0", HOST, PORT, keepalive=30)
client.connect()
count = 0
while not ROUNDS or count < ROUNDS:
    client.publish(b"board/reading", b"%d" % reading())
    count += 1
    time.sleep(1)
client.disconnect()
