"""Does one row that is odd, or broken, cost any other row?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select
from support.mirroring import Mirror
from support.sandbox import Sandbox

from oxcart.kommo.store.own_tables import crm_quarantine
from oxcart.kommo.sync.compare import compare_account
from oxcart.kommo.sync.status import read_status
from oxcart.kommo.sync.sweep import sweep_account
from oxcart_sandbox.seed import FIRST_IDS

ODD = {
    "odd:half": "half \ufffd of a pair",
    "odd:null": "U+0000 \ufffd in it",
    "odd:control": "\x01 as it is",
    "odd:huge": None,
}


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("bom", [False, True])
async def test_an_odd_text_never_stops_a_stream(mirror: Mirror, sandbox: Sandbox, text: str, bom: bool) -> None:
    sandbox.world.scenario = replace(sandbox.world.scenario, bom=bom)
    for entity in ("contacts", "leads", "companies"):
        sandbox.demo.edit(entity, FIRST_IDS[entity], {"name": text})
    sandbox.demo.edit("tasks", FIRST_IDS["tasks"], {"text": text})
    sandbox.demo.users[1]["name"] = text
    sandbox.demo.pipelines[0]["name"] = text

    outcomes = await mirror.sync()

    assert {outcome.error for outcome in outcomes.values()} == {None}
    assert [len(await mirror.alive(name)) for name in ("contacts", "leads", "users")] == [200, 100, 5]
    row = (await mirror.rows("contacts"))[str(FIRST_IDS["contacts"])]
    assert row["raw"]["name"] == ODD[text]
    assert {one.entity for one in await compare_account(mirror.account) if not one.is_none} == set()


@pytest.mark.parametrize("entity", ["contacts", "tasks", "users", "pipelines", "leads_notes"])
async def test_one_broken_row_is_put_aside_and_the_others_are_read(
    mirror: Mirror, sandbox: Sandbox, entity: str
) -> None:
    await mirror.sync()
    alive = len(await mirror.alive(entity))
    sandbox.world.clock.advance(900)
    demo, field = sandbox.demo, "text" if entity == "tasks" else "name"
    if entity in {"users", "pipelines"}:
        broken = getattr(demo, entity)[0]
        broken["name"] = "odd:broken"
    elif entity == "leads_notes":
        broken = demo.edit(entity, FIRST_IDS[entity], {"params": {"text": "odd:broken"}})
    else:
        broken = demo.edit(entity, FIRST_IDS[entity], {field: "odd:broken"})
        demo.edit(entity, FIRST_IDS[entity] + 1, {field: "Beside it"})

    outcomes = await mirror.sync()

    assert {outcome.error for outcome in outcomes.values()} == {None}
    assert len(await mirror.alive(entity)) == alive
    async with mirror.account.database.reading("Asserting") as connection:
        status = {one.entity: one for one in await read_status(connection, mirror.account.connection_id)}
        aside = (await connection.execute(select(crm_quarantine))).mappings().all()
    assert (status[entity].aside, [row["external_id"] for row in aside]) == (1, [str(broken["id"])])
    assert "1 rows could not be read" in str(status[entity].last_error)
    assert '"\\x"' in aside[0]["raw"]

    if entity in {"contacts", "tasks"}:
        assert (await mirror.rows(entity))[str(FIRST_IDS[entity] + 1)]["raw"][field] == "Beside it"
        demo.edit(entity, FIRST_IDS[entity], {field: "Mended"})
        await mirror.sync()
        assert await mirror.differences([entity]) == {}
        async with mirror.account.database.reading("Asserting") as connection:
            assert (
                await connection.execute(select(crm_quarantine).where(crm_quarantine.c.entity == entity))
            ).first() is None


async def test_a_broken_row_is_not_taken_for_a_deleted_one(mirror: Mirror, sandbox: Sandbox) -> None:
    await mirror.sync()
    sandbox.world.clock.advance(900)
    sandbox.demo.edit("contacts", FIRST_IDS["contacts"], {"name": "odd:broken"})

    (swept,) = await sweep_account(mirror.account, ["contacts"])

    assert (swept.tombstoned, swept.error) == (0, None)
    assert len(await mirror.alive("contacts")) == 200
