"""Does a fleet stampede when its broker restarts? A simulation that runs the real reconnect.py.

    python tools/stampede.py                    500 clients; prints what was seen
    python tools/stampede.py --svg PATH         draws it, too (as tools/benchmarks/stampede.svg)
    python tools/stampede.py --first-ms 10000   another first_ms than the default of Link

Each client is an umqtt_plus.reconnect.Link, driven by poll() over a client of a few lines. Time is
virtual and random numbers are seeded, so the same call prints the same figures anywhere. "Without
jitter" is the same code, given the largest number it could draw: plain exponential backoff.

The broker is a small one that does a TLS handshake for each connection: RATE a second, one after
the other. BACKLOG more may wait for their turn; who comes then is not answered, and gives up after
the client's timeout_ms. While the broker is down a connection is refused at once. Not modelled:
the SYN that TCP repeats by itself, and what a network does to 500 packets in one millisecond.
"""

import argparse
import contextlib
import heapq
import random
import sys
from collections import Counter
from pathlib import Path

from arguments import at_least, new_file

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import shims  # noqa: E402

shims.install()

from benchmarks.svg import COLORS, box, text  # noqa: E402

import umqtt_plus.reconnect as reconnect  # noqa: E402

CLIENTS = 500
SEED = 20
RATE = 20  # handshakes a second
BACKLOG = 100
TIMEOUT_MS = 10000  # of the client
QUIET_MS = 60000  # all are up for so long before the restart: longer than steady_ms
LIMIT_MS = 3600000  # who is not back an hour later never will be
SCENARIOS = (("The broker is down for 30 s", 30000), ("The broker is back at once", 0))


