"""Topic aliases, both ways: on the wire of the bundled broker, by what arrives with Mosquitto."""

import pytest
from peer5 import ALIAS, Peer5

pytest_plugins = ["scripts.place5"]


def published(broker, **fields):
    """(topic on the wire, alias, payload) of each PUBLISH of the client."""
    events = broker.packets(client_id="c", direction="in", type="PUBLISH", **fields)
    seen = []
    for event in events:
        at = 2
        while event.raw[at - 1] > 127:
            at += 1
        size = int.from_bytes(event.raw[at : at + 2], "big")
        alias = event.properties.get("topic_alias")
        topic = event.raw[at + 2 : at + 2 + size].decode()
        seen.append((topic, alias, event.payload.decode("latin-1")))
    return seen


def test_on_the_wire(broker_factory, run):
    """The second message of a topic has an empty one; with more topics than aliases the others go
    in full, and QoS 1 and 2 always (MQTT5-3.2.2-17, MQTT5-3.3.2-9, MQTT5-3.3.2-8)."""
    broker = broker_factory(limits={"topic_alias_maximum": 2})
    run(
        broker,
        """
        c = connected(version=5)
        for i, topic in enumerate(("a", "a", b"b", "a", "c", b"b", "c", "a")):
            c.publish(topic, str(i))
        x = {"content_type": "t", "user_property": [("n" * 130, "v")]}
        c.publish("a", "8", properties=x)
        c.publish("d", "9", properties=x)
        c.publish("a", "10", qos=1)
        c.publish_nowait("a", "11", qos=2)
        c.publish_nowait("b", "12")
        c.publish("b", "13" * 1000)
        until(c, lambda: not c.stats()["in_flight"])
        c.publish_stream("a", 2000, lambda buf, at: len(buf))
        c.publish("b", "14", True)
        c.disconnect()
        """,
    )
    seen = published(broker)
    assert seen[:10] == [
        ("a", 1, "0"), ("", 1, "1"), ("b", 2, "2"), ("", 1, "3"), ("c", None, "4"),
        ("", 2, "5"), ("c", None, "6"), ("", 1, "7"), ("", 1, "8"), ("d", None, "9"),
    ]  # fmt: skip
    assert seen[10:13] == [("a", None, "10"), ("a", None, "11"), ("", 2, "12")]
    assert [x[:2] for x in seen[13:]] == [("", 2), ("", 1), ("", 2)]
    topics = [(e.topic, len(e.payload)) for e in broker.packets(direction="in", type="PUBLISH")]
    assert [t for t, _ in topics] == list("aabacbcaadaabbab")
    assert topics[-3:-1] == [("b", 2000), ("a", 2000)]


def test_none_where_the_server_takes_none(broker, run):
    """MQTT5-3.2.2-18."""
    run(broker, 'c = connected(version=5)\nfor i in range(3):\n    c.publish("a", str(i))\n')
    assert published(broker) == [("a", None, str(i)) for i in range(3)]


def test_each_connection_begins_anew(broker_factory, program):
    """MQTT5-3.3.2-7: the full topic again; a resend has it anyway."""
    broker = broker_factory(limits={"topic_alias_maximum": 5})
    broker.drop("PUBACK")
    child = program(
        broker,
        """
        c = connected(version=5, clean=False)
        topic = b"a"
        c.publish(topic, "0")
        c.publish(topic, "1")
        c.publish_nowait(topic, "2", qos=1)
        while error(c.wait_msg) == "none: True":
            pass
        for i in range(2):
            c.connect(False)
            c.publish(topic, "3")
            c.publish(topic, "4")
            until(c, lambda: not c.stats()["in_flight"])
            c.disconnect()
        """,
    )
    broker.wait_for(type="PUBACK", direction="lost")
    broker.kill("c")
    child.wait()
    assert published(broker, connection=1) == [("a", 1, "0"), ("", 1, "1"), ("a", None, "2")]
    two = published(broker, connection=2)
    assert len(two) == 3 and ("a", None, "2") in two
    assert two.index(("a", 1, "3")) < two.index(("", 1, "4"))
    assert published(broker, connection=3) == [("a", 1, "3"), ("", 1, "4")]


def test_a_server_with_fewer_the_next_time(broker_factory, run):
    """MQTT5-3.2.2-17, MQTT5-3.2.2-18: what counts is the CONNACK of this connection."""
    broker = broker_factory(limits={"topic_alias_maximum": 5})
    broker.answer("CONNACK", 0, topic_alias_maximum=1, nth=2)
    run(
        broker,
        """
        c = client(version=5)
        for i in range(2):
            c.connect()
            for topic in "abab":
                c.publish(topic, "")
            c.disconnect()
        """,
    )
    assert [x[:2] for x in published(broker, connection=1)] == [
        ("a", 1), ("b", 2), ("", 1), ("", 2),
    ]  # fmt: skip
    assert [x[:2] for x in published(broker, connection=2)] == [
        ("a", 1), ("b", None), ("", 1), ("b", None),
    ]  # fmt: skip


