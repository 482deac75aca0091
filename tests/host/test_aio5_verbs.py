"""The asyncio client with MQTT 5.0: who gets which properties, which answer, which end."""

from peer5 import Peer5
from umqtt_harness.broker import AuthRefused, Fault

pytest_plugins = ["scripts.aio_place"]


def lines_of(program, server, script, *steps):
    """The lines of a script; each step runs when the script has printed its name."""
    child = program(server, script)
    for name, step in steps:
        child.expect(f"^{name}\n")
        step()
    return [s for s in child.wait().stdout.splitlines() if s not in [name for name, _ in steps]]


# Out


def test_tasks_with_properties_of_their_own(place):
    """Eight tasks publish at once, some with a prebuilt block, some with a dict, some without."""
    lines = place.run(
        """
        from aio_world import *
        from umqtt_plus.properties import encode

        @start
        async def main():
            async def task(i):
                x = {"content_type": str(i), "user_property": [("k", str(i))] * i}
                x = (x, encode("PUBLISH", x), None)[i % 3]
                for n in range(9):
                    await c.publish("t/%d" % i, b"%d" % n, qos=n % 3, properties=x)
                    if n % 4 == 3:
                        await sleep_ms(i)

            async def receive():
                left = 72
                async for m in c:
                    i = int(m.topic[2:])
                    x = {} if i % 3 == 2 else {"content_type": b"%d" % i}
                    if x and i:
                        x["user_property"] = [(b"k", b"%d" % i)] * i
                    if m.properties != x:
                        print(m)
                    got[i].append(int(m.payload))
                    left -= 1
                    if not left:
                        break

            got = [[] for _ in range(8)]
            c = await connected(version=5, inflight=3)
            await c.subscribe("t/+", 2)
            r = create_task(receive())
            for t in [create_task(task(i)) for i in range(8)]:
                await t
            await r
            print(all([sorted(x) == list(range(9)) for x in got]))
            await c.disconnect()
        """,
    )
    assert lines == ["True"]


def test_answers_reach_the_right_task(broker, program):
    """Of PUBACK and PUBREC, with the reason string; also when all are refused at once
    (E110, E111, E112, MQTT5-4.3.3-4, MQTT5-4.4.0-2)."""
    broker.answer("PUBACK", 0x97, topic="1/3", reason_string="full")
    broker.answer("PUBREC", 0x87, topic="2/5")
    broker.answer("PUBREC", 0x83, topic="2/6")
    broker.answer("PUBACK", 0x99, topic="1/0")
    broker.drop("PUBACK", client_id="d", count=40)
    child = program(
        broker,
        """
        from aio_world import *

        async def one(c, topic, qos):
            try:
                await c.publish(topic, "m", qos=qos)
            except MQTTException as e:
                return e.args[0], e.args[2]

        @start
        async def main():
            c = await connected(version=5)
            tasks = []
            for i in range(1, 8):
                for qos in (1, 2):
                    t = create_task(one(c, "%d/%d" % (qos, i), qos))
                    tasks.append((qos, i, t))
            for qos, i, t in tasks:
                if await t:
                    print(qos, i, await t)
            print(c.stats()["in_flight"])
            p = c.publish_nowait("1/0", "m", qos=1)
            q = c.publish_nowait("1/1", "m", qos=1)
            print(await error(c.published(p)), await error(c.published(q)))
            await c.disconnect()
            c = await connected("d", version=5, inflight=40)
            tasks = [create_task(one(c, "1/0", 1)) for _ in range(40)]
            await turns(2)
            print("sent")
            n = 0
            for t in tasks:
                n += 1 if await t else 0
            print(n)
            await c.disconnect()
        """,
    )
    child.expect("^sent\n")
    broker.wait_for(client_id="d", type="PUBLISH", direction="in", count=40)
    broker.raw("d", b"".join([b"\x40\x03\0" + bytes((i + 1, 0x97)) for i in range(40)]))
    lines = child.wait().stdout.splitlines()
    refused = ["1 3 (151, b'full')", "2 5 (135, None)", "2 6 (131, None)"]
    assert lines == refused + ["0", "MQTTException 153 none: None", "sent", "40"]
    assert len(broker.packets(client_id="c", type="PUBREL", direction="in")) == 5


