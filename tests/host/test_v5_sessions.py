"""Sessions of 5.0: how long they live, what is resent; ids and keep alive.

`settle()` in a script is a round trip of another client: until then Mosquitto has dealt with the
end of the connection before.
"""

import pytest

SETTLE = """
        def settle():
            connected("other", version=5).disconnect()
"""


def sent(broker, **fields):
    return broker.packets(direction="in", **fields)


# Session Expiry Interval and Clean Start


def test_session_expiry(any_broker, run):
    """It ends with the connection unless named; clean_session=False names for ever; DISCONNECT
    may change it (MQTT5-3.1.2-23, MQTT5-3.2.2-3, X5-3.1.2.11.2-a, X5-3.1.2.11.2-b,
    X5-3.14.2.2.2-a)."""
    lines = run(
        any_broker,
        SETTLE
        + """
        def again(clean, x=None):
            present = c.connect(clean)
            c.disconnect(0, x)
            settle()
            print(present, c.session_present)

        c = client(version=5)
        again(True)
        again(False)   # of a clean session nothing stayed
        again(False)   # this one did
        again(True)    # MQTT5-3.1.2-4
        again(False)
        again(False, {"session_expiry_interval": 0})
        again(False)
        again(True)
        c = client(version=5, properties={"session_expiry_interval": 100})
        again(True)
        again(False, {"session_expiry_interval": 200})
        again(False)
        c = client(version=5, properties={"session_expiry_interval": 0})
        c.connect()
        print(error(c.disconnect, 0, {"session_expiry_interval": 1}))
        print(c.subscribe("t"))
        c.disconnect()
        """,
    )
    assert lines == [
        "False False", "False False", "True True", "False False", "False False", "True True",
        "False False", "False False", "False False", "True True", "True True",
        "ValueError session_expiry_interval: the session ends here",
        "0",
    ]  # fmt: skip


@pytest.mark.parametrize("asked, granted", [(100, None), (1000, 100)])
def test_session_runs_out(broker_factory, program, asked, granted):
    """Whether it is there is the server's word, no clock of ours (X5-3.1.2.11.2-b); the server
    may shorten it (X5-3.2.2.3.2-a)."""
    broker = broker_factory(limits={"session_expiry_interval": granted} if granted else {})
    child = program(
        broker,
        f"""
        c = client(version=5, properties={{"session_expiry_interval": {asked}}})
        for i in range(3):
            print(c.connect(False))
            c.disconnect()
            print("away")
            go()
        """,
    )
    for present, seconds in (("False", 50), ("True", 150), ("False", 0)):
        child.expect(f"^{present}$")
        child.expect("^away$")
        broker.wait_gone("c")
        broker.advance(seconds)
        child.send_line("go")
    child.wait()


def test_a_server_that_keeps_no_session(broker_factory, run):
    """Session Expiry 0 in CONNACK: the next connect() expects none (X5-3.2.2.3.2-a)."""
    broker = broker_factory(limits={"session_expiry_interval": 0})
    lines = run(
        broker,
        """
        c = client(version=5)
        for i in range(2):
            print(c.connect(False), error(c.disconnect, 0, {"session_expiry_interval": 9}))
            c.disconnect()
        """,
    )
    assert lines == ["False ValueError session_expiry_interval: the session ends here"] * 2


def test_a_session_that_is_not_ours_is_cleaned_away(any_broker, run):
    """E65v5, MQTT5-3.2.2-4: a new object whose id has a session at the server. adopt=True takes
    it, with what waits."""
    lines = run(
        any_broker,
        SETTLE
        + """
        a = connected(version=5, clean=False)
        a.subscribe("q", 1)
        a.disconnect()
        connected("b", version=5).publish("q", "1", qos=1)
        got = []
        c = client(version=5)
        c.set_callback(lambda topic, msg: got.append(msg))
        print(c.connect(False, adopt=True))
        until(c, lambda: got)
        c.disconnect()
        connected("b", version=5).publish("q", "2", qos=1)
        c = client(version=5)
        c.set_callback(lambda topic, msg: got.append(msg))
        print(c.connect(False))
        c.publish("q", "3", qos=1)
        print(got)
        c.disconnect()
        print(c.connect(False))
        """,
    )
    assert lines == ["True", "False", "[b'1']", "True"]


# What is sent again


def test_resent_after_a_cut(broker, program):
    """As in 3.1.1: same ids and bytes, DUP, the full topic, in the order of sending; PUBREL for
    what had its PUBREC (MQTT5-4.4.0-1, MQTT5-4.6.0-1, MQTT5-4.6.0-4, MQTT5-3.3.1-1,
    MQTT5-3.3.1-3, MQTT5-4.3.2-2, MQTT5-4.3.3-2, MQTT5-4.3.3-6, MQTT5-4.3.3-5, MQTT5-3.3.2-7)."""
    broker.broker.limits["topic_alias_maximum"] = 9
    broker.drop("PUBACK", count=3)
    broker.drop("PUBCOMP", count=2)
    child = program(
        broker,
        """
        c = connected(clean=False, inflight=6, version=5)
        done = []
        c.on_published(done.append)
        c.publish("t", "alias")
        for i, qos in enumerate((1, 1, 2, 2, 1)):
            x = {"user_property": [("n", str(i))], "message_expiry_interval": 60}
            c.publish_nowait("t", str(i), qos=qos, properties=x)
        while error(c.wait_msg, 5000) == "none: True":
            pass
        print(done, c.stats()["in_flight"], c.sock)
        print(c.connect(False))
        c.publish("t", "5", qos=1)
        until(c, lambda: not c.stats()["in_flight"])
        print(sorted(done), c.stats()["resent"], c.unresolved)
        c.disconnect()
        """,
    )
    broker.wait_for(type="PUBCOMP", direction="lost", count=2)
    broker.wait_for(type="PUBACK", direction="lost", count=3)
    broker.kill("c")
    assert child.wait().stdout.splitlines() == ["[] 5 None", "True", "[1, 2, 3, 4, 5, 6] 5 []"]
    again = sent(broker, connection=2)
    seen = [(e.type, e.packet_id, e.dup, e.payload) for e in again if e.type != "CONNECT"]
    assert seen == [
        ("PUBREL", 3, False, b""),
        ("PUBREL", 4, False, b""),
        ("PUBLISH", 1, True, b"0"),
        ("PUBLISH", 2, True, b"1"),
        ("PUBLISH", 5, True, b"4"),
        ("PUBLISH", 6, False, b"5"),
        ("DISCONNECT", 0, False, b""),
    ]
    first = {e.packet_id: e.raw for e in sent(broker, connection=1, type="PUBLISH")}
    for event in again:
        if event.type == "PUBLISH" and event.dup:
            assert (
                event.raw == bytes((first[event.packet_id][0] | 8,)) + first[event.packet_id][1:]
            )
            assert event.raw[2:5] == b"\0\1t"


