"""Tasks side by side with asyncio: readings, a lamp that blinks, commands. The link comes back.

Publish 20 to 9999 to board/lamp/ms with QoS 1: the lamp blinks so fast, and board/lamp says it.
board/reading counts on with QoS 1. While the server is away the lamp goes on blinking, and the
reading waits for the link: none is lost.

Board: mpremote mount . run examples/asyncio_tasks.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/asyncio_tasks.py   (and: make broker)
"""

import asyncio
import os

from umqtt_plus.aio import MQTTClient
from umqtt_plus.reconnect import Link

HOST = "192.168.1.10"  # your broker
PORT = 1883
INTERVAL_MS = 1000
TIMEOUT_MS = 10000
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    INTERVAL_MS = int(os.getenv("INTERVAL_MS") or INTERVAL_MS)
    TIMEOUT_MS = int(os.getenv("TIMEOUT_MS") or TIMEOUT_MS)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)

try:
    from machine import Pin

    led = Pin("LED", Pin.OUT)
except (ImportError, TypeError, ValueError):
    led = None  # a PC, or a board without that name
blink_ms = 500


async def say(topic, msg, retain=False):
    """Publish with QoS 1, however long it takes."""
    while True:
        try:
            return await client.publish(topic, msg, retain, 1)
        except OSError as error:
            if error.args[0] != 105:  # ENOBUFS is not taken; any other goes out with the link
                return


async def blink():
    on = 0
    while True:
        on ^= 1
        if led:
            led.value(on)
        else:
            print("lamp", on)
        await asyncio.sleep_ms(blink_ms)


async def commands():
    global blink_ms
    async for m in client:
        if m.payload.isdigit() and len(m.payload) < 5:
            blink_ms = max(20, int(m.payload))
        await say(b"board/lamp", b"%d" % blink_ms, True)


async def readings():
    count = 0
    while not ROUNDS or count < ROUNDS:
        count += 1
        await say(b"board/reading", b"%d" % count)
        await asyncio.sleep_ms(INTERVAL_MS)


async def main():
    # first_ms: one board may come back at once; many leave it out, so as not to come together
    link = Link(client, [(b"board/lamp/ms", 1)], on_up=up, on_down=down, first_ms=1000)
    async with link:
        tasks = [asyncio.create_task(task) for task in (blink(), commands())]
        await readings()
    for task in tasks:
        task.cancel()


def up(session_present):
    print("connected, session", "resumed" if session_present else "new")


def down(error):
    print("link lost:", error)


client = MQTTClient("asyncio_tasks", HOST, PORT, keepalive=10, timeout_ms=TIMEOUT_MS)
asyncio.run(main())
