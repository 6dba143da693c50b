"""Does a database of 0.2 go on where it stands, without reading the account again?"""

from __future__ import annotations

from sqlalchemy import text
from support.mirroring import Mirror
from support.sandbox import Sandbox

from oxcart.kommo.sandbox.seed import FIRST_IDS
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.entity_tables import ENTITY_TABLES
from oxcart.kommo.store.migrate import migrate
from oxcart.kommo.sync.marked import fetch_marked

STREAMS = 18
ADDED = [*((name, "asked_at") for name in (*ENTITY_TABLES, "crm_row_versions")), ("crm_dirty", "due_at")]


async def test_a_database_of_0_2_is_migrated_in_place(mirror: Mirror, sandbox: Sandbox, database: Database) -> None:
    await mirror.sync()
    async with database.writing("Arranging") as connection:
        for table, column in ADDED:
            await connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        await connection.execute(text("DROP TABLE crm_quarantine"))

    additions = await migrate(database)

    assert set(additions.columns) == {f"{table}.{column}" for table, column in ADDED}
    assert additions.tables == ("crm_quarantine",)
    assert await mirror.differences() == {}

    sandbox.world.clock.advance(1000)
    sandbox.demo.edit("leads", FIRST_IDS["leads"], {"name": "After it"})
    sandbox.demo.edit("contacts", FIRST_IDS["contacts"], {"_tags": [11, 14]})
    sandbox.world.seen.clear()
    outcomes = await mirror.sync(confirm=fetch_marked)

    assert await mirror.differences() == {}
    assert outcomes["leads"].mode == "incremental"
    assert len(sandbox.world.seen) == STREAMS + 1
