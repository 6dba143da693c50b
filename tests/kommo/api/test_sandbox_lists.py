"""Does the sandbox read as Kommo does?"""

from __future__ import annotations

import pytest
from support.sandbox import Sandbox

from oxcart_sandbox import Scenario, World, change_scenario

WINDOW = "filter[updated_at][from]={0}&filter[updated_at][to]={1}"


def scenario(sandbox: Sandbox, **switches: object) -> None:
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, switches)


async def test_an_empty_list_and_an_unknown_id_are_204(sandbox: Sandbox) -> None:
    """2.3: 204 for an empty list and for an unknown id."""
    assert (await sandbox.get("/leads/9")).status == 204
    assert (await sandbox.get("/leads?page=99")).status == 204
    assert (await sandbox.get("/events")).status == 204


async def test_a_limit_above_250_is_422(sandbox: Sandbox) -> None:
    """2.3: page size max 250; 422 "Limit 250 per page"."""
    answer = await sandbox.get("/leads?limit=251")

    assert (answer.status, answer.body["detail"]) == (422, "Limit 250 per page")
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert (await sandbox.get("/leads?limit=250")).status == 200


async def test_events_have_pages_of_100_at_most(sandbox: Sandbox) -> None:
    """2.4: docs say limit 250, those who use it found 100."""
    assert (await sandbox.get("/events?limit=101")).status == 422

    scenario(sandbox, events_limit=250)

    assert (await sandbox.get("/events?limit=101")).status == 204


async def test_the_next_link_drops_with(sandbox: Sandbox) -> None:
    """2.4: next links may drop parameters."""
    links = (await sandbox.get("/leads?limit=10&with=contacts")).body["_links"]

    assert "with=contacts" in links["self"]["href"]
    assert "with" not in links["next"]["href"]
    assert "page=2" in links["next"]["href"]

    scenario(sandbox, next_link_keeps_with=True)

    assert "with=contacts" in (await sandbox.get("/leads?limit=10&with=contacts")).body["_links"]["next"]["href"]


async def test_pages_have_first_and_prev_and_the_last_has_no_next(sandbox: Sandbox) -> None:
    """2.4: `first`/`prev` links also appear; stop at no next link. 2.5: shape of the last page."""
    links = (await sandbox.get("/leads?limit=50&page=2")).body["_links"]

    assert set(links) == {"self", "first", "prev"}


async def test_contacts_of_a_lead_are_embedded_only_on_request(sandbox: Sandbox) -> None:
    """2.5: contacts only with=contacts; tags and companies always."""
    (plain,) = await sandbox.rows("/leads?limit=1", "leads")
    (full,) = await sandbox.rows("/leads?limit=1&with=contacts", "leads")

    assert set(plain["_embedded"]) == {"tags", "companies"}
    assert [contact["is_main"] for contact in full["_embedded"]["contacts"]] == [True, False]


async def test_the_links_of_contacts_and_leads_agree(sandbox: Sandbox) -> None:
    """2.4: contacts with=leads is the other side of leads with=contacts."""
    leads = await sandbox.rows("/leads?limit=250&with=contacts", "leads")
    contacts = await sandbox.rows("/contacts?limit=250&with=leads", "contacts")

    one_way = {(lead["id"], contact["id"]) for lead in leads for contact in lead["_embedded"]["contacts"]}
    other_way = {(lead["id"], contact["id"]) for contact in contacts for lead in contact["_embedded"]["leads"]}
    assert one_way == other_way
    assert len(one_way) > len(leads)


async def test_a_window_of_updated_at_is_closed_on_both_sides(sandbox: Sandbox) -> None:
    """2.4: filter[updated_at][from|to], Unix seconds; 5: closed lower bound."""
    everything = await sandbox.rows("/contacts?limit=250&order[updated_at]=asc", "contacts")
    low, high = everything[40]["updated_at"], everything[90]["updated_at"]

    found = await sandbox.rows(f"/contacts?limit=250&order[updated_at]=asc&{WINDOW.format(low, high)}", "contacts")

    assert [row["id"] for row in found] == [row["id"] for row in everything if low <= row["updated_at"] <= high]
    assert (found[0]["updated_at"], found[-1]["updated_at"]) == (low, high)


async def test_a_scalar_updated_at_finds_nothing(sandbox: Sandbox) -> None:
    """2.4: filter[updated_at]=X as a scalar returned nothing for a user."""
    (row,) = await sandbox.rows("/leads?limit=1", "leads")

    assert (await sandbox.get(f"/leads?filter[updated_at]={row['updated_at']}")).status == 204


