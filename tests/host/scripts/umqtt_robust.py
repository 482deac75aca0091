"""A lasting session: subscribes only when the server does not know this client yet."""

import os
import time

from umqtt_plus import MQTTClient

done = False


def reconnect():
    for i in range(100):
        try:
            print("again", c.connect(clean_session=False))
            return
        except OSError:
            time.sleep_ms(50 + i)
    raise SystemExit("the server does not come back")


def message(topic, msg):
    global done
    print(topic, msg)
    done = msg == b"end"


c = MQTTClient("lasting", os.getenv("MQTT_HOST"), int(os.getenv("MQTT_PORT")))
c.DEBUG = True
c.set_callback(message)
if not c.connect(clean_session=False):
    print("New session being set up")
    c.subscribe(b"foo_topic", 1)
print("ready")
while not done:
    try:
        c.wait_msg()
    except OSError:
        reconnect()
c.disconnect()
