"""What the tests of the durable session share: verbs, files with all in them, bad flashes."""

from driver import RESUMED, ack, publish
from flash import EIO, ENOSPC, Board, Cut, Flash
from util import raises

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70


def up1(p, payload=b"a", dup=0):
    return publish(b"t", payload, 1, p, dup)


def up2(p, payload=b"a", dup=0):
    return publish(b"t", payload, 2, p, dup)


def resumed(b):
    """What a board sends after a reconnect, but CONNECT."""
    b.connect(False, RESUMED)
    return b.out()[15:]


def down(b, packet_id, payload=b"in", qos=2, dup=0):
    b.feed(publish(b"x", payload, qos, packet_id, dup))


def payloads(b):
    return [m[1] for m in b.got]


def in_handler(b, f):
    """f(driver) runs inside the next call of the handler."""

    def once(d):
        d.then = None
        f(d)

    b.then = once


def boom(b):
    raise KeyError(1)


def power(b):
    b.flash.cut = 0
    b.flash.step("in the handler")


def cut_inside(b, packet_id=9, payload=b"in", qos=2, keep=0, **changes):
    """Power is cut while the message is handed over; the next board."""
    in_handler(b, power)
    with raises(Cut):
        down(b, packet_id, payload, qos)
    return b.reboot(keep, **changes)


def flushed(b):
    """All that is written becomes durable."""
    for node in b.flash.files.values():
        node.safe = len(node.data)


def cost(b, f, *args, **options):
    """Flushes that f needs."""
    before = b.flash.count("flush")
    f(*args, **options)
    return b.flash.count("flush") - before


def undone(b, packet_id):
    """A message whose handler raises; the link is closed."""
    b.then = boom
    with raises(KeyError):
        down(b, packet_id)
    b.then = None


def rich(flash=None):
    """A board whose file has a record of each kind and each state a packet can be in."""
    b = Board(flash, inflight=8).up()
    for qos in (1, 2, 2, 1, 2, 1):
        b.accept(b"t", b"%d" % qos, qos=qos)
    b.feed(ack(PUBREC, 3) + ack(PUBREC, 2) + ack(PUBACK, 4))
    down(b, 9)
    down(b, 300)
    b.feed(ack(PUBREL, 9))
    undone(b, 10)
    b.up(RESUMED)
    b.feed(ack(PUBREC, 5) + ack(PUBCOMP, 5))
    b.run(b.store.part(16)._add, 11)
    b.then = off
    down(b, 12, b"hot")
    return b


def off(b):
    """In the handler: the power is cut, and nothing is lost that was written."""
    b.then = None
    flushed(b)
    b.saved = b.flash.get(b.name)


def saved():
    return rich().saved


def boot(data, **options):
    """A board that finds this file."""
    flash = Flash()
    flash.put(data)
    return Board(flash, **options)


def failing():
    """Ways in which the flash does not take a record: (how, errno)."""
    for n in range(0, 40):
        for part in (False, True):
            yield (n, part, ENOSPC)
    yield ("write", False, EIO)
    yield ("flush", False, EIO)


def fail(flash, how, part):
    """Let the flash fail; on() ends it."""
    if isinstance(how, int):
        flash.full = how
        flash.part = part
    else:
        flash.fail[how] = EIO


def mend(flash):
    flash.full = -1
    flash.fail.clear()