async def test_many_rows_share_one_second(sandbox: Sandbox) -> None:
    """2.4: ties are normal; a bulk import gives a whole page of them."""
    rows = await sandbox.rows("/contacts?limit=250&order[updated_at]=desc", "contacts")

    assert len({row["updated_at"] for row in rows}) < len(rows)
    assert rows[0]["updated_at"] == rows[19]["updated_at"]


async def test_the_order_by_updated_at_is_not_that_of_ids(sandbox: Sandbox) -> None:
    """2.4: order[updated_at] asc and desc, leads, contacts, companies, notes."""
    rows = await sandbox.rows("/leads?limit=250&order[updated_at]=asc", "leads")
    backwards = await sandbox.rows("/leads?limit=250&order[updated_at]=desc", "leads")

    times = [row["updated_at"] for row in rows]
    assert times == sorted(times)
    assert [row["id"] for row in rows] != sorted(row["id"] for row in rows)
    assert [row["id"] for row in backwards] == [row["id"] for row in reversed(rows)]


async def test_tasks_cannot_be_ordered_by_updated_at(sandbox: Sandbox) -> None:
    """2.4: no order by updated_at; 6: tasks returned in non-updated order."""
    sandbox.demo.edit("tasks", 7_000_001, {"text": "later"})

    asked = await sandbox.rows("/tasks?limit=250&order[updated_at]=asc&filter[updated_at][from]=1", "tasks")

    times = [row["updated_at"] for row in asked]
    assert times != sorted(times)
    assert [row["id"] for row in asked] == sorted(row["id"] for row in asked)


async def test_250_ids_fit_into_one_filter(sandbox: Sandbox) -> None:
    """5: fetched by filter[id][], up to 250 a call."""
    ids = [row["id"] for row in await sandbox.rows("/contacts?limit=200", "contacts")]
    query = "&".join(f"filter[id][]={row_id}" for row_id in [*ids, *range(1, 51)])

    found = await sandbox.rows(f"/contacts?limit=250&{query}", "contacts")

    assert [row["id"] for row in found] == ids


async def test_a_line_that_is_too_long_is_414(sandbox: Sandbox) -> None:
    """7: whether 250 ids fit into one URL is unknown: servers commonly allow 8 KiB."""
    query = "&".join(f"filter%5Bid%5D%5B%5D={row_id}" for row_id in range(30_000_001, 30_000_301))

    assert (await sandbox.get(f"/contacts?{query}")).status == 414


@pytest.mark.parametrize(
    ("query", "name", "allowed"),
    [
        ("filter[pipeline_id][]=6950551", "pipeline_id", {6_950_551}),
        ("filter[statuses][0][pipeline_id]=6950552&filter[statuses][0][status_id]=142", "status_id", {142}),
        ("filter[responsible_user_id]=8000002", "responsible_user_id", {8_000_002}),
    ],
)
async def test_filters_by_value(sandbox: Sandbox, query: str, name: str, allowed: set[int]) -> None:
    """2.4: the filters of leads."""
    everything = await sandbox.rows("/leads?limit=250", "leads")
    found = await sandbox.rows(f"/leads?limit=250&{query}", "leads")

    assert {row[name] for row in found} == allowed
    assert 0 < len(found) < len(everything)


async def test_filters_can_be_off_and_the_account_says_so(sandbox: Sandbox) -> None:
    """2.4: filters were an alpha feature per account; is_api_filter_enabled; rows come from outside the window."""
    flag = "/account?with=is_api_filter_enabled"
    assert (await sandbox.get(flag)).body["is_api_filter_enabled"] is True

    scenario(sandbox, filters=False)

    assert (await sandbox.get(flag)).body["is_api_filter_enabled"] is False
    assert len(await sandbox.rows("/leads?limit=250&filter[updated_at][from]=1999999999", "leads")) == 100


async def test_deleted_leads_are_in_a_list_of_their_own(sandbox: Sandbox) -> None:
    """2.4: with=only_deleted gives {id, updated_at, is_deleted}; filter[only_deleted] is ignored."""
    sandbox.demo.delete("leads", 20_000_002)

    (deleted,) = await sandbox.rows("/leads?with=only_deleted", "leads")

    assert {name: deleted[name] for name in ("id", "updated_at", "is_deleted")} == {
        "id": 20_000_002,
        "updated_at": 1_790_000_000,
        "is_deleted": True,
    }
    assert (await sandbox.get("/leads/20000002")).status == 204
    assert len(await sandbox.rows("/leads?limit=250", "leads")) == 99
    assert len(await sandbox.rows("/leads?limit=250&filter[only_deleted]=1", "leads")) == 99

    sandbox.demo.restore("leads", 20_000_002)

    assert (await sandbox.get("/leads?with=only_deleted")).status == 204
    assert (await sandbox.get("/leads/20000002")).status == 200


