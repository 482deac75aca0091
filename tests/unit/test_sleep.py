"""The session over a deep sleep: what comes back, and what must never come back.

A board is a fake machine; each wake() makes client and store anew, as after a reset.
"""

import os
import sys

import util
from driver import OK, RESUMED, Driver, Random, ack, publish
from util import Skip, each, few, raises, same

sys.path.append(util.__file__.replace("\\", "/").rpartition("/")[0] + "/..")

from fakes.esp32 import Flash  # noqa: E402
from fakes.machine import Machine, Panic  # noqa: E402
from umqtt_plus.media import NVS, Backup, File  # noqa: E402
from umqtt_plus.sleep import RTCMemory, SleepStore  # noqa: E402
from umqtt_plus.lost import SessionLost  # noqa: E402

CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x00\x00\x00\x00\x01c"
DISCONNECT = b"\xe0\x00"
MARK = 9 + 12 + len(b"c@server:1883") + 2  # bytes of an empty session
HEAD = 6


class Board:
    """machine is what survives; d and s are of this wake."""

    def __init__(self, port="esp32", medium=RTCMemory):
        self.machine = Machine(port)
        self.medium = medium
        self.numbers = []

    def wake(self, handler=True, client_id="c", inflight=4, size=128, **options):
        sys.modules["machine"] = self.machine
        self.machine.reset()
        self.d = d = Driver(client_id, handler=None, inflight=inflight, buffer_size=size)
        self.s = SleepStore(d.client, self.medium(), **options)
        if handler:
            d.client.set_message(self.message)
        return d

    def message(self, m):
        self.numbers.append(m.number)
        self.d._message(m)

    def session(self, *args, **options):
        """A wake with a session that has just begun."""
        d = self.wake(*args, **options)
        d.connect(False)
        same(d.out(), CONNECT)
        return d

    def save(self, notes=b""):
        self.d.run(self.d.client.disconnect)
        self.s.save(notes)

    @property
    def ram(self):
        return bytes(self.machine.data[: self.machine.length])

    @ram.setter
    def ram(self, data):
        self.machine.data[: len(data)] = data
        self.machine.length = len(data)


def busy(board):
    """A session with a message in each state, and an id of the server's that is open."""
    d = board.session()
    d.set_next_id(65533)
    for i in range(4):
        d.accept(b"t", b"%d" % i, qos=1 if i == 0 else 2)  # 65533, 65534, 65535, 4
    d.feed(ack(0x50, 4))
    d.feed(ack(0x50, 65535))
    d.feed(publish(b"x", b"in", 2, 9))
    d.feed(publish(b"x", b"in", 2, 41))
    same(d.out()[-8:], ack(0x50, 9) + ack(0x50, 41))
    return d


BUSY = (
    ack(0x62, 4)  # in the order of the PUBRECs
    + ack(0x62, 65535)
    + publish(b"t", b"0", 1, 65533, 8)
    + publish(b"t", b"1", 2, 65534, 8)
)


def is_clean(board, why="new"):
    """The next connection makes a new session, with a clean one in between where there is one."""
    d = board.d
    same(board.s.recovered, why)
    same(d.tables, (0, 0))
    assert not board.s.established
    same(board.ram, b"")
    assert not d.connect(False, (RESUMED, OK, OK))
    same(d.links, 3)
    same(d.client._cl, False)


def test_every_state_comes_back():
    """MQTT-4.4.0-1, MQTT-4.3.3-1, MQTT-4.6.0-1, MQTT-4.6.0-4, MQTT-4.3.3-2"""
    board = Board()
    busy(board)
    board.save(b"the notes")
    d = board.wake()
    same((board.s.recovered, board.s.notes, d.tables), ("session", b"the notes", (4, 2)))
    assert d.connect(False, RESUMED)
    same(d.out(), CONNECT + BUSY)
    same(d.links, 1)
    d.feed(publish(b"x", b"in", 2, 9, 8))
    same((d.out(), d.got), (ack(0x50, 9), []))  # not handed over again
    d.feed(ack(0x62, 9) + ack(0x62, 41))
    same(d.out(), ack(0x70, 9) + ack(0x70, 41))
    d.feed(publish(b"x", b"new", 2, 9))
    same([x[1] for x in d.got], [b"new"])
    d.feed(ack(0x70, 4) + ack(0x70, 65535) + ack(0x40, 65533) + ack(0x50, 65534))
    d.feed(ack(0x70, 65534))
    same(d.tables, (0, 1))
    same(board.numbers, [1, 2, 3])  # the messages are counted on


