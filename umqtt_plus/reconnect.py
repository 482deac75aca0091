"""Keeps a client connected for months: when to try again, what to do when it is up, what waits.

The synchronous client is driven by Link.poll(), the asyncio client by Link.run(); the rest is the
same for both.
"""

import random
from gc import collect
from time import sleep_ms, ticks_add, ticks_diff, ticks_ms

from micropython import const

from .codec import limit
from .errors import MQTTException

_FIGHTS = const(5)  # so often in a row the server let us in at once and closed soon
_FAILS = (OSError, MQTTException, MemoryError)
# refusals that will not change by themselves: version, client id, user, rights, a packet too large
_SLOW = b"\x01\x02\x04\x05\x84\x85\x86\x87\x8a\x8c\x90\x95\x99\x9a\x9b"


def _forbidden(e):
    """A subscription that this server rules out in its CONNACK (5.0); it may change its mind."""
    return isinstance(e, ValueError) and len(e.args) > 1


class Link:
    """An intent to be connected: whatever fails, it is tried again, for ever.

    topics: what to subscribe to at the first connection and when the server has no session for
    us, as subscribe() takes it; always=True: each time, for servers that keep the session and lose
    what was subscribed.
    subscribe: more arguments of subscribe(), {"no_local": True} say.
    clean_session, adopt: as in connect().
    The n-th wait in a row is a random time up to first_ms * 2**n, at most cap_ms, so that a
    thousand devices do not come at once; one device alone may do with first_ms=1000. A connection
    that lived for steady_ms starts the count anew. After a refusal that waiting does not mend
    (wrong password, say), and when another client seems to use the same client_id, it is up to
    slow_ms; slow_ms=0: poll() and run() raise the refusal.
    outbox: an outbox.Outbox for what is published meanwhile; its dropped() is also told, with
    "refused", of a message that the client does not take at all. on_up(session_present) and
    on_down(error) tell; both are plain functions. Allocates, except for poll() while up.
    With MQTT 5.0 see also reconnect5.py: reason codes, and on_moved(error, places).
    """

    def __init__(
        self,
        client,
        topics=(),
        *,
        clean_session=False,
        adopt=False,
        always=False,
        outbox=None,
        on_up=None,
        on_down=None,
        first_ms=8000,
        cap_ms=60000,
        steady_ms=30000,
        slow_ms=600000,
        subscribe={},
        on_moved=None,
    ):
        self.client = client
        if not isinstance(topics, (list, tuple)) or topics and isinstance(topics[-1], int):
            topics = (topics,)  # one filter, or one (filter, qos)
        self.topics = topics
        self.clean_session = clean_session
        self.adopt = adopt
        self.always = always
        self.outbox = outbox
        self.on_up = on_up
        self.on_down = on_down
        self.first_ms = limit("first_ms", first_ms, 1 << 20, 1)
        self.cap_ms = limit("cap_ms", cap_ms, 1 << 28, 1)
        self.steady_ms = steady_ms
        self.slow_ms = slow_ms
        self.why = None  # the last error
        self.granted = None  # what the last subscribe() returned
        self.up = False
        # the session at the server may be without our subscriptions, also after a power cut
        self._bare = True
        self._busy = False  # in pump()
        self._tries = self._fights = 0
        self._at = self._since = ticks_ms()  # of the next try; of the last success
        client._keep = True  # the asyncio client's calls wait for the link
        self._gone = getattr(client, "_gone", None)  # its event run() waits for
        self._running = self._runner = None  # True in run(), False when it has ended; its task
        self.subscribe = subscribe
        if "_v" in client.__dict__:
            from .reconnect5 import Codes

            Codes(self, on_moved)

    # -- what both fronts share ----------------------------------------------------------------

    def next_try(self):
        """ms until the next attempt; 0 while connected or when it is due."""
        return 0 if self.up else max(0, ticks_diff(self._at, ticks_ms()))

    def _wanted(self):
        """What is to be subscribed now, if anything."""
        if not self.client.session_present:
            self._bare = True
        return self.topics if self.always or self._bare else None

    def _won(self):
        """Connected and subscribed."""
        self._bare = False
        self.up = True
        self._since = ticks_ms()
        if self.on_up:
            self.on_up(self.client.session_present)

    def _lost(self, e):
        """The link broke, or could not be made: set the time of the next try."""
        now = ticks_ms()
        # negative: a long life, for which ticks have no number
        if self.up and not 0 <= ticks_diff(now, self._since) < self.steady_ms:
            self._tries = self._fights = 0
        code = e.args[0] if e.args else 0
        if self.up and code in (104, 107, -104) and self._tries == self._fights:
            self._fights += 1  # let in at the first try, and closed soon by the other side
        ms = min(self.cap_ms, self.first_ms << min(self._tries, 12))
        self._tries += 1
        slow = isinstance(e, MQTTException) and code in _SLOW or _forbidden(e)
        if slow or self._tries == self._fights >= _FIGHTS:
            ms = self.slow_ms or self.cap_ms
        self.why = e
        self.up = False
        self.client._close()
        collect()  # a TLS handshake needs a large piece of heap
        self._pause(e, now, ms, slow)

    def _pause(self, e, now, ms, slow, least=0):
        self._at = ticks_add(now, least + random.randrange(ms) + 1)
        if self.on_down:
            self.on_down(e)
        if slow and not self.slow_ms:
            raise e

    def publish(self, topic, msg, retain=False, qos=0, **how):
        """Publish now, or in order as soon as it goes; never waits. For both fronts.

        Returns packet_id (-1 for QoS 0); 0: it waits in the outbox, which takes the arguments
        beyond qos, too, and drops or refuses (OSError(ENOBUFS)) when it is full. Without an outbox
        OSError says that it was not taken. properties: of MQTT 5.0; the outbox is an Outbox5 then.
        """
        box = self.outbox
        c = self.client
        more = ()
        if "properties" in how:
            more = (how["properties"],)
            if box is not None and not hasattr(box, "properties"):
                raise ValueError("properties: outbox is no Outbox5")
        if qos:
            limit("qos (needs inflight)", qos, 2 if c._tab else 0)
            limit("topic+msg (buffer_size)", len(topic) + len(msg), c._size - 9)
        if not self.pump():
            try:
                if not self.up:
                    raise OSError(107)  # ENOTCONN
                p = c.publish_nowait(topic, msg, retain, qos, *more)
                if p:
                    return p
                if box is None:
                    raise OSError(105)  # ENOBUFS
            except OSError:
                if box is None:
                    raise
        box.put(topic, msg, retain, qos, **how)
        if self._gone:
            self._gone.set()  # run() looks
            self._gone.clear()
        return 0

    def pump(self):
        """Send what waits in the outbox, as far as it goes; how many are left. poll() does it."""
        box = self.outbox
        if box is None:
            return 0
        if not self._busy:  # a handler that publishes
            self._busy = True
            try:
                box.tick()
                while self.up and len(box):
                    m = box.first()
                    if not m or not self._send(*m):
                        break
                    box.done(m[0])
            except OSError:
                pass  # who waits for the link will see it
            finally:
                self._busy = False
                box.back()
        return len(box)

    def _send(self, number, topic, msg, retain, qos, *more):
        try:
            return self.client.publish_nowait(topic, msg, retain, qos, *more)
        except ValueError:
            # it can never go, and must not keep the others back
            if self.outbox.dropped:
                self.outbox.dropped(topic, msg, "refused")
            return -1

    # -- the synchronous front -------------------------------------------------------------------

    def poll(self, timeout_ms=0):
        """Connect when it is time; handle what comes within timeout_ms. True while connected.

        Call it again and again. Never raises for the link; what a message handler raises passes
        through, unless it is an OSError that closed the link. An attempt to connect takes up to
        the client's timeout_ms.
        """
        c = self.client
        try:
            if not self.up:
                ms = self.next_try()
                sleep_ms(min(ms, timeout_ms))
                if ms > timeout_ms:
                    self.pump()
                    return False
                c.connect(self.clean_session, adopt=self.adopt)
                if self._wanted():
                    self.granted = c.subscribe(self.topics, **self.subscribe)
                self._won()
                timeout_ms -= ms
            self.pump()
            if timeout_ms:
                c.wait_msg(timeout_ms)
            else:
                c.check_msg()
            if not c.sock:
                raise OSError(107)  # ENOTCONN: lost in a handler
        except Exception as e:
            if not (self.up and c.sock):  # else it is a handler's
                self._lost(e)
                if isinstance(e, _FAILS) or _forbidden(e):
                    return False
            raise
        return self.up

    # -- the asyncio front -----------------------------------------------------------------------

    async def run(self):
        """Keep the asyncio client connected until close(). Start it as a task, or use async with.

        Meanwhile the client's own publish() waits for the link, too, up to its deadline, and
        `async for message in client` goes on over lost links.
        """
        from asyncio import sleep_ms

        c = self.client
        c._keep = self._running = True
        try:
            while c._keep:
                try:
                    await c.connect(self.clean_session, adopt=self.adopt)
                    if self._wanted():
                        self.granted = await c.subscribe(self.topics, **self.subscribe)
                    self._won()
                    while c._task:
                        if self.pump():
                            await c._look(ticks_add(ticks_ms(), 100))
                        else:
                            await c._gone.wait()
                    await c.run()
                    if c._keep:
                        raise OSError(107)  # ENOTCONN: somebody called disconnect()
                except _FAILS as e:
                    if c._keep:
                        self._lost(e)
                except ValueError as e:
                    if not _forbidden(e):
                        raise
                    self._lost(e)
                while c._keep and self.next_try():
                    self.pump()
                    await sleep_ms(min(self.next_try(), 500))
        except Exception as e:
            c._why = e  # for those who wait
            raise
        finally:
            self.up = c._keep = self._running = False
            c._close()

    async def close(self):
        """Say goodbye, and let run() end."""
        from asyncio import sleep_ms

        await sleep_ms(0)  # run() may not have begun
        self.client._keep = False
        await self.client.disconnect()
        while self._running:
            await sleep_ms(20)

    async def wait_up(self):
        """Wait until it is connected. Raises what ended run()."""
        from asyncio import sleep_ms

        await sleep_ms(0)  # run() may not have begun
        while not self.up:
            if self._running is False:
                self.client._lost()
            await sleep_ms(20)

    async def __aenter__(self):
        from asyncio import create_task

        self._running = True
        self._runner = create_task(self.run())
        return self

    async def __aexit__(self, *_):
        await self.close()
        await self._runner  # raises what ended it
