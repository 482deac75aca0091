"""Power is cut at each step of a client, a server and an application: all arrives, and once."""

from driver import Random
from flash import Board, Cut, Flash, Server
from util import each, few, same


class World:
    """A board whose application publishes and receives, a server, and the power."""

    SCRIPT = (
        ("up", 1, b"A"),
        ("up", 2, b"B"),
        ("down", 2, b"C"),
        ("up", 2, b"D"),
        ("down", 2, b"E"),
        ("down", 1, b"F"),
        ("up", 2, b"G"),
    )

    def __init__(self, tight, fat=False, inbox_qos=2):
        self.flash = Flash(fat)
        self.server = Server()
        self.tight = tight
        self.inbox_qos = inbox_qos
        self.said = 0  # so many of SCRIPT's "down"
        self.effects = {}  # m.number -> payload, stored by the application with its effect
        self.plain = []  # payloads without a number
        self.ups = [x for x in self.SCRIPT if x[0] == "up"]
        self.downs = [x for x in self.SCRIPT if x[0] == "down"]

    def effect(self, b):
        number = b.numbers[-1]
        payload = b.got[-1][1]
        if number:
            same(self.effects.setdefault(number, payload), payload)
        else:
            self.plain.append(payload)
        if payload == b"C" and b.client.state:
            b.client.publish_nowait(b"t", b"inside", False, 0)

    def life(self, cut, keep):
        """One boot: recover, connect, do what is left. Whether it came to the end."""
        self.flash.power(keep)
        self.flash.cut = cut
        try:
            store = {"inbox_qos": self.inbox_qos}
            b = Board(self.flash, False, server=self.server, inflight=4, store=store)
            if self.tight:
                b.store.max_bytes = self.tight
            b.then = self.effect
            b.handle()
            b.run(b.client.connect, False)
            b.go()
            for n in range(4):
                # store.accepted tells the application what to go on with
                if b.store.accepted < len(self.ups):
                    _, qos, payload = self.ups[b.store.accepted]
                    assert b.accept(b"t", payload, qos=qos)
                if self.said < len(self.downs):
                    _, qos, payload = self.downs[self.said]
                    self.said += 1
                    self.server.publish(b.link, qos, payload)
                b.go()
            b.go()
            same((b.tables, self.server.sending, self.server.open), ((0, 0), [], []))
            return True
        except Cut:
            return False

    def end(self, cuts):
        took = sorted([x for x in self.server.took if x[0]])
        once = [x for x in took if x[0] == 2]
        same(once, [(2, x) for x in (b"B", b"D", b"G")], cuts)
        assert set(took) == {(1, b"A"), (2, b"B"), (2, b"D"), (2, b"G")}, took
        values = sorted(self.effects.values())
        if self.inbox_qos == 2:
            same((values, set(self.plain)), ([b"C", b"E"], {b"F"}), cuts)
            same(sorted(self.effects), [1, 2], cuts)
        elif self.inbox_qos == 1:
            same((values[:2], set(values[2:]), self.plain), ([b"C", b"E"], {b"F"}, []), cuts)
        else:  # at least once
            same((values, set(self.plain)), ([], {b"C", b"E", b"F"}), cuts)


def count_steps(*args):
    world = World(*args)
    assert world.life(-1, 0)
    world.end(())
    return world.flash.steps


def test_cut_at_each_step():
    """Wherever the power is cut: QoS 2 arrives once either way, QoS 1 at least once.

    MQTT-4.3.2-1, MQTT-4.3.3-1, MQTT-4.3.3-2, MQTT-4.4.0-1, MQTT-3.1.2-4."""

    def check(tight, fat, keep, inbox_qos=2):
        for cut in few(range(count_steps(tight, fat, inbox_qos))):
            world = World(tight, fat, inbox_qos)
            assert not world.life(cut, keep)
            assert world.life(-1, keep), "does not come to the end"
            world.end((cut,))

    each(
        (
            (0, 0, 0),
            (0, 0, 999),
            (60, 0, 3),
            (60, 1, 0),
            (130, 0, 999),
            (130, 1, 3),
            (0, 0, 0, 1),
            (130, 0, 3, 1),
            (0, 0, 0, 3),
        ),
        check,
    )


def test_cut_twice():
    """Power is cut again while it recovers, and again."""

    def check(tight, fat, keep, seed):
        random = Random(seed)
        for _ in few(range(40)):
            world = World(tight, fat)
            cuts = []
            for cut in range(6):
                cuts.append(random.below(70 if cut else 110))
                if world.life(cuts[-1], random.below(keep + 1)):
                    break
            else:
                assert world.life(-1, 0), "does not come to the end"
            world.end(cuts)

    each([(n, s % 2, k, s + n) for n in (0, 90) for s in range(4) for k in (0, 40)], check)
