"""Enhanced authentication of MQTT 5.0: AUTH at connect() and on a live connection."""

from driver import parse
from driver5 import OK, Connect, Driver5, connack, publish, wire
from util import each, raises, same
from umqtt_plus.errors import MQTTException
from umqtt_plus.properties import decode


class Script:
    """The application's part: answers in turn; ValueError where the answer is one."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.heard = []

    def __call__(self, data):
        self.heard.append(data)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def auths(data):
    """(reason code, properties) of each AUTH in data."""
    found = []
    for first, body in parse(data):
        if first & 0xF0 == 0xF0:
            same(first, 0xF0)
            found.append((body[0], decode(body, 1)))
    return found


def challenge(data, method="M", code=0x18):
    return wire(f"F0| {code:02X} <15 '{method}' 16 '{data}'>")


def test_connect():
    """MQTT5-4.12.0-3, MQTT5-4.12.0-5, MQTT5-3.15.2-1: the method in CONNECT and in every AUTH, the
    reason 0x18; MQTT5-3.1.2-30: nothing else before CONNACK."""

    def check(rounds, size):
        script = Script(b"first", *[b"answer%d" % i for i in range(rounds)], b"")
        d = Driver5(method="M", answer_auth=script, keepalive=1)
        for i in range(rounds):
            piece = challenge(f"c{i}")
            d.later.extend([piece[j : j + (size or 99)] for j in range(0, len(piece), size or 99)])
        d.later.append(connack("15 'M' 16 'proof'"))
        same(d.connect(True, b""), False)
        data = d.out()
        c = Connect(data)
        same(c.properties["authentication_method"], b"M")
        same(c.properties["authentication_data"], b"first")
        same(len(c.more), rounds)
        same(
            auths(data),
            [
                (
                    0x18,
                    {"authentication_method": b"M", "authentication_data": b"answer%d" % i},
                )
                for i in range(rounds)
            ],
        )
        same(script.heard[-rounds - 1 :], [b"c%d" % i for i in range(rounds)] + [b"proof"])
        d.feed(publish(b"a", b"x"))
        same(len(d.got), 1)

    each([(rounds, size) for rounds in (0, 1, 3) for size in (0, 1, 5)], check)


def test_begun_once():
    """The application is asked for its first message once for each CONNECT."""
    script = Script(b"")
    d = Driver5(method="M", answer_auth=script)
    d.connect(True, connack("15 'M'"))
    same(len([x for x in script.heard if x is None]), 1)


def test_consent_without_data():
    """The end is not taken for a beginning: None is for the beginning alone."""
    script = Script(b"first", b"")
    d = Driver5(method="M", answer_auth=script)
    d.connect(True, connack("15 'M'"))
    same(script.heard[0], None)
    assert script.heard[-1] is not None, script.heard


def test_a_server_that_proves_nothing():
    """E123: the application refuses what the server says: closed, with 0x80 or 0x83 or nothing."""

    def check(answers, server):
        d = Driver5(method="M", answer_auth=Script(*answers))
        d.later = list(server)
        with raises(MQTTException):
            d.connect(True, b"")
        assert d.closed
        found = [x for x in parse(d.out()) if x[0] not in (0x10, 0xF0)]
        assert found in ([], [(0xE0, b"\x80")], [(0xE0, b"\x83")]), found

    bad = ValueError("not the server")
    each(
        (
            ((b"", bad), [challenge("x")]),
            ((b"", b"", bad), [challenge("x"), challenge("y")]),
            ((b"", bad), [connack("15 'M' 16 'x'")]),
            ((b"", b"", bad), [challenge("x"), connack("15 'M'")]),
        ),
        check,
    )


def test_refused():
    """A CONNACK that refuses: its code, and the application is not asked."""
    script = Script(b"")
    d = Driver5(method="M", answer_auth=script)
    for code in (0x87, 0x8C):
        with raises(MQTTException, code, "server"):
            d.connect(True, connack(code=code))
    assert not [x for x in script.heard if x is not None], script.heard


def test_silence():
    """E61v5, X5-3.2-a: a server that stops in the middle."""
    d = Driver5(method="M", answer_auth=Script(b"", b"a"), keepalive=1)
    d.later = [challenge("x")]
    with raises(OSError, 110):
        d.connect(True, b"", timeout=20)
    assert d.closed
    # MQTT5-3.1.2-30: also no PINGREQ, however long it takes
    same([first for first, _ in parse(d.out())], [0x10, 0xF0])


def live(*answers):
    script = Script(b"")
    d = Driver5(method="M", answer_auth=script)
    d.connect(False, connack("15 'M'"))
    d.accept(b"a", b"1")
    d.out()
    script.answers = list(answers)
    script.heard.clear()
    return d, script


def test_again():
    """MQTT5-4.12.1-1: AUTH 0x19 with the same method; messages go on in between."""
    d, script = live(b"first", b"second", b"")
    d.later = [
        publish(b"t", b"x"),
        challenge("c"),
        publish(b"t", b"y"),
        challenge("done", code=0),
    ]
    d.run(d.client.reauthenticate)
    same(
        auths(d.out()),
        [
            (0x19, {"authentication_method": b"M", "authentication_data": b"first"}),
            (0x18, {"authentication_method": b"M", "authentication_data": b"second"}),
        ],
    )
    same(script.heard, [None, b"c", b"done"])
    same((len(d.got), d.closed, d.tables), (2, False, (1, 0)))


def test_again_and_refused():
    """MQTT5-4.12.1-2: by the application: DISCONNECT with 0x80 or 0x83 and closed; by the server:
    its DISCONNECT, unanswered."""
    d, script = live(b"first", ValueError("no"))
    d.later = [challenge("c")]
    with raises(MQTTException):
        d.run(d.client.reauthenticate)
    found = parse(d.out())
    assert d.closed and found[-1] in ((0xE0, b"\x80"), (0xE0, b"\x83")), found
    d, script = live(b"first", b"", ValueError("no"))
    d.later = [challenge("c"), challenge("done", code=0)]
    with raises(MQTTException):
        d.run(d.client.reauthenticate)
    found = parse(d.out())
    assert d.closed and found[-1] in ((0xE0, b"\x80"), (0xE0, b"\x83")), found
    d, script = live(b"first")
    d.later = [wire("E0| 87")]
    with raises(MQTTException, 0x87, "server"):
        d.run(d.client.reauthenticate)
    same([first for first, _ in parse(d.out())], [0xF0])


def test_violations_of_an_exchange():
    """E121, E122, MQTT5-4.12.0-5, X5-3.15.2.1-a, MQTT5-3.15.2-1: while it is open."""

    def check(packet):
        d, script = live(b"first", b"second")
        d.later = [wire(packet)]
        with raises(MQTTException):
            d.run(d.client.reauthenticate)
        assert d.closed
        found = parse(d.out())
        same(found[0][0], 0xF0)
        assert found[1:] in ([], [(0xE0, b"\x82")], [(0xE0, b"\x81")]), found
        same(script.heard, [None])

    each(
        (
            ("F0 00",),
            ("F0| 00",),
            ("F0| 00 <>",),
            ("F0| 18",),
            ("F0| 18 <>",),
            ("F0| 18 <16 'x'>",),
            ("F0| 18 <15 'N'>",),
            ("F0| 00 <15 'N'>",),
            ("F0| 19 <15 'M'>",),
            ("F0| 01 <15 'M'>",),
            ("F0| 18 <15 'M' 15 'M'>",),
            ("F1| 18 <15 'M'>",),
        ),
        check,
    )


def test_without_a_method():
    """MQTT5-4.12.0-7: no AUTH from a client that named no method."""
    d = Driver5()
    d.connect()
    d.out()
    with raises(ValueError):
        d.run(d.client.reauthenticate)
    same((d.out(), d.closed), (b"", False))


def test_ended():
    """set_auth(None) ends it: the next CONNECT has no method. MQTT5-4.12.0-6"""
    d = Driver5(method="M")
    d.connect(True, connack("15 'M'"))
    d.client.set_auth(None, None)
    d.connect(True, OK)
    assert "authentication_method" not in Connect(d.out()).properties


def test_no_data():
    """A method may have nothing to say: no Authentication Data then, or an empty one."""
    d = Driver5(method="M", answer_auth=Script(None, b""))
    d.later = [wire("F0| 18 <15 'M'>"), connack("15 'M'")]
    d.connect(True, b"")
    data = d.out()
    assert not Connect(data).properties.get("authentication_data")
    same([code for code, _ in auths(data)], [0x18])


def test_lean():
    """MQTT5-3.15.2-2, MQTT5-3.15.2-3: an AUTH has no Reason String and no User Properties."""
    d = Driver5(method="M", answer_auth=Script(b"x", b"y", b""))
    d.later = [challenge("c"), connack("15 'M'")]
    d.connect(True, b"")
    for _, properties in auths(d.out()):
        same(sorted(properties), ["authentication_data", "authentication_method"])


def test_larger_than_the_server_takes():
    """MQTT5-3.2.2-15: an AUTH above the server's Maximum Packet Size is not sent."""
    script = Script(b"")
    d = Driver5(method="M", answer_auth=script)
    d.connect(False, connack("15 'M' 27 00000020"))
    d.out()
    script.answers = [b"x" * 40]
    with raises(ValueError):
        d.run(d.client.reauthenticate)
    same((d.out(), d.closed), (b"", False))
