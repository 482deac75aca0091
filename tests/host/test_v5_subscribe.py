"""SUBSCRIBE and UNSUBSCRIBE of 5.0: options, identifiers, shared subscriptions, codes."""

from peer5 import Peer5, publish


def sent(broker, **fields):
    return broker.packets(client_id="c", direction="in", **fields)


def test_no_local(any_broker, run):
    lines = run(
        any_broker,
        """
        c = client(version=5)
        got = []
        c.set_message(lambda m: got.append(m.payload))
        c.connect()
        print(c.subscribe("a", 1, no_local=True), c.subscribe(["b"], 1))
        for topic in "ab":
            c.publish(topic, topic, qos=1)
        connected("other", version=5).publish("a", "other", qos=1)
        until(c, lambda: len(got) == 2)
        c.ping()
        c.wait_msg(5000)
        print(sorted(got))
        c.disconnect()
        """,
    )
    assert lines == [r"1 b'\x01'", "[b'b', b'other']"]


def test_retain_as_published_and_retain_handling(any_broker, run):
    """retain_handling 0: what is retained comes with each SUBSCRIBE, 1: with a new one, 2: never.
    retain_as_published: the flag of a message that is published now is kept."""
    lines = run(
        any_broker,
        """
        c = client(version=5)
        got = []
        c.set_message(lambda m: got.append((m.payload[:], m.retain)))
        c.connect()
        c.publish("t", "old", True, 1)

        def subscribed(**options):
            got.clear()
            c.subscribe("t", 1, **options)
            c.publish("t", "new", qos=1)
            until(c, lambda: (b"new", False) in got)
            print(got)

        subscribed()
        subscribed()
        subscribed(retain_handling=1)
        subscribed(retain_handling=2)
        c.unsubscribe("t")
        subscribed(retain_handling=2)
        c.unsubscribe("t")
        subscribed(retain_handling=1)
        c.unsubscribe("t")  # Mosquitto 2.0 keeps the option of an old one
        subscribed(retain_handling=2, retain_as_published=True)
        got.clear()
        c.publish("t", "kept", True, qos=1)
        until(c, lambda: got)
        print(got)
        c.publish("t", "", True)
        c.disconnect()
        """,
    )
    with_old, without = "[(b'old', True), (b'new', False)]", "[(b'new', False)]"
    assert lines == [
        with_old, with_old, without, without, without, with_old, without, "[(b'kept', True)]"
    ]  # fmt: skip


def test_options_on_the_wire(broker, run):
    """MQTT5-3.8.1-1, MQTT5-3.8.3-5, MQTT5-3.10.1-1, MQTT5-2.2.1-3; X5-3.8.3.1-a."""
    lines = run(
        broker,
        """
        c = connected(version=5)
        c.subscribe("a")
        c.subscribe("a", 2, no_local=True)
        c.subscribe([("a", 1), "b"], 2, retain_as_published=True, retain_handling=2)
        c.subscribe("\u00fc/+/#", properties={"user_property": [("k", "v")]})
        c.unsubscribe(["a", "x"], properties={"user_property": [("k", "v")]})
        for options in ({"retain_handling": 3}, {"qos": 3}, {"retain_handling": -1}):
            print(error(c.subscribe, "t", **options)[:10])
        c.disconnect()
        """,
    )
    assert lines == ["ValueError"] * 3
    seen = [e.raw.hex(" ", 1) for e in sent(broker) if e.type in ("SUBSCRIBE", "UNSUBSCRIBE")]
    assert seen == [
        "82 07 00 01 00 00 01 61 00",
        "82 07 00 02 00 00 01 61 06",
        "82 0b 00 03 00 00 01 61 29 00 01 62 2a",
        "82 13 00 04 07 26 00 01 6b 00 01 76 00 06 c3 bc 2f 2b 2f 23 00",
        "a2 10 00 05 07 26 00 01 6b 00 01 76 00 01 61 00 01 78",
    ]


def test_identifiers(any_broker, run):
    """That of the subscription comes with its messages, several with overlapping ones
    (X5-3.8.2.1.2-a); a message without any is delivered, too (E89)."""
    lines = run(
        any_broker,
        """
        c = client(version=5)
        got = {}

        def message(m):
            i = m.properties.get("subscription_identifier")
            got.setdefault(m.topic, []).append((i, m.property(11)))

        c.set_message(message)
        c.connect()
        for f, i in (("a/#", 1), ("b/#", 268435455), ("c/#", None), ("d", 200)):
            c.subscribe(f, 1, properties={"subscription_identifier": i} if i else None)
        c.subscribe("d", 1, properties={"subscription_identifier": 128})
        for topic in ("a/1", "b/1", "c/1", "d"):
            c.publish(topic, "", qos=1)
        until(c, lambda: len(got) == 4)
        print([got[key] for key in sorted(got)])
        for bad in (0, 268435456, "x"):
            print(error(c.subscribe, "e", properties={"subscription_identifier": bad})[:10])
        c.disconnect()
        """,
    )
    assert (
        lines
        == ["[[(1, 1)], [(268435455, 268435455)], [(None, None)], [(128, 128)]]"]
        + ["ValueError"] * 3
    )


def test_several_identifiers_at_once(broker, program):
    child = program(
        broker,
        """
        c = client(version=5)
        c.set_message(lambda m: print(m.properties, m.property(11)))
        c.connect()
        print("up")
        c.wait_msg(5000)
        c.disconnect()
        """,
    )
    child.expect("up")
    broker.raw("c", publish("t", b"x", 0, False, 0, False, (11, 1), (11, 300), (11, 2)))
    child.expect(r"^{'subscription_identifier': \[1, 300, 2\]} 2$")
    child.wait()


