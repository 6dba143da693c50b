"""Does every record of an entity describe what Kommo, as the sandbox plays it, really answers?"""

from __future__ import annotations

from typing import Any

import pytest
from support.sandbox import Sandbox

from oxcart.kommo.client import Client
from oxcart.kommo.entities import ENTITIES, PIPELINES, STAGES
from oxcart.kommo.entity import Column, Entity, Form, Walk
from oxcart.kommo.pages import rows_of, walk, walk_changes
from oxcart.kommo.store.typed import row_of
from oxcart.kommo.sync.apply import rows_inside
from oxcart.settings.values import KOMMO_STREAMS
from oxcart_sandbox.seed import CATALOG

every_entity = pytest.mark.parametrize("entity", ENTITIES.values(), ids=list(ENTITIES))
listed = [entity for entity in ENTITIES.values() if entity.key]
SHAPES: dict[Form, tuple[type, ...]] = {
    Form.TEXT: (str,),
    Form.WHOLE: (int,),
    Form.MONEY: (int, float),
    Form.TRUTH: (bool,),
    Form.MOMENT: (int,),
    Form.REF: (int, str),
    Form.KIND: (str,),
}


def value_of(row: dict[str, Any], column: Column) -> Any:
    """None for what is not there; PHP's [] is an object without anything in it."""
    value: Any = row
    for name in column.source:
        if value == [] or value is None:
            return None
        value = value[name] if isinstance(name, int) else value.get(name)
    return value


async def fill(sandbox: Sandbox) -> None:
    """What the seed has none of."""
    sandbox.demo.delete("leads", 20_000_001)
    sandbox.demo.edit("contacts", 30_000_001, {"name": "Edited"})
    sandbox.demo.add("companies_notes", {"entity_id": 40_000_001, "params": {"text": "x"}})
    sandbox.demo.edit("leads", 20_000_002, {"_elements": [[5_001, 2]]})
    contacts = [[30_000_001, True], [30_000_002, False]]
    sandbox.demo.add("customers", {"name": "Regular", "_contacts": contacts, "_company": 40_000_001})
    incoming = {"uid": "u-1", "category": "sip", "source_name": "Line", "pipeline_id": 1, "created_at": 1}
    sandbox.demo.lists["leads/unsorted"].append(incoming)


async def read(client: Client, entity: Entity) -> list[dict[str, Any]]:
    if entity.walk is Walk.ONCE:
        body = (await client.get(entity.path, entity.query)).body
        return rows_of(body, entity.key) if entity.key else [body]
    if entity.walk is Walk.CHANGES:
        pages = walk_changes(client.get, entity.path, entity.key, entity.query, since=0, limit=entity.limit)
    else:
        path = entity.path.format(CATALOG)
        pages = walk(client.get, path, entity.key, entity.query, limit=entity.limit)
    return [row async for page in pages for row in page.rows]


def test_the_settings_know_every_stream_by_its_name() -> None:
    assert tuple(ENTITIES) == KOMMO_STREAMS


@every_entity
async def test_its_rows_are_found_and_its_columns_are_in_them(sandbox: Sandbox, client: Client, entity: Entity) -> None:
    await fill(sandbox)
    if entity.name == "companies_custom_fields":
        assert await read(client, entity) == [], "the seed has none"
        return

    rows = await read(client, entity)

    assert rows
    assert all("id" in row for row in rows)
    if entity.marks_deleted:
        assert all(row["is_deleted"] for row in rows)
        return
    for column in entity.columns:
        values = [value_of(row, column) for row in rows]
        allowed = (*SHAPES[column.form], type(None))
        assert all(isinstance(value, allowed) for value in values), (column, values[:3])


