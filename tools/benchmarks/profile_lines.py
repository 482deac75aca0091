"""What each statement of the client costs, in instructions.

A copy of the client (or of the floor) gets a mark in front of every statement, and callgrind cuts
its counts at each mark. What a mark itself costs is measured by pairs of marks with nothing
between them, one pair at the head of every function, and taken off.

What ran only once belongs to the start of the run and is left out.

A statement's figure holds what it calls, but not the marked statements of what it calls; the way
back out of a function counts for the last statement that ran in it.
"""

import ast
import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple

from umqtt_harness.micropython import compile_mpy, find_package

from . import counting
from .profile_kinds import FRAMES, functions
from .run import BOARD

MARKED = "floor.py", "ours.py"  # of board/, with the modules of the client
COUNT = 40  # operations
_EMPTY = 2  # number of the mark that is followed by another at once; 0 and 1: start and stop
_MOST = 20000  # marks in a run


class Statement(NamedTuple):
    module: str
    function: str
    line: int
    text: str


class Cost(NamedTuple):
    instructions: float  # an operation
    times: float  # that it ran, an operation


class Marker(ast.NodeTransformer):
    """Puts marks into one module."""

    def __init__(self, module, source, statements):
        self.module = module
        self.lines = source.splitlines()
        self.statements = statements
        self.functions = []

    def visit_FunctionDef(self, node):
        self.functions.append(node.name)
        head = node.body[: isinstance(node.body[0], ast.Expr) and _is_text(node.body[0].value)]
        while len(node.body) > len(head) and isinstance(node.body[len(head)], ast.Global):
            head.append(node.body[len(head)])
        node.body = [*head, _call(_EMPTY), *self._marked(node.body[len(head) :])]
        self.functions.pop()
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def _marked(self, body):
        new = []
        for node in body:
            number = len(self.statements)
            text = self.lines[node.lineno - 1].strip()
            if isinstance(node, ast.If) and text.startswith("elif"):
                text = text[2:]
            self.statements.append(Statement(self.module, self.functions[-1], node.lineno, text))
            new += [_call(number), self._inside(node, number)]
        return new

    def _inside(self, node, number):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            return self.visit(node)
        for field in ("body", "orelse", "finalbody"):
            inner = getattr(node, field, None)
            if isinstance(inner, list) and inner:
                setattr(node, field, self._marked(inner))
        for handler in getattr(node, "handlers", ()):
            handler.body = self._marked(handler.body)
        if isinstance(node, (ast.While, ast.For, ast.AsyncFor)):
            node.body.append(_call(number))  # the next turn is the loop's, not its last line's
        return node


def _is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _call(number):
    return ast.parse(f"_mark_({number})").body[0]


def marked(source, module, statements):
    """The source with marks; statements grows by those it has."""
    tree = Marker(module, source, statements).visit(ast.parse(source))
    at = int(_is_text(getattr(tree.body[0], "value", None)))
    tree.body.insert(at, ast.parse("from profile_mark import mark as _mark_").body[0])
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def build(directory, package=None):
    """Marked copies of the client and of the scripts; [Statement], numbered as the marks are."""
    statements = [Statement("", "", 0, name) for name in ("start", "stop", "empty")]
    package = Path(package or find_package())
    place = Path(directory) / "marked"
    place.mkdir(parents=True)
    for file in sorted(package.rglob("*.py")):
        name = file.relative_to(package.parent)
        copy = place / "source.py"
        module = ".".join(file.relative_to(package).with_suffix("").parts)
        copy.write_text(marked(file.read_text(encoding="utf-8"), module, statements))
        compile_mpy(copy, place / name.with_suffix(".mpy"), file.name)
    for name in MARKED:
        text = marked((BOARD / name).read_text(encoding="utf-8"), name[:-3], statements)
        (place / name).write_text(text)
    # timing.py marks where the counted run begins and ends
    timing = (BOARD / "timing.py").read_text(encoding="utf-8")
    head, tail = timing.split("gc.isenabled()\n", 2)[0], timing.split("gc.isenabled()\n", 2)[1:]
    assert len(tail) == 2, "timing.py has two calls of gc.isenabled()"
    timing = head + "profile_mark.start()\n" + tail[0] + "profile_mark.stop()\n" + tail[1]
    (place / "timing.py").write_text(
        timing.replace("import gc\n", "import gc\nimport profile_mark\n")
    )
    (place / "profile_mark.py").write_text((BOARD / "profile_mark.py").read_text())
    return place, statements


def measure(contender, place, statements, port, count=COUNT, **settings):
    """{Statement: Cost} of one direction; with the frames of profile_kinds they are the whole."""
    with tempfile.TemporaryDirectory(prefix="umqtt-profile-") as directory:
        out = Path(directory) / "part"
        words = [counting.valgrind(), "--tool=callgrind", "--dump-line=no"]
        words += ["--dump-before=mp_micropython_opt_level", f"--callgrind-out-file={out}"]
        text = contender.within(words).answer(
            "profile", "", port, timeout=300, count=count, marks=_MOST, **settings
        )
        marks = [int(line.split()[1]) for line in text.splitlines() if line.startswith("mark ")]
        costs = [without_frames(out.with_name(f"part.{i + 2}")) for i in range(len(marks) - 1)]
    return sums(marks, costs, statements, count)


def sums(marks, costs, statements, count):
    """costs[i]: what was counted between marks[i] and marks[i + 1]."""
    modules = [statements[mark].module for mark in marks]
    for i in range(len(marks) - 2, -1, -1):
        modules[i] = modules[i] or modules[i + 1]  # of a pair: that of its second mark
    price = {}  # of a mark, by the module it is in: the look-up of its name differs
    for i, cost in enumerate(costs):
        if marks[i] == _EMPTY:
            price.setdefault(modules[i + 1], []).append(cost)
    price = {module: statistics.median(found) for module, found in price.items()}
    usual = statistics.median(price.values())
    found = {}
    for i, cost in enumerate(costs):
        if marks[i] != _EMPTY:
            cost -= price.get(modules[i + 1], usual)
            instructions, times = found.get(marks[i], (0, 0))
            found[marks[i]] = instructions + cost, times + 1
    return {statements[i]: Cost(a / count, b / count) for i, (a, b) in found.items() if b > 1}


def without_frames(file):
    """Instructions; the marks make the heap fuller, and a search in it longer than it is."""
    own, _ = functions(file.read_text())
    return sum(cost for name, cost in own.items() if name not in FRAMES)
