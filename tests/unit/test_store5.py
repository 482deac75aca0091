"""The durable session of MQTT 5.0. Board5 looks at every packet that leaves, see flash.py."""

from driver5 import OK, RESUMED, Driver5, connack
from flash import DEL, ENOSPC, EROFS, MARK, PUT, Board, Cut, Flash, mark, record
from flash5 import WHO5, Board5, ack, in_handler, publish, resumed, up1, up2
from umqtt_plus.errors import MQTTException
from umqtt_plus.limits5 import drop
from umqtt_plus.lost import SessionLost
from util import each, raises, same

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70
PROPS = "01 01 02 00000064 08 'r' 09 'x' 26 'k''v' 26 'k''w'"
NAMES = {
    "payload_format_indicator": 1,
    "message_expiry_interval": 100,
    "response_topic": "r",
    "correlation_data": b"x",
    "user_property": [("k", "v"), ("k", "w")],
}
GONE = 5


# -- messages out ---------------------------------------------------------------------------------


def test_each_state_comes_back():
    """Power is cut behind each event; what is sent again is what went out, properties and the full
    topic included, with DUP.

    MQTT5-3.1.2-5, MQTT5-3.3.1-1, MQTT5-4.3.3-6, MQTT5-4.4.0-1, MQTT5-3.3.2-7."""
    rel = ack(PUBREL, 1)
    one, two = b"one", b"two"
    table = (  # events, bytes with what was flushed, bytes with all that was written
        ((one,), up1(1, b"a", 8, PROPS)),
        ((two,), up2(1, b"a", 8, PROPS)),
        ((one, ack(PUBACK, 1)), up1(1, b"a", 8, PROPS), b""),
        ((one, ack(PUBACK, 1, 0x10)), up1(1, b"a", 8, PROPS), b""),
        ((two, ack(PUBREC, 1)), rel),
        ((two, ack(PUBREC, 1, 0x10)), rel),
        ((two, ack(PUBREC, 1), ack(PUBREC, 1)), rel),
        ((two, ack(PUBREC, 1), ack(PUBCOMP, 1)), rel, b""),
        ((one, two, ack(PUBREC, 2)), ack(PUBREL, 2) + up1(1, b"a", 8, PROPS)),
        ((two, two, ack(PUBREC, 2), ack(PUBREC, 1)), ack(PUBREL, 2) + rel),
        # refused: at once, and for good
        ((one, ack(PUBACK, 1, 0x97)), b""),
        ((two, ack(PUBREC, 1, 0x97)), b""),
        ((two, ack(PUBREC, 1), ack(PUBREC, 1, 0x97)), b""),
        ((two, ack(PUBREC, 1), ack(PUBCOMP, 1, 0x92)), rel, b""),  # E113: done
        ((one, two, ack(PUBREC, 2, 0x80)), up1(1, b"a", 8, PROPS)),
    )

    def check(events, flushed, written=None):
        for keep, wanted in ((0, flushed), (999, flushed if written is None else written)):
            for compact in (0, 1):
                b = Board5().up()
                for event in events:
                    if event in (one, two):
                        b.accept(b"t", b"a", False, 1 if event is one else 2, NAMES)
                    else:
                        b.feed(event)
                b = b.reboot(keep)
                same(b.store.recovered, "session")
                if compact:
                    b.compact()
                same(resumed(b), wanted)
                same(b.file.state, b.ram)

    each(table, check)


def test_refused():
    """E110, E111, MQTT5-4.3.3-4, MQTT5-4.4.0-2: told, off the file before that, and no PUBREL."""
    for qos, answer in ((1, ack(PUBACK, 1, 0x87)), (2, ack(PUBREC, 1, 0x87))):
        b = Board5().up()
        b.accept(b"t", b"a", qos=qos)
        b.out()
        seen = []
        b.client.on_published(lambda p: seen.append((p, b.client.reason_code, b.durable.kinds)))
        b.feed(answer)
        same(seen, [(1, 0x87, [MARK, PUT, DEL])])
        same((b.out(), b.tables), (b"", (0, 0)))
        same(b.accept(b"t", b"b", qos=qos), 2)


