"""Is a CRM database that is broken named with what to do, and is nobody without Kommo troubled?"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import func, select
from support.examined import examined
from support.ports import closed_port
from support.russian import not_russian

from kommo.doctor.conftest import Look
from kommo.stored import add_account
from oxcart.checks import State
from oxcart.cli.kommo_checks import all_checks
from oxcart.kommo.checks import CHECKS
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.migrate import migrate
from oxcart.kommo.store.opening import reach_database
from oxcart.kommo.store.platform_tables import METADATA
from oxcart.language import speaking
from oxcart.secret import Secret

IDS = [check.id for check in CHECKS]


# ------------------------------------------------------------------------------------------------ no Kommo
async def test_without_kommo_nothing_is_said_and_nothing_made(redis_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"

    seen = await examined({"REDIS_URL": redis_url, "OXCART_DATA_DIR": str(folder)}, only=["kommo"], checks=all_checks())

    assert seen.diagnosis.ok
    assert all(seen[check_id].finding.quiet for check_id in IDS)
    assert not folder.exists()


def test_without_kommo_the_database_s_library_is_not_even_imported(redis_url: str, tmp_path: Path) -> None:
    program = (
        "import sys; from oxcart.cli import main; code = main(['doctor', '--only', 'kommo']); "
        "sys.exit(10 * code + int('sqlalchemy' in sys.modules or 'aiohttp' in sys.modules))"
    )
    environ = {**os.environ, "REDIS_URL": redis_url, "OXCART_DATA_DIR": str(tmp_path / "data")}

    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (10, ""), done.stdout


async def test_a_database_of_others_is_not_the_doctor_s_business(look: Look, database_url: str) -> None:
    """DATABASE_URL may be there for another program: without our accounts in it nothing is expected of it."""
    if database_url.startswith("sqlite"):
        with sqlite3.connect(database_url.removeprefix("sqlite:///")) as connection:
            connection.execute("CREATE TABLE theirs (id)")
        connection.close()

    seen = await look()

    assert seen.diagnosis.ok
    assert all(seen[check_id].finding.quiet for check_id in IDS)


@pytest.mark.usefixtures("database")
async def test_a_database_without_an_account_is_not_judged(look: Look) -> None:
    seen = await look()

    assert seen["crm-database"].finding.evidence == "no Kommo account is connected"
    assert seen["kommo-access"].finding.quiet


# ------------------------------------------------------------------------------------------------ broken
async def test_a_database_that_cannot_be_reached_is_the_verdict(look: Look) -> None:
    seen = await look(DATABASE_URL=f"postgresql://ann:s3cret-word@127.0.0.1:{closed_port()}/crm")

    assert seen.verdict == "DB_UNREACHABLE"
    assert "s3cret-word" not in seen.text
    assert seen["kommo-access"].finding.state is State.SKIPPED


async def test_supabase_s_direct_host_is_answered_with_its_pooler(look: Look) -> None:
    """It resolves to IPv6 alone, or not at all where names of the outside are not resolved."""
    seen = await look(DATABASE_URL="postgresql://postgres:s3cret-word@db.abcdefghijklm.supabase.co:5432/postgres")

    assert seen.verdict == "DB_IPV6"
    assert "postgres.abcdefghijklm:PASSWORD@…pooler.supabase.com:5432" in seen.action
    assert "s3cret-word" not in seen.text


async def test_a_wrong_password_has_its_code(look: Look, postgres_url: str) -> None:
    user, _, rest = postgres_url.partition("@")

    seen = await look(DATABASE_URL=f"{user}x@{rest}")

    assert seen.verdict == "DB_PASSWORD"
    assert f"{user.rpartition(':')[2]}" not in seen.text


async def test_tables_that_were_not_migrated_are_named(look: Look, postgres_url: str) -> None:
    """The platform's own table with an account in it, and nothing of ours beside it."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("CREATE TABLE crm_connections (id uuid, provider text)")
    await connection.execute("INSERT INTO crm_connections VALUES (gen_random_uuid(), 'kommo')")
    await connection.close()

    seen = await look(DATABASE_URL=postgres_url)

    assert seen.verdict == "DB_TABLES"
    assert "oxcart kommo migrate" in seen.text


async def test_a_user_who_may_not_write_is_told_so(look: Look, postgres_url: str) -> None:
    async with reach_database(parse_database_url(Secret(postgres_url))) as database:
        await migrate(database)
        await add_account(database)
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("CREATE ROLE reader LOGIN PASSWORD 'reads' BYPASSRLS")
    await connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    try:
        rest = postgres_url.partition("@")[2]
        seen = await look(DATABASE_URL=f"postgresql://reader:reads@{rest}")
        await connection.execute("ALTER ROLE reader NOBYPASSRLS")
        hidden = await look(DATABASE_URL=f"postgresql://reader:reads@{rest}")
    finally:
        await connection.execute("DROP OWNED BY reader")
        await connection.execute("DROP ROLE reader")
        await connection.close()

    assert (seen.verdict, hidden.verdict) == ("DB_RIGHTS", "DB_RLS")


async def test_a_file_that_is_no_database_is_told_so(look: Look, tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"this is no database, and long enough to be looked at" * 100)

    seen = await look(DATABASE_URL=f"sqlite:///{tmp_path / 'broken.db'}")

    assert seen.verdict == "DB_FILE"


async def test_secrets_that_no_key_opens_are_the_verdict(look: Look, database: Database) -> None:
    sealed = "00" * 16 + ":" + "11" * 20 + ":" + "22" * 16
    await add_account(database, access_token=sealed)

    seen = await look(ENCRYPTION_KEY="33" * 32)

    assert seen.verdict == "KOMMO_KEY"
    assert sealed not in seen.text
    assert seen.diagnosis.exit_code == 78


@pytest.mark.usefixtures("connection_id")
async def test_the_doctor_leaves_nothing_in_the_database(look: Look, database: Database) -> None:
    before = await counts(database)
    seen = await look()

    assert seen.diagnosis.ok, seen.text
    assert await counts(database) == before


async def counts(database: Database) -> dict[str, int]:
    async with database.reading("Asserting") as connection:
        return {
            name: (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for name, table in METADATA.tables.items()
        }


async def test_what_postgresql_refuses_is_told_in_russian(look: Look, postgres_url: str) -> None:
    """Its own words name the table, and stand in quotation marks."""
    head, _, rest = postgres_url.partition("@")
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("CREATE TABLE crm_connections (id uuid, provider text)")
    await connection.execute("INSERT INTO crm_connections VALUES (gen_random_uuid(), 'kommo')")
    await connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'asks'")
    try:
        with speaking("ru"):
            lacking = await look(DATABASE_URL=postgres_url)
            stranger = await look(DATABASE_URL=f"postgresql://stranger:asks@{rest}")
            wrong = await look(DATABASE_URL=f"{head}wrong@{rest}")
    finally:
        await connection.execute("DROP ROLE stranger")
        await connection.close()

    assert (lacking.verdict, stranger.verdict, wrong.verdict) == ("DB_TABLES", "DB_RIGHTS", "DB_PASSWORD")
    assert "«permission denied for table crm_connections»" in stranger["crm-database"].finding.evidence
    assert [list(not_russian(seen.as_json)) for seen in (lacking, stranger, wrong)] == [[], [], []]
