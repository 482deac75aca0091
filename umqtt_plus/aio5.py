"""Verbs of the asyncio client with MQTT 5.0: those of verbs5.py, awaited. Loaded on first use."""

from .verbs5 import (  # noqa: F401, names that the client looks for here
    farewell,
    judged,
    options,
    request,
    set_auth,
    set_last_will,
)


async def publish(client, topic, msg, retain=False, qos=0, timeout_ms=None, properties=None):
    """As aio.MQTTClient.publish, with properties; MQTTException when the server refuses."""
    end = client._end(timeout_ms)
    while True:
        try:
            p = client.publish_nowait(topic, msg, retain, qos, properties)
            if p:
                break
        except OSError:
            if not client._keep:
                raise
        await client._look(end, 105, qos)  # ENOBUFS
    if qos:
        await client.published(p, end)
    elif client._tail is msg and client._tn or client._out is msg and client._on:
        await client._clear(end, client._task)  # msg is being sent from where it is
    return p


async def published(client, packet_id, end=None):
    """As aio.MQTTClient.published; MQTTException when the server has refused the message."""
    await type(client).published(client, packet_id, end)
    client._v.judge(packet_id)


async def disconnect(client, reason_code=0, properties=None):
    """As the client's, with a reason_code (4: the will is published) and properties."""
    if reason_code or properties:
        x = farewell(client, reason_code, properties)
        if client._task:
            client._why = True
            try:
                await client._clear(client._end(None))
                client._out = x
                client._oat = 0
                client._on = len(x)
                await client._clear(client._end(None))
            except OSError:
                pass  # the link is gone: nobody to say goodbye to
            client._close()
    await type(client).disconnect(client)


async def subscribe(
    client,
    topic,
    qos=0,
    timeout_ms=None,
    *,
    no_local=False,
    retain_as_published=False,
    retain_handling=0,
    properties=None,
):
    """As verbs5.subscribe(). Without a handler, messages then wait for `async for`."""
    if not client._take and not client.cb:
        client.messages()
    o = options(no_local, retain_as_published, retain_handling)
    return judged(await ask(client, 0x82, topic, qos, o, properties, timeout_ms), topic)


async def unsubscribe(client, topic, timeout_ms=None, properties=None):
    """As verbs5.unsubscribe()."""
    return judged(await ask(client, 0xA2, topic, 0, 0, properties, timeout_ms), topic)


async def ask(c, first, topics, qos, options, properties, timeout_ms):
    """Send a request and wait for its codes."""
    end = c._end(timeout_ms)
    await c._clear(end)
    p = request(c, first, topics, qos, options, properties)
    want = c._asks[p]
    try:
        c._flush()
        while c._asks.get(p) is want:
            await c._look(end)
    finally:
        if c._asks.get(p) is want:
            c._asks[p] = (want,)  # the id stays taken until the answer comes
    if p not in c._asks:
        c._lost()
    return c._asks.pop(p)


async def reauthenticate(client, timeout_ms=None):
    """Authenticate again on the live connection (4.12.1). MQTTException: the server refuses."""
    a = client._v.auth
    if not a:
        raise ValueError("reauthenticate: set_auth() first")
    end = client._end(timeout_ms)
    await client._clear(end)
    a.again(client)
    client._flush()
    while a.open:
        await client._look(end)
