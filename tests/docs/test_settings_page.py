"""Does docs/settings.md say what the code does?"""

from __future__ import annotations

from pathlib import Path

from oxcart.settings import render_settings_page

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_settings_page_is_up_to_date() -> None:
    """Mend with: python -m oxcart.settings > docs/settings.md."""
    assert PAGE.read_text(encoding="utf-8") == render_settings_page()
