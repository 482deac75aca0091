"""Received messages in the journal, from before they are acknowledged until they are dealt with.

Loaded by a store whose client has a message handler. With inbox_qos=2, the default, each QoS 2
message is written down, then handed over, then answered; with 1 QoS 1 messages are, too, at one
flush each; 3 leaves it to the application, and a power cut within the handler shows the message
again only if the server does.

m.number counts the messages that came this way, and is 0 for others. One that a power cut
interrupted is handed over again by set_message() after the reboot, with the same number: an
application that stores it together with the effect of the message, in one write, has that effect
exactly once. Right after Store(): if store.number < last: last = 0, for the file was lost and the
numbers begin again. In the handler: if m.number and m.number == last, it is done already.
A handler that raises has not dealt with it: the server sends it again, under a new number.
"""

from micropython import const

from .message import view
from .receive import Inbound, load

_ADD = const(16)  # flags: the first byte; body: the message from the length of its topic on
_OWN = const(17)  # an id alone: its message is with the application
_USED = const(18)  # the application has dealt with the last message, with flags 1 the first one
_UNDO = const(19)  # it has not dealt with the last one, which will come again
_END = const(20)  # of an id
_WAIT = "messages of before the power cut wait in the store: set_message() before connect()"


class Inbox:
    def __init__(self, store):
        self.s = store
        self.c = c = store.c
        self.items = []  # (number, first byte, id, body): not handed over yet
        self._hot = 0  # id of the message that is being handed over
        self._known = 0  # an id that needs no record; -1: ids move within their table
        self._user = self._cb = None
        load(c)
        view(c).number = 0
        self.ids = ids = c._tab.ids_in
        for name in ("add", "remove", "room"):
            setattr(ids, name, getattr(self, "_" + name))
        c._take = self._hand

    def set_message(self, f):
        self._user = f
        c = self.c
        m = c._view
        while self.items and (self._user or self._cb):
            if c.state:
                raise ValueError(_WAIT)
            if c._in:
                break  # in the handler that has the first of them
            m.number, c._found[0], p, body = self.items[0]
            c._found[2] = len(body)
            c._rx[: m.end] = body
            c._tl = body[0] << 8 | body[1]
            c._found[1] = c._tl + 2
            c._in = True
            try:
                self._call(m)
            finally:
                c._in = False
            self.s.lazy(_USED, p, 1)
            del self.items[0]

    def set_callback(self, f):
        self._cb = f
        self.set_message(self._user)

    def _call(self, m):
        if self._user:
            self._user(m)
        elif self._cb:
            self._cb(m.topic, m.payload)

    # -- in the file -----------------------------------------------------------------------------

    def counted(self):
        return len(self.items) + (self._hot > 0)

    def forget(self):
        self.items.clear()

    def snapshot(self):
        s = self.s
        if s.established:
            for p in self.ids.ids:
                if p:
                    s.write(_OWN, 0, p)
        for _, head, p, body in self.items:
            s.write(_ADD, head, p, body, 0, len(body))
            if head & 4 and not self.ids.has(p):  # it is released, or its session has gone
                s.write(_END, 0, p)
        if self._hot:
            m = self.c._view
            i = m.topic_start - 2
            s.write(_ADD, m.head, self._hot, m.buf, i, m.end - i)

    def apply(self, s, h, buf, n):
        p = h[3] << 8 | h[4]
        kind = h[0]
        ids = self.ids
        if kind == _ADD:
            s.number += 1
            self.items.append((s.number, h[2], p, bytes(buf[:n])))
            if not h[2] & 4:
                return n > 4
        if kind == _ADD or kind == _OWN:
            if not ids.has(p) and self._room():
                Inbound.add(ids, p)
            return ids.has(p)
        if kind == _USED:
            self.items.pop(0 if h[2] else -1)
            return True
        if kind == _UNDO:
            self.items.pop()
        elif kind != _END:
            return False
        if ids.has(p):
            Inbound.remove(ids, p)
        return True

    # -- in place of the client's and the table's own --------------------------------------------

    def _hand(self, m):
        c = self.c
        s = self.s
        p = c._owed
        m.number = 0
        if not p or m.qos < s.inbox_qos or not (self._user or self._cb):
            self._call(m)
            return
        if self.items:
            raise ValueError(_WAIT)
        i = m.topic_start - 2
        s.put(_ADD, m.head, p, m.buf, i, m.end - i)
        s.number += 1
        m.number = s.number
        self._hot = p
        if m.head & 4:
            self._known = p
        done = False
        try:
            self._call(m)
            done = True
        finally:
            if not done:
                self._known = 0
            s.lazy(_USED if done else _UNDO, p)
            self._hot = 0

    def _add(self, p):
        if self._known >= 0:
            if p != self._known:
                self.s.must(_OWN, p)
            self._known = 0
        Inbound.add(self.ids, p)

    def _remove(self, p):
        self.s.must(_END, p)
        Inbound.remove(self.ids, p)

    def _room(self):
        self._known = -1
        try:
            return Inbound.room(self.ids)
        finally:
            self._known = 0
