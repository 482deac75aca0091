"""Sleeping boards and real brokers: each wake is a new process, with what the medium kept.

The broker sees one session: nothing is subscribed again, nothing is lost, QoS 2 comes once.
"""

from pathlib import Path

import pytest
from umqtt_harness.broker import Fault

TESTS = Path(__file__).resolve().parents[1]

BOARD = """
    import sys
    sys.path.append({tests!r})
    from fakes.machine import Machine
    from umqtt_plus.media import Backup, File
    from umqtt_plus.sleep import RTCMemory, SleepStore
    machine = sys.modules["machine"] = Machine({port!r}, path="registers")

    def message(m):
        print("got", m.number, m.topic.decode(), m.payload.decode())

    c = client("node", inflight=4, buffer_size=128, timeout_ms=5000, keepalive=60)
    store = SleepStore(c, {medium})
    print(store.recovered, store.notes)
    c.set_message(message)
"""
CONNECT = """
    present = c.connect(False)
    print("present", present)
    if not present:
        c.subscribe("to/node", 2)
"""
SLEEP = """
    c.disconnect()
    store.save(b"notes")
"""
MEDIA = {
    "rtc_memory": ("esp32", "RTCMemory()"),
    "backup_registers": ("stm32", "Backup()"),
    "file": ("rp2350", 'File("session")'),
}


@pytest.fixture(params=MEDIA)
def wake(request, program, tmp_path):
    """wake(server, script): one wake, from connect() to save(); the lines that it printed."""
    port, medium = MEDIA[request.param]

    def run(server, script, connect=CONNECT, save=SLEEP):
        head = BOARD.format(tests=str(TESTS), port=port, medium=medium)
        script = head + connect + script + save
        child = program(server, script, mpy=True, heapsize="128k", cwd=tmp_path)
        return child.wait().stdout.splitlines()

    return run


RECEIVE = """
    while c.wait_msg(600) or c.stats()["in_flight"]:
        pass
"""


def test_commands_wait_while_it_sleeps(any_broker, wake, program):
    """They come once each, in order, over many sleeps; a reading goes the other way."""
    assert wake(any_broker, "") == ["new b''", "present False"]
    number = 0
    for _ in range(4):
        sender = program(
            any_broker,
            f"""
            c = connected("sender")
            for i in range({number}, {number} + 3):
                c.publish("to/node", str(i), False, 1 + i % 2)
            c.disconnect()
            """,
        )
        sender.wait()
        lines = wake(any_broker, '    c.publish("from/node", b"reading", False, 2)\n' + RECEIVE)
        assert lines[:2] == ["session b'notes'", "present True"]
        assert [line.split()[-1] for line in lines[2:]] == [str(number + i) for i in range(3)]
        number += 3


def test_each_half_done_handshake(broker, wake):
    """MQTT-4.4.0-1, MQTT-4.3.3-1, MQTT-4.3.3-2: what sleeps between its packets goes on."""
    wake(broker, "")
    for kind, count in (("PUBACK", 1), ("PUBREC", 1), ("PUBCOMP", 1), ("PUBREL", 1)):
        broker.fault(Fault("drop", type=kind, direction="out", client_id="node", count=count))
    broker.publish("to/node", b"once", qos=2)
    lines = wake(
        broker,
        """
    until(c, lambda: c._tab.ids_in.count)
    c.publish_nowait("from/node", "three", False, 2)   # its PUBREC does not come
    c.publish_nowait("from/node", "four", False, 2)    # nor the PUBCOMP of this one
    c.publish_nowait("from/node", "one", False, 1)
    t = c._tab
    until(c, lambda: sorted(t.state) == [0, 2, 3, 4])
    c.wait_msg(200)
    print(c.stats()["in_flight"], c.stats()["awaiting_release"])
        """,
    )
    assert lines[2:] == ["got 1 to/node once", "3 1"]
    mark = broker.mark()
    lines = wake(broker, RECEIVE + "    print(c.stats()['in_flight'], c.stats()['resent'])\n")
    assert lines == ["session b'notes'", "present True", "0 3"]
    resent = broker.packets(
        direction="in", type=("PUBLISH", "PUBREL"), client_id="node", since=mark
    )
    assert [(e.type, e.payload, e.dup) for e in resent if e.type == "PUBLISH"] == [
        ("PUBLISH", b"three", True),
        ("PUBLISH", b"one", True),
    ]
    assert [e.type for e in resent].count("PUBREL") == 2
    arrived = [m.payload for m in broker.messages("from/node")]
    assert sorted(arrived) in ([b"four", b"one", b"one", b"three"], [b"four", b"one", b"three"])
    assert len(broker.packets(direction="in", type="SUBSCRIBE")) == 1
    assert len(broker.packets(direction="in", type="CONNECT", client_id="node")) == 3
    lines = wake(broker, RECEIVE)
    assert lines == ["session b'notes'", "present True"]


