"""Wills of 5.0, and goodbyes: DISCONNECT of either side."""

import pytest
from peer5 import (
    CONTENT_TYPE,
    CORRELATION,
    EXPIRY,
    FORMAT,
    RESPONSE_TOPIC,
    USER,
    Peer5,
)


def sent(broker, **fields):
    return broker.packets(direction="in", **fields)


# Wills

WILL = """
        c = client(version=5, properties={"session_expiry_interval": 100})
        c.set_last_will("will/t", b"gone", properties={%s})
        c.connect(False)
        print("up")
        if go() == "leave":
            c.disconnect(%s)
"""


def test_will_properties(any_broker, program):
    """They come with the will, user properties in order (MQTT5-3.1.2-9, MQTT5-3.1.3-1)."""
    x = (
        '"payload_format_indicator": 1, "message_expiry_interval": 60, "content_type": "text",'
        '"response_topic": "r", "correlation_data": b"\\0\\1", "will_delay_interval": 0,'
        '"user_property": [("b", "1"), ("a", "2"), ("b", "1")]'
    )
    with Peer5.online(any_broker) as peer:
        peer.subscribe(("will/t", 1))
        child = program(any_broker, WILL % (x, ""))
        child.expect("up")
        child.kill()
        got = peer.expect("PUBLISH", topic="will/t", payload=b"gone")
    assert got.all(USER) == [("b", "1"), ("a", "2"), ("b", "1")]
    assert got.prop(EXPIRY) in (59, 60)
    assert sorted(x for x in got.props if x[0] not in (USER, EXPIRY)) == [
        (FORMAT, 1),
        (CONTENT_TYPE, "text"),
        (RESPONSE_TOPIC, "r"),
        (CORRELATION, b"\0\1"),
    ]


@pytest.mark.parametrize("how, published", [("", False), ("0", False), ("4", True)])
def test_will_at_disconnect(any_broker, program, how, published):
    """MQTT5-3.14.2-1: reason 0 drops the will, 4 has it published; then the connection ends
    (MQTT5-3.14.4-1, MQTT5-3.14.4-2)."""
    with Peer5.online(any_broker) as peer:
        peer.subscribe(("will/t", 1))
        child = program(any_broker, WILL % ("", how))
        child.expect("up")
        child.send_line("leave")
        child.wait()
        if published:
            peer.expect("PUBLISH", topic="will/t")
        peer.quiet()


def test_will_delay_is_cancelled_by_the_return(any_broker, program):
    delay = '"will_delay_interval": 100'
    with Peer5.online(any_broker) as peer:
        peer.subscribe(("will/t", 1))
        child = program(any_broker, WILL % (delay, ""))
        child.expect("up")
        child.kill()
        peer.quiet()
        child = program(any_broker, (WILL % (delay, "")).replace("False)", "False, adopt=True)"))
        child.expect("up")
        peer.quiet()
        child.send_line("leave")
        child.wait()
        peer.quiet()


def test_will_delay_runs_out(broker, program):
    with Peer5.online(broker) as peer:
        peer.subscribe(("will/t", 1))
        child = program(broker, WILL % ('"will_delay_interval": 50', ""))
        child.expect("up")
        child.kill()
        broker.wait_gone("c")
        broker.advance(20)
        peer.quiet()
        broker.advance(30)
        peer.expect("PUBLISH", topic="will/t")


def test_a_violation_arms_the_will(broker, run):
    """G6: DISCONNECT with the reason; the server publishes the will (X5-4.13.1-a, E56v5)."""
    broker.subscribe_result([3])
    lines = run(
        broker,
        """
        c = client(version=5)
        c.set_last_will("will/t", "")
        c.connect()
        print(error(c.subscribe, "t"), c.sock)
        """,
    )
    assert lines == ["MQTTException 130 None"]
    broker.wait_gone("c")
    assert len(broker.messages("will/t")) == 1
    assert [e.reason_code for e in sent(broker, type="DISCONNECT")] == [0x82]


# DISCONNECT from the server


