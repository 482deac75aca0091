"""Messages from the server with MQTT 5.0: answers, their order, refusing, aliases, the window."""

from driver import parse
from driver5 import OK, RESUMED, Connect, Driver5, ack, publish, wire
from util import each, few, raises, same
from umqtt_plus.errors import MQTTException


def up(**options):
    d = Driver5(**options)
    d.connect(False)
    d.out()
    return d


def test_qos1_again_is_new():
    """E52v5, MQTT5-4.3.2-5: after PUBACK the id is a new message, whatever DUP says."""
    d = up()
    d.feed(publish(b"t", b"x", 1, 5) + publish(b"t", b"x", 1, 5, 8))
    same((len(d.got), d.out()), (2, ack(0x40, 5) * 2))


def test_qos2_once():
    """MQTT5-4.3.3-10, MQTT5-4.3.3-12, MQTT5-4.3.3-11: PUBREC each time, delivered once, until
    PUBREL; over connections, too."""
    d = up()
    for flags in (0, 8, 8):
        d.feed(publish(b"t", b"x", 2, 7, flags))
        same(d.out(), ack(0x50, 7))
    same(len(d.got), 1)
    d.connect(False, RESUMED)
    d.feed(publish(b"t", b"x", 2, 7, 8))
    same((len(d.got), d.out()[-4:]), (1, ack(0x50, 7)))
    d.feed(ack(0x62, 7))
    same(d.out(), ack(0x70, 7))
    d.feed(publish(b"t", b"x", 2, 7))
    same((len(d.got), d.out()), (2, ack(0x50, 7)))


def test_order_of_answers():
    """PUBACKs and PUBRECs in the order of the messages: MQTT5-4.6.0-2, MQTT5-4.6.0-3; and
    PUBRELs in that of the PUBRECs: MQTT5-4.6.0-4."""
    d = up(inflight=8)
    data = b""
    wanted = b""
    for p, qos in ((5, 1), (2, 2), (9, 1), (1, 2), (65535, 2), (3, 1)):
        data += publish(b"t", b"x", qos, p)
        wanted += ack(0x30 + 16 * qos, p)
    d.feed(data)
    same(d.out(), wanted)
    for _ in range(4):
        d.accept(b"a", b"x", qos=2)
    d.out()
    order = (3, 1, 4, 2)
    d.feed(b"".join([ack(0x50, p) for p in order]))
    same(d.out(), b"".join([ack(0x62, p) for p in order]))


def test_acked_after_the_handler():
    """MQTT5-4.3.2-4, MQTT5-4.3.3-8: a message whose handler fails is not acknowledged: closed, so
    that it comes again."""

    def check(qos):
        d = up()

        def fail(d):
            raise KeyError("the application's")

        d.then = fail
        with raises(KeyError):
            d.feed(publish(b"t", b"x", qos, 7))
        same((d.closed, d.out(), d.tables), (True, b"", (0, 0)))
        d.then = None
        d.connect(False, RESUMED)
        d.out()
        d.feed(publish(b"t", b"x", qos, 7, 8))
        same((len(d.got), d.out()), (2, ack(0x30 + 16 * qos, 7)))

    each(((1,), (2,)), check)


def test_acked_without_a_handler():
    """MQTT5-4.5.0-2, E28v5"""
    d = up(handler=None)
    d.feed(publish(b"t", b"x", 1, 7) + publish(b"t", b"x", 2, 8))
    same(d.out(), ack(0x40, 7) + ack(0x50, 8))


# -- refusing ------------------------------------------------------------------------------------


class Refusing(Driver5):
    code = 0x99

    def _message(self, m):
        Driver5._message(self, m)
        if self.code:
            m.refuse(self.code)


def test_refuse():
    """MQTT5-3.4.2-1, MQTT5-3.5.2-1, E103: PUBACK or PUBREC with the code; MQTT5-4.3.3-9: the id of
    a refused QoS 2 message is a new one the next time, whatever DUP says."""

    def check(code):
        d = Refusing()
        d.code = code
        d.connect(False)
        d.out()
        d.feed(publish(b"t", b"x", 1, 5) + publish(b"t", b"x", 2, 6) + publish(b"t", b"x"))
        same(d.out(), ack(0x40, 5, code) + ack(0x50, 6, code))
        same(d.tables, (0, 0))
        d.code = 0
        d.feed(publish(b"t", b"x", 2, 6, 8) + publish(b"t", b"x", 1, 5))
        same(d.out(), ack(0x50, 6) + ack(0x40, 5))
        same((len(d.got), d.tables, d.closed), (5, (0, 1), False))
        d.feed(ack(0x62, 6))
        same(d.out(), ack(0x70, 6))

    each([(code,) for code in (0x80, 0x83, 0x87, 0x90, 0x97, 0x99)], check)


