"""A flash that is full or broken: nothing is half done, and all goes on when there is room."""

from driver import OK, RESUMED, ack, parse
from flash import EIO, ENOSPC, USED, Board, record
from store_world import (
    boom,
    cut_inside,
    down,
    fail,
    failing,
    in_handler,
    mend,
    payloads,
    resumed,
    up1,
    up2,
)
from umqtt_plus.lost import SessionLost
from util import each, raises, same

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70


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


# -- receiving ----------------------------------------------------------------------------------


def test_message_on_a_full_flash():
    """Not handed over, not acknowledged, closed; it comes again, once."""

    def check(how, part, code, qos, inbox_qos, dead):
        b = Board(store={"inbox_qos": inbox_qos}).up()
        fail(b.flash, how, part)
        size = 9 if inbox_qos == 3 else 18
        before = b.tables
        if isinstance(how, int) and how >= size:
            down(b, 9, b"in", qos)
            same(b.out(), ack(0x30 + 16 * qos, 9))
            mend(b.flash)
        else:
            with raises(OSError, code):
                down(b, 9, b"in", qos)
            same((b.closed, b.out(), b.tables), (True, b"", before))
            same(len(b.got), 1 if inbox_qos == 3 else 0)
            mend(b.flash)
            b.got = []
            if dead:
                b = b.reboot(999)
                b.got = []  # it may be in the file, or not
            b.up(RESUMED)
            known = b.tables[1]
            assert not known or dead
            down(b, 9, b"in", qos, 8)
            same(b.out(), ack(0x30 + 16 * qos, 9))
            same(payloads(b), [] if known else [b"in"])
        if qos == 2:
            b.feed(ack(PUBREL, 9))
            same(b.out(), ack(PUBCOMP, 9))
        b.accept(b"t", b"", qos=1)
        same(b.durable.state, b.ram)
        same(b.tables[1], 0)

    table = []
    for row in failing():
        for qos, inbox_qos in ((2, 2), (1, 1), (2, 3)):
            table += [row + (qos, inbox_qos, dead) for dead in (0, 1)]
    each(table, check)


def test_pubrel_on_a_full_flash():
    """No PUBCOMP, closed; the PUBREL that comes again is answered."""

    def check(how, part, code, dead):
        b = Board().up()
        down(b, 9)
        b.out()
        fail(b.flash, how, part)
        if isinstance(how, int) and how >= 9:
            b.feed(ack(PUBREL, 9))
            mend(b.flash)
        else:
            with raises(OSError, code):
                b.feed(ack(PUBREL, 9))
            same((b.closed, b.out(), b.tables[1]), (True, b"", 1))
            mend(b.flash)
            if dead:
                b = b.reboot(999)
            b.up(RESUMED)
            b.feed(ack(PUBREL, 9))
        same((b.out(), b.tables[1]), (ack(PUBCOMP, 9), 0))
        same(b.durable.rx, [])
        b.got = []
        down(b, 9, b"new")
        same(payloads(b), [b"new"])

    each([row + (dead,) for row in failing() for dead in (0, 1)], check)


def test_full_flash_inside_the_handler():
    """The handler has dealt with it: acknowledged all the same, and not shown again once there
    is room; a handler that fails: it comes again."""

    def check(how, part, code, bad):
        b = Board().up()

        def now(b):
            fail(b.flash, how, part)
            if bad:
                boom(b)

        in_handler(b, now)
        if bad:
            with raises(KeyError):
                down(b, 9, b"in")
            mend(b.flash)
            b.up(RESUMED)
            down(b, 9, b"in", 2, 8)
            same((payloads(b), b.numbers), ([b"in"] * 2, [1, 2]))
        else:
            down(b, 9, b"in")
            mend(b.flash)
        same(b.out(), ack(PUBREC, 9))
        b.feed(ack(PUBREL, 9))
        b = b.reboot(0)
        same((b.got, b.tables[1], b.store.number), ([], 0, 1 + bad))

    each([row + (bad,) for row in failing() for bad in (0, 1)], check)


def test_what_waits_on_a_full_flash():
    """Handed over all the same; shown again when power is cut before there was room."""
    b = cut_inside(Board().up(), 9, b"first", handler=False)
    b.flash.full = 0
    b.handle()
    same(b.numbers, [1])
    b.flash.full = -1
    b = b.reboot()
    same(b.numbers, [1])
    same(b.file.records[-1:], record(USED, 9, b"", 1))
    same(b.reboot(999).numbers, [])
