"""A soak: hours of bad luck in minutes, and the books must balance.

    python tools/soak.py --seconds 600 --seed 7      (make soak)

MicroPython's unix port runs soak_sensor.py: the asyncio client under a Link, with three tasks that
publish numbered messages of QoS 0, 1 and 2 and one that consumes commands of all three. Between
it and the bundled broker everything of KINDS goes wrong, one thing upon the other. The broker is
the witness of what arrived. In the end:

  each QoS 1 message the client accepted arrived at least once, each QoS 2 message exactly once,
  no QoS 0 message twice; of each QoS the first arrivals in order; the same for commands;
  the heap in use is what it was after the warm-up, within 1 %; no task died; no rule was broken.

The seed repeats what goes wrong, not the microsecond at which it does. Exit status 1: failed.
"""

import argparse
import ast
import contextlib
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from arguments import at_least, new_file, programs
from benchmarks import svg
from umqtt_harness.broker import BrokerThread, Fault
from umqtt_harness.micropython import MicroPythonError, Runner, find_micropython, find_mpy_cross

SENSOR = Path(__file__).resolve().parent / "soak_sensor.py"
HEAP = "256k"
PATIENCE_S = 20  # for anything that must happen once the weather is fine
NOTICE_S = 10  # for a half-open link: keep alive is 2 s, but other things go wrong meanwhile
CALM_EVERY_S = 8  # a calm: all is delivered, the heap is measured
# kill: RST or FIN; cut: within a packet, or before or after one is obeyed; half-open: TCP stays,
# nobody reads or answers; silence: answers come late; deaf: nothing is read for a while; dribble:
# byte by byte; refuse: connects closed, reset, hung or answered with a code; stall: CONNACK comes
# late; restart: the broker goes and comes back on its port; dns: look-ups fail; clock: it is days
# later, and shortly before the wrap.
KINDS = (
    "kill", "cut", "half-open", "silence", "deaf", "dribble", "refuse", "stall", "restart", "dns",
    "clock",
)  # fmt: skip
WARM_UP = ("kill", "dns", "restart")  # what loads the code that failures need
RATE_S = 0.04  # between two rounds of commands
TOLERANCE = 0.01


class Failure(Exception):
    """A promise is broken, and going on makes no sense."""


class Books:
    """What one direction sent and what arrived, by QoS."""

    def __init__(self, name):
        self.name = name
        self.sent = [0, 0, 0]
        self.arrived = [Counter(), Counter(), Counter()]  # number -> how often
        self.highest = [0, 0, 0]
        self.disorder = [0, 0, 0]

    def arrive(self, qos, number):
        first = number not in self.arrived[qos]
        self.arrived[qos][number] += 1
        if first and number < self.highest[qos]:
            self.disorder[qos] += 1
        self.highest[qos] = max(self.highest[qos], number)

    def copies(self, qos):
        return sum(self.arrived[qos].values()) - len(self.arrived[qos])

    def problems(self):
        for qos in range(3):
            what = f"{self.name} QoS {qos}"
            known = range(1, self.sent[qos] + 1)
            lost = [n for n in known if n not in self.arrived[qos]]
            twice = [n for n, count in self.arrived[qos].items() if count > 1]
            strange = [n for n in self.arrived[qos] if n not in known]
            if qos and lost:
                yield f"{what}: {len(lost)} of {self.sent[qos]} lost: {lost[:10]}"
            if qos != 1 and twice:
                yield f"{what}: {len(twice)} of {self.sent[qos]} more than once: {twice[:10]}"
            if strange:
                yield f"{what}: arrived, but never sent: {strange[:10]}"
            if self.disorder[qos]:
                yield f"{what}: {self.disorder[qos]} first arrivals out of order"
            if not self.arrived[qos]:
                yield f"{what}: nothing arrived"

    def lines(self):
        for qos in range(3):
            yield (
                f"  {self.name} QoS {qos}: {self.sent[qos]:6} sent  "
                f"{len(self.arrived[qos]):6} arrived  {self.copies(qos):4} copies"
            )


