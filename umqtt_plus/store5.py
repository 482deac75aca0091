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
    raises = store.discard
    store.discard = None
    gone = Gone(store)
    store._parts[0] = gone

    def part(kind):
        if kind >> 4 == 1 and 1 not in store._parts:
            store._parts[1] = Inbox5(store)
        return Store.part(store, kind)

    def control(c, first, p):
        t = store.t
        i = p % t.slots
        if v.codes[i] < 128 or t.state[i] & 7 != (2 if first == 0x40 else 4):
            return Store._control(store, c, first, p)
        try:
            store.must(_DEL, p)  # never sent again (MQTT-4.4.0-2)
        except BaseException:
            if t.slab[i * t.size] & 6 == 4:
                t.state[i] |= 1  # it awaits its PUBREC, as before
            v.failed.pop()
            raise
        return Outbound.control(t, c, first, p)

    def resume(present):
        if c.state == 2:
            gone.lost += c.unresolved
            part(16)
            if not present and store.established:
                store.epoch = store.epoch + 1 & 255
            gone.note()
            Store._resume(store, present)
            c.unresolved = gone.lost
            gone.lost = []
            if raises and c.unresolved:
                raise raises.SessionLost(0xFF, c.unresolved)
        else:
            Store._resume(store, present)

    store.part = part
    store._control = control
    store._resume = resume
    v.dropped = gone.dropped


class Gone:
    """Messages that left the table without an answer, and ids that the server may hold."""

    def __init__(self, store):
        self.s = store
        self.v = store.c._v
        self.known = []  # what of v.gone is in the file
        self.lost = []  # for client.unresolved, until the file is without it

    def dropped(self, p):
        self.s.lazy(_DEL, p)

    def note(self):
        """Write down what is new in v.gone."""
        s = self.s
        for p in self.v.gone:
            if p not in self.known and s.established:
                s.must(_GONE, p)
        self.known = self.v.gone[:]

    def counted(self):
        return 0

    def forget(self):
        self.v.gone = []

    def snapshot(self):
        s = self.s
        if s.established:
            for p in self.v.gone:
                s.write(_GONE, 0, p)
            self.known = self.v.gone[:]

    def apply(self, s, h, buf, n):
        if h[0] != _GONE:
            return False
        self.v.gone.append(h[3] << 8 | h[4])
        self.known = self.v.gone[:]
        return True


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
