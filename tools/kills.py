"""A thousand deaths: a process is killed again and again, and the books must balance.

    python tools/kills.py --messages 10000 --kills 1000 --seed 7

MicroPython's unix port runs kills_sensor.py: the client with a Store in a real file. It publishes
numbered messages of QoS 1 and 2 and obeys numbered commands of both. It gets SIGKILL: at any
moment, before or behind a packet, or half-way through an operation on its files, that of recovery
included. Half of the time power is cut, too: what was not flushed is lost, or part of it. In
between the link is cut. A host-side client, always connected, is the other end. In the end:

  up    each message the store accepted arrived, those of QoS 2 exactly once;
  down  each command had its effect, those of QoS 2 exactly once;
  both  in order, counting first arrivals; no session was lost; no rule was broken.

The seed repeats what goes wrong, not the microsecond at which it does. Exit status 1: failed.
"""

import argparse
import asyncio
import contextlib
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from arguments import at_least, programs
from kills_wire import WAYS, Peer, Proxy, Strike
from umqtt_harness.broker import BrokerThread
from umqtt_harness.micropython import (
    Library,
    MicroPythonError,
    Runner,
    compile_mpy,
    find_micropython,
    find_mpy_cross,
    find_package,
)
from umqtt_harness.mosquitto import MISSING, Mosquitto, find_mosquitto

SENSOR = Path(__file__).resolve().parent / "kills_sensor.py"
EFFECT = struct.Struct(">III")  # as in kills_sensor.py
AHEAD = (3, 10, 30)  # commands of each QoS on their way at once, in one life or another
LONGEST_LIFE_S = 0.5
PATIENCE_S = 20
LINES = (
    "{kills} kills: {clock} by the clock, {early} early, {packet} at a packet, {file} at a file",
    "{power} with a power cut, which took {bytes} bytes in all; {cuts} cuts of a live link",
    "{session} sessions recovered: {out} with messages out, {ids} ids in, {inbox} an inbox",
    "{unfinished} found an unfinished new file, {only} of them no other",
    "{dropped} copies dropped by their id, {again} messages handed over again had no effect",
    "{resent} packets sent again",
)


class Failure(Exception):
    """A promise is broken, and going on makes no sense."""


class Books:
    """Numbers that arrived one way with one QoS: each of 1..sent is to come, in order."""

    def __init__(self, name, exact):
        self.name = name
        self.exact = exact
        self.sent = 0
        self.arrived = Counter()
        self.highest = self.disorder = 0

    def arrive(self, number):
        if number not in self.arrived:
            self.disorder += number < self.highest
            self.highest = max(self.highest, number)
        self.arrived[number] += 1

    @property
    def lost(self):
        return [n for n in range(1, self.sent + 1) if n not in self.arrived]

    @property
    def twice(self):
        return [n for n, count in self.arrived.items() if count > 1]

    def problems(self, excused=(), disorder=0):
        """excused: what the broker has sent twice. disorder: how often it was out of order."""
        twice = [n for n in self.twice if n not in excused]
        strange = [n for n in self.arrived if not 1 <= n <= self.sent]
        if self.lost:
            yield f"{self.name}: {len(self.lost)} of {self.sent} lost: {self.lost[:10]}"
        if self.exact and twice:
            yield f"{self.name}: {len(twice)} more than once: {twice[:10]}"
        if strange:
            yield f"{self.name}: arrived, but never sent: {strange[:10]}"
        if self.disorder and not disorder:
            yield f"{self.name}: {self.disorder} first arrivals out of order"


