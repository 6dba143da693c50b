"""How is an account connected, and how does its owner take the access away? OAuth, long-lived tokens, revocation.

Both ways end in one row of crm_connections. Nothing is changed in the account.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart import clock
from oxcart.errors import InvalidInput
from oxcart.kommo.address import check_account_host, read_account_host
from oxcart.kommo.crypto import Keyring, Shape
from oxcart.kommo.held_tokens import open_held, tokens_of
from oxcart.kommo.store.columns import new_id
from oxcart.kommo.store.connections import (
    KOMMO,
    SealedTokens,
    add_connection,
    connection_of_account,
    connection_of_domain,
    load_connection,
    org_of_domain,
    replace_tokens,
    save_credentials,
    share_credentials,
)
from oxcart.kommo.store.database import Database, now
from oxcart.kommo.store.platform_tables import crm_connections, crm_credentials, oauth_states
from oxcart.kommo.token_claims import read_claims
from oxcart.kommo.tokens import TokenEndpoint, park
from oxcart.secret import Secret
from oxcart.telemetry.bus import Emit

AUTHORIZE_URL = "https://www.kommo.com/oauth"
STATE_SECONDS = 15 * 60
"""As the platform has it; Kommo's code itself lives 20 minutes."""


@dataclass(frozen=True, slots=True)
class Integration:
    """What Kommo's integration page shows. The redirect address must be the one written there."""

    client_id: str
    client_secret: Secret
    redirect_uri: str


async def begin_authorization(
    database: Database, keyring: Keyring, integration: Integration, domain: str, *, org_id: str | None = None
) -> str:
    """The address at which the account's owner grants access; what comes back goes to `finish_authorization`."""
    host = read_account_host(domain)
    org = org_id or org_of_domain(host)
    state = secrets.token_urlsafe(32)
    credentials = {
        "client_id": integration.client_id,
        "client_secret": keyring.seal(integration.client_secret, keyring.usual_shape),
        "redirect_uri": integration.redirect_uri,
    }

    async def write(connection: AsyncConnection) -> None:
        at = await now(connection)
        await connection.execute(delete(oauth_states).where(oauth_states.c.expires_at < at))
        await save_credentials(connection, org, credentials)
        row = {"id": new_id(), "org_id": org, "provider": KOMMO, "state": state, "base_domain": host}
        row |= {"redirect_uri": integration.redirect_uri}
        await connection.execute(insert(oauth_states).values(**row, expires_at=at + timedelta(seconds=STATE_SECONDS)))

    await database.write("Beginning an authorization", write)
    return f"{AUTHORIZE_URL}?{urlencode({'client_id': integration.client_id, 'state': state, 'mode': 'popup'})}"


async def finish_authorization(
    database: Database,
    keyring: Keyring,
    endpoint: TokenEndpoint,
    *,
    state: str,
    code: str,
    referer: str,
    clock: Callable[[], datetime] = clock.now_utc,
) -> str:
    """Exchange the code that Kommo sent back; the connection's id. A state works once, and for 15 minutes.

    Raises InvalidInput for a state or a referer that is not ours to follow, and for another account than was asked for;
    KommoError if Kommo refuses the code.
    """
    host = check_account_host(referer.removeprefix("https://").rstrip("/").lower())
    org_id, asked, redirect_uri, client_id, client_secret = await _take_state(database, state)
    if host != asked:
        raise InvalidInput(
            f"Connecting {asked}: access was granted to {host}, and nothing was stored. Log in to {asked} there "
            f"and begin again; or, if {host} is meant: oxcart kommo connect {host}."
        )
    secret = keyring.open(client_secret, "The client secret of the integration")
    form = {
        "client_id": client_id,
        "client_secret": secret.secret.reveal(),
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
    }
    answer = await endpoint.request_token(host, form)
    return await _store(database, keyring, answer, host=host, org_id=org_id, at=clock())


async def connect_long_lived(
    database: Database, keyring: Keyring, domain: str, token: Secret, *, org_id: str | None = None
) -> str:
    """Store a private integration's token; the connection's id. Whether it works is the caller's first request."""
    host = read_account_host(domain)
    answer = {"access_token": token.reveal().strip()}
    return await _store(database, keyring, answer, host=host, org_id=org_id or org_of_domain(host), at=clock.now_utc())


