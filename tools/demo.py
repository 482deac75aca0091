"""A sensor on MicroPython, a broker that misbehaves, and what passes between them.

    make demo                            a live view of about 25 seconds
    make demo ARGS=--plain               lines only, as when the output is not a terminal
    make demo ARGS="--speed 4"           quicker
    make demo ARGS="--quirk sessions_lost"   the broker errs as real ones do: a promise breaks

It runs examples/sensor.py under MicroPython's unix port with a heap of 64 KB and publishes this
machine's readings. Exit status 0 only when every promise in PROMISES was seen to be kept.
This file is the plot; demo_view.py draws it.
"""

import argparse
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from pathlib import Path

from demo_view import LiveView, PlainView, supports_live_view
from umqtt_harness.broker import QUIRKS, BrokerThread, Fault
from umqtt_harness.micropython import MicroPythonError, Runner, find_mpy_cross

ROOT = Path(__file__).resolve().parent.parent
SENSOR = ROOT / "examples" / "sensor.py"
BASE = "demo/sensor/"
HEAP = "64k"
PATIENCE_S = 10  # for anything that should happen; the demo goes on without it

PROMISES = {
    "online": "connected; status online, retained",
    "qos0": "QoS 0 readings: sent, forgotten",
    "qos1": "QoS 1 readings: each acknowledged",
    "qos2": "QoS 2 readings: four packets each",
    "command": "QoS 2 command obeyed, answered",
    "once": "command delivered twice, done once",
    "resumed": "restart: session resumed, DUP sent",
    "complete": "restart: nothing lost or doubled",
    "keepalive": "broker vanished: sensor noticed",
    "renewed": "session lost: subscribed again",
    "will": "plug pulled: the will says offline",
    "rules": "no rule of MQTT 3.1.1 broken",
}


class Missing(Exception):
    """What a step of the plot waited for did not happen."""


