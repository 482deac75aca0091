"""What a message handler may do: publish, subscribe, fail, disconnect, ask for the impossible."""

import pytest
from umqtt_harness.broker import Fault


def inbound(broker, **fields):
    return broker.packets(direction="in", **fields)


@pytest.mark.parametrize("view", [False, True])
@pytest.mark.parametrize("verb", ["publish", "publish_nowait"])
def test_publish_inside(any_broker, run, view, verb):
    """Several per message and every QoS: in the order of the calls, each once; nothing hangs."""
    lines = run(
        any_broker,
        f"""
        c = client(inflight=8)
        b = client("b")
        got = []
        b.set_callback(lambda topic, msg: got.append(msg))
        def message(m, _=None):
            for qos in (0, 1, 2, 1):
                if not c.{verb}("out", b"%d%d" % (n[0], qos), qos=qos):
                    print("no room")
            n[0] += 1
        n = [0]
        c.{"set_message" if view else "set_callback"}(message)
        c.connect()
        b.connect()
        b.subscribe("out", 2)
        c.subscribe("in", 2)
        for i in range(6):
            b.publish("in", str(i), qos=i % 3)
            until(c, lambda: n[0] == i + 1 and not c.stats()["in_flight"])
        until(b, lambda: len(got) == 24)
        for i in range(6):
            print(sorted(m for m in got if m[0] == 48 + i))
        c.disconnect()
        """,
    )
    assert lines == [
        str([b"%d0" % i, b"%d1" % i, b"%d1" % i, b"%d2" % i]) for i in range(6)
    ]  # fmt: skip


def test_publish_inside_is_not_a_repeat(broker, run):
    """MQTT-3.3.1-3: handling a message with DUP 1 does not set DUP on what it publishes."""
    broker.fault(Fault("duplicate", "PUBLISH", topic="in"))
    run(
        broker,
        """
        c = client()
        n = []
        def message(m):
            n.append(m.dup)
            c.publish("out", "x", qos=1)
        c.set_message(message)
        c.connect()
        c.subscribe("in", 1)
        c.publish("in", "m", qos=1)
        until(c, lambda: len(n) == 2 and not c.stats()["in_flight"])
        c.disconnect()
        """,
    )
    out = inbound(broker, type="PUBLISH", topic="out")
    broker.broker.violations.clear()  # the second PUBACK, for the broker's own copy
    assert [e.dup for e in out] == [False, False]


def test_publish_inside_with_a_full_table(broker, run):
    """OSError(ENOBUFS) at once instead of a wait that cannot end; the link lives on."""
    lines = run(
        broker,
        """
        c = client(inflight=2)
        def message(topic, msg):
            for i in range(3):
                print(error(c.publish, "out", str(i), qos=1))
        c.set_callback(message)
        c.connect()
        c.subscribe("in", 0)
        c.publish("in", "m")
        until(c, lambda: c.stats()["in_flight"])
        until(c, lambda: not c.stats()["in_flight"])
        c.disconnect()
        """,
    )
    assert [line[:4] for line in lines] == ["none", "none", "OSEr"]
    assert lines[2] == "OSError 105"


def test_publish_stream_inside(broker, run):
    lines = run(
        broker,
        """
        c = client()
        def source(buf, offset):
            for i in range(len(buf)):
                buf[i] = 97
            return len(buf)
        def message(topic, msg):
            for qos in (0, 1, 2):
                print(error(c.publish_stream, "out", 3000, source, qos=qos))
        c.set_callback(message)
        c.connect()
        c.subscribe("in", 1)
        c.publish("in", "m", qos=1)
        until(c, lambda: not c.stats()["in_flight"])
        c.publish("out", "end", qos=2)
        c.disconnect()
        """,
    )
    assert lines[0] == "none: -1" and all(line.startswith("none") for line in lines)
    assert [m.payload for m in broker.messages("out")] == [b"a" * 3000] * 3 + [b"end"]


def test_subscribe_inside(any_broker, run):
    """Returns None and does not wait; the subscription is there, the answer is not lost."""
    lines = run(
        any_broker,
        """
        c = client()
        b = connected("b")
        got = []
        def message(topic, msg):
            got.append(topic)
            if topic == b"in":
                print(error(c.subscribe, "more", 1), error(c.unsubscribe, "in"))
        c.set_callback(message)
        c.connect()
        c.subscribe("in", 2)
        b.publish("in", "m", qos=2)
        until(c, lambda: got)
        print(c.subscribe("third"))
        b.publish("in", "n", qos=1)
        b.publish("more", "m", qos=1)
        until(c, lambda: len(got) > 1)
        print(got)
        c.disconnect()
        """,
    )
    assert lines[-1] == "[b'in', b'more']"
    assert lines[0] == "none: None none: None"
    assert lines[1] == "0"


@pytest.mark.parametrize("call", ["wait_msg", "check_msg"])
def test_waiting_inside_is_refused(broker, run, call):
    """OSError(EALREADY): a handler cannot wait for what comes behind its message."""
    lines = run(
        broker,
        f"""
        c = client()
        got = []
        def message(topic, msg):
            got.append(error(c.{call}))
        c.set_callback(message)
        c.connect()
        c.subscribe("t")
        c.publish("t", "m")
        until(c, lambda: got)
        print(got)
        c.publish("t", "m", qos=1)
        """,
    )
    assert lines == ["['OSError 114']"]


