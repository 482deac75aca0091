"""Every quirk of QUIRKS_5 and every broker of PROFILES: what real brokers do otherwise."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import peer
import peer5 as v5
import pytest
from peer5 import Peer5, ack, connect, disconnect, publish, unsubscribe
from umqtt_harness.broker import PROFILES, QUIRKS, QUIRKS_5

TOOLS = Path(__file__).resolve().parents[2] / "tools"
KEEP = (v5.SESSION_EXPIRY, 100)


@pytest.fixture
def quirky(request, broker_factory):
    name = request.node.originalname.removeprefix("test_quirk_")
    assert name in QUIRKS_5
    return broker_factory(quirks=[name])


def test_every_quirk_and_every_profile_has_a_test():
    assert [name for name in QUIRKS_5 if f"test_quirk_{name}" not in globals()] == []
    assert [name for name in PROFILES if f"test_like_{name}" not in globals()] == []
    used = {quirk for profile in PROFILES.values() for quirk in profile.get("quirks", ())}
    assert used <= {*QUIRKS, *QUIRKS_5}


def _offline(broker, *qos, name="c"):
    """A client that is away, with messages of these QoS in its queue."""
    with Peer5.online(broker, name, False, 0, KEEP) as one:
        one.subscribe(("t", 2))
        one.disconnect()
    for i, one_qos in enumerate(qos):
        broker.publish("t", b"%d" % i, one_qos)


def _back(broker, *pairs, name="c"):
    return Peer5.online(broker, name, False, 0, KEEP, *pairs)


# Either version


def test_quirk_queue_qos0_offline(quirky):
    _offline(quirky, 0, 1, 0)
    with _back(quirky) as one:
        for i, qos in enumerate((0, 1, 0)):
            one.expect_message("t", b"%d" % i, qos)


def test_quirk_retained_at_subscription_qos(quirky):
    quirky.publish("t", b"m", 0, True)
    with Peer5.online(quirky) as one, peer.Peer.online(quirky) as old:
        for client in (one, old):
            client.subscribe(("t", 2))
            client.expect_message("t", b"m", 2, retain=True)


def test_quirk_drains_slowly(broker_factory):
    broker = broker_factory(quirks=["drains_slowly"], drain_interval_s=0.05)
    _offline(broker, 1, 1, 1)
    with Peer5(broker) as one:
        one.send(
            connect("c", False, 0, KEEP), peer.PINGREQ
        )  # in one piece: the first comes 50 ms behind the answer
        one.expect("CONNACK", session_present=True)
        one.expect("PINGRESP")
        for i in range(3):
            one.expect_message("t", b"%d" % i, 1)
    times = [e.t for e in broker.packets(type="PUBLISH", direction="out")]
    assert all(b - a >= 0.04 for a, b in zip(times, times[1:], strict=False))


@pytest.mark.parametrize("version, code", [(4, 4), (5, 0x86)])
def test_quirk_bad_password_0x86(broker_factory, version, code):
    broker = broker_factory(quirks=["bad_password_0x86"], users={"u": "p"})
    module, client = (peer, peer.Peer) if version == 4 else (v5, Peer5)
    with client(broker) as one:
        one.send(module.connect("c", user="u", password="wrong"))
        assert one.expect("CONNACK").body[1] == code


def test_quirk_no_sys(quirky):
    with Peer5.online(quirky) as one:
        one.subscribe(("$SYS/#", 0))
        one.quiet()


def test_quirk_qos2_dedup_lost(quirky):
    with _back(quirky) as one:
        one.send(publish("t", b"m", 2, False, 3))
        one.expect("PUBREC")
        one.vanish()
    with _back(quirky) as one:
        one.send(publish("t", b"m", 2, False, 3, True))
        one.expect("PUBREC")
        one.send(ack(0x62, 3))
        one.expect("PUBCOMP", code=0)
    assert len(quirky.messages("t")) == 2


def test_quirk_copy_per_subscription_5(quirky):
    with Peer5.online(quirky) as one, peer.Peer.online(quirky) as old:
        for client in (one, old):
            client.subscribe(("t", 0), ("+", 1))
        quirky.publish("t", b"m", 1)
        assert sorted(one.expect("PUBLISH").qos for _ in range(2)) == [0, 1]
        old.expect_message("t", b"m", 1)
        one.quiet()
        old.quiet()


# 5.0 refused


def test_quirk_refuse_5_with_1(quirky):
    with Peer5(quirky) as one:
        one.send(connect("c"))
        one.expect("CONNACK", body=b"\0\1")
        one.expect_eof()
    peer.Peer.online(quirky).disconnect()
    assert quirky.wire("c").sent == b"\x20\x02\x00\x01"


def test_quirk_refuse_5_with_0x84(quirky):
    with Peer5(quirky) as one:
        one.send(connect("c"))
        one.expect("CONNACK", body=b"\0\x84\0")
        one.expect_eof()
    peer.Peer.online(quirky).disconnect()


def test_quirk_refuse_5_by_closing(quirky):
    with Peer5(quirky) as one:
        one.send(connect("c"))
        one.expect_eof()
    peer.Peer.online(quirky).disconnect()


# 5.0


def test_quirk_no_takeover_disconnect(quirky):
    with Peer5.online(quirky, "c") as old, Peer5.online(quirky, "c"):
        old.expect_eof()


def test_quirk_never_0x10(quirky):
    with Peer5.online(quirky) as one:
        for qos in (1, 2):
            one.publish("t", b"m", qos, code=0)


def test_quirk_pubrec_never_0x10(quirky):
    with Peer5.online(quirky) as one:
        one.publish("t", b"m", 1, code=0x10)
        one.publish("t", b"m", 2, code=0)


def test_quirk_use_aliases(quirky):
    _aliases(quirky, [("a", 1), ("", 1), ("b", None)])


def test_quirk_rotate_aliases(quirky):
    _aliases(quirky, [("a", 1), ("", 1), ("b", 1)])


def _aliases(broker, wanted):
    with Peer5.online(broker, "c", True, 0, (v5.ALIAS_MAXIMUM, 1)) as one:
        one.subscribe(("#", 0))
        for topic in "aab":
            broker.publish(topic, b"m")
        got = [one.expect("PUBLISH") for _ in "aab"]
        assert [(g.topic, g.prop(v5.ALIAS)) for g in got] == wanted


def test_quirk_session_expiry_ignored(quirky):
    _offline(quirky)
    Peer5.online(quirky, "gone").disconnect()
    quirky.advance(1_000_000)
    assert list(quirky.sessions) == ["c"]


def test_quirk_will_delay_ignored(quirky):
    will = {"will": ("w", b"", 0, False), "will_props": [(v5.WILL_DELAY, 50)]}
    with Peer5.online(quirky, "c", True, 0, KEEP, **will) as one:
        one.vanish()
    quirky.wait_until(lambda: quirky.messages("w"), what="the will")


def test_quirk_will_after_04_only(quirky):
    for code, count in ((0x80, 0), (0x04, 1)):
        with Peer5.online(quirky, "c", will=("w", b"", 0, False)) as one:
            one.send(disconnect(code))
            one.expect_eof()
        assert len(quirky.messages("w")) == count


def test_quirk_retained_to_shared(quirky):
    quirky.publish("t", b"m", 0, True)
    with Peer5.online(quirky) as one:
        one.subscribe(("$share/g/+", 0))
        one.expect_message("t", b"m", retain=True)


def test_quirk_overruns_receive_maximum(quirky):
    _offline(quirky, 1, 1, 1, 1, 1)
    with _back(quirky, (v5.RECEIVE_MAXIMUM, 2)) as one:
        first = [one.expect("PUBLISH").packet_id for _ in range(2)]
        one.quiet()
        one.send(ack(0x40, first[0]))
        for _ in range(2):  # now three are open
            one.expect("PUBLISH")
        one.quiet()


@pytest.mark.parametrize("more, arrives", [(1, True), (2, False)])
def test_quirk_overlong_by_one(quirky, more, arrives):
    with Peer5.online(quirky, "c", True, 0, (v5.MAXIMUM_PACKET, 20)) as one:
        one.subscribe(("t", 0))
        quirky.publish("t", b"m" * (14 + more))
        if arrives:
            one.expect("PUBLISH")
        one.quiet()


def test_quirk_no_92(quirky):
    with Peer5.online(quirky) as one:
        one.send(ack(0x62, 5))
        one.expect("PUBCOMP", code=0)
        one.send(ack(0x50, 5))
        one.expect("PUBREL", code=0)


def test_quirk_token_runs_out(broker_factory):
    broker = broker_factory(quirks=["token_runs_out"], token_lifetime_s=0.05)
    with Peer5.online(broker, "c") as one:
        one.expect_disconnect(0xA0)
    with peer.Peer.online(broker, "old") as one:
        one.quiet()


# Whole brokers


@pytest.fixture
def like(request, broker_factory):
    return broker_factory(like=request.node.originalname.removeprefix("test_like_"))


def _announced(broker):
    with Peer5.online(broker) as one:
        return one.connack.props


def test_like_mosquitto_2_0(like):
    assert _announced(like) == [(v5.RECEIVE_MAXIMUM, 20), (v5.ALIAS_MAXIMUM, 10)]
    with Peer5.online(like, "c") as old, Peer5.online(like, "c") as one:
        old.expect_eof()
        one.publish("t", b"m", 2, code=0)


def test_like_mosquitto_2_1(like):
    assert (v5.MAXIMUM_PACKET, 2_000_000) in _announced(like)
    with Peer5.online(like, "c", True, 0, (v5.ALIAS_MAXIMUM, 5)) as one:
        one.subscribe(("t", 0), properties=[(v5.IDENTIFIER, 1)])
        one.subscribe(("+", 0), properties=[(v5.IDENTIFIER, 2)])
        like.publish("t", b"m")
        got = [one.expect("PUBLISH").props for _ in range(2)]
        assert got == [
            [(v5.IDENTIFIER, 1), (v5.ALIAS, 1)],
            [(v5.IDENTIFIER, 2), (v5.ALIAS, 1)],
        ]


def test_like_emqx(like):
    assert _announced(like) == [(v5.MAXIMUM_PACKET, 1 << 20)]
    _offline(like, 0)
    with _back(like) as one:
        one.expect_message("t", b"0")


def test_like_hivemq(like):
    assert _announced(like) == [(v5.RECEIVE_MAXIMUM, 10), (v5.ALIAS_MAXIMUM, 5)]


def test_like_vernemq(like):
    like.publish("t", b"m", 0, True)
    with Peer5.online(like) as one:
        one.subscribe(("t", 1))
        one.expect_message("t", b"m", 1, retain=True)


def test_like_nanomq(broker_factory):
    broker = broker_factory(like="nanomq", drain_interval_s=0.01)
    _offline(broker, 1, 1)
    broker.advance(1000)
    with _back(broker) as one:
        assert one.session_present
        for i in range(2):
            one.expect_message("t", b"%d" % i, 1)
        one.send(unsubscribe(4, "t"))
        one.expect("UNSUBACK")
        for dup in (False, True):
            one.send(publish("x", b"m", 2, False, 3, dup))
            one.expect("PUBREC")
    assert len(broker.messages("x")) == 2


def test_like_rabbitmq_4(like):
    assert _announced(like) == [(v5.MAXIMUM_QOS, 1), (v5.SHARED, 0)]
    like.publish("t", b"m", 1, True)
    with Peer5.online(like, "c") as one:
        one.subscribe(("+", 2), codes=[1])
        one.quiet()
        one.send(publish("t", b"m", 2, False, 1))
        one.expect_disconnect(0x9B)
    with Peer5(like) as one:
        one.send(connect("c", will=("w", b"", 2, False)))
        one.expect("CONNACK", code=0x9B)
    with peer.Peer.online(like) as old:  # 3.1.1: no way to say it
        old.send(peer.publish("t", b"m", 2, packet_id=3))
        old.expect("PUBACK", packet_id=3)


def test_like_activemq(like):
    _offline(like, 1)
    with _back(like) as one:
        assert not one.session_present
        one.expect_message("t", b"0", 1)


def test_like_ejabberd(like):
    assert _announced(like) == [(v5.SERVER_KEEP_ALIVE, 60), (v5.SHARED, 0)]


def test_like_paho(like):
    assert len(_announced(like)) == 3


def test_like_only_3_1_1(like):
    with Peer5(like) as one:
        one.send(connect("c"))
        one.expect("CONNACK", body=b"\0\1")
    peer.Peer.online(like).disconnect()


def test_a_profile_gives_way_to_what_is_named(broker_factory):
    broker = broker_factory(like="hivemq", limits={"receive_maximum": 3}, quirks=["never_0x10"])
    assert _announced(broker) == [(v5.RECEIVE_MAXIMUM, 3), (v5.ALIAS_MAXIMUM, 5)]


def test_as_a_program():
    command = [sys.executable, "-m", "umqtt_harness.broker", "--port", "0", "--like", "paho"]
    program = subprocess.Popen(command, cwd=TOOLS, stdout=subprocess.PIPE, text=True)
    try:
        host, port = program.stdout.readline().split()[-1].split(":")
        server = SimpleNamespace(host=host, port=int(port))
        with Peer5.online(server) as one:
            assert one.connack.prop(v5.MAXIMUM_PACKET) == 256
    finally:
        program.terminate()
        program.communicate(timeout=10)
    assert program.returncode == 0
