"""What MQTT 5.0 adds. As in rows.py each row returns None, or what differs."""

# ruff: noqa: UP031 - MicroPython runs this

from world import (
    Fail,
    MQTTException,
    caught_up,
    client,
    connect,
    cut,
    quiet,
    sleep_ms,
    topic,
    until,
    up,
)


def _keep_properties(c):
    c.props = []

    def take(m):
        c.got.append((m.topic, m.payload, m.qos, m.retain, m.dup))
        c.props.append(m.properties)

    c.set_message(take)


def row_properties():
    """All of a message's properties arrive, user properties in order and repeated."""
    c = client("receiver")
    _keep_properties(c)
    c.connect()
    sender = up("sender")
    t = topic("t")
    c.subscribe(t, 1)
    x = {
        "payload_format_indicator": 1,
        "content_type": "text/plain",
        "response_topic": "a/b",
        "correlation_data": b"\x00\xff1",
        "user_property": [("k", "v"), ("a", "1"), ("k", "\u00fc")],
    }
    sender.publish(t, b"x", qos=1, properties=x)
    until(lambda: c.got, c)
    found = c.props[0]
    text = lambda y: y.encode() if isinstance(y, str) else y  # noqa: E731
    seen = []
    for name in x:
        got = found.get(name)
        want = x[name]
        if name == "user_property":
            got = [(text(a), text(b)) for a, b in got or ()]
            want = [(text(a), text(b)) for a, b in want]
        if text(got) != text(want):
            seen.append(name)
    return ("not forwarded: " if seen else "") + ", ".join(seen)


def row_subscription_identifier():
    """The identifier of the subscription comes with the message."""
    c = client("receiver")
    _keep_properties(c)
    c.connect()
    t = topic("t")
    try:
        c.subscribe(t, 1, properties={"subscription_identifier": 300})
    except ValueError:
        return "not available"
    c.publish(t, b"x", qos=1)
    until(lambda: c.got, c)
    if c.props[0].get("subscription_identifier") not in (300, [300]):
        return "not with the message"


def row_subscription_options():
    """No Local, Retain As Published, Retain Handling."""
    other = up("other")
    seen = []
    c = up("no_local")
    c.subscribe(topic("n"), 1, no_local=True)
    c.publish(topic("n"), b"own", qos=1)
    other.publish(topic("n"), b"other", qos=1)
    until(lambda: any(x[1] == b"other" for x in c.got), c)
    if len(c.got) > 1:
        seen.append("no_local")
    c.got.clear()
    t = topic("r")
    c.subscribe(t, 1, retain_as_published=True)
    other.publish(t, b"kept", True, 1)
    try:
        until(lambda: c.got, c)
        if not c.got[0][3]:
            seen.append("retain_as_published")
        for handling, first, want in ((2, True, 0), (1, True, 1), (1, False, 0), (0, False, 1)):
            c.got.clear()
            if first:
                c.unsubscribe(t)
            c.subscribe(t, 1, retain_handling=handling)
            caught_up(other, c)
            if len(c.got) != want:
                seen.append("retain_handling %d" % handling)
    finally:
        other.publish(t, b"", True, 1)
    return ("not obeyed: " if seen else "") + ", ".join(seen)


def row_message_expiry():
    """Who was away for longer does not get it; who was not, gets the seconds that are left."""
    sender = up("sender")
    c = client("keeper")
    _keep_properties(c)
    connect(c, False)
    t = topic("t")
    c.subscribe(t, 1)
    c.disconnect()
    for seconds in (1, 60, 0):
        x = {"message_expiry_interval": seconds} if seconds else None
        sender.publish(t, b"%d" % seconds, qos=1, properties=x)
    sleep_ms(2300)  # the server's clock runs, ours stands in for it
    connect(c, False)
    until(lambda: any(x[1] == b"0" for x in c.got), c)
    came = [x[1] for x in c.got]
    seen = []
    if b"1" in came:
        seen.append("delivered late")
    left = c.props[came.index(b"60")].get("message_expiry_interval") if b"60" in came else 0
    if left is None:
        seen.append("the interval is not forwarded")
    elif left > 58:
        seen.append("the interval is not shortened")
    return ", ".join(seen)