class Broker:
    """Lets everybody in at first; goes down at QUIET_MS for down_ms, and is a small one then."""

    def __init__(self, down_ms):
        self.back = QUIET_MS + down_ms
        self.free = self.back * RATE  # when it can begin the next handshake, in 1/RATE ms

    def answer(self, now):
        """(ms until the client knows, errno or 0) of a connection that comes now.

        Connections must come in the order of time.
        """
        if now < QUIET_MS:
            return 0, 0
        if now < self.back:
            return 1, 111  # ECONNREFUSED
        begin = max(self.free, now * RATE)
        if begin - now * RATE >= BACKLOG * 1000:
            return TIMEOUT_MS, 110  # ETIMEDOUT
        self.free = begin + 1000
        return -(-self.free // RATE) - now, 0


class Client:
    """What Link needs of an MQTTClient. Connections are lost when the broker goes down."""

    def __init__(self, world):
        self.world = world
        self.sock = None
        self.session_present = 0
        self.since = 0

    def connect(self, clean_session, adopt=False):
        world = self.world
        now = world.now
        ms, error = world.broker.answer(now)
        if now >= QUIET_MS:
            world.attempts.append((now - QUIET_MS, error))
        world.now += ms
        if error:
            raise OSError(error)
        self.session_present = 1 if now else 0
        self.sock = self
        self.since = world.now

    def subscribe(self, topics):
        return bytes(len(topics))

    def check_msg(self):
        if self.since < QUIET_MS <= self.world.now:
            self._close()  # as the real one does
            raise OSError(104)  # ECONNRESET
        return False

    def _close(self):
        self.sock = None


class World:
    """What reconnect.py sees of the world, and what became of the clients.

    attempts: (ms since the restart, errno or 0) of each call of connect(); ups: ms since the
    restart of each client that is back. Both in order of time.
    """

    def __init__(self, down_ms, clients, jitter, first_ms=None):
        self.now = 0
        self.broker = Broker(down_ms)
        self.back_ms = down_ms
        self.attempts = []
        self.ups = []
        self.randrange = random.Random(SEED).randrange if jitter else lambda n: n - 1
        with self._inside():
            self._run(clients, {} if first_ms is None else {"first_ms": first_ms})
        self.ups.sort()

    def ticks_ms(self):
        return self.now

    def sleep_ms(self, ms):
        self.now += ms

    @contextlib.contextmanager
    def _inside(self):
        """Clock, sleep and random numbers of reconnect.py are ours meanwhile."""
        ours = {
            "ticks_ms": self.ticks_ms,
            "sleep_ms": self.sleep_ms,
            "random": self,
            "collect": lambda: None,  # of garbage: CPython's takes long, thousands of times
        }
        before = {name: getattr(reconnect, name) for name in ours}
        vars(reconnect).update(ours)
        try:
            yield
        finally:
            vars(reconnect).update(before)

    def _run(self, clients, options):
        links = [reconnect.Link(Client(self), "command", **options) for _ in range(clients)]
        if not all(link.poll() for link in links):
            raise RuntimeError("a client could not connect before the restart")
        queue = [(QUIET_MS, i) for i in range(clients)]  # all see at once that the link is lost
        while queue:
            # An attempt takes its time, during which others begin theirs: the clock goes back.
            self.now, i = heapq.heappop(queue)
            if self.now > QUIET_MS + LIMIT_MS:
                raise RuntimeError("not all clients came back")
            if links[i].poll():
                self.ups.append(self.now - QUIET_MS)
            else:
                heapq.heappush(queue, (self.now + links[i].next_try(), i))

    # -- figures -----------------------------------------------------------------------------

    def per_second(self):
        """Attempts to connect in each second since the restart."""
        seconds = Counter(ms // 1000 for ms, _ in self.attempts)
        return [seconds[s] for s in range(max(seconds) + 1)]

    def up_each_second(self):
        """How many are up at the end of each second."""
        seconds = Counter(-(-ms // 1000) for ms in self.ups)
        total = 0
        found = []
        for s in range(max(seconds) + 1):
            total += seconds[s]
            found.append(total)
        return found

    def figures(self):
        each = self.per_second()
        return {
            "peak": max(each),  # attempts in the worst second
            "peak_back": max(each[self.back_ms // 1000 :]),  # ... once the broker is back
            "all_up_s": self.ups[-1] / 1000,
            "wasted": sum(1 for _, error in self.attempts if error),
            "wasted_back": sum(1 for ms, error in self.attempts if error and ms >= self.back_ms),
        }


def simulate(clients=CLIENTS, first_ms=None):
    """[(title, down_ms, World without jitter, World with jitter)]"""
    return [
        (name, ms, World(ms, clients, False, first_ms), World(ms, clients, True, first_ms))
        for name, ms in SCENARIOS
    ]


# -- what is shown ---------------------------------------------------------------------------

WORDS = (
    ("attempts in the worst second", "peak", "{:d}"),
    ("the same, once the broker is back", "peak_back", "{:d}"),
    ("seconds until all are up", "all_up_s", "{:.1f}"),
    ("attempts in vain", "wasted", "{:d}"),
    ("the same, once the broker is back", "wasted_back", "{:d}"),
)
SERIES = (("without jitter", COLORS[2]), ("with jitter (reconnect.py)", COLORS[1]))
_LEFT, _WIDTH, _HEIGHT, _COLUMN = 48, 310, 130, 378


def report(found):
    yield f"{len(found[0][3].ups)} clients, broker: {RATE} connections a second, backlog {BACKLOG}"
    for name, _, *worlds in found:
        yield ""
        yield f"{name:<36}{'no jitter':>10}{'jitter':>10}"
        without, with_ = (world.figures() for world in worlds)
        for words, key, form in WORDS:
            yield f"  {words:<34}{form.format(without[key]):>10}{form.format(with_[key]):>10}"


def draw(found):
    """The plot: a column for each scenario; attempts a second above, clients up below."""
    clients = len(found[0][3].ups)
    title = f"{clients} clients reconnect after a restart of their broker"
    parts = [text(8, 20, title, weight="bold")]
    for i, (name, color) in enumerate(SERIES):
        parts += [box(_LEFT + 130 * i, 32, 11, 11, color), text(_LEFT + 130 * i + 16, 42, name)]
    parts.append(line([(_LEFT + 325, 38), (_LEFT + 345, 38)], COLORS[0], dash=True))
    parts.append(text(_LEFT + 351, 42, f"what the broker can take: {RATE} a second"))
    for column, (name, down_ms, *worlds) in enumerate(found):
        left = _LEFT + column * _COLUMN
        # to a full ten seconds, so that both curves show their ends
        end = max(-(-world.ups[-1] // 10000) * 10 for world in worlds)
        parts.append(text(left, 70, name, weight="bold"))
        each = [world.per_second() for world in worlds]
        top = max(clients, *map(max, each))
        for y in (96, 280):  # grey while the broker is down
            parts.append(box(left, y, _WIDTH * down_ms / 1000 / end, _HEIGHT, "#eeeeee"))
        parts += frame(left, 96, "attempts to connect in each second", top, end)
        y = 96 + _HEIGHT * (1 - RATE / top)
        parts.append(line([(left, y), (left + _WIDTH, y)], COLORS[0], dash=True))
        parts += curves(left, 96, each, top, end, 0)
        parts += frame(left, 280, "clients that are up", clients, end)
        ups = [world.up_each_second() for world in worlds]
        parts += curves(left, 280, ups, clients, end, clients)
        parts += table(left, 458, [world.figures() for world in worlds])
    head = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="760" height="556" '
        'font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, box(0, 0, 760, 556, "#ffffff"), *parts, "</svg>", ""])


def frame(left, top, title, most, seconds):
    """Axes with the title above."""
    yield text(left, top - 8, title)
    bottom = top + _HEIGHT
    yield line([(left, top), (left, bottom), (left + _WIDTH, bottom)], "#444444")
    for value in (0, most // 2, most):
        yield text(left - 5, round(bottom - _HEIGHT * value / most) + 4, str(value), "end")
    step = next(s for s in (5, 10, 20, 30, 60, 120, 300, 600, 3600) if seconds <= s * 6)
    for s in range(0, seconds + 1, step):
        words = f"{s} s" if s + step > seconds else str(s)
        yield text(left + _WIDTH * s / seconds, bottom + 16, words, "middle")


def curves(left, top, series, most, seconds, rest):
    """A staircase for each series: one step a second, and `rest` behind its end."""
    for values, (_, color) in zip(series, SERIES, strict=True):
        values = values + [rest] * (seconds - len(values))
        points = [(left, top + _HEIGHT)]
        for s, value in enumerate(values[:seconds]):
            y = top + _HEIGHT * (1 - value / most)
            points += [(left + _WIDTH * (s + i) / seconds, y) for i in (0, 1)]
        yield line(points, color)


def table(left, top, figures):
    for row, (words, key, form) in enumerate(WORDS):
        y = top + 18 * row
        yield text(left, y, words)
        for x, one, (_, color) in zip((left + 256, left + _WIDTH), figures, SERIES, strict=True):
            words = text(x, y, form.format(one[key]), "end", "bold")
            yield words.replace("<text", f'<text fill="{color}"')


def line(points, color, dash=False):
    places = []
    for i, place in enumerate(points):
        # of many points on one level only the outer two are needed
        if 0 < i < len(points) - 1 and points[i - 1][1] == place[1] == points[i + 1][1]:
            continue
        places.append(f"{place[0]:.1f},{place[1]:.1f}")
    style = ' stroke-dasharray="4 3"' if dash else ""
    return (
        f'<polyline points="{" ".join(places)}" fill="none" stroke="{color}" '
        f'stroke-width="1.5"{style}/>'
    )


def main(words=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=at_least(1), default=CLIENTS)
    parser.add_argument("--first-ms", type=at_least(1, most=1 << 20))
    parser.add_argument("--svg", metavar="PATH", type=new_file)
    options = parser.parse_args(words)
    found = simulate(options.clients, options.first_ms)
    print("\n".join(report(found)))
    if options.svg:
        Path(options.svg).write_text(draw(found))
        print("written: " + options.svg)


if __name__ == "__main__":
    sys.exit(main())
