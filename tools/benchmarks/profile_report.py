"""PROFILE.md: tables of where instructions and bytes go, and what they say about each goal."""

from firmware import table

from . import machine, profile_kinds, sizes

HEAD = """\
# Where it goes

Written by the profiler (`tools/profiler.py --report`); not edited by hand. For each goal of the
benchmark that is not reached it says why, and what could be saved at which price.

How to read it. Instructions are callgrind's, of MicroPython with the client in it, a message; the
kernel is not in them. A table names what the statements of the real client are for: each statement
of a copy was preceded by a mark, and callgrind cut its counts there. One row is not a statement:
a call whose function has more than 11 local values (and stack slots) gets its frame from the heap,
and the search for it is long or short as the heap is. Nothing is scaled: what the rows do not
explain stands in the last one (what runs once a run is left out). Places in hash tables
and in the heap move figures by up to a tenth between versions of the client without a reason in
it. Rates are not measured here but taken from RESULTS.md, maybe of an earlier version.
"""


def rows(grid, header):
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for row in grid:
        yield "| " + " | ".join(str(cell) for cell in row) + " |"


def number(x):
    return f"{x:,.0f}"


def direction(row, found):
    """One row of the benchmark: the client's table, and the floor's beside it."""
    ours, floor = found["umqtt_plus"], found["floor"]
    yield f"## {row.name}"
    yield ""
    yield from rows(
        [
            [name, number(cell["total"])] + [f"{n:.2f}" for n in cell["counts"].values()]
            for name, cell in found.items()
        ],
        ["", "instructions", *profile_kinds.COUNTED],
    )
    yield ""
    total = ours["total"]
    grid = [
        [name, number(cost), f"{100 * cost / total:.0f} %"] for name, cost in ours["parts"].items()
    ]
    yield from rows(grid, ["umqtt_plus: what for", "instructions", "of all"])
    yield ""
    grid = [
        [f"`{text}`", where, number(cost), f"{times:.2f}"]
        for text, where, cost, times in ours["top"]
    ]
    yield from rows(grid, ["dearest statements", "in", "instructions", "times"])
    yield ""
    grid = [[name, number(cost)] for name, cost in floor["parts"].items()]
    yield from rows(grid, ["floor: what for", "instructions"])
    yield ""
    names = list(ours["kinds"])
    grid = [[name, number(ours["kinds"][name]), number(floor["kinds"][name])] for name in names]
    yield from rows(grid, ["in the interpreter", "umqtt_plus", "floor"])
    yield ""


def prices(found):
    yield "## What single steps cost"
    yield ""
    grid = [
        [profile_kinds.STEPS[name], number(cost)]
        for name, cost in found.items()
        if name != "empty"
    ]
    yield from rows(grid, ["step", "instructions"])
    yield ""
    plain, slow = found["store"], found["store_view"]
    small, large = found["small"], found["large"]
    yield (
        f"An attribute of a class with properties is {slow / plain:.0f} times as dear to store. "
        f"A call costs as much as {small / found['load']:.0f} attribute loads, one whose frame is "
        f"too large for the stack {large / small:.1f} times that. The socket itself is cheap in "
        "user space; its price is in the kernel, and floor and client pay it alike."
    )
    yield ""


