"""Does the sandbox write as Kommo does?"""

from __future__ import annotations

from typing import Any

import pytest
from support.sandbox import Sandbox

from oxcart_sandbox import change_scenario


async def post(sandbox: Sandbox, path: str, body: Any) -> Any:
    return await sandbox.ask("POST", f"/api/v4{path}", body)


async def test_a_post_echoes_the_request_id(sandbox: Sandbox) -> None:
    """2.4: request_id is echoed, not deduplicated: the same again makes another row."""
    row = {"name": "A", "price": 5, "request_id": "mine", "_embedded": {"tags": [{"name": "fresh"}]}}
    first = await post(sandbox, "/leads", [row])
    again = await post(sandbox, "/leads", [row])

    (made,) = first.body["_embedded"]["leads"]
    (twin,) = again.body["_embedded"]["leads"]
    assert made["request_id"] == twin["request_id"] == "mine"
    assert made["id"] != twin["id"]
    stored = (await sandbox.get(f"/leads/{made['id']}")).body
    assert (stored["name"], stored["price"]) == ("A", 5)
    assert [tag["name"] for tag in stored["_embedded"]["tags"]] == ["fresh"]


async def test_a_patch_answers_with_the_new_updated_at(sandbox: Sandbox) -> None:
    """2.5: PATCH answer items add updated_at."""
    answer = await sandbox.ask("PATCH", "/api/v4/leads", [{"id": 20_000_001, "status_id": 142}])
    single = await sandbox.ask("PATCH", "/api/v4/leads/20000001", {"name": "Renamed"})

    assert answer.body["_embedded"]["leads"][0]["updated_at"] == 1_790_000_000
    assert single.body["updated_at"] == 1_790_000_000
    stored = (await sandbox.get("/leads/20000001")).body
    assert (stored["name"], stored["status_id"], stored["closed_at"]) == ("Renamed", 142, 1_790_000_000)


@pytest.mark.parametrize(
    ("path", "row", "code", "where"),
    [
        ("/leads", {"name": 7}, "InvalidType", "name"),
        ("/leads", {"price": "dear"}, "InvalidType", "price"),
        ("/leads", {"status_id": 1}, "NotSupportedChoice", "status_id"),
        ("/leads", {"pipeline_id": 1}, "NotSupportedChoice", "pipeline_id"),
        (
            "/contacts",
            {"custom_fields_values": [{"field_id": 1, "values": []}]},
            "NotSupportedChoice",
            "custom_fields_values.0.field_id",
        ),
        ("/leads/notes", {"entity_id": 20_000_001, "note_type": "outgoing_email"}, "NotSupportedChoice", "note_type"),
        ("/leads/notes", {"entity_id": 1, "params": {"text": "x"}}, "NotFound", "entity_id"),
        ("/leads/notes", {"entity_id": 20_000_001, "note_type": "call_in", "params": {}}, "NotBlank", "params.uniq"),
        ("/tasks", {"text": "Call"}, "NotBlank", "complete_till"),
    ],
)
async def test_a_wrong_row_refuses_the_request(
    sandbox: Sandbox, path: str, row: dict[str, Any], code: str, where: str
) -> None:
    """2.5: 400 with validation-errors by request_id; 1.4: outgoing_email is no note type."""
    before = len(sandbox.demo.events)
    good = {"name": "fine", "text": "fine", "complete_till": 5, "entity_id": 20_000_001, "params": {"text": "fine"}}

    answer = await post(sandbox, path, [{**good, "request_id": "0"}, {**row, "request_id": "1"}])

    assert (answer.status, answer.body["title"]) == (400, "Bad Request")
    (wrong,) = answer.body["validation-errors"]
    assert wrong["request_id"] == "1"
    assert (wrong["errors"][0]["code"], wrong["errors"][0]["path"]) == (code, where)
    assert len(sandbox.demo.events) == before, "nothing of it was done"


async def test_a_write_takes_250_rows_and_a_complex_one_50(sandbox: Sandbox) -> None:
    """2.3: writes max 250, /leads/complex max 50, 40 custom field values there."""
    assert (await post(sandbox, "/companies", [{"name": "x"}] * 251)).status == 400
    assert (await post(sandbox, "/companies", [{"name": "x"}] * 250)).status == 200
    assert (await post(sandbox, "/leads/complex", [{"name": "x"}] * 51)).status == 400
    value = {"field_id": 1_016_236, "values": [{"value": "New"}]}
    assert (await post(sandbox, "/leads/complex", [{"custom_fields_values": [value] * 41}])).status == 400


async def test_a_complex_lead_brings_its_contact_and_company(sandbox: Sandbox) -> None:
    """2.5: [{"id", "contact_id", "company_id", "request_id": ["1"], "merged": false}]."""
    row = {"name": "D", "request_id": "1", "_embedded": {"contacts": [{"name": "N"}], "companies": [{"name": "C"}]}}
    answer = await post(sandbox, "/leads/complex", [row])

    (made,) = answer.body
    assert (made["request_id"], made["merged"]) == (["1"], False)
    lead = (await sandbox.get(f"/leads/{made['id']}?with=contacts")).body
    assert [one["id"] for one in lead["_embedded"]["contacts"]] == [made["contact_id"]]
    assert [one["id"] for one in lead["_embedded"]["companies"]] == [made["company_id"]]


