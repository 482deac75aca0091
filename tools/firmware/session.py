"""The client on the emulated chip, over its lwIP and PPP, against servers on this machine.

All three QoS in both directions; the messages come back by a subscription. Each kind has a chip
booted for it. From MicroPython 1.26 on the exchange runs with the heap locked, but for TLS and
asyncio: an allocation would be a MemoryError. Before, a slice assignment takes 16 bytes.
"""

import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import certs
from umqtt_harness import mosquitto
from umqtt_harness.broker import BrokerThread
from umqtt_harness.micropython import MicroPythonError

from firmware import build
from firmware.emulate import Chip
from firmware.gateway import Gateway

ROUNDS = 10
TIMEOUT = 120
HOST = "10.0.0.1"  # this machine, as the chip sees it
# by the chip's clock, which may be ten times slower than the broker's
HOW = "keepalive=600, buffer_size=256, timeout_ms=60000"
# For a script: until its `line` is up.
UP = """\
start = time.ticks_ms()
while not line.isconnected():
    if time.ticks_diff(time.ticks_ms(), start) > 60000:
        raise OSError("no {}")
    time.sleep_ms(50)
"""
# No interrupts while PPP reads, for MicroPython's has two faults. Its poll() does not lock lwIP:
# lwIP's timers (PendSV) spoil the queues of a connection in the midst of it. And a poll() by
# interrupt takes bytes away from the one within connect(); what is lost before the line is up is
# not sent again, as lwIP's timers begin only then.
BY_PPP = """\
import machine, network, time
uart = machine.UART(0, 115200, rxbuf=2048, txbuf=2048)
line = network.PPP(uart)
def undisturbed(what):
    state = machine.disable_irq()
    try:
        what()
    finally:
        machine.enable_irq(state)
poll = line.poll
def connect():
    line.connect()
    uart.irq(lambda _: undisturbed(poll), uart.IRQ_RXIDLE)
undisturbed(connect)
""" + UP.format("PPP")
EXCHANGE = """\
import gc, sys
from micropython import heap_lock, heap_unlock
ROUNDS = {rounds}
TOPICS = (b"chip/0", b"chip/1", b"chip/2")
payload = bytes(100)
got = bytearray(3)
{before}
gc.collect()
before = gc.mem_alloc()
from umqtt_plus import MQTTClient
client = MQTTClient(b"chip", {server}, {how})
def message(m):
    if len(m) == 100 and m.topic_is(TOPICS[m.qos]):
        got[m.qos] += 1
def exchange(rounds):
    for i in range(rounds):
        for qos in range(3):
            client.publish(TOPICS[qos], payload, False, qos{more})
            client.check_msg()
    while got[0] + got[1] + got[2] < 3 * rounds:
        if not client.wait_msg(60000):
            break
client.set_message(message)
client.connect()
client.subscribe(b"chip/#", 2)
gc.collect()
held = gc.mem_alloc() - before
exchange(2)
for i in range(3):
    got[i] = 0
locked = {locked} and sys.implementation.version >= (1, 26)
gc.collect()
gc.disable()
used = gc.mem_alloc()
if locked:
    heap_lock()
try:
    exchange(ROUNDS)
finally:
    if locked:
        heap_unlock()
used = gc.mem_alloc() - used
client.disconnect()
print(got[0], got[1], got[2], int(locked), used, held)
"""
# The server goes away in the middle: told so by the topic, it comes back by itself.
ASYNCIO = """\
import asyncio, gc
ROUNDS = {rounds}
gc.collect()
before = gc.mem_alloc()
from umqtt_plus.aio import MQTTClient
from umqtt_plus.reconnect import Link
from umqtt_plus.outbox import Outbox
got = [set(), set(), set()]
ups = []
async def publish(client):
    payload = bytearray(100)
    for i in range(ROUNDS):
        payload[0] = i
        for qos in range(1, 3):
            try:
                await client.publish("chip/%d" % qos, bytes(payload), False, qos)
            except OSError as e:
                if e.args[0] == 105:
                    raise  # not taken
        if i == ROUNDS // 2:
            link.publish("chip/half", b"", qos=1)
            while len(ups) < 2:
                await asyncio.sleep_ms(20)
async def main():
    global link, held
    client = MQTTClient(b"chip", {server}, {how})
    box = client.messages(8)
    link = Link(client, [(b"chip/+", 2)], outbox=Outbox(1024), first_ms=500, on_up=ups.append)
    async with link:
        await link.wait_up()
        gc.collect()
        held = gc.mem_alloc() - before
        task = asyncio.create_task(publish(client))
        async for m in client:
            if len(m.payload) == 100:
                got[m.qos].add(m.payload[0])
            if len(got[1]) + len(got[2]) == 2 * ROUNDS:
                break
        await task
asyncio.run(main())
print(ROUNDS, len(got[1]), len(got[2]), 0, 0, held)
"""
BUNDLED = "{host!r}, {port}"


