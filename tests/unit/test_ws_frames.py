"""The frames of WebSocket: what goes out, what may come in, and what must not."""

import umqtt_plus.ws_frames as frames
from driver import Random
from util import Skip, each, few, raises, same
from umqtt_plus.ws_frames import Stream


class Socket:
    """A stream of memory. out is what was written, pieces what comes, most what it takes."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)
        self.out = bytearray()
        self.most = -1  # bytes of a write
        self.space = -1
        self.eof = False
        self.closed = False
        self.lost = False

    def write(self, buf, i, n):
        assert n > 0 and i + n <= len(buf)
        if self.lost:
            raise OSError(104)
        if self.most >= 0:
            n = min(n, self.most)
        if self.space >= 0:
            n = min(n, self.space)
            self.space -= n
        if not n:
            return None
        self.out.extend(memoryview(buf)[i : i + n])
        return n

    def readinto(self, buf, n=-1):
        n = len(buf) if n < 0 else n
        assert 0 < n <= len(buf)
        if not self.pieces:
            return 0 if self.eof else None
        x = self.pieces.pop(0)
        if len(x) > n:
            self.pieces.insert(0, x[n:])
            x = x[:n]
        buf[: len(x)] = x
        return len(x)

    def close(self):
        self.closed = True


class Poll:
    """Ready for what it is asked, for tests of ioctl."""

    def register(self, s, ev):
        self.ev = ev

    def modify(self, s, ev):
        self.ev = ev

    def ipoll(self, ms):
        same(ms, 0)
        return ((self, self.ev & 4),) if self.ev & 4 else ()


class Select:
    poll = Poll


frames.select = Select


def frame(first, payload=b"", size=0):
    """A frame of the server; size: how its length is written, 2 or 8 bytes."""
    n = len(payload)
    size = size or (0 if n < 126 else 2 if n < 65536 else 8)
    head = bytes((first, n if not size else 126 if size == 2 else 127))
    return head + (n.to_bytes(size, "big") if size else b"") + payload


def sent(data):
    """The frames that the client sent: (first byte, payload, key)."""
    found = []
    i = 0
    while i < len(data):
        first, n = data[i], data[i + 1]
        assert n & 128, "not masked"
        n &= 127
        i += 2
        if n == 126:
            n = data[i] << 8 | data[i + 1]
            assert n > 125, "not the shortest length"
            i += 2
        key = bytes(data[i : i + 4])
        i += 4
        assert len(data) >= i + n, "half a frame"
        found.append((first, bytes(data[i + k] ^ key[k & 3] for k in range(n)), key))
        i += n
    return found


def read_all(s, room=1000, turns=2000):
    """Everything that comes until would-block or the end; (bytes, what the last read returned)."""
    data = bytearray()
    buf = bytearray(room)
    n = 0
    for _ in range(turns):
        n = s.readinto(buf, room)
        if not n:
            break
        data.extend(memoryview(buf)[:n])
    return bytes(data), n


def text(n, seed=1):
    r = Random(seed)
    return bytes(r.below(256) for _ in range(n))


def test_write():
    """One frame a packet, masked, binary, with the shortest length (MQTT-6.0.0-1)."""

    def one(n):
        link = Socket()
        s = Stream(link)
        data = b"??" + text(n) + b"??"
        same(s.write(data, 2, n), n)
        ((first, payload, key),) = sent(link.out)
        same((first, payload), (0x82, data[2 : 2 + n]))

    for n in (1, 2, 3, 4, 5, 8, 124, 125, 126, 127, 200, 510, 511, 512):
        one(n)


def test_write_long():
    """What is longer than a frame goes in several; each call says how far it came (E132)."""
    link = Socket()
    s = Stream(link)
    data = text(1300)
    same(
        [s.write(data, 0, 1300), s.write(data, 512, 788), s.write(data, 1024, 276)],
        [512, 512, 276],
    )
    same(b"".join(payload for _, payload, _ in sent(link.out)), data)


def test_new_key_each_time():
    link = Socket()
    s = Stream(link)
    for _ in range(20):
        s.write(b"abc", 0, 3)
    keys = [key for _, _, key in sent(link.out)]
    assert len(set(keys)) > 15 and b"\0\0\0\0" not in keys


def test_write_in_pieces():
    """A partial write below: None until the frame is out, and never another mask for its rest."""

    def one(most):
        link = Socket()
        s = Stream(link)
        data = text(300)
        i = calls = 0
        link.most = most
        while i < 300:
            calls += 1
            assert calls < 2000
            link.space = -1 if calls % 3 else 0
            n = s.write(data, i, 300 - i)
            i += n or 0
        link.most = -1
        same(s.write(b"next", 0, 4), 4)
        same([x[:2] for x in sent(link.out)], [(0x82, data), (0x82, b"next")])

    for most in (1, 2, 7, 100, 307):
        one(most)


def test_read():
    """Frames of every length, cut anywhere, into buffers of every size (E132)."""
    messages = [text(n, n + 1) for n in (1, 2, 125, 126, 300, 0, 700)]
    data = b"".join(frame(0x82, m) for m in messages)

    def one(cut, room):
        link = Socket(*[data[i : i + cut] for i in range(0, len(data), cut)])
        same(read_all(Stream(link), room), (b"".join(messages), None))

    each([(cut, room) for cut in (1, 2, 3, 5, 64, 5000) for room in (1, 64, 1000)], one)


def test_long_lengths():
    """A length may be written longer than needed; 8 bytes of it are understood."""
    data = text(70)
    for size in (0, 2, 8):
        same(read_all(Stream(Socket(frame(0x82, data, size)))), (data, None))
    try:
        data = bytes(66000)
        found = read_all(Stream(Socket(frame(0x82, data))))
    except MemoryError:
        raise Skip("needs a larger heap") from None
    same(found, (data, None))


def test_fragments():
    """A packet over several frames, an empty one among them, pings between (E132)."""
    link = Socket(
        frame(0x02, b"ab"),
        frame(0x89, b"now?"),
        frame(0x00),
        frame(0x00, b"cd"),
        frame(0x8A, b"x"),
    )
    link.pieces += [frame(0x80, b"ef"), frame(0x82, b"gh"), frame(0x02), frame(0x80)]
    same(read_all(Stream(link)), (b"abcdefgh", None))
    same([x[:2] for x in sent(link.out)], [(0x8A, b"now?")])


def test_pong():
    """A ping is answered with what was in it, from nothing to 125 bytes."""

    def one(n):
        data = text(n)
        link = Socket(frame(0x89, data), frame(0x82, b"on"))
        same(read_all(Stream(link)), (b"on", None))
        same([x[:2] for x in sent(link.out)], [(0x8A, data)])

    for n in (0, 1, 3, 4, 124, 125):
        one(n)


def test_pong_waits_for_a_frame():
    """A pong never goes into the middle of a frame; it goes after it, before the next."""
    link = Socket(frame(0x89, b"1"))
    s = Stream(link)
    link.space = 5
    same(s.write(b"abcdef", 0, 6), None)
    link.space = -1
    same(read_all(s), (b"", None))
    same(len(link.out), 5)
    same(s.write(b"abcdef", 0, 6), 6)
    same(s.write(b"x", 0, 1), 1)
    same([x[:2] for x in sent(link.out)], [(0x82, b"abcdef"), (0x8A, b"1"), (0x82, b"x")])


def test_pong_in_pieces():
    """A pong that does not go at once: pings meanwhile get none, frames wait for it."""
    link = Socket(frame(0x89, b"first"), frame(0x89, b"second"), frame(0x82, b"on"))
    s = Stream(link)
    link.space = 3
    same(read_all(s), (b"on", None))
    same(s.write(b"x", 0, 1), None)
    link.space = -1
    link.pieces = [frame(0x82, b"more")]
    same(read_all(s), (b"more", None))
    same(s.write(b"x", 0, 1), 1)
    same([x[:2] for x in sent(link.out)], [(0x8A, b"first"), (0x82, b"x")])


def test_many_pings_end():
    """A server that pings for ever does not keep us in one call."""
    link = Socket(*[frame(0x89, b"ping")] * 400)
    s = Stream(link)
    same(s.readinto(bytearray(10)), None)
    assert 300 < len(link.pieces) < 400
    for _ in range(100):
        s.readinto(bytearray(10))
    same(len(sent(link.out)), 400)


def test_close_of_the_server():
    """A close frame is the end of the stream, as a closed socket is (E134)."""
    for payload in (b"", b"\x03\xe8", b"\x03\xe8bye"):
        link = Socket(frame(0x82, b"last"), frame(0x88, payload))
        same(read_all(Stream(link)), (b"last", 0))
    link = Socket(frame(0x82, b"abc")[:4])
    link.eof = True
    same(read_all(Stream(link)), (b"ab", 0))
    link = Socket(b"\x82")
    link.eof = True
    same(read_all(Stream(link)), (b"", 0))


def test_close():
    """close() says goodbye: 1000, or 1002 after a broken rule; not inside a frame."""
    link = Socket()
    Stream(link).close()
    same((link.closed, [x[:2] for x in sent(link.out)]), (True, [(0x88, b"\x03\xe8")]))
    link = Socket(b"\x81\x00")
    s = Stream(link)
    with raises(OSError, 71):
        s.readinto(bytearray(9))
    s.close()
    same((link.closed, [x[:2] for x in sent(link.out)]), (True, [(0x88, b"\x03\xea")]))
    link = Socket()
    s = Stream(link)
    link.space = 3
    s.write(b"abc", 0, 3)
    link.space = -1
    s.close()
    same((link.closed, len(link.out)), (True, 3))
    link = Socket()
    link.lost = True
    Stream(link).close()
    assert link.closed


def test_against_the_rules():
    """Each ends with OSError(71) at once: E130 text, E133 masked, reserved, oversize."""

    def one(*pieces):
        link = Socket(*pieces)
        s = Stream(link)
        with raises(OSError, 71):
            for _ in range(20):
                s.readinto(bytearray(99))
        same(link.out, b"")

    each(
        (
            (frame(0x81, b"hello"),),  # text
            (frame(0x01, b"he"),),
            (b"\x82\x85\0\0\0\0hello",),  # masked
            (b"\x89\x80\0\0\0\0",),
            (frame(0xC2, b"x"),),  # reserved bits
            (frame(0xA2, b"x"),),
            (frame(0x92, b"x"),),
            (frame(0xC9),),
            (frame(0x83),),  # reserved opcodes
            (frame(0x87),),
            (frame(0x8B),),
            (frame(0x8F),),
            (frame(0x09, b"x"),),  # a control frame in fragments
            (frame(0x0A),),
            (frame(0x89, bytes(126)),),  # a control frame too long
            (frame(0x8A, bytes(300)),),
            (frame(0x80, b"x"),),  # nothing to go on with
            (frame(0x00, b"x"),),
            (frame(0x02, b"x"), frame(0x82, b"y")),  # another message inside one
            (frame(0x02, b"x"), frame(0x02, b"y")),
            (b"\x82\x7f\x00\x00\x00\x00\x40\x00\x00\x00",),  # longer than any packet
            (b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff",),
        ),
        one,
    )


def test_poll():
    """ioctl passes a poll on, and knows nothing else."""
    frames.select = Select  # another file may have its own
    s = Stream(Socket())
    same([s.ioctl(3, 1), s.ioctl(3, 5), s.ioctl(3, 4), s.ioctl(3, 1)], [0, 4, 4, 0])
    assert s.ioctl(10, 0) < 0  # MP_STREAM_GET_FILENO: poll it through here


def test_random():
    """Any sequence of right frames in any cut gives the payloads; a wrong byte never hangs."""
    r = Random(130)
    for _ in few(range(150)):
        data = bytearray()
        wanted = bytearray()
        pongs = []
        more = False
        for _ in range(r.below(12)):
            kind = r.below(4)
            payload = text(r.below(140) if kind else r.below(3), r.below(999) + 1)
            if kind == 1:
                data.extend(frame(0x89, payload[:125]))
                pongs.append(payload[:125])
            elif kind == 2:
                data.extend(frame(0x8A, payload[:125]))
            else:
                last = r.below(2)
                data.extend(frame((0x80 if last else 0) | (0 if more else 2), payload))
                more = not last
                wanted.extend(payload)
        pieces = []
        i = 0
        while i < len(data):
            n = r.below(50) + 1
            pieces.append(bytes(data[i : i + n]))
            i += n
        link = Socket(*pieces)
        s = Stream(link)
        got = bytearray()
        for _ in range(40):
            x, end = read_all(s, r.below(60) + 1)
            got.extend(x)
        same((bytes(got), end), (bytes(wanted), None))
        same([x[:2] for x in sent(link.out)], [(0x8A, x) for x in pongs])


def test_rubbish():
    """Random bytes: data, would-block, the end or OSError(71), within bounds."""
    r = Random(133)
    for _ in range(400):
        data = text(r.below(300), r.below(9999) + 1)
        if r.below(2):
            data = frame(0x82 if r.below(3) else 0x89, data[:100]) + data
        link = Socket(data)
        link.eof = bool(r.below(2))
        s = Stream(link)
        try:
            got, end = read_all(s, 50)
            assert len(got) <= len(data)
            assert end is None or end == 0
        except OSError as e:
            same(e.args[0], 71)
        s.close()
        assert link.closed
