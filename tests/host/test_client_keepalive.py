"""Keep alive: pings in time whatever the application does, and dead links noticed."""

import pytest


def inbound(broker, **fields):
    return [e.type for e in broker.packets(direction="in", **fields)]


def assert_gaps(broker, most_s):
    """No two packets of the client are further apart."""
    times = [e.t for e in broker.packets(direction="in")]
    assert len(times) > 2
    assert all(b - a <= most_s for a, b in zip(times, times[1:], strict=False)), times


def test_pings_when_idle(broker, run):
    """MQTT-3.1.2-23, MQTT-3.12.4-1: C0 00 before K has passed, by wait_msg() alone; what comes
    in does not count as sending."""
    lines = run(
        broker,
        """
        c = connected(keepalive=2)
        t = ticks_ms()
        while ticks_diff(ticks_ms(), t) < 5000:
            c.wait_msg(5000)
        print(c.sock is not None, c.stats()["pings"])
        """,
    )
    assert lines[0].startswith("True ")
    pings = broker.packets(type="PINGREQ")
    assert 3 <= len(pings) <= 7
    assert_gaps(broker, 2.0)


def test_pings_by_check_msg_and_next_deadline(broker, run):
    """An application that sleeps between calls, for as long as next_deadline() says."""
    run(
        broker,
        """
        from time import sleep_ms
        c = connected(keepalive=2)
        t = ticks_ms()
        turns = 0
        while ticks_diff(ticks_ms(), t) < 5000:
            c.check_msg()
            sleep_ms(max(1, c.next_deadline()))
            turns += 1
        print(turns)
        if turns > 400:
            raise SystemExit("busy")
        c.disconnect()
        """,
    )
    assert_gaps(broker, 2.0)


def test_pings_while_only_sending(broker, run):
    """QoS 0 in one direction: a ping now and then shows that somebody listens."""
    lines = run(
        broker,
        """
        from time import sleep_ms
        c = connected(keepalive=1)
        for i in range(150):
            c.publish("t", "m")
            sleep_ms(10)
        print(c.stats()["pings"])
        """,
    )
    assert int(lines[0]) >= 1
    assert len(broker.messages("t")) == 150


@pytest.mark.parametrize("verb", ["wait_msg", "check_msg"])
def test_pings_while_only_receiving(broker, program, verb):
    """MQTT-3.1.2-23: with more to read all the time than a slow handler can take."""
    child = program(
        broker,
        f"""
        from time import sleep_ms
        c = client(keepalive=2)
        n = 0
        def message(m):
            global n
            n += 1
            sleep_ms(2)
        c.set_message(message)
        c.connect()
        c.subscribe("t")
        print("up")
        while n < 2500:
            c.{verb}()
        print(c.stats()["pings"] > 1)
        c.disconnect()
        """,
    )
    child.expect("up")
    for _ in range(2500):
        broker.publish("t", b"0123456789")
    assert child.wait().stdout.splitlines() == ["up", "True"]
    assert_gaps(broker, 2.0)


def test_a_dead_link_is_noticed_while_only_sending(broker, run):
    broker.drop("PINGRESP", count=None)
    lines = run(
        broker,
        """
        from time import sleep_ms
        c = connected(keepalive=1)
        t = ticks_ms()
        result = "none"
        while result[:4] == "none" and ticks_diff(ticks_ms(), t) < 9000:
            result = error(c.publish, "t", "m")
            sleep_ms(10)
        print(result, c.sock, ticks_diff(ticks_ms(), t) < 8000)
        """,
    )
    assert lines == ["OSError 110 None True"]


def test_no_ping_without_keepalive(broker, run):
    """X311-3.1.2.10-b: only ping() sends one; an unasked PINGRESP is ignored (E59)."""
    lines = run(
        broker,
        """
        c = connected()
        print(c.wait_msg(300), c.next_deadline() > 1000000)
        c.ping()
        print(c.wait_msg(5000), c.stats()["pings"])
        c.ping()
        c.ping()
        c.wait_msg(5000)
        c.publish("t", "m", qos=1)
        c.disconnect()
        """,
    )
    assert lines == ["False True", "True 1"]
    assert 2 <= inbound(broker).count("PINGREQ") <= 3


def test_ping_without_an_answer(broker, run):
    """X311-3.1.2.10-a: closes the link, with keepalive."""
    broker.drop("PINGRESP", count=None)
    lines = run(
        broker,
        """
        c = connected(keepalive=1)
        c.ping()
        t = ticks_ms()
        print(error(c.wait_msg), c.sock, ticks_diff(ticks_ms(), t) < 5000)
        """,
    )
    assert lines == ["OSError 110 None True"]


def test_asleep_for_too_long(broker, run):
    """After 1.5 x K without a call the server has gone: an OSError, no DISCONNECT."""
    lines = run(
        broker,
        """
        from time import sleep_ms
        c = connected(keepalive=1)
        sleep_ms(1800)
        print(error(c.check_msg)[:7], c.sock)
        """,
    )
    assert lines == ["OSError None"]
    assert broker.violations == ["c: nothing received for 1.5 x keep alive (1 s)"]
    broker.broker.violations.clear()
