"""version="auto", and a Link with MQTT 5.0, over real sockets: both fronts."""

import pytest
from umqtt_harness.broker import Fault

pytest_plugins = ["scripts.aio_place"]

QUIRKS = ["refuse_5_with_1", "refuse_5_with_0x84", "refuse_5_by_closing"]


def levels(broker):
    """The protocol level of each CONNECT."""
    return [e.raw[8] for e in broker.packets(direction="in", type="CONNECT")]


AIO = """
    from aio_world import *
    from umqtt_plus.aio import MQTTClient

    @start
    async def main():
        c = MQTTClient("c", HOST, PORT, version="auto", keepalive=60, timeout_ms=5000)
        c.set_last_will("will", "w", properties={"will_delay_interval": 1})
        for i in range(2):
            print(await c.connect(False), c.version)
            await c.subscribe("t", 2, retain_handling=1)
            for qos in (1, 2, 0):
                await c.publish("t", str(qos), qos=qos, properties={"content_type": "x"})
            n = 0
            async for m in c:
                print(m.payload, m.qos, m.properties)
                n += 1
                if n == 3:
                    break
            await until(lambda: not c.stats()["awaiting_release"])
            print(await c.unsubscribe("t"))
            await c.disconnect(4 if i else 0)
"""

SYNC = """
    c = client(version="auto", keepalive=60, timeout_ms=5000)
    c.set_last_will("will", "w", properties={"will_delay_interval": 1})
    got = []
    c.set_message(lambda m: got.append((m.payload, m.qos, m.properties)))
    for i in range(2):
        print(c.connect(False), c.version)
        c.subscribe("t", 2, retain_handling=1)
        for qos in (1, 2, 0):
            c.publish("t", str(qos), qos=qos, properties={"content_type": "x"})
        until(c, lambda: len(got) == 3 and not c.stats()["awaiting_release"])
        while got:
            print(*got.pop(0))
        print(c.unsubscribe("t"))
        c.disconnect(4 if i else 0)
"""


@pytest.mark.parametrize("script", [AIO, SYNC], ids=["aio", "sync"])
@pytest.mark.parametrize("quirk", [*QUIRKS, "none"])
def test_auto(broker_factory, run, quirk, script):
    """3.1.1 where the server refuses 5.0 (E70, MQTT5-3.1.2-2): within one connect(), and at once
    the next time; the same program runs with both."""
    old = quirk != "none"
    broker = broker_factory(quirks=[quirk] if old else [])
    lines = run(broker, script)
    x = "{}" if old else "{'content_type': b'x'}"
    version = 4 if old else 5
    got = [f"b'{qos}' {qos} {x}" for qos in (1, 2, 0)] + ["0"]
    assert lines == [f"False {version}", *got, f"True {version}", *got]
    assert levels(broker) == ([5, 4, 4] if old else [5, 5])
    properties = [m.properties.get("content_type") for m in broker.messages("t")]
    assert properties == [None if old else "x"] * 6
    broker.advance(2)
    broker.wait_until(lambda: len(broker.messages("will")) == 1)


@pytest.mark.parametrize("quirk", QUIRKS)
@pytest.mark.parametrize("front", ["aio", "sync"])
def test_auto_carries_over(broker_factory, program, quirk, front):
    """Messages with properties wait when another server turns out to know 3.1.1 alone: all of
    them arrive. One that only closes gives no proof: the client keeps to 5.0, and to them."""
    new, old = broker_factory(), broker_factory(quirks=[quirk])
    new.drop("PUBACK", count=9)
    new.drop("PUBREC", count=9)
    script = """
        from world import client as sync
        from aio_world import *

        def put(c):
            for i in range(4):
                x = {"content_type": str(i), "user_property": [("k", "v" * 40)] * i}
                print(c.publish_nowait("t/%d" % i, "m" * 50 * i, qos=1 + i % 2, properties=x))
            print("sent")
    """
    if front == "aio":
        script += """
        @start
        async def main():
            c = client(version="auto")
            await c.connect(False)
            put(c)
            await go()
            await c.disconnect()
            c.port = OTHER
            print(await error(c.connect(False)), c.version)
            await until(lambda: c.version == 5 or not c.stats()["in_flight"])
            print(c.stats()["in_flight"])
            await c.disconnect()
        """
    else:
        script += """
        c = sync(version="auto")
        c.connect(False)
        put(c)
        sys.stdin.readline()
        c.disconnect()
        c.port = OTHER
        try:
            print("none:", c.connect(False), c.version)
        except OSError as e:
            print("OSError", e.args[0], c.version)
        while c.version == 4 and c.stats()["in_flight"]:
            c.wait_msg(100)
        print(c.stats()["in_flight"])
        c.disconnect()
        """
    child = program(new, script.replace("OTHER", str(old.port)))
    child.expect("^sent\n")
    new.wait_for(type="PUBLISH", direction="in", count=4)
    child.send_line("")
    lines = child.wait().stdout.splitlines()[5:]
    assert old.violations == []
    if quirk == "refuse_5_by_closing":
        assert lines == ["OSError 104 5", "4"] and levels(old) == [5]
        return
    assert lines == ["none: False 4", "0"] and levels(old) == [5, 4]
    got = sorted((m.topic, len(m.payload)) for m in old.messages())
    assert got == [(f"t/{i}", 50 * i) for i in range(4)]


