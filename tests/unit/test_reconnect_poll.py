"""Link.poll(): its time, its errors; and a Link over the real client."""

import time

from driver import RESUMED, Driver, ack, parse, publish, split
from link_world import World, fail, up
from umqtt_plus.errors import MQTTException
from umqtt_plus.outbox import Outbox
from umqtt_plus.reconnect import Link
from util import each, raises, same

# -- poll() ------------------------------------------------------------------------------------


def test_poll_sleeps_while_it_is_not_time():
    def check(due_ms, timeout_ms):
        w = fail("connect", OSError(111), first_ms=due_ms)
        assert w.poll(timeout_ms) is False
        same(w.idle, timeout_ms)
        same(w.next_try(), due_ms - timeout_ms)
        same(len(w.client.calls), 1)

    each(((1000, 0), (1000, 1), (1000, 999), (60000, 100)), check)


def test_poll_asks_for_no_more_time_than_it_has():
    """What it slept until the try was due is not there any more for messages."""
    for timeout_ms in (1000, 1001, 5000):
        w = fail("connect", OSError(111), first_ms=1000)
        assert w.poll(timeout_ms) is True
        same(w.idle, timeout_ms, "poll(%d)" % timeout_ms)


def test_poll_while_up():
    w = World()
    w.come()
    w.client.calls.clear()
    assert w.poll() and w.poll(250) and w.poll(1)
    same(w.client.calls, [("check_msg",), ("wait_msg", 250), ("wait_msg", 1)])


def test_what_a_handler_raises_passes_through():
    for error in (ValueError("mine"), OSError(28), OSError(104), MQTTException(5), MemoryError()):
        for call, timeout_ms in (("check_msg", 0), ("wait_msg", 10)):
            w = World(slow_ms=0)
            w.come()
            w.fail(call, (error, True))
            with raises(type(error)) as caught:
                w.poll(timeout_ms)
            assert caught.error is error
            assert w.link.up and w.client.sock and w.poll() is True
            same((w.told, w.drawn), ([("up", 0)], []))


def test_a_handler_that_costs_the_link():
    """On a QoS 1 message the client closes the link, so that the message comes again: slower each
    time (G9)."""
    for call in ("check_msg", "connect", "subscribe"):
        w = World("t")
        if call == "check_msg":
            w.come()
            w.client.present = [1]
        for number in range(4):
            w.fail(call, ValueError("mine"))
            w.tick(w.next_try())
            with raises(ValueError, "mine"):
                w.poll()
            same((w.link.up, w.client.sock), (False, None))
            same(w.drawn[number:], [1000 << number], call)
            if call == "check_msg":
                w.come()
        w.come()


def test_a_handler_that_fails_before_it_is_up():
    """A QoS 0 message may come before the SUBACK: the link is open then, and not to be kept."""
    for error in (OSError(110), MQTTException(0x80), ValueError("mine")):
        w = World("t")
        w.fail("subscribe", (error, True))
        if isinstance(error, ValueError):
            with raises(ValueError, "mine"):
                w.poll()
        else:
            assert w.poll() is False
        same((w.link.up, w.client.sock, w.next_try()), (False, None, 1000))
        w.come()


def test_the_link_breaks_in_each_call():
    def check(call, error, timeout_ms):
        w = World("t", outbox=Outbox())
        if call in ("check_msg", "wait_msg", "publish"):
            w.come()
            w.told.clear()
        w.publish(b"a", b"1") if call != "publish" else w.link.outbox.put(b"a", b"1")
        sent = len(w.client.sent)
        w.fail(call, error)
        assert w.poll(timeout_ms) is False
        same((w.link.up, w.client.sock), (False, None))
        same(len(w.told), 1)
        same(w.told[0][0], "down")
        assert w.link.why is w.told[0][1]
        if call != "publish":
            assert w.link.why is error
        same((len(w.drawn), w.next_try()), (1, 1000))
        assert w.poll() is False
        w.come()
        same(w.told[1:], [("up", 0)])
        same(w.client.sent, [(b"a", b"1", False, 0)])
        assert sent <= 1

    rows = []
    for call in ("connect", "subscribe", "publish", "check_msg", "wait_msg"):
        for error in (OSError(104), OSError(110), OSError(32), MQTTException(0x82)):
            if call != "publish" or isinstance(error, OSError):
                rows.append((call, error, 10 if call == "wait_msg" else 0))
    each(rows, check)


# -- with the real client ----------------------------------------------------------------------


def test_real_client_comes_back():
    d = Driver(inflight=2)
    down = []
    link = up(d, outbox=Outbox(), on_down=down.append)
    d.out()
    for n in range(4):
        d.run(link.publish, b"t", b"%d" % n, False, 1)
    same([body[5:] for _, body in parse(d.out())], [b"0", b"1"])
    d.link.error = 104
    assert d.run(link.poll) is False
    same([error.args[0] for error in down], [104])
    d.now = time.ticks_add(d.now, d.run(link.next_try))
    d.answers.append(split(RESUMED))
    assert d.run(link.poll) is True
    packets = parse(d.out())[1:]
    same([(first, body[5:]) for first, body in packets], [(0x3A, b"0"), (0x3A, b"1")])
    for _, body in packets:
        d.link.pieces.append(ack(0x40, body[3] << 8 | body[4]))
    for _ in range(4):
        assert d.run(link.poll) is True
    same([body[5:] for _, body in parse(d.out())], [b"2", b"3"])


def test_real_client_handles_nothing_inside_pump():
    """With keepalive due, a handler inside pump() would find the message not done yet."""
    d = Driver(keepalive=10)
    link = up(d, outbox=Outbox())
    d.out()
    d.then = lambda _: link.publish(b"t", b"reply")
    d.run(link.outbox.put, b"t", b"first")
    d.link.space = 500  # a pump() that finds no end finds one
    d.now = time.ticks_add(d.now, 20000)
    d.link.pieces.append(publish(b"down", b"command"))
    assert d.run(link.poll) is True
    sent = [body[3:] for first, body in parse(d.out()) if first == 0x30]
    same(sent, [b"first", b"reply"])


def test_real_client_is_refused():
    d = Driver()
    link = d.run(Link, d.client, slow_ms=0)
    d.answers.append(split(b"\x20\x02\x00\x04"))
    with raises(MQTTException, 4):
        d.run(link.poll)
    assert d.closed and not link.up


def test_real_client_with_a_handler_that_fails():
    """Right behind CONNACK comes what the session kept; a link that costs waits, too."""
    d = Driver()
    link = up(d)
    link.first_ms = 1000

    def bad(_):
        raise ValueError("mine")

    d.then = bad
    d.link.pieces.append(publish(b"down", b"1", 1, 7))
    for _ in range(3):
        with raises(ValueError, "mine"):
            d.run(link.poll)
        assert d.closed and not link.up and d.run(link.next_try) > 0
        d.now = time.ticks_add(d.now, d.run(link.next_try))
        d.answers.append([RESUMED + publish(b"down", b"1", 1, 7, 8)])
    d.then = None
    assert d.run(link.poll) is True
    same([got[1] for got in d.got], [b"1"] * 4)
