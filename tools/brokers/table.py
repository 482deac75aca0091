"""RESULTS.md out of what matrix.py has found."""

_LABEL = {4: "3.1.1", 5: "5.0"}
_HEAD = """\
# Which brokers it works with

Written by `make brokers`: [suite.py](suite.py), one program on real MicroPython, against each
broker. A row passes, or differs in a way that is known of that broker; the client's reaction is at
the end, from [deviations.py](../../tools/brokers/deviations.py). A failed row is named in bold.
"""


def render(results, order):
    names = [x for x in order if x in results] + sorted(x for x in results if x not in order)
    ran = [results[x] for x in names if results[x]["runs"]]
    text = [_HEAD]
    for machine in sorted({x["machine"] for x in ran}):
        text.append(f"{machine}\n")
    text += _runs(ran) + _left_out([results[x] for x in names])
    text += _rows(ran) + _deviations(ran)
    return "\n".join(text)


def _count(run, kind):
    return sum(x["verdict"] == kind for x in run["rows"].values())


def _runs(ran):
    lines = [
        "| Broker | | MQTT | ok | differ | failed | It announces | Date |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for x in ran:
        for run in x["runs"]:
            facts = ", ".join(f"{k} {v}" for k, v in sorted(run["facts"].items()))
            facts = ", ".join(y for y in facts.split(", ") if "assigned" not in y)
            failed = [row for row, y in run["rows"].items() if y["verdict"] == "FAIL"]
            lines.append(
                f"| {x['title']}: {x['version']} | {run['endpoint']} | {_LABEL[run['version']]} "
                f"| {_count(run, 'ok')} | {_count(run, 'deviation')} "
                f"| {'**' + ', '.join(failed) + '**' if failed else 0} | {facts} | {x['date']} |"
            )
    return [*lines, ""]


def _left_out(results):
    lines = [f"- {x['title']}, {x['date']}: {x['reason']}" for x in results if x.get("reason")]
    return ["Left out:", "", *lines, ""] if lines else []


def _rows(ran):
    """A line a row, a column a broker: the worst of all its transports."""
    columns = [(x, v) for x in ran for v in (4, 5) if any(r["version"] == v for r in x["runs"])]
    rows = []
    for x, _ in columns:
        for run in x["runs"]:
            rows += [row for row in run["rows"] if row not in rows and row[0] != "("]
    lines = [
        "| Row | " + " | ".join(f"{x['title']} {_LABEL[v]}" for x, v in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    signs = {"ok": "yes", "deviation": "differs", "FAIL": "**no**", "skip": "not asked"}
    for row in rows:
        cells = []
        for x, v in columns:
            found = [
                r["rows"][row]["verdict"]
                for r in x["runs"]
                if r["version"] == v and row in r["rows"]
            ]
            worst = [kind for kind in ("FAIL", "deviation", "ok", "skip") if kind in found]
            cells.append(signs[worst[0]] if worst else "")
        lines.append(f"| {row.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _deviations(ran):
    lines = [
        "## What differs",
        "",
        "| Broker | MQTT | Row | Seen | What the client does | Why |",
        "|---|---|---|---|---|---|",
    ]
    for x in ran:
        found = {}  # (reaction, why): versions, rows, what was seen, each once and in order
        for run in x["runs"]:
            for row, y in run["rows"].items():
                if y["verdict"] == "deviation":
                    key = (y["reaction"], y["why"])
                    entry = found.setdefault(key, ({}, {}, {}))
                    texts = (_LABEL[run["version"]], row.replace("_", " "), y["said"])
                    for part, text in zip(entry, texts, strict=True):
                        part[text] = True
        for (reaction, why), parts in found.items():
            versions, rows, seen = ("; ".join(part) for part in parts)
            lines.append(f"| {x['title']} | {versions} | {rows} | {seen} | {reaction} | {why} |")
    return [*lines, ""]
