"""The asyncio MQTTClient: the synchronous one, except for how it waits.

Two small tasks live while the link is up: one handles what comes, woken by the socket; one looks
every 50 ms for what is due, and whether somebody has waited long enough. With poll_ms there is
only one, which looks that often.
"""

from asyncio import Event, core, create_task, get_event_loop, sleep_ms
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from .client import MQTTClient as _Sync
from .errors import MQTTException
from .opening import open

_LOOK = const(50)  # ms between two looks around
_FULL = const(1)  # ms until a full socket is tried again
_STEP = const(5)  # ms between two looks while connecting
_FAR = const(1 << 28)


class _Readable:
    """await it: until there is something to read. A call would allocate each time."""

    def __init__(self, sock):
        self.sock = sock
        self.go = False

    def __iter__(self):
        self.go = True
        return self

    def __next__(self):
        if not self.go:
            raise StopIteration
        self.go = False
        return core._io_queue.queue_read(self.sock)


class MQTTClient(_Sync):
    """MQTT 3.1.1 with asyncio: the arguments of the synchronous MQTTClient, and poll_ms.

    poll_ms=0 wakes as soon as something comes, which allocates a little each time. poll_ms=n looks
    every n ms: then set_message() and publish_nowait() allocate nothing, and a message waits up to
    n ms. Awaited calls allocate. Handlers are plain functions; they may call publish_nowait().
    Any number of tasks may publish. A cancelled call leaves no half packet: what was begun or
    accepted goes out all the same. Name look-up (getaddrinfo) and the arithmetic of a TLS
    handshake hold up the loop.
    """

    wait_msg = check_msg = None  # the tasks do that

    def __init__(self, *args, poll_ms=0, **options):
        _Sync.__init__(self, *args, **options)
        self._poll_ms = poll_ms or -1
        self._task = None  # handles what comes; None: not connected
        self._opening = False
        self._keep = False  # somebody connects again: wait for that
        self._why = None  # what ended the link; True: disconnect()
        self._mail = None
        self._wiped = 0  # how often the table was cleared
        self._first = ticks_ms()  # the first deadline of one who waits for news
        self._news = Event()
        self._gone = Event()

    # -- connection --------------------------------------------------------------------------

    async def connect(self, clean_session=True, timeout=None, adopt=False):
        """Connect, return session_present; as the synchronous one. timeout in seconds."""
        if self._in or self._opening:
            raise OSError(114)  # EALREADY
        end = self._end(timeout and int(timeout * 1000))
        self._fields(clean_session)  # raises before anything is changed
        if adopt:
            self._ours = True
        self._opening = True
        self._why = None
        try:
            for clean in (clean_session, True, False):
                await self._open(clean, end)
                if self.state == 2 and clean == clean_session:
                    break
            else:
                self._fail()  # somebody else makes that session again and again
        except Exception as e:
            if not self._why:
                self._why = e
            raise
        finally:
            self._opening = False
        n = self._poll_ms
        self._task = create_task(self._live(self.sock, n))
        if n < 0:
            create_task(self._live(self.sock, _LOOK))
        return self.session_present

    async def _open(self, clean, end):
        await self._leave()
        if clean or not self._ours:
            self._wiped += 1
        self._start(clean, ticks_ms())
        steps = open(self.server, self.port, self.ssl, self.ssl_params, end, 0)
        try:
            for self.sock in steps:
                if not self.sock:
                    await sleep_ms(_STEP)
                if self.state != 1:
                    raise OSError(107)  # disconnect() in another task
            while self.state < 2:
                self._dry = False
                if not self._round(ticks_ms()):
                    if ticks_diff(end, ticks_ms()) <= 0:
                        raise OSError(110)  # ETIMEDOUT
                    await sleep_ms(_STEP)
        except BaseException:
            steps.close()
            self._close()
            raise

    async def disconnect(self):
        """Say goodbye (the will is dropped) and close. Open messages stay in the table."""
        self._why = True
        await self._leave()
        self._why = True  # the goodbye may have failed

    async def _leave(self):
        try:
            if self._task:
                await self._clear(self._end(None))
        except OSError:
            pass  # closed by now
        _Sync.disconnect(self)

    def _close(self):
        t = self._task
        self._task = None
        if t and t is not core.cur_task:
            t.cancel()
        _Sync._close(self)
        for ev in (self._news, self._gone):
            ev.set()
            ev.clear()

    async def run(self):
        """Wait until the link ends: OSError or MQTTException says why; nothing at disconnect()."""
        while self._task:
            await self._gone.wait()
        if self._why is not True:
            self._lost()

    async def __aenter__(self):
        if not self._task:
            await self.connect()
        return self

    async def __aexit__(self, *_):
        await self.disconnect()

    # -- the tasks ---------------------------------------------------------------------------

    async def _live(self, sock, ms):
        """Look every ms; -1: when there is something to read."""
        readable = _Readable(sock)
        n = ms
        try:
            while self.sock is sock:
                await (readable if n < 0 else sleep_ms(n))
                if self.sock is sock:
                    n = self._step(ms)
        finally:
            if self.sock is sock:
                self._close()  # no memory even to report an error: an end that is seen

    def _step(self, ms):
        """Handle what has come and what is due; when to do so again: 0, at once, or ms."""
        now = ticks_ms()
        if ticks_diff(self._first, now) <= 0:
            self._first = ticks_add(now, _FAR)
            self._tell()
        try:
            if self._mail and self._mail.full(now):
                return _LOOK
            self._dry = False
            if self._round(now):
                self._tell()
                if not self._dry:
                    return 0
        except Exception as e:
            link = isinstance(e, (OSError, MQTTException))
            if not self.sock:
                self._why = e if link else OSError(103)  # ECONNABORTED
            if self.sock or not link:  # of a handler
                get_event_loop().call_exception_handler(
                    {"message": "umqtt_plus: handler", "exception": e, "future": core.cur_task}
                )
        return ms

    def _tell(self):
        """Let those look who wait for news."""
        self._news.set()
        self._news.clear()

    def _look(self, end, code=110, news=True):
        """await it: until it may be worth looking again. OSError(code) at end."""
        if not self._task and not self._keep:
            self._lost()
        if end is not None:
            if ticks_diff(end, ticks_ms()) <= 0:
                raise OSError(code)
            if ticks_diff(end, self._first) < 0:
                self._first = end
        if news and self._task:
            return self._news.wait()
        return sleep_ms(_FULL if self._task else _LOOK)

    def _lost(self):
        """Raise what ended the link."""
        e = self._why
        if not e or e is True:
            raise OSError(107)  # ENOTCONN
        raise type(e)(*e.args)  # a new one: what is raised again and again grows

    def _flush(self):
        try:
            return _Sync._flush(self)
        except OSError as e:
            self._why = e
            raise

    def _drain(self, end):
        if not self.sock:
            raise OSError(107)  # ENOTCONN
        self._flush()

    async def _clear(self, end, task=None):
        """Wait until all that waits is written; when it is not by end, the link is closed.

        task: this link, and no other.
        """
        while not self._task or not self._flush():
            try:
                if task and task is not self._task:
                    self._lost()
                await self._look(end, 110, False)
            except OSError as e:
                if self._task:
                    self._close()
                    self._why = e
                raise

    # -- verbs -------------------------------------------------------------------------------

    def publish_nowait(self, topic, msg, retain=False, qos=0):
        """Publish without waiting: packet_id (-1 for QoS 0), or 0 when there is no room now.

        A packet_id is a promise: the message is in the table, and on_published() tells when the
        server has it. OSError: not connected, and not accepted.
        """
        if not self._task:
            raise OSError(107)  # ENOTCONN
        p = 0
        try:
            t = self._tab
            if qos and t:
                p = t.accept(self, topic, msg, retain, qos)
                n = self._on
                w = None
                if n and not self._busy:
                    w = self.sock.write(self._out, self._oat, n)
                if w == n:  # what _flush() does, for what goes out at once: a tenth of the time
                    self._on = 0
                    self._tend = ticks_ms()
                    t.writing = -1
                else:
                    if w:
                        self._sent(w, 0)
                    self._flush()
            else:
                p = self._flush() and _Sync.publish(self, topic, msg, retain, qos, -1) or 0
        except OSError as e:
            if p or not qos:  # else a store has no room
                self._close()
                self._why = e
            if not p:
                raise
        return p

    async def publish(self, topic, msg, retain=False, qos=0, timeout_ms=None):
        """Publish; QoS 1 and 2 wait until the server has taken the message. Returns packet_id.

        OSError(ENOBUFS): no room by timeout_ms; the message was not accepted. OSError(ETIMEDOUT)
        or a lost link: it was, and goes out again after connect(clean_session=False).
        """
        end = self._end(timeout_ms)
        while True:
            try:
                p = self.publish_nowait(topic, msg, retain, qos)
                if p:
                    break
            except OSError:
                if not self._keep:
                    raise
            await self._look(end, 105, qos)  # ENOBUFS
        if qos:
            await self.published(p, end)
        elif self._tail is msg and self._tn or self._out is msg and self._on:
            await self._clear(end, self._task)  # msg is being sent from where it is
        return p

    async def published(self, packet_id, end=None):
        """Wait until the server has taken a message of publish_nowait(), until end (ticks_ms).

        OSError(ECONNABORTED): connect(clean_session=True) has dropped it.
        """
        t = self._tab
        i = packet_id % t.slots
        n = self._wiped
        while t.state[i] and t.ids[i] == packet_id:
            await self._look(end)
        if not t.ids[i] or n != self._wiped:
            raise OSError(103)  # ECONNABORTED

    def __aiter__(self):
        return self._mail or self.messages()

    def __getattr__(self, name):
        from .more import find

        return find(self, name, "aio_verbs")
