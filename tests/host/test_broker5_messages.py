"""How 5.0 messages travel: properties, expiry, aliases, subscription options, shared groups.

Asked of the bundled broker and of Mosquitto alike where no clock has to be put forward.
"""

import peer
import peer5 as v5
import pytest
from peer import unique
from peer5 import Peer5, ack, publish, subscribe, unsubscribe
from test_broker_protocol import no_violations, server_fixture  # noqa: F401

NO_LOCAL, AS_PUBLISHED, IF_NEW, NEVER_RETAINED = 0x04, 0x08, 0x10, 0x20


@pytest.mark.parametrize("granted", [0, 1, 2])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_message_arrives_at_the_lower_qos(server, qos, granted):
    topic = unique("t")
    with Peer5.online(server) as sub, Peer5.online(server) as pub:
        sub.subscribe((topic, granted))
        pub.publish(topic, b"payload", qos, code=0)
        sub.expect_message(topic, b"payload", min(qos, granted), dup=False, retain=False)
        sub.quiet()


@pytest.mark.parametrize("retain", [False, True])
def test_properties_are_forwarded_unaltered(server, retain):
    topic = unique("t")
    given = [
        (v5.FORMAT, 1), (v5.CONTENT_TYPE, "text"), (v5.RESPONSE_TOPIC, "re/ply"),
        (v5.CORRELATION, b"\0\xff"),
    ]  # fmt: skip
    users = [(v5.USER, pair) for pair in (("b", "1"), ("a", "2"), ("b", "1"), ("", ""))]
    with Peer5.online(server) as sub, Peer5.online(server) as pub:
        if not retain:
            sub.subscribe((topic, 1))
        pub.publish(topic, b"m", 1, retain, 1, *users[:2], *given, *users[2:])
        if retain:
            sub.subscribe((topic, 1))
        got = sub.expect_message(topic, b"m", 1, retain=retain)
        assert [p for p in got.props if p[0] == v5.USER] == users
        assert sorted(p for p in got.props if p[0] != v5.USER) == given


def test_properties_do_not_reach_a_client_of_3_1_1(server):
    topic = unique("t")
    with peer.Peer.online(server) as old, Peer5.online(server) as new:
        with Peer5.online(server) as pub, peer.Peer.online(server) as old_pub:
            old.subscribe((topic, 2))
            new.subscribe((topic, 2))
            pub.publish(topic, b"m", 2, False, 1, (v5.USER, ("k", "v")), code=0)
            old.expect_message(topic, b"m", 2)
            assert new.expect_message(topic, b"m", 2).all(v5.USER) == [("k", "v")]
            old_pub.publish(topic, b"n", 1)
            old.expect_message(topic, b"n", 1)
            assert new.expect_message(topic, b"n", 1).props == []


@pytest.mark.parametrize("qos", [1, 2])
def test_nobody_subscribed(server, qos):
    """Mosquitto 2.0.11 says so in a PUBACK only."""
    with Peer5.online(server) as pub:
        code = 0x10 if qos == 1 or server.broker else None
        pub.publish(unique("t"), b"m", qos, code=code)


def test_unknown_ids_are_answered_with_92(server):
    name, keep = unique(), (v5.SESSION_EXPIRY, 99)
    Peer5.online(server, name, False, 0, keep).disconnect()
    with Peer5.online(server, name, False, 0, keep) as one:
        one.send(ack(0x62, 77))
        got = one.expect("PUBCOMP", packet_id=77)
        # Mosquitto 2.0.11 does not tell.
        assert got.code == 0x92 or not server.broker


def test_unsubscribe_has_codes(server):
    with Peer5.online(server) as one:
        one.subscribe(("a", 0))
        one.send(unsubscribe(5, "b", "a", "a"))
        assert one.expect("UNSUBACK", packet_id=5).codes == (0x11, 0, 0x11)


# Expiry


