"""Does the status say how every stream stands?"""

from __future__ import annotations

from support.mirror import Mirror

from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.sync.compare import COMPARED
from oxcart.kommo.sync.marked import fetch_marked
from oxcart.kommo.sync.status import EntityStatus, read_status
from oxcart.kommo.sync.sweep import sweep_account


async def status(mirror: Mirror) -> dict[str, EntityStatus]:
    async with mirror.database.reading("Asserting") as connection:
        return {one.entity: one for one in await read_status(connection, mirror.account.connection_id)}


async def test_a_new_connection_has_nothing_yet(mirror: Mirror) -> None:
    found = await status(mirror)

    assert list(found) == list(ENTITIES)
    assert all(one == EntityStatus(name, 0, 0) for name, one in found.items())


async def test_rows_are_counted_where_they_lie(mirror: Mirror) -> None:
    """Notes of three entities share a table, and so do custom fields, tasks and pipelines."""
    await mirror.fill(*(name for name in COMPARED if name != "customers"))

    found = await status(mirror)

    demo = mirror.sandbox.demo
    counts = {name: one.rows for name, one in found.items()}
    expected = {name: len(mirror.ids(name)) for name in demo.tables}
    expected |= {f"{of}_custom_fields": len(fields) for of, fields in demo.custom_fields.items()}
    expected |= {f"{of}_tags": len(demo.tags) for of in demo.custom_fields}
    expected |= {"pipelines": len(demo.pipelines), "users": len(demo.users)}
    assert {name: counts[name] for name in expected} == expected
    assert (counts["events"], counts["account"], counts["deleted_leads"]) == (0, 0, 0)


async def test_work_and_its_errors_are_told(mirror: Mirror) -> None:
    await mirror.fill("leads")
    gone, edited = mirror.ids("leads")[:2]
    mirror.sandbox.demo.delete("leads", gone)
    mirror.sandbox.demo.edit("leads", edited, {"name": "New"})
    await mirror.mark("leads", [gone], "delete")
    await mirror.mark("leads", [edited])
    await fetch_marked(mirror.account)
    marked = (await status(mirror))["leads"]
    mirror.sandbox.world.faults.plan({"kind": "500", "path": "/api/v4/leads", "times": 3})

    await sweep_account(mirror.account, ["leads"])
    failed = (await status(mirror))["leads"]
    await sweep_account(mirror.account, ["leads"])
    swept = (await status(mirror))["leads"]

    assert (marked.rows, marked.deleted, marked.rows_written, marked.requests) == (299, 1, 2, 1)
    assert failed.last_error is not None
    assert "nothing was deleted" in failed.last_error
    assert (failed.swept_at, swept.last_error) == (None, None)
    assert swept.swept_at is not None
    assert swept.as_json()["sweptAt"] == swept.swept_at.isoformat()
    assert swept.as_json()["rowsWritten"] == 2
