"""Steady state allocates nothing: it runs under micropython.heap_lock(), where any allocation
raises MemoryError. 1000 messages in each direction and QoS, on modules compiled as for a board.
"""

import pytest
from umqtt_harness.scripted import expect_type, send, wait_eof

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
                c.wait_msg(5000)
                turns -= 1
                if not turns:
                    raise SystemExit("no room in the table")
            c.check_msg()
        while qos and done < count:
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


def test_large_payloads_and_partial_writes(broker_factory, run):
    """QoS 0 from where the payload lies, through a socket that takes a few KB at a time."""
    broker = broker_factory(receive_buffer=2048)
    run(
        broker,
        """
        from micropython import heap_lock, heap_unlock
        c = connected(buffer_size=256, keepalive=60)
        topic = b"t"
        payload = bytes(20000)

        def send(count):
            for i in range(count):
                c.publish(topic, payload)
                c.publish(topic, topic, False, 1 + i % 2)

        send(3)
        heap_lock()
        try:
            send(300)
        finally:
            heap_unlock()
        c.disconnect()
        """,
        mpy=True,
        heapsize="80k",
    )
    sizes = [len(m.payload) for m in broker.messages("t")]
    assert sizes == [20000, 1] * 303


def test_pings_and_idle_calls(broker, run):
    """Keep alive, check_msg(), ping(), next_deadline() and a wait that ends at its deadline."""
    lines = run(
        broker,
        """
        from micropython import heap_lock, heap_unlock
        c = connected(keepalive=2)

        def idle(ms):
            end = ticks_add(ticks_ms(), ms)
            while ticks_diff(end, ticks_ms()) > 0:
                c.wait_msg(50)
                c.check_msg()
                c.next_deadline()

        c.ping()
        idle(1400)
        heap_lock()
        try:
            idle(3000)
            c.ping()
            idle(100)
        finally:
            heap_unlock()
        print(c.stats()["pings"] > 3)
        c.disconnect()
        """,
        mpy=True,
        heapsize="64k",
    )
    assert lines == ["True"]


def test_pieces_and_replies_inside_a_handler(broker, program):
    """set_stream(), and a handler that looks at its message and publishes an answer."""
    child = program(
        broker,
        """
        from micropython import heap_lock, heap_unlock
        buf = bytearray(600)
        small = bytes(200)
        out = b"out"
        c = client(buffer_size=256, inflight=8)
        total = n = seen = done = replies = 0

        def published(packet_id):
            global done
            done += 1

        def message(m):
            global n, seen, replies
            if m.payload_is(b"hello") and m.topic_is(b"in") and len(m) == 5:
                seen += 1 + m.qos
            if not (m.retain or m.dup):
                c.publish_nowait(out, small, False, 0)
                if c.publish_nowait(out, out, False, 1 + n % 2):
                    replies += 1
            n += 1

        def piece(m):
            global total
            total += m.payload_into(buf)

        c.set_message(message)
        c.set_stream(piece)
        c.on_published(published)
        c.connect()
        c.subscribe("in", 2)
        for count, size in ((3, 5000), (100, 100000)):
            n = total = seen = done = replies = 0
            print("ready")
            if count > 3:
                heap_lock()
            try:
                while n < count or total < size or done < replies:
                    if not c.wait_msg(5000):
                        break
            finally:
                if count > 3:
                    heap_unlock()
            print(n, total, seen, replies > 2)
        c.disconnect()
        """,
        mpy=True,
        heapsize="80k",
    )
    for count, size in ((3, 5000), (100, 100_000)):
        child.expect("^ready$")
        for i in range(count):
            broker.publish("in", "hello", i % 3)
        broker.publish("in", bytes(size), 2)
        wanted = sum(1 + i % 3 for i in range(count))
        assert child.expect(r"^(\d+) (\d+) (\d+) True$").group() == f"{count} {size} {wanted} True"
    child.wait()


def test_a_broken_rule_closes_all_the_same(scripted, run):
    """E62 with no heap left: an exception takes some, but the link is closed."""
    server = scripted([expect_type("CONNECT"), send(b"\x20\x02\x00\x00" * 2), wait_eof()])
    lines = run(
        server,
        """
        from micropython import heap_lock, heap_unlock
        c = client()
        c.set_message(print)
        c.connect()
        heap_lock()
        try:
            c.wait_msg(3000)
        except MemoryError:
            heap_unlock()
            print(c.sock)
        """,
        mpy=True,
    )
    assert lines == ["None"]
