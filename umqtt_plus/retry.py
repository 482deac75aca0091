"""Resending on a live link after retry_ms, which 3.1.1 allows (X311-4.4-a).

The table keeps no times. tick() looks at it four times in retry_ms; what it sees in the same state
for so long is sent again: after retry_ms at the earliest, after one and a half at the latest.
"""

from time import ticks_diff


def start(c, table, retry_ms):
    """Let table be looked after."""
    table.retry_ms = retry_ms
    table.seen = [0] * table.slots  # id and state of what waits in each place
    table.since = [0] * table.slots
    c._timers.append(tick)


def tick(c, now):
    """Mark what has waited for retry_ms at now; ms until the next look."""
    t = c._tab
    for i in range(t.slots):
        s = t.state[i]
        s = t.ids[i] << 3 | s if 0 < s < 8 and i != t.writing else 0
        if s != t.seen[i]:
            t.seen[i] = s
            t.since[i] = now
        elif s and ticks_diff(now, t.since[i]) >= t.retry_ms:
            t.since[i] = now
            t.again(i)
            c._busy = 1
    return max(1, t.retry_ms >> 2)
