"""What a server of MQTT 5.0 takes: QoS, RETAIN, sizes, its window, topic aliases."""

from driver import parse
from driver5 import OK, RESUMED, Driver5, ack, connack, publish, wire
from util import each, raises, same
from umqtt_plus.properties import encode

P = encode("PUBLISH", {"content_type": "t", "user_property": [("n", "v")]})
HEX = "03 't' 26 'n' 'v'"


def up(properties="", clean=False, **options):
    d = Driver5(**options)
    d.connect(clean, connack(properties))
    d.out()
    return d


def ids(data):
    """Packet ids of the PUBLISHes in data."""
    found = []
    for first, body in parse(data):
        if first & 0xF0 == 0x30 and first & 6:
            i = 2 + (body[0] << 8 | body[1])
            found.append(body[i] << 8 | body[i + 1])
    return found


# -- limits ------------------------------------------------------------------------------------


def test_maximum_qos():
    """MQTT5-3.2.2-11: ValueError before anything is sent."""
    for most in (0, 1):
        d = up(f"24 0{most}")
        for qos in (1, 2):
            if qos > most:
                for f in (d.client.publish, d.client.publish_nowait):
                    with raises(ValueError):
                        d.run(f, b"a", b"x", False, qos)
                with raises(ValueError):
                    d.run(d.client.publish_stream, b"a", 5, lambda buf, at: 5, False, qos)
        same((d.out(), d.tables), (b"", (0, 0)))
        d.publish(b"a", b"x")
        same(d.out(), wire("30| 'a' <> 78"))
        if most:
            same(d.accept(b"a", b"x"), 1)
            same(d.out(), wire("32| 'a' 0001 <> 78"))


def test_retain_available():
    """MQTT5-3.2.2-14: ValueError before anything is sent."""
    d = up("25 00")
    for qos in (0, 1, 2):
        for f in (d.client.publish, d.client.publish_nowait):
            with raises(ValueError):
                d.run(f, b"a", b"x", True, qos)
    with raises(ValueError):
        d.run(d.client.publish_stream, b"a", 5, lambda buf, at: 5, True)
    same((d.out(), d.tables), (b"", (0, 0)))
    d.publish(b"a", b"x")
    same(d.out(), wire("30| 'a' <> 78"))
    d.connect(False, connack("25 01", 1))
    d.out()
    d.publish(b"a", b"x", True)
    same(d.out(), wire("31| 'a' <> 78"))


