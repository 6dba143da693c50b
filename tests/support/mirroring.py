"""What does the mirror say, and what should it? Read past our own code, and compared row by row with the sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from oxcart.kommo.account import Account
from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.entity import Entity
from oxcart.kommo.parsing import parse_json
from oxcart.kommo.store.columns import storable
from oxcart.kommo.store.entity_tables import table_of
from oxcart.kommo.store.own_tables import crm_connection_states, crm_cursors, crm_dirty, crm_links
from oxcart.kommo.store.typed import row_of
from oxcart.kommo.sync.run import Outcome, sync_account
from oxcart_sandbox import World
from oxcart_sandbox.api import as_json
from oxcart_sandbox.rendering import render

TABLES = ("companies", "contacts", "leads", "tasks", "leads_notes", "contacts_notes", "companies_notes")


async def confirm_nothing(_account: Account) -> None:
    """In the place of the reads by id: marks stay, and can be looked at."""


@dataclass
class Mirror:
    account: Account
    world: World

    async def sync(self, *names: str, **how: Any) -> dict[str, Outcome]:
        """By stream."""
        how.setdefault("confirm", confirm_nothing)
        outcomes = await sync_account(self.account, names or None, **how)
        return {outcome.entity: outcome for outcome in outcomes}

    async def rows(self, name: str) -> dict[str, dict[str, Any]]:
        """By id, the dead ones too."""
        table, scope = table_of(ENTITIES[name], self.account.connection_id)
        within = [table.c[column] == value for column, value in scope.keys.items()]
        found = await self._all(select(table).where(*within))
        return {row["external_id"]: row for row in found}

    async def alive(self, name: str) -> dict[str, dict[str, Any]]:
        return {key: row for key, row in (await self.rows(name)).items() if row["deleted_at"] is None}

    async def cursor(self, name: str) -> dict[str, Any]:
        mine = (crm_cursors.c.connection_id == self.account.connection_id, crm_cursors.c.entity == name)
        found = await self._all(select(crm_cursors).where(*mine))
        return found[0] if found else {}

    async def settings(self) -> dict[str, Any]:
        mine = crm_connection_states.c.connection_id == self.account.connection_id
        found = await self._all(select(crm_connection_states.c.settings).where(mine))
        return dict(found[0]["settings"] or {}) if found else {}

    async def marks(self) -> set[tuple[str, str, str]]:
        found = await self._all(select(crm_dirty).where(crm_dirty.c.connection_id == self.account.connection_id))
        return {(row["entity"], row["external_id"], row["action"]) for row in found}

    async def links(self, name: str) -> set[tuple[str, str, str, bool | None]]:
        mine = (crm_links.c.connection_id == self.account.connection_id, crm_links.c.from_type == name)
        found = await self._all(select(crm_links).where(*mine))
        return {(row["from_id"], row["to_type"], row["to_id"], row["is_main"]) for row in found}

    async def differences(self, names: Sequence[str] = TABLES) -> dict[str, tuple[list[str], list[str], list[str]]]:
        """By stream, where there are any: ids that are missing here, too many, or say something else."""
        found = {}
        for name in names:
            here = {key: row["raw"] for key, row in (await self.alive(name)).items()}
            there = self.truth(ENTITIES[name])
            missing, extra = sorted(there.keys() - here.keys()), sorted(here.keys() - there.keys())
            other = sorted(key for key in here.keys() & there.keys() if here[key] != there[key])
            if missing or extra or other:
                found[name] = (missing[:5], extra[:5], other[:5])
        return found

    def truth(self, entity: Entity) -> dict[str, Any]:
        """As the API writes it, without what says nothing."""
        demo = self.world.accounts[0]
        with_ = tuple(dict(entity.query).get("with", "").split(","))
        php_empty = self.world.scenario.php_empty
        rows = demo.truth(entity.name)
        found = {str(row["id"]): render(demo, entity.name, row, with_, php_empty=php_empty) for row in rows}
        told = storable(parse_json(as_json(found)))
        return {key: row_of(entity, row).raw for key, row in told.items()}

    async def _all(self, query: Any) -> list[dict[str, Any]]:
        async with self.account.database.reading("Asserting") as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]
