"""The durable session: what QoS 1 and 2 owe survives a power cut, in a journal file.

    client = MQTTClient("id", "server", inflight=4)
    store = Store(client, "mqtt.log")
    client.set_message(f)
    client.connect(clean_session=False)

A record is in the file before the packet that depends on it: a message before its PUBLISH, its
release before PUBREL, a received QoS 2 message before PUBREC, the end of its id before PUBCOMP.
A mark at the start of the file says whose it is, and whether a session was established; where it
is not, the next connect() makes a new one. It is written with each new file.

The store stands in for methods of the client and of its table, so that who has none pays nothing.
"""

from micropython import const

from .codec import limit
from .inflight import Outbound
from .journal import Journal
from .verbs import publish

_MARK = const(1)
_PUT = const(2)  # body: the packet
_REL = const(3)
_DEL = const(4)
_FORMAT = const(4)


class Store(Journal):
    """Makes the session of client durable, in the file path. Make it before set_message().

    A QoS 1 message out costs one flush, a QoS 2 message either way two. Allocates nothing, but at
    connect() and when the file has grown to max_bytes and is written anew.
    inbox_qos: see inbox.py. outbox: an Outbox that is to survive, too, see queue.py. discard: when
    the server has lost the session, what may have arrived is not sent again, and connect() raises
    lost.SessionLost. With MQTT 5.0 see store5.py.
    accepted: how many QoS 1 and 2 messages publish() took so far; as durable as they are, so that
    an application knows after a reboot which is its next. number: m.number of the last message.
    recovered: "new", "lost" (damaged, or of another client or server) or "session".
    ValueError: the file holds more than this client's tables. OSError: the file cannot be read or
    written; publish() has not accepted then, though a cut may still bring the message to life.
    """

    def __init__(self, client, path, max_bytes=16384, discard=False, inbox_qos=2, outbox=None):
        self.t = t = client._tab
        if client.state or client._take or client.cb:
            raise ValueError("Store: before connect() and set_message()")
        limit("inflight", t.slots if t else 0, 1000, 1)
        limit("max_bytes", max_bytes, 1 << 24, t.slots * (t.size + 11) + 2 * t.size + 4096)
        Journal.__init__(self, path, max_bytes)
        self.c = client
        self.lost = []  # see lost.py
        if discard:
            import umqtt_plus.lost as discard
        self.discard = discard
        self.inbox_qos = inbox_qos
        self.outbox = outbox
        self.who = client.client_id + ("@%s:%d" % (client.server, client.port)).encode()
        self.established = False
        self._parts = {}
        self.forget()
        self.moving = None  # topic of the message that leaves the outbox
        self.recovered = self.load()
        if outbox is not None:
            self.part(32).ready()
        client._ours = self.established
        if not self._f:
            self.compact()
        for name in ("accept", "control", "clear", "resume"):
            setattr(t, name, getattr(self, "_" + name))
        for name in ("set_message", "set_callback", "messages"):
            setattr(client, name, getattr(self, name))
        client._pub = self._publish

    def set_message(self, f):
        """As the client's; hands over at once what a power cut left in the inbox."""
        self.part(16).set_message(f)

    def set_callback(self, f):
        """As the client's."""
        self.part(16).set_callback(f)

    def messages(self, most=20):
        raise ValueError("messages: a store needs set_message()")

    def close(self):
        """Close the file; the client must not be used any more."""
        if self._f:
            self._f.close()

    # -- what is in the file ---------------------------------------------------------------------

    def load(self):
        import umqtt_plus.recover as room

        return room.recover(self)

    def forget(self):
        """Back to a file with nothing in it."""
        Outbound.clear(self.t)
        self.number = 0  # of the last message that went by way of the inbox
        self.accepted = 0
        for part in self._parts.values():
            part.forget()

    def part(self, kind):
        """Who keeps records of this kind, loaded when it is needed."""
        part = self._parts.get(kind >> 4)
        if not part:
            if kind < 32:
                from .inbox import Inbox as Part
            else:
                from .queue import Queue as Part
            self._parts[kind >> 4] = part = Part(self)
        return part

    def snapshot(self):
        n = self.number
        for part in self._parts.values():
            n -= part.counted()  # their records count on from here
        t = self.t
        b = bytes((_FORMAT, self.established))
        b += t.next_id.to_bytes(2, "big") + n.to_bytes(4, "big")
        n = self.accepted
        if self.established:
            for x in t.state:
                n -= 0 < x & 7 < 4
        b += n.to_bytes(4, "big") + self.who
        self.write(_MARK, 0, 0, b, 0, len(b))
        if self.established:
            for i in sorted(range(t.slots), key=lambda i: -(t.order - t.seq[i] & 0xFFFFFFF)):
                if t.state[i] & 7 == 4:
                    self.write(_REL, 0, t.ids[i])
                elif t.state[i]:
                    self.write(_PUT, 0, t.ids[i], t.slab, i * t.size, t.length[i])
        for part in self._parts.values():
            part.snapshot()

    # -- in place of the client's and the table's own --------------------------------------------

    def _publish(self, c, topic, msg, retain, qos, timeout_ms):
        c._dry = False  # so that it goes through the table
        return publish(c, topic, msg, retain, qos, timeout_ms)

    def _accept(self, c, topic, msg, retain, qos, more=0):
        if more:
            raise ValueError("publish_stream: qos 0 only, with a store")
        if isinstance(msg, str):
            msg = msg.encode()
        t = self.t
        if self.established:
            self.room(t.size + 11)
        c._busy = 1  # so that it waits for its turn to be written
        p = self.accept(c, topic, msg, retain, qos)  # what stood there before: recover.py
        if p and self.established:
            i = p % t.slots
            try:
                self.put(_PUT, topic is self.moving, p, t.slab, i * t.size, t.length[i])
            except BaseException:
                t.state[i] = 0
                t.used -= 1
                t.todo -= 1
                raise
            self.accepted += 1
            if topic is self.moving:
                self.part(32).moved()
        return p

    def _control(self, c, first, p):
        t = self.t
        i = p % t.slots
        s = t.state[i]
        if self.established and t.ids[i] == p and i != t.writing:
            if s < 9 or s == 12 or t.slab[i * t.size] & 8:  # it was sent
                s &= 7
                if first == 0x50:
                    if s == 3:
                        self.must(_REL, p)
                elif s == (2 if first == 0x40 else 4):
                    self.lazy(_DEL, p)  # first of all: on_published() may use the id again
        return Outbound.control(t, c, first, p)

    def must(self, kind, p):
        """Append what an answer of ours depends on; without it the link ends here."""
        if self.established:
            try:
                self.put(kind, 0, p)
            except BaseException:
                self.c._close()
                raise

    def _clear(self):
        if self.established or self._at >= self.max_bytes:  # it could not be written last time
            self.established = False
            self.epoch = self.epoch + 1 & 255
            self.compact()
        Outbound.clear(self.t)

    def _resume(self, present):
        t = self.t
        if self.c.state == 2:  # else it is clear() that calls
            if t.ids_in:
                self.part(16)  # there is a set_stream() handler only
            if self.c._ours:
                if not present:
                    if t.ids_in:
                        t.ids_in.clear()
                    if self.discard and self.established:
                        self.discard.drop(self)
                if not present or not self.established or self._at >= self.max_bytes:
                    self.established = True
                    self.compact()
            if self.lost:
                self.discard.tell(self)
        Outbound.resume(t, present)
