"""Does `migrate` add what is missing, close it, and leave everything else as it is?"""

from __future__ import annotations

import asyncio
import re
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import select
from support.postgres import PostgresCluster

from kommo.platform_schema import ORG, catalog, make_platform
from oxcart.errors import SettingsError
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.database_url import choose_database, parse_database_url
from oxcart.kommo.store.entity_tables import ENTITY_TABLES
from oxcart.kommo.store.migrate import migrate, missing
from oxcart.kommo.store.opening import open_database, reach_database
from oxcart.kommo.store.platform_tables import METADATA, PLATFORM, crm_connections
from oxcart.kommo.store.views import SHORT_NAMES, VIEW_NAMES
from oxcart.secret import Secret
from oxcart.settings import Platform

VIEWS = {*VIEW_NAMES, *SHORT_NAMES}
OWN = sorted(name for name, table in METADATA.tables.items() if not table.info.get(PLATFORM))


@asynccontextmanager
async def reached(url: str, schema: str | None = None) -> AsyncIterator[Database]:
    async with reach_database(parse_database_url(Secret(url), schema=schema)) as database:
        yield database


@asynccontextmanager
async def asked(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def test_migrate_touches_nothing_of_the_platform(postgres_url: str) -> None:
    await make_platform(postgres_url)
    before = await catalog(postgres_url)

    async with reached(postgres_url) as database:
        additions = await migrate(database)

    after = await catalog(postgres_url)
    added = {line for line in after if after[line] != before.get(line)}
    strangers = [line for line in added if not re.search(rf"\b({'|'.join((*OWN, *VIEW_NAMES))})\b", line)]
    assert {line: after.get(line) for line in before} == before
    assert strangers == []
    assert sorted(additions.tables) == OWN
    assert additions.columns == ()


async def test_the_platforms_connections_are_used_as_they_are(postgres_url: str) -> None:
    await make_platform(postgres_url)
    async with asked(postgres_url) as connection:
        await connection.execute(
            "INSERT INTO crm_connections (org_id, base_domain, access_token, scope) "
            "VALUES ($1, 'ann.kommo.com', 'a', '{crm,push}')",
            ORG,
        )
    target = parse_database_url(Secret(postgres_url))

    async with reached(postgres_url) as database:
        await migrate(database)
    async with open_database(target) as database, database.reading("Looking") as rows:
        found = (await rows.execute(select(crm_connections))).mappings().one()

    assert found["org_id"] == ORG
    assert found["scope"] == ["crm", "push"]
    assert found["created_at"].tzinfo is not None


async def test_a_second_migrate_finds_nothing_missing(database: Database) -> None:
    again = await migrate(database)

    assert again.statements == ()
    assert not await missing(database)


async def test_what_would_be_added_can_be_read_without_adding_it(postgres_url: str) -> None:
    await make_platform(postgres_url)
    before = await catalog(postgres_url)

    async with reached(postgres_url) as database:
        additions = await missing(database)

    assert await catalog(postgres_url) == before
    assert sorted(additions.tables) == OWN
    assert not [
        line for line in additions.statements if re.match(r"\s*(DROP TABLE|ALTER TABLE \S+ (ALTER|DROP))", line)
    ]


async def test_the_statements_run_as_they_are_shown(postgres_url: str) -> None:
    """Whoever may not let us do it pastes them into the provider's editor."""
    await make_platform(postgres_url)
    async with reached(postgres_url) as database:
        additions = await missing(database)

        async with asked(postgres_url) as connection:
            await connection.execute(";\n".join(additions.statements))

        assert not await missing(database)


async def test_every_table_that_we_make_is_closed_to_the_browser(postgres_url: str) -> None:
    """On Supabase whoever has the page's key reads every table of `public` that is open to these roles."""
    await make_platform(postgres_url)
    async with reached(postgres_url) as database:
        await migrate(database)

    async with asked(postgres_url) as connection:
        for name in OWN:
            row = await connection.fetchrow(
                "SELECT relrowsecurity, relforcerowsecurity, (SELECT count(*) FROM pg_policies WHERE tablename = $1) "
                "AS policies FROM pg_class WHERE oid = $1::text::regclass",
                name,
            )
            assert row is not None
            assert (row["relrowsecurity"], row["relforcerowsecurity"], row["policies"]) == (True, False, 0), name
            for role in ("anon", "authenticated"):
                rights = "SELECT has_table_privilege($1, $2, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES')"
                assert await connection.fetchval(rights, role, name) is False, (role, name)
        assert await connection.fetchval("SELECT has_table_privilege('service_role', 'crm_leads', 'SELECT')")
        for name in VIEW_NAMES:
            assert await connection.fetchval("SELECT has_table_privilege('anon', $1, 'SELECT')", name) is False, name


async def test_an_empty_database_gets_the_platforms_tables_too(postgres_url: str) -> None:
    async with reached(postgres_url) as database:
        additions = await migrate(database)

    assert (set(additions.tables), set(additions.views)) == (set(METADATA.tables), VIEWS)
    async with asked(postgres_url) as connection:
        open_tables = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relname LIKE 'crm%' AND relkind = 'r' AND NOT relrowsecurity"
        )
    assert open_tables == []


