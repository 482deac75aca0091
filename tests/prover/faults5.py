"""The faults of MQTT 5.0, as those of faults.py."""

# name: (scenarios, room, function, old, new, ...)
LIST = {
    "5.0: PUBREL after PUBREC >= 0x80": (
        "refused5",
        "v5",
        "V5.answer",
        "if h == 0x50 and code > 127:",
        "if False:",
    ),
    "5.0: quota given back on PUBREC": (
        "window5",
        "limits5",
        "Window.open",
        "if 0 < s < 8 or s == 12:",
        "if 0 < s < 4:",
    ),
    "5.0: the window is not asked before a message": (
        "window5",
        "limits5",
        "Window.open",
        "return n > 0",
        "return True",
    ),
    "5.0: resend with an alias only": (
        "out5",
        "inflight",
        "Outbound.again",
        "                self.slab[i * self.size] |= 8\n",
        "                self.slab[i * self.size] |= 8\n"
        "                j = i * self.size\n"
        "                x = bytes(self.slab[j : j + self.length[i]])\n"
        "                if x[3]:\n"
        "                    x = x[:3] + bytes((0, x[5], x[6], x[7] + 3, 35, 0, 1)) + x[8:]\n"
        "                    x = x[:1] + bytes((len(x) - 2,)) + x[2:]\n"
        "                    self.slab[j : j + len(x)] = x\n"
        "                    self.length[i] = len(x)\n",
    ),
    "5.0: sent again on a live link": (
        "out5",
        "v5",
        "control",
        "        v.answer(h, p, code, x)\n",
        "        v.answer(h, p, code, x)\n"
        "        [c._tab.again(i) for i in range(c._tab.slots)]\n"
        "        c._busy = 1\n",
    ),
    "5.0: PUBREL again on a live link": (
        "out5",
        "v5",
        "V5.answer",
        "        if t.control(c, h, p):\n",
        "        s = [x for i, x in enumerate(t.ids) if t.state[i] == 4 and x != p]\n"
        "        for x in s:\n"
        "            reply(c, 0x62, x, 0)\n"
        "        if t.control(c, h, p):\n",
    ),
    "5.0: P7: what is lost is on file until the next record": (
        "lossy5",
        "store",
        "Store._resume",
        "self.compact()",
        "pass",
    ),
    "5.0: P7 swapped: a packet before the new file": (
        "lossy5",
        "store",
        "Store._resume",
        "                    self.compact()\n",
        "                    Outbound.resume(t, present); self.c._flush(); self.compact()\n",
    ),
    "5.0: what may have been sent goes out after SP 0": (
        "lossy5",
        "limits5",
        "lose",
        "            drop(v, t, i, 0xFF)\n",
        "            pass\n",
    ),
    "5.0: what was never sent is dropped after SP 0": (
        "lossy5",
        "limits5",
        "lose",
        "if s and (s < 9 or s == 12 or t.slab[i * t.size] & 8):",
        "if s:",
        "limits5",
        "lose",
        "            v.c.unresolved.append((t.ids[i], s & 7 == 4))\n",
        "            if s < 9: v.c.unresolved.append((t.ids[i], s & 7 == 4))\n",
    ),
    "5.0: RX kept on SP 0": (
        "lossy_in5",
        "store",
        "Store._resume",
        "t.ids_in.clear()",
        "pass",
        "inflight",
        "Outbound.resume",
        "self.ids_in.clear()",
        "pass",
    ),
    "5.0: nobody is told what got lost": (
        "lossy5",
        "store5",
        "Five.resume",
        "c.unresolved = self.lost",
        "c.unresolved = []",
    ),
    "5.0: a refusal is not flushed": (
        "refused5",
        "store5",
        "Five.control",
        "self.s.must(_DEL, p)",
        "self.s.lazy(_DEL, p)",
    ),
    "5.0: a refusal is not written": (
        "refused5",
        "store5",
        "Five.control",
        "self.s.must(_DEL, p)",
        "pass",
    ),
    "5.0: a refusal counts as an answer": (
        "refused5",
        "v5",
        "V5.answer",
        "self.codes[i] = code",
        "self.codes[i] = code = 0",
    ),
    "5.0: a refusal of ours is not flushed": (
        "refuses5",
        "store5",
        "Inbox5._hand",
        "s.must(_UNDO, p)",
        "s.lazy(_UNDO, p)",
    ),
    "5.0: a message that we refused stays in RX": (
        "refuses5",
        "store5",
        "Inbox5._hand",
        "s.must(_UNDO, p)",
        "s.put(_USED, 0, p)",
    ),
    "5.0: stored without properties": (
        "out5",
        "recover",
        "recover",
        "store.accept = store.t.accept",
        "store.accept = lambda *a: Outbound.accept(store.t, *a)",
    ),
    "5.0: a session of 3.1.1 is taken over": (
        "bits",
        "store5",
        "setup",
        'store.who += b"/5"',
        "pass",
    ),
}
