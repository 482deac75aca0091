"""Board of flash.py with a client of MQTT 5.0. Packets: see driver5.py."""

import umqtt_plus.properties  # noqa: F401, before the clocks are looked for
from driver5 import OK, RESUMED, ack, publish
from flash import NAME, WHO, Board, Wire

__all__ = (
    "NAME",
    "WHO5",
    "Board5",
    "ack",
    "down",
    "in_handler",
    "publish",
    "resumed",
    "up1",
    "up2",
)

WHO5 = WHO + b"/5"
PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70


class Wire5(Wire):
    """Takes write(buf), too, which _fail() uses. A refusal needs no record of the id."""

    def write(self, buf, off=0, n=None):
        return Wire.write(self, buf, off, len(buf) - off if n is None else n)


class Board5(Board):
    def __init__(self, *args, **options):
        options.setdefault("version", 5)
        self.codes = []  # (packet_id, reason code) in on_published()
        self.seen = []  # properties of each message
        self.refuse = 0  # what the handler answers
        Board.__init__(self, *args, **options)
        self.client.on_published(self._published)

    def _open(self, *args):
        _, link = Board._open(self, *args)
        self.link = Wire5(self, link.answer)
        self.link.space = self.space
        return (None, self.link)

    def _published(self, packet_id):
        self.done.append(packet_id)
        self.codes.append((packet_id, self.client.reason_code))

    def note(self, m):
        self.seen.append(m.properties)
        Board.note(self, m)

    def _message(self, m):
        Board._message(self, m)
        if self.refuse:
            m.refuse(self.refuse)

    def reboot(self, keep=0, handler=True, **changes):
        self.flash.power(keep)
        name, store, server, options = self.again
        options = dict(options)
        options.update(changes)
        store = options.pop("store", store)
        return Board5(self.flash, handler, name, store, server, **options)

    def connect(self, clean=True, answer=OK, size=0, **options):
        return Board.connect(self, clean, answer, size, **options)

    def up(self, answer=OK):
        self.connect(False, answer)
        self.out()
        return self

    def accept(self, topic, msg, retain=False, qos=1, properties=None):
        return self.run(self.client.publish_nowait, topic, msg, retain, qos, properties)

    def leaves(self, first, body):
        if first & 0xF0 == 0x50 and len(body) > 2 and body[2] > 127:
            p = body[0] << 8 | body[1]
            assert p not in self.durable.rx, "a refused id is on file"
            return
        Board.leaves(self, first, body)


def up1(p, payload=b"a", dup=0, properties=""):
    return publish(b"t", payload, 1, p, dup, properties)


def up2(p, payload=b"a", dup=0, properties=""):
    return publish(b"t", payload, 2, p, dup, properties)


def resumed(b):
    """What a board sends after a reconnect, but CONNECT."""
    b.connect(False, RESUMED)
    data = b.out()
    return data[2 + data[1] :]


def down(b, packet_id, payload=b"in", qos=2, dup=0, properties=""):
    b.feed(publish(b"x", payload, qos, packet_id, dup, properties))


def in_handler(b, f):
    """f(driver) runs inside the next call of the handler."""

    def once(d):
        d.then = None
        f(d)

    b.then = once
