"""The durable session: messages on their way out, and the session itself, over power cuts.

Board (flash.py) looks at every packet that leaves, whether what it depends on is durable.
"""

from driver import OK, RESUMED, Random, ack, publish
from flash import MARK, PUT, Board
from store_world import cost, resumed, up1, up2
from util import each, raises, same

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70


# -- what comes back ------------------------------------------------------------------------------


def test_each_state_comes_back():
    """Power is cut behind each event, once and once more; what is sent again then, in bytes.

    MQTT-3.1.2-4, MQTT-3.3.1-1, MQTT-4.3.3-1, MQTT-4.4.0-1."""
    rel = ack(PUBREL, 1)
    one, two = b"one", b"two"
    table = (  # events, bytes with what was flushed, bytes with all that was written
        ((one,), up1(1, b"a", 8)),
        ((two,), up2(1, b"a", 8)),
        ((one, ack(PUBACK, 1)), up1(1, b"a", 8), b""),
        ((two, ack(PUBREC, 1)), rel),
        ((two, ack(PUBREC, 1), ack(PUBREC, 1)), rel),
        ((two, ack(PUBREC, 1), ack(PUBCOMP, 1)), rel, b""),
        ((one, two), up1(1, b"a", 8) + up2(2, b"a", 8)),
        ((two, one), up2(1, b"a", 8) + up1(2, b"a", 8)),
        ((two, one, ack(PUBREC, 1)), rel + up1(2, b"a", 8)),
        ((one, two, ack(PUBREC, 2)), ack(PUBREL, 2) + up1(1, b"a", 8)),
        ((one, ack(PUBACK, 1), two), up2(2, b"a", 8)),  # the PUT makes the DEL durable
        ((two, two, ack(PUBREC, 2), ack(PUBREC, 1)), ack(PUBREL, 2) + rel),
        ((two, two, ack(PUBREC, 2), ack(PUBREC, 1), ack(PUBCOMP, 2)), ack(PUBREL, 2) + rel, rel),
        ((one, ack(PUBREC, 9)), up1(1, b"a", 8)),  # acks of nothing
        ((one, ack(PUBACK, 9), ack(PUBCOMP, 9)), up1(1, b"a", 8)),
    )

    def check(events, flushed, written=None):
        for keep, wanted in ((0, flushed), (999, flushed if written is None else written)):
            for links in (0, 1):  # that there are between the two reboots
                for compact in (0, 1):
                    b = Board().up()
                    for event in events:
                        if event in (one, two):
                            b.accept(b"t", b"a", qos=1 if event is one else 2)
                        else:
                            b.feed(event)
                    b = b.reboot(keep)
                    same(b.store.recovered, "session")
                    same(b.out() if b.link else b"", b"")
                    if links:
                        same(resumed(b), wanted)
                    if compact:
                        b.compact()
                    b = b.reboot(keep)
                    same(resumed(b), wanted)
                    same(b.file.state, b.ram)

    each(table, check)


def test_bytes_and_order_of_resends():
    """Random sessions, cut anywhere: PUBRELs as PUBRECs came, then messages as accepted, each
    the same bytes but for DUP. MQTT-4.6.0-1, MQTT-4.6.0-4, MQTT-3.3.1-1."""

    def check(seed):
        random = Random(seed)
        b = Board(inflight=1 + seed % 7).up()
        out = []  # [packet, id, PUBREC has come]
        for step in range(40):
            what = random.below(9)
            if what < 4:
                qos = 1 + random.below(2)
                payload = b"%d" % step
                retain = random.below(2)
                p = b.accept(b"t" * (1 + random.below(3)), payload, bool(retain), qos)
                if p:
                    out.append([b.out(), p, False])
            elif what < 8 and out:
                i = random.below(len(out))
                packet, p, rec = out[i]
                if packet[0] & 2:
                    b.feed(ack(PUBACK, p))
                    del out[i]
                elif rec:
                    b.feed(ack(PUBCOMP, p))
                    del out[i]
                else:
                    b.feed(ack(PUBREC, p))
                    out[i][2] = True
                    out.append(out.pop(i))  # counts from here on
                b.out()
            elif what == 8:
                b = b.reboot(999)
                wanted = [ack(PUBREL, x[1]) for x in out if x[2]]
                wanted += [bytes((x[0][0] | 8,)) + x[0][1:] for x in out if not x[2]]
                same(resumed(b), b"".join(wanted))
        same(b.tables[0], len(out))

    each([(seed,) for seed in range(30)], check)


