"""The durable session of MQTT 5.0: what store.py and inbox.py do otherwise there.

Loaded by a store whose client speaks 5.0. What the file has more: properties in the packets and
messages, as they came and went, and ids that are not to be used again in this session, for the
server may hold them: of messages that a new connection does not permit (MQTT-3.2.2-11, -14, -15).

When the server has lost the session, what may have been sent is dropped, from the file before
anything goes out, and client.unresolved tells of it (MQTT-3.2.2-5); with discard=True connect()
raises lost.SessionLost then. After a power cut that is all that waited: whether a message was
never sent is not in the file. A refused message has gone from the file before on_published()
tells, and one that the application refuses before the server is told.
"""

from micropython import const

from .inbox import Inbox
from .inflight import Outbound
from .store import Store
from .v5 import check

_DEL = const(4)
_GONE = const(5)  # of an id that is not to be used
_ADD = const(16)  # of the inbox
_USED = const(18)
_UNDO = const(19)
_PUBLISH = const(8)  # in v5._KINDS


def setup(store):
    """Make store one for MQTT 5.0, before its file is read."""
    c = store.c
    v = c._v
    if hasattr(v, "started"):
        raise ValueError("version: 4 or 5 with a store")  # a file is of one of them
    if v.named.get("session_expiry_interval") == 0:
        raise ValueError("session_expiry_interval: a store needs one")
    if v.aliases:
        raise ValueError("topic_alias_maximum: none with a store")
    if not c.client_id:
        raise ValueError("client_id: a store needs one")
    store.who += b"/5"  # a file of 3.1.1 is of another session
    store._parts[0] = five = Five(store)
    store.part = five.part
    store._control = five.control
    store._resume = five.resume
    v.dropped = five.dropped


class Five:
    """Stands in for methods of the store, and keeps the records of kind 5."""

    def __init__(self, store):
        self.s = store
        self.v = store.c._v
        self.lost = []  # for client.unresolved, until the file is without it
        self.raises = store.discard
        store.discard = None

    def part(self, kind):
        s = self.s
        if kind >> 4 == 1 and 1 not in s._parts:
            s._parts[1] = Inbox5(s)
        return Store.part(s, kind)

    def control(self, c, first, p):
        t = self.s.t
        v = self.v
        i = p % t.slots
        if v.codes[i] < 128 or t.state[i] & 7 != (2 if first == 0x40 else 4):
            return Store._control(self.s, c, first, p)
        try:
            self.s.must(_DEL, p)  # never sent again (MQTT-4.4.0-2)
        except BaseException:
            if t.slab[i * t.size] & 6 == 4:
                t.state[i] |= 1  # it awaits its PUBREC, as before
            v.failed.pop()
            raise
        return Outbound.control(t, c, first, p)

    def resume(self, present):
        s = self.s
        c = s.c
        if c.state != 2:
            Store._resume(s, present)  # clear() calls
            return
        self.lost += c.unresolved
        c.unresolved = []
        self.part(16)
        if not present and s.established:
            s.epoch = s.epoch + 1 & 255
        Store._resume(s, present)
        c.unresolved = self.lost
        self.lost = []
        if self.raises and c.unresolved:
            raise self.raises.SessionLost(0xFF, c.unresolved)

    def dropped(self, p):
        """Message p has left the table without an answer."""
        for x in self.s.c.unresolved:
            if x[0] == p:
                return  # the file is about to be written anew
        if p in self.v.gone:
            self.s.must(_GONE, p)
        self.s.must(_DEL, p)

    # -- as a part of the store ------------------------------------------------------------------

    def counted(self):
        return 0

    def forget(self):
        self.v.gone = []

    def snapshot(self):
        if self.s.established:
            for p in self.v.gone:
                self.s.write(_GONE, 0, p)

    def apply(self, s, h, buf, n):
        self.v.gone.append(h[3] << 8 | h[4])
        return h[0] == _GONE


class Inbox5(Inbox):
    """As Inbox, with properties, and messages that the application refuses."""

    def _call(self, m):
        c = self.c
        if not c.state:  # from the file
            found = c._found
            found[4] = m.topic_end + 2
            found[3] = check(c._rx, m.topic_end + 2, m.end, _PUBLISH)
        Inbox._call(self, m)

    def _hand(self, m):
        s = self.s
        p = self.c._owed
        if not p or m.qos < s.inbox_qos or not (self._user or self._cb) or self.items:
            Inbox._hand(self, m)
            return
        i = m.topic_start - 2
        s.put(_ADD, m.head, p, m.buf, i, m.end - i)
        s.number += 1
        m.number = s.number
        self._hot = p
        if m.head & 4:
            self._known = p
        v = self.c._v
        done = False
        try:
            self._call(m)
            done = True
        finally:
            try:
                if done and not v.refused:
                    s.lazy(_USED, p)
                else:
                    self._known = 0
                    if done and s.established:
                        s.must(_UNDO, p)  # its id is free once the server knows (MQTT-4.3.3-9)
                    else:
                        s.lazy(_UNDO, p)
            finally:
                self._hot = 0
