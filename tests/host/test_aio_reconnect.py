"""Link.run(): whatever fails, at whatever stage, it leads back to a client that works."""

import pytest
from peer import Peer
from umqtt_harness.broker import Fault

pytest_plugins = ["scripts.aio_place"]


def inbound(broker, **fields):
    return [e.type for e in broker.packets(direction="in", **fields)]


# Each stage of connecting fails twice

STAGES = """
    from aio_world import *
    import os

    @start
    async def main():
        def down(e):
            errors.append(text(e))
            if len(errors) == 2:  # from here on nothing fails
                c.server = HOST
                c.timeout_ms = 10000

        errors = []
        files = len(os.listdir("/proc/self/fd"))
        c = client(timeout_ms={ms})
        c.server = {server}
        c.messages()
        async with link(c, [("in", 1)], on_down=down, cap_ms=60) as l:
            await l.wait_up()
            print("up", errors)
            await c.publish("out", "m", qos=2)
            await c.publish("in", "mine", qos=1)
            async for m in c:
                print(m.payload, l.granted, l.next_try())
                break
        print(c.sock, l.up, len(os.listdir("/proc/self/fd")) - files)
"""

TIMEOUT, CLOSED = "OSError 110", "OSError 104"


def kill_at(broker, kind, at):
    broker.fault(Fault("kill", type=kind, at=at, count=2))


def garble(broker, kind):
    broker.fault(Fault("garble", type=kind, data=b"\xf0\x00", count=2))


@pytest.mark.parametrize(
    "name, prepare, error",
    [
        ("closed at once", lambda b: b.refuse_tcp("close", 2), CLOSED),
        ("reset at once", lambda b: b.refuse_tcp("reset", 2), CLOSED),
        ("accepted, never served", lambda b: b.refuse_tcp("hang", 2), TIMEOUT),
        ("no CONNACK", lambda b: b.drop("CONNACK", count=2), TIMEOUT),
        ("cut within CONNACK", lambda b: kill_at(b, "CONNACK", 2), CLOSED),
        ("unavailable", lambda b: b.refuse(3, 2), "MQTTException 3"),
        ("not CONNACK", lambda b: garble(b, "CONNACK"), "MQTTException 130"),
        ("no SUBACK", lambda b: b.drop("SUBACK", count=2), TIMEOUT),
        ("cut before SUBACK", lambda b: kill_at(b, "SUBACK", 0), CLOSED),
        ("bad SUBACK", lambda b: garble(b, "SUBACK"), "MQTTException 130"),
    ],
)
def test_each_stage_fails_twice(broker, run, name, prepare, error):
    prepare(broker)
    ms = 500 if error == TIMEOUT else 10000
    lines = run(broker, STAGES.format(server="HOST", ms=ms))
    assert lines[0] == f"up {[error] * 2}"
    assert lines[1].startswith("b'mine' b'\\x01' 0")
    assert lines[2:] == ["None False 0"]  # and no attempt left its socket open
    assert len(broker.messages("out")) == 1


def test_no_name(broker, run):
    """getaddrinfo() fails twice: it is asked again each time."""
    lines = run(broker, STAGES.format(server='"x" * 64', ms=10000), timeout=30)
    assert lines[0].startswith("up ['OSError ") and lines[0].count("OSError") == 2
    assert lines[1].startswith("b'mine'")


