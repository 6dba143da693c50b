"""Which words of commands stand in tables, and are looked up only when they are told? For scripts/messages."""

from __future__ import annotations

from collections.abc import Iterator

from oxcart.cli.helping import CLICK_WORDS, NUMBER_TYPES, help_texts
from oxcart.cli.init import declared_texts as of_init
from oxcart.cli.job_view import COLUMNS, WAITING
from oxcart.cli.jobs_change import WORDS
from oxcart.cli.json_input import JSON_PROBLEMS
from oxcart.cli.program import build_command
from oxcart.cli.status import HEADINGS
from oxcart.queue.cron import FIELD_NAMES


def declared_texts() -> Iterator[str]:
    yield from filter(None, HEADINGS)
    for when, _, heading, _ in (WAITING, *COLUMNS.values()):
        yield from (when, heading)
    yield from WORDS
    yield from of_init()
    yield from (*CLICK_WORDS, *NUMBER_TYPES, *JSON_PROBLEMS, *FIELD_NAMES)
    yield from help_texts(build_command())