def test_sleeps_without_end():
    """What is not acknowledged goes out at each wake, the same bytes with DUP, and stays once."""
    board = Board()
    busy(board)
    for n in range(5):
        board.save(b"%d" % n)
        d = board.wake()
        same(board.s.notes, b"%d" % n)
        assert d.connect(False, RESUMED)
        same(d.out(), CONNECT + BUSY)
    same(d.tables, (4, 2))


def test_a_message_that_never_went_out():
    """It was accepted, the socket was full. MQTT-4.4.0-1"""
    board = Board()
    d = board.session()
    d.link.space = 0
    same(d.accept(b"t", b"late", qos=2), 1)
    d.lose()
    board.s.save()
    d = board.wake()
    d.connect(False, RESUMED)
    same(d.out(), CONNECT + publish(b"t", b"late", 2, 1, 8))


def test_an_empty_session_is_a_session():
    board = Board()
    board.session()
    board.save()
    same(len(board.ram), HEAD + MARK)
    d = board.wake()
    same(board.s.recovered, "session")
    assert d.connect(False, RESUMED)
    same((d.out(), d.links), (CONNECT, 1))  # no cleaning, no SUBSCRIBE


def test_without_a_handler():
    """A publisher alone loads no inbox."""
    board = Board()
    board.session(handler=False)
    board.d.accept(b"t", b"m", qos=1)
    board.save()
    d = board.wake(handler=False)
    same(board.s._parts, {})
    d.connect(False, RESUMED)
    same(d.out(), CONNECT + publish(b"t", b"m", 1, 1, 8))


def test_nothing_is_written_while_awake():
    board = Board()
    d = board.session()
    board.save()
    d = board.wake()
    writes = board.machine.writes
    d.connect(False, RESUMED)
    for i in range(20):
        p = d.accept(b"t", b"%d" % i, qos=2)
        d.feed(ack(0x50, p) + ack(0x70, p))
        d.feed(publish(b"x", b"in", 2, 7))
        d.feed(ack(0x62, 7))
    d.lose()
    d.connect(False, RESUMED)
    same(board.machine.writes, writes)
    same(board.s.flushes, 1)  # it was emptied when we woke up
    same(len(d.got), 20)


def test_a_reset_while_awake_begins_anew():
    """What was saved before the sleep is older than what the server knows by then."""
    board = Board()
    busy(board)
    board.save(b"notes")
    board.wake()
    same(board.ram, b"")  # at once, before anything else
    d = board.wake()  # the watchdog
    same(board.s.notes, b"")
    is_clean(board)
    same(d.tables, (0, 0))


def test_asleep_without_save():
    board = Board()
    busy(board)
    board.d.run(board.d.client.disconnect)
    board.wake()
    is_clean(board)


def test_a_power_cut_takes_it_all():
    board = Board()
    busy(board)
    board.save(b"notes")
    board.machine.power_cut()
    board.wake()
    same(board.s.notes, b"")
    is_clean(board)


def test_save_wants_a_closed_connection():
    board = Board()
    d = board.session()
    with raises(OSError, 114):
        board.s.save()
    same(board.ram, b"")
    assert not d.closed
    d.lose()
    board.s.save()  # a lost one is closed, too
    assert board.ram