def test_nobody_listens_yet(broker, program):
    broker.stop()
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = client()
            errors = []
            async with link(c, on_down=lambda e: errors.append(text(e))) as l:
                t = create_task(c.publish("t", "early", qos=1))
                await until(lambda: len(errors) == 3)
                print(errors, l.up, l.next_try() <= 200)
                await l.wait_up()
                print(await t, l.why.args[0])
        """,
    )
    child.expect(r"^\['OSError 111', 'OSError 111', 'OSError 111'\] False True" + "\n")
    broker.start()
    assert child.wait().stdout.splitlines()[1:] == ["1 111"]
    assert len(broker.messages("t")) == 1


# A live link


def test_several_tasks_go_on(any_broker, program):
    """The server dies four times: none of the messages is lost, those of QoS 2 come once.

    The receiver has its own Link. Mosquitto forgets its sessions when it stops: only its link is
    cut, by a second client of the same name.
    """
    bundled = hasattr(any_broker, "violations")
    child = program(
        any_broker,
        """
        from aio_world import *

        @start
        async def main():
            async def many(qos):
                for i in range(150):
                    while True:
                        try:
                            p = c.publish_nowait("n/%d" % qos, str(i), qos=qos)
                        except OSError:
                            p = 0
                        if p:
                            break
                        await sleep_ms(2)
                    if qos == 1 and i < 120:
                        if i % 30 == 19:
                            print("cut", i)
                        elif i % 30 == 29:
                            await go()  # the cut has been
                    if i % 10 == 9:
                        await sleep_ms(5)
                    await c.published(p)

            async def receive():
                async for m in d:
                    got[m.topic[-1] - 48].append(int(m.payload))

            def all_there():
                return len(set(got[1])) == 150 and len(got[2]) >= 150

            got = [None, [], []]
            ups = 0
            c = client("c")
            d = client("d")
            d.messages()
            lc, ld = link(c), link(d, [("n/+", 2)])
            async with ld, lc:
                await ld.wait_up()
                await lc.wait_up()
                r = create_task(receive())
                tasks = [create_task(many(qos)) for qos in (1, 2)]
                for t in tasks:
                    await t
                await until(all_there)
                await sleep_ms(50)
                print(got[2] == list(range(150)), sorted(set(got[1])) == list(range(150)))
                await until(lambda: not c.stats()["in_flight"])
            await r
            print("end", c.stats()["connects"] > 2)
        """,
    )
    for i, n in enumerate((19, 49, 79, 109)):
        child.expect(f"^cut {n}\n")
        if not bundled:
            take_over(any_broker, "cd"[i % 2])
        elif i % 2:
            any_broker.wait_connected("cd"[i // 2])
            any_broker.kill("cd"[i // 2], ("rst", "fin")[i // 2])
        else:
            any_broker.stop()
            any_broker.start()
        child.send_line("")
    lines = child.wait(30).stdout.splitlines()
    assert lines[-2:] == ["True True", "end True"]


def take_over(server, client_id):
    with Peer.online(server, client_id, clean=False):
        pass


def test_publish_waits_for_the_link(broker, program):
    """Up to its deadline, and says that it was not accepted; so do the other verbs."""
    broker.stop()
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = client(timeout_ms=300)
            async with link(c):
                verbs = [c.publish("t", "m", qos=qos) for qos in (0, 1, 2)]
                verbs += [c.publish("t", bytes(2000)), c.subscribe("t"), c.unsubscribe("t")]
                verbs += [c.publish_stream("t", 9, lambda buf, offset: 9, qos=1)]
                tasks = [create_task(took(300, 5000, v)) for v in verbs]
                for t in tasks:
                    print(await t)
                verbs = [c.publish("t", str(qos), qos=qos, timeout_ms=9000) for qos in (0, 1, 2)]
                verbs += [c.subscribe("s", 2, timeout_ms=9000)]
                tasks = [create_task(error(v)) for v in verbs]
                print("now")
                for t in tasks:
                    print((await t)[:5])
        """,
    )
    child.expect("^now\n")
    broker.start()
    lines = child.wait().stdout.splitlines()
    assert lines == ["OSError 105"] * 4 + ["OSError 110"] * 3 + ["now"] + ["none:"] * 4
    assert sorted(m.payload for m in broker.messages("t")) == [b"0", b"1", b"2"]


def test_an_outbox(broker, program):
    """link.publish() while down: what waits goes out in order when it is up, once."""
    broker.stop()
    child = program(
        broker,
        """
        from aio_world import *
        from umqtt_plus.outbox import Outbox

        @start
        async def main():
            c = client()
            async with link(c, outbox=Outbox()) as l:
                print([l.publish("t", str(i), qos=1) for i in range(20)].count(0), l.pump())
                await l.wait_up()
                await until(lambda: not l.pump() and not c.stats()["in_flight"])
                print(l.publish("t", "20", qos=1) > 0)
                await until(lambda: not c.stats()["in_flight"])
        """,
    )
    child.expect("^20 20\n")
    broker.start()
    assert child.wait().stdout.splitlines()[1:] == ["True"]
    assert [int(m.payload) for m in broker.messages("t")] == list(range(21))


