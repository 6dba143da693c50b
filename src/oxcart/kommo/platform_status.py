"""How does the platform's page learn of a sync? From crm_connections.metadata.sync, in the words of its old worker.

Source: the platform's services/worker/src/tasks/index.ts. Read and written in one transaction: two jobs at once that
each wrote back what they had read left "queued" there for ever.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, Table, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart import clock
from oxcart.errors import OxcartError
from oxcart.kommo.store.connections import KOMMO, StoredConnection
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.entity_tables import ENTITY_TABLES
from oxcart.kommo.store.platform_tables import crm_connections

Patch = dict[str, Any]


@dataclass(slots=True)
class Told:
    """`failed` is why the sync did not work, set by whoever ran it."""

    failed: str | None = None


@asynccontextmanager
async def telling_the_platform(database: Database, stored: StoredConnection, entity: str) -> AsyncIterator[Told]:
    """Write running, then completed or failed; `entity` is pipelines or contacts."""
    told = Told()
    running: Patch = {"status": "running", "startedAt": _now(), "error": None}
    await _write(database, stored.id, running | {entity: running})
    try:
        yield told
    except OxcartError as error:
        with suppress(OxcartError):  # the error itself matters more
            await _write_failed(database, stored.id, entity, str(error))
        raise
    if told.failed is not None:
        await _write_failed(database, stored.id, entity, told.failed)
        return
    done: Patch = {"status": "completed", "completedAt": _now(), "error": None}
    async with database.reading("Summing up a sync") as connection:
        facts = await _FACTS[entity](connection, stored.id)
    about = {"provider": KOMMO, "baseDomain": stored.domain}
    counts = {name: value for name, value in facts.items() if name.endswith("Count")}
    await _write(database, stored.id, done | about | counts | {entity: done | facts})


async def _write_failed(database: Database, connection_id: str, entity: str, reason: str) -> None:
    failed: Patch = {"status": "failed", "failedAt": _now(), "error": reason}
    await _write(database, connection_id, failed | {entity: failed})


async def _write(database: Database, connection_id: str, patch: Patch) -> None:
    mine = crm_connections.c.id == connection_id

    async def write(connection: AsyncConnection) -> None:
        query = select(crm_connections.c.metadata).where(mine).with_for_update()
        metadata = (await connection.execute(query)).scalar_one_or_none()
        known = metadata if isinstance(metadata, dict) else {}
        sync = known.get("sync")
        merged = {**known, "sync": {**(sync if isinstance(sync, dict) else {}), **patch}}
        await connection.execute(update(crm_connections).where(mine).values(metadata=merged))

    await database.write("Telling the platform of a sync", write)


async def _pipelines(connection: AsyncConnection, connection_id: str) -> Patch:
    pipelines, stages = ENTITY_TABLES["kommo_pipelines"], ENTITY_TABLES["kommo_stages"]
    named: dict[str, list[str]] = {}
    for row in await connection.execute(_living(stages, connection_id)):
        named.setdefault(row.external_id.partition(":")[0], []).append(row.name)
    found = (await connection.execute(_living(pipelines, connection_id))).all()
    preview = [
        {"externalId": row.external_id, "name": row.name, "stages": named.get(row.external_id, [])} for row in found
    ]
    return {"pipelinesCount": len(found), "stagesCount": sum(map(len, named.values())), "preview": preview}


def _living(table: Table, connection_id: str) -> Select[Any]:
    mine = (table.c.connection_id == connection_id, table.c.deleted_at.is_(None))
    return select(table.c.external_id, table.c.name).where(*mine).order_by(table.c.sort)


async def _contacts(connection: AsyncConnection, connection_id: str) -> Patch:
    contacts = ENTITY_TABLES["crm_contacts"].c
    mine = (contacts.connection_id == connection_id, contacts.deleted_at.is_(None))
    query = select(func.count(), func.max(contacts.remote_updated_at)).where(*mine)
    count, latest = (await connection.execute(query)).one()
    return {"contactsCount": count, "latestContactAt": latest.isoformat() if latest else None}


def _now() -> str:
    return clock.now_utc().isoformat(timespec="milliseconds").replace("+00:00", "Z")


_FACTS: dict[str, Callable[[AsyncConnection, str], Any]] = {"pipelines": _pipelines, "contacts": _contacts}
