"""What an asyncio publisher seldom calls: methods of aio.MQTTClient, loaded on first use."""

from asyncio import sleep_ms

from .errors import MQTTException
from .receive import load
from .subscribe import request


async def publish_stream(c, topic, length, readinto, retain=False, qos=0, timeout_ms=None):
    """As the synchronous one: length bytes from readinto(buf, offset). Returns packet_id.

    When the link is lost it raises; with QoS 1 and 2 the message goes out again all the same.
    """
    from .stream import steps

    await c._clear(c._end(timeout_ms))
    task = c._task
    try:
        for p in steps(c, topic, length, readinto, retain, qos, timeout_ms):
            if not p:
                await sleep_ms(5)
                if task is not c._task:
                    c._lost()
    except OSError as e:
        if not c._task and not c._why:
            c._why = e
        raise
    if qos:
        await c.published(p, c._end(timeout_ms))
    return p


async def subscribe(c, topic, qos=0, timeout_ms=None):
    """As the synchronous one. Without a handler, messages then wait for `async for`."""
    if not c._take and not c.cb:
        c.messages()
    codes = await ask(c, 0x82, topic, qos, timeout_ms)
    if isinstance(topic, (list, tuple)):
        return codes
    if codes[0] == 0x80:
        raise MQTTException(0x80)
    return codes[0]


async def unsubscribe(c, topic, timeout_ms=None):
    """Unsubscribe from a topic filter or a list of them."""
    await ask(c, 0xA2, topic, 0, timeout_ms)


async def ask(c, first, topics, qos, timeout_ms):
    """Send a request and wait for its codes."""
    load(c)
    end = c._end(timeout_ms)
    await c._clear(end)
    p = request(c, first, topics, qos)
    want = c._asks[p]
    try:
        c._flush()
        while c._asks.get(p) is want:
            await c._look(end)
    finally:
        if c._asks.get(p) is want:
            c._asks[p] = ~want  # the id stays taken until the answer comes
    if p not in c._asks:
        c._lost()
    return c._asks.pop(p)
