"""Are the secrets of webhooks made once, kept encrypted, and encrypted anew with the rest?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from kommo.stored import account as stored_account
from kommo.stored import add_account
from kommo.webhooks.conftest import ON_SQLITE, RING
from oxcart.errors import InvalidInput
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.reencrypt import decrypt_tokens, encrypt_secrets
from oxcart.kommo.store.database import Database
from oxcart.kommo.webhooks.hook_secrets import HookSecrets, change_secrets, hook_address, make_secrets
from oxcart.secret import Secret


async def test_secrets_lie_encrypted(database: Database) -> None:
    connection_id = await add_account(database)

    made = await make_secrets(database, RING, connection_id)

    assert made.current.reveal() not in str((await stored_account(database, connection_id))["webhook_secret"])
    assert len(made.current.reveal()) >= 43
    assert await make_secrets(database, RING, connection_id) == made


async def test_two_that_make_a_secret_at_once_make_one(database: Database) -> None:
    connection_id = await add_account(database)

    made = await asyncio.gather(*(make_secrets(database, RING, connection_id) for _ in range(4)))

    assert len({secrets.current for secrets in made}) == 1


async def test_a_new_key_encrypts_them_anew_and_plain_tokens_leave_them_sealed(database: Database) -> None:
    """Once the old key is taken out of the settings nothing else opens them."""
    connection_id = await add_account(database)
    await make_secrets(database, RING, connection_id)
    made = await change_secrets(database, RING, connection_id)
    new_key = Secret("11" * 32)
    both, alone = Keyring(new_key, (Secret("00" * 32),)), Keyring(new_key)

    first = await encrypt_secrets(database, both)
    again = await encrypt_secrets(database, alone)
    await decrypt_tokens(database, alone)

    row = await stored_account(database, connection_id)
    assert (first.changed, again.changed) == (5, 0)  # two tokens, the client secret, and two of ours
    assert await make_secrets(database, alone, connection_id) == made
    assert made.current.reveal() not in str(row["webhook_secret"])
    assert row["access_token"] == "access-0"


@ON_SQLITE
async def test_there_is_no_secret_for_a_connection_that_there_is_not(database: Database) -> None:
    with pytest.raises(InvalidInput, match="There is no Kommo connection"):
        await make_secrets(database, RING, "00000000-0000-0000-0000-000000000000")


def test_an_old_secret_is_accepted_until_its_end() -> None:
    at = datetime.now(UTC)
    current, old = Secret("new"), Secret("old")
    secrets = HookSecrets(current, old, at)

    assert secrets.accepted(at - timedelta(seconds=1)) == (current, old)
    assert secrets.accepted(at) == (current,)
    assert HookSecrets(current).accepted(at) == (current,)


def test_an_address_is_a_secret() -> None:
    address = hook_address("https://worker.example.com/", "c1", Secret("s3cret"))

    assert address.reveal() == "https://worker.example.com/webhooks/kommo/c1/s3cret"
    assert "s3cret" not in f"{address}{address!r}{HookSecrets(Secret('s3cret'))!r}"