def test_auto_and_a_server_that_is_not_up(broker, program):
    """It refuses all connections, closes them, then serves 5.0: nothing of that means 3.1.1."""
    broker.refuse_tcp("close", 4)
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = client(version="auto")
            async with link(c, "t") as l:
                await l.wait_up()
                print(c.version)
                await c.publish("t", "m", qos=2, properties={"content_type": "x"})
                async for m in c:
                    print(m.properties)
                    break
        """,
    )
    assert child.wait().stdout.splitlines() == ["5", "{'content_type': b'x'}"]
    assert levels(broker) == [5]


# Link


STAGES = """
    from aio_world import *

    @start
    async def main():
        def down(e):
            errors.append(text(e))
            if len(errors) == 2:  # from here on nothing fails
                c.timeout_ms = 10000

        errors = []
        c = client(version=5, timeout_ms=MS)
        c.messages()
        l = link(c, [("in", 1)], on_down=down, cap_ms=60, slow_ms=60)
        async with l:
            await l.wait_up()
            print("up", errors)
            await c.publish("in", "mine", qos=1, properties={"content_type": "x"})
            async for m in c:
                print(m.payload, m.properties, l.granted)
                break
"""


@pytest.mark.parametrize(
    "prepare, error",
    [
        (lambda b: b.drop("CONNACK", count=2), "OSError 110"),
        (lambda b: b.fault(Fault("kill", type="CONNACK", at=2, count=2)), "OSError 104"),
        (lambda b: b.refuse(0x88, 2, reason_string="not now"), "MQTTException 136"),
        (lambda b: b.refuse(0x87, 2), "MQTTException 135"),
        (lambda b: b.drop("SUBACK", count=2), "OSError 110"),
        (lambda b: b.fault(Fault("garble", type="SUBACK", data=b"\xf0\0", count=2)), None),
    ],
)
def test_each_stage_fails_twice(broker, program, prepare, error):
    prepare(broker)
    child = program(broker, STAGES.replace("MS", "500" if error == "OSError 110" else "10000"))
    lines = child.wait().stdout.splitlines()
    assert lines == [
        f"up {[error or 'MQTTException 130'] * 2}",
        "b'mine' {'content_type': b'x'} b'\\x01'",
    ]


@pytest.mark.parametrize("code, soon", [(0x8D, True), (0xA0, True), (0x8E, False), (0x87, False)])
@pytest.mark.parametrize("front", ["aio", "sync"])
def test_disconnected(broker, program, code, soon, front):
    """At once, or not for a long time; what waits is kept."""
    aio = """
        from aio_world import *

        @start
        async def main():
            l = Link(client(version=5), **options)
            async with l:
                await l.wait_up()
                print("up")
                await until(lambda: told)
                report(l)
                if l.next_try() < 10:
                    await until(lambda: l.up)
                    print("again")
    """
    sync = """
        l = Link(client(version=5), **options)
        while not l.poll(100):
            pass
        print("up")
        while not told:
            l.poll(100)
        report(l)
        while l.next_try() < 10:
            if l.poll(10):
                print("again")
                break
    """
    both = """
        from umqtt_plus.reconnect import Link

        def report(l):
            print(told[0].args[:3], l.next_try() > 500000 // 2 - 1000)

        told = []
        options = {"on_down": told.append, "first_ms": 100000, "slow_ms": 1000000}
    """
    child = program(broker, both + (aio if front == "aio" else sync))
    child.expect("^up\n")
    broker.disconnect("c", code, reason_string="because")
    lines = child.wait().stdout.splitlines()[1:]
    assert lines[0].startswith(f"({code}, 'server', b'because')")
    if code != 0x87:  # of which the wait may be short
        assert lines[0].endswith(str(not soon))
    assert lines[1:] == (["again"] if soon else [])


def test_two_of_one_name(broker, program):
    """Only the newer one lives on; the older one hears 0x8E and keeps away."""
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            links = []
            ups = [0, 0]
            codes = [[], []]

            def make(i):
                def up(present):
                    ups[i] += 1

                return link(
                    client("same", version=5),
                    on_up=up,
                    on_down=lambda e: codes[i].append(e.args[0]),
                )

            a, b = make(0), make(1)
            async with a:
                await a.wait_up()
                async with b:
                    await b.wait_up()
                    await until(lambda: codes[0])
                    for _ in range(20):
                        await b.client.publish("t", "m", qos=1)
                        await sleep_ms(5)
                    print(ups, codes, a.up, b.up)
        """,
    )
    assert child.wait().stdout.splitlines() == ["[1, 1] [[142], []] False True"]