def test_refused_inside_publish():
    b = Board5().up()
    for qos, answer in ((1, ack(PUBACK, 1, 0x97)), (2, ack(PUBREC, 2, 0x97))):
        b.later.append(answer)
        with raises(MQTTException, 0x97):
            b.publish(b"t", b"a", qos=qos)
    same((b.tables, b.durable.out), ((0, 0), []))


def test_a_refusal_that_cannot_be_written():
    """The link ends, the message stays and awaits its answer anew; nobody was told."""

    def check(qos, answer, again, done):
        b = Board5().up()
        p = b.accept(b"t", b"a", qos=qos)
        b.flash.fail["write"] = ENOSPC
        with raises(OSError, ENOSPC):
            b.feed(answer)
        assert b.closed
        same(b.done, [])
        b.flash.fail.clear()
        same(resumed(b), again)
        for one in done:
            b.feed(one)
        same((b.codes, b.tables), ([(p, 0)], (0, 0)))
        same(b.client._v.failed, [])

    each(
        (
            (1, ack(PUBACK, 1, 0x97), up1(1, b"a", 8), (ack(PUBACK, 1),)),
            (2, ack(PUBREC, 1, 0x97), up2(1, b"a", 8), (ack(PUBREC, 1), ack(PUBCOMP, 1))),
        ),
        check,
    )


def test_properties_of_the_next_message_are_its_own():
    """Bytes and dicts, one behind the other; a message without has none on file."""
    b = Board5().up()
    b.accept(b"t", b"a", qos=1, properties={"user_property": [("k", "v")]})
    b.accept(b"t", b"b", qos=2)
    b.accept("t", "c", qos=1, properties=b"\x02\x01\x00")
    same(
        [packet for _, packet in b.durable.out],
        [up1(1, b"a", 0, "26'k''v'"), up2(2, b"b"), up1(3, b"c", 0, "01 00")],
    )
    same(b.out(), b"".join([packet for _, packet in b.durable.out]))


def test_too_large():
    """ValueError names what is too large, and nothing is written."""
    b = Board5().up()
    steps = b.flash.touched
    for n in (54, 300):
        with raises(ValueError):
            b.accept(b"t", b"x" * n, qos=1, properties=b"\x02\x01\x00")
    with raises(ValueError):
        b.accept(b"t", b"x", qos=1, properties={"content_type": "x" * 60})
    same((b.flash.touched, b.tables), (steps, (0, 0)))
    same(b.accept(b"t", b"x" * 50, qos=1, properties=b"\x02\x01\x00"), 1)


def test_cost():
    """Flushes: one for QoS 1, two for QoS 2, one for a refusal."""
    b = Board5().up()

    def check(wanted, f, *args):
        before = b.flash.count("flush")
        f(*args)
        same(b.flash.count("flush") - before, wanted)

    check(1, b.accept, b"t", b"a", False, 1, NAMES)
    check(0, b.feed, ack(PUBACK, 1))
    check(1, b.accept, b"t", b"a", False, 2)
    check(1, b.feed, ack(PUBREC, 2))
    check(0, b.feed, ack(PUBCOMP, 2))
    check(1, b.accept, b"t", b"a", False, 2)
    check(1, b.feed, ack(PUBREC, 3, 0x80))


# -- whose file it is -----------------------------------------------------------------------------


def test_a_file_of_the_other_version():
    """A session of 3.1.1 is not one of 5.0: lost, and begun anew, both ways."""
    for first, second in ((Board, Board5), (Board5, Board)):
        flash = Flash()
        b = first(flash)
        b.connect(False, OK if first is Board5 else b"\x20\x02\x00\x00")
        b.accept(b"t", b"a", qos=2)
        flash.power()
        b = second(flash)
        same((b.store.recovered, b.store.established, b.tables), ("lost", False, (0, 0)))
        b.connect(False, OK if second is Board5 else b"\x20\x02\x00\x00")
        same(b.durable.who, WHO5 if second is Board5 else b"c@server:1883")


