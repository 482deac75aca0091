"""Packets of MQTT 5.0 with random damage, judged by a second decoder that was written apart.

The damaged packet is either taken or answered with a DISCONNECT; both decoders must agree which.
"""

from driver import Random
from driver5 import MORE, Driver5, connack, parse, state, wire
from tests.vectors.packets5 import ACKS, CONNACKS, GOODBYES, MESSAGES
from tests.vectors.properties5 import PROPERTIES
from tests.vectors.violations5 import VIOLATIONS, length
from util import BOARD, few, same
from umqtt_plus.errors import MQTTException

SIZES = {"01": 1, "02": 4, "11": 4, "13": 2, "21": 2, "22": 2, "23": 2, "24": 1, "25": 1}
SIZES.update({"27": 4, "28": 1, "29": 1, "2A": 1})
TEXTS = {"03": 1, "08": 1, "12": 1, "15": 1, "1A": 1, "1C": 1, "1F": 1, "26": 2}
AT_MOST_1 = ("01", "24", "25", "28", "29", "2A")
NOT_0 = ("0B", "21", "27")


class Bad(Exception):
    pass


def need(condition):
    if not condition:
        raise Bad


class Cursor:
    """Reads a body from its start; Bad where it does not hold what it should."""

    def __init__(self, body):
        self.left = body

    def take(self, n):
        need(n <= len(self.left))
        piece = self.left[:n]
        self.left = self.left[n:]
        return piece

    def number(self, n):
        return int.from_bytes(self.take(n), "big")

    def varint(self):
        for n in (1, 2, 3, 4):
            need(n <= len(self.left))
            if self.left[n - 1] < 128:
                digits = self.take(n)
                value = sum([(b & 127) << 7 * i for i, b in enumerate(digits)])
                need(length(value) == digits)
                return value
        raise Bad

    def text(self):
        s = self.take(self.number(2))
        i = 0
        while i < len(s):
            b = s[i]
            n = 1 if b < 0x80 else 2 if b >> 5 == 6 else 3 if b >> 4 == 14 else 4
            need(n == 1 or n < 4 or b >> 3 == 30)
            c = b if n == 1 else b & (0x7F >> n)
            need(i + n <= len(s))
            for k in s[i + 1 : i + n]:
                need(k >> 6 == 2)
                c = c << 6 | k & 63
            need(c and c >= (0, 0, 0x80, 0x800, 0x10000)[n] and c <= 0x10FFFF)
            need(not 0xD800 <= c <= 0xDFFF)
            i += n
        return s

    def properties(self, letter):
        inner = Cursor(self.take(self.varint()))
        had = []
        while inner.left:
            i = inner.varint()
            need(i in PROPERTIES and letter in PROPERTIES[i][1])
            need(i not in had or i in (0x0B, 0x26))
            had.append(i)
            name = f"{i:02X}"
            value = 1
            if name in SIZES:
                value = inner.number(SIZES[name])
            elif i == 0x0B:
                value = inner.varint()
            elif name in TEXTS:
                for _ in range(TEXTS[name]):
                    s = inner.text()
                need(i != 0x08 or not (b"+" in s or b"#" in s))
            else:
                inner.take(inner.number(2))
            need(value or name not in NOT_0)
            need(value < 2 or name not in AT_MOST_1)
            need(i != 0x23 and (letter != "C" or i != 0x15))  # no aliases, no method here
        return had


def judge(first, body):
    """Whether a client in the state `up` takes this packet; Bad when it does not."""
    c = Cursor(body)
    if first >> 4 == 3:
        qos = first >> 1 & 3
        need(qos < 3 and (qos or not first & 8))
        topic = c.text()
        need(topic and b"+" not in topic and b"#" not in topic)
        if qos:
            packet_id = c.number(2)
            need(packet_id and (packet_id != 7 or qos == 2))
        c.properties("P")
        return
    if first in (0xD0, 0xE0):
        if first == 0xD0 or not body:
            need(not body)
            return
        c.number(1)
        if c.left:
            c.properties("D")
        need(not c.left)
        return
    need(first in (0x40, 0x50, 0x62, 0x70))
    packet_id = c.number(2)
    need(packet_id)
    code = c.number(1) if c.left else 0
    if c.left:
        c.properties("A")
    need(not c.left)
    need(code == 0 or code > 127 or code == 0x10 and first in (0x40, 0x50))
    wrong = {0x40: (2, 3), 0x50: (1,), 0x62: (), 0x70: (1, 2)}
    need(packet_id not in wrong[first])


