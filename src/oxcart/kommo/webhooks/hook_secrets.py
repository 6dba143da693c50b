"""Which secret stands in the address of an account's webhooks? One, and for a day after a rotation the one before it.

Kommo signs no webhook: whoever knows the address may send to it. The address has to be written into the account again
and again, so the secret is kept and not its hash; encrypted, where there is a key.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.errors import InvalidInput
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.store.connections import KOMMO, make_state
from oxcart.kommo.store.database import Database, now
from oxcart.kommo.store.own_tables import crm_connection_states as states
from oxcart.kommo.store.platform_tables import crm_connections
from oxcart.secret import Secret

PATH = "/webhooks/kommo"
OLD_SECRET_SECONDS = 24 * 3600.0
"""Kommo repeats a webhook for 95 minutes, to the address that it was made for."""

_BYTES = 32
_WHAT = "The secret of the webhooks"


@dataclass(frozen=True, slots=True)
class HookSecrets:
    """`old` is accepted until `old_until`; what `make_secrets` returns has none that is not accepted any more."""

    current: Secret
    old: Secret | None = None
    old_until: datetime | None = None

    @property
    def good(self) -> tuple[Secret, ...]:
        return (self.current, self.old) if self.old is not None else (self.current,)

    def accepted(self, at: datetime) -> tuple[Secret, ...]:
        return self.good if self.old_until is not None and at < self.old_until else (self.current,)


def hook_address(public_url: str, connection_id: str, secret: Secret) -> Secret:
    """Where Kommo sends to. Whoever knows it can send, too."""
    return Secret(f"{public_url.rstrip('/')}{PATH}/{connection_id}/{secret.reveal()}")


async def read_all_secrets(connection: AsyncConnection, keyring: Keyring) -> dict[str, HookSecrets]:
    """By connection; those without webhooks are not in it. Raises SettingsError if no key opens one."""
    query = select(
        states.c.connection_id, states.c.webhook_secret, states.c.old_webhook_secret, states.c.old_webhook_secret_until
    ).join(crm_connections, crm_connections.c.id == states.c.connection_id)
    query = query.where(crm_connections.c.provider == KOMMO, states.c.webhook_secret.is_not(None))
    found = await connection.execute(query)
    return {connection_id: _opened(keyring, current, old, until) for connection_id, current, old, until in found}


async def make_secrets(database: Database, keyring: Keyring, connection_id: str) -> HookSecrets:
    """Those there are; the first one is made if there is none. Forgets an old one whose day is over."""

    async def write(connection: AsyncConnection) -> HookSecrets:
        known = await _read(connection, keyring, connection_id)
        if known is None:
            known = HookSecrets(_new_secret())
            await _save(connection, keyring, connection_id, known)
        elif known.old is not None and known.old not in known.accepted(await now(connection)):
            known = HookSecrets(known.current)
            await _save(connection, keyring, connection_id, known)
        return known

    return await database.write("Making a webhook's secret", write)


async def change_secrets(database: Database, keyring: Keyring, connection_id: str) -> HookSecrets:
    """A new one; the current one becomes the old one, whose day begins."""

    async def write(connection: AsyncConnection) -> HookSecrets:
        known = await _read(connection, keyring, connection_id)
        ends = await now(connection) + timedelta(seconds=OLD_SECRET_SECONDS)
        made = HookSecrets(_new_secret(), known.current if known else None, ends if known else None)
        await _save(connection, keyring, connection_id, made)
        return made

    return await database.write("Changing a webhook's secret", write)


async def forget_secrets(database: Database, connection_id: str) -> None:
    """From now on its webhooks are refused."""
    nothing = {"webhook_secret": None, "old_webhook_secret": None, "old_webhook_secret_until": None}

    async def write(connection: AsyncConnection) -> None:
        await connection.execute(update(states).where(states.c.connection_id == connection_id).values(nothing))

    await database.write("Forgetting a webhook's secret", write)


async def _read(connection: AsyncConnection, keyring: Keyring, connection_id: str) -> HookSecrets | None:
    """Locks the row: of two that make a secret at once, one makes it and the other finds it."""
    is_there = select(crm_connections.c.id).where(crm_connections.c.id == connection_id)
    if (await connection.execute(is_there)).first() is None:
        raise InvalidInput(
            f"There is no Kommo connection {connection_id}; `oxcart kommo status` lists those there are."
        )
    await make_state(connection, connection_id)
    columns = (states.c.webhook_secret, states.c.old_webhook_secret, states.c.old_webhook_secret_until)
    query = select(*columns).where(states.c.connection_id == connection_id).with_for_update()
    row = (await connection.execute(query)).one()
    return None if row[0] is None else _opened(keyring, *row)


async def _save(connection: AsyncConnection, keyring: Keyring, connection_id: str, made: HookSecrets) -> None:
    shape = keyring.usual_shape
    values = {
        "webhook_secret": keyring.seal(made.current, shape),
        "old_webhook_secret": keyring.seal(made.old, shape) if made.old else None,
        "old_webhook_secret_until": made.old_until,
    }
    await connection.execute(update(states).where(states.c.connection_id == connection_id).values(values))


def _opened(keyring: Keyring, current: str, old: str | None, old_until: datetime | None) -> HookSecrets:
    return HookSecrets(keyring.open(current, _WHAT).secret, keyring.open(old, _WHAT).secret if old else None, old_until)


def _new_secret() -> Secret:
    return Secret(secrets.token_urlsafe(_BYTES))
