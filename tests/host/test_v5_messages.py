"""Messages of 5.0: their properties, their expiry, their answers."""

import pytest
from peer5 import (
    CONTENT_TYPE,
    CORRELATION,
    EXPIRY,
    FORMAT,
    RESPONSE_TOPIC,
    USER,
    Peer5,
    ack,
    publish,
)

ALL = (
    (FORMAT, 1),
    (EXPIRY, 1000),
    (CONTENT_TYPE, "text/ü"),
    (RESPONSE_TOPIC, "r/1"),
    (CORRELATION, b"\0\xff"),
    (USER, ("b", "1")),
    (USER, ("a", "")),
    (USER, ("b", "1")),
)


def same(properties):
    """They differ only where the order does not count, and where the expiry counts down."""
    return sorted(f"{k} {1000 if v == 999 else v}" for k, v in properties)


def sent(broker, **fields):
    return broker.packets(client_id="c", direction="in", **fields)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_properties_both_ways(any_broker, program, qos):
    """Every one of PUBLISH, as a dict and prebuilt; user properties in order, repeated; forwarded
    unaltered and read by name and by number (MQTT5-3.3.2-13, MQTT5-3.3.2-19, MQTT5-1.5.7-1,
    MQTT5-3.3.4-6, X5-2.2.2.2-b)."""
    with Peer5.online(any_broker) as peer:
        peer.subscribe(("out", min(qos, 1)))
        child = program(
            any_broker,
            f"""
            from umqtt_plus.properties import encode

            x = dict(
                payload_format_indicator=1,
                message_expiry_interval=1000,
                content_type="text/\\u00fc",
                response_topic="r/1",
                correlation_data=b"\\0\\xff",
                user_property=[("b", "1"), ("a", ""), ("b", "1")],
            )
            got = []

            def message(m):
                for i in (1, 2, 3, 8, 9, 11, 35, 38):
                    print(m.property(i), end=" ")
                print()
                p = m.properties
                print([p[name] for name in sorted(p)])
                print(m.topic, m.payload, len(m), m.qos)
                got.append(m)

            c = client(version=5)
            c.set_message(message)
            c.connect()
            c.subscribe("in", 2, properties={{"subscription_identifier": 268435455}})
            ready = encode("PUBLISH", x)
            for properties in (x, ready, None, ready):
                c.publish("out", b"p", qos={qos}, properties=properties)
            print("up")
            until(c, lambda: len(got) == 2)
            c.disconnect()
            """,
        )
        for properties in (ALL, ALL, (), ALL):
            got = peer.expect("PUBLISH", topic="out", payload=b"p", qos=min(qos, 1))
            assert same(got.props) == same(properties)
            assert got.all(USER) == [v for k, v in properties if k == USER]
            if qos:
                peer.send(ack(0x40, got.packet_id))
        child.expect("^up$")
        for payload, properties in ((b"", ALL), (b"x", ())):
            peer.send(publish("in", payload, qos, False, qos and 1, False, *properties))
            if qos:
                peer.expect("PUBACK" if qos == 1 else "PUBREC")
            if qos == 2:
                peer.send(ack(0x62, 1))
                peer.expect("PUBCOMP")
        lines = child.wait().stdout.replace(" 999", " 1000").splitlines()
    assert lines[1:] == [
        r"1 1000 b'text/\xc3\xbc' b'r/1' b'\x00\xff' 268435455 None b'b' ",
        r"[b'text/\xc3\xbc', b'\x00\xff', 1000, 1, b'r/1', 268435455, "
        r"[(b'b', b'1'), (b'a', b''), (b'b', b'1')]]",
        f"b'in' b'' 0 {qos}",
        "None None None None None 268435455 None None ",
        "[268435455]",
        f"b'in' b'x' 1 {qos}",
    ]