def test_ids_go_on():
    """No id is used again by a message while its record may still be there (MQTT-2.3.1-2)."""
    b = Board(inflight=2).up()
    seen = []
    for n in range(30):
        p = b.accept(b"t", b"%d" % n, qos=1)
        seen.append(p)
        if n % 3:
            b.feed(ack(PUBACK, p))
        else:
            if n % 2:
                b.compact()
            b = b.reboot(999 * (n % 2))
            b.up(RESUMED)
            b.feed(ack(PUBACK, p))
    same(seen, list(range(1, 31)))


def test_ids_wrap():
    """65535 is followed by 1, over a reboot, too."""
    for compact in (0, 1):
        b = Board().up()
        b.set_next_id(65534)
        same([b.accept(b"t", b"", qos=2) for _ in range(2)], [65534, 65535])
        if compact:
            b.compact()
        b = b.reboot().up(RESUMED)
        same([b.accept(b"t", b"", qos=2) for _ in range(3)], [1, 4, 0])  # 2: no place is free


def test_accepted():
    """store.accepted counts what publish() took, over reboots and new files."""
    b = Board().up()
    for n in range(1, 40):
        p = b.accept(b"t", b"", qos=1 + n % 2)
        assert p
        same(b.store.accepted, n)
        if n % 3 == 1:
            b.compact()
        if n % 3:
            b = b.reboot()
            same(b.store.accepted, n)
            b.up(RESUMED)
        b.feed(ack(0x30 + 16 * (1 + n % 2), p) + (ack(PUBCOMP, p) if n % 2 else b""))
        if n % 5 == 0:
            b.compact()
            b = b.reboot()
            same(b.store.accepted, n)
            b.up(RESUMED)


def test_a_message_of_any_type_is_written_once():
    """str, bytes, bytearray, memoryview; topics, too."""

    def check(topic, msg, qos):
        b = Board().up()
        b.accept(topic, msg, qos=qos)
        same(b.out(), publish(b"topic", b"message", qos, 1))
        same((b.file.kinds, b.store.accepted), ([MARK, PUT], 1))

    table = []
    for topic in ("topic", b"topic", bytearray(b"topic")):
        for msg in ("message", b"message", bytearray(b"message"), memoryview(b"message")):
            table += [(topic, msg, 1), (topic, msg, 2)]
    each(table, check)


def test_wrong_arguments_write_nothing():
    def check(error, *args):
        b = Board().up()
        steps = b.flash.steps
        for verb in (b.accept, b.publish):
            with raises(error):
                verb(*args)
        same((b.flash.steps, b.tables, b.out()), (steps, (0, 0), b""))
        p = b.accept(b"t", b"a", qos=1)
        same(b.out(), up1(p))

    each(
        (
            (ValueError, b"a/+", b"", False, 1),
            (ValueError, b"", b"", False, 2),
            (ValueError, b"t", b"x" * 60, False, 1),
            (ValueError, b"t", b"", False, 3),
        ),
        check,
    )


# -- what it costs --------------------------------------------------------------------------------


def test_flushes_of_publishing():
    """1 with QoS 1 and 2 with QoS 2, by each way; what ends a message needs none."""
    b = Board().up()
    same(cost(b, b.accept, b"t", b"", qos=0), 0)
    same(cost(b, b.publish, b"t", b"", qos=0), 0)
    same(cost(b, b.accept, b"t", b"", qos=1), 1)
    same(cost(b, b.feed, ack(PUBACK, 1)), 0)
    same(cost(b, b.accept, b"t", b"", qos=2), 1)
    same(cost(b, b.feed, ack(PUBREC, 2)), 1)
    same(cost(b, b.feed, ack(PUBREC, 2)), 0)
    same(cost(b, b.feed, ack(PUBCOMP, 2)), 0)
    b.later = [ack(PUBACK, 3)]
    same(cost(b, b.publish, b"t", b"", qos=1), 1)
    b.later = [ack(PUBREC, 4), ack(PUBCOMP, 4)]
    same(cost(b, b.publish, b"t", b"", qos=2), 2)
    same((b.client.stats()["in_flight"], b.done), (0, [1, 2, 3, 4]))
    b.out()
    # a reconnect, and a reboot: none but what the new file needs
    b.accept(b"t", b"", qos=1)
    b.lose()
    same(cost(b, b.up, RESUMED), 0)
    b = b.reboot()
    same(cost(b, b.up, RESUMED), 0)


def test_flushes_of_connecting():
    """One new file for a new session; none to go on with an old one."""
    b = Board()
    same(b.flash.count("flush"), 1)
    same(cost(b, b.connect, False), 1)
    b.lose()
    same(cost(b, b.connect, False, RESUMED), 0)
    b.lose()
    same(cost(b, b.connect, False, OK), 1)  # the server has lost it
    b.lose()
    same(cost(b, b.connect, True, OK), 1)
    b.lose()
    same(cost(b, b.connect, True, OK), 0)
