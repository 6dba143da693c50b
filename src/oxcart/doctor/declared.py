"""Which sentences stand in tables, and are looked up in the catalogue only when they are told? For scripts/messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oxcart.checks import Check
from oxcart.conditions import CONDITIONS
from oxcart.connection import redis_url
from oxcart.connection.failure_table import ROWS
from oxcart.connection.upstash import FORM
from oxcart.doctor import pages, upstash, verify, verify_work
from oxcart.doctor.checks import environment, server
from oxcart.doctor.examine import CHECKS
from oxcart.settings import knobs_of
from oxcart.settings.load import PIECES
from oxcart.settings.platform import SET_DRAINING


def declared_texts() -> Iterator[str]:
    """In the order in which a person meets them; some more than once."""
    checks: tuple[Check[Any], ...] = (*CHECKS, *verify.CHECKS)
    for check in checks:
        yield from (check.group, check.title, check.matters)
    for condition in CONDITIONS:
        yield from (condition.summary, condition.cure)
    for failure in ROWS:
        yield from (failure.summary, failure.advice, *failure.by_provider.values())
    for row in upstash.ROWS:
        yield from (row.summary, row.action, *filter(None, [row.doubt]))
    yield from (word.value for kind in (upstash.Rest, upstash.Alphabet) for word in kind)
    yield from environment.CURES.values()
    yield from (*server.NOEVICTION.values(), server.SET_NOEVICTION)
    yield verify_work.LOOK_AT_QUEUE
    yield from (heading for heading, _ in pages.PARTS)
    yield from pages.AGAIN.values()
    yield from (knob.form.template for piece in PIECES for _, knob in knobs_of(piece))
    yield from (option.form.template for option in redis_url.OPTIONS.values())
    yield from (FORM, SET_DRAINING)
