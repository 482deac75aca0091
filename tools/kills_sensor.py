"""The program that kills.py kills, run by MicroPython: it publishes and it obeys, durably.

Its recipe is the one to copy for exactly once from end to end:

  out   store.accepted counts the messages that the store has taken, and is in the file with them.
        So the next one to publish is number store.accepted + 1, and no note of our own is needed.
  in    the effect of a message goes into a file together with m.number, in one record. A message
        whose number is there already has had its effect.

Standard output: "up RECOVERED IN_FLIGHT AWAITING INBOX" once the store is open, "subscribed",
"again NUMBER" for a message not obeyed twice, "idle ACCEPTED" when all is done (LAST=1, where
nothing new is published), "!" when it waits to be killed.

DIE=n: at its n-th operation on a file it stops, half-way through it, and waits to be killed.
Each flush leaves in the file "side" how much of each file is durable, and counters.
"""

import builtins
import os
import random
import struct
import sys
import time

HOST = os.getenv("MQTT_HOST")
PORT = int(os.getenv("MQTT_PORT"))
QOS = os.getenv("QOS") or "both"
FAT = os.getenv("FAT") == "1"  # a rename that cannot replace
LAST = os.getenv("LAST") == "1"
BREAK = os.getenv("BREAK") or ""  # what to do wrong on purpose: kills.py --sabotage
RAISE = 400  # one in so many messages finds the handler in trouble
SIDE = "%10d %10d %10d %10d %10d %10d %10d\n"
EFFECT = ">III"  # qos, the last m.number, the number in the payload

random.seed(int(os.getenv("SEED") or 1))
_open = open
left = int(os.getenv("DIE") or 0)  # operations until the end


def due():
    global left
    left -= 1
    return left == 0


def die():
    print("!")
    time.sleep(20)
    sys.exit(9)


class Flash:
    """The module `os`, and open(), with a power cut in between, and a note of what is durable."""

    def __init__(self):
        self.durable = [int(x) for x in os.getenv("DURABLE").split()]  # log, log.new, effects
        self.flushes = self.written = self.dropped = self.resent = 0
        self.side = _open("side", "r+b")

    def __getattr__(self, name):
        return getattr(os, name)

    def note(self, slot, size):
        self.durable[slot] = size
        self.side.seek(0)
        counts = (self.flushes, self.written, self.dropped, self.resent)
        self.side.write((SIDE % (tuple(self.durable) + counts)).encode())

    def open(self, name, mode):
        if "r" in mode and "+" not in mode:
            return _open(name, mode)
        now = due()
        if now and random.randrange(2):
            die()
        f = File(self, _open(name, mode), 2 if name == "effects" else int(name.endswith(".new")))
        if f.slot == 0:
            self.durable[1] = -1  # renamed, or there is none
            f.at = f.f.seek(0, 2)
        if f.slot < 2:
            self.note(f.slot, f.at)
        if now:
            die()
        return f

    def rename(self, old, new):
        now = due() and random.randrange(1, 4)
        if now == 1:
            die()
        if FAT:
            try:
                os.remove(new)
            except OSError:
                pass  # there is none
            if now == 2:
                die()
        os.rename(old, new)
        if now:
            die()

    def remove(self, name):
        try:
            os.remove(name)
        finally:
            if due():
                die()


class File:
    def __init__(self, flash, f, slot):
        self.flash = flash
        self.f = f
        self.slot = slot
        self.at = 0

    def write(self, buf, i=0, n=-1):
        if n < 0:
            n = len(buf)
        if due():
            self.f.write(buf, i, random.randrange(n + 1))
            die()
        self.at += n
        if self.slot < 2:
            self.flash.written += n
        return self.f.write(buf, i, n)

    def flush(self):
        now = due()
        if now and random.randrange(2):
            die()
        if self.slot < 2:
            self.flash.flushes += 1
        self.flash.note(self.slot, self.at)
        # no fsync: SIGKILL does not lose what was written, and the power cuts go by the note
        if now:
            die()

    def seek(self, at):
        self.at = self.f.seek(at)

    def close(self):
        self.f.close()


