"""Received messages that wait for `async for message in client`. Loaded when asked for."""

from collections import namedtuple
from time import ticks_diff

from .acks import ack
from .codec import limit
from .options import set_message

Received = namedtuple("Received", ("topic", "payload", "retain", "qos"))


def messages(client, most=20):
    """Let messages wait for `async for message in client`; each has topic, payload, retain, qos.

    A method of the asyncio client; subscribe() calls it when there is no handler. Call it before
    connect(clean_session=False), when the server may have kept messages. A message of QoS 1 or 2
    is acknowledged when the loop asks for the one behind it, so the server sends no more than it
    may have open; what was not acknowledged when the link broke comes again. When most of them
    wait, a message of QoS 0 is dropped and counted in .dropped. Each is copied, which allocates.
    With 128 more than most waiting nothing is read, no answer either: a loop that publishes with
    QoS 1 then wants a server that has fewer open (Receive Maximum, or its own limit).
    """
    return _mailbox(client, most, Mailbox)


def _mailbox(client, most, kind):
    """The one that is there, with what waits in it, or a new one of that kind."""
    limit("most", most, 1000, 1)
    box = client._mail
    if not box:
        client._mail = box = kind(client)
    box.most = most
    set_message(client, box.put)
    return box


class Mailbox:
    """An asynchronous iterator: ends at disconnect(), raises what ended the link."""

    def __init__(self, client):
        self._c = client
        self.most = 20
        self.items = []  # (message, which connection it came by, packet_id or 0)
        self._last = None  # the one the application has
        self.dropped = 0

    def put(self, m):
        c = self._c
        p = c._owed
        if not p and len(self.items) >= self.most:
            self.dropped += 1
            return
        self.items.append((Received(m.topic, m.payload, m.retain, m.qos), c._n[0], p))
        if m.head & 4:
            c._tab.ids_in.add(p)
        c._owed = 0  # the answer comes later

    def full(self, now):
        """No server should have so many open: then read no more, only do what is due."""
        if len(self.items) < self.most + 128:
            return False
        c = self._c
        c._rend = now  # nobody looks, so nothing is missing
        if ticks_diff(c._due, now) <= 0:
            c._tick(now)
        c._flush()
        return True

    def __aiter__(self):
        return self

    async def __anext__(self):
        c = self._c
        if self._last:
            m, link, p = self._last
            self._last = None
            while p and c._task and c._n[0] == link:
                if c._an <= 60:
                    ack(c, 0x50 if m.qos == 2 else 0x40, p)
                    p = 0
                if not self.items or c._an > 60:
                    try:
                        c._flush()
                    except OSError as e:
                        c._why = e
                    if p:
                        await c._look(None, 0, False)
        while not self.items:
            if c._why is True and not c._task and not c._keep:
                raise StopAsyncIteration
            await c._look(None)
        self._last = self.items.pop(0)
        return self._last[0]
