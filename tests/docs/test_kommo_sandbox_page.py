"""Are the tables of docs/kommo-sandbox.md those of the code, and does its control API exist?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.routing import Match

from oxcart_sandbox import World
from oxcart_sandbox.control import control_routes
from oxcart_sandbox.page import render_tables

PAGE = (Path(__file__).parents[2] / "docs" / "kommo-sandbox.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"(GET|POST|PUT|PATCH|DELETE) /sandbox(/[a-zA-Z/]*)", PAGE)))


def test_the_tables_are_current() -> None:
    """Print them anew: python -m oxcart_sandbox.page"""
    assert render_tables() in PAGE


@pytest.mark.parametrize(("method", "path"), NAMED)
def test_each_request_that_it_names_has_a_route(method: str, path: str) -> None:
    scope = {"type": "http", "method": method, "path": path.replace("ID", "1"), "root_path": "", "headers": []}

    assert any(route.matches(scope)[0] is Match.FULL for route in control_routes(World(contacts=0, leads=0)))
