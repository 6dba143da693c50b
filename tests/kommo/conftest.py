"""What do tests of the store share? A database of the test's own: SQLite, PostgreSQL, or each in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.postgres import PostgresCluster, find_binary

from oxcart.kommo.store.database import Database
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.migrate import migrate
from oxcart.kommo.store.opening import open_database, reach_database
from oxcart.secret import Secret


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


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """With all tables."""
    target = parse_database_url(Secret(database_url))
    async with reach_database(target) as bare:
        await migrate(bare)
    async with open_database(target) as opened:
        yield opened
