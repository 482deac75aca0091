"""Every quirk of the bundled broker: what real brokers do otherwise, one test each."""

import pytest
from peer import Peer, ack, connect, packet, publish, subscribe
from umqtt_harness.broker import QUIRKS, BrokerThread


@pytest.fixture
def quirky(request, broker_factory):
    name = request.node.name.removeprefix("test_quirk_")
    assert name in QUIRKS
    return broker_factory(quirks=[name])


def test_every_quirk_has_a_test():
    missing = [name for name in QUIRKS if f"test_quirk_{name}" not in globals()]
    assert missing == []
    with pytest.raises(ValueError, match="no quirk typo"):
        BrokerThread(quirks=["typo"])


def test_quirk_rabbitmq_qos2_puback(quirky):
    with Peer.online(quirky) as peer:
        peer.subscribe(("t", 2), codes=[1])
        peer.send(publish("t", b"m", 2, packet_id=3))
        peer.expect("PUBLISH", qos=1)
        peer.expect("PUBACK", packet_id=3)


def test_quirk_downgrade_qos2_grant(quirky):
    with Peer.online(quirky) as peer:
        peer.subscribe(("a", 2), ("b", 0), codes=[1, 0])


def _offline(broker, qos=1):
    with Peer.online(broker, "me", clean=False) as peer:
        peer.subscribe(("t", 2))
        peer.disconnect()
    broker.publish("t", b"m", qos)


def test_quirk_session_present_always_zero(quirky):
    _offline(quirky)
    with Peer.online(quirky, "me", clean=False) as peer:
        assert not peer.session_present
        peer.expect_message("t", b"m", 1)


def test_quirk_sessions_lost(quirky):
    _offline(quirky)
    with Peer.online(quirky, "me", clean=False) as peer:
        assert not peer.session_present
        peer.quiet()


def test_quirk_redeliver_dup_0(quirky):
    _offline(quirky)
    for _ in range(2):
        with Peer.online(quirky, "me", clean=False) as peer:
            peer.expect_message("t", b"m", 1, acknowledge=False, dup=False)


def test_quirk_deliver_at_subscription_qos(quirky):
    with Peer.online(quirky) as peer:
        peer.subscribe(("t", 2))
        quirky.publish("t", b"m", 0)
        peer.expect_message("t", b"m", 2)


def test_quirk_no_qos2_dedup(quirky):
    with Peer.online(quirky) as peer:
        for dup in (False, True):
            peer.send(publish("t", b"m", 2, packet_id=1, dup=dup))
            peer.expect("PUBREC")
        peer.send(ack(0x62, 1))
        peer.expect("PUBCOMP")
        assert len(quirky.messages("t")) == 2


def test_quirk_no_pubcomp_unknown(quirky):
    with Peer.online(quirky) as peer:
        peer.send(ack(0x62, 1))
        peer.quiet()
        peer.publish("t", b"m", 2)


def test_quirk_no_suback(quirky):
    with Peer.online(quirky) as peer:
        peer.send(subscribe(1, ("t", 0)))
        peer.quiet()


def test_quirk_no_unsuback_unknown(quirky):
    with Peer.online(quirky) as peer:
        peer.subscribe(("t", 0))
        peer.send(packet(0xA2, b"\0\1\0\1x"))
        peer.quiet()
        peer.send(packet(0xA2, b"\0\1\0\1t"))
        peer.expect("UNSUBACK")


def test_quirk_no_connack_keepalive_0(quirky):
    with Peer(quirky) as peer:
        peer.send(connect("c"))
        peer.expect_eof()
    Peer.online(quirky, keep_alive=5).disconnect()


def test_quirk_no_retained_on_wildcard(quirky):
    quirky.publish("t", b"m", retain=True)
    with Peer.online(quirky) as peer:
        peer.subscribe(("+", 0))
        peer.quiet()
        peer.subscribe(("t", 0))
        peer.expect_message("t", b"m", retain=True)


def test_quirk_retained_before_suback(quirky):
    quirky.publish("t", b"m", retain=True)
    with Peer.online(quirky) as peer:
        peer.send(subscribe(1, ("t", 0)))
        peer.expect_message("t", b"m", retain=True)
        peer.expect("SUBACK")


def test_quirk_copy_per_subscription(quirky):
    with Peer.online(quirky) as peer:
        peer.subscribe(("t", 0), ("+", 0))
        quirky.publish("t", b"m")
        peer.expect_message("t", b"m")
        peer.expect_message("t", b"m")
        peer.quiet()
