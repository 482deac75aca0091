"""With poll_ms the asyncio client allocates nothing either: 1000 messages in each direction and
QoS under micropython.heap_lock(), while the program itself only awaits sleep_ms.

Waking by the socket allocates a little each time: measured, printed, and bounded.
"""

COUNT = 1000

# The heap is locked from a task's point of view, so no other await may come in between.
PUBLISH = """
    from umqtt_plus.aio import MQTTClient
    from asyncio import run, sleep_ms
    from micropython import heap_lock, heap_unlock
    c = MQTTClient("c", HOST, PORT, keepalive=60, inflight=20, poll_ms=10)
    topic = b"sensor/1"
    payload = b"0123456789abcdef"
    done = 0

    def published(packet_id):
        global done
        done += 1

    async def main():
        global done
        c.on_published(published)
        await c.connect()
        for qos in (0, 1, 2):
            for count in (10, {count}):  # the first time buffers and modules are made
                done = n = turns = 0
                if count != 10:
                    heap_lock()
                try:
                    while n < count or qos and done < count:
                        if n < count and c.publish_nowait(topic, payload, False, qos):
                            n += 1
                        {extra}
                        if n == count or qos and not n % 20:
                            await sleep_ms(1)
                            turns += 1
                            if turns > 20000:
                                break
                finally:
                    if count != 10:
                        heap_unlock()
                print(qos, n, done)
        await c.disconnect()

    run(main())
"""

RECEIVE = """
    from umqtt_plus.aio import MQTTClient
    from asyncio import run, sleep_ms
    from micropython import heap_lock, heap_unlock
    c = MQTTClient("c", HOST, PORT, keepalive=60, poll_ms=10)
    buf = bytearray(20)
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

    async def main():
        global n
        c.set_message(message)
        await c.connect()
        await c.subscribe(b"number", 2)
        for qos in (0, 1, 2):
            for count in (10, {count}):
                n = turns = 0
                print("ready")
                if count != 10:
                    heap_lock()
                try:
                    while n < count and turns < 20000:
                        await sleep_ms(1)
                        turns += 1
                finally:
                    if count != 10:
                        heap_unlock()
                print(qos, n, wrong)
        await c.disconnect()

    run(main())
"""


def test_publish(broker, program):
    """publish_nowait() and the answers to it."""
    script = PUBLISH.format(extra="", count=COUNT)
    child = program(broker, script, mpy=True, heapsize="96k")
    lines = child.wait(40).stdout.splitlines()
    assert lines == [
        f"{qos} {count} {count if qos else 0}" for qos in (0, 1, 2) for count in (10, COUNT)
    ]
    assert len(broker.messages("sensor/1")) == 3 * (10 + COUNT)


def test_receive(broker, program):
    """set_message(): every message, once, in order."""
    child = program(broker, RECEIVE.format(extra="", count=COUNT), mpy=True, heapsize="96k")
    for qos in (0, 1, 2):
        for count in (10, COUNT):
            child.expect("^ready\n")
            for number in range(count):
                broker.publish("number", str(number), qos)
            child.expect(f"^{qos} {count} 0\n", 20)
    child.wait()


def test_an_allocation_is_noticed(broker, program):
    """The proofs above can fail: one object a message is an error."""
    child = program(broker, PUBLISH.format(extra="[n]", count=11), mpy=True, heapsize="96k")
    result = child.wait(check=False)
    assert "MemoryError" in result.stdout + result.stderr
    script = RECEIVE.format(extra="[n]", count=11).replace("20000", "100 and c.sock")
    child = program(broker, script, mpy=True, heapsize="96k")
    for count in (10, 11):
        child.expect("^ready\n")
        for number in range(count):
            broker.publish("number", str(number))
    child.expect("^0 [0-9] 0\n")


def test_a_handler_without_memory(broker, program):
    """Nor is there memory to report it: the client closes or reads on, it is not deaf."""
    child = program(
        broker,
        """
        from umqtt_plus.aio import MQTTClient
        from asyncio import run, sleep_ms
        from micropython import heap_lock, heap_unlock

        async def main():
            n = 0

            def message(m):
                nonlocal n
                n += 1
                if n == 1:
                    [n]

            c = MQTTClient("c", HOST, PORT, poll_ms=10)
            c.set_message(message)
            await c.connect()
            await c.subscribe("t")
            c.publish_nowait("t", "1")
            heap_lock()
            try:
                for _ in range(100):
                    await sleep_ms(2)
            finally:
                heap_unlock()
            try:
                c.publish_nowait("t", "2")
            except OSError:
                pass
            for _ in range(1000):
                if n == 2 or not c.sock:
                    break
                await sleep_ms(5)
            print(n == 2 or not c.sock, n)

        run(main())
        """,
        mpy=True,
        heapsize="96k",
    )
    assert child.wait().stdout.splitlines()[-1].startswith("True ")


def test_pings(broker, program):
    """Keep alive, while nothing else happens."""
    child = program(
        broker,
        """
        from umqtt_plus.aio import MQTTClient
        from asyncio import run, sleep_ms
        from micropython import heap_lock, heap_unlock

        async def main():
            c = MQTTClient("c", HOST, PORT, keepalive=2, poll_ms=10)
            await c.connect()
            while not c.stats()["pings"]:
                await sleep_ms(10)
            heap_lock()
            try:
                turns = 500
                while turns and c._n[1] < 2:  # stats() allocates
                    turns -= 1
                    await sleep_ms(10)
            finally:
                heap_unlock()
            print(c.stats()["pings"] > 1)
            await c.disconnect()

        run(main())
        """,
        mpy=True,
        heapsize="96k",
    )
    assert child.wait().stdout.splitlines() == ["True"]


WAKE = """
    from umqtt_plus.aio import MQTTClient
    from asyncio import run, sleep_ms
    import gc

    async def main():
        n = wakes = 0

        def message(m):
            nonlocal n
            n += 1

        def counted(ms):
            nonlocal wakes
            wakes += ms < 0  # not those of the clock
            return step(ms)

        c = MQTTClient("c", HOST, PORT)
        step = c._step
        c._step = counted
        c.set_message(message)
        await c.connect()
        await c.subscribe(b"t", 1)
        for count in (20, {count}):
            n = 0
            gc.collect()
            gc.disable()
            print("ready")
            while not n:
                await sleep_ms(1)
            wakes = 0
            used = gc.mem_alloc()
            while n < count:
                await sleep_ms(1)
            used = gc.mem_alloc() - used
            gc.enable()
        print("bytes", used, wakes)
        await c.disconnect()

    run(main())
"""


def test_what_a_wake_costs(broker, program, record_property, capsys):
    """Wake mode: so many bytes of heap each time that something comes."""
    count = 300
    child = program(broker, WAKE.format(count=count), mpy=True, heapsize="1m")
    for n in (20, count):
        child.expect("^ready\n")
        mark = broker.mark()
        for i in range(n):
            last = i % 10 == 9  # of ten: they are there before the next
            broker.publish("t", "x", last)
            if last:
                broker.wait_for(direction="in", type="PUBACK", since=mark, count=i // 10 + 1)
    used, wakes = map(int, child.expect(r"^bytes (\d+) (\d+)\n").groups())
    child.wait()
    assert wakes > 20
    per_wake = used / wakes
    record_property("heap_bytes_per_wake", per_wake)
    with capsys.disabled():
        print(f" [{per_wake:.0f} bytes a wake on 64 bits, {wakes} wakes]", end="")
    assert per_wake < 1000
