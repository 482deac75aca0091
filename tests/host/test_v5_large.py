"""Messages of 5.0 in pieces and from handlers; a whole program on CPython, too."""

import pytest
from peer5 import (
    CONTENT_TYPE,
    EXPIRY,
    USER,
    Peer5,
    ack,
    publish,
)
from umqtt_harness.broker import Fault

pytest_plugins = ["scripts.aio_place"]


def sent(broker, **fields):
    return broker.packets(client_id="c", direction="in", **fields)


# Large messages


def test_pieces_with_properties(any_broker, program):
    """set_stream(): the properties are there in the first piece (their numbers in all); what
    fits in the buffer goes to set_message() as ever."""
    child = program(
        any_broker,
        """
        buf = bytearray(600)
        c = client(version=5, buffer_size=256)
        total = 0
        whole = []

        def piece(m):
            global total
            if not m.offset:
                p = m.properties
                print(m.topic, p["content_type"], p["user_property"], m.property(2) > 900, m.total)
            n = m.payload_into(buf)
            for i in range(n):
                if buf[i] != (m.offset + i) % 251:
                    raise SystemExit("wrong byte")
            total += n

        c.set_stream(piece)
        c.set_message(lambda m: whole.append((m.payload, m.property(2) > 900)))
        c.connect()
        c.subscribe("t", 2)
        print("up")
        until(c, lambda: total == 60000 and len(whole) == 3)
        print(whole)
        c.disconnect()
        """,
    )
    child.expect("up")
    payload = bytes(i % 251 for i in range(20000))
    more = ((CONTENT_TYPE, "bytes"), (EXPIRY, 1000), (USER, ("k" * 50, "v" * 50)))
    with Peer5.online(any_broker) as peer:
        for qos in (0, 1, 2):
            for data in (payload, b"%d" % qos):
                peer.send(publish("t", data, qos, False, qos and 1, False, *more))
                if qos:
                    peer.expect("PUBACK" if qos == 1 else "PUBREC")
                if qos == 2:
                    peer.send(ack(0x62, 1))
                    peer.expect("PUBCOMP")
    line = "b't' b'bytes' [(b'" + "k" * 50 + "', b'" + "v" * 50 + "')] True 20000"
    assert child.wait().stdout.splitlines() == ["up", line, line, line] + [
        "[(b'0', True), (b'1', True), (b'2', True)]"
    ]


def test_pieces_under_an_alias(broker_factory, program):
    """The topic of the first piece is that of the alias (MQTT5-3.3.2-10)."""
    broker = broker_factory(quirks=["rotate_aliases"])
    child = program(
        broker,
        """
        buf = bytearray(600)
        c = client(version=5, buffer_size=256, properties={"topic_alias_maximum": 2})
        done = []
        whole = []

        def piece(m):
            if not m.offset:
                done.append((m.topic, m.total, m.topic_is(m.topic), m.property(35)))
            for i in range(m.payload_into(buf)):
                if buf[i] != (m.offset + i) % 251:
                    raise SystemExit("wrong byte at %d" % m.offset)

        c.set_stream(piece)
        c.set_message(lambda m: whole.append((m.topic, m.payload)))
        c.connect()
        c.subscribe("t/#", 2)
        print("up")
        until(c, lambda: len(done) + len(whole) == 40)
        print(len(done), all(t == b"t/%d" % (n % 7) and same for t, n, same, a in done))
        print(all(t == b"t/%d" % (int(p) % 7) for t, p in whole), set(x[3] for x in done))
        c.disconnect()
        """,
    )
    child.expect("up")
    for i in range(40):
        n = 300 + i * 37
        if i % 3:
            broker.publish(f"t/{n % 7}", bytes(k % 251 for k in range(n)), i % 3)
        else:
            broker.publish(f"t/{i % 7}", str(i), i % 2)
    child.expect("^26 True$")
    child.expect("^True {(1, 2|2, 1)}$")
    child.wait()


@pytest.mark.parametrize("qos", [1, 2])
def test_publish_stream_over_a_cut(broker_factory, run, qos):
    """Sent again from its source, under its full topic (MQTT5-4.4.0-1, MQTT5-3.3.2-7)."""
    broker = broker_factory(limits={"topic_alias_maximum": 5})
    broker.fault(Fault("kill", "PUBACK" if qos == 1 else "PUBREC", at=0))
    lines = run(
        broker,
        f"""
        c = connected(version=5, clean=False, buffer_size=256)

        def source(buf, at):
            for i in range(len(buf)):
                buf[i] = (at + i) % 251
            return len(buf)

        c.publish("big", "x")
        print(error(c.publish_stream, "big", 20000, source, False, {qos}))
        c.connect(False)
        until(c, lambda: not c.stats()["in_flight"])
        print(c.publish("big", "y"), c.stats()["resent"])
        c.disconnect()
        """,
    )
    assert lines == ["OSError 104", "-1 1"]
    big = [m.payload for m in broker.messages("big") if len(m.payload) > 1]
    assert len(big) == 3 - qos
    assert set(big) == {bytes(i % 251 for i in range(20000))}
    again = [e for e in sent(broker, type="PUBLISH", connection=2) if e.dup]
    assert [e.raw[4:9] for e in again] == [b"\0\3big"]


