"""What a broker owes its clients, asked of the bundled one and of Mosquitto alike."""

from types import SimpleNamespace

import pytest
from peer import PINGREQ, Peer, ack, connect, publish, subscribe, unique, unsubscribe
from umqtt_harness import mosquitto
from umqtt_harness.broker import BrokerThread
from umqtt_harness.topics import matches

USERS = {"ann": "secret"}


def _bundled(**options):
    with BrokerThread(**options) as broker:
        yield SimpleNamespace(name="bundled", host=broker.host, port=broker.port, broker=broker)


def _mosquitto(directory, **options):
    if not mosquitto.find_mosquitto():
        pytest.skip(mosquitto.MISSING)
    with mosquitto.Mosquitto(directory, **options) as m:
        yield SimpleNamespace(name="mosquitto", host=m.host, port=m.port, broker=None)


@pytest.fixture(name="server", scope="module", params=["bundled", "mosquitto"])
def server_fixture(request, tmp_path_factory):
    if request.param == "bundled":
        yield from _bundled()
    else:
        yield from _mosquitto(tmp_path_factory.mktemp("mosquitto"))


@pytest.fixture(scope="module", params=["bundled", "mosquitto"])
def guarded(request, tmp_path_factory):
    """A server that knows one user and nobody else."""
    if request.param == "bundled":
        yield from _bundled(users=USERS)
    else:
        yield from _mosquitto(tmp_path_factory.mktemp("guarded"), users=USERS)


@pytest.fixture(autouse=True)
def no_violations(request):
    """The peers here keep the rules, and the bundled broker must agree."""
    fixtures = request.fixturenames
    broker = request.getfixturevalue("server").broker if "server" in fixtures else None
    before = broker.violations if broker else []
    yield
    if broker and "breaks_rules" not in request.keywords:
        assert broker.violations[len(before) :] == []


# QoS flows


@pytest.mark.parametrize("granted", [0, 1, 2])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_message_arrives_at_the_lower_qos(server, qos, granted):
    topic = unique("t")
    with Peer.online(server) as sub, Peer.online(server) as pub:
        sub.subscribe((topic, granted))
        pub.publish(topic, b"payload", qos)
        sub.expect_message(topic, b"payload", min(qos, granted), dup=False, retain=False)
        sub.quiet()


def test_qos2_repeated_publish_is_routed_once(server):
    topic = unique("t")
    with Peer.online(server) as sub, Peer.online(server) as pub:
        sub.subscribe((topic, 2))
        pub.send(publish(topic, b"once", 2, packet_id=7))
        pub.expect("PUBREC", packet_id=7)
        pub.send(publish(topic, b"once", 2, packet_id=7, dup=True))
        pub.expect("PUBREC", packet_id=7)
        pub.send(ack(0x62, 7))
        pub.expect("PUBCOMP", packet_id=7)
        pub.send(ack(0x62, 7))  # again: already gone, answered all the same
        pub.expect("PUBCOMP", packet_id=7)
        sub.expect_message(topic, b"once", 2)
        sub.quiet()


def test_qos2_id_is_remembered_over_a_reconnect(server):
    topic, name = unique("t"), unique()
    with Peer.online(server) as sub:
        sub.subscribe((topic, 2))
        with Peer.online(server, name, clean=False) as pub:
            pub.send(publish(topic, b"once", 2, packet_id=9))
            pub.expect("PUBREC", packet_id=9)
            pub.vanish()
        with Peer.online(server, name, clean=False) as pub:
            assert pub.session_present
            pub.send(publish(topic, b"once", 2, packet_id=9, dup=True))
            pub.expect("PUBREC", packet_id=9)
            pub.send(ack(0x62, 9))
            pub.expect("PUBCOMP", packet_id=9)
            sub.expect_message(topic, b"once", 2)
            pub.publish(topic, b"next", 2, packet_id=9)  # the id is free again
            sub.expect_message(topic, b"next", 2)
        sub.quiet()


def test_qos2_state_survives_between_pubrec_and_pubrel(server):
    topic, name = unique("t"), unique()
    with Peer.online(server) as sub:
        sub.subscribe((topic, 2))
        with Peer.online(server, name, clean=False) as pub:
            pub.send(publish(topic, b"m", 2, packet_id=3))
            pub.expect("PUBREC", packet_id=3)
            pub.vanish()
        with Peer.online(server, name, clean=False) as pub:
            pub.send(ack(0x62, 3))
            pub.expect("PUBCOMP", packet_id=3)
        sub.expect_message(topic, b"m", 2)
        sub.quiet()


