"""MQTT over WebSocket in whole programs: Mosquitto's own listeners, plain and TLS, and a bridge
to the bundled broker that frames everything in the wildest way allowed.
"""

import pytest

pytest_plugins = ["secure", "ws_bridge"]

WS = """
    from umqtt_plus.ws import WebSocket
    URL = os.getenv("URL") % PORT

    def web(name="web", url=URL, headers={}, **options):
        return MQTTClient(name, WebSocket(url, headers, ssl_params=params()), **options)

    def run(c, condition, ms=8000):
        end = ticks_add(ticks_ms(), ms)
        while not condition():
            if ticks_diff(end, ticks_ms()) <= 0:
                raise SystemExit("timeout")
            c.wait_msg(100)
"""


@pytest.fixture(params=["ws", "wss", "wild"])
def web(request, start):
    """web(script): the lines that it printed, with WS before it, against each kind of server."""
    kind = request.param
    if kind == "wild":
        broker = request.getfixturevalue("broker")
        port = request.getfixturevalue("bridge")(broker.port, style="wild").port
    else:
        port = request.getfixturevalue("listeners").port(kind)
    url = ("wss" if kind == "wss" else "ws") + "://localhost:%d/mqtt"

    def web(script, timeout=40, **options):
        child = start(port, join(script), env={"URL": url}, **options)
        return child.wait(timeout).stdout.splitlines()

    yield web
    if kind == "wild":
        assert broker.violations == []


def join(script):
    import textwrap

    return textwrap.dedent(WS) + textwrap.dedent(script)


def test_round_trips(web):
    """All QoS both ways, payloads around the sizes of frames, wildcards, retained."""
    script = """
    c = web(buffer_size=1500)
    got = []
    c.set_message(lambda m: got.append((bytes(m.topic), bytes(m.payload), m.qos)))
    c.connect()
    c.subscribe(b"ws/+/x", 2)
    sizes = (0, 1, 100, 118, 119, 120, 124, 130, 500, 505, 510, 600, 1024, 1400)
    want = []
    for qos in (0, 1, 2):
        for n in sizes:
            data = os.urandom(n)
            c.publish(b"ws/%d/x" % n, data, qos=qos)
            want.append((b"ws/%d/x" % n, data, qos))
    run(c, lambda: len(got) >= len(want))
    print(sorted(got) == sorted(want), len(got))
    c.publish(b"ws/kept/x", b"kept", True, 1)
    c.disconnect()
    del got[:]
    c.connect()
    c.subscribe(b"ws/kept/#", 1)
    run(c, lambda: got)
    print(got, c.session_present)
    c.publish(b"ws/kept/x", b"", True, 1)
    c.disconnect()
    print(fds() - int(os.getenv("FDS", "0")) < 9)
    """
    assert web(script) == ["True 42", "[(b'ws/kept/x', b'kept', 1)] False", "True"]


def test_session(web):
    """Offline queue, the will, and what was in flight when the link was cut."""
    script = """
    c = web("keeper", keepalive=30)
    got = []
    c.set_message(lambda m: got.append(bytes(m.payload)))
    c.connect(False)
    c.subscribe(b"queue/#", 2)
    c.disconnect()
    other = web("other")
    other.set_last_will(b"queue/will", b"gone", qos=1)
    other.connect(False)
    for i in range(5):
        other.publish(b"queue/t", b"%d" % i, qos=i % 2 + 1)
    other.publish_nowait(b"queue/t", b"5", qos=2)  # no answer is waited for
    other._close()  # no goodbye
    print(c.connect(False))
    run(c, lambda: b"gone" in got and len(got) >= 6)
    other.connect(False)
    run(other, lambda: not other.stats()["in_flight"])
    run(c, lambda: b"5" in got)
    print(sorted(set(got)), len(got))
    """
    first, second = web(script)
    assert first == "True"
    assert second in (
        "[b'0', b'1', b'2', b'3', b'4', b'5', b'gone'] 7",
        # the broker took number 5 and forgot the session before the answer
        "[b'0', b'1', b'2', b'3', b'4', b'5', b'gone'] 8",
    )


def test_large(web):
    """200 KB up and down in pieces, through frames of 512 bytes."""
    script = """
    from hashlib import sha256
    SIZE = 200000
    c = web(timeout_ms=20000)
    c.connect()
    up = sha256()
    down = sha256()
    left = SIZE

    def piece(m):
        global left
        buf = bytearray(1200)
        n = m.payload_into(buf)
        down.update(memoryview(buf)[:n])
        left -= n

    def source(buf, offset):
        n = min(len(buf), SIZE - offset)
        for i in range(n):
            buf[i] = (offset + i) * 11 >> 4 & 255
        up.update(memoryview(buf)[:n])
        return n

    c.set_stream(piece)
    c.set_message(piece)
    c.subscribe(b"big", 1)
    c.publish_stream(b"big", SIZE, source, qos=1)
    run(c, lambda: not left, 20000)
    print(up.digest() == down.digest())
    c.disconnect()
    """
    assert web(script) == ["True"]


