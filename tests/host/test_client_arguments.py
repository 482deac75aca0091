"""Bad arguments: ValueError names the argument and its limit, nothing is sent, nothing changes."""

import pytest

CALLS = [
    # (call, what the error must name)
    ("c.publish('t', b'm', qos=3)", "qos 3 2"),
    ("c.publish('t', b'm', qos=-1)", "qos -1 2"),
    ("c.publish_nowait('t', b'm', qos=3)", "qos 3 2"),
    ("c.publish_stream('t', 5, fill, qos=3)", "qos 3 2"),
    *[
        (f"c.{verb}", "topic")
        for topic in (
            "'a\\x00b'",  # MQTT-1.5.3-2
            "''",  # MQTT-4.7.3-1
            "'a/+'",  # MQTT-3.3.2-2, MQTT-4.7.1-1
            "'#'",
            "b'\\xed\\xa0\\x80'",  # MQTT-1.5.3-1: a surrogate
            "b'\\xc0\\x80'",
            "b'a\\xff'",
            "b'\\xe2\\x82'",
            "b't' * 65536",
            "b't' * 600",
        )
        for verb in (
            f"publish({topic}, b'm')",
            f"publish({topic}, b'm', qos=1)",
            f"publish_nowait({topic}, b'm', qos=2)",
        )
    ],
    ("c.publish_stream('a/+', 5, fill)", "topic"),
    ("c.publish_stream('a/+', 5, fill, qos=1)", "topic"),
    ("c.publish_stream('t', 0, fill)", "length 0 1"),
    ("c.publish_stream('t', 268435456, fill)", "length 268435456"),
    ("c.publish('t', bytes(512), qos=1)", "msg buffer_size 513 50"),
    ("c.publish('t', bytes(512), qos=2)", "msg buffer_size 513 50"),
    ("c.subscribe([])", "topic filters 0 1"),  # MQTT-3.8.3-3
    ("c.unsubscribe([])", "topic filters 0 1"),  # MQTT-3.10.3-2
    *[
        (f"c.{verb}subscribe({topic_filter})", "topic_filter")
        for topic_filter in (
            "''",  # MQTT-4.7.3-1
            "'a\\x00'",
            "'a#'",  # MQTT-4.7.1-2
            "'a/#/b'",
            "'##'",
            "'a+'",  # MQTT-4.7.1-3
            "'+a'",
            "'a/b+/c'",
            "b'\\xed\\xa0\\x80'",
            "['ok', 'a#']",
            "b't' * 65536",
        )
        for verb in ("", "un")
    ],
    ("c.subscribe('t', 3)", "qos 3 2"),  # MQTT-3.8.3-4
    ("c.subscribe([('t', 1), ('u', 3)])", "qos 3 2"),
    ("c.subscribe(b't' * 600)", "topic filters buffer_size"),
    ("c.set_last_will('t', b'm', qos=3)", "qos 3 2"),  # MQTT-3.1.2-14
    ("c.set_last_will('a/+', b'm')", "topic"),
    ("c.set_last_will('', b'm')", "topic"),
    ("c.set_last_will('a\\x00', b'm')", "topic"),
    ("c.set_last_will('t', bytes(65536))", "msg 65536 65535"),
]

CONSTRUCTORS = [
    ("'a\\x00b'", "client_id"),
    ("b'\\xed\\xa0\\x80'", "client_id"),
    ("b'c' * 65536", "client_id 65536 65535"),
    ("'c', user='a\\x00'", "user"),
    ("'c', user=b'\\xff'", "user"),
    ("'c', password='x'", "password user"),  # MQTT-3.1.2-22
    ("'c', user='u', password=bytes(65536)", "password 65536 65535"),
    ("'c', keepalive=-1", "keepalive -1 65535"),
    ("'c', keepalive=65536", "keepalive 65536 65535"),
    ("'c', version=3", "version 3 4"),
    ("'c', version=6", "version 6 4 5"),
    ("'c', properties={'receive_maximum': 5}", "version 4 5"),
    ("'c', version=5, properties={'receive_maximum': 0}", "receive_maximum 0 1"),
    ("'c', version=5, properties={'no_such': 0}", "no_such"),
    ("'c', version=5, properties={'content_type': 'x'}", "content_type CONNECT"),
    ("'c', version=5, retry_ms=1000", "retry_ms"),
    ("'c', buffer_size=10", "buffer_size 10 64"),
    ("'c', inflight=-1", "inflight -1"),
    ("'c', inflight=70000", "inflight 70000"),
]