@pytest.mark.parametrize("most", [1, 5])
def test_what_arrives(limited, run, most):
    """Every message under its topic, whatever has an alias, from handlers, too."""
    server = limited(topic_alias_maximum=most)
    with Peer5.online(server) as peer:
        peer.subscribe(("#", 0))
        run(
            server,
            """
            topics = [("topic/%d" % i).encode() for i in range(12)]
            c = connected(version=5, keepalive=60)
            n = 0

            def message(m):
                global n
                c.publish_nowait(topics[n % 7], "h" + topics[n % 7].decode())
                n += 1

            c.set_message(message)
            c.subscribe("in", 1)
            for i in range(60):
                t = topics[i * i % 12]
                c.publish(t, t)
                if not i % 5:
                    c.publish("in", "x", qos=1)
            until(c, lambda: n == 12)
            c.publish("end", "end", qos=1)
            c.disconnect()
            """,
        )
        count = 0
        while True:
            got = peer.expect("PUBLISH")
            if got.topic == "end":
                break
            count += got.topic != "in"
            assert got.topic == "in" or got.payload.decode().lstrip("h") == got.topic
    assert count == 72


@pytest.mark.parametrize("quirk", ["use_aliases", "rotate_aliases"])
def test_from_the_server(broker_factory, program, quirk):
    """MQTT5-3.3.2-10, X5-3.3.4-c: used up to our maximum, taken and changed; after a reconnect
    those of the last connection count for nothing."""
    broker = broker_factory(quirks=[quirk])
    child = program(
        broker,
        """
        c = client(version=5, buffer_size=128, properties={"topic_alias_maximum": 2})
        got = []

        def message(m):
            got.append((m.topic, m.topic_is(m.topic), m.payload, m.property(0x23) in (1, 2, None)))

        c.set_message(message)
        for i in range(2):
            c.connect()
            c.subscribe("t/#", 2)
            print("ready")
            until(c, lambda: len(got) == 24)
            print(all(t == b"t/" + p[:1] and same and alias for t, same, p, alias in got))
            got.clear()
            c.disconnect()
        """,
    )
    for connection in (1, 2):
        child.expect("^ready$")
        for i in range(24):
            topic = "aabbcacbdadbcdaabbccddab"[i]
            broker.publish(f"t/{topic}", f"{topic}{i}" * (1 + 5 * (i % 3)), i % 3)
        child.expect("^True$")
        sent = broker.packets(
            client_id="c", direction="out", type="PUBLISH", connection=connection
        )
        used = [e.properties.get("topic_alias") for e in sent]
        assert set(used) - {None} == {1, 2}
    child.wait()


def test_one_of_the_last_connection(broker, program):
    """E87: DISCONNECT 82; nothing is handed over (MQTT5-3.3.2-7, X5-3.3.4-b)."""
    child = program(
        broker,
        """
        c = client(version=5, properties={"topic_alias_maximum": 2})
        got = []
        c.set_message(lambda m: got.append(m.topic))
        for i in range(2):
            c.connect(False)
            print("up")
            print(error(c.wait_msg, 5000), got)
            c.disconnect()
        """,
    )
    child.expect("^up$")
    named = bytes((0x30, 7, 0, 1, 0x61, 3, ALIAS, 0, 1))
    bare = bytes((0x30, 6, 0, 0, 3, ALIAS, 0, 1))
    broker.raw("c", named + bare)
    child.expect(r"^none: True \[b'a', b'a'\]$")
    child.expect("^up$")
    broker.raw("c", bare)
    child.expect(r"^MQTTException 130 \[b'a', b'a'\]$")
    child.wait()


def test_one_we_did_not_allow(broker, program):
    """E86: DISCONNECT 94 (MQTT5-3.1.2-26, MQTT5-3.1.2-27, MQTT5-3.3.2-11)."""
    child = program(
        broker,
        """
        for x in (None, {"topic_alias_maximum": 2}):
            c = client(version=5, properties=x)
            c.connect()
            print("up")
            print(error(c.wait_msg, 5000), c.sock)
        """,
    )
    for alias in (1, 3):
        child.expect("^up$")
        broker.raw("c", bytes((0x30, 7, 0, 1, 0x61, 3, ALIAS, 0, alias)))
        child.expect("^MQTTException 148 None$")
    child.wait()
    codes = [e.reason_code for e in broker.packets(direction="in", type="DISCONNECT")]
    assert codes == [0x94, 0x94]