@pytest.mark.parametrize("entity", [entity for entity in listed if entity.cursor], ids=lambda entity: entity.name)
async def test_its_cursor_filters(sandbox: Sandbox, client: Client, entity: Entity) -> None:
    """Rows outside the window would mean that the filter is not obeyed."""
    await fill(sandbox)
    limit = ("limit", entity.limit)
    rows = rows_of((await client.get(entity.path, [*entity.query, limit])).body, entity.key)
    middle = sorted(row[entity.cursor or ""] for row in rows)[len(rows) // 2]
    window = [(f"filter[{entity.cursor}][from]", middle), (f"filter[{entity.cursor}][to]", middle)]

    found = rows_of((await client.get(entity.path, [*entity.query, *window, limit])).body, entity.key)

    assert {row[entity.cursor or ""] for row in found} == {middle}


@pytest.mark.parametrize("entity", [entity for entity in listed if entity.by_id], ids=lambda entity: entity.name)
async def test_its_rows_can_be_fetched_by_id(sandbox: Sandbox, client: Client, entity: Entity) -> None:
    await fill(sandbox)
    ids = [row["id"] for row in await read(client, entity)][:3]

    wanted: list[tuple[str, str | int]] = [("filter[id][]", row_id) for row_id in ids]
    found = rows_of((await client.get(entity.path, wanted)).body, entity.key)

    assert sorted(row["id"] for row in found) == sorted(ids)


@pytest.mark.parametrize("entity", [entity for entity in listed if entity.links], ids=lambda entity: entity.name)
async def test_its_links_are_embedded(sandbox: Sandbox, client: Client, entity: Entity) -> None:
    await fill(sandbox)
    rows = await read(client, entity)

    for link in entity.links:
        linked = [one for row in rows for one in row["_embedded"][link.embedded]]
        assert not link.quantity or linked[0]["metadata"]["quantity"] == 2
        assert linked
        assert link.to in ENTITIES
        assert all(isinstance(one["id"], int) for one in linked)
        assert link.main is None or {one[link.main] for one in linked} == {True, False}


async def test_the_statuses_of_pipelines_are_told_apart_by_their_pipeline(client: Client) -> None:
    """Facts 5: 142 and 143 repeat in every pipeline."""
    pipelines = [row_of(PIPELINES, row) for row in await read(client, PIPELINES)]
    rows = [inner for pipeline in pipelines for inner in rows_inside(STAGES, pipeline)]

    assert len({row.external_id for row in rows}) == len(rows)
    assert len({row.values["status_id"] for row in rows}) < len(rows)
    assert {row.values["pipeline_id"] for row in rows} == {pipeline.external_id for pipeline in pipelines}


async def test_the_events_of_an_entity_say_that_a_row_went_and_came_back(sandbox: Sandbox, client: Client) -> None:
    for name, first_id in (("leads", 20_000_005), ("contacts", 30_000_005), ("companies", 40_000_005)):
        sandbox.demo.delete(name, first_id)
        sandbox.demo.restore(name, first_id)
        events = ENTITIES[name].events
        assert events is not None
        answer = await client.get("/events", [("filter[type]", f"{events.deleted},{events.restored}")])
        ours = [event for event in rows_of(answer.body, "events") if event["entity_type"] == events.kind]
        assert [event["type"] for event in ours] == [events.restored, events.deleted]


async def test_what_it_subscribes_to_is_what_the_sandbox_sends(sandbox: Sandbox) -> None:
    from oxcart_sandbox.hook_bodies import setting_of

    told: set[str] = set()
    sandbox.demo.on_change = lambda change: told.add(setting_of(change))
    for name, first_id in (("leads", 20_000_005), ("contacts", 30_000_005), ("companies", 40_000_005)):
        sandbox.demo.add(name, {"name": "x"})
        sandbox.demo.edit(name, first_id, {"name": "x"})
        sandbox.demo.edit(name, first_id, {"responsible_user_id": 1})
        sandbox.demo.delete(name, first_id)
        sandbox.demo.restore(name, first_id)
        sandbox.demo.add(f"{name}_notes", {"entity_id": first_id})
    sandbox.demo.edit("leads", 20_000_006, {"status_id": 142})
    task = sandbox.demo.add("tasks", {})
    sandbox.demo.edit("tasks", task["id"], {"text": "x"})
    sandbox.demo.delete("tasks", task["id"])

    wanted = {setting for entity in ENTITIES.values() for setting in entity.hook_settings}
    assert told - {""} == wanted - {"responsible_task"}


def test_the_streams_are_those_of_the_request_budget() -> None:
    poll = [one for one in ENTITIES.values() if not one.seldom_seconds and one.needs != "customers_mode"]
    assert len(poll) == 19
    assert len(ENTITIES) <= 25
    assert list(ENTITIES) == [entity.name for entity in ENTITIES.values()]
    assert all(entity.of is None or entity.of in ENTITIES for entity in ENTITIES.values())
    assert all(entity.order != "updated_at" for entity in ENTITIES.values() if entity.walk is Walk.WINDOW)
