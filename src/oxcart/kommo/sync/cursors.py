"""How far has each stream been read, and what has it cost? One row each: cursor, unfinished walk, counts, last error.

Written in the transaction that writes a page's rows, so that neither is ever ahead of the other.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.store.columns import insert_into
from oxcart.kommo.store.own_tables import crm_cursors


class Checkpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a walk stands. Times are the server's, in epoch seconds.

    `at` is a second (everything that changed before it is here) or, of pages, the number of the last one kept. `began`
    is when the walk did, `read_until` the end of what its last run asked for. `run` marks the rows that pages met;
    `width` is how many seconds the next window has.
    """

    walk: Literal["changes", "pages", "windows"]
    at: int
    began: int
    read_until: int
    full: bool = False
    run: str | None = None
    width: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A walk is over: everything that changed before `cursor_at` is here. `full_walk_at`: all there is was read."""

    cursor_at: datetime
    full_walk_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """As it is stored; with nothing in it for a stream that was never read."""

    cursor_at: datetime | None = None
    checkpoint: Checkpoint | None = None
    full_walk_at: datetime | None = None


async def load_cursor(connection: AsyncConnection, connection_id: str, entity: str) -> Cursor:
    cursors = crm_cursors.c
    query = select(cursors.cursor_at, cursors.checkpoint, cursors.full_walk_at)
    found = (
        await connection.execute(query.where(cursors.connection_id == connection_id, cursors.entity == entity))
    ).first()
    return Cursor() if found is None else Cursor(found.cursor_at, _read(found.checkpoint), found.full_walk_at)


async def save_cursor(
    connection: AsyncConnection,
    connection_id: str,
    entity: str,
    then: Checkpoint | Ended | None,
    *,
    rows: int,
    requests: int,
    at: datetime,
    error: str | None = None,
) -> None:
    """`then` is where the walk stands now; None leaves that as it is. Counts are added to those there are.

    The end of a walk clears the last error; `error` is set beside whatever else is said. `at` is by our clock.
    """
    changes: dict[str, Any] = {}
    match then:
        case Checkpoint():
            changes["checkpoint"] = msgspec.to_builtins(then)
        case Ended():
            changes |= {"cursor_at": then.cursor_at, "checkpoint": None, "last_run_at": at, "last_error": None}
            changes |= {"full_walk_at": then.full_walk_at} if then.full_walk_at is not None else {}
    if error is not None:
        changes |= {"last_error": error, "last_run_at": at}
    await add_costs(connection, connection_id, entity, rows=rows, requests=requests, **changes)


async def add_costs(
    connection: AsyncConnection, connection_id: str, entity: str, *, rows: int = 0, requests: int = 0, **values: Any
) -> None:
    """`rows` that changed and `requests` are added to what is there; `values` are other columns, set as given."""
    statement = insert_into(connection, crm_cursors).values(
        connection_id=connection_id, entity=entity, rows_written=rows, requests=requests, **values
    )
    added = {
        "rows_written": crm_cursors.c.rows_written + statement.excluded.rows_written,
        "requests": crm_cursors.c.requests + statement.excluded.requests,
    }
    changes = added | {name: statement.excluded[name] for name in values}
    await connection.execute(statement.on_conflict_do_update(index_elements=["connection_id", "entity"], set_=changes))


def _read(stored: Any) -> Checkpoint | None:
    """None for one that an earlier version wrote in another form: the walk begins again."""
    with contextlib.suppress(msgspec.ValidationError):
        return msgspec.convert(stored, Checkpoint)
    return None