def test_a_lost_session_is_reported(broker, program):
    """MQTT5-3.2.2-5, E66v5: what may have been sent is not sent again; what was not goes out as
    new. QoS 2 ids of the dead session swallow nothing (MQTT5-4.3.3-12)."""
    broker.broker.limits["receive_maximum"] = 3
    broker.drop("PUBACK")
    broker.drop("PUBREC")
    broker.drop("PUBCOMP")
    child = program(
        broker,
        """
        c = connected(clean=False, inflight=6, version=5)
        got = []
        c.set_callback(lambda topic, msg: got.append(msg))
        c.subscribe("in", 2)
        for i, qos in enumerate((1, 2, 2, 1, 2)):
            c.publish_nowait("t", str(i), qos=qos)
        while error(c.wait_msg, 5000) == "none: True":
            pass
        print(c.stats()["in_flight"], c.stats()["awaiting_release"], got)
        go()
        print(c.connect(False), sorted(c.unresolved))
        print(c.stats()["awaiting_release"])
        c.subscribe("in", 2)
        until(c, lambda: not c.stats()["in_flight"] and len(got) == 2)
        print(got)
        c.disconnect()
        """,
    )
    for name in ("PUBACK", "PUBREC", "PUBCOMP"):
        broker.wait_for(type=name, direction="lost")
    broker.wait_for(direction="out", type="SUBACK")
    broker.drop("PUBREC", direction="in")
    broker.publish("in", "a", 2)
    broker.wait_for(type="PUBREC", fault="drop", count=2)
    broker.stop(keep_sessions=False)
    child.expect(r"^5 1 \[b'a'\]$")
    broker.start()
    child.send_line("go")
    child.expect(r"^False \[\((2|3|4), .*\]$")
    child.expect("^0$")
    broker.wait_for(direction="out", type="SUBACK", connection=2)
    broker.publish("in", "b", 2)
    child.expect(r"^\[b'a', b'b'\]$")
    child.wait()
    again = [(e.payload, e.dup) for e in sent(broker, connection=2, type="PUBLISH")]
    assert again == [(b"3", False), (b"4", False)]
    assert not sent(broker, connection=2, type="PUBREL", packet_id=4)


# Ids, keep alive


def test_assigned_client_identifier(any_broker, run):
    """MQTT5-3.2.2-16, MQTT5-3.1.3-7: it is ours from then on (MQTT5-3.1.3-2)."""
    lines = run(
        any_broker,
        """
        c = client("", version=5)
        print(c.connect(False), len(c.client_id) > 0)
        mine = c.client_id
        c.disconnect()
        print(c.connect(False), c.client_id == mine)
        c.disconnect()
        print(client("", version=5).connect())
        """,
    )
    assert lines == ["False True", "True True", "False"]


def test_server_keep_alive(broker_factory, program):
    """MQTT5-3.1.2-21, MQTT5-3.2.2-21, MQTT5-3.1.2-20, MQTT5-3.12.4-1: shorter, and also where
    the client wanted none; one connection's says nothing of the next."""
    broker = broker_factory()
    broker.answer("CONNACK", 0, server_keep_alive=1)
    broker.answer("CONNACK", 0, server_keep_alive=0, client_id="d")
    child = program(
        broker,
        """
        c = client(version=5)
        c.connect()
        until(c, lambda: c.stats()["pings"])
        c.disconnect()
        c.connect()
        c.check_msg()
        print(c.next_deadline() > 100000)
        c.disconnect()
        c = client("d", version=5, keepalive=1)
        c.connect()
        c.check_msg()
        print(c.next_deadline() > 100000)
        c.disconnect()
        """,
    )
    broker.wait_for(direction="in", type="PINGREQ", timeout=5)
    assert child.wait().stdout.splitlines() == ["True", "True"]


def test_keep_alive_and_a_dead_link(broker, program):
    """X5-3.1.2.10-a, X5-3.1.2.10-b: ping() at any time; no PINGRESP, no link."""
    child = program(
        broker,
        """
        c = connected(version=5, keepalive=1)
        c.ping()
        print(c.wait_msg(5000))
        t = ticks_ms()
        print(error(c.wait_msg), c.sock, ticks_diff(ticks_ms(), t) < 5000)
        """,
    )
    child.expect("^True$")
    broker.silence("c")
    child.expect("^OSError 110 None True$")