async def test_pages_drift_when_a_row_before_them_goes(sandbox: Sandbox) -> None:
    """2.4: page-number paging over a changing set skips rows."""
    first = await sandbox.rows("/contacts?limit=50&order[id]=asc", "contacts")
    sandbox.demo.delete("contacts", first[0]["id"])
    second = await sandbox.rows("/contacts?limit=50&page=2&order[id]=asc", "contacts")

    assert second[0]["id"] == first[-1]["id"] + 2


async def test_lists_may_show_a_change_late_while_reads_by_id_do_not(sandbox: Sandbox) -> None:
    """6: late-visible rows appear up to 300 s after updated_at."""
    scenario(sandbox, late_seconds=300.0)
    made = sandbox.demo.add("leads", {"name": "late"})
    window = f"/leads?{WINDOW.format(made['updated_at'], made['updated_at'])}"

    assert (await sandbox.get(window)).status == 204
    assert (await sandbox.get(f"/leads/{made['id']}")).body["name"] == "late"
    sandbox.world.clock.advance(299)
    assert (await sandbox.get(window)).status == 204
    sandbox.world.clock.advance(1)
    assert [row["id"] for row in await sandbox.rows(window, "leads")] == [made["id"]]

    scenario(sandbox, late_by_id=True)
    sandbox.demo.edit("leads", made["id"], {"name": "later"})

    assert (await sandbox.get(f"/leads/{made['id']}")).body["name"] == "late"


async def test_empty_objects_are_written_as_lists(sandbox: Sandbox) -> None:
    """2.5: PHP quirks: an empty object as []; a task's result is [] when empty and an object when done."""
    (field, *_) = await sandbox.rows("/leads/custom_fields", "custom_fields")
    results = [task["result"] for task in await sandbox.rows("/tasks", "tasks")]

    assert field["_links"] == []
    assert [] in results
    assert {"text": "Done"} in results

    scenario(sandbox, php_empty=False)

    assert (await sandbox.rows("/leads/custom_fields", "custom_fields"))[0]["_links"] == {}


async def test_won_and_lost_are_in_every_pipeline(sandbox: Sandbox) -> None:
    """2.4: won=142, lost=143 in every pipeline; type 1 = incoming; pipelines have no pages."""
    pipelines = await sandbox.rows("/leads/pipelines", "pipelines")

    assert len(pipelines) == 2
    for pipeline in pipelines:
        statuses = pipeline["_embedded"]["statuses"]
        assert {142, 143} <= {status["id"] for status in statuses}
        assert [status["type"] for status in statuses].count(1) == 1


async def test_users_have_their_totals_and_need_an_administrator(sandbox: Sandbox) -> None:
    """2.4: _page_count, _total_items, admin token. 2.3: 403 in JSON is about rights."""
    body = (await sandbox.get("/users?limit=2")).body
    plain = (await sandbox.control("POST", "/accounts/demo/token", {"admin": False}))["token"]
    refused = await sandbox.get("/users", token=plain)

    assert (body["_page_count"], body["_total_items"]) == (3, 5)
    assert (refused.status, refused.body["status"]) == (403, 403)
    assert (await sandbox.get("/leads", token=plain)).status == 200


async def test_an_embed_that_was_not_asked_for_is_not_in_the_account(sandbox: Sandbox) -> None:
    """2.4: account with=…; the time zone is in datetime_settings."""
    plain = (await sandbox.get("/account")).body
    full = (await sandbox.get("/account?with=amojo_id,datetime_settings,task_types")).body

    assert "_embedded" not in plain
    assert full["_embedded"]["datetime_settings"]["timezone"] == "Europe/Madrid"
    assert set(full["_embedded"]) == {"datetime_settings", "task_types"}
    assert full["amojo_id"]


async def test_events_tell_what_happened_the_newest_first(sandbox: Sandbox) -> None:
    """2.4: event types; filters by type, entity, entity_id and created_at; ids are text."""
    demo = sandbox.demo
    lead = demo.add("leads", {"name": "new"})
    demo.edit("leads", lead["id"], {"status_id": 142})
    sandbox.world.clock.advance(10)
    demo.delete("leads", lead["id"])
    demo.delete("contacts", 30_000_005)

    events = await sandbox.rows("/events?limit=100", "events")
    kinds = [event["type"] for event in events]
    deleted = await sandbox.rows("/events?filter[type]=lead_deleted,contact_deleted", "events")
    of_lead = await sandbox.rows(f"/events?filter[entity]=lead&filter[entity_id][]={lead['id']}", "events")
    recent = await sandbox.rows("/events?filter[created_at][from]=1790000010", "events")

    assert kinds == ["contact_deleted", "lead_deleted", "lead_status_changed", "lead_added"]
    assert [event["entity_id"] for event in deleted] == [30_000_005, lead["id"]]
    assert len(of_lead) == 3
    assert len(recent) == 2
    assert all(isinstance(event["id"], str) for event in events)


