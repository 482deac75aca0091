"""Update a file over the air: it streams into flash, is checked, and only then takes its place.

To send one, with its name and its SHA-256 in the topic:
    mosquitto_pub -q 1 -t board/ota/app.mpy/$(sha256sum app.mpy | cut -c-64) -f app.mpy
board/ota says, retained, what came of it. It arrives as app.mpy.new and is renamed when what is in
flash has the right digest: a power cut leaves the old file or the new one. A digest finds damage,
not enemies: let the broker keep others from publishing there.

Board: mpremote mount . run examples/ota_file.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/ota_file.py   (and: make broker)
"""

import os
from binascii import hexlify
from hashlib import sha256

from umqtt_plus import MQTTClient
from umqtt_plus.outbox import Outbox
from umqtt_plus.reconnect import Link

HOST = "192.168.1.10"  # your broker
PORT = 1883
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)
FILES = ("app.mpy", "table.bin")  # what may be replaced, and nothing else
piece = memoryview(bytearray(1024))  # a piece is never longer than twice buffer_size (512)
file, name, wanted, count = None, "", "", 0


def digest(path):
    check = sha256()
    with open(path, "rb") as f:
        while n := f.readinto(piece):
            check.update(piece[:n])
    return hexlify(check.digest()).decode()


def on_file(m, first, last):
    global file, name, wanted
    try:
        if first:
            old, file = file, None
            if old:
                old.close()  # cut off, or failed
            name, wanted = m.topic.decode().split("/")[2:]
            if name not in FILES:
                return told("is not one of mine")
            file = open(name + ".new", "wb")
        if file and wanted and file.write(piece[: m.payload_into(piece)]) < len(m):
            raise OSError(28)  # ENOSPC
        if file and wanted and last:
            file.close()
            file = None
            good = digest(name + ".new") == wanted
            if good:
                os.rename(name + ".new", name)
            told("is new" if good else "came damaged, the old one stays")
    except OSError as error:  # raised, it would bring the same file for ever
        wanted = ""  # the other pieces are passed over
        told("failed, %s" % error)


def told(text):
    global count
    count += 1
    print(name, text)
    link.publish(b"board/ota", name + " " + text, True, 1)


client = MQTTClient("ota_file", HOST, PORT, keepalive=30)
client.set_stream(lambda m: on_file(m, m.offset == 0, m.offset + len(m) == m.total))
client.set_message(lambda m: on_file(m, True, True))  # a file that fits in the buffer
# adopt: after a reset, too, the server sends what has not arrived
link = Link(client, [("board/ota/+/+", 1)], adopt=True, always=True, outbox=Outbox(512))
while not ROUNDS or count < ROUNDS or link.pump() or client.stats()["in_flight"]:
    link.poll(1000)
client.disconnect()
