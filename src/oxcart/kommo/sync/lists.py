"""How is a list read that cannot be asked for changes? All its pages; what is in none of them is gone.

A row that goes while the list is read moves the others over the edge of a page, and one can be missed. So what is
missing from several pages is looked for once more before it is believed, and too much missing is not believed at all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.account import Account
from oxcart.kommo.client import Query
from oxcart.kommo.entities import ENTITIES, USERS
from oxcart.kommo.entity import Entity, Walk
from oxcart.kommo.failures import Gone
from oxcart.kommo.pages import Get, Page, walk
from oxcart.kommo.store.columns import new_id
from oxcart.kommo.store.entity_tables import table_of
from oxcart.kommo.store.quarantine import aside_of
from oxcart.kommo.store.rows import count_rows, unseen, within
from oxcart.kommo.sync.apply import apply_deleted, is_too_much
from oxcart.kommo.sync.cursors import Checkpoint, Ended
from oxcart.kommo.sync.stream import Stream, Then, moment

_ALL = 1_000_000


async def read_list(stream: Stream, *, prunes: bool) -> None:
    """Every page. `prunes`: what the list lacks becomes a tombstone.

    A list of several pages that lacks rows is read once more.
    """
    begun = _resumed(stream)
    for is_last in (False, True):
        reading = _Reading(stream, begun, prunes=prunes, is_last=is_last)
        begun = await reading.read()
        if begun is None:
            return


async def whole_list(
    get: Get, account: Account, entity: Entity, query: Query, *, first: int = 1
) -> AsyncIterator[Page]:
    """Its pages. Where each catalog has such a list, those of all of them, numbered through and all from the first.

    Raises what `get` raises; a catalog that is gone has no page.
    """
    if entity.each is None:
        async for page in walk(get, entity.path, entity.key, query, limit=entity.limit, first=first):
            yield page
        return
    last = Page(0, [], False, None)
    for of in await _living_ids(account, ENTITIES[entity.each]):
        try:
            async for page in walk(get, entity.path.format(of), entity.key, query, limit=entity.limit):
                if last.number:
                    yield replace(last, has_more=True)
                last = replace(page, number=last.number + 1)
        except Gone:
            continue
    yield replace(last, number=max(last.number, 1), has_more=False)


async def _living_ids(account: Account, entity: Entity) -> list[str]:
    table, scope = table_of(entity, account.connection_id)
    query = (
        select(table.c.external_id)
        .where(*within(table, scope), table.c.deleted_at.is_(None))
        .order_by(table.c.external_id)
    )
    async with account.database.reading(f"Looking for {entity.name}") as connection:
        return list((await connection.execute(query)).scalars())


def _resumed(stream: Stream) -> Checkpoint | None:
    """Only a walk of everything goes on where it was cut off; run.py has another follow, for what changed before that
    place. Any other begins anew.
    """
    return stream.cursor.checkpoint if stream.goes_on_by_page else None


@dataclass(slots=True)
class _Reading:
    """One time through the pages. `begun` is where an earlier one stands: its last page is read again, rows that went
    since have moved the others.
    """

    stream: Stream
    begun: Checkpoint | None
    prunes: bool
    is_last: bool
    repeats: bool = False
    buried: int = 0

    async def read(self) -> Checkpoint | None:
        """None when the walk is over, else where another reading begins."""
        stream, entity = self.stream, self.stream.entity
        first = max(self.begun.at, 1) if self.begun else 1
        async for page in whole_list(stream.reader.get, stream.account, entity, self._query(), first=first):
            stands = self._stands(page)
            self.begun = stands
            then: Then | Callable[[AsyncConnection], Awaitable[Then]] = stands
            if not page.has_more:
                then = self._closing(page, stands)
            await stream.keep(page, then, run=stands.run)
        stream.tally.deleted += self.buried
        if not self.repeats:
            return None
        return msgspec.structs.replace(self.begun, at=1) if self.begun else None

    def _query(self) -> Query:
        """By id where the list has an order: rows that are edited keep their place, new ones come last."""
        by_id: Query = [("order[id]", "asc")] if self.stream.entity.order is not None else []
        return [*self.stream.query, *by_id]

    def _stands(self, page: Page) -> Checkpoint:
        if self.begun is not None:
            return msgspec.structs.replace(self.begun, at=page.number)
        began = int(moment(page.server_time).timestamp())
        return Checkpoint("pages", page.number, began=began, read_until=began, full=self.stream.full, run=new_id())

    def _closing(self, page: Page, stands: Checkpoint) -> Callable[[AsyncConnection], Awaitable[Then]]:
        """What the last page's transaction does: bury what is missing, or have the list read again."""

        async def close(connection: AsyncConnection) -> Then:
            self.repeats = self.prunes and await self._prune(connection, page, stands)
            if self.repeats:
                return msgspec.structs.replace(stands, at=1)
            began = moment(stands.began)
            return Ended(began, began)

        return close

    async def _prune(self, connection: AsyncConnection, page: Page, stands: Checkpoint) -> bool:
        """True to look once more."""
        stream, entity = self.stream, self.stream.entity
        table, scope = table_of(entity, stream.account.connection_id)
        run, before = str(stands.run), moment(stands.began)
        suspects = await unseen(connection, table, scope, run=run, before=before, limit=_ALL)
        aside = await aside_of(connection, stream.account.connection_id, entity.name)
        suspects = [external_id for external_id in suspects if external_id not in aside]
        if suspects and page.number > 1 and not self.is_last:
            return True
        alive, _ = await count_rows(connection, table, scope)
        stream.tally.notice = self._objection(page, len(suspects), alive)
        if stream.tally.notice is None:
            gone = dict.fromkeys(suspects, moment(page.server_time))
            died = await apply_deleted(
                connection, stream.account, entity, gone, observed_at=moment(page.server_time), source="list"
            )
            self.buried = len(died)
        return False

    def _objection(self, page: Page, suspects: int, alive: int) -> str | None:
        """Why the missing rows are not believed to be deleted. Someone who asks for all anew knows that they are."""
        entity = self.stream.entity
        if suspects and entity is USERS and page.number == 1 and not page.rows:
            return "Reading users: Kommo lists none, which no account can have; nothing was deleted here."
        if not is_too_much(suspects, alive) or (
            self.stream.full and entity.walk is Walk.PAGES and self.stream.cursor.cursor_at is not None
        ):
            return None
        return (
            f"Reading {entity.name}: Kommo lists {suspects} of our {alive} rows no more, too many to be believed; "
            "nothing was deleted here. If the token's user has lost rights, restore them; if the rows are really gone, "
            f"run `oxcart kommo sync {entity.name} --full`."
        )