def test_a_handler_raises(broker, program):
    """Nothing dies of it; a message of QoS 1 closes the link and comes again, QoS 0 does not."""
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            def odd(m):
                print(m.payload, m.dup)
                seen.append(m.payload)
                if bad:
                    raise bad.pop()

            bad = []
            seen = []
            asyncio.get_event_loop().set_exception_handler(
                lambda loop, context: print("told", text(context["exception"]))
            )
            c = client()
            c.set_message(odd)
            async with link(c, [("t", 2)]) as l:
                await l.wait_up()
                t = create_task(error(l.client.run()))
                for i in range(6):
                    bad.append((ValueError, OSError, KeyError)[i // 2]("odd"))
                    print("up", i % 3)
                    await go()
                    await until(lambda: seen.count(b"m%d" % i) == (2 if i % 3 else 1))
                await until(lambda: not c.stats()["awaiting_release"])
                await c.publish("t", "end", qos=2)
                print(c.stats()["connects"])
        """,
    )
    for i in range(6):
        child.expect(f"^up {i % 3}\n")
        broker.publish("t", f"m{i}", i % 3)
        broker.wait_for(direction="out", type="PUBLISH", payload=f"m{i}")
        child.send_line("")
        child.expect(f"^b'm{i}' False\n")
        if i % 3:
            child.expect(f"^b'm{i}' True\n")
    child.expect("^b'end' False\n")
    child.wait()
    assert child.stdout.count("told") >= 4
    assert child.stdout.count("b'm") == 10


def test_what_a_new_session_dropped(broker, run):
    """clean_session=True: who waits is told, also when the place in the table is taken again."""
    broker.drop("PUBLISH", direction="in")
    lines = run(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = client()
            async with link(c, clean_session=True, first_ms=1) as l:
                await l.wait_up()
                t = create_task(error(c.publish("t", "lost", qos=1)))
                await sleep_ms(20)
                c._close()
                await until(lambda: not l.up)
                await until(lambda: l.up)
                print([c.publish_nowait("t", str(i), qos=1) > 0 for i in range(4)].count(True))
                print(await t)
                await until(lambda: not c.stats()["in_flight"])
        """,
    )
    assert lines == ["4", "OSError 103"]
    assert [m.payload for m in broker.messages("t")] == [b"0", b"1", b"2", b"3"]


# Subscriptions


SUBSCRIBED = """
    from aio_world import *

    @start
    async def main():
        c = client()
        c.messages()
        l = link(c, [("a", 1), "b"], on_up=lambda present: print("up", present), {options})
        async with l:
            for i in range(3):
                await until(lambda: c.stats()["connects"] == i + 1 and l.up)
                await c.publish("a", str(i), qos=1)
                async for m in c:
                    if m.payload == str(i).encode():
                        break
                print("heard")
"""


@pytest.mark.parametrize(
    "options, keep, ups, count",
    [
        ("", True, ["False", "True", "True"], 1),
        ("", False, ["False"] * 3, 3),
        ("always=True", True, ["False", "True", "True"], 3),
        ("clean_session=True", True, ["False"] * 3, 3),
    ],
)
def test_subscribes_when_it_must(broker, program, options, keep, ups, count):
    """Once while the server keeps the session; each time when it is lost, or with always=True."""
    child = program(broker, SUBSCRIBED.format(options=options))
    for _ in range(2):
        child.expect("^heard\n")
        if keep:
            broker.kill("c")
        else:
            broker.stop(keep_sessions=False)
            broker.start()
    lines = child.wait().stdout.splitlines()
    assert [line[3:] for line in lines if line != "heard"] == ups
    assert len(inbound(broker, type="SUBSCRIBE")) == count


def test_the_subscription_was_cut_off(broker, run):
    """The server knows the session, but never got the SUBSCRIBE: it is sent again."""
    broker.fault(Fault("kill", type="SUBSCRIBE", direction="in", at=0))
    lines = run(broker, STAGES.format(server="HOST", ms=10000))
    assert lines[0] == f"up {[CLOSED]}"
    assert lines[1].startswith("b'mine'")
    assert broker.packets(direction="out", type="CONNACK")[1].raw[2] == 1
