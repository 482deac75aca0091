"""Sessions of a client with a store: new, clean, lost, foreign, refused; what cannot be."""

from driver import OK, RESUMED, Driver, ack, parse, publish
from flash import DEL, MARK, PUT, REL, Board, Cut, Flash, Server, mark, record
from store_world import resumed, up1, up2
from umqtt_plus.lost import SessionLost
from umqtt_plus.errors import MQTTException
from umqtt_plus.reconnect import Link
from umqtt_plus.store import Store
from util import each, raises, same

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70


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
    """At each step of it; afterwards a foreign session never goes on."""
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
    """SP 0: by default all goes out again, and ids received are forgotten first (MQTT-4.4.0-1)."""
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


def test_server_that_is_a_function():
    """Its place in RAM is another after each boot: the session is the same."""
    flash = Flash()
    hosts = [lambda: "one", lambda: "two"]
    for host, recovered in zip(hosts, ("new", "session")):
        d = Driver("c", None, inflight=4, buffer_size=64)
        d.client.server = host
        flash.enter()
        try:
            store = d.run(Store, d.client, "s")
            same(store.recovered, recovered)
            d.connect(False, OK)
        finally:
            flash.leave()
        flash.power()
    same(Board(flash).store.recovered, "lost")  # of a client that has a name for its server


def test_client_id_too_long_for_the_buffers():
    """Refused by the first Store(), not by the one after the power cut."""
    longest = 0
    for n in range(155, 175):
        try:
            b = Board(client_id="c" * n)
        except ValueError as error:
            assert "buffer_size" in str(error) and "client_id" in str(error), error
            continue
        same(b.reboot().store.recovered, "new")
        same(longest in (0, n - 1), True)
        longest = n
    assert 155 < longest < 174, longest
