"""How the cost of one operation grows with what it depends on, and whether it grows too fast.

Counted in instructions where valgrind is installed and the interpreter has its symbols, so that
it does not depend on the machine's mood; else in time.
"""

from . import counting, svg
from .run import Contender

NAME = "growth.svg"
COUNT = 256  # operations; every number of clients divides it
CONSTANT, LINEAR, MARGIN = "constant", "linear", 1.5

# axis -> (points, [(series, mode, what it may be)])
AXES = {
    "bytes of topic": (
        (8, 64, 256, 512, 1000),
        [
            ("publish QoS 0, same topic", "topic_same0", CONSTANT),
            ("publish QoS 0, another topic", "topic_other0", LINEAR),
            ("publish QoS 1, same topic", "topic_same1", LINEAR),
            ("receive QoS 0, same topic", "topic_in0", LINEAR),
            ("receive QoS 0, two in turn", "topic_turn0", LINEAR),
        ],
    ),
    "bytes of payload": (
        (16, 512, 1024, 2048, 4000),
        [
            ("publish QoS 0", "payload0", LINEAR),
            ("publish QoS 1", "payload1", LINEAR),
            ("receive QoS 0", "payload_in0", LINEAR),
        ],
    ),
    "subscriptions": (
        (1, 16, 64, 128, 256),
        [
            ("receive QoS 0", "subscribed_in0", CONSTANT),
            ("subscribe once more", "subscribe", CONSTANT),
        ],
    ),
    "window: inflight, all of it in use": (
        (1, 2, 4, 8, 16, 32, 64),
        [
            ("publish QoS 1", "window1", CONSTANT),
            ("publish QoS 2", "window2", CONSTANT),
        ],
    ),
    "table: inflight, one message at a time": (
        (1, 16, 64, 128, 256),
        [
            ("publish QoS 1", "table1", CONSTANT),
            ("publish QoS 2", "table2", CONSTANT),
        ],
    ),
    "clients on one board": (
        (1, 2, 4, 8, 16),
        [
            ("publish QoS 1, in turn", "clients", CONSTANT),
            ("publish QoS 1, asyncio, a task each", "asyncio_clients", LINEAR),
        ],
    ),
}


def measure(contender, port, say=lambda text: None, axes=AXES):
    """({"unit": ..., "axes": {axis: {series: {"may": ..., "points": [(x, cost)]}}}}, problems)."""
    contender = Contender("growth", "growth.py", [contender.program], contender.path)
    ask = instructions if counting.valgrind() else microseconds
    found = {"unit": ask.__name__, "axes": {}}
    problems = []
    for axis, (points, series) in axes.items():
        cells = found["axes"][axis] = {}
        for name, mode, may in series:
            say(f"growth with {axis}: {name}")
            settings = {"mode": mode, "xs": " ".join(map(str, points)), "count": COUNT}
            try:
                costs = ask(contender, f"growth, {name}", port, settings)
                if len(costs) != len(points):  # no symbols, so callgrind saw no marks
                    found["unit"] = "microseconds"
                    ask = microseconds
                    costs = ask(contender, f"growth, {name}", port, settings)
            except RuntimeError as error:
                problems.append(str(error))
                continue
            cells[name] = {"may": may, "points": list(zip(points, costs, strict=True))}
    return found, problems


def microseconds(contender, label, port, settings):
    words = contender.answer(label, "us ", port, **settings).split()[1:]
    return [int(us) / COUNT for us in words]


def instructions(contender, label, port, settings):
    return [n / COUNT for n in counting.between_marks(contender, label, port, **settings)]


def factor(points):
    """By how much the cost grew, at the most, over that of the first point."""
    return max(y for _, y in points) / points[0][1]


def steepness(points):
    """How much faster than its beginning the curve rises at its end: linear is 1."""
    if len(points) < 3:
        return 1.0
    (x0, y0), (x1, y1) = points[0], points[-1]
    middle = points[len(points) // 2]
    early = (middle[1] - y0) / (middle[0] - x0)
    late = (y1 - middle[1]) / (x1 - middle[0])
    return late / early if early > 0.02 * y0 / (middle[0] - x0) else 1.0


def worse(cell):
    points = cell["points"]
    # What grows so little over the whole range is the heap's luck with call frames.
    if cell["may"] == CONSTANT or factor(points) <= MARGIN:
        return factor(points) > MARGIN
    x0, y0 = points[0]
    x1, y1 = points[-1]
    return steepness(points) > 2 or y1 / y0 > MARGIN * x1 / x0


def too_fast(found):
    """What grows faster than it may; only counted instructions are proof."""
    if found["unit"] != "instructions":
        return []
    return [
        f"{name} with {axis}"
        for axis, cells in found["axes"].items()
        for name, cell in cells.items()
        if worse(cell)
    ]


def grid(found):
    yield [f"growth: {found['unit']} an operation", "with", "at", "cost", "may be", ""]
    for axis, cells in found["axes"].items():
        for name, cell in cells.items():
            at = " ".join(str(x) for x, _ in cell["points"])
            costs = " ".join(f"{y:,.0f}" for _, y in cell["points"])
            verdict = "WORSE" if worse(cell) else "ok"
            yield [name, axis, at, costs, cell["may"], verdict]


def plot(found):
    charts = []
    for axis, cells in found["axes"].items():
        series = [(name, cell["points"]) for name, cell in cells.items()]
        if series:
            charts.append(svg.lines(f"Growth with {axis}", series, axis, found["unit"]))
    return svg.column(charts)