def judge_connack(body):
    """Whether this accepts a client that asked for a clean session with an id of its own."""
    c = Cursor(body)
    need(c.number(1) == 0)
    code = c.number(1)
    need(code == 0)
    c.properties("C")
    need(not c.left)


def damage(random, body):
    """body with one to three bytes changed, left out, put in or cut off."""
    body = bytearray(body)
    for _ in range(1 + random.below(3)):
        i = random.below(len(body) + 1)
        kind = random.below(6)
        if kind < 3 and i < len(body):
            body[i] = random.below(256) if kind else body[i] ^ 1 << random.below(8)
        elif kind == 3:
            body = body[:i] + body[i + 1 + random.below(3) :]
        elif kind == 4:
            body = body[:i] + bytes((random.below(256),)) + body[i:]
        elif random.below(3) == 0:
            body = body[:i]
    return bytes(body)


def fair(check, *args):
    try:
        check(*args)
        return True
    except Bad:
        return False


def plain(rows, column):
    """Bodies of the table's packets that are no longer than a damaged one may be."""
    found = []
    for row in rows:
        if column == 1 or row[1] == "up":
            packets = parse(wire(row[column]))
            if len(packets) == 1 and len(packets[0][1]) < 250:
                found.append(packets[0])
    return found


def taken(first, body, size):
    """Whether the client takes the packet; what it does then must be in order."""
    d = state("up")
    data = bytes((first,)) + length(len(body)) + body
    try:
        d.feed(data + MORE[:8], size)
    except MQTTException as error:
        assert d.closed
        code = d.goodbye()
        if error.args[1:2] == ("server",):
            same((first, code), (0xE0, None))
            return True
        assert code in (0x81, 0x82, 0x94), code
        same(d.got, [])
        return False
    assert not d.closed
    return True


def test_damaged_packets():
    """Any byte of any packet: X5-4.13.1-a, X5-2.1.4-a, X5-2.2.2.2-a, MQTT5-1.5.4-1."""
    random = Random(5)
    packets = plain(MESSAGES, 2) + plain(ACKS, 2) + plain(GOODBYES, 1) + plain(VIOLATIONS, 2)
    count = [0, 0]
    for _ in few(range(1000)):
        first, body = packets[random.below(len(packets))]
        body = damage(random, body)
        if random.below(20) == 0:
            first ^= 1 << random.below(8)
        if first & 0xF0 in (0x20, 0x90, 0xB0, 0xF0):
            continue
        wanted = fair(judge, first, body)
        count[wanted] += 1
        try:
            same(taken(first, body, random.below(4)), wanted, "taken:")
        except Exception as error:
            raise AssertionError(f"{first:02X} {body.hex()}: {error!r}") from error
    assert BOARD or min(count) > 30, count


def test_damaged_connacks():
    """MQTT5-3.2.2-1, MQTT5-3.2.2-8, X5-2.2.2.2-a."""
    random = Random(6)
    packets = plain(CONNACKS, 1)
    count = [0, 0]
    for _ in few(range(600)):
        first, body = packets[random.below(len(packets))]
        body = damage(random, body)
        wanted = fair(judge_connack, body)
        count[wanted] += 1
        d = Driver5()
        data = bytes((first,)) + length(len(body)) + body
        try:
            d.connect(True, data, random.below(4))
            found = True
        except MQTTException as error:
            found = False
            code = d.goodbye()
            refused = error.args[1:2] == ("server",) and (error.args[0] > 127)
            assert d.closed and (code in (0x81, 0x82) or refused and code is None), error.args
        if found != wanted:
            raise AssertionError(f"{body.hex()}: {found}, wanted {wanted}")
    assert BOARD or min(count) > 60, count


def test_random_properties():
    """Every sequence of the server's properties in CONNACK, right and wrong."""
    random = Random(7)
    names = list(PROPERTIES)
    count = [0, 0]
    for _ in few(range(500)):
        rows = [names[random.below(len(names))] for _ in range(random.below(5))]
        text = " ".join([f"{i:02X} {PROPERTIES[i][0]}" for i in rows])
        data = connack(text)
        wanted = fair(judge_connack, parse(data)[0][1])
        count[wanted] += 1
        d = Driver5()
        try:
            d.connect(True, data)
            same(wanted, True, text)
        except MQTTException:
            same(wanted, False, text)
    assert BOARD or min(count) > 30, count
