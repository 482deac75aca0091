"""The durable session: messages on their way out, and the session itself, over power cuts.

Board (flash.py) looks at every packet that leaves, whether what it depends on is durable.
"""

from driver import OK, RESUMED, Driver, Random, ack, parse, publish
from flash import DEL, EIO, ENOSPC, MARK, PUT, REL, Board, Cut, Flash, Server, mark, record
from umqtt_plus.protocol import MQTTException
from umqtt_plus.reconnect import Link
from umqtt_plus.lost import SessionLost
from umqtt_plus.store import Store
from util import each, raises, same

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70


def up1(p, payload=b"a", dup=0):
    return publish(b"t", payload, 1, p, dup)


def up2(p, payload=b"a", dup=0):
    return publish(b"t", payload, 2, p, dup)


def resumed(b):
    """What a board sends after a reconnect, but CONNECT."""
    b.connect(False, RESUMED)
    return b.out()[15:]


# -- what comes back ------------------------------------------------------------------------------


def test_each_state_comes_back():
    """Power is cut behind each event, once and once more; what is sent again then, in bytes.

    MQTT-3.1.2-4, MQTT-3.3.1-1, MQTT-4.3.3-1, MQTT-4.4.0-1."""
    rel = ack(PUBREL, 1)
    one, two = b"one", b"two"
    table = (  # events, bytes with what was flushed, bytes with all that was written
        ((one,), up1(1, b"a", 8)),
        ((two,), up2(1, b"a", 8)),
        ((one, ack(PUBACK, 1)), up1(1, b"a", 8), b""),
        ((two, ack(PUBREC, 1)), rel),
        ((two, ack(PUBREC, 1), ack(PUBREC, 1)), rel),
        ((two, ack(PUBREC, 1), ack(PUBCOMP, 1)), rel, b""),
        ((one, two), up1(1, b"a", 8) + up2(2, b"a", 8)),
        ((two, one), up2(1, b"a", 8) + up1(2, b"a", 8)),
        ((two, one, ack(PUBREC, 1)), rel + up1(2, b"a", 8)),
        ((one, two, ack(PUBREC, 2)), ack(PUBREL, 2) + up1(1, b"a", 8)),
        ((one, ack(PUBACK, 1), two), up2(2, b"a", 8)),  # the PUT makes the DEL durable
        ((two, two, ack(PUBREC, 2), ack(PUBREC, 1)), ack(PUBREL, 2) + rel),
        ((two, two, ack(PUBREC, 2), ack(PUBREC, 1), ack(PUBCOMP, 2)), ack(PUBREL, 2) + rel, rel),
        ((one, ack(PUBREC, 9)), up1(1, b"a", 8)),  # acks of nothing
        ((one, ack(PUBACK, 9), ack(PUBCOMP, 9)), up1(1, b"a", 8)),
    )

    def check(events, flushed, written=None):
        for keep, wanted in ((0, flushed), (999, flushed if written is None else written)):
            for links in (0, 1):  # that there are between the two reboots
                for compact in (0, 1):
                    b = Board().up()
                    for event in events:
                        if event in (one, two):
                            b.accept(b"t", b"a", qos=1 if event is one else 2)
                        else:
                            b.feed(event)
                    b = b.reboot(keep)
                    same(b.store.recovered, "session")
                    same(b.out() if b.link else b"", b"")
                    if links:
                        same(resumed(b), wanted)
                    if compact:
                        b.compact()
                    b = b.reboot(keep)
                    same(resumed(b), wanted)
                    same(b.file.state, b.ram)

    each(table, check)


