"""How long a message takes from the server's write to the handler, and what it costs in heap.

The payload begins with the time of the write, in ns since the epoch. BENCH_FRONT says who waits:
socket (a bare socket and poller), streams (bare asyncio), sync, aio; BENCH_POLL_MS is for the
last. Prints "us" and the microseconds of each message; with BENCH_MODE=heap "bytes" and what each
message but the first allocated, without taking times.
"""

import gc
import os
import time
from array import array

from timing import setting

front = os.getenv("BENCH_FRONT")
port = setting("PORT", 0)
poll_ms = setting("POLL_MS", 0)
number = setting("COUNT", 100)
samples = array("i", [0] * number)
stamp = bytearray(64)
count = began = held = 0
timed = os.getenv("BENCH_MODE") != "heap"
CONNECT = b"\x10\x0f\0\4MQTT\4\2\0\0\0\3abc"
GO = bytes([0x30, 5 + len(str(number))]) + b"\0\3go0" + str(number).encode()


def arrived(now, body, start):
    """A bare client has a whole packet."""
    if timed:
        note(now, body[start : start + 8])
    counted()


def message(m):
    if timed:
        now = time.time_ns()
        m.payload_into(stamp)
        note(now, stamp[:8])
    counted()


def note(now, written):
    samples[count] = (now - int.from_bytes(written, "big")) // 1000


def counted():
    """The first message may make what lives on, so counting begins there."""
    global count, began, held
    count += 1
    if count == 1:
        began = gc.mem_alloc()
    if count == number:
        held = gc.mem_alloc() - began
        finished()


def finished():
    pass


def start():
    gc.collect()
    if not timed:
        gc.disable()


def by_socket():
    import select
    import socket

    s = socket.socket()
    s.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
    s.setblocking(False)
    poll = select.poll()
    poll.register(s, 1)
    buf = bytearray(256)

    def read(n):
        while s.readinto(buf, n) is None:
            for _ in poll.ipoll(10000):
                pass

    s.write(CONNECT)
    read(4)
    start()
    s.write(GO)
    while count < number:
        read(2)
        read(buf[1])
        arrived(time.time_ns() if timed else 0, buf, 12)
    s.close()


async def by_streams():
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(CONNECT)
    await writer.drain()
    await reader.readexactly(4)
    start()
    writer.write(GO)
    await writer.drain()
    while count < number:
        head = await reader.readexactly(2)
        body = await reader.readexactly(head[1])
        arrived(time.time_ns() if timed else 0, body, 12)
    writer.close()
    await writer.wait_closed()


def by_sync():
    from umqtt_plus import MQTTClient

    c = MQTTClient(b"latency", "127.0.0.1", port, inflight=0)
    c.set_message(message)
    c.connect()
    start()
    c.publish(b"go0", b"%d" % number)
    while count < number:
        if not c.wait_msg(5000):
            raise SystemExit("no message")
    c.disconnect()


async def by_aio():
    global finished
    from umqtt_plus.aio import MQTTClient

    done = asyncio.Event()
    finished = done.set
    c = MQTTClient(b"latency", "127.0.0.1", port, inflight=0, poll_ms=poll_ms)
    c.set_message(message)
    async with c:
        start()
        await c.publish(b"go0", b"%d" % number)
        await asyncio.wait_for(done.wait(), 20)


if front == "socket":
    by_socket()
elif front == "sync":
    by_sync()
else:
    import asyncio

    asyncio.run(by_streams() if front == "streams" else by_aio())
gc.enable()
if timed:
    print("us", *samples)
else:
    print("bytes", held / (number - 1))
