"""Is it in the account already? The newest notes or tasks of its card are searched for its marker."""

from __future__ import annotations

from datetime import UTC, datetime

from oxcart import clock
from oxcart.kommo.client import Client
from oxcart.kommo.pages import Row, walk
from oxcart.kommo.push.drafts import Kind, text_of
from oxcart.kommo.push.outbox import Item

_SLACK_SECONDS = 3600.0
"""How much older than our request a row may seem: clocks differ, and run at different speeds for a while."""


async def find_posted(client: Client, item: Item, *, sent_seconds_ago: float) -> tuple[datetime, Row | None]:
    """Kommo's time when it made the list, and the row. Newest rows first, back to before `sent_seconds_ago`.

    No filter by time: it would have to be in Kommo's time, and ours may be another. Raises KommoError.
    """
    draft, at, last_id, is_descending = item.draft, None, None, True
    kind = [("filter[entity_type]", draft.entity_type)] if draft.kind is Kind.TASK else []
    query = [*kind, ("filter[entity_id][]", draft.entity_id), ("order[id]", "desc")]
    async for page in walk(client.get, draft.stream.path, draft.stream.key, query):
        at = at or datetime.fromtimestamp(page.server_time or clock.wall_seconds(), UTC)
        oldest = at.timestamp() - sent_seconds_ago - _SLACK_SECONDS
        for row in page.rows:
            if item.marker in text_of(row):
                return at, row
            is_descending = is_descending and (last_id is None or row["id"] < last_id)
            last_id = row["id"]
        if is_descending and page.rows and page.rows[-1].get("created_at", oldest) < oldest:
            break
    return at or clock.now_utc(), None