def test_maximum_packet_size():
    """MQTT5-3.2.2-15: to the byte, with properties, for every kind of packet."""

    def check(most):
        d = up(f"27 {most:08X}")
        for qos in (0, 1, 2):
            for properties, size in ((None, 1), (P, len(P))):
                head = 2 + 2 + 1 + (2 if qos else 0) + size
                if most > 129:
                    head += 1
                n = most - head
                same(
                    d.run(d.client.publish_nowait, b"a", b"x" * n, False, qos, properties),
                    -1 if not qos else d.client._tab.next_id - 1,
                )
                same(len(d.out()), most)
                with raises(ValueError):
                    d.run(d.client.publish_nowait, b"a", b"x" * (n + 1), False, qos, properties)
                with raises(ValueError):
                    d.publish(b"a", "\u00fc" * (n // 2 + 1), False, qos, properties=properties)
                same(d.out(), b"")
        with raises(ValueError):
            d.run(d.client.publish_stream, b"a", most, lambda buf, at: min(len(buf), most - at))
        with raises(ValueError):
            d.subscribe("f" * (most - 7))
        with raises(ValueError):
            d.unsubscribe("f" * (most - 6))
        same((d.out(), d.closed), (b"", False))
        d.later = [wire(f"90| {d.client._tab.next_id:04X} <> 00")]
        d.subscribe("f" * (most - (8 if most < 130 else 9)))
        same(len(d.out()), most)

    each(((64,), (100,), (129,), (131,), (200,)), check)


# -- the window --------------------------------------------------------------------------------


def test_receive_maximum():
    """MQTT5-3.3.4-7, MQTT5-4.9.0-2, X5-4.9-a: what is sent and not finished stays in the limit."""
    d = up("21 0002", inflight=8)
    for p in range(1, 7):
        same(d.accept(b"a", b"x", qos=2 if p == 2 else 1), p)
    same(ids(d.out()), [1, 2])
    d.feed(ack(0x40, 1))
    same(ids(d.out()), [3])
    d.feed(ack(0x50, 2))  # a PUBREC gives nothing back
    same(parse(d.out()), [(0x62, b"\x00\x02")])
    d.feed(ack(0x70, 2))
    same(ids(d.out()), [4])
    d.feed(ack(0x40, 3, 0x87))
    same(ids(d.out()), [5])
    d.feed(ack(0x40, 3) + ack(0x70, 2))  # gives nothing back a second time
    same(ids(d.out()), [])
    d.feed(ack(0x40, 5) + ack(0x40, 4))
    same(ids(d.out()), [6])
    d.feed(ack(0x40, 6))
    same(d.done, [1, 2, 3, 5, 4, 6])
    same(d.tables, (0, 0))


def test_a_refused_publish_gives_room():
    """PUBREC with 0x80 or more frees the id and the window: MQTT5-4.3.3-4, E111, X5-2.2.1-a."""
    d = up("21 0001", inflight=4)
    for p in (1, 2, 3):
        d.accept(b"a", b"x", qos=2)
    same(ids(d.out()), [1])
    d.feed(ack(0x50, 1, 0x97))
    same(parse(d.out()), parse(publish(b"a", b"x", 2, 2)))
    d.feed(ack(0x50, 2))
    d.feed(ack(0x70, 2, 0x92))
    same(ids(d.out()), [3])
    same((d.codes[0], d.done), ((1, 0x97), [1, 2]))


def test_only_publish_waits():
    """MQTT5-3.3.4-8, MQTT5-4.9.0-3: all else goes out and comes in while the window is shut."""
    d = up("21 0001", inflight=4)
    d.accept(b"a", b"1", qos=1)
    d.accept(b"a", b"2", qos=2)
    d.out()
    d.publish(b"zero", b"0")
    same(d.out(), publish(b"zero", b"0"))
    d.feed(publish(b"b", b"x", 1, 5) + publish(b"b", b"x", 2, 6))
    same(d.out(), ack(0x40, 5) + ack(0x50, 6))
    d.feed(ack(0x62, 6))
    same(d.out(), ack(0x70, 6))
    d.later = [wire("90| 0003 <> 00")]
    same(d.subscribe("f"), 0)
    same(d.out(), wire("82| 0003 <> 'f' 00"))
    d.run(d.client.ping)
    same(d.out(), b"\xc0\x00")
    d.run(d.client.disconnect)
    same(d.out(), b"\xe0\x00")


def test_a_window_for_each_connection():
    """MQTT5-4.9.0-1: what the last server allowed counts for nothing. X5-4.1-a"""
    d = up("21 000A", inflight=8)
    for _ in range(4):
        d.accept(b"a", b"x")
    same(ids(d.out()), [1, 2, 3, 4])
    d.connect(False, connack("21 0001", 1))
    same(ids(d.out()), [1])
    d.accept(b"a", b"x")
    d.feed(ack(0x40, 1))
    same(ids(d.out()), [2])
    d.connect(False, RESUMED)
    same(ids(d.out()), [2, 3, 4, 5])


def test_carried_releases_count():
    """X5-4.9-a: with a PUBREL left of the last connection and a window of two, the PUBCOMP for it
    must not make room for a third unfinished message."""
    d = up(inflight=8)
    d.accept(b"a", b"1", qos=2)
    d.feed(ack(0x50, 1))
    d.lose()
    d.connect(False, connack("21 0002", 1))
    for _ in range(4):
        d.accept(b"b", b"x", qos=1)
    out = 1 + len(ids(d.out()))  # with the PUBREL
    assert out <= 3, out
    d.feed(ack(0x70, 1))
    out += len(ids(d.out()))
    assert out - 1 == 2, out
    d.feed(ack(0x40, 2))
    same(ids(d.out()), [4])


def test_releases_need_no_window():
    """MQTT5-3.3.4-8: more PUBRELs left of the last connection than the new window is wide go out
    all the same, and it opens when they are answered."""
    d = up(inflight=8)
    for _ in range(3):
        d.accept(b"a", b"x", qos=2)
    d.feed(ack(0x50, 1) + ack(0x50, 2) + ack(0x50, 3))
    d.accept(b"b", b"y")
    d.connect(False, connack("21 0001", 1))
    same(parse(d.out())[1:4], parse(ack(0x62, 1) + ack(0x62, 2) + ack(0x62, 3)))
    d.feed(ack(0x70, 1) + ack(0x70, 2) + ack(0x70, 3))
    d.feed(ack(0x40, 4))
    same((d.done, d.tables), ([1, 2, 3, 4], (0, 0)))


def test_publish_waits_for_the_window():
    """publish() with a shut window waits like one with a full table."""
    d = up("21 0001", inflight=4)
    d.accept(b"a", b"1")
    d.later = [ack(0x40, 1), ack(0x40, 2)]
    same(d.publish(b"a", b"2", qos=1), 2)
    same(ids(d.out()), [1, 2])


# -- topic aliases -----------------------------------------------------------------------------


def test_no_alias_without_leave():
    """MQTT5-3.2.2-18: absent or 0 means none."""
    for properties in ("", "22 0000"):
        d = up(properties)
        for _ in range(3):
            d.publish(b"a", b"x")
            same(d.out(), wire("30| 'a' <> 78"))


def test_aliases():
    """MQTT5-3.2.2-17, MQTT5-3.3.2-9, MQTT5-3.3.2-8: from 1 to the server's maximum."""
    d = up("22 0002")
    for text in ("a", "b"):
        alias = 1 if text == "a" else 2
        d.publish(text, b"x")
        same(d.out(), wire(f"30| '{text}' <23 000{alias}> 78"))
    for topic, data in (("a", "'' <23 0001>"), ("b", "'' <23 0002>"), ("c", "'c' <>")):
        for _ in range(2):
            d.publish(topic, b"y", True)
            same(d.out(), wire(f"31| {data} 79"))
    d.publish(b"a", b"x", properties=P)
    same(d.out(), wire(f"30| '' <23 0001 {HEX}> 78"))
    d.publish(b"a", b"")
    same(d.out(), wire("30| '' <23 0001>"))
    long = encode("PUBLISH", {"correlation_data": b"x" * 124})
    d.publish(b"a", b"", properties=long)
    same(d.out(), wire("30| '' <23 0001 09 007C" + "78" * 124 + ">"))
    longer = encode("PUBLISH", {"correlation_data": b"x" * 130})
    d.publish(b"b", b"", properties=longer)
    same(d.out(), wire("30| '' <23 0002 09 0082" + "78" * 130 + ">"))


def test_aliases_end_with_the_connection():
    """MQTT5-3.3.2-7: the full topic again, and what is stored always has it."""
    d = up("22 0008")
    d.publish(b"a", b"x")
    d.publish(b"a", b"x")
    d.accept(b"a", b"1")
    data = d.out()
    assert data.endswith(wire("32| 'a' 0001 <> 31")), data
    d.connect(False, connack("22 0001", 1))
    same(parse(d.out())[1:], [(0x3A, wire("32| 'a' 0001 <> 31")[2:])])
    d.publish(b"b", b"x")
    same(d.out(), wire("30| 'b' <23 0001> 78"))
    d.publish(b"a", b"x")
    same(d.out(), wire("30| 'a' <> 78"))
    d.connect(False, OK)
    d.out()
    d.publish(b"b", b"x")
    same(d.out(), wire("30| 'b' <> 78"))


def test_a_message_that_does_not_go_takes_no_alias():
    """The server learns an alias from what was sent only."""
    d = up("22 0004 27 00000020")
    with raises(ValueError):
        d.publish(b"a", b"x" * 40)
    d.publish(b"b", b"x")
    same(d.out(), wire("30| 'b' <23 0001> 78"))
    d.publish(b"a", b"x")
    same(d.out(), wire("30| 'a' <23 0002> 78"))
    d.publish(b"b", b"x")
    same(d.out(), wire("30| '' <23 0001> 78"))