@dataclass
class Kind:
    """listener: of Mosquitto's configuration; without one it is the bundled broker."""

    before: str = ""
    server: str = BUNDLED
    options: str = ""
    more: str = ""  # of publish()
    locked: bool = True
    listener: str = ""
    script: str = EXCHANGE

    def text(self, host, port, **words):
        words.update(host=host, port=port)
        before = self.before.format(**words)
        server = self.server.format(**words)
        options = self.options.format(**words)
        return self.script.format(
            rounds=ROUNDS,
            before=before,
            server=server,
            how=HOW + options,
            more=self.more,
            locked=self.locked,
        )


KINDS = {
    "3.1.1": Kind(),
    "5.0": Kind(
        before="from umqtt_plus.properties import encode\n"
        "PROPS = encode('PUBLISH', {{'content_type': 'x', 'user_property': [('a', 'b')]}})",
        options=", version=5",
        more=", None, PROPS",
    ),
    "websocket": Kind(
        before="from umqtt_plus.ws import WebSocket",
        server="WebSocket('ws://{host}:{port}/mqtt')",
        listener="protocol websockets",
    ),
    "tls": Kind(
        before="import machine\nmachine.RTC().datetime({now})\nCA = {ca!r}",
        options=", ssl=True, ssl_params={{'cadata': CA, 'server_hostname': 'localhost'}}",
        locked=False,
        listener="certfile {files}/server.crt\nkeyfile {files}/server.key",
    ),
    "asyncio": Kind(script=ASYNCIO),
}


def run(names=()):
    """Try each kind and print what came back; 1 when one failed."""
    image = build.build("all", build.frozen("all"))
    failed = 0
    for name in names or KINDS:
        print(f"{name}:", flush=True)
        try:
            failed |= one(image, name)
        except (MicroPythonError, certs.CertError, mosquitto.MosquittoError) as error:
            print(f"  FAIL: {error}")
            failed = 1
    return failed


def one(image, name):
    kind = KINDS[name]
    if kind.listener and not mosquitto.find_mosquitto():
        print(f"  left out: {mosquitto.MISSING}")
        return 0
    gateway = Gateway()
    try:
        with Chip(image, gateway.port) as chip:
            if kind.listener:
                return with_mosquitto(kind, chip)
            with BrokerThread() as broker:
                if kind.script is ASYNCIO:
                    threading.Thread(target=restart, args=(broker,), daemon=True).start()
                printed = chip.execute(BY_PPP + kind.text(HOST, broker.port), TIMEOUT)
                return show(printed, broker.violations)
    finally:
        gateway.close()


def restart(broker):
    broker.wait_for(type="PUBLISH", topic="chip/half", timeout=TIMEOUT)
    broker.stop()
    broker.start()


def with_mosquitto(kind, chip):
    with tempfile.TemporaryDirectory() as directory:
        words = {}
        if "files" in kind.listener:
            authority = certs.Authority(directory)
            authority.issue("server", "localhost", ["localhost"])
            now = time.gmtime()
            date = (now.tm_year, now.tm_mon, now.tm_mday, now.tm_wday, *now[3:6], 0)
            words = {"now": date, "ca": Path(directory, "ca.der").read_bytes()}
        port = mosquitto.free_port()
        extra = f"listener {port} 127.0.0.1\n" + kind.listener.format(files=directory)
        with mosquitto.Mosquitto(directory, extra=extra):
            return show(chip.execute(BY_PPP + kind.text(HOST, port, **words), TIMEOUT))


def show(printed, violations=None):
    """Print what the script has found; 1 when not all came back."""
    *got, locked, used, held = map(int, printed.split())
    how = "heap locked" if locked else f"{used} bytes of heap"
    print(f"  QoS 0, 1, 2: {ROUNDS} each published, {got} came back: {how}")
    print(f"  heap held, connected and subscribed, buffer_size=256: {held} bytes")
    if violations is not None:
        print(f"  broken rules seen by the broker: {violations or 'none'}", flush=True)
    return int(got != [ROUNDS] * 3 or bool(violations))