def test_expiry_is_handed_on(server):
    topic = unique("t")
    with Peer5.online(server) as sub, Peer5.online(server) as pub:
        sub.subscribe((topic, 1))
        pub.publish(topic, b"m", 1, False, 1, (v5.EXPIRY, 60))
        assert sub.expect_message(topic, b"m", 1).prop(v5.EXPIRY) in (59, 60)


def test_expiry_counts_down_while_a_message_waits(broker):
    with Peer5.online(broker, "c", False, 0, (v5.SESSION_EXPIRY, 999)) as sub:
        sub.subscribe(("t", 2))
        sub.disconnect()
    with Peer5.online(broker) as pub:
        for qos, payload, seconds in ((1, b"a", 10), (2, b"b", 100), (1, b"c", 40)):
            pub.publish("t", payload, qos, False, 1, (v5.EXPIRY, seconds))
    broker.advance(40)
    with Peer5.online(broker, "c", False) as sub:
        assert sub.expect_message("t", b"b", 2).prop(v5.EXPIRY) in (59, 60)
        sub.quiet()
        assert broker.sessions["c"].dropped == 2


def test_a_message_on_its_way_does_not_expire(broker):
    keep = (v5.SESSION_EXPIRY, 999)
    with Peer5.online(broker, "c", False, 0, keep) as sub:
        sub.subscribe(("t", 1))
        broker.publish("t", b"m", 1, properties={"message_expiry_interval": 10})
        sub.expect_message("t", b"m", 1, acknowledge=False)
        sub.vanish()
    broker.wait_gone("c")
    broker.advance(100)
    with Peer5.online(broker, "c", False, 0, keep) as sub:
        assert sub.expect_message("t", b"m", 1, dup=True).prop(v5.EXPIRY) == 0


def test_retained_messages_expire(broker):
    broker.publish("t", b"m", 0, True, {"message_expiry_interval": 60})
    with Peer5.online(broker) as sub:
        broker.advance(30)
        sub.subscribe(("#", 0))
        assert sub.expect_message("t", b"m", 0, retain=True).prop(v5.EXPIRY) in (29, 30)
        broker.advance(30)
        sub.subscribe(("#", 0))
        sub.quiet()


# Topic aliases


def test_aliases_from_the_client(server, broker_factory):
    if server.broker:
        server = broker_factory(limits={"topic_alias_maximum": 10})
    a, b = unique("t"), unique("t")
    with Peer5.online(server) as sub, Peer5.online(server) as pub:
        assert pub.connack.prop(v5.ALIAS_MAXIMUM) == 10
        sub.subscribe((a, 2), (b, 2))
        for topic, alias, then in ((a, 10, a), ("", 10, a), (b, 10, b), ("", 10, b), (a, 1, a)):
            pub.publish(topic, b"m", 1, False, 1, (v5.ALIAS, alias), code=0)
            assert sub.expect_message(then, b"m", 1).props == []
        pub.send(publish("", b"m", 0, False, 0, False, (v5.ALIAS, 7)))
        pub.expect_disconnect(0x82)
    with Peer5.online(server) as pub:  # they end with the connection
        pub.send(publish("", b"m", 0, False, 0, False, (v5.ALIAS, 10)))
        pub.expect_disconnect(0x82)


def test_the_broker_uses_aliases_when_told_to(broker_factory):
    broker = broker_factory(quirks=["use_aliases"])
    with Peer5.online(broker, "c", True, 0, (v5.ALIAS_MAXIMUM, 2)) as sub:
        sub.subscribe(("#", 1))
        seen = []
        for topic in ("a", "b", "a", "c", "b"):
            broker.publish(topic, b"m", 1)
            got = sub.expect("PUBLISH")
            sub.send(ack(0x40, got.packet_id))
            seen.append((got.topic, got.prop(v5.ALIAS)))
        assert seen == [("a", 1), ("b", 2), ("", 1), ("c", None), ("", 2)]
        assert [e.topic for e in broker.packets(type="PUBLISH", direction="out")] == list("abacb")
    with Peer5.online(broker) as sub:  # said nothing about aliases
        sub.subscribe(("#", 1))
        broker.publish("a", b"m", 1)
        assert sub.expect_message("a", b"m", 1).props == []


