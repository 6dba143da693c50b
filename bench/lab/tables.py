"""How are figures shown? As Markdown tables that also read well on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lab.goals import GOALS
from lab.results import Results
from lab.roster import BY_NAME, PEERS

Column = tuple[str, str, str]  # heading, case (its ", Python" twin is looked up too), figure


def number(value: float | None) -> str:
    if value is None:
        return "–"
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The first column to the left, figures to the right."""
    table = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        return f"| {' | '.join(cells)} |"

    rule = [f"{'-' * widths[0]}", *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    return "\n".join([line(table[0]), f"| {' | '.join(rule)} |", *(line(row) for row in table[1:])])


def goals(results: Results) -> str:
    rows = []
    for goal in GOALS:
        value = goal.measured(results)
        sign = "<=" if goal.at_most else ">="
        verdict = "not measured" if value is None else "met" if goal.is_met(results) else "MISSED"
        unit = f" {goal.unit}" if goal.unit else ""
        rows.append((goal.title, f"{sign} {goal.limit:g}{unit}", f"{number(value)}{unit}", verdict))
    return markdown(("", "goal", "result", ""), rows)


def cell(results: Results, case: str, peer: str, figure: str) -> str:
    """The median, and from where to where the runs were."""
    for name in (case, f"{case}, Python"):
        value, spread = results.median(name, peer, figure), results.spread(name, peer, figure)
        if value is not None:
            return number(value) + (f" ({number(spread[0])}–{number(spread[1])})" if spread else "")
    return "–"


def by_peer(results: Results, columns: Sequence[Column]) -> str:
    """One row per peer, and one column per figure, that was measured."""
    rows = []
    columns = [
        (heading, case, figure)
        for heading, case, figure in columns
        if any(cell(results, case, peer.name, figure) != "–" for peer in PEERS)
    ]
    for peer in PEERS:
        cells = [cell(results, case, peer.name, figure) for _, case, figure in columns]
        if any(text != "–" for text in cells):
            rows.append((peer.title, *cells))
    return markdown(("", *(heading for heading, _, _ in columns)), rows)


def guarantees(versions: dict[str, str]) -> str:
    rows = ((BY_NAME[name].title, text, BY_NAME[name].guarantee) for name, text in versions.items())
    return markdown(("", "version", "promises, as it is set here"), rows)