def test_a_file_of_today():
    """What a client of 3.1.1 has written until now is valid."""
    flash = Flash()
    flash.put(mark(next_id=7) + record(PUT, 6, b"\x34\x06\0\1t\0\6a"))
    b = Board(flash)
    same((b.store.recovered, b.tables), ("session", (1, 0)))
    flash.put(mark(next_id=7, who=WHO5) + record(PUT, 6, up2(6)))
    b = Board5(flash)
    same((b.store.recovered, b.tables), ("session", (1, 0)))
    same(resumed(b), up2(6, b"a", 8))


def test_arguments():
    """What a durable session needs."""
    with raises(ValueError):
        Board5(properties={"session_expiry_interval": 0})
    with raises(ValueError):
        Board5(properties={"topic_alias_maximum": 3})
    with raises(ValueError):
        Board5(client_id="")
    with raises(ValueError):
        Board5(version="auto")
    Board5(properties={"session_expiry_interval": 3600}).up()


def test_streams():
    """A payload that is streamed out cannot be written down."""
    b = Board5().up()
    with raises(ValueError):
        b.run(b.client.publish_stream, "t", 100, lambda buf, i: len(buf), qos=1)
    same(b.tables, (0, 0))
    b.run(b.client.publish_stream, "t", 100, lambda buf, i: len(buf))
    same(len(b.out()), 2 + 3 + 1 + 100)


def test_clean_start():
    """MQTT5-3.1.2-4: with Clean Start 1 the session on file ends first; with a Session Expiry
    Interval the new one is durable, too."""
    b = Board5().up()
    b.accept(b"t", b"old", qos=2)
    b.lose()
    b.connect(True, OK)
    same((b.clean, b.file.kinds, b.durable.established), (2, [MARK], 0))
    steps = b.flash.touched
    b.accept(b"t", b"new", qos=2)
    same(b.flash.touched, steps)
    b = Board5(properties={"session_expiry_interval": 3600})
    b.connect(True, OK)
    same(b.durable.established, 1)
    b.clean = 0
    b.accept(b"t", b"new", qos=2)
    b = b.reboot()
    b.connect(False, RESUMED)
    same(b.out()[-8:], up2(1, b"new", 8)[-8:])


def test_a_session_of_the_server_alone():
    """E65v5, MQTT5-3.2.2-4: SP 1 and nothing on file: closed, Clean Start, and then ours."""
    b = Board5()
    clean = []
    start = b._open

    def note(*args):
        clean.append(b.clean)
        return start(*args)

    b._open = note
    b.connect(False, (RESUMED, OK, OK))
    same(clean + [b.clean], [None, 0, 2, 0])
    same(b.durable.established, 1)
    b.accept(b"t", b"a", qos=2)
    b = b.reboot()
    same(resumed(b), up2(1, b"a", 8))
    b = Board5(properties={"session_expiry_interval": 3600})
    same(b.connect(False, (RESUMED, OK, RESUMED)), True)  # the second one is ours
    b.accept(b"t", b"a", qos=2)
    b = b.reboot()
    b.connect(False, RESUMED)
    same(b.out()[-8:], up2(1, b"a", 8)[-8:])


# -- the server has lost the session --------------------------------------------------------------


def many(**options):
    """Sent: 1, QoS 2 2, released 3; on its way out 4; waiting: 5 and 6. 9 came in."""
    b = Board5(inflight=6, **options).up()
    b.accept(b"t", b"1", qos=1)
    b.accept(b"t", b"2", qos=2)
    b.accept(b"t", b"3", qos=2)
    b.feed(ack(PUBREC, 3) + publish(b"x", b"in", 2, 9))
    b.link.space = 0
    b.accept(b"t", b"4", qos=1)
    b.accept(b"t", b"5", qos=1)
    b.accept(b"t", b"6", qos=2)
    b.lose()
    return b