def test_who_sleeps_without_save_begins_anew(broker, wake):
    """And so does who is reset while awake: ids of an old snapshot could swallow new messages."""
    wake(broker, "")
    broker.drop("PUBREC", client_id="node")
    wake(broker, '    c.publish_nowait("from/node", "lost", False, 2)\n    c.wait_msg(200)\n')
    broker.clear_faults()
    wake(broker, "    c.sock.close()\n", save="")
    assert wake(broker, "") == ["new b''", "present False"]
    broker.publish("to/node", b"x", qos=2)
    lines = wake(broker, RECEIVE)
    assert lines == ["session b'notes'", "present True", "got 1 to/node x"]


def test_an_hour_of_wakes(broker, wake):
    """The link breaks behind and before each kind of packet, at one wake after the other."""
    wake(broker, "")
    kinds = ("PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP")
    cuts = [(kind, way, at) for at in (None, 0) for kind in kinds for way in ("in", "out")]
    got = []
    sent = []
    for n, (kind, direction, at) in enumerate(cuts):
        broker.publish("to/node", b"%d" % n, qos=2)
        broker.fault(Fault("kill", type=kind, direction=direction, client_id="node", at=at))
        lines = wake(
            broker,
            f"""
    try:
        if not c.connect(False):
            raise SystemExit("a new session")
        print(c.publish_nowait("from/node", "{n}", False, 2) and "sent {n}")
        while c.wait_msg(150):
            pass
    except OSError:
        pass
            """,
            connect="",
        )
        assert lines[0] == "session b'notes'", cuts[n]
        got += [line for line in lines[1:] if line[:3] == "got"]
        sent += [line[5:].encode() for line in lines if line[:4] == "sent"]
        broker.clear_faults()
    got += wake(broker, RECEIVE)[2:]
    assert [line.split()[-1] for line in got] == [str(n) for n in range(len(cuts))]
    assert [line.split()[1] for line in got] == [str(n + 1) for n in range(len(cuts))]
    assert len(sent) > 10  # the others found no link, or a full table
    assert [m.payload for m in broker.messages("from/node")] == sent
    assert len(broker.packets(direction="in", type="SUBSCRIBE")) == 1


def test_awake_it_allocates_nothing(broker, program, tmp_path):
    """QoS 1 and 2, both ways, under heap_lock()."""
    head = BOARD.format(tests=str(TESTS), port="esp32", medium="RTCMemory()")
    script = """
    from micropython import heap_lock, heap_unlock
    n = 0

    def count(m):
        global n
        n += 1

    c.set_message(count)
    topic = b"to/node"

    def work(times):
        global n
        n = 0
        for i in range(times):
            c.publish(topic, topic, False, 1 + i % 2)
            while n <= i:
                c.wait_msg(1000)

    work(10)
    heap_lock()
    try:
        work(300)
    finally:
        heap_unlock()
    print(n, machine.writes)
    """
    child = program(
        broker, head + CONNECT + script + SLEEP, mpy=True, heapsize="128k", cwd=tmp_path
    )
    assert child.wait().stdout.splitlines()[-1] == "300 0"


AIO = """
    import asyncio
    import sys
    sys.path.append({tests!r})
    from fakes.machine import Machine
    from umqtt_plus.aio import MQTTClient
    from umqtt_plus.sleep import RTCMemory, SleepStore
    machine = sys.modules["machine"] = Machine("esp32", path="registers")

    def message(m):
        print("got", m.payload.decode())

    async def main():
        c = MQTTClient("node", HOST, PORT, buffer_size=128)
        store = SleepStore(c, RTCMemory())
        c.set_message(message)
        if not await c.connect(False):
            await c.subscribe("to/node", 2)
        try:
            await c.publish("from/node", "x", False, 2, timeout_ms=2000)
        except OSError as e:
            print(e.args[0])
        try:
            store.save()
        except OSError as e:
            print(e.args[0])
        await c.disconnect()
        store.save()
        print(machine.length > 0, c.stats()["in_flight"])

    asyncio.run(main())
"""


def test_with_asyncio(broker, program, tmp_path):
    def run():
        script = AIO.format(tests=str(TESTS))
        child = program(broker, script, mpy=True, heapsize="128k", cwd=tmp_path)
        return child.wait().stdout.splitlines()

    broker.drop("PUBCOMP", client_id="node")
    assert run() == ["110", "114", "True 1"]
    broker.clear_faults()
    broker.publish("to/node", b"command", qos=2)
    assert sorted(run()) == ["114", "True 0", "got command"]
    assert [m.payload for m in broker.messages("from/node")] == [b"x", b"x"]
    assert len(broker.packets(direction="in", type="SUBSCRIBE")) == 1
    assert not broker.packets(direction="in", type="PUBLISH", dup=True)
