"""What a server of clouds.py asks for beyond the standard, held for one client.

Rules stands in for methods of the client: at connect() it asks for what changes (tokens), and what
the server would not take is a ValueError before anything is sent. Nothing is allocated where the
client allocates nothing, with a topic that is the same object as the last.
"""

from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from .codec import text

_FAR = const(1 << 28)
_MINUTE = const(61000)  # ms: what is sent a minute apart may arrive closer
_VERBS = ("connect", "publish_nowait", "publish_stream", "subscribe", "set_last_will", "publish")


class Rules:
    """calls: {"user" or "pswd": f}, f() gives it, or it and for how many seconds it holds."""

    def __init__(self, c, profile, calls):
        self.c = c
        self.p = profile
        self.calls = calls
        self.server = c.server
        self.own = own = {}
        self.seen = None  # the last topic that was good
        self.end = None  # ticks_ms: the token is too old
        self.sent = [ticks_add(ticks_ms(), -_MINUTE)] * profile.per_minute  # when, as a ring
        self.at = 0
        if calls:
            c._timers.append(self.tick)
        for name in _VERBS if c.wait_msg else _VERBS[:-1]:  # asyncio's calls publish_nowait()
            if name in c.__dict__ or hasattr(type(c), name):
                own[name] = getattr(c, name)
            setattr(c, name, getattr(self, name))

    def _verb(self, name):
        return self.own.get(name) or type(self.c).__getattr__(self.c, name)

    def no(self, what, why):
        raise ValueError("%s: %s takes %s" % (what, self.p.name, why))

    # -- tokens ----------------------------------------------------------------------------------

    def connect(self, *args, **kwargs):
        """The client's, with new tokens."""
        c = self.c
        life = 0
        for name in self.calls:
            x = self.calls[name]()
            if isinstance(x, tuple):
                x, y = x
                y = int(y)
                life = min(life or y, y)
            setattr(c, name, text(name, x, 3))
        if self.p.headers:
            self.server.headers = self.p.headers()
        self.end = None
        if life:
            # 5 minutes early, or in half of the time: clocks differ
            life = min(life - min(life // 2, 300), _FAR // 1000)
            self.end = ticks_add(ticks_ms(), life * 1000)
        return self.own["connect"](*args, **kwargs)

    def tick(self, c, now):
        """Give the link up before the server does, with a goodbye: no will is published."""
        if self.end is None or c.state != 2:
            return _FAR
        ms = ticks_diff(self.end, now)
        if ms > 0:
            return ms
        if c._on and ms > -5000:
            return 100  # a packet has begun
        try:
            if not c._on:
                c.sock.write(b"\xe0\x00", 0, 2)
                for _ in range(40):  # closing with bytes unread would reset the link
                    c.sock.readinto(c._bit)
        except OSError:
            pass
        c._close()
        raise OSError(127, "the token expires, connect() makes a new one")  # EKEYEXPIRED

    # -- what the server takes -------------------------------------------------------------------

    def allow(self, topic, msg, retain, qos):
        p = self.p
        if qos > p.qos:
            self.no("qos", "%d at most" % p.qos)
        if retain and not p.retain:
            self.no("retain", "no retained messages")
        if p.payload:
            n = msg if isinstance(msg, int) else len(msg)
            if n > p.payload // 4 and isinstance(msg, str):
                n = len(msg.encode())
            if n > p.payload:
                self.no("msg", "%d bytes at most" % p.payload)
        if topic is not self.seen:
            self.place("topic", topic, p.publish)
            self.seen = topic if isinstance(topic, (bytes, str)) else None

    def place(self, what, x, places):
        """ValueError unless the topic or filter x begins like one of places, and is short."""
        p = self.p
        x = bytes(text(what, x, 3))
        if places:
            for y in places:
                if x[: len(y)] == y:
                    break
            else:
                self.no(what, ", ".join([str(y, "utf-8") + "..." for y in places]))
        if len(x) > p.topic:
            self.no(what, "%d bytes at most" % p.topic)
        # those of the server itself ($aws/rules/name/..) have up to three more
        if x.count(b"/") > p.slashes + (3 if x[:1] == b"$" else 0):
            self.no(what, "%d slashes at most" % p.slashes)

    def wait_ms(self):
        """ms until one more message may go."""
        if self.sent:
            ms = ticks_diff(ticks_ms(), self.sent[self.at])
            if 0 <= ms < _MINUTE:
                return _MINUTE - ms
        return 0

    def count(self):
        if self.sent:
            self.sent[self.at] = ticks_ms()
            self.at = (self.at + 1) % len(self.sent)

    def publish(self, topic, msg, retain=False, qos=0, timeout_ms=None, properties=None):
        """The synchronous client's. It waits for its turn, too; OSError(ENOBUFS): not by then."""
        if timeout_ms != -1:  # else publish_nowait() has looked
            self.allow(topic, msg, retain, qos)
            if self.sent:
                c = self.c
                end = c._end(timeout_ms)
                while True:
                    ms = self.wait_ms()
                    left = ticks_diff(end, ticks_ms())
                    if not ms:
                        break
                    if c._in or left <= 0:
                        raise OSError(105)
                    c._round(ticks_add(ticks_ms(), min(ms, left)))
                timeout_ms = max(0, left)
                self.count()
        if properties is None:
            return self.own["publish"](topic, msg, retain, qos, timeout_ms)
        return self.own["publish"](topic, msg, retain, qos, timeout_ms, properties)

    def publish_nowait(self, topic, msg, retain=False, qos=0, properties=None):
        """The client's; 0 also when it is not yet its turn."""
        self.allow(topic, msg, retain, qos)
        c = self.c
        if self.sent and c.state == 2:
            ms = self.wait_ms()
            if ms:
                if not c.wait_msg:
                    # let publish() of asyncio look again then
                    ms = ticks_add(ticks_ms(), ms)
                    if ticks_diff(ms, c._first) < 0:
                        c._first = ms
                return 0
        if properties is None:
            p = self.own["publish_nowait"](topic, msg, retain, qos)
        else:
            p = self.own["publish_nowait"](topic, msg, retain, qos, properties)
        if p:
            self.count()
        return p

    def publish_stream(self, topic, length, readinto, retain=False, qos=0, *more, **named):
        """The client's. OSError(ENOBUFS) when it is not yet its turn."""
        self.allow(topic, length, retain, qos)
        if self.wait_ms():
            raise OSError(105)
        self.count()
        return self._verb("publish_stream")(topic, length, readinto, retain, qos, *more, **named)

    def set_last_will(self, topic, msg, retain=False, qos=0, *more, **named):
        self.allow(topic, msg, retain, qos)
        return self._verb("set_last_will")(topic, msg, retain, qos, *more, **named)

    def subscribe(self, topic, qos=0, *more, **named):
        p = self.p
        n = 0
        for x in topic if isinstance(topic, (list, tuple)) else (topic,):
            y = qos
            if isinstance(x, tuple):
                x, y = x
            if y > p.qos:
                self.no("qos", "%d at most" % p.qos)
            self.place("topic filter", x, p.subscribe)
            n += 1
        if n > p.filters:
            self.no("topic filters", "%d at once" % p.filters)
        return self._verb("subscribe")(topic, qos, *more, **named)
