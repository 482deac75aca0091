"""A client with a store allocates nothing more: 300 messages in each direction and QoS under
micropython.heap_lock(), with a real file and modules compiled as for a board.

The file is written anew before the heap is locked, since that allocates, and is large enough.
"""

import pytest

COUNT = 300

WORLD = """
    import os
    from micropython import heap_lock, heap_unlock
    from umqtt_plus.store import Store
    c = client(keepalive=60, inflight=8)
    s = Store(c, os.getenv("PLACE") + "/journal", 1 << 20{options})
    topic = b"sensor/1"
    payload = b"0123456789abcdef"
    buf = bytearray(20)
    done = n = wrong = numbered = 0

    def published(packet_id):
        global done
        done += 1

    def message(m):
        global n, wrong, numbered
        k = 0
        for i in range(m.payload_into(buf)):
            k = 10 * k + buf[i] - 48
        if k != n or not m.topic_is(b"number"):
            wrong += 1
        if m.number:
            numbered += 1
        {extra}
        n += 1

    c.on_published(published)
    c.set_message(message)
    c.connect(False)
    c.subscribe(b"number", 2)
"""

PUBLISH = """
    def wait(qos, count):
        for i in range(count):
            c.publish(topic, payload, False, qos)

    def nowait(qos, count):
        turns = 200 * count
        for i in range(count):
            while not c.publish_nowait(topic, payload, False, qos):
                c.wait_msg(1000)
                turns -= 1
                if not turns:
                    raise SystemExit("no room in the table")
            c.check_msg()
        while done < count:
            if not c.wait_msg(1000):
                raise SystemExit("no answer")

    for verb in (wait, nowait):
        for qos in (1, 2):
            for count in (10, {count}):
                done = 0
                flushes = s.flushes
                if count != 10:
                    heap_lock()
                try:
                    verb(qos, count)
                finally:
                    if count != 10:
                        heap_unlock()
                print(done, s.flushes - flushes, qos)
    c.disconnect()
"""

RECEIVE = """
    for qos in (0, 1, 2):
        for count in (10, {count}):
            n = numbered = 0
            flushes = s.flushes
            print("ready")
            if count != 10:
                heap_lock()
            try:
                while n < count:
                    if not c.wait_msg(5000):
                        break
                while c._tab.ids_in.count:  # the last PUBRELs
                    if not c.wait_msg(5000):
                        break
            finally:
                if count != 10:
                    heap_unlock()
            print(n, wrong, numbered, s.flushes - flushes, qos)
    c.disconnect()
"""


def script(text, extra="pass", options="", count=COUNT):
    return WORLD.format(extra=extra, options=options) + text.format(count=count)


def test_publish(broker, run, tmp_path):
    """publish() and publish_nowait() with their answers: a flush a QoS 1 message, two a QoS 2."""
    lines = run(
        broker,
        script(PUBLISH),
        mpy=True,
        heapsize="96k",
        env={"PLACE": tmp_path},
        timeout=60,
    )
    wanted = [f"{count} {qos * count} {qos}" for qos in (1, 2) for count in (10, COUNT)]
    assert lines == wanted * 2
    for qos in (1, 2):
        sent = broker.packets(direction="in", type="PUBLISH", qos=qos)
        assert len(sent) == 2 * (10 + COUNT)
        assert not any(event.dup for event in sent)


@pytest.mark.parametrize("inbox_qos", [1, 2, 3])
def test_receive(broker, program, tmp_path, inbox_qos):
    """set_message() with an inbox: two flushes a QoS 2 message, one a QoS 1 with inbox_qos=1."""
    child = program(
        broker,
        script(RECEIVE, options=f", inbox_qos={inbox_qos}"),
        mpy=True,
        heapsize="96k",
        env={"PLACE": tmp_path},
    )
    for qos in (0, 1, 2):
        flushes = 2 if qos == 2 else int(qos == inbox_qos)
        for count in (10, COUNT):
            child.expect("^ready$")
            for number in range(count):
                broker.publish("number", str(number), qos)
            found = child.expect(r"^(\d+) (\d+) (\d+) (\d+) (\d)$", timeout=30).groups()
            numbered = count if qos and qos >= inbox_qos else 0
            assert found == tuple(map(str, (count, 0, numbered, flushes * count, qos)))
    child.wait()


def test_an_allocation_is_noticed(broker, program, tmp_path):
    """The script above fails with one bytes object too many."""
    text = script(RECEIVE, extra="bytes(n)", count=20)
    child = program(broker, text, mpy=True, heapsize="96k", env={"PLACE": tmp_path})
    for count in (10, 20):
        child.expect("^ready$")
        for number in range(count):
            broker.publish("number", str(number), 0)
    result = child.wait(check=False)
    assert result.returncode and "MemoryError" in result.stdout + result.stderr


def test_not_loaded_without_a_store(broker, run):
    """A client without a store imports none of it, whatever it does."""
    lines = run(
        broker,
        """
        c = connected()
        c.set_message(print)
        c.subscribe("t", 2)
        c.publish("t", "1", qos=2)
        c.disconnect()
        c.connect(False)
        c.publish("x", "1", qos=1)
        c.disconnect()
        rooms = ("store", "journal", "inbox", "recover", "queue", "lost", "sleep")
        print([name for name in rooms if "umqtt_plus." + name in sys.modules])
        """,
        mpy=True,
    )
    assert lines[-1] == "[]"


def test_heap_of_a_store(broker, run, tmp_path):
    """What it takes once, and that reading the file back leaves nothing behind."""
    lines = run(
        broker,
        """
        import os
        c = client(inflight=4, buffer_size=256)
        c.connect(False)
        c.publish("x", "1", qos=1)
        c.disconnect()
        import umqtt_plus.verbs
        gc.collect()
        before = gc.mem_alloc()
        from umqtt_plus.store import Store
        s = Store(c, os.getenv("PLACE") + "/journal")
        gc.collect()
        print(gc.mem_alloc() - before)
        print("umqtt_plus.recover" in sys.modules)
        """,
        mpy=True,
        env={"PLACE": tmp_path},
    )
    assert lines[1] == "False"
    print("a store takes", lines[0], "bytes of a 64-bit heap, its modules included")
    assert 0 < int(lines[0]) < 16000
