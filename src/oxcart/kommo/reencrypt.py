"""How do all of the CRM's secrets get another shape? In one transaction: all of them, or none."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.crypto import Keyring, Opened, Shape
from oxcart.kommo.held_tokens import open_held
from oxcart.kommo.store.connections import KOMMO, list_connections, reseal
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.own_tables import crm_connection_states as states
from oxcart.kommo.store.platform_tables import crm_credentials

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Reencrypted:
    """How many secrets were written anew, and how many were so already."""

    changed: int
    unchanged: int


async def encrypt_secrets(database: Database, keyring: Keyring) -> Reencrypted:
    """Everything in the platform's base64 layout, with today's key. Raises SettingsError if a key is missing."""
    return await _reencrypt(database, keyring, tokens=Shape.BASE64)


async def decrypt_tokens(database: Database, keyring: Keyring) -> Reencrypted:
    """Tokens as plain text, as the platform's API reads them. Its client secrets it wants encrypted: those stay so."""
    return await _reencrypt(database, keyring, tokens=Shape.PLAIN)


async def _reencrypt(database: Database, keyring: Keyring, *, tokens: Shape) -> Reencrypted:
    async def write(connection: AsyncConnection) -> Reencrypted:
        count = _Count(keyring)
        for stored in await list_connections(connection):
            held = open_held(keyring, stored)
            access = count.sealed(held.access, stored.access_token.reveal(), tokens)
            refresh = None
            if held.refresh is not None and stored.refresh_token is not None:
                refresh = count.sealed(held.refresh, stored.refresh_token.reveal(), tokens)
            if not await reseal(connection, stored, access, refresh):
                raise _Overtaken
        await _reencrypt_client_secrets(connection, keyring, count, is_plain=tokens is Shape.PLAIN)
        if keyring.current is not None:
            await _reencrypt_webhook_secrets(connection, keyring, count)
        return Reencrypted(count.changed, count.unchanged)

    for attempt in range(_TRIES):
        try:
            return await database.write("Encrypting the CRM's secrets", write)
        except _Overtaken:
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("the loop returns or raises")


async def _reencrypt_client_secrets(
    connection: AsyncConnection, keyring: Keyring, count: _Count, *, is_plain: bool
) -> None:
    """Without a key there is nothing to do for those that are plain, if plain is what is wanted."""
    columns = (crm_credentials.c.id, crm_credentials.c.client_secret)
    found = await connection.execute(select(*columns).where(crm_credentials.c.provider == KOMMO))
    for row in found.all():
        opened = keyring.open(row.client_secret, "A client secret in crm_credentials")
        shape = Shape.PLAIN if is_plain and keyring.current is None else Shape.BASE64
        sealed = count.sealed(opened, row.client_secret, shape)
        if sealed != row.client_secret:
            same = (crm_credentials.c.id == row.id, crm_credentials.c.client_secret == row.client_secret)
            statement = update(crm_credentials).where(*same).values(client_secret=sealed)
            if (await connection.execute(statement)).rowcount != 1:
                raise _Overtaken


async def _reencrypt_webhook_secrets(connection: AsyncConnection, keyring: Keyring, count: _Count) -> None:
    """Nobody but us reads these: they are encrypted wherever there is a key."""
    secrets = (states.c.webhook_secret, states.c.old_webhook_secret)
    for row in (await connection.execute(select(states.c.connection_id, *secrets))).all():
        held = {column: text for column, text in zip(secrets, row[1:], strict=True) if text is not None}
        opened = {column: keyring.open(text, "The secret of the webhooks") for column, text in held.items()}
        sealed = {column: count.sealed(opened[column], text, Shape.BASE64) for column, text in held.items()}
        if sealed != held:
            same = [column == text for column, text in held.items()]
            statement = update(states).where(states.c.connection_id == row.connection_id, *same)
            if (await connection.execute(statement.values(sealed))).rowcount != 1:
                raise _Overtaken


class _Count:
    """Seals what is not yet as it should be, and counts."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self.changed = 0
        self.unchanged = 0

    def sealed(self, opened: Opened, text: str, shape: Shape) -> str:
        if opened.shape is shape and opened.is_current:
            self.unchanged += 1
            return text
        self.changed += 1
        return self._keyring.seal(opened.secret, shape)


class _Overtaken(Exception):  # noqa: N818 - rolls a transaction back
    """A row was replaced while it was sealed: all of it is done again."""
