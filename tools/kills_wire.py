"""What kills.py has on the wire: the other end, and a proxy that cuts, strikes and watches."""

import asyncio
import contextlib
from collections import Counter, deque

from umqtt_harness import packets

WINDOW = 16  # messages on their way to the broker at once
WAYS = ("up", "down")
ACKS = (packets.PUBACK, packets.PUBREC, packets.PUBREL, packets.PUBCOMP)


class Peer(asyncio.Protocol):
    """The host's client: one clean connection that never ends. Publishes and receives."""

    def __init__(self, arrive):
        self.arrive = arrive  # f(qos, payload)
        self.ready = asyncio.get_running_loop().create_future()
        self.buf = bytearray()
        self.queue = deque()  # (topic, payload, qos)
        self.open = set()  # packet_ids
        self.next_id = 1
        self.problem = None

    def connection_made(self, transport):
        self.transport = transport
        body = b"\x00\x04MQTT\x04\x02\x00\x00\x00\x04peer"
        transport.write(b"\x10" + bytes((len(body),)) + body)
        name = b"kills/up/#"
        body = b"\xff\xff" + bytes((0, len(name))) + name + b"\x02"
        transport.write(b"\x82" + bytes((len(body),)) + body)

    def connection_lost(self, error):
        self.problem = f"the broker has closed the host's connection: {error}"

    def data_received(self, data):
        self.buf += data
        for raw in split(self.buf):
            kind = raw[0] >> 4
            packet_id = int.from_bytes(raw[2:4], "big")
            if kind == packets.PUBLISH:
                self.on_publish(raw)
            elif kind == packets.PUBREC:
                self.transport.write(packets.ack(packets.PUBREL, packet_id))
            elif kind == packets.PUBREL:
                self.transport.write(packets.ack(packets.PUBCOMP, packet_id))
            elif kind in (packets.PUBACK, packets.PUBCOMP):
                self.open.remove(packet_id)
                self.pump()
            elif kind == packets.SUBACK:
                self.ready.set_result(None)

    def on_publish(self, raw):
        qos, packet_id, payload = published(raw)
        kind = packets.PUBREC if qos == 2 else packets.PUBACK
        self.transport.write(packets.ack(kind, packet_id))
        self.arrive(qos, payload)

    def publish(self, topic, payload, qos):
        self.queue.append((topic, payload, qos))
        self.pump()

    def pump(self):
        while self.queue and len(self.open) < WINDOW:
            while self.next_id in self.open:
                self.next_id = self.next_id % 65000 + 1
            self.open.add(self.next_id)
            topic, payload, qos = self.queue.popleft()
            raw = packets.publish(topic, payload, qos, False, self.next_id)
            self.transport.write(raw)
            self.next_id = self.next_id % 65000 + 1


def split(buf):
    """The whole packets at the start of buf, which they leave."""
    at = 0
    try:
        while True:
            length = shift = 0
            i = at + 1
            while i < len(buf):
                length |= (buf[i] & 127) << shift
                shift += 7
                i += 1
                if buf[i - 1] < 128:
                    break
            else:
                return
            if i + length > len(buf):
                return
            start, at = at, i + length
            yield bytes(buf[start:at])
    finally:
        del buf[:at]


def published(raw):
    """(qos, packet_id, payload) of a PUBLISH with a short topic and QoS 1 or 2."""
    at = 4 + raw[3] if raw[1] < 128 else 5 + raw[4]
    return raw[0] >> 1 & 3, int.from_bytes(raw[at : at + 2], "big"), raw[at + 2 :]


class Witness:
    """What the broker itself does wrong on its way to the sensor, as seen on the wire."""

    def __init__(self):
        self.ids = {}  # QoS 2: packet_id -> number
        # QoS 2: numbers whose PUBREL came through: MQTT-4.3.3-1 bars PUBLISH, and to a sensor that
        # has answered it would be a new message
        self.released = set()
        self.twice = set()  # which came all the same
        self.highest = [0, 0, 0]
        self.seen = (), set(), set()
        self.disorder = 0  # numbers whose first PUBLISH came late

    def see(self, raw, delivered=True):
        kind = raw[0] >> 4
        if kind == packets.PUBREL and delivered:
            self.released.add(self.ids.get(int.from_bytes(raw[2:4], "big")))
        elif kind == packets.PUBLISH:
            qos, packet_id, payload = published(raw)
            number = int(payload[:8])
            if number not in self.seen[qos]:
                self.seen[qos].add(number)
                self.disorder += number < self.highest[qos]
                self.highest[qos] = max(self.highest[qos], number)
            if qos == 2:
                self.ids[packet_id] = number
                if number in self.released:
                    self.twice.add(number)


class Strike:
    """What is to happen at the nth packet of a kind that goes one way: act() before, within or
    behind it."""

    def __init__(self, rng, act):
        self.way = rng.choice(WAYS)
        self.kind = rng.choice((*ACKS, packets.PUBLISH))
        self.nth = int(rng.expovariate(1 / 12)) + 1
        if rng.random() < 0.08:
            self.kind = packets.CONNACK if self.way == "down" else packets.CONNECT
            self.nth = 1
        self.where = rng.choice((0.0, rng.random(), 1.0))
        self.act = act


class Proxy:
    """Between the sensor and the broker: cuts links, and strikes at packets."""

    def __init__(self, host, port, rng):
        self.target = (host, port)
        self.rng = rng
        self.links = []
        self.strikes = []
        self.redelivered = Counter()  # way -> PUBLISH packets with DUP
        self.witness = Witness()

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def close(self):
        self.server.close()
        for _ in range(50):
            for writer in (w for link in self.links for w in link):
                writer.transport.abort()
            await asyncio.sleep(0.01)
            if not self.links:
                break

    async def serve(self, reader, writer):
        with contextlib.suppress(asyncio.CancelledError):  # the end
            await self.join(reader, writer)

    async def join(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        link = (writer, far_writer)
        self.links.append(link)
        pumps = (self.pump(reader, far_writer, "up"), self.pump(far_reader, writer, "down"))
        await asyncio.gather(*pumps, return_exceptions=True)
        self.links.remove(link)

    async def pump(self, reader, writer, way):
        buf = bytearray()
        with contextlib.suppress(OSError):
            while (data := await reader.read(65536)) and not writer.is_closing():
                buf += data
                for raw in split(buf):
                    kind = raw[0] >> 4
                    if kind == packets.PUBLISH and raw[0] & 8:
                        self.redelivered[way] += 1
                    strike = self.struck(way, kind)
                    part = int(len(raw) * strike.where) if strike else 0
                    if part:
                        writer.write(raw[:part])
                    if strike:
                        strike.act()
                    alive = not writer.is_closing()
                    if alive:
                        writer.write(raw[part:])
                    if way == "down":
                        self.witness.see(raw, alive)
                await writer.drain()
        writer.write(buf)
        writer.close()

    def struck(self, way, kind):
        for strike in self.strikes:
            if (strike.way, strike.kind) == (way, kind):
                strike.nth -= 1
                if not strike.nth:
                    return strike
        return None

    def cut(self):
        """End the live link at one side or both, at once or when all is written; False when there
        is none."""
        if not self.links:
            return False
        sides = self.links[-1]
        for writer in self.rng.choice((sides, sides[:1], sides[1:])):
            writer.transport.abort() if self.rng.random() < 0.5 else writer.close()
        return True
