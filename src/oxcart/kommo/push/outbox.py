"""What is to be posted, and how far is it? One row for each key, which no crash can make be posted twice.

pending -> sent -> confirmed or failed. A row is committed as `sent` before its request leaves: whoever finds it so
knows that it may be in the account. `attempts` is its version: two who want to post the same row take it by that
number, and one of them gets it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, bindparam, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.push.drafts import Draft, Kind, marker_of
from oxcart.kommo.store.columns import new_id
from oxcart.kommo.store.own_tables import crm_outbox

_ROWS_AT_ONCE = 100
_ERROR_CHARACTERS = 1000

_box = crm_outbox.c


class Stage(StrEnum):
    """As it lies in the column `state`."""

    PENDING = "pending"
    SENT = "sent"  # perhaps
    CONFIRMED = "confirmed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Item:
    """A row of the outbox. `sent_at` is by the database's clock, `missed_at` by Kommo's.

    A pending one with `sent_at` was refused by a 429: it is looked for before it is posted again.
    """

    id: str
    key: str
    draft: Draft
    stage: Stage
    marker: str
    attempts: int
    remote_id: str | None
    error: str | None
    sent_at: datetime | None
    missed_at: datetime | None

    @property
    def is_open(self) -> bool:
        return self.stage in {Stage.PENDING, Stage.SENT}


async def enter(
    connection: AsyncConnection, connection_id: str, drafts: Mapping[str, Draft], *, at: datetime
) -> list[Item]:
    """The rows of these keys, in their order; those that are new begin as pending, the others stay as they are."""
    insert: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    ordered = sorted(drafts)
    for start in range(0, len(ordered), _ROWS_AT_ONCE):
        rows = [
            {
                "id": new_id(),
                "connection_id": connection_id,
                "key": key,
                "kind": drafts[key].kind,
                "entity_type": drafts[key].entity_type,
                "entity_id": drafts[key].entity_id,
                "payload": drafts[key].payload,
                "state": Stage.PENDING,
                "marker": marker_of(connection_id, key),
                "attempts": 0,
                "created_at": at,
            }
            for key in ordered[start : start + _ROWS_AT_ONCE]
        ]
        statement = insert(crm_outbox).values(rows)
        await connection.execute(statement.on_conflict_do_nothing(index_elements=["connection_id", "key"]))
    return await read_items(connection, connection_id, list(drafts))


async def read_items(connection: AsyncConnection, connection_id: str, keys: Sequence[str]) -> list[Item]:
    """In the order of the keys."""
    found: dict[str, Item] = {}
    for start in range(0, len(keys), _ROWS_AT_ONCE):
        part = keys[start : start + _ROWS_AT_ONCE]
        query = select(crm_outbox).where(_box.connection_id == connection_id, _box.key.in_(part))
        found |= {row.key: _item(row) for row in await connection.execute(query)}
    return [found[key] for key in keys]


async def take(connection: AsyncConnection, items: Sequence[Item], *, at: datetime) -> list[Item]:
    """Those that nobody else has taken since they were read; they are `sent` from now on."""
    statement = (
        update(crm_outbox)
        .where(_as_read(items), _box.state.in_((Stage.PENDING, Stage.SENT)))
        .values(state=Stage.SENT, attempts=_box.attempts + 1, sent_at=at, missed_at=None, error=None)
        .returning(_box.id)
    )
    ours = set((await connection.execute(statement)).scalars())
    return [
        replace(item, stage=Stage.SENT, attempts=item.attempts + 1, sent_at=at, missed_at=None)
        for item in items
        if item.id in ours
    ]


async def confirm(connection: AsyncConnection, remote_ids: Mapping[str, str], *, at: datetime) -> None:
    """They are in the account; row id -> the id there. What they said is the mirror's business from now on."""
    statement = update(crm_outbox).where(_box.id == bindparam("row_id"), _box.state != Stage.CONFIRMED)
    done = {"state": Stage.CONFIRMED, "remote_id": bindparam("new_remote_id"), "finished_at": at}
    statement = statement.values(**done, payload={}, error=None, missed_at=None)
    rows = [{"row_id": row_id, "new_remote_id": remote_ids[row_id]} for row_id in sorted(remote_ids)]
    if rows:
        await connection.execute(statement, rows)


async def fail(connection: AsyncConnection, items: Sequence[Item], errors: Mapping[str, str], *, at: datetime) -> None:
    """They are surely not in the account, and will not get there as they are; row id -> why."""
    for item in sorted(items, key=lambda item: item.id):
        statement = update(crm_outbox).where(_as_read([item]), _box.state == Stage.SENT)
        error = errors[item.id][:_ERROR_CHARACTERS]
        await connection.execute(statement.values(state=Stage.FAILED, error=error, finished_at=at))


async def give_back(connection: AsyncConnection, items: Sequence[Item], *, looked_for_first: bool) -> None:
    """They were not posted. `looked_for_first`: Kommo says so, and is not quite believed."""
    statement = update(crm_outbox).where(_as_read(items), _box.state == Stage.SENT)
    changes: dict[str, Any] = {"state": Stage.PENDING} | ({} if looked_for_first else {"sent_at": None})
    if items:
        await connection.execute(statement.values(changes))


async def reopen(connection: AsyncConnection, items: Sequence[Item]) -> None:
    """What Kommo refused is tried once more."""
    statement = update(crm_outbox).where(_as_read(items), _box.state == Stage.FAILED)
    if items:
        await connection.execute(statement.values(state=Stage.PENDING, sent_at=None, error=None, finished_at=None))


async def note_missed(connection: AsyncConnection, items: Sequence[Item], *, at: datetime) -> None:
    """A list that Kommo made at `at` has them not. Only the first time counts."""
    statement = update(crm_outbox).where(_as_read(items), _box.state == Stage.SENT, _box.missed_at.is_(None))
    if items:
        await connection.execute(statement.values(missed_at=at))


def _as_read(items: Collection[Item]) -> Any:
    return tuple_(_box.id, _box.attempts).in_([(item.id, item.attempts) for item in items])


def _item(row: Row[Any]) -> Item:
    return Item(
        id=row.id,
        key=row.key,
        draft=Draft(Kind(row.kind), row.entity_type, row.entity_id, row.payload),
        stage=Stage(row.state),
        marker=row.marker,
        attempts=row.attempts,
        remote_id=row.remote_id,
        error=row.error,
        sent_at=row.sent_at,
        missed_at=row.missed_at,
    )
