"""Which tables mirror the account? One for each table that entities.py names, all of one shape, made from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Boolean, Column, Index, Table, Text
from sqlalchemy.types import TypeEngine

from oxcart.kommo.entities import ENTITIES, INSIDE
from oxcart.kommo.entity import Entity, Form
from oxcart.kommo.store.columns import BIG, JSON_VALUE, UUID, Moment, Money
from oxcart.kommo.store.platform_tables import METADATA
from oxcart.kommo.store.rows import Scope

_TYPES: Mapping[Form, TypeEngine[Any] | type[TypeEngine[Any]]] = {
    Form.TEXT: Text,
    Form.WHOLE: BIG,
    Form.MONEY: Money,
    Form.TRUTH: Boolean,
    Form.MOMENT: Moment,
    Form.REF: Text,
    Form.KIND: Text,
}


def table_of(entity: Entity, connection_id: str) -> tuple[Table, Scope]:
    """Where its rows are, and which of the rows there."""
    scope = Scope(connection_id, "entity_type", entity.of) if entity.of else Scope(connection_id)
    return ENTITY_TABLES[entity.table], scope


def versioned() -> tuple[Column[Any], ...]:
    """What every mirrored row carries; rows.py says how these decide what is written."""
    return (
        Column("remote_created_at", Moment),
        Column("remote_updated_at", Moment),
        Column("fetched_at", Moment),  # when the content here was read, by the server's clock
        Column("asked_at", Moment),  # when it was last read by its id: lists may lag behind that
        Column("seen_at", Moment),  # the last time that the account had this row
        Column("gone_at", Moment),  # the last time that it had not
        Column("deleted_at", Moment),
        Column("deleted_source", Text),  # hook, event, list or sweep
        Column("changed_at", Moment, nullable=False),  # when what this row says last became another, by our clock
        Column("seen_run", Text),  # the last sweep that met this row
        Column("content_hash", Text),
        Column("shape", BIG),  # of entities.py, that the columns follow
        Column("raw", JSON_VALUE),
    )


def _table(name: str, entities: Iterable[Entity]) -> Table:
    """Rows of several entities in one table (notes of leads, of contacts…) are told apart by `entity_type`."""
    keys = ["connection_id", "external_id"]
    columns: dict[str, Column[Any]] = {
        "connection_id": Column("connection_id", UUID, primary_key=True),
        "external_id": Column("external_id", Text, primary_key=True),
        "name": Column("name", Text),
    }
    common = {column.name: column for column in versioned()}
    for entity in entities:
        if entity.of is not None:
            columns["entity_type"] = Column("entity_type", Text, primary_key=True)
            keys = ["connection_id", "entity_type", "external_id"]
        for column in entity.columns:
            if column.name not in common and column.name not in columns:
                columns[column.name] = Column(column.name, _TYPES[column.form])
    indexes = [
        Index(f"ix_{name}_updated", "connection_id", "remote_updated_at"),
        Index(f"ix_{name}_changed", "changed_at"),
    ]
    if "entity_id" in columns:
        indexes.append(Index(f"ix_{name}_entity", "connection_id", "entity_type", "entity_id"))
    ordered = sorted({**columns, **common}.values(), key=lambda column: (column.name not in keys, _rank(keys, column)))
    return Table(name, METADATA, *ordered, *indexes)


def _rank(keys: list[str], column: Column[Any]) -> int:
    """Key columns in the order of the key; the others stay as they came, for sorting is stable."""
    return keys.index(column.name) if column.name in keys else 0


_EVERY = (*ENTITIES.values(), *INSIDE)

ENTITY_TABLES: Mapping[str, Table] = {
    name: _table(name, [entity for entity in _EVERY if entity.table == name])
    for name in dict.fromkeys(entity.table for entity in _EVERY)
}
"""By name: crm_leads, crm_contacts, kommo_tasks…"""

NAMES_STAY = frozenset(entity.table for entity in _EVERY if entity.names_stay)
