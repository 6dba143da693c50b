"""Do the commands sync, status, sweep and diff tell the truth about an account, and its mistakes in one sentence?"""

from __future__ import annotations

from typing import Any

import pytest

from kommo.commands.conftest import DOMAIN, Crm


def by_entity(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["entity"]: one for one in answer["entities"]}


async def test_sync_now_reads_the_account_without_a_worker_and_diff_finds_no_difference(crm: Crm) -> None:
    await crm.connect("--no-sync")

    synced = await crm.oxcart("kommo", "sync", "--now", "--json")
    compared = await crm.oxcart("kommo", "diff", "--json")

    assert synced.code == 0, synced.err
    entities = by_entity(synced.json)
    assert (entities["contacts"]["rows"], entities["leads"]["rows"]) == (60, 40)
    assert synced.json["errors"] == {}
    assert compared.code == 0, compared.out
    assert all(not one["missing"] and not one["extra"] and not one["different"] for one in compared.json["entities"])


async def test_diff_names_what_differs_and_a_sync_mends_it(crm: Crm) -> None:
    await crm.connect("--no-sync")
    await crm.oxcart("kommo", "sync", "--now")
    lead = next(iter(crm.remote.truth("leads")))["id"]
    crm.remote.edit("leads", lead, {"name": "Another name"})

    before = await crm.oxcart("kommo", "diff", "leads", "--json")
    await crm.oxcart("kommo", "sync", "leads", "--now")
    after = await crm.oxcart("kommo", "diff", "leads", "--json")

    assert before.code == 1
    assert by_entity(before.json)["leads"]["different"] == [str(lead)]
    assert after.code == 0


async def test_a_sweep_finds_a_merged_contact(crm: Crm) -> None:
    await crm.connect("--no-sync")
    await crm.oxcart("kommo", "sync", "--now")
    first, second, *_ = (row["id"] for row in crm.remote.truth("contacts"))
    crm.remote.merge(first, [second])

    swept = await crm.oxcart("kommo", "sweep", "contacts", "--json")

    assert swept.code == 0, swept.err
    assert by_entity(swept.json)["contacts"]["tombstoned"] == 1
    gone = await crm.rows("SELECT external_id FROM crm_contacts WHERE deleted_at IS NOT NULL")
    assert gone == [{"external_id": str(second)}]


async def test_status_tells_rows_age_and_rights(crm: Crm) -> None:
    await crm.connect("--no-sync")
    before = await crm.oxcart("kommo", "status", "--json")
    await crm.oxcart("kommo", "sync", "--now")
    after = await crm.oxcart("kommo", "status", "--json")
    shown = await crm.oxcart("kommo", "status")

    (connection,) = after.json["connections"]
    assert by_entity(before.json["connections"][0])["leads"]["ageSeconds"] is None
    assert by_entity(connection)["leads"]["rows"] == 40
    assert by_entity(connection)["leads"]["lastError"] is None
    assert (connection["domain"], connection["state"], connection["isAdmin"]) == (DOMAIN, "connected", True)
    assert "administrator" in shown.out
    assert crm.token not in shown.out + after.out


async def test_without_a_connection_each_command_says_how_to_make_one(crm: Crm) -> None:
    status = await crm.oxcart("kommo", "status")
    synced = await crm.oxcart("kommo", "sync", "--now")

    assert (status.code, "oxcart kommo connect" in status.out) == (0, True)
    assert (synced.code, "oxcart kommo connect" in synced.err) == (64, True)
    assert synced.err.count("\n") == 1


async def test_an_entity_that_there_is_not_is_guessed(crm: Crm) -> None:
    done = await crm.oxcart("kommo", "sync", "lead")

    assert done.code == 64
    assert "Did you mean leads?" in done.err


async def test_without_a_worker_sync_says_so_instead_of_waiting(crm: Crm) -> None:
    await crm.connect("--no-sync")

    done = await crm.oxcart("kommo", "sync")

    assert done.code == 1
    assert "oxcart run" in done.err
    assert "--now" in done.err


@pytest.mark.parametrize("purge", [False, True])
async def test_disconnect_forgets_tokens_webhook_and_schedules_and_the_rows_only_if_asked(
    crm: Crm, purge: bool
) -> None:
    await crm.connect("--no-sync")
    await crm.oxcart("kommo", "sync", "--now")

    (found,) = await crm.rows("SELECT id FROM crm_connections")
    which = ["--connection", str(found["id"])] if purge else [DOMAIN]
    done = await crm.oxcart("kommo", "disconnect", *which, "--yes", *(["--purge"] if purge else []))
    schedules = await crm.oxcart("schedules", "list", "--queue", "oxcart", "--json")
    synced = await crm.oxcart("kommo", "sync", "--now")

    assert done.code == 0, done.err
    assert crm.remote.subscriptions == []
    assert schedules.json == []
    tokens = await crm.rows("SELECT access_token FROM crm_connections")
    assert tokens == ([] if purge else [{"access_token": ""}])
    assert len(await crm.rows("SELECT external_id FROM crm_leads")) == (0 if purge else 40)
    assert synced.code in {1, 64}
    assert "oxcart kommo connect" in synced.err


async def test_disconnect_asks_first(crm: Crm) -> None:
    await crm.connect("--no-sync")

    done = await crm.oxcart("kommo", "disconnect", DOMAIN)

    assert done.code == 64
    assert "--yes" in done.err
    assert len(await crm.rows("SELECT id FROM crm_connections")) == 1


async def test_erase_forgets_a_contact_and_says_when_kommo_still_has_it(crm: Crm) -> None:
    await crm.connect("--no-sync")
    await crm.oxcart("kommo", "sync", "contacts", "--now")
    contact = next(iter(crm.remote.truth("contacts")))["id"]

    still = await crm.oxcart("kommo", "erase", str(contact), "--yes")
    crm.remote.delete("contacts", contact)
    gone = await crm.oxcart("kommo", "erase", str(contact), "--yes", "--json")
    unreadable = await crm.oxcart("kommo", "erase", "Ann", "--yes")

    assert (still.code, gone.code, unreadable.code) == (1, 0, 64)
    assert "Delete it there" in still.out
    (row,) = await crm.rows("SELECT name, raw FROM crm_contacts WHERE external_id = :id", id=str(contact))
    assert row == {"name": None, "raw": None}
