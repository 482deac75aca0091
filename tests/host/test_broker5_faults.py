"""The faults of the broker on 5.0 connections, and bytes that no client would send."""

import random

import pytest
from peer5 import (
    ALIAS,
    AUTH_METHOD,
    EXPIRY,
    IDENTIFIER,
    SESSION_EXPIRY,
    USER,
    WILL_DELAY,
    Peer5,
    ack,
    auth,
    connect,
    disconnect,
    publish,
    subscribe,
    unsubscribe,
)
from umqtt_harness.broker import Fault


@pytest.fixture
def aliased(broker_factory):
    return broker_factory(limits={"topic_alias_maximum": 3})


def test_a_swallowed_packet_still_sets_its_alias(aliased):
    """TCP loses nothing: the client may count on the alias."""
    with Peer5.online(aliased) as one:
        aliased.drop("PUBLISH", direction="in")
        one.send(publish("t", b"lost", 0, False, 0, False, (ALIAS, 1)))
        one.publish("", b"m", 0, False, 0, (ALIAS, 1))
        assert [m.payload for m in aliased.messages("t")] == [b"m"]
        assert [e.topic for e in aliased.packets(type="PUBLISH")] == ["t", "t"]
        assert aliased.violations == []


def test_a_fault_for_a_topic_sees_through_the_alias(aliased):
    with Peer5.online(aliased) as one:
        one.publish("t", b"1", 0, False, 0, (ALIAS, 1))
        aliased.drop("PUBLISH", direction="in", topic="t")
        one.publish("", b"2", 0, False, 0, (ALIAS, 1))
        one.publish("", b"3", 0, False, 0, (ALIAS, 1))
        assert [m.payload for m in aliased.messages("t")] == [b"1", b"3"]


@pytest.mark.parametrize("qos", [1, 2])
def test_a_packet_that_the_fault_doubles_is_not_the_clients_fault(broker, qos):
    with Peer5.online(broker) as one:
        broker.fault(Fault("duplicate", "PUBLISH", direction="in"))
        one.send(publish("t", b"m", qos, False, 1))
        for _ in range(2):
            one.expect("PUBACK" if qos == 1 else "PUBREC", packet_id=1)
        assert broker.violations == []
        assert len(broker.messages("t")) == (2 if qos == 1 else 1)


def test_a_doubled_message_to_the_client_has_its_properties(broker):
    with Peer5.online(broker, "c") as one:
        one.subscribe(("t", 1))
        broker.fault(Fault("duplicate", "PUBLISH"))
        broker.publish("t", b"m", 1, properties={"user_property": [("k", "v")]})
        for dup in (False, True):
            assert one.expect("PUBLISH", dup=dup).all(USER) == [("k", "v")]
    events = broker.packets(type="PUBLISH", direction="out")
    assert [e.dup for e in events] == [False, True]
    assert events[1].properties == {"user_property": [("k", "v")]}


def test_a_delayed_connect(broker):
    broker.delay("CONNECT", 20)
    with Peer5(broker) as one:
        one.send(connect("c"), publish("t", b"m", 1, False, 1), b"\xc0\x00")
        one.expect("CONNACK", code=0)
        one.expect("PUBACK", code=0x10)
        one.expect("PINGRESP")


def test_a_delayed_packet_that_is_wrong(broker):
    broker.delay("SUBSCRIBE", 20)
    with Peer5.online(broker) as one:
        one.send(subscribe(1, ("t", 0x40)), b"\xc0\x00")
        one.expect_disconnect(0x81)


def test_a_garbled_packet_of_the_client(broker):
    broker.fault(Fault("garble", "PUBLISH", direction="in", data=publish("t", b"x", 3)))
    with Peer5.online(broker) as one:
        one.send(publish("t", b"m"))
        one.expect_disconnect(0x81)


def test_a_split_disconnect_arrives_whole(broker):
    with Peer5.online(broker, "c") as one:
        broker.split(1)
        broker.disconnect("c", 0x8B, reason_string="piece by piece")
        one.expect_disconnect(0x8B)


def test_a_refusal_is_read_although_the_client_sent_more(broker):
    broker.refuse(0x97)
    with Peer5(broker) as one:
        one.send(connect("c"), publish("t", bytes(50_000)))
        one.expect("CONNACK", code=0x97)
        one.expect_eof()
        assert broker.messages() == []


def test_no_bytes_break_the_broker(broker):
    """Changed and cut packets: each connection ends or goes on, and the fixture would tell of an
    error inside the broker."""
    legal = [
        publish("a/b", b"m", 2, True, 3, False, (EXPIRY, 9), (USER, ("k", "v"))),
        subscribe(3, ("a/+", 0x2D), ("$share/g/#", 2), properties=[(IDENTIFIER, 300)]),
        unsubscribe(3, "a/+", properties=[(USER, ("k", "v"))]),
        ack(0x40, 1, 0x97),
        ack(0x50, 1, 0x97),
        ack(0x62, 3, 0x92),
        ack(0x70, 1),
        auth(0x19, (AUTH_METHOD, "M")),
        disconnect(4, (SESSION_EXPIRY, 1)),
        connect("x", will=("w", b"", 1, True), will_props=[(WILL_DELAY, 1)]),
    ]
    rng = random.Random(5)
    codes = set()
    for _ in range(400):
        raw = bytearray(b"".join(rng.choices(legal, k=3)))
        for _ in range(rng.randrange(3)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        del raw[rng.randrange(1, len(raw) + 1) :]
        if rng.random() < 0.2:
            first = bytes(raw)
        else:
            first = connect("c", False, 0, (SESSION_EXPIRY, 9)) + bytes(raw)
        with Peer5(broker) as one:
            one.send(first)
            one.sock.shutdown(1)
            try:
                while True:
                    got = one.receive()
                    if got.type == "DISCONNECT":
                        codes.add(got.code)
            except (EOFError, ConnectionError):
                pass
    assert codes >= {0x81, 0x82}
