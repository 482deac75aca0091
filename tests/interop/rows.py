"""What every server has to do, in MQTT 3.1.1 and 5.0: connections and messages.

Each row returns None, or what differs.
"""

# ruff: noqa: UP031 - MicroPython runs this

from hashlib import sha256

from world import (
    PASSWORD,
    USER,
    VERSION,
    Fail,
    MQTTException,
    answered,
    caught_up,
    client,
    facts,
    fits,
    none_of,
    os,
    qos_offered,
    quiet,
    topic,
    until,
    up,
)


def row_connect():
    """A new client, an answer, a ping, goodbye."""
    c = up("connect")
    if c.session_present:
        return "session_present in a clean session"
    c.ping()
    until(lambda: not c._ping, c, what="no PINGRESP")
    c.disconnect()


def row_auto():
    """version='auto': 5.0 where the server speaks it, else 3.1.1."""
    c = up("auto", version="auto")
    t = topic("t")
    c.subscribe(t, 1)
    c.publish(t, b"x", qos=1)
    until(lambda: c.got, c, what="nothing came")


def row_no_name():
    """A client without an identifier: the server gives one (3.1.3.1)."""
    c = client("")
    try:
        c.connect()
    except MQTTException as e:
        return "refused with %d" % e.args[0]
    if VERSION == 5 and not c.client_id:
        return "no Assigned Client Identifier"


def row_wrong_password():
    """Refused, with a code that says why."""
    if not USER:
        return "not asked: no user is known"
    wrong = os.getenv("WRONG_PASSWORD") or "wrong"
    try:
        client("wrong", user=USER, password=wrong).connect()
    except MQTTException as e:
        code = e.args[0]
        if code not in ((0x86, 0x87) if VERSION == 5 else (4, 5)):
            return "refused with %d" % code
        return None
    except OSError as e:
        return "closed without an answer" if e.args[0] in (104, 107, -104) else "OSError"
    return "let in"


def row_token_runs_out():
    """A password with a date, as a JWT is: the link ends with it, and 5.0 says why."""
    short = os.getenv("SHORT_PASSWORD")
    if not short:
        return "not asked: no password that runs out"
    c = client("token", password=short)
    c.connect()
    try:
        until(lambda: False, c, what="stays connected")
    except MQTTException as e:
        if e.args[0] != 0xA0:
            return "DISCONNECT 0x%02x" % e.args[0]
    except OSError:
        if VERSION == 5:
            return "closed without a DISCONNECT"


def _messages(qos):
    if "ruled" in (none_of(qos) or ""):
        return none_of(qos)
    sender = up("sender")
    c = up("receiver")
    t = topic("t")
    granted = c.subscribe(t, qos)
    sizes = (1, 0, 2, 100, 127, 128, 300, 900)
    want = [bytes((n & 255,)) * fits(n) for n in sizes]
    for x in want:
        sender.publish(t, x, qos=qos)
    # QoS 0 may be lost in theory; over loopback it is not
    until(lambda: len(c.got) >= len(want), c, what="not all came")
    caught_up(sender, c)
    if [x[1] for x in c.got] != want:
        return "%d of %d came, or others" % (len(c.got), len(want))
    came = c.got[0][2]
    if granted != qos or came != qos:
        return "granted %d, came as %d" % (granted, came)
    if any(x[2:] != (qos, False, False) for x in c.got):
        return "flags %s" % (c.got[0][2:],)


def row_qos_0():
    return _messages(0)


def row_qos_1():
    return _messages(1)


def row_qos_2():
    return _messages(2)


def row_lower_qos():
    """Delivered at the lower one of the publisher's and the subscriber's."""
    sender = up("sender")
    seen = []
    most = qos_offered(2) + 1
    for ours in range(most):
        c = up("receiver%d" % ours)
        t = topic("t%d" % ours)
        c.subscribe(t, ours)
        for qos in range(most):
            sender.publish(t, b"%d" % qos, qos=qos)
        until(lambda c=c: len(c.got) >= most, c, what="not all came")
        for x in c.got:
            if x[2] != min(ours, int(x[1])):
                seen.append("%d to %d as %d" % (int(x[1]), ours, x[2]))
    return ", ".join(seen)


def row_window():
    """As many at once as both sides take; each QoS stays in order, nothing comes twice."""
    sender = up("sender")
    c = up("receiver")
    t = topic("t")
    c.subscribe(t, 2)
    n = 0
    while n < 80:
        if sender.publish_nowait(t, b"%d" % n, False, qos_offered(1 + n % 2)):
            n += 1
        else:
            sender.wait_msg(1000)
        c.check_msg()
    answered(sender)
    try:
        until(lambda: len(c.got) >= n, c)
    except Fail:
        return "%d of %d came" % (len(c.got), n)
    caught_up(sender, c)
    for odd in (0, 1):
        x = [int(x[1]) for x in c.got if int(x[1]) % 2 == odd]
        if x != list(range(odd, n, 2)):
            return "QoS %d: %d came, or out of order" % (odd + 1, len(x))


