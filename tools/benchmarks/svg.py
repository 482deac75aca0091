"""Bar and line charts as plain SVG: nothing to install."""

import math
from html import escape

COLORS = (
    *("#9aa5b1", "#1f77b4", "#d98c3f", "#5b9a68", "#8e5ea2"),
    *("#c0504d", "#46b1b8", "#7f6a4d", "#d977a8", "#b5bd3a"),
)
_LABEL, _BAR, _LINE = 310, 390, 16
_LEFT, _TOP, _WIDE, _HIGH = 80, 48, 460, 240  # of a plot's area


def bars(title, groups, unit):
    """groups: [(label, [(series, value)])]; values share one scale."""
    top = max(value for _, cells in groups for _, value in cells)
    series = list(dict.fromkeys(name for _, cells in groups for name, _ in cells))
    parts = [text(8, 20, f"{title} ({unit})", weight="bold")]
    y = 34
    for i, name in enumerate(series if len(series) > 1 else []):
        x, y = 8 + 110 * (i % 6), 34 + 18 * (i // 6)
        parts.append(box(x, y, 11, 11, COLORS[i % len(COLORS)]))
        parts.append(text(x + 16, y + 10, name))
    y += 24
    for label, cells in groups:
        parts.append(text(_LABEL - 8, y + 12, label, anchor="end"))
        for name, value in cells:
            width = max(1, _BAR * value / top)
            parts.append(box(_LABEL, y + 1, width, _LINE - 3, color(series, name)))
            parts.append(text(_LABEL + width + 5, y + 12, f"{value:,.0f}"))
            y += _LINE
        y += 8
    return page(800, y + 4, parts)


def lines(title, series, x_unit, y_unit, log_x=False, y_top=None):
    """series: [(name, [(x, y)])]. The y axis is linear; linear axes begin at 0."""
    xs = [x for _, points in series for x, _ in points]
    low, high = min(xs) if log_x else 0, max(xs)
    y_top = y_top or nice(max(y for _, points in series for _, y in points))
    scale = math.log10 if log_x else float
    span = scale(high) - scale(low) or 1

    def place(x, y):
        return _LEFT + _WIDE * (scale(x) - scale(low)) / span, _TOP + _HIGH * (1 - y / y_top)

    width, height = _LEFT + _WIDE + 260, _TOP + _HIGH + 50
    parts = [text(8, 18, title, weight="bold")]
    for i in range(5):
        y = y_top * i / 4
        _, at = place(low, y)
        parts.append(stroke([(_LEFT, at), (_LEFT + _WIDE, at)], "#dddddd"))
        parts.append(
            text(_LEFT - 6, round(at + 4), f"{y:,.6g}" if y < 1 else f"{y:,.0f}", anchor="end")
        )
    for x in ticks(low, high, log_x):
        at, _ = place(x, 0)
        parts.append(text(at, _TOP + _HIGH + 16, f"{x:,.0f}", anchor="middle"))
    parts.append(text(_LEFT + _WIDE / 2, _TOP + _HIGH + 36, x_unit, anchor="middle"))
    parts.append(text(_LEFT, _TOP - 8, y_unit))
    for i, (name, points) in enumerate(series):
        shade = COLORS[i % len(COLORS)]
        places = [place(*point) for point in points]
        parts.append(stroke(places, shade, 2))
        if len(places) < 12:
            parts += [box(round(x - 3), round(y - 3), 6, 6, shade) for x, y in places]
        parts.append(box(_LEFT + _WIDE + 14, _TOP + 18 * i, 11, 11, shade))
        parts.append(text(_LEFT + _WIDE + 30, _TOP + 18 * i + 10, name))
    return page(width, height, parts)


def column(charts):
    """Several of these, one below the other."""
    y = width = 0
    parts = []
    for chart in charts:
        sizes = [int(word) for word in chart.split('"')[3:6:2]]
        parts.append(chart.replace("<svg ", f'<svg y="{y}" ', 1))
        width, y = max(width, sizes[0]), y + sizes[1]
    return page(width, y, parts)


def nice(value):
    """The next 1, 1.2, 1.6, 2, 4, 5 or 8 times a power of ten."""
    unit = 10 ** math.floor(math.log10(value)) if value else 1
    return next(unit * n for n in (1, 1.2, 1.6, 2, 4, 5, 8, 10) if unit * n >= value)


def ticks(low, high, log_x):
    if log_x:
        first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
        return [low, *(10**n for n in range(first, last + 1) if 10**n > low * 2)]
    step = nice(high / 5)
    return [step * i for i in range(int(high / step) + 1)]


def page(width, height, parts):
    size = f'width="{width}" height="{height}" font-family="sans-serif" font-size="12"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    return "\n".join([head, box(0, 0, width, height, "#ffffff"), *parts, "</svg>", ""])


def color(series, name):
    return COLORS[series.index(name) % len(COLORS)]


def text(x, y, content, anchor="start", weight="normal"):
    style = f'text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text x="{x:.0f}" y="{y}" {style}>{escape(content)}</text>'


def box(x, y, width, height, fill):
    return f'<rect x="{x}" y="{y}" width="{width:.0f}" height="{height}" fill="{fill}"/>'


def stroke(points, shade, width=1):
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{shade}" stroke-width="{width}"/>'
