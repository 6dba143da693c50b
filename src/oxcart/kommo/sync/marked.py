"""What do the marked rows say now? Read by id, oldest mark first, and written with the end of their marks.

A row that does not come is gone only when two things say so. Of a mark that says "deleted" the read is the second.
For any other mark, a hook of a row that was just added or edited, the answer may lag behind: the row is asked for once
more half a minute later. So a flood of deletions costs nothing beyond its 250 ids a request, and a new row is never
buried because a read was late.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.account import Account
from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.entity import Entity
from oxcart.kommo.failures import Gone, KommoError, NoRights, Refused, ServerTrouble
from oxcart.kommo.store.holding import LEASE_SECONDS, Hold, hold_lease
from oxcart.kommo.sync.apply import apply_deleted, apply_rows
from oxcart.kommo.sync.by_ids import IDS_AT_ONCE, Found, can_be_id, moment_of, read_alone, read_by_ids
from oxcart.kommo.sync.cursors import add_costs
from oxcart.kommo.sync.learning import filters_work
from oxcart.kommo.sync.marks import Marked, backlog, clear_marks, oldest_marks, postpone_marks

_DELETE = "delete"
# A holder that was killed is in the way no longer than its lease; one that lives gives it back.
_WAIT_SECONDS = 2 * LEASE_SECONDS
_MARKS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Fetched:
    """How many marks were read, how many rows changed by it, how many of these are gone, and what it cost.

    `waiting` rows did not come, and are to be asked for again.
    """

    read: int = 0
    changed: int = 0
    gone: int = 0
    requests: int = 0
    waiting: int = 0

    def __add__(self, other: Fetched) -> Fetched:
        return Fetched(
            self.read + other.read,
            self.changed + other.changed,
            self.gone + other.gone,
            self.requests + other.requests,
            self.waiting + other.waiting,
        )


async def fetch_marked(account: Account, *, only: Collection[str] | None = None, most: int | None = None) -> Fetched:
    """Read and clear the marks that there are when it begins, of all entities or of `only` these, `most` of each.

    At most one process reads an entity's marks at a time; another waits, and reads what is left. Marks made meanwhile
    stay for the next call.
    An entity that Kommo refuses does not keep the others from being read; the error is raised at the end.
    Raises KommoError, Unavailable; what was read until then is written.
    """
    async with account.database.reading("Looking for marked rows") as connection:
        waiting = await backlog(connection, account.connection_id)
    fetched, failed = Fetched(), None
    for name, entity in ENTITIES.items():
        if name not in waiting or not entity.by_id or (only is not None and name not in only):
            continue
        reader = _Reader(account, entity, most)
        try:
            await reader.read_all()
        except NoRights as error:
            await reader.give_up(error)
        except (Gone, Refused, ServerTrouble) as error:
            await reader.note_error(error)
            failed = failed or error
        fetched += reader.fetched
    if failed is not None:
        raise failed
    return fetched


@dataclass(slots=True)
class _Reader:
    """The marks of one entity, during one call."""

    account: Account
    entity: Entity
    most: int | None = None
    fetched: Fetched = field(default_factory=Fetched)

    async def read_all(self) -> None:
        scope = f"marked:{self.account.connection_id}:{self.entity.name}"
        async with hold_lease(self.account.database, scope, wait_seconds=_WAIT_SECONDS) as hold:
            if hold is not None:
                await self._read_by_ids(hold)

    async def give_up(self, error: NoRights) -> None:
        """What the token may not see cannot be read: the marks would wait for ever. A walk reads it once it may."""
        await self.note_error(error)
        marks = await self._marks(limit=_MARKS_AT_ONCE)
        while marks:
            await self._clear(marks)
            marks = await self._marks(limit=_MARKS_AT_ONCE)

    async def note_error(self, error: KommoError) -> None:
        async def write(connection: AsyncConnection) -> None:
            await add_costs(connection, self.account.connection_id, self.entity.name, requests=1, last_error=str(error))

        await self.account.database.write(f"Noting what happened to {self.entity.name}", write)

    # ------------------------------------------------------------------------------------------ reading
    async def _read_by_ids(self, hold: Hold) -> None:
        filters = await filters_work(self.account, self.entity)
        left, last = await self._count(), None
        left = left if self.most is None else min(left, self.most)
        while left > 0 and hold.is_ours:
            marks = await self._marks(limit=min(left, IDS_AT_ONCE), after=last)
            if not marks:
                return
            left, last = left - len(marks), marks[-1]
            usable = [mark for mark in marks if can_be_id(mark.external_id)]
            if len(usable) < len(marks):
                await self._clear([mark for mark in marks if not can_be_id(mark.external_id)])
            if usable:
                filters = await self._read_some(usable, filters=filters, hold=hold)

    async def _read_some(self, marks: Sequence[Marked], *, filters: bool, hold: Hold) -> bool:
        """At most 250. Returns whether the account still obeys the filter by id."""
        client = self.account.client
        if filters:
            found = await read_by_ids(client, self.entity, [mark.external_id for mark in marks])
            if found is not None:
                await self._settle(found, marks)
                return True
            self.fetched += Fetched(requests=1)
        for mark in marks:
            if not hold.is_ours:
                break
            found = await read_alone(client, self.entity, mark.external_id, otherwise=moment_of(None))
            await self._settle(found, [mark])
        return False

    async def _settle(self, found: Found, marks: Sequence[Marked]) -> None:
        """Rows, tombstones and the end of the marks, in one transaction."""
        waiting = [
            one for one in marks if one.external_id in found.absent and not one.is_second and one.action != _DELETE
        ]
        settled = [mark for mark in marks if mark not in waiting]
        by_source = _gone_by_source(found, settled)

        async def write(connection: AsyncConnection) -> Fetched:
            rows, name, whose = list(found.rows.values()), self.entity.name, self.account.connection_id
            changed = await apply_rows(connection, self.account, self.entity, rows, fetched_at=found.at, by_id=True)
            died: set[str] = set()
            for source, gone in by_source.items():
                died |= await apply_deleted(
                    connection, self.account, self.entity, gone, observed_at=found.at, source=source
                )
            await clear_marks(connection, whose, name, settled)
            await postpone_marks(connection, whose, name, waiting)
            written = Fetched(len(settled), len(changed | died), len(died), 1, len(waiting))
            await add_costs(connection, whose, name, rows=written.changed, requests=1)
            return written

        self.fetched += await self.account.database.write(f"Writing marked {self.entity.name}", write)

    # ------------------------------------------------------------------------------------------ marks
    async def _count(self) -> int:
        async with self.account.database.reading("Counting marked rows") as connection:
            waiting = (await backlog(connection, self.account.connection_id)).get(self.entity.name)
        return waiting.count if waiting else 0

    async def _marks(self, *, limit: int, after: Marked | None = None) -> list[Marked]:
        connection_id, name = self.account.connection_id, self.entity.name
        async with self.account.database.reading("Looking for marked rows") as connection:
            return await oldest_marks(connection, connection_id, name, limit=limit, after=after)

    async def _clear(self, marks: Sequence[Marked]) -> None:
        async def write(connection: AsyncConnection) -> None:
            await clear_marks(connection, self.account.connection_id, self.entity.name, marks)

        await self.account.database.write("Clearing marks", write)


def _gone_by_source(found: Found, marks: Sequence[Marked]) -> Mapping[str, dict[str, datetime]]:
    gone: dict[str, dict[str, datetime]] = {}
    for mark in marks:
        if mark.external_id in found.deleted:
            gone.setdefault(mark.source, {})[mark.external_id] = found.deleted[mark.external_id]
        elif mark.external_id in found.absent:
            gone.setdefault(mark.source, {})[mark.external_id] = _gone_at(mark, found.at)
    return gone


def _gone_at(mark: Marked, observed_at: datetime) -> datetime:
    """When it was deleted: by whoever told of it, else by us, who noticed."""
    if mark.action == _DELETE and mark.hinted_at is not None:
        return min(mark.hinted_at, observed_at)
    return observed_at
