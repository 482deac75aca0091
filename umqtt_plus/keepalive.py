"""Keepalive: when to send a PINGREQ, when to give a dead link up. Loaded when keepalive is set."""

from time import ticks_diff


def tick(c, now):
    """Do what is due at now (ticks_ms); ms until the next of it. OSError(ETIMEDOUT): link dead."""
    if c.state != 2:
        return 1 << 28
    k = c.keepalive * 1000
    idle = ticks_diff(now, c._tend)
    heard = ticks_diff(now, c._rend)
    ms = k + (k >> 1) - idle  # then the server has given us up (MQTT-3.1.2-24)
    if c._ping == 2:
        # any packet since the PINGREQ shows life
        t = min(k >> 1, 30000) if k > 10000 else min(5000, k * 3 >> 2)
        ms = min(ms, t - min(heard, ticks_diff(now, c._pat)))
    if ms <= 0:
        c._close()
        raise OSError(110)
    if not c._ping:
        # early enough that a stalled loop still keeps the promise; and when only sending, to see
        # that somebody listens
        k -= max(heard, idle + (k >> 1 if k < 4000 else max(1000, k >> 2)))
        if k <= 0:
            c._ping = c._busy = 1
        else:
            ms = min(ms, k)
    return ms
