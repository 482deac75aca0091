"""Steady state allocates nothing: it runs under micropython.heap_lock(), where any allocation
raises MemoryError. 1000 messages in each direction and QoS, on modules compiled as for a board.
"""

import pytest

COUNT = 1000
PIECES = [0, 1, 2, 3, 7]

PUBLISH = """
    from micropython import heap_lock, heap_unlock
    c = connected(keepalive=60)
    topic = b"sensor/1"
    payload = b"0123456789abcdef"
    done = 0

    def published(packet_id):
        global done
        done += 1

    def wait(qos, count):
        for i in range(count):
            c.publish(topic, payload, False, qos)
            {extra}

    def nowait(qos, count):
        turns = 200 * count
        for i in range(count):
            while not c.publish_nowait(topic, payload, False, qos):
                c.wait_msg(1000)
                turns -= 1
                if not turns:
                    raise SystemExit("no room in the table")
            c.check_msg()
        while qos and done < count:
            if not c.wait_msg(1000):
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
                if done != (count if qos else 0):
                    raise SystemExit("%d published, qos %d" % (done, qos))
    c.disconnect()
"""

RECEIVE = """
    from micropython import heap_lock, heap_unlock
    buf = bytearray(20)
    c = client()
    n = wrong = 0

    def message(m):
        global n, wrong
        {extra}
        k = 0
        for i in range(m.payload_into(buf)):
            k = 10 * k + buf[i] - 48
        if k != n or not m.topic_is(b"number"):
            wrong += 1
        n += 1

    def receive(count):
        while n < count:
            if not c.wait_msg(5000):
                break

    c.set_message(message)
    c.connect()
    c.subscribe(b"number", 2)
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


def publishes(broker, qos):
    return broker.packets(direction="in", type="PUBLISH", qos=qos)


@pytest.mark.parametrize("pieces", PIECES)
def test_publish(broker, program, pieces):
    """publish() and publish_nowait(); with `pieces` the answers come so many bytes at a time."""
    broker.split(pieces, pause_ms=0)
    script = PUBLISH.format(extra="", count=COUNT)
    program(broker, script, mpy=True, heapsize="64k").wait(30)
    for qos in (0, 1, 2):
        sent = publishes(broker, qos)
        assert len(sent) == 2 * (10 + COUNT)
        assert not any(event.dup for event in sent)


@pytest.mark.parametrize("pieces", PIECES)
def test_receive(broker, program, pieces):
    """set_message(): every message, once, in order, whatever the stream was cut into."""
    broker.split(pieces, pause_ms=0)
    child = program(broker, RECEIVE.format(extra="", count=COUNT), mpy=True, heapsize="64k")
    for qos in (0, 1, 2):
        for count in (10, COUNT):
            child.expect("^ready$")
            for number in range(count):
                broker.publish("number", str(number), qos)
            assert child.expect(r"^(\d+) (\d+) (\d)$", timeout=15).groups() == (
                str(count),
                "0",
                str(qos),
            )
    child.wait()


def test_an_allocation_is_noticed(broker, program):
    """The two scripts above fail with one bytes object too many."""
    script = PUBLISH.format(extra="bytes(i)", count=20)
    result = program(broker, script, mpy=True, heapsize="64k").wait(check=False)
    assert result.returncode and "MemoryError" in result.stdout + result.stderr
    child = program(broker, RECEIVE.format(extra="bytes(n)", count=20), mpy=True)
    for count in (10, 20):
        child.expect("^ready$")
        for number in range(count):
            broker.publish("number", str(number), 0)
    result = child.wait(check=False)
    assert result.returncode and "MemoryError" in result.stdout + result.stderr