def test_bytes_and_order_of_resends():
    """Random sessions, cut anywhere: PUBRELs as PUBRECs came, then messages as accepted, each
    the same bytes but for DUP. MQTT-4.6.0-1, MQTT-4.6.0-4, MQTT-3.3.1-1."""

    def check(seed):
        random = Random(seed)
        b = Board(inflight=1 + seed % 7).up()
        out = []  # [packet, id, PUBREC has come]
        for step in range(40):
            what = random.below(9)
            if what < 4:
                qos = 1 + random.below(2)
                payload = b"%d" % step
                retain = random.below(2)
                p = b.accept(b"t" * (1 + random.below(3)), payload, bool(retain), qos)
                if p:
                    out.append([b.out(), p, False])
            elif what < 8 and out:
                i = random.below(len(out))
                packet, p, rec = out[i]
                if packet[0] & 2:
                    b.feed(ack(PUBACK, p))
                    del out[i]
                elif rec:
                    b.feed(ack(PUBCOMP, p))
                    del out[i]
                else:
                    b.feed(ack(PUBREC, p))
                    out[i][2] = True
                    out.append(out.pop(i))  # counts from here on
                b.out()
            elif what == 8:
                b = b.reboot(999)
                wanted = [ack(PUBREL, x[1]) for x in out if x[2]]
                wanted += [bytes((x[0][0] | 8,)) + x[0][1:] for x in out if not x[2]]
                same(resumed(b), b"".join(wanted))
        same(b.tables[0], len(out))

    each([(seed,) for seed in range(30)], check)


def test_ids_go_on():
    """No id is used again by a message while its record may still be there (MQTT-2.3.1-2)."""
    b = Board(inflight=2).up()
    seen = []
    for n in range(30):
        p = b.accept(b"t", b"%d" % n, qos=1)
        seen.append(p)
        if n % 3:
            b.feed(ack(PUBACK, p))
        else:
            if n % 2:
                b.compact()
            b = b.reboot(999 * (n % 2))
            b.up(RESUMED)
            b.feed(ack(PUBACK, p))
    same(seen, list(range(1, 31)))


def test_ids_wrap():
    """65535 is followed by 1, over a reboot, too."""
    for compact in (0, 1):
        b = Board().up()
        b.set_next_id(65534)
        same([b.accept(b"t", b"", qos=2) for _ in range(2)], [65534, 65535])
        if compact:
            b.compact()
        b = b.reboot().up(RESUMED)
        same([b.accept(b"t", b"", qos=2) for _ in range(3)], [1, 4, 0])  # 2: no place is free


def test_accepted():
    """store.accepted counts what publish() took, over reboots and new files."""
    b = Board().up()
    for n in range(1, 40):
        p = b.accept(b"t", b"", qos=1 + n % 2)
        assert p
        same(b.store.accepted, n)
        if n % 3 == 1:
            b.compact()
        if n % 3:
            b = b.reboot()
            same(b.store.accepted, n)
            b.up(RESUMED)
        b.feed(ack(0x30 + 16 * (1 + n % 2), p) + (ack(PUBCOMP, p) if n % 2 else b""))
        if n % 5 == 0:
            b.compact()
            b = b.reboot()
            same(b.store.accepted, n)
            b.up(RESUMED)


def test_a_message_of_any_type_is_written_once():
    """str, bytes, bytearray, memoryview; topics, too."""

    def check(topic, msg, qos):
        b = Board().up()
        b.accept(topic, msg, qos=qos)
        same(b.out(), publish(b"topic", b"message", qos, 1))
        same((b.file.kinds, b.store.accepted), ([MARK, PUT], 1))

    table = []
    for topic in ("topic", b"topic", bytearray(b"topic")):
        for msg in ("message", b"message", bytearray(b"message"), memoryview(b"message")):
            table += [(topic, msg, 1), (topic, msg, 2)]
    each(table, check)


