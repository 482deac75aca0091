"""The protocol engine: every state, table and deadline of a connection, and no I/O.

How a connection begins is in opening.py, which adds the methods for that when a client is made.

A front end inherits Protocol, owns the socket, and does three things only:
  bytes in   buf = self._lend(); n = sock.readinto(buf, self._room)
             self._got(buf, n); self._read(self)
  bytes out  while self._on or self._busy and self._next():
                 n = sock.write(self._out, self._oat, self._on); self._sent(n, now)
  time       self._tick(now) when self._due has come
and gives _close(), which the engine calls when the rules demand it. Clock values are ticks_ms.
Here is what a QoS 0 publisher needs; receive.py, inflight.py and stream.py come when asked for.

Receive buffer: two halves of buffer_size bytes and a scratch piece. A packet is handled where it
lies. When a read ends inside a packet, the next one goes behind it: straight in when the end is at
the middle or (after one copy of the upper half down) at the top, else by way of the scratch piece,
because readinto() has no offset and a slice would allocate.

tx holds the last QoS 0 topic behind five bytes kept free for the header, so that a message to the
same topic costs one copy of its payload.
"""

from time import ticks_add

from micropython import const

_SCRATCH = const(64)  # as in opening.py
_FAR = const(1 << 28)  # ms; a deadline that is not there, within the range of ticks_diff
_PING = b"\xc0\x00"

_UP = const(2)  # a state, see opening.py


class Protocol:
    # -- out ---------------------------------------------------------------------------------

    def _next(self):
        """Choose what to write next into _out; how many bytes, 0 when nothing waits."""
        n = self._oat = 0
        if self._tn:  # a packet that has begun comes first
            import umqtt_plus.stream as stream

            n = stream.chunk(self)
        elif self._aat < self._an:
            self._out = self._acks
            self._oat = self._aat
            n = self._an - self._aat
            self._aat = self._an
        elif self._ping == 1:
            self._out = _PING
            n = 2
        elif self._req:
            self._out = self._tx
            n = self._req
            self._req = 0
        elif self.state == _UP:
            if self._tab and self._tab.todo:
                n = self._tab.pick(self)
            else:
                self._busy = 0
        self._on = n
        return n

    def _sent(self, n, now):
        """n bytes of _out went to the transport."""
        self._oat += n
        self._on -= n
        if not self._on:
            self._tend = now
            if self._out is self._acks:
                if self._aat == self._an:
                    self._aat = self._an = 0
            elif self._out is _PING:
                self._ping = 2
                self._pat = self._due = now
                self._n[1] += 1
            elif self._tab and not self._tn:
                self._tab.writing = -1

    # -- in ----------------------------------------------------------------------------------

    def _lend(self):
        """The buffer to read into; _room says how many bytes of it."""
        e = self._e
        h = self._size
        if self._p == e:
            self._p = self._e = 0
            self._room = 2 * h
            return self._rx
        if e == 2 * h:
            self._rx[0:h] = self._up
            self._p -= h
            self._e = e = h
        if e == h:
            self._room = h
            return self._up
        self._room = min((h if e < h else 2 * h) - e, _SCRATCH)
        return self._bit

    def _got(self, buf, n):
        """n bytes are in buf, which _lend gave."""
        e = self._e
        if buf is self._bit:
            self._rx[e : e + _SCRATCH] = buf
        self._e = e + n
        self._new = True

    # -- time --------------------------------------------------------------------------------

    def _tick(self, now):
        """Do what is due: PINGREQ, a timed retry. ms until the next of it.

        OSError(ETIMEDOUT) when the link is dead. The front has read what was there first, or an
        answer in the socket would not count.
        """
        ms = _FAR
        for f in self._timers:
            ms = min(ms, f(self, now))
        self._due = ticks_add(now, ms)
        return ms

    def __getattr__(self, name):
        # subscribe, unsubscribe, publish_stream, set_message, set_stream, set_last_will, stats: as
        # methods they would cost every publisher 400 bytes
        from .more import find

        return find(self, name)
