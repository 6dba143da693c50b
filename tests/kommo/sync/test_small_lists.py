"""Are the lists that hardly change, or that not every account has, here, and at what price?"""

from __future__ import annotations

from dataclasses import replace

from support.mirroring import Mirror
from support.sandbox import Sandbox

from oxcart.kommo.sync.compare import compare_account
from oxcart_sandbox.seed import CATALOG, FIRST_IDS

SELDOM = {"loss_reasons", "roles", "sources", "catalogs", "catalog_elements"}


def asked(sandbox: Sandbox) -> set[str]:
    found = {seen.path.removeprefix("/api/v4/") for seen in sandbox.world.seen}
    sandbox.world.seen.clear()
    return found


async def test_what_hardly_changes_is_read_once_an_hour_and_at_once_by_its_name(
    mirror: Mirror, sandbox: Sandbox
) -> None:
    await mirror.sync()
    elements = sandbox.demo.lists[f"catalogs/{CATALOG}/elements"]
    elements[0]["name"], gone = "Rolls", elements.pop()
    sandbox.world.clock.advance(3000)
    asked(sandbox)

    early = await mirror.sync()
    named = await mirror.sync("loss_reasons")
    sandbox.world.clock.advance(700)
    asked(sandbox)
    late = await mirror.sync()

    assert {name for name, one in early.items() if one.mode == "skipped"} == SELDOM | {"customers"}
    assert named["loss_reasons"].mode == "full"
    assert late["catalog_elements"].mode == "full"
    assert f"catalogs/{CATALOG}/elements" in asked(sandbox)
    rows = await mirror.rows("catalog_elements")
    assert {row["name"] for row in rows.values() if row["deleted_at"] is None} == {"Rolls"}
    assert rows[str(gone["id"])]["deleted_source"] == "list"


async def test_the_elements_of_every_catalog_are_read_and_those_of_a_removed_one_are_gone(
    mirror: Mirror, sandbox: Sandbox
) -> None:
    lists = sandbox.demo.lists
    lists["catalogs"].append({**lists["catalogs"][0], "id": 3_000, "name": "Cars"})
    lists["catalogs/3000/elements"] = [
        {"id": 9_000 + number, "catalog_id": 3_000, "name": f"Car {number}"} for number in range(251)
    ]
    await mirror.sync("catalogs", "catalog_elements")
    before = await mirror.alive("catalog_elements")

    sandbox.world.clock.advance(10)
    lists["catalogs"].pop()
    await mirror.sync("catalogs", "catalog_elements", full=True)

    assert len(before) == 2 + 251
    assert {row["catalog_id"] for row in before.values()} == {str(CATALOG), "3000"}
    assert set(await mirror.alive("catalog_elements")) == {"5001", "5002"}


async def test_customers_are_read_where_the_account_has_them(mirror: Mirror, sandbox: Sandbox) -> None:
    await mirror.sync()
    sandbox.demo.customers_mode = "segments"
    contact = FIRST_IDS["contacts"]
    row = sandbox.demo.add("customers", {"name": "Regular", "next_price": 10.5, "_contacts": [[contact, True]]})
    sandbox.world.clock.advance(10)
    await mirror.sync()
    sandbox.demo.edit("customers", row["id"], {"name": "Very regular"})
    sandbox.world.clock.advance(1000)

    outcomes = await mirror.sync()

    (customer,) = (await mirror.alive("customers")).values()
    assert (customer["name"], str(customer["next_price"])) == ("Very regular", "10.5")
    assert (str(row["id"]), "contacts", str(contact), True) in await mirror.links("customers")
    assert outcomes["customers"].mode == "incremental"


async def test_an_incoming_lead_that_was_accepted_is_in_the_list_no_more(mirror: Mirror, sandbox: Sandbox) -> None:
    incoming = {"uid": "u-1", "category": "sip", "source_name": "Line", "pipeline_id": 7, "created_at": 1_789_000_000}
    sandbox.demo.lists["leads/unsorted"].append({**incoming, "_embedded": {"contacts": [{"id": 5}], "leads": []}})
    await mirror.sync()
    here = await mirror.alive("unsorted")

    sandbox.world.clock.advance(10)
    sandbox.demo.lists["leads/unsorted"].clear()
    await mirror.sync()

    assert (here["u-1"]["category"], here["u-1"]["pipeline_id"], here["u-1"]["contact_id"]) == ("sip", "7", "5")
    assert await mirror.alive("unsorted") == {}


async def test_what_the_settings_skip_is_neither_read_nor_compared(mirror: Mirror, sandbox: Sandbox) -> None:
    mirror.account = replace(mirror.account, skips=frozenset({"catalogs", "roles"}))

    outcomes = await mirror.sync()

    skipped = {name for name, one in outcomes.items() if one.mode == "skipped"}
    assert skipped == {"catalogs", "catalog_elements", "roles", "customers"}
    assert not {"catalogs", "roles"} & asked(sandbox)
    compared = {one.entity: one.is_none for one in await compare_account(mirror.account)}
    assert set(compared.values()) == {True}
    assert not {"catalogs", "catalog_elements", "roles"} & compared.keys()
