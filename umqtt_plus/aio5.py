"""Verbs of the asyncio client with MQTT 5.0: those of verbs5.py, awaited. Loaded on first use."""

from time import ticks_diff, ticks_ms

from .verbs5 import (  # noqa: F401, names that the client looks for here
    allowed,
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


async def publish_stream(client, topic, length, readinto, retain=False, qos=0, timeout_ms=None):
    """As the client's; without properties."""
    from .aio_verbs import publish_stream as stream

    allowed(client, topic, length, retain, qos)
    return await stream(client, topic, length, readinto, retain, qos, timeout_ms)


async def published(client, packet_id, end=None):
    """As aio.MQTTClient.published; MQTTException when the server has refused the message.

    MQTTException(0xFF): the server has lost the session, and it is not known whether it had it.
    """
    v = client._v  # version="auto" may take it away meanwhile
    await type(client).published(client, packet_id, end)
    v.judge(packet_id)


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
                client._flush()  # no wait: nobody shall write behind it
                for _ in range(40):
                    client.sock.readinto(client._bit)
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
    if "_v" not in c.__dict__:  # 3.1.1, see auto5.py
        return await plain(c, first, topics, qos, options, ticks_diff(end, ticks_ms()))
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


async def plain(c, first, topics, qos, options, timeout_ms):
    """ask() of a client that has found that the server has no 5.0."""
    from .aio_verbs import ask

    if options & 4:
        raise ValueError("no_local: the server has no MQTT 5.0")
    codes = await ask(c, first, topics, qos, timeout_ms)
    return codes or bytes(len(topics) if isinstance(topics, (list, tuple)) else 1)


async def reauthenticate(client, timeout_ms=None):
    """Authenticate again on the live connection (4.12.1). MQTTException: the server refuses."""
    a = client._v.auth
    if not a:
        raise ValueError("reauthenticate: set_auth() first")
    end = client._end(timeout_ms)
    await client._clear(end)
    if a.open:
        raise OSError(114)  # EALREADY: another task is at it
    task = client._task
    a.again(client)
    client._flush()
    while a.open:
        await client._look(end)
        if task is not client._task:
            client._lost()


def messages(client, most=20):
    """As mailbox.messages(); each message has properties, too, as Message5 has them."""
    from .mailbox import _mailbox
    from .mailbox5 import Mailbox5

    return _mailbox(client, most, Mailbox5)
