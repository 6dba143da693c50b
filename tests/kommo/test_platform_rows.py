"""Do pipelines, stages, tasks and fields keep their place in the platform's tables, whatever the account does?"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import select

from kommo.platform_schema import ORG, make_platform
from kommo.stored import add_account
from oxcart.kommo.account import Account
from oxcart.kommo.client import Client
from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.entity_tables import ENTITY_TABLES
from oxcart.kommo.store.migrate import migrate
from oxcart.kommo.store.opening import open_database, reach_database
from oxcart.kommo.store.platform_tables import crm_custom_fields, crm_pipeline_stages, crm_pipelines, crm_tasks
from oxcart.kommo.sync.apply import apply_deleted, apply_rows
from oxcart.secret import Secret

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


@pytest.fixture
async def platform(postgres_url: str) -> AsyncIterator[Database]:
    """The platform's own schema, migrated."""
    await make_platform(postgres_url)
    target = parse_database_url(Secret(postgres_url))
    async with reach_database(target) as bare:
        await migrate(bare)
    async with open_database(target) as opened:
        yield opened


def stage(number: int, name: str, sort: int = 10) -> dict[str, Any]:
    return {"id": number, "name": name, "sort": sort, "type": 0, "color": "#fff"}


def pipeline(number: int, *stages: dict[str, Any], **values: Any) -> dict[str, Any]:
    raw = {"id": number, "name": f"Pipeline {number}", "sort": number, "is_main": True, "is_archive": False}
    return {
        **raw,
        **values,
        "_embedded": {"statuses": [*stages, stage(142, "Won", 10_000), stage(143, "Lost", 11_000)]},
    }


async def sync(database: Database, connection_id: str, pipelines: list[dict[str, Any]], seconds: int) -> frozenset[str]:
    at = START + timedelta(seconds=seconds)
    return await apply(database, connection_id, "pipelines", pipelines, at=at)


async def apply(
    database: Database, connection_id: str, name: str, raws: list[dict[str, Any]], *, at: datetime = START
) -> frozenset[str]:
    async with database.writing("Syncing") as connection:
        return await apply_rows(connection, account(database, connection_id), ENTITIES[name], raws, fetched_at=at)


def account(database: Database, connection_id: str) -> Account:
    return Account(connection_id, ORG, "ann.kommo.com", database, Never(), lambda _: None)


class Never(Client):
    """Nothing here asks Kommo."""

    def __init__(self) -> None:
        pass


async def rows_of(database: Database, table: Any) -> list[dict[str, Any]]:
    async with database.reading("Asserting") as connection:
        return [dict(row) for row in (await connection.execute(select(table))).mappings()]


async def test_ids_survive_a_hundred_syncs_and_links_to_them_stay(platform: Database, postgres_url: str) -> None:
    """The worker that this replaces deleted and inserted: each sync erased what pointed at a stage."""
    connection_id = await add_account(platform, org_id=ORG)
    await sync(platform, connection_id, [pipeline(1, stage(10, "New")), pipeline(2)], 0)
    before = {row["id"]: row for row in await rows_of(platform, crm_pipeline_stages)}
    connection = await asyncpg.connect(postgres_url)
    try:
        for number, stage_id in enumerate(before):
            insert = "INSERT INTO {} (org_id, pipeline_stage_id{}) VALUES ($1, $2{})"
            for table in ("company_knowledge", "sales_scripts"):
                await connection.execute(insert.format(table, ", title", ", $3"), ORG, stage_id, str(number))
            await connection.execute(insert.format("knowledge_pipeline_mapping", "", ""), ORG, stage_id)

        for number in range(1, 101):
            names = [pipeline(1, stage(10, f"New {number}"), name=f"Sales {number}"), pipeline(2)]
            await sync(platform, connection_id, names[:1] if number % 3 == 0 else names, number)

        after = {row["id"]: row for row in await rows_of(platform, crm_pipeline_stages)}
        assert {i: (row["pipeline_id"], row["external_id"]) for i, row in after.items()} == {
            i: (row["pipeline_id"], row["external_id"]) for i, row in before.items()
        }
        assert "New 100" in {row["name"] for row in after.values()}
        for table in ("company_knowledge", "sales_scripts", "knowledge_pipeline_mapping"):
            linked = await connection.fetch(f"SELECT pipeline_stage_id FROM {table}")
            assert {str(row[0]) for row in linked} == set(before)
    finally:
        await connection.close()


async def test_rows_that_the_platform_made_keep_their_ids(platform: Database, postgres_url: str) -> None:
    connection_id = await add_account(platform, org_id=ORG)
    connection = await asyncpg.connect(postgres_url)
    try:
        theirs = await connection.fetchval(
            "INSERT INTO crm_pipelines (connection_id, external_id, name, metadata) "
            "VALUES ($1, '1', 'Old', '{\"color\": \"red\"}') RETURNING id",
            connection_id,
        )
    finally:
        await connection.close()

    await sync(platform, connection_id, [pipeline(1)], 0)

    row = (await rows_of(platform, crm_pipelines))[0]
    assert (row["id"], row["name"], row["metadata"]) == (str(theirs), "Pipeline 1", {"color": "red"})


async def test_won_and_lost_are_stages_of_every_pipeline(platform: Database) -> None:
    connection_id = await add_account(platform, org_id=ORG)

    await sync(platform, connection_id, [pipeline(1), pipeline(2)], 0)

    stages = await rows_of(platform, crm_pipeline_stages)
    assert sorted(row["external_id"] for row in stages) == ["142", "142", "143", "143"]
    ours = await rows_of(platform, ENTITY_TABLES["kommo_stages"])
    assert {row["external_id"] for row in ours} == {"1:142", "1:143", "2:142", "2:143"}


