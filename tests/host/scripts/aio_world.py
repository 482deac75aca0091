"""What the scripts of the asyncio tests share, on top of world.py. Runs on CPython, too."""

import asyncio
import sys
from time import ticks_add, ticks_diff, ticks_ms  # noqa: F401

from world import HOST, PORT, MQTTException  # noqa: F401

from umqtt_plus.aio import MQTTClient
from umqtt_plus.reconnect import Link

try:
    from asyncio import sleep_ms
except ImportError:
    from shims.aio import sleep_ms

create_task = asyncio.create_task
wait_for = asyncio.wait_for
CancelledError = asyncio.CancelledError


def client(client_id="c", **options):
    return MQTTClient(client_id, HOST, PORT, **options)


async def connected(client_id="c", clean=True, **options):
    c = client(client_id, **options)
    await c.connect(clean)
    return c


def link(c, *args, **options):
    """A Link that tries again soon."""
    options.setdefault("first_ms", 20)
    options.setdefault("cap_ms", 200)
    return Link(c, *args, **options)


def text(e):
    """An exception as text."""
    return f"{type(e).__name__} {e.args[0] if e.args else ''}".strip()


async def error(awaitable):
    """What came of it, as text: "none: result" when nothing was raised."""
    try:
        result = await awaitable
        return f"none: {result!r}"
    except (Exception, CancelledError) as e:
        return text(e)


async def took(least, most, awaitable):
    """error(), and whether it took least to most ms."""
    t = ticks_ms()
    result = await error(awaitable)
    t = ticks_diff(ticks_ms(), t)
    return result if least <= t <= most else f"{result} after {t} ms"


async def until(condition, ms=8000, what=""):
    """Wait until condition() is true; fail at the deadline."""
    end = ticks_add(ticks_ms(), ms)
    while not condition():
        if ticks_diff(end, ticks_ms()) <= 0:
            raise SystemExit(f"timeout: {what} not in {ms} ms")
        await sleep_ms(2)


async def go():
    """Wait for the test to send a line, while the other tasks go on."""
    import select

    poller = select.poll()
    poller.register(sys.stdin, select.POLLIN)
    while not poller.poll(0):
        await sleep_ms(5)
    return sys.stdin.readline().strip()


async def turns(n):
    """Let the other tasks run n times."""
    for _ in range(n):
        await sleep_ms(0)


def start(main, seconds=25):
    """@start runs main() to its end; a hang is an error."""
    asyncio.run(wait_for(main(), seconds))
