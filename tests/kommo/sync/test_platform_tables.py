"""Do the platform's own rows outlive the synchronisation, and what its tables cannot hold apart?"""

from __future__ import annotations

import asyncpg
import pytest
from sqlalchemy import select
from support.mirroring import Mirror
from support.sandbox import DEMO, Sandbox

from kommo.platform_schema import ORG, make_platform
from kommo.stored import add_account
from oxcart.kommo.account import Account
from oxcart.kommo.client import Kommo, LongLivedToken
from oxcart.kommo.limiter import Caller
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.entity_tables import ENTITY_TABLES
from oxcart.kommo.store.platform_tables import crm_tasks
from oxcart.secret import Secret
from oxcart_sandbox.seed import FIRST_IDS, PIPELINE_IDS

SYNCS = 100


@pytest.fixture
async def database_url(postgres_url: str) -> str:
    await make_platform(postgres_url)
    return postgres_url


@pytest.fixture
async def connection_id(database: Database) -> str:
    return await add_account(database, base_domain=DEMO, account_id=None, org_id=ORG)


@pytest.fixture
def account(database: Database, sandbox: Sandbox, kommo: Kommo, connection_id: str) -> Account:
    return account_of(DEMO, database, sandbox, kommo, connection_id)


def account_of(domain: str, database: Database, sandbox: Sandbox, kommo: Kommo, connection_id: str) -> Account:
    token = LongLivedToken(Secret(sandbox.world.token_of(sandbox.world.account(domain))))
    client = kommo.client(domain, token, Caller(connection_id))
    return Account(connection_id, ORG, domain, database, client, lambda _: None)


async def test_stages_keep_their_ids_through_a_hundred_syncs_and_what_points_at_them_stays(
    mirror: Mirror, sandbox: Sandbox, postgres_url: str
) -> None:
    """The worker that this replaces deleted them first, and with them what sales people had linked to a stage."""
    await mirror.sync("pipelines")
    stages = "SELECT s.id, p.external_id || ':' || s.external_id FROM crm_pipeline_stages s, crm_pipelines p WHERE p.id = s.pipeline_id"  # noqa: E501
    connection = await asyncpg.connect(postgres_url)
    try:
        before = dict(await connection.fetch(stages))
        for stage in before:
            mapped = "INSERT INTO knowledge_pipeline_mapping (org_id, pipeline_stage_id) VALUES ($1, $2)"
            await connection.execute(mapped, ORG, stage)
            for table in ("sales_scripts", "company_knowledge"):
                linked = f"INSERT INTO {table} (org_id, title, pipeline_stage_id) VALUES ($1, 'T', $2)"
                await connection.execute(linked, ORG, stage)
        second = sandbox.demo.pipelines[1]

        for number in range(SYNCS):
            sandbox.world.clock.advance(300)
            sandbox.demo.pipelines[0]["_statuses"][1]["name"] = f"Step {number}"
            sandbox.demo.pipelines[1:] = [] if number % 2 else [second]
            outcome = (await mirror.sync("pipelines"))["pipelines"]
            assert outcome.error is None

        assert dict(await connection.fetch(stages)) == before
        for table in ("knowledge_pipeline_mapping", "sales_scripts", "company_knowledge"):
            pointed_at = {row[0] for row in await connection.fetch(f"SELECT pipeline_stage_id FROM {table}")}
            assert pointed_at == set(before)
        shown = dict(await connection.fetch("SELECT external_id, is_active FROM crm_pipelines"))
        assert shown == {str(PIPELINE_IDS[0]): True, str(PIPELINE_IDS[1]): False}
    finally:
        await connection.close()


async def test_two_accounts_of_one_organisation_share_the_row_of_a_task_number(
    mirror: Mirror, sandbox: Sandbox, kommo: Kommo, database: Database
) -> None:
    """The platform's key; what each account says is apart in kommo_tasks. Said in docs/kommo.md."""
    other_id = await add_account(
        database, base_domain="second.amocrm.com", account_id=None, org_id=ORG, client_secret=None
    )
    other = Mirror(account_of("second.amocrm.com", database, sandbox, kommo, other_id), sandbox.world)
    task_id = FIRST_IDS["tasks"]
    sandbox.demo.edit("tasks", task_id, {"text": "Of the first"})
    sandbox.world.account("second").edit("tasks", task_id, {"text": "Of the second"})

    await mirror.sync("tasks")
    await other.sync("tasks")

    async with database.reading("Asserting") as connection:
        row = select(crm_tasks.c.task_text).where(crm_tasks.c.task_id == str(task_id))
        assert (await connection.execute(row)).scalars().all() == ["Of the second"]
        ours = ENTITY_TABLES["kommo_tasks"].c
        texts = set((await connection.execute(select(ours.text).where(ours.external_id == str(task_id)))).scalars())
        assert texts == {"Of the first", "Of the second"}