async def test_a_column_of_a_later_version_is_added_and_its_rows_stay(database: Database) -> None:
    async with database.writing("Making an older version") as connection:
        await connection.exec_driver_sql("ALTER TABLE crm_users DROP COLUMN lang")
        await connection.exec_driver_sql("DROP INDEX ix_crm_users_changed")

    additions = await migrate(database)

    assert (additions.tables, additions.columns) == ((), ("crm_users.lang",))
    assert any("ix_crm_users_changed" in line for line in additions.statements)
    assert not await missing(database)


async def test_a_column_that_is_not_ours_stays(database: Database) -> None:
    async with database.writing("Adding a column of their own") as connection:
        await connection.exec_driver_sql("ALTER TABLE crm_leads ADD COLUMN remark TEXT")

    assert not await migrate(database)


async def test_another_programs_table_under_our_name_is_refused(postgres_url: str) -> None:
    async with asked(postgres_url) as connection:
        await connection.execute("CREATE TABLE crm_leads (id serial primary key, title text)")

    async with reached(postgres_url) as database:
        with pytest.raises(SettingsError, match=r"crm_leads lacks .*connection_id.*OXCART_DATABASE_SCHEMA"):
            await migrate(database)


async def test_tables_may_lie_in_a_schema_of_their_own(postgres_url: str) -> None:
    async with asked(postgres_url) as connection:
        await connection.execute('CREATE SCHEMA "Crm"; CREATE TABLE crm_leads (id serial primary key)')
    target = parse_database_url(Secret(postgres_url), schema="Crm")

    async with reached(postgres_url, schema="Crm") as database:
        await migrate(database)
        assert not await missing(database)

    async with open_database(target) as database, database.reading("Counting") as connection:
        assert (await connection.execute(select(ENTITY_TABLES["crm_leads"]))).all() == []


async def test_a_schema_that_is_not_there_is_a_problem_with_its_cure(postgres_url: str) -> None:
    async with reached(postgres_url, schema="nowhere") as database:
        with pytest.raises(SettingsError, match="CREATE SCHEMA"):
            await migrate(database)


async def test_two_migrations_at_once_do_no_harm(database_url: str) -> None:
    async with reached(database_url) as one, reached(database_url) as two:
        found = await asyncio.gather(migrate(one), migrate(two))

    assert sorted(len(additions.tables) for additions in found) == [0, len(METADATA.tables)]


async def test_sqlite_gets_its_tables_by_being_opened(sqlite_url: str) -> None:
    async with (
        open_database(parse_database_url(Secret(sqlite_url))) as database,
        database.reading("Counting") as connection,
    ):
        assert (await connection.execute(select(ENTITY_TABLES["crm_leads"]))).all() == []


async def test_our_own_file_is_in_a_folder_that_is_closed(tmp_path: Path) -> None:
    target = choose_database(
        None, schema=None, data_dir=tmp_path / ".oxcart", platform=Platform.NONE, has_supabase_url=False
    )

    async with open_database(target):
        assert stat.S_IMODE((tmp_path / ".oxcart").stat().st_mode) == 0o700


async def test_postgresql_without_our_tables_names_the_command(postgres_url: str) -> None:
    await make_platform(postgres_url)

    with pytest.raises(SettingsError, match=r"lacks crm_accounts, .* and .* more tables\. Run `oxcart kommo migrate`"):
        async with open_database(parse_database_url(Secret(postgres_url))):
            raise AssertionError


async def test_a_user_whom_row_level_security_blinds_is_told_so(postgres: PostgresCluster, postgres_url: str) -> None:
    """Its queries would not fail: they would find nothing."""
    async with reached(postgres_url) as database:
        await migrate(database)
    name = f"app_{postgres_url.rpartition('/')[2]}"
    async with asked(postgres_url) as connection:
        await connection.execute(
            f"CREATE ROLE {name} LOGIN PASSWORD 'pw'; GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}"
        )
    url = f"postgresql://{name}:pw@127.0.0.1:{postgres.port}/{postgres_url.rpartition('/')[2]}"

    with pytest.raises(SettingsError, match=r"Row level security hides crm_.* BYPASSRLS"):
        async with open_database(parse_database_url(Secret(url))):
            raise AssertionError
