"""The journal file: its bytes, and a flash that is full, broken or without power."""

from driver import RESUMED, ack, publish
from flash import (
    ADD,
    DEL,
    EIO,
    END,
    ENOSPC,
    EROFS,
    MARK,
    NAME,
    OWN,
    PUT,
    REL,
    UNDO,
    USED,
    WHO,
    Board,
    Cut,
    Flash,
    crc,
    encode,
    mark,
    record,
)
from store_world import boot, down, saved, undone
from umqtt_plus.journal import Journal, crc16
from util import each, raises, same

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70


def test_crc():
    same((crc16(0xFFFF, b"123456789", 0, 9), crc(b"123456789")), (0x29B1, 0x29B1))
    data = bytes(range(256))
    same(crc16(0xFFFF, data, 3, 250), crc(data[3:250]))


def test_bytes_of_each_verb():
    """What each verb appends to the file, and how much of it is durable when it returns."""
    b = Board()
    up1 = bytes.fromhex("3206000174000161")
    up2 = bytes.fromhex("3406000174000261")
    new = bytes.fromhex("01000000000019cab7040000010000000000000000") + b"c@server:1883\xbb\xe8"
    same(b.flash.get(), new)
    same(encode(mark(0)), new)
    b.up()
    wanted = mark(1)
    same(b.flash.get(), encode(wanted))
    put1 = bytes.fromhex("020000000100082715") + up1 + b"\xf7\x90"
    same(encode(record(PUT, 1, up1)), put1)

    def check(do, records, flushed=0):
        """flushed: how many of the records are durable; -1 all there are."""
        node = b.flash.files[NAME]
        before = node.safe
        do()
        safe = encode(wanted + records[:flushed])
        wanted.extend(records)
        same(b.flash.get(), encode(wanted))
        same(node.safe, len(safe) if flushed else before)

    undo = record(ADD, 9, b"\0\1x\0\x09in", 0x34) + record(UNDO, 9)
    used = record(ADD, 9, b"\0\1x\0\x09i", 0x34) + record(USED, 9)
    table = (
        (lambda: b.accept(b"t", b"a", qos=1), record(PUT, 1, up1), 1),
        (lambda: b.accept(b"t", b"a", qos=2), record(PUT, 2, up2), 1),
        (lambda: b.accept(b"t", b"a", qos=0), []),
        (lambda: b.feed(ack(PUBACK, 1)), record(DEL, 1)),
        (lambda: b.feed(ack(PUBREC, 2)), record(REL, 2), 1),
        (lambda: b.feed(ack(PUBREC, 2)), []),  # again: nothing new
        (lambda: b.feed(ack(PUBCOMP, 2)), record(DEL, 2)),
        (lambda: b.feed(ack(PUBCOMP, 2) + ack(PUBACK, 1) + ack(PUBREC, 9)), []),
        (lambda: down(b, 9, b"i"), used, 1),
        (lambda: b.feed(publish(b"x", b"i", 2, 9, 8)), []),  # a copy
        (lambda: b.feed(ack(PUBREL, 9)), record(END, 9), 1),
        (lambda: b.feed(ack(PUBREL, 9)), []),
        (lambda: down(b, 9, b"i", 1), []),
        (lambda: b.feed(publish(b"x", b"i")), []),
        (lambda: undone(b, 9), undo, 1),
    )
    each(table, check, in_turn=True)


def test_records_that_only_a_new_file_has():
    """OWN, and flags of USED: ids without their message; a message of before the power cut."""
    b = Board(store={"inbox_qos": 3}).up()
    down(b, 7)
    same(b.file.records, mark(1) + record(OWN, 7))
    b = boot(mark(1, 5, 70000) + record(ADD, 8, b"\0\1x\0\x08!", 0x34))
    same((b.got, b.numbers), ([(b"x", b"!", 2, False, False)], [70001]))
    same(b.file.records[-1:], record(USED, 8, b"", 1))


def test_numbers_of_the_mark():
    """All bits of what the mark holds come back."""

    def check(next_id, number, epoch):
        b = boot(mark(1, next_id, number, epoch=epoch) + record(OWN, 3, epoch=epoch))
        b.up(RESUMED)
        same(b.accept(b"t", b"", qos=1), next_id)
        down(b, 5)
        same(b.numbers, [number + 1])
        b.compact()
        now = b.file
        same((now.next_id, now.number, now.epoch), (next_id % 65535 + 1, number + 1, epoch))

    table = [(p, 0, 0) for p in (1, 255, 256, 65534, 65535)]
    table += [(1, n, 0) for n in (1, 255, 65535, 65536, 1 << 24, (1 << 28) - 2)]
    table += [(1, 0, 1), (1, 0, 255)]
    each(table, check)


# -- a flash that is full, broken or read-only ---------------------------------------------------


