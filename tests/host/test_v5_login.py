"""Enhanced authentication against the bundled broker: CONNECT, AUTH, CONNACK, and again."""

import pytest
from umqtt_harness.broker import AuthRefused


def steps(client_id, data):
    """Says what it got, three times; then that it is enough."""
    for _ in range(3):
        data = yield b"got " + data
    return b"enough"


def sent(broker, kind="AUTH"):
    return [
        (e.reason_code, e.properties.get("authentication_data"))
        for e in broker.packets(client_id="c", direction="in", type=kind)
    ]


def test_steps_and_again(broker_factory, run):
    """CONNECT 15, AUTH 18 both ways, CONNACK; AUTH 19 begins anew on the live connection, while
    messages come and go (MQTT5-4.12.0-2, MQTT5-4.12.0-3, MQTT5-4.12.0-5, MQTT5-4.12.1-1,
    MQTT5-3.15.2-1, MQTT5-3.15.2-2, MQTT5-3.15.2-3); every connect() begins with None."""
    broker = broker_factory(auth={"STEPS": steps})
    lines = run(
        broker,
        """
        c = client(version=5, inflight=4)
        said = []

        def f(data):
            said.append(data)
            if data is None:
                return b"hello"
            return b"" if data == b"enough" else b"%d" % len(said)

        got = []
        c.set_auth("STEPS", f)
        c.set_message(lambda m: got.append(m.payload))
        print(c.connect(False), said[-5:])
        c.subscribe("t", 1)
        for i in range(4):
            c.publish_nowait("t", str(i), qos=1)
        said.clear()
        c.reauthenticate()
        print(said)
        until(c, lambda: len(got) == 4)
        said.clear()
        c.disconnect()
        print(c.connect(False), said[-5:])
        c.set_auth(None, None)
        c.disconnect()
        print(c.connect(False), error(c.reauthenticate))
        c.disconnect()
        """,
    )
    whole = "[None, b'got hello', b'got %d', b'got %d', b'enough']"
    assert lines[0].startswith("False [None, b'got hello', b'got ")
    assert lines[1] == whole % (2, 3)
    assert lines[2].startswith("True [None, b'got hello', b'got ")
    # MQTT5-4.12.0-7
    assert lines[3] == "True ValueError reauthenticate: set_auth() first"
    assert [code for code, _ in sent(broker)] == [0x18] * 3 + [0x19] + [0x18] * 6
    named = [e.properties.get("authentication_method") for e in broker.packets(type="AUTH")]
    assert named == ["STEPS"] * 20
    connects = broker.packets(type="CONNECT", direction="in")
    methods = [e.properties.get("authentication_method") for e in connects]
    assert methods == ["STEPS", "STEPS", None]


def test_a_token(broker_factory, run):
    """One step: no AUTH at all until it is renewed; binary data, also none."""
    seen = []

    def token(client_id, data):
        seen.append(data)
        if len(seen) > 3:
            raise AuthRefused(0x87, reason_string="expired")
        return None

    broker = broker_factory(auth={"TOKEN": token})
    lines = run(
        broker,
        """
        c = client(version=5)
        n = 0

        def f(data):
            global n
            if data is not None:
                return None
            n += 1
            return bytes((0, 255, n))

        c.set_auth("TOKEN", f)
        c.connect()
        for i in range(2):
            c.reauthenticate()
        try:
            c.reauthenticate()
        except MQTTException as e:
            print(e.args, c.sock)
        """,
    )
    assert lines == ["(135, 'server', b'expired', None) None"]
    assert len(set(seen)) == 4 and all(x[:2] == b"\0\xff" for x in seen)
    assert [code for code, _ in sent(broker)] == [0x19] * 3


@pytest.mark.parametrize("code", [0x87, 0x8C, 0x80])
def test_refused(broker_factory, run, code):
    """At once, and at the third step: MQTTException with the reason (MQTT5-3.2.2-7)."""

    def late(client_id, data):
        yield b"1"
        yield b"2"
        raise AuthRefused(code, reason_string="no")

    def never(client_id, data):
        raise AuthRefused(code)

    broker = broker_factory(auth={"LATE": late, "NEVER": never})
    lines = run(
        broker,
        """
        for method in ("LATE", "NEVER", "UNKNOWN"):
            c = client(version=5)
            c.set_auth(method, lambda data: b"x")
            try:
                c.connect()
            except MQTTException as e:
                print(e.args, c.sock)
        """,
    )
    assert lines == [
        f"({code}, 'server', b'no', None) None",
        f"({code}, 'server', None, None) None",
        "(140, 'server', None, None) None",
    ]


def test_we_refuse_the_server(broker_factory, run):
    """E123: ValueError from f closes with DISCONNECT 83, at connect() and later
    (MQTT5-4.12.1-2)."""
    broker = broker_factory(auth={"STEPS": steps})
    lines = run(
        broker,
        """
        bad = b"got hello"

        def f(data):
            if data == bad:
                raise ValueError("liar")
            return b"hello" if data is None else b"" if data == b"enough" else b"1"

        c = client(version=5)
        c.set_auth("STEPS", f)
        print(error(c.connect), c.sock)
        bad = b"enough"
        print(error(c.connect), c.sock)
        bad = None
        c = client(version=5)
        c.set_auth("STEPS", lambda data: f(data) if data is not None else b"hello")
        print(c.connect())
        bad = b"got 1"
        print(error(c.reauthenticate), c.sock)
        """,
    )
    assert lines == ["MQTTException 131 None"] * 2 + ["False", "MQTTException 131 None"]
    codes = [e.reason_code for e in broker.packets(direction="in", type="DISCONNECT")]
    assert codes == [0x83] * 3


def test_no_ping_before_connack(broker_factory, program):
    """MQTT5-3.1.2-30: a slow exchange, longer than keep alive; nothing but AUTH goes out."""

    def one(client_id, data):
        yield b"1"
        return None

    broker = broker_factory(auth={"ONE": one})
    broker.stall_connack()
    child = program(
        broker,
        """
        c = client(version=5, keepalive=2, timeout_ms=2500)
        c.set_auth("ONE", lambda data: b"x" if data != b"" else None)
        print(error(c.connect), c.sock)
        """,
    )
    assert child.wait().stdout.splitlines() == ["OSError 110 None"]
    kinds = [e.type for e in broker.packets(direction="in")]
    assert kinds == ["CONNECT", "AUTH"]


def test_with_asyncio(broker_factory, run):
    broker = broker_factory(auth={"STEPS": steps})
    lines = run(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            said = []

            def f(data):
                said.append(data)
                if data is None:
                    return b"hello"
                return b"" if data == b"enough" else b"more"

            c = client(version=5)
            c.set_auth("STEPS", f)
            await c.connect()
            said.clear()
            tasks = [create_task(c.publish("t", str(i), qos=2)) for i in range(5)]
            await c.reauthenticate()
            for t in tasks:
                await t
            print(said)
            await c.disconnect()
        """,
    )
    assert lines == ["[None, b'got hello', b'got more', b'got more', b'enough']"]
    assert len(broker.messages("t")) == 5
