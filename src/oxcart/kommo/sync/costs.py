"""What did reading a stream cost, and what went wrong with it? Added up in crm_cursors, beside how far it has come."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.store.columns import insert_into
from oxcart.kommo.store.own_tables import crm_cursors


async def add_costs(
    connection: AsyncConnection, connection_id: str, entity: str, *, rows: int = 0, requests: int = 0, **values: Any
) -> None:
    """`rows` that changed and `requests` are added to what is there; `values` are other columns, set as given."""
    statement = insert_into(connection, crm_cursors).values(
        connection_id=connection_id, entity=entity, rows_written=rows, requests=requests, **values
    )
    added = {
        "rows_written": crm_cursors.c.rows_written + statement.excluded.rows_written,
        "requests": crm_cursors.c.requests + statement.excluded.requests,
    }
    changes = added | {name: statement.excluded[name] for name in values}
    await connection.execute(statement.on_conflict_do_update(index_elements=["connection_id", "entity"], set_=changes))
