"""Turn what bench.py found into text, Markdown and an exit status."""

from . import footprint, growth, latency
from .rows import ROWS

OURS = "umqtt_plus"


def rate(cell):
    mark = "!" if cell["spread"] > 0.5 else ""
    return f"{cell['rate']:,.0f} (+-{cell['spread'] * 50:.0f} %){mark}"


def verdict(row, ratio):
    words = []
    if row.bar:
        words.append(f"bar {row.bar} %: " + ("ok" if ratio * 100 >= row.bar else "BELOW"))
    if row.goal:
        words.append(f"goal {row.goal} %" + (" reached" if ratio * 100 >= row.goal else ""))
    return ", ".join(words)


def cells(found, front=None):
    """(row, its figures, our ratio to the floor or None) of each row measured."""
    for row in ROWS:
        figures = found["rows"].get(row.name)
        if figures is None or front and row.front != front:
            continue
        ratio = None
        if OURS in figures and "floor" in figures:
            ratio = figures[OURS]["rate"] / figures["floor"]["rate"]
        yield row, figures, ratio


def names(rows):
    """The contenders of some rows, in the order in which they took turns."""
    return list(dict.fromkeys(name for figures in rows for name in figures))


def grid(found, front):
    lines = list(cells(found, front))
    who = names(figures for _, figures, _ in lines)
    if lines:
        yield [f"{front}: operations a second", *who, "of floor", ""]
    for row, figures, ratio in lines:
        line = [row.name] + [rate(figures[n]) if n in figures else "-" for n in who]
        yield line + (["-", ""] if ratio is None else [f"{ratio:.0%}", verdict(row, ratio)])


def instruction_grid(found):
    if not found["instructions"]:
        return
    who = names(found["instructions"].values())
    yield ["instructions an operation", *who]
    for name, figures in found["instructions"].items():
        yield [name] + [f"{figures[n]:,.0f}" if n in figures else "-" for n in who]


def tables(found):
    made = [grid(found, "sync"), grid(found, "asyncio"), instruction_grid(found)]
    if found.get("latency"):
        made.append(latency.grid(found["latency"]))
    if found.get("footprint"):
        made.append(footprint.grid(found["footprint"]))
    if found.get("growth"):
        made.append(growth.grid(found["growth"]))
    return [table for table in map(list, made) if table]


def notes(found):
    lines = [*found["missing"], *(f"failed: {text}" for text in found["problems"])]
    spreads = [cell["spread"] for figures in found["rows"].values() for cell in figures.values()]
    wide = sum(spread > 0.5 for spread in spreads)
    if wide:
        lines.append(
            f"noisy: {wide} of {len(spreads)} figures have a spread over 50 % (marked with !); "
            "something else ran on this machine"
        )
    return lines


def plain(found):
    for table in tables(found):
        widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
        for line in table:
            yield "  ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)).rstrip()
        yield ""
    yield from notes(found)
    yield f"{found['seconds']} s"


def markdown(found):
    for table in tables(found):
        for i, line in enumerate(table):
            yield "| " + " | ".join(line) + " |"
            if not i:
                yield "|" + "---|" * len(line)
        yield ""
    yield from (f"- {note}" for note in notes(found))


def status(found, rows):
    """0; 1: below a bar; 2: a row has no figure of ours or of the floor."""
    worst = int(latency.above(found.get("latency") or {}))
    if found.get("growth") and growth.too_fast(found["growth"]):
        worst = 1
    for row, figures, ratio in cells(found):
        if OURS not in figures or row.floor and ratio is None:
            return 2
        if row.bar and ratio * 100 < row.bar:
            worst = 1
    return worst
