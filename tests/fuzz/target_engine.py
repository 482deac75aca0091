"""Fuzz target: calls, packets, broken links and time in any order; compared with session_model.py.

The whole synchronous client runs, over a socket of memory. Input: the client (1 byte), then two
bytes a step.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "unit"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "vectors"))

from driver import OK, RESUMED  # noqa: E402
from engine_world import World, closes, raises  # noqa: E402
from session_model import PUBREL  # noqa: E402
from violations import VIOLATIONS  # noqa: E402

MEMORY = 400_000  # bytes; the test's own lists count, too
MAX_LEN = 240
KINDS = 31
ANY_STATE = [
    (bytes.fromhex(packet), code)
    for cases, packet, code in VIOLATIONS
    if cases[:3] in ("E01", "E02", "E03", "E04", "E05", "E08", "E09", "E10", "E12", "E13", "E20")
]
(  # fmt: skip
    ACCEPT1, ACCEPT2, ACCEPT0, WAIT, ACK, REC, COMP, REL,
    IN0, IN1, IN2, BATCH, SUBSCRIBE, LATE, SPACE, OPEN,
    TIME, LOSE, END, LEAVE, CONNECT, CLEAN, REFUSED, VIOLATION,
    RAISES, CLOSES, ANSWERS, PING, GRANTED, NEXT_ID, WRONG,
) = range(KINDS)  # fmt: skip
TOKENS = (
    bytes((ACCEPT1, 3, ACK, 0)),
    bytes((ACCEPT2, 3, REC, 0, COMP, 0)),
    bytes((IN2, 1, IN2, 0x81, REL, 1)),
    bytes((LOSE, 0, CONNECT, 1)),
    bytes((END, 0, CONNECT, 0)),
    bytes((SPACE, 5, ACCEPT2, 9, OPEN, 0)),
    bytes((BATCH, 0x1B)),
    bytes((CLEAN, 0, CONNECT, 0)),
    bytes((RAISES, 1, CONNECT, 1)),
    bytes((ANSWERS, 2)),
    bytes((LATE, 1, GRANTED, 1)),
    bytes((LATE, 0, NEXT_ID, 0xC0, ACCEPT1, 1, GRANTED, 0)),
    bytes((ACCEPT2, 1, ACCEPT2, 2, REC, 1, REC, 0, LOSE, 0, CONNECT, 1)),
)


def seeds():
    """Each step alone, and some stories."""
    found = [bytes((kind & 7, kind, n)) for kind in range(KINDS) for n in (0, 1, 0x82)]
    found += [bytes((n,)) + b"".join(TOKENS[n:] + TOKENS[:n]) for n in range(len(TOKENS))]
    return found


def ack_of(kind):
    return (0x40, 0x50, 0x70, PUBREL)[kind - ACK]


def step(world, kind, n):
    """Let one thing happen."""
    if kind in (ACCEPT1, ACCEPT2, ACCEPT0):
        world.accepts(n, (1, 2, 0)[kind])
    elif kind == WAIT:
        world.publishes(n)
    elif kind in (ACK, REC, COMP, REL):
        world.feeds([(ack_of(kind), n)])
    elif kind in (IN0, IN1, IN2):
        world.feeds([(0x30 | (kind - IN0) << 1, n)])
    elif kind == BATCH:
        if world.up:
            world.link.space = -1
        kinds = (0x40, 0x50, 0x70, PUBREL, 0x30, 0x32, 0x34, 0x34)
        world.feeds([(kinds[n + 3 * i & 7], n >> i & 0x87) for i in range(2 + (n & 3))])
    elif kind in (SUBSCRIBE, LATE):
        world.subscribes(n, kind == LATE)
    elif kind == GRANTED:
        world.feeds([((0x90, 0xB0)[n & 1], n >> 1)])
    elif kind == NEXT_ID:
        # many messages later; ids that are open lie ahead again
        world.set_next_id(world.some_id(n) if n < 0xC0 else min([*world.model.asks, 65535]))
    elif kind == WRONG and world.up:
        world.calls_wrongly(n)
    elif kind == SPACE and world.up:
        world.link.space = n % 40
        world.go()
    elif kind == OPEN and world.up:
        world.link.space = -1
        world.go()
    elif kind == TIME and world.up:
        world.time(n * 100)
    elif kind in (LOSE, END) and world.up:
        if kind == END:
            world.link.eof = True
        else:
            world.link.error = 104
        try:
            world.go()
        except OSError as error:
            assert error.args[0] == 104
        assert not world.up
    elif kind == LEAVE:
        world.leave()
    elif kind in (CONNECT, CLEAN):
        world.connecting(kind == CLEAN, RESUMED if n & 1 else OK)
    elif kind == REFUSED:
        world.refused_connect(n)
    elif kind == VIOLATION and world.up:
        world.go()
        packet, code = ANY_STATE[n % len(ANY_STATE)]
        world.sends(packet, code)
    elif kind in (RAISES, CLOSES, ANSWERS):
        world.handles({RAISES: raises, CLOSES: closes}.get(kind), n)
    elif kind == PING and world.up:
        world.link.space = -1
        world.run(world.client.ping)


def run(data):
    """One input."""
    if not data:
        return
    world = World(data[0])
    for i in range(1, len(data) - 1, 2):
        step(world, data[i] % KINDS, data[i + 1])
        world.compare()
