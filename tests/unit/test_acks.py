"""Messages on their way out: acknowledgements in every order, and resending after a reconnect."""

from driver import OK, RESUMED, Driver, ack, parse, publish
from util import each, same

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70


def client(**options):
    d = Driver(**options)
    d.connect(False)
    d.out()
    return d


def again(d, answer=RESUMED):
    """Cut the link, connect; what is sent behind CONNECT."""
    d.lose()
    d.connect(False, answer)
    data = d.out()
    return data[2 + data[1] :]


def test_qos1():
    """Kept until PUBACK, sent again with DUP and nothing else changed: MQTT-4.3.2-1,
    MQTT-3.3.1-1, MQTT-2.3.1-3, MQTT-4.1.0-1."""
    d = client()
    same(d.accept(b"a", b"x", True, 1), 1)
    same(d.out(), publish(b"a", b"x", 1, 1, 1))
    for _ in range(3):
        same(again(d), publish(b"a", b"x", 1, 1, 9))
    same((d.done, d.tables), ([], (1, 0)))
    d.feed(ack(PUBACK, 1))
    same((d.done, d.tables, d.out()), ([1], (0, 0), b""))
    same(again(d), b"")


def test_qos2():
    """PUBREC, PUBREL, PUBCOMP; after PUBREC only the PUBREL is sent again: MQTT-4.3.3-1,
    MQTT-2.3.1-6, MQTT-3.6.1-1."""
    d = client()
    same(d.accept(b"a", b"x", qos=2), 1)
    same(d.out(), publish(b"a", b"x", 2, 1))
    same(again(d), publish(b"a", b"x", 2, 1, 8))
    d.feed(ack(PUBREC, 1))
    same((d.out(), d.done), (ack(PUBREL, 1), []))
    d.feed(ack(PUBREC, 1))  # E48
    same(d.out(), ack(PUBREL, 1))
    for answer in (RESUMED, OK, RESUMED):
        same(again(d, answer), ack(PUBREL, 1))
    d.feed(ack(PUBCOMP, 1))
    same((d.out(), d.done, d.tables), (b"", [1], (0, 0)))
    same(again(d), b"")
    d.feed(ack(PUBCOMP, 1) + ack(PUBREC, 1))  # E45, E43
    same((d.out(), d.done), (ack(PUBREL, 1), [1]))


def test_link_lost_at_every_byte():
    """Cut after n bytes of what is written, QoS 1 and 2: never lost, DUP only after a first try,
    no PUBLISH after a PUBREL (MQTT-4.3.3-1, MQTT-4.4.0-1)."""

    def check(qos):
        for n in range(len(publish(b"a", b"xyz", qos, 1))):
            d = client()
            d.link.space = n
            same(d.accept(b"a", b"xyz", qos=qos), 1)
            same(d.out(), publish(b"a", b"xyz", qos, 1)[:n])
            same(again(d), publish(b"a", b"xyz", qos, 1, 8))
        if qos == 1:
            return
        for n in range(4):
            d = client()
            d.accept(b"a", b"xyz", qos=qos)
            d.out()
            d.link.space = n
            d.feed(ack(PUBREC, 1))
            same(d.out(), ack(PUBREL, 1)[:n])
            same(again(d), ack(PUBREL, 1))

    each([(1,), (2,)], check)


def test_never_sent_is_no_duplicate():
    """What waited behind a packet that was stuck goes out with DUP 0 or 1, but is not lost; what
    was sent has DUP 1 (MQTT-3.3.1-1)."""
    d = client()
    d.link.space = 3
    d.accept(b"a", b"1", qos=1)
    d.accept(b"b", b"2", qos=1)
    d.out()
    found = parse(again(d))
    same([body for first, body in found], [b"\0\1a\0\0011", b"\0\1b\0\0022"])
    same(found[0][0], 0x3A)


def test_order_of_resending():
    """In the order of acceptance, not of ids: MQTT-4.6.0-1, MQTT-4.4.0-1."""
    d = client(inflight=20)
    wanted = b""
    for p, qos in ((9, 1), (3, 2), (12, 1)):
        d.set_next_id(p)
        same(d.accept(b"a", b"%d" % p, qos=qos), p)
        wanted += publish(b"a", b"%d" % p, qos, p, 8)
    for _ in range(3):
        same(again(d), wanted)
    d.set_next_id(1)
    d.lose()
    d.answers.append([RESUMED])
    d.space = 0
    d.later = [lambda d: setattr(d.link, "space", -1)]
    d.run(d.client.connect, False)
    d.link.space = 0
    d.out()
    d.accept(b"new", b"n", qos=1)
    d.link.space = -1
    d.go()
    firsts = [first for first, body in parse(d.out())]
    same(firsts[-1], 0x32)  # what is new comes last, without DUP


def test_order_of_pubrels():
    """As the PUBRECs came, also when sent again: MQTT-4.6.0-4, MQTT-4.3.3-1."""
    d = client()
    for i in range(3):
        d.accept(b"a", b"%d" % i, qos=2)
    d.accept(b"a", b"3", qos=1)
    d.out()
    rels = b""
    for p in (2, 3, 1):
        d.feed(ack(PUBREC, p))
        rels += ack(PUBREL, p)
    same(d.out(), rels)
    for _ in range(2):
        same(again(d), rels + publish(b"a", b"3", 1, 4, 8))
    d.feed(ack(PUBCOMP, 3))
    same(again(d), ack(PUBREL, 2) + ack(PUBREL, 1) + publish(b"a", b"3", 1, 4, 8))
    d.feed(ack(PUBCOMP, 1) + ack(PUBACK, 4) + ack(PUBCOMP, 2))
    same((d.done, d.tables), ([3, 1, 4, 2], (0, 0)))


