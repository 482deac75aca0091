"""Reads a journal back after a reboot. Needed once, then dropped from memory."""

import os
import sys

from micropython import const

from .codec import limit
from .inflight import Outbound
from .journal import crc16

_HEAD = const(9)
_MARK = const(1)
_PUT = const(2)
_REL = const(3)
_DEL = const(4)
_FORMAT = const(4)  # of the file
_LEN = const(12)  # of a mark, without who


def recover(store, f=None):
    """Bring client and store to where the file says they were: "new", "lost" or "session".

    f: what to read, when it is not store.path. ValueError: it does not fit into this client's
    tables. OSError: it cannot be read.
    """
    store.accept = store.t.accept  # what the store's own calls
    c = store.c
    n = len(c.client_id) + 1
    if store.who[n : n + 1] == b"<":  # a function, with its place in RAM
        store.who = store.who[:n]
    i = store.who.find(b"?", n)
    if i > 0:  # of a URL: a token may follow, another one each day
        store.who = store.who[:i] + store.who[store.who.rfind(b":") :]
    if "_v" in c.__dict__:
        from .store5 import setup

        setup(store)
    limit("buffer_size (for client_id, server)", _LEN + 2 + len(store.who), len(c._rx))
    try:
        return read(store, f) if f else look(store)
    finally:
        # not needed again: a kilobyte and a half
        del sys.modules["umqtt_plus.recover"], sys.modules["umqtt_plus"].recover


def look(store):
    """read() the file, if it is there."""
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
    crc = 0xFFFF
    while good and left >= _HEAD:
        f.readinto(h)
        crc = crc16(crc, h, 0, 7)
        good = crc == h[7] << 8 | h[8]
        n = h[5] << 8 | h[6]
        size = n + _HEAD + 2 if n else _HEAD
        if not good or size > left:
            break
        if n:
            if n + 2 > len(buf):
                fail(store)
            f.readinto(buf, n + 2)
            crc = crc16(crc, buf, 0, n)
            good = crc == buf[n] << 8 | buf[n + 1]
        try:
            good = good and apply(store, h, buf, n, not at)
        except IndexError:
            good = False
        left -= size
        at += size
    if not good:
        store.established = False
        store.forget()
        return "lost"
    if not store.established:
        Outbound.clear(store.t)
    if not left and 0 < at < store.max_bytes >> 1:
        store._f = open(store.path, "ab")
        store._f.flush()  # what was read may not have been durable, on a PC
        store._at = at
        store._crc = crc
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
        if kind != _MARK or buf[0] != _FORMAT or bytes(buf[_LEN:n]) != store.who:
            return False
        store.epoch = h[1]
        store.established = buf[1] > 0
        store.t.next_id = buf[2] << 8 | buf[3]
        store.number = int.from_bytes(buf[4:8], "big")
        store.accepted = int.from_bytes(buf[8:12], "big")
        return True
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
        if h[2] and not store.part(32).moved():
            return False  # it was said to be the first of the queue
        store.accepted += 1
        t.next_id = p % 65535 + 1
    return n > 3
