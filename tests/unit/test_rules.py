"""What stands between a program and a server of clouds.py: its rules, its rate, its tokens."""

import time

from driver import OK, Driver, ack, parse
from umqtt_plus.clouds import Profile, client
from umqtt_plus.errors import MQTTException
from umqtt_plus.rules import Rules
from util import each, raises, same

SUBACK = b"\x90\x03\x00\x01\x01"
MINUTE = 61000


def world(calls=None, version=4, **rules):
    """A driver whose client keeps rules."""
    d = Driver(version=version, user="u", keepalive=0)
    p = Profile("It", "c", "server", None)
    for name in rules:
        setattr(p, name, rules[name])
    d.run(Rules, d.client, p, calls or {})  # by that clock, too: a board's own may be young
    return d


def publishes(data):
    return [first for first, _ in parse(data) if first >> 4 == 3]


def fields(d):
    """User name and password of the CONNECT that was written last."""
    ((first, body),) = parse(d.out())
    assert first == 0x10
    i = 10
    found = []
    while i < len(body):
        n = body[i] << 8 | body[i + 1]
        found.append(body[i + 2 : i + 2 + n])
        i += 2 + n
    return tuple(found[1:])


# -- what the server takes ----------------------------------------------------------------------


def test_refused_before_it_is_sent():
    d = world(qos=1, retain=False, payload=10, publish=(b"a/", b"$x/"), topic=9, slashes=2)
    d.connect()
    d.out()

    def check(args, text):
        for f in (d.client.publish, d.client.publish_nowait, d.client.set_last_will):
            with raises(ValueError, text):
                d.run(f, *args)
        same(d.out(), b"")

    each(
        [
            (("a/b", b"", False, 2), "qos: It takes 1 at most"),
            (("a/b", b"", True), "retain: It takes no retained messages"),
            (("a/b", b"12345678901"), "msg: It takes 10 bytes at most"),
            (("a/b", "12345678901"), "msg: It takes 10 bytes at most"),
            (("a/b", "\u20ac\u20ac\u20ac\u20ac"), "msg: It takes 10 bytes at most"),
            (("b/a", b""), "topic: It takes a/..., $x/..."),
            ((b"a", b""), "topic: It takes a/..., $x/..."),
            ((bytearray(b"b"), b""), "topic: It takes a/..., $x/..."),
            (("a/23456789", b""), "topic: It takes 9 bytes at most"),
            (("a/b/c/d", b""), "topic: It takes 2 slashes at most"),
            (("$x/2/3/4/5/6/7"[:13], b""), "topic: It takes 9 bytes at most"),
        ],
        check,
    )
    for topic in ("a/b", b"a/b", bytearray(b"a/b"), "a/b/c", "$x/2/3/4/"[:9]):
        same(d.publish(topic, "\u20ac\u20ac\u20ac1"), -1)
    same(publishes(d.out()), [0x30] * 5)


def test_a_topic_that_changes_is_looked_at_again():
    d = world(publish=(b"a",))
    d.connect()
    topic = bytearray(b"a")
    d.publish(topic, b"")
    topic[0] = 98
    with raises(ValueError, "topic: It takes a..."):
        d.publish(topic, b"")


def test_streams_and_subscriptions():
    d = world(qos=1, filters=2, subscribe=(b"a/",), payload=9)
    d.connect()
    d.out()

    def check(args, text):
        with raises(ValueError, text):
            d.subscribe(*args)
        same(d.out(), b"")

    each(
        [
            (("a/#", 2), "qos: It takes 1 at most"),
            ((["a/1", ("a/2", 2)],), "qos: It takes 1 at most"),
            (("b/#",), "topic filter: It takes a/..."),
            ((["a/1", ("#", 1)],), "topic filter: It takes a/..."),
            ((["a/1", "a/2", "a/3"],), "topic filters: It takes 2 at once"),
        ],
        check,
    )
    with raises(ValueError, "msg: It takes 9 bytes at most"):
        d.run(d.client.publish_stream, "t", 10, None)
    d.later.append(SUBACK)
    same(d.subscribe("a/#", 1), 1)


def test_properties_go_on():
    """With 5.0 the calls keep their properties, and the server's own limits hold beside."""
    d = world(version=5, qos=1)
    d.connect(answer=b"\x20\x05\x00\x00\x02\x25\x00")  # retain not available
    d.out()
    d.publish("t", b"x", properties={"content_type": "a"})
    same(d.client.publish_nowait("t", b"x", properties={"content_type": "b"}), -1)
    same([body[3:8] for _, body in parse(d.out())], [b"\x04\x03\x00\x01a", b"\x04\x03\x00\x01b"])
    with raises(ValueError, "retain: the server takes no retained messages"):
        d.publish("t", b"x", True)
    d.run(d.client.set_last_will, "t", b"", properties={"will_delay_interval": 5})


