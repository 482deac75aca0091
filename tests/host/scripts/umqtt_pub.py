"""Publishes one reading and leaves, in the style of umqtt.simple's examples."""

import os

from umqtt_plus import MQTTClient

SERVER = os.getenv("MQTT_HOST")
PORT = int(os.getenv("MQTT_PORT"))


def main(server=SERVER):
    c = MQTTClient("pub_client", server, PORT)
    c.connect()
    c.publish(b"house/temp", b"21.5")
    c.publish("house/state", "on", True)
    c.publish(b"house/count", str(3), retain=False, qos=1)
    c.disconnect()


if __name__ == "__main__":
    main()
