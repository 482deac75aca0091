"""The program under test of soak.py, run by MicroPython: three publishers and a consumer.

Orders come as lines on standard input, answers are lines on standard output:

  dns 0 | dns 1     name look-up fails; works again
  clock MS          the clock runs on by days, to MS before its wrap; "shifted"
  calm              publishers pause; "calm" when nothing is on its way in either direction
  measure           "mem MS BYTES": the heap in use after a collection
  go                publishers go on
  end               say goodbye, tell the totals, end

Unasked it prints "up" once, "got QOS NUMBER" for each command, "live MS BYTES" each second, and
"died ..." when a task ended that must not. MS there is the time since the start.
"""

import gc
import os
import random
import select
import socket
import sys
import time

HOST = os.getenv("MQTT_HOST")
PORT = int(os.getenv("MQTT_PORT"))
BOARD_CLOCK = os.getenv("CLOCK") != "plain"
LEAD_MS = int(os.getenv("LEAD_MS") or 3000)  # from the start to the first wrap
BREAK = os.getenv("BREAK") or ""  # what to do wrong on purpose: soak.py --sabotage

_real_ms = time.ticks_ms
_real_diff = time.ticks_diff
_began = _real_ms()
random.seed(int(os.getenv("SEED") or 1))


class Clock:
    """The module `time` with ticks as on a board: they wrap at 2**30 ms, not at 2**62."""

    PERIOD = 1 << 30
    HALF = 1 << 29
    sleep_ms = time.sleep_ms
    sleep = time.sleep

    def __init__(self, lead_ms):
        self.offset = 0
        self.wraps = 0
        self.last = 0
        self.offset = -self.ticks_ms() - lead_ms
        self.last = self.ticks_ms()
        self.wraps = 0

    def ticks_ms(self):
        now = (_real_ms() + self.offset) & self.PERIOD - 1
        if now < self.last:
            self.wraps += 1
        self.last = now
        return now

    def ticks_add(self, ticks, delta):
        if not -self.HALF <= delta < self.HALF:
            raise OverflowError("ticks interval overflow")  # as MicroPython does
        return (ticks + delta) & self.PERIOD - 1

    def ticks_diff(self, a, b):
        return ((a - b + self.HALF) & self.PERIOD - 1) - self.HALF


class Task:
    """What asyncio.core asks of its tasks; the one in C knows the port's own clock only."""

    def __init__(self, coro, globals=None):
        self.coro = coro
        self.data = None  # the queue it waits in, the task it waits for, or how it ended
        self.state = True  # running; then a queue of those who wait for it; then False or None
        self.ph_key = 0  # when it is to run

    def __iter__(self):
        if not self.state:
            self.state = False  # done, and its exception is about to be seen
        elif self.state is True:
            self.state = TaskQueue()
        elif not isinstance(self.state, TaskQueue):
            raise RuntimeError("can't wait")
        return self

    def __next__(self):
        if not self.state:
            raise self.data
        self.state.push(asyncio.core.cur_task)
        asyncio.core.cur_task.data = self

    def done(self):
        return not self.state

    def cancel(self):
        if not self.state:
            return False
        task = self
        if task is asyncio.core.cur_task:
            raise RuntimeError("can't cancel self")
        while isinstance(task.data, Task):
            task = task.data
        queue = asyncio.core._task_queue
        if hasattr(task.data, "remove"):
            task.data.remove(task)
            queue.push(task)
        elif clock.ticks_diff(task.ph_key, clock.ticks_ms()) > 0:
            queue.remove(task)
            queue.push(task)
        task.data = asyncio.CancelledError()
        return True


class TaskQueue:
    """Tasks by the time they are due; those of the same time in the order they came."""

    def __init__(self):
        self.tasks = []

    def peek(self):
        return self.tasks[0] if self.tasks else None

    def push(self, task, key=None):
        task.data = None
        task.ph_key = key = clock.ticks_ms() if key is None else key
        tasks = self.tasks
        i = len(tasks)
        while i and clock.ticks_diff(tasks[i - 1].ph_key, key) > 0:
            i -= 1
        tasks.insert(i, task)

    def pop(self):
        return self.tasks.pop(0)

    def remove(self, task):
        self.tasks.remove(task)


class Queues:
    """Stands for the module _asyncio."""


class Net:
    """The module `socket`, with a resolver that can fail."""

    def __init__(self):
        self.broken = False
        self.failures = 0
        for name in ("socket", "SOCK_STREAM", "AF_INET"):
            setattr(self, name, getattr(socket, name))

    def getaddrinfo(self, *args):
        if self.broken:
            self.failures += 1
            raise OSError(-2)
        return socket.getaddrinfo(*args)


net = sys.modules["socket"] = Net()
clock = time
if BOARD_CLOCK:
    clock = sys.modules["time"] = Clock(LEAD_MS)
    Queues.Task = Task
    Queues.TaskQueue = TaskQueue
    sys.modules["_asyncio"] = Queues

import asyncio  # noqa: E402

from umqtt_plus.aio import MQTTClient  # noqa: E402
from umqtt_plus.reconnect import Link  # noqa: E402

ENOBUFS = 105
ETIMEDOUT = 110

client = MQTTClient(
    "soak", HOST, PORT, keepalive=2, buffer_size=256, inflight=4, timeout_ms=2000,
    poll_ms=int(os.getenv("POLL_MS") or 0),
)  # fmt: skip
mailbox = client.messages(8)
link = Link(
    client, [(b"soak/down/#", 2)], first_ms=40, cap_ms=400, steady_ms=2000, slow_ms=600
)  # fmt: skip
sent = [0, 0, 0]  # numbers accepted by the client
idle = [False, False, False]
kept = []  # for BREAK
paused = False


