"""What has an account told of itself, and what did we find out? Its time zone, whether filters work: one JSON value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.store.columns import insert_into
from oxcart.kommo.store.own_tables import crm_connection_states as states


async def load_account_settings(connection: AsyncConnection, connection_id: str) -> dict[str, Any]:
    query = select(states.c.settings).where(states.c.connection_id == connection_id)
    return _as_dict((await connection.execute(query)).scalar_one_or_none())


async def merge_account_settings(
    connection: AsyncConnection, connection_id: str, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Set these and leave the others as they are; returns all of them. The row is locked until the transaction ends."""
    await connection.execute(
        insert_into(connection, states).values(connection_id=connection_id, token_version=0).on_conflict_do_nothing()
    )
    mine = states.c.connection_id == connection_id
    known = _as_dict((await connection.execute(select(states.c.settings).where(mine).with_for_update())).scalar_one())
    if any(name not in known or known[name] != value for name, value in values.items()):
        known |= values
        await connection.execute(update(states).where(mine).values(settings=known))
    return known


def _as_dict(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}