def test_refuse_with_another_code():
    """MQTT5-3.4.2-1, MQTT5-3.5.2-1: a code that PUBACK and PUBREC do not have is not sent."""

    def check(code):
        d = Refusing()
        d.code = code
        d.connect(False)
        d.out()
        with raises(ValueError):
            d.feed(publish(b"t", b"x", 1, 5))
        same(d.out(), b"")

    each([(code,) for code in (0x10, 0x7F, 0x81, 0x82, 0x8E, 0x92, 0x93, 0xFF, 256, -1)], check)


def test_short_answers():
    """MQTT5-3.4.2-2, MQTT5-3.4.2-3, MQTT5-3.5.2-2, MQTT5-3.5.2-3, MQTT5-3.6.2-2, MQTT5-3.6.2-3,
    MQTT5-3.7.2-2, MQTT5-3.7.2-3: no acknowledgement has a Reason String or User Properties."""
    d = Refusing()
    d.code = 0
    d.connect(False, wire("20| 0000 <27 00000010>"))
    d.out()
    d.accept(b"a", b"1", qos=2)
    d.out()
    d.feed(publish(b"t", b"x", 1, 5) + publish(b"t", b"x", 2, 6))
    d.feed(ack(0x62, 6) + ack(0x62, 60) + ack(0x50, 1) + ack(0x50, 50))
    d.code = 0x97
    d.feed(publish(b"t", b"x", 1, 5) + publish(b"t", b"x", 2, 6))
    found = parse(d.out())
    same(sorted([first for first, _ in found]), [0x40, 0x40, 0x50, 0x50, 0x62, 0x62, 0x70, 0x70])
    for _, body in found:
        assert len(body) in (2, 3), body


# -- aliases -------------------------------------------------------------------------------------


def test_ten_aliases():
    """MQTT5-3.3.2-10: every alias up to the maximum, in any order, with any QoS."""
    d = up(properties={"topic_alias_maximum": 10}, buffer_size=128)
    names = [b"topic%d" % i for i in range(1, 11)]
    for i in range(10):
        d.feed(publish(names[i], b"", properties=f"23 {i + 1:04X}"))
    d.got.clear()
    for p, i in enumerate((9, 0, 5, 5, 3, 8, 1, 2, 4, 6, 7)):
        d.feed(publish(b"", b"x", i % 3, 20 + p if i % 3 else 0, properties=f"23 {i + 1:04X}"))
        same(d.got.pop(), (names[i], b"x", i % 3, False, False))


def test_an_alias_is_set_anew():
    """X5-3.3.4-c"""
    d = up(properties={"topic_alias_maximum": 1})
    for name in (b"a", b"longer/topic", b"b"):
        d.feed(publish(name, b"", properties="23 0001"))
        d.feed(publish(b"", b"x", properties="23 0001"))
        same([m[0] for m in d.got[-2:]], [name, name])
    d.feed(publish(b"other", b"x"))
    d.feed(publish(b"", b"x", properties="23 0001"))
    same(d.got[-1][0], b"b")


def test_aliases_end_with_the_connection():
    """MQTT5-3.3.2-7, E87"""
    d = up(properties={"topic_alias_maximum": 1})
    d.feed(publish(b"a", b"", properties="23 0001"))
    d.connect(False, RESUMED)
    d.out()
    same(d.violated(publish(b"", b"x", properties="23 0001")), 0x82)


def test_an_alias_of_a_refused_or_repeated_message():
    """What a copy of a QoS 2 message says of an alias holds as well."""
    d = up(properties={"topic_alias_maximum": 2})
    d.feed(publish(b"a", b"x", 2, 7))
    d.feed(publish(b"a", b"x", 2, 7, 8, properties="23 0001"))
    same(len(d.got), 1)
    d.feed(publish(b"", b"y", properties="23 0001"))
    same(d.got[1][:2], (b"a", b"y"))


# -- the window ----------------------------------------------------------------------------------


