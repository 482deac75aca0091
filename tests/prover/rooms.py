"""The client's modules, and how their source is changed for a while."""

import ast
import contextlib
import sys
from pathlib import Path

import umqtt_plus
import umqtt_plus.client as front
import umqtt_plus.connect5 as connect5
import umqtt_plus.inbox as inbox
import umqtt_plus.inflight as inflight
import umqtt_plus.journal as journal
import umqtt_plus.limits5 as limits5
import umqtt_plus.message5 as message5
import umqtt_plus.opening as opening
import umqtt_plus.options as options  # noqa: F401, before the clocks are looked for
import umqtt_plus.receive as receive
import umqtt_plus.recover as recover
import umqtt_plus.retry as retry
import umqtt_plus.store as store
import umqtt_plus.store5 as store5
import umqtt_plus.subscribe as subscribe
import umqtt_plus.v5 as v5
import umqtt_plus.verbs as verbs

# the store imports this room anew each time; ours is kept, and only ours has a simulated flash
del sys.modules["umqtt_plus.recover"], umqtt_plus.recover

ROOMS = {
    "client": front,
    "connect5": connect5,
    "inbox": inbox,
    "inflight": inflight,
    "journal": journal,
    "limits5": limits5,
    "message5": message5,
    "opening": opening,
    "receive": receive,
    "recover": recover,
    "retry": retry,
    "store": store,
    "store5": store5,
    "subscribe": subscribe,
    "v5": v5,
    "verbs": verbs,
}

# as they were when they were imported
SOURCES = {name: Path(room.__file__).read_text() for name, room in ROOMS.items()}


def source_of(room, name):
    """The source of "function" or "Class.function"."""
    lines = SOURCES[room].splitlines(keepends=True)
    nodes = ast.parse(SOURCES[room]).body
    for part in name.split("."):
        node = next(n for n in nodes if getattr(n, "name", None) == part)
        nodes = getattr(node, "body", ())
    return "".join(lines[node.lineno - 1 : node.end_lineno])


@contextlib.contextmanager
def recoded(changes):
    """((room, function, old text, new text), ...): change the source of functions, for a while.

    The old text must be there exactly once, or where new is (text, count), so many times.
    """
    saved = []
    try:
        for room, name, old, new in changes:
            function = ROOMS[room]
            for part in name.split("."):
                function = getattr(function, part)
            count = 1
            if isinstance(new, tuple):
                new, count = new
            source = _recoded.get(function.__code__) or source_of(room, name)
            if source.count(old) != count:
                raise LookupError(f"{room}.{name}: {source.count(old)} times {old!r}")
            source = source.replace(old, new)
            names = dict(function.__globals__)
            nest = "if True:\n" if source[0] == " " else ""
            exec(compile(nest + source, ROOMS[room].__file__, "exec"), names)
            code = names[function.__name__].__code__
            saved.append((function, function.__code__))
            function.__code__ = code
            _recoded[code] = source
        yield
    finally:
        for function, code in reversed(saved):
            function.__code__ = code


_recoded = {}  # code that stands in for another -> its source


def id_space(last):
    """Changes that let packet ids wrap at last, not at 65535."""
    return (
        ("inflight", "Outbound.accept", "% 65535 + 1", (f"% {last} + 1", 2)),
        ("recover", "apply", "% 65535 + 1", f"% {last} + 1"),
        ("subscribe", "packet_id", "% 65535 + 1", (f"% {last} + 1", 2)),
    )
