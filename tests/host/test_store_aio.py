"""The asyncio client with a store: the same file, the same promises."""

from pathlib import Path

import pytest

pytest_plugins = ["scripts.aio_place"]

UNIT = Path(__file__).resolve().parent.parent / "unit"

HEAD = """
    from aio_world import *
    import os
    import umqtt_plus.journal as journal
    from umqtt_plus.store import Store

    PATH = {path!r}
    got = []

    def message(m):
        got.append((m.payload, m.qos, m.number))

    def made(handler=message, path=PATH, link_to=None, **options):
        c = client(inflight=4, timeout_ms=8000)
        s = Store(c, path, **options)
        if handler:
            c.set_message(handler)
        return c, s

    def cost(s, before=[0]):
        n = s.flushes - before[0]
        before[0] = s.flushes
        return n

    def copy(path):
        with open(PATH, "rb") as f:
            data = f.read()
        with open(path, "wb") as f:
            f.write(data)

    def full(*args):
        raise OSError(28)

    class Full:
        write = flush = full

        def close(self):
            pass

    def fill(s):
        "No byte more goes to the flash, until the result is called."
        s._f.close()
        s._f = Full()
        before = getattr(journal, "open", None)
        journal.open = full

        def mend():
            if before:
                journal.open = before
            else:
                del journal.open

        return mend
"""


@pytest.fixture
def lines(place, tmp_path):
    """What a script prints."""

    def lines(script):
        return place.run(HEAD.format(path=str(tmp_path / "journal")) + script)

    lines.server = place.server
    return lines


def test_flushes(lines):
    """1 for QoS 1, 2 for QoS 2, awaited or not, and received; QoS 1 with inbox_qos=1."""
    found = lines(
        """
    @start
    async def main():
        for inbox_qos in (1, 2):
            c, s = made(inbox_qos=inbox_qos)
            print(s.recovered, cost(s, [0]))
            await c.connect(False)
            d = await connected("d")
            await c.subscribe("down", 2)
            done = []
            c.on_published(done.append)
            cost(s)
            for qos in (0, 1, 2):
                await c.publish("up", "awaited", qos=qos)
                await turns(3)
                print(cost(s), end=" ")
            for qos in (1, 2):
                n = len(done)
                c.publish_nowait("up", "not awaited", False, qos)
                await until(lambda: len(done) > n)
                print(cost(s), end=" ")
            for qos in (0, 1, 2):
                n = len(got)
                await d.publish("down", "x", qos=qos)
                await until(lambda: len(got) > n and not c._tab.ids_in.count)
                print(cost(s), end=" ")
            print(got)
            got.clear()
            await c.disconnect()
            await d.disconnect()
            s.close()
            os.remove(PATH)
            await (await connected()).disconnect()  # the server forgets it, too
        """
    )
    assert found[1::2] == [
        "0 1 2 1 2 0 1 2 [(b'x', 0, 0), (b'x', 1, 1), (b'x', 2, 2)]",
        "0 1 2 1 2 0 0 2 [(b'x', 0, 0), (b'x', 1, 0), (b'x', 2, 1)]",
    ]
    assert found[0] == found[2] == "new 1"


def test_another_life(lines):
    """A client that vanishes without a goodbye; the next one goes on with its session."""
    found = lines(
        """
    @start
    async def main():
        c, s = made()
        print(s.recovered, await c.connect(False))
        await c.subscribe("up", 2)
        c._close()
        c, s = made()
        print(s.recovered, await c.connect(False))
        # accepted, on file, and never on its way
        c.sock.write, flush = None, c._flush
        c._flush = lambda: True
        ids = [c.publish_nowait("up", str(n), qos=1 + n % 2) for n in range(4)]
        print(ids[3] - ids[0], c.stats()["in_flight"])
        c._close()
        """.replace("c.sock.write, flush = None, c._flush\n", "pass\n")
        + """
        c, s = made()
        print(s.recovered, s.accepted, c.stats()["in_flight"])
        print(await c.connect(False))
        await until(lambda: len(got) == 4 and not c._tab.used and not c._tab.ids_in.count)
        print(sorted(m[0] for m in got), sorted(m[2] for m in got))
        await c.disconnect()
        """
    )
    assert found == [
        "new False",
        "session True",
        "3 4",
        "session 4 4",
        "True",
        "[b'0', b'1', b'2', b'3'] [0, 0, 1, 2]",
    ]


def test_power_cut_in_the_handler(lines):
    """The file as it is while the message is handed over: the next life has it, same number."""
    found = lines(
        """
    @start
    async def main():
        def cut(m):
            message(m)
            copy(PATH + ".cut")

        c, s = made(cut)
        await c.connect(False)
        await c.subscribe("down", 2)
        await c.publish("down", "first", qos=2)
        await c.publish("down", "second", qos=2)
        await until(lambda: len(got) == 2 and not c._tab.ids_in.count)
        print(got)
        await c.disconnect()
        got.clear()
        c, s = made(path=PATH + ".cut")
        print(s.recovered, got)
        got.clear()
        c, s = made()
        print(s.recovered, got)
        """
    )
    assert found == [
        "[(b'first', 2, 1), (b'second', 2, 2)]",
        "session [(b'second', 2, 2)]",
        "session []",
    ]


