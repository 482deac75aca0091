"""Sessions: what is kept, resent and cleaned away across lost links; wills."""

import pytest
from peer import Peer
from umqtt_harness.broker import Fault
from umqtt_harness.scripted import accept, close, expect, expect_type, send


def sent(broker, **fields):
    return broker.packets(direction="in", **fields)


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("retain", [False, True])
def test_will(any_broker, program, qos, retain):
    """Published when the process is killed, with its QoS (MQTT-3.1.2-9, MQTT-3.1.3-10)."""
    with Peer.online(any_broker, "peer") as peer:
        peer.subscribe(("will/t", 2))
        child = program(
            any_broker,
            f"""
            c = client()
            c.set_last_will("will/t", b"gone", {retain}, {qos})
            c.connect()
            print("up")
            go()
            """,
        )
        child.expect("up")
        child.kill()
        peer.expect_message("will/t", b"gone", qos)
    with Peer.online(any_broker, "late") as peer:
        peer.subscribe(("will/t", 2))
        if retain:
            peer.expect_message("will/t", b"gone", qos, retain=True)
        peer.quiet()


def test_disconnect_drops_the_will(any_broker, run):
    """MQTT-3.14.4-1; and a new will counts from the next connect()."""
    with Peer.online(any_broker, "peer") as peer:
        peer.subscribe(("will/#", 2))
        run(
            any_broker,
            """
            c = client()
            c.set_last_will("will/1", "")
            c.connect()
            c.set_last_will("will/2", "x")
            c.disconnect()
            c.connect()
            c.disconnect()
            """,
        )
        peer.quiet()


def test_a_violation_arms_the_will(broker, run):
    """X311-3.14-a: closed without DISCONNECT, so that the server publishes the will."""
    broker.subscribe_result([3])
    lines = run(
        broker,
        """
        c = client()
        c.set_last_will("will/t", "", False, 1)
        c.connect()
        print(error(c.subscribe, "t"), c.sock)
        """,
    )
    assert lines == ["MQTTException 130 None"]
    broker.wait_gone("c")
    assert len(broker.messages("will/t")) == 1
    assert not sent(broker, type="DISCONNECT")


def test_offline_queue(any_broker, run):
    """A kept session: subscriptions stay, what came meanwhile is delivered once, in order.

    The next CONNECT can overtake the end of the old connection in Mosquitto, which then repeats
    its PUBRELs; no message comes again.
    """
    lines = run(
        any_broker,
        """
        got = []
        a = client("a")
        a.set_callback(lambda topic, msg: got.append(msg))
        print(a.connect(False), a.session_present)
        a.subscribe("q", 2)
        a.disconnect()
        b = connected("b")
        for i in range(10):
            b.publish("q", str(i), qos=1 + i % 2)
        print(a.connect(False), a.session_present)
        until(a, lambda: len(got) == 10 and not a.stats()["awaiting_release"])
        print(b"".join(got))
        a.disconnect()
        print(a.connect(False))
        a.wait_msg(100)
        print(len(got))
        a.disconnect()
        print(a.connect(True), a.session_present)
        a.disconnect()
        print(a.connect(False))
        """,
    )
    assert lines == [
        "False False", "True True", "b'0123456789'", "True", "10", "False False", "False"
    ]  # fmt: skip


