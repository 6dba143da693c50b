"""Is it in the account already? The newest notes or tasks of its card are searched for its marker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from oxcart import clock
from oxcart.kommo.client import Client
from oxcart.kommo.pages import Page, Row, walk
from oxcart.kommo.push.drafts import Kind, text_of
from oxcart.kommo.push.outbox import Item

_CARDS_AT_ONCE = 50
_SLACK_SECONDS = 3600.0
"""How much older than our request a row may seem: clocks differ, and run at different speeds for a while."""


@dataclass(slots=True)
class Looked:
    """Row id of the outbox -> Kommo's row. `at` is Kommo's time when it made the first of the lists."""

    at: datetime
    found: dict[str, Row] = field(default_factory=dict)


async def find_posted(client: Client, items: Sequence[Item], *, sent_seconds_ago: float) -> Looked:
    """Reads the lists of the cards, newest rows first, back to before `sent_seconds_ago`. Raises KommoError.

    No filter by time: it would have to be in Kommo's time, and ours may be another.
    """
    looked: Looked | None = None
    for path, key, filters, part in _lists(items):
        wanted = {item.marker: item for item in part}
        is_descending, last_id = True, None
        query = [*filters, ("order[id]", "desc")]
        async for page in walk(client.get, path, key, query):
            if looked is None:
                looked = Looked(_moment(page))
            for row in page.rows:
                text = text_of(row)
                for marker in [marker for marker in wanted if marker in text]:
                    looked.found[wanted.pop(marker).id] = row
                is_descending = is_descending and (last_id is None or row["id"] < last_id)
                last_id = row["id"]
            oldest = looked.at.timestamp() - sent_seconds_ago - _SLACK_SECONDS
            if not wanted or (is_descending and page.rows and page.rows[-1].get("created_at", oldest) < oldest):
                break
    return looked or Looked(clock.now_utc())


def _lists(items: Iterable[Item]) -> Iterable[tuple[str, str, list[tuple[str, str | int]], list[Item]]]:
    """Path, key, filters, and whom they may show: so many cards of one type at once."""
    groups: dict[tuple[Kind, str], dict[str, list[Item]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        groups[item.draft.kind, item.draft.entity_type][item.draft.entity_id].append(item)
    for (kind, entity_type), by_card in groups.items():
        cards = sorted(by_card, key=int)
        for start in range(0, len(cards), _CARDS_AT_ONCE):
            part = cards[start : start + _CARDS_AT_ONCE]
            filters: list[tuple[str, str | int]] = [("filter[entity_id][]", card) for card in part]
            if kind is Kind.TASK:
                filters.insert(0, ("filter[entity_type]", entity_type))
            them = [item for card in part for item in by_card[card]]
            yield them[0].draft.stream.path, them[0].draft.stream.key, filters, them


def _moment(page: Page) -> datetime:
    return datetime.fromtimestamp(page.server_time or clock.wall_seconds(), UTC)
