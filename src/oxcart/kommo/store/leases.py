"""Who may do this alone, across all processes? Whoever holds the lease; it ends by itself if its holder vanishes.

A row and a time instead of a lock of the session: a lease outlives the transaction and works behind every pooler.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, or_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.store.columns import insert_into
from oxcart.kommo.store.database import now
from oxcart.kommo.store.own_tables import crm_leases


async def acquire_lease(connection: AsyncConnection, scope: str, holder: str, seconds: float) -> bool:
    """True if it is ours now, for `seconds` by the database's clock; also when it was ours before."""
    at = await now(connection)
    values = {"scope": scope, "holder": holder, "held_until": at + timedelta(seconds=seconds)}
    statement = insert_into(connection, crm_leases).values(values)
    statement = statement.on_conflict_do_update(
        index_elements=["scope"],
        set_={"holder": statement.excluded.holder, "held_until": statement.excluded.held_until},
        where=or_(crm_leases.c.held_until <= at, crm_leases.c.holder == holder),
    )
    return (await connection.execute(statement.returning(crm_leases.c.scope))).first() is not None


async def regain_lease(connection: AsyncConnection, scope: str, holder: str, seconds: float) -> bool:
    """Renew it, also after it has lapsed, unless another has had it since: then False, whatever became of it."""
    at = await now(connection)
    statement = update(crm_leases).where(crm_leases.c.scope == scope, crm_leases.c.holder == holder)
    return (await connection.execute(statement.values(held_until=at + timedelta(seconds=seconds)))).rowcount == 1


async def release_lease(connection: AsyncConnection, scope: str, holder: str) -> None:
    await connection.execute(delete(crm_leases).where(crm_leases.c.scope == scope, crm_leases.c.holder == holder))
