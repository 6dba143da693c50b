"""Does the store work behind a pooler in transaction mode, where nothing of a session lasts?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select
from support.postgres import PostgresCluster, TransactionPooler, find_binary
from support.waiting import wait_until

from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.store.columns import new_id
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.entity_tables import ENTITY_TABLES
from oxcart.kommo.store.leases import acquire_lease, release_lease
from oxcart.kommo.store.migrate import migrate
from oxcart.kommo.store.opening import open_database, reach_database
from oxcart.kommo.store.rows import Scope, write_rows
from oxcart.kommo.store.typed import row_of
from oxcart.secret import Secret


@pytest.fixture
async def pooled_url(postgres: PostgresCluster, postgres_url: str) -> AsyncIterator[str]:
    if find_binary("pgbouncer") is None:
        pytest.skip("there is no PgBouncer here: apt-get install pgbouncer")
    pooler = TransactionPooler(postgres)
    pooler.start()
    try:
        await wait_until(pooler.is_listening, describe="the pooler listens")
        yield pooler.url(postgres_url.rpartition("/")[2])
    finally:
        pooler.stop()


async def test_a_pooler_in_transaction_mode_is_enough(pooled_url: str) -> None:
    """Supabase's port 6543: a prepared statement of the transaction before may lie on another server connection."""
    target = parse_database_url(Secret(pooled_url))
    async with reach_database(target) as bare:
        await migrate(bare)
    table, scope, now = ENTITY_TABLES["crm_leads"], Scope(new_id()), datetime.now(UTC)

    async with open_database(target) as database:

        async def one_job(number: int) -> None:
            for _ in range(5):
                async with database.writing("Writing") as connection:
                    rows = [row_of(ENTITIES["leads"], {"id": number * 100 + n, "name": "x"}) for n in range(20)]
                    await write_rows(connection, table, scope, rows, fetched_at=now, changed_at=now)
                async with database.writing("Leasing") as connection:
                    assert await acquire_lease(connection, f"job:{number}", "me", 30)
                    await release_lease(connection, f"job:{number}", "me")

        await asyncio.gather(*(one_job(number) for number in range(8)))
        async with database.reading("Counting") as connection:
            assert (await connection.execute(select(func.count()).select_from(table))).scalar_one() == 160