# -- how often ----------------------------------------------------------------------------------


def test_never_more_in_any_minute():
    """A window that slides: not 2n around a border, as with a bucket that fills."""
    d = world(per_minute=3)
    d.connect()
    sent = []
    for _ in range(200):
        if d.run(d.client.publish_nowait, "t", b""):
            sent.append(d.now)
        d.now = time.ticks_add(d.now, 1717)
    assert len(sent) > 14, sent
    for i in range(len(sent) - 3):
        assert time.ticks_diff(sent[i + 3], sent[i]) >= MINUTE


def test_publish_waits_its_turn():
    d = world(per_minute=2)
    d.connect()
    at = d.now
    for _ in range(2):
        same(d.publish("t", b"", timeout_ms=0), -1)
    same(d.now, at)
    with raises(OSError, 105):
        d.publish("t", b"1", timeout_ms=5000)
    same(time.ticks_diff(d.now, at), 5000)
    same(len(publishes(d.out())), 2)
    same(d.publish("t", b"2", timeout_ms=100000), -1)
    same(time.ticks_diff(d.now, at), MINUTE)
    # its deadline is one for all
    d.publish("t", b"3")
    at = d.now
    with raises(OSError, 110):
        d.publish("t", b"4", False, 1, MINUTE + 100)
    same(time.ticks_diff(d.now, at), MINUTE + 100)


def test_messages_come_while_it_waits():
    d = world(per_minute=1)
    d.connect()
    d.publish("t", b"")
    d.then = lambda d: caught(d)
    errors = []

    def caught(d):
        with raises(OSError, 105):
            d.client.publish("t", b"")  # a handler cannot wait
        errors.append(d.client.publish_nowait("t", b""))

    d.later.append(b"\x30\x03\x00\x01x")
    d.publish("t", b"", timeout_ms=MINUTE)
    same((len(d.got), errors), (1, [0]))


def test_a_lost_link_costs_no_turn():
    d = world(per_minute=1)
    for _ in range(3):
        with raises(OSError, 107):
            d.run(d.client.publish_nowait, "t", b"", qos=0)
    d.connect()
    same(d.run(d.client.publish_nowait, "t", b"", qos=1), 1)
    same(d.run(d.client.publish_nowait, "t", b"", qos=1), 0)
    with raises(OSError, 105):
        d.run(d.client.publish_stream, "t", 1, None)


def test_a_full_table_costs_no_turn():
    d = Driver(user="u", inflight=1)
    p = Profile("It", "c", "server", None)
    p.per_minute = 2
    d.run(Rules, d.client, p, {})
    d.connect()
    same([d.run(d.client.publish_nowait, "t", b"", qos=1) for _ in range(3)], [1, 0, 0])
    d.feed(ack(0x40, 1))
    same([d.run(d.client.publish_nowait, "t", b"", qos=1) for _ in range(2)], [2, 0])


def test_across_the_wrap_of_the_clock():
    d = world(per_minute=1)
    d.connect()
    for at in (-1000, -1):
        d.now = time.ticks_add(0, at - 2 * MINUTE)
        d.run(d.client.publish_nowait, "t", b"")
        d.now = time.ticks_add(0, at)
        same(d.run(d.client.publish_nowait, "t", b""), -1)
        d.now = time.ticks_add(d.now, MINUTE - 1)
        same(d.run(d.client.publish_nowait, "t", b""), 0)
        d.now = time.ticks_add(d.now, 1)
        same(d.run(d.client.publish_nowait, "t", b""), -1)


# -- tokens -------------------------------------------------------------------------------------


def test_asked_at_each_connect():
    asked = []

    def f():
        asked.append(1)
        return "token%d" % len(asked)

    for version in (4, 5):
        d = world({"pswd": f}, version)
        answer = OK if version == 4 else b"\x20\x03\x00\x00\x00"
        for n in (1, 2):
            asked[:] = [1] * (n - 1)
            d.connect(answer=answer)
            if version == 4:
                same(fields(d), (b"u", b"token%d" % n))
            else:
                assert d.out().endswith(b"\x00\x01u\x00\x06token%d" % n)
            d.run(d.client.disconnect)


def test_users_and_bytes():
    """A user name may change, too; bytes, bytearray and str."""
    d = world({"user": lambda: ("n\u00e4me", 60), "pswd": lambda: bytearray(b"\xff\x00")})
    d.connect()
    same(fields(d), (b"n\xc3\xa4me", b"\xff\x00"))


