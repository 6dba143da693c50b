"""What has an account told of itself? Time zone, rights, whether its filters work: one JSON object per connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.store.own_tables import crm_connection_states as states


async def read_account_settings(connection: AsyncConnection, connection_id: str) -> dict[str, Any]:
    """Empty before the account's first sync."""
    query = select(states.c.settings).where(states.c.connection_id == connection_id)
    found = (await connection.execute(query)).scalar_one_or_none()
    return dict(found) if isinstance(found, dict) else {}


async def learn_account_settings(connection: AsyncConnection, connection_id: str, known: Mapping[str, Any]) -> None:
    """Beside what is known already, in the caller's transaction, which must be one that writes."""
    insert: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    new = insert(states).values(connection_id=connection_id, token_version=0)
    await connection.execute(new.on_conflict_do_nothing())
    mine = states.c.connection_id == connection_id
    query = select(states.c.settings).where(mine).with_for_update()
    found = (await connection.execute(query)).scalar_one_or_none()
    merged = {**(found if isinstance(found, dict) else {}), **known}
    await connection.execute(update(states).where(mine).values(settings=merged))