def test_message_expiry(any_broker, run):
    """Counted down while it waits at the server (MQTT5-4.3.3-13: answered all the same)."""
    lines = run(
        any_broker,
        """
        a = connected("a", version=5, clean=False)
        a.subscribe("q", 2)
        a.disconnect()
        b = connected("b", version=5)
        for qos in (1, 2):
            b.publish("q", "x", qos=qos, properties={"message_expiry_interval": 1000})
        b.publish("q", "for ever", qos=1)
        got = []
        a.set_message(lambda m: got.append((m.payload, m.property(2))))
        print(a.connect(False))
        until(a, lambda: len(got) == 3 and not a.stats()["awaiting_release"])
        print(all(n and 990 <= n <= 1000 for p, n in got if p == b"x"))
        print(got.count((b"for ever", None)))
        a.disconnect()
        """,
    )
    assert lines == ["True", "True", "1"]


def test_message_expiry_runs_out(broker, program):
    child = program(
        broker,
        """
        c = connected(version=5, clean=False)
        c.subscribe("q", 1)
        c.disconnect()
        got = []
        c.set_message(lambda m: got.append((m.payload, m.property(2))))
        print("away")
        go()
        c.connect(False)
        until(c, lambda: got)
        print(got)
        c.disconnect()
        """,
    )
    child.expect("away")
    broker.publish("q", "short", 1, properties={"message_expiry_interval": 10})
    broker.publish("q", "long", 1, properties={"message_expiry_interval": 100})
    broker.advance(30)
    child.send_line("go")
    child.expect(r"^\[\(b'long', (70|69|68)\)\]$")
    child.wait()


# Reason codes


def test_nobody_subscribed(any_broker, run):
    """0x10 is success (E112), in reason_code also inside on_published()."""
    lines = run(
        any_broker,
        """
        c = connected(version=5)
        codes = []
        c.on_published(lambda p: codes.append((p, c.reason_code)))
        c.publish("nobody", "", qos=1)
        c.publish("nobody", "", qos=2)
        c.subscribe("t")
        c.publish("t", "", qos=1)
        c.publish("t", "", qos=2)
        print(codes, c.reason_code)
        c.disconnect()
        """,
    )
    # Mosquitto 2.0 does not say so of QoS 2
    assert lines[0] in (
        "[(1, 16), (2, 16), (4, 0), (5, 0)] 0",
        "[(1, 16), (2, 0), (4, 0), (5, 0)] 0",
    )


def test_refused_messages(broker, program):
    """E110, E111: publish() raises the code, on_published() sees it; done, nothing is sent again,
    not after a reconnect either (MQTT5-4.4.0-2, MQTT5-4.3.3-4, X5-4.13.2-a, MQTT5-4.3.3-9)."""
    broker.answer("PUBACK", 0x87, reason_string="no", topic="t")
    broker.answer("PUBREC", 0x99, topic="t")
    child = program(
        broker,
        """
        c = connected(version=5, clean=False)
        seen = []
        c.on_published(lambda p: seen.append((p, c.reason_code)))
        for qos in (1, 2):
            try:
                c.publish("t", "x", qos=qos)
            except MQTTException as e:
                print(e.args)
        print(c.stats()["in_flight"], c.reason_code, c.sock is not None)
        c._tab.next_id = 1
        for qos in (1, 2):
            print(c.publish("t", "x", qos=qos))
        print(seen)
        c.disconnect()
        c.connect(False)
        c.ping()
        print(c.wait_msg(5000))
        c.disconnect()
        """,
    )
    assert child.wait().stdout.splitlines() == [
        "(135, 'server', b'no', None)",
        "(153, 'server', None, None)",
        "0 153 True",
        "1",
        "2",
        "[(1, 135), (2, 153), (1, 16), (2, 16)]",
        "True",
    ]
    assert [e.packet_id for e in sent(broker, type="PUBREL")] == [2]
    assert not sent(broker, type="PUBLISH", connection=2)
    assert len(broker.messages("t")) == 2