def test_resent_after_a_cut(broker, program):
    """Unacknowledged messages again: same ids, DUP, in the order of sending (MQTT-4.4.0-1,
    MQTT-4.6.0-1, MQTT-3.3.1-1, MQTT-2.3.1-3); PUBREL for what had a PUBREC (MQTT-4.3.3-1)."""
    broker.drop("PUBACK", count=3)
    broker.drop("PUBCOMP")
    child = program(
        broker,
        """
        c = connected(clean=False, inflight=6)
        done = []
        c.on_published(done.append)
        for i, qos in enumerate((1, 1, 2, 1)):
            c.publish_nowait("t", str(i), qos=qos)
        while error(c.wait_msg, 5000) == "none: True":
            pass
        print(done, c.stats()["in_flight"], c.sock)
        print(c.connect(False))
        c.publish("t", "5", qos=1)
        until(c, lambda: not c.stats()["in_flight"])
        print(sorted(done), c.stats()["resent"])
        c.disconnect()
        """,
    )
    broker.wait_for(type="PUBCOMP", direction="lost")
    broker.wait_for(type="PUBACK", direction="lost", count=3)
    broker.kill("c")
    assert child.wait().stdout.splitlines() == ["[] 4 None", "True", "[1, 2, 3, 4, 5] 4"]
    again = sent(broker, connection=2)
    seen = [(e.type, e.packet_id, e.dup, e.payload) for e in again if e.type != "CONNECT"]
    assert seen == [
        ("PUBREL", 3, False, b""),
        ("PUBLISH", 1, True, b"0"),
        ("PUBLISH", 2, True, b"1"),
        ("PUBLISH", 4, True, b"3"),
        ("PUBLISH", 5, False, b"5"),
        ("DISCONNECT", 0, False, b""),
    ]
    first = {e.packet_id: e.raw for e in sent(broker, connection=1, type="PUBLISH")}
    for event in again:
        if event.dup:
            raw = first[event.packet_id]
            assert event.raw == bytes((raw[0] | 8,)) + raw[1:]
    assert [m.payload for m in broker.messages("t")].count(b"2") == 1


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("where", ["PUBLISH", "PUBREC", "PUBREL", "PUBCOMP"])
def test_cut_at_every_packet(broker, program, qos, where):
    """QoS 2 arrives once, QoS 1 at least once, wherever the link is cut."""
    if qos == 1:
        where = {"PUBREC": "PUBACK"}.get(where, where)
        if where in ("PUBREL", "PUBCOMP"):
            where = "PUBLISH"
    into = where in ("PUBLISH", "PUBREL")
    broker.fault(Fault("kill", where, direction="in" if into else "out", at=None if into else 0))
    child = program(
        broker,
        f"""
        c = connected(clean=False)
        for i in range(3):
            try:
                c.publish("t", str(i), qos={qos})
            except OSError:
                print(c.connect(False), c.stats()["in_flight"])
                until(c, lambda: not c.stats()["in_flight"])
        c.disconnect()
        """,
    )
    child.wait()
    got = [m.payload for m in broker.messages("t")]
    assert got == sorted(got) and set(got) == {b"0", b"1", b"2"}
    assert len(got) == 3 or qos == 1
    assert child.stdout == "True 1\n"


def test_a_clean_session_forgets(broker, run):
    """MQTT-3.1.2-6: nothing is resent after connect(True)."""
    broker.hold_acks("c", types=("PUBACK", "PUBREC"))
    lines = run(
        broker,
        """
        c = connected(clean=False)
        c.publish_nowait("t", "1", qos=1)
        c.publish_nowait("t", "2", qos=2)
        c.wait_msg(50)
        c.connect(True)
        print(c.stats()["in_flight"])
        c.disconnect()
        c.connect(False)
        print(c.stats()["in_flight"])
        c.disconnect()
        """,
    )
    assert lines == ["0", "0"]
    assert len(sent(broker, type="PUBLISH")) == 2
    assert not sent(broker, type="PUBLISH", dup=True)


def test_the_server_lost_the_session(broker, run):
    """E66, MQTT-3.2.2-3: Session Present 0; what was open goes out again, with its id and DUP."""
    broker.drop("PUBACK")
    lines = run(
        broker,
        """
        c = connected(clean=False)
        c.publish_nowait("t", "1", qos=1)
        c.wait_msg(50)
        other = connected("c", True)
        other.disconnect()
        print(error(c.wait_msg, 5000)[:7])
        print(c.connect(False), c.stats()["in_flight"])
        c.publish("t", "2", qos=1)
        until(c, lambda: not c.stats()["in_flight"])
        c.disconnect()
        """,
    )
    assert lines == ["OSError", "False 1"]
    seen = [(e.packet_id, e.dup) for e in sent(broker, type="PUBLISH")]
    assert seen == [(1, False), (1, True), (2, False)]


def test_ids_of_a_lost_session_are_forgotten(scripted, run):
    """E66: after Session Present 0 a QoS 2 message with a known id is a new one."""
    publish = b"\x34\x06\x00\x01t\x00\x07m"
    steps = []
    for connack in (b"\x20\x02\x00\x00", b"\x20\x02\x01\x00", b"\x20\x02\x00\x00"):
        steps += [
            expect_type("CONNECT"),
            send(connack + publish),
            expect(b"\x50\x02\x00\x07"),
            close(),
            accept(),
        ]
    server = scripted(steps[:-1])
    lines = run(
        server,
        """
        c = client()
        c.set_callback(print)
        for _ in range(3):
            print(c.connect(False))
            while error(c.wait_msg, 5000) == "none: True":
                pass
        """,
    )
    assert lines == ["False", "b't' b'm'", "True", "False", "b't' b'm'"]


