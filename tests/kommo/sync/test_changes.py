"""Does what changed after the first run arrive with the next one, whatever the change, at a small price?"""

from __future__ import annotations

from typing import Any

import pytest
from support.mirroring import Mirror
from support.sandbox import Sandbox

from kommo.sync.conftest import NOW, make_world
from oxcart.kommo.client import Client
from oxcart.kommo.sync.marked import fetch_marked
from oxcart_sandbox import World
from oxcart_sandbox.seed import FIRST_IDS, PIPELINE_IDS, WON

STREAMS = 19
CONTACT, LEAD, TASK, COMPANY = (FIRST_IDS[name] for name in ("contacts", "leads", "tasks", "companies"))


def later(sandbox: Sandbox, seconds: float = 300) -> None:
    sandbox.world.clock.advance(seconds)


async def test_edits_and_additions_arrive(mirror: Mirror, sandbox: Sandbox) -> None:
    await mirror.sync()
    later(sandbox)
    demo = sandbox.demo
    demo.edit("contacts", CONTACT, {"name": "Renamed"})
    demo.edit("leads", LEAD, {"status_id": WON, "pipeline_id": PIPELINE_IDS[1], "_contacts": [[CONTACT + 9, True]]})
    demo.edit("tasks", TASK, {"is_completed": True, "result": {"text": "Done"}})
    demo.add("companies", {"name": "New"})
    demo.add("leads_notes", {"entity_id": LEAD, "params": {"text": "Called"}})
    sandbox.world.seen.clear()

    outcomes = await mirror.sync()

    assert await mirror.differences() == {}
    assert {name: outcome.changed for name, outcome in outcomes.items() if outcome.changed} == {
        "companies": 1, "contacts": 1, "leads": 1, "tasks": 1, "leads_notes": 1, "events": 7,
    }  # fmt: skip
    assert {outcome.mode for name, outcome in outcomes.items() if name in {"contacts", "leads", "tasks", "events"}} == {
        "incremental"
    }
    assert (str(LEAD), "contacts", str(CONTACT + 9), True) in await mirror.links("leads")
    assert len([link for link in await mirror.links("leads") if link[:2] == (str(LEAD), "contacts")]) == 1
    assert len(sandbox.world.seen) == STREAMS


async def test_a_run_without_changes_changes_nothing(mirror: Mirror, sandbox: Sandbox) -> None:
    await mirror.sync()
    before = await mirror.rows("leads")
    later(sandbox)

    outcomes = await mirror.sync()

    assert {outcome.changed + outcome.deleted for outcome in outcomes.values()} == {0}
    after = await mirror.rows("leads")
    assert {key: row["changed_at"] for key, row in after.items()} == {
        key: row["changed_at"] for key, row in before.items()
    }


async def test_the_window_begins_before_the_cursor(mirror: Mirror, sandbox: Sandbox) -> None:
    await mirror.sync("contacts")
    later(sandbox, 5000)
    sandbox.world.seen.clear()

    await mirror.sync("contacts")

    (seen,) = sandbox.world.seen
    assert f"filter[updated_at][from]={NOW - 600}&" in seen.query
    assert (await mirror.cursor("contacts"))["cursor_at"].timestamp() == NOW + 5000


async def test_a_second_with_more_rows_than_a_page_is_read_whole(mirror: Mirror, sandbox: Sandbox) -> None:
    """A bulk edit gives hundreds of rows the same updated_at; a cursor that takes the last one seen skips the rest."""
    await mirror.sync("contacts")
    later(sandbox)
    for number in range(300):
        sandbox.demo.add("contacts", {"name": f"Imported {number}"})
    later(sandbox, 1)
    sandbox.demo.edit("contacts", CONTACT, {"name": "After the import"})

    outcome = (await mirror.sync("contacts"))["contacts"]

    assert await mirror.differences(["contacts"]) == {}
    assert outcome.changed == 301
    assert outcome.requests <= 6


