"""How are rows asked for by their ids? 250 at a time; one alone where that is not to be believed.

Lists by time or page may lag behind a change; a filter by id is taken to be as fresh as a read by id, which nobody
outside Kommo knows: where it matters the row is read alone (docs/kommo-sandbox.md).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from oxcart import clock
from oxcart.kommo.client import Client
from oxcart.kommo.entity import Entity
from oxcart.kommo.failures import Gone
from oxcart.kommo.pages import LARGEST_PAGE, Row, broken_of, rows_of
from oxcart.kommo.store.quarantine import key_of

IDS_AT_ONCE = LARGEST_PAGE
"""With a longest id of 18 digits the request line stays below the 8 KiB that servers take."""

_LONGEST_ID = 18


@dataclass(frozen=True, slots=True)
class Found:
    """What the account has of the ids asked for, at `at` by its own clock.

    `deleted` are those it shows as deleted, and since when; `absent` those it does not show at all.
    """

    at: datetime
    rows: Mapping[str, Row] = field(default_factory=dict)
    deleted: Mapping[str, datetime] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()


def can_be_id(text: str) -> bool:
    """Whether Kommo could have such a row; anything else in a filter would spoil the whole request."""
    return text.isascii() and text.isdecimal() and len(text) <= _LONGEST_ID


def moment_of(server_time: int | None) -> datetime:
    """An answer's Date; our own clock for an answer without one."""
    return clock.now_utc() if server_time is None else datetime.fromtimestamp(server_time, UTC)


async def read_by_ids(client: Client, entity: Entity, ids: Collection[str]) -> Found | None:
    """At most 250, by one GET. None: the account ignores the filter, and its answer says nothing. Raises KommoError."""
    wanted = frozenset(ids)
    named = [("filter[id][]", external_id) for external_id in sorted(wanted)]
    answer = await client.get(entity.path, [*entity.query, *named, ("page", 1), ("limit", entity.limit)])
    rows = {str(row.get("id")): row for row in rows_of(answer.body, entity.key)}
    if rows.keys() - wanted:
        return None
    broken = {key_of(one) for one in broken_of(answer.body, entity.key)}
    return _found(rows, wanted - broken, moment_of(answer.server_time))


async def read_alone(client: Client, entity: Entity, external_id: str, *, otherwise: datetime) -> Found:
    """One row at its own address, the freshest answer there is. `otherwise` is the time of an answer without a Date.

    Raises KommoError.
    """
    try:
        answer = await client.get(f"{entity.path}/{external_id}", entity.query)
    except Gone:
        return Found(otherwise, absent=frozenset({external_id}))
    row = answer.body if isinstance(answer.body, dict) and str(answer.body.get("id")) == external_id else None
    at = otherwise if answer.server_time is None else moment_of(answer.server_time)
    return _found({external_id: row} if row else {}, frozenset({external_id}), at)


def _found(rows: Mapping[str, Row], wanted: frozenset[str], at: datetime) -> Found:
    deleted = {external_id: _deleted_at(row, at) for external_id, row in rows.items() if row.get("is_deleted") is True}
    living = {external_id: row for external_id, row in rows.items() if external_id not in deleted}
    return Found(at, living, deleted, wanted - rows.keys())


def _deleted_at(row: Mapping[str, Any], at: datetime) -> datetime:
    """A row goes to the bin by its last change."""
    changed_at = row.get("updated_at")
    usable = isinstance(changed_at, int) and not isinstance(changed_at, bool) and 0 < changed_at < at.timestamp()
    return datetime.fromtimestamp(changed_at, UTC) if usable and changed_at else at