def test_refused_without_waiting(broker, run):
    """Codes of publish_nowait() reach on_published(), each with its id, in order."""
    broker.answer("PUBACK", 0x97, topic="t", nth=2)
    broker.answer("PUBREC", 0x80, topic="t")
    lines = run(
        broker,
        """
        c = connected(version=5)
        seen = []
        c.on_published(lambda p: seen.append((p, c.reason_code)))
        for qos in (1, 2, 1, 2):
            c.publish_nowait("t", "x", qos=qos)
        until(c, lambda: len(seen) == 4)
        print(sorted(seen))
        print(c.publish("t", "x", qos=1))
        c.disconnect()
        """,
    )
    assert lines == ["[(1, 16), (2, 128), (3, 151), (4, 16)]", "5"]


def test_we_refuse(broker, program):
    """m.refuse(): PUBACK and PUBREC with the code; no PUBREL comes, the id is free again
    (MQTT5-3.4.2-1, MQTT5-3.5.2-1, MQTT5-4.3.3-9); QoS 0 has no answer."""
    codes = [0x80, 0x83, 0x87, 0x90, 0x97, 0x99]
    child = program(
        broker,
        f"""
        codes = {codes}
        c = client(version=5)
        n = 0

        def message(m):
            global n
            if not m.payload_is(b"good"):
                m.refuse(int(m.payload))
            n += 1

        c.set_message(message)
        c.connect()
        c.subscribe("t", 2)
        print("up")
        until(c, lambda: n == 3 * 6 + 3 and not c.stats()["awaiting_release"])
        c.ping()
        c.wait_msg(5000)
        c.disconnect()
        """,
    )
    child.expect("up")
    for payload in (*map(str, codes), "good"):
        for qos in (0, 1, 2):
            broker.publish("t", payload, qos)
    child.wait()
    answers = [(e.type, e.reason_code) for e in sent(broker, type=("PUBACK", "PUBREC"))]
    assert answers == [(name, code) for code in (*codes, 0) for name in ("PUBACK", "PUBREC")]
    assert len(broker.packets(direction="out", type="PUBREL")) == 1


def test_codes_that_are_not_ours_to_send(broker, program):
    child = program(
        broker,
        """
        c = client(version=5)
        seen = []

        def message(m):
            for code in (0, 0x10, 0x7F, 0x81, 0x8F, 0x9A, 0x100):
                seen.append(error(m.refuse, code)[:10])

        c.set_message(message)
        c.connect()
        c.subscribe("t", 1)
        print("up")
        until(c, lambda: seen)
        print(set(seen))
        c.disconnect()
        """,
    )
    child.expect("up")
    broker.publish("t", "", 1)
    child.expect("^{'ValueError'}$")
    child.wait()
    assert [e.reason_code for e in sent(broker, type="PUBACK")] == [0]


def test_reason_string_and_request_problem_information(broker, run):
    """Off: nothing but the code comes (MQTT5-3.1.2-29); we send none ourselves (MQTT5-3.4.2-2,
    MQTT5-3.4.2-3, MQTT5-3.5.2-2, MQTT5-3.5.2-3, MQTT5-3.6.2-2, MQTT5-3.6.2-3, MQTT5-3.7.2-2,
    MQTT5-3.7.2-3)."""
    for nth in (1, 3):
        answer = {"reason_string": "full", "user_property": [("a", "b")]}
        broker.answer("PUBACK", 0x97, nth=nth, **answer)
    lines = run(
        broker,
        """
        got = []
        for x in (None, {"request_problem_information": 0}):
            c = client(version=5, properties=x)
            c.set_message(lambda m: got.append(m.qos))
            c.connect()
            try:
                c.publish("t", "x", qos=1)
            except MQTTException as e:
                print(e.args)
            c.subscribe("t", 2)
            for qos in (1, 2):
                c.publish("t", "x", qos=qos)
            until(c, lambda: len(got) == 2 and not c.stats()["awaiting_release"])
            got.clear()
            c.disconnect()
        """,
    )
    assert lines == ["(151, 'server', b'full', None)", "(151, 'server', None, None)"]
    answers = sent(broker, type=("PUBACK", "PUBREC", "PUBREL", "PUBCOMP"))
    assert len(answers) == 8
    assert all(len(e.raw) == 4 for e in answers)