def test_wrong_arguments_write_nothing():
    def check(error, *args):
        b = Board().up()
        steps = b.flash.steps
        for verb in (b.accept, b.publish):
            with raises(error):
                verb(*args)
        same((b.flash.steps, b.tables, b.out()), (steps, (0, 0), b""))
        p = b.accept(b"t", b"a", qos=1)
        same(b.out(), up1(p))

    each(
        (
            (ValueError, b"a/+", b"", False, 1),
            (ValueError, b"", b"", False, 2),
            (ValueError, b"t", b"x" * 60, False, 1),
            (ValueError, b"t", b"", False, 3),
        ),
        check,
    )


# -- what it costs --------------------------------------------------------------------------------


def cost(b, f, *args, **options):
    """Flushes that f needs."""
    before = b.flash.count("flush")
    f(*args, **options)
    count = b.flash.count("flush") - before
    return count


def test_flushes_of_publishing():
    """1 with QoS 1 and 2 with QoS 2, by each way; what ends a message needs none."""
    b = Board().up()
    same(cost(b, b.accept, b"t", b"", qos=0), 0)
    same(cost(b, b.publish, b"t", b"", qos=0), 0)
    same(cost(b, b.accept, b"t", b"", qos=1), 1)
    same(cost(b, b.feed, ack(PUBACK, 1)), 0)
    same(cost(b, b.accept, b"t", b"", qos=2), 1)
    same(cost(b, b.feed, ack(PUBREC, 2)), 1)
    same(cost(b, b.feed, ack(PUBREC, 2)), 0)
    same(cost(b, b.feed, ack(PUBCOMP, 2)), 0)
    b.later = [ack(PUBACK, 3)]
    same(cost(b, b.publish, b"t", b"", qos=1), 1)
    b.later = [ack(PUBREC, 4), ack(PUBCOMP, 4)]
    same(cost(b, b.publish, b"t", b"", qos=2), 2)
    same((b.client.stats()["in_flight"], b.done), (0, [1, 2, 3, 4]))
    b.out()
    # a reconnect, and a reboot: none but what the new file needs
    b.accept(b"t", b"", qos=1)
    b.lose()
    same(cost(b, b.up, RESUMED), 0)
    b = b.reboot()
    same(cost(b, b.up, RESUMED), 0)


def test_flushes_of_connecting():
    """One new file for a new session; none to go on with an old one."""
    b = Board()
    same(b.flash.count("flush"), 1)
    same(cost(b, b.connect, False), 1)
    b.lose()
    same(cost(b, b.connect, False, RESUMED), 0)
    b.lose()
    same(cost(b, b.connect, False, OK), 1)  # the server has lost it
    b.lose()
    same(cost(b, b.connect, True, OK), 1)
    b.lose()
    same(cost(b, b.connect, True, OK), 0)


# -- power cuts everywhere ------------------------------------------------------------------------


class World:
    """A board whose application publishes and receives, a server, and the power."""

    SCRIPT = (
        ("up", 1, b"A"),
        ("up", 2, b"B"),
        ("down", 2, b"C"),
        ("up", 2, b"D"),
        ("down", 2, b"E"),
        ("down", 1, b"F"),
        ("up", 2, b"G"),
    )

    def __init__(self, tight, fat=False, **options):
        self.flash = Flash(fat)
        self.server = Server()
        self.tight = tight
        self.options = options
        self.said = self.published = 0  # done so far of SCRIPT's "down"; "up"
        self.effects = {}  # m.number -> payload, stored by the application with its effect
        self.plain = []  # payloads without a number
        self.ups = [x for x in self.SCRIPT if x[0] == "up"]
        self.downs = [x for x in self.SCRIPT if x[0] == "down"]

    def effect(self, b):
        number = b.numbers[-1]
        payload = b.got[-1][1]
        if number:
            same(self.effects.setdefault(number, payload), payload)
        else:
            self.plain.append(payload)
        if payload == b"C" and b.client.state:
            b.client.publish_nowait(b"t", b"inside", False, 0)

    def life(self, cut, keep):
        """One boot: recover, connect, do what is left. Whether it came to the end."""
        self.flash.power(keep)
        self.flash.cut = cut
        try:
            b = Board(self.flash, False, server=self.server, inflight=4, **self.options)
            if self.tight:
                b.store.max_bytes = self.tight
            b.then = self.effect
            b.handle()
            b.run(b.client.connect, False)
            b.go()
            for n in range(4):
                # store.accepted tells the application what to go on with
                if b.store.accepted < len(self.ups):
                    _, qos, payload = self.ups[b.store.accepted]
                    assert b.accept(b"t", payload, qos=qos)
                if self.said < len(self.downs):
                    _, qos, payload = self.downs[self.said]
                    self.said += 1
                    self.server.publish(b.link, qos, payload)
                b.go()
            b.go()
            same((b.tables, self.server.sending, self.server.open), ((0, 0), [], []))
            return True
        except Cut:
            return False

    def end(self, cuts):
        took = sorted([x for x in self.server.took if x[0]])
        once = [x for x in took if x[0] == 2]
        same(once, [(2, x) for x in (b"B", b"D", b"G")], cuts)
        assert set(took) == {(1, b"A"), (2, b"B"), (2, b"D"), (2, b"G")}, took
        same(sorted(self.effects.values()), [b"C", b"E"], cuts)
        same(set(self.plain), {b"F"}, cuts)
        same(sorted(self.effects), [1, 2], cuts)


