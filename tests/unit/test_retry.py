"""retry_ms: resending on a live link."""

from driver import OK, Driver, ack, publish
from util import each, same


def wait(d, ms):
    """Time passes in small steps, as it does for a program that waits."""
    for _ in range(ms // 100):
        d.tick(100)


def test_retry():
    """retry_ms resends on a live link, same id and DUP, until it is answered: X311-4.4-a."""

    def check(now):
        d = Driver(retry_ms=1000, now=now)
        d.connect(False)
        d.accept(b"a", b"x", qos=1)
        d.accept(b"b", b"y", qos=2)
        d.out()
        wait(d, 900)
        same(d.out(), b"")
        wait(d, 600)
        same(d.out(), publish(b"a", b"x", 1, 1, 8) + publish(b"b", b"y", 2, 2, 8))
        wait(d, 500)
        d.feed(ack(0x50, 2))
        same(d.out(), ack(0x62, 2))
        wait(d, 900)
        same(d.out(), publish(b"a", b"x", 1, 1, 8))
        wait(d, 600)
        same(d.out(), ack(0x62, 2))
        d.feed(ack(0x40, 1) + ack(0x70, 2))
        wait(d, 5000)
        same((d.out(), d.done, d.closed), (b"", [1, 2], False))
        same(d.client.stats()["resent"], 4)

    each([(1000,), (-500,), (-1400,)], check)


def test_retry_waits_for_the_socket():
    """A message that is still being written is not due; a reconnect resends each once."""
    d = Driver(retry_ms=1000)
    d.connect(False)
    d.out()
    d.link.space = 3
    d.accept(b"a", b"x", qos=1)
    wait(d, 3000)
    d.link.space = -1
    d.go()
    same(d.out(), publish(b"a", b"x", 1, 1))
    wait(d, 300)
    d.lose()
    d.connect(False, OK)
    same(d.out()[-8:], publish(b"a", b"x", 1, 1, 8))
    wait(d, 900)
    same(d.out(), b"")
    wait(d, 600)
    same(d.out(), publish(b"a", b"x", 1, 1, 8))
