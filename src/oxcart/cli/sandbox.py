"""Where does the local Kommo come from? A package of its own, which a worker in production does without."""

from __future__ import annotations

from oxcart.cli.exits import FAILED, Refused
from oxcart.language import tr


def require_sandbox() -> None:
    """Raises Refused, with how to get it."""
    try:
        import oxcart_sandbox  # noqa: F401 - whether it is there
    except ModuleNotFoundError as error:
        message = tr(
            "The local Kommo is not installed with Oxcart itself. Install it beside it: pip install oxcart-sandbox "
            "(in a checkout: uv pip install ./sandbox)."
        )
        raise Refused(message, FAILED) from error
