"""Which tables mirror the account? One for each table that entities.py names and the platform has not; made from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Boolean, Column, Float, Index, Table, Text
from sqlalchemy.types import TypeEngine

from oxcart.kommo.entities import ENTITIES, Entity, Form
from oxcart.kommo.store.columns import BIG, UUID, Moment
from oxcart.kommo.store.own_tables import versioned
from oxcart.kommo.store.platform_tables import METADATA

_TYPES: Mapping[Form, TypeEngine[Any] | type[TypeEngine[Any]]] = {
    Form.TEXT: Text,
    Form.WHOLE: BIG,
    Form.NUMBER: Float(53),
    Form.TRUTH: Boolean,
    Form.MOMENT: Moment,
    Form.REF: Text,
}


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
    indexes = (
        Index(f"ix_{name}_updated", "connection_id", "remote_updated_at"),
        Index(f"ix_{name}_changed", "changed_at"),
    )
    ordered = sorted({**columns, **common}.values(), key=lambda column: (column.name not in keys, _rank(keys, column)))
    return Table(name, METADATA, *ordered, *indexes)


def _rank(keys: list[str], column: Column[Any]) -> int:
    """Key columns in the order of the key; the others stay as they came, for sorting is stable."""
    return keys.index(column.name) if column.name in keys else 0


def _own_tables() -> dict[str, Table]:
    names = dict.fromkeys(entity.table for entity in ENTITIES.values() if entity.table not in METADATA.tables)
    return {name: _table(name, [e for e in ENTITIES.values() if e.table == name]) for name in names}


ENTITY_TABLES: Mapping[str, Table] = _own_tables()
"""By name: crm_leads, crm_contacts, crm_companies, crm_users, crm_notes, crm_tags, crm_events, crm_accounts…"""