def heap(found):
    bits = found["bits"]
    yield f"## Heap on {bits} bits ({found['version']})"
    yield ""
    code = {}
    grid = []
    for name, used in found["imports"].items():
        code[name] = used - found["hollow"][name]
        grid.append([name, found["mpy"][name], used, code[name], used - code[name]])
    sums = [sum(column) for column in list(zip(*grid, strict=True))[1:]]
    yield from rows(
        [*grid, ["all", *sums]],
        ["module", "bytes of .mpy", "heap of its import", "code and constants", "data"],
    )
    yield ""
    yield (
        "Code is what an import takes beyond that of a copy with empty functions: "
        "bytecode, tables "
        "of constants, names that only function bodies use. Frozen into firmware it stays in "
        "flash. Names are kept in pools that grow by steps, so a single module may be off, even "
        "below zero; the sums count. Data holds the heads of the empty functions, too, part of "
        "which would go to flash as well: what is left of a frozen client is at most this. No "
        "firmware was built for it."
    )
    yield ""
    qos0 = found["objects"]["qos0"]
    qos2 = dict(found["objects"]["qos2"])
    names = list(dict.fromkeys([*qos2, *(name for name, _ in qos0)]))
    qos0 = dict(qos0)
    grid = [[name, qos0.get(name, "-"), qos2.get(name, "-")] for name in names]
    grid.sort(key=lambda row: -row[2] if row[2] != "-" else 0)
    yield from rows(
        [*grid, ["all of these", sum(qos0.values()), sum(qos2.values())]],
        ["object, buffer_size=256", "inflight=0", "inflight=4"],
    )
    yield ""
    frozen = flash(found)
    grid = [[path, *found["held"][path], found["held"][path][2] - frozen[path]] for path in frozen]
    yield from rows(
        grid,
        ["path, bytes held after", *sizes.STEPS, "connected, with all code frozen: at most about"],
    )
    yield ""
    grid = [[stage, n] for stage, n in found["smallest"].items()]
    yield from rows(grid, ["smallest heap that is enough to", "bytes"])
    yield ""
    held = found["held"]["qos2"][2]
    least = found["smallest"]["connect"]
    yield (
        f"A connected client holds {held:,} bytes, and {least:,} are needed to get there. The "
        f"{least - held:,} between are what loading needs at once, and holes in the heap; the two "
        "were not separated. The last stage adds the receiver's modules and 2,000 messages."
    )
    yield ""


def flash(found):
    """{path: bytes of code that a frozen client does not hold in RAM}."""
    code = {name: n - found["hollow"][name] for name, n in found["imports"].items()}
    first = table.PUBLISHERS["publisher, QoS 0"]
    return {"qos0": sum(code[name] for name in first), "qos2": sum(code.values())}


def text(found):
    """All of PROFILE.md."""
    yield HEAD
    for name, value in machine.describe().items():
        yield f"- {name}: {value}"
    yield ""
    yield from goals(found)
    for row, cell in found["rows"]:
        yield from direction(row, cell)
    yield from prices(found["prices"])
    for one in found["heaps"]:
        yield from heap(one)
    for line in found["missing"]:
        yield f"- {line}"


def share(cell, *starts):
    """Instructions of the parts that begin so."""
    return sum(cost for name, cost in cell["parts"].items() if name.startswith(starts))


# goals, an operation
INSTRUCTIONS = {
    "publish0": 11000,
    "publish1": 22000,
    "publish2": 34000,
    "receive0": 13000,
    "receive1": 17000,
    "receive2": 22000,
}
HEAP32 = {"qos0": 6500, "qos2": 9500}
SMALLEST32 = 14000


def goals(found):
    """A line or two on each goal, reached or not."""
    yield "## Goals"
    yield ""
    spent, counts, date = found["benchmark"]
    for row, cell in found["rows"]:
        if row.goal and row.name in spent:
            yield rate(row, cell, spent[row.name], counts.get(row.name), date)
        ours = cell["umqtt_plus"]
        goal = INSTRUCTIONS.get(row.mode)
        if goal:
            say = f"- {row.name}: {number(ours['total'])} instructions, goal {number(goal)}"
            yield say + (
                ": reached." if ours["total"] <= goal else ": NOT reached. " + why(row.mode, ours)
            )
    for one in found["heaps"]:
        if one["bits"] != 32:
            continue
        frozen = flash(one)
        for path, goal in HEAP32.items():
            held = one["held"][path][2]
            yield (
                f"- heap, {path}, connected, 32 bits: {held:,} bytes from .mpy files, goal "
                f"{goal:,}: " + ("reached. " if held <= goal else "NOT reached. ") + "Of it "
                f"{frozen[path]:,} are code, which frozen firmware keeps in flash: "
                f"{held - frozen[path]:,} would be left, or less. The buffers follow; the table "
                "below has them. rx is two halves of buffer_size, so that a packet is handled "
                "where it lies; with one half it would be copied more often (not tried)."
            )
        least = one["smallest"]["all"]
        yield (
            f"- smallest heap, 32 bits: {least:,} bytes, goal {SMALLEST32:,}: "
            + ("reached." if least <= SMALLEST32 else "NOT reached. ")
            + f"{one['smallest']['import']:,} are needed to import the package alone, "
            f"{one['smallest']['connect']:,} to connect. Frozen code would take "
            f"{frozen['qos2']:,} bytes, the receiver's, and the room for loading out of the heap; "
            "how small it then gets needs a firmware build and was not measured."
        )
    yield ""