def test_one_of_each():
    """id 1 QoS 1, id 2 awaits PUBREC, id 3 awaits PUBCOMP: each once. MQTT-4.4.0-1"""
    for answer in (RESUMED, OK):  # with no session at the server as well: E66
        d = client()
        for qos in (1, 2, 2):
            d.accept(b"a", b"x", qos=qos)
        d.feed(ack(PUBREC, 3))
        d.out()
        rest = publish(b"a", b"x", 1, 1, 8) + publish(b"a", b"x", 2, 2, 8)
        same(again(d, answer), ack(PUBREL, 3) + rest)
        d.tick(100000)
        same(d.out(), b"")  # and no timer repeats it: X311-4.4-a


def test_acks_in_any_order():
    """Every order of the answers to four messages; each is reported once: MQTT-2.3.1-3."""
    orders = []

    def permute(left, done):
        if not left:
            orders.append(done)
        for p in left:
            permute([q for q in left if q != p], done + [p])

    permute([1, 2, 3, 4], [])
    for order in orders:
        d = client()
        for qos in (1, 2, 2, 1):
            d.accept(b"a", b"x", qos=qos)
        for p in order:
            if p in (2, 3):
                d.feed(ack(PUBREC, p), 3)
        for p in order:
            d.feed(ack(PUBCOMP if p in (2, 3) else PUBACK, p), 3)
        same((d.done, d.tables), (order, (0, 0)))
        same(d.accept(b"a", b"x", qos=2), 5)


def test_ack_for_what_was_not_sent():
    """An answer to a message that still waits to be written is no answer (E42, E43, E45)."""
    for n in (0, 3):
        d = client()
        d.link.space = n
        d.accept(b"a", b"1", qos=1)
        d.accept(b"b", b"2", qos=2)
        d.feed(ack(PUBACK, 1) + ack(PUBCOMP, 2))
        same((d.done, d.tables), ([], (2, 0)))
        d.link.space = -1
        d.go()
        sent = [body for first, body in parse(d.out()) if first & 0xF0 == 0x30]
        same(sent, [b"\0\1a\0\0011", b"\0\1b\0\0022"])


def test_pubrec_while_the_copy_is_written():
    """The PUBREC of the first try arrives while the copy goes out, then the link is cut: once a
    PUBREL was sent no PUBLISH follows (MQTT-4.3.3-1)."""
    for n in range(60):
        d = client()
        d.accept(b"a", b"x" * 30, qos=2)
        d.lose()
        d.space = n
        d.later = [lambda d: setattr(d.link, "space", 25)]
        d.answers.append([RESUMED])
        d.run(d.client.connect, False)
        d.space = -1
        d.feed(ack(PUBREC, 1))
        d.link.space = -1
        d.go()
        before = [first for first, body in parse(d.out())]
        after = [first for first, body in parse(again(d))]
        assert 0x62 not in before or after == [0x62], (n, before, after)
        d.feed(ack(PUBREC, 1) + ack(PUBCOMP, 1))
        same((d.done, d.tables), ([1], (0, 0)))


def test_clean_session_forgets():
    """Nothing of the old session is used: MQTT-3.1.2-6, in both directions."""
    d = client()
    d.accept(b"a", b"x", qos=1)
    d.accept(b"a", b"x", qos=2)
    d.feed(ack(PUBREC, 2) + publish(b"t", b"old", 2, 5))
    d.lose()
    d.connect(True)
    same((len(parse(d.out())), d.tables, d.done), (1, (0, 0), []))
    d.feed(publish(b"t", b"new", 2, 5))
    same([m[1] for m in d.got], [b"old", b"new"])


def test_clean_session_is_not_resumed():
    """State of a clean session is not used in the next one, either: MQTT-3.1.2-6."""
    d = Driver()
    d.connect(True)
    d.accept(b"a", b"x", qos=1)
    d.lose()
    d.connect(False)
    same(len(parse(d.out())), 1)


def test_sessions_are_the_clients():
    """Two clients share nothing: MQTT-3.1.3-2."""
    one, two = client(client_id="one"), client(client_id="two")
    one.accept(b"a", b"x", qos=1)
    same((one.tables, two.tables), ((1, 0), (0, 0)))
    same((again(two), again(one)), (b"", publish(b"a", b"x", 1, 1, 8)))


def test_publish_waits_for_its_answer():
    """QoS 1 and 2 return when the server has taken it; what comes in between is handled."""
    d = client()
    d.later = [publish(b"t", b"x", 1, 8), ack(PUBACK, 9) + ack(PUBACK, 1)[:1], ack(PUBACK, 1)[1:]]
    same(d.publish(b"a", b"x", False, 1), 1)
    same((d.done, len(d.got), d.out()), ([1], 1, publish(b"a", b"x", 1, 1) + ack(PUBACK, 8)))
    d.later = [ack(PUBREC, 2), ack(PUBCOMP, 2)]
    same(d.publish(b"a", b"x", False, 2), 2)
    same((d.done, d.out()), ([1, 2], publish(b"a", b"x", 2, 2) + ack(PUBREL, 2)))
