"""The journal file: its bytes, and what becomes of it when it is damaged, cut off or full."""

import sys

from driver import OK, RESUMED, ack, parse, publish
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
    read_journal,
    record,
)
from umqtt_plus.journal import Journal, crc16
from util import each, raises, same

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70


def fails(board):
    raise KeyError(1)


def down(b, packet_id, payload=b"in", qos=2):
    b.feed(publish(b"x", payload, qos, packet_id))


def undone(b, packet_id):
    """A message whose handler raises; the link is closed."""
    b.then = fails
    with raises(KeyError):
        down(b, packet_id)
    b.then = None


def flushed(b):
    """Make what is written durable."""
    for node in b.flash.files.values():
        node.safe = len(node.data)


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


# -- bytes ---------------------------------------------------------------------------------------


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
    each(table, check)


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


# -- damage --------------------------------------------------------------------------------------


def test_each_kind_of_content():
    """rich() has all there is, and all of it comes back."""
    data = saved()
    now = read_journal(data)
    same(sorted(set(now.kinds)), [MARK, PUT, REL, DEL, ADD, OWN, USED, UNDO, END])
    same([x[0] for x in now.out], [1, 6, 3, 2])
    same((sorted(now.rx), len(now.items)), ([11, 12, 300], 1))
    b = boot(data, handler=False, inflight=8)
    same(b.store.recovered, "session")
    same(b.ram, now.state)
    assert b.flash.get() == data
    b.compact()
    same(read_journal(b.flash.get()).state, now.state)
    b = b.reboot(handler=False)
    same(b.ram, now.state)


def test_cut_off_at_each_byte():
    """What was whole counts. The next record goes where it can be read."""
    data = saved()

    def check(n):
        b = boot(data[:n], handler=False, inflight=8)
        now = read_journal(data[:n])
        same(b.store.recovered, "session" if now.established else "new")
        same(b.ram, now.state)
        same(b.file.state, now.state)
        same(b.file.established, now.established)
        same(list(b.flash.files), [NAME])
        p = b.client._tab.next_id
        assert p, "packet id 0"
        same(p, now.next_id or 1)
        if now.established:
            b.up(RESUMED)
            if len(now.out) < 8:
                same(b.accept(b"t", b"new", qos=1) > 0, True)
                same(b.file.out[-1][1][-3:], b"new")

    each([(n,) for n in range(len(data) + 1)], check)


def lost(b):
    """The file was not believed: it is a new one by now, and nothing of the old one is known."""
    same(b.store.recovered, "lost")
    same(b.ram, ([], [], []))
    same((b.got, b.numbers), ([], []))
    same(b.file.kinds, [MARK])
    same(b.file.established, 0)
    same(b.durable.who, WHO)


def cleaned(b):
    """A server that still has the session: three steps, and nothing old is sent."""
    b.connect(False, (RESUMED, OK, OK))
    same(b.links, 3)
    same(b.durable.established, 1)
    same([first for first, _ in parse(b.out())], [0x10])
    same(b.accept(b"t", b"new", qos=2) > 0, True)
    same(parse(b.out())[0][1][5:], b"new")
    b = b.reboot()
    same((b.store.recovered, b.tables), ("session", (1, 0)))