def count_steps(*args, **options):
    world = World(*args, **options)
    assert world.life(-1, 0)
    world.end(())
    return world.flash.steps


def test_cut_at_each_step():
    """Wherever the power is cut: QoS 2 arrives once either way, QoS 1 at least once.

    MQTT-4.3.2-1, MQTT-4.3.3-1, MQTT-4.3.3-2, MQTT-4.4.0-1, MQTT-3.1.2-4."""

    def check(tight, fat, keep):
        for cut in range(count_steps(tight, fat)):
            world = World(tight, fat)
            assert not world.life(cut, keep)
            assert world.life(-1, keep), "does not come to the end"
            world.end((cut,))

    each(((0, 0, 0), (0, 0, 999), (60, 0, 3), (60, 1, 0), (130, 0, 999), (130, 1, 3)), check)


def test_cut_twice():
    """Power is cut again while it recovers, and again."""

    def check(tight, fat, keep, seed):
        random = Random(seed)
        for _ in range(40):
            world = World(tight, fat)
            cuts = []
            for cut in range(6):
                cuts.append(random.below(70 if cut else 110))
                if world.life(cuts[-1], random.below(keep + 1)):
                    break
            else:
                assert world.life(-1, 0), "does not come to the end"
            world.end(cuts)

    each([(n, s % 2, k, s + n) for n in (0, 90) for s in range(4) for k in (0, 40)], check)


# -- a flash that is full or broken ---------------------------------------------------------------


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


def test_publish_on_a_full_flash():
    """OSError before anything is sent; the message is not in the table. The link stays."""

    def check(how, part, code):
        for qos in (1, 2):
            for wait in (0, 1):
                for dead in (0, 1):  # the power is cut meanwhile
                    b = Board().up()
                    one = b.accept(b"t", b"one", qos=1)
                    b.out()
                    accepted = b.store.accepted
                    fail(b.flash, how, part)
                    for _ in range(3):
                        if b.flash.full >= 25 + qos:
                            b.flash.full -= 25 + qos
                        verb = b.publish if wait else b.accept
                        try:
                            verb(b"t", b"%d" % qos, False, qos)
                        except OSError as error:
                            same(error.args[0], code)
                        else:
                            assert 0 if code == EIO else b.flash.full >= 0
                            break
                        same((b.out(), b.tables[0], b.closed), (b"", 1, False))
                        same(b.store.accepted, accepted)
                    else:
                        mend(b.flash)
                        if dead:
                            b = b.reboot(999)
                            same(b.store.recovered, "session")
                            assert resumed(b).startswith(up1(one, b"one", 8))
                        else:
                            b.feed(ack(PUBACK, one))
                            p = b.accept(b"t", b"two", qos=qos)
                            same(parse(b.out())[0][1][5:], b"two")
                            same(b.file.state, b.ram)
                            same(len(b.file.out), 1)
                            same(b.reboot().ram[0][0][0], p)
                        continue
                    # it went: it had room
                    same(parse(b.out())[0][1][5:], b"%d" % qos)

    rows = [x for x in failing() if not isinstance(x[0], int) or x[0] < 19]
    each(rows, check)


