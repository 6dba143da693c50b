"""Are the files that we make for us alone, and is no new secret written in plain text?"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from kommo.stored import add_account
from oxcart.errors import SettingsError
from oxcart.kommo.authorize import Integration, begin_authorization
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.opening import open_database
from oxcart.kommo.webhooks.hook_secrets import change_secrets, make_secrets
from oxcart.secret import Secret


@contextmanager
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_database_that_we_make_is_for_us_alone(tmp_path: Path) -> None:
    target = parse_database_url(Secret(f"sqlite:///{tmp_path}/crm.db"))
    with open_umask():
        async with open_database(target) as database, database.writing("Writing") as connection:
            await connection.execute(text("CREATE TABLE one (id INTEGER)"))
            modes = {path.name: mode_of(path) for path in tmp_path.iterdir()}

    assert modes == dict.fromkeys(("crm.db", "crm.db-wal", "crm.db-shm"), 0o600)


async def test_a_database_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    """Whoever made it may have let a group read it."""
    path = tmp_path / "crm.db"
    path.touch(0o640)
    path.chmod(0o640)

    async with open_database(parse_database_url(Secret(f"sqlite:///{path}"))):
        assert mode_of(path) == 0o640


async def test_a_new_secret_is_not_written_without_a_key(database: Database) -> None:
    connection_id = await add_account(database)
    integration = Integration("client", Secret("hidden-client-secret"), "https://example.com/back")

    for write in (
        lambda: make_secrets(database, Keyring(), connection_id),
        lambda: change_secrets(database, Keyring(), connection_id),
        lambda: begin_authorization(database, Keyring(), integration, "demo.kommo.com"),
    ):
        with pytest.raises(SettingsError, match="ENCRYPTION_KEY is not set") as refused:
            await write()
        assert "hidden" not in str(refused.value)