def test_receive_maximum():
    """MQTT5-3.3.4-9, E100 X5-3.3.4-d: as many as announced, PUBREL makes room, a repetition counts
    once."""
    d = up(properties={"receive_maximum": 3})
    d.feed(b"".join([publish(b"t", b"x", 2, p) for p in (1, 2, 3)]))
    d.feed(publish(b"t", b"x", 2, 2, 8))
    d.feed(ack(0x62, 2))
    d.feed(publish(b"t", b"x", 2, 4))
    same((len(d.got), d.tables, d.closed), (4, (0, 3), False))
    d.out()
    same(d.violated(publish(b"t", b"x", 2, 5)), 0x93)


def test_a_server_that_overruns():
    """What the client announces of its own accord is not checked: some servers send more."""
    d = up()
    for p in range(1, 61):
        d.feed(publish(b"t", b"x", 2, p))
    same((len(d.got), d.tables, d.closed), (60, (0, 60), False))


def test_the_window_of_a_new_connection():
    """E100 MQTT5-3.3.4-9: ids of the last connection count when the server repeats them only."""
    d = up(properties={"receive_maximum": 2})
    d.feed(publish(b"t", b"x", 2, 1) + publish(b"t", b"x", 2, 2))
    d.connect(False, RESUMED)
    d.feed(publish(b"t", b"x", 2, 3) + publish(b"t", b"x", 2, 4))
    same((len(d.got), d.closed), (4, False))
    d.out()
    same(d.violated(publish(b"t", b"x", 2, 5)), 0x93)
    d.connect(False, RESUMED)
    d.feed(publish(b"t", b"x", 2, 1, 8) + publish(b"t", b"x", 2, 2, 8))
    same((len(d.got), d.closed), (4, False))
    d.out()
    same(d.violated(publish(b"t", b"x", 2, 5)), 0x93)


def test_no_room():
    """E103, E15v5: more open QoS 2 messages than the client can remember: closed with a code that
    says so, and nothing of it is acknowledged."""
    d = up(properties={"receive_maximum": 1000}, buffer_size=64)
    for p in range(1, 257):
        d.feed(publish(b"t", b"x", 2, p))
    d.out()
    same(len(d.got), 256)
    code = d.violated(publish(b"t", b"x", 2, 300))
    assert code in (0x93, 0x97), code


def test_pieces():
    """set_stream() takes what is larger than the buffer, with its properties, when no Maximum
    Packet Size is announced."""
    for size in few((0, 1, 50, 64)):
        for qos in (0, 1, 2):
            d = Driver5(buffer_size=64)
            seen = []
            body = bytearray()  # 500 pieces in a list would lie all over a board's heap

            def piece(m):
                if m.offset == 0:
                    seen.append((m.topic, m.property(1)))
                body.extend(m.payload)

            d.client.set_stream(piece)
            d.connect(False)
            assert "maximum_packet_size" not in Connect(d.out()).properties
            data = publish(b"big", b"0123456789" * 50, qos, 9 if qos else 0, properties="01 01")
            d.feed(data + publish(b"s", b"x"), size)
            same(seen, [(b"big", 1)])
            same(body, b"0123456789" * 50)
            same(d.got, [(b"s", b"x", 0, False, False)])
            same(d.out(), ack(0x30 + 16 * qos, 9) if qos else b"")


def test_pieces_of_what_was_announced():
    """MQTT5-3.1.2-24, E101: with a Maximum Packet Size of one's own set_stream() takes no more."""
    d = Driver5(buffer_size=64, properties={"maximum_packet_size": 200})
    d.client.set_stream(lambda m: None)
    d.connect(False)
    same(Connect(d.out()).properties["maximum_packet_size"], 200)
    d.feed(publish(b"t", b"x" * 193))
    assert not d.closed
    same(d.violated(publish(b"t", b"x" * 194)), 0x95)


def test_too_large():
    """E15v5, E101 MQTT5-4.5.0-2: closed, not passed over, and the session stays."""
    d = up(buffer_size=64)
    d.accept(b"a", b"1")
    d.out()
    same(d.violated(publish(b"t", b"x" * 100, 1, 5)), 0x95)
    with raises(MQTTException, 0x95):
        d.connect(False, RESUMED + publish(b"t", b"x" * 100, 1, 5, 8))
        d.go()
    d.connect(False, OK)
