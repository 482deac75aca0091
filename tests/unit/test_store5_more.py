"""The store of MQTT 5.0 with deep sleep, with an outbox on file, with a Link, and small files."""

from driver import Random
from driver5 import OK, RESUMED, Driver5, connack
from flash import DEL, MARK, PUT, REL, Cut
from flash5 import Board5, ack, publish, resumed, up1, up2
from umqtt_plus.errors import MQTTException
from umqtt_plus.outbox5 import Outbox5
from umqtt_plus.reconnect import Link
from umqtt_plus.sleep import SleepStore
from util import each, raises, same

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70
NAMES = {"user_property": [("k", "v")]}
PROPS = "26 'k''v'"


# -- deep sleep -----------------------------------------------------------------------------------


class Medium:
    size = 500
    data = None

    def load(self):
        return self.data

    def save(self, data):
        self.data = bytes(data)


class Sleeper:
    """wake() makes client and store anew."""

    def __init__(self):
        self.medium = Medium()

    def wake(self, version=5, **options):
        self.d = d = Driver5(handler=None, inflight=4, buffer_size=64, version=version)
        self.s = SleepStore(d.client, self.medium, **options)
        d.names = version == 5
        d.client.set_message(d._message)
        return d

    def save(self, notes=b""):
        self.d.run(self.d.client.disconnect)
        self.s.save(notes)


def packets(d):
    data = d.out()
    return data[2 + data[1] :]


def test_sleep():
    """Messages, their properties, ids received and ids that are given up, over two sleeps."""
    b = Sleeper()
    d = b.wake()
    same((b.s.recovered, b.s.notes), ("new", b""))
    d.connect(False, OK)
    for qos in (1, 2, 2, 2):
        d.run(d.client.publish_nowait, b"t", b"a", False, qos, NAMES)
    d.feed(ack(PUBREC, 2) + ack(PUBREC, 3, 0x97) + publish(b"x", b"in", 2, 9))
    b.s.c._v.gone.append(7)
    b.save(b"notes")
    for _ in range(2):
        d = b.wake()
        same((b.s.recovered, b.s.notes, d.tables), ("session", b"notes", (3, 1)))
        same(d.client._v.gone, [7])
        d.connect(False, RESUMED)
        same(packets(d), ack(PUBREL, 2) + up1(1, b"a", 8, PROPS) + up2(4, b"a", 8, PROPS))
        b.save(b"notes")


def test_sleep_and_damage():
    """Nothing there, a flipped bit, a cut end: begun anew; so is a sleep of the other version."""
    b = Sleeper()
    d = b.wake()
    d.connect(False, OK)
    d.run(d.client.publish_nowait, b"t", b"a", False, 2, NAMES)
    b.save()
    whole = b.medium.data
    for data in (whole[:-1], whole[:5], bytes((whole[0] ^ 1,)) + whole[1:], whole[:9] + b"\0"):
        b.medium.data = data
        d = b.wake()
        same((b.s.recovered, d.tables, b.s.notes), ("lost", (0, 0), b""))
    for data in (None, b""):
        b.medium.data = data
        b.wake()
        same(b.s.recovered, "new")
    b.medium.data = whole
    same(Sleeper.wake(b, 4).tables, (0, 0))
    same(b.s.recovered, "lost")
    b.medium.data = whole
    same((b.wake().tables, b.s.recovered), ((1, 0), "session"))


def test_lost_while_asleep():
    """MQTT5-3.2.2-5: told, and the medium has nothing of it."""
    b = Sleeper()
    d = b.wake()
    d.connect(False, OK)
    d.run(d.client.publish_nowait, b"t", b"a", False, 2)
    b.save()
    d = b.wake()
    d.connect(False, OK)
    same((packets(d), d.client.unresolved, b.medium.data), (b"", [(1, False)], b""))


# -- an outbox on file ----------------------------------------------------------------------------


class Pair:
    """A board with an Outbox5 and a Link."""

    def __init__(self, flash=None):
        self.box = Outbox5(700, 20)
        self.b = Board5(flash, handler=False, store={"outbox": self.box, "max_bytes": 9000})
        self.link = Link(self.b.client, outbox=self.box)

    def put(self, *args, **how):
        return self.b.run(self.box.put, *args, **how)

    def up(self, answer):
        b = self.b
        b.connect(False, answer)
        b.out()
        b.run(self.link._won)
        b.run(self.link.pump)
        return b.out()

    def reboot(self, keep=0):
        self.b.flash.power(keep)
        return Pair(self.b.flash)


