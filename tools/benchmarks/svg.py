"""Bar charts as plain SVG: nothing to install."""

from html import escape

COLORS = ("#9aa5b1", "#1f77b4", "#d98c3f", "#5b9a68")
_LABEL, _BAR, _LINE = 250, 400, 16


def bars(title, groups, unit):
    """groups: [(label, [(series, value)])]; values share one scale."""
    top = max(value for _, cells in groups for _, value in cells)
    series = list(dict.fromkeys(name for _, cells in groups for name, _ in cells))
    parts = [text(8, 20, f"{title} ({unit})", weight="bold")]
    y = 34
    for i, name in enumerate(series if len(series) > 1 else []):
        parts.append(box(_LABEL + 110 * i, y, 11, 11, COLORS[i % len(COLORS)]))
        parts.append(text(_LABEL + 110 * i + 16, y + 10, name))
    y += 24
    for label, cells in groups:
        parts.append(text(_LABEL - 8, y + 12, label, anchor="end"))
        for name, value in cells:
            width = max(1, _BAR * value / top)
            parts.append(box(_LABEL, y + 1, width, _LINE - 3, color(series, name)))
            parts.append(text(_LABEL + width + 5, y + 12, f"{value:,.0f}"))
            y += _LINE
        y += 8
    size = f'width="760" height="{y + 4}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, box(0, 0, 760, y + 4, "#ffffff"), *parts, "</svg>", ""])


def color(series, name):
    return COLORS[series.index(name) % len(COLORS)]


def text(x, y, content, anchor="start", weight="normal"):
    style = f'text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text x="{x:.0f}" y="{y}" {style}>{escape(content)}</text>'


def box(x, y, width, height, fill):
    return f'<rect x="{x}" y="{y}" width="{width:.0f}" height="{height}" fill="{fill}"/>'
