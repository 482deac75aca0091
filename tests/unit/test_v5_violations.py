"""Every packet of violations5.py and properties5.py of tests/vectors: whole, and in pieces."""

from driver5 import MORE, OK, SIZES, Driver5, ask, connack, parse, publish, state, wire
from tests.vectors.properties5 import properties, texts
from tests.vectors.violations5 import REFUSALS, VIOLATIONS
from util import each, raises, same
from umqtt_plus.errors import MQTTException


def violation(row, size=0, more=b"", handler="message"):
    """Feed one row: DISCONNECT with a code that the row allows, closed, and nothing else."""
    ids, name, packet, codes = row
    data = wire(packet) + more
    d = state(name, handler=handler)
    if name in ("connect", "method"):
        code = d.violated(data, size, lambda pieces: connect(d, pieces))
    elif name in ("subscribe", "unsubscribe"):
        code = d.violated(data, size, lambda pieces: request(d, name, pieces))
    else:
        code = d.violated(data, size)
    if code not in codes:
        raise AssertionError(f"DISCONNECT {code}, wanted {codes}")
    return d


def connect(d, pieces):
    d.answers.append(pieces)
    d.run(d.client.connect, True)


def request(d, name, pieces):
    d.later.append(lambda d: d.out())  # the request itself
    ask(d, name, pieces)


def rows(table):
    return [(row,) for row in table]


def test_the_vectors():
    """They break the rules they name: the remaining length is right, but where it must not be."""

    def check(ids, name, packet, codes):
        if "|" in packet:
            data = wire(packet)
            same(len(parse(data)), 1)
            same(parse(data + b"\xd0\x00")[1:], [(0xD0, b"")])

    each(VIOLATIONS, check)
    each(texts(), check)
    each(properties(), check)


def test_violation_whole():
    """DISCONNECT with the reason, then closed; nothing of the packet takes effect."""
    each(rows(VIOLATIONS), violation)


def test_violation_with_more_behind():
    """What follows a bad packet is not looked at."""
    each(rows(VIOLATIONS), lambda row: violation(row, more=MORE))


def test_violation_byte_by_byte():
    each(rows(VIOLATIONS), lambda row: violation(row, 1))


def test_violation_in_pieces():
    def check(row):
        for size in SIZES[2:]:
            if size < len(wire(row[2])):
                violation(row, size)

    each(rows(VIOLATIONS), check)


def test_violation_with_a_callback():
    each(rows(VIOLATIONS), lambda row: violation(row, 0, MORE, "callback"))


def test_texts():
    """What is no text, wherever a text can be."""
    each(rows(texts()), violation)


def test_texts_byte_by_byte():
    each(rows(texts()), lambda row: violation(row, 1, MORE))


def test_properties():
    """Every property twice, cut off, and in every packet that must not have it."""
    each(rows(properties()), violation)


def test_properties_byte_by_byte():
    each(rows(properties()), lambda row: violation(row, 1, MORE))


def test_refusals():
    """A CONNACK that refuses: connect() raises its code, nothing is sent, the client closes."""

    def check(ids, clean, packet, code):
        for size in SIZES:
            for more in (b"", MORE):
                d = Driver5()
                with raises(MQTTException, code):
                    d.connect(clean, wire(packet) + more, size)
                same((d.closed, d.got, d.links), (True, [], 1))
                same(len(parse(d.out())), 1, "after CONNECT something was sent:")

    each(REFUSALS, check)


def test_refusal_then_accepted():
    """The same object connects after a refusal."""
    d = Driver5()
    with raises(MQTTException, 0x88):
        d.connect(True, connack(code=0x88))
    d.connect(True, OK)
    d.feed(publish(b"t", b"x"))
    same(len(d.got), 1)
