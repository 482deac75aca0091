"""The asyncio client: sessions, refusals and subscribing."""

from umqtt_harness.mosquitto import Mosquitto

pytest_plugins = ["scripts.aio_place"]


def test_messages_wait_at_connect(place):
    """messages() or a handler before connect(): the first of them may lie behind the CONNACK."""
    lines = place.run(
        """
        from aio_world import *

        @start
        async def main():
            c = client()
            c.messages()
            d = await connected("d")
            print(await c.connect(False))
            await c.subscribe("t", 2)
            await c.disconnect()
            for i in range(30):
                await d.publish("t", str(i), qos=1 + i % 2)
            print(await c.connect(False))
            got = []
            async for m in c:
                got.append(int(m.payload))
                if len(got) == 30:
                    break
            print(got == list(range(30)))
            await c.disconnect()
            await d.disconnect()
        """,
    )
    assert lines == ["False", "True", "True"]


def test_a_session_of_somebody_else(place):
    """E65, X311-3.2.2.2-a: it is cleaned away first; adopt=True takes it over."""
    lines = place.run(
        """
        from aio_world import *

        @start
        async def main():
            def new():
                c = client()
                c.set_callback(lambda topic, msg: got.append(msg))
                return c

            got = []
            d = await connected("d")
            for adopt in (False, True):
                c = new()
                await c.connect(False, adopt=adopt)
                await c.subscribe("q", 2)
                await c.disconnect()
                await d.publish("q", "old", qos=2)
                c = new()
                print(await c.connect(False, adopt=adopt))
                await (until(lambda: got) if adopt else sleep_ms(100))
                print(got)
                await c.disconnect()
            await d.disconnect()
        """,
    )
    assert lines == ["False", "[]", "True", "[b'old']"]


def test_three_steps(broker, run):
    """E65: CONNECT, DISCONNECT, CONNECT clean, DISCONNECT, CONNECT."""
    broker_sees = """
        from aio_world import *

        @start
        async def main():
            for _ in range(2):
                c = await connected(clean=False)
                await c.disconnect()
        """
    run(broker, broker_sees)
    types = [
        "clean" if e.type == "CONNECT" and e.raw[9] & 2 else e.type
        for e in broker.packets(direction="in")
    ]
    assert types == ["CONNECT", "DISCONNECT"] * 2 + [
        "clean",
        "DISCONNECT",
        "CONNECT",
        "DISCONNECT",
    ]


def test_user_and_password(broker_factory, run):
    broker = broker_factory(users={"ann": "secret"})
    assert run(broker, PASSWORDS) == ["none: False", *["MQTTException 5"] * 2, "None 0"]


def test_user_and_password_mosquitto(mosquitto, run, tmp_path):
    with Mosquitto(tmp_path / "own", users={"ann": "secret"}) as server:
        lines = run(server, PASSWORDS)
    assert lines == ["none: False", *["MQTTException 5"] * 2, "None 0"]


PASSWORDS = """
    from aio_world import *

    @start
    async def main():
        c = client(user="ann", password="secret")
        print(await error(c.connect()))
        await c.disconnect()
        c = client(user="ann", password="wrong")
        print(await error(c.connect()))
        print(await error(c.run()))
        print(c.sock, c.state)
"""


def test_a_refused_filter(broker, run):
    """MQTT-3.8.4-5: 0x80 concerns that filter; the link stays."""
    broker.subscribe_result([0x80])
    broker.subscribe_result([1, 0x80, 0])
    lines = run(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = await connected()
            print(await error(c.subscribe("no")))
            print(await c.subscribe([("a", 1), ("b", 2), "c"]))
            print(await error(c.subscribe("a/#/b")), c.publish_nowait("t", "m", qos=1))
            await c.disconnect()
        """,
    )
    assert lines[:2] == ["MQTTException 128", r"b'\x01\x80\x00'"]
    assert lines[2].startswith("ValueError topic_filter") and lines[2].endswith(" 3")
    assert len(broker.messages("t")) == 1


def test_many_subscribe_at_once(place):
    """Each gets its own answer, while others publish."""
    lines = place.run(
        """
        from aio_world import *

        @start
        async def main():
            c = await connected()
            tasks = [create_task(error(c.subscribe("s/%d" % i, i % 3))) for i in range(9)]
            tasks += [create_task(error(c.unsubscribe("u/%d" % i))) for i in range(3)]
            tasks += [create_task(error(c.publish("p", "m", qos=i % 3))) for i in range(6)]
            results = []
            for t in tasks:
                results.append(await t)
            print(" ".join(r[6:] for r in results[:12]))
            print([r[:5] for r in results[12:]].count("none:"))
            await c.disconnect()
        """,
    )
    assert lines == ["0 1 2 0 1 2 0 1 2 None None None", "6"]


def test_one_link_at_a_time(broker, run):
    """connect() while another is under way is refused; a second one begins a new connection."""
    lines = run(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = client()
            first = create_task(c.connect())
            await turns(1)
            print(await error(c.connect()), await first, await c.connect())
            c.set_callback(lambda topic, msg: None)
            await c.disconnect()
            await c.disconnect()
            print(await error(c.run()), await error(c.subscribe("t")), end=" ")
            print(await error(c.publish("t", "")))
            try:
                c.publish_nowait("t", "")
            except OSError as e:
                print(text(e))
        """,
    )
    assert lines == [
        "OSError 114 False False",
        "none: None OSError 107 OSError 107",
        "OSError 107",
    ]
    types = [e.type for e in broker.packets(direction="in")]
    assert types == ["CONNECT", "DISCONNECT"] * 2
