"""The link: connecting and refusals, DISCONNECT, and a deadline for every call."""

import pytest
from umqtt_harness.scripted import accept, expect, expect_type, send, wait_eof


def inbound(broker, **fields):
    return [e.type for e in broker.packets(direction="in", **fields)]


# Connecting


def test_one_connect_for_each_connection(broker, run):
    """MQTT-3.1.0-1, MQTT-3.1.0-2: also when connect() is called on a live connection."""
    lines = run(
        broker,
        """
        c = client()
        print(c.connect(), c.connect())
        c.publish("t", "m", qos=1)
        c.disconnect()
        c.disconnect()
        print(c.connect())
        c.disconnect()
        """,
    )
    assert lines == ["False False", "False"]
    assert inbound(broker, connection=1) == ["CONNECT", "DISCONNECT"]
    assert inbound(broker, connection=2) == ["CONNECT", "PUBLISH", "DISCONNECT"]
    assert inbound(broker, connection=3) == ["CONNECT", "DISCONNECT"]
    assert len(broker.packets(type="OPEN")) == 3
    for number in range(3):
        assert broker.wire("c", number).received.endswith(b"\xe0\x00")


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5])
def test_refused(scripted, run, code):
    """The code is in the exception, the socket is closed here too (E69, MQTT-3.2.2-5,
    MQTT-3.1.3-9, MQTT-3.1.2-2, MQTT-3.1.4-5), and str() says it in words."""
    server = scripted(
        [expect_type("CONNECT"), send(bytes((0x20, 2, 0, code))), wait_eof(), accept()]
    )
    lines = run(
        server,
        """
        c = client()
        try:
            c.connect()
        except MQTTException as e:
            print(e.args, c.sock, "refused" in str(e))
        print(error(c.publish, "t", "m"), error(c.check_msg), error(c.ping))
        print(error(c.subscribe, "t"), error(c.publish, "t", "m", qos=1))
        print(error(c.publish_nowait, "t", "m"), error(c.wait_msg, 1))
        c.disconnect()
        import socket
        socket.socket().connect(socket.getaddrinfo(HOST, PORT)[0][-1])
        """,
    )
    assert lines == [f"({code},) None True"] + [
        "OSError 107 OSError 107 OSError 107",
        "OSError 107 OSError 107",
        "OSError 107 OSError 107",
    ]


def test_refused_then_accepted(broker, run):
    """After a refusal the same object connects; open messages go out then."""
    broker.refuse(3)
    lines = run(
        broker,
        """
        c = client()
        print(error(c.connect), error(c.connect))
        c.publish("t", "m", qos=2)
        c.disconnect()
        """,
    )
    assert lines == ["MQTTException 3 none: False"]
    assert len(broker.messages("t")) == 1


def test_no_connack(broker, run):
    """X311-3.2-a, E61: closed at the deadline, the one of connect() or of the client."""
    broker.stall_connack()
    lines = run(
        broker,
        """
        def took(ms, f, *args):
            t = ticks_ms()
            print(error(f, *args), ms <= ticks_diff(ticks_ms(), t) < ms + 4000)
        c = client(timeout_ms=300)
        took(300, c.connect)
        took(200, c.connect, True, 0.2)
        print(c.sock)
        """,
    )
    assert lines == ["OSError 110 True", "OSError 110 True", "None"]
    assert inbound(broker) == ["CONNECT", "CONNECT"]


@pytest.mark.parametrize("mode", ["close", "reset"])
def test_hung_up_before_connack(broker, run, mode):
    broker.refuse_tcp(mode, count=1)
    lines = run(
        broker,
        """
        c = client()
        print(error(c.connect)[:7], c.sock)
        print(error(c.connect))
        """,
    )
    assert lines == ["OSError None", "none: False"]


def test_nobody_listens(broker, run):
    broker.stop()
    lines = run(
        broker,
        """
        c = client()
        print(error(c.connect), c.sock)
        print(error(MQTTClient("c", "x" * 64, PORT).connect)[:7])
        """,
    )
    assert lines == ["OSError 111 None", "OSError"]


def test_default_port():
    """1883, and 8883 with TLS; from the shims, as nothing is opened."""
    from umqtt_plus import MQTTClient

    assert MQTTClient("c", "h").port == 1883
    assert MQTTClient("c", "h", ssl=True).port == 8883
    assert MQTTClient("c", "h", 5, ssl=True).port == 5


# DISCONNECT


def test_disconnect_is_the_last_thing(scripted, run):
    """MQTT-3.14.1-1, MQTT-3.14.4-1, MQTT-3.14.4-2: E0 00, then FIN without waiting for us."""
    server = scripted(
        [
            expect_type("CONNECT"),
            send(b"\x20\x02\x00\x00"),
            expect(b"\x30\x04\x00\x01tm\xe0\x00"),
            wait_eof(),
        ]
    )
    lines = run(
        server,
        """
        c = connected(keepalive=5)
        c.publish("t", "m")
        c.disconnect()
        print(c.sock, error(c.publish, "t", "m"), error(c.ping), error(c.check_msg))
        """,
    )
    assert lines == ["None OSError 107 OSError 107 OSError 107"]


def test_disconnect_inside_a_handler(scripted, run):
    """MQTT-3.14.4-2: not even the PUBACK of the message that is being handled follows."""
    server = scripted(
        [
            expect_type("CONNECT"),
            send(b"\x20\x02\x00\x00\x32\x06\x00\x01t\x00\x01a\x32\x06\x00\x01t\x00\x02b"),
            expect(b"\xe0\x00"),
            wait_eof(),
        ]
    )
    lines = run(
        server,
        """
        c = client()
        def stop(topic, msg):
            print(msg)
            c.disconnect()
        c.set_callback(stop)
        c.connect()
        print(error(c.wait_msg, 2000), c.sock)
        """,
    )
    assert lines[0] == "b'a'" and len(lines) == 2 and lines[1].endswith("None")


