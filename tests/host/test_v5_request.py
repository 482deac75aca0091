"""Request and response: umqtt_plus.request and aio_request, between two clients of ours."""

from peer5 import CORRELATION, EXPIRY, RESPONSE_TOPIC, Peer5, ack, publish

pytest_plugins = ["scripts.aio_place"]

OVEN = """
        from umqtt_plus.request import Requests, address, reply

        oven = client("oven", version=5)
        later = []

        def asked(m):
            if m.payload_is(b"later"):
                later.append(address(m))
            elif not m.payload_is(b"silent"):
                print("oven", reply(oven, m, b"re " + m.payload, m.qos) != 0)

        oven.set_message(asked)
        oven.connect()
        oven.subscribe("oven", 2)
"""


def test_between_two_processes(any_broker, program):
    child = program(
        any_broker,
        OVEN
        + """
        print("ready")
        while True:
            oven.wait_msg(5000)
        """,
    )
    child.expect("^ready$")
    asking = program(
        any_broker,
        """
        from umqtt_plus.request import Requests

        c = connected(version=5)
        asking = Requests(c, "answers")
        for qos in (0, 1, 2):
            print([asking.request("oven", str(i), qos) for i in range(3)])
            keys = [asking.ask(b"oven", str(i), qos) for i in range(3)]
            print(len(set(keys)), [asking.answer(key) for key in (keys[2], keys[0], keys[1])])
        print(error(asking.request, "oven", "silent", 1, 100))
        print(asking.request("oven", ""), len(asking._open))
        c.disconnect()
        """,
    )
    assert asking.wait().stdout.splitlines() == [
        "[b're 0', b're 1', b're 2']",
        "3 [b're 2', b're 0', b're 1']",
    ] * 3 + ["OSError 110", "b're ' 0"]
    child.kill()


def test_late_and_foreign_answers(broker, program):
    """Neither they nor what is no answer end a request; a second answer counts for nothing; the
    handler of the application gets all the rest, whenever it was set."""
    peer = Peer5.online(broker)
    peer.subscribe(("oven", 0))
    child = program(
        broker,
        """
        from umqtt_plus.request import Requests

        c = client(version=5)
        c.set_callback(lambda topic, msg: print("callback", topic, msg))
        asking = Requests(c, b"answers")
        c.connect()
        c.subscribe("other", 1)
        print(error(asking.request, "oven", "late", 0, 1000))
        print(asking.request("oven", "now"))
        c.set_message(lambda m: print("message", m.topic, m.payload))
        print(asking.request("oven", "again"))
        c.set_message(None)
        print(asking.request("oven", "end"))
        c.disconnect()
        """,
    )
    with peer:
        late = peer.expect("PUBLISH", payload=b"late")
        assert late.prop(EXPIRY) == 1 and late.prop(RESPONSE_TOPIC) == "answers"
        child.expect("^OSError 110$")
        keys = [late.prop(CORRELATION)]
        for question in (b"now", b"again", b"end"):
            key = peer.expect("PUBLISH", payload=question).prop(CORRELATION)
            for more in (
                ((CORRELATION, keys[-1]),),
                (),
                ((CORRELATION, b""),),
                ((CORRELATION, key + b"x"),),
                ((CORRELATION, key[:-1]),),
            ):
                peer.send(publish("answers", b"wrong", 0, False, 0, False, *more))
            peer.send(publish("other", question, 0, False, 0, False, (CORRELATION, key)))
            right, wrong = (
                publish("answers", x, 0, False, 0, False, (CORRELATION, key))
                for x in (b"right", b"wrong")
            )
            peer.send(right, wrong)
            keys.append(key)
        assert len(set(keys)) == 4
    assert child.wait().stdout.splitlines() == [
        "OSError 110",
        "callback b'other' b'now'",
        "b'right'",
        "message b'other' b'again'",
        "b'right'",
        "callback b'other' b'end'",
        "b'right'",
    ]


