"""The synchronous MQTTClient, a drop-in for umqtt.simple.

All of the protocol is in protocol.py and opening.py; here are socket, poller and waiting.
"""

from time import ticks_add, ticks_diff, ticks_ms

from .protocol import Protocol


class MQTTClient(Protocol):
    """MQTT 3.1.1 over TCP or TLS.

    client_id, user, password: str or bytes. keepalive: seconds, 0 off. ssl: True or a context.
    buffer_size: bytes of the largest packet held whole, each way (3 times that in RAM, and
    inflight times that). inflight: QoS 1 and 2 messages on their way at once; 0 leaves the tables
    out. retry_ms: resend unacknowledged messages on a live link after this time, 0 never.
    timeout_ms: the deadline of every call that waits, where it is not given another one.
    ValueError names a wrong argument. Construction allocates; publishing and receiving through
    set_message() do not.
    """

    def __init__(
        self,
        client_id,
        server,
        port=0,
        user=None,
        password=None,
        keepalive=0,
        ssl=None,
        ssl_params={},
        version=4,  # from here on by name; the * that says so would take heap
        buffer_size=512,
        inflight=4,
        retry_ms=0,
        timeout_ms=10000,
        properties=None,
    ):
        from .opening import begin

        self.sock = self._poll = None
        self.server = server
        self.port = port or (8883 if ssl else 1883)
        self.ssl = ssl or callable(server)  # more may wait behind a short read
        self.ssl_params = ssl_params
        self.timeout_ms = timeout_ms
        self._ev = 0  # the events asked for
        self._dry = False  # the last read took all there was: poll before the next
        self._in = False  # a handler of the application is running
        if inflight:
            from .verbs import publish

            self._pub = publish
        begin(self, client_id, user, password, keepalive, buffer_size, inflight, retry_ms)
        if version != 4 or properties:
            self.setup5(version, properties)
        else:
            self._fields(True)

    # -- connection --------------------------------------------------------------------------

    def connect(self, clean_session=True, timeout=None, adopt=False):
        """Connect, return session_present. timeout in seconds. Allocates.

        MQTTException(1..5): the server refuses. OSError: it cannot be reached or is silent.
        clean_session=False keeps the session at the server and here: what was not acknowledged is
        sent again. If the server holds a session that this object did not begin (after a reboot,
        say) it is cleaned away first, since ids in it could swallow new QoS 2 messages; adopt=True
        takes it over instead, with the messages that wait in it (X311-3.2.2.2-a).
        """
        if self._in:
            raise OSError(114)  # EALREADY: not inside a message handler
        end = self._end(timeout and int(timeout * 1000))
        self._fields(clean_session)  # raises before anything is changed
        if adopt:
            self._ours = True
        from .opening import open, select  # names that the module need not hold

        for clean in (clean_session, True, False):
            self.disconnect()
            self._start(clean, ticks_ms())
            try:
                for self.sock in open(self.server, self.port, self.ssl, self.ssl_params, end, 999):
                    pass
                self._poll = select.poll()
                self._ev = 1
                self._poll.register(self.sock, 1)
                self._wait(0, 1)  # the first one allocates
                while self.state < 2:
                    if not self._round(end):
                        raise OSError(110)  # ETIMEDOUT
            except BaseException:
                self._close()
                raise
            if self.state == 2 and clean == clean_session:
                return self.session_present
        self._fail()  # somebody else makes that session again and again

    def disconnect(self):
        """Say goodbye (the will is dropped) and close. Open messages stay in the table."""
        if self.state >= 2:  # up
            try:
                end = self._end(None)
                self._drain(end)
                self._out = b"\xe0\x00"
                self._oat = 0
                self._on = 2
                self._drain(end)
                # closing with bytes unread would reset the link, and lose what is on its way
                for _ in range(40):
                    self.sock.readinto(self._bit)  # not rx, where a handler's message may lie
            except OSError:
                pass  # the link is gone: nobody to say goodbye to
        self._close()

    def _close(self):
        s = self.sock
        self.sock = self._poll = None
        self._reset()
        if s:
            s.close()

    # -- the loop ----------------------------------------------------------------------------

    def _flush(self):
        """Write what waits; False when the socket takes no more now. Allocates nothing."""
        try:
            while self._on or self._busy and self._next():
                n = self.sock.write(self._out, self._oat, self._on)
                if n is None:
                    self._busy = 1
                    return False
                self._sent(n, ticks_ms())
        except BaseException:
            self._close()
            raise
        return True

    def _drain(self, end):
        """Write what waits, to the end; a packet that cannot be finished by then ends the link."""
        if not self.state:
            raise OSError(107)  # ENOTCONN
        while not self._flush():
            ms = ticks_diff(end, ticks_ms())
            if ms <= 0:
                self._close()
                raise OSError(110)  # ETIMEDOUT
            self._wait(ms, 4)

    def _wait(self, ms, events):
        if events != self._ev:
            self._ev = events
            self._poll.modify(self.sock, events)
        for _ in self._poll.ipoll(ms):
            pass

    def _round(self, end):
        """Wait until packets came and were handled; False at the deadline end, None is never."""
        if self._in:
            raise OSError(114)  # EALREADY: a handler cannot wait for what comes behind its message
        full = False  # of acks, so that what came could not all be handled at once
        while self.sock:
            out = not (self._on or self._busy) or self._flush()
            if self._new and (out or self._an < 60):
                self._new = False
                self._in = True
                try:
                    did = self._read(self)
                except BaseException:
                    self._in = False
                    self._new = True
                    if self._owed:
                        self._close()  # not acknowledged, so it comes again (MQTT-4.8.0-2)
                    raise
                self._in = False
                if did:
                    full = self._an > 60
                    if self._timers:
                        self._rend = now = ticks_ms()
                        if ticks_diff(self._due, now) <= 0:
                            self._tick(now)
                    if self._busy:
                        self._flush()
                    if not full or self._on:
                        return True
                    continue
            if full:
                return True
            if not self._dry and not self._new:
                try:
                    buf = self._lend()
                    n = self.sock.readinto(buf, self._room)
                    if n == 0:
                        raise OSError(104)  # ECONNRESET
                except BaseException:
                    self._close()
                    raise
                if n:
                    self._got(buf, n)
                    self._dry = n < self._room and not self.ssl
                    continue
            now = ticks_ms()
            ms = ticks_diff(self._due, now)
            if ms <= 0:
                if self._dry:
                    self._dry = False  # an answer may lie in the socket: read before judging
                    continue
                ms = self._tick(now)
                if self._busy and out:
                    continue
            if end is not None:
                left = ticks_diff(end, now)
                if left <= 0:
                    return False
                ms = min(ms, left)
            # acks that cannot go must go before more is handled
            self._wait(ms, 1 if out else 4 if self._new else 5)
            self._dry = False
        raise OSError(107)  # ENOTCONN

    def _end(self, timeout_ms):
        return ticks_add(ticks_ms(), self.timeout_ms if timeout_ms is None else timeout_ms)

    def wait_msg(self, timeout_ms=None):
        """Wait until the server sends something and handle all that came; False at timeout_ms.

        Without timeout_ms it waits for ever, sending pings when keepalive is set. OSError when the
        link is lost, MQTTException when the server breaks the protocol.
        """
        return self._round(None if timeout_ms is None else self._end(timeout_ms))

    def check_msg(self):
        """Handle what has come, do what is due, do not wait. Whether something was handled."""
        self._dry = False
        return self._round(ticks_ms())

    def next_deadline(self):
        """ms until check_msg() must be called again, to keep the promise to the server; 0: now.

        Days when nothing is to be done: a board that sleeps takes the smaller of this and its own.
        """
        return 0 if self._busy else max(0, ticks_diff(self._due, ticks_ms()))

    # -- verbs -------------------------------------------------------------------------------

    def publish(self, topic, msg, retain=False, qos=0, timeout_ms=None):
        """Publish; QoS 1 and 2 wait until the server has taken the message. Returns packet_id.

        topic and msg: bytes, or str (copied). Allocates nothing with bytes.
        OSError(ETIMEDOUT): no answer by timeout_ms; the message stays in the table and goes out
        again after the next connect(clean_session=False). OSError(ENOBUFS): no free place by then;
        the message was not accepted. Inside a message handler it does not wait for the answer.
        """
        if not qos:
            # flat: one more call costs as much as copying the payload
            if self._busy:
                self._drain(self._end(timeout_ms))
            if topic is not self._txof:
                self._prep(topic)
            n = len(msg)
            if n > self._fit:
                import umqtt_plus.stream as stream  # a relative import would allocate

                return stream.tail(self, msg, n, retain, timeout_ms)
            i = self._at
            tx = self._tx
            try:
                tx[i : i + n] = msg
            except (TypeError, NotImplementedError):
                msg = msg.encode()  # a str
                return MQTTClient.publish(self, topic, msg, retain, 0, timeout_ms)
            n += i
            if n < 133:
                tx[4] = n - 5
                i = 3
            else:
                tx[4] = n - 5 >> 7
                tx[3] = n - 5 & 127 | 128
                i = 2
            tx[i] = 0x31 if retain else 0x30
            n -= i
            try:
                w = self.sock.write(tx, i, n)
            except BaseException:
                self._close()
                raise
            if w != n:
                w = w or 0
                self._out = tx
                self._oat = i + w
                self._on = n - w
                self._busy = 1
                if timeout_ms != -1:
                    self._drain(self._end(timeout_ms))
            if self._timers:
                self._tend = i = ticks_ms()
                if ticks_diff(self._due, i) <= 0 and timeout_ms != -1 and not self._in:
                    self._round(i)
            return -1
        return self._pub(self, topic, msg, retain, qos, timeout_ms)

    def publish_nowait(self, topic, msg, retain=False, qos=0):
        """Publish without waiting: packet_id (-1 for QoS 0), or 0 when there is no room now.

        The answer is reported to on_published() while wait_msg() or check_msg() runs; they also
        keep the promise of keepalive. OSError: the link is lost, and the message was not taken.
        """
        if qos and self._tab:
            return self._pub(self, topic, msg, retain, qos, -1)
        if self.state and not self._flush():
            return 0
        return self.publish(topic, msg, retain, qos, -1)

    def ping(self):
        """Send a PINGREQ now, without waiting. With keepalive set, a missing answer is noticed."""
        if not self._ping:
            self._ping = self._busy = 1
        self._drain(self._end(None))