def test_qos1_repeated_publish_is_a_new_message(server):
    topic = unique("t")
    with Peer.online(server) as sub, Peer.online(server) as pub:
        sub.subscribe((topic, 1))
        pub.publish(topic, b"m", 1, packet_id=5)
        pub.publish(topic, b"m", 1, packet_id=5, dup=True)
        sub.expect_message(topic, b"m", 1, dup=False)
        sub.expect_message(topic, b"m", 1, dup=False)


def test_acks_come_in_the_order_of_the_publishes(server):
    topic = unique("t")
    with Peer.online(server) as pub:
        pub.send(*(publish(topic, b"m", 1, packet_id=n) for n in (5, 3, 4)))
        for n in (5, 3, 4):
            pub.expect("PUBACK", packet_id=n)
        pub.send(*(publish(topic, b"m", 2, packet_id=n) for n in (8, 6, 7)))
        for n in (8, 6, 7):
            pub.expect("PUBREC", packet_id=n)


# Sessions


def test_unacknowledged_messages_come_again_in_order_with_dup(server):
    topic, name = unique("t"), unique()
    with Peer.online(server) as pub, Peer.online(server, name, clean=False) as sub:
        sub.subscribe((topic, 2))
        for n in range(6):
            pub.publish(topic, b"%d" % n, 1 + n % 2)
        first = [
            sub.expect_message(topic, b"%d" % n, 1 + n % 2, acknowledge=False, dup=False)
            for n in range(6)
        ]
        sub.vanish()
        with Peer.online(server, name, clean=False) as sub:
            assert sub.session_present
            for n, before in enumerate(first):
                again = sub.expect_message(topic, b"%d" % n, 1 + n % 2, False, dup=True)
                assert again.packet_id == before.packet_id
            sub.quiet()


def test_pubrel_comes_again_after_a_reconnect(server):
    topic, name = unique("t"), unique()
    with Peer.online(server) as pub, Peer.online(server, name, clean=False) as sub:
        sub.subscribe((topic, 2))
        pub.publish(topic, b"m", 2)
        got = sub.expect_message(topic, b"m", 2, acknowledge=False)
        sub.send(ack(0x50, got.packet_id))
        sub.expect("PUBREL", packet_id=got.packet_id)
        sub.vanish()
        with Peer.online(server, name, clean=False) as sub:
            sub.expect("PUBREL", packet_id=got.packet_id, flags=2)
            sub.send(ack(0x70, got.packet_id))
            sub.quiet()
        with Peer.online(server, name, clean=False) as sub:
            sub.quiet()


def test_offline_queue_keeps_qos_1_and_2(server):
    topic, name = unique("t"), unique()
    with Peer.online(server, name, clean=False) as sub:
        assert not sub.session_present
        sub.subscribe((topic, 2))
        sub.disconnect()
    with Peer.online(server) as pub:
        for qos in (1, 0, 2):
            pub.publish(topic, b"%d" % qos, qos)
    with Peer.online(server, name, clean=False) as sub:
        assert sub.session_present
        sub.expect_message(topic, b"1", 1, dup=False)
        sub.expect_message(topic, b"2", 2, dup=False)
        sub.quiet()


def test_clean_session_forgets(server):
    topic, name = unique("t"), unique()
    with Peer.online(server, name, clean=False) as sub:
        sub.subscribe((topic, 1))
        sub.disconnect()
    with Peer.online(server, name, clean=True) as sub:
        assert not sub.session_present
        sub.disconnect()
    with Peer.online(server, name, clean=False) as sub:
        assert not sub.session_present
        with Peer.online(server) as pub:
            pub.publish(topic, b"m", 1)
        sub.quiet()


def test_window_of_20_then_the_rest_and_no_open_id_twice(server):
    topic = unique("t")
    with Peer.online(server) as sub, Peer.online(server) as pub:
        sub.subscribe((topic, 1))
        for n in range(50):
            pub.publish(topic, b"%d" % n, 1, packet_id=n + 1)
        window = [sub.expect_message(topic, b"%d" % n, 1, False) for n in range(20)]
        sub.quiet()
        ids = [got.packet_id for got in window]
        assert len(set(ids)) == 20 and 0 not in ids
        for n in range(30):
            sub.send(ack(0x40, ids.pop(0)))
            got = sub.expect_message(topic, b"%d" % (20 + n), 1, False)
            assert got.packet_id not in ids
            ids.append(got.packet_id)
        sub.send(*(ack(0x40, packet_id) for packet_id in ids))
        sub.quiet()