async def test_rows_that_appear_late_are_caught_up(mirror: Mirror, sandbox: Sandbox) -> None:
    """Facts 4: lists show a change up to 300 s late; by then its updated_at lies before the cursor."""
    await mirror.sync()
    sandbox.world.scenario = type(sandbox.world.scenario)(requests_per_second=1_000_000, late_seconds=300)
    later(sandbox)
    sandbox.demo.edit("contacts", CONTACT, {"name": "Late"})
    sandbox.demo.edit("tasks", TASK, {"text": "Late"})
    later(sandbox, 100)
    await mirror.sync()
    assert (await mirror.rows("contacts"))[str(CONTACT)]["name"] != "Late"
    assert (await mirror.cursor("contacts"))["cursor_at"].timestamp() == NOW + 400

    later(sandbox, 300)
    await mirror.sync()

    assert await mirror.differences() == {}


@pytest.mark.parametrize("entity", ["contacts", "leads", "companies", "tasks", "leads_notes"])
async def test_a_row_whose_time_was_set_is_not_stale(mirror: Mirror, sandbox: Sandbox, entity: str) -> None:
    """Integrations set updated_at ahead, and back: to what it was when they read the row."""
    await mirror.sync()
    later(sandbox, 1000)
    row_id, now = FIRST_IDS[entity], sandbox.world.clock.seconds()
    field = "name" if entity in {"contacts", "leads", "companies"} else "text"
    change = {"params": {"text": "Ahead"}} if entity == "leads_notes" else {field: "Ahead"}
    sandbox.demo.edit(entity, row_id, {**change, "updated_at": now + 86_400})
    await mirror.sync()
    assert await mirror.differences() == {}

    later(sandbox)
    sandbox.demo.edit(entity, row_id, {**change, "responsible_user_id": 5, "updated_at": now - 100})
    await mirror.sync()

    assert await mirror.differences() == {}


async def test_deleted_leads_become_tombstones_and_come_back(mirror: Mirror, sandbox: Sandbox) -> None:
    await mirror.sync()
    later(sandbox)
    sandbox.demo.delete("leads", LEAD)

    outcomes = await mirror.sync()

    row = (await mirror.rows("leads"))[str(LEAD)]
    assert (row["deleted_at"].timestamp(), row["deleted_source"]) == (NOW + 300, "list")
    assert outcomes["deleted_leads"].deleted == 1

    later(sandbox)
    sandbox.demo.restore("leads", LEAD)
    later(sandbox, 1)
    await mirror.sync(confirm=fetch_marked)
    assert str(LEAD) in await mirror.alive("leads")


async def test_events_of_what_went_or_came_back_become_marks(mirror: Mirror, sandbox: Sandbox) -> None:
    """Nothing lists deleted contacts, companies and tasks; only an event tells."""
    await mirror.sync()
    later(sandbox)
    demo = sandbox.demo
    demo.delete("contacts", CONTACT)
    demo.delete("companies", COMPANY)
    demo.delete("tasks", TASK)
    demo.delete("contacts", CONTACT + 1)
    demo.restore("contacts", CONTACT + 1)
    confirmed: list[Any] = []

    async def confirm(account: Any) -> None:
        confirmed.append((account, await mirror.marks()))

    await mirror.sync(confirm=confirm)

    ((account, marks),) = confirmed
    assert account is mirror.account
    assert {mark for mark in marks if mark[1] != str(CONTACT + 1)} == {
        ("contacts", str(CONTACT), "delete"), ("companies", str(COMPANY), "delete"), ("tasks", str(TASK), "delete"),
    }  # fmt: skip
    assert ("contacts", str(CONTACT + 1)) in {mark[:2] for mark in marks}  # both were told: only a read can say


