"""What every server has to do, in MQTT 3.1.1 and 5.0: wills, sessions, links that break.

Each row returns None, or what differs.
"""

# ruff: noqa: UP031 - MicroPython runs this

from world import (
    VERSION,
    Fail,
    Half,
    MQTTException,
    answered,
    caught_up,
    client,
    connect,
    cut,
    none_of,
    qos_offered,
    quiet,
    readable,
    topic,
    until,
    up,
)


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
    sender.subscribe(topic("own"), 1)  # to some servers a session is its subscriptions
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


def row_empty_session():
    """A session without subscriptions lasts, too: what is under way goes out again."""
    c = up("receiver")
    t = topic("t")
    c.subscribe(t, 1)
    sender = up("sender", False)
    sender.sock = Half(sender.sock)
    sender.publish_nowait(t, b"cut", False, 1)
    cut(sender)
    present = connect(sender, False)
    answered(sender)
    caught_up(sender, c)
    if present:
        return None if c.got else "lost"
    if VERSION == 5:
        # 5.0 forbids to send it again: the application is told
        if len(sender.unresolved) != 1 or c.got:
            return "session_present 0, not reported"
        return "session_present 0, reported"
    return "session_present 0, sent again" if c.got else "session_present 0, lost"


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


ROWS = (
    row_will,
    row_will_retained,
    row_session,
    row_session_ends,
    row_empty_session,
    row_resend_qos_1,
    row_resend_qos_2,
    row_redelivery_qos_1,
    row_redelivery_qos_2,
    row_takeover,
)
