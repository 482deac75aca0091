"""The network really goes away: a client in its own namespace, whose cable is pulled.

Needs root on Linux; skipped, with the reason, where that is not given.
"""

import os
import shutil
import subprocess

import pytest
from umqtt_harness.micropython import find_micropython


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=10)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


class Cable:
    """A pair of interfaces, one of them in a namespace of its own."""

    def __init__(self):
        number = os.getpid() % 64 * 4  # so that two runs at once do not meet
        self.name = f"umqtt{os.getpid()}"
        self.outer, self.inner = f"uo{os.getpid()}", f"ui{os.getpid()}"
        self.host, self.client = (f"198.51.100.{number + i}" for i in (1, 2))

    def lay(self):
        ip("netns", "add", self.name)
        ip("link", "add", self.outer, "type", "veth", "peer", "name", self.inner)
        ip("link", "set", self.inner, "netns", self.name)
        ip("addr", "add", f"{self.host}/30", "dev", self.outer)
        ip("-n", self.name, "addr", "add", f"{self.client}/30", "dev", self.inner)
        ip("link", "set", self.outer, "up")
        ip("-n", self.name, "link", "set", self.inner, "up")

    def pull(self):
        ip("link", "set", self.outer, "down")

    def plug(self):
        ip("link", "set", self.outer, "up")

    def inner_down(self):
        ip("-n", self.name, "link", "set", self.inner, "down")

    def inner_up(self):
        ip("-n", self.name, "link", "set", self.inner, "up")

    def remove(self):
        for words in (("link", "del", self.outer), ("netns", "del", self.name)):
            subprocess.run(["ip", *words], capture_output=True, timeout=10)


@pytest.fixture
def cable(monkeypatch, tmp_path):
    if not shutil.which("ip"):
        pytest.skip("no program ip (iproute2)")
    cable = Cable()
    try:
        try:
            cable.lay()
        except OSError as error:
            pytest.skip(f"no network namespaces here: {error}")
        wrapper = tmp_path / "micropython"
        wrapper.write_text(
            f'#!/bin/sh\nexec ip netns exec {cable.name} {find_micropython()} "$@"\n'
        )
        wrapper.chmod(0o755)
        monkeypatch.setenv("MICROPYTHON", str(wrapper))
        yield cable
    finally:
        cable.remove()


CLIENT = """
    from aio_world import *

    @start
    async def main():
        async def many(qos):
            n = 0
            while not stop:
                await c.publish("out/%d" % qos, str(n), qos=qos, timeout_ms=20000)
                n += 1
                await sleep_ms(20)
            return n

        async def receive():
            async for m in c:
                got.append(int(m.payload))

        got = []
        stop = False
        c = client(keepalive={keepalive}, timeout_ms=1000)
        c.messages()
        l = link(
            c,
            [("in", 2)],
            on_up=lambda present: print("up", present),
            on_down=lambda e: print("down", text(e)),
        )
        async with l:
            tasks = [create_task(many(qos)) for qos in (1, 2)]
            r = create_task(receive())
            await go()
            stop = True
            counts = [await tasks[0], await tasks[1]]
            await until(lambda: len(got) == 60)
            await until(lambda: not c.stats()["in_flight"])
            print(got == list(range(60)))
            print("sent", counts[0], counts[1])
        await r
"""


@pytest.mark.parametrize("side", ["cable", "interface"])
def test_the_network_goes_away(cable, broker_factory, program, side):
    """Noticed by keep alive, and mended, and nothing of QoS 1 and 2 is lost.

    cable: packets vanish, for some 6 s. interface: the client's own goes down, so that connect()
    fails at once.
    """
    down, up = (cable.pull, cable.plug) if side == "cable" else (cable.inner_down, cable.inner_up)
    broker = broker_factory(host=cable.host)
    child = program(broker, CLIENT.format(keepalive=3 if side == "cable" else 1))
    child.expect("^up False\n")
    for i in range(20):
        broker.publish("in", str(i), 2)
    broker.wait_for(direction="in", type="PUBLISH", count=20)
    down()
    for i in range(20, 40):
        broker.publish("in", str(i), 2)
    first = child.expect(r"^down OSError (\d+)\n")
    assert first[1] == "110"
    child.expect(r"^down OSError (\d+)\n")
    up()
    child.expect("^up True\n", 15)
    for i in range(40, 60):
        broker.publish("in", str(i), 2)
    broker.wait_for(direction="in", type="PUBLISH", payload="50", timeout=10)
    child.send_line("")
    child.expect("^True\n")
    sent = child.expect(r"^sent (\d+) (\d+)\n")
    child.wait()
    arrived = [[int(m.payload) for m in broker.messages(f"out/{qos}")] for qos in (1, 2)]
    assert sorted(set(arrived[0])) == list(range(int(sent[1])))
    assert arrived[1] == list(range(int(sent[2])))
    # the server gave the client up meanwhile, rightly
    rules = broker.broker.violations
    assert all("keep alive" in rule for rule in rules)
    rules.clear()
