"""version="auto": MQTT 5.0 first, and 3.1.1 where the server does not know it.

A server says so with reason 0x84, or with the return code 1 of 3.1.1: then the same connect() goes
on with 3.1.1 in the time that is left, and the client stays with it. One that closes without any
CONNACK is asked with 3.1.1, too, unless this client has been connected with 5.0 before; if that
does not succeed, either, the next connect() begins with 5.0 again.

With 3.1.1 the calls stay as they are. Properties go nowhere, and none are received; what waits in
the table goes out without them. disconnect(4) closes without a DISCONNECT, so the will is sent.
ValueError: no_local, set_auth() and reauthenticate() have nothing like it in 3.1.1. A client with
set_auth() stays with 5.0: it would give up the proof of who the server is. client.version is 5 or
4, the protocol level.
"""

from time import ticks_diff, ticks_ms

from .client import MQTTClient
from .codec import header
from .connect5 import first
from .errors import MQTTException
from .message import Message
from .options import set_last_will as _will
from .properties import _length
from .receive import parse
from .subscribe import subscribe as _subscribe
from .subscribe import unsubscribe as _unsubscribe
from .v5 import view
from .verbs import publish as _pub

_MINE = ("_v", "_fields", "_start", "_prep", "_pub", "_fail", "publish_nowait", "set_last_will")
_MINE += ("set_auth", "reauthenticate", "disconnect", "publish_stream")
_SYNC = ("publish", "subscribe", "unsubscribe")
_AIO = ("published",)  # the other verbs of aio5.py look for themselves
_TABLE = ("accept", "pick")


class Start:
    """Stands in for V5._start, to know how far an attempt comes."""

    def __init__(self, c):
        self.c = c
        self.v = c._v
        self.heard = False  # something came

    def start(self, clean, now):
        self.v._start(clean, now)
        self.c._tend = -1  # until CONNECT is written
        self.c._read = self.read
        self.heard = False

    def read(self, c):
        self.heard = True
        return first(c)


def setup(c):
    """Let connect() find out."""
    c.version = 5
    c._v.started = s = Start(c)
    c._start = s.start
    if c.wait_msg:

        def connect(clean_session=True, timeout=None, adopt=False):
            end = c._end(timeout and int(timeout * 1000))
            try:
                return MQTTClient.connect(c, clean_session, timeout, adopt=adopt)
            except (OSError, MQTTException) as e:
                old, ms = other(c, e, end)
            try:
                MQTTClient.connect(c, clean_session, ms / 1000, adopt=adopt)
            except BaseException:
                back(c, old)
                raise
            return stay(c)
    else:

        async def connect(clean_session=True, timeout=None, adopt=False):
            end = c._end(timeout and int(timeout * 1000))
            try:
                return await type(c).connect(c, clean_session, timeout, adopt=adopt)
            except (OSError, MQTTException) as e:
                old, ms = other(c, e, end)
            try:
                await type(c).connect(c, clean_session, ms / 1000, adopt=adopt)
            except BaseException:
                back(c, old)
                raise
            return stay(c)

    c.connect = connect


def other(c, e, end):
    """Go over to 3.1.1 when e shows that the server knows no more; else raise e.

    What back() needs, None when there is no doubt; and how many ms are left.
    """
    v = c._v
    t = c._tab
    if isinstance(e, MQTTException):
        old = None
        known = e.args[:2] == (0x84, "server")
    else:
        # closed behind CONNECT, by a server that has never said a word to us
        old = []
        known = e.args[0] not in (107, 110, 114)  # disconnect(), the deadline, another connect()
        known = known and c._tend != -1 and not v.started.heard and not c._n[0]
    ms = ticks_diff(end, ticks_ms())
    if not known or v.auth or ms <= 0:
        raise e
    if t:
        for i in range(t.slots):
            if t.state[i] & 7 in (2, 3):
                strip(t, i)
    leave(c, old)
    if old is None:
        stay(c)
    return old, ms


