"""Does the mirror say exactly what the account says? Streams, links and the platform's tables, read past our code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from support.mirroring import Mirror

from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.entity import Entity
from oxcart.kommo.store.entity_tables import ENTITY_TABLES
from oxcart.kommo.store.own_tables import crm_dirty, crm_entity_tags, crm_field_values
from oxcart.kommo.store.platform_tables import crm_custom_fields, crm_pipeline_stages, crm_pipelines, crm_tasks
from oxcart.kommo.store.typed import row_of
from oxcart_sandbox.rendering import render_pipeline

LINKED = ("leads", "contacts", "customers")
PARTED = ("leads", "contacts", "companies", "customers")
LISTS = {"roles": "roles", "loss_reasons": "leads/loss_reasons", "sources": "sources", "catalogs": "catalogs"}
SINGULAR = {"leads": "lead", "contacts": "contact", "companies": "company"}


async def disagreements(mirror: Mirror, tables: Sequence[str]) -> dict[str, Any]:
    """Empty when all is well; else by place what is missing here, too many, or other. `tables` are the streams of rows
    that the account has.
    """
    found: dict[str, Any] = dict(await mirror.differences(tables))
    for name in tables:
        found |= await _in_columns(mirror, ENTITIES[name])
    for name in (one for one in LINKED if one in tables):
        found |= _unless_equal(f"links of {name}", await _links(mirror, name), _true_links(mirror, name))
    found |= await _in_small_lists(mirror)
    found |= await _in_parts(mirror, [one for one in PARTED if one in tables])
    found |= await _in_pipelines(mirror)
    if mirror.account.database.exports:
        found |= await _in_platform_tables(mirror)
    left = {(row["entity"], row["external_id"]) for row in await _mine(mirror, crm_dirty)}
    return found | ({"marks left": left} if left else {})


def _unless_equal(place: str, here: Any, there: Any) -> dict[str, Any]:
    if here == there:
        return {}
    if isinstance(here, dict) and isinstance(there, dict):
        keys = sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key))
        return {place: [(key, here.get(key), there.get(key)) for key in keys[:5]]}
    return {place: (sorted(here - there, key=str)[:5], sorted(there - here, key=str)[:5])}


async def _mine(mirror: Mirror, table: Any) -> list[dict[str, Any]]:
    mine = table.c.connection_id == mirror.account.connection_id
    async with mirror.account.database.reading("Asserting") as connection:
        return [dict(row) for row in (await connection.execute(select(table).where(mine))).mappings()]


async def _in_columns(mirror: Mirror, entity: Entity) -> dict[str, Any]:
    """The typed columns and the hash follow from what the account says now."""
    here, there = await mirror.alive(entity.name), mirror.truth(entity)
    rows = {key: row_of(entity, raw) for key, raw in there.items()}
    expected = {key: {**row.values, "content_hash": row.content_hash} for key, row in rows.items()}
    actual = {key: {name: row[name] for name in expected[key]} for key, row in here.items() if key in expected}
    return _unless_equal(f"columns of {entity.name}", actual, expected)


async def _links(mirror: Mirror, name: str) -> set[tuple[Any, ...]]:
    """Of rows that are there; a row that is gone keeps what it was linked to."""
    alive = await mirror.alive(name)
    return {link for link in await mirror.links(name) if link[0] in alive}


def _true_links(mirror: Mirror, name: str) -> set[tuple[Any, ...]]:
    entity = ENTITIES[name]
    return {
        (key, link.to, str(item["id"]), item.get(link.main) if link.main else None)
        for key, raw in mirror.truth(entity).items()
        for link in entity.links
        for item in raw["_embedded"].get(link.embedded) or ()
    }


async def _in_small_lists(mirror: Mirror) -> dict[str, Any]:
    """What is read whole each time, and the events, which stay for ever."""
    demo = mirror.world.accounts[0]
    nothing: Any = [] if mirror.world.scenario.php_empty else {}
    tags = {str(tag): name for tag, name in demo.tags.items()}
    events = {event["id"] for event in demo.events}
    products = [row for path, rows in demo.lists.items() if path.endswith("/elements") for row in rows]
    unsorted = [{"id": row["uid"], **row} for row in demo.lists["leads/unsorted"]]
    lists = {name: demo.lists[path] for name, path in LISTS.items()}
    lists |= {"users": demo.users, "catalog_elements": products, "unsorted": unsorted}
    found: dict[str, Any] = {}
    for name, rows in lists.items():
        there = {str(row["id"]): {**row, "_links": nothing} for row in rows}
        here = {key: row["raw"] for key, row in (await mirror.alive(name)).items()}
        found |= _unless_equal(name, here, there)
    for table, inside in (("crm_groups", demo.groups), ("crm_task_types", demo.task_types)):
        living = [row for row in await _mine(mirror, ENTITY_TABLES[table]) if row["deleted_at"] is None]
        found |= _unless_equal(table, {row["external_id"]: row["raw"] for row in living}, _by_id(inside))
    for of in SINGULAR:
        here = {key: row["name"] for key, row in (await mirror.alive(f"{of}_tags")).items()}
        found |= _unless_equal(f"tags of {of}", here, tags)
    return found | _unless_equal("events", set(await mirror.alive("events")), events)


def _by_id(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {str(row["id"]): row for row in rows}


async def _in_platform_tables(mirror: Mirror) -> dict[str, Any]:
    return {
        **await _in_their_pipelines(mirror),
        **await _in_tasks(mirror),
        **await _in_custom_fields(mirror),
    }


async def _in_parts(mirror: Mirror, names: Sequence[str]) -> dict[str, Any]:
    """Tags and values of fields, of rows that are there and of no others."""
    tags, values = set(), set()
    for name in names:
        for key, raw in mirror.truth(ENTITIES[name]).items():
            tags |= {(name, key, str(tag["id"])) for tag in raw["_embedded"].get("tags") or ()}
            for field in raw["custom_fields_values"] or ():
                for value in field["values"]:
                    values.add((name, key, str(field["field_id"]), str(value["value"])))
    keys = ("entity_type", "entity_id")
    here = {tuple(row[key] for key in (*keys, "tag_id")) for row in await _mine(mirror, crm_entity_tags)}
    held = {tuple(row[key] for key in (*keys, "field_id", "text")) for row in await _mine(mirror, crm_field_values)}
    return _unless_equal("tags of rows", here, tags) | _unless_equal("values of fields", held, values)


async def _in_pipelines(mirror: Mirror) -> dict[str, Any]:
    demo = mirror.world.accounts[0]
    there = {(str(one["id"]), one["name"], one["sort"]) for one in demo.pipelines}
    here = {(key, row["name"], row["sort"]) for key, row in (await mirror.alive("pipelines")).items()}
    stages = [row for row in await _mine(mirror, ENTITY_TABLES["kommo_stages"]) if row["deleted_at"] is None]
    stages_here = {(row["pipeline_id"], row["status_id"], row["name"], row["sort"]) for row in stages}
    stages_there = {
        (str(one["id"]), str(status["id"]), status["name"], status["sort"])
        for one in demo.pipelines
        for status in one["_statuses"]
    }
    fields = {(of, str(one["id"]), one["name"]) for of, held in demo.custom_fields.items() for one in held}
    fields_here = {
        (of, key, row["name"]) for of in SINGULAR for key, row in (await mirror.alive(f"{of}_custom_fields")).items()
    }
    return {
        **_unless_equal("pipelines", here, there),
        **_unless_equal("stages", stages_here, stages_there),
        **_unless_equal("custom fields", fields_here, fields),
    }


async def _in_their_pipelines(mirror: Mirror) -> dict[str, Any]:
    demo = mirror.world.accounts[0]
    pipelines = await _mine(mirror, crm_pipelines)
    here = {row["external_id"]: (row["name"], row["sort_order"], row["is_active"]) for row in living(pipelines)}
    there = {str(one["id"]): (one["name"], one["sort"], not one["is_archive"]) for one in demo.pipelines}
    found = _unless_equal("crm_pipelines", here, there)
    found |= _unless_equal("removed pipelines", {row["is_active"] for row in removed(pipelines)} - {False}, set())
    names = {row["id"]: row["external_id"] for row in pipelines}
    async with mirror.account.database.reading("Asserting") as connection:
        query = select(crm_pipeline_stages).where(crm_pipeline_stages.c.pipeline_id.in_(list(names)))
        stages = [dict(row) for row in (await connection.execute(query)).mappings()]
    stages_here = {
        (names[row["pipeline_id"]], row["external_id"]): (row["name"], row["sort_order"]) for row in living(stages)
    }
    stages_there = {
        (str(one["id"]), str(status["id"])): (status["name"], status["sort"])
        for one in demo.pipelines
        for status in render_pipeline(demo, one, php_empty=True)["_embedded"]["statuses"]
    }
    return found | _unless_equal("crm_pipeline_stages", stages_here, stages_there)


async def _in_tasks(mirror: Mirror) -> dict[str, Any]:
    async with mirror.account.database.reading("Asserting") as connection:
        query = select(crm_tasks).where(crm_tasks.c.org_id == mirror.account.org_id)
        rows = [dict(row) for row in (await connection.execute(query)).mappings()]
    here = {
        row["task_id"]: (row["task_text"], row["is_completed"], row["entity_id"], row["entity_type"])
        for row in living(rows)
    }
    there = {
        key: (raw["text"], raw["is_completed"], str(raw["entity_id"]), raw["entity_type"])
        for key, raw in mirror.truth(ENTITIES["tasks"]).items()
    }
    return _unless_equal("crm_tasks", here, there)


async def _in_custom_fields(mirror: Mirror) -> dict[str, Any]:
    demo = mirror.world.accounts[0]
    rows = living(await _mine(mirror, crm_custom_fields))
    here = {(row["entity_type"], row["external_id"]): (row["name"], row["field_type"]) for row in rows}
    there = {
        (SINGULAR[of], str(one["id"])): (one["name"], one["type"])
        for of, fields in demo.custom_fields.items()
        for one in fields
    }
    return _unless_equal("crm_custom_fields", here, there)


def living(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if "deleted_at" not in (row["metadata"] or {})]


def removed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if "deleted_at" in (row["metadata"] or {})]


async def local_ids(mirror: Mirror) -> Mapping[tuple[str, ...], str]:
    """Of pipelines and stages, by what they are at Kommo: other tables of the platform point at them."""
    if not mirror.account.database.exports:
        return {}
    pipelines = await _mine(mirror, crm_pipelines)
    names = {row["id"]: row["external_id"] for row in pipelines}
    async with mirror.account.database.reading("Asserting") as connection:
        query = select(crm_pipeline_stages).where(crm_pipeline_stages.c.pipeline_id.in_(list(names)))
        stages = (await connection.execute(query)).mappings().all()
    found: dict[tuple[str, ...], str] = {(row["external_id"],): row["id"] for row in pipelines}
    return found | {(names[row["pipeline_id"]], row["external_id"]): row["id"] for row in stages}