@pytest.mark.parametrize("qos", [0, 1])
def test_calls(broker, run, qos):
    """Each bad call while connected; a good publish behind it works as if nothing had been."""
    lines = run(
        broker,
        f"""
        def fill(buf, offset):
            raise SystemExit("the source is asked")
        c = connected()
        c.publish("good", "before", qos={qos})
        calls = {[call for call, _ in CALLS]!r}
        before = None
        for text in calls:
            print(error(eval, text))
            c.publish("good", text, qos={qos})
            stats = c.stats()
            if before and stats != before:
                print("changed", stats)
            before = stats
        c.disconnect()
        """,
    )
    wrong = [
        f"{call}: {line}, wanted {names}"
        for (call, names), line in zip(CALLS, lines, strict=True)
        if not line.startswith("ValueError ") or not all(name in line for name in names.split())
    ]
    assert wrong == []
    sent = broker.packets(direction="in", type=("PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE"))
    assert [event.payload.decode() for event in sent] == ["before", *(call for call, _ in CALLS)]
    assert len(broker.packets(direction="in")) == len(sent) + 2  # CONNECT, DISCONNECT
    ids = [event.packet_id for event in sent]
    assert ids == (list(range(1, len(sent) + 1)) if qos else [0] * len(sent))
    assert not broker.packets(direction="in", type="MALFORMED")


def test_constructors(broker, run):
    lines = run(
        broker,
        f"""
        for text in {[call for call, _ in CONSTRUCTORS]!r}:
            print(error(eval, "client(" + text + ")"))
        """,
    )
    wrong = [
        f"{call}: {line}, wanted {names}"
        for (call, names), line in zip(CONSTRUCTORS, lines, strict=True)
        if not line.startswith("ValueError ") or not all(name in line for name in names.split())
    ]
    assert wrong == []
    assert len(broker.log) == 0


def test_connect_does_not_fit(broker, run):
    """Client id, will, user and password must fit into the buffer together; no TCP connection."""
    lines = run(
        broker,
        """
        print(error(client, "c" * 200, buffer_size=64))
        print(error(client, "c", user="u" * 100, password="p" * 100, buffer_size=64))
        c = client("c", buffer_size=64)
        c.set_last_will("t", bytes(200))
        print(error(c.connect), c.sock)
        c.set_last_will("t", "gone")
        c.connect()
        c.disconnect()
        """,
    )
    for line in lines:
        assert line.startswith("ValueError CONNECT") and "buffer_size" in line
    assert len(lines) == 3
    assert len(broker.packets(type="OPEN")) == 1


def test_empty_client_id_needs_a_clean_session(broker, run):
    """MQTT-3.1.3-7, MQTT-3.1.3-8."""
    lines = run(
        broker,
        """
        c = client("")
        print(error(c.connect, False), c.sock)
        print(error(c.connect))
        c.publish("t", "m", qos=1)
        c.disconnect()
        """,
    )
    assert lines[0].startswith("ValueError client_id") and lines[0].endswith("None")
    assert lines[1:] == ["none: False"]
    assert len(broker.packets(type="OPEN")) == 1
    assert len(broker.messages("t")) == 1


def test_a_bad_argument_keeps_a_live_connection(broker, run):
    """connect() with bad settings does not end the connection that is up."""
    lines = run(
        broker,
        """
        c = connected("")
        print(error(c.connect, False)[:20])
        c.publish("t", "m", qos=1)
        c.disconnect()
        """,
    )
    assert lines == ["ValueError client_id"]
    assert len(broker.packets(type="OPEN")) == 1


def test_qos_above_0_needs_tables(broker, run):
    lines = run(
        broker,
        """
        c = connected(inflight=0)
        for qos in (1, 2):
            print(error(c.publish, "t", "m", qos=qos))
            print(error(c.publish_nowait, "t", "m", qos=qos))
            print(error(c.publish_stream, "t", 5, None, qos=qos))
        print(error(c.subscribe, "t", 2))
        c.publish("t", "m")
        c.disconnect()
        """,
    )
    assert len(lines) == 7
    for line in lines:
        assert line.startswith("ValueError qos") and "inflight" in line
    assert [e.type for e in broker.packets(direction="in")] == ["CONNECT", "PUBLISH", "DISCONNECT"]


def test_payloads_that_are_no_bytes(broker, run):
    """A TypeError, and the connection is as before."""
    lines = run(
        broker,
        """
        c = connected()
        for qos in (0, 1, 2):
            for msg in (5, None, [1], 1.5):
                try:
                    c.publish("t", msg, qos=qos)
                    print("sent", msg)
                except (TypeError, AttributeError):
                    pass
        for qos in (0, 1, 2):
            for msg in (b"b", bytearray(b"a"), memoryview(b"m"), "s\u00e9"):
                c.publish("t", msg, qos=qos)
        print(c.stats()["in_flight"])
        c.disconnect()
        """,
    )
    assert lines == ["0"]
    assert [m.payload for m in broker.messages("t")] == [b"b", b"a", b"m", "s\u00e9".encode()] * 3
