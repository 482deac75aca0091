"""Publishing, receiving and subscribing, against the bundled broker and Mosquitto."""

import pytest
from peer import Peer
from umqtt_harness.mosquitto import Mosquitto

TWO = """
    got = []
    a = client("a")
    b = client("b")
    a.set_callback(lambda topic, msg: got.append((topic, msg)))
    a.connect()
    b.connect()
"""


def test_every_qos_both_ways(any_broker, run):
    """MQTT-3.3.4-1, MQTT-4.3.1-1, MQTT-4.3.2-1, MQTT-4.3.3-1: granted x published; a stock
    Mosquitto needs no extension of ours, nor we one of it (MQTT-7.0.0-2)."""
    lines = run(
        any_broker,
        TWO
        + """
    seen = []
    a.set_message(lambda m: seen.append((m.topic, m.payload, m.qos, m.retain, m.dup)))
    for granted in (0, 1, 2):
        print(a.subscribe("t/%d" % granted, granted))
        for qos in (0, 1, 2):
            b.publish("t/%d" % granted, "m%d" % qos, qos=qos)
    until(a, lambda: len(seen) == 9)
    for m in seen:
        print(m)
    until(a, lambda: not a.stats()["awaiting_release"])
    print(b.stats()["in_flight"])
    a.disconnect()
    b.disconnect()
    """,
    )
    assert lines[:3] == ["0", "1", "2"]
    wanted = [
        str((f"t/{granted}".encode(), f"m{qos}".encode(), min(granted, qos), False, False))
        for granted in (0, 1, 2)
        for qos in (0, 1, 2)
    ]
    assert lines[3:12] == wanted
    assert lines[12] == "0"


@pytest.mark.parametrize("text", [True, False])
def test_str_and_bytes(any_broker, run, text):
    """Each argument as str or bytes; lengths count bytes (MQTT-3.8.3-1, MQTT-3.3.2-1)."""
    lines = run(
        any_broker,
        f"""
        kind = (lambda x: x) if {text} else (lambda x: x.encode())
        c = client(kind("id\u00e9"), user=kind("\u00fc"), password=kind("p\u00e4ss"))
        got = []
        c.set_callback(lambda topic, msg: got.append((topic, msg)))
        c.set_last_will(kind("will/\u00e9"), kind("l\u00e4st"))
        c.connect()
        c.subscribe(kind("\u00e9/+"))
        for qos in (0, 1, 2):
            c.publish(kind("\u00e9/t"), kind("\u20ac"), False, qos)
        until(c, lambda: len(got) == 3)
        print(got)
        c.disconnect()
        """,
    )
    assert lines == [str([("é/t".encode(), "€".encode())] * 3)]


def test_retained(any_broker, run):
    lines = run(
        any_broker,
        TWO
        + """
    for qos in (0, 1, 2):
        b.publish("r/%d" % qos, "kept", True, qos)
    b.publish("r/0", "", True)
    b.publish("r/none", "not kept", qos=1)
    seen = []
    a.set_message(lambda m: seen.append((m.topic, m.payload, m.qos, m.retain)))
    a.subscribe("r/#", 2)
    until(a, lambda: len(seen) >= 2)
    b.publish("r/1", "live", True, 1)
    until(a, lambda: len(seen) >= 3)
    a.wait_msg(100)
    seen.sort()
    print(seen)
    """,
    )
    assert lines == [
        "[(b'r/1', b'kept', 1, True), (b'r/1', b'live', 1, False), (b'r/2', b'kept', 2, True)]"
    ]


def test_subscribe_a_list(any_broker, run):
    """Several filters with a QoS each: granted in their order (MQTT-3.9.3-1, MQTT-3.8.4-5)."""
    lines = run(
        any_broker,
        TWO
        + """
    print(a.subscribe(["q/d", ("q/2", 2), (b"q/0", 0), ("q/1", 1)], 1))
    print(a.subscribe([("q/2", 1)]), a.subscribe("q/9", 2))
    for name in ("2", "0", "1", "d", "9"):
        b.publish("q/" + name, name)
    until(a, lambda: len(got) == 5)
    print(got)
    """,
    )
    assert lines[0] == r"b'\x01\x02\x00\x01'"
    assert lines[1] == r"b'\x01' 2"
    assert lines[2].count("b'q/") == 5


