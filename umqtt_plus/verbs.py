"""Publishing with QoS 1 and 2 from the synchronous client. Loaded where there is a table."""

from time import ticks_diff, ticks_ms

from .acks import ack


def publish(c, topic, msg, retain, qos, timeout_ms):
    """MQTTClient.publish with QoS 1 or 2; timeout_ms -1 does not wait."""
    t = c._tab
    wait = timeout_ms != -1 and not c._in
    if (
        wait
        and 0 < qos < 3
        and c._dry
        and c._p == c._e
        and not (c._busy or c._asks or t.used or c.on_pub)
    ):
        # Nothing else is on its way: send from tx and look for the answers at once. The table
        # takes the message over when an answer is not the next thing to come. Three times as fast
        # as the way through the table.
        if topic is not c._txof:
            c._prep(topic)
        n = len(msg)
        if n <= c._fit - 7:
            i = c._at
            tx = c._tx
            rx = c._rx
            p = t.next_id
            tx[i] = p >> 8
            tx[i + 1] = p & 255
            i += 2
            try:
                tx[i : i + n] = msg
            except (TypeError, NotImplementedError):
                return publish(c, topic, msg.encode(), retain, qos, timeout_ms)  # a str
            n += i
            if n < 133:
                tx[4] = n - 5
                i = 3
            else:
                tx[4] = n - 5 >> 7
                tx[3] = n - 5 & 127 | 128
                i = 2
            tx[i] = 0x31 | qos << 1 if retain else 0x30 | qos << 1
            n -= i
            want = 0x30 + 16 * qos  # PUBACK, PUBREC
            if timeout_ms is None:
                timeout_ms = c.timeout_ms
            now = ms = timeout_ms
            if c._timers:
                c._tend = now = ticks_ms()
                ms = max(0, min(ms, ticks_diff(c._due, now)))
            while True:
                w = k = wait = None
                try:
                    w = c.sock.write(tx, i, n)
                    if w == n:
                        for wait in c._poll.ipoll(ms):
                            k = c.sock.readinto(rx, 2 * c._size)
                    if k == 0:
                        raise OSError(104)  # ECONNRESET
                except BaseException:
                    t.hold(c, topic, msg, retain, want)
                    c._close()
                    raise
                if k != 4 or rx[3] != p & 255 or rx[2] != p >> 8 or rx[1] != 2 or rx[0] != want:
                    break
                if want == 0x50:
                    want = 0x70
                    tx = c._acks  # it is empty
                    ack(c, 0x62, p)
                    i = c._an = c._busy = 0
                    n = 4
                    continue
                t.next_id = p % 65535 + 1
                c._rend = now  # which only the timers read
                return p
            t.hold(c, topic, msg, retain, want)
            if w != n:
                w = w or 0
                if not i:
                    c._aat = c._an = 4  # a PUBREL: other acks go behind it
                c._out = tx
                c._oat = i + w
                c._on = n - w
                c._busy = 1
            elif k:
                c._p = c._e = 0
                c._got(rx, k)
            elif not wait:  # else there was something, and no whole answer
                timeout_ms -= ms  # so long it has waited by now
            acked(c, p, c._end(timeout_ms))
            return p
    if not c.state:
        raise OSError(107)
    end = wait and c._end(timeout_ms)
    while True:
        p = t.accept(c, topic, msg, retain, qos)
        try:
            c._flush()
        except OSError:
            if wait or not p:
                raise
        if p and wait:
            acked(c, p, end)
        if p or timeout_ms == -1:
            return p
        if not wait or not c._round(end):
            raise OSError(105)


def acked(c, p, end):
    """Wait until the server has taken message p."""
    t = c._tab
    i = p % t.slots
    while t.state[i] and t.ids[i] == p:
        if not c._round(end):
            raise OSError(110)