def test_pubrec_on_a_full_flash():
    """No PUBREL: the link ends. Then the PUBLISH goes out again, and all comes to its end."""

    def check(how, part, code):
        if isinstance(how, int) and how > 8:
            return  # it fits
        b = Board().up()
        p = b.accept(b"t", b"a", qos=2)
        b.out()
        fail(b.flash, how, part)
        with raises(OSError, code):
            b.feed(ack(PUBREC, p))
        same((b.closed, b.out(), b.tables[0]), (True, b"", 1))
        with raises(OSError):
            resumed(b)  # what is on file may be torn, and cannot be mended yet
        mend(b.flash)
        same(resumed(b), up2(p, b"a", 8))
        b.feed(ack(PUBREC, p))
        same(b.out(), ack(PUBREL, p))
        b.feed(ack(PUBCOMP, p))
        same((b.tables[0], b.done), (0, [p]))
        same(b.file.out, [])

    each(failing(), check)


def test_lazy_records_on_a_full_flash():
    """The end of a message needs no room; nothing is left of it once there is some."""

    def check(how, part, code):
        b = Board().up()
        b.accept(b"t", b"a", qos=1)
        b.accept(b"t", b"b", qos=2)
        b.feed(ack(PUBREC, 2))
        fail(b.flash, how, part)
        b.feed(ack(PUBACK, 1) + ack(PUBCOMP, 2))
        same((b.tables[0], b.done), (0, [1, 2]))
        mend(b.flash)
        b.accept(b"t", b"c", qos=1)
        same([x[0] for x in b.durable.out], [3])

    each(failing(), check)


def test_connect_on_a_full_flash():
    """A clean CONNECT is not sent before the session on file has ended; without one it goes."""

    def check(how, part, code):
        b = Board().up()
        p = b.accept(b"t", b"a", qos=2)
        b.lose()
        before = b.flash.get()
        fail(b.flash, how, part)
        links = b.links
        if how != 39 or code != ENOSPC:
            with raises(OSError, code):
                b.connect(True, OK)
            same((b.links, b.client.state, b.tables[0]), (links, 0, 1))
            assert b.flash.get() == before
            b.answers = []
            mend(b.flash)
            other = b.flash.copy()
            same(resumed(b), up2(p, b"a", 8))
            same(Board(other).tables[0], 1)
            b.lose()
        mend(b.flash)
        b.connect(True, OK)
        same((b.links - links >= 1, b.tables[0], b.durable.established), (True, 0, 0))
        same(b.reboot().store.recovered, "new")

    rows = [x for x in failing() if not isinstance(x[0], int) or x[0] < 36]
    each(rows, check)


def test_connack_on_a_full_flash():
    """The mark of a new session cannot be written: OSError, closed, nothing is sent. And again."""

    def check(how, part, code, lost):
        b = Board()
        if lost:
            b.up()
            p = b.accept(b"t", b"a", qos=2)
            b.lose()
        fail(b.flash, how, part)
        with raises(OSError, code):
            b.connect(False, OK)
        same(b.closed, True)
        same([first for first, _ in parse(b.out())], [0x10])
        mend(b.flash)
        b.connect(False, RESUMED)  # the session that the first attempt made
        same(b.links, 3 if lost else 2)
        same(b.durable.established, 1)
        same(b.tables[0], lost)
        if lost:
            same(b.out()[15:], up2(p, b"a", 8))
        b = b.reboot()
        same((b.store.recovered, b.tables[0]), ("session", lost))

    rows = [x for x in failing() if not isinstance(x[0], int) or x[0] < 36]
    each([x + (lost,) for x in rows for lost in (0, 1)], check)