async def test_a_note_is_listed_with_its_lead(sandbox: Sandbox) -> None:
    """2.4: /{type}/notes and /{type}/{id}/notes, filter by updated_at: the way to look for a lost one."""
    answer = await post(sandbox, "/leads/20000001/notes", [{"note_type": "common", "params": {"text": "hello"}}])
    (made,) = answer.body["_embedded"]["notes"]

    found = await sandbox.rows("/leads/20000001/notes?filter[updated_at][from]=1790000000", "notes")

    assert made["entity_id"] == 20_000_001
    assert [(note["id"], note["params"]["text"]) for note in found] == [(made["id"], "hello")]


@pytest.mark.parametrize("touches", [False, True])
async def test_whether_a_note_moves_its_lead_is_a_switch(sandbox: Sandbox, touches: bool) -> None:
    """2.4: which edits bump the parent's updated_at is unknown."""
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, {"notes_touch_parent": touches})

    await post(sandbox, "/leads/notes", [{"entity_id": 20_000_050, "params": {"text": "x"}}])

    lead = (await sandbox.get("/leads/20000050")).body
    assert (lead["updated_at"] == 1_790_000_000) is touches


async def test_nothing_is_deleted_by_the_api(sandbox: Sandbox) -> None:
    """2.4 has no DELETE of leads; 2.3: 405. An unknown path is 404."""
    assert (await sandbox.ask("DELETE", "/api/v4/leads/20000001")).status == 405
    assert (await sandbox.get("/custom_fields")).status == 404
    assert (await sandbox.get("/leads/abc")).status == 404


async def test_a_body_that_is_no_json_is_400(sandbox: Sandbox) -> None:
    async with sandbox.session.post(
        f"{sandbox.url}/api/v4/leads",
        data=b"name=x",
        headers={"Host": "demo.kommo.com", "Authorization": f"Bearer {sandbox.world.token_of(sandbox.demo)}"},
    ) as answer:
        assert answer.status == 400


async def test_the_control_api_says_what_is_wrong(sandbox: Sandbox) -> None:
    for method, path, body in (
        ("PATCH", "/scenario", {"no_such": 1}),
        ("PATCH", "/scenario", {"late_seconds": "long"}),
        ("PATCH", "/scenario", {"name": "nice"}),
        ("POST", "/faults", {"kind": "flood"}),
        ("POST", "/faults", {"colour": 1}),
        ("DELETE", "/accounts/demo/leads/1", None),
        ("DELETE", "/accounts/nobody/leads/20000001", None),
        ("POST", "/accounts/demo/birds", {}),
        ("POST", "/accounts/demo/leads/20000001/restore", None),
        ("PATCH", "/accounts/demo/leads/20000001", {"price": "dear"}),
        ("POST", "/accounts/demo/move", {}),
    ):
        answer = await sandbox.ask(method, f"/sandbox{path}", body, token="")
        assert (path, answer.status) == (path, 400)
        assert len(answer.body["detail"]) > 10


async def test_the_control_api_changes_rows_and_tells_the_truth(sandbox: Sandbox) -> None:
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, {"late_seconds": 300.0})
    made = await sandbox.control("POST", "/accounts/demo/contacts", {"name": "Neu"})
    await sandbox.control("PATCH", f"/accounts/demo/contacts/{made['id']}", {"name": "Neuer"})
    await sandbox.control("DELETE", "/accounts/demo/contacts/30000001")

    rows = (await sandbox.control("GET", "/accounts/demo/contacts"))["rows"]
    rest = (await sandbox.control("GET", "/accounts/demo/contacts?after=30000199"))["rows"]

    assert [row["id"] for row in rows] == [*range(30_000_002, 30_000_201), made["id"]]
    assert [row["name"] for row in rest][-1] == "Neuer"
    assert len(rest) == 2


async def test_pipelines_can_be_changed(sandbox: Sandbox) -> None:
    stages = [{"id": 91, "name": "Only"}]
    await sandbox.control("PUT", "/accounts/demo/pipelines/6950551", {"name": "Sales 2", "statuses": stages})
    await sandbox.control("PUT", "/accounts/demo/pipelines/77", {"name": "New", "statuses": stages})
    await sandbox.control("DELETE", "/accounts/demo/pipelines/6950552")

    pipelines = await sandbox.rows("/leads/pipelines", "pipelines")

    assert [(one["id"], one["name"]) for one in pipelines] == [(6_950_551, "Sales 2"), (77, "New")]
    assert [one["id"] for one in pipelines[0]["_embedded"]["statuses"]] == [91]