def test_the_broker_gives_aliases_to_other_topics(broker_factory):
    broker = broker_factory(quirks=["rotate_aliases"])
    with Peer5.online(broker, "c", True, 0, (v5.ALIAS_MAXIMUM, 2)) as sub:
        sub.subscribe(("#", 0))
        seen = []
        for topic in ("a", "b", "a", "c", "b", "a", "a"):
            broker.publish(topic, b"m")
            got = sub.expect("PUBLISH")
            seen.append((got.topic, got.prop(v5.ALIAS)))
        assert seen == [("a", 1), ("b", 2), ("", 1), ("c", 1), ("", 2), ("a", 2), ("", 2)]


def test_a_resent_message_has_its_full_topic(broker_factory):
    broker = broker_factory(quirks=["use_aliases"])
    asked = ((v5.SESSION_EXPIRY, 9), (v5.ALIAS_MAXIMUM, 1))
    with Peer5.online(broker, "c", False, 0, *asked) as sub:
        sub.subscribe(("a", 1))
        for _ in range(2):
            broker.publish("a", b"m", 1)
        assert [sub.expect("PUBLISH").topic for _ in range(2)] == ["a", ""]
        sub.vanish()
    with Peer5.online(broker, "c", False, 0, *asked) as sub:
        assert [sub.expect("PUBLISH", dup=True).topic for _ in range(2)] == ["a", ""]


# Subscription options


def test_no_local(server):
    topic = unique("t")
    with Peer5.online(server) as one, Peer5.online(server) as two:
        one.subscribe((topic, 1 | NO_LOCAL))
        two.subscribe((topic, 1 | NO_LOCAL))
        one.publish(topic, b"m", 1)
        two.expect_message(topic, b"m", 1)
        one.quiet()
        two.send(unsubscribe(9, topic))
        two.expect("UNSUBACK")
        if server.broker:  # Mosquitto counts the client that does not get it, too
            one.publish(topic, b"m", 1, code=0x10)


def test_no_local_with_another_subscription(broker):
    with Peer5.online(broker) as one:
        one.subscribe(("t", 2 | NO_LOCAL), ("#", 1))
        one.send(publish("t", b"m", 2, False, 1))
        one.expect_message("t", b"m", 1)
        one.expect("PUBREC", code=0)


@pytest.mark.parametrize("options, retain", [(0, False), (AS_PUBLISHED, True)])
def test_retain_as_published(server, options, retain):
    topic = unique("t")
    with Peer5.online(server) as sub, Peer5.online(server) as pub:
        sub.subscribe((topic, 1 | options))
        pub.publish(topic, b"m", 1, True)
        sub.expect_message(topic, b"m", 1, retain=retain)
        pub.publish(topic, b"", 1, True)
        sub.expect_message(topic, b"", 1, retain=retain)


def test_retain_handling(server):
    topic = unique("t")
    with Peer5.online(server) as sub, Peer5.online(server) as pub:
        pub.publish(topic, b"m", 1, True)
        sub.subscribe((topic, 1 | NEVER_RETAINED))
        sub.quiet()
        sub.subscribe((topic, 1 | IF_NEW))
        sub.quiet()
        sub.send(unsubscribe(9, topic))
        sub.expect("UNSUBACK")
        for _ in range(2):
            sub.send(subscribe(8, (topic, 1 | IF_NEW)))
            sub.expect("SUBACK")
            if _ == 0:
                sub.expect_message(topic, b"m", 1, retain=True)
            sub.quiet()
        sub.subscribe((topic, 1))
        sub.expect_message(topic, b"m", 1, retain=True)


