"""The durable session with MQTT 5.0 against real brokers: programs that are killed, and begin
again from the file that they leave."""

import pytest
from peer5 import USER, Peer5

HEAD = """
    from umqtt_plus.store import Store

    NAMES = {{"user_property": [("k", "v")]}}
    lines = []

    def message(m):
        print("got", str(m.payload, "ascii"), m.qos, m.number, m.properties.get("user_property"))
        if m.payload == b"hang":
            print(go())

    c = client(version=5, inflight=4, properties={{"session_expiry_interval": 1000}})
    s = Store(c, {path!r})
    print(s.recovered)
"""


@pytest.fixture(params=["bundled", "mosquitto"])
def server(request):
    return request.getfixturevalue("broker" if request.param == "bundled" else "mosquitto")


def head(tmp_path):
    return HEAD.format(path=str(tmp_path / "journal"))


def test_killed_while_publishing(server, program, run, tmp_path):
    """The answers to what it sent never reach it: QoS 2 arrives once, with its properties, after
    the next two lives (MQTT5-4.4.0-1, MQTT5-4.3.3-6)."""
    first = (
        head(tmp_path)
        + """
    c.set_message(message)
    print(c.connect(False))
    for n in range(4):
        c.publish_nowait("out", str(n), qos=1 + n % 2, properties=NAMES)
    print("sent")
    go()
"""
    )
    then = (
        head(tmp_path)
        + """
    print(c.connect(False), c.stats()["in_flight"] > 0)
    until(c, lambda: not c.stats()["in_flight"])
    print(s.accepted, c.unresolved)
    c.disconnect()
"""
    )
    with Peer5.online(server) as peer:
        peer.subscribe(("out", 2))
        child = program(server, first)
        got = [peer.expect("PUBLISH")]
        while got[-1].payload != b"2":  # QoS 2 may come now, or with PUBREL
            got.append(peer.expect("PUBLISH"))
        child.expect("sent")
        child.kill()
        assert run(server, then) == ["session", "True True", "4 []"]
        assert run(server, then) == ["session", "True False", "4 []"]
        with Peer5.online(server) as other:
            other.publish("out", b"end", 1)
        while got[-1].payload != b"end":
            got.append(peer.expect("PUBLISH"))
    payloads = [p.payload for p in got if p.qos == 2 and p.payload != b"end"]
    assert sorted(payloads) == [b"1", b"3"]
    assert {p.payload for p in got} == {b"0", b"1", b"2", b"3", b"end"}
    assert all(p.prop(USER) == ("k", "v") or p.payload == b"end" for p in got)


def test_killed_inside_the_handler(server, program, run, tmp_path):
    """The message is handed over again, with its number and its properties, before connect()."""
    first = (
        head(tmp_path)
        + """
    c.set_message(message)
    print(c.connect(False))
    c.subscribe("in", 2)
    print("up")
    until(c, lambda: False)
"""
    )
    then = (
        head(tmp_path)
        + """
    c.set_message(message)
    print(c.connect(False))
    until(c, lambda: s.number == 2)
    c.disconnect()
"""
    )
    child = program(server, first)
    child.expect("up")
    with Peer5.online(server) as peer:
        peer.publish("in", b"hang", 2, False, 1, (USER, ("a", "b")))
        child.expect("got hang")
        child.kill()
        peer.publish("in", b"more", 2, False, 2, (USER, ("c", "d")))
        child = program(server, then)
        child.send_line("on")
        lines = child.wait().stdout.splitlines()
    assert lines == [
        "session",
        "got hang 2 1 [(b'a', b'b')]",
        "on",
        "True",
        "got more 2 2 [(b'c', b'd')]",
    ]


def test_refused_and_killed(broker, run, tmp_path):
    """E110, E111: what the server has refused is not sent again by the next life."""
    broker.answer("PUBACK", 0x97, topic="out")
    broker.answer("PUBREC", 0x97, topic="out")
    first = (
        head(tmp_path)
        + """
    print(c.connect(False))
    for qos in (1, 2):
        print(error(c.publish, "out", "x", qos=qos))
    c.sock.close()
"""
    )
    then = (
        head(tmp_path)
        + """
    print(c.connect(False), c.stats()["in_flight"])
    c.disconnect()
"""
    )
    assert run(broker, first) == ["new", "False", "MQTTException 151", "MQTTException 151"]
    assert run(broker, then) == ["session", "True 0"]
    assert len(broker.packets(direction="in", type="PUBLISH")) == 2
    assert not broker.packets(direction="in", type="PUBREL")


def test_session_expired(broker, program, run, tmp_path):
    """MQTT5-3.2.2-5: the session has run out at the server: told, and nothing of it is sent."""
    broker.drop("PUBREC", client_id="c")
    first = (
        head(tmp_path)
        + """
    print(c.connect(False))
    c.publish_nowait("out", "lost", qos=2)
    print("sent")
    go()
"""
    )
    then = (
        head(tmp_path)
        + """
    print(c.connect(False), c.unresolved, c.stats()["in_flight"])
    print(c.publish("out", "new", qos=2) > 0)
    c.disconnect()
"""
    )
    child = program(broker, first)
    broker.wait_for(type="PUBLISH", direction="in")
    child.kill()
    broker.wait_gone("c")
    broker.clear_faults()
    broker.advance(2000)
    mark = broker.mark()
    assert run(broker, then) == ["session", "False [(1, False)] 0", "True"]
    sent = broker.packets(direction="in", type="PUBLISH", since=mark)
    assert [(e.payload, e.dup) for e in sent] == [(b"new", False)]


AIO = """
    from aio_world import *
    from umqtt_plus.store import Store

    async def main():
        c = client(version=5, inflight=4)
        s = Store(c, {path!r})
        got = []
        c.set_message(lambda m: got.append((m.payload, m.number, m.properties)))
        print(s.recovered, await c.connect(False))
        await c.subscribe("echo", 2)
        for n in range(6):
            more = {{"user_property": [("n", str(n))]}}
            await c.publish("echo", str(n), qos=1 + n % 2, properties=more)
        while len(got) < 6:
            await sleep_ms(10)
        print(sorted([x[0] for x in got]), s.accepted)
        print(all(int(x[2]["user_property"][0][1]) == int(x[0]) for x in got))
        await c.disconnect()

    asyncio.run(main())
"""


def test_asyncio(server, run, tmp_path):
    script = AIO.format(path=str(tmp_path / "journal"))
    wanted = ["[b'0', b'1', b'2', b'3', b'4', b'5']"]
    for n, words in ((6, "new False"), (12, "session True")):
        assert run(server, script) == [words, f"{wanted[0]} {n}", "True"]


def test_expired_in_asyncio(broker_factory, run):
    """Who awaits a message that expires in the table is told at once."""
    broker = broker_factory(limits={"receive_maximum": 1})
    broker.drop("PUBACK", client_id="c")
    lines = run(
        broker,
        """
    from aio_world import *

    async def main():
        c = await connected(version=5, inflight=4)
        c.publish_nowait("a", "1", qos=1)
        begun = ticks_ms()
        more = {"message_expiry_interval": 1}
        print(await error(c.publish("a", "2", qos=1, properties=more)))
        print(900 < ticks_diff(ticks_ms(), begun) < 6000, c.stats()["in_flight"])

    asyncio.run(main())
    """,
    )
    assert lines == ["MQTTException 254", "True 1"]
    assert len(broker.packets(direction="in", type="PUBLISH")) == 1
