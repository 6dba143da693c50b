"""How does a test compare the mirror with the account? It fills one from the other, and looks at both from outside."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, update

from oxcart.kommo.account import Account
from oxcart.kommo.client import LongLivedToken
from oxcart.kommo.entities import ENTITIES, PIPELINES
from oxcart.kommo.pages import rows_of
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.entity_tables import table_of
from oxcart.kommo.store.own_tables import crm_connection_states, crm_cursors, crm_dirty
from oxcart.kommo.sync.apply import apply_rows
from oxcart.kommo.sync.by_ids import moment_of
from oxcart.kommo.sync.lists import whole_list
from oxcart.kommo.sync.marks import Mark, backlog, mark_dirty
from oxcart.secret import Secret
from oxcart_sandbox.scenario import change_scenario
from support.sandbox import Sandbox


@dataclass
class Mirror:
    """The account `demo` of a sandbox, and what the database has of it."""

    sandbox: Sandbox
    account: Account
    seen: int = field(default=0)

    @property
    def database(self) -> Database:
        return self.account.database

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.sandbox.world.clock.seconds(), UTC)

    def later(self, seconds: float = 10) -> None:
        self.sandbox.world.clock.advance(seconds)

    def change_scenario(self, **switches: Any) -> None:
        self.sandbox.world.scenario = change_scenario(self.sandbox.world.scenario, switches)

    async def fill(self, *names: str) -> None:
        """Everything that lists show now; a few seconds pass after it."""
        for name in names:
            entity = ENTITIES[name]
            if entity is PIPELINES:
                answer = await self.account.client.get(entity.path)
                await self._apply(name, rows_of(answer.body, entity.key), answer.server_time)
                continue
            async for page in whole_list(self.account.client.get, self.account, entity, entity.query):
                await self._apply(name, page.rows, page.server_time)
        self.later()

    async def _apply(self, name: str, rows: list[dict[str, Any]], server_time: int | None) -> None:
        async with self.database.writing("Arranging") as connection:
            await apply_rows(connection, self.account, ENTITIES[name], rows, fetched_at=moment_of(server_time))

    async def mark(
        self, name: str, ids: Iterable[int | str], action: str = "update", at: datetime | None = None, **more: Any
    ) -> None:
        marks = [Mark(name, str(row_id), action, at, **more) for row_id in ids]
        async with self.database.writing("Arranging") as connection:
            await mark_dirty(connection, self.account.connection_id, marks, at=datetime.now(UTC))

    async def let_half_a_minute_pass(self) -> None:
        """What did not come is due again."""
        async with self.database.writing("Arranging") as connection:
            again = crm_dirty.c.due_at.is_not(None)
            await connection.execute(update(crm_dirty).where(again).values(due_at=datetime.now(UTC) - timedelta(1)))

    async def waiting(self) -> dict[str, int]:
        """Marks by entity."""
        async with self.database.reading("Asserting") as connection:
            found = await backlog(connection, self.account.connection_id)
        return {name: one.count for name, one in found.items()}

    async def rows(self, name: str) -> dict[str, dict[str, Any]]:
        """Living and dead, by id."""
        table, scope = table_of(ENTITIES[name], self.account.connection_id)
        mine = [table.c[column] == value for column, value in scope.keys.items()]
        async with self.database.reading("Asserting") as connection:
            found = await connection.execute(select(table).where(*mine))
            return {row["external_id"]: dict(row) for row in found.mappings()}

    async def living(self, name: str) -> dict[str, int]:
        """What is there, with its updated_at."""
        rows = await self.rows(name)
        return {row_id: row["raw"]["updated_at"] for row_id, row in rows.items() if row["deleted_at"] is None}

    def truth(self, name: str) -> dict[str, int]:
        """The same of the account, past everything that could hide it."""
        return {str(row["id"]): row["updated_at"] for row in self.sandbox.demo.truth(name)}

    def ids(self, name: str) -> list[int]:
        return [int(row["id"]) for row in self.sandbox.demo.truth(name)]

    def asked(self, path: str = "") -> int:
        """Requests to the API at this path, since the last time that somebody asked."""
        seen = list(self.sandbox.world.seen)
        fresh, self.seen = seen[self.seen :], len(seen)
        return sum(one.path.startswith(f"/api/v4{path}") for one in fresh)

    def without_rights(self) -> Account:
        """With the token of a user who is no administrator."""
        token = self.sandbox.world.authority.long_lived(self.sandbox.demo, admin=False)
        client = self.account.client
        less = client.kommo.client(client.host, LongLivedToken(Secret(token)), client.caller)
        return replace(self.account, client=less)

    async def know(self, **settings: Any) -> None:
        """What the account is known to be like."""
        async with self.database.writing("Arranging") as connection:
            row = {"connection_id": self.account.connection_id, "token_version": 0, "settings": settings}
            await connection.execute(insert(crm_connection_states).values(row))

    async def cursor(self, name: str) -> dict[str, Any]:
        mine = (crm_cursors.c.connection_id == self.account.connection_id, crm_cursors.c.entity == name)
        async with self.database.reading("Asserting") as connection:
            found = (await connection.execute(select(crm_cursors).where(*mine))).mappings().first()
        return dict(found) if found else {}