def test_asyncio(web):
    script = """
    import asyncio
    from umqtt_plus.aio import MQTTClient as Aio

    async def main():
        for poll_ms in (0, 10):
            c = Aio("aio", WebSocket(URL, ssl_params=params()), poll_ms=poll_ms)
            async with c:
                await c.subscribe(b"aio/t", 2)
                for n in (1, 200, 450):
                    await c.publish(b"aio/t", bytes(n), qos=2)
                found = []
                async for m in c:
                    found.append(len(m.payload))
                    if len(found) == 3:
                        break
                print(found)

    asyncio.run(main())
    """
    assert web(script) == ["[1, 200, 450]"] * 2


def test_asyncio_looks_on_behind_a_frame(micropython):
    """A read ends with its frame: the next one must not wait for the next look."""
    script = """
    import asyncio
    import io
    from umqtt_plus.aio import MQTTClient
    from umqtt_plus.ws_frames import Stream

    COUNT = 100
    waiting = bytearray()

    class Server(io.IOBase):
        def write(self, buf, i, n):
            if not waiting:  # CONNECT
                waiting.extend(b"\\x82\\x04\\x20\\x02\\x00\\x00")
                for n in range(COUNT):
                    waiting.extend(b"\\x82\\x06\\x30\\x04\\x00\\x01t%c" % n)
            return n

        def readinto(self, buf, n):
            n = min(n, len(waiting))
            buf[:n] = waiting[:n]
            waiting[:n] = b""
            return n or None

        def ioctl(self, op, arg):
            return arg & (5 if waiting else 4) if op == 3 else 0

    async def main():
        c = MQTTClient("id", lambda deadline, wait_ms: (Stream(Server()),), poll_ms=50)
        got = []
        looks = 0
        step = c._step

        def counted(ms):
            nonlocal looks
            n = step(ms)
            looks += n == ms
            return n

        c._step = counted
        c.set_message(lambda m: got.append(m.payload[0]))
        await c.connect()
        for i in range(COUNT * 2):
            if len(got) == COUNT:
                break
            await asyncio.sleep_ms(50)
        print(got == list(range(COUNT)), looks < 10 or looks)

    asyncio.run(main())
    """
    assert micropython.run(script, timeout=30).stdout.split() == ["True", "True"]


def test_no_heap(web):
    """Masking, framing and pongs cost no heap."""
    assert web("print(locked(web(keepalive=60), 150, 20))", mpy=True) == ["60"]


def test_store(web, tmp_path):
    """A durable session knows its server by the URL."""
    script = """
    from umqtt_plus.store import Store
    for i in range(2):
        c = web("durable")
        store = Store(c, os.getenv("LOG"))
        print(store.recovered, c.connect(False))
        c.publish(b"t", b"x", qos=1)
        c.disconnect()
    """
    options = {"cwd": tmp_path}
    script = script.replace('os.getenv("LOG")', repr(str(tmp_path / "log")))
    said = [line.split()[-1] for line in web(script, **options)]
    assert said == ["False", "True"]


def test_pings_are_answered(broker, bridge, start):
    """The server pings through its frames while the client waits, and gets its pongs."""
    there = bridge(broker.port, style="wild")
    script = """
    c = web()
    got = []
    c.set_message(lambda m: got.append(bytes(m.payload)))
    c.connect()
    c.subscribe(b"p", 0)
    for i in range(100):
        c.publish(b"p", b"%d" % i)
        run(c, lambda: len(got) == i + 1)
    c.check_msg()
    c.disconnect()
    print(len(got))
    """
    child = start(there.port, join(script), env={"URL": "ws://localhost:%d/p?q=1"})
    assert child.wait().stdout == "100\n"
    assert there.ended.wait(5)
    assert there.pings > 20 and there.pongs == there.pings
    assert there.closes == [1000]
    assert there.requests[0].startswith(b"GET /p?q=1 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("first", "error"),
    [
        (b"\x81\x02hi", "OSError 71 WebSocket: a frame against the rules"),  # E130
        (b"\x82\x82\0\0\0\0hi", "OSError 71 WebSocket: a frame against the rules"),  # E133
        (b"\x88\x02\x03\xe8", "OSError 104"),  # E134
        (b"\x82\x02\xd0\x00", "MQTTException 130"),  # MQTT's own rules: nothing before CONNACK
    ],
)
def test_bad_frames(broker, bridge, start, first, error):
    """E130, E133, E134: the connection ends with a clear error, and no socket is left."""
    there = bridge(broker.port, first=first)
    script = "failure(web(timeout_ms=2000))"
    child = start(there.port, join(script), env={"URL": "ws://localhost:%d/mqtt"})
    (line,) = child.wait().stdout.splitlines()
    assert line.startswith(error) and "; 0 sockets left" in line


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "answers b'HTTP/1.1 403 Forbidden'"),
        (b"HTTP/1.1 101 Sure\r\nSec-WebSocket-Accept: x\r\n\r\n", "sec-websocket-accept': b'x'"),
        (b"\x20\x02\x00\x00\r\n\r\n", "WebSocket: the server answers"),
    ],
)
def test_bad_handshake(broker, bridge, start, answer, error):
    there = bridge(broker.port, answer=answer)
    script = "failure(web(timeout_ms=2000, headers={'Authorization': 'Bearer secret'}))"
    child = start(there.port, join(script), env={"URL": "ws://localhost:%d/mqtt"})
    (line,) = child.wait().stdout.splitlines()
    assert line.startswith("OSError 71 ") and error in line and "; 0 sockets left" in line
    assert "secret" not in line and b"Authorization: Bearer secret\r\n" in there.requests[0]


