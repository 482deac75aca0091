"""Faults built into the real code on purpose: an invariant must catch each of them.

A mutation is a change of source text, tried in its scenarios in turn until one fails. The text must
be there, so that a change of the client that makes a mutation void is noticed.
"""

import time
from collections import namedtuple

from . import damage
from .explore import Failure, World
from .machine import Broken, recoded
from .scenarios import named

_NOW = "c.sock.write(bytes((%s, 2, p >> 8, p & 255)), 0, 4)"  # a reply that does not wait

# name: (scenarios, room, function, old, new, ...)
LIST = {
    # the write-ahead rules, one at a time
    "P1 swapped: PUBLISH before PUT": (
        "out", "store", "Store._accept", "self.put(_PUT,", "c._flush(); self.put(_PUT,",
    ),
    "P1: PUT is not flushed": (
        "out", "store", "Store._accept", "self.put(_PUT,", "self.write(_PUT,",
    ),
    "P2 swapped: PUBREL before REL": (
        "out", "store", "Store._control", "self.must(_REL, p)",
        "return (Outbound.control(t, c, first, p), c._flush(), self.must(_REL, p))[0]",
    ),
    "P2: REL is not flushed": (
        "out", "store", "Store._control", "self.must(_REL, p)", "self.lazy(_REL, p)",
    ),
    "P2: no REL": (
        "out", "store", "Store._control", "self.must(_REL, p)", "pass",
    ),
    "P3: no DEL": (
        "out", "store", "Store._control", "self.lazy(_DEL, p)", "pass",
    ),
    "P3 swapped: DEL after on_published()": (
        "chain", "store", "Store._control", "self.lazy(_DEL, p)",
        "return (Outbound.control(t, c, first, p), self.lazy(_DEL, p))[0]",
    ),
    "P4 swapped: PUBREC before ADD": (
        "in", "inbox", "Inbox._hand", "s.put(_ADD,", _NOW % "0x50" + "; s.put(_ADD,",
    ),
    "P4: ADD is not flushed": (
        "in", "inbox", "Inbox._hand", "s.put(_ADD,", "s.write(_ADD,",
    ),
    "P4: no ADD": (
        "in", "inbox", "Inbox._hand", "s.put(_ADD, m.head, p, m.buf, i, m.end - i)", "pass",
    ),
    "P5 swapped: PUBCOMP before END": (
        "in", "inbox", "Inbox._remove", "self.s.must(_END, p)",
        "c = self.c; " + _NOW % "0x70" + "; self.s.must(_END, p)",
    ),
    "P5: END is not flushed": (
        "in", "inbox", "Inbox._remove", "self.s.must(_END, p)", "self.s.lazy(_END, p)",
    ),
    "P5: no END": (
        "in", "inbox", "Inbox._remove", "self.s.must(_END, p)", "pass",
    ),
    "P6 swapped: PUBACK before the handler": (
        "in12", "receive", "parse", "                take(m)\n",
        "                p = i; h & 2 and " + _NOW % "0x40" + "; p = z; take(m)\n",
    ),
    "P7: the mark is not written before a clean CONNECT": (
        "clean", "store", "Store._clear", "self.compact()", "pass",
    ),
    "P7: the mark is not written after SP 0": (
        "lossy", "store", "Store._resume", "self.compact()", "pass",
    ),
    "P8 swapped: USED before the handler": (
        "in", "inbox", "Inbox._hand", "            self._call(m)\n            done = True\n",
        "            s.lazy(_USED, p); self._call(m); done = True\n",
        "inbox", "Inbox._hand", "s.lazy(_USED if done else _UNDO, p)", "pass",
    ),
    "P8: no USED": (
        "in small_in", "inbox", "Inbox._hand", "s.lazy(_USED if done else _UNDO, p)", "pass",
    ),
    # ids of messages received
    "RX in RAM only": (
        "in", "inbox", "Inbox.apply", "if kind == _ADD or kind == _OWN:",
        "if kind == _ADD: return True\n        if kind == _OWN:",
    ),
    "RX kept on SP 0": (
        "lossy", "store", "Store._resume", "t.ids_in.clear()", "pass",
        "inflight", "Outbound.resume", "self.ids_in.clear()", "pass",
    ),
    "RX cleared on SP 1": (
        "in", "inflight", "Outbound.resume", "if not present and self.ids_in", "if self.ids_in",
    ),
    "RX cleared with the link": (
        "in", "protocol", "Protocol._reset", "self._asks.clear()",
        "self._asks.clear(); self._tab and self._tab.ids_in and self._tab.ids_in.clear()",
    ),
    "no look into RX": (
        "in", "receive", "seen", "known = t and t.has(packet_id)", "known = False",
    ),
    "an unknown PUBREL is not answered": (
        "in", "receive", "control", "            t.remove(p)\n        ack(c, 0x70, p)",
        "            t.remove(p)\n            ack(c, 0x70, p)",
    ),
    "an id is released before its PUBREL": (
        "in", "inbox", "Inbox._hand", "self._hot = 0", "self._hot = 0; s.lazy(_END, p)",
    ),
    # what begins a session
    "ids begin at 1 after the journal is lost, with clean 0": (
        "damage", "recover", "read", "store.established = False", "store.established = True",
    ),
    "any session of the server's is taken for ours": (
        "damage", "store", "Store.__init__", "client._ours = self.established",
        "client._ours = True",
    ),
    "the mark says established before it is": (
        "clean damage", "store", "Store.snapshot", "_FORMAT, self.established", "_FORMAT, True",
    ),
    "the table is kept by a clean CONNECT": (
        "clean", "store", "Store._clear", "Outbound.clear(self.t)", "pass",
    ),
    "no SessionLost, and the messages are gone": (
        "discard", "store", "Store._resume", "self.discard.tell(self)", "pass",
    ),
    # sending again
    "resent in the order of ids": (
        "out", "inflight", "Outbound.pick", "self.order - self.seq[i] & _AGES",
        "_AGES - self.ids[i]",
    ),
    "resent without DUP": (
        "out", "inflight", "Outbound.again", "self.slab[i * self.size] |= 8", "pass",
    ),
    "not resent": (
        "out", "inflight", "Outbound.resume", "self.again(i)", "pass",
    ),
    "PUBREL is not resent": (
        "out", "inflight", "Outbound.again", "if s and s < _TODO", "if s and s < _PUBCOMP",
    ),
    "PUBLISH again after PUBREC": (
        "out", "recover", "apply", "    if kind == _REL:\n", "    if kind == _REL:\n        return True\n",
    ),
    "PUBLISH again by a timer after PUBREC": (
        "timer", "inflight", "Outbound.control", "                self.state[i] = _PUBCOMP\n",
        "                was = bytes(self.slab[at : at + self.length[i]])\n"
        "                self.state[i] = _PUBCOMP\n",
        "inflight", "Outbound.control", "                s[at + 3] = p & 255\n",
        "                s[at + 3] = p & 255\n"
        "                s[at : at + len(was)] = was; self.length[i] = len(was)\n",
    ),
    "a timer resends without DUP": (
        "timer", "retry", "tick", "t.again(i)",
        "t.again(i); t.slab[i * t.size] &= 0xF7 if t.state[i] & 7 < 4 else 255",
    ),
    "PUBRELs out of order": (
        "out3 out", "inflight", "Outbound.control",
        "self.order = self.seq[i] = (self.order + 1) & _AGES", "pass",
    ),
    "an id is given away while it is open": (
        "out", "inflight", "Outbound.accept", "while state[i] or p in c._asks:", "while False:",
    ),
    "a QoS 2 message is done at PUBREC": (
        "out", "store", "Store._control", "self.must(_REL, p)", "self.must(_DEL, p)",
    ),
    "an answer counts twice": (
        "out", "inflight", "Outbound.control", "c.on_pub(p)", "c.on_pub(p); c.on_pub(p)",
    ),
    # the file
    "a torn end is believed": (
        "out", "recover", "read", "if not left and 0 <", "if 0 <",
    ),
    "no CRC of the head": (
        "bits", "recover", "read", "good = crc == h[7] << 8 | h[8]", "good = True",
    ),
    "no CRC of the body": (
        "bits", "recover", "read", "good = crc == buf[n] << 8 | buf[n + 1]", "good = True",
    ),
    "CRCs that are not chained": (
        "bits", "journal", "Journal.write", "crc16(self._crc, h, 0, 7)", "crc16(0xFFFF, h, 0, 7)",
        "recover", "read", "crc = crc16(crc, h, 0, 7)", "crc = crc16(0xFFFF, h, 0, 7)",
    ),
    "a journal of another client is believed": (
        "bits", "recover", "apply", "or bytes(buf[_LEN:n]) != store.who", "",
    ),
    "renamed before it is flushed": (
        "small", "journal", "Journal.compact", "            self.snapshot()\n            self.sync()",
        "            self.snapshot(); os.rename(new, self.path); self.sync()",
        "journal", "Journal.compact", "        os.rename(new, self.path)\n", "        pass\n",
    ),
    "written anew in place": (
        "small", "journal", "Journal.compact", "new = self.path + \".new\"", "new = self.path",
        "journal", "Journal.compact", "        os.rename(new, self.path)\n", "        pass\n",
    ),
    "the old file is closed after the rename, on FAT": (
        "fat", "journal", "Journal.compact", "            old.close()", "            pass",
        "journal", "Journal.compact", "        self._f = open(self.path, \"ab\")",
        "        self._f = open(self.path, \"ab\"); old and old.close()",
    ),
    "the new file is not looked for, on FAT": (
        "fat", "recover", "look", "            os.rename(new, store.path)\n", "            raise\n",
    ),
    "an unfinished new file is preferred": (
        "small", "recover", "look", "        try:\n            f = open(store.path, \"rb\")",
        "        try:\n            os.rename(new, store.path) if True else 0\n"
        "        except OSError:\n            pass\n"
        "        try:\n            f = open(store.path, \"rb\")",
    ),
    "written anew without RELs": (
        "small", "store", "Store.snapshot", "self.write(_REL, 0, t.ids[i])", "pass",
    ),
    "written anew in the order of ids": (
        "small", "store", "Store.snapshot", "-(t.order - t.seq[i] & 0xFFFFFFF)", "t.ids[i]",
    ),
    "written anew without RX": (
        "small_in", "inbox", "Inbox.snapshot", "s.write(_OWN, 0, p)", "pass",
    ),
    "written anew without the message that is handed over": (
        "small_in", "inbox", "Inbox.snapshot", "if self._hot:", "if False:",
    ),
    "written anew without what waits in the inbox": (
        "small_in in", "inbox", "Inbox.snapshot",
        "            s.write(_ADD, head, p, body, 0, len(body))\n", "            pass\n",
    ),
    # numbers, handlers
    "the mark forgets the number": (
        "small_in", "store", "Store.snapshot", "n -= part.counted()", "pass",
    ),
    "another number after a reboot": (
        "in", "inbox", "Inbox.apply", "s.number += 1", "s.number += 2",
    ),
    "a handler that raised has used its message": (
        "bad", "inbox", "Inbox._hand", "_USED if done else _UNDO", "_USED",
    ),
    "a link lost inside a handler undoes its message": (
        "echo", "inbox", "Inbox._hand", "done = True", "done = c._owed == p",
        "receive", "parse", "elif h & 4 and not c.state:", "elif False:",
    ),
    "disconnect() inside a handler reads over the message": (
        "bad_small", "client", "MQTTClient.disconnect", "self.sock.readinto(self._bit)",
        "self.sock.readinto(self._rx)",
    ),
    "what waited is handed over again": (
        "in", "inbox", "Inbox.set_message", "self.s.lazy(_USED, p, 1)", "pass",
    ),
    "accepted counts what is written anew": (
        "small", "store", "Store.snapshot", "n -= 0 < x & 7 < 4", "pass",
    ),
}

