"""A sensor that publishes readings and obeys a command. Runs on a board and on a PC.

Topics   sensor/reading  a number, QoS 1        sensor/status  online or offline, retained
         sensor/lamp/set on or off (command)    sensor/lamp    what the lamp does, retained

On a PC its settings come from the environment (MQTT_HOST, MQTT_PORT, INTERVAL_MS, TIMEOUT_MS); on
a board from a file settings.py with the same names, and `import firmware` in main.py starts it
once the network is up.
"""

import os
import time

from umqtt_plus import MQTTClient, MQTTException


def setting(name, default):
    if hasattr(os, "getenv"):
        return os.getenv(name) or default
    import settings

    return getattr(settings, name, default)


INTERVAL_MS = int(setting("INTERVAL_MS", 5000))

client = MQTTClient(
    "sensor",
    setting("MQTT_HOST", "127.0.0.1"),
    int(setting("MQTT_PORT", 1883)),
    keepalive=10,
    timeout_ms=int(setting("TIMEOUT_MS", 5000)),
)


def on_message(topic, msg):
    if topic == b"sensor/lamp/set" and msg in (b"on", b"off"):
        print("lamp", msg.decode())
        client.publish(b"sensor/lamp", msg, retain=True, qos=1)


def connect():
    """Connect and subscribe. The session is kept: a reading on its way is sent again."""
    client.connect(clean_session=False)
    client.subscribe(b"sensor/lamp/set", 1)
    client.publish(b"sensor/status", b"online", retain=True, qos=1)
    print("connected")


def handle_until(due):
    """Obey commands until it is time for the next reading."""
    left = time.ticks_diff(due, time.ticks_ms())
    while left > 0:
        client.wait_msg(left)
        left = time.ticks_diff(due, time.ticks_ms())


def run():
    reading = 0
    wait_ms = 50
    client.set_callback(on_message)
    client.set_last_will(b"sensor/status", b"offline", retain=True, qos=1)
    while True:
        try:
            connect()
            wait_ms = 50
            while True:
                due = time.ticks_add(time.ticks_ms(), INTERVAL_MS)
                reading += 1  # a real one asks its sensor here
                client.publish(b"sensor/reading", b"%d" % reading, qos=1)
                handle_until(due)
        except (OSError, MQTTException) as error:
            print("link lost:", error)
            time.sleep_ms(wait_ms)
            wait_ms = min(wait_ms * 2, 30000)


run()
