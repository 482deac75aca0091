"""Hypothesis looks for bytes, pieces and calls that the client cannot take.

The client runs over tests/unit/driver.py's socket of memory; the fuzz targets of tests/fuzz/ bring
their own. Bounded to some seconds and derandomized: the same inputs each time; a failing example
is made small and printed as bytes. `make fuzz` looks further.
"""

import sys
import tracemalloc
from pathlib import Path

import pytest

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is not installed")

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "unit"), str(TESTS / "fuzz")]

import common  # noqa: E402
import target_decoder  # noqa: E402
import target_engine  # noqa: E402
from driver import RESUMED, Driver, ack, packet, parse, publish  # noqa: E402
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from umqtt_plus.errors import MQTTException  # noqa: E402

QUICK = settings(
    max_examples=250,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)

IDS = st.one_of(st.integers(0, 4), st.sampled_from((7, 255, 256, 65535)))
TOPICS = st.one_of(
    st.sampled_from((b"a", b"a/b", b"sensor/temperature", b"\xc3\xa9", b"")),
    st.binary(max_size=70),
)
PUBLISHES = st.builds(
    publish, TOPICS, st.binary(max_size=150), st.integers(0, 3), IDS, st.sampled_from((0, 1, 8, 9))
)
ACKS = st.builds(ack, st.sampled_from((0x40, 0x50, 0x62, 0x70, 0xB0)), IDS)
OTHERS = st.builds(packet, st.integers(0, 255), st.binary(max_size=200))
GOOD_TOPICS = st.sampled_from((b"a", b"a/b", b"a/c", b"sensor/temp", b"sensor/temq", b"\xc3\xa9"))
GOOD_IDS = st.integers(10, 14)
GOOD = st.one_of(
    st.builds(publish, GOOD_TOPICS, st.binary(max_size=45), st.just(0), st.just(0)),
    # one range of ids for QoS 1, another for QoS 2: an id of both would be a violation
    st.builds(publish, GOOD_TOPICS, st.binary(max_size=40), st.just(1), st.integers(20, 24)),
    st.builds(publish, GOOD_TOPICS, st.binary(max_size=40), st.just(2), GOOD_IDS),
    st.builds(ack, st.sampled_from((0x50, 0x62, 0x70, 0x40)), GOOD_IDS),
    st.sampled_from((b"\xd0\x00", ack(0x50, 2), ack(0x50, 3), ack(0x40, 1))),
)
STREAMS = st.tuples(
    st.lists(GOOD, max_size=20).map(b"".join),
    st.lists(st.one_of(PUBLISHES, ACKS, OTHERS, st.binary(max_size=12)), max_size=2).map(b"".join),
).map(b"".join)


def client(handler="message", stream=False, **options):
    d = Driver(handler=handler, buffer_size=64, **options)
    d.pieces = []
    if stream:
        d.client.set_stream(lambda m: d.pieces.append((m.offset, m.total, m.topic, m.payload)))
    d.connect(False)
    for qos in (1, 2, 2):
        d.accept(b"a", b"x", qos=qos)
    d.feed(ack(0x50, 3))
    d.out()
    return d


def play(d, data, cuts):
    """Feed data, cut at cuts; how it ended and all that came of it."""
    edges = sorted({cut for cut in cuts if cut < len(data)} | {0, len(data)})
    end = None
    for i, j in zip(edges, edges[1:], strict=False):
        try:
            d.feed(data[i:j])
        except MQTTException as error:
            end = error.args[0]
            assert end in (0x82, 0x95, 0x97)
            assert d.closed
            break
    if end is None:
        assert not d.closed
        assert d.tables[0] <= 4
    return end, d.got, d.done, d.tables


CUTS = st.lists(st.integers(0, 500), max_size=12)


@QUICK
@given(st.lists(GOOD, max_size=25).map(b"".join), CUTS, st.sampled_from(("message", None)))
def test_any_pieces(data, cuts, handler):
    """What is right gives the same in any pieces: messages, replies, tables. MQTT-7.1.2-1"""
    one, two = client(handler), client(handler)
    assert play(one, data, []) == play(two, data, cuts)
    assert not one.closed
    assert one.out() == two.out()


@QUICK
@given(STREAMS, CUTS, st.sampled_from(("message", "callback", None)), st.booleans())
def test_any_bytes(data, cuts, handler, stream):
    """MQTTException or nothing; after it nothing is written, and the session lives on:
    MQTT-4.8.0-1, MQTT-4.1.0-1."""
    d = client(handler, stream)
    play(d, data, cuts)
    for first, body in parse(d.out()):
        assert first in (0x40, 0x50, 0x62, 0x70) and len(body) == 2
    if d.closed:
        d.connect(False, RESUMED)
        sent = parse(d.out())
        assert [p[0] for p in sent].count(0x10) == 1
        assert all(p[0] in (0x10, 0x62, 0x3A, 0x3C) for p in sent)