def test_no_token_no_connect():
    """What the function raises comes out of connect(), and nothing was opened."""

    def f():
        raise OSError(71, "clock")

    d = world({"pswd": f})
    with raises(OSError, 71):
        d.connect()
    same((d.links, d.client.state), (0, 0))


def test_given_up_in_time():
    """5 minutes before the end, at most half of the time: DISCONNECT, then OSError(127)."""

    def check(life, after):
        d = world({"pswd": lambda: ("t", life)})
        d.connect()
        d.out()
        d.tick(after * 1000 - 1)
        same((d.out(), d.client.state), (b"", 2))
        with raises(OSError, 127) as caught:
            d.tick(1)
        assert "connect() makes a new one" in caught.error.args[1]
        same(d.out(), b"\xe0\x00")
        assert d.closed
        d.connect()  # and once more
        d.tick(after * 1000 - 1)
        same(d.client.state, 2)

    each([(3600, 3300), (600, 300), (100, 50), (100.5, 50), (3, 2), (1 << 40, 268435)], check)


def test_the_first_end_counts():
    for one, two in ((7200, 3600), (3600, 7200)):
        d = world({"user": lambda: ("u", one), "pswd": lambda: ("t", two)})
        d.connect()
        with raises(OSError, 127):
            d.tick(3300000)
    d = world({"user": lambda: ("u", 3600), "pswd": lambda: "for ever"})
    d.connect()
    with raises(OSError, 127):
        d.tick(3300000)


def test_no_end():
    """A token of which nothing is known: kept until the server minds."""
    d = world({"pswd": lambda: "t"})
    d.connect()
    d.tick(200000000)
    same(d.client.state, 2)


def test_a_packet_is_finished_first():
    """What is half written goes out, if the server takes it within 5 s."""
    for late in (False, True):
        d = world({"pswd": lambda: ("t", 3600)})
        d.connect()
        d.out()
        d.now = time.ticks_add(d.now, 3300000 - 10)
        d.link.space = 3
        d.run(d.client.publish_nowait, "t", b"12345")
        d.link.space = 0
        d.tick(1000)
        same((d.client.state, d.out()), (2, b"\x30\x08\x00"))
        if late:
            with raises(OSError, 127):
                d.tick(5000)
            same(d.out(), b"")
        else:
            d.link.space = -1
            with raises(OSError, 127):
                d.tick(100)
                d.tick(100)
            same(d.out(), b"\x01t12345\xe0\x00")
        assert d.closed


def test_messages_under_way_are_kept():
    """QoS 1 without an answer by then: it goes out again behind the new token."""
    d = world({"pswd": lambda: ("t", 3600)})
    d.connect(False)
    same(d.accept("t", b"x"), 1)
    with raises(OSError, 127):
        d.tick(3300000)
    d.connect(False, b"\x20\x02\x01\x00")
    d.go()
    same([first for first, _ in parse(d.out())], [0x10, 0x3A])
    d.feed(ack(0x40, 1))
    same(d.done, [1])


def test_refused():
    """The server refuses a token: the exception has the code, and nothing of the token."""
    d = world({"pswd": lambda: "hidden"})
    with raises(MQTTException, 5) as caught:
        d.connect(answer=b"\x20\x02\x00\x05")
    assert "hidden" not in repr(caught.error) + str(caught.error)


# -- client() -----------------------------------------------------------------------------------


class Front:
    """Stands for MQTTClient."""

    wait_msg = publish = publish_nowait = connect = None

    def __init__(self, **options):
        self.options = options
        self.server = options["server"]
        self._timers = []


def test_client():
    """Options of the profile and of the call; functions are held back."""
    p = Profile("It", "c", "host", "ca", "u", lambda: "t", cert="x")
    c = client(Front, p, port=1, keepalive=5)
    same(c.options["password"], b"")
    same(c.options["ssl_params"], {"cadata": "ca", "cert": "x"})
    same((c.options["ssl"], c.options["keepalive"], c.options["port"]), (True, 5, 1))
    same(callable(p.options["password"]), True)
    p = Profile("It", "c", "host", None, "u", "p")
    same(client(Front, p).options["ssl"], True)  # never plain by accident: no CA, no connection
    p.keepalive_least = 30
    p.keepalive_most = 60
    with raises(ValueError, "keepalive (It): 61, limits 30 to 60"):
        client(Front, p, keepalive=61)
    p.versions = (4,)
    for version in (5, "auto"):
        with raises(ValueError, "version: one of (4,) with It"):
            client(Front, p, version=version)
    with raises(ValueError, "server: a name, no URL"):
        Profile("It", "c", "https://host", None)