def test_subscription_identifiers(server):
    """All that match come with the one copy; Mosquitto 2.0.11 sends four copies."""
    stem = unique("t")
    topic = stem + "/x"
    with Peer5.online(server) as sub, Peer5.online(server) as pub:
        for name, number in ((topic, 1), (f"{stem}/+", 268435455), (f"{topic}/#", 300)):
            sub.subscribe((name, 1), properties=[(v5.IDENTIFIER, number)])
        sub.subscribe(("#", 1 | NEVER_RETAINED))
        pub.publish(topic, b"m", 1)
        seen = []
        while len(seen) < 3:
            seen += sub.expect_message(topic, b"m", 1).all(v5.IDENTIFIER)
        assert sorted(seen) == [1, 300, 268435455]
        if not server.broker:
            return
        assert len(server.broker.packets(client_id=sub.client_id, type="PUBLISH")) == 1
        sub.subscribe((topic, 1))  # the last subscription counts: without an identifier
        pub.publish(topic, b"m", 1)
        got = sub.expect_message(topic, b"m", 1)
        assert sorted(got.all(v5.IDENTIFIER)) == [300, 268435455]
        sub.quiet()


def test_a_retained_message_has_the_identifier_of_its_subscription(server):
    topic = unique("t")
    with Peer5.online(server) as sub, Peer5.online(server) as pub:
        pub.publish(topic, b"m", 1, True)
        sub.subscribe((topic, 1), properties=[(v5.IDENTIFIER, 7)])
        assert sub.expect_message(topic, b"m", 1, retain=True).props == [(v5.IDENTIFIER, 7)]


# Shared subscriptions


def test_a_shared_subscription_gives_each_message_to_one(server):
    topic, group = unique("t"), unique("g")
    shared = f"$share/{group}/{topic}"
    with Peer5.online(server) as a, Peer5.online(server) as b, Peer5.online(server) as pub:
        a.subscribe((shared, 1))
        b.subscribe((shared, 1))
        for i in range(4):
            pub.publish(topic, b"%d" % i, 1, code=0)
        got = []
        for one in (a, b):
            mine = []
            for _ in range(2):
                message = one.expect("PUBLISH", topic=topic, qos=1)
                one.send(ack(0x40, message.packet_id))
                mine.append(message.payload)
            one.quiet()
            assert mine == sorted(mine)
            got += mine
        assert sorted(got) == [b"0", b"1", b"2", b"3"]
        b.disconnect()
        for i in range(2):
            pub.publish(topic, b"%d" % i, 1, code=0)
            a.expect_message(topic, b"%d" % i, 1)


def test_a_shared_subscription_gets_no_retained_message(broker):
    """Mosquitto 2.0.11 sends it, see the quirk retained_to_shared."""
    server, topic = broker, unique("t")
    with Peer5.online(server) as sub, Peer5.online(server) as pub:
        pub.publish(topic, b"m", 1, True)
        sub.subscribe((f"$share/g/{topic}", 1))
        sub.quiet()


def test_a_shared_and_a_plain_subscription_are_two(server):
    topic = unique("t")
    with Peer5.online(server) as sub, Peer5.online(server) as pub:
        sub.subscribe((f"$share/g/{topic}", 0), (topic, 1))
        pub.publish(topic, b"m", 1)
        assert sorted(sub.expect("PUBLISH", payload=b"m").qos for _ in range(2)) == [0, 1]


def test_a_shared_subscription_waits_for_members_that_are_away(broker):
    with Peer5.online(broker, "c", False, 0, (v5.SESSION_EXPIRY, 99)) as sub:
        sub.subscribe(("$share/g/t", 1))
        sub.disconnect()
    with Peer5.online(broker) as pub:
        pub.publish("t", b"m", 1, code=0)
    with Peer5.online(broker, "c", False) as sub:
        sub.expect_message("t", b"m", 1)
