"""What do tests of the store share? A database of the test's own: SQLite, PostgreSQL, or each in turn."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from support.kommo_door import kommo_door
from support.postgres import PostgresCluster, find_binary
from support.token_server import TokenServer, token_server

from oxcart.kommo.crypto import Keyring
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.migrate import migrate
from oxcart.kommo.store.opening import fingerprint, open_database, reach_database
from oxcart.kommo.token_endpoint import KommoTokenEndpoint
from oxcart.kommo.tokens import TokenKeeper
from oxcart.secret import Secret
from oxcart.telemetry.bus import Emit


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    if find_binary("initdb") is None or find_binary("pg_ctl") is None:
        pytest.skip("there is no PostgreSQL here: apt-get install postgresql")
    cluster = PostgresCluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
async def postgres_url(postgres: PostgresCluster) -> AsyncIterator[str]:
    """An empty database."""
    name = await postgres.make_database()
    yield postgres.url(name)
    await postgres.drop_database(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'crm.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    url = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    assert isinstance(url, str)
    return url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with all tables: to copy one takes a hundredth of making one."""
    path = tmp_path_factory.mktemp("template") / "crm.db"
    with ThreadPoolExecutor(1) as apart:  # from the loop of the test that is the first to ask
        apart.submit(lambda: asyncio.run(_migrate(f"sqlite:///{path}"))).result()
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute(f"PRAGMA user_version = {fingerprint()}")
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresCluster) -> str:
    """A database with all tables."""

    async def make() -> str:
        name = await postgres.make_database()
        await _migrate(postgres.url(name))
        return name

    with ThreadPoolExecutor(1) as apart:  # from the loop of the test that is the first to ask
        return apart.submit(lambda: asyncio.run(make())).result()


async def _migrate(url: str) -> None:
    async with reach_database(parse_database_url(Secret(url))) as bare:
        await migrate(bare)


@pytest.fixture
async def database(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Database]:
    """With all tables: those of the template, or added to what the test has put there."""
    await _fill(request, database_url)
    async with open_database(parse_database_url(Secret(database_url))) as opened:
        yield opened


async def _fill(request: pytest.FixtureRequest, url: str) -> None:
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        if not path.exists():
            shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return
    cluster: PostgresCluster = request.getfixturevalue("postgres")
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await connection.close()
    if tables:
        await _migrate(url)
    else:
        await cluster.replace_database(url.rpartition("/")[2], request.getfixturevalue("postgres_template"))


@pytest.fixture
async def kommo_tokens() -> AsyncIterator[TokenServer]:
    async with token_server() as server:
        yield server


@pytest.fixture
async def keeper_for(
    redis_url: str, kommo_tokens: TokenServer, database: Database
) -> AsyncIterator[Callable[..., TokenKeeper]]:
    """Makes token keepers of the test's database, which reach its token server over HTTP."""
    async with kommo_door(redis_url, kommo_tokens.url) as door:

        def make(keyring: Keyring | None = None, emit: Emit | None = None, **others: Any) -> TokenKeeper:
            endpoint = KommoTokenEndpoint(door)
            return TokenKeeper(database, keyring or Keyring(), endpoint, emit or (lambda _: None), **others)

        yield make
