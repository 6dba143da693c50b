"""Which rows have vanished without a word? All that a walk over every id does not meet, once each is asked for again.

Contacts that were merged, and whatever hooks, events and the bin did not tell. The walk goes by ascending id: what is
added meanwhile comes last, and what is deleted can only hide a row, which is then asked for by its id. The pages are
written on the way, so a sweep also mends what the mirror says. Killed, it begins again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.errors import InvalidInput
from oxcart.kommo.account import Account
from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.entity import Entity
from oxcart.kommo.failures import Gone, NoRights, Refused, ServerTrouble
from oxcart.kommo.pages import Page, walk
from oxcart.kommo.store.columns import new_id
from oxcart.kommo.store.database import now
from oxcart.kommo.store.entity_tables import table_of
from oxcart.kommo.store.holding import Hold, hold_lease
from oxcart.kommo.store.own_tables import crm_connection_states as states
from oxcart.kommo.store.rows import count_rows, count_unseen, unseen
from oxcart.kommo.sync.apply import apply_deleted, apply_rows, is_too_much
from oxcart.kommo.sync.by_ids import IDS_AT_ONCE, Found, moment_of, read_alone, read_by_ids
from oxcart.kommo.sync.cursors import add_costs
from oxcart.kommo.sync.learning import filters_work, streams_there
from oxcart.kommo.sync.marked import fetch_marked
from oxcart.kommo.sync.marks import Marked, clear_marks, marks_on
from oxcart.kommo.sync.progress import Listener, Meter

SWEPT = tuple(entity.name for entity in ENTITIES.values() if entity.by_id)
"""Companies, contacts, leads, tasks and notes. The other streams are read whole by each sync."""

_ACCEPT = "look at the account, and if they are really gone run `oxcart kommo sweep --accept`"


@dataclass(frozen=True, slots=True)
class Swept:
    """`met` rows are there, `suspects` were not on any page, `tombstoned` of these are gone.

    `guarded`: what was not met was not deleted, for the reason in `error`.
    """

    entity: str
    met: int = 0
    suspects: int = 0
    tombstoned: int = 0
    guarded: bool = False
    requests: int = 0
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


async def sweep_account(
    account: Account,
    names: Sequence[str] | None = None,
    *,
    accept: bool = False,
    on_progress: Listener | None = None,
) -> list[Swept]:
    """One sweep of each entity, or of these. Raises InvalidInput for others; KommoError when the account as a whole is
    refused, Unavailable.

    Nothing is deleted when a page failed, when the token's user is no administrator (what he may not see looks
    deleted; rows are read again all the same), or when more than a fifth and more than 100 of an entity's rows are
    missing. `accept`: a person says that the last two are in order.
    """
    unknown = sorted(set(names or ()) - set(SWEPT))
    if unknown:
        raise InvalidInput(f"Sweeping {', '.join(unknown)}: only {', '.join(SWEPT)} can be swept.")
    wanted = [entity.name for entity in await streams_there(account, [ENTITIES[name] for name in SWEPT], names)]
    is_admin = await _is_admin(account)
    meter = Meter(wanted, await _expected(account, wanted), on_progress)
    swept = []
    for name in wanted:
        meter.begin()
        swept.append(await _Sweep(account, ENTITIES[name], accept, meter, buries=is_admin or accept).run())
        await meter.end(name)
    return swept


async def _expected(account: Account, names: Sequence[str]) -> dict[str, int]:
    """About as many rows as there are here will be met."""
    async with account.database.reading("Counting what is here") as connection:
        return {
            name: (await count_rows(connection, *table_of(ENTITIES[name], account.connection_id)))[0] for name in names
        }


async def _is_admin(account: Account) -> bool:
    """True as long as nobody has found otherwise."""
    query = select(states.c.settings).where(states.c.connection_id == account.connection_id)
    async with account.database.reading("Reading what is known of the account") as connection:
        known = (await connection.execute(query)).scalar_one_or_none() or {}
    return known.get("is_admin") is not False


@dataclass(slots=True)
class _Sweep:
    """One entity."""

    account: Account
    entity: Entity
    accept: bool
    meter: Meter
    buries: bool
    run_id: str = field(default_factory=new_id)
    began_at: datetime | None = None
    met: int = 0
    gone: int = 0
    requests: int = 0

    async def run(self) -> Swept:
        scope = f"sweep:{self.account.connection_id}:{self.entity.name}"
        async with hold_lease(self.account.database, scope) as hold:
            if hold is None:
                return Swept(self.entity.name, error=f"Another process is sweeping {self.entity.name} now.")
            return await self._sweep(hold)

    async def _sweep(self, hold: Hold) -> Swept:
        suspects, error = 0, None
        try:
            await self._walk(hold)
            suspects = await self._count_suspects()
            error = await self._guard(suspects) if self.buries else self._blind(suspects)
            if error is None and suspects:
                await self._bury(hold)
            self.requests += (await fetch_marked(self.account, only={self.entity.name})).requests
        except NoRights as refused:
            error = str(refused)
        except (Gone, Refused, ServerTrouble) as failed:
            error = f"A page could not be read, so {'no more' if self.gone else 'nothing'} was deleted. {failed}"
        if not hold.is_ours:
            error = f"The sweep of {self.entity.name} lost its lease and stopped; the next one begins again."
        return await self._end(suspects, error)

    # ------------------------------------------------------------------------------------------ steps
    async def _walk(self, hold: Hold) -> None:
        """Every page, each in a transaction of its own."""
        client, entity = self.account.client, self.entity
        query = [*entity.query, ("order[id]", "asc")]
        async for page in walk(client.get, entity.path, entity.key, query, limit=entity.limit):
            at = moment_of(page.server_time)
            self.began_at = self.began_at or at
            await self._write_page(page, at)
            await self.meter.page(entity.name, len(page.rows))
            if not hold.is_ours:
                return

    async def _write_page(self, page: Page, at: datetime) -> None:
        async def write(connection: AsyncConnection) -> None:
            what: dict[str, Any] = {"fetched_at": at, "run": self.run_id, "broken": page.broken}
            changed = await apply_rows(connection, self.account, self.entity, page.rows, **what)
            await add_costs(connection, self.account.connection_id, self.entity.name, rows=len(changed), requests=1)

        self.requests, self.met = self.requests + 1, self.met + len(page.rows)
        await self.account.database.write(f"Writing {self.entity.name}", write)

    def _blind(self, suspects: int) -> str | None:
        """Rows were read again, which is all that can be done."""
        if not suspects:
            return None
        return (
            f"{suspects} {self.entity.name} were not met, and nothing was deleted. What a user who is no administrator "
            "may not see looks deleted. Have an administrator connect the account."
        )

    async def _guard(self, suspects: int) -> str | None:
        """Why nothing may be deleted, if so."""
        living = await self._living()
        if self.accept or not is_too_much(suspects, living):
            return None
        return (
            f"{suspects} of {living} {self.entity.name} are missing in Kommo, which is more than a fifth, so nothing "
            f"was deleted. Perhaps the token's user has lost rights: {_ACCEPT}."
        )

    async def _bury(self, hold: Hold) -> None:
        """Ask for every suspect by its id, 250 at a time; what is still missing is gone."""
        last, filters = None, await filters_work(self.account, self.entity)
        while hold.is_ours:
            ids = await self._suspects(after=last)
            if not ids:
                return
            last, marks = ids[-1], await self._marks(ids)
            if filters:
                self.requests += 1
                found = await read_by_ids(self.account.client, self.entity, ids)
                filters = found is not None
                if found is not None:
                    await self._settle(found, marks)
                    continue
            for external_id in ids:
                self.requests += 1
                await self._settle(
                    await read_alone(self.account.client, self.entity, external_id, otherwise=self._before()),
                    [mark for mark in marks if mark.external_id == external_id],
                )

    async def _settle(self, found: Found, marks: Sequence[Marked]) -> None:
        """And the end of the marks that these rows had before they were asked for: nobody need ask again."""
        deleted = {**found.deleted, **dict.fromkeys(found.absent, found.at)}

        async def write(connection: AsyncConnection) -> int:
            account, entity, rows = self.account, self.entity, list(found.rows.values())
            changed = await apply_rows(
                connection, account, entity, rows, fetched_at=found.at, run=self.run_id, by_id=True
            )
            died = await apply_deleted(connection, account, entity, deleted, observed_at=found.at, source="sweep")
            await clear_marks(connection, account.connection_id, entity.name, marks)
            await add_costs(connection, account.connection_id, entity.name, rows=len(changed | died), requests=1)
            return len(died)

        self.gone += await self.account.database.write(f"Burying {self.entity.name}", write)

    async def _end(self, suspects: int, error: str | None) -> Swept:
        async def write(connection: AsyncConnection) -> None:
            values = {"sweep_error": error} if error else {"sweep_error": None, "swept_at": await now(connection)}
            await add_costs(connection, self.account.connection_id, self.entity.name, **values)

        await self.account.database.write(f"Ending the sweep of {self.entity.name}", write)
        return Swept(self.entity.name, self.met, suspects, self.gone, error is not None, self.requests, error)

    # ------------------------------------------------------------------------------------------ looking
    def _before(self) -> datetime:
        """Rows met in the second in which we began are suspects, too: the server tells no smaller times."""
        return (self.began_at or moment_of(None)) + timedelta(seconds=1)

    async def _count_suspects(self) -> int:
        table, scope = table_of(self.entity, self.account.connection_id)
        async with self.account.database.reading("Looking for what was not met") as connection:
            return await count_unseen(connection, table, scope, run=self.run_id, before=self._before())

    async def _marks(self, ids: Sequence[str]) -> list[Marked]:
        async with self.account.database.reading("Looking for marked rows") as connection:
            return await marks_on(connection, self.account.connection_id, self.entity.name, ids)

    async def _suspects(self, *, after: str | None) -> list[str]:
        table, scope = table_of(self.entity, self.account.connection_id)
        async with self.account.database.reading("Looking for what was not met") as connection:
            return await unseen(
                connection, table, scope, run=self.run_id, before=self._before(), limit=IDS_AT_ONCE, after=after
            )

    async def _living(self) -> int:
        table, scope = table_of(self.entity, self.account.connection_id)
        async with self.account.database.reading("Counting what is here") as connection:
            return (await count_rows(connection, table, scope))[0]
