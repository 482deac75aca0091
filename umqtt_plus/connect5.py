"""Setting up a client for MQTT 5.0, CONNECT and CONNACK: v5.py at connect()."""

from time import ticks_add

from micropython import const

from .client import MQTTClient
from .codec import limit
from .errors import MQTTException
from .properties import decode, encoded, sized
from .receive import load
from .v5 import V5, checked, parse, value, view
from .verbs import publish

_CONNACK = const(16)  # in v5._KINDS
_MALFORMED = const(0x81)
_PROTOCOL = const(0x82)
_NONE = b"\x00"
_ALIASES = const(8)  # topics that get an alias of ours, for QoS 0
_MOST = const(268435460)  # the largest packet there can be
_FAR = const(1 << 28)


def setup5(c, version, properties):
    """Make c a client of MQTT 5.0. ValueError names a wrong argument."""
    if version != "auto":
        limit("version (with properties 5)", version, 5, 5 if properties else 4)
    t = c._tab
    if t and hasattr(t, "retry_ms"):
        raise ValueError("retry_ms: MQTT 5.0 forbids it")  # MQTT-4.4.0-1
    v = V5()
    v.c = c
    v.codes = bytearray(t.slots if t else 1)  # PUBREC's, by slot
    v.encoded = encoded
    v.value = value
    v.asked = encoded("CONNECT", properties)
    v.named = d = decode(v.asked)
    v.quiet = d.get("request_problem_information") == 0
    v.gives = _ALIASES  # 0: none, see reconnect5.py
    # QoS 2 messages that may be open; 16 are announced, but Mosquitto 2.0.11 sends three times as
    # many when its queue is long
    v.room = d.get("receive_maximum", 256)
    v.aliases = d.get("topic_alias_maximum", 0)
    if v.aliases:
        from .alias5 import Inward

        v.inward = Inward(c, v.aliases)
    v.keep_alive = c.keepalive
    v.auth = v.dropped = v.expiry = None
    v.will = v.props = v.inside = v.x = _NONE
    v.of = v.topic = v.out = None
    v.failed = []  # (packet_id, code, reason string) for who waits for it
    v.gone = []  # ids of what this server does not take, but may hold (MQTT-3.2.2-11)
    load(c)
    c._v = v
    c._found = [0, 0, 0, 0, 0, view]  # and where payload and properties begin; see message.py
    c.reason_code = 0
    c.connack = _NONE
    c.unresolved = []
    reset(v, _NONE)
    mine = ["_fields", "_start", "_prep", "_fail", "publish_nowait"]
    names = [
        "publish_stream",
        "subscribe",
        "unsubscribe",
        "set_last_will",
        "set_auth",
        "reauthenticate",
    ]
    if c.wait_msg:
        room = "verbs5"
        v.send = MQTTClient.publish
        mine.append("publish")
        c.disconnect = later(c, "connect5", "disconnect")
    else:
        room = "aio5"
        v.send = send
        names += ["publish", "published", "disconnect", "messages"]
    for name in mine:
        setattr(c, name, getattr(v, name))
    for name in names:
        setattr(c, name, later(c, room, name))
    if t:
        c._pub = pub
        t.accept = v.accept
    if version == "auto":
        from .auto5 import setup

        setup(c)


def pub(c, topic, msg, retain, qos, timeout_ms):
    c._dry = False  # so that it goes through the table
    return publish(c, topic, msg, retain, qos, timeout_ms)


def later(c, room, name):
    """A verb that is loaded when it is first called."""

    def call(*args, **kwargs):
        verb = getattr(__import__("umqtt_plus." + room, None, None, (name,)), name)
        return verb(c, *args, **kwargs)

    return call


def send(c, topic, msg, retain, qos, timeout_ms):
    """As MQTTClient.publish without waiting, of the asyncio client."""
    return type(c).publish_nowait(c, topic, msg, retain, qos)


def reset(v, x):
    """Take the server's limits from the properties x of its CONNACK."""
    c = v.c
    t = c._tab
    n = value(x, 0, 33) or 65535
    v.full = None  # watches the window, where the table can be larger
    if t and n < t.slots:
        from .limits5 import Window

        v.full = Window(t, n)
        t.pick = v.full.pick
    elif t and "pick" in t.__dict__:
        del t.pick
    n = value(x, 0, 36)
    v.qos = 2 if n is None else n
    v.retain = value(x, 0, 37) != 0
    v.most = value(x, 0, 39) or _MOST
    v.strict = v.qos < 2 or not v.retain or v.most < _MOST
    v.new = None  # the topic that is to get the next alias
    n = min(value(x, 0, 34) or 0, v.gives)
    c._prep = v._prep
    if n:
        from .alias5 import Outward

        v.out = Outward(v, n)
        c._prep = v.out.prep
    c._txof = c
    if v.aliases:
        v.inward.clear()
    v.held = []  # QoS 2 ids of the last connection, not sent again yet
    v.refused = 0


