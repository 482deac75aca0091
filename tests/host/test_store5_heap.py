"""A store of MQTT 5.0 allocates nothing in steady state, either: as test_store_heap.py, with
prebuilt properties out, one of which watches the clock, and properties in."""

from test_store_heap import PUBLISH, RECEIVE, WORLD

COUNT = 100
FIVE = """
    from umqtt_plus.properties import encode

    x = encode("PUBLISH", {"content_type": "text", "message_expiry_interval": 99})
    y = encode("PUBLISH", {"user_property": [("k", "v")]})
"""


def world(extra="pass", options=""):
    text = WORLD.format(extra=extra, options=options).replace(
        "inflight=8", "inflight=8, version=5"
    )
    assert "version=5" in text
    return text.replace("    topic =", FIVE + "    topic =")


def test_publish(broker, run, tmp_path):
    text = PUBLISH.format(count=COUNT)
    args = "(topic, payload, False, qos)"
    for verb, more in (("c.publish", ", None, x)"), ("c.publish_nowait", ", y if i & 1 else x)")):
        assert text.count(verb + args) == 1
        text = text.replace(verb + args, verb + args[:-1] + more)
    lines = run(
        broker, world() + text, mpy=True, heapsize="128k", env={"PLACE": tmp_path}, timeout=60
    )
    wanted = [f"{count} {qos * count} {qos}" for qos in (1, 2) for count in (10, COUNT)]
    assert lines == wanted * 2
    sent = [e.properties for e in broker.packets(direction="in", type="PUBLISH")]
    assert len(sent) == 4 * (10 + COUNT)
    assert sum("content_type" in one for one in sent) == 3 * (10 + COUNT)


def test_receive(broker, program, tmp_path):
    """Properties are read where they lie; every seventh message is refused (MQTT5-4.3.3-9)."""
    extra = "if not 30 < m.property(2) <= 60: wrong += 1\n        if n % 7 == 3: m.refuse(0x97)"
    text = world(extra) + RECEIVE.format(count=COUNT)
    child = program(broker, text, mpy=True, heapsize="128k", env={"PLACE": tmp_path})
    for qos in (0, 1, 2):
        for count in (10, COUNT):
            child.expect("^ready$")
            for number in range(count):
                broker.publish(
                    "number", str(number), qos, properties={"message_expiry_interval": 60}
                )
            refused = len(range(3, count, 7))
            found = child.expect(r"^(\d+) (\d+) (\d+) (\d+) (\d)$", timeout=30).groups()
            numbered = count if qos == 2 else 0
            # of a refused one: that it came, and that it has gone
            flushes = 2 * count if qos == 2 else 0
            assert found == tuple(map(str, (count, 0, numbered, flushes, qos)))
    child.wait()
    codes = [e.reason_code for e in broker.packets(direction="in", type="PUBREC")]
    assert codes.count(0x97) == len(range(3, 10, 7)) + refused


def test_not_loaded_without_5(broker, run, tmp_path):
    """A store of 3.1.1 imports none of it."""
    lines = run(
        broker,
        """
        from umqtt_plus.store import Store
        c = client()
        Store(c, os.getenv("PLACE") + "/journal")
        c.set_message(print)
        c.connect(False)
        c.subscribe("t", 2)
        c.publish("t", "1", qos=2)
        c.disconnect()
        print([name for name in sys.modules if name[:11] == "umqtt_plus." and "5" in name])
        """,
        mpy=True,
        env={"PLACE": tmp_path},
    )
    assert lines[-1] == "[]"