def rate(row, cell, us, counted, date):
    """What the benchmark found, with the instructions that its version of the client used."""
    least, spent = us
    say = f"- {row.name}: {100 * least / spent:.0f} % of the floor (RESULTS.md, {date})"
    say += f", goal {row.goal} %"
    allowed = 100 * least / row.goal
    if spent <= allowed:
        return say + ": reached."
    say += f": NOT reached. {spent:.2f} us against {least:.2f}. "
    now = cell["umqtt_plus"]["total"]
    if counted:
        floor, then = counted
        may = then - (then - floor) * (spent - allowed) / (spent - least)
        say += (
            f"With {number(then)} instructions against {number(floor)}; if time goes with "
            f"instructions, the goal allows about {number(may)}. This version uses {number(now)}"
        )
        say += " (its rate is not measured yet). " if abs(now / then - 1) > 0.05 else ". "
    return say + why(row.mode, cell["umqtt_plus"])


def why(mode, cell):
    total = cell["total"]
    app = share(cell, "the application")
    frames = share(cell, "places")
    if mode == "window1":
        packet = share(cell, "the packet", "the table", "the call")
        return (
            f"The application's own loop and callback are {number(app)} of them, places for call "
            f"frames {number(frames)}; writing into the table (checks, header, topic, id, "
            "payload, "
            f"record) {number(packet)}; sending {number(share(cell, 'writing'))}; matching the "
            f"answer {number(share(cell, 'the answer'))}. The floor keeps nothing and matches "
            "nothing: its answers are one read of 40 bytes that nobody looks at. What could "
            "go, as "
            "tried: put() flat in accept() and a write of its own in place of _flush() and "
            "_sent() "
            "saved 7,200 together (14 %) for 82 bytes of .mpy, in a sketch that does not handle "
            "short writes: less than the goal asks for, and the QoS 2 path has no room for it. No "
            "check is worth as much: dropping "
            "'is the packet id in use' would save some 600, and could overwrite a message."
        )
    if mode == "receive0":
        stores = sum(cost for text, _, cost, _ in cell["top"] if text.startswith("m."))
        lazy = (
            f"{number(stores)} are attribute stores into the view, dear because its class has "
            "properties: plain places to write them to would save nearly all, and no check. "
        )
        return (stores > 1000) * lazy + (
            f"The application's handler and loop: {number(app)}; handing over: "
            f"{number(share(cell, 'handing'))}; the topic check: {number(share(cell, 'topic'))}; "
            f"framing: {number(share(cell, 'framing'))}; a batch: "
            f"{number(share(cell, 'the batch'))} "
            f"({100 * app / total:.0f} % is the application's own). The floor calls nobody, looks "
            "at no topic and believes each length. Dropping the topic check (any bytes would "
            "reach "
            "the application as a topic) would save its row; dropping the length checks about 600 "
            "(a packet that lies about its length would then be read across its end). Neither is "
            "done."
        )
    if mode == "publish1":
        packet = share(cell, "the packet", "the table", "the call")
        return (
            f"The application's own loop and callback are {number(app)} of them, the call and the "
            f"packet {number(packet)}, writing, polling and reading "
            f"{number(share(cell, 'writing'))}, matching the answer "
            f"{number(share(cell, 'the answer'))}. Places for call frames in the heap take "
            f"{number(frames)}, and that row is as the heap lies: in the benchmark's rows on "
            "growth the same publish takes 20 to 29 thousand. Two functions of more than 11 "
            "locals make it; fewer would mean a call more, which costs as much."
        )
    if not mode.startswith("receive"):
        return "The table below says where they go."
    say = (
        f"The application: {number(app)}; handing over {number(share(cell, 'handing'))}; topic "
        f"{number(share(cell, 'topic'))}; framing {number(share(cell, 'framing'))}; ids checked, "
        f"kept and released {number(share(cell, 'packet id', 'QoS 2'))}; answers "
        f"{number(share(cell, 'answers'))}; call frames {number(frames)}."
    )
    if mode == "receive2":
        say += (
            " QoS 2 is two packets in and two out a message, with a table between; its checks "
            "(known id, room for it, released once) make it 'exactly once' and stay. Each is a "
            "call of its own, and a call costs more than what most of them do."
        )
    return say
