"""What every server has to do, in MQTT 3.1.1 and 5.0. Each row returns None, or what differs."""

# ruff: noqa: UP031 - MicroPython runs this

from hashlib import sha256

from world import (
    PASSWORD,
    USER,
    VERSION,
    Fail,
    Half,
    MQTTException,
    answered,
    caught_up,
    client,
    connect,
    cut,
    fits,
    none_of,
    os,
    qos_offered,
    quiet,
    readable,
    ticks_diff,
    ticks_ms,
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
    wrong = os.getenv("WRONG_PASSWORD") or "wrong"
    try:
        client("wrong", user=USER or "somebody", password=wrong).connect()
    except MQTTException as e:
        code = e.args[0]
        if code not in ((0x86, 0x87) if VERSION == 5 else (4, 5)):
            return "refused with %d" % code
        return None
    except OSError as e:
        return "closed without an answer" if e.args[0] in (104, 107, -104) else "OSError"
    return "let in"


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


def row_will():
    """Published when the link is cut, at its QoS; not after a goodbye."""
    watcher = up("watcher")
    t = topic("will")
    watcher.subscribe(t, 1)
    for _ in range(2):  # a goodbye first, then a cut
        c = client("ill")
        c.set_last_will(t, b"gone", qos=1)
        c.connect()
        if _:
            cut(c)
            until(lambda: watcher.got, watcher, what="no will")
        else:
            c.disconnect()
            caught_up(watcher, watcher)
            if watcher.got:
                return "published after a goodbye"
    if watcher.got[0][1:4] != (b"gone", 1, False):
        return "came as %s" % (watcher.got[0][1:4],)


def row_will_retained():
    """A retained will with QoS 0 is there for who comes later."""
    t = topic("will")
    watcher = up("watcher")
    watcher.subscribe(t, 1)
    c = client("ill")
    c.set_last_will(t, b"gone", True, 0)
    c.connect()
    cut(c)
    until(lambda: watcher.got, watcher, what="no will")
    later = up("later")
    try:
        later.subscribe(t, 1)
        until(lambda: later.got, later, what="not retained")
        if not later.got[0][3]:
            return "retain is 0"
    finally:
        watcher.publish(t, b"", True, 1)


def row_session():
    """What comes while we are away waits, in order: QoS 1 and 2, not 0."""
    sender = up("sender")
    c = up("keeper", False)
    seen = []
    if c.session_present:
        seen.append("session_present at first")
    t = topic("t")
    c.subscribe(t, 2)
    c.disconnect()
    for i in range(20):
        sender.publish(t, b"%d" % i, qos=qos_offered(1 + i % 2))
    sender.publish(t, b"none", qos=0)
    if not connect(c, False):
        seen.append("session_present 0")
    try:
        until(lambda: len(set(x[1] for x in c.got if x[1] != b"none")) >= 20, c)
    except Fail:
        return ", ".join(seen + ["%d of 20 came" % len(c.got)])
    caught_up(sender, c)
    came = [x[1] for x in c.got]
    if b"none" in came:
        seen.append("QoS 0 queued")
        came.remove(b"none")
    for odd in (0, 1):
        x = [int(x) for x in came if int(x) % 2 == odd]
        if x != list(range(odd, 20, 2)):
            seen.append("QoS %d: %d came, or out of order" % (odd + 1, len(x)))
    return ", ".join(seen)


def row_session_ends():
    """A clean session ends the one before: nothing of it is left."""
    sender = up("sender")
    c = up("keeper", False)
    t = topic("t")
    c.subscribe(t, 1)
    c.disconnect()
    sender.publish(t, b"1", qos=1)
    if connect(c, True):
        return "session_present in a clean session"
    sender.publish(t, b"2", qos=1)
    caught_up(sender, c)
    if c.got:
        return "%d messages of the old session" % len(c.got)


def _resend_out(qos):
    """The link breaks within the PUBLISH, before the answer is read, before the last one is."""
    if none_of(qos):
        return none_of(qos)
    c = up("receiver")
    t = topic("t")
    c.subscribe(t, 2)
    sender = up("sender", False)
    seen = []
    stages = 2 if qos == 1 else 3
    for stage in range(stages):
        payload = b"cut%d" % stage
        if stage == 0:
            sender.sock = Half(sender.sock)
        sender.publish_nowait(t, payload, False, qos)
        for i in range(stage):
            readable(sender)
            if i < stage - 1:
                sender.check_msg()  # PUBREC; PUBREL goes out
                if not sender.stats()["in_flight"]:
                    seen.append("QoS %d answered with PUBACK" % qos)
                    break
        cut(sender)
        if not connect(sender, False):
            seen.append("session_present 0")
        answered(sender)
    caught_up(sender, c)
    for stage in range(stages):
        n = sum(x[1] == b"cut%d" % stage for x in c.got)
        if not n or n > 1 and (qos == 2 or stage == 0):
            seen.append("%d copies of %d" % (n, stage + 1))
    return ", ".join(x for i, x in enumerate(seen) if x not in seen[:i])


def row_resend_qos_1():
    return _resend_out(1)


def row_resend_qos_2():
    return _resend_out(2)


def _redelivered(qos):
    """The link breaks while the handler runs: QoS 1 comes again, QoS 2 is handed over once."""
    if none_of(qos):
        return none_of(qos)
    sender = up("sender")
    c = client("receiver")
    t = topic("t")
    got = []
    seen = []

    def take(m):
        if m.topic == t:
            got.append((m.payload, m.qos, m.dup))
            if m.payload == b"cut" and len(got) == 1:
                cut(c)

    c.set_message(take)
    connect(c, False)
    c.subscribe(t, qos)
    sender.publish(t, b"cut", qos=qos)
    try:
        until(lambda: got, c, what="nothing came")
    except OSError:
        pass  # the link that was cut
    if not connect(c, False):
        seen.append("session_present 0")
    sender.publish(t, b"next", qos=qos)
    until(lambda: any(x[0] == b"next" for x in got), c, what="nothing came after the cut")
    if qos == 1:
        until(lambda: sum(x[0] == b"cut" for x in got) > 1, c, what="not delivered again")
        if not [x for x in got if x[0] == b"cut"][1][2]:
            seen.append("DUP 0")
    else:
        # and cut once more, when the server has PUBREC and its PUBREL lies in the socket
        sender.publish(t, b"again", qos=qos)
        until(lambda: any(x[0] == b"again" for x in got), c, what="nothing came the second time")
        if c._tab.ids_in:
            readable(c)
        cut(c)
        connect(c, False)
        sender.publish(t, b"last", qos=qos)
        until(lambda: any(x[0] == b"last" for x in got), c, what="nothing came after the cuts")
        quiet(c, 300)
        n = len(got)
        if n != 4:
            seen.append("%d handed over of 4" % n)
        if any(x[1] != qos for x in got):
            seen.append("came as %d" % got[0][1])
    return ", ".join(seen)


def row_redelivery_qos_1():
    return _redelivered(1)


def row_redelivery_qos_2():
    return _redelivered(2)


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
    """An idle link stays up by pings alone."""
    c = client("idle", keepalive=1)
    c.connect()
    start = ticks_ms()
    quiet(c, 2200)
    c.publish(topic("t"), b"x", qos=1)
    if ticks_diff(ticks_ms(), start) < 2200:
        raise Fail("the clock")


def row_takeover():
    """A second client of the same name: the first one is let go, and told why in 5.0."""
    first = up("same")
    second = up("same")
    try:
        until(lambda: False, first, what="both stay")
    except MQTTException as e:
        why = e.args[0]
        if why != 0x8E:
            return "DISCONNECT 0x%02x" % why
    except OSError:
        if VERSION == 5:
            return "closed without a DISCONNECT"
    second.publish(topic("t"), b"x", qos=1)


def row_password():
    """Let in with the right one, and the same client again."""
    if not USER:
        return None
    for _ in range(2):
        c = client("user", user=USER, password=PASSWORD)
        c.connect()
        c.disconnect()


ROWS = (
    row_connect,
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
    row_will,
    row_will_retained,
    row_session,
    row_session_ends,
    row_resend_qos_1,
    row_resend_qos_2,
    row_redelivery_qos_1,
    row_redelivery_qos_2,
    row_wildcards,
    row_unsubscribe,
    row_large,
    row_names,
    row_keepalive,
    row_takeover,
)
