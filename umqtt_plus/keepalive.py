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
    life = True
    if c._ping == 2:
        # any packet since the PINGREQ shows life
        ago = ticks_diff(now, c._pat)
        life = heard < ago
        t = min(k >> 1, 30000) if k > 10000 else min(5000, k * 3 >> 2)
        ms = min(ms, t - min(heard, ago))
    if ms <= 0:
        c._close()
        raise OSError(110)  # ETIMEDOUT
    if c._ping != 1 and life:
        # early enough that a stalled loop still keeps the promise
        left = k - idle - (k >> 1 if k < 4000 else max(1000, k >> 2))
        if not c._ping:
            left = min(left, k - heard)  # only sending: see whether somebody listens
        if left <= 0:
            c._ping = c._busy = 1
        else:
            ms = min(ms, left)
    # a board that sleeps until then must look for the answer before the time is up
    return min(ms, 1000) if c._ping == 2 else ms
