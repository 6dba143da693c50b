"""Which sentences about Kommo stand in tables, and are looked up only when they are told? For scripts/messages."""

from __future__ import annotations

from collections.abc import Iterator

from oxcart.kommo.checks import CHECKS
from oxcart.kommo.crypto import Shape
from oxcart.kommo.report import REPORTS
from oxcart.kommo.store.failures import ROWS
from oxcart.settings import DATABASE_URL_ADVICE


def declared_texts() -> Iterator[str]:
    """In the order in which a person meets them; some more than once."""
    for check in CHECKS:
        yield from (check.group, check.title, check.matters)
    for failure in ROWS:
        yield from (failure.summary, failure.advice)
    yield from (shape.value for shape in Shape)
    yield DATABASE_URL_ADVICE
    yield from (report.title for report in REPORTS.values())