class Kills:
    """The sensor's lives and deaths."""

    def __init__(self, args, directory, runner, rng, say):
        self.args = args
        self.place = directory / "device"
        self.library = directory / "lib"
        self.runner = runner
        self.rng = rng
        self.say = say
        self.books = {
            (way, qos): Books(f"{way:4} QoS {qos}", qos == 2) for way in WAYS for qos in (1, 2)
        }
        self.qos = (1, 2) if args.qos == "both" else (int(args.qos),)
        self.count = Counter()
        self.accepted = None
        self.commands = False
        self.last = False
        self.child = None
        self._counted = 0  # bytes of the effects
        self.start = time.monotonic()
        (self.place / "effects").write_bytes(b"")
        # compiled: a life is short
        try:
            find_mpy_cross()
            compile_mpy(SENSOR, self.library / "kills_sensor.mpy", SENSOR.name)
            self.compiled = True
        except MicroPythonError:
            shutil.copy(SENSOR, self.library)
            self.compiled = False
        self.script = self.library / "start.py"
        self.script.write_text("import kills_sensor\n")

    def arrive(self, qos, payload):
        number = int(payload[:8])
        if payload[8:] != b"." * (number * 37 % 60):
            self.peer.problem = f"garbled: {payload}"
        self.books["up", qos].arrive(number)

    # One life

    def durable(self):
        """What of the files is flushed: log, log.new, effects. And the counters of that life."""
        side = [int(x) for x in (self.place / "side").read_bytes().split()]
        return side[:3], side[3:]

    def launch(self, env):
        args = self.args
        log, effects = self.place / "log", self.place / "effects"
        size = log.stat().st_size if log.exists() else 0
        settings = {
            "MQTT_HOST": "127.0.0.1", "MQTT_PORT": self.port, "QOS": args.qos,
            "SEED": self.rng.randrange(1 << 30), "FAT": int(self.rng.random() < 0.3),
            "INBOX_QOS": args.inbox_qos, "CLIENT": args.client, "BREAK": args.sabotage,
            "DURABLE": f"{size} -1 {effects.stat().st_size}", "LAST": int(self.last), **env,
        }  # fmt: skip
        if args.keep and size:
            shutil.copytree(self.place, args.keep, dirs_exist_ok=True)
        (self.place / "side").write_bytes(b"")
        self.proxy.strikes = []
        self._known = self.commands  # the session is established
        self.child = self.runner.start(
            self.script, env=settings, mpy=self.compiled, path=[self.library], cwd=self.place
        )

    async def live(self):
        """Start the sensor and let it die of one thing or another."""
        rng, proxy = self.rng, self.proxy
        cause = rng.choice(
            ("clock", "clock", "clock", "packet", "packet", "file", "file", "early")
        )
        self.ahead = rng.choice(AHEAD)
        env = {}
        life_s = LONGEST_LIFE_S
        if cause == "clock":
            life_s = min(0.03 + rng.expovariate(1 / 0.1), LONGEST_LIFE_S)
        elif cause == "early":
            life_s = rng.uniform(0, 0.06)
        elif cause == "file":
            env["DIE"] = int(rng.expovariate(1 / (8 if rng.random() < 0.5 else 80))) + 1
        self.launch(env)
        child = self.child
        if cause == "packet":
            proxy.strikes.append(Strike(rng, child.process.kill))
        cut_s = None
        if rng.random() < 0.6:
            if rng.random() < 0.5:
                cut_s = rng.uniform(0.03, 0.2)
            else:
                proxy.strikes.append(Strike(rng, self.cut))
        began = time.monotonic()
        while child.running and time.monotonic() - began < life_s:
            await asyncio.sleep(0.002)
            self.step()
            if cause == "file" and child.stdout.endswith("!\n"):
                break
            if cut_s and time.monotonic() - began > cut_s:
                cut_s = None
                self.cut()
        self.die(cause)

    def cut(self):
        self.count["cuts"] += self.proxy.cut()

    def die(self, cause, power=True):
        child = self.child
        on_purpose = child.process.returncode in (None, -signal.SIGKILL)
        child.kill()
        self.runner.children.remove(child)
        self.look(on_purpose)
        self.count["kills"] += 1
        self.count[cause] += 1
        log, new = self.place / "log", self.place / "log.new"
        durable, counts = self.durable()
        for name, n in zip(("flushes", "written", "dropped", "resent"), counts, strict=False):
            self.count[name] += n
        self.count["unfinished"] += new.exists()
        self.count["only"] += new.exists() and not log.exists()
        if power and durable and self.rng.random() < self.args.power:
            self.count["power"] += 1
            if new.exists():
                self.power_cut(new, max(durable[1], 0))
            if log.exists():
                renamed = durable[1] >= 0 and not new.exists()
                self.power_cut(log, durable[1] if renamed else durable[0])
            self.power_cut(self.place / "effects", durable[2])
        self.settle()
        if getattr(self.server, "violations", None):
            raise Failure(f"the sensor broke a rule: {self.server.violations[0]}")

    def power_cut(self, file, durable):
        size = file.stat().st_size
        if size < durable:
            raise Failure(f"{file.name} has {size} bytes, {durable} were flushed")
        keep = self.rng.randint(durable, size)
        self.count["bytes"] += size - keep
        with file.open("r+b") as f:
            f.truncate(keep)

    def look(self, on_purpose):
        """What the sensor said in this life."""
        out = self.child.stdout
        for line in out.splitlines():
            word, *rest = line.split() or [""]
            if word == "up" and len(rest) == 4:
                kind, *owed = rest
                if kind == "lost" or kind == "new" and self._known:
                    raise Failure(f"recovered: {kind}")
                self.count[kind] += 1
                for name, n in zip(("out", "ids", "inbox"), owed, strict=True):
                    self.count[name] += n != "0"
            elif word == "subscribed":
                self.commands = True
            elif word == "again":
                self.count["again"] += 1
            elif word == "idle" and rest:
                self.accepted = int(rest[0])
            elif word in ("session", "garbled"):
                raise Failure(f"the sensor says: {line}")
        if self.child.stderr or not on_purpose:
            raise Failure(f"{self.child.result()!r}")

    # Time passes

    def effects(self):
        """The records behind those that are counted: (qos, number), and where they end."""
        with (self.place / "effects").open("rb") as f:
            f.seek(self._counted)
            data = f.read()
        end = len(data) // EFFECT.size * EFFECT.size
        return [r[::2] for r in EFFECT.iter_unpack(data[:end])], self._counted + end

    def settle(self):
        """The sensor is dead: count what is in its file now. Nobody can take that back."""
        done, self._counted = self.effects()
        for qos, number in done:
            self.books["down", qos].arrive(number)

    def step(self):
        """Send commands, but not too far ahead of the sensor."""
        if self.peer.problem:
            raise Failure(self.peer.problem)
        if not self.commands:
            self.commands = "\nsubscribed" in self.child.stdout
        if not self.commands or self.last:
            return
        done, _ = self.effects()
        for qos in self.qos:
            books = self.books["down", qos]
            top = max((n for q, n in done if q == qos), default=books.highest)
            while books.sent - top < self.ahead:
                books.sent += 1
                payload = b"%08d" % books.sent + b"." * (books.sent * 41 % 60)
                self.peer.publish(f"kills/down/{qos}", payload, qos)

    def enough(self):
        return (
            self.count["kills"] >= self.args.kills
            and self.count["cuts"] >= self.args.cuts
            and all(self.books[w, q].highest >= self.args.messages for w in WAYS for q in self.qos)
        )

    async def finish(self):
        """Fine weather: everything that is on its way is to arrive."""
        self.last = True
        self.launch({})
        end = time.monotonic() + PATIENCE_S

        def done():
            got, _ = self.effects()
            got = set(got)
            return (
                "\nidle" in self.child.stdout
                and not (self.peer.open or self.peer.queue)
                and all(
                    (qos, n) in got or n in self.books["down", qos].arrived
                    for qos in self.qos
                    for n in range(1, self.books["down", qos].sent + 1)
                )
            )

        while self.child.running and time.monotonic() < end and not done():
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)  # for what is too much
        self.die("last", power=False)
        if self.accepted is None:
            down = [p for qos in self.qos for p in self.books["down", qos].problems()]
            raise Failure(f"something is still owed after {PATIENCE_S} s in fine weather {down}")
        total = self.accepted
        for i, qos in enumerate(self.qos):
            self.books["up", qos].sent = (total + len(self.qos) - 1 - i) // len(self.qos)
        if [*self.problems()]:
            return
        self.launch({})
        with contextlib.suppress(MicroPythonError):
            self.child.expect(r"^up .*\n", PATIENCE_S)
        self.child.kill()
        if not self.child.stdout.startswith("up session 0 0 0\n"):
            raise Failure(f"all is done, but after another kill: {self.child.result()!r}")

    async def course(self):
        end = time.monotonic() + self.args.seconds
        told = 0
        while not self.enough():
            if time.monotonic() > end:
                raise Failure(f"not done within {self.args.seconds:g} s")
            await self.live()
            if self.count["kills"] - told >= 100:
                told = self.count["kills"]
                arrived = {b.name: b.highest for b in self.books.values() if b.sent or b.highest}
                self.say(
                    f"{self.seconds:5.0f} s  kills {told}  cuts {self.count['cuts']}  {arrived}"
                )
        await self.finish()

    @property
    def seconds(self):
        return time.monotonic() - self.start

    def problems(self):
        witness = self.proxy.witness
        for (way, _), books in self.books.items():
            if way == "up":
                yield from books.problems()
            else:
                yield from books.problems(witness.twice, witness.disorder)

    def report(self):
        count, say, witness = self.count, self.say, self.proxy.witness
        say(f"{'':11}{'messages':>9}{'lost':>6}{'doubled':>9}{'excused':>9}{'copies':>8}")
        for books in self.books.values():
            if books.arrived:
                excused = len(witness.twice.intersection(books.twice)) * (books.name[0] == "d")
                doubled = (len(books.twice) - excused, excused) if books.exact else "--"
                copies = sum(books.arrived.values()) - len(books.arrived)
                say(
                    f"{books.name:11}{books.sent:9}{len(books.lost):6}{doubled[0]:>9}"
                    f"{doubled[1]:>9}{copies:8}"
                )
        for line in LINES:
            say("  " + line.format_map(count))
        say("  PUBLISH with DUP: {up} up, {down} down".format_map(self.proxy.redelivered))
        say(
            f"  the broker sent {len(witness.twice)} again after PUBREL, which is the excuse, and "
            f"{witness.disorder} out of order"
        )
        n = sum(b.highest for b in self.books.values())
        if n:
            say(
                f"wear: {count['flushes'] / n:.2f} flushes and {count['written'] / n:.0f} bytes "
                "a message, compactions and recoveries included"
            )


