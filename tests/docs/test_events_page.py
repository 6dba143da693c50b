"""Is docs/events.md what the code says?"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import get_args

from oxcart.telemetry.events import Event
from oxcart.telemetry.events_page import render_events_page
from oxcart.telemetry.lines import RULES

PAGE = Path(__file__).parents[2] / "docs" / "events.md"


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_events_page(), "write render_events_page() to docs/events.md"


def test_every_event_has_a_row_with_its_meaning_and_fields() -> None:
    rows = {line.split("`")[1]: line for line in render_events_page().splitlines() if line.startswith("| `")}

    for kind in get_args(Event):
        row = rows[kind.__name__]
        assert f"`{RULES[kind].event}`" in row
        assert f"{kind.__name__}(" not in row, "the event needs a docstring of its own"
        assert all(f"`{field.name}`" in row for field in fields(kind))