@QUICK
@given(st.binary(max_size=600), st.binary(max_size=30), CUTS, st.integers(0, 2))
def test_any_size(payload, more, cuts, qos):
    """A message of any size comes whole or in pieces that make it up, and the next one after it:
    E15."""
    d = client(stream=True)
    play(d, publish(b"big", payload, qos, 9) + publish(b"next", more), cuts)
    assert not d.closed
    if d.pieces:
        assert b"".join(piece[3] for piece in d.pieces) == payload
        assert [piece[2] for piece in d.pieces] == [b"big"] + [b""] * (len(d.pieces) - 1)
        assert all(piece[1] == len(payload) and piece[3] for piece in d.pieces)
    else:
        assert d.got[0][:2] == (b"big", payload)
    assert d.got[-1][:2] == (b"next", more)
    assert d.out() == (b"", ack(0x40, 9), ack(0x50, 9))[qos]


@QUICK
@given(st.binary(max_size=8), st.lists(st.integers(0, 8), max_size=8), st.booleans())
def test_any_answer_to_connect(data, cuts, clean):
    """connect() with any bytes in place of CONNACK: a result, MQTTException or OSError."""
    d = Driver(timeout_ms=50)
    d.answers.append([data] if data else [])
    d.answers += [[], []]
    try:
        d.run(d.client.connect, clean)
    except (MQTTException, OSError):
        assert d.closed
    else:
        assert data[:2] == b"\x20\x02" and data[3:4] == b"\0" and data[2] <= (0 if clean else 1)


@QUICK
@given(
    st.lists(
        st.tuples(st.sampled_from("01287pst"), st.integers(0, 12), st.binary(max_size=90)),
        max_size=30,
    ),
    st.integers(0, 4),
    st.integers(0, 3),
)
def test_any_calls(steps, inflight, most):
    """Calls in any order on a socket that takes little: what is written is whole packets, in
    which each message stands once, as it was given. MQTT-2.2.2-1, MQTT-2.3.1-2"""
    d = Driver(inflight=inflight, buffer_size=64, timeout_ms=20, keepalive=10)
    d.connect(False)
    d.out()
    d.link.most = most or -1
    wanted = []
    for kind, number, data in steps:
        if d.closed:
            break
        try:
            if kind in "012":
                p = d.accept(b"t", data, qos=int(kind))
                if p:
                    wanted.append((int(kind), data))
            elif kind == "8":
                d.publish(b"other/topic", data)
                wanted.append((0, data))
            elif kind == "7":
                d.run(d.client.ping)
            elif kind == "p":
                d.link.space = number
                d.go()
            elif kind == "t":
                d.link.space = -1
                d.tick(number * 100)
            else:
                d.subscribe(b"f/%d" % number, number % 2)
        except (ValueError, OSError):
            pass
    whole = not d.closed
    if whole:
        d.link.space = d.link.most = -1
        d.go()
    found = []
    sent = d.out()
    for first, body in parse(sent):
        assert first in (0x30, 0x32, 0x34, 0x82, 0xC0), first
        if first < 0x40:
            n = 2 + body[1] + (2 if first > 0x31 else 0)
            found.append((first >> 1 & 3, body[n:]))
    for qos in (0, 1, 2):
        mine = [data for q, data in found if q == qos]
        theirs = [data for q, data in wanted if q == qos]
        assert mine == (theirs if whole else theirs[: len(mine)]) or len(mine) == len(theirs) + 1


def test_no_allocation_by_announced_length():
    """A length that is only announced costs no memory: E15, MQTT-4.8.0-2."""
    d = client()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for head in (b"\x30\xff\xff\xff\x7f\x00\x01a", b"\x32\xff\xff\xff\x7f\xff\xffa"):
            tracemalloc.reset_peak()
            with pytest.raises(MQTTException):
                d.feed(head + b"x" * 100)
            d.connect(False, RESUMED)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < 200_000


@QUICK
@given(
    st.integers(0, 255),
    st.binary(min_size=1, max_size=6),
    st.lists(st.one_of(GOOD, PUBLISHES, ACKS, st.sampled_from(target_decoder.TOKENS)), max_size=8),
    st.binary(max_size=8),
)
def test_decoder_against_another(how, cuts, packets, tail):
    """Messages, replies, tables and reason codes are those of a second, slow decoder, in each
    state of a client; after a refusal it connects again: MQTT-4.8.0-1, MQTT-7.1.2-1."""
    target_decoder.run(bytes((how,)) + cuts + b"".join(packets) + tail)


@QUICK
@given(
    st.integers(0, 63),
    st.lists(st.tuples(st.integers(0, target_engine.KINDS - 1), st.integers(0, 255)), max_size=50),
)
def test_engine_against_a_model(how, steps):
    """Calls, packets, lost links and handlers that fail, in any order: what is in flight, what
    goes out and in which order is what a model says: MQTT-2.3.1-2, MQTT-4.4.0-1, MQTT-4.6.0-4."""
    target_engine.run(bytes((how,)) + b"".join(map(bytes, steps)))


@pytest.mark.parametrize("name", ("decoder", "engine"))
def test_known_inputs(name):
    """Seeds, what the fuzzer found worth keeping, and what once failed."""
    common.replay(name)