async def test_the_history_of_deletions_costs_nothing(mirror: Mirror, sandbox: Sandbox) -> None:
    """At the first run the lists have just told who is there."""
    sandbox.demo.delete("contacts", CONTACT)
    sandbox.demo.delete("companies", COMPANY)
    later(sandbox)

    await mirror.sync()

    assert len(await mirror.alive("events")) == 2
    assert {action for _, _, action in await mirror.marks()} <= {"update"}  # of leads that are linked to them still


async def test_events_that_were_seen_before_are_marked_once(mirror: Mirror, sandbox: Sandbox) -> None:
    await mirror.sync()
    later(sandbox)
    sandbox.demo.delete("contacts", CONTACT)
    await mirror.sync()
    async with mirror.account.database.writing("Confirming") as connection:
        from sqlalchemy import delete

        from oxcart.kommo.store.own_tables import crm_dirty

        await connection.execute(delete(crm_dirty))

    await mirror.sync()

    assert await mirror.marks() == set()


async def test_pipelines_keep_their_ids(mirror: Mirror, sandbox: Sandbox) -> None:
    await mirror.sync()
    before = await mirror.rows("pipelines")
    later(sandbox)
    sandbox.demo.pipelines[0]["name"] = "Renamed"
    removed = sandbox.demo.pipelines.pop()

    await mirror.sync()

    after = await mirror.rows("pipelines")
    assert after.keys() == before.keys()
    assert after[str(PIPELINE_IDS[0])]["name"] == "Renamed"
    assert after[str(removed["id"])]["deleted_at"] is not None


async def test_what_a_list_without_changes_lacks_is_gone(mirror: Mirror, sandbox: Sandbox) -> None:
    await mirror.sync()
    later(sandbox)
    gone = sandbox.demo.users.pop()
    sandbox.demo.custom_fields["leads"].pop()
    del sandbox.demo.tags[11]

    outcomes = await mirror.sync()

    users = await mirror.rows("users")
    assert (users[str(gone["id"])]["deleted_source"], len(await mirror.alive("users"))) == ("list", 4)
    assert set(await mirror.alive("contacts_custom_fields")) == {"771906", "771908"}
    assert set(await mirror.alive("leads_custom_fields")) == {"1016236", "1016240"}
    assert [outcomes[f"{of}_tags"].deleted for of in ("leads", "contacts", "companies")] == [1, 1, 1]
    assert (outcomes["users"].deleted, outcomes["users"].error) == (1, None)


async def test_too_much_missing_is_not_believed(mirror: Mirror, sandbox: Sandbox) -> None:
    """A token that lost its rights sees less; that is no deletion."""
    sandbox.demo.tags.update({1000 + number: f"tag {number}" for number in range(400)})
    await mirror.sync("leads_tags")
    later(sandbox)
    for number in range(150):
        del sandbox.demo.tags[1000 + number]

    outcome = (await mirror.sync("leads_tags"))["leads_tags"]

    assert (outcome.deleted, len(await mirror.alive("leads_tags"))) == (0, 404)
    assert outcome.error is not None
    assert "lists 150 of our 404 rows no more" in outcome.error
    assert (await mirror.cursor("leads_tags"))["last_error"] == outcome.error

    outcome = (await mirror.sync("leads_tags", full=True))["leads_tags"]
    assert (outcome.deleted, outcome.error, len(await mirror.alive("leads_tags"))) == (150, None, 254)


async def test_a_tag_that_slipped_over_the_edge_of_a_page_is_not_buried(mirror: Mirror, sandbox: Sandbox) -> None:
    """One goes while the list is read: the first of the second page moves to the first, which was read before."""
    sandbox.demo.tags.update({1000 + number: f"tag {number}" for number in range(400)})
    await mirror.sync("leads_tags")
    later(sandbox)
    when_page_two_is_asked_for(sandbox, mirror, lambda: sandbox.demo.tags.pop(1000))

    outcome = (await mirror.sync("leads_tags"))["leads_tags"]

    assert {str(tag) for tag in sandbox.demo.tags} <= set(await mirror.alive("leads_tags"))
    assert (outcome.deleted, outcome.requests) == (0, 4)
    later(sandbox)
    assert (await mirror.sync("leads_tags"))["leads_tags"].deleted == 1