def test_not_in_a_handler():
    """Whether the message is dealt with is known when the handler returns."""
    board = Board()
    d = board.session()
    errors = []

    def then(d):
        d.client.disconnect()
        with raises(OSError, 114) as caught:
            board.s.save()
        errors.append(caught.error)

    d.then = then
    with raises(OSError):
        d.feed(publish(b"x", b"in", 2, 9))
    same(len(errors), 1)
    same(board.ram, b"")
    board.s.save()
    d = board.wake()
    d.connect(False, RESUMED)
    d.out()
    d.feed(publish(b"x", b"in", 2, 9, 8))  # the handler has returned: not again
    same((len(d.got), d.out()), (0, ack(0x50, 9)))


def test_what_waits_in_the_inbox():
    """A file with a message not dealt with, as a power cut leaves it: here it comes by a sleep in
    the handler of what waits, before connect()."""
    board = Board()
    d = board.session()
    d.feed(publish(b"x", b"one", 2, 9) + publish(b"x", b"two", 2, 10))
    box = board.s._parts[1]
    body = b"\x00\x01x\x00\x09one"
    box.items.append((1, 0x34, 9, body))
    box.items.append((2, 0x3D, 10, body.replace(b"\x09one", b"\x0atwo!")))
    board.save()
    for _ in range(2):  # not dealt with before the next sleep
        board.numbers = []
        board.wake(handler=False)
        board.save()
    d = board.wake()
    same(d.got, [(b"x", b"one", 2, False, False), (b"x", b"two!", 2, True, True)])
    same(board.numbers, [1, 2])
    d.connect(False, RESUMED)
    d.out()
    d.feed(publish(b"x", b"one", 2, 9, 8))
    same((d.out(), len(d.got)), (ack(0x50, 9), 2))
    d.feed(ack(0x62, 9))
    d.feed(publish(b"x", b"three", 2, 9))
    same(board.numbers, [1, 2, 3])
    board.save()
    d = board.wake()
    same((d.got, d.tables), ([], (0, 2)))


def uses():
    def connects(board):
        board.d.answers.append([RESUMED])
        board.d.run(board.d.client.connect, False)

    def connects_clean(board):
        board.d.answers.append([OK])
        board.d.run(board.d.client.connect)

    def finds_nobody(board):
        def closed(*args):
            raise OSError(111)

        board.d._open = closed
        with raises(OSError, 111):
            board.d.run(board.d.client.connect, False)

    return ((connects,), (connects_clean,), (finds_nobody,))


def test_used_after_save():
    """The medium is empty before a byte goes out, and save() works again afterwards."""

    def check(use):
        board = Board()
        d = busy(board)
        board.save()
        assert board.ram
        seen = []
        was = d._open

        def opened(*args):
            seen.append(board.ram)
            return was(*args)

        d._open = opened
        use(board)
        same(board.ram, b"")
        same(seen, [b""] * len(seen))
        if d.client.state:
            d.run(d.client.disconnect)
        board.s.save(b"again")
        board.wake()
        same(board.s.notes, b"again")
        same(board.s.established, use.__name__ != "connects_clean")

    each(uses(), check)


def test_a_record_after_save():
    """An outbox, say, gets a message while there is no connection: what was saved is old then."""

    def check(verb, *args):
        board = Board()
        board.session()
        board.save()
        getattr(board.s, verb)(*args)
        same(board.ram, b"")

    each((("put", 32, 0, 1, b"x", 0, 1), ("lazy", 33, 1), ("write", 34, 0, 1)), check)


def test_too_much_for_the_medium():
    board = Board()
    busy(board)
    board.save()
    size = len(board.ram)
    room = 2048 - size
    with raises(OSError, 28) as caught:
        board.s.save(bytes(room + 1))
    same(caught.error.args[1], "2049 bytes, there are 2048")
    same(board.ram, b"")  # and not what was saved before
    board.s.save(b"n" * room)
    same(len(board.ram), 2048)
    d = board.wake()
    same(board.s.notes, b"n" * room)
    d.connect(False, RESUMED)
    same(d.out(), CONNECT + BUSY)


