"""The one reused view of a received message.

It points into the receive buffer, so nothing is copied; valid only while the handler runs.
"""

from .receive import load


def view(client):
    """The client's view, made when it is first needed."""
    if client._view is None:  # an empty payload makes it false
        load(client)
        client._view = (client._found[-1] or Message)(client)  # see v5.py
    return client._view


class Message:
    """buf[start:end] is the payload, or a piece of it; head is the packet's first byte."""

    def __init__(self, client):
        self._c = client
        self.buf = client._rx
        self._mv = client._mv
        self._found = client._found
        self.piece = -1  # where a piece begins, see set_stream
        self.offset = self.total = 0
        self.handler = None  # takes the pieces

    @property
    def head(self):
        return self._found[0]

    @property
    def topic_end(self):
        return self._found[1]

    @property
    def end(self):
        return self._found[2]

    @property
    def topic_start(self):
        return self.topic_end - self._c._tl if self.topic_end else 0

    @property
    def start(self):
        if self.piece >= 0:
            return self.piece
        return self.topic_end + 2 if self.head & 6 else self.topic_end

    @property
    def qos(self):
        return self.head >> 1 & 3

    @property
    def retain(self):
        return bool(self.head & 1)

    @property
    def dup(self):
        return bool(self.head & 8)

    @property
    def topic(self):
        """A copy of the topic (allocates)."""
        return bytes(self._mv[self.topic_start : self.topic_end])

    @property
    def payload(self):
        """A copy of the payload or piece (allocates)."""
        return bytes(self._mv[self.start : self.end])

    def __len__(self):
        return self.end - self.start

    def topic_is(self, topic):
        """Whether the topic equals these bytes. Allocates nothing."""
        return self._same(topic, self.topic_start, self.topic_end)

    def payload_is(self, payload):
        """Whether the payload equals these bytes. Allocates nothing."""
        return self._same(payload, self.start, self.end)

    def _same(self, x, i, end):
        if end - i != len(x):
            return False
        buf = self.buf
        for c in x:
            if buf[i] != c:
                return False
            i += 1
        return True

    def payload_into(self, buf):
        """Copy the payload or piece to the start of buf; how many bytes. Allocates nothing.

        ValueError when buf is too short, with nothing copied.
        """
        i = self.start
        n = self.end - i
        if n > len(buf):
            raise ValueError("buf: %d bytes, the payload has %d" % (len(buf), n))
        mine = self.buf
        for j in range(n):
            buf[j] = mine[i]
            i += 1
        return n
