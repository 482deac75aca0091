"""tests/budgets.ini: what the client may cost."""

import configparser
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "tests" / "budgets.ini"
HEAP_SLACK = 1.02  # the collector sees old pointers on the stack


def figures(paths, run):
    """{(section, name): bytes} of what has a budget. run: on a 64-bit interpreter, or None."""
    found = {("mpy", path): sums["O3"] for path, sums in paths.items()}
    if run and run["bits"] == 64:
        for path, steps in run["heap"].items():
            for step, used in zip(("import", "construct", "connect"), steps, strict=True):
                found["heap", f"{path}_{step}"] = used
    return found


def read():
    parser = configparser.ConfigParser()
    parser.read(FILE, encoding="utf-8")
    return {(s, name): int(n) for s in parser.sections() for name, n in parser[s].items()}


def above(figures):
    """A line for each figure above its budget, or without one."""
    budgets = read()
    lines = []
    for key, used in figures.items():
        budget = budgets.get(key)
        slack = HEAP_SLACK if key[0] == "heap" else 1
        if budget is None:
            lines.append(f"{key[0]} {key[1]}: {used} bytes, and no budget in {FILE.name}")
        elif used > budget * slack:
            lines.append(
                f"{key[0]} {key[1]}: {used} bytes, the budget is {budget}: "
                "it only goes down. Save the bytes, or raise it and tell why in the commit"
            )
    return lines


def lower(figures):
    """Write the budgets anew, each one the lesser of old and measured; lines of what changed."""
    old = read()
    new = {key: min(used, old.get(key, used)) for key, used in figures.items()}
    text = FILE.read_text(encoding="utf-8").splitlines()
    lines = [line for line in text if line.startswith(";")]
    for section in ("mpy", "heap"):
        lines += ["", f"[{section}]"]
        lines += [f"{k[1]} = {n}" for k, n in {**old, **new}.items() if k[0] == section]
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [
        f"{k[0]} {k[1]}: {old.get(k, 'none')} -> {n}" for k, n in new.items() if n != old.get(k)
    ]
