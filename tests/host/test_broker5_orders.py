"""What a test may order from the broker in 5.0: reason codes, DISCONNECT, raw bytes, the clock."""

import json

import peer
import peer5 as v5
import pytest
from peer5 import Peer5, ack, connect, publish, subscribe, unsubscribe
from umqtt_harness import packets, packets5, properties
from umqtt_harness.broker import Fault

ALL_PUBLISH_CODES = (0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("code", ALL_PUBLISH_CODES)
def test_any_code_for_a_publish(broker, qos, code):
    kind = "PUBACK" if qos == 1 else "PUBREC"
    with Peer5.online(broker) as one, Peer5.online(broker) as sub:
        sub.subscribe(("t", 2))
        broker.answer(kind, code, reason_string="why", user_property=[("a", "1"), ("a", "2")])
        got = one.publish("t", b"m", qos, code=code)
        assert got.props == [(v5.REASON, "why"), (v5.USER, ("a", "1")), (v5.USER, ("a", "2"))]
        if code < 0x80:
            sub.expect_message("t", b"m", qos)
        sub.quiet()  # what is refused is not routed
        one.publish("t", b"next", qos, code=0)  # the order is used up, the id is free
        sub.expect_message("t", b"next", qos)
        event = broker.packets(type=kind, direction="out")[0]
        assert (event.reason_code, event.properties["reason_string"]) == (code, "why")


def test_a_code_for_one_topic_one_client_or_the_nth(broker):
    with Peer5.online(broker, "a") as a, Peer5.online(broker, "b") as b:
        broker.answer("PUBACK", 0x87, topic="secret")
        broker.answer("PUBACK", 0x97, "b", nth=2, count=None)
        a.publish("t", b"m", 1, code=0x10)
        a.publish("secret", b"m", 1, code=0x87)
        for code in (0x10, 0x97, 0x97):
            b.publish("t", b"m", 1, code=code)
        broker.clear_faults()
        b.publish("t", b"m", 1, code=0x10)


def test_a_refused_pubrec_makes_the_id_new(broker):
    keep = (v5.SESSION_EXPIRY, 9)
    with Peer5.online(broker, "c", False, 0, keep) as one:
        one.send(publish("t", b"m", 2, False, 5))
        one.expect("PUBREC", code=0x10)
        one.vanish()
    with Peer5.online(broker, "c", False, 0, keep) as one:
        broker.answer("PUBREC", 0x83)
        one.send(publish("t", b"m", 2, False, 5, True))
        one.expect("PUBREC", code=0x83)
        one.publish("t", b"m", 2, False, 5, code=0x10)
        assert len(broker.messages("t")) == 2 and broker.violations == []


def test_codes_of_the_second_half_of_qos_2(broker):
    with Peer5.online(broker) as one:
        one.subscribe(("t", 2))
        broker.publish("t", b"m", 2)
        broker.answer("PUBREL", 0x92, reason_string="lost it")
        got = one.expect("PUBLISH")
        one.send(ack(0x50, got.packet_id))
        assert one.expect("PUBREL", code=0x92).props == [(v5.REASON, "lost it")]
        one.send(ack(0x70, got.packet_id, 0x92))
        broker.answer("PUBCOMP", 0x92)
        one.send(publish("x", b"m", 2, False, 4))
        one.expect("PUBREC")
        one.send(ack(0x62, 4))
        one.expect("PUBCOMP", code=0x92)
        assert broker.violations == []


def test_what_the_client_refuses_is_gone(broker):
    with Peer5.online(broker, "c", False, 0, (v5.SESSION_EXPIRY, 9)) as one:
        one.subscribe(("t", 2))
        for qos, first in ((1, 0x40), (2, 0x50)):
            broker.publish("t", b"m", qos)
            got = one.expect("PUBLISH", qos=qos)
            one.send(ack(first, got.packet_id, 0x99, (v5.REASON, "no")))
            one.quiet()
            assert broker.sessions["c"].inflight == {}
        event = broker.packets(type="PUBREC", direction="in")[0]
        assert (event.reason_code, event.properties) == (0x99, {"reason_string": "no"})


def test_codes_for_subscribe_and_unsubscribe(broker):
    with Peer5.online(broker, "c") as one:
        broker.answer("SUBACK", codes=[0x8F, 1, 0x97], reason_string="some")
        one.send(subscribe(1, ("a", 2), ("b", 2), ("c", 0)))
        got = one.expect("SUBACK")
        assert got.codes == (0x8F, 1, 0x97) and got.props == [(v5.REASON, "some")]
        assert broker.sessions["c"].subscriptions == {"b": 1}
        broker.answer("SUBACK", 0x83)
        one.subscribe(("d", 0), ("e", 0), codes=[0x83, 0x83])
        broker.answer("UNSUBACK", 0x87, user_property=[("k", "v")])
        one.send(unsubscribe(2, "b", "c"))
        got = one.expect("UNSUBACK")
        assert got.codes == (0x87, 0x87) and got.props == [(v5.USER, ("k", "v"))]
        assert broker.sessions["c"].subscriptions == {"b": 1}
        broker.subscribe_result([0x80])
        one.subscribe(("f", 0), codes=[0x80])


def test_codes_and_properties_for_connack(broker):
    broker.refuse(0x9C, server_reference="other:1883", reason_string="moved")
    broker.answer("CONNACK", 0x97)
    for code, props in (
        (0x9C, [(v5.SERVER_REFERENCE, "other:1883"), (v5.REASON, "moved")]),
        (0x97, []),
    ):
        with Peer5(broker) as one:
            one.send(connect("c"))
            assert one.expect("CONNACK", code=code).props == props
            one.expect_eof()
    # With code 0 it adds to a CONNACK, or replaces what is in it.
    broker.answer("CONNACK", 0, assigned_client_identifier="x", topic_alias_maximum=7)
    with Peer5.online(broker) as one:
        assert one.connack.props == [(v5.ASSIGNED_ID, "x"), (v5.ALIAS_MAXIMUM, 7)]


def test_answers_are_not_for_3_1_1(broker):
    with peer.Peer.online(broker) as one:
        broker.answer("PUBACK", 0x97)
        one.send(peer.publish("t", b"m", 1, packet_id=3))
        assert one.expect("PUBACK").body == b"\0\3"
        assert len(broker.messages("t")) == 1


def test_orders_that_make_no_sense(broker):
    with pytest.raises(ValueError, match="an answer is"):
        broker.answer("PUBLISH", 0x97)
    with pytest.raises(ValueError, match="an answer is"):
        Fault("answer")
    with Peer5.online(broker, "c"), peer.Peer.online(broker, "old"):
        with pytest.raises(ValueError, match="speaks 3.1.1"):
            broker.disconnect("old", 0x8B)
        with pytest.raises(LookupError, match="not connected"):
            broker.disconnect("nobody", 0x8B)
        with pytest.raises(ValueError, match="no property 'typo'"):
            broker.disconnect("c", 0x8B, typo=1)


SERVER_CODES = (
    0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96,
    0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
)  # fmt: skip


@pytest.mark.parametrize("code", SERVER_CODES)
def test_disconnect_with_any_code(broker, code):
    with Peer5.online(broker, "c") as one:
        broker.disconnect("c", code, reason_string="bye", server_reference="a b:1")
        got = one.expect_disconnect(code)
        assert got.props == [(v5.REASON, "bye"), (v5.SERVER_REFERENCE, "a b:1")]
    event = broker.packets(type="DISCONNECT", direction="out")[0]
    assert event.reason_code == code and broker.violations == []


def test_disconnect_as_short_as_it_gets(broker):
    with Peer5.online(broker, "c") as one:
        broker.disconnect("c", close=False)
        broker.disconnect("c", 0x8B, close=False)
        one.expect("DISCONNECT", body=b"")
        one.expect("DISCONNECT", body=b"\x8b")
        one.quiet()


def test_raw_bytes_from_the_encoders(broker):
    with Peer5.online(broker, "c") as one:
        for raw, kind in (
            (packets5.connack(1, 0, {"receive_maximum": 9}), "CONNACK"),
            (packets5.ack(packets.PUBREC, 9, 0x92), "PUBREC"),
            (packets5.acks(packets.UNSUBACK, 9, [0x11]), "UNSUBACK"),
            (packets5.auth(0x18, {"authentication_method": "M"}), "AUTH"),
            (packets5.publish("t", b"m", props={"subscription_identifier": [1, 2]}), "PUBLISH"),
            (packets5.disconnect(0x97, {"reason_string": "r"}), "DISCONNECT"),
        ):
            broker.raw("c", raw)
            one.expect(kind)


def test_publish_with_properties(broker):
    given = {
        "payload_format_indicator": 1, "content_type": "t", "response_topic": "r",
        "correlation_data": b"\1", "user_property": [("a", "b")], "message_expiry_interval": 5,
    }  # fmt: skip
    with Peer5.online(broker, "c") as one:
        one.subscribe(("t", 0))
        broker.publish("t", "text", properties=given)
        assert len(one.expect_message("t", b"text").props) == 6
    event = broker.packets(type="PUBLISH", direction="out")[0]
    assert event.properties == given == broker.messages("t")[0].properties


def test_the_log_shows_options_and_properties(broker):
    with Peer5.online(broker, "c") as one:
        one.send(subscribe(1, ("a", 0x2D), ("b", 0), properties=[(v5.IDENTIFIER, 5)]))
        one.expect("SUBACK")
    event = broker.wait_for(type="SUBSCRIBE")
    assert event.filters == [("a", 0x2D), ("b", 0)]
    assert event.properties == {"subscription_identifier": 5}
    assert "a(2d)" in str(event) and "'subscription_identifier': 5" in str(event)


def test_properties_of_every_kind_come_back_as_they_went():
    given = {
        "user_property": [("a", ""), ("", "b")], "receive_maximum": 65535, "maximum_qos": 1,
        "maximum_packet_size": 0xFFFFFFFF, "reason_string": "grün", "authentication_data": b"\0",
    }  # fmt: skip
    raw = properties.encode(given)
    assert properties.decode(packets.Reader(raw, 0), "CONNACK") == given
    with pytest.raises(packets.Malformed):
        properties.decode(packets.Reader(raw, 0), "PUBACK")


def test_control_over_mqtt(broker_factory):
    broker = broker_factory(control=True)
    with Peer5.online(broker, "boss") as boss, Peer5.online(broker, "c") as one:
        boss.subscribe(("$CONTROL/answer", 0))

        def order(command, **arguments):
            boss.send(publish(f"$CONTROL/{command}", json.dumps(arguments).encode()))
            answer = json.loads(boss.expect("PUBLISH", topic="$CONTROL/answer").payload)
            assert answer["ok"], answer
            return answer["result"]

        order("answer", type="PUBACK", code=0x97, client_id="c", user_property=[["k", "v"]])
        assert one.publish("t", b"m", 1, code=0x97).props == [(v5.USER, ("k", "v"))]
        order("advance", seconds=100)
        order("disconnect", client_id="c", code=0x9D, server_reference="new")
        assert one.expect_disconnect(0x9D).prop(v5.SERVER_REFERENCE) == "new"
        events = order("log", type="PUBACK")
        assert events[0]["reason_code"] == 0x97
