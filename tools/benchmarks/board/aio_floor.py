"""The floor of asyncio: its own streams with prebuilt packets, as one writes them. No client.

write() and drain() for each packet, readexactly() for each answer. A window is ten of
them, then ten answers, a burst the same with one drain(); ten tasks are ten that write and wait,
and one that reads for them.
"""

import asyncio
import os

from timing import measure_async, setting

mode = os.getenv("BENCH_MODE")
size = setting("SIZE", 16)
qos = int(mode[-1]) if mode[-1] in "012" else 0
CONNECT = b"\x10\x0f\0\4MQTT\4\2\0\0\0\3abc"
TASKS = 10


def publication(packet_id):
    body = b"\0\x0asensor/abc" + (packet_id.to_bytes(2, "big") if qos else b"") + b"x" * size
    n = len(body)
    length = bytes([n] if n < 128 else [n & 127 | 128, n >> 7])
    return bytes([0x30 | qos << 1]) + length + body


packets = [publication(i) for i in range(1, TASKS + 1)]
packet = packets[0]
rel = b"\x62\2\0\1"
ack = b"\x40\2\0\1"
rec = b"\x50\2\0\1"
comp = b"\x70\2\0\1"
reader = writer = None


async def connect():
    global reader, writer
    reader, writer = await asyncio.open_connection("127.0.0.1", setting("PORT", 0))
    reader.s.setsockopt(6, 1, 1)
    writer.write(CONNECT)
    await writer.drain()
    await reader.readexactly(4)


async def publish(n):
    for _ in range(n):
        writer.write(packet)
        await writer.drain()
        if qos:
            await reader.readexactly(4)
            if qos == 2:
                writer.write(rel)
                await writer.drain()
                await reader.readexactly(4)


async def window(n):
    for _ in range(n // 10):
        for p in packets:
            writer.write(p)
            await writer.drain()
        for _ in range(10):
            await reader.readexactly(4)


async def burst(n):
    """The same with one drain() for the ten."""
    for _ in range(n // 10):
        for p in packets:
            writer.write(p)
        await writer.drain()
        for _ in range(10):
            await reader.readexactly(4)


async def tasks(n):
    """Each task waits for the answer to its own message."""
    events = [asyncio.Event() for _ in range(TASKS)]

    async def one(i):
        for _ in range(n // TASKS):
            events[i].clear()
            writer.write(packets[i])
            await writer.drain()
            await events[i].wait()

    async def answers():
        for _ in range(n // TASKS * TASKS):
            events[(await reader.readexactly(4))[3] - 1].set()

    await asyncio.gather(answers(), *(one(i) for i in range(TASKS)))


async def receive(n):
    number = b"%d" % n
    writer.write(bytes([0x30, 5 + len(number)]) + b"\0\3go%d" % qos + number)
    await writer.drain()
    got = 0
    while got < n:
        head = await reader.readexactly(2)
        await reader.readexactly(head[1])
        h = head[0]
        if h == 0x30:
            got += 1
            continue
        writer.write(ack if h == 0x32 else rec if h == 0x34 else comp)
        await writer.drain()
        got += h != 0x34


async def trip(n):
    for _ in range(n):
        writer.write(packet)
        await writer.drain()
        await reader.readexactly((await reader.readexactly(2))[1])


async def main():
    await connect()
    if mode == "trip":
        writer.write(b"\x82\x0f\0\1\0\x0asensor/abc\0")
        await writer.drain()
        await reader.readexactly(5)
    await measure_async(globals()[mode.rstrip("012")])
    writer.close()
    await writer.wait_closed()


asyncio.run(main())
