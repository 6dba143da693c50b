"""What did 0.2 keep elsewhere, and how does it come to its place? In SQL, in the transaction that adds the tables.

0.2 lived in the platform's tables of pipelines, stages, fields and tasks, and had what it knew of their rows in
crm_row_versions. In SQLite, where no platform can be, those tables are ours and go; in PostgreSQL they stay, and are
written beside ours. A price was a float.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Float, inspect, text
from sqlalchemy.types import REAL

from oxcart.errors import SettingsError
from oxcart.kommo.store.entity_tables import versioned
from oxcart.kommo.store.views import SHORT_NAMES

_OLD = "crm_row_versions"
_WHOLE = {"pipelines": "kommo_pipelines", "stages": "kommo_stages", "tasks": "kommo_tasks"}
_FIELDS_OF = ("leads", "contacts", "companies")


@dataclass(frozen=True, slots=True)
class Moves:
    """`before` what is added, and `after` it; `dropped` are tables whose names are free then."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    dropped: frozenset[str]


def find_moves(connection: Connection, there: set[str], schema: str | None) -> Moves:
    inspector = inspect(connection)
    prefix = f"{connection.dialect.identifier_preparer.quote(schema)}." if schema else ""
    is_sqlite = connection.dialect.name == "sqlite"
    dropped = SHORT_NAMES.keys() & there if is_sqlite else set[str]()
    before = [
        f"DROP TABLE {name}" for name in reversed(list(SHORT_NAMES)) if name in dropped
    ]  # stages before pipelines
    if "crm_leads" in there:
        price = next(one for one in inspector.get_columns("crm_leads", schema=schema) if one["name"] == "price")
        if isinstance(price["type"], Float | REAL):
            _refuse_views(connection, f"{prefix}crm_leads")
            before += _money(f"{prefix}crm_leads", is_sqlite=is_sqlite)
    after: list[str] = []
    if _OLD in there:
        known = {one["name"] for one in inspector.get_columns(_OLD, schema=schema)}
        names = [column.name for column in versioned() if column.name in known]
        after = [*_copies(prefix, names), f"DROP TABLE {prefix}{_OLD}"]
    return Moves(tuple(before), tuple(after), frozenset(dropped))


def _refuse_views(connection: Connection, leads: str) -> None:
    """PostgreSQL changes no column that a view shows."""
    if connection.dialect.name == "sqlite":
        return
    query = text(
        "SELECT DISTINCT v.oid::regclass::text FROM pg_depend d "
        "JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class "
        "JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid "
        "WHERE d.refobjid = to_regclass(:leads)::oid AND a.attname = 'price'"
    )
    views = sorted(connection.execute(query, {"leads": leads}).scalars())
    if views:
        message = (
            f"crm_leads.price becomes an exact number, which PostgreSQL refuses as long as views show it: "
            f"{', '.join(views)}. Drop them, run `oxcart kommo migrate`, and make them again."
        )
        raise SettingsError([message])


def _money(leads: str, *, is_sqlite: bool) -> list[str]:
    """SQLite knows no other type for a column that is there."""
    if not is_sqlite:
        return [f"ALTER TABLE {leads} ALTER COLUMN price TYPE NUMERIC"]
    return [
        f"ALTER TABLE {leads} ADD COLUMN price_exact NUMERIC",
        f"UPDATE {leads} SET price_exact = price",  # noqa: S608
        f"ALTER TABLE {leads} DROP COLUMN price",
        f"ALTER TABLE {leads} RENAME COLUMN price_exact TO price",
    ]


def _copies(prefix: str, names: list[str]) -> Iterator[str]:
    """The names are our own. `name` is kept also of rows whose raw is gone."""
    columns = ", ".join(["connection_id", *names])
    for entity, table in _WHOLE.items():
        more = "" if table == "kommo_tasks" else ", name"
        yield (
            f"INSERT INTO {prefix}{table} ({columns}, external_id{more}) SELECT {columns}, external_id{more} "  # noqa: S608
            f"FROM {prefix}{_OLD} WHERE entity = '{entity}' ON CONFLICT DO NOTHING"
        )
    for of in _FIELDS_OF:
        yield (
            f"INSERT INTO {prefix}kommo_custom_fields ({columns}, name, entity_type, external_id) "  # noqa: S608
            f"SELECT {columns}, name, '{of}', substr(external_id, {len(of) + 2}) FROM {prefix}{_OLD} "
            f"WHERE entity = 'custom_fields' AND external_id LIKE '{of}:%' ON CONFLICT DO NOTHING"
        )