def test_disconnect_sends_what_waits(broker, run):
    """Acks and messages already accepted go out before it."""
    run(
        broker,
        """
        c = connected()
        c.subscribe("t", 1)
        c.publish("t", "m", qos=1)
        for i in range(4):
            c.publish_nowait("u", str(i), qos=1 + i % 2)
        c.disconnect()
        """,
    )
    assert [m.payload for m in broker.messages("u")][:1] == [b"0"]
    assert inbound(broker, type="PUBLISH", topic="u") == ["PUBLISH"] * 4
    assert inbound(broker)[-1] == "DISCONNECT"


def test_disconnect_on_a_dead_link(broker, program):
    """No error, no wait: there is nobody to say goodbye to."""
    child = program(
        broker,
        """
        c = connected()
        print("up")
        go()
        t = ticks_ms()
        c.disconnect()
        print(ticks_diff(ticks_ms(), t) < 5000, c.sock)
        """,
    )
    child.expect("up")
    broker.kill("c")
    child.send_line("")
    assert child.wait().stdout.splitlines()[-1] == "True None"


# Deadlines


def test_unanswered_calls_keep_the_link(broker, program):
    """Each raises in time; the socket stays, a late answer does no harm (MQTT-2.3.1-7)."""
    broker.hold_acks("c")
    child = program(
        broker,
        """
        def in_time(t):
            return 150 <= ticks_diff(ticks_ms(), t) < 5000

        def took(f, *args, **options):
            t = ticks_ms()
            print(error(f, *args, timeout_ms=150, **options), in_time(t))
        c = connected()
        took(c.subscribe, "t")
        took(c.unsubscribe, "u")
        took(c.publish, "t", "m", qos=1)
        took(c.publish, "t", "m", qos=2)
        took(c.publish_stream, "u", 1000, lambda buf, offset: len(buf), qos=1)
        t = ticks_ms()
        print(c.wait_msg(150), in_time(t))
        t = ticks_ms()
        print(c.check_msg(), ticks_diff(ticks_ms(), t) < 1000)
        print(c.sock is not None, c.stats()["in_flight"])
        go()
        until(c, lambda: not c.stats()["in_flight"])
        print(c.subscribe("t", 1), c.publish("t", "n", qos=1))
        c.disconnect()
        """,
    )
    child.expect("True 3$")
    broker.release()
    child.send_line("")
    lines = child.wait().stdout.splitlines()
    assert lines == ["OSError 110 True"] * 5 + ["False True", "False True", "True 3", "1 7"]
    assert len(inbound(broker, type="CONNECT")) == 1


BLOCKED = """
    c = client(timeout_ms=300)
    c.set_last_will("will", "gone")
    c.connect()
    print("up")
    go()
    big = bytes(20000)
    t = ticks_ms()
    result = "none"
    while result[:4] == "none" and ticks_diff(ticks_ms(), t) < 20000:
        t = ticks_ms()
        result = error({call})
    print(result, 300 <= ticks_diff(ticks_ms(), t) < 2000, c.sock)
    print(error(c.publish, "t", "m"))
"""


@pytest.mark.parametrize(
    "call",
    [
        "c.publish, 't', big",
        "c.publish, 't', big[:400]",
        "c.publish, 't', big, timeout_ms=300",
        "c.publish_stream, 't', 50000000, lambda buf, offset: len(buf)",
        "c.publish_stream, 't', 50000000, lambda buf, offset: len(buf), False, 2",
    ],
)
def test_a_blocked_write_ends_the_link(broker_factory, program, call):
    """The server reads nothing: OSError at the deadline, and closed if a packet is unfinished."""
    broker = broker_factory(receive_buffer=2048)
    child = program(broker, BLOCKED.format(call=call))
    child.expect("up")
    broker.pause_reading("c")
    child.send_line("")
    lines = child.wait(30).stdout.splitlines()
    assert lines[1:] == ["OSError 110 True None", "OSError 107"]
    assert not inbound(broker, type="DISCONNECT")


def test_disconnect_from_a_server_that_reads_nothing(broker_factory, program):
    """Takes no longer than timeout_ms."""
    broker = broker_factory(receive_buffer=2048)
    child = program(
        broker,
        """
        c = connected(timeout_ms=300)
        print("up")
        go()
        for i in range(2000):
            if not c.publish_nowait("t", bytes(20000)):
                break
        t = ticks_ms()
        c.disconnect()
        print(i < 1999, 300 <= ticks_diff(ticks_ms(), t) < 1500, c.sock)
        """,
    )
    child.expect("up")
    broker.pause_reading("c")
    child.send_line("")
    assert child.wait(30).stdout.splitlines()[-1] == "True True None"


def test_a_slow_reader_gets_everything(broker_factory, program):
    """The write goes on where it stopped; keep alive and acks work meanwhile (MQTT-7.1.2-1)."""
    broker = broker_factory(receive_buffer=2048)
    child = program(
        broker,
        """
        c = connected(keepalive=60)
        print("up")
        go()
        for i in range(40):
            c.publish("t", bytes([i]) * 50000, qos=0)
        for i in range(40):
            c.publish("t", bytes([i]) * 400, qos=1 + i % 2)
        c.disconnect()
        """,
    )
    child.expect("up")
    broker.pause_reading("c")
    child.send_line("")
    broker.resume_reading("c")
    child.wait(30)
    got = [m.payload for m in broker.messages("t")]
    assert got == [bytes([i]) * 50000 for i in range(40)] + [bytes([i]) * 400 for i in range(40)]