async def play(args, kills, server):
    kills.server = server
    kills.proxy = Proxy(server.host, server.port, random.Random(args.seed + 1))
    kills.port = await kills.proxy.start()
    loop = asyncio.get_running_loop()
    transport, kills.peer = await loop.create_connection(
        lambda: Peer(kills.arrive), server.host, server.port
    )
    try:
        await asyncio.wait_for(kills.peer.ready, PATIENCE_S)
        await kills.course()
    finally:
        transport.abort()
        await kills.proxy.close()


def run(args, say):
    rng = random.Random(args.seed)
    problems = []
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in ("device", "lib", "server"):
            (directory / name).mkdir()
        if args.broker == "mosquitto":
            server = Mosquitto(directory / "server", extra="max_queued_messages 0")
        else:
            server = BrokerThread(log_limit=5000, max_queued=1_000_000)
        stack.enter_context(server)
        runner = Runner(directory, Library(directory, snapshot(directory)))
        stack.callback(runner.close)
        kills = Kills(args, directory, runner, rng, say)
        try:
            asyncio.run(play(args, kills, server))
            problems += kills.problems()
        except (Failure, MicroPythonError) as error:
            problems.append(str(error))
        say(f"{kills.seconds:.0f} s, {args.broker}, seed {args.seed}:")
        kills.report()
    for problem in problems[:20]:
        say(f"PROBLEM: {problem}")
    if problems:
        words = [*sys.argv[1:], *(() if "--seed" in sys.argv else ("--seed", str(args.seed)))]
        say(f"again: kills.py {' '.join(words)}")
    say("FAILED" if problems else "passed")
    return 1 if problems else 0