def row_retained():
    """Kept for who comes later; replaced; cleared by an empty one; live ones without the flag."""
    sender = up("sender")
    t = topic("kept")
    sender.publish(t, b"old", True, 1)
    sender.publish(t, b"kept", True, 1)
    c = up("receiver")
    c.subscribe(t, 1)
    try:
        until(lambda: c.got, c, what="nothing retained")
        if c.got[0][:4] != (t, b"kept", 1, True):
            return "came as %s" % (c.got[0][1:4],)
        sender.publish(t, b"live", True, 1)
        until(lambda: len(c.got) > 1, c, what="no live message")
        if c.got[1][3]:
            return "retain on a live message"
    finally:
        sender.publish(t, b"", True, 1)
    later = up("later")
    later.subscribe(t, 1)
    caught_up(sender, later)
    if later.got:
        return "came after it was cleared"


def row_retained_wildcard():
    """Retained messages of several topics, asked for with # and +."""
    sender = up("sender")
    seen = []
    for name in ("a", "b"):
        sender.publish(topic("kept", name), name, True, 1)
    for sign in ("#", "+"):
        c = up("receiver")
        c.subscribe(topic("kept", sign), 1)
        caught_up(sender, c)
        n = len(c.got)
        if n != 2:
            seen.append("%d of 2 for %s" % (n, sign))
        c.disconnect()
    for name in ("a", "b"):
        sender.publish(topic("kept", name), b"", True, 1)
    return ", ".join(seen)


def row_wildcards():
    """+ is one level, also an empty one; # all below, and the level itself."""
    sender = up("sender")
    c = up("receiver")
    names = ("", "/a", "/a/c", "//c", "/b/c", "/a/c/d", "/a/")
    seen = []
    for sign, want in (
        ("/+", ("/a",)),
        ("/#", names),
        ("/+/c", ("/a/c", "//c", "/b/c")),
        ("/a/+", ("/a/c", "/a/")),
        ("/a/#", ("/a", "/a/c", "/a/c/d", "/a/")),
        ("/+/+", ("/a/c", "//c", "/b/c", "/a/")),
    ):
        base = topic("w").decode()
        c.subscribe(base + sign, 1)
        for name in names:
            sender.publish(base + name, b"x", qos=1)
        caught_up(sender, c)
        came = sorted(x[0].decode()[len(base) :] for x in c.got)
        if came != sorted(want):
            seen.append("%s: %s" % (sign, " ".join(came)))
        c.unsubscribe(base + sign)
        c.got.clear()
    return "; ".join(seen)


def row_unsubscribe():
    """Nothing comes any more; to unsubscribe from nothing is answered, too."""
    sender = up("sender")
    c = up("receiver")
    t = topic("t")
    c.subscribe(t, 1)
    c.unsubscribe(t)
    sender.publish(t, b"x", qos=1)
    caught_up(sender, c)
    if c.got:
        return "messages after UNSUBACK"
    try:
        code = c.unsubscribe(topic("never"), 2000)
    except OSError:
        return "no UNSUBACK for an unknown filter"
    if VERSION == 5 and code != 17:
        return "0x%02x for an unknown filter" % code


def row_large():
    """100 KB up and down in pieces, through buffers of 1 KB."""
    size = int(os.getenv("LARGE") or 100000)
    c = client("large", timeout_ms=20000)
    sums = [sha256(), sha256()]
    came = [0]
    piece = bytearray(4096)

    def take(m):
        n = m.payload_into(piece)
        sums[1].update(memoryview(piece)[:n])
        came[0] += n

    def source(buf, offset):
        n = min(len(buf), size - offset)
        for i in range(n):
            buf[i] = (offset + i) * 7 >> 3 & 255
        sums[0].update(memoryview(buf)[:n])
        return n

    c.set_stream(take)
    c.set_message(take)
    c.connect()
    t = topic("t")
    c.subscribe(t, 1)
    try:
        c.publish_stream(t, size, source, False, 1)
    except ValueError as e:
        return "refused here: " + str(e)
    until(lambda: came[0] >= size, c, what="%d of %d bytes came" % (came[0], size), ms=20000)
    if sums[0].digest() != sums[1].digest():
        return "damaged"


def row_names():
    """Topics, identifiers and payloads beyond ASCII, and long topics."""
    c = up("n\u00e4me-\u6e29\u5ea6")
    for name in ("\u00fc/\u6e29\u5ea6/\U0001f321", "long/" + "x" * fits(100)):
        t = topic(name)
        c.subscribe(t, 1)
        payload = bytes(range(min(256, fits(1 << 16) - len(t))))
        c.publish(t, payload, qos=1)
        until(lambda: c.got, c, what="nothing came")
        if c.got[0][:2] != (t, payload):
            return "changed"
        c.got.clear()


def row_keepalive():
    """An idle link stays up by pings, each of them answered."""
    c = client("idle", keepalive=2)
    c.connect()
    quiet(c, 4400)
    c.publish(topic("t"), b"x", qos=1)
    if c.stats()["pings"] < 2 and "server_keep_alive" not in facts:
        raise Fail("no pings")


def row_password():
    """Let in with the right one, and the same client again."""
    if not USER:
        return "not asked: no user is known"
    for _ in range(2):
        c = client("user", user=USER, password=PASSWORD)
        c.connect()
        c.disconnect()


ROWS = (
    row_connect,
    row_token_runs_out,
    row_auto,
    row_no_name,
    row_password,
    row_wrong_password,
    row_qos_0,
    row_qos_1,
    row_qos_2,
    row_lower_qos,
    row_window,
    row_retained,
    row_retained_wildcard,
    row_wildcards,
    row_unsubscribe,
    row_large,
    row_names,
    row_keepalive,
)
