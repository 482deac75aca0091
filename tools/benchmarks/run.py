"""Run rows: who, where, how often. bench.py prints what comes of it."""

import contextlib
import copy
import os
import statistics
import subprocess
from pathlib import Path

from umqtt_harness.broker import BrokerThread
from umqtt_harness.micropython import Library, find_micropython
from umqtt_harness.mosquitto import Mosquitto, find_mosquitto

from .sink import Sink

OURS = "floor", "umqtt_plus"
BOARD = Path(__file__).resolve().parent / "board"


def pin():
    """One CPU for this process and all it starts from now on; its name, or why not."""
    if not hasattr(os, "sched_setaffinity"):
        return "all CPUs (this system cannot pin processes)"
    cpu = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpu})
    return f"CPU {cpu}"


class Contender:
    """A program that does the modes it knows: floor, ours or a peer."""

    def __init__(self, name, script, command, path=(), modes=None, front="sync", settings=None):
        self.name = name
        self.command = [str(word) for word in [*command, *([BOARD / script] if script else [])]]
        self.program = command[0]
        self.path = [str(place) for place in path]
        self.modes = modes
        self.front = front
        self.settings = settings or {}

    def knows(self, row):
        if self.front != row.front or self.name == "floor" and not row.floor:
            return False
        if row.topics > 1 and self.name not in OURS:
            return False
        return not self.modes or row.mode in self.modes

    def within(self, words):
        """The same, started by another program."""
        other = copy.copy(self)
        other.command = [*words, *self.command]
        return other

    def environment(self, port, **settings):
        env = dict(os.environ)
        places = os.pathsep.join([str(BOARD), *self.path])
        env["MICROPYPATH"] = places + os.pathsep + ".frozen"
        env["PYTHONPATH"] = places
        for key, value in {**self.settings, **settings, "port": port}.items():
            env[f"BENCH_{key.upper()}"] = str(value)
        return env

    def run(self, row, port, ms):
        """Operations a second."""
        line = self.answer(row.name, "rate ", port, ms=ms, **row.settings())
        _, count, us = line.split()
        return int(count) * 1e6 / int(us)

    def answer(self, label, start, port, timeout=60, **settings):
        """The line of output that begins so; RuntimeError with the output when there is none.

        start "": all output, of a program that must end well.
        """
        try:
            done = subprocess.run(
                self.command,
                env=self.environment(port, **settings),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{self.name}, {label}: no end after {timeout} s") from None
        if not start and not done.returncode:
            return done.stdout
        for line in done.stdout.splitlines():
            if start and line.startswith(start):
                return line
        raise RuntimeError(f"{self.name}, {label}: {(done.stdout + done.stderr)[-400:]}")


def own(directory):
    """The floor and the client of this tree."""
    micropython = [find_micropython()]
    library = Library(directory).compiled()
    return [
        Contender("floor", "floor.py", micropython),
        Contender("floor", "aio_floor.py", micropython, front="asyncio"),
        Contender("umqtt_plus", "ours.py", micropython, [library]),
        Contender("umqtt_plus", "aio_ours.py", micropython, [library], front="asyncio"),
    ]


def ours(contenders):
    return next(c for c in contenders if c.name == "umqtt_plus")


class Servers:
    """Every server that the rows need, started once; `missing` says what is left out, and why."""

    def __init__(self, directory, rows, force_python=False):
        self.ports = {}
        self.missing = []
        self._stack = contextlib.ExitStack()
        wanted = {row.server for row in rows}
        try:
            sink = self._stack.enter_context(Sink(directory, force_python))
            self.sink = sink.kind
            self._same_cpu(sink.pid)
            self.ports["sink"] = sink.port
            paced = self._stack.enter_context(Sink(directory, paced=True))
            self.ports["paced"] = paced.port
            if "bundled" in wanted:
                broker = self._stack.enter_context(BrokerThread(log_limit=1000))
                self.ports["bundled"] = broker.port
            if not find_mosquitto() and any(name.startswith("mosquitto") for name in wanted):
                self.missing.append("Mosquitto is not installed: its rows are left out")
            for name, nodelay in (("mosquitto", "false"), ("mosquitto_nodelay", "true")):
                if name in wanted and find_mosquitto():
                    server = Mosquitto(Path(directory) / name, extra=f"set_tcp_nodelay {nodelay}")
                    self.ports[name] = self._stack.enter_context(server).port
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()

    @staticmethod
    def _same_cpu(pid):
        """On two CPUs a request and its answer measure the wake-up, not the client."""
        if hasattr(os, "sched_getaffinity") and os.sched_getaffinity(pid) != os.sched_getaffinity(
            0
        ):
            raise RuntimeError("the sink does not share this process's CPU: pin() comes first")


def summary(rates):
    middle = statistics.median(rates)
    return {"rate": middle, "spread": (max(rates) - min(rates)) / middle, "runs": rates}


def bench(contenders, servers, rows, rounds, ms, say=lambda text: None):
    """({row name: {contender: summary}}, problems). Who fails twice is left out of the row.

    Each round walks all rows: were the rounds of a row done in one go, a slow minute of the
    machine would shift its figures together, behind a small spread.
    """
    rows = [row for row in rows if row.server in servers.ports]
    rates = {(row.name, c.name): [] for row in rows for c in contenders if c.knows(row)}
    failed = dict.fromkeys(rates, 0)
    problems = []
    for turn in range(rounds):
        for row in rows:
            say(f"round {turn + 1} of {rounds}: {row.name}")
            for contender in contenders:
                key = row.name, contender.name
                if not contender.knows(row) or failed[key] > 1:
                    continue
                try:
                    # peers are many, and only compared
                    time = ms if contender.name in OURS else ms * 3 // 5
                    rates[key].append(contender.run(row, servers.ports[row.server], time))
                except RuntimeError as error:
                    failed[key] += 1
                    problems.append(str(error))
    table = {row.name: {} for row in rows}
    for (row, contender), runs in rates.items():
        if runs:
            table[row][contender] = summary(runs)
    return table, problems
