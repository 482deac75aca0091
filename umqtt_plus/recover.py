"""Reads a journal back after a reboot. Needed once, then dropped from memory."""

import os

from micropython import const

from .inflight import Outbound
from .journal import crc16

_HEAD = const(9)
_MARK = const(1)
_PUT = const(2)
_REL = const(3)
_DEL = const(4)
_FORMAT = const(4)  # of the file, with MQTT 3.1.1
_LEN = const(8)  # of a mark, without who


def recover(store):
    """Bring client and store to where the file says they were: "new", "lost" or "session".

    ValueError: it does not fit into this client's tables.
    """
    new = store.path + ".new"
    try:
        try:
            f = open(store.path, "rb")
        except OSError as e:
            if e.args[0] != 2:  # ENOENT
                raise
            # FAT cannot replace a file at once: power was cut in between, and the new one is whole
            os.rename(new, store.path)
            f = open(store.path, "rb")
    except OSError as e:
        if e.args[0] != 2:
            raise
        return "new"
    try:
        return read(store, f)
    finally:
        f.close()
        try:
            os.remove(new)  # it was not finished
        except OSError:
            pass


def read(store, f):
    """apply() every record of f."""
    h = store._h
    buf = store.c._rx  # idle: there is no connection
    left = f.seek(0, 2)
    f.seek(0)
    at = 0
    good = True
    while good and left >= _HEAD:
        first = not at
        f.readinto(h)
        crc = crc16(0xFFFF, h, 0, 7)
        if crc != h[7] << 8 | h[8]:
            good = False
            break
        left -= _HEAD
        n = h[5] << 8 | h[6]
        if n:
            if n + 2 > left:
                break
            if n + 2 > len(buf):
                fail(store)
            f.readinto(buf, n + 2)
            left -= n + 2
            good = crc16(crc, buf, 0, n) == buf[n] << 8 | buf[n + 1]
            at += n + 2
        at += _HEAD
        try:
            good = good and apply(store, h, buf, n, first)
        except IndexError:
            good = False
    if not good:
        store.established = False
        store.forget()
        return "lost"
    if not store.established:
        Outbound.clear(store.t)
    if not left and at < store.max_bytes >> 1:
        store._f = open(store.path, "ab")
        store._at = at
    return "session" if store.established else "new"


def fail(store):
    raise ValueError(
        "inflight, buffer_size: smaller than what %s was written with" % (store.path,)
    )


def apply(store, h, buf, n, first):
    """Take a record; False when it makes no sense. Only the first one is a mark."""
    kind = h[0]
    p = h[3] << 8 | h[4]
    if first:
        store.epoch = h[1]
        store.established = buf[1] > 0
        store.t.next_id = buf[2] << 8 | buf[3]
        store.number = int.from_bytes(buf[4:8], "big")
        return (
            kind == _MARK
            and buf[0] == _FORMAT
            and store.t.next_id
            and bytes(buf[_LEN:n]) == store.who
        )
    if h[1] != store.epoch or not p:
        return False
    if kind < _PUT:
        return False
    if kind > _DEL:
        return store.part(kind).apply(store, h, buf, n)
    t = store.t
    i = p % t.slots
    mine = t.state[i] and t.ids[i] == p
    if kind == _DEL:
        if mine:
            t.state[i] = 0
            t.used -= 1
        return True
    if kind == _REL:
        n = 4
        buf[0] = 0x62
        buf[1] = 2
        buf[2] = h[3]
        buf[3] = h[4]
    if n > t.size or t.state[i] and not mine:
        fail(store)
    if not mine:
        t.used += 1
    j = i * t.size
    t.slab[j : j + n] = buf[:n]
    t.length[i] = n
    t.ids[i] = p
    t.state[i] = 4 if kind == _REL else 3 if buf[0] & 4 else 2
    t.order = t.seq[i] = t.order + 1 & 0xFFFFFFF
    if kind == _PUT:
        t.next_id = p % 65535 + 1
    return n > 3