LOST = [(1, False), (2, False), (3, True), (4, False)]


def test_lost():
    """E66v5, MQTT5-3.2.2-5: what may have been sent is gone before the next packet, and told; what
    was never sent goes out as new."""
    b = many()
    b.connect(False, OK)
    data = b.out()
    same(data[2 + data[1] :], up1(5, b"5") + up2(6, b"6"))
    same(sorted(b.client.unresolved), LOST)
    same((b.tables, b.durable.rx, b.durable.epoch), ((2, 0), [], 1))
    same(b.durable.out, [[5, up1(5, b"5")], [6, up2(6, b"6")]])
    b.feed(ack(PUBACK, 5) + ack(PUBREC, 6) + ack(PUBCOMP, 6))
    same(b.tables, (0, 0))
    b.lose()
    b.connect(False, RESUMED)
    same(b.client.unresolved, [])


def test_lost_after_a_power_cut():
    """The file does not say what was never sent: all of it may have been."""
    b = many().reboot()
    b.connect(False, OK)
    data = b.out()
    same(data[2 + data[1] :], b"")
    same(sorted(b.client.unresolved), LOST + [(5, False), (6, False)])
    same((b.tables, b.durable.out), ((0, 0), []))


def test_lost_with_discard():
    """discard=True: connect() raises; the next one sends what was never sent."""
    b = many(store={"discard": True})
    with raises(SessionLost, 0xFF) as caught:
        b.connect(False, OK)
    same(sorted(caught.error.args[1]), LOST)
    assert b.closed
    same(b.durable.out, [[5, up1(5, b"5")], [6, up2(6, b"6")]])
    same(resumed(b), up1(5, b"5") + up2(6, b"6"))
    b.feed(ack(PUBACK, 5) + ack(PUBREC, 6) + ack(PUBCOMP, 6))
    b.lose()
    b.connect(False, OK)  # nothing is lost
    same(b.client.unresolved, [])


def test_lost_on_a_full_flash():
    """Nothing goes out while the file has the old session; what was lost is told when it works."""
    for how in ("flush", "rename", "open"):
        for discard in (False, True):
            b = many(store={"discard": discard})
            b.flash.fail[how] = EROFS
            with raises(OSError, EROFS):
                b.connect(False, OK)
            data = b.out()
            same(len(data), 2 + data[1])  # CONNECT alone
            b.flash.fail.clear()
            if discard:
                with raises(SessionLost) as caught:
                    b.connect(False, RESUMED)
                told = caught.error.args[1]
            else:
                b.connect(False, RESUMED)
                told = b.client.unresolved
            same(sorted(told), LOST)
            same([p for p, _ in b.durable.out], [5, 6])


def test_lost_and_power_cut():
    """Wherever power is cut while the session is found lost: what is on file is the old session,
    whole, or the new one."""
    steps = 0
    while True:
        b = many()
        b.flash.cut = steps
        try:
            b.connect(False, OK)
            break
        except Cut:
            pass
        b = b.reboot()
        same(b.store.recovered, "session")
        ids = sorted([p for p, _ in b.durable.out])
        same(ids, [5, 6] if b.store.epoch else [1, 2, 3, 4, 5, 6])
        steps += 1
    assert steps > 5


def test_a_session_that_ends_with_the_connection():
    """X5-3.2.2.3.2-a: the server grants no time: what is open is told when it has gone."""
    b = Board5()
    b.connect(False, connack("11 00000000"))
    b.accept(b"t", b"a", qos=2)
    b.lose()
    b.connect(False, OK)
    same(b.client.unresolved, [(1, False)])
    b = Board5()
    b.connect(False, connack("11 00000000"))
    b.accept(b"t", b"a", qos=2)
    b = b.reboot()
    b.connect(False, OK)
    same(b.client.unresolved, [(1, False)])


