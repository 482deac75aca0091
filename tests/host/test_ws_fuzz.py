"""The frame decoder against a second one, written apart from it: random streams, right ones with
a few bits changed, cut at random places. Both must find the same payload and the same verdict.
"""

import random
import struct
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
import test_ws_frames as unit  # noqa: E402

SEEDS = range(8)
ROUNDS = 400


def judge(data):
    """(payload, pongs, verdict): "more", "closed" or "bad", of a whole stream of bytes."""
    payload, pongs = b"", []
    i, inside = 0, False
    while i < len(data):
        first = data[i]
        opcode, last = first & 15, first >= 128
        if opcode == 8:
            return payload, pongs, "closed"  # whatever else is wrong with it
        allowed = opcode in (9, 10) and last or opcode == (0 if inside else 2)
        if first & 0x70 or not allowed:
            return payload, pongs, "bad"
        if opcode < 8:
            inside = not last
        if i + 1 == len(data):
            break
        n = data[i + 1]
        i += 2
        if n > 127 or n > 125 and opcode > 8:
            return payload, pongs, "bad"
        if n > 125:
            size = 2 if n == 126 else 8
            n = 0
            for _ in range(size):
                if i == len(data):
                    return payload, pongs, "more"
                if n >= 1 << 21:
                    return payload, pongs, "bad"
                n = n << 8 | data[i]
                i += 1
        piece = data[i : i + n]
        i += n
        if opcode < 8:
            payload += piece
        elif opcode == 9 and len(piece) == n:
            pongs.append(piece)
    return payload, pongs, "more"


def stream(randomly):
    """A stream of frames, mostly right."""
    out, inside = b"", False
    for _ in range(randomly.randrange(1, 10)):
        size = randomly.choice((0, 1, 5, 125, 126, 127, 200, randomly.randrange(600)))
        payload = randomly.randbytes(size)
        kind = randomly.randrange(5)
        if kind < 2:
            out += unit.frame(0x89 + kind, payload[:125])
        else:
            last = randomly.randrange(2)
            out += unit.frame(
                0x80 * last | (0 if inside else 2), payload, randomly.choice((0, 0, 2, 8))
            )
            inside = not last
    if randomly.random() < 0.2:
        out += unit.frame(0x88, struct.pack(">H", 1001))
    if randomly.random() < 0.7:
        data = bytearray(out)
        for _ in range(randomly.randrange(1, 4)):
            # most changes near the beginnings of frames would be lost in payloads
            at = randomly.randrange(min(len(data), randomly.choice((3, 12, len(data)))))
            data[at] ^= 1 << randomly.randrange(8)
        out = bytes(data)
    return out if randomly.random() < 0.95 else randomly.randbytes(randomly.randrange(1, 300))


def decode(data, randomly):
    """The same of our decoder; the stream comes in random pieces."""
    pieces, i = [], 0
    while i < len(data):
        n = randomly.choice((1, 2, 3, 10, 300))
        pieces.append(data[i : i + n])
        i += n
    link = unit.Socket(*pieces)
    reader = unit.Stream(link)
    room = randomly.choice((1, 7, 64, 1000))
    payload, verdict = bytearray(), "more"
    buf = bytearray(room)
    for _ in range(len(data) + 20):  # each call gets on, or there is nothing left
        try:
            n = reader.readinto(buf, room)
        except OSError as error:
            assert error.args[0] == 71
            verdict = "bad"
            break
        if n == 0:
            verdict = "closed"
            break
        payload += buf[: n or 0]
        if n is None and not link.pieces:
            break
    else:
        raise AssertionError("it does not come to an end")
    return bytes(payload), [x[1] for x in unit.sent(link.out)], verdict


@pytest.mark.parametrize("seed", SEEDS)
def test_against_another_decoder(seed):
    """E132, E133: what is right is understood and what is wrong is seen, as another one does."""
    randomly = random.Random(seed)
    seen = {"more": 0, "bad": 0, "closed": 0}
    for number in range(ROUNDS):
        data = stream(randomly)
        wanted = judge(data)
        assert decode(data, randomly) == wanted, f"round {number}: {data.hex(' ')}"
        seen[wanted[2]] += 1
    assert min(seen.values()) > 20