async def test_events_take_ten_entity_ids(sandbox: Sandbox) -> None:
    """2.4: filter[entity_id] max 10 ids."""
    query = "&".join(f"filter[entity_id][]={number}" for number in range(11))

    assert (await sandbox.get(f"/events?{query}")).status == 422


async def test_merged_contacts_vanish_without_a_trace(sandbox: Sandbox) -> None:
    """2.4: merged contacts simply vanish; their leads belong to the one that is left."""
    kept, gone = 30_000_001, 30_000_003
    leads = sandbox.demo.leads_of(gone)

    sandbox.demo.merge(kept, [gone])

    assert leads
    assert set(leads) <= set(sandbox.demo.leads_of(kept))
    assert (await sandbox.get(f"/contacts/{gone}")).status == 204
    types = [event["type"] for event in await sandbox.rows("/events?limit=100", "events")]
    assert "contact_deleted" not in types


async def test_hidden_rows_are_gone_from_the_api_but_not_deleted(sandbox: Sandbox) -> None:
    """5: a token that lost access makes rows vanish without deletion."""
    await sandbox.control("POST", "/accounts/demo/leads/20000003/hide")

    assert (await sandbox.get("/leads/20000003")).status == 204
    assert len(await sandbox.rows("/leads?limit=250", "leads")) == 99
    assert (await sandbox.get("/events")).status == 204

    await sandbox.control("POST", "/accounts/demo/leads/20000003/show")

    assert (await sandbox.get("/leads/20000003")).status == 200


async def test_two_accounts_do_not_mix(sandbox: Sandbox) -> None:
    """6: two accounts; their rows have the same ids, so that a mix-up shows."""
    (first,) = await sandbox.rows("/leads?limit=1", "leads")
    (second,) = await sandbox.rows("/leads?limit=1", "leads", host="second.amocrm.com")
    stolen = await sandbox.get("/leads", token=sandbox.world.token_of(sandbox.world.accounts[1]))

    assert first["id"] == second["id"]
    assert first["account_id"] != second["account_id"]
    assert stolen.status == 401


async def test_without_an_account_in_the_host_the_token_decides(sandbox: Sandbox) -> None:
    """For curl: the sandbox's own address names no account."""
    host = sandbox.url.removeprefix("http://")
    second = sandbox.world.accounts[1]

    answer = await sandbox.get("/account", host=host, token=sandbox.world.token_of(second))

    assert answer.body["id"] == second.id
    assert (await sandbox.get("/account", host="nobody.kommo.com", token="x")).status == 404
    assert (await sandbox.get("/account", host=host, token="x")).status == 401


async def test_an_unpaid_account_is_402(sandbox: Sandbox) -> None:
    """2.3: 402, account unpaid."""
    await sandbox.control("POST", "/accounts/demo/paid", {"paid": False})

    assert (await sandbox.get("/account")).status == 402
    assert (await sandbox.get("/account", host="second.amocrm.com")).status == 200


async def test_the_date_is_the_sandbox_s_own(sandbox: Sandbox) -> None:
    """5: run_start is the server's time, from the Date header."""
    answer = await sandbox.get("/account")

    assert answer.headers["Date"] == "Mon, 21 Sep 2026 14:13:20 GMT"


def test_the_same_seed_makes_the_same_rows() -> None:
    first, again, other = (World(contacts=50, leads=50, seed=seed).accounts[0] for seed in (7, 7, 8))

    assert list(first.truth("leads")) == list(again.truth("leads"))
    assert list(first.truth("leads")) != list(other.truth("leads"))


def test_a_large_account_keeps_only_what_was_changed() -> None:
    """6: rows are computed; 30 000 of them cost their sorted keys alone, a hundred bytes each."""
    import tracemalloc

    tracemalloc.start()
    try:
        world = World(contacts=20_000, leads=10_000, scenario=Scenario())
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 30_000 * 100 + 500_000
    assert world.accounts[0].table("contacts").get(30_020_000) is not None


async def test_a_sandbox_without_rows_answers_nothing() -> None:
    account = World(contacts=0, leads=0).accounts[0]

    assert [list(account.truth(entity)) for entity in ("leads", "contacts", "companies", "tasks")] == [[], [], [], []]
    assert account.random_id("leads", 1) is None
