"""Lines over a common axis as an SVG page of small panels, without a library. Pure."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

WIDTH: Final = 420
HEIGHT: Final = 120
LEFT: Final = 60
TOP: Final = 24
GAP: Final = 36
COLUMNS: Final = 2


def page(title: str, axis: str, xs: Sequence[float], panels: Mapping[str, Sequence[float]]) -> str:
    """Return one panel for each series of y values; the y axis begins at zero."""
    rows = -(-len(panels) // COLUMNS)
    width, height = COLUMNS * (WIDTH + LEFT + GAP), rows * (HEIGHT + TOP + GAP) + 2 * TOP
    size = f'width="{width}" height="{height}"'
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">',
        f'<rect {size} fill="white"/>',
        f'<text x="{LEFT}" y="{TOP - 6}" font-size="14">{escape(title)}</text>',
    ]
    for number, (name, ys) in enumerate(panels.items()):
        x = LEFT + number % COLUMNS * (WIDTH + LEFT + GAP)
        y = 2 * TOP + number // COLUMNS * (HEIGHT + TOP + GAP)
        body.append(f'<g transform="translate({x},{y})">{_panel(name, axis, xs, ys)}</g>')
    return "\n".join([*body, "</svg>", ""])


def _panel(name: str, axis: str, xs: Sequence[float], ys: Sequence[float]) -> str:
    top = max(*ys, 0) or 1
    begin, span = xs[0], (xs[-1] - xs[0]) or 1
    points = " ".join(
        f"{(x - begin) / span * WIDTH:.1f},{HEIGHT - y / top * HEIGHT:.1f}"
        for x, y in zip(xs, ys, strict=True)
    )
    return (
        f'<text y="-6">{escape(name)}</text>'
        f'<path d="M0,0V{HEIGHT}H{WIDTH}" fill="none" stroke="#888"/>'
        f'<text x="-4" y="8" text-anchor="end">{top:g}</text>'
        f'<text x="-4" y="{HEIGHT}" text-anchor="end">0</text>'
        f'<text y="{HEIGHT + 14}">{begin:g}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT + 14}" text-anchor="end">{xs[-1]:g} {escape(axis)}</text>'
        f'<polyline points="{points}" fill="none" stroke="#1f5fa8" stroke-width="1.5"/>'
    )
