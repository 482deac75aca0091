"""What the rows share: clients of the server under test, and waiting with a deadline.

Runs on MicroPython. The environment says where the server is: URL (mqtt, mqtts, ws or wss),
VERSION (4 or 5), RUN (a word that makes names this run's own); USER_NAME and PASSWORD; CA, CERT,
KEY (files); PSK (identity:hex); WRONG_PASSWORD (to be refused), SHORT_PASSWORD (good for 4 s);
QOS (the highest that works, where the server does not announce it); LARGE (bytes); WAIT_MS.
"""

# ruff: noqa: UP031 - MicroPython runs this

import os
import select
from time import sleep_ms, ticks_add, ticks_diff, ticks_ms  # noqa: F401

from umqtt_plus import MQTTClient, MQTTException  # noqa: F401

URL = os.getenv("URL")
VERSION = int(os.getenv("VERSION") or 4)
RUN = os.getenv("RUN") or "interop"
USER = os.getenv("USER_NAME")
PASSWORD = os.getenv("PASSWORD")
WAIT_MS = int(os.getenv("WAIT_MS") or 6000)  # for what must come

notes = []  # what is said beside the row's own verdict
_clients = []
_lasting = set()  # names whose sessions the server keeps
topics = [""]  # of the row that runs
numbers = ["0"]
facts = {}  # what the server announces, by name


class Fail(Exception):
    """A row is not as it should be; the text says what was seen."""


def _params():
    found = {}
    for name, key in (("CA", "cadata"), ("CERT", "cert"), ("KEY", "key")):
        if os.getenv(name):
            found[key] = os.getenv(name)
    if os.getenv("PSK"):
        identity, _, key = os.getenv("PSK").partition(":")
        found["psk"] = (identity.encode(), bytes.fromhex(key))
    return found


def client(name, user=USER, password=PASSWORD, **options):
    """A client of the server; name is made this row's own, "" stays what it is."""
    scheme, _, rest = URL.partition("://")
    at, _, path = rest.partition("/")
    host, _, port = at.partition(":")
    where = {"ssl": True, "ssl_params": _params()} if scheme == "mqtts" else {}
    if scheme[:2] == "ws":
        from umqtt_plus.ws import WebSocket

        host = WebSocket(URL, ssl_params=_params())
        port = 0
    where.update({"buffer_size": 1024, "inflight": 8, "timeout_ms": WAIT_MS, "keepalive": 30})
    where.update(options)
    if VERSION == 5:
        where.setdefault("version", 5)
    c = MQTTClient(name and RUN + numbers[0] + name, host, int(port or 0), user, password, **where)
    c.got = got = []

    def take(m):
        got.append((m.topic, m.payload, m.qos, m.retain, m.dup))

    c.set_message(take)
    _clients.append(c)
    return c


def connect(c, clean=True):
    """Connect; a session that stays at the server is cleaned away at the end of the row.

    Who comes back at once may be turned away for a moment, which is noted.
    """
    if not clean:
        _lasting.add(c.client_id)
    try:
        return c.connect(clean)
    except OSError as e:
        if e.args[0] not in (104, -104):
            raise
        notes.append("turned away once")
        sleep_ms(1500)
        return c.connect(clean)


def up(name, clean=True, **options):
    c = client(name, **options)
    connect(c, clean)
    return c


def topic(*levels):
    """Topics of the row: RUN/row/level/level."""
    return "/".join((RUN, topics[0]) + levels).encode()


def begin(row):
    topics[0] = row
    numbers[0] = str(int(numbers[0]) + 1)
    notes.clear()


def end():
    """Close what the row has left open, and clean its sessions away."""
    for c in _clients:
        try:
            c.disconnect()
        except Exception:
            pass  # the row has said what was wrong
    names = list(_lasting)
    _lasting.clear()
    for name in names:
        try:
            c = client("x")
            c.client_id = name
            c.connect(True)
            c.disconnect()
        except Exception:
            pass
    _clients.clear()


def until(condition, *clients, what="", ms=WAIT_MS):
    """Let the clients receive until condition() is true; Fail(what) at the deadline."""
    limit = ticks_add(ticks_ms(), ms)
    while not condition():
        if ticks_diff(limit, ticks_ms()) <= 0:
            raise Fail(what or "nothing came")
        for c in clients:
            c.wait_msg(20)


def quiet(c, ms):
    """Let c receive for a time; for what must not come, and for clocks of servers."""
    limit = ticks_add(ticks_ms(), ms)
    while ticks_diff(limit, ticks_ms()) > 0:
        c.wait_msg(50)


def caught_up(publisher, c, name="mark"):
    """What was published before has come to c (or never will): a mark went behind it."""
    mark = topic(name)
    c.subscribe(mark, 1)
    publisher.publish(mark, b"mark", qos=1)
    until(lambda: any(x[0] == mark for x in c.got), c, what="no mark")
    c.got[:] = [x for x in c.got if x[0] != mark]


def answered(c):
    until(lambda: not c.stats()["in_flight"], c, what="no answer")


def readable(c):
    """Wait until something of the server lies in the socket, and do not read it."""
    poll = select.poll()
    poll.register(c.sock, 1)
    limit = ticks_add(ticks_ms(), WAIT_MS)
    while ticks_diff(limit, ticks_ms()) > 0:
        for _ in poll.ipoll(50):
            return
    raise Fail("no answer")


def cut(c):
    """The link is gone, without a goodbye."""
    c._close()


def qos_offered(qos):
    """The QoS to use where the server has a maximum, announced or not."""
    return min(qos, facts.get("maximum_qos", 2), int(os.getenv("QOS") or 2))


def fits(size):
    """A payload size that leaves room for the rest of a packet, where the server has a maximum."""
    return min(size, facts.get("maximum_packet_size", 1 << 20) - 60)


def none_of(qos):
    """For rows that are about a QoS: what to say where the server rules it out, or None."""
    if facts.get("maximum_qos", 2) < qos:
        return "ruled out by Maximum QoS %d" % facts["maximum_qos"]
    if qos_offered(qos) < qos:
        return "not asked: see qos 2"


class Half:
    """A stream that loses the second half of what is written, as a link that breaks does."""

    def __init__(self, stream):
        self.stream = stream

    def write(self, buf, i, n):
        self.stream.write(buf, i, n // 2)
        return n

    def close(self):
        self.stream.close()
