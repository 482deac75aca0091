"""Topic aliases of MQTT 5.0 (3.3.2.3.4), both ways. Loaded where there are any."""

from .codec import header, limit, put


class Inward:
    """The topics behind the server's aliases lie behind rx, buffer_size bytes for each."""

    def __init__(self, c, most):
        h = c._size
        self.base = len(c._rx) - h
        self.size = h
        c._rx = bytearray(len(c._rx) + h * most)
        c._mv = memoryview(c._rx)
        c._up = c._mv[h : 2 * h]
        self.known = [0] * (most + 1)  # their lengths

    def clear(self):
        """They live as long as the connection (MQTT-3.3.2-7)."""
        for i in range(len(self.known)):
            self.known[i] = 0

    def topic(self, rx, alias, p, n):
        """Where the topic of alias ends in rx; at rx[p:] is one of n bytes, which it gets."""
        i = self.base + alias * self.size
        if n:
            self.known[alias] = n
            for j in range(n):
                rx[i + j] = rx[p + j]
        return i + self.known[alias]


class Outward:
    """The first topics of a connection get an alias each, in messages of QoS 0.

    Never in those that are stored: they may go out over another connection.
    """

    def __init__(self, v, most):
        self.v = v
        self.topics = [None] * most
        self.given = 0
        self.off = False  # the next message is to have none

    def prep(self, topic):
        """V5._prep, with an alias."""
        v = self.v
        c = v.c
        if topic is not c._of:
            c._check(topic)
        top = c._top
        tx = c._tx
        v.inside = x = v.props
        n = len(x)
        i = c._size - 5 - n - (125 < n < 129)  # the length may grow
        if len(top) > i:
            limit("topic, properties (buffer_size)", len(top), i)
        a = 0
        v.new = None
        if self.off:
            self.off = False
            v.inside = None  # the next one is to be prepared anew
        elif top in self.topics:
            a = self.topics.index(top) + 1
            top = b""
        elif self.given < len(self.topics):
            a = self.given + 1
            v.new = top
        i = put(tx, 5, top)
        if a:
            n -= 1 if n < 129 else 2 if n < 16386 else 3
            i = header(tx, i - 1, tx[i - 1], n + 3)  # the length, behind the topic
            tx[i] = 35
            tx[i + 1] = 0
            tx[i + 2] = a
            i += 3
        k = len(x) - n
        while n:  # a slice would allocate
            tx[i] = x[k]
            i += 1
            k += 1
            n -= 1
        c._at = i
        c._fit = min(len(tx), 16388) - i
        c._txof = c._of

    def learn(self):
        """The server knows the new alias: from now on it stands for the topic."""
        v = self.v
        self.topics[self.given] = v.new
        self.given += 1
        v.new = None
        v.c._txof = v.c