def test_unsubscribe(any_broker, run):
    """MQTT-3.10.3-1, MQTT-3.10.4-4: one, several, and one that was never subscribed."""
    lines = run(
        any_broker,
        TWO
        + """
    a.subscribe(["u/1", "u/2", "u/3", "u/4"])
    a.unsubscribe("u/1")
    a.unsubscribe(["u/2", b"u/3"])
    a.unsubscribe("u/none")
    for i in (1, 2, 3, 4):
        b.publish("u/%d" % i, "m", qos=1)
    until(a, lambda: got)
    a.wait_msg(100)
    print(got)
    """,
    )
    assert lines == ["[(b'u/4', b'm')]"]


def test_wildcards_and_dollar(any_broker, run):
    """MQTT-4.7.1-2, MQTT-4.7.1-3; wildcards in front do not see $SYS (E27)."""
    lines = run(
        any_broker,
        TWO
        + """
    def check(f, *topics):
        del got[:]
        a.subscribe(f)
        for t in topics:
            b.publish(t, "m")
        b.publish("end", "")
        a.subscribe("end")
        b.publish("end", "")
        until(a, lambda: got and got[-1][0] == b"end")
        a.unsubscribe([f, "end"])
        a.wait_msg(20)
        print(f, sorted(set(t for t, _ in got if t != b"end")))
    check("+", "a", "a/b", "/a")
    check("a/#", "a", "a/b", "a/b/c", "b/a")
    check("a/+/c", "a/b/c", "a//c", "a/b/d", "a/b/c/d")
    check("#", "x/y", "/")
    got.clear()
    a.subscribe("$SYS/broker/version")
    until(a, lambda: got)
    print(got[0][0])
    """,
    )
    assert lines == [
        "+ [b'a']",
        "a/# [b'a', b'a/b', b'a/b/c']",
        "a/+/c [b'a//c', b'a/b/c']",
        "# [b'/', b'x/y']",
        "b'$SYS/broker/version'",
    ]


def test_empty_payload_and_odd_topics(any_broker, run):
    """X311-3.3.3-a, MQTT-1.5.3-3, E24: nothing is stripped; spaces, dots and slashes stay."""
    lines = run(
        any_broker,
        TWO
        + r"""
    a.subscribe("o/#", 2)
    topics = (b"o/", b"o//", b"o/ a ", b"o/\xef\xbb\xbfa", b"o/\xf0\x9f\x98\x80", b"o/$x")
    for t in topics:
        for qos in (0, 1, 2):
            b.publish(t, b"", qos=qos)
    until(a, lambda: len(got) == 3 * len(topics))
    print(all(msg == b"" for _, msg in got), [t for t, _ in got[::3]] == list(topics))
    """,
    )
    assert lines == ["True True"]


def test_binary_payload(any_broker, run):
    lines = run(
        any_broker,
        TWO
        + """
    a.subscribe("bin", 2)
    data = bytes(range(256))
    for qos in (0, 1, 2):
        b.publish("bin", data, qos=qos)
        b.publish("bin", memoryview(data)[5:9], qos=qos)
    until(a, lambda: len(got) == 6)
    print([msg == data for _, msg in got], got[1][1])
    """,
    )
    assert lines == [f"{[True, False] * 3} {bytes([5, 6, 7, 8])!r}"]