# -- sessions -------------------------------------------------------------------------------------


def three(b):
    """A client that does not know the session of the server: E65, X311-3.2.2.2-a."""
    before = b.links
    outs = []
    opened = b._open

    def open_(*args):
        if b.link:
            outs.append(b.out())
        return opened(*args)

    b._open = open_
    b.connect(False, (RESUMED, OK, OK))
    outs.append(b.out())
    same(b.links - before, 3)
    connects = [parse(x)[0][1][7] & 2 for x in outs[-3:]]
    same(connects, [0, 2, 0])
    same([len(parse(x)) for x in outs[-3:]], [2, 2, 1])  # DISCONNECT
    same(b.durable.established, 1)


def test_cleaning():
    """New and lost files: the server's session is cleaned away; a cut within it: again."""
    three(Board())
    b = Board().up()
    b.accept(b"t", b"old", qos=2)
    b.flash.files[b.name].data[-1] ^= 1
    b = b.reboot(999)
    same(b.store.recovered, "lost")
    three(b)
    same(b.tables, (0, 0))
    same(b.reboot().store.recovered, "session")


def test_cut_while_cleaning():
    """At each step of it; afterwards a foreign session never goes on (S15)."""
    steps = 0
    while True:
        server = Server()
        server.session = True
        server.open = [1, 2, 3]  # ids of QoS 2 messages that another one left half done
        flash = Flash()
        flash.cut = steps
        try:
            b = Board(flash, server=server)
            b.run(b.client.connect, False)
            done = True
            flash.cut = -1
        except Cut:
            done = False
            flash.power()
            b = Board(flash, server=server)
            b.run(b.client.connect, False)
        for n in range(3):
            b.accept(b"t", b"%d" % n, qos=2)
            b.go()
        same(server.took, [(2, b"0"), (2, b"1"), (2, b"2")])
        same((server.open, b.tables[0]), ([], 0))
        if done:
            break
        steps += 1
    assert steps > 20


def test_clean_session():
    """connect(True): the session on file ends first, and nothing of this one is written."""
    b = Board().up()
    b.accept(b"t", b"old", qos=2)
    b.feed(publish(b"x", b"", 2, 9))
    b.lose()
    b.connect(True, OK)
    b.out()
    same((b.tables, b.file.kinds, b.durable.established), ((0, 0), [MARK], 0))
    steps = b.flash.touched
    p = b.accept(b"t", b"new", qos=2)
    b.feed(ack(PUBREC, p) + ack(PUBCOMP, p))
    p = b.accept(b"t", b"new", qos=1)
    same(b.flash.touched, steps)
    other = b.flash.copy()
    three(Board(other))
    b.lose()
    three(b)
    same(b.accept(b"t", b"", qos=1), p + 1)


def test_the_server_lost_the_session():
    """SP 0: by default all goes out again, and ids received are forgotten first (4.4.0-1)."""
    b = Board().up()
    b.accept(b"t", b"a", qos=1)
    b.accept(b"t", b"b", qos=2)
    b.accept(b"t", b"c", qos=2)
    b.feed(ack(PUBREC, 2) + publish(b"x", b"in", 2, 9))
    b.lose()
    b.connect(False, OK)
    same(b.out()[15:], ack(PUBREL, 2) + up1(1, b"a", 8) + up2(3, b"c", 8))
    same(b.tables, (3, 0))
    same(b.durable.rx, [])
    b = b.reboot().up(RESUMED)
    b.feed(publish(b"x", b"new", 2, 9))
    same((b.numbers, b.got[0][1]), ([2], b"new"))