def test_a_full_flash(lines):
    """publish raises, and the link stays; what comes closes it and comes again, once."""
    found = lines(
        """
    @start
    async def main():
        c, s = made()
        await c.connect(False)
        await c.subscribe("down", 2)
        d = await connected("d")
        mend = fill(s)
        for qos in (1, 2):
            try:
                c.publish_nowait("down", "never", False, qos)
            except OSError as e:
                print(e.args[0], end=" ")
            print(await error(c.publish("down", "never", qos=qos)), c.stats()["in_flight"])
        print(c.sock is not None, await c.publish("down", "qos 0"))
        await d.publish("down", "later", qos=2)
        print(await error(wait_for(c.run(), 5)), c.sock)
        print(await error(c.connect(True)), c.sock)
        mend()
        print(await c.connect(False))
        await until(lambda: len(got) == 2 and not c._tab.ids_in.count)
        print(got)
        await c.publish("down", "again", qos=2)
        await until(lambda: len(got) == 3 and not c._tab.ids_in.count)
        await c.disconnect()
        await d.disconnect()
        s.close()
        c, s = made(None)
        print(s.recovered, s.accepted, s.number, c.stats()["in_flight"])
        """
    )
    assert found == [
        "28 OSError 28 0",
        "28 OSError 28 0",
        "True -1",
        "OSError 28 None",
        "OSError 28 None",
        "True",
        "[(b'qos 0', 0, 0), (b'later', 2, 1)]",
        "session 1 2 0",
    ]


def test_link(lines):
    """A Link over links that are lost again and again, and over a new client half way."""
    found = lines(
        """
    @start
    async def main():
        d = await connected("d")
        echo = []
        d.set_message(lambda m: echo.append(m.payload))
        await d.subscribe("up", 2)
        n = 0
        for life in range(3):
            c, s = made()
            async with link(c, ("down", 2)) as box:
                await box.wait_up()
                for _ in range(10):
                    p = 0
                    while not p:
                        try:
                            p = c.publish_nowait("up", str(n), qos=2)
                        except OSError:
                            pass
                        await sleep_ms(1)
                    n += 1
                    if not n % 3:
                        c._close()
                    await d.publish("down", str(n), qos=2)
                if life == 2:
                    await until(lambda: not c._tab.used and len(got) == 30, what="all")
                else:
                    c._close()
                    break_off = s
                    s._f.close()
                    s._f = Full()  # whatever it writes from here on is lost
        print(sorted(map(int, echo)) == list(range(30)))
        print(sorted(int(m[0]) for m in got) == list(range(1, 31)))
        print(len(set(m[2] for m in got)))
        await d.disconnect()
        """.replace("                    break_off = s\n", "")
    )
    assert found == ["True", "True", "30"]


def test_not_with_a_store(lines):
    """messages() and what calls it, publish_stream() with QoS 1 and 2: ValueError, and no harm."""
    found = lines(
        """
    @start
    async def main():
        c, s = made(None)
        await c.connect(False)

        def source(buf, offset):
            return min(len(buf), 2000 - offset)

        async def each():
            async for m in c:
                pass

        print(await error(each()))
        print(await error(c.subscribe("t")))
        for qos in (1, 2):
            print(await error(c.publish_stream("t", 2000, source, qos=qos)))
        print(await error(c.publish_stream("t", 2000, source)))
        print(await error(c.publish("t", "1", qos=2)), c.stats()["in_flight"])
        await c.disconnect()
        """
    )
    assert [line.split()[0] for line in found[:4]] == ["ValueError"] * 4
    assert found[4:] == ["none: -1", "none: 1 0"]


def test_session_lost(lines):
    """discard=True: connect() tells what may have arrived, then there is a new session."""
    found = lines(
        """
    @start
    async def main():
        c, s = made(discard=True)
        await c.connect(False)
        c._flush = lambda: True
        print(c.publish_nowait("up", "1", qos=2), c.publish_nowait("up", "2", qos=1))
        del c._flush
        c._close()
        await (await connected()).disconnect()  # the server forgets
        try:
            await c.connect(False)
        except MQTTException as e:
            print(type(e).__name__, sorted(e.args[1]), c.sock)
        print(c.stats()["in_flight"], await c.connect(False))
        await c.disconnect()
        """
    )
    assert found == ["1 2", "SessionLost [(1, False), (2, False)] None", "0 True"]


# -- with a simulated flash, on MicroPython ------------------------------------------------------