def test_every_flipped_bit_is_seen():
    board = Board()
    busy(board)
    board.save(b"notes")
    saved = board.ram
    for i in few(range(len(saved))):
        for bit in range(8):
            data = bytearray(saved)
            data[i] ^= 1 << bit
            board.ram = data
            d = board.wake()
            same((board.s.recovered, board.s.notes), ("lost", b""), "byte %d bit %d" % (i, bit))
            same((d.tables, board.s.established, board.ram), ((0, 0), False, b""))
    is_clean(board, "lost")


def test_every_torn_snapshot_is_seen():
    """A journal forgives its last record; a snapshot was written at once."""
    board = Board()
    busy(board)
    board.save(b"notes")
    saved = board.ram
    for n in few(range(1, len(saved))):
        for data in (saved[:n], saved[:n] + bytes(len(saved) - n), saved[n:]):
            board.ram = data
            board.wake()
            same((board.s.recovered, board.s.notes), ("lost", b""), str(n))
    for more in (b"\0", b"\0" * 9, saved):
        board.ram = saved + more
        board.wake()
        same(board.s.recovered, "lost")
    is_clean(board, "lost")


def test_strange_contents():
    """Another program's data in the same memory, and noise."""
    board = Board()
    random = Random(3)
    for data in (b"{}", b"\0" * 6, b"\0" * 2048, b"\xff" * 2048, b'[1, 60000, ["x"]]'):
        board.ram = data
        board.wake()
        same(board.s.recovered, "lost", repr(data[:20]))
    for _ in few(range(50)):
        board.ram = bytes(random.below(256) for i in range(1 + random.below(200)))
        board.wake()
        same(board.s.recovered, "lost")
    is_clean(board, "lost")


def test_of_somebody_else():
    """Another client_id or server: the session is not ours; the notes are the application's."""
    board = Board()
    busy(board)
    board.save(b"notes")
    d = board.wake(client_id="d")
    same((board.s.recovered, board.s.notes, d.tables), ("lost", b"notes", (0, 0)))
    same(board.ram, b"")


def test_smaller_tables():
    """ValueError keeps what is there: the right arguments may come with the next upload."""
    board = Board()
    busy(board)
    board.save(b"notes")
    saved = board.ram
    with raises(ValueError):
        board.wake(inflight=3)
    same(board.ram, saved)
    d = board.wake(inflight=4)
    d.connect(False, RESUMED)
    same(d.out(), CONNECT + BUSY)


def test_a_clean_session_does_not_sleep():
    """MQTT-3.1.2-6"""
    board = Board()
    d = board.wake()
    d.connect(True)
    d.accept(b"t", b"m", qos=2)
    d.feed(publish(b"x", b"in", 2, 9))
    board.save(b"notes")
    board.wake()
    same(board.s.notes, b"notes")
    is_clean(board)


def test_notes_without_a_session():
    board = Board()
    board.wake()
    board.s.save(b"never connected")
    board.wake()
    same(board.s.notes, b"never connected")
    is_clean(board)


def test_the_server_has_lost_it():
    board = Board()
    busy(board)
    board.save()
    d = board.wake(discard=True)
    with raises(SessionLost) as caught:
        d.connect(False, OK)
    same(sorted(caught.error.args[1]), [(4, True), (65533, False), (65534, False), (65535, True)])
    board.s.save()
    d = board.wake(discard=True)
    d.connect(False, RESUMED)
    same((d.out(), d.tables), (CONNECT, (0, 0)))


def test_close():
    board = Board()
    board.wake()
    board.s.close()


def backups():
    return (("esp32", (0,), 2047), ("stm32", (0,), 4095), ("rp2350", (0, 1, 2), 59))


def test_backup_memory():
    """Registers that take whole words, and no slices."""

    def check(port, regions, size):
        board = Board(port, lambda: Backup(regions))
        board.session(handler=False)
        same(board.s.medium.size, size)
        n = size - HEAD - MARK
        for notes in (b"", b"\0\0\0", b"x" * n):
            board.save(notes)
            d = board.wake(handler=False)
            same((board.s.recovered, board.s.notes), ("session", notes))
            same(bytes(board.machine.data), bytes(len(board.machine.data)))
            d.connect(False, RESUMED)
        with raises(OSError, 28):
            board.save(b"x" * (n + 1))
        same(bytes(board.machine.data), bytes(len(board.machine.data)))

    each(backups(), check)