class Effects:
    """What the messages did: one record each, with the number of the message."""

    def __init__(self, flash):
        size = struct.calcsize(EFFECT)
        self.last = 0
        n = os.stat("effects")[6] // size  # what is behind that was not finished
        if n:
            with _open("effects", "rb") as f:
                f.seek((n - 1) * size)
                self.last = struct.unpack(EFFECT, f.read(size))[1]
        self.f = flash.open("effects", "r+b")
        self.f.seek(n * size)
        self.count = 0

    def on_message(self, m):
        self.count += 1
        n = int(m.payload[:8])
        if m.payload[8:] != b"." * (n * 41 % 60):
            print("garbled", m.payload)
        if random.randrange(RAISE) == 0:
            raise ValueError("not now")
        if m.number:
            if m.number <= self.last:
                print("again", m.number)
                if BREAK != "repeat":
                    return
            self.last = m.number
        # an effect that fails half-way is not seen in this test: the next one covers it
        self.f.write(struct.pack(EFFECT, m.qos, self.last, n))
        self.f.flush()


def message(n):
    """Number n of all: its topic, payload and QoS. The filling follows from the number."""
    qos = 2 - n % 2 if QOS == "both" else int(QOS)
    if QOS == "both":
        n = (n + 1) // 2
    return b"kills/up/%d" % qos, b"%08d" % n + b"." * (n * 37 % 60), qos


flash = Flash()
sys.modules["os"] = flash
builtins.open = flash.open

from umqtt_plus.store import Store  # noqa: E402

AIO = os.getenv("CLIENT") == "aio"
if AIO:
    import asyncio

    from umqtt_plus.aio import MQTTClient
else:
    from umqtt_plus.client import MQTTClient

effects = Effects(flash)
client = MQTTClient(
    "kills", HOST, PORT, keepalive=5, buffer_size=128, inflight=4, timeout_ms=5000
)  # fmt: skip
store = Store(
    client, "log", max_bytes=5120, inbox_qos=int(os.getenv("INBOX_QOS") or 2)
)  # fmt: skip
while True:
    try:
        client.set_message(effects.on_message)
        break
    except ValueError:
        pass  # the handler's own: the message is still there
if BREAK == "lazy":
    store.sync = lambda: None  # nothing is durable before it is relied upon
s = client.stats()
print("up", store.recovered, s["in_flight"], s["awaiting_release"], effects.count)


def publish_some():
    """Publish as much as the table takes."""
    while not LAST:
        topic, payload, qos = message(store.accepted + 1)
        if not client.publish_nowait(topic, payload, qos=qos):
            break
        if BREAK == "twice" and (store.accepted == 2 or store.accepted % 10 == 0):
            client.publish_nowait(topic, payload, qos=qos)  # at first there is room for it


def look():
    """Keep the counters; say when there is nothing left to do."""
    s = client.stats()
    flash.dropped = s["duplicates_dropped"]
    flash.resent = s["resent"]
    if LAST and not s["in_flight"] and not s["awaiting_release"]:
        print("idle", store.accepted)


def check(was, present):
    if was and not present:
        print("session lost")  # no broker here loses one


def run():
    subscribed = False
    while True:
        try:
            was = store.established
            check(was, client.connect(clean_session=False))
            if not subscribed:
                client.subscribe(b"kills/down/#", 2)
                subscribed = True
                print("subscribed")
            while True:
                publish_some()
                client.wait_msg(50)
                look()
        except (OSError, ValueError):
            time.sleep_ms(random.randrange(5))  # the link, or the handler


async def run_aio():
    def on_exception(loop, context):
        if not isinstance(context["exception"], ValueError):
            sys.print_exception(context["exception"])

    asyncio.get_event_loop().set_exception_handler(on_exception)
    subscribed = False
    while True:
        try:
            was = store.established
            check(was, await client.connect(clean_session=False))
            link = asyncio.create_task(client.run())
            if not subscribed:
                await client.subscribe(b"kills/down/#", 2)
                subscribed = True
                print("subscribed")
            while not link.done():
                publish_some()
                await asyncio.sleep_ms(1)
                look()
            await link
        except OSError:
            await asyncio.sleep_ms(random.randrange(5))


if AIO:
    asyncio.run(run_aio())
else:
    run()