def test_session_lost():
    """discard=True: nothing that may have arrived goes out again; the application is told."""
    for boot in (0, 1):
        b = Board(store={"discard": True}).up()
        b.accept(b"t", b"a", qos=1)
        b.accept(b"t", b"b", qos=2)
        b.accept(b"t", b"c", qos=2)
        b.feed(ack(PUBREC, 2) + publish(b"x", b"in", 2, 9))
        b.lose()
        if boot:
            b = b.reboot()
        with raises(SessionLost, 0xFF) as caught:
            b.connect(False, OK)
        same(sorted(caught.error.args[1]), [(1, False), (2, True), (3, False)])
        assert "lost the session" in str(caught.error) and isinstance(caught.error, MQTTException)
        same((b.closed, b.tables), (True, (0, 0)))
        same([first for first, _ in parse(b.out())], [0x10])
        same((b.durable.state, b.durable.established), (([], [], []), 1))
        if boot:
            b = b.reboot()
        same(resumed(b), b"")
        same(b.accept(b"t", b"new", qos=2), 4)
        # nothing was open: nothing to tell
        b.feed(ack(PUBREC, 4) + ack(PUBCOMP, 4))
        b.lose()
        b.up(OK)


def test_session_lost_on_a_full_flash():
    """The list is not lost when the new file cannot be written: the next connect() tells."""

    def check(how, part, code):
        b = Board(store={"discard": True}).up()
        b.accept(b"t", b"a", qos=2)
        b.lose()
        fail(b.flash, how, part)
        with raises(OSError, code):
            b.connect(False, OK)
        mend(b.flash)
        with raises(SessionLost, 0xFF) as caught:
            b.connect(False, RESUMED)
        same(caught.error.args[1], [(1, False)])
        same(resumed(b), b"")

    each([x for x in failing() if not isinstance(x[0], int) or x[0] < 36], check)


def test_adopt():
    """adopt=True takes over what the server has; from then on it is on file."""
    b = Board()
    b.connect(False, RESUMED, adopt=True)
    same((b.links, b.durable.established), (1, 1))
    b.accept(b"t", b"a", qos=2)
    b.feed(publish(b"x", b"waits", 2, 9))
    b = b.reboot()
    same((b.store.recovered, b.tables), ("session", (1, 1)))
    b = Board()
    b.connect(False, OK, adopt=True)
    same((b.links, b.durable.established), (1, 1))


def test_refused():
    """CONNACK with a refusal, a server that breaks the rules or hangs up: the session stays."""

    def check(answer, error):
        b = Board().up()
        b.accept(b"t", b"a", qos=2)
        b.lose()
        before = b.flash.get()
        for _ in range(2):
            with raises(error):
                b.connect(False, answer)
        assert b.flash.get() == before
        same(resumed(b), up2(1, b"a", 8))
        other = b.reboot()
        with raises(error):
            other.connect(False, answer)
        same(resumed(other), up2(1, b"a", 8))

    each(
        [(b"\x20\x02\x00" + bytes((n,)), MQTTException) for n in (1, 2, 3, 4, 5, 6)]
        + [(b"\x20\x02\x02\x00", MQTTException), (b"\x30\x02", MQTTException), (b"", OSError)],
        check,
    )


def test_link():
    """A Link over lost links, a reboot and a server that forgets."""
    server = Server()
    b = Board(server=server, store={"discard": True})
    seen = []

    def link(b):
        def down(error):
            seen.append(type(error).__name__)

        return b.run(Link, b.client, first_ms=1, on_up=seen.append, on_down=down)

    def poll(b, box):
        for _ in range(6):
            b.run(box.poll, 50)

    def half(b, payload):
        """A message that does not leave before the link is lost."""
        b.link.space = 0
        b.run(box.publish, b"t", payload, False, 2)

    box = link(b)
    poll(b, box)
    b.run(box.publish, b"t", b"1", False, 2)
    poll(b, box)
    half(b, b"2")
    b.link.error = 104
    poll(b, box)
    same(server.took, [(2, b"1"), (2, b"2")])
    half(b, b"3")
    b = b.reboot()
    box = link(b)
    poll(b, box)
    same(server.took[2:], [(2, b"3")])
    half(b, b"4")
    b.link.error = 104
    server.forget = True
    poll(b, box)
    same(seen, [False, "OSError", True, True, "OSError", "SessionLost", True])
    assert b.run(box.publish, b"t", b"5", False, 2)
    poll(b, box)
    same((server.took[3:], b.tables), ([(2, b"5")], (0, 0)))