def connect(v, clean, begin=True):
    """CONNECT (3.1); begin: the exchange of set_auth(), too. Allocates."""
    c = v.c
    d = v.named
    y = b""
    if not clean and "session_expiry_interval" not in d:
        y = b"\x11\xff\xff\xff\xff"  # as in 3.1.1 the session never ends
    if "receive_maximum" not in d:
        y += b"\x21\x00\x10"
    n = d.get("maximum_packet_size")
    if c._view is None or not c._view.handler:
        if n:
            limit("maximum_packet_size (buffer_size)", n, c._size)
        else:
            n = c._size
            y += b"\x27" + (n - 1).to_bytes(4, "big")  # Mosquitto 2.0.11 sends one byte more
    v.takes = n or _MOST
    flags = 2 if clean else 0
    if v.auth and begin:
        y += v.auth.begin()
    fields = [c.client_id]
    if c._will:
        fields += c._will[:2]
        flags |= c._will[2]
    for z, bit in ((c.user, 0x80), (c.pswd, 0x40)):
        if z is not None:
            fields.append(z)
            flags |= bit
    k = v.keep_alive
    x = v.asked
    i = 1
    while x[i - 1] > 127:
        i += 1
    x = b"\x00\x04MQTT\x05" + bytes((flags, k >> 8, k & 255)) + sized(y + x[i:])
    for z in fields:
        x += len(z).to_bytes(2, "big") + z
        if flags & 4:
            flags = 0
            x += v.will  # its properties
    return b"\x10" + sized(x)


def start(v, clean, now):
    c = v.c
    c._out = x = connect(v, clean)
    c._on = len(x)
    c._read = first
    c._cl = clean
    if clean or not c._ours:
        v.gone = []
        if c._tab:
            c._tab.clear()  # MQTT-3.1.2-4
    if clean:
        c._ours = False
    c.unresolved = []
    c.state = 1
    c._tend = c._rend = now
    c._due = ticks_add(now, _FAR)
    pace(c, v.keep_alive)


def pace(c, s):
    """Keep alive with s seconds from now on."""
    if s != c.keepalive:
        from .keepalive import tick

        if c.keepalive:
            c._timers.remove(tick)
        if s:
            c._timers.append(tick)
        c.keepalive = s


def first(c):
    """CONNACK, and what may come before it (3.2, 4.12)."""
    v = c._v
    rx = c._rx
    p = c._p
    e = c._e
    h = rx[p]
    if h != 0x20 and (h != 0xF0 or not v.auth):
        if h == 0xE0:
            c._close()  # MQTT-3.14.0-1
            raise MQTTException(_PROTOCOL)
        if h in b"\x10\x40\x50\x62\x70\x82\x90\xa2\xb0\xc0\xd0\xf0" or h >> 4 == 3 and h & 6 < 6:
            c._fail()
        c._fail(_MALFORMED)
    q = p + 1
    n = s = 0
    b = 128
    while b > 127:
        if s > 21:
            c._fail(_MALFORMED)
        if q == e:
            return False
        b = rx[q]
        q += 1
        n |= (b & 127) << s
        s += 7
    z = q + n
    if c._on:
        c._fail()  # it answers no CONNECT
    if not b and s > 7:
        c._fail(_MALFORMED)
    if z - p > c._size:
        c._fail(0x95)
    if z > e:
        return False
    c._p = z
    if h == 0xF0:
        v.auth.step(c, q, z)
        return True
    h = rx[q]
    code = rx[q + 1]
    if n == 2 and not h and code == 1:
        v.refuse(0x84, _NONE)  # a server of 3.1.1
    if n < 3 or h > 1:
        c._fail(_MALFORMED)
    c.connack = x = checked(c, q + 2, z, _CONNACK)
    if 0 < code < 128:
        c._fail()
    if code:
        v.refuse(code, x)
    if h and c._cl:
        c._fail()  # MQTT-3.2.2-4
    s = value(x, 0, 21)
    if v.auth:
        v.auth.end(c, s, value(x, 0, 22))
    elif s is not None:
        c._fail()  # MQTT-4.12.0-6
    reset(v, x)
    s = value(x, 0, 17)
    if s is None:
        s = v.named.get("session_expiry_interval", not c._cl)
    if not c.client_id:
        c.client_id = value(x, 0, 18) or b""  # MQTT-3.2.2-16
        if s and not c.client_id:
            c._fail()
    n = value(x, 0, 19)
    if n is not None:
        pace(c, n)
    c._n[0] += 1
    c.session_present = h > 0
    c.state = 3
    t = c._tab
    if c._ours or not h:
        c.state = 2
        c._read = parse
        c._new = e > z
        c._due = c._tend
        c._ours = s > 0 or not c._cl
        if t:
            s = not h and (t.used or v.gone)
            if s or v.strict or v.gone:
                import umqtt_plus.limits5 as room

                if s:
                    room.lose(v, t)
            v.held = [p for p in t.ids_in.ids if p and h]
            t.resume(h)
            if v.strict or v.gone:
                room.park(v, t)  # behind resume(): who is told may publish
    return True


def disconnect(c, reason_code=0, properties=None):
    """MQTTClient.disconnect with a reason_code (4: the will is published) and properties."""
    if reason_code or properties:
        import umqtt_plus.verbs5 as room

        room.leave(c, reason_code, properties)
    MQTTClient.disconnect(c)
