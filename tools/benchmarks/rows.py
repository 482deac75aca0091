"""The rows of the benchmark: what is done, how it is counted, what it is held to."""

from typing import NamedTuple

DEFINITIONS = """\
floor  prebuilt packets, a non-blocking socket and a poller, bare calls, short writes checked; on
       receive the header first, then the body; a window is ten writes, then the ten answers in
       one read. No client at all. For asyncio rows: asyncio's own streams with prebuilt packets,
       write(), drain() and readexactly() for each packet.
sink   answers everything at once ({sink}); sends N PUBLISHes of 64 bytes on request, with QoS 2
       at most 16 open at a time. TCP_NODELAY is set there; clients are as they are shipped, but
       for the rows that force it.
Client and server share {cpu}. Each figure is the median of {rounds} rounds through all rows, in
which floor and clients take turns; a run grows until it takes {ms} ms, of a peer three fifths of
that. (+-x %) is half of max - min over the median; a spread (max - min) over 50 % is marked
with !. QoS 0 publishes count when the socket has taken them. Mosquitto is as shipped, without
TCP_NODELAY, but for the row that forces it: its answers to ten writes wait 40 ms for an ACK of
TCP, so a window has no floor there. MicroPython imports clients from .mpy files (-O3).
Latency: from the sink's write to the handler, 64 B, QoS 0, one message every 3 to 13 ms; heap
bytes are what one message allocates, all told. Instructions, where they are counted: of the
client alone, by callgrind, with the sink on any CPU.
"""


class Row(NamedTuple):
    name: str
    mode: str  # what board/floor.py and the clients do
    size: int = 16
    server: str = "sink"
    goal: int = 0  # % of the floor
    bar: int = 0  # the same, and less fails
    quick: bool = True
    floor: bool = True  # False: bare sockets are none here
    nodelay: bool = False  # TCP_NODELAY forced on every client (and on Mosquitto)
    topics: int = 1  # so many, in turn; peers do not care and are left out
    front: str = "sync"  # or asyncio, against streams of asyncio

    def settings(self):
        """For the script, by way of the environment."""
        nodelay = int(self.nodelay)
        return {"mode": self.mode, "size": self.size, "nodelay": nodelay, "topics": self.topics}


ROWS = [
    Row("publish QoS 0, 16 B", "publish0", goal=45, bar=35),
    Row("publish QoS 0, 256 B", "publish0", 256, quick=False),
    Row("publish QoS 0, 16 B, two topics in turn", "publish0", quick=False, topics=2),
    Row("publish QoS 1, 16 B", "publish1", goal=70, bar=60),
    Row("publish QoS 1, 256 B", "publish1", 256, quick=False),
    Row("publish QoS 2, 16 B", "publish2", goal=75),
    Row("publish QoS 2, 256 B", "publish2", 256, quick=False),
    Row("publish QoS 1, window 10", "window1", goal=45),
    Row("publish QoS 2, window 10", "window2"),
    Row("receive QoS 0, 64 B", "receive0", goal=90, bar=60),
    Row("receive QoS 0, 64 B, two topics in turn", "receive0", quick=False, topics=2),
    Row("receive QoS 1, 64 B", "receive1", goal=90),
    Row("receive QoS 2, 64 B", "receive2", goal=100),
    Row("publish QoS 1, 16 B, TCP_NODELAY forced", "publish1", quick=False, nodelay=True),
    Row("receive QoS 2, 64 B, TCP_NODELAY forced", "receive2", quick=False, nodelay=True),
    Row("connect and disconnect", "link"),
    Row("round trip QoS 0, bundled broker", "trip", server="bundled"),
    Row("publish QoS 1, Mosquitto", "publish1", server="mosquitto", quick=False),
    Row("publish QoS 2, Mosquitto", "publish2", server="mosquitto", quick=False),
    Row(
        "publish QoS 1, Mosquitto, TCP_NODELAY forced",
        "publish1",
        server="mosquitto_nodelay",
        quick=False,
        nodelay=True,
    ),
    Row(
        "publish QoS 1, window 10, Mosquitto",
        "window1",
        server="mosquitto",
        quick=False,
        floor=False,
    ),
    Row("round trip QoS 0, Mosquitto", "trip", server="mosquitto", quick=False),
    Row("asyncio: publish QoS 0, 16 B", "publish0", quick=False, front="asyncio"),
    Row("asyncio: publish QoS 1, 16 B", "publish1", quick=False, front="asyncio"),
    Row("asyncio: publish QoS 2, 16 B", "publish2", quick=False, front="asyncio"),
    Row("asyncio: publish QoS 1, window 10", "window1", bar=100, front="asyncio"),
    Row("asyncio: the same, one drain() of the floor's for ten", "burst1", front="asyncio"),
    Row("asyncio: publish QoS 1, 10 tasks", "tasks1", front="asyncio"),
    Row("asyncio: receive QoS 0, 64 B", "receive0", bar=100, front="asyncio"),
    Row("asyncio: receive QoS 1, 64 B", "receive1", quick=False, front="asyncio"),
    Row("asyncio: receive QoS 2, 64 B", "receive2", quick=False, front="asyncio"),
    Row(
        "asyncio: publish QoS 1, 16 B, TCP_NODELAY forced",
        "publish1",
        quick=False,
        nodelay=True,
        front="asyncio",
    ),
    Row(
        "asyncio: round trip QoS 0, bundled broker",
        "trip",
        server="bundled",
        quick=False,
        front="asyncio",
    ),
]
