"""Does docs/cli.md say what the commands do?"""

from __future__ import annotations

from pathlib import Path

from oxcart.cli.page import render_cli_page

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_is_up_to_date() -> None:
    """Mend with: python -m oxcart.cli.page > docs/cli.md."""
    assert PAGE.read_text(encoding="utf-8") == render_cli_page()


def test_every_option_says_what_it_does() -> None:
    rows = [line for line in render_cli_page().splitlines() if line.startswith("| `")]

    assert len(rows) > 50
    for row in rows:
        assert row.rstrip(" |").endswith("."), row
        assert "None" not in row