def test_each_bit_flipped():
    data = saved()
    marks = []
    at = 0
    while at < len(data):
        marks.append(at)
        n = data[at + 5] << 8 | data[at + 6]
        at += 9 + (n + 2 if n else 0)

    def check(i, x):
        wrong = bytearray(data)
        if wrong[i] == x:
            return
        wrong[i] = x
        b = boot(wrong, inflight=8)
        lost(b)
        if i in marks and wrong[i] == data[i] ^ 1:
            cleaned(b)

    table = []
    for i in range(len(data)):
        bits = range(8) if sys.implementation.name == "cpython" else ((i + i // 8) % 8,)
        table += [(i, data[i] ^ 1 << k) for k in bits]
        table += [(i, (0, 255, data[i] ^ 0x55)[i % 3])]
    each(table, check)


def test_other_files():
    """Not ours: of another client, server, port, format; garbage; records that make no sense."""
    data = saved()
    all = read_journal(data).records
    rest = all[1:]
    one = record(PUT, 1, b"\x32\x05\0\1t\0\1")
    hot = record(ADD, 9, b"\0\1x\0\x09", 0x34)
    ours = encode(mark())
    table = (
        (mark(who=b"d@server:1883") + rest, "lost"),
        (mark(who=b"c@servant:1883") + rest, "lost"),
        (mark(who=b"c@server:8883") + rest, "lost"),
        (mark(who=b"") + rest, "lost"),
        (mark(form=5) + rest, "lost"),
        (mark(form=0) + rest, "lost"),
        (rest, "lost"),  # no mark
        (one, "lost"),
        (hot, "lost"),
        (record(MARK), "lost"),  # no body
        (mark() + all, "lost"),  # two marks
        (all + mark(), "lost"),
        (mark() + record(5, 1), "lost"),
        (mark() + record(0, 1), "lost"),
        (mark() + record(31, 1), "lost"),
        (mark() + record(DEL, 0), "lost"),  # no id
        (mark() + record(PUT, 1), "lost"),  # no packet
        (mark() + record(USED, 1), "lost"),  # of nothing
        (mark() + record(UNDO, 1), "lost"),
        (mark(epoch=1) + rest, "lost"),
        (all + record(OWN, 77, epoch=1), "lost"),
        (data + data, "lost"),
        (ours + data, "lost"),
        (ours + encode(one), "lost"),  # whole, but not written behind this mark
        (bytes(100), "lost"),
        (b"\xff" * 100, "lost"),
        (b"Hello, this is a text and not a journal.\n", "lost"),
        (data[1:], "lost"),
        (data + bytes(9), "lost"),
        (data + b"\xff" * 9, "lost"),
        (b"", "new"),
        (b"\xff", "new"),
        (mark(0), "new"),
        (mark(), "session"),
        (all, "session"),
    )

    def check(data, wanted):
        b = boot(data, inflight=8)
        same(b.store.recovered, wanted)
        if wanted == "lost":
            lost(b)
            cleaned(b)
        else:
            same(b.file.who, WHO)
            b.up(RESUMED if wanted == "session" else OK)
            n = b.tables[0]
            b.accept(b"t", b"1", qos=1)
            b = b.reboot()
            same((b.store.recovered, b.tables[0]), ("session", n + 1))

    each(table, check)


def test_records_out_of_place():
    """Each is whole, and all are of this session; one is missing, twice there, or elsewhere."""
    data = saved()
    ends = [0]
    while ends[-1] < len(data):
        at = ends[-1]
        n = data[at + 5] << 8 | data[at + 6]
        ends.append(at + 9 + (n + 2 if n else 0))
    parts = [data[ends[i] : ends[i + 1]] for i in range(len(ends) - 1)]

    def check(i, what):
        now = parts[:]
        one = now.pop(i)
        if what == 1:
            now.insert(i, one + one)
        elif what == 2:
            now.insert(i + 1, one)
            if i + 1 == len(parts):
                return
        if what == 0 and i == len(parts) - 1:
            return  # cut off
        lost(boot(b"".join(now), inflight=8))

    each([(i, what) for i in range(len(parts)) for what in (0, 1, 2)], check)


def test_ids_begin_at_one():
    """A file that was lost leaves no packet id 0 behind (MQTT-2.3.1-1)."""

    def check(data):
        b = boot(data)
        b.up()
        same(b.accept(b"t", b"", qos=1), 1)

    each(
        (
            (record(MARK),),
            (record(ADD, 9, b"\0\0\0\0", 0x34),),
            (b"",),
            (bytes(50),),
        ),
        check,
    )


def test_an_empty_file_gets_a_mark():
    """Power was cut before the first byte. What comes next must be found again."""
    b = boot(b"")
    b.connect(True)
    b.then = off
    down(b, 9, b"first")
    b = boot(b.saved)
    same((b.store.recovered, b.numbers), ("new", [1]))


def test_swapped_files():
    """Two clients, and each finds the other's file."""
    flash = Flash()
    names = ("a", "b")
    for name in names:
        b = Board(flash, name=name, client_id=name).up()
        b.accept(b"t", name.encode(), qos=2)
    flash.files["a"], flash.files["b"] = flash.files["b"], flash.files["a"]
    for name in names:
        b = Board(flash, name=name, client_id=name)
        same((b.store.recovered, b.tables), ("lost", (0, 0)))
        b.connect(False, (RESUMED, OK, OK))
        same([first for first, _ in parse(b.out())], [0x10])


def test_the_new_file_that_was_left():
    """Without the old one it is the file: FAT was between removing and renaming. Else it goes."""
    data = saved()
    table = (
        (None, data, "session"),
        (None, data[:-1], "session"),
        (None, encode(mark(0)), "new"),
        (None, data[:20], "new"),
        (None, b"", "new"),
        (None, b"garbage!!", "lost"),
        (data, encode(mark(0)), "session"),
        (data, data[:50], "session"),
        (data, b"", "session"),
        (encode(mark(0)), data, "new"),
        (b"garbage!!", data, "lost"),
    )

    def check(old, new, wanted):
        flash = Flash()
        if old is not None:
            flash.put(old)
        flash.put(new, NAME + ".new")
        b = Board(flash, handler=False, inflight=8)
        same(b.store.recovered, wanted)
        same(list(flash.files), [NAME])
        if wanted == "session":
            same(b.ram, read_journal(data[:-1] if new == data[:-1] else data).state)
        b.up(RESUMED if wanted == "session" else OK)
        assert b.durable.established

    each(table, check)


def test_tables_that_are_too_small():
    """ValueError says so, and the file is as it was; larger ones are fine."""
    data = saved()
    most = max([len(x[1]) for x in read_journal(data).out if x[1]])
    long = encode(mark() + record(PUT, 1, b"\x32\x64\0\1t\0\1" + bytes(95)))

    def check(data, inflight, buffer_size, fits):
        flash = Flash()
        flash.put(data)
        flash.put(b"", NAME + ".new")
        if fits:
            b = Board(flash, handler=False, inflight=inflight, buffer_size=buffer_size)
            same(b.ram, read_journal(data).state)
            return
        with raises(ValueError) as caught:
            Board(flash, handler=False, inflight=inflight, buffer_size=buffer_size)
        text = str(caught.error)
        assert "inflight" in text and "buffer_size" in text and NAME in text, text
        assert flash.get() == data
        b = Board(flash, handler=False, inflight=8, buffer_size=128)
        same((b.store.recovered, b.ram), ("session", read_journal(data).state))

    assert most < 64
    table = [(data, n, 64, False) for n in (1, 2, 3)]
    table += [(data, n, 64, True) for n in (8, 9, 100)]
    table += [(data, 8, n, True) for n in (64, 65, 500)]
    table += [(long, 8, 64, False), (long, 8, 101, False), (long, 8, 102, True)]
    add = record(ADD, 9, b"\0\1x" + bytes(200), 0x34)
    table += [(encode(mark() + add), 8, 64, False)]
    each(table, check)


def test_a_long_name():
    """What the mark needs is checked when the store is made, not after the first power cut."""
    b = Board(client_id="c" * 60)
    same(b.reboot().store.recovered, "new")
    try:
        b = Board(client_id="c" * 125)
    except ValueError:
        return
    same(b.up().reboot().store.recovered, "session")


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
