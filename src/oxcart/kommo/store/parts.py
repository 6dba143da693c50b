"""What hangs on a row, and is a table of its own? Links, tags, values of custom fields: all as its last version says.

They are told from its raw, and replaced with it: all of a row's parts, or none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Table, delete, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.entity import Entity, Form, Link
from oxcart.kommo.store.columns import storable
from oxcart.kommo.store.own_tables import crm_entity_tags, crm_field_values, crm_links
from oxcart.kommo.store.typed import Row, at, read_as

_IDS_AT_ONCE = 500
_ROWS_AT_ONCE = 2000
_DATES = frozenset({"date", "date_time", "birthday"})
_NUMBERS = frozenset({"numeric", "monetary", "price"})


async def replace_parts(
    connection: AsyncConnection, connection_id: str, entity: Entity, rows: Sequence[Row]
) -> dict[str, set[str]]:
    """Of these rows, whose content is new. Returns what they are linked to: stream -> ids."""
    await delete_parts(connection, connection_id, entity, [row.external_id for row in rows])
    linked: dict[str, set[str]] = {}
    if entity.links:
        links = [link for row in rows for link in _links(entity, row)]
        await _insert(connection, crm_links, connection_id, links)
        for link in links:
            linked.setdefault(link["to_type"], set()).add(link["to_id"])
    if entity.has_tags:
        await _insert(connection, crm_entity_tags, connection_id, [tag for row in rows for tag in _tags(entity, row)])
    if entity.has_custom_fields:
        values = [value for row in rows for value in _values(entity, row)]
        await _insert(connection, crm_field_values, connection_id, values)
    return linked


async def delete_parts(connection: AsyncConnection, connection_id: str, entity: Entity, ids: Collection[str]) -> None:
    for table, names in _tables(entity):
        ordered, of = sorted(ids), table.c[names[0]] == entity.name
        for start in range(0, len(ordered), _IDS_AT_ONCE):
            these = table.c[names[1]].in_(ordered[start : start + _IDS_AT_ONCE])
            await connection.execute(delete(table).where(table.c.connection_id == connection_id, of, these))


def _tables(entity: Entity) -> Iterator[tuple[Table, tuple[str, str]]]:
    """With the columns that say whose part a row is."""
    if entity.links:
        yield crm_links, ("from_type", "from_id")
    if entity.has_tags:
        yield crm_entity_tags, ("entity_type", "entity_id")
    if entity.has_custom_fields:
        yield crm_field_values, ("entity_type", "entity_id")


async def _insert(
    connection: AsyncConnection, table: Table, connection_id: str, rows: Sequence[Mapping[str, Any]]
) -> None:
    """The last of those with one key: nobody promises that Kommo names nothing twice."""
    names = [column.name for column in table.primary_key.columns if column.name != "connection_id"]
    unique = {tuple(row[name] for name in names): {"connection_id": connection_id, **row} for row in rows}
    ordered = [unique[key] for key in sorted(unique)]
    for start in range(0, len(ordered), _ROWS_AT_ONCE):
        await connection.execute(insert(table), ordered[start : start + _ROWS_AT_ONCE])


def _links(entity: Entity, row: Row) -> Iterator[dict[str, Any]]:
    for link in entity.links:
        for item in embedded(row.raw, link.embedded):
            yield {
                "from_type": entity.name,
                "from_id": row.external_id,
                "to_type": link.to,
                "to_id": storable(str(item["id"])),
                "is_main": bool(item.get(link.main)) if link.main else None,
                "quantity": _quantity(link, item),
            }


def _quantity(link: Link, item: Mapping[str, Any]) -> Any:
    return read_as(Form.MONEY, at(item, link.quantity)) if link.quantity else None


def _tags(entity: Entity, row: Row) -> Iterator[dict[str, Any]]:
    for tag in embedded(row.raw, "tags"):
        name = read_as(Form.TEXT, tag.get("name"))
        yield {"entity_type": entity.name, "entity_id": row.external_id, "tag_id": str(tag["id"]), "name": name}


def _values(entity: Entity, row: Row) -> Iterator[dict[str, Any]]:
    fields = row.raw.get("custom_fields_values")
    for field in fields if isinstance(fields, list) else ():
        field_id = read_as(Form.TEXT, field.get("field_id")) if isinstance(field, dict) else None
        held = field.get("values") if field_id is not None else None
        for position, one in enumerate(held if isinstance(held, list) else ()):
            kind = read_as(Form.TEXT, field.get("field_type"))
            value = one.get("value") if isinstance(one, dict) else one
            more = one if isinstance(one, dict) else {}
            yield {
                "entity_type": entity.name,
                "entity_id": row.external_id,
                "field_id": field_id,
                "position": position,
                "code": read_as(Form.TEXT, field.get("field_code")),
                "type": kind,
                "text": _text(value),
                "number": None if kind in _DATES else read_as(Form.MONEY, _number(kind, value)),
                "time": read_as(Form.MOMENT, value) if kind in _DATES else None,
                "enum_id": read_as(Form.REF, more.get("enum_id")),
                "enum_code": read_as(Form.TEXT, more.get("enum_code")),
            }


def _number(kind: str | None, value: Any) -> Any:
    """A text of digits is a number where the field is of numbers."""
    return value if kind in _NUMBERS or not isinstance(value, str) else None


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return str(value["name"])
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    return read_as(Form.TEXT, value)  # type: ignore[no-any-return]


def embedded(raw: Any, key: str) -> list[dict[str, Any]]:
    """PHP writes an empty object as []."""
    found = raw.get("_embedded") if isinstance(raw, dict) else None
    items = found.get(key) if isinstance(found, dict) else None
    return [item for item in items if isinstance(item, dict) and "id" in item] if isinstance(items, list) else []
