"""The frames of WebSocket (RFC 6455) on an open connection: what the client sees is MQTT."""

import io
import select
from random import getrandbits

from micropython import const

_SIZE = const(512)  # payload of a frame we send, at most


def _mask(to, i, end, source, at):
    """A new key in to[i:], and source[at:] masked behind it. From random: urandom allocates."""
    at -= i + 4
    for i in range(i + 4, i + 8):
        to[i - 4] = m = getrandbits(8)
        for k in range(i, end, 4):
            to[k] = source[at + k] ^ m


class Stream(io.IOBase):
    """The bytes of MQTT within the frames. After None write() must get the same bytes again.

    sock: a non-blocking stream. OSError(71): the server breaks the rules. Allocates nothing.
    """

    def __init__(self, sock):
        self.sock = sock
        self._out = bytearray(_SIZE + 8)
        self._at = self._end = 0  # out[at:end] is being sent
        self._in = bytearray(1)
        self._pong = bytearray(131)
        self._pat = self._pn = 0  # pong[pat:pn] waits to be sent
        self._op = self._left = 0  # of the frame that is coming
        self._step = 0  # what comes next: 0 and 1 header, 2 a long length, 3 of a control frame
        self._more = False  # the frames of a message go on
        self._why = b"\x03\xe8"  # 1000 normal, 1002 protocol error
        self._ev = 1  # the events asked for
        self._poll = select.poll()
        self._poll.register(sock, 1)

    def write(self, buf, i, n):
        o = self._out
        end = self._end
        if self._at == end:
            if self._pn and not self._control():
                return None
            n = min(n, _SIZE)
            self._end = end = n + 8
            self._at = k = 0 if n > 125 else 2
            o[1] = 254
            o[2] = n >> 8
            o[3] = n & 255
            if k:
                o[3] = n | 128
            o[k] = 0x82
            _mask(o, 4, end, buf, i)
        k = self._at
        self._at = k = k + (self.sock.write(o, k, end - k) or 0)
        return end - 8 if k == end else None

    def _control(self):
        """Send the pong that waits; True when it is gone."""
        k = self._pat
        n = self._pn
        self._pat = k = k + (self.sock.write(self._pong, k, n - k) or 0)
        if k == n:
            self._pn = 0
        return k == n

    def readinto(self, buf, n=-1):
        if n < 0:
            n = len(buf)
        p = self._pong
        for k in range(257):
            if self._pn and self._at == self._end:
                self._control()
            if k == 256:
                break  # let others go on
            left = self._left
            step = self._step
            if left and not step:
                n = self.sock.readinto(buf, min(n, left))
                self._left = left - (n or 0)
                return n
            k = self.sock.readinto(self._in, 1)
            if not k:
                return k
            b = self._in[0]
            op = self._op
            bad = 0
            if not step:
                self._op = op = b & 15
                step = 1
                if op == 8:
                    return 0  # close
                bad = b < 128 or op > 10
                if op < 8:
                    bad = op != (0 if self._more else 2)  # 1 is text (MQTT-6.0.0-1)
                    self._more = b < 128
                bad = bad or b & 112
            elif step == 1:
                bad = b > (125 if op > 8 else 127)
                self._pi = 0 if self._pn else 6
                step = 3
                left = b
                if b > 125:
                    left = 0
                    self._ext = 2 if b == 126 else 8
                    step = 2
            elif step == 2:
                bad = left >> 21  # no MQTT packet is so long
                left = left << 8 | b
                self._ext -= 1
                if not self._ext:
                    step = 3
            else:
                left -= 1
                if self._pi:
                    p[self._pi] = b
                    self._pi += 1
            if bad:
                self._why = b"\x03\xea"
                raise OSError(71, "WebSocket: a frame against the rules")
            if step == 3 and (op < 8 or not left):
                step = 0
                k = self._pi
                if k and op == 9:
                    p[0] = 0x8A
                    p[1] = k - 6 | 128
                    _mask(p, 2, k, p, 6)
                    self._pat = 0
                    self._pn = k
            self._left = left
            self._step = step

    def ioctl(self, op, arg):
        n = -22  # EINVAL
        if op == 3:  # MP_STREAM_POLL
            n = 0
            if arg != self._ev:
                self._ev = arg
                self._poll.modify(self.sock, arg)
            for _, n in self._poll.ipoll(0):
                pass
        return n

    def close(self):
        p = self._pong
        if not self._pn and self._at == self._end:
            p[0] = 0x88
            p[1] = 130
            _mask(p, 2, 8, self._why, 0)
            try:
                self.sock.write(p, 0, 8)
            except OSError:
                pass  # the link is gone
            self._at = -1  # said once
        self.sock.close()
