"""Is all of an account here after the first run, and at what price?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.mirroring import Mirror
from support.sandbox import Sandbox

from kommo.stored import account as stored_account
from kommo.sync.conftest import NOW
from oxcart.errors import InvalidInput
from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.store.database import Database
from oxcart.kommo.sync.progress import Progress

STREAMS = 24
"""Requests of a first walk: one a stream but for customers, which this account has not."""


async def test_everything_is_here(mirror: Mirror, sandbox: Sandbox) -> None:
    outcomes = await mirror.sync()

    assert list(outcomes) == list(ENTITIES)
    assert {outcome.error for outcome in outcomes.values()} == {None}
    assert {name for name, outcome in outcomes.items() if outcome.mode != "full"} == {"customers"}
    assert await mirror.differences() == {}
    assert len(await mirror.alive("users")) == 5
    assert len(await mirror.alive("leads_tags")) == 4
    assert set(await mirror.alive("contacts_custom_fields")) == {"771906", "771908"}
    assert set(await mirror.alive("catalog_elements")) == {"5001", "5002"}
    assert (outcomes["contacts"].rows, outcomes["contacts"].changed, outcomes["contacts"].pages) == (200, 200, 1)
    lead = sandbox.demo.table("leads").get(20_000_001)
    assert lead is not None
    mains = {(str(lead["id"]), "contacts", str(contact), main) for contact, main in lead["_contacts"]}
    assert mains <= await mirror.links("leads")


async def test_a_small_account_costs_its_streams_and_no_more(mirror: Mirror, sandbox: Sandbox) -> None:
    outcomes = await mirror.sync()

    assert len(sandbox.world.seen) == STREAMS
    assert sum(outcome.requests for outcome in outcomes.values()) == STREAMS


@pytest.mark.parametrize("next_link", ["always", "never"])
async def test_lists_are_read_to_their_end_and_no_further_whatever_is_linked(
    mirror: Mirror, sandbox: Sandbox, next_link: str
) -> None:
    sandbox.demo.tags.update({1000 + number: f"tag {number}" for number in range(300)})
    sandbox.world.scenario = replace(sandbox.world.scenario, next_link=next_link)

    outcomes = await mirror.sync()

    assert {outcome.error for outcome in outcomes.values()} == {None}
    assert await mirror.differences() == {}
    assert len(await mirror.alive("leads_tags")) == 304
    assert len(sandbox.world.seen) == STREAMS + 3  # the tags have two pages


async def test_what_the_account_tells_is_learnt(mirror: Mirror, database: Database) -> None:
    await mirror.sync("account")

    settings = await mirror.settings()
    row = await stored_account(database, mirror.account.connection_id)
    assert (settings["timezone"], settings["currency"], settings["is_api_filter_enabled"]) == (
        "Europe/Madrid", "EUR", True,
    )  # fmt: skip
    assert row["account_id"] == "31000001"


async def test_an_account_id_that_is_known_stays(mirror: Mirror, database: Database) -> None:
    from kommo.stored import change_account

    await change_account(database, mirror.account.connection_id, account_id="7")

    await mirror.sync("account")

    assert (await stored_account(database, mirror.account.connection_id))["account_id"] == "7"


async def test_cursors_say_how_far_we_are(mirror: Mirror) -> None:
    await mirror.sync()

    for name in ENTITIES.keys() - {"customers"}:
        cursor = await mirror.cursor(name)
        assert cursor["cursor_at"].timestamp() == NOW, name
        assert cursor["full_walk_at"].timestamp() == NOW, name
        assert (cursor["checkpoint"], cursor["last_error"]) == (None, None)
        assert cursor["last_run_at"] is not None
        assert cursor["requests"] == 1
    assert (await mirror.cursor("contacts"))["rows_written"] == 200


async def test_streams_can_be_named(mirror: Mirror, sandbox: Sandbox) -> None:
    outcomes = await mirror.sync("tasks", "contacts")

    assert list(outcomes) == ["contacts", "tasks"]
    assert {seen.path for seen in sandbox.world.seen} == {"/api/v4/contacts", "/api/v4/tasks"}


async def test_an_unknown_name_is_answered_with_the_known_ones(mirror: Mirror, sandbox: Sandbox) -> None:
    with pytest.raises(InvalidInput, match=r"nothing named deals .* account, pipelines, .*deleted_leads"):
        await mirror.sync("deals", "leads")

    assert not sandbox.world.seen


async def test_progress_is_told_at_each_streams_end(mirror: Mirror) -> None:
    told: list[Progress] = []

    async def listen(progress: Progress) -> None:
        told.append(progress)

    await mirror.sync(on_progress=listen)

    ends = [progress for progress in told if progress.eta_seconds == 0]
    assert [progress.entity for progress in ends] == list(ENTITIES)
    assert [progress.entities_done for progress in ends] == list(range(1, len(ENTITIES) + 1))
    contacts = next(progress for progress in ends if progress.entity == "contacts")
    assert contacts.as_json() | {"rowsPerSecond": 0} == {
        "entity": "contacts", "entitiesDone": 10, "entities": 25, "pages": 1, "rows": 200, "rowsPerSecond": 0,
        "etaSeconds": 0.0,
    }  # fmt: skip
    assert contacts.rows_per_second > 0


async def test_an_outcome_can_be_printed(mirror: Mirror) -> None:
    outcome = (await mirror.sync("leads"))["leads"].as_json()

    assert outcome["seconds"] >= 0
    assert outcome | {"seconds": 0} == {
        "entity": "leads", "mode": "full", "pages": 1, "rows": 100, "changed": 100, "deleted": 0, "requests": 1,
        "seconds": 0, "error": None,
    }  # fmt: skip