def when_page_two_is_asked_for(sandbox: Sandbox, mirror: Mirror, happens: Any) -> None:
    """Between the answer to page 1 and the question for page 2."""
    times: list[int] = []

    class Fateful(Client):
        async def get(self, path: str, query: Any = ()) -> Any:
            if ("page", 2) in query and not times:
                times.append(1)
                happens()
            return await super().get(path, query)

    old = mirror.account.client
    fateful = Fateful(old.kommo, old.host, old._tokens, old.caller)
    mirror.account = type(mirror.account)(
        mirror.account.connection_id, mirror.account.org_id, mirror.account.domain, mirror.account.database, fateful,
        mirror.account.emit,
    )  # fmt: skip


async def test_full_reads_everything_again(mirror: Mirror, sandbox: Sandbox) -> None:
    await mirror.sync()
    later(sandbox)

    outcomes = await mirror.sync(full=True)

    assert outcomes["contacts"].rows == 200
    assert {name for name, outcome in outcomes.items() if outcome.mode != "full"} == {"customers"}
    assert (await mirror.cursor("contacts"))["full_walk_at"].timestamp() == NOW + 300


class TestManyRows:
    @pytest.fixture
    def world(self) -> World:
        return make_world(contacts=1200, leads=4000)

    async def test_several_pages(self, mirror: Mirror, sandbox: Sandbox) -> None:
        outcomes = await mirror.sync()

        assert await mirror.differences() == {}
        assert outcomes["contacts"].requests <= 5 + 4  # 300 of them share a second
        assert outcomes["tasks"].requests == 2

    async def test_rows_that_are_edited_during_the_walk_are_not_missed(self, mirror: Mirror, sandbox: Sandbox) -> None:
        """Page numbers drift: with them, an edit on a page that was read hides a row of the next one."""
        await mirror.sync()
        later(sandbox, 3600)
        for number in range(700):
            sandbox.demo.edit("contacts", CONTACT + number, {"name": "Edited", "updated_at": NOW + 3000 + number})
        later(sandbox)
        when_page_two_is_asked_for(sandbox, mirror, lambda: None)
        edits = iter(range(0, 700, 7))
        original = mirror.account.client.get

        async def editing(path: str, query: Any = ()) -> Any:
            answer = await original(path, query)
            later(sandbox, 1)
            for number in [one for _, one in zip(range(20), edits, strict=False)]:
                sandbox.demo.edit("contacts", CONTACT + number, {"name": "Edited again"})
            return answer

        mirror.account.client.get = editing  # type: ignore[method-assign]
        await mirror.sync("contacts")
        here = await mirror.alive("contacts")
        assert {row["raw"]["name"] for key, row in here.items() if int(key) < CONTACT + 700} <= {
            "Edited", "Edited again",
        }  # fmt: skip

        mirror.account.client.get = original  # type: ignore[method-assign]
        await mirror.sync("contacts")
        assert await mirror.differences(["contacts"]) == {}

    async def test_a_window_of_tasks_from_which_one_goes_is_read_whole(self, mirror: Mirror, sandbox: Sandbox) -> None:
        await mirror.sync()
        later(sandbox, 3600)
        for number in range(400):
            sandbox.demo.edit("tasks", TASK + number, {"text": "Edited"})
        later(sandbox, 60)

        def edit_the_first() -> None:
            later(sandbox, 60)
            sandbox.demo.edit("tasks", TASK, {"text": "Edited again"})

        when_page_two_is_asked_for(sandbox, mirror, edit_the_first)

        await mirror.sync("account", "tasks")
        await mirror.sync("account", "tasks")

        assert await mirror.differences(["tasks"]) == {}
