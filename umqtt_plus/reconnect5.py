"""What a Link makes of the reason codes of MQTT 5.0. Loaded for a client with version=5."""

from random import randrange
from time import ticks_add

from micropython import const

from .errors import MQTTException
from .limits5 import drop, tell
from .reconnect import Link
from .v5 import V5

_HOPS = const(3)  # so many servers one behind the other send us away, then we stop following
_AGES = const(0xFFFFFFF)  # see inflight.py
# what does not change by itself: our packets (81 82), version, client id, user, rights,
# method, filter, topic, size, format, retain, QoS, kinds of subscription
_SLOW = b"\x81\x82\x84\x85\x86\x87\x8a\x8c\x8f\x90\x95\x99\x9a\x9b\x9e\xa1\xa2"
_CULPRIT = b"\x90\x95\x99\x9a\x9b"  # a stored message would bring it about again and again


class Codes:
    """Stands in for methods of a Link.

    0x8D, 0xA0: the next try is at once, if that is not what ended the last one, too. 0x8E: another
    client has our client_id; one try after half of slow_ms to all of it. 0x98, and what waiting
    does not mend: a random time up to slow_ms. 0x94: from then on without topic aliases of ours.
    0x9C, 0x9D: see places(). All the rest as with 3.1.1.

    0x90, 0x95, 0x99, 0x9A, 0x9B as the end of a connection that was up may mean a message of QoS 1
    or 2 that waits for its answer. It would go out again with the next connection, for ever: the
    one that fits best has failed, with that code, for who waits for it and for on_published().
    """

    def __init__(self, link, on_moved):
        if on_moved and not callable(on_moved):
            raise ValueError("on_moved: not callable")
        self.link = link
        self.on_moved = on_moved
        self.home = None  # server and port, while we are at another one
        self.away = False  # the other one is for good
        self.hops = 0
        self.said = None  # by the server; a call of the program may have swallowed it
        c = link.client
        self.v = c._v
        self.n = c._n[0]
        self.v.refuse = self.refuse
        link._pause = self.pause
        link._send = self.send

    def refuse(self, code, x):
        try:
            V5.refuse(self.v, code, x)
        except MQTTException as e:
            self.said = e
            raise

    def send(self, number, topic, msg, retain, qos):
        link = self.link
        x = getattr(link.outbox, "properties", None)  # of an Outbox5
        return Link._send(link, number, topic, msg, retain, qos, x)

    def pause(self, e, now, ms, slow):
        """As Link._pause."""
        link = self.link
        c = link.client
        was_up = c._n[0] != self.n
        self.n = c._n[0]
        if "_v" not in c.__dict__:  # it turned out to be 3.1.1
            return Link._pause(link, e, now, ms, slow)
        if self.said and e.args[:1] == (107,):
            link.why = e = self.said
        self.said = None
        code = e.args[0] if isinstance(e, MQTTException) and e.args[1:2] == ("server",) else 0
        if link._tries == 1:
            self.hops = 0
        if code == 0x9C or code == 0x9D:
            return self.moved(e, now, link.slow_ms or link.cap_ms)
        if self.home and not (was_up and self.away):
            c.server, c.port = self.home
            self.home = None
        least = 0
        most = link.slow_ms or link.cap_ms
        if code == 0x8E:
            slow = True
            least = ms = (most + 1) // 2
        elif code == 0x98:
            ms = most
        elif code == 0x94:
            self.v.gives = 0
        elif (code == 0x8D or code == 0xA0) and was_up:
            if link._tries == 1:
                ms = 1
        elif code in _CULPRIT and was_up and self.park(code):
            slow = False
            ms = min(link.cap_ms, link.first_ms << min(link._tries - 1, 12))
        elif code in _SLOW:
            slow = True
            ms = most
        Link._pause(link, e, now, ms, slow, least)

    def park(self, code):
        """The message that the server may have meant has failed; False when there is none."""
        v = self.v
        c = v.c
        t = c._tab
        best = most = oldest = -1
        for i in range(t.slots if t else 0):
            if 1 < t.state[i] < 4:  # sent over this connection, and no answer
                h = t.slab[i * t.size]
                rank = 1
                if code == 0x95:
                    rank = t.length[i]
                    if i in t.sources:
                        rank += t.sources[i][1]
                elif code == 0x9A:
                    rank = h & 1
                elif code == 0x9B:
                    rank = h >> 1 & 3
                # among equals the oldest one
                age = t.order - t.seq[i] & _AGES
                if rank and (rank > most or rank == most and age > oldest):
                    best = i
                    most = rank
                    oldest = age
        if best < 0:
            return False
        p = t.ids[best]
        if t.slab[best * t.size] & 4:
            # the server may hold the id, and would swallow a new message
            v.gone.append(p)
            if len(v.gone) > 32:
                v.gone.pop(0)
        drop(v, t, best, code)
        tell(c, p, code)
        return True

    def moved(self, e, now, ms):
        """The server sends us to another one: on_down() or on_moved() may say that we go."""
        link = self.link
        c = link.client
        was = c.server, c.port
        link._at = ticks_add(now, randrange(ms) + 1)
        if link.on_down:
            link.on_down(e)
        if (c.server, c.port) == was:
            to = None
            if self.on_moved and self.hops < _HOPS:
                to = self.on_moved(e, places(e.args[3]))
            if to:
                self.home = self.home or was
                self.away = e.args[0] == 0x9D
                c.server = to[0]
                c.port = to[1] or c.port
            elif self.home:
                c.server, c.port = self.home
                self.home = None
        self.hops += 1
        if (c.server, c.port) != was and self.hops <= _HOPS:
            ms = min(ms, link.first_ms)  # all of a fleet come there at the same time
            link._at = ticks_add(now, randrange(ms) + 1)
        elif not link.slow_ms:
            raise e


def places(reference):
    """A Server Reference as a list of (server, port); port 0: not given, None: none.

    That is what on_moved(error, places) gets; it returns the pair to go to, or None to stay.
    """
    found = []
    for x in str(reference or b"", "utf-8").split():
        port = ""
        if x[0] == "[":
            x, _, port = x[1:].partition("]")
            port = port[1:]
        elif x.count(":") == 1:
            x, _, port = x.partition(":")
        try:
            found.append((x, int(port or 0)))
        except ValueError:
            pass  # not what the standard recommends
    return found