# -- what the new connection does not permit ------------------------------------------------------


def test_not_permitted():
    """MQTT5-3.2.2-11: a message that was sent and is not permitted any more is dropped; its id is
    not used again in this session, not even after a power cut or a new file."""
    for times in (0, 1):
        b = Board5().up()
        b.accept(b"t", b"a", qos=2)
        b.accept(b"t", b"b", qos=1)
        b.lose()
        b.connect(False, connack("24 01", 1))
        data = b.out()
        same(data[2 + data[1] :], up1(2, b"b", 8))
        same(b.durable.kinds[-2:], [GONE, DEL])
        for _ in range(times):
            b.compact()
        b = b.reboot()
        same(b.client._v.gone, [1])
        b.connect(False, RESUMED)
        data = b.out()
        same(data[2 + data[1] :], up1(2, b"b", 8))
        b.set_next_id(1)
        same(b.accept(b"t", b"c", qos=1), 3)
        b.lose()
        b.connect(False, OK)  # a new session: the id is free
        same((b.durable.kinds, sorted(b.client.unresolved)), ([MARK], [(2, False), (3, False)]))
        b.set_next_id(1)
        same(b.accept(b"t", b"d", qos=1), 1)


def test_not_permitted_and_never_sent():
    """It leaves the file, and its id is free."""
    b = Board5().up()
    b.link.space = 0
    b.accept(b"t", b"a", qos=1)
    b.accept(b"t", b"b", qos=2)
    b.lose()
    b.connect(False, connack("24 01", 1))
    same(([x[0] for x in b.file.out], b.tables), ([1], (1, 0)))
    b.set_next_id(2)
    same(b.accept(b"t", b"c", qos=1), 2)
    same([x[0] for x in b.reboot().durable.out], [1, 2])


def test_given_up_between_two_connections():
    """As a Link does with the message for which the server ended the connection."""
    b = Board5().up()
    b.accept(b"t", b"a", qos=2)
    b.accept(b"t", b"b", qos=1)
    b.lose()
    v = b.client._v
    v.gone.append(1)
    b.run(drop, v, b.client._tab, 1, 0x95)
    b = b.reboot()
    same((b.client._v.gone, b.tables), ([1], (1, 0)))
    same(resumed(b), up1(2, b"b", 8))
    b.set_next_id(1)
    same(b.accept(b"t", b"c", qos=2), 3)


def test_a_damaged_file_with_ids_that_are_gone():
    flash = Flash()
    records = mark(who=WHO5) + record(GONE, 4)
    flash.put(records)
    same(Board5(flash).client._v.gone, [4])
    flash.put(mark(who=WHO5) + record(GONE, 4) + record(MARK, 5))
    b = Board5(flash)
    same((b.store.recovered, b.client._v.gone), ("lost", []))
    flash.put(mark(who=WHO5) + record(6, 4))
    same(Board5(flash).store.recovered, "lost")
    flash.put(mark() + record(GONE, 4))
    same(Board(flash).store.recovered, "lost")


# -- messages in ----------------------------------------------------------------------------------


def test_properties_of_a_message_of_before():
    """A message that a power cut interrupted comes back with its properties and payload."""
    for qos, options in ((2, {}), (1, {"inbox_qos": 1})):
        for properties in (PROPS, "", "0B 05", "26 'k''" + "v" * 30 + "'"):
            b = Board5(store=options).up()
            in_handler(b, power)
            with raises(Cut):
                b.feed(publish(b"x", b"pay", qos, 9, 0, properties))
            live = b.seen[0]
            b = b.reboot(99)
            same((b.got, b.seen, b.numbers), ([(b"x", b"pay", qos, False, False)], [live], [1]))


def power(b):
    b.flash.cut = 0
    b.flash.step("in the handler")