def row_session_expiry():
    """The session outlives a short absence, and not a longer one."""
    c = client("keeper", properties={"session_expiry_interval": 3})
    connect(c, False)
    c.subscribe(topic("own"), 1)
    c.disconnect()
    if not connect(c, False):
        return "gone at once"
    c.disconnect()
    sleep_ms(4600)
    if connect(c, False):
        return "kept for longer"


def row_will_delay():
    """No will for who is back in time; else after the delay."""
    watcher = up("watcher")
    t = topic("will")
    watcher.subscribe(t, 1)
    c = client("ill", properties={"session_expiry_interval": 60})
    c.set_last_will(t, b"gone", qos=1, properties={"will_delay_interval": 3})
    connect(c, False)
    c.subscribe(topic("own"), 1)
    cut(c)
    connect(c, False)
    quiet(watcher, 3700)
    if watcher.got:
        return "published although it came back"
    cut(c)
    quiet(watcher, 400)
    if watcher.got:
        return "published without a delay"
    until(lambda: watcher.got, watcher, what="no will")


def row_shared_subscription():
    """Each message goes to one of the group, and every one to somebody outside."""
    sender = up("sender")
    group = [up("one"), up("two")]
    t = topic("t")
    shared = b"$share/group/" + t
    try:
        for c in group:
            c.subscribe(shared, 1)
    except ValueError:
        return "not available"
    except MQTTException as e:
        return "refused with 0x%02x" % e.args[0]
    outside = up("outside")
    outside.subscribe(t, 1)
    for i in range(20):
        sender.publish(t, b"%d" % i, qos=1)
    until(lambda: len(outside.got) >= 20, outside)
    came = lambda: sorted(int(x[1]) for c in group for x in c.got)  # noqa: E731
    until(lambda: len(came()) >= 20, *group, what="not all came")
    for c in group:
        quiet(c, 100)
    if came() != list(range(20)):
        return "%d for 20" % len(came())
    if not all(c.got for c in group):
        return "all to one"


def row_topic_alias():
    """Topics in turn at QoS 0, as numbers where the server takes them."""
    sender = up("sender")
    c = up("receiver")
    c.subscribe(topic("#"), 1)
    want = []
    for i in range(30):
        want.append((topic("level", "%d" % (i % 3)), b"%d" % i))
        sender.publish(*want[-1])
    until(lambda: len(c.got) >= 30, c, what="not all came")
    if [x[:2] for x in c.got] != want:
        return "in another order, or another topic"


def row_nobody():
    """0x10 says that nobody has subscribed."""
    c = up("sender")
    seen = []
    for qos in (1, 2):
        try:
            c.publish(topic("nobody"), b"x", qos=qos)
        except ValueError:
            continue  # the server has no QoS 2: another row says so
        if c.reason_code != 16:
            seen.append("QoS %d: 0x%02x" % (qos, c.reason_code))
    return ", ".join(seen)


def row_request():
    """A question with a response topic, and its answer."""
    from umqtt_plus.request import Requests, reply

    server = client("server")
    asked = []

    def question(m):
        asked.append(1)
        reply(server, m, b"re:" + m.payload)

    server.set_message(question)
    server.connect()
    t = topic("ask")
    server.subscribe(t, 1)
    c = up("asker")
    asking = Requests(c, topic("answers"))
    key = asking.ask(t, b"question", 1)
    until(lambda: asked, server, what="no question")
    server.check_msg()
    if asking.answer(key) != b"re:question":
        raise Fail("another answer")


def row_refused_message():
    """A message refused with 0x97 is given up by the server, also over a new connection."""
    sender = up("sender")
    c = client("receiver")
    got = []

    def take(m):
        got.append(m.payload)
        if m.payload == b"no":
            m.refuse(0x97)

    c.set_message(take)
    connect(c, False)
    t = topic("t")
    c.subscribe(t, 1)
    sender.publish(t, b"no", qos=1)
    until(lambda: got, c)
    c.disconnect()
    connect(c, False)
    sender.publish(t, b"yes", qos=1)
    until(lambda: b"yes" in got, c)
    if got != [b"no", b"yes"]:
        return "delivered again"


ROWS = (
    row_properties,
    row_subscription_identifier,
    row_subscription_options,
    row_message_expiry,
    row_session_expiry,
    row_will_delay,
    row_shared_subscription,
    row_topic_alias,
    row_nobody,
    row_request,
    row_refused_message,
)