def test_reply(any_broker, run):
    """The answering side: no Response Topic is no answer; an answer carries the Correlation Data
    and nothing else (X5-4.10-a), also one that is sent later."""
    with Peer5.online(any_broker) as peer:
        peer.subscribe(("back", 1))
        lines = run(
            any_broker,
            OVEN
            + """
        ask = connected("ask", version=5)
        for payload, x in (
            ("none", None),
            ("bare", {"response_topic": "back"}),
            ("empty", {"response_topic": "back", "correlation_data": b""}),
            ("full", {"response_topic": "back", "correlation_data": b"\\0" * 200}),
            ("later", {"response_topic": "back", "correlation_data": b"7"}),
        ):
            ask.publish("oven", payload, qos=1, properties=x)
            oven.wait_msg(5000)
        for topic, x in later:
            oven.publish(topic, "now", properties=x)
        oven.publish("back", "end", qos=1)
        until(oven, lambda: not oven.stats()["in_flight"])
        """,
        )
        seen = []
        while not seen or seen[-1][0] != b"end":
            got = peer.expect("PUBLISH", topic="back")
            seen.append((got.payload, got.props))
            if got.qos:
                peer.send(ack(0x40, got.packet_id))
    assert lines == ["oven True"] * 4
    assert seen == [
        (b"re bare", []),
        (b"re empty", [(CORRELATION, b"")]),
        (b"re full", [(CORRELATION, b"\0" * 200)]),
        (b"now", [(CORRELATION, b"7")]),
        (b"end", []),
    ]


def test_no_room_for_the_answer(broker, run):
    """reply() returns 0 and raises nothing; address() is there to try again."""
    broker.hold_acks("c", ("PUBACK",))
    lines = run(
        broker,
        """
        from umqtt_plus.request import address, reply

        c = client(version=5, inflight=1)
        seen = []

        def asked(m):
            seen.append((reply(c, m, b"a", 1) != 0, address(m)))

        c.set_message(asked)
        c.connect()
        c.subscribe("oven")
        x = {"response_topic": "back"}
        c.publish("oven", "1", properties=x)
        c.publish("oven", "2", properties=x)
        until(c, lambda: len(seen) == 2)
        print(seen)
        c.disconnect()
        """,
    )
    assert lines == [r"[(True, (b'back', b'\x00')), (False, (b'back', b'\x00'))]"]


def test_links_that_break(broker, program):
    """A request ends with the link; the next connection is subscribed to anew, for the session may
    be another. An old answer that the server kept is not taken for a new one."""
    peer = Peer5.online(broker)
    peer.subscribe(("oven", 0))
    child = program(
        broker,
        """
        from umqtt_plus.request import Requests

        c = client(version=5)
        asking = Requests(c, "answers")
        print(error(asking.request, "oven", "x"), len(asking._open))
        c.connect(False)
        print(error(asking.request, "oven", "1"), c.sock, len(asking._open))
        go()
        c.connect(False)
        print(asking.request("oven", "2"))
        c.disconnect()
        """,
    )
    child.expect("^OSError 107 0$")
    with peer:
        old = peer.expect("PUBLISH", payload=b"1").prop(CORRELATION)
        broker.kill("c")
        child.expect("^OSError 104 None 0$")
        peer.publish("answers", b"old", 1, False, 1, (CORRELATION, old))
        child.send_line("go")
        new = peer.expect("PUBLISH", payload=b"2").prop(CORRELATION)
        peer.publish("answers", b"new", 1, False, 1, (CORRELATION, new))
    child.expect("^b'new'$")
    child.wait()
    asked = broker.packets(client_id="c", direction="in", type="SUBSCRIBE")
    assert [e.filters for e in asked] == [[("answers", 1)], [("answers", 1)]]


def test_inside_a_handler(broker, run):
    """ask() there; answer() outside: it cannot wait for what comes behind its message."""
    lines = run(
        broker,
        """
        from umqtt_plus.request import Requests, reply

        c = client(version=5)
        keys = []

        def message(m):
            if m.topic_is(b"oven"):
                reply(c, m, m.payload + b"!")
            else:
                print(error(asking.request, "oven", "1"))
                keys.append(asking.ask("oven", "2"))

        c.set_message(message)
        asking = Requests(c, "answers")
        c.connect()
        c.subscribe(["start", "oven"])
        c.publish("start", "")
        until(c, lambda: keys)
        print(asking.answer(keys[0]), len(asking._open))
        print(error(asking.answer, keys[0])[:8])
        c.disconnect()
        """,
    )
    assert lines == ["OSError 114", "b'2!' 0", "KeyError"]