def test_callback_of_before():
    b = Board5(handler=False).up()
    b.lose()
    b.run(b.client.set_callback, b._callback)
    b.connect(False, RESUMED)

    def cut(d):
        power(d)

    in_handler(b, cut)
    with raises(Cut):
        b.feed(publish(b"x", b"pay", 2, 9, 0, PROPS))
    b = b.reboot(99, handler=False)
    b.run(b.client.set_callback, b._callback)
    same(b.got, [(b"x", b"pay")])


def test_the_application_refuses():
    """MQTT5-4.3.3-9: PUBREC >= 0x80; the next message under this id is a new one, after a power
    cut, too, and the refused one does not come back."""
    for keep in (0, 999):
        for boot in (0, 1):
            b = Board5().up()
            b.refuse = 0x97
            b.feed(publish(b"x", b"one", 2, 9))
            same((b.out(), b.tables), (ack(PUBREC, 9, 0x97), (0, 0)))
            same((b.durable.rx, b.durable.items), ([], []))
            b.refuse = 0
            if boot:
                b = b.reboot(keep).up(RESUMED)
                same(b.got, [])
            b.feed(publish(b"x", b"two", 2, 9))
            same((b.got[-1][1], b.numbers[-1], b.out()), (b"two", 2, ack(PUBREC, 9)))
            b.feed(ack(PUBREL, 9))
            same((b.out(), b.tables, b.file.rx), (ack(PUBCOMP, 9), (0, 0), []))


def test_refusing_qos_1():
    b = Board5(store={"inbox_qos": 1}).up()
    b.refuse = 0x97
    b.feed(publish(b"x", b"one", 1, 9))
    same((b.out(), b.durable.items), (ack(PUBACK, 9, 0x97), []))
    b = Board5().up()
    b.refuse = 0x97
    steps = b.flash.touched
    b.feed(publish(b"x", b"one", 1, 9))
    same((b.out(), b.flash.touched), (ack(PUBACK, 9, 0x97), steps))


def test_a_refusal_of_ours_that_cannot_be_written():
    """The link ends before the server is told; the message comes again."""
    b = Board5().up()
    b.refuse = 0x97

    def full(d):
        d.flash.fail["write"] = ENOSPC

    in_handler(b, full)
    with raises(OSError, ENOSPC):
        b.feed(publish(b"x", b"one", 2, 9))
    same((b.closed, b.out()), (True, b""))
    b.flash.fail.clear()
    b.refuse = 0
    b.up(RESUMED)
    b.feed(publish(b"x", b"one", 2, 9, 8))
    same((b.out(), b.file.rx, b.file.items), (ack(PUBREC, 9), [9], []))
    same(b.numbers, [1, 2])


def test_refusing_fills_the_file():
    """The file is written anew while a message is refused: nothing of it stays."""
    b = Board5(store={"max_bytes": 5000}).up()
    b.refuse = 0x97
    for n in range(200):
        b.feed(publish(b"x", b"%d" % n * 9, 2, 9))
        same(b.durable.rx, [])
        b.out()
        del b.seen[:]  # a small heap gets holes
        del b.got[:]
    assert b.flash.count("rename") > 2
    same(len(b.numbers), 200)
    same(b.reboot().got, [])


def test_a_handler_that_raises():
    b = Board5().up()

    def boom(d):
        raise KeyError(1)

    in_handler(b, boom)
    with raises(KeyError):
        b.feed(publish(b"x", b"one", 2, 9, 0, PROPS))
    assert b.closed
    same((b.file.rx, b.file.items), ([], []))
    b.up(RESUMED)
    b.feed(publish(b"x", b"one", 2, 9, 8, PROPS))
    same((b.out(), b.numbers), (ack(PUBREC, 9), [1, 2]))


def test_without_a_store_nothing_of_it_is_there():
    """What the store hangs into the client stays out of one that has none."""
    d = Driver5()
    same((d.client._v.dropped, "accept" in d.client._tab.__dict__), (None, True))
