"""Send a file that does not fit in RAM as one message, QoS 1: a log, a recording, a picture.

The client asks for the payload when the socket takes more. After a lost link it asks again from
the start, so the source must be able to go back: a file can.

Board: mpremote mount . run examples/upload_stream.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/upload_stream.py   (and: make broker)
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
NAME = "upload.bin"


def ready():
    """Bytes in the file; it is made if there is none."""
    try:
        return os.stat(NAME)[6]
    except OSError:
        with open(NAME, "wb") as f:
            for i in range(4000):
                f.write(b"%8d measured value\n" % i)
        return os.stat(NAME)[6]


client = MQTTClient("upload_stream", HOST, PORT, keepalive=30)
client.connect()
count = 0
while not ROUNDS or count < ROUNDS:
    length = ready()
    with open(NAME, "rb") as f:

        def fill(buf, offset):
            f.seek(offset)
            return f.readinto(buf)

        client.publish_stream(b"board/upload", length, fill, qos=1)
    print(length, "bytes sent and acknowledged")
    count += 1
    time.sleep(1 if ROUNDS else 60)
client.disconnect()
