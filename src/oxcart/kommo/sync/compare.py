"""Does the mirror say what the account says? Everything is read afresh and compared, row by row; nothing is written.

Of the account only ids are kept, of the mirror a page's hashes at a time. What looks different at first is looked at
once more by its ids: another process may have been writing, and a row that is deleted while pages are read hides
another one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Table, select

from oxcart.errors import InvalidInput
from oxcart.kommo.account import Account
from oxcart.kommo.entities import ENTITIES, PIPELINES
from oxcart.kommo.entity import Entity, Walk
from oxcart.kommo.failures import NoRights
from oxcart.kommo.pages import Row, rows_of
from oxcart.kommo.store.columns import storable
from oxcart.kommo.store.entity_tables import table_of
from oxcart.kommo.store.rows import rows_by_id, within
from oxcart.kommo.store.typed import row_of
from oxcart.kommo.sync.by_ids import IDS_AT_ONCE, can_be_id, moment_of, read_by_ids
from oxcart.kommo.sync.learning import streams_there
from oxcart.kommo.sync.lists import whole_list
from oxcart.kommo.sync.progress import camel

COMPARED = tuple(
    entity.name for entity in ENTITIES.values() if entity.by_id or entity is PIPELINES or entity.walk is Walk.PAGES
)
"""Not the account itself, whose answer has the time in it, nor its events, which never change."""

_MOST_LOOKED_AT_AGAIN = 1000
_ROWS_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Difference:
    """`missing` are in Kommo and not here, `extra` here and not in Kommo, `different` in both."""

    entity: str
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    different: tuple[str, ...]
    remote_count: int
    local_count: int

    @property
    def is_none(self) -> bool:
        return not (self.missing or self.extra or self.different)

    def as_json(self) -> dict[str, Any]:
        return {camel(name): value for name, value in asdict(self).items()}


async def compare_account(account: Account, names: Sequence[str] | None = None) -> list[Difference]:
    """One for each entity, of all or of these. Rows that change while it runs are no difference.

    Left out, unless named: what the account has not, what the settings skip, and users where the token may not read
    them. Raises InvalidInput, KommoError, Unavailable.
    """
    unknown = sorted(set(names or ()) - set(COMPARED))
    if unknown:
        raise InvalidInput(f"Comparing {', '.join(unknown)}: only {', '.join(COMPARED)} can be compared.")
    found = []
    for entity in await streams_there(account, [ENTITIES[name] for name in COMPARED], names):
        try:
            found.append(await _Comparison(account, entity).run())
        except NoRights:
            if names is not None or not entity.needs_admin:
                raise
    return found


@dataclass(frozen=True, slots=True)
class _Local:
    """What the mirror has of a living row."""

    content_hash: str | None
    fetched_at: datetime | None
    seen_at: datetime | None


@dataclass(slots=True)
class _Comparison:
    account: Account
    entity: Entity
    began_at: datetime | None = None
    met: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    different: set[str] = field(default_factory=set)

    async def run(self) -> Difference:
        async for rows, at in self._remote():
            self._judge(rows, await self._local(rows), at)
        extra, count = await self._extra()
        if self.entity.by_id and 0 < len(self.missing | self.different | extra) <= _MOST_LOOKED_AT_AGAIN:
            extra = await self._look_again(self.missing | self.different | extra)
        parts = (_ordered(self.missing), _ordered(extra), _ordered(self.different))
        return Difference(self.entity.name, *parts, len(self.met), count)

    async def _remote(self) -> AsyncIterator[tuple[Mapping[str, Row], datetime]]:
        """And when they were read."""
        client, entity = self.account.client, self.entity
        if entity is PIPELINES:
            answer = await client.get(entity.path, entity.query)
            self.began_at = moment_of(answer.server_time)
            yield {self._key(row): row for row in rows_of(answer.body, entity.key)}, self.began_at
            return
        order = [("order[id]", "asc")] if entity.by_id else []
        async for page in whole_list(client.get, self.account, entity, [*entity.query, *order]):
            at = moment_of(page.server_time)
            self.began_at = self.began_at or at
            yield {self._key(row): row for row in page.rows if row.get("is_deleted") is not True}, at

    def _key(self, row: Row) -> str:
        return storable(str(row["id"]))  # type: ignore[no-any-return]

    def _judge(self, rows: Mapping[str, Row], local: Mapping[str, _Local], at: datetime) -> None:
        """Replaces what was thought of these rows before. What changed since we began is no difference, here or there;
        a time that is still to come is none of those, but set by somebody.
        """
        self.met |= rows.keys()
        self.missing -= rows.keys()
        self.different -= rows.keys()
        for external_id, row in rows.items():
            here = local.get(external_id)
            changed_at = row.get("updated_at")
            began_at = (self.began_at or at).timestamp()
            if isinstance(changed_at, int | float) and began_at < changed_at <= at.timestamp():
                continue
            if here is None:
                self.missing.add(external_id)
            elif here.content_hash != row_of(self.entity, row).content_hash and not (
                here.fetched_at and here.fetched_at > at
            ):
                self.different.add(external_id)

    async def _extra(self) -> tuple[set[str], int]:
        """Living rows of the mirror that are nowhere in the account, and how many live in all."""
        extra: set[str] = set()
        count, last = 0, ""
        while rows := await self._living(after=last):
            count, last = count + len(rows), next(reversed(rows))
            extra |= {
                external_id
                for external_id, here in rows.items()
                if external_id not in self.met and not (self.began_at and here.seen_at and here.seen_at > self.began_at)
            }
        return extra, count

    async def _look_again(self, ids: Iterable[str]) -> set[str]:
        """What is asked for by id is as fresh as can be; so is the mirror, read after it. Returns what is extra now."""
        extra: set[str] = set()
        ordered = [external_id for external_id in _ordered(ids) if can_be_id(external_id)]
        for start in range(0, len(ordered), IDS_AT_ONCE):
            part = ordered[start : start + IDS_AT_ONCE]
            found = await read_by_ids(self.account.client, self.entity, part)
            if found is None:
                return {external_id for external_id in ids if external_id not in self.met}
            local = await self._local(part)
            self._judge(found.rows, local, found.at)
            gone = set(part) - found.rows.keys()
            self.met -= gone
            self.missing -= gone
            self.different -= gone
            extra |= gone & local.keys()
        return extra

    # ------------------------------------------------------------------------------------------ the mirror
    async def _local(self, ids: Iterable[str]) -> dict[str, _Local]:
        """Of these ids, those that live here."""
        table, scope = table_of(self.entity, self.account.connection_id)
        async with self.account.database.reading(f"Comparing {self.entity.name}") as connection:
            alive = [table.c.deleted_at.is_(None)]
            found = await rows_by_id(connection, table, scope, list(ids), *_columns(table), where=alive)
        return {row[0]: _Local(*row[1:]) for row in found}

    async def _living(self, *, after: str) -> dict[str, _Local]:
        table, scope = table_of(self.entity, self.account.connection_id)
        alive = (*within(table, scope), table.c.deleted_at.is_(None), table.c.external_id > after)
        query = select(table.c.external_id, *_columns(table)).where(*alive)
        async with self.account.database.reading(f"Comparing {self.entity.name}") as connection:
            found = await connection.execute(query.order_by(table.c.external_id).limit(_ROWS_AT_ONCE))
        return {row[0]: _Local(*row[1:]) for row in found}


def _columns(table: Table) -> tuple[Column[Any], ...]:
    """Of a _Local."""
    return table.c.content_hash, table.c.fetched_at, table.c.seen_at


def _ordered(ids: Iterable[str]) -> tuple[str, ...]:
    """By number where they are numbers."""
    return tuple(sorted(ids, key=lambda external_id: (len(external_id), external_id)))
