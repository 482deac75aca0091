"""Writes RESULTS.md and its plots: make bench-plots."""

from pathlib import Path

from . import footprint, growth, latency, report, sizes, svg

HERE = Path(__file__).resolve().parent
ELSEWHERE = "soak.svg", "stampede.svg"  # made by soak.py and stampede.py


def write(found, size_lines, flash):
    """Write everything; the names of the files."""
    plots = {
        "throughput.svg": rates(found, "sync"),
        "asyncio.svg": rates(found, "asyncio"),
        "size.svg": path_sizes(flash),
    }
    if found["instructions"]:
        plots["instructions.svg"] = counts(found)
    if found["latency"]:
        plots[latency.NAME] = latency.plot(found["latency"])
    if found["growth"]:
        plots[growth.NAME] = growth.plot(found["growth"])
    if found["footprint"]:
        plots[footprint.NAME] = footprint.plot(found["footprint"])
    lines = ["# Measured", "", "Written by `make bench-plots`; not edited by hand.", ""]
    lines += [f"- {key}: {value}" for key, value in found["machine"].items()]
    lines += ["", "```", found["definitions"].strip(), "```", "", *report.markdown(found), ""]
    shown = [*plots, *(name for name in ELSEWHERE if (HERE / name).exists())]
    lines += [f"![{name.split('.')[0]}]({name})" for name in shown]
    lines += ["", "```", *size_lines, "```", ""]
    (HERE / "RESULTS.md").write_text("\n".join(lines), encoding="utf-8")
    for name, content in plots.items():
        (HERE / name).write_text(content, encoding="utf-8")
    return ["RESULTS.md", *plots]


def rates(found, front):
    rows = [
        (
            row.name.removeprefix(front + ": "),
            [(who, cell["rate"]) for who, cell in figures.items()],
        )
        for row, figures, _ in report.cells(found, front)
    ]
    return svg.bars(f"Throughput, {front}", rows, "operations a second")


def path_sizes(flash):
    rows = [(sizes.PATHS.get(p, p), [("O3", s["O3"])]) for p, s in flash["paths"].items()]
    return svg.bars("Code loaded per path", rows, "bytes of .mpy at -O3")


def counts(found):
    rows = [(name, list(cells.items())) for name, cells in found["instructions"].items() if cells]
    return svg.bars("Instructions", rows, "per operation")
