"""What a server of 5.0 does not take: nothing is sent that it would have to refuse.

The bundled broker enforces what it announces, and the fixtures fail with its `violations`.
"""

import pytest
from peer5 import Peer5

pytest_plugins = ["scripts.place5"]


def published(broker, **fields):
    return broker.packets(direction="in", type="PUBLISH", **fields)


def open_most(broker):
    """The most QoS 1 and 2 messages that were open at once, as the server saw it."""
    most, now = 0, set()
    for event in broker.packets(client_id="c"):
        if event.type == "CONNECT":
            now.clear()
        if event.direction == "in" and event.type == "PUBLISH" and event.qos:
            now.add(event.packet_id)
        if event.direction == "out" and event.type in ("PUBACK", "PUBCOMP"):
            now.discard(event.packet_id)
        most = max(most, len(now))
    return most


# Receive Maximum


@pytest.mark.parametrize("most", [1, 2])
def test_receive_maximum(limited, run, most):
    """The server's window is smaller than the table: never exceeded, nothing lost, in order
    (MQTT5-3.3.4-7, MQTT5-4.9.0-1, MQTT5-4.9.0-2)."""
    server = limited(receive_maximum=most)
    with Peer5.online(server) as peer:
        peer.subscribe(("n", 0))
        lines = run(
            server,
            """
            c = connected(version=5, inflight=4)
            done = []
            c.on_published(done.append)
            for i in range(40):
                while not c.publish_nowait("n", str(i), qos=1 + i // 3 % 2):
                    c.wait_msg(1000)
            until(c, lambda: len(done) == 40)
            print(len(set(done)), c.stats()["in_flight"])
            for i in range(40, 44):
                c.publish("n", str(i), qos=1 + i % 2)
            c.disconnect()
            """,
        )
        got = [peer.expect("PUBLISH").payload for _ in range(44)]
    assert lines == ["40 0"]
    # of each QoS in order: some servers route QoS 2 with PUBREL
    numbers = [int(x) for x in got]
    assert sorted(numbers) == list(range(44))
    for qos in (0, 1):
        of_it = [i for i in numbers if i < 40 and i // 3 % 2 == qos]
        assert of_it == sorted(of_it)
    if hasattr(server, "packets"):
        assert open_most(server) == most


def test_a_full_window_delays_publish_only(broker_factory, program):
    """MQTT5-3.3.4-8, MQTT5-4.9.0-3: QoS 0, SUBSCRIBE and answers to the server go out."""
    broker = broker_factory(limits={"receive_maximum": 2})
    for name in ("PUBACK", "PUBREC"):
        broker.drop(name, client_id="c", count=1)
    child = program(
        broker,
        """
        c = connected(version=5, inflight=4, clean=False)
        got = []
        c.set_callback(lambda topic, msg: got.append(msg))
        for i in range(4):
            c.publish_nowait("n", str(i), qos=1 + i % 2)
        print(c.subscribe("in", 2))
        c.publish("zero", "0")
        until(c, lambda: len(got) == 2)
        print(c.stats()["in_flight"])
        while error(c.wait_msg) == "none: True":
            pass
        c.connect(False)
        until(c, lambda: not c.stats()["in_flight"])
        c.disconnect()
        """,
    )
    broker.wait_for(direction="in", type="PUBLISH", topic="zero")
    broker.publish("in", "1", 1)
    broker.publish("in", "2", 2)
    broker.wait_for(direction="in", type="PUBACK")
    broker.wait_for(direction="in", type="PUBCOMP")
    assert [e.payload for e in published(broker, topic="n")] == [b"0", b"1"]
    broker.kill("c")
    assert child.wait().stdout.splitlines() == ["2", "4"]
    again = [(e.payload, e.dup) for e in published(broker, topic="n", connection=2)]
    assert again == [(b"0", True), (b"1", True), (b"2", False), (b"3", False)]


def test_a_smaller_window_after_the_reconnect(broker, program):
    """The quota begins anew with what this CONNACK says (MQTT5-4.9.0-1, X5-4.9-a)."""
    broker.hold_acks("c")
    child = program(
        broker,
        """
        c = connected(version=5, inflight=4, clean=False)
        for i in range(4):
            c.publish_nowait("n", str(i), qos=1 + i % 2)
        print("sent")
        while error(c.wait_msg) == "none: True":
            pass
        go()
        c.connect(False)
        c.publish("zero", "")
        until(c, lambda: not c.stats()["in_flight"])
        c.publish("n", "4", qos=1)
        c.disconnect()
        """,
    )
    child.expect("sent")
    broker.wait_for(direction="in", type="PUBLISH", count=4)
    broker.kill("c")
    broker.wait_gone("c")
    broker.answer("CONNACK", 0, receive_maximum=1)
    child.send_line("go")
    broker.wait_for(direction="in", type="PUBLISH", topic="zero")
    assert [e.payload for e in published(broker, topic="n", connection=2)] == [b"0"]
    broker.release()
    child.wait()
    again = [(e.payload, e.dup) for e in published(broker, topic="n", connection=2)]
    assert again == [(b"%d" % i, i < 4) for i in range(5)]
    last = [e for e in broker.log if e.client_id == "c" and e.connection == 2]
    now = 0
    for event in last:
        now += event.type == "PUBLISH" and event.direction == "in" and event.qos > 0
        now -= event.type in ("PUBACK", "PUBCOMP") and event.direction == "out"
        assert now < 2


def test_quota_comes_back_with_every_answer(broker_factory, run):
    """X5-4.9-a: PUBACK and PUBREC >= 0x80, PUBCOMP; the id is free and no PUBREL follows
    (MQTT5-4.3.3-4, MQTT5-4.4.0-2, E110, E111)."""
    broker = broker_factory(limits={"receive_maximum": 1})
    broker.answer("PUBACK", 0x97, reason_string="full", count=2)
    broker.answer("PUBREC", 0x80, count=2)
    lines = run(
        broker,
        """
        c = connected(version=5, inflight=2)
        for qos in (1, 2, 1, 2, 1, 2):
            try:
                c.publish("t", "x", qos=qos)
                print(qos, c.reason_code)
            except MQTTException as e:
                print(e.args, c.reason_code)
        print(c.stats()["in_flight"], c.sock is not None)
        c.disconnect()
        """,
    )
    assert lines == [
        "(151, 'server', b'full', None) 151",
        "(128, 'server', None, None) 128",
        "(151, 'server', b'full', None) 151",
        "(128, 'server', None, None) 128",
        "1 16",
        "2 16",
        "0 True",
    ]
    assert len(broker.packets(direction="in", type="PUBREL")) == 1


@pytest.mark.parametrize("most", [1, None])
def test_our_receive_maximum(any_broker, run, most):
    """A queue longer than our window comes whole, in order (MQTT5-3.3.4-9)."""
    lines = run(
        any_broker,
        f"""
        x = {{"receive_maximum": {most}}} if {most} else None
        c = client(version=5, properties=x)
        got = []
        c.set_message(lambda m: got.append(m.payload))
        c.connect(False)
        c.subscribe("t", 2)
        c.disconnect()
        b = connected("b", version=5)
        for i in range(60):
            b.publish("t", str(i), qos=1 + i % 2)
        print(c.connect(False))
        until(c, lambda: len(got) == 60 and not c.stats()["awaiting_release"])
        print(got == [b"%d" % i for i in range(60)])
        c.disconnect()
        """,
    )
    assert lines == ["True", "True"]


# Maximum Packet Size, Maximum QoS, Retain Available


def test_maximum_packet_size(limited, run):
    """MQTT5-3.2.2-15: of the whole packet, properties included; ValueError and nothing sent."""
    server = limited(maximum_packet_size=100)
    with Peer5.online(server) as peer:
        peer.subscribe(("t", 0))
        lines = run(
            server,
            """
            c = connected(version=5)
            x = {"content_type": "123456789"}
            for qos in (0, 1, 2):
                n = 100 - 2 - 3 - 1 - (2 if qos else 0)
                print(error(c.publish, "t", bytes(n), qos=qos)[:4])
                print(error(c.publish, "t", bytes(n + 1), qos=qos))
                print(error(c.publish, "t", bytes(n - 12), qos=qos, properties=x)[:4])
                print(error(c.publish, "t", bytes(n - 11), qos=qos, properties=x))
                print(error(c.publish_nowait, "t", bytes(200), qos=qos))
            print(error(c.subscribe, "x" * 93))
            print(error(c.subscribe, "x" * 92))
            print(error(c.publish_stream, "t", 200, lambda b, at: 1)[:10])
            c.ping()
            print(c.wait_msg(5000), c.stats()["in_flight"])
            c.disconnect()
            """,
        )
        sizes = [len(peer.expect("PUBLISH").payload) for _ in range(6)]
        peer.quiet()
    for qos in (0, 1, 2):
        n = 94 - (2 if qos else 0)
        assert sizes[2 * qos : 2 * qos + 2] == [n, n - 12]
        five = lines[5 * qos : 5 * qos + 5]
        assert five[0] == five[2] == "none"
        assert five[1].startswith("ValueError packet (the server's maximum): ")
        assert five[3].startswith("ValueError packet (the server's maximum): ")
        assert five[4].startswith("ValueError packet (the server's maximum): ")
    assert lines[15:] == [
        "ValueError topic filters (the server's maximum): 101, limits 0 to 100",
        "none: 0",
        "ValueError",
        "True 0",
    ]


def test_maximum_qos_and_retain_available(limited, run):
    """MQTT5-3.2.2-11, MQTT5-3.2.2-14."""
    server = limited(maximum_qos=1, retain_available=0)
    with Peer5.online(server) as peer:
        peer.subscribe(("t", 1), codes=None)
        lines = run(
            server,
            """
            c = connected(version=5)
            for verb in (c.publish, c.publish_nowait):
                print(error(verb, "t", "2", qos=2))
                print(error(verb, "t", "r", True))
                print(error(verb, "t", "r", True, 1))
            print(error(c.publish_stream, "t", 2, lambda b, at: 2, False, 2)[:10])
            print(error(c.publish_stream, "t", 2, lambda b, at: 2, True)[:10])
            c.publish("t", "1", qos=1)
            print(c.stats()["in_flight"])
            c.disconnect()
            """,
        )
        peer.expect("PUBLISH", payload=b"1", qos=1)
    assert lines == [
        "ValueError qos (the server takes less): 2, limits 0 to 1",
        "ValueError retain: the server takes no retained messages",
        "ValueError retain: the server takes no retained messages",
    ] * 2 + ["ValueError", "ValueError", "0"]


def test_what_the_new_connection_does_not_take_is_parked(broker, program):
    """Stored messages that the next CONNACK forbids are failed, not sent (MQTT5-3.2.2-11,
    MQTT5-3.2.2-14, MQTT5-3.2.2-15); their ids, which the server may hold, are not used."""
    broker.hold_acks("c")
    child = program(
        broker,
        """
        c = connected(version=5, inflight=4, clean=False)
        c.publish_nowait("t", "2", qos=2)
        c.publish_nowait("t", "r", True, 1)
        c.publish_nowait("t", bytes(90), qos=1)
        c.publish_nowait("t", "1", qos=1)
        print("sent")
        while error(c.wait_msg) == "none: True":
            pass
        go()
        c.connect(False)
        until(c, lambda: not c.stats()["in_flight"])
        for p in (1, 2, 3):
            print(error(c._v.judge, p))
        c._tab.next_id = 1
        print(c.publish("t", "new", qos=1))
        c.disconnect()
        """,
    )
    child.expect("sent")
    broker.wait_for(direction="in", type="PUBLISH", count=4)
    broker.kill("c")
    broker.wait_gone("c")
    broker.release()
    broker.answer("CONNACK", 0, maximum_qos=1, retain_available=0, maximum_packet_size=60)
    child.send_line("go")
    lines = child.wait().stdout.splitlines()
    assert lines == ["sent", "MQTTException 155", "MQTTException 154", "MQTTException 149", "4"]
    again = [(e.payload, e.dup, e.packet_id) for e in published(broker, connection=2)]
    assert again == [(b"1", True, 4), (b"new", False, 4)]


# What it cannot do


def test_wildcards_identifiers_and_shared_subscriptions(broker_factory, run):
    """X5-3.2.2.3.11-a: ValueError, and no SUBSCRIBE."""
    names = ("wildcard_subscription", "subscription_identifier", "shared_subscription")
    broker = broker_factory(limits={f"{name}_available": 0 for name in names})
    lines = run(
        broker,
        """
        c = connected(version=5)
        for f in ("a/+", "#", "$share/g/a", ["b", ("a/#", 1)]):
            print(error(c.subscribe, f))
        print(error(c.subscribe, "a", properties={"subscription_identifier": 1}))
        print(c.subscribe("a"), c.unsubscribe("a/+"))
        c.disconnect()
        """,
    )
    assert lines == [
        "ValueError topic_filter: the server takes no wildcards",
        "ValueError topic_filter: the server takes no wildcards",
        "ValueError topic_filter: the server has no shared subscriptions",
        "ValueError topic_filter: the server takes no wildcards",
        "ValueError subscription_identifier: the server has none",
        "0 17",
    ]
    assert len(broker.packets(direction="in", type="SUBSCRIBE")) == 1


@pytest.mark.parametrize("limit", [0, 1])
def test_availability_is_read_from_connack(broker_factory, run, limit):
    """The limits of one connection say nothing of the next (MQTT5-3.2.2-11, MQTT5-3.2.2-14)."""
    broker = broker_factory()
    broker.answer("CONNACK", 0, retain_available=limit, maximum_qos=limit, nth=1)
    lines = run(
        broker,
        """
        c = connected(version=5)
        print(error(c.publish, "t", "x", True), error(c.publish, "t", "x", qos=1)[:10])
        c.connect()
        print(error(c.publish, "t", "", True), error(c.publish, "t", "x", qos=2))
        c.disconnect()
        """,
    )
    if limit:
        assert lines[0] == "none: -1 none: 1"
    else:
        assert lines[0] == "ValueError retain: the server takes no retained messages ValueError"
    assert lines[1].startswith("none: -1 none: ")