def test_outbox():
    """Properties wait on file, and go out with the message, before and after a power cut."""
    p = Pair()
    p.put(b"t", b"0", False, 0, properties=NAMES)
    p.put(b"t", b"1", False, 1, properties=NAMES)
    p.put(b"t", b"2", False, 2)
    p = p.reboot()
    same(len(p.box), 3)
    wanted = publish(b"t", b"0", 0, 0, 0, PROPS) + up1(1, b"1", 0, PROPS) + up2(2, b"2")
    same(p.up(OK), wanted)
    same((len(p.box), p.b.tables, p.b.store.accepted), (0, (2, 0), 2))
    p = p.reboot()
    same((len(p.box), p.b.tables, p.b.store.accepted), (0, (2, 0), 2))
    same(resumed(p.b), up1(1, b"1", 8, PROPS) + up2(2, b"2", 8))


def test_outbox_and_power_cut():
    """Wherever power is cut: each message is in the box or in the table, never in both."""
    steps = 0
    while True:
        p = Pair()
        for n in range(3):
            p.put(b"t", b"%d" % n, False, 1 + (n & 1), properties=NAMES)
        p.b.flash.cut = steps
        try:
            p.up(OK)
            break
        except Cut:
            pass
        p = p.reboot()
        same(len(p.box) + p.b.tables[0], 3)
        b = p.b
        sent = p.up(RESUMED if b.store.established else OK)
        same((len(p.box), b.tables[0]), (0, 3))
        same([x[0] for x in sorted(b.durable.out)], [1, 2, 3])
        assert all(b"\x00\x01k\x00\x01v" in x[1] for x in b.durable.out), sent
        steps += 1
    assert steps > 10


# -- small files, long lives ----------------------------------------------------------------------


def test_a_small_file():
    """Written anew all the time, with every state in the table."""
    random = Random(5)
    b = Board5(store={"max_bytes": 5000}).up()
    open_ids = {}
    renames = b.flash.count("rename")
    for n in range(700):
        if len(open_ids) < 3:
            qos = 1 + random.below(2)
            p = b.accept(b"t", b"%d" % n, False, qos, NAMES if n & 1 else None)
            open_ids[p] = PUBACK if qos == 1 else PUBREC
        else:
            p = sorted(open_ids)[random.below(3)]
            code = random.below(8) == 0 and 0x97
            b.feed(ack(open_ids[p], p, code) if code else ack(open_ids[p], p))
            if open_ids[p] == PUBREC and not code:
                open_ids[p] = PUBCOMP
            else:
                del open_ids[p]
        if not n % 97:
            same(b.file.state, b.ram)
            b = b.reboot(999).up(RESUMED)
            same(sorted([p for p, _ in b.durable.out]), sorted(open_ids))
    assert b.flash.count("rename") - renames > 2


def test_publish_waits():
    """publish() with QoS 1 and 2, from the first packet to the last."""
    b = Board5().up()

    def check(qos, answers, code):
        for one in answers:
            b.later.append(one)
        if code:
            with raises(MQTTException, code):
                b.publish(b"t", b"a", False, qos, properties=NAMES)
        else:
            b.publish(b"t", b"a", False, qos, properties=NAMES)
        same(b.tables, (0, 0))

    each(
        (
            (1, (ack(PUBACK, 1),), 0),
            (2, (ack(PUBREC, 2), ack(PUBCOMP, 2)), 0),
            (1, (ack(PUBACK, 3, 0x10),), 0),
            (2, (ack(PUBREC, 4, 0x10), ack(PUBCOMP, 4)), 0),
            (2, (ack(PUBREC, 5, 0x91),), 0x91),
            (1, (ack(PUBACK, 6, 0x99),), 0x99),
        ),
        check,
        in_turn=True,
    )
    same(b.file.kinds[1:4], [PUT, DEL, PUT])
    same(b.file.kinds[4:6], [REL, DEL])


def test_receive_maximum():
    """MQTT5-3.3.4-7, MQTT5-4.9.0-2: the window counts what is sent again, after a power cut, too;
    PUBRELs need none."""
    b = Board5()
    b.connect(False, connack("21 0002"))
    for n in range(4):
        b.accept(b"t", b"%d" % n, qos=2)
    b.feed(ack(PUBREC, 1))
    for boot in (0, 1):
        if boot:
            b = b.reboot()
        else:
            b.lose()
        b.connect(False, connack("21 0002", 1))
        data = packets(b)
        same(data[:4], ack(PUBREL, 1))
        same(data[4:], up2(2, b"1", 8))
    same(b.file.kinds, [MARK, PUT, PUT, PUT, PUT, REL])
    b.feed(ack(PUBCOMP, 1))
    same(b.out(), up2(3, b"2", 8))
    b.feed(ack(PUBREC, 2))  # gives nothing back (X5-4.9-a)
    same(b.out(), ack(PUBREL, 2))
    b.feed(ack(PUBREC, 3, 0x97))  # but this does
    same(b.out(), up2(4, b"3", 8))