async def test_what_left_the_account_stays_as_deleted_and_can_come_back(platform: Database) -> None:
    connection_id = await add_account(platform, org_id=ORG)
    await sync(platform, connection_id, [pipeline(1, stage(10, "New")), pipeline(2)], 0)

    gone = await sync(platform, connection_id, [pipeline(1)], 10)
    dead = {row["external_id"]: row for row in await rows_of(platform, crm_pipelines)}["2"]
    back = await sync(platform, connection_id, [pipeline(1, stage(10, "New")), pipeline(2)], 20)
    alive = {row["external_id"]: row for row in await rows_of(platform, crm_pipelines)}["2"]

    assert gone == back == {"1", "2", "1:10", "2:142", "2:143"}
    assert (dead["is_active"], dead["metadata"]) == (False, {"deleted_at": "2026-11-22T09:00:10+00:00"})
    assert (alive["is_active"], alive["metadata"], alive["id"]) == (True, {}, dead["id"])


async def test_an_archived_pipeline_is_not_active(platform: Database) -> None:
    connection_id = await add_account(platform, org_id=ORG)

    await sync(platform, connection_id, [pipeline(1, is_archive=True)], 0)

    assert [row["is_active"] for row in await rows_of(platform, crm_pipelines)] == [False]


async def test_an_empty_list_deletes_nothing(platform: Database) -> None:
    """Every account has a pipeline: an empty answer is somebody's mistake."""
    connection_id = await add_account(platform, org_id=ORG)
    await sync(platform, connection_id, [pipeline(1)], 0)

    assert await sync(platform, connection_id, [], 10) == frozenset()
    assert [row["is_active"] for row in await rows_of(platform, crm_pipelines)] == [True]


async def test_an_older_list_that_comes_late_changes_nothing(platform: Database) -> None:
    connection_id = await add_account(platform, org_id=ORG)
    await sync(platform, connection_id, [pipeline(1, name="New"), pipeline(2)], 10)

    await sync(platform, connection_id, [pipeline(1, name="Old")], 5)

    rows = {row["external_id"]: row for row in await rows_of(platform, crm_pipelines)}
    assert (rows["1"]["name"], rows["2"]["is_active"]) == ("New", True)


async def test_a_pipeline_that_someone_deleted_here_is_made_again(platform: Database, postgres_url: str) -> None:
    """The Node worker beside us still deletes and inserts."""
    connection_id = await add_account(platform, org_id=ORG)
    await sync(platform, connection_id, [pipeline(1)], 0)
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute("DELETE FROM crm_pipelines")
    finally:
        await connection.close()

    await sync(platform, connection_id, [pipeline(1)], 1)

    stages = await rows_of(platform, crm_pipeline_stages)
    (row,) = await rows_of(platform, crm_pipelines)
    assert {stage["pipeline_id"] for stage in stages} == {row["id"]}
    assert len(stages) == 2


def task(number: int, updated: int = 0, **values: Any) -> dict[str, Any]:
    times = {"created_at": int(START.timestamp()), "updated_at": int(START.timestamp()) + updated}
    raw = {"id": number, "text": "Call", "entity_id": 19619, "entity_type": "leads", "task_type_id": 1, "result": []}
    return {
        **raw,
        **times,
        "complete_till": 1790000000,
        "responsible_user_id": 8000001,
        "is_completed": False,
        **values,
    }


async def test_tasks_lie_where_the_platform_looks_for_them(platform: Database) -> None:
    connection_id = await add_account(platform, org_id=ORG)
    await apply(platform, connection_id, "tasks", [task(1), task(2, entity_id=0)])
    async with platform.writing("Syncing") as connection:
        dead, observed = {"1": START + timedelta(seconds=9)}, START + timedelta(seconds=10)
        how: dict[str, Any] = {"observed_at": observed, "source": "event"}
        died = await apply_deleted(connection, account(platform, connection_id), ENTITIES["tasks"], dead, **how)

    rows = {row["task_id"]: row for row in await rows_of(platform, crm_tasks)}
    assert died == {"1"}
    assert (rows["1"]["task_text"], rows["1"]["entity_id"], rows["1"]["responsible_user_id"]) == (
        "Call",
        "19619",
        8000001,
    )
    assert rows["1"]["complete_till"] == datetime.fromtimestamp(1790000000, UTC)
    assert rows["1"]["metadata"] == {"deleted_at": "2026-11-22T09:00:09+00:00"}
    assert rows["2"]["metadata"] == {}


async def test_a_number_too_large_for_the_platforms_column_costs_no_row(platform: Database) -> None:
    connection_id = await add_account(platform, org_id=ORG)

    await apply(
        platform, connection_id, "tasks", [task(1, responsible_user_id=2**40, complete_till=10**18, text="a\x00b")]
    )

    row = (await rows_of(platform, crm_tasks))[0]
    assert (row["responsible_user_id"], row["complete_till"], row["task_text"]) == (None, None, "a\ufffdb")


async def test_fields_have_the_platforms_words_for_their_entity(platform: Database) -> None:
    connection_id = await add_account(platform, org_id=ORG)
    raw = {"id": 7, "name": "Type", "type": "select", "sort": 5, "code": None, "enums": [{"id": 1, "value": "New"}]}
    for of in ("leads", "contacts"):
        await apply(platform, connection_id, f"{of}_custom_fields", [raw])

    rows = sorted(await rows_of(platform, crm_custom_fields), key=lambda row: str(row["entity_type"]))
    assert [(row["entity_type"], row["external_id"], row["enums"]) for row in rows] == [
        ("contact", "7", {"1": "New"}),
        ("lead", "7", {"1": "New"}),
    ]
    assert all(uuid.UUID(row["id"]) for row in rows)