# exist in MQTT 5.0 only, which the client does not speak yet
WAITING = (
    "PUBREL after PUBREC >= 0x80",
    "quota given back on PUBREC",
    "resend with an alias only",
    "P7: the epoch is not durable before the first packet after SP 0",
)


def changes(name):
    _, *rest = LIST[name]
    return tuple(zip(*[iter(rest)] * 4, strict=True))


Caught = namedtuple("Caught", "invariant why scenario runs seconds")


def check(name, deep=False, seconds=60):
    """Caught, with invariant None when nothing was.

    deep: without S14, S16 and S5 in the file, which look into the client and catch most faults at
    once; so it shows what comes of the fault.
    """
    begun = time.monotonic()
    runs = 0
    with recoded(changes(name)):
        where = LIST[name][0].split()
        # where it takes two power cuts in a row to see what comes of it
        more = [(one, {"powers": 2, "links": 0}) for one in where] if deep else []
        for one, bounds in [(one, {}) for one in where] + more:
            try:
                if one == "bits":
                    runs += 1
                    if not deep:
                        damage.check()
                    continue
                world = World(named(one, oracle=not deep, ahead=not deep, **bounds))
                try:
                    world.search(time.monotonic() + seconds)
                finally:
                    runs += world.machine.runs
            except Failure as failure:
                broken = failure.args[0]
            except Broken as error:
                broken = error
            else:
                continue
            words = broken.args if isinstance(broken, Broken) else ("crash", repr(broken))
            return Caught(*words, one, runs, time.monotonic() - begun)
    return Caught(None, "not caught", LIST[name][0], runs, time.monotonic() - begun)