def test_backup_memory_leaves_other_regions_alone():
    board = Board("stm32", Backup)
    board.machine.data[4096:] = b"z" * 128  # of the bootloader
    board.session()
    board.save()
    board.wake()
    same(bytes(board.machine.data[4096:]), b"z" * 128)


def test_backup_memory_shows_noise():
    """After a power cut registers hold anything."""
    random = Random(5)

    def check(port, regions, size):
        board = Board(port, lambda: Backup(regions))
        for _ in range(20):
            board.machine.power_cut(random.below)
            board.wake()
            same(board.s.recovered, "lost")
            assert not any(board.machine.data[:4096])

    each(backups()[1:], check)


def test_every_flipped_bit_of_registers_is_seen():
    """Those behind the snapshot, too: what they add to it is not a part of it."""
    board = Board("rp2350", lambda: Backup((0, 1, 2)))
    board.session(handler=False)
    board.save(b"abc")
    saved = bytes(board.machine.data)
    end = HEAD + MARK + 3
    same(saved[end:], b"\1" + bytes(59 - end))
    for i in few(range(60)):
        for bit in range(8):
            board.machine.data[:] = saved
            board.machine.data[i] ^= 1 << bit
            board.wake(handler=False)
            found = (board.s.recovered, board.s.notes)
            if i != end or not bit:
                same(found, ("lost", b""), "byte %d bit %d" % (i, bit))
            else:  # what stands behind it only says where it ends
                same(found, ("session", b"abc"))
    board.machine.data[:] = saved
    board.wake(handler=False)
    same(board.s.recovered, "session")


def test_a_pico_has_too_few():
    board = Board("rp2040", lambda: Backup((0, 1)))
    board.session(handler=False)
    with raises(OSError, 28) as caught:
        board.save()
    same(caught.error.args[1], "%d bytes, there are 27" % (HEAD + MARK))
    with raises(AttributeError):
        Board("rp2040").wake()  # and no RTC().memory()
    with raises(Panic):
        board.machine.mem_backup()[0:1] = b"\0"  # the fake would notice


def nvs(size=2048):
    flash = sys.modules["esp32"] = Flash()
    return flash, Board("esp32", lambda: NVS(size=size))


def test_nvs():
    flash, board = nvs()
    busy(board)
    same(flash.commits, 0)
    board.save(b"notes")
    same((flash.commits, list(flash.kept)), (1, [("umqtt_plus", "session")]))
    flash.power_cut()
    board.machine.power_cut()
    d = board.wake()
    same((board.s.recovered, board.s.notes, flash.commits), ("session", b"notes", 2))
    same(flash.kept, {})
    d.connect(False, RESUMED)
    same(d.out(), CONNECT + BUSY)
    flash.power_cut()
    board.wake()
    same((board.s.recovered, flash.commits), ("new", 2))


def test_nvs_fails():
    flash, board = nvs(size=20000)
    busy(board)
    with raises(OSError, -0x1105):  # full
        board.save(bytes(15000))
    same(flash.kept, {})
    flash.broken = 1
    with raises(OSError):
        board.save(b"x")
    # whether it is there or not after a reset is unknown: the next use takes it away
    d = board.d
    d.connect(False, RESUMED)
    same((flash.open, flash.kept), ({}, {}))
    board.save(b"y")
    flash.broken = 1
    with raises(OSError):
        board.wake()  # cannot be emptied: then it must not be used
    flash, board = nvs(size=100)
    board.session()
    with raises(OSError, 28):
        board.save(bytes(100))


def place():
    try:
        os.listdir(".")
    except OSError:
        raise Skip("no file system here") from None
    for name in ("test_sleep.tmp", "test_sleep.tmp.new"):
        try:
            os.remove(name)
        except OSError:
            pass
    return "test_sleep.tmp"