class Log(Journal):
    """A journal whose content is a list of ids."""

    def __init__(self, max_bytes=200):
        Journal.__init__(self, NAME, max_bytes)
        self.has = []

    def snapshot(self):
        self.write(MARK, 0, 0, WHO, 0, len(WHO))
        for p in self.has:
            self.write(OWN, 0, p)

    def add(self, p, lazy=False):
        if lazy:
            self.lazy(OWN, p)
        else:
            self.put(OWN, 0, p)
        self.has.append(p)


def kinds_of(data):
    """Ids in a Log's file."""
    found = []
    at = 0
    value = 0xFFFF
    while at + 9 <= len(data):
        n = data[at + 5] << 8 | data[at + 6]
        end = at + 9 + (n + 2 if n else 0)
        if end > len(data):
            break
        head = bytes(data[at : at + 7])
        value = crc(head, value)
        assert value == data[at + 7] << 8 | data[at + 8], "damaged at %d" % at
        value = crc(data[at + 9 : at + 9 + n], value)
        if data[at] == OWN:
            found.append(data[at + 3] << 8 | data[at + 4])
        at = end
    return found


def test_full_at_each_byte():
    """put() raises, and the file can be read; with room again it is whole, without what failed."""

    def check(n, part):
        flash = Flash()
        flash.part = part
        with flash:
            log = Log()
            log.compact()
            flash.full = n
            p = 0
            while True:
                p += 1
                assert p < 50
                try:
                    log.add(p)
                except OSError as error:
                    same(error.args[0], ENOSPC)
                    break
            found = kinds_of(flash.get())
            assert found in (log.has, log.has + [p])
            with raises(OSError, ENOSPC):
                log.add(p)
            log.lazy(OWN, p)  # is silent
            flash.full = -1
            log.add(100)
            same(kinds_of(flash.get()), log.has)
            same(log.has[-1], 100)

    each([(n, part) for n in range(0, 300, 1) for part in (False, True)], check)


def test_errors_at_each_call():
    """Whatever call fails: OSError, the old content is there, and the next put() goes."""

    def check(what, code, room):
        flash = Flash()
        with flash:
            log = Log()
            log.compact()
            log.add(1)
            log.room(log.max_bytes - log._at - room)
            if not room:
                log._at = log.max_bytes  # the next one writes the file anew
            flash.fail[what] = code
            if what in ("open", "rename", "close") and room:
                log.add(2)  # not needed
            else:
                with raises(OSError, code):
                    log.add(2)
                found = kinds_of(flash.get())
                assert found in ([1], [1, 2]), found
                flash.fail.clear()
                log.lazy(OWN, 99) if room else None
            flash.fail.clear()
            log.add(3)
            assert kinds_of(flash.get())[:1] == [1] and kinds_of(flash.get())[-1] == 3
            assert flash.files[NAME].safe == len(flash.get())

    calls = (("open", EROFS), ("write", EIO), ("flush", EIO), ("rename", EIO), ("close", EIO))
    each([(what, code, room) for what, code in calls for room in (0, 50)], check)


def test_cut_at_each_step():
    """Of many records and several new files: what put() has returned for is there, in order."""

    def check(fat, lazy, keep):
        steps = 0
        while True:
            flash = Flash(fat)
            log = Log()
            acked = []
            flash.cut = steps
            with flash:
                try:
                    log.compact()
                    for p in range(1, 30):
                        log.add(p, lazy and p % 3)
                        if not (lazy and p % 3):
                            acked = log.has[:]
                        if p > 5:
                            del log.has[0]
                    break
                except Cut:
                    pass
            flash.power(keep)
            name = NAME if NAME in flash.files else NAME + ".new"
            if NAME not in flash.files:
                assert fat or not acked
            if acked:
                found = [p for p in kinds_of(flash.get(name)) if acked[0] <= p <= acked[-1]]
                gone = [p for p in acked if p not in log.has]  # whether they are there or not
                same([p for p in found if p not in gone], [p for p in acked if p not in gone])
            steps += 1
        assert steps > 50

    each([(fat, lazy, n) for fat in (0, 1) for lazy in (0, 1) for n in (0, 1, 9, 99)], check)


def test_max_bytes():
    """The file stays below it. A client that does not fit is told so."""
    b = Board(store={"max_bytes": 5000}).up()
    for _ in range(300):
        p = b.accept(b"t", b"0123456789", qos=1)
        b.feed(ack(PUBACK, p))
        assert len(b.flash.get()) <= 5000
    assert b.flash.count("rename") > 2
    for max_bytes in (0, 16, 4000, 1 << 25):
        with raises(ValueError) as caught:
            Board(store={"max_bytes": max_bytes})
        assert "max_bytes" in str(caught.error)


def test_read_only():
    """OSError at once, with a file there or without."""

    def check(data):
        flash = Flash()
        if data is not None:
            flash.put(data)
        for what in ("open", "rename", "remove"):
            flash.fail[what] = EROFS
        with raises(OSError, EROFS):
            Board(flash, inflight=8)
        if data is not None:
            assert flash.get() == data
        flash.fail.clear()
        same(Board(flash, inflight=8).store.recovered, "session" if data else "new")

    each(((None,), (encode(mark()),), (saved(),), (saved()[:-1],)), check)
