"""How do tests of webhooks read what was marked? By id, 250 at a time, the way of kommo/sync in short."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.account import Account
from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.pages import LARGEST_PAGE, rows_of
from oxcart.kommo.sync.apply import apply_deleted, apply_rows
from oxcart.kommo.sync.marks import Marked, backlog, clear_marks, oldest_marks


@dataclass
class Fetched:
    read: int = 0
    changed: int = 0
    gone: int = 0
    requests: int = 0


async def fetch_marked(account: Account, *, only: Collection[str] | None = None, most: int | None = None) -> Fetched:
    fetched = Fetched()
    async with account.database.reading("Looking") as connection:
        waiting = await backlog(connection, account.connection_id)
    for name in waiting if only is None else only:
        left = min(waiting[name].count, most or waiting[name].count) if name in waiting else 0
        while left > 0:
            async with account.database.reading("Looking") as connection:
                limit = min(left, LARGEST_PAGE)
                marks = await oldest_marks(connection, account.connection_id, name, limit=limit)
            if not marks:
                break
            await _read(account, name, marks, fetched)
            left -= len(marks)
    return fetched


async def _read(account: Account, name: str, marks: list[Marked], fetched: Fetched) -> None:
    entity = ENTITIES[name]
    ids = [("filter[id][]", mark.external_id) for mark in marks]
    answer = await account.client.get(entity.path, [*entity.query, *ids, ("limit", LARGEST_PAGE)])
    at = datetime.fromtimestamp(answer.server_time or 0, UTC)
    rows = rows_of(answer.body, entity.key)
    met = {str(row["id"]) for row in rows}
    gone = {mark.external_id: at for mark in marks if mark.external_id not in met}

    async def write(connection: AsyncConnection) -> None:
        fetched.changed += len(await apply_rows(connection, account, entity, rows, fetched_at=at))
        died = await apply_deleted(connection, account, entity, gone, observed_at=at, source="hook")
        fetched.gone += len(died)
        await clear_marks(connection, account.connection_id, name, marks)

    await account.database.write("Writing", write)
    fetched.read += len(marks)
    fetched.requests += 1