@pytest.mark.parametrize("where", ["CONNACK", "DISCONNECT"])
def test_moved(broker_factory, program, where):
    """To the server that was named, if the program agrees; what waits goes there."""
    old, new = broker_factory(), broker_factory()
    reference = f"elsewhere:1 {new.host}:{new.port}"
    if where == "CONNACK":
        old.refuse(0x9D, server_reference=reference)
    child = program(
        old,
        f"""
        from aio_world import *
        from umqtt_plus.outbox5 import Outbox5

        @start
        async def main():
            def moved(e, places):
                print(hex(e.args[0]), places[0])
                return places[1]

            c = client(version=5)
            async with link(c, "t", on_moved=moved, outbox=Outbox5()) as l:
                await l.wait_up()
                print("up")
                await until(lambda: c.port == {new.port})
                l.publish("t", "m", qos=1, properties={{"content_type": "x"}})
                async for m in c:
                    print(m.payload, m.properties)
                    break
        """,
    )
    child.expect("^up\n")
    if where == "DISCONNECT":
        old.disconnect("c", 0x9D, server_reference=reference)
    lines = [line for line in child.wait().stdout.splitlines() if line != "up"]
    assert lines == ["0x9d ('elsewhere', 1)", "b'm' {'content_type': b'x'}"]
    assert [m.properties for m in new.messages("t")] == [{"content_type": "x"}]


def test_no_aliases_after_0x94(broker_factory, program):
    broker = broker_factory(limits={"topic_alias_maximum": 5})
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            n = 0
            c = client(version=5)
            async with link(c) as l:
                for i in range(2):
                    await until(lambda: c.stats()["connects"] == i + 1 and l.up)
                    for _ in range(3):
                        await c.publish("topic", str(i))
                    await c.publish("done", "", qos=1)
                    print("done")
        """,
    )
    child.expect("^done\n")
    broker.disconnect("c", 0x94)
    child.wait()
    sent = broker.packets(direction="in", type="PUBLISH", topic="topic")
    assert ["topic_alias" in e.properties for e in sent] == [True] * 3 + [False] * 3


def test_a_message_that_ends_each_connection(broker, program):
    """The server answers one of them with DISCONNECT 0x99: it fails, and the rest goes on."""
    broker.drop("PUBREC", count=1)
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = client(version=5)
            async with link(c) as l:
                await l.wait_up()
                bad = create_task(error(c.publish("bad", "m", qos=2)))
                await turns(1)
                good = create_task(error(c.publish("good", "m", qos=2, timeout_ms=5000)))
                print(await bad, await good)
                print(await error(c.publish("more", "m", qos=2)))
        """,
    )
    broker.wait_for(type="PUBLISH", topic="bad", direction="in")
    broker.disconnect("c", 0x99)
    lines = child.wait().stdout.splitlines()
    assert lines[0].startswith("MQTTException 153 none:") and lines[1].startswith("none:")
    assert len(broker.packets(type="PUBLISH", topic="bad", direction="in")) == 1
