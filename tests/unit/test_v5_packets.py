"""Every packet of tests/vectors/packets5.py: whole, in pieces, and with more behind it."""

from driver5 import MORE, OK, SIZES, Driver5, ask, publish, split, state, wire
from tests.vectors.packets5 import ACKS, ANSWERS, CONNACKS, GOODBYES, MESSAGES, NAMED
from util import each, raises, same
from umqtt_plus.errors import MQTTException
from umqtt_plus.properties import decode
from umqtt_plus.v5 import value


BEHIND = publish(b"more", b"x")


def test_messages():
    """The handler gets the message with its properties, the server its answer."""

    def check(ids, name, packet, got, values, reply):
        for size in SIZES:
            for more in (b"", BEHIND):
                d = state(name)
                d.want = sorted(values)
                d.feed(wire(packet) + more, size)
                wanted = [got]
                if more:
                    wanted.append((b"more", b"x", 0, False, False))
                same((d.got, d.out()), (wanted, bytes.fromhex(reply)))
                same(d.seen[0], values)
                assert not d.closed

    each(MESSAGES, check)


def test_properties_by_name():
    """m.properties has every one of them."""

    def check(ids, packet, names):
        for size in SIZES:
            d = Driver5()
            d.names = True
            d.connect()
            d.feed(wire(packet) + BEHIND, size)
            same(d.seen, [names, {}])

    each(NAMED, check)


def test_messages_in_a_row():
    """One after another over one connection, in one read: nothing of one is left in the next."""

    def check(name):
        rows = [row for row in MESSAGES if row[1] == name and row[2][:2] in ("30", "31", "32")]
        rows = [row for row in rows if name != "alias" or "'u'" not in row[2]]
        data = b"".join([wire(row[2]) for row in rows + rows])
        for size in (0, 1, 7, 100, 512):
            d = state(name)
            d.want = (0x01, 0x02, 0x03, 0x08, 0x09)
            d.feed(data, size)
            same(d.got, [row[3] for row in rows + rows])
            for row, seen in zip(rows + rows, d.seen):
                for i in d.want:
                    same(seen[i], row[4].get(i), row[2])

    each([("up",), ("alias",)], check)


def test_messages_with_a_callback():
    """set_callback() gets topic and payload, the properties are passed over."""

    def check(ids, name, packet, got, values, reply):
        d = state(name, handler="callback")
        d.feed(wire(packet) + BEHIND)
        same((d.got, d.out()), ([got[:2], (b"more", b"x")], bytes.fromhex(reply)))

    each(MESSAGES, check)


def test_acks():
    """What a client answers to acks, and what it tells the application."""

    def check(ids, name, packet, reply, done):
        for size in SIZES:
            for more in (b"", BEHIND):
                d = state(name)
                d.feed(wire(packet) + more, size)
                same(d.out(), bytes.fromhex(reply))
                if done:
                    ((packet_id, code),) = d.codes
                    assert packet_id == done[0] and code in done[1:], d.codes
                else:
                    same(d.codes, [])
                same(len(d.got), 1 if more else 0)
                assert not d.closed
                same(d.tables[0], 2 if done else 3)

    each(ACKS, check)


def test_answers():
    """SUBACK and UNSUBACK: the codes in the order of the topic filters."""

    def check(ids, name, packet, codes):
        for size in SIZES:
            for more in (b"", BEHIND):
                d = state(name)
                same(ask(d, name, split(wire(packet) + more, size)), codes)
                d.rest()
                same(len(d.got), 1 if more else 0)
                assert not d.closed

    each(ANSWERS, check)


def test_connacks():
    """connect() takes them, and client.connack has what they say."""

    def check(ids, packet, values):
        for size in SIZES:
            for more in (b"", BEHIND):
                d = Driver5()
                same(d.connect(True, wire(packet) + more, size), False)
                d.rest()
                same(len(d.got), 1 if more else 0)
                for i in values:
                    same(value(d.client.connack, 0, i), values[i], hex(i))
                assert not d.closed
                d.feed(publish(b"t", b"x"))
                same(d.got[-1][:2], (b"t", b"x"))

    each(CONNACKS, check)


def test_connack_by_name():
    """properties.decode(client.connack): all of it, also what comes more than once."""
    d = Driver5()
    d.connect(True, wire("20| 0000 <26 'n' 'v' 13 0000 26 'n' 'w' 12 'id'>"))
    same(
        decode(d.client.connack),
        {
            "user_property": [(b"n", b"v"), (b"n", b"w")],
            "server_keep_alive": 0,
            "assigned_client_identifier": b"id",
        },
    )
    d.connect(True, OK)
    same(decode(d.client.connack), {})


def test_goodbyes():
    """DISCONNECT from the server: reported with all it says, closed, and not answered."""

    def check(ids, packet, args):
        for size in SIZES:
            for more in (b"", MORE):
                d = state("up")
                with raises(MQTTException, args[0], "server") as caught:
                    d.feed(wire(packet) + more, size)
                same(caught.error.args[2:], args[1:])
                same((d.closed, d.out(), d.got), (True, b"", []))
                same(d.tables, (3, 1))
                d.connect(False, OK)

    each(GOODBYES, check)