def test_takeover_by_the_same_client_id(server):
    topic, name = unique("t"), unique()
    with Peer.online(server, name, clean=False) as old:
        old.subscribe((topic, 1))
        with Peer.online(server, name, clean=False) as new:
            assert new.session_present
            old.expect_eof()
            with Peer.online(server) as pub:
                pub.publish(topic, b"m", 1)
            new.expect_message(topic, b"m", 1)


# Subscriptions


@pytest.mark.parametrize(
    "topic_filter, topic, wanted",
    [
        ("a/b", "a/b", True), ("a/b", "a/B", False), ("a/b", "/a/b", False),
        ("a/+", "a/b", True), ("a/+", "a/b/c", False), ("a/+", "a", False), ("a/+", "a/", True),
        ("+", "a", True), ("+", "/a", False), ("/+", "/a", True), ("+/+", "/a", True),
        ("+/b/+", "a/b/c", True), ("+/b/+", "a/c/c", False), ("a/+/c", "a//c", True),
        ("#", "a/b/c", True), ("a/#", "a", True), ("a/#", "a/", True), ("a/#", "a/b/c", True),
        ("a/#", "ab", False), ("a/#", "b", False), ("+/#", "a", True), ("/#", "a", False),
        ("#", "$x/b", False), ("+/b", "$x/b", False), ("$x/#", "$x/b", True),
        ("$x/+", "$x/b", True), ("a b/ü", "a b/ü", True), ("\ufeffa", "\ufeffa", True),
    ],
)  # fmt: skip
def test_wildcards(server, topic_filter, topic, wanted):
    assert matches(topic_filter, topic) is wanted
    with Peer.online(server) as sub, Peer.online(server) as pub:
        sub.subscribe((topic_filter, 0))
        pub.publish(topic, b"m")
        if wanted:
            sub.expect_message(topic, b"m")
        sub.quiet()


def test_overlapping_subscriptions_give_one_copy_at_the_highest_qos(server):
    topic = unique("t")
    with Peer.online(server) as sub, Peer.online(server) as pub:
        sub.subscribe((topic + "/#", 0), (topic + "/+", 2), (topic + "/a", 1))
        pub.publish(topic + "/a", b"m", 2)
        # Mosquitto 2.0 sends one copy, too, but at the QoS of the subscription it finds first.
        got = sub.expect("PUBLISH", topic=topic + "/a", payload=b"m")
        assert got.qos == 2 or server.name == "mosquitto"
        sub.quiet()


def test_subscribing_again_replaces_the_qos(server):
    topic = unique("t")
    with Peer.online(server) as sub, Peer.online(server) as pub:
        sub.subscribe((topic, 2))
        sub.subscribe((topic, 0))
        pub.publish(topic, b"m", 2)
        sub.expect_message(topic, b"m", 0)
        sub.quiet()


def test_unsubscribe(server):
    one, two = unique("t"), unique("t")
    with Peer.online(server) as sub, Peer.online(server) as pub:
        sub.subscribe((one, 0), (two, 0))
        sub.send(unsubscribe(4, one, "never/subscribed"))
        sub.expect("UNSUBACK", packet_id=4)
        pub.publish(one, b"m")
        pub.publish(two, b"m")
        sub.expect_message(two, b"m")
        sub.quiet()


# Retained messages


def test_retained_message_lives_until_an_empty_one(server):
    topic = unique("t")
    with Peer.online(server) as pub, Peer.online(server) as early:
        early.subscribe((topic, 1))
        pub.publish(topic, b"old", 1, retain=True)
        pub.publish(topic, b"new", 1, retain=True)
        early.expect_message(topic, b"old", 1, retain=False)
        early.expect_message(topic, b"new", 1, retain=False)
        for granted in (0, 1, 2):
            with Peer.online(server) as late:
                late.subscribe((topic[:-1] + topic[-1] + "/#", granted))
                late.expect_message(topic, b"new", min(1, granted), retain=True)
                late.quiet()
        pub.publish(topic, b"", 0, retain=True)
        early.expect_message(topic, b"", 0, retain=False)
        with Peer.online(server) as late:
            late.subscribe((topic, 1))
            late.quiet()


def test_retained_message_comes_again_with_every_subscribe(server):
    topic = unique("t")
    with Peer.online(server) as peer:
        peer.publish(topic, b"m", retain=True)
        for _ in range(2):
            peer.subscribe((topic, 0))
            peer.expect_message(topic, b"m", retain=True)


