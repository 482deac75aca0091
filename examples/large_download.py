"""Receive a message larger than RAM, piece by piece, into a file: an update, a picture, a table.

Publish any file to board/file (mosquitto_pub -q 1 -t board/file -f FILE). It arrives in
download.bin; board/file/sha256 tells what came. Cut off by a lost link, it begins again.

Board: mpremote mount . run examples/large_download.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/large_download.py   (and: make broker)
"""

import os
from binascii import hexlify
from hashlib import sha256

from umqtt_plus import MQTTClient

HOST = "192.168.1.10"  # your broker
PORT = 1883
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)
NAME = "download.bin"

piece = bytearray(1024)  # a piece is never longer than twice buffer_size
file = check = answer = None


def on_piece(m):
    global file, check, answer
    if m.offset == 0:
        if file:
            file.close()
        file = open(NAME + ".part", "wb")
        check = sha256()
    n = m.payload_into(piece)
    file.write(piece, n)
    check.update(memoryview(piece)[:n])
    if m.offset + n == m.total:
        file.close()
        os.rename(NAME + ".part", NAME)  # whole, or not there at all
        file, answer = None, hexlify(check.digest())
        print(m.total, "bytes in", NAME)


client = MQTTClient("large_download", HOST, PORT, keepalive=30, buffer_size=512)
client.set_stream(on_piece)
client.connect()
client.subscribe(b"board/file", 1)
count = 0
while not ROUNDS or count < ROUNDS:
    client.wait_msg()
    if answer:
        client.publish(b"board/file/sha256", answer, qos=1)
        answer = None
        count += 1
client.disconnect()
