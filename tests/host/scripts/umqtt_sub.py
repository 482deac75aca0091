"""Shows what comes, waiting for it or looking now and then, as umqtt.simple's users do."""

import os
import time

from umqtt_plus import MQTTClient

SERVER = os.getenv("MQTT_HOST")
PORT = int(os.getenv("MQTT_PORT"))
left = int(os.getenv("COUNT"))


def show(topic, msg):
    global left
    left -= 1
    print((topic, msg))


def main(blocking):
    c = MQTTClient("sub_client", SERVER, PORT)
    c.set_callback(show)
    c.connect()
    c.subscribe(b"news")
    print("subscribed")
    while left:
        if blocking:
            c.wait_msg()
        else:
            c.check_msg()
            time.sleep_ms(5)
    c.disconnect()


main(os.getenv("BLOCKING") == "1")
