"""How does a figure look? Horizontal bars as SVG, ours in front; readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from lab.tables import number

Bar = tuple[str, float, tuple[float, float] | None]  # label, median, least and most of the runs

_WIDTH, _LABEL, _ROW, _TOP = 760, 190, 26, 44
_BARS = _WIDTH - _LABEL - 110
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#444}.title{font-weight:600;font-size:14px}.bar{fill:#9aa5b1}"
    ".ours{fill:#b5542b}.run{stroke:#222;stroke-width:1.2}"
    "@media(prefers-color-scheme:dark){text{fill:#ccc}.bar{fill:#66717d}.run{stroke:#eee}}"
)


def bars(title: str, unit: str, values: Sequence[Bar]) -> str:
    """One bar per value; the thin line shows the runs' spread. The longest bar fills the width."""
    longest = max([most for _, value, spread in values for most in (value, spread[1] if spread else 0)], default=1) or 1
    height = _TOP + _ROW * len(values) + 10
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"'
        f' aria-label="{escape(title)}">'
    )
    parts = [
        head,
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="0" y="20">{escape(title)} ({escape(unit)})</text>',
    ]
    for row, (label, value, spread) in enumerate(values):
        parts += _bar(label, value, spread, _TOP + row * _ROW, longest)
    return "\n".join([*parts, "</svg>", ""])


def _bar(label: str, value: float, spread: tuple[float, float] | None, y: int, longest: float) -> list[str]:
    kind = "ours" if label == "Oxcart" else "bar"
    end = _LABEL + _BARS * value / longest
    parts = [
        f'<text x="{_LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(label)}</text>',
        f'<rect class="{kind}" x="{_LABEL}" y="{y + 2}" width="{max(1.0, end - _LABEL):.1f}" height="16" rx="2"/>',
    ]
    if spread:
        low, high = (_LABEL + _BARS * edge / longest for edge in spread)
        parts.append(f'<line class="run" x1="{low:.1f}" x2="{high:.1f}" y1="{y + 10}" y2="{y + 10}"/>')
        end = max(end, high)
    parts.append(f'<text x="{end + 6:.1f}" y="{y + 14}">{number(value)}</text>')
    return parts
