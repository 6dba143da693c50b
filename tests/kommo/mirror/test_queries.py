"""Do the views and every query of docs/kommo-queries.md answer, and rightly, on both databases?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from support.mirror import Mirror

from oxcart.kommo.report import REPORTS, read_report
from oxcart.kommo.sync.run import sync_account
from oxcart_sandbox.seed import FIRST_IDS, LOST, OPEN_STATUS_IDS, PIPELINE_IDS, WON

PAGE = Path(__file__).parents[3] / "docs" / "kommo-queries.md"
RECIPES = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
LEAD, CONTACT = FIRST_IDS["leads"] + 1, FIRST_IDS["contacts"]
ANN, BEN = FIRST_IDS["users"], FIRST_IDS["users"] + 1


@pytest.fixture
async def told(mirror: Mirror) -> Mirror:
    """A lead that went through two stages and was won, one that was lost, calls, tasks and products."""
    demo, pipeline = mirror.sandbox.demo, PIPELINE_IDS[0]
    mirror.change_scenario(requests_per_second=1_000_000)
    new = demo.add("leads", {"name": "Big", "price": 100.1, "_contacts": [[CONTACT, True]], "_tags": [11]}, by=ANN)
    for seconds, status in ((3600, OPEN_STATUS_IDS[1]), (7200, WON)):
        mirror.later(seconds)
        demo.edit("leads", new["id"], {"status_id": status, "pipeline_id": pipeline}, by=BEN)
    demo.edit("leads", new["id"], {"_elements": [[5_001, 3]]})
    demo.edit("leads", LEAD, {"status_id": LOST, "loss_reason_id": 401})
    for kind, seconds in (("call_in", 60), ("call_out", 0)):
        demo.add("contacts_notes", {"entity_id": CONTACT, "note_type": kind, "params": {"duration": seconds}}, by=BEN)
    for due in (1, 2_000_000_000):
        fields = {"entity_id": LEAD, "entity_type": "leads", "text": "Call", "complete_till": due}
        demo.add("tasks", fields, by=FIRST_IDS["users"] + 4)
    mirror.later()
    await sync_account(mirror.account)
    return mirror


async def report(mirror: Mirror, name: str) -> list[dict[str, Any]]:
    async with mirror.database.reading("Asserting") as connection:
        return await read_report(connection, name, mirror.account.connection_id)


async def query(mirror: Mirror, select: str) -> list[dict[str, Any]]:
    async with mirror.database.reading("Asserting") as connection:
        return [dict(row) for row in (await connection.execute(text(select))).mappings()]


async def test_the_five_reports_tell_what_happened(told: Mirror) -> None:
    users = {user["id"]: user["name"] for user in told.sandbox.demo.users}
    found = {name: await report(told, name) for name in REPORTS}

    lead = found["leads"][0]
    assert (lead["lead"], str(lead["price"]), lead["stage"], lead["tags"]) == ("Big", "100.1", "Closed - won", "site")
    assert (lead["manager"], lead["contact"]) == (users[ANN], told.sandbox.demo.find("contacts", CONTACT)["name"])
    stays = await query(
        told, "SELECT stage, seconds, moved_by FROM crm_stage_history WHERE lead = 'Big' ORDER BY entered_at"
    )
    assert [(row["stage"], row["moved_by"]) for row in stays] == [
        ("Step 1", users[ANN]), ("Step 2", users[BEN]), ("Closed - won", users[BEN]),
    ]  # fmt: skip
    assert [row["seconds"] for row in stays[:2]] == [3600, 7200]
    assert {row["stage"] for row in found["stages"]} >= {"Step 1", "Step 2", "Closed - won"}
    month = max(row["month"] for row in found["funnel"])
    assert [row["leads"] for row in found["funnel"] if row["month"] == month] == [1, 1, 1]
    tasks = {row["manager"]: row for row in found["tasks"]}[users[FIRST_IDS["users"] + 4]]
    assert tasks["open_tasks"] >= 2
    assert 1 <= tasks["overdue_tasks"] < tasks["open_tasks"]
    (calls,) = found["calls"]
    assert [calls[name] for name in ("manager", "calls", "incoming", "outgoing", "answered", "seconds")] == [
        users[BEN], 2, 1, 1, 1, 60,
    ]  # fmt: skip


async def test_every_recipe_of_the_page_runs_and_finds_something(told: Mirror) -> None:
    assert len(RECIPES) > 8

    counts = {recipe.strip().split("\n")[0]: len(await query(told, recipe)) for recipe in RECIPES}

    assert [first for first, count in counts.items() if not count and "phone" not in first] == []
    (product,) = await query(told, next(recipe for recipe in RECIPES if "crm_catalog_elements" in recipe))
    assert (product["product"], product["pieces"]) == ("Bread", 3)


async def test_the_short_names_are_ours_where_the_platform_has_no_such_tables(told: Mirror) -> None:
    tasks = await query(told, "SELECT text, remote_created_at, deleted_at, responsible_user_id FROM crm_tasks")

    assert len(tasks) == len(await told.rows("tasks"))
    assert {row["deleted_at"] for row in tasks} == {None}