def test_publish_waits_for_room(broker, program):
    """With its properties: other tasks publish meanwhile; Receive Maximum 1 holds them up."""
    broker.answer("CONNACK", 0, receive_maximum=1)
    broker.drop("PUBACK", count=1)
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = await connected(version=5, inflight=2)
            tasks = []
            for i in range(6):
                x = {"content_type": str(i)}
                t = c.publish("t/%d" % i, "m", qos=1 + i % 2, properties=x)
                tasks.append(create_task(t))
                await turns(1)
            await c.publish("zero", "m", properties={"content_type": "z"})
            print(await error(c.publish("no", "m", qos=1, timeout_ms=20)))
            print("held")
            for t in tasks:
                await t
            await c.disconnect()
        """,
    )
    assert child.expect("^held\n") is not None
    broker.raw("c", b"\x40\x02\x00\x01")
    child.wait()
    assert child.stdout.splitlines()[0] == "OSError 105"
    told = {m.topic: m.properties.get("content_type") for m in broker.messages()}
    assert told == {"zero": "z", **{f"t/{i}": str(i) for i in range(6)}}


# In


def test_mailbox(any_broker, program):
    """Each message keeps its properties; without any it is an empty dict."""
    lines = lines_of(
        program,
        any_broker,
        """
        from aio_world import *

        @start
        async def main():
            c = await connected(version=5)
            await c.subscribe(["a", ("b", 2)], 1, properties={"subscription_identifier": 7})
            print("go")
            n = 0
            async for m in c:
                print(m.topic, m.payload, m.qos, m.retain)
                print([m.properties[k] for k in sorted(m.properties)])
                n += 1
                if n == 4:
                    break
            await until(lambda: not c.stats()["awaiting_release"])
            await c.disconnect()
        """,
        ("go", lambda: send_all(any_broker)),
    )
    assert lines == [
        "b'a' b'' 0 False", "[7]", "b'b' b'1' 1 False", "[b'text', 7]",
        "b'b' b'2' 2 False", "[b'\\x00', b'r', 7, [(b'k', b'v'), (b'k', b'w')]]",
        "b'a' b'end' 1 False", "[7]",
    ]  # fmt: skip


def send_all(server):
    with Peer5.online(server) as peer:
        peer.publish("a")
        peer.publish("b", b"1", 1, False, 1, (0x03, "text"))
        pairs = (0x09, b"\0"), (0x08, "r"), (0x26, ("k", "v")), (0x26, ("k", "w"))
        peer.publish("b", b"2", 2, False, 2, *pairs)
        peer.publish("a", b"end", 1, False, 3)


def test_subscribe_options(place):
    """No Local, Retain As Published, Retain Handling (MQTT5-3.8.3-3, MQTT5-3.3.1-12,
    MQTT5-3.3.1-9 to -11); codes of UNSUBACK."""
    lines = place.run(
        """
        from aio_world import *

        async def what(c):
            got = []
            while True:
                await c.publish("end", "", qos=1)
                async for m in c:
                    if m.topic == b"end":
                        return got
                    got.append((m.topic, m.retain))

        @start
        async def main():
            c = await connected(version=5)
            d = await connected("d", version=5)
            await d.publish("r/1", "kept", True, 1)
            await c.subscribe("end", 1)
            await c.subscribe("x", 1, no_local=True)
            await c.publish("x", "mine", qos=1)
            await d.publish("x", "other", qos=1)
            print(await what(c))
            for handling in (0, 1, 1, 2):
                await c.subscribe("r/1", retain_as_published=True, retain_handling=handling)
                print(handling, await what(c))
            await d.publish("r/1", "new", True, 1)
            print(await what(c))
            print(await c.unsubscribe("r/1"), await c.unsubscribe(["r/1", "x"]))
            await d.publish("r/1", "", True, 1)
            await d.disconnect()
            await c.disconnect()
        """,
    )
    kept = "[(b'r/1', True)]"
    assert lines == [
        "[(b'x', False)]",
        f"0 {kept}",
        "1 []",
        "1 []",
        "2 []",
        kept,
        "0 b'\\x11\\x00'",
    ]


def test_refused_filters(broker, run):
    """A single one raises the server's code, and the connection stays (E114)."""
    broker.answer("SUBACK", codes=[0x8F])
    broker.answer("SUBACK", codes=[0, 0x87], nth=2)
    broker.answer("UNSUBACK", codes=[0x83])
    lines = run(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = await connected(version=5)
            print(await error(c.subscribe("a")), await error(c.subscribe(["a", "b"])))
            print(await error(c.unsubscribe("a")), await error(c.subscribe("a", 1)))
            await c.disconnect()
        """,
    )
    assert lines == ["MQTTException 143 none: b'\\x00\\x87'", "MQTTException 131 none: 1"]


# How it ends


def test_goodbye_with_a_reason(any_broker, run):
    """0x04 publishes the will, 0 does not (MQTT5-3.14.4-3, MQTT5-3.1.2-8, MQTT5-3.1.2-10)."""
    bundled = hasattr(any_broker, "violations")
    reasons = (0, 4, 0x98) if bundled else (0, 4)  # Mosquitto 2.0.11 drops the will for 0x98
    with Peer5.online(any_broker) as peer:
        peer.subscribe(("will", 1))
        lines = run(
            any_broker,
            f"""
            from aio_world import *

            @start
            async def main():
                for reason in {reasons}:
                    c = client("bye%d" % reason, version=5, keepalive=60)
                    x = {{"content_type": "w"}}
                    c.set_last_will("will", str(reason), qos=1, properties=x)
                    await c.connect()
                    t = create_task(error(c.run()))
                    await turns(2)
                    await c.publish("x", "last", qos=1)
                    c.publish_nowait("x", "behind")
                    await c.disconnect(reason, {{"reason_string": "bye"}} if reason else None)
                    print(await t, await error(c.publish("x", "")))
                print(await error(c.disconnect(0x8E)))
            """,
        )
        wills = [peer.expect("PUBLISH") for _ in reasons[1:]]
        peer.send(b"\xc0\x00")
        peer.expect("PINGRESP")
    assert lines[:-1] == ["none: None OSError 107"] * len(reasons)
    assert lines[-1].startswith("ValueError reason_code")
    assert [int(m.payload) for m in wills] == list(reasons[1:]) and wills[0].prop(3) == "w"
    if bundled:
        events = any_broker.packets(direction="in", type="DISCONNECT")
        codes = [e.reason_code for e in events if e.client_id.startswith("bye")]
        assert codes == [0, 4, 0x98] and events[-2].properties.get("reason_string") == "bye"


def test_everybody_hears_the_server(broker, program):
    """DISCONNECT with a reason: each waiting call raises it, and run() (section H;
    X5-3.14.4-a: nothing is sent back)."""
    broker.drop("PUBACK", count=1)
    broker.drop("SUBACK", count=1)
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            async def receive():
                async for m in c:
                    pass

            def all_of(e):
                return e.args

            c = await connected(version=5)
            c.messages()
            waits = [c.run(), receive(), c.publish("t", "m", qos=1), c.subscribe("s")]
            tasks = [create_task(w) for w in waits]
            await turns(3)
            print("up")
            for t in tasks:
                try:
                    await t
                except MQTTException as e:
                    print(e.args)
            print(await error(c.publish("t", "m")), await error(c.run()))
            print(await c.connect(False))
            await c.disconnect()
        """,
    )
    child.expect("^up\n")
    broker.wait_for(type="SUBSCRIBE", direction="in")
    broker.disconnect("c", 0x9D, reason_string="gone", server_reference="b:7")
    lines = child.wait().stdout.splitlines()[1:]
    assert lines[:4] == ["(157, 'server', b'gone', b'b:7')"] * 4
    assert lines[4:] == ["OSError 107 MQTTException 157", "False"]
    assert not broker.packets(direction="in", type="DISCONNECT")[:-1]


