"""What do the demo and the sandbox say where the local Kommo is not installed?"""

from __future__ import annotations

import sys

import pytest

from oxcart.cli.exits import Refused
from oxcart.cli.sandbox import require_sandbox


def test_they_say_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "oxcart_sandbox", None)

    with pytest.raises(Refused, match="pip install oxcart-sandbox"):
        require_sandbox()


def test_in_a_checkout_it_is_there() -> None:
    require_sandbox()
