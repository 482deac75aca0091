"""From the server's write to the handler: how long, and how much heap a message costs.

A paced sink (sink.py) sends one message every 3 to 13 ms, by chance, so that no way of waiting is
in step with it. The ways take turns.
"""

import statistics

from . import svg
from .run import Contender

NAME = "latency.svg"


class Way:
    def __init__(self, name, front, poll_ms=0, bar_us=0):
        self.name = name
        self.front = front
        self.poll_ms = poll_ms
        self.bar_us = bar_us  # the median stays below, or the report says so


WAYS = [
    Way("bare socket and poller", "socket"),
    Way("bare asyncio streams", "streams"),
    Way("wait_msg()", "sync"),
    Way("asyncio, wake mode", "aio", bar_us=1000),
    Way("asyncio, poll_ms=10", "aio", poll_ms=10),
]


def measure(contender, port, rounds, count, say=lambda text: None):
    """({way: figures}, problems). contender: umqtt_plus, whose interpreter and path are used."""
    contender = Contender("latency", "latency.py", [contender.program], contender.path)
    samples = {way.name: [] for way in WAYS}
    heap = {}
    problems = []
    for turn in range(rounds):
        for way in WAYS:
            say(f"latency, round {turn + 1} of {rounds}: {way.name}")
            try:
                samples[way.name] += ask(contender, way, port, "latency", count)
                if not turn:
                    heap[way.name] = ask(contender, way, port, "heap", 21)[0]
            except RuntimeError as error:
                problems.append(str(error))
    table = {}
    for way in WAYS:
        if samples[way.name] and way.name in heap:
            table[way.name] = figures(sorted(samples[way.name]), heap[way.name], way.bar_us)
    return table, problems


def ask(contender, way, port, mode, count):
    start = "bytes " if mode == "heap" else "us "
    settings = {"front": way.front, "poll_ms": way.poll_ms, "count": count, "mode": mode}
    line = contender.answer(way.name, start, port, **settings)
    return [float(word) for word in line.split()[1:]]


def figures(us, heap, bar_us):
    cuts = statistics.quantiles(us, n=100, method="inclusive")
    return {
        "median_us": statistics.median(us),
        "p95_us": cuts[94],
        "max_us": us[-1],
        "heap": heap,
        "bar_us": bar_us,
        "us": us,
    }


def grid(table):
    yield ["latency, us", "median", "95 %", "most", "heap bytes", ""]
    for name, cell in table.items():
        times = [f"{cell[key]:,.0f}" for key in ("median_us", "p95_us", "max_us")]
        yield [name, *times, f"{cell['heap']:,.0f}", verdict(cell)]


def verdict(cell):
    if not cell["bar_us"]:
        return ""
    word = "ok" if cell["median_us"] < cell["bar_us"] else "ABOVE"
    return f"bar for the median {cell['bar_us']:,} us: {word}"


def above(table):
    return any(cell["bar_us"] and cell["median_us"] >= cell["bar_us"] for cell in table.values())


def plot(table):
    """Which part of the messages had arrived by then."""
    series = []
    for name, cell in table.items():
        us = cell["us"]
        step = max(1, len(us) // 200)
        points = [(max(10, us[i]), 100 * (i + 1) / len(us)) for i in range(0, len(us), step)]
        series.append((name, [*points, (max(10, us[-1]), 100)]))
    return svg.lines(
        "Latency from the server's write to the handler",
        series,
        "us",
        "% of the messages",
        log_x=True,
        y_top=100,
    )
