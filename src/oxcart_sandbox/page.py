"""What does docs/kommo-sandbox.md say of scenarios? Two tables, made from their declarations.

python -m oxcart_sandbox.page prints them; a test fails when the page has others.
"""

from __future__ import annotations

import sys
from dataclasses import fields

from oxcart_sandbox.scenario import SCENARIOS, Scenario


def render_tables() -> str:
    return f"{_scenarios()}\n\n{_switches()}\n"


def _scenarios() -> str:
    """A scenario is what it sets otherwise than calm."""
    rows = ["| scenario | sets |", "|---|---|"]
    for name, scenario in SCENARIOS.items():
        others = [
            f"`{item.name}={_text(getattr(scenario, item.name))}`"
            for item in fields(Scenario)
            if getattr(scenario, item.name) != item.default
        ]
        rows.append(f"| `{name}` | {', '.join(others) or 'nothing: the defaults below'} |")
    return "\n".join(rows)


def _switches() -> str:
    rows = ["| switch | default | meaning |", "|---|---|---|"]
    rows += [f"| `{item.name}` | `{_text(item.default)}` | {item.metadata['meaning']} |" for item in fields(Scenario)]
    return "\n".join(rows)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.stdout.write(render_tables())
