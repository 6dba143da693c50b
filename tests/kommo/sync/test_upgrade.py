"""Does a database of 0.2 go on where it stands, without reading the account again? Its own code made the dumps."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import inspect, text
from support.mirroring import Mirror
from support.postgres import PostgresCluster
from support.sandbox import DEMO, Sandbox, client_of

from kommo.platform_schema import ORG, ROLES
from kommo.sync.conftest import ORGANISATION, make_world
from oxcart.errors import SettingsError
from oxcart.kommo.account import Account
from oxcart.kommo.client import Kommo
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.migrate import migrate, missing
from oxcart.kommo.store.opening import open_database, reach_database
from oxcart.kommo.sync.marked import fetch_marked
from oxcart.secret import Secret
from oxcart_sandbox import World
from oxcart_sandbox.seed import FIRST_IDS, WON

DUMPS = Path(__file__).parents[1] / "dumps"
CONNECTION = "5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12"
LEAD = FIRST_IDS["leads"]
ONCE_MORE = {"roles", "loss_reasons", "sources", "catalogs", "catalog_elements", "unsorted"}
"""What 0.2 did not read."""


@pytest.fixture(params=["sqlite", "postgresql", "platform"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def world() -> World:
    """The account as it was when the dumps were made: what happened between the first and the second sync is done."""
    world = make_world(contacts=12, leads=10)
    demo = world.accounts[0]
    world.clock.advance(1000)
    demo.edit("leads", LEAD + 1, {"status_id": WON})
    demo.edit("leads", LEAD + 2, {"price": 1234.5})
    demo.delete("contacts", FIRST_IDS["contacts"] + 3)
    demo.delete("tasks", FIRST_IDS["tasks"])
    demo.add("tasks", {"entity_id": LEAD, "entity_type": "leads", "text": "Call", "complete_till": 1_790_100_000})
    call = {"phone": "+34600", "duration": 61, "uniq": "u", "source": "pbx", "link": ""}
    demo.add("leads_notes", {"entity_id": LEAD, "note_type": "call_in", "params": call})
    demo.custom_fields["leads"].pop()
    demo.pipelines[1]["_statuses"].pop(2)
    world.clock.advance(1000)
    return world


@pytest.fixture
async def database_url(request: pytest.FixtureRequest, kind: str, sqlite_url: str) -> AsyncIterator[str]:
    """With the dump in it."""
    dump = (DUMPS / f"0.2-{kind}.sql").read_text(encoding="utf-8")
    if kind == "sqlite":
        with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as file:
            file.executescript(dump)
        yield sqlite_url
        return
    cluster: PostgresCluster = request.getfixturevalue("postgres")
    name = await cluster.make_database()
    connection = await asyncpg.connect(cluster.url(name))
    try:
        await connection.execute(f"SET client_min_messages = error; SET check_function_bodies = false; {ROLES}; {dump}")
    finally:
        await connection.close()
    yield cluster.url(name)
    await cluster.drop_database(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    target = parse_database_url(Secret(database_url))
    async with reach_database(target) as bare:
        await migrate(bare)
    async with open_database(target) as opened:
        yield opened


@pytest.fixture
def mirror(kind: str, database: Database, sandbox: Sandbox, kommo: Kommo) -> Mirror:
    client = client_of(kommo, sandbox.world, patience_seconds=5)
    organisation = ORG if kind == "platform" else ORGANISATION
    return Mirror(Account(CONNECTION, organisation, DEMO, database, client, lambda _: None), sandbox.world)


async def rows(database: Database, query: str) -> list[dict[str, Any]]:
    async with database.reading("Asserting") as connection:
        return [dict(row) for row in (await connection.execute(text(query))).mappings()]


async def test_it_is_all_there_in_the_new_columns_without_a_request(
    mirror: Mirror, sandbox: Sandbox, database: Database, kind: str
) -> None:
    assert await mirror.differences() == {}
    assert not sandbox.world.seen
    tasks = await mirror.rows("tasks")
    assert {row["text"] for row in tasks.values() if row["deleted_at"] is None} == {"Call"}
    assert {row["entity_type"] for row in tasks.values()} == {"leads"}
    assert set(await mirror.alive("leads_custom_fields")) == {"1016236", "1016240"}
    stages = "SELECT count(*) AS living FROM kommo_stages WHERE deleted_at IS NULL"
    assert await rows(database, stages) == [{"living": 11}]
    (call,) = await rows(database, "SELECT phone, duration FROM crm_notes WHERE note_type = 'call_in'")
    assert call == {"phone": "+34600", "duration": 61}
    assert {str(row["price"]) for row in (await mirror.rows("leads")).values()} >= {"1234.5"}
    assert len(await rows(database, "SELECT text FROM crm_field_values WHERE code = 'PHONE'")) > 3
    (won,) = await rows(
        database, f"SELECT stage, left_at FROM crm_stage_history WHERE lead_id = '{LEAD + 1}' AND status_id = '142'"
    )
    assert won == {"stage": "Closed - won", "left_at": None}
    async with database.reading("Asserting") as connection:
        names = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
    assert "crm_row_versions" not in names
    assert ("crm_tasks" in names) == (kind != "sqlite")


async def test_it_goes_on_with_what_has_changed(mirror: Mirror, sandbox: Sandbox) -> None:
    sandbox.demo.edit("leads", LEAD, {"name": "After it"})
    sandbox.demo.edit("contacts", FIRST_IDS["contacts"], {"_tags": [11, 14]})

    outcomes = await mirror.sync(confirm=fetch_marked)

    assert await mirror.differences() == {}
    assert {one.error for one in outcomes.values()} == {None}
    assert (outcomes["leads"].mode, outcomes["leads"].rows) == ("incremental", 1)
    assert sum(one.requests for name, one in outcomes.items() if name not in ONCE_MORE) == 18


async def test_the_platforms_rows_keep_their_ids_and_stay_current(
    mirror: Mirror, sandbox: Sandbox, database: Database, kind: str
) -> None:
    if kind != "platform":
        return
    ids = "SELECT id, external_id FROM crm_pipelines ORDER BY external_id"
    before = await rows(database, ids)
    sandbox.demo.pipelines[0]["name"] = "Renamed"
    task = sandbox.demo.add("tasks", {"entity_id": LEAD, "entity_type": "leads", "text": "New", "complete_till": 1})

    await mirror.sync("pipelines", "tasks")

    assert await rows(database, ids) == before
    assert {row["name"] for row in await rows(database, "SELECT name FROM crm_pipelines")} == {"Renamed", "Support"}
    written = await rows(database, f"SELECT task_text FROM crm_tasks WHERE task_id = '{task['id']}'")
    assert written == [{"task_text": "New"}]


async def test_a_second_migration_finds_nothing_to_do(database: Database) -> None:
    assert not await missing(database)
    assert (await migrate(database)).told == 0


async def test_a_view_of_theirs_in_the_way_is_named(database_url: str, kind: str) -> None:
    """PostgreSQL would say so of its own, in its own words, after half of the work."""
    if kind == "sqlite":
        return
    async with reach_database(parse_database_url(Secret(database_url))) as bare:
        async with bare.writing("Arranging") as connection:
            await connection.execute(text("CREATE VIEW expensive AS SELECT * FROM crm_leads WHERE price > 1000"))

        with pytest.raises(SettingsError, match=r"views show it: expensive\. Drop them, run `oxcart kommo migrate`"):
            await migrate(bare)

        async with bare.writing("Arranging") as connection:
            await connection.execute(text("DROP VIEW expensive"))
        assert (await migrate(bare)).told > 50


def test_the_dumps_are_of_every_kind(kind: str) -> None:
    found: Callable[[str], bool] = (DUMPS / f"0.2-{kind}.sql").read_text(encoding="utf-8").__contains__

    assert found("crm_row_versions")
    assert not found("asked_at")
