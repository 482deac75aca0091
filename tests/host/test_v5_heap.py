"""Steady state with 5.0 allocates nothing, either: as test_client_heap_lock.py, with prebuilt
properties, numbers read from received ones, and aliases both ways.

On the interpreter of the other tests, and on a 32-bit one (where integers and objects are as on a
board) when .cache/micropython32 has one.
"""

from pathlib import Path

import pytest
from umqtt_harness import micropython as harness

COUNT = 200
ROOT = Path(__file__).resolve().parents[2]
SMALL = ROOT / ".cache" / "micropython32" / "micropython"

PUBLISH = """
    from micropython import heap_lock, heap_unlock
    from umqtt_plus.properties import encode

    c = connected(version=5, keepalive=60, inflight={inflight})
    topics = (b"sensor/1", b"sensor/2", b"a")
    payload = b"0123456789abcdef"
    large = bytes(2000)
    x = encode("PUBLISH", {{"content_type": "text", "message_expiry_interval": 99}})
    y = encode("PUBLISH", {{"user_property": [("k" * 70, "v" * 70)]}})
    kinds = (x, None, y, x, x)
    done = 0

    def published(packet_id):
        global done
        done += c.reason_code == 16

    def wait(qos, count):
        for i in range(count):
            c.publish(topics[i % 3], payload, False, qos, None, kinds[i % 5])
            c.publish(topics[0], payload, False, qos)
            if not qos and not i % 10:
                c.publish(topics[i % 2], large, False, 0, None, x)
            {extra}

    def nowait(qos, count):
        turns = 400 * count
        for i in range(2 * count):
            while not c.publish_nowait(topics[i % 2], payload, False, qos, kinds[i % 5]):
                c.wait_msg(5000)
                turns -= 1
                if not turns:
                    raise SystemExit("no room in the table")
            c.check_msg()
        while qos and done < 2 * count:
            if not c.wait_msg(5000):
                raise SystemExit("no answer")

    c.on_published(published)
    for verb in (wait, nowait):
        for qos in (0, 1, 2):
            for count in (10, {count}):  # the first time buffers and modules are made
                done = 0
                if count != 10:
                    heap_lock()
                try:
                    verb(qos, count)
                finally:
                    if count != 10:
                        heap_unlock()
                if done != (2 * count if qos else 0):
                    raise SystemExit("%d published, qos %d" % (done, qos))
    c.disconnect()
    print("done")
"""

RECEIVE = """
    from micropython import heap_lock, heap_unlock
    buf = bytearray(20)
    c = client(version=5, properties={{"topic_alias_maximum": 2}})
    n = wrong = 0

    def message(m):
        global n, wrong
        {extra}
        k = 0
        for i in range(m.payload_into(buf)):
            k = 10 * k + buf[i] - 48
        if k != n or not (m.topic_is(b"number/0") if k % 3 else m.topic_is(b"number/long/1")):
            wrong += 1
        if m.property(2) != (60 if k % 2 and k % 5 else None) or m.property(1) not in (1, None):
            wrong += 1
        if m.property(0x0B) != 5 or m.property(0x23) not in (1, 2, None):
            wrong += 1
        n += 1

    def receive(count):
        while n < count:
            if not c.wait_msg(5000):
                break

    c.set_message(message)
    c.connect()
    c.subscribe(b"number/#", 2, properties={{"subscription_identifier": 5}})
    for qos in (0, 1, 2):
        for count in (10, {count}):
            n = 0
            print("ready")
            if count != 10:
                heap_lock()
            try:
                receive(count)
            finally:
                if count != 10:
                    heap_unlock()
            print(n, wrong, qos)
    c.disconnect()
"""


@pytest.fixture(params=["64", "32"])
def bits(request, monkeypatch):
    """The interpreter that `program` runs."""
    if request.param == "32":
        if not SMALL.exists():
            pytest.skip(f"no 32-bit MicroPython in {SMALL.parent}")
        monkeypatch.setenv("MICROPYTHON", str(SMALL))
    return request.param


def feed(broker, child, counts=(10, COUNT)):
    """What RECEIVE wants to see, QoS by QoS."""
    for qos in (0, 1, 2):
        for count in counts:
            child.expect("^ready$")
            for k in range(count):
                x = {"user_property": [("k", "v")]}
                if k % 2:
                    x.update(message_expiry_interval=60, payload_format_indicator=1)
                topic = "number/0" if k % 3 else "number/long/1"
                broker.publish(topic, str(k), qos, properties=x if k % 5 else None)
            wanted = (str(count), "0", str(qos))
            assert child.expect(r"^(\d+) (\d+) (\d)$", timeout=15).groups() == wanted


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"topic_alias_maximum": 2},
        {"receive_maximum": 2},
        {"maximum_packet_size": 2100, "topic_alias_maximum": 2},
    ],
)
def test_publish(broker_factory, program, bits, limits):
    """publish() and publish_nowait() of each QoS, topics and properties that take turns; with
    aliases, with a window smaller than the table, and with a size to look after."""
    broker = broker_factory(limits=limits)
    script = PUBLISH.format(extra="", count=COUNT, inflight=4)
    child = program(broker, script, mpy=True, heapsize="96k")
    assert child.wait(30).stdout.splitlines() == ["done"]
    sent = broker.packets(direction="in", type="PUBLISH")
    for qos in (0, 1, 2):
        some = [e for e in sent if e.qos == qos]
        assert len(some) == 4 * (10 + COUNT) + (1 + COUNT // 10 if not qos else 0)
        assert not any(e.dup for e in some)
    used = {e.properties.get("topic_alias") for e in sent}
    assert used == ({1, 2, None} if "topic_alias_maximum" in limits else {None})


@pytest.mark.parametrize("quirks", [[], ["rotate_aliases"]])
def test_receive(broker_factory, program, bits, quirks):
    """set_message(), topic_is(), property() of a number; with aliases of the server."""
    broker = broker_factory(quirks=quirks)
    script = RECEIVE.format(extra="", count=COUNT)
    child = program(broker, script, mpy=True, heapsize="96k")
    feed(broker, child)
    child.wait()
    aliases = {e.properties.get("topic_alias") for e in broker.packets(type="PUBLISH")}
    assert (aliases != {None}) == bool(quirks)


def test_an_allocation_is_noticed(broker, program, bits):
    """The two scripts above fail with one bytes object too many."""
    script = PUBLISH.format(extra="bytes(i)", count=20, inflight=4)
    result = program(broker, script, mpy=True, heapsize="96k").wait(check=False)
    assert result.returncode and "MemoryError" in result.stdout + result.stderr
    script = RECEIVE.format(extra="m.property(38)", count=20)
    child = program(broker, script, mpy=True, heapsize="96k")
    with pytest.raises((AssertionError, harness.MicroPythonError)):
        feed(broker, child, (10, 20))
    result = child.wait(check=False)
    assert result.returncode and "MemoryError" in result.stdout + result.stderr