@pytest.mark.parametrize("size", [125, 126, 127, 128, 16380, 16381, 16384, 60_000, 300_000])
def test_large_qos_0_payload(any_broker, run, size):
    """Payloads larger than every buffer go out whole, from where they are (MQTT-7.1.2-1)."""
    with Peer.online(any_broker, "peer") as peer:
        peer.subscribe(("big", 0))
        run(
            any_broker,
            f"""
            data = bytes(range(256)) * {size // 256 + 1}
            c = connected()
            c.publish("big", memoryview(data)[:{size}])
            c.publish(b"big", data[:{size}], True)
            c.publish("big", "x" * {size})
            c.publish("big", "end", qos=1)
            c.disconnect()
            """,
        )
        data = bytes(range(256)) * (size // 256 + 1)
        peer.expect_message("big", data[:size])
        peer.expect_message("big", data[:size])
        peer.expect_message("big", b"x" * size)
        peer.expect_message("big", b"end")


def test_one_after_the_other(any_broker, run):
    """200 of each QoS through a table of 4, by publish() and publish_nowait(): once, in order."""
    lines = run(
        any_broker,
        TWO
        + """
    numbers = []
    a.set_callback(lambda topic, msg: numbers.append(int(msg)))
    a.subscribe("n", 1)
    done = []
    b.on_published(lambda packet_id: done.append(packet_id))
    for qos in (1, 2):
        for i in range(100):
            b.publish("n", str(i), qos=qos)
            a.check_msg()
        for i in range(100, 200):
            turns = 0
            while not b.publish_nowait("n", str(i), qos=qos):
                b.wait_msg(1000)
                turns += 1
                if turns > 100:
                    raise SystemExit("no room")
        until(b, lambda: not b.stats()["in_flight"])
        until(a, lambda: len(numbers) == 200)
        print(numbers == list(range(200)))
        numbers.clear()
    print(len(done), len(set(done)))
    """,
    )
    assert lines == ["True", "True", "400 400"]


@pytest.mark.parametrize("every", [1, 10, 200])
def test_a_slow_qos_2_receiver(any_broker, run, every):
    """One that looks only now and then; Mosquitto 2.0 then lets more than 60 ids be open."""
    lines = run(
        any_broker,
        TWO
        + f"""
    numbers = []
    a.set_callback(lambda topic, msg: numbers.append(int(msg)))
    a.subscribe("n", 2)
    for i in range(200):
        b.publish("n", str(i), qos=2)
        if i % {every} == {every} - 1:
            a.check_msg()
    until(a, lambda: len(numbers) == 200)
    print(numbers == list(range(200)))
    """,
    )
    assert lines == ["True"]


def test_a_full_table_refuses(broker, run):
    """publish_nowait() answers 0, publish() waits and gives up; nothing is overwritten."""
    broker.hold_acks("c")
    child_lines = run(
        broker,
        """
        c = connected()
        for i in range(6):
            print(c.publish_nowait("t", str(i), qos=1 + i % 2), end=" ")
        print(error(c.publish, "t", "x", qos=1, timeout_ms=200), c.stats()["in_flight"])
        """,
    )
    assert child_lines == ["1 2 3 4 0 0 OSError 105 4"]
    sent = broker.packets(direction="in", type="PUBLISH")
    assert [e.payload for e in sent] == [b"0", b"1", b"2", b"3"]


def test_user_and_password(broker_factory, run):
    broker = broker_factory(users={"ann": "secret"})
    lines = run(
        broker,
        """
        print(error(client(user="ann", password="secret").connect))
        print(error(client(user="ann", password="wrong").connect))
        print(error(client(user="bob", password="secret").connect))
        print(error(client(user="ann").connect))
        c = client()
        print(error(c.connect), c.sock)
        """,
    )
    assert lines == ["none: False"] + ["MQTTException 5"] * 3 + ["MQTTException 5 None"]


def test_user_and_password_mosquitto(mosquitto, run, tmp_path):
    with Mosquitto(tmp_path / "own", users={"ann": "s\u00e4cret"}) as server:
        lines = run(
            server,
            """
            print(error(client(user="ann", password="s\u00e4cret").connect))
            print(error(client(user="ann", password="wrong").connect))
            print(error(client().connect))
            """,
        )
    assert lines == ["none: False", "MQTTException 5", "MQTTException 5"]


def test_empty_client_id(any_broker, run):
    """The server makes one up (MQTT-3.1.3-3)."""
    lines = run(
        any_broker,
        """
        c = client("")
        d = client(b"")
        c.set_callback(print)
        print(c.connect(), d.connect())
        c.subscribe("t", 1)
        d.publish("t", "m", qos=1)
        c.wait_msg(3000)
        """,
    )
    assert lines == ["False False", "b't' b'm'"]


def test_two_links_one_id(any_broker, run):
    """The server ends the older one; its calls raise instead of waiting."""
    lines = run(
        any_broker,
        """
        a = connected("same")
        b = connected("same")
        print(error(a.wait_msg, 5000)[:7], a.sock, error(a.publish, "t", "m", qos=1))
        b.publish("t", "m", qos=1)
        """,
    )
    assert lines == ["OSError None OSError 107"]
