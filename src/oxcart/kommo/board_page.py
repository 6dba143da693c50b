"""What does the board's page of Kommo show? How many rows an account has, how current, what was done last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from oxcart.kommo.store.connections import StoredConnection, list_connections
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.database_url import database_of
from oxcart.kommo.store.opening import open_database
from oxcart.kommo.sync.marks import backlog
from oxcart.kommo.sync.status import EntityStatus, read_status
from oxcart.language import tr
from oxcart.settings import Settings


async def tables(settings: Settings) -> Sequence[Mapping[str, Any]]:
    """As board.door.Extra has them. Raises SettingsError where there is no database for it, Unavailable."""
    async with open_database(database_of(settings)) as database:
        async with database.reading("Looking for connected accounts") as connection:
            stored = await list_connections(connection)
        return [await _account(database, each) for each in stored]


async def _account(database: Database, stored: StoredConnection) -> Mapping[str, Any]:
    async with database.reading("Reading the state of an account") as connection:
        entities = await read_status(connection, stored.id)
        waiting = await backlog(connection, stored.id)
    note = (
        tr("connected") if stored.is_connected else tr("must be connected again: {reason}", reason=stored.reauth_reason)
    )
    marked = ", ".join(f"{found.count} {entity}" for entity, found in waiting.items())
    return {
        "title": stored.domain,
        "note": f"{note}; " + tr("waiting: {marked}", marked=marked) if marked else note,
        "head": [
            tr("Entity"),
            tr("Rows"),
            tr("Deleted"),
            tr("Current"),
            tr("Last run"),
            tr("Written"),
            tr("Requests"),
            "",
        ],
        "rows": [_row(one) for one in entities],
    }


def _row(one: EntityStatus) -> list[Any]:
    problem = one.last_error or (tr("{count} set aside", count=one.aside) if one.aside else "")
    times = [_ms(one.cursor_at), _ms(one.last_run_at)]
    return [one.entity, one.rows, one.deleted, *times, one.rows_written, one.requests, problem[:200]]


def _ms(moment: datetime | None) -> dict[str, int] | str:
    return "–" if moment is None else {"ms": round(moment.timestamp() * 1000)}
