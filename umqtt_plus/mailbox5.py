"""Received messages of MQTT 5.0 that wait for `async for message in client`: with properties."""

from collections import namedtuple

from .mailbox import Mailbox

Received = namedtuple("Received", ("topic", "payload", "retain", "qos", "properties"))


class Mailbox5(Mailbox):
    def put(self, m):
        n = len(self.items)
        Mailbox.put(self, m)
        if len(self.items) > n:
            x, link, p = self.items[n]
            self.items[n] = (Received(*(x + (m.properties,))), link, p)
