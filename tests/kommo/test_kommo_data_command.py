"""Do `oxcart kommo migrate` and `encrypt` do what they say, and say it in one sentence when they cannot?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from support.command import Oxcart

from kommo.platform_schema import catalog, make_platform
from kommo.stored import account, add_account
from oxcart.kommo.crypto import Keyring, Shape
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.opening import open_database
from oxcart.kommo.store.platform_tables import METADATA
from oxcart.secret import Secret

KEY = Secret("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
OLD_KEY = Secret("00" * 32)
RING = Keyring(KEY, [OLD_KEY])


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    async with open_database(parse_database_url(Secret(url))) as database:
        yield database


@pytest.fixture
def oxcart(tmp_path: Path) -> Oxcart:
    return Oxcart(tmp_path, {})


async def test_migrate_says_what_it_added_and_the_second_time_that_nothing_is_missing(
    oxcart: Oxcart, postgres_url: str
) -> None:
    first = await oxcart("kommo", "migrate", "--json", DATABASE_URL=postgres_url)
    second = await oxcart("kommo", "migrate", DATABASE_URL=postgres_url)

    password = postgres_url.split(":")[2].split("@", maxsplit=1)[0]
    assert (first.code, second.code) == (0, 0)
    assert set(first.json["tables"]) == set(METADATA.tables)
    assert second.out.startswith("Nothing is missing in postgresql://postgres@127.0.0.1:")
    assert password not in first.out + first.err + second.out + second.err


async def test_the_printed_sql_does_what_migrate_does(oxcart: Oxcart, postgres_url: str) -> None:
    await make_platform(postgres_url)
    before = await catalog(postgres_url)

    printed = await oxcart("kommo", "migrate", "--sql", DATABASE_URL=postgres_url)

    assert await catalog(postgres_url) == before
    assert "ENABLE ROW LEVEL SECURITY" in printed.out
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(printed.out)
    finally:
        await connection.close()
    again = await oxcart("kommo", "migrate", "--sql", DATABASE_URL=postgres_url)
    assert again.out == "-- Nothing is missing.\n"


async def test_migrate_uses_our_own_file_where_nothing_is_set(oxcart: Oxcart) -> None:
    done = await oxcart("kommo", "migrate")

    assert done.code == 0
    assert (oxcart.folder / ".oxcart" / "kommo.db").exists()


async def test_encrypt_and_back(oxcart: Oxcart, database: Database, database_url: str) -> None:
    """What the platform wrote in three shapes and with two keys."""
    old, current = Keyring(OLD_KEY), Keyring(KEY)
    plain = await add_account(database, client_secret=old.seal(Secret("client-secret"), Shape.HEX))
    mixed = await add_account(
        database,
        base_domain="bob.kommo.com",
        access_token=old.seal(Secret("access-0"), Shape.HEX),
        refresh_token=current.seal(Secret("refresh-0"), Shape.BASE64),
    )
    long_lived = await add_account(database, base_domain="eve.kommo.com", refresh_token=None, client_secret=None)
    keys = {"ENCRYPTION_KEY": KEY.reveal(), "OXCART_ENCRYPTION_KEYS_OLD": OLD_KEY.reveal()}

    done = await oxcart("kommo", "encrypt", "--json", DATABASE_URL=database_url, **keys)
    rows = [await account(database, connection_id) for connection_id in (plain, mixed, long_lived)]
    again = await oxcart("kommo", "encrypt", "--json", DATABASE_URL=database_url, ENCRYPTION_KEY=KEY.reveal())
    back = await oxcart("kommo", "encrypt", "--plain", "--json", DATABASE_URL=database_url, **keys)
    reverted = [await account(database, connection_id) for connection_id in (plain, mixed, long_lived)]

    assert done.json == {"shape": "base64", "changed": 6, "unchanged": 1}
    assert {current.open(row["access_token"], "It").secret.reveal() for row in rows} == {"access-0"}
    assert {current.open(row["access_token"], "It").shape for row in rows} == {Shape.BASE64}
    assert rows[2]["refresh_token"] is None
    assert again.json["changed"] == 0
    assert back.json == {"shape": "plain", "changed": 5, "unchanged": 2}
    assert [row["access_token"] for row in reverted] == ["access-0"] * 3
    assert [row["refresh_token"] for row in reverted] == ["refresh-0", "refresh-0", None]


async def test_a_secret_that_no_key_opens_leaves_everything_as_it_was(
    oxcart: Oxcart, database: Database, database_url: str
) -> None:
    fine = await add_account(database)
    await add_account(
        database, base_domain="zoe.kommo.com", access_token=Keyring(OLD_KEY).seal(Secret("a"), Shape.BASE64)
    )

    done = await oxcart("kommo", "encrypt", DATABASE_URL=database_url, ENCRYPTION_KEY=KEY.reveal())

    assert done.code == 78
    assert "The access token of zoe.kommo.com is encrypted" in done.err
    assert (await account(database, fine))["access_token"] == "access-0"


@pytest.mark.parametrize(
    ("environ", "code", "said"),
    [
        ({"RAILWAY_SERVICE_ID": "x"}, 78, "add a PostgreSQL service"),
        ({"SUPABASE_URL": "https://ref.supabase.co"}, 78, "Session pooler"),
        ({"DATABASE_URL": "mysql://u:geheim@h/db"}, 78, "postgresql://"),
        ({"DATABASE_URL": "postgresql://u:geheim@127.0.0.1:1/db"}, 69, "cannot be reached"),
        ({"DATABASE_URL": "postgresql://u:geheim@no-such-host.invalid/db"}, 78, "does not resolve"),
        ({"DATABASE_URL": "sqlite:////no/such/folder/file.db"}, 78, "cannot be opened"),
        ({"OXCART_DATABASE_SCHEMA": "a-b"}, 78, "OXCART_DATABASE_SCHEMA"),
    ],
)
async def test_a_mistake_is_one_sentence_with_its_cure(
    oxcart: Oxcart, environ: dict[str, str], code: int, said: str
) -> None:
    done = await oxcart("kommo", "migrate", **environ)

    assert done.code == code, done.err
    assert said in done.err
    assert "geheim" not in done.out + done.err
    assert "Traceback" not in done.err


async def test_encrypt_without_a_key_names_the_variable(oxcart: Oxcart, database: Database, database_url: str) -> None:
    await add_account(database)

    done = await oxcart("kommo", "encrypt", DATABASE_URL=database_url)

    assert (done.code, done.out) == (78, "")
    assert "ENCRYPTION_KEY is not set" in done.err


async def test_encrypt_before_migrate_names_the_command(oxcart: Oxcart, postgres_url: str) -> None:
    done = await oxcart("kommo", "encrypt", DATABASE_URL=postgres_url, ENCRYPTION_KEY=KEY.reveal())

    assert done.code == 78
    assert "oxcart kommo migrate" in done.err


async def test_the_password_is_wrong_and_says_so(oxcart: Oxcart, postgres_url: str) -> None:
    wrong = postgres_url.replace(postgres_url.split(":")[2].split("@", maxsplit=1)[0], "wrong")

    done = await oxcart("kommo", "migrate", "--json", DATABASE_URL=wrong)

    assert (done.code, done.out) == (78, "")
    assert "The user or the password is wrong" in done.err
