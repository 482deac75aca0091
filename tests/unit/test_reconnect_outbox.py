"""Link: what becomes of what waits while it is down."""

from driver import Random
from link_world import SLOW, World
from umqtt_plus.outbox import Outbox
from util import few, raises, same


def test_publish_without_an_outbox():
    w = World()
    with raises(OSError, 107):
        w.publish(b"t", b"1")
    w.come()
    same([w.publish(b"t", b"1"), w.publish(b"t", b"2", True, 1)], [-1, 2])
    same(w.client.sent, [(b"t", b"1", False, 0), (b"t", b"2", True, 1)])
    w.client.room = 0
    with raises(OSError, 105):
        w.publish(b"t", b"3", qos=1)
    w.fail("publish", OSError(104))
    with raises(OSError, 104):
        w.publish(b"t", b"4")
    assert w.poll() is False
    with raises(OSError, 107):
        w.publish(b"t", b"5")
    same(len(w.client.sent), 2)


def test_publish_with_an_outbox():
    w = World(outbox=Outbox())
    same(w.publish(b"t", b"1"), 0)
    w.come()
    same([w.publish(b"t", b"2"), w.publish(b"t", b"3", False, 2)], [-1, 3])
    w.client.room = 0
    same(w.publish(b"t", b"4", True, 1), 0)
    w.client.room = 9
    w.fail("publish", OSError(104))
    same(w.publish(b"t", b"5"), 0)
    assert w.poll() is False
    same(w.publish(b"t", b"6"), 0)
    w.come()
    same([m[1] for m in w.client.sent], [b"1", b"2", b"3", b"4", b"5", b"6"])
    same(w.client.sent[3], (b"t", b"4", True, 1))
    same(len(w.link.outbox), 0)


def test_the_first_message_breaks_the_link():
    w = World(outbox=Outbox())
    w.come()
    w.fail("publish", OSError(104))
    same((w.publish(b"t", b"1"), len(w.link.outbox)), (0, 1))


def test_options_go_to_the_outbox():
    lost = []
    box = Outbox(max_count=2, policy="refuse", dropped=lambda *args: lost.append(args))
    w = World(outbox=box)
    same(w.publish(b"t", b"1", expire_ms=1000), 0)
    same(w.publish(b"u", b"2"), 0)
    with raises(OSError, 105):
        w.publish(b"t", b"3")
    same(w.publish(b"u", b"4", latest=True), 0)
    w.tick(60000)
    w.come()
    same(w.client.sent, [(b"u", b"4", False, 0)])
    same(lost, [(b"u", b"2", "replaced"), (b"t", b"1", "expired")])


def test_it_expires_while_the_link_is_down():
    lost = []
    box = Outbox(dropped=lambda *args: lost.append(args))
    w = World(outbox=box)
    w.publish(b"t", b"1", expire_ms=1000)
    w.fail("connect", *[OSError(111)] * 20)
    for _ in range(10):
        w.come(False)
        w.poll()
    same(lost, [(b"t", b"1", "expired")])


def test_order():
    w = World(outbox=Outbox())
    for n in range(5):
        w.publish(b"t", b"%d" % n, n & 1, n % 3)
    w.client.room = 2
    w.come()
    same([m[1] for m in w.client.sent], [b"0", b"1"])
    w.client.room = 1
    same(w.publish(b"t", b"5"), 0)  # behind those that wait, though there is room for one
    same([m[1] for m in w.client.sent], [b"0", b"1", b"2"])
    w.client.room = 9
    same(w.publish(b"t", b"6", qos=1), 7)
    same(
        w.client.sent,
        [(b"t", b"%d" % n, bool(n & 1), n % 3) for n in range(5)]
        + [(b"t", b"5", False, 0), (b"t", b"6", False, 1)],
    )


def test_what_did_not_go_may_be_replaced():
    def break_it(w):
        w.fail("publish", OSError(104))

    def fill_it(w):
        w.client.room = 0

    for stop in (break_it, fill_it):
        w = World(outbox=Outbox(latest=True))
        w.come()
        stop(w)
        same([w.publish(b"t", b"%d" % n) for n in range(3)], [0, 0, 0])
        w.poll()
        same(w.publish(b"t", b"3"), 0)
        same(len(w.link.outbox), 1)
        w.client.room = 9
        w.come()
        same(w.client.sent, [(b"t", b"3", False, 0)])


def test_a_handler_that_loses_the_link():
    """He may disconnect(), or publish on a link that breaks: poll() does not say True then."""
    w = World()
    w.client.handler = w.client._close
    assert w.poll() is False and w.poll() is False
    same([name for name, _ in w.told], ["up", "down"])
    same(w.next_try(), 1000)


