"""For those who know mqtt_as: the same shape of program, with what each of its parts is here.

Tasks for messages, for the link coming up and going down, and one that publishes for ever. A
Link does what connect() did there and goes on doing so; README has a table of all the names.

Board: mpremote mount . run examples/mqtt_as_style.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/mqtt_as_style.py   (and: make broker)
"""

import asyncio
import os

from umqtt_plus.aio import MQTTClient
from umqtt_plus.reconnect import Link

HOST = "192.168.1.10"  # your broker
PORT = 1883
INTERVAL_MS = 5000
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    INTERVAL_MS = int(os.getenv("INTERVAL_MS") or INTERVAL_MS)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)
STATUS = b"board/status"

client = MQTTClient("mqtt_as_style", HOST, PORT, keepalive=60)  # config[...]
client.set_last_will(STATUS, b"offline", retain=True, qos=1)  # config["will"]
client.messages(20)  # config["queue_len"]; before the link, so that nothing comes too early
up, down = asyncio.Event(), asyncio.Event()  # client.up, client.down
link = Link(
    client,
    [(b"board/in/#", 1)],  # what an up task subscribed to
    clean_session=False,  # config["clean"]
    first_ms=1000,  # one board may come back at once; many leave it out
    on_up=lambda session_present: up.set(),
    on_down=lambda error: down.set(),
)


async def messages():
    async for topic, msg, retained, qos in client:  # client.queue
        print("message", topic.decode(), msg.decode(), retained)


async def on_up():
    while True:
        await up.wait()
        up.clear()
        print("up")
        try:
            await client.publish(STATUS, b"online", retain=True, qos=1)
        except OSError as error:
            print("status not told:", error)


async def on_down():
    while True:
        await down.wait()
        down.clear()
        print("down:", link.why)


async def main():
    async with link:  # await client.connect(); at the end: await client.disconnect()
        tasks = [asyncio.create_task(task) for task in (messages(), on_up(), on_down())]
        count = 0
        while not ROUNDS or count < ROUNDS:
            await asyncio.sleep_ms(INTERVAL_MS)
            try:  # waits for the link, as there, but not for ever
                await client.publish(b"board/result", b"%d" % count, qos=1, timeout_ms=60000)
            except OSError as error:
                print("late:", error)
            count += 1
    for task in tasks:
        task.cancel()


asyncio.run(main())