def test_nobody_and_refused(broker, run):
    """0x10 and a refusal end a request at once; arguments are checked."""
    broker.answer("PUBACK", 0x87, topic="oven", nth=2)
    lines = run(
        broker,
        """
        from umqtt_plus.request import Requests

        c = connected(version=5)
        asking = Requests(c, "answers")
        print(error(asking.request, "oven", "", 1), error(asking.request, "oven", "", 1))
        print(error(asking.request, "a/+", ""), len(asking._open))
        print(error(Requests, c, "a/+"), error(Requests, c, ""))
        print(error(Requests, client("d"), "a"))
        c.disconnect()
        """,
    )
    assert lines[0] == "MQTTException 16 MQTTException 135"
    assert lines[1].startswith("ValueError topic") and lines[1].endswith(" 0")
    assert lines[2].count("ValueError topic") == 2
    assert lines[3] == "ValueError Requests: needs MQTT 5.0"


def test_a_server_of_3_1_1(broker_factory, run):
    """version="auto": a request says at once that it cannot be; the handler goes on."""
    broker = broker_factory(quirks=["refuse_5_with_1"])
    lines = run(
        broker,
        """
        from umqtt_plus.request import Requests, reply

        c = client(version="auto")
        asking = Requests(c, "answers")
        c.set_message(lambda m: print(m.payload, reply(c, m, "x")))
        c.connect()
        print(error(asking.request, "oven", ""), len(asking._open))
        c.subscribe("t", 1)
        c.publish("t", "1")
        c.wait_msg(5000)
        c.disconnect()
        """,
    )
    assert lines == ["ValueError Requests: needs MQTT 5.0 0", "b'1' None"]


def test_with_asyncio(place):
    """Ten tasks ask at once and get their own answers; deadline; `async for` goes on."""
    lines = place.run(
        """
        from aio_world import *
        from umqtt_plus.aio_request import Requests, reply

        @start
        async def main():
            oven = client("oven", version=5)
            waiting = []

            def asked(m):
                if not m.payload_is(b"silent"):
                    waiting.append((m.property(8), m.payload, m.properties["correlation_data"]))

            oven.set_message(asked)
            await oven.connect()
            await oven.subscribe("oven", 1)
            c = client(version=5)
            box = c.messages()
            asking = Requests(c, "answers")
            await c.connect()
            await c.subscribe("other", 1)
            got = {}

            async def ask(n):
                got[n] = await asking.request("oven", str(n), n % 2)

            tasks = [create_task(ask(n)) for n in range(10)]
            await until(lambda: len(waiting) == 10)
            for topic, payload, key in reversed(waiting):
                x = {"correlation_data": key}
                await oven.publish(topic, b"re " + payload, qos=1, properties=x)
            for t in tasks:
                await t
            print([got[n] for n in range(10)] == [b"re %d" % n for n in range(10)])
            print(await took(100, 2000, asking.request("oven", "silent", 1, 100)))
            print(await took(0, 2000, asking.request("nobody", "x", 1, 9000)))
            print(await took(0, 5000, asking.request("nobody", "x", 2, 1000)))
            print(await took(100, 2000, asking.request("nobody", "x", 0, 100)))
            t = create_task(asking.request("oven", "silent"))
            await turns(5)
            t.cancel()
            print(await error(t), len(asking._open))
            await oven.publish("other", "to you", qos=1)
            async for m in c:
                print(m.topic, m.payload)
                break
            await c.disconnect()
            print(await error(asking.request("oven", "x")), len(asking._open))
            await oven.disconnect()
        """
    )
    assert lines == [
        "True",
        "OSError 110",
        "MQTTException 16",
        "MQTTException 16" if hasattr(place.server, "violations") else "OSError 110",
        "OSError 110",
        "CancelledError 0",
        "b'other' b'to you'",
        "OSError 107 0",
    ]