def test_subscribing():
    """Its ids are not those of messages; it writes nothing."""
    b = Board().up()
    b.accept(b"t", b"a", qos=2)
    b.out()
    steps = b.flash.touched
    b.later = [b"\x90\x03\x00\x02\x02"]
    same(b.subscribe(b"f", 2), 2)
    b.later = [ack(0xB0, 3)]
    b.unsubscribe(b"f")
    same(b.flash.touched, steps)
    same(b.accept(b"t", b"b", qos=1), 4)
    b = b.reboot()
    same(resumed(b), up2(1, b"a", 8) + up1(4, b"b", 8))


def test_not_with_a_store():
    """messages(), publish_stream() with QoS 1 and 2, a store for one who is connected."""

    def source(buf, offset):
        buf[:50] = bytes(50)
        return 50

    b = Board().up()
    for qos in (1, 2):
        with raises(ValueError) as caught:
            b.run(b.client.publish_stream, b"t", 300, source, False, qos)
        assert "publish_stream" in str(caught.error)
        same((b.tables, b.out()), ((0, 0), b""))
    b.run(b.client.publish_stream, b"t", 300, source)
    same(b.out()[:6], b"\x30\xaf\x02\x00\x01t")
    with raises(ValueError) as caught:
        b.client.messages()
    assert "messages" in str(caught.error)
    for other in (b, Driver(handler="message"), Driver(handler="callback")):
        with raises(ValueError) as caught:
            b.run(Store, other.client, "other")
        assert "before" in str(caught.error)
    with raises(ValueError) as caught:
        Board(inflight=0)
    assert "inflight" in str(caught.error)
    same(b.accept(b"t", b"a", qos=1), 1)


def test_close():
    """close() is not a power cut, but no better: what was written may be lost or not."""
    b = Board().up()
    b.accept(b"t", b"a", qos=1)
    b.run(b.client.disconnect)
    b.run(b.store.close)
    b = b.reboot(999)
    same((b.store.recovered, b.tables), ("session", (1, 0)))


def test_retry_on_a_live_link():
    """retry_ms resends what is in the table, which writes nothing."""
    b = Board(retry_ms=1000).up()
    b.accept(b"t", b"a", qos=2)
    same(b.out(), up2(1))
    steps = b.flash.count("write")
    for _ in range(8):
        b.tick(250)
    same(b.out(), up2(1, b"a", 8))
    same(b.flash.count("write"), steps)
    b.feed(ack(PUBREC, 1))
    same(b.out(), ack(PUBREL, 1))


def test_new_file_with_each_state():
    """compact() between any two events changes nothing."""
    b = Board(inflight=8).up()
    for qos in (1, 2, 2, 1, 2):
        b.accept(b"t", b"%d" % qos, qos=qos)
    b.feed(ack(PUBREC, 3) + ack(PUBREC, 2) + ack(PUBACK, 4))
    before = b.ram
    same(b.file.state, before)
    b.compact()
    same((b.file.state, b.ram), (before, before))
    same(b.file.kinds, [MARK, PUT, PUT, REL, REL])
    b.feed(ack(PUBCOMP, 3))
    same(b.file.records[-1:], record(DEL, 3))
    same(b.file.records[:1], mark(1, 6, 0, 3))