# Wills


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("end", ["reset", "fin", "takeover", "protocol error"])
def test_will_after_every_end_but_disconnect(server, request, qos, end):
    request.node.keywords["breaks_rules"] = True
    topic, name = unique("t"), unique()
    with Peer.online(server) as sub:
        sub.subscribe((topic, 2))
        with Peer.online(server, name, will=(topic, b"gone", qos, False)) as dying:
            if end == "reset":
                dying.vanish()
            elif end == "fin":
                dying.sock.close()
            elif end == "takeover":
                Peer.online(server, name).disconnect()
            else:
                dying.send(b"\x36\x00")
            sub.expect_message(topic, b"gone", qos, retain=False)
            sub.quiet()


def test_no_will_after_disconnect(server):
    topic = unique("t")
    with Peer.online(server) as sub:
        sub.subscribe((topic, 2))
        Peer.online(server, will=(topic, b"gone", 1, False)).disconnect()
        sub.quiet()


def test_will_is_retained(server):
    topic = unique("t")
    with Peer.online(server) as sub:
        sub.subscribe((topic, 0))
        Peer.online(server, will=(topic, b"gone", 1, True)).vanish()
        sub.expect_message(topic, b"gone", 0, retain=False)
    with Peer.online(server) as late:
        late.subscribe((topic, 1))
        late.expect_message(topic, b"gone", 1, retain=True)


# Connecting


def test_keep_alive_of_1_s_ends_a_silent_client_and_its_will_goes_out(server, request):
    request.node.keywords["breaks_rules"] = True
    topic = unique("t")
    with Peer.online(server) as sub:
        sub.subscribe((topic, 0))
        with Peer.online(server, keep_alive=1, will=(topic, b"gone", 0, False)) as silent:
            silent.send(PINGREQ)
            silent.expect("PINGRESP")
            silent.expect_eof(timeout=4 if server.broker else 15)  # Mosquitto looks each 5 s
            sub.expect_message(topic, b"gone")


def test_empty_client_id(server):
    with Peer.online(server, "") as one, Peer.online(server, "") as two:
        one.quiet()
        two.quiet()
    with Peer(server) as peer:
        peer.send(connect("", clean=False))
        assert peer.expect("CONNACK").body == b"\0\2"
        peer.expect_eof()


def test_unknown_protocol_level(server):
    with Peer(server) as peer:
        peer.send(connect(unique(), level=9))
        assert peer.expect("CONNACK").body == b"\0\1"
        peer.expect_eof()


@pytest.mark.parametrize(
    "user, password, code",
    [
        ("ann", "secret", 0), ("ann", "wrong", 5), ("ann", "", 5), ("ann", None, 5),
        ("bob", "secret", 5), (None, None, 5),
    ],
)  # fmt: skip
def test_users(guarded, user, password, code):
    with Peer(guarded) as peer:
        peer.send(connect(unique(), user=user, password=password))
        assert peer.expect("CONNACK").body == bytes((0, code))
        if code:
            peer.expect_eof()


def test_packets_in_one_write_and_byte_by_byte(server):
    topic = unique("t")
    stream = connect(unique()) + subscribe(1, (topic, 1)) + publish(topic, b"m" * 200, 1, False, 2)
    for pieces in ([stream], [stream[i : i + 1] for i in range(len(stream))]):
        with Peer(server) as peer:
            for piece in pieces:
                peer.send(piece)
            peer.expect("CONNACK")
            peer.expect("SUBACK")
            got = {peer.receive().type, peer.receive().type}
            assert got == {"PUBLISH", "PUBACK"}


def test_large_payload(server):
    topic, payload = unique("t"), bytes(range(256)) * 1200  # needs 3 bytes of remaining length
    with Peer.online(server) as peer:
        peer.subscribe((topic, 0))
        peer.send(publish(topic, payload))
        peer.expect_message(topic, payload)


def test_sys_topics(server):
    for name in ("version", "uptime", "clients/connected", "messages/received"):
        topic = f"$SYS/broker/{name}"
        with Peer.online(server) as peer:
            peer.send(subscribe(1, (topic, 0)))
            got = [peer.receive()]
            while not (got[-1].type == "PUBLISH" and got[-1].retain):
                got.append(peer.receive())  # a new value may come in between, not retained
            assert got[-1].topic == topic and got[-1].payload
            assert "SUBACK" in [packet.type for packet in got]
    with Peer.online(server) as peer:
        peer.send(publish("$SYS/broker/version", b"forged", retain=True))
        peer.quiet()