@pytest.mark.parametrize(
    ("listener", "scheme", "error"),
    [
        ("plain", "ws", "OSError 104"),  # the broker does not like HTTP
        ("server", "ws", "OSError 104"),
        ("ws", "wss", "OSError 71 TLS: the server does not speak TLS"),
        ("self_signed", "wss", "OSError 71 TLS: the server's certificate is self-signed"),
        ("other_name", "wss", "OSError 71 TLS: the server's certificate is not for localhost"),
    ],
)
def test_wrong_ports(listeners, start, listener, scheme, error):
    child = start(
        listeners.port(listener),
        join("failure(web(timeout_ms=2000))"),
        env={"URL": scheme + "://localhost:%d/mqtt"},
    )
    (line,) = child.wait().stdout.splitlines()
    assert line.startswith(error) and "; 0 sockets left" in line


@pytest.mark.parametrize(("kind", "most"), [("ws", 0), ("ws", 40), ("wss", 300), ("wss", 900)])
def test_stalls(listeners, start, proxy, kind, most):
    """The server falls silent in either handshake: ETIMEDOUT at the deadline; in asyncio the other
    tasks run on."""
    there = proxy(listeners.port(kind), most=most)
    script = """
    import asyncio
    from umqtt_plus.aio import MQTTClient as Aio
    failure(web(timeout_ms=500))

    async def main():
        n = fds()
        c = Aio("aio", WebSocket(URL, ssl_params=params()), timeout_ms=500)
        turns = 0

        async def tick():
            nonlocal turns
            while True:
                await asyncio.sleep_ms(5)
                turns += 1

        asyncio.create_task(tick())
        try:
            await c.connect()
        except OSError as e:
            print(e.args[0], fds() - n, turns > 5)

    asyncio.run(main())
    """
    child = start(there.port, join(script), env={"URL": kind + "://localhost:%d/mqtt"})
    sync, other = child.wait().stdout.splitlines()
    said, left, ms = sync.split("; ")
    assert (said.split()[:2], left) == (["OSError", "110"], "0 sockets left")
    assert 480 <= int(ms.split()[0]) < 3000
    assert other == "110 0 True"


@pytest.mark.parametrize("kind", ["ws", "wss"])
def test_partial_writes(listeners, start, proxy, kind):
    """The network takes no more, in the middle of a frame: it is finished when it does."""
    there = proxy(listeners.port(kind), small=True, hold=3000)
    script = """
    import socket
    import umqtt_plus.opening as opening

    class Sockets:
        getaddrinfo = socket.getaddrinfo

        def socket(*args):
            s = socket.socket(*args)
            s.setsockopt(1, 7, 1)  # SO_SNDBUF
            return s

    opening.socket = Sockets
    c = web(buffer_size=4096, inflight=8, timeout_ms=20000)
    got = []
    c.set_message(lambda m: got.append((len(m.payload), m.payload[0], m.payload[-1])))
    c.connect()
    c.subscribe(b"many", 1)
    for i in range(4):
        print(c.publish_nowait(b"many", bytes((i,)) * 4000, qos=1) > 0)
    turns = 0
    while turns < 10:  # it is stuck
        c.wait_msg(10)
        turns += 1
    print("stuck", c._on > 0, got)
    run(c, lambda: len(got) == 4, 40000)
    print(got == [(4000, i, i) for i in range(4)])
    c.disconnect()
    """
    child = start(there.port, join(script), env={"URL": kind + "://localhost:%d/mqtt"})
    child.expect(r"^stuck True \[\]$", timeout=20)
    there.released.set()
    assert child.wait(60).stdout.split() == ["True"] * 4 + ["stuck", "True", "[]", "True"]