class Soak:
    """The broker, the sensor and the books. All waiting is in wait(): nothing stands still."""

    def __init__(self, broker, child, say):
        self.broker = broker
        self.child = child
        self.say = say
        self.start = time.monotonic()
        self.up = Books("up  ")
        self.down = Books("down")
        self.commands = False  # send them
        self.garbled = []
        self.died = []
        self.calm_heaps = []  # (seconds, bytes)
        self.live_heaps = []
        self.calms = self.shifts = 0
        self.wraps = self.dns_failures = self.dropped = 0
        self.stats = {}
        self.weather = None
        self._seen = 0
        self._next = 0
        route = broker.broker.route

        def witness(topic, payload, qos=0, retain=False, client_id=""):
            if topic.startswith("soak/up/"):
                self._arrived(topic, payload, qos)
            return route(topic, payload, qos, retain, client_id)

        broker.broker.route = witness  # what the broker hands on has arrived

    @property
    def seconds(self):
        return time.monotonic() - self.start

    def _arrived(self, topic, payload, qos):
        try:
            number = int(payload[:8])
        except ValueError:
            number = -1
        if payload != filled(qos, number) or topic != f"soak/up/{qos}":
            self.garbled.append((topic, payload[:40]))
        self.up.arrive(qos, number)

    # What the sensor says

    def look(self):
        """Take in what the sensor printed; Failure when it is in trouble."""
        text = self.child.stdout
        end = text.rfind("\n") + 1
        for line in text[self._seen : end].splitlines():
            word, *rest = line.split()
            if word == "got":
                self.down.arrive(int(rest[0]), int(rest[1]))
            elif word in ("mem", "live"):
                heaps = self.calm_heaps if word == "mem" else self.live_heaps
                heaps.append((int(rest[0]) / 1000, int(rest[1])))
            elif word == "calm":
                self.calms += 1
            elif word == "shifted":
                self.shifts += 1
            elif word == "sent":
                self.up.sent = [int(n) for n in rest]
            elif word == "stats":
                self.stats = ast.literal_eval(line[6:])
            elif word == "count":
                self.dns_failures, self.wraps, self.dropped = (int(n) for n in rest)
            elif word == "died":
                self.died.append(line)
            elif word == "garbled":
                self.garbled.append(line)
        self._seen = max(self._seen, end)
        if self.died:
            raise Failure(self.died[0])
        if self.broker.errors:
            raise Failure(f"the broker has an error: {self.broker.errors[0]!r}")

    # Time passes

    def step(self):
        """What goes on all the time; lasts about 20 ms."""
        self.look()
        self.weather.due()
        now = time.monotonic()
        if self.commands and now >= self._next:
            self._next = now + RATE_S
            for qos in range(3):
                number = self.down.sent[qos] + 1
                self.down.sent[qos] = number
                self.broker.publish(f"soak/down/{qos}", filled(qos, number)[:200], qos)
        if not self.child.running:
            self.child.wait(5, check=False)  # for the last of what it printed
            self.look()
            if "\nbye" not in self.child.stdout:
                raise Failure(f"the sensor ended: {self.child.result()!r}"[-3000:])
        time.sleep(0.02)

    def wait(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()

    def until(self, condition, what, patience_s=PATIENCE_S):
        end = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > end:
                raise Failure(f"waited {patience_s} s for {what}")
            self.step()

    # Looking

    def connected(self):
        info = self.broker.sessions.get("soak")
        return bool(info and info.connected)

    def delivered(self):
        info = self.broker.sessions["soak"]
        return not (info.queued or info.inflight or info.received)

    def measure(self, last=False):
        """Let all be delivered and measure the heap; the weather is fine."""
        self.commands = False
        self.until(self.connected, "the sensor to connect in fine weather")
        self.until(self.delivered, "the commands to be taken")
        calms, heaps = self.calms, len(self.calm_heaps)
        self.child.send_line("calm")
        self.until(lambda: self.calms > calms, "the sensor to be done with all it sent")
        self.until(self.delivered, "both sides to be done")
        self.child.send_line("measure")
        self.until(lambda: len(self.calm_heaps) > heaps, "the heap to be measured")
        if not last:
            self.child.send_line("go")
            self.commands = True
        return self.calm_heaps[-1][1]

    def finish(self):
        self.child.send_line("end")
        self.until(lambda: not self.child.running, "the sensor to end")
        self.child.wait(5, check=False)
        self.look()

    def problems(self, weather):
        if self.child.result().returncode:
            yield f"the sensor's exit status is {self.child.result().returncode}"
        yield from self.up.problems()
        yield from self.down.problems()
        first, last = self.calm_heaps[0][1], self.calm_heaps[-1][1]
        if abs(last - first) > first * TOLERANCE:
            yield f"heap in use went from {first} to {last} bytes, more than 1 %"
        if self.garbled:
            yield f"{len(self.garbled)} messages garbled: {self.garbled[:3]}"
        session = self.broker.sessions.get("soak")
        if session is None or session.dropped:
            yield f"the broker dropped commands itself: {session}"
        deaf = [v for v in self.broker.violations if "nothing received for" in v]
        rules = [v for v in self.broker.violations if "nothing received for" not in v]
        # a broker that does not listen cannot hear a ping
        if len(deaf) > weather.done["half-open"] + weather.done["deaf"] + weather.done["clock"]:
            yield f"{len(deaf)} times the broker heard nothing for 1.5 x keep alive"
        for rule in rules[:5]:
            yield f"the sensor broke a rule: {rule}"


class Weather:
    """What goes wrong. A strike may leave something to undo later: so faults overlap."""

    def __init__(self, soak, rng):
        self.soak = soak
        self.broker = soak.broker
        self.rng = rng
        self.done = Counter()
        self.times = []  # (seconds, kind)
        self.slowest_s = 0.0  # until a half-open link was noticed
        self._later = []  # (when, function)
        self._dead = set()  # connections that stay half-open
        soak.weather = self

    def strike(self, kind):
        """Let it happen; False when nothing came of it."""
        began = self.soak.seconds
        if getattr(self, "_" + kind.replace("-", "_"))() is False:
            return False
        self.times.append((began, kind))
        self.done[kind] += 1
        return True

    def due(self):
        for entry in [e for e in self._later if e[0] <= self.soak.seconds]:
            self._later.remove(entry)
            entry[1]()

    def clear(self):
        """Fine weather."""
        later, self._later = self._later, []
        for _, undo in later:
            undo()
        self.broker.clear_faults()

    def problems(self):
        for kind in KINDS:
            if not self.done[kind]:
                yield f"no {kind} happened"
        if not self.soak.dns_failures:
            yield "no look-up failed"

    def _undo(self, shortest_s, longest_s, function):
        self._later.append((self.soak.seconds + self.rng.uniform(shortest_s, longest_s), function))

    def _on_link(self, function, *args, **options):
        """Do it to the live connection, as soon as there is one."""

        def did():
            try:
                function("soak", *args, **options)
            except LookupError:
                return False
            return True

        self.soak.until(did, "a connection")

    def _number(self):
        """The latest connection, which can be named also when it is no longer in the session."""
        self.soak.until(self.soak.connected, "a connection")
        return self.broker.packets(client_id="soak")[-1].connection

    def _kill(self):
        self._on_link(self.broker.kill, how=self.rng.choice(("rst", "fin")))

    def _cut(self):
        rng = self.rng
        acks = ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP")
        if rng.random() < 0.5:
            kinds, way, at = (*acks, "PUBLISH", "CONNACK"), "out", rng.randrange(4)
        else:
            kinds, way, at = (*acks, "PUBLISH", "CONNECT"), "in", rng.choice((0, None))
        kind, nth, how = rng.choice(kinds), rng.randint(1, 4), rng.choice(("rst", "fin"))
        if kind in ("CONNACK", "CONNECT"):
            nth = 1
        fault = Fault("kill", kind, "soak", way, nth=nth, at=at, how=how)
        self.broker.fault(fault)
        if nth == 1 and kind in ("CONNACK", "CONNECT"):
            self._kill()
        end = self.soak.seconds + 2
        self.soak.until(lambda: fault.hits or self.soak.seconds > end, "time to pass")
        fault.count = 0
        return fault.hits > 0  # another fault may have been quicker

    def _half_open(self, ways=((True, True), (False, True), (True, False))):
        number = self._number()
        self._dead.add(number)
        mark = self.broker.mark()
        began = time.monotonic()
        read, write = self.rng.choice(ways)
        self._on_link(self.broker.silence, read=read, write=write)
        again = {"client_id": "soak", "type": "CONNECT", "since": mark}
        self.soak.until(
            lambda: self.broker.packets(**again), "a half-open link to be noticed", NOTICE_S
        )
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        with contextlib.suppress(LookupError):
            self.broker.kill(number)  # the broker's own half

    def _silence(self):
        types = self.rng.choice((None, ("PUBACK", "PUBREC", "PUBCOMP", "PINGRESP")))
        self.broker.fault(Fault("hold", types, "soak", count=None))
        self._undo(0.3, 3, self.broker.release)

    def _deaf(self):
        number = self._number()

        def hear():
            if number not in self._dead:
                with contextlib.suppress(LookupError):
                    self.broker.resume_reading(number)

        with contextlib.suppress(LookupError):
            self.broker.pause_reading(number)
        self._undo(0.2, 1.5, hear)

    def _dribble(self):
        self.broker.split(1, self.rng.choice((0, 1)))
        self._undo(0.3, 1.2, lambda: self.broker.split(0))

    def _refuse(self):
        way = self.rng.choice(("close", "reset", "hang", 3, 5))
        if isinstance(way, int):
            self.broker.refuse(way, self.rng.randint(1, 2))
        else:
            self.broker.refuse_tcp(way, 1 if way == "hang" else self.rng.randint(1, 3))
        self._kill()

    def _stall(self):
        self.broker.stall_connack()
        self._kill()
        self._undo(0.2, 2.5, self.broker.release)

    def _restart(self):
        self.broker.stop(how=self.rng.choice(("rst", "fin")))
        self._undo(0.05, 1.5, self.broker.start)

    def _dns(self):
        self.soak.until(self.soak.connected, "a connection")
        self.soak.child.send_line("dns 0")
        with contextlib.suppress(LookupError):
            self.broker.kill("soak")
        self._undo(0.5, 1.5, lambda: self.soak.child.send_line("dns 1"))

    def _clock(self):
        """Days without a link; then the wrap comes in fair weather, or while nobody answers."""
        plots = ("half-open", "hang", "fair")
        plot = self.rng.choice(plots) if self.done["clock"] else plots[0]
        lead_ms = self.rng.randrange(1000, 2000)
        with contextlib.suppress(LookupError):
            self.broker.kill("soak")
        self.broker.refuse_tcp("close")
        shifts = self.soak.shifts
        self.soak.child.send_line(f"clock {lead_ms}")
        self.soak.until(lambda: self.soak.shifts > shifts, "the clock to be shifted")
        self.broker.accept_tcp()
        if plot == "hang":
            self.broker.refuse_tcp("hang", 1)
        elif plot == "half-open":
            self._half_open(((True, True),))


def filled(qos, number):
    """The payload of this number, as soak_sensor.py makes it."""
    fill = number * 37 % 180
    if not qos and number % 16 == 0:
        fill += 700
    return b"%08d" % number + bytes([97 + number % 26]) * fill


def play(soak, weather, seconds, rng):
    """The whole course; Failure when there is no point in going on."""
    end = soak.seconds + seconds
    soak.until(lambda: "up\n" in soak.child.stdout, "the sensor to come up")
    soak.commands = True
    soak.wait(0.5)
    for kind in WARM_UP:
        weather.strike(kind)
        soak.wait(0.7)
        weather.clear()
    start = soak.measure()
    soak.say(f"{soak.seconds:6.1f} s  warm, heap in use {start} bytes")
    todo = []
    calm = soak.seconds + CALM_EVERY_S
    short = seconds < 40
    while soak.seconds < end - 1 or (soak.seconds < end + 30 and len(weather.done) < len(KINDS)):
        todo = todo or rng.sample(KINDS, len(KINDS))
        weather.strike(todo.pop())
        soak.wait(rng.uniform(0, 0.2) if short else rng.choice((0, 0.3, 1.5)) * rng.random())
        if soak.seconds >= calm and soak.seconds < end - 3:
            weather.clear()
            heap = soak.measure()
            calm = soak.seconds + CALM_EVERY_S
            up = [len(a) for a in soak.up.arrived]
            down = [len(a) for a in soak.down.arrived]
            soak.say(
                f"{soak.seconds:6.1f} s  faults {sum(weather.done.values()):4}  up {up}  "
                f"down {down}  heap {heap}"
            )
    weather.clear()
    soak.wait(0.5)
    soak.measure(last=True)
    soak.finish()


def report(soak, weather, problems, args):
    say = soak.say
    say(f"{soak.seconds:.0f} s, seed {args.seed}. Faults:")
    for kind in KINDS:
        say(f"  {kind:10} {weather.done[kind]:4}")
    say(
        f"  seen by the sensor: {soak.dns_failures} look-ups failed, the clock wrapped "
        f"{soak.wraps} times, {soak.stats.get('connects')} connects"
    )
    say(f"  a half-open link was noticed after {weather.slowest_s:.1f} s at most")
    say(f"  counters of the client: {soak.stats}")
    for line in (*soak.up.lines(), *soak.down.lines()):
        say(line)
    say(f"  QoS 0 commands that found the mailbox full: {soak.dropped}")
    if soak.calm_heaps:
        first, last = soak.calm_heaps[0][1], soak.calm_heaps[-1][1]
        spread = [size for _, size in soak.calm_heaps]
        say(
            f"heap in use: {first} bytes at the start, {last} at the end "
            f"({100 * (last - first) / first:+.2f} %), {min(spread)} to {max(spread)} between"
        )
    for problem in problems:
        say(f"PROBLEM: {problem}")
    if problems:
        say(f"again: {Path(sys.argv[0]).name} --seconds {args.seconds:g} --seed {args.seed}")
    say("FAILED" if problems else "passed")


def plot(soak, weather, args):
    """The heap in use over time, and below it what went wrong when."""
    left, width, high, row = 70, 660, 170, 12
    base = 50 + high
    longest = max(soak.seconds, 1)
    sizes = [size for _, size in soak.calm_heaps + soak.live_heaps]
    top = max(sizes) * 1.1 / 1024

    def x(seconds):
        return left + width * seconds / longest

    def y(kib):
        return base - high * kib / top

    def line(points, color):
        path = " ".join(f"{x(t):.1f},{y(size / 1024):.1f}" for t, size in points)
        return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>'

    day = time.strftime("%Y-%m-%d")
    title = f"Heap in use over a soak of {soak.seconds:.0f} s (KiB, seed {args.seed}, {day})"
    parts = [svg.text(8, 20, title, weight="bold")]
    for i, name in enumerate(("collected once a second", "all delivered: what must not grow")):
        parts.append(svg.box(left + 200 * i, 32, 11, 11, svg.COLORS[i]))
        parts.append(svg.text(left + 200 * i + 16, 42, name))
    for kib in range(0, int(top) + 1, 20):
        parts.append(svg.box(left, round(y(kib)), width, 1, "#e4e7eb"))
        parts.append(svg.text(left - 8, round(y(kib)) + 4, str(kib), anchor="end"))
    parts += [line(soak.live_heaps, svg.COLORS[0]), line(soak.calm_heaps, svg.COLORS[1])]
    for i, kind in enumerate(KINDS):
        at = base + 14 + row * i
        parts.append(svg.text(left - 8, at + 9, kind, anchor="end"))
        for seconds, struck in weather.times:
            if struck == kind:
                parts.append(svg.box(round(x(seconds)), at + 2, 2, 8, svg.COLORS[2]))
    bottom = base + 30 + row * len(KINDS)
    for n in range(5):
        seconds = longest * n / 4
        parts.append(svg.text(x(seconds), bottom, f"{seconds:.0f} s", anchor="middle"))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{bottom + 10}" '
        'font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, svg.box(0, 0, 760, bottom + 10, "#ffffff"), *parts, "</svg>", ""])


def run(args, say):
    rng = random.Random(args.seed)
    problems = []
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        runner = Runner(Path(directory))
        broker = BrokerThread(log_limit=20_000, max_queued=1_000_000)
        stack.enter_context(broker)
        stack.callback(runner.close)
        try:
            compiled = bool(find_mpy_cross())
        except MicroPythonError:
            compiled = False  # the sources will do
        settings = {
            "MQTT_HOST": broker.host,
            "MQTT_PORT": broker.port,
            "SEED": args.seed,
            "LEAD_MS": rng.randrange(1500, 5000),
            "CLOCK": args.clock,
            "POLL_MS": args.poll_ms,
            "BREAK": args.sabotage,
        }
        child = runner.start(SENSOR, env=settings, mpy=compiled, heapsize=HEAP)
        soak = Soak(broker, child, say)
        weather = Weather(soak, rng)
        try:
            play(soak, weather, args.seconds, rng)
        except (Failure, MicroPythonError) as error:
            problems.append(str(error))
            if args.verbose:
                say(child.result())
                say(broker.log.tail(100))
            say(child.stderr[-2000:])
        problems += soak.problems(weather) if not problems else []
        problems += weather.problems() if not problems else []
        report(soak, weather, problems, args)
        if args.svg and soak.calm_heaps:
            Path(args.svg).write_text(plot(soak, weather, args), encoding="utf-8")
    return 1 if problems else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--seconds", type=at_least(0, float), default=600, help="how long (%(default)s)"
    )
    parser.add_argument("--seed", type=int, help="repeats what goes wrong; default: any")
    parser.add_argument(
        "--svg", metavar="FILE", type=new_file, help="draw the heap in use over time"
    )
    parser.add_argument("--poll-ms", type=int, default=0, help="as the client's argument")
    parser.add_argument(
        "--clock", choices=("board", "plain"), default="board",
        help="ticks that wrap at 2**30 ms, or those of the port (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--verbose", action="store_true", help="on failure, the logs as well")
    parser.add_argument(
        "--sabotage", choices=("", "lose", "double", "leak", "die"), default="",
        help="let the sensor err, to see the soak fail",
    )  # fmt: skip
    args = parser.parse_args()
    programs(find_micropython)
    if args.seed is None:
        args.seed = random.randrange(1_000_000)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def say(*words):
        print(*words, flush=True)

    say(f"soak of {args.seconds:g} s, seed {args.seed}")
    try:
        return run(args, say)
    except KeyboardInterrupt:
        say("stopped")
        return 130


if __name__ == "__main__":
    sys.exit(main())