def test_disconnect_from_the_server(broker, program):
    """Who waits gets reason, text and the other server's name; nothing is sent back
    (X5-3.14.4-a, X5-4.11-a, X5-3.14.2.1-a, MQTT5-4.13.2-1); the session stays."""
    child = program(
        broker,
        """
        c = client(version=5)
        for i in range(3):
            c.connect(False)
            print("up")
            try:
                c.wait_msg()
            except MQTTException as e:
                print(e.args, c.sock, c.session_present)
        c.connect(False)
        c.publish_nowait("t", "x", qos=1)
        print("up")
        why = "none"
        while why[:4] == "none":
            why = error(c.wait_msg)
        print(why, c.stats()["in_flight"])
        """,
    )
    child.expect("^up$")
    broker.disconnect("c", 0x8B, reason_string="tea", server_reference="other:1883")
    assert child.expect("(.*) None False").group(1) == "(139, 'server', b'tea', b'other:1883')"
    child.expect("^up$")
    broker.raw("c", b"\xe0\x00")
    assert child.expect("(.*) None True").group(1) == "(0, 'server', None, None)"
    child.expect("^up$")
    broker.raw("c", b"\xe0\x01\x8d")
    assert child.expect("(.*) None True").group(1) == "(141, 'server', None, None)"
    child.expect("^up$")
    broker.wait_for(direction="out", type="PUBACK")
    broker.disconnect("c", 0x89)
    child.expect("^MQTTException 137 0$")
    child.wait()
    assert not sent(broker, type="DISCONNECT")


def test_taken_over(any_broker, run):
    """MQTT5-3.1.4-3: the first one learns why it is out."""
    lines = run(
        any_broker,
        """
        a = connected(version=5)
        b = connected(version=5)
        print(error(a.wait_msg, 5000), a.sock)
        print(b.publish("t", "", qos=1))
        b.disconnect()
        """,
    )
    # Mosquitto 2.0 says nothing
    assert lines[0] in ("MQTTException 142 None", "OSError 104 None")
    assert lines[1] == "1"
    assert lines[0][:4] == "MQTT" or not hasattr(any_broker, "packets")


def test_disconnect_with_reason_and_properties(broker, run):
    """MQTT5-3.14.2-1, MQTT5-3.14.4-1, MQTT5-3.14.4-2: the last packet, also behind what waits;
    codes of servers are refused, and the connection goes on."""
    lines = run(
        broker,
        """
        c = connected(version=5)
        for code in (-1, 1, 0x87, 0x8B, 0x9C, 256):
            print(error(c.disconnect, code)[:10])
        print(error(c.disconnect, 4, {"server_reference": "x"}))
        c.publish_nowait("t", "last", qos=1)
        c.disconnect(0x98, {"reason_string": "\u00fc", "user_property": [("a", "1"), ("a", "0")]})
        print(c.sock, error(c.publish, "t", "x"))
        """,
    )
    assert lines == ["ValueError"] * 6 + [
        "ValueError server_reference: not in DISCONNECT",
        "None OSError 107",
    ]
    last = sent(broker)[-2:]
    assert [e.type for e in last] == ["PUBLISH", "DISCONNECT"]
    assert last[1].reason_code == 0x98
    assert last[1].properties == {"reason_string": "ü", "user_property": [("a", "1"), ("a", "0")]}


def test_disconnect_inside_a_handler(broker, program):
    """Reason and properties go out; the QoS 2 message in hand is not delivered again."""
    child = program(
        broker,
        """
        c = client(version=5)
        c.set_last_will("will", "")
        n = 0

        def message(m):
            global n
            n += 1
            c.disconnect(4, {"reason_string": "bye"})
            print(c.sock)

        c.set_message(message)
        c.connect(False)
        c.subscribe("t", 2)
        print("up")
        print(error(c.wait_msg, 5000), error(c.wait_msg, 100))
        print(c.connect(False))
        until(c, lambda: not c.stats()["awaiting_release"])
        print(n)
        c.disconnect()
        """,
    )
    child.expect("up")
    broker.publish("t", "x", 2)
    lines = child.wait().stdout.splitlines()
    assert lines == ["up", "None", "none: True OSError 107", "True", "1"]
    ends = sent(broker, type="DISCONNECT")
    assert [(e.reason_code, e.properties) for e in ends] == [
        (4, {"reason_string": "bye"}),
        (0, {}),
    ]
    assert len(broker.messages("will")) == 1