@pytest.mark.parametrize("qos", [1, 2])
def test_handler_fails(broker, run, qos):
    """MQTT-4.8.0-2: not acknowledged, closed without DISCONNECT, delivered again after it."""
    lines = run(
        broker,
        f"""
        got = []
        def message(topic, msg):
            got.append(msg)
            if len(got) == 2:
                raise MemoryError("mine")
        c = client()
        c.set_callback(message)
        c.connect(False)
        c.subscribe("t", {qos})
        b = connected("b")
        for i in range(3):
            b.publish("t", str(i), qos={qos})
        result = "none"
        while result[:4] == "none":
            result = error(c.wait_msg, 5000)
        print(result, c.sock)
        print(c.connect(False))
        until(c, lambda: got[-1] == b"2" and not c.stats()["awaiting_release"])
        c.disconnect()
        print(got)
        """,
    )
    assert lines[:2] == ["MemoryError mine None", "True"]
    if qos == 2:
        assert lines[2] == "[b'0', b'1', b'1', b'2']"
    else:  # the PUBACK of the first may have waited behind the second
        assert lines[2] in ("[b'0', b'1', b'1', b'2']", "[b'0', b'1', b'0', b'1', b'2']")
    assert [e.type for e in inbound(broker, client_id="c")].count("DISCONNECT") == 1


def test_handler_fails_at_qos_0(broker, run):
    """Nothing to repeat: the exception comes out, the link stays, the next message comes."""
    lines = run(
        broker,
        """
        got = []
        def message(topic, msg):
            got.append(msg)
            1 // (len(got) - 1)
        c = client()
        c.set_callback(message)
        c.connect()
        c.subscribe("t")
        c.publish("t", "0")
        c.publish("t", "1")
        print(error(c.wait_msg, 3000)[:17], c.sock is not None)
        until(c, lambda: len(got) == 2)
        print(got)
        c.publish("t", "2", qos=1)
        c.disconnect()
        """,
    )
    assert lines == ["ZeroDivisionError True", "[b'0', b'1']"]


def test_on_published_fails(broker, run):
    """The message is done all the same; the client stays usable."""
    lines = run(
        broker,
        """
        c = connected()
        def published(packet_id):
            raise ValueError("mine")
        c.on_published(published)
        print(error(c.publish, "t", "m", qos=1), c.stats()["in_flight"])
        print(error(c.publish, "t", "m", qos=2), c.stats()["in_flight"])
        c.on_published(None)
        c.connect()
        c.publish("t", "n", qos=1)
        c.disconnect()
        """,
    )
    assert lines == ["ValueError mine 0", "ValueError mine 0"]


def test_on_published_publishes(any_broker, run):
    """A chain: each confirmation publishes the next one."""
    lines = run(
        any_broker,
        """
        c = connected()
        done = []
        def published(packet_id):
            done.append(packet_id)
            if len(done) < 20:
                if not c.publish_nowait("t", str(len(done)), qos=1 + len(done) % 2):
                    print("no room")
        c.on_published(published)
        c.publish_nowait("t", "0", qos=2)
        until(c, lambda: len(done) == 20)
        print(len(set(done)), c.stats()["in_flight"])
        """,
    )
    assert lines == ["20 0"]


def test_connect_inside(broker, run):
    """Reconnecting in a handler: the new link works, nothing of the old one reaches it."""
    lines = run(
        broker,
        """
        got = []
        def message(topic, msg):
            got.append(msg)
            if len(got) == 1:
                print(error(c.connect, False))
        c = client()
        c.set_callback(message)
        c.connect(False)
        c.subscribe("t", 1)
        c.publish_nowait("t", "m", qos=1)
        end = ticks_add(ticks_ms(), 5000)
        while not got and ticks_diff(end, ticks_ms()) > 0:
            print(error(c.wait_msg, 1000)[:7])
        if not c.sock:
            c.connect(False)
        c.publish("u", "x", qos=1)
        c.disconnect()
        """,
    )
    assert lines
    assert len(broker.messages("u")) == 1


def test_no_handler_at_all(broker, run):
    """MQTT-4.5.0-2, X311-4.5-a, E28: acknowledged all the same."""
    run(
        broker,
        """
        c = connected()
        c.subscribe("t", 2)
        for qos in (0, 1, 2):
            c.publish("t", "m", qos=qos)
        c.publish("u", "m", qos=1)  # its answer comes behind PUBREL
        c.disconnect()
        """,
    )
    types = [e.type for e in inbound(broker)]
    assert types.count("PUBACK") == 1 and types.count("PUBREC") == 1
    assert types.count("PUBCOMP") == 1


def test_set_message_before_set_callback(broker, run):
    """set_message() goes first, None ends it."""
    lines = run(
        broker,
        """
        c = client()
        got = []
        c.set_callback(lambda topic, msg: got.append("bytes"))
        c.set_message(lambda m: got.append("view"))
        c.connect()
        c.subscribe("t")
        c.publish("t", "m")
        until(c, lambda: len(got) == 1)
        c.set_message(None)
        c.publish("t", "m")
        until(c, lambda: len(got) == 2)
        print(got)
        c.disconnect()
        """,
    )
    assert lines == ["['view', 'bytes']"]
