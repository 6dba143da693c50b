"""What does a test put into the store, and how does it look there? The platform's rows, written past our own code."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.store.columns import new_id
from oxcart.kommo.store.database import Database, now
from oxcart.kommo.store.own_tables import crm_connection_states, crm_leases
from oxcart.kommo.store.platform_tables import crm_connections, crm_credentials

DOMAIN = "ann.kommo.com"


async def add_account(database: Database, *, ends_in_seconds: float | None = 3600, **values: Any) -> str:
    """A connection with its integration, as the platform's API writes them; the id."""
    org_id = values.pop("org_id", None) or str(uuid.uuid4())
    ends = None if ends_in_seconds is None else datetime.now(UTC) + timedelta(seconds=ends_in_seconds)
    row = {"id": new_id(), "org_id": org_id, "base_domain": DOMAIN, "access_token": "access-0", "expires_at": ends}
    row |= {"refresh_token": "refresh-0", "account_id": "31000001", "metadata": {"sync": {"status": "done"}}}
    secret = values.pop("client_secret", "client-secret")
    async with database.writing("Arranging") as connection:
        await connection.execute(insert(crm_connections).values(row | values))
        if secret is not None:
            integration = {"org_id": org_id, "client_id": "client", "client_secret": secret}
            redirect = {"redirect_uri": "https://platform.example/callback"}
            await connection.execute(insert(crm_credentials).values(integration | redirect))
    return str((row | values)["id"])


async def change_account(database: Database, connection_id: str, **values: Any) -> None:
    """As Node does it, which knows nothing of us."""
    async with database.writing("Acting as Node") as connection:
        await connection.execute(update(crm_connections).where(crm_connections.c.id == connection_id).values(values))


async def account(database: Database, connection_id: str) -> dict[str, Any]:
    """The platform's row and our own beside it."""
    async with database.reading("Asserting") as connection:
        row = await connection.execute(select(crm_connections).where(crm_connections.c.id == connection_id))
        state = await connection.execute(
            select(crm_connection_states).where(crm_connection_states.c.connection_id == connection_id)
        )
        ours = state.mappings().first()
        return {**row.mappings().one(), **(ours or {})}


async def lease_holder(connection: AsyncConnection, scope: str) -> str | None:
    at = await now(connection)
    query = select(crm_leases.c.holder).where(crm_leases.c.scope == scope, crm_leases.c.held_until > at)
    return (await connection.execute(query)).scalar_one_or_none()