def test_shared(any_broker, run):
    """Each message to one of the group; filters are checked (MQTT5-4.8.2-1, MQTT5-4.8.2-2), and
    no_local is not for them (MQTT5-3.8.3-4): nothing is sent."""
    lines = run(
        any_broker,
        """
        got = []
        group = []
        for name in "ab":
            m = client(name, version=5)
            m.set_message(lambda m: got.append(m.payload))
            m.connect()
            m.subscribe("$share/g/t/+", 1)
            group.append(m)
        c = connected(version=5)
        for i in range(20):
            c.publish("t/%d" % i, str(i), qos=1)
        end = ticks_add(ticks_ms(), 5000)
        while len(got) < 20 and ticks_diff(end, ticks_ms()) > 0:
            for m in group:
                m.wait_msg(20)
        for m in group:
            m.ping()
            m.wait_msg(1000)
            print(m.unsubscribe("$share/g/t/+"), m.unsubscribe("$share/g/t/+"))
        print(len(got), len(set(got)))
        for f in ("$share/", "$share/g", "$share/g/", "$share//t", "$share/+/t", "$share/#/t"):
            print(error(c.subscribe, f)[:10])
        print(error(c.subscribe, "$share/g/t", no_local=True))
        c.disconnect()
        """,
    )
    assert lines == ["0 17", "0 17", "20 20"] + ["ValueError"] * 6 + [
        "ValueError no_local: not for a shared subscription"
    ]


def test_refused(broker, run):
    """E114, X5-4.13.2-a: that filter failed, the connection and the others stay; each code in
    its place (MQTT5-3.9.3-1, MQTT5-3.11.3-1)."""
    subacks = [0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2]
    unsubacks = subacks[:5]
    for i, code in enumerate(subacks):
        broker.answer("SUBACK", code, nth=2 * i + 1)
        broker.answer("SUBACK", codes=[0, code, 2], nth=2 * i + 2)
    for i, code in enumerate(unsubacks):
        broker.answer("UNSUBACK", codes=[17, code], nth=i + 1)
    lines = run(
        broker,
        f"""
        c = connected(version=5)
        for i in range({len(subacks)}):
            print(error(c.subscribe, "a", 1), list(c.subscribe(["x", "y", ("z", 2)])))
        for i in range({len(unsubacks)}):
            print(list(c.unsubscribe(["x", "y"])))
        print(c.unsubscribe("none"), c.subscribe("a", 1))
        c.disconnect()
        """,
    )
    assert lines == [f"MQTTException {code} [0, {code}, 2]" for code in subacks] + [
        f"[17, {code}]" for code in unsubacks
    ] + ["17 1"]


def test_a_late_suback(broker, run):
    """The id stays taken until its answer comes (MQTT5-2.2.1-3); then it is free."""
    broker.hold_acks("c")
    lines = run(
        broker,
        """
        c = connected(version=5)
        print(error(c.subscribe, "a", timeout_ms=50))
        print(error(c.unsubscribe, "a", timeout_ms=50))
        c._tab.next_id = 1
        print(c.publish_nowait("t", "x", qos=1), len(c._asks))
        """,
    )
    assert lines == ["OSError 110", "OSError 110", "3 2"]


def test_subscribing_in_a_handler(broker, program):
    """It does not wait there; messages may come before its SUBACK (X5-3.8.4-a)."""
    child = program(
        broker,
        """
        c = client(version=5)
        got = []

        def message(m):
            got.append(m.payload)
            if m.payload_is(b"more"):
                print(c.subscribe("late", 1), c.unsubscribe("gone"))

        c.set_message(message)
        c.connect()
        c.subscribe("t")
        print("up")
        until(c, lambda: len(got) == 2 and not c._asks)
        print(got)
        c.disconnect()
        """,
    )
    child.expect("up")
    broker.publish("late", "kept", 1, retain=True)
    broker.publish("t", "more")
    child.expect("^None None$")
    child.expect(r"^\[b'more', b'kept'\]$")
    child.wait()


def test_in_all_a_session_keeps(any_broker, run):
    """Subscriptions with their options and identifiers stay with the session."""
    lines = run(
        any_broker,
        """
        c = client(version=5)
        got = []
        c.set_message(lambda m: got.append((m.payload, m.property(11), m.retain)))
        c.connect(False)
        x = {"subscription_identifier": 7}
        c.subscribe("t", 1, no_local=True, retain_as_published=True, properties=x)
        c.disconnect()
        b = connected("b", version=5)
        b.publish("t", "away", True, 1)
        print(c.connect(False))
        c.publish("t", "mine", True, 1)
        b.publish("t", "here", True, 1)
        until(c, lambda: len(got) == 2)
        print(got)
        b.publish("t", "", True)
        c.disconnect()
        """,
    )
    assert lines == ["True", "[(b'away', 7, True), (b'here', 7, True)]"]


def test_large_filters(broker, run):
    with Peer5.online(broker):
        lines = run(
            broker,
            """
            c = connected(version=5, buffer_size=256)
            print(c.subscribe("x" * 245), error(c.subscribe, "x" * 1000)[:10])
            print(error(c.subscribe, [])[:10], error(c.unsubscribe, [])[:10])
            c.disconnect()
            """,
        )
    assert lines == ["0 ValueError", "ValueError ValueError"]