def snapshot(directory):
    """A copy of the package: all lives run the same one, whatever becomes of the tree."""
    return shutil.copytree(find_package(), directory / "package" / "umqtt_plus")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add(
        "--messages",
        type=at_least(0),
        default=10000,
        help="at least, of each QoS and way (%(default)s)",
    )
    add("--kills", type=at_least(0), default=1000, help="at least (%(default)s)")
    add("--cuts", type=at_least(0), default=0, help="of the link, at least (%(default)s)")
    add("--seconds", type=at_least(0, float), default=1500, help="give up after (%(default)s)")
    add("--seed", type=int, help="repeats what goes wrong; default: any")
    add("--broker", choices=("bundled", "mosquitto"), default="bundled")
    add("--qos", choices=("1", "2", "both"), default="both")
    add("--client", choices=("sync", "aio"), default="sync", help="with asyncio: aio")
    add("--inbox-qos", type=int, choices=(1, 2), default=2, help="as the store's argument")
    add("--power", type=float, default=0.5, help="part of kills with a power cut (%(default)s)")
    add("--keep", metavar="DIR", help="copy the sensor's files there before each life")
    add("--sabotage", choices=("", "twice", "repeat", "lazy"), default="",
        help="let the sensor err, to see this fail")  # fmt: skip
    args = parser.parse_args()
    programs(find_micropython, find_mpy_cross)
    if args.keep:
        try:
            Path(args.keep).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            parser.error(f"--keep {args.keep}: {error.strerror}")
    if args.seed is None:
        args.seed = random.randrange(1_000_000)
    if args.broker == "mosquitto" and not find_mosquitto():
        sys.exit(MISSING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def say(*words):
        print(*words, flush=True)

    say(f"{args.kills} kills against {args.broker}, seed {args.seed}")
    try:
        return run(args, say)
    except KeyboardInterrupt:
        say("stopped")
        return 130


if __name__ == "__main__":
    sys.exit(main())
