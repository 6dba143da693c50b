"""What do tests of the store share? A database of the test's own: SQLite, PostgreSQL, or each in turn."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

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


class Migrated:
    """A database of each kind with all tables, made when it is first wanted: a copy takes a fifth of a migration."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "migrated.db"
        self._postgres: str | None = None

    async def fill(self, url: str, postgres: Callable[[], PostgresCluster]) -> None:
        """Give the database at `url` all tables. One that a test has put something into is migrated."""
        file = Path(url.removeprefix("sqlite:///"))
        if url.startswith("sqlite:") and not file.exists():
            if not self._file.exists():
                await _migrate(f"sqlite:///{self._file}")
                with contextlib.closing(sqlite3.connect(self._file)) as made:  # opening one need not compare it again
                    made.execute(f"PRAGMA user_version = {fingerprint()}")
            shutil.copy(self._file, file)
        elif url.startswith("postgresql:") and await postgres().is_empty(name := url.rpartition("/")[2]):
            if self._postgres is None:
                self._postgres = await postgres().make_database()
                await _migrate(postgres().url(self._postgres))
            await postgres().copy_database(self._postgres, name)
        else:
            await _migrate(url)


async def _migrate(url: str) -> None:
    async with reach_database(parse_database_url(Secret(url))) as bare:
        await migrate(bare)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Migrated:
    return Migrated(tmp_path_factory.mktemp("migrated"))


@pytest.fixture
async def database(database_url: str, migrated: Migrated, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """With all tables."""
    await migrated.fill(database_url, lambda: request.getfixturevalue("postgres"))
    async with open_database(parse_database_url(Secret(database_url))) as opened:
        yield opened


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
