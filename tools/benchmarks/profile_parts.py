"""What the statements of a direction are for: the rows of its table. The first to fit counts."""

import re

FRAMES = "places for the interpreter's call frames in the heap"

# (row, pattern of "module.function: statement")
OURS = [
    ("the application's loop, handler and callback", r"ours\."),
    (
        "handing over: the view, the call",
        r"receive\.parse: (m\.|m = c\._view|found\[|take|if take)",
    ),
    (
        "the batch: what one read of several packets costs once",
        r"receive\.parse: (rx|ring|bit|memo|k|size|small|ids|acks|found|plain|p) = (c\.|min|start|"
        r"ids and)|receive\.parse: (if c\.state|if c\._rest|try|return|if c\._e|c\._p = p)|"
        r"client\.(wait_msg|_round|_wait|_end)|protocol\.(_lend|_got)",
    ),
    (
        "topic: the same as the last one?",
        r"receive\.parse: (b = q \+ k|if not \($|b = topic)|receive\.topic|codec\.scan",
    ),
    (
        "framing: first byte, length, whole packet?",
        r"receive\.parse: (while True|e = |if e - p|h = |n = rx|q = p|if n > small|z = q|i = 0|"
        r"if h & 0xFE|if z > e|p = z|if i:|if h < 0x32|if h not in|continue|i = 2|"
        r"control\(|break)|"
        r"receive\.control: (if h == 0xD0|if n != 2|p = c|if not p|if h & 0x90)",
    ),
    (
        "packet id: checked, known?",
        r"receive\.parse: (i = rx|if not h & 6|if \(h & 4|c\._owed = i|"
        r"p = z)|receive\.(seen|has|room|Inbound)",
    ),
    ("QoS 2: ids kept and released", r"receive\.(add|remove|settle|control)"),
    ("answers queued", r"receive\.parse: |acks\."),
    (
        "the call: its arguments, which way",
        r"client\.(publish|publish_nowait): (if |return|try)|"
        r"verbs\.publish: (t = |wait = |if \($|end = |if p|return|while True|p = t\.accept|"
        r"if not c)",
    ),
    (
        "the packet: header, length, id, payload",
        r"client\.publish: |codec\.(header|put)|"
        r"verbs\.publish: (n|i|tx|rx|p|c|want)\b.* [+-]?= |verbs\.publish: tx\[|"
        r"verbs\.publish: (if topic|if n)|inflight\.accept: (j = |slab\[|if topic|"
        r"topic = |t = |m = |"
        r"if t \+ m|try|p|i)",
    ),
    ("the table: a place, its record", r"inflight\.accept"),
    (
        "the answer: matched with its message",
        r"inflight\.control|opening\.first|"
        r"verbs\.publish: (if k != 4|t\.next_id|want|c\._rend)|verbs\.acked",
    ),
    (
        "writing, polling, reading",
        r"client\._flush|protocol\.(_sent|_next)|verbs\.publish: |client\.",
    ),
    ("the rest", r""),
]
FLOOR = [
    ("its loop", r"floor\.(publish|window|receive|timing)"),
    ("write and check", r"floor\.send"),
    ("poll", r"floor\.wait"),
    ("read and check", r"floor\.(recv|more)"),
    ("the rest", r""),
]


def of(costs, rows):
    """{row: instructions} of {Statement: Cost}, in the order of the rows."""
    found = dict.fromkeys((row for row, _ in rows), 0)
    for statement, cost in costs.items():
        text = f"{statement.module}.{statement.function}: {statement.text}"
        found[next(row for row, pattern in rows if re.match(pattern, text))] += cost.instructions
    return {row: cost for row, cost in found.items() if abs(cost) >= 1}


def top(costs, count=6):
    """The dearest statements."""
    return sorted(costs.items(), key=lambda pair: -pair[1].instructions)[:count]