WORLD = """
    import asyncio
    import sys
    import umqtt_plus.aio as aio
    from asyncio import sleep_ms
    from flash import NAME, Board, Content, Cut, Flash, Server, Wire
    from umqtt_plus.store import Store

    class Desk(Board):
        "What Wire asks of a board, for an asyncio client."

        def __init__(self, flash, server):
            self.flash = flash
            self.server = server
            self.name = NAME
            self.clean = None
            self.lax = False
            self.client = aio.MQTTClient("c", "server", inflight=4, buffer_size=64, poll_ms=1)

        def open(self, *args):
            yield None
            self.link = Wire(self, [])
            yield self.link

    ups = [(1, b"A"), (2, b"B"), (2, b"D"), (2, b"G")]
    downs = [(2, b"C"), (2, b"E"), (1, b"F")]

    class Life:
        def __init__(self, tight):
            self.flash = Flash()
            self.server = Server()
            self.tight = tight
            self.effects = {}
            self.plain = set()
            self.said = 0

        def message(self, m):
            if m.number:
                assert self.effects.setdefault(m.number, m.payload) == m.payload
            else:
                self.plain.add(m.payload)

        async def main(self):
            desk = Desk(self.flash, self.server)
            c = desk.client
            aio.open = desk.open
            s = Store(c, NAME)
            s.max_bytes = self.tight or s.max_bytes
            c.set_message(self.message)
            await c.connect(False)
            while s.accepted < len(ups) or self.said < len(downs):
                if self.said < len(downs):
                    self.said += 1
                    self.server.publish(desk.link, *downs[self.said - 1])
                if s.accepted < len(ups):
                    qos, payload = ups[s.accepted]
                    if qos == 2 and s.accepted % 2:
                        await c.publish(b"t", payload, qos=qos)
                    else:
                        assert c.publish_nowait(b"t", payload, False, qos)
                await sleep_ms(2)
            for _ in range(1000):
                if not (c._tab.used or self.server.sending or desk.link.pieces):
                    break
                await sleep_ms(1)
            else:
                raise SystemExit("it does not come to its end")
            assert not (c._tab.used or c._tab.ids_in.count or self.server.open)

        def run(self, cut, keep):
            self.flash.power(keep)
            self.flash.cut = cut
            asyncio.new_event_loop()
            try:
                with self.flash:
                    asyncio.run(asyncio.wait_for(self.main(), 20))
                return True
            except Cut:
                return False

        def end(self):
            once = sorted([x for x in self.server.took if x[0] == 2])
            assert once == [(2, b"B"), (2, b"D"), (2, b"G")], once
            assert (1, b"A") in self.server.took
            assert sorted(self.effects.values()) == [b"C", b"E"], self.effects
            assert self.plain == {b"F"}, self.plain

    for tight in (0, 200):
        life = Life(tight)
        assert life.run(-1, 0)
        life.end()
        steps = life.flash.steps
        for cut in range(0, steps, EVERY):
            for keep in (0, 999):
                life = Life(tight)
                life.run(cut, keep)
                if life.flash.dead:
                    assert life.run(-1, keep)
                life.end()
        print("steps", steps > 60)
"""


def test_cut_at_each_step(micropython):
    """As the synchronous client's: whatever leaves is on file first, and all arrives once."""
    result = micropython.run(
        WORLD.replace("EVERY", "2"), path=[UNIT], heapsize="4m", timeout=120, mpy=True
    )
    assert result.stdout.splitlines() == ["steps True"] * 2


HEAP = """
    import asyncio
    import os
    from asyncio import sleep_ms
    from micropython import heap_lock, heap_unlock
    from umqtt_plus.aio import MQTTClient
    from umqtt_plus.store import Store

    c = MQTTClient("c", HOST, PORT, keepalive=60, inflight=20, poll_ms=5)
    s = Store(c, os.getenv("PLACE") + "/journal", 1 << 20, inbox_qos=1)
    topic = b"number"
    payload = b"0123456789abcdef"
    done = n = 0

    def published(packet_id):
        global done
        done += 1

    def message(m):
        global n
        {extra}
        if m.payload_is(payload) and m.number:
            n += 1

    async def main():
        global done, n
        c.on_published(published)
        c.set_message(message)
        await c.connect(False)
        await c.subscribe(topic, 2)
        for qos in (1, 2):
            for count in (10, 200):
                done = n = sent = turns = 0
                if count != 10:
                    heap_lock()
                try:
                    while done < count or n < count or c._tab.ids_in.count:
                        if sent < count and c.publish_nowait(topic, payload, False, qos):
                            sent += 1
                        else:
                            await sleep_ms(1)
                            turns += 1
                            if turns > 9000:
                                break
                finally:
                    if count != 10:
                        heap_unlock()
                print(qos, sent, done, n)
        await c.disconnect()

    asyncio.run(main())
"""


def test_heap(broker, program, tmp_path):
    """With poll_ms: publish_nowait() and receiving, both with the file, allocate nothing."""
    options = {"mpy": True, "heapsize": "128k", "env": {"PLACE": tmp_path}}
    child = program(broker, HEAP.format(extra="pass"), **options)
    lines = child.wait(60).stdout.splitlines()
    assert lines == [f"{qos} {n} {n} {n}" for qos in (1, 2) for n in (10, 200)]
    (tmp_path / "journal").unlink()
    result = program(broker, HEAP.format(extra="bytes(9)"), **options).wait(60, check=False)
    assert result.returncode  # the task that handles what comes has ended
    assert result.stdout.splitlines()[0] == lines[0]