def leave(c, old):
    """Take away what stands in for 3.1.1; old, a list, remembers it."""
    for x, names in ((c, _MINE + (_SYNC if c.wait_msg else _AIO)), (c._tab, _TABLE)):
        for name in names:
            if x and name in x.__dict__:
                if old is not None:
                    old.append((x, name, x.__dict__[name]))
                delattr(x, name)
    if c._tab:
        c._pub = _pub
    c._read = parse
    c.version = 4
    look(c, _Plain)
    Verbs(c)


def back(c, old):
    """It was not that: 5.0 again."""
    if old:
        c.version = 5
        look(c, view)
        for x, name, value in old:
            setattr(x, name, value)


def stay(c):
    """3.1.1 from now on."""
    if "connect" in c.__dict__:
        del c.connect
    return c.session_present


def look(c, make):
    """Messages are seen through make(c) from now on."""
    c._txof = c  # in tx stands a topic of the other version
    c._found[-1] = make
    old = c._view
    if old is not None:
        c._view = make(c)
        c._view.handler = old.handler


class _Plain(Message):
    """The view of a message of 3.1.1, for a handler that was written for 5.0."""

    @property
    def properties(self):
        return {}

    def property(self, id):
        return None

    def refuse(self, reason_code):
        pass  # 3.1.1 has no such answer


def strip(t, i):
    """Take the properties out of the packet in slot i."""
    a = t.slab
    at = i * t.size
    n, j = _length(a, at + 1)
    k = j + 4 + (a[j] << 8 | a[j + 1])
    m, p = _length(a, k)
    p += m
    head = bytes(a[j:k])
    rest = bytes(a[p : at + t.length[i]])
    j = header(a, at, a[at], n - p + k)
    for x in (head, rest):
        a[j : j + len(x)] = x
        j += len(x)
    t.length[i] = j - at


def none(what):
    raise ValueError(what + ": the server has no MQTT 5.0", 0x84)


class Verbs:
    """The verbs of 5.0, as far as 3.1.1 can follow. Methods: to call a closure would allocate."""

    def __init__(self, c):
        self.c = c
        self.send = type(c).publish_nowait
        for name in ("publish_nowait", "set_last_will", "set_auth", "reauthenticate"):
            setattr(c, name, getattr(self, name))
        if c.wait_msg:
            for name in _SYNC:
                setattr(c, name, getattr(self, name))
            c.disconnect = self.disconnect
        else:
            c.disconnect = self.leave

    def publish_nowait(self, topic, msg, retain=False, qos=0, properties=None):
        return self.send(self.c, topic, msg, retain, qos)

    def publish(self, topic, msg, retain=False, qos=0, timeout_ms=None, properties=None):
        return MQTTClient.publish(self.c, topic, msg, retain, qos, timeout_ms)

    def subscribe(
        self,
        topic,
        qos=0,
        timeout_ms=None,
        *,
        no_local=False,
        retain_as_published=False,
        retain_handling=0,
        properties=None,
    ):
        if no_local:
            none("no_local")
        return _subscribe(self.c, topic, qos, timeout_ms)

    def unsubscribe(self, topic, timeout_ms=None, properties=None):
        _unsubscribe(self.c, topic, timeout_ms)
        return bytes(len(topic)) if isinstance(topic, (list, tuple)) else 0

    def disconnect(self, reason_code=0, properties=None):
        c = self.c
        try:
            if reason_code and c.state > 1:
                c._drain(c._end(None))
                c._close()  # without a DISCONNECT: the will is sent
        except OSError:
            pass
        MQTTClient.disconnect(c)

    async def leave(self, reason_code=0, properties=None):
        c = self.c
        try:
            if reason_code and c._task:
                c._why = True
                await c._clear(c._end(None))
                c._close()
        except OSError:
            pass
        await type(c).disconnect(c)

    def set_last_will(self, topic, msg, retain=False, qos=0, properties=None):
        _will(self.c, topic, msg, retain, qos)

    def set_auth(self, method, f):
        if method:
            none("set_auth")

    def reauthenticate(self, timeout_ms=None):
        none("reauthenticate")