def revocation_is_genuine(query: Mapping[str, str], client_id: str, client_secret: Secret) -> bool:
    """Whether Kommo's "access revoked" notice is signed with the integration's secret."""
    account_id, signature = query.get("account_id", ""), query.get("signature", "")
    expected = hmac.new(client_secret.reveal().encode(), f"{client_id}|{account_id}".encode(), hashlib.sha256)
    is_signed = hmac.compare_digest(expected.hexdigest().encode(), signature.lower().encode())
    return is_signed and query.get("client_uuid", "") == client_id and bool(account_id)


async def handle_revocation(
    database: Database, keyring: Keyring, emit: Emit, query: Mapping[str, str]
) -> tuple[str, ...]:
    """Park the connections that a signed notice is about; their ids, none for a notice that is not genuine."""
    async with database.reading("Looking for a revoked connection") as connection:
        same_owner = crm_credentials.c.org_id == crm_connections.c.org_id
        ids = (
            select(crm_connections.c.id)
            .join(crm_credentials, same_owner)
            .where(crm_connections.c.account_id == query.get("account_id", ""))
            .where(crm_credentials.c.client_id == query.get("client_uuid", ""))
        )
        found = [
            stored
            for connection_id in (await connection.execute(ids)).scalars()
            if (stored := await load_connection(connection, connection_id)) is not None
        ]
    parked = []
    for stored in found:
        held = open_held(keyring, stored)
        secret = held.client_secret
        if secret is not None and revocation_is_genuine(query, str(stored.client_id), secret.secret):
            await park(database, emit, held, "its owner has revoked the access in Kommo", at=clock.now_utc())
            parked.append(stored.id)
    return tuple(parked)


async def _take_state(database: Database, state: str) -> tuple[str, str, str, str, str]:
    """Organisation, domain, redirect address and the integration of it; the state is used up by this."""

    async def take(connection: AsyncConnection) -> tuple[str, str, str, str, str] | None:
        mine = (oauth_states.c.provider == KOMMO, oauth_states.c.state == state)
        taken = (
            delete(oauth_states)
            .where(*mine)
            .returning(*(oauth_states.c[name] for name in ("org_id", "base_domain", "redirect_uri", "expires_at")))
        )
        row = (await connection.execute(taken)).first()
        if row is None or row.expires_at <= await now(connection):
            return None
        query = select(crm_credentials.c.client_id, crm_credentials.c.client_secret)
        query = query.where(crm_credentials.c.org_id == row.org_id, crm_credentials.c.provider == KOMMO)
        integration = (await connection.execute(query)).first()
        return None if integration is None else (*row[:3], *integration)

    found = await database.write("Taking an OAuth state", take)
    if found is None:
        raise InvalidInput(
            "Connecting an account: Kommo came back with a state that was not given out, was used, or is older than "
            "15 minutes. Begin again: oxcart kommo connect."
        )
    return found


async def _store(
    database: Database, keyring: Keyring, answer: Mapping[str, Any], *, host: str, org_id: str, at: datetime
) -> str:
    """A new row, or new tokens in the account's own, also if it was connected under another domain: its id stays, and
    with it everything that points at it.
    """
    access, refresh, ends = tokens_of(answer, at)
    claims = read_claims(access)

    async def write(connection: AsyncConnection) -> str | None:
        existing = await connection_of_domain(connection, host, org_id)
        if existing is None and claims.account_id is not None:
            named = org_id if org_id != org_of_domain(host) else None
            existing = await connection_of_account(connection, claims.account_id, named)
        read = None if existing is None else await load_connection(connection, existing)
        access_shape, refresh_shape = _shapes(keyring, read)
        tokens = SealedTokens(
            access_token=keyring.seal(access, access_shape),
            refresh_token=keyring.seal(refresh, refresh_shape) if refresh else None,
            expires_at=ends,
            domain=host,
            api_domain=claims.api_domain,
            account_id=claims.account_id,
        )
        if read is None:
            return await add_connection(connection, org_id, tokens)
        await share_credentials(connection, org_id, read.org_id)
        return read.id if await replace_tokens(connection, read, tokens, at=at) else None

    while True:
        connection_id = await database.write("Storing a connection", write)
        if connection_id is not None:
            return connection_id


def _shapes(keyring: Keyring, read: Any) -> tuple[Shape, Shape]:
    """As found in the platform's row, for Node reads it too."""
    if read is None:
        return keyring.usual_shape, keyring.usual_shape
    held = open_held(keyring, read)
    return held.access.shape, held.refresh.shape if held.refresh else held.access.shape
