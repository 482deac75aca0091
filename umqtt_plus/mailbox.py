"""Received messages that wait for `async for message in client`. Loaded when asked for."""

from collections import namedtuple

from .codec import limit
from .options import set_message

Received = namedtuple("Received", ("topic", "payload", "retain", "qos"))


def messages(client, most=20):
    """Let messages wait for `async for message in client`; each has topic, payload, retain, qos.

    A method of the asyncio client; subscribe() calls it when there is no handler. Call it before
    connect(clean_session=False), when the server may have kept messages. When most of them wait, a
    QoS 0 message is dropped, and counted in .dropped; for one of QoS 1 or 2 reading pauses, and
    then answers of the server are not seen either. Each message is copied, which allocates.
    """
    client._mail = box = Mailbox(client, limit("most", most, 1000, 1))
    set_message(client, box.put)
    return box


class Mailbox:
    """An asynchronous iterator: ends at disconnect(), raises what ended the link."""

    def __init__(self, client, most):
        self._c = client
        self.most = most
        self.items = []
        self.full = False
        self.dropped = 0

    def put(self, m):
        if len(self.items) >= self.most:
            if not m.qos:
                self.dropped += 1
                return
            self.full = True
        self.items.append(Received(m.topic, m.payload, m.retain, m.qos))

    def __aiter__(self):
        return self

    async def __anext__(self):
        c = self._c
        while not self.items:
            if not c._task and not c._keep:
                if c._why is True:
                    raise StopAsyncIteration
                raise c._why or OSError(107)  # ENOTCONN
            await c._look(None)
        m = self.items.pop(0)
        self.full = len(self.items) >= self.most
        return m
