"""What a server of MQTT 5.0 does not take, checked before it is sent. Loaded if it says so."""

from .codec import limit
from .inflight import Outbound


class Window:
    """Receive Maximum, where it is smaller than the table (MQTT-3.3.4-7, MQTT-4.9.0-1).

    Sent and not finished counts, what is left of the connections before included.
    """

    def __init__(self, t, most):
        self.t = t
        self.most = most

    def open(self):
        """Whether one more message may go out."""
        n = self.most
        for s in self.t.state:
            if 0 < s < 8 or s == 12:
                n -= 1
        return n > 0

    def pick(self, c):
        """Outbound.pick; 0 when nothing may go out before an answer comes. PUBRELs always may."""
        t = self.t
        if not self.open() and b"\x0c" not in t.state:
            c._busy = 0
            return 0
        return Outbound.pick(t, c)


def allow(v, topic, msg, retain, qos):
    """ValueError when the server does not take this message (MQTT-3.2.2-11, -14, -15)."""
    if qos > v.qos:
        limit("qos (the server takes less)", qos, v.qos)
    if retain and not v.retain:
        raise ValueError("retain: the server takes no retained messages")
    c = v.c
    if topic is not c._of:
        c._check(topic)
    n = len(msg.encode() if isinstance(msg, str) else msg) + len(c._top) + len(v.props) + 2
    if qos:
        n += 2
    n += 2 if n < 128 else 3 if n < 16384 else 4 if n < 2097152 else 5
    limit("packet (the server's maximum)", n, v.most)
    if n + 5 > v.most and v.out:
        v.out.off = True  # an alias makes it too large
        c._txof = c


def drop(v, t, i, code):
    """Take message i out of the table, as failed with code."""
    if len(v.failed) > 31 + t.slots:
        v.failed.pop(0)
    v.failed.append((t.ids[i], code, None))
    if t.state[i] > 8:
        t.todo -= 1
    t.state[i] = 0
    t.used -= 1
    t.sources.pop(i, None)
    if v.dropped:
        v.dropped(t.ids[i])


def lose(v, t):
    """The server has lost the session: what may have been sent has an unknown end (MQTT-3.2.2-5).

    What was never sent stays, and goes out as new.
    """
    v.gone = []
    for i in range(t.slots):
        s = t.state[i]
        if s and (s < 9 or s == 12 or t.slab[i * t.size] & 8):
            v.c.unresolved.append((t.ids[i], s & 7 == 4))
            drop(v, t, i, 0xFF)


def park(v, t):
    """Fail what this connection does not permit; the server may hold its id, so it stays taken.

    on_published() is told, with the code in client.reason_code.
    """
    told = []
    for i in range(t.slots):
        s = t.state[i]
        if s & 7 in (2, 3):
            h = t.slab[i * t.size]
            code = 0
            if h >> 1 & 3 > v.qos:
                code = 0x9B
            elif h & 1 and not v.retain:
                code = 0x9A
            elif t.length[i] + t.sources.get(i, (0, 0))[1] > v.most:
                code = 0x95
            if code:
                if s < 9 or h & 8:  # it was sent
                    v.gone.append(t.ids[i])
                drop(v, t, i, code)
                told.append((t.ids[i], code))
    for p in v.gone:
        v.c._asks[p] = b""
    error = None
    for p, code in told:
        try:
            tell(v.c, p, code)
        except Exception as e:
            error = e  # the others are to be told, too
    if error:
        raise error


def tell(c, p, code):
    """Tell on_published(), as a handler, that p has failed; it may try to publish."""
    c.reason_code = code
    if c.on_pub:
        was = c._in
        c._in = True
        try:
            c.on_pub(p)
        except OSError:
            pass  # it cannot, now
        finally:
            c._in = was
