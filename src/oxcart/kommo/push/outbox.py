"""What is to be posted, and how far is it? One row for each key, which no crash can make be posted twice.

pending -> sent -> confirmed or failed. A row is committed as `sent` before its request leaves: whoever finds it so
knows that it may be in the account. `attempts` is its version: two who want to post the same row take it by that
number, and one of them gets it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.push.drafts import Draft, Kind, marker_of
from oxcart.kommo.store.columns import insert_into, new_id
from oxcart.kommo.store.own_tables import crm_outbox

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


async def enter(connection: AsyncConnection, connection_id: str, key: str, draft: Draft, *, at: datetime) -> Item:
    """The row of this key: pending if it is new, else as it stands."""
    row = {
        "id": new_id(),
        "connection_id": connection_id,
        "key": key,
        "kind": draft.kind,
        "entity_type": draft.entity_type,
        "entity_id": draft.entity_id,
        "payload": draft.payload,
        "state": Stage.PENDING,
        "marker": marker_of(connection_id, key),
        "attempts": 0,
        "created_at": at,
    }
    statement = insert_into(connection, crm_outbox).values(row)
    await connection.execute(statement.on_conflict_do_nothing(index_elements=["connection_id", "key"]))
    mine = (_box.connection_id == connection_id, _box.key == key)
    return _item((await connection.execute(select(crm_outbox).where(*mine))).one())


async def reread(connection: AsyncConnection, item: Item) -> Item:
    return _item((await connection.execute(select(crm_outbox).where(_box.id == item.id))).one())


async def take(connection: AsyncConnection, item: Item, *, at: datetime) -> Item | None:
    """It is `sent` from now on; None if another has taken it since it was read."""
    taken = {"state": Stage.SENT, "attempts": item.attempts + 1, "sent_at": at, "missed_at": None, "error": None}
    open_ones = _box.state.in_((Stage.PENDING, Stage.SENT))
    statement = update(crm_outbox).where(*_as_read(item), open_ones).values(taken).returning(crm_outbox)
    found = (await connection.execute(statement)).first()
    return None if found is None else _item(found)


async def confirm(connection: AsyncConnection, item: Item, remote_id: str, *, at: datetime) -> None:
    """It is in the account. What it said is the mirror's business from now on."""
    done = {"state": Stage.CONFIRMED, "remote_id": remote_id, "finished_at": at}
    statement = update(crm_outbox).where(_box.id == item.id, _box.state != Stage.CONFIRMED)
    await connection.execute(statement.values(**done, payload={}, error=None, missed_at=None))


async def fail(connection: AsyncConnection, item: Item, error: str, *, at: datetime) -> None:
    """It is surely not in the account, and will not get there as it is."""
    values = {"state": Stage.FAILED, "error": error[:_ERROR_CHARACTERS], "finished_at": at}
    await _change(connection, item, Stage.SENT, values)


async def give_back(connection: AsyncConnection, item: Item, *, looked_for_first: bool) -> None:
    """It was not posted. `looked_for_first`: Kommo says so, and is not quite believed."""
    await _change(
        connection, item, Stage.SENT, {"state": Stage.PENDING} | ({} if looked_for_first else {"sent_at": None})
    )


async def reopen(connection: AsyncConnection, item: Item) -> None:
    """What Kommo refused is tried once more."""
    values = {"state": Stage.PENDING, "sent_at": None, "error": None, "finished_at": None}
    await _change(connection, item, Stage.FAILED, values)


async def note_missed(connection: AsyncConnection, item: Item, *, at: datetime) -> None:
    """A list that Kommo made at `at` has it not. Only the first time counts."""
    if item.missed_at is None:
        await _change(connection, item, Stage.SENT, {"missed_at": at})


async def _change(connection: AsyncConnection, item: Item, stage: Stage, values: dict[str, Any]) -> None:
    """Nothing if somebody has taken it since it was read."""
    await connection.execute(update(crm_outbox).where(*_as_read(item), _box.state == stage).values(values))


def _as_read(item: Item) -> tuple[Any, ...]:
    return (_box.id == item.id, _box.attempts == item.attempts)


def _item(row: Row[Any]) -> Item:
    draft = Draft(Kind(row.kind), row.entity_type, row.entity_id, row.payload)
    names = ("marker", "attempts", "remote_id", "error", "sent_at", "missed_at")
    return Item(row.id, draft, Stage(row.state), *(getattr(row, name) for name in names))