class Demo:
    """All that is known; the views read it, the plot below changes it."""

    def __init__(self, broker, child, speed):
        self.broker = broker
        self.child = child
        self.speed = speed
        self.start = time.monotonic()
        self.story = []  # (seconds, who, text)
        self.kept = {}  # promise -> True, or False when it is known to be broken
        self.act = ""
        self.broker_state = "listens"
        self.packets = Counter()  # (direction, type)
        self.copies = Counter()  # direction -> PUBLISH with DUP
        self.readings = {}  # qos -> (name, values, count)
        self.stats = {}
        self.session = ""
        self.view = None
        self.excused = []  # violations that the demo itself brought about
        self._mark = 0

    # What is seen

    @property
    def seconds(self):
        return time.monotonic() - self.start

    @property
    def sensor_state(self):
        if not self.child.running:
            return "unplugged"
        info = self.broker.sessions.get("sensor")
        if self.broker_state == "listens" and info and info.connected:
            return f"connected, session {self.session}"
        return "no connection"

    def look(self):
        """Take in what happened since the last time."""
        events = self.broker.log.select(since=self._mark)
        self._mark += len(events)
        for event in events:
            if event.client_id != "sensor" or event.direction not in ("in", "out"):
                continue
            self.packets[event.direction, event.type] += 1
            self.copies[event.direction] += event.dup
            if event.direction == "in" and event.type == "PUBLISH":
                self._reading(event)
        for word in self.child.stdout.splitlines()[::-1]:
            if word.startswith("connected, session "):
                self.session = word.split()[-1]
                break

    def _reading(self, event):
        if event.topic == BASE + "stats":
            self.stats = json.loads(event.payload)
        elif event.payload[:1] == b"{":
            reading = json.loads(event.payload)
            name = event.topic[len(BASE) :]
            _, values, _ = self.readings.get(event.qos, (name, deque(maxlen=24), 0))
            if not event.dup:
                values.append(reading["value"])
            self.readings[event.qos] = name, values, reading["n"]

    def say(self, who, text):
        self.story.append((self.seconds, who, text))
        self.view.said(self)

    def keep(self, promise):
        self.kept[promise] = True
        self.view.ticked(self, promise)

    # Waiting, with the view alive

    def _frame(self):
        with contextlib.suppress(TimeoutError):
            self.broker.wait_until(lambda: False, 0.05)
        self.look()
        self.view.draw(self)

    def until(self, what, condition, alive=True):
        """Show what goes on until condition() is true; Missing after PATIENCE_S."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self.look()
            found = condition()
            if found:
                return found
            if alive and not self.child.running:
                raise MicroPythonError(repr(self.child.result()))
            if time.monotonic() > deadline:
                raise Missing(what)
            self._frame()

    def pause(self, seconds):
        """Time to watch. Nothing depends on it."""
        end = time.monotonic() + seconds / self.speed
        while time.monotonic() < end:
            self._frame()

    def printed(self, text, since=0):
        """Whether the sensor printed text in its output after `since` characters."""
        return text in self.child.stdout[since:]

    def seen(self, since=0, **fields):
        return self.broker.log.select(since=since, client_id="sensor", **fields)

    def taken(self, name):
        return [m.payload.decode() for m in self.broker.messages(BASE + name)]

    def readings_so_far(self):
        return self.readings[0][2] if 0 in self.readings else 0

    def more_readings(self, count):
        goal = self.readings_so_far() + count
        self.until(f"{count} more readings", lambda: self.readings_so_far() >= goal)

    def command(self, verb, value, answer):
        """Ask for something with QoS 2, wait for the answer; milliseconds between the packets."""
        mark = self.broker.mark()
        count = len(self.taken("answer"))
        self.broker.publish(f"{BASE}set/{verb}", value, qos=2)
        self.until(f"the answer {answer!r}", lambda: answer in self.taken("answer")[count:])
        asked = self.seen(mark, direction="out", type="PUBLISH", topic=f"{BASE}set/{verb}")[0]
        answered = self.seen(mark, direction="in", type="PUBLISH", payload=answer)[0]
        return (answered.t - asked.t) * 1000


# The plot: each act promises something, and says what it saw.


def act_readings(demo):
    """A sensor comes online"""
    demo.say("broker", f"listens on {demo.broker.host}:{demo.broker.port}")
    demo.until("the sensor to connect", lambda: demo.printed("connected, session new"))
    online = demo.broker.messages(BASE + "status")
    if [(m.payload, m.retain) for m in online] == [(b"online", True)]:
        demo.keep("online")
    demo.say("sensor", f"connected, on MicroPython with a heap of {HEAP[:-1]} KB")
    demo.more_readings(3)
    demo.keep("qos0")
    seen = demo.packets
    demo.until("3 x PUBACK", lambda: seen["out", "PUBACK"] >= 3)
    demo.keep("qos1")
    steps = (("out", "PUBREC"), ("in", "PUBREL"), ("out", "PUBCOMP"))
    demo.until("3 x PUBREC, PUBREL, PUBCOMP", lambda: min(seen[s] for s in steps) >= 3)
    demo.keep("qos2")
    names = (demo.readings[qos][0].split("_")[0] for qos in range(3))
    names = ", ".join(f"{name} (QoS {qos})" for qos, name in enumerate(names))
    demo.say("sensor", f"publishes {names}")


def act_command(demo):
    """A command, QoS 2"""
    ms = round(500 / demo.speed)
    took = demo.command("interval_ms", b"%d" % ms, f"interval_ms is {ms}")
    demo.say("you", f"asked for a reading every {ms} ms; answered in {took:.1f} ms")
    since = demo.broker.mark()
    topic = BASE + demo.readings[0][0]

    def pace():
        """Seconds between two readings in a row, the shortest so far."""
        times = [e.t for e in demo.seen(since, direction="in", type="PUBLISH", topic=topic)]
        return min((b - a for a, b in zip(times, times[1:], strict=False)), default=9)

    demo.until("readings to come faster", lambda: pace() < 1.5 * ms / 1000)
    demo.keep("command")
    demo.say("sensor", f"now publishes every {pace() * 1000:.0f} ms")
    demo.pause(1)


def act_once(demo):
    """A command that is cut off half-way"""
    demo.broker.fault(Fault("drop", type="PUBREC", direction="in", client_id="sensor"))
    mark = demo.broker.mark()
    demo.broker.publish(BASE + "set/blink", b"3", qos=2)
    demo.until("its PUBREC", lambda: demo.seen(mark, type="PUBREC", fault="drop"))
    demo.say("you", 'sent "blink 3"; its PUBREC got lost, and then the link broke')
    demo.broker.kill("sensor", "rst")
    demo.until(
        "the broker to send it again",
        lambda: demo.seen(mark, direction="out", type="PUBLISH", dup=True),
    )
    demo.until("the answer", lambda: "blinked 3 times" in demo.taken("answer"))
    demo.more_readings(2)
    times = len([line for line in demo.child.stdout.splitlines() if line == "blink 3"])
    answers = demo.taken("answer").count("blinked 3 times")
    demo.say("broker", "sent it again, marked DUP, when the sensor was back")
    demo.say("sensor", f"blinked {times} x, answered {answers} x")
    if times == answers == 1:
        demo.keep("once")


def act_restart(demo):
    """The broker restarts, its sessions kept"""
    demo.broker.hold_acks()
    for kind in ("PUBACK", "PUBREC"):
        demo.until(f"a {kind} held back", lambda kind=kind: demo.seen(direction="held", type=kind))
    open_messages = len(demo.seen(direction="held", type=("PUBACK", "PUBREC")))
    printed = len(demo.child.stdout)
    demo.broker.stop(how="rst")
    stopped = time.monotonic()
    demo.broker_state = "is down"
    demo.until("the sensor to notice", lambda: demo.printed("link lost", printed))
    seconds = time.monotonic() - stopped
    demo.say("broker", f"stopped, with {open_messages} readings not acknowledged yet")
    demo.say("sensor", f"noticed within {seconds + 0.05:.1f} s, tries again")
    demo.pause(2.5)
    mark = demo.broker.mark()
    demo.broker.clear_faults()
    demo.broker.start()
    demo.broker_state = "listens"
    demo.say("broker", "is back on the same port")
    demo.until("the sensor to come back", lambda: demo.printed("connected, session", printed))
    resumed = demo.printed("connected, session resumed", printed)
    copies = demo.until(
        "the copies", lambda: demo.seen(mark, direction="in", type="PUBLISH", dup=True)
    )
    kind = "resumed" if resumed else "new"
    demo.say("sensor", f"is back, session {kind}, {len(copies)} messages resent with DUP")
    demo.more_readings(2)
    if resumed and len(copies) >= open_messages:
        demo.keep("resumed")
    numbers = {
        qos: [json.loads(text)["n"] for text in demo.taken(demo.readings[qos][0])]
        for qos in (1, 2)
    }
    lost = sum(max(n) - len(set(n)) for n in numbers.values())
    doubled = len(numbers[2]) - len(set(numbers[2]))
    total = sum(max(n) for n in numbers.values())
    demo.say("broker", f"of {total} QoS 1 and 2 readings {lost} lost; QoS 2 doubled: {doubled}")
    if not lost and not doubled:
        demo.keep("complete")
    demo.pause(1)


def act_vanish(demo):
    """The broker loses power, and its sessions"""
    printed = len(demo.child.stdout)
    rules = len(demo.broker.violations)
    demo.broker.silence("sensor")
    demo.broker.stop(keep_sessions=False)
    stopped = time.monotonic()
    demo.broker_state = "is dark"
    demo.say("broker", "lost its power: no goodbye, TCP stays open, nobody answers")
    demo.until("the sensor to notice", lambda: demo.printed("link lost", printed))
    seconds = time.monotonic() - stopped
    if demo.printed("[Errno 110]", printed):  # ETIMEDOUT, from nothing but the keepalive
        demo.say("sensor", f"noticed after {seconds:.1f} s: no answer to its PINGREQ")
        demo.keep("keepalive")
    demo.pause(1)
    mark = demo.broker.mark()
    demo.broker.start()
    demo.broker_state = "listens"
    demo.until("the sensor to come back", lambda: demo.printed("connected, session new", printed))
    took = demo.command("blink", b"1", "blinked 1 times")
    copies = len(demo.seen(mark, direction="in", type="PUBLISH", dup=True))
    demo.say("sensor", f"is back, session new, subscribed again, {copies} messages resent")
    demo.say("you", f'sent "blink 1", answered in {took:.1f} ms')
    if demo.seen(mark, direction="in", type="SUBSCRIBE"):
        demo.keep("renewed")
    # what it sent to a broker without power cannot have been heard
    deaf = [rule for rule in demo.broker.violations[rules:] if "nothing received" in rule]
    demo.excused += deaf
    demo.pause(1.5)


def act_plug(demo):
    """The plug is pulled"""
    mark = len(demo.taken("status"))
    demo.child.kill()
    demo.until("the will", lambda: demo.taken("status")[mark:], alive=False)
    will = demo.broker.messages(BASE + "status")[-1]
    demo.say("broker", f'published the will: status "{will.payload.decode()}", retained')
    if (will.payload, will.retain, will.qos) == (b"offline", True, 1):
        demo.keep("will")


ACTS = (act_readings, act_command, act_once, act_restart, act_vanish, act_plug)


def play(demo):
    for act in ACTS:
        demo.act = act.__doc__
        demo.view.began(demo)
        try:
            act(demo)
        except Missing as error:
            demo.say("demo", f"waited {PATIENCE_S} s in vain for {error}")
            _mend(demo)
    rules = [rule for rule in demo.broker.violations if rule not in demo.excused]
    for rule in rules:
        demo.say("broker", f"the sensor broke a rule: {rule}")
    if not rules:
        demo.keep("rules")


def _mend(demo):
    """After a step that failed: a broker without faults for the next ones."""
    demo.broker.clear_faults()
    demo.broker.release()
    demo.broker.start()
    demo.broker_state = "listens"


def run(args):
    live = not args.plain and supports_live_view()
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        runner = Runner(Path(directory))
        broker = stack.enter_context(BrokerThread(quirks=args.quirk))
        stack.callback(runner.close)
        try:
            compiled = bool(find_mpy_cross())
        except MicroPythonError:
            compiled = False  # the sources will do
        settings = {
            "MQTT_HOST": broker.host,
            "MQTT_PORT": broker.port,
            "INTERVAL_MS": round(1000 / args.speed),
            "KEEPALIVE": 2 if args.speed < 2 else 1,
            "ROUNDS": None,
        }
        child = runner.start(SENSOR, env=settings, mpy=compiled, heapsize=HEAP, cwd=directory)
        demo = Demo(broker, child, args.speed)
        demo.view = stack.enter_context(LiveView(PROMISES) if live else PlainView(PROMISES))
        play(demo)
    demo.view.report(demo)
    return 0 if all(demo.kept.get(promise) for promise in PROMISES) else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--plain", action="store_true", help="lines instead of the live view")
    parser.add_argument("--speed", type=float, default=1, help="2 is twice as fast (%(default)s)")
    parser.add_argument(
        "--quirk", action="append", default=[], choices=sorted(QUIRKS), metavar="NAME",
        help="let the broker err as real ones do: " + ", ".join(sorted(QUIRKS)),
    )  # fmt: skip
    args = parser.parse_args()
    if not 0.1 <= args.speed <= 10:
        parser.error("--speed: from 0.1 to 10")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return run(args)
    except KeyboardInterrupt:
        print("stopped")
        return 130
    except MicroPythonError as error:
        print(f"demo: the sensor does not run: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
