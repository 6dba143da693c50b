"""What was pushed, by the account itself? Its rows past lists and lateness, counted by what they say."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import select
from support.sandbox import Sandbox

from oxcart.kommo.store.database import Database
from oxcart.kommo.store.own_tables import crm_outbox
from oxcart_sandbox.seed import FIRST_IDS

LEAD = FIRST_IDS["leads"] + 1


def texts(sandbox: Sandbox, entity: str = "leads_notes") -> Counter[str]:
    """The first line of each row that is not of the seed -> how often it is there."""
    table = sandbox.demo.table(entity)
    first_new = FIRST_IDS[entity] + sandbox.demo.seed.counts[entity]
    rows = [row for row in sandbox.demo.truth(entity, after=first_new - 1) if table.get(row["id"]) is not None]
    return Counter((row["params"]["text"] if "params" in row else row["text"]).split("\n")[0] for row in rows)


def requests(sandbox: Sandbox, method: str) -> list[str]:
    return [seen.path for seen in sandbox.world.seen if seen.method == method]


async def boxed(database: Database) -> list[dict[str, Any]]:
    """The outbox, in the order of keys."""
    async with database.reading("Asserting") as connection:
        rows = await connection.execute(select(crm_outbox).order_by(crm_outbox.c.key))
        return [dict(row) for row in rows.mappings()]
