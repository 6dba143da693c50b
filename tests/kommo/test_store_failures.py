"""Does every failure of the database say what happened, whether to try again, and what to do?"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from support.postgres import PostgresCluster

from oxcart.errors import Kind, OxcartError, SettingsError, Unavailable
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.failures import StoreRefused, translate
from oxcart.secret import Secret


@asynccontextmanager
async def reached(url: str) -> AsyncIterator[Database]:
    database = Database(parse_database_url(Secret(url)))
    try:
        yield database
    finally:
        await database.close()


async def failure_of(url: str, statement: str = "SELECT 1") -> OxcartError:
    async with reached(url) as database:
        with pytest.raises(OxcartError) as caught:
            async with database.writing("Trying") as connection:
                await connection.execute(text(statement))
    return caught.value


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("postgres:", "nobody_knows:"), "user or the password is wrong"),
        (("/t", "/no_such_t"), "no such database"),
        (("127.0.0.1", "no-such-host.invalid"), "does not resolve"),
    ],
)
async def test_a_wrong_part_of_the_url_is_a_setting(postgres_url: str, change: tuple[str, str], said: str) -> None:
    head, slash, name = postgres_url.rpartition("/")
    url = f"{head}{slash}{name}".replace(*change) if change[0] != "/t" else f"{head}/no_such_database"

    error = await failure_of(url)

    assert isinstance(error, SettingsError), error
    assert said in str(error)
    assert postgres_url.split(":")[2].split("@", maxsplit=1)[0] not in str(error)


async def test_nobody_listening_is_tried_again() -> None:
    error = await failure_of("postgresql://u:geheim@127.0.0.1:1/db")

    assert isinstance(error, Unavailable)
    assert (error.failure.code, error.failure.retryable) == ("DB_UNREACHABLE", True)
    assert "Trying in postgresql://u@127.0.0.1:1/db: " in str(error)
    assert "geheim" not in str(error)


async def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        error = await failure_of(f"postgresql://u:p@127.0.0.1:{port}/db?sslmode=disable&connect_timeout=1")

    assert isinstance(error, Unavailable)
    assert error.failure.code == "DB_SILENT"


async def test_a_connection_that_the_server_ends_is_replaced(postgres: PostgresCluster, postgres_url: str) -> None:
    """A restart, a failover, an idle limit of the provider."""
    async with reached(postgres_url) as database:
        async with database.reading("Trying") as connection:
            await connection.execute(text("SELECT 1"))
        admin = await asyncpg.connect(postgres.url())
        try:
            name = postgres_url.rpartition("/")[2]
            await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        finally:
            await admin.close()

        async with database.reading("Trying") as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


async def test_a_connection_lost_in_a_transaction_may_have_been_committed(
    postgres: PostgresCluster, postgres_url: str
) -> None:
    async with reached(postgres_url) as database:
        with pytest.raises(Unavailable) as caught:
            async with database.writing("Trying") as connection:
                await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    assert caught.value.failure.kind is Kind.TRANSIENT
    assert str(postgres.port) in str(caught.value)


async def test_a_missing_table_names_the_command(postgres_url: str) -> None:
    error = await failure_of(postgres_url, "SELECT * FROM crm_leads")

    assert isinstance(error, SettingsError)
    assert 'relation "crm_leads" does not exist' in str(error)
    assert "oxcart kommo migrate" in str(error)


async def test_an_error_that_nobody_foresaw_shows_no_data(database_url: str) -> None:
    """The server's own words may quote a row."""
    async with reached(database_url) as database, database.writing("Preparing") as connection:
        await connection.execute(text("CREATE TABLE one (id integer PRIMARY KEY CHECK (id < 5))"))

    error = await failure_of(database_url, "INSERT INTO one VALUES (4711)")

    assert isinstance(error, StoreRefused)
    assert (error.failure.code, error.failure.retryable) == ("DB_REFUSED", False)
    assert "4711" not in str(error)


async def test_a_file_that_is_no_database_says_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Dear diary, " * 1000)

    error = await failure_of(f"sqlite:///{tmp_path / 'notes.txt'}")

    assert isinstance(error, SettingsError)
    assert "no SQLite database" in str(error)


async def test_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    error = await failure_of(f"sqlite:///{tmp_path / 'missing' / 'crm.db'}")

    assert isinstance(error, SettingsError)
    assert "cannot be opened" in str(error)


async def fill(database: Database) -> None:
    async with database.writing("Filling") as connection:
        await connection.exec_driver_sql("PRAGMA max_page_count = 8")
        await connection.execute(text("INSERT INTO big VALUES (:content)"), {"content": "x" * 1_000_000})


async def test_a_disk_that_is_full_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'crm.db'}"
    async with reached(url) as database, database.writing("Preparing") as connection:
        await connection.execute(text("CREATE TABLE big (content TEXT)"))

    async with reached(url) as database:
        with pytest.raises(SettingsError, match="full"):
            await fill(database)


async def test_what_is_not_the_databases_passes_as_it_is(sqlite_url: str) -> None:
    async with reached(sqlite_url) as database:
        with pytest.raises(KeyError):
            async with database.writing("Trying"):
                raise KeyError("a bug of ours")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("Tenant or user not found", "postgres.REF"),
        ("MaxClientsInSessionMode: max clients reached", "Run fewer workers"),
        ("no pg_hba.conf entry for host, no encryption", "TLS"),
    ],
)
def test_the_words_of_poolers_are_known(words: str, said: str) -> None:
    """Supavisor speaks with an SQLSTATE that says nothing."""
    error = asyncpg.exceptions.InternalServerError(words)
    target = parse_database_url(Secret("postgresql://u:p@h/db"))

    assert said in str(translate(error, target, "Trying"))
