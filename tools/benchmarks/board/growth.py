"""What one operation costs when one thing grows: BENCH_MODE says which, BENCH_XS how far.

For each x it calls gc.isenabled() before and after what is measured, which is where callgrind
cuts its counts; prints "us" and the microseconds of each, which count where valgrind is missing.
"""

import gc
import os

from timing import setting, ticks_diff, ticks_us

mode = os.getenv("BENCH_MODE")
xs = [int(x) for x in os.getenv("BENCH_XS").split()]
number = setting("COUNT", 256)
server = "127.0.0.1", setting("PORT", 0)
payload = b"0123456789abcdef"
topic = b"sensor/abc"
count = 0


def client(cls=None, **options):
    from umqtt_plus import MQTTClient

    options.setdefault("buffer_size", 1024)
    return (cls or MQTTClient)(b"growth", *server, **options)


def message(m):
    global count
    count += 1


def published(packet_id):
    global count
    count += 1


def connected(**options):
    c = client(**options)
    c.set_message(message)
    c.connect()
    return c


# -- each prepares what is needed for one x, and returns f(n) to be measured ----------------------


def topic_same(x, qos):
    return publisher(connected(buffer_size=2048), [b"t" * x] * 2, payload, qos)


def topic_other(x):
    return publisher(connected(buffer_size=2048), [b"a" * x, b"b" * x], payload, 0)


def payload_out(x, qos):
    return publisher(connected(buffer_size=8192), [topic] * 2, b"x" * x, qos)


def publisher(c, topics, payload, qos):
    one, other = topics

    def run(n):
        for _ in range(n // 2):
            c.publish(one, payload, False, qos)
            c.publish(other, payload, False, qos)

    return run


def incoming(c, size=64, length=10, turn=0):
    def run(n):
        global count
        count = 0
        c.publish(b"go0", b"%d %d %d %d" % (n, size, length, turn))
        while count < n:
            if not c.wait_msg(10000):
                raise SystemExit("no message")

    return run


def subscribed(x):
    c = connected()
    for i in range(x):
        c.subscribe(b"sensor/%d/+" % i)
    return c


def subscribe_next(x):
    c = subscribed(x)

    def run(n):
        for _ in range(n):
            c.subscribe(topic)

    return run


def window(x, qos):
    c = connected(inflight=x, buffer_size=256)
    c.on_published(published)

    def run(n):
        global count
        count = 0
        for _ in range(n):
            while not c.publish_nowait(topic, payload, False, qos):
                c.wait_msg(10000)
        while count < n:
            c.wait_msg(10000)

    return run


def table(x, qos):
    return publisher(connected(inflight=x, buffer_size=256), [topic] * 2, payload, qos)


def clients(x):
    each = [connected(buffer_size=256) for _ in range(x)]

    def run(n):
        for i in range(n):
            each[i % x].publish(topic, payload, False, 1)

    return run


async def asyncio_clients(x):
    from umqtt_plus.aio import MQTTClient

    each = [client(MQTTClient, buffer_size=256) for _ in range(x)]
    for c in each:
        await c.connect()

    async def publish(c, n):
        for _ in range(n):
            await c.publish(topic, payload, False, 1)

    async def run(n):
        await asyncio.gather(*(publish(c, n // x) for c in each))

    await run(64)
    gc.collect()
    gc.isenabled()
    start = ticks_us()
    await run(number)
    us = ticks_diff(ticks_us(), start)
    gc.isenabled()
    for c in each:
        await c.disconnect()
    return us


def measured(run):
    run(64)
    gc.collect()
    gc.isenabled()
    start = ticks_us()
    run(number)
    us = ticks_diff(ticks_us(), start)
    gc.isenabled()
    return us


modes = {
    "topic_same0": lambda x: topic_same(x, 0),
    "topic_same1": lambda x: topic_same(x, 1),
    "topic_other0": topic_other,
    "topic_in0": lambda x: incoming(connected(buffer_size=2048), length=x),
    "topic_turn0": lambda x: incoming(connected(buffer_size=2048), length=x, turn=1),
    "payload0": lambda x: payload_out(x, 0),
    "payload1": lambda x: payload_out(x, 1),
    "payload_in0": lambda x: incoming(connected(buffer_size=8192), size=x),
    "subscribed_in0": lambda x: incoming(subscribed(x)),
    "subscribe": subscribe_next,
    "window1": lambda x: window(x, 1),
    "window2": lambda x: window(x, 2),
    "table1": lambda x: table(x, 1),
    "table2": lambda x: table(x, 2),
    "clients": clients,
}
found = []
for x in xs:
    if mode == "asyncio_clients":
        import asyncio

        found.append(asyncio.run(asyncio_clients(x)))
    else:
        found.append(measured(modes[mode](x)))
print("us", *found)