def test_a_lost_session(broker, program):
    """Who waits for a message of it learns 0xFF; what was never sent goes out; client.unresolved
    (E66, MQTT5-3.2.2-5, MQTT5-4.4.0-1)."""
    broker.answer("CONNACK", 0, receive_maximum=2)
    broker.drop("PUBACK", count=9)
    broker.fault(Fault("drop", type="PUBREC", direction="out", count=9))
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = client(version=5)
            c._keep = True
            await c.connect(False)
            tasks = [create_task(error(c.publish("t/%d" % i, "m", qos=1 + i))) for i in range(2)]
            await turns(2)
            later = create_task(error(c.publish("t/2", "m", qos=1)))
            print("up")
            while c._task:
                await sleep_ms(2)
            await go()
            print(await c.connect(False), c.unresolved)
            for t in tasks + [later]:
                print(await t)
            await c.disconnect()
        """,
    )
    child.expect("^up\n")
    broker.wait_for(type="PUBLISH", direction="in", count=2)
    broker.stop(keep_sessions=False)
    broker.clear_faults()
    broker.start()
    child.send_line("")
    lines = child.wait().stdout.splitlines()[1:]
    assert lines[0] == "False [(1, False), (2, False)]"
    assert lines[1:] == ["MQTTException 255"] * 2 + ["none: 3"]
    assert [m.topic for m in broker.messages("t/2")] == ["t/2"]


# Authentication


def test_reauthenticate(broker_factory, program):
    """On the live connection, while others publish; refused it ends for all (MQTT5-4.12.1-1,
    MQTT5-4.12.1-2)."""
    rounds = []

    def method(client_id, data):
        rounds.append(data)
        answer = yield b"challenge"
        if answer != b"secret":
            raise AuthRefused(0x87, reason_string="no")
        return b"last"

    broker = broker_factory(auth={"M": method})
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            def auth(data):
                asked.append(data)
                return b"hello" if data is None else secret if data == b"challenge" else b""

            async def noise():
                for i in range(20):
                    await c.publish("n", "x" * 50, qos=i % 3, properties={"content_type": "n"})

            asked = []
            secret = b"secret"
            c = client(version=5)
            c.set_auth("M", auth)
            await c.connect()
            t = create_task(noise())
            await turns(2)
            again = create_task(error(c.reauthenticate()))
            await turns(1)
            print(await error(c.reauthenticate()), await again, asked)
            await t
            secret = b"wrong"
            ended = create_task(error(c.run()))
            await turns(2)
            print(await error(c.reauthenticate()), await ended)
            print(await error(c.connect()))
        """,
    )
    lines = child.wait().stdout.splitlines()
    asked = "[None, b'challenge', b'last', None, b'challenge', b'last']"
    assert lines[0] == f"OSError 114 none: None {asked}"
    assert lines[1:] == ["MQTTException 135 MQTTException 135", "MQTTException 135"]
    assert rounds == [b"hello"] * 4
    assert len(broker.messages("n")) == 20


def test_reauthenticate_and_the_link_breaks(broker_factory, program):
    """It ends with the link, also where a Link connects again."""

    def method(client_id, data):
        if data == b"again":
            yield b"wait"
        return b""

    broker = broker_factory(auth={"M": method})
    broker.drop("AUTH", direction="in", nth=2)
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            def auth(data):
                n.append(data)
                if data == b"wait":
                    print("asked")
                return b"again" if n.count(None) == 2 else b""

            n = []
            c = client(version=5)
            c.set_auth("M", auth)
            async with link(c) as l:
                await l.wait_up()
                print((await error(c.reauthenticate()))[:7])
                await l.wait_up()
                await c.publish("t", "m", qos=1)
        """,
    )
    child.expect("^asked\n")
    broker.kill("c")
    assert child.wait().stdout.splitlines()[-1] == "OSError"
    assert len(broker.messages("t")) == 1