def test_a_handler_publishes_while_some_wait():
    for inside in ("check_msg", "publish"):
        w = World(outbox=Outbox())
        for n in range(3):
            w.publish(b"t", b"%d" % n)
        replies = [b"r1", b"r2"]
        real = w.client.publish_nowait

        def handler(w=w, replies=replies):
            if replies:
                w.publish(b"t", replies.pop(0))

        def nowait(*args, real=real, handler=handler):
            done = real(*args)
            handler()
            return done

        if inside == "publish":
            w.client.publish_nowait = nowait
        else:
            w.client.handler = handler
        w.come()
        w.poll()
        same([m[1] for m in w.client.sent], [b"0", b"1", b"2", b"r1", b"r2"])


def test_what_the_client_can_never_take():
    """It is refused at once; what got into the outbox by another way does not stop the others."""
    lost = []
    w = World(outbox=Outbox(dropped=lambda *args: lost.append(args)))
    with raises(ValueError):
        w.publish(b"t", bytes(503), qos=1)
    same(w.publish(b"t", bytes(502), qos=1), 0)
    with raises(ValueError):
        w.publish(b"t", b"", qos=3)
    with raises(ValueError):
        w.publish(b"t/#", b"")
    w.client._tab = None  # inflight=0
    for qos in (1, 2):
        with raises(ValueError):
            w.publish(b"t", b"", qos=qos)
    w.link.outbox.put(b"t", b"bad")
    w.publish(b"t", b"good")
    w.client.calls.clear()
    real = w.client.publish_nowait

    def nowait(topic, msg, retain, qos):
        if msg == b"bad":
            raise ValueError("msg")
        return real(topic, msg, retain, qos)

    w.client.publish_nowait = nowait
    w.come()
    same([m[1] for m in w.client.sent], [bytes(502), b"good"])
    same(lost, [(b"t", b"bad", "refused")])


def test_asyncio_is_woken():
    class Event:
        calls = []

        def set(self):
            self.calls.append("set")

        def clear(self):
            self.calls.append("clear")

    w = World(outbox=Outbox())
    assert w.client._keep is True
    w.link._gone = Event()
    w.publish(b"t", b"1")
    same(Event.calls, ["set", "clear"])
    w.come()
    w.publish(b"t", b"2")
    same(Event.calls, ["set", "clear"])


def story(seed, box, clean):
    """Anything may happen. What publish() took goes out once and in order, or was dropped."""
    random = Random(seed)
    w = World("t", outbox=box, clean_session=clean)
    w.draw = random.below
    client = w.client
    real = client.publish_nowait
    took = []
    count = 0

    def nowait(*args):
        """When the link breaks, a QoS 1 message may be in the table by then."""
        if random.below(9) == 0:
            if args[3] and client.room and client.sock:
                p = real(*args)
                client._close()
                return p
            client._close()
            raise OSError(104)
        return real(*args)

    def take():
        nonlocal count
        count += 1
        msg = b"%d" % count
        qos = random.below(3)
        try:
            p = w.publish(b"t", msg, False, qos)
        except OSError as error:
            assert error.args[0] in (104, 105, 107)
            return
        assert p or box is not None
        took.append(msg)

    client.publish_nowait = nowait
    client.handler = lambda: None if random.below(6) else take()
    for _ in range(150):
        what = random.below(9)
        if what < 3:
            take()
        elif what == 8:
            w.tick(w.next_try())
        elif what == 3:
            w.tick(random.below(3) and random.below(40000))
        elif what == 4:
            client.room = random.below(4)
        elif what == 5:
            name = ("connect", "subscribe", "check_msg")[random.below(3)]
            w.fail(name, OSError((104, 107, 110, 111)[random.below(4)]))
        else:
            w.poll(random.below(2) and 20)
            assert w.link.up == (client.sock is not None)
        if w.link.up and client.sock:
            same(w.next_try(), 0)
        else:
            assert w.next_try() <= SLOW
    client.publish_nowait = real
    client.handler = None
    client.fails = {}
    client.room = 1000
    w.poll()
    w.come()
    return took, [m[1] for m in client.sent]


def test_nothing_is_lost_or_sent_twice():
    for seed in few(range(60)):
        lost = []
        box = None
        kind = seed % 4
        if kind:
            box = Outbox(
                max_count=(200, 200, 5, 5)[kind],
                policy="oldest" if kind == 2 else "refuse",
                dropped=lambda topic, msg, why: lost.append(msg),
            )
        took, sent = story(seed, box, seed & 1)
        what = "seed %d" % seed
        assert took, what
        numbers = [int(msg) for msg in sent]
        same(numbers, sorted(numbers), what)
        same(sorted(sent + lost), sorted(took), what)
        if kind in (1, 3):
            same(lost, [], what)
        if box is not None:
            same(len(box), 0, what)