def test_a_session_of_somebody_else(broker, run):
    """E65, X311-3.2.2.2-a, X311-3.1.2.4-b: after a reboot it is cleaned away in three steps."""
    lines = run(
        broker,
        """
        got = []
        def new():
            c = client()
            c.set_callback(lambda topic, msg: got.append(msg))
            return c
        c = new()
        c.connect(False)
        c.subscribe("q", 2)
        c.disconnect()
        b = connected("b")
        b.publish("q", "old", qos=2)
        c = new()
        print(c.connect(False), c.session_present)
        print(c.wait_msg(100), got)
        c.subscribe("q", 2)
        c.disconnect()
        b.publish("q", "new", qos=2)
        print(c.connect(False))
        until(c, lambda: got)
        c.disconnect()
        b.publish("q", "late", qos=1)
        c = new()
        print(c.connect(False, adopt=True))
        until(c, lambda: len(got) == 2)
        print(got)
        c.disconnect()
        print(c.connect(False))
        """,
    )
    assert lines == [
        "False False", "False []", "True", "True", "[b'new', b'late']", "True"
    ]  # fmt: skip
    cleans = [e.raw[9] >> 1 & 1 for e in sent(broker, client_id="c", type="CONNECT")]
    assert cleans == [0, 0, 1, 0, 0, 0, 0]
    # every connection of the three ended by DISCONNECT, with nothing between
    for connection in (2, 3):
        number = sorted({e.connection for e in broker.packets(client_id="c")})[connection - 1]
        assert [e.type for e in sent(broker, connection=number)] == ["CONNECT", "DISCONNECT"]


def test_a_session_of_somebody_else_mosquitto(mosquitto, run):
    """E65 with the real one."""
    lines = run(
        mosquitto,
        """
        c = connected(clean=False)
        c.subscribe("q", 2)
        c.disconnect()
        b = connected("b")
        b.publish("q", "old", qos=2)
        got = []
        c = client()
        c.set_callback(lambda topic, msg: got.append(msg))
        print(c.connect(False), c.wait_msg(100), got)
        """,
    )
    assert lines == ["False False []"]


def test_server_restart(any_broker, program):
    """The same port again; what was not acknowledged arrives (the bundled one keeps sessions)."""
    child = program(
        any_broker,
        """
        c = connected(clean=False)
        c.publish("t", "1", qos=1)
        print("up")
        print(error(c.wait_msg, 9000)[:7])
        print(error(c.publish, "t", "2", qos=1), c.stats()["in_flight"])
        print(error(c.connect, False))
        print("down")
        go()
        print(error(c.connect, False))
        c.publish("t", "3", qos=2)
        c.disconnect()
        """,
    )
    child.expect("up")
    any_broker.stop()
    child.expect("down")
    any_broker.start()
    child.send_line("")
    out = child.wait().stdout.splitlines()
    assert out[1:4] == ["OSError", "OSError 107 0", "OSError 111"]
    assert out[5] == f"none: {hasattr(any_broker, 'violations')}"


def test_received_qos_2_survives_a_cut(broker, run):
    """MQTT-4.3.3-2: PUBREC was sent, the link is cut before PUBREL: not delivered again."""
    broker.fault(Fault("kill", "PUBREL", direction="out", at=0))
    lines = run(
        broker,
        """
        got = []
        c = client()
        c.set_callback(lambda topic, msg: got.append(msg))
        c.connect(False)
        c.subscribe("t", 2)
        b = connected("b")
        b.publish("t", "1", qos=1)
        b.publish("t", "2", qos=2)
        while error(c.wait_msg, 3000) == "none: True":
            pass
        print(got, c.stats()["awaiting_release"])
        print(c.connect(False))
        c.wait_msg(300)
        print(got, c.stats()["awaiting_release"])
        c.disconnect()
        """,
    )
    assert lines[-1] == "[b'1', b'2'] 0"
    assert lines[-2] == "True"
