"""What a client holds once it has connected, subscribed and published at QoS 1, as shipped."""

import os

from . import svg

NAME = "footprint.svg"


def measure(contenders, port):
    """({name: {"heap": bytes, "code": bytes of the .mpy files loaded}}, problems)."""
    found = {}
    problems = []
    for contender in contenders:
        if contender.name == "floor" or contender.modes and "held" not in contender.modes:
            continue
        name = contender.name
        if name in found:
            name += ", asyncio"
        try:
            heap, files = ask(contender, port)
        except RuntimeError as error:
            problems.append(str(error))
            continue
        code = sum(os.path.getsize(file) for file in files if file.endswith(".mpy"))
        found[name] = {"heap": heap, "code": code}
    return found, problems


def ask(contender, port):
    """Bytes and files; only the client's own, not the benchmark's or the interpreter's."""
    words = contender.answer("heap held", "held ", port, mode="held").split()[1:]
    mine = tuple(contender.path)
    return int(words[0]), [file for file in words[1:] if file.startswith(mine)]


def grid(found):
    yield ["connected, subscribed, QoS 1 published", "heap bytes", "bytes of .mpy at -O3"]
    for name, cell in found.items():
        yield [name, f"{cell['heap']:,}", f"{cell['code']:,}"]


def plot(found):
    rows = [(name, list(cell.items())) for name, cell in found.items()]
    return svg.bars("What a client takes", rows, "bytes: heap held, .mpy code loaded")