def payload(qos, n):
    """Number n: 8 digits and a length and filling that follow from it."""
    fill = n * 37 % 180
    if not qos and n % 16 == 0:
        fill += 700  # more than the buffer
    return b"%08d" % n + bytes([97 + n % 26]) * fill


async def publisher(qos):
    topic = b"soak/up/%d" % qos
    while True:
        while paused:
            msg = None  # its size must not count
            idle[qos] = True
            await asyncio.sleep_ms(10)
        idle[qos] = False
        n = sent[qos] + 1
        msg = payload(qos, n)
        if BREAK == "lose" and qos == 2 and n == 20:
            sent[qos] = n  # never published
        elif qos and random.randrange(2):
            await in_two_steps(topic, msg, qos)
        else:
            await in_one(topic, msg, qos)
        if BREAK == "double" and qos == 2 and n == 20:
            await in_one(topic, msg, qos)
        if BREAK == "leak" and n % 16 == 0:
            kept.append(msg)
        if BREAK == "die" and n == 20:
            raise ValueError("on purpose")
        sent[qos] = n
        await asyncio.sleep_ms(random.randrange(30))


async def in_one(topic, msg, qos):
    while True:
        try:
            await client.publish(topic, msg, qos=qos, timeout_ms=random.randrange(100, 3000))
            return
        except OSError as e:
            if e.args[0] == ETIMEDOUT and qos:
                return  # it is in the table: the client sees to it
            if e.args[0] != ENOBUFS:
                raise


async def in_two_steps(topic, msg, qos):
    while True:
        try:
            packet_id = client.publish_nowait(topic, msg, qos=qos)
        except OSError:
            packet_id = 0  # no link: not accepted
        if packet_id:
            break
        await asyncio.sleep_ms(20)
    ms = random.randrange(50, 2000)
    try:
        if random.randrange(4):
            await client.published(packet_id, clock.ticks_add(clock.ticks_ms(), ms))
        else:
            await asyncio.wait_for_ms(client.published(packet_id), ms)
    except OSError as e:
        if e.args[0] != ETIMEDOUT:
            raise
    except asyncio.TimeoutError:
        pass


async def consumer():
    async for m in client:
        n = int(m.payload[:8])
        if m.payload != payload(m.qos, n)[: len(m.payload)] or m.topic != b"soak/down/%d" % m.qos:
            print("garbled", m)
        print("got", m.qos, n)
        if random.randrange(40) == 0:
            await asyncio.sleep_ms(random.randrange(300))  # so that the mailbox fills up


def ms_since_start():
    return _real_diff(_real_ms(), _began)


def heap():
    gc.collect()
    return gc.mem_alloc()


def quiet():
    counters = client.stats()
    return (
        all(idle)
        and link.up
        and not (counters["in_flight"] or counters["awaiting_release"] or mailbox.items)
    )


async def shift(lead_ms):
    """Run the clock on to lead_ms before the wrap, in steps that ticks_diff can tell.

    Only without a link: nobody looks after it, so a live one would be dead after the first step.
    """
    left = -lead_ms - clock.ticks_ms() & clock.PERIOD - 1
    while left:
        step = min(left, 1 << 28)
        clock.offset += step
        left -= step
        await asyncio.sleep_ms(20)


async def obey(line):
    """One order; False at the last one."""
    global paused
    word, _, value = line.strip().partition(" ")
    if word == "dns":
        net.broken = value == "0"
    elif word == "clock":
        if BOARD_CLOCK:
            await shift(int(value))
        print("shifted")
    elif word == "calm":
        paused = True
        while not quiet():
            await asyncio.sleep_ms(10)
        print("calm")
    elif word == "measure":
        client.ping()  # the packet written last is held until the next: a small one
        await asyncio.sleep_ms(50)
        print("mem", ms_since_start(), heap())
    elif word == "go":
        paused = False
    return word != "end"


def on_exception(loop, context):
    print("died", context["message"], repr(context["exception"]))
    sys.print_exception(context["exception"])


async def main():
    asyncio.get_event_loop().set_exception_handler(on_exception)
    poller = select.poll()
    poller.register(sys.stdin, select.POLLIN)
    tasks = {"link": asyncio.create_task(link.run())}
    await link.wait_up()
    print("up")
    tasks["consumer"] = asyncio.create_task(consumer())
    publishers = [asyncio.create_task(publisher(qos)) for qos in range(3)]
    for qos in range(3):
        tasks[f"publisher {qos}"] = publishers[qos]
    lines = orders(poller)
    told = 0
    going = None  # the order that is being obeyed
    while True:
        await asyncio.sleep_ms(20)
        for name in tasks:
            if tasks[name].done():
                print("died", name, repr(tasks[name].data))
                sys.exit(1)
        if ms_since_start() - told >= 1000:
            told = ms_since_start()
            print("live", told, heap())
        if going and going.done():
            more, going = await going, None
            if not more:
                break
        line = None if going else next(lines)
        if line:
            going = asyncio.create_task(obey(line))
    print("sent", *sent)
    print("stats", client.stats())
    print("count", net.failures, clock.wraps if BOARD_CLOCK else 0, mailbox.dropped)
    for task in publishers:
        task.cancel()
    await link.close()
    await tasks["link"]
    await tasks["consumer"]
    print("bye")


def orders(poller):
    """Lines of standard input, or None when there is none now."""
    while True:
        yield sys.stdin.readline() if poller.poll(0) else None


asyncio.run(main())
