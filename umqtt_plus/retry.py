"""Resending on a live link after retry_ms, which 3.1.1 allows (X311-4.4-a)."""

from time import ticks_diff


def start(c, table, retry_ms):
    """Let table be looked after."""
    table.retry_ms = retry_ms
    table.sent_at = [0] * table.slots
    c._timers.append(tick)


def tick(c, now):
    """Mark what has waited for retry_ms at now; ms until the next is due."""
    ms = 1 << 28
    t = c._tab
    for i in range(t.slots):
        if 0 < t.state[i] < 8 and i != t.writing:
            if t.sent_at[i] < 0:
                t.sent_at[i] = now
            left = t.retry_ms - ticks_diff(now, t.sent_at[i])
            if left > 0:
                ms = min(ms, left)
            else:
                t.again(i)
                c._busy = 1
    return ms