def test_a_file():
    path = place()
    board = Board("rp2040", lambda: File(path))
    try:
        busy(board)
        same(board.s.recovered, "new")
        board.save(b"notes")
        board.save(b"other notes")
        assert path in os.listdir(".") and path + ".new" not in os.listdir(".")
        board.machine.power_cut()
        d = board.wake()
        same((board.s.recovered, board.s.notes), ("session", b"other notes"))
        assert path not in os.listdir(".")
        d.connect(False, RESUMED)
        same(d.out(), CONNECT + BUSY)
        with raises(OSError, 28):
            board.save(bytes(65536))
        assert path not in os.listdir(".")
        with open(path + ".new", "wb") as f:
            f.write(b"half")  # power was cut within save()
        board.wake()
        same(board.s.recovered, "new")
        board.s.save(b"whole")
        board.wake()
        same(board.s.notes, b"whole")
        with open(path, "wb") as f:
            f.write(b"")
        board.wake()
        same(board.s.recovered, "new")
    finally:
        place()


def test_a_file_that_cannot_be():
    place()
    board = Board("rp2040", lambda: File("no such directory/file"))
    board.session()
    with raises(OSError, 2):
        board.save()
    d = board.d
    d.connect(False, RESUMED)  # nothing is there to be taken away
    same(d.client.state, 2)


def test_an_outbox_sleeps_too():
    try:
        import umqtt_plus.queue  # noqa: F401
    except ImportError:
        raise Skip("there is no durable outbox yet") from None
    from umqtt_plus.outbox import Outbox

    board = Board()
    box = Outbox(500, 20)
    board.wake(outbox=box)
    for i in range(3):
        box.put(b"t", b"%d" % i, False, 1)
    board.s.save(b"notes")
    box = Outbox(500, 20)
    board.wake(outbox=box)
    same(len(box), 3)
    same(board.s.notes, b"notes")


def masked(data):
    """DUP of a message that never went out: 1 after a sleep, 0 without one. Both are right."""
    out = bytearray()
    i = 0
    while i < len(data):  # packets of less than 128 bytes
        n = data[i + 1] + 2
        out.append(data[i] & 0xF7 if data[i] >> 4 == 3 else data[i])
        out.extend(data[i + 1 : i + n])
        i += n
    return bytes(out)


def test_sleeping_makes_no_difference():
    """The same events for a client that stays awake and for one that sleeps at each lost link: the
    same packets in the same order, the same messages handed over."""
    for seed in few(range(12)):
        random = Random(seed)
        board = Board()
        other = Driver("c", inflight=4, buffer_size=128)
        board.session()
        other.connect(False)
        other.out()
        got = []
        for _ in range(120):
            d = board.d
            pair = (d, other)
            what = random.below(8)
            p = 1 + random.below(6)
            if what < 3:
                qos = 1 + random.below(2)
                space = 0 if random.below(4) == 0 else -1
                for x in pair:
                    x.link.space = space
                    x.accept(b"t", b"%d" % p, qos=qos)
                if not space:
                    what = 7  # it did not go out before the link broke
            elif what == 3:
                data = publish(b"x", b"%d" % p, 2, p, 8 * random.below(2))
                for x in pair:
                    x.feed(data)
            elif what == 4:
                for x in pair:
                    x.feed(ack(0x62, p))
            elif what < 7:
                t = other.client._tab
                i = random.below(4)
                state = t.state[i]
                if state in (2, 3, 4):
                    for x in pair:
                        x.feed(ack((0x40, 0x50, 0x70)[state - 2], t.ids[i]))
            if what == 7:
                other.lose()
                d.lose()
                got += d.got
                board.s.save(b"%d" % len(got))
                board.wake()
                same(board.s.notes, b"%d" % len(got))
                for x in (board.d, other):
                    assert x.connect(False, RESUMED)
                # ids of messages that are done may come again earlier
                board.d.set_next_id(other.client._tab.next_id)
            same(masked(board.d.out()), masked(other.out()), "seed %d" % seed)
            same(board.d.tables, other.tables)
        same(got + board.d.got, other.got, "seed %d" % seed)
