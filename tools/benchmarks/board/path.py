"""Walk one path through the client; print the modules of it that were loaded."""

import os
import sys

path = os.getenv("BENCH_PATH")
server = "127.0.0.1", int(os.getenv("BENCH_PORT"))

from umqtt_plus import MQTTClient  # noqa: E402

got = 0


def handler(m):
    global got
    got += len(m)


def receive(size):
    while got < size:
        if not c.wait_msg(5000):
            raise SystemExit("no message")


async def asyncio_publisher():
    from umqtt_plus.aio import MQTTClient

    async with MQTTClient(b"path", *server) as c:
        for qos in range(3):
            await c.publish(b"path/out", b"payload", False, qos)


def loaded():
    for name in sorted(sys.modules):
        if name.split(".")[0] == "umqtt_plus":
            print(name)
    raise SystemExit


if path == "asyncio":
    import asyncio

    asyncio.run(asyncio_publisher())
    loaded()
options = {"keepalive": {"keepalive": 60}, "v5": {"version": 5}}.get(path, {})
c = MQTTClient(b"path", *server, **options, **({"inflight": 0} if path == "qos0" else {}))
if path == "streams":
    c.set_stream(handler)
if path in ("store", "inbox"):
    from umqtt_plus.store import Store

    Store(c, os.getenv("BENCH_PLACE") + "/path.log")
c.connect(path not in ("store", "inbox"))
for qos in range(1 if path == "qos0" else 3):
    c.publish(b"path/out", b"payload", False, qos)
if path in ("subscriber", "inbox", "v5"):
    c.set_message(handler)
    c.subscribe(b"path/in", 2)
    c.publish(b"path/in", b"payload", False, 2)
    receive(7)
if path == "streams":
    c.subscribe(b"path/in", 1)
    c.publish_stream(b"path/in", 2000, lambda buf, offset: len(buf), qos=1)
    receive(2000)
if path == "keepalive":
    c.check_msg()
c.disconnect()
loaded()
