"""The client against a small server of our own, with links that break anywhere, at random.

Whatever is lost on the way: QoS 1 arrives at least once, QoS 2 exactly once, in both directions,
and on the way every packet is what the rules allow in that place.
"""

from driver import OK, RESUMED, Driver, Random, ack, parse, publish
from util import each, same

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70


class Server:
    """Keeps a session, answers what the client sends, sends messages, checks every packet."""

    def __init__(self, driver, random):
        self.d = driver
        self.random = random
        self.received = set()  # QoS 2 ids taken and not released
        self.took = []  # payloads owned, in order
        self.sending = {}  # id -> [qos, payload, PUBREC seen, sent before]
        self.released = set()  # payloads whose PUBREL the client began to send
        self.first = set()  # payloads that were sent with DUP 0
        self.ids = {}  # payload -> id
        self.next_id = 0

    def connect(self, present):
        """A new link: what was not finished is sent again, ids as before."""
        self.buffer = bytearray()
        self.waiting = bytearray()  # from the server, still on its way
        self.replies = []  # (kind, id) that the client owes, in order
        self.rels = []  # ids of the PUBRECs that came, in order
        for p in sorted(self.sending):
            qos, payload, rec, sent = self.sending[p]
            if rec:
                self.say(ack(PUBREL, p))
            else:
                self.message(p)

    def say(self, data):
        self.waiting.extend(data)

    def message(self, p):
        qos, payload, rec, sent = self.sending[p]
        self.say(publish(b"down", payload, qos, p, 8 if sent else 0))
        self.sending[p][3] = True

    def send(self, qos, payload):
        if not qos:
            self.say(publish(b"down", payload))
            return
        p = self.next_id = self.next_id % 9 + 1
        if p not in self.sending:
            self.sending[p] = [qos, payload, False, False]
            self.message(p)
            return True

    def take(self, data):
        """Bytes from the client, of which only a part may arrive."""
        self.buffer.extend(data)
        found = parse(self.buffer)
        size = 0
        for first, body in found:
            size += 2 + len(body)  # all are shorter than 128
            kind = first & 0xF0
            if kind == 0x10:
                continue
            if kind == 0x30:
                self.publish(first, body)
                continue
            same(len(body), 2)
            p = body[0] << 8 | body[1]
            assert first in (PUBACK, PUBREC, PUBREL, PUBCOMP), first
            if first == PUBREL:
                self.received.discard(p)
                self.say(ack(PUBCOMP, p))
            elif first == PUBACK:
                assert self.sending.pop(p)[0] == 1
            elif first == PUBREC:
                assert self.sending[p][0] == 2
                self.sending[p][2] = True
                self.say(ack(PUBREL, p))
            else:
                assert self.sending.pop(p)[2]
        self.buffer = self.buffer[size:]

    def publish(self, first, body):
        qos = first >> 1 & 3
        same(body[:4], b"\0\2up")
        if not qos:
            return
        p = body[4] << 8 | body[5]
        payload = body[6:]
        assert p and same(self.ids.setdefault(payload, p), p) is None
        if qos == 1:
            self.took.append(payload)
            self.say(ack(PUBACK, p))
            return
        if p not in self.received:
            self.received.add(p)
            self.took.append(payload)
        self.say(ack(PUBREC, p))


class Watch:
    """All that the client began to write: what may never be, whether it arrived or not."""

    def __init__(self):
        self.sent = {}  # payload -> first byte without DUP
        self.released = set()
        self.payload_of = {}  # id -> payload of the QoS 2 message under it

    def connect(self):
        self.rest = b""
        self.new = False  # a message was sent for the first time on this link
        self.last = -1

    def look(self, data, order):
        """Statements MQTT-2.3.1-2, MQTT-3.3.1-1, MQTT-4.3.3-1, MQTT-4.6.0-1."""
        self.rest += data
        found = parse(self.rest)
        self.rest = self.rest[sum(2 + len(body) for first, body in found) :]
        for first, body in found:
            if first & 0xF0 == 0x30 and first & 6:
                payload = body[6:]
                p = body[4] << 8 | body[5]
                if payload in self.sent:
                    same(first, self.sent[payload] | 8)  # a copy has DUP
                    assert not self.new, "a copy behind a new message"
                    assert payload not in self.released, "PUBLISH after PUBREL"
                elif not first & 8:
                    self.new = True
                self.sent[payload] = first & 0xF7
                place = order.index(payload)
                assert place > self.last, "not in the order of acceptance"
                self.last = place
                self.payload_of[p] = payload
            elif first == PUBREL:
                p = body[0] << 8 | body[1]
                self.released.add(self.payload_of.get(p))


def run(seed):
    random = Random(seed)
    d = Driver(inflight=random.below(4) + 1, buffer_size=64, now=random.below(9) - 4)
    server = Server(d, random)
    watch = Watch()
    order = []  # payloads accepted from the application
    quality = {}
    names = {}  # packet id -> payload, while it is open
    down = []
    reported = []
    known = False

    def move(lose=False):
        """Bytes written since reach the server, or only some of them."""
        data = d.out()
        watch.look(data, order)
        if lose:
            data = data[: random.below(len(data) + 1)]
        server.take(data)

    def published(packet_id):
        reported.append(names.pop(packet_id))

    d.client.on_published(published)

    def connect():
        nonlocal known
        watch.connect()
        d.space = -1
        server.connect(known)
        d.connect(False, RESUMED if known else OK)
        known = True

    connect()
    for step in range(120 + 60):
        late = step >= 120  # only finish what is there
        what = random.below(12)
        if what < 3 and not late:
            qos = random.below(3)
            payload = b"u%d" % step
            p = d.accept(b"up", payload, qos=qos)
            if qos and p:
                order.append(payload)
                quality[payload] = qos
                names[p] = payload
        elif what < 5 and not late:
            payload = b"d%d" % step
            qos = random.below(3)
            if server.send(qos, payload):
                down.append((qos, payload))
        elif what == 5 and not late:
            move(True)
            d.lose()
            watch.look(d.out(), order)
            connect()
        elif what == 6 and not late:
            d.link.space = random.below(9)  # takes only so much now
            d.go()
        else:
            d.link.space = -1
            d.go()
            move()
            n = random.below(len(server.waiting) + 1) if not late else len(server.waiting)
            data = bytes(server.waiting[:n])
            server.waiting = server.waiting[n:]
            d.feed(data, random.below(5))
            if random.below(2):
                move()

    same(d.tables, (0, 0))
    same((server.sending, server.received, names), ({}, set(), {}))
    same(sorted(reported), sorted(order))  # each reported once
    for payload in order:
        count = server.took.count(payload)
        assert count == 1 if quality[payload] == 2 else count >= 1, (payload, count)
    got = [m[1] for m in d.got]
    for qos, payload in down:
        count = got.count(payload)
        assert count == 1 if qos == 2 else count >= 1, (payload, count)


def test_random_sessions():
    """MQTT-4.3.2-1, MQTT-4.3.2-2, MQTT-4.3.3-1, MQTT-4.3.3-2, MQTT-4.4.0-1, MQTT-3.1.2-4,
    MQTT-4.1.0-1, X311-3.1.2.4-a."""
    each([(seed,) for seed in range(40)], run)