def test_properties_larger_than_the_buffer(broker, program):
    """They must lie in it: E101, DISCONNECT 95; without set_stream() the server is told, and
    sends no such message (MQTT5-3.1.2-24, X5-3.1.2.11.4-b)."""
    child = program(
        broker,
        """
        c = client(version=5, buffer_size=256)
        got = []
        c.set_message(lambda m: got.append(m.payload))
        c.connect()
        c.subscribe("t", 1)
        print("up")
        until(c, lambda: got)
        print(got)
        c.disconnect()
        c.set_stream(lambda m: got.append(m.offset))
        c.connect()
        c.subscribe("t", 1)
        print("up")
        print(error(c.wait_msg, 5000), c.sock)
        """,
    )
    for payload in (b"1", b"x"):
        child.expect("^up$")
        broker.publish("t", payload, 1, properties={"user_property": [("k", "v" * 300)]})
        broker.publish("t", "2", 1)
        if payload == b"1":
            child.expect(r"^\[b'2'\]$")
    child.expect("^MQTTException 149 None$")
    child.wait()


def test_large_out_with_properties(any_broker, run):
    """QoS 0 from where the payload lies; QoS 1 and 2 through the table, to its last byte."""
    with Peer5.online(any_broker) as peer:
        peer.subscribe(("t", 0))
        lines = run(
            any_broker,
            """
            from umqtt_plus.properties import encode

            x = encode("PUBLISH", {"content_type": "bytes", "user_property": [("k", "v" * 60)]})
            c = connected(version=5, buffer_size=256)
            for n in (0, 1, 100, 300, 20000):
                c.publish("t", bytes(n), properties=x)
                c.publish_nowait("t", bytes(n))
            room = 256 - 9 - 1 - len(x)
            for qos in (1, 2):
                c.publish("t", bytes(room), qos=qos, properties=x)
                print(error(c.publish, "t", bytes(room + 1), qos=qos, properties=x))
                print(error(c.publish, "t", "1" * room, qos=qos, properties=x)[:4])
            print(error(c.publish, "t" * 250, b"", properties=x))
            print(c.publish("t", "end"))
            c.disconnect()
            """,
        )
        for n in (0, 1, 100, 300, 20000):
            got = peer.expect("PUBLISH", payload=bytes(n))
            assert got.all(CONTENT_TYPE) == ["bytes"] and got.all(USER) == [("k", "v" * 60)]
            assert peer.expect("PUBLISH", payload=bytes(n)).props == []
        sizes = [len(peer.expect("PUBLISH").payload) for _ in range(4)]
        assert len(set(sizes)) == 1
        assert peer.expect("PUBLISH", payload=b"end").props == []
    assert lines[0].startswith("ValueError topic, properties, msg (buffer_size)")
    assert lines[1] == "none"
    assert lines[4].startswith("ValueError topic, properties (buffer_size)")


# Handlers that publish


def test_publishing_from_a_handler(any_broker, run):
    """Answers with other topics and properties, while publish() waits for room and for its
    answer: each message goes out with its own (QoS 0, 1, 2)."""
    with Peer5.online(any_broker) as peer:
        peer.subscribe(("out/#", 0))
        lines = run(
            any_broker,
            """
            from umqtt_plus.properties import encode

            c = client(version=5, inflight=2)
            inner = encode("PUBLISH", {"content_type": "inner"})
            n = 0

            def message(m):
                global n
                n += 1
                c.publish("out/inner", m.payload, properties=inner)
                c.publish_nowait("out/inner", m.payload, qos=1 + n % 2, properties=inner)
                c.publish_nowait("out/bare", m.payload)

            c.set_message(message)
            c.connect()
            c.subscribe("in", 1)
            for i in range(30):
                for qos in (1, 2, 0):
                    c.publish_nowait("in", "x", qos=1)
                    x = {"content_type": "%d" % i}
                    c.publish("out/%d" % i, str(i), qos=qos, properties=x)
            until(c, lambda: not c.stats()["in_flight"])
            print(n > 10)
            c.publish("out/end", "", qos=2)
            c.disconnect()
            """,
        )
        outer = 0
        while True:
            got = peer.expect("PUBLISH")
            kind = got.topic[4:]
            if kind == "end":
                break
            assert got.all(CONTENT_TYPE) == ([] if kind == "bare" else [kind]), got
            outer += kind.isdigit()
    assert lines == ["True"]
    assert outer == 90


def test_a_whole_program(place):
    """The same on CPython: messages with properties, aliases, options, codes, a goodbye."""
    lines = place.run(
        """
        from world import *
        from umqtt_plus.properties import encode

        c = client(version=5, properties={"topic_alias_maximum": 2})
        got = []
        c.set_message(lambda m: got.append((m.topic, m.payload, m.qos, m.property(3))))
        c.set_last_will("will", "x", properties={"will_delay_interval": 1})
        print(c.connect(), c.client_id)
        x = {"subscription_identifier": 1}
        print(c.subscribe("t/+", 2, retain_handling=1, properties=x))
        x = encode("PUBLISH", {"content_type": "text"})
        for qos in (0, 1, 2):
            for i in range(3):
                c.publish("t/%d" % i, str(i), qos=qos, properties=x if i else None)
        until(c, lambda: len(got) == 9)
        print(sorted((t, p, q) for t, p, q, x in got)[::4])
        print(all((x is None) == (t == b"t/0") for t, p, q, x in got))
        print(c.publish("nobody", "", qos=1), c.reason_code)
        print(c.unsubscribe(["t/+", "no"]))
        try:
            c.publish("a/+", "")
        except ValueError as e:
            print(e)
        c.disconnect(0x04, {"user_property": [("a", "b")]})
        print(c.sock)
        """
    )
    assert lines == [
        "False b'c'",
        "2",
        "[(b't/0', b'0', 0), (b't/1', b'1', 1), (b't/2', b'2', 2)]",
        "True",
        "8 16",
        r"b'\x00\x11'",
        "topic: bad UTF-8, NUL, wildcard",
        "None",
    ]
