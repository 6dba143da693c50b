"""What does the database lack of our tables, and how is it added? Tables, columns that may be null, and indexes.

Nothing is ever altered or dropped, so there is no history of revisions to keep: Alembic compares the database with
the declared tables, and only additions are let through. SQLite is brought up to date when it is opened, PostgreSQL
by `oxcart kommo migrate`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from alembic.autogenerate import produce_migrations
from alembic.operations import Operations, ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData, Table, UniqueConstraint, inspect, text

from oxcart.errors import SettingsError
from oxcart.kommo.store import entity_tables  # noqa: F401 - declares every table in METADATA
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.platform_tables import METADATA, PLATFORM

# Any number that no other program uses on this database; transactions take it, sessions never.
_LOCK = 7_203_911_552


@dataclass(frozen=True, slots=True)
class Additions:
    """`statements` in their order, without a closing semicolon; `tables` and `columns` (table.column) as names."""

    tables: tuple[str, ...]
    columns: tuple[str, ...]
    statements: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.statements)


async def missing(database: Database) -> Additions:
    """What `migrate` would add now. Raises SettingsError where a table of that name is of another kind."""
    async with database.reading("Comparing the tables") as connection:
        return await connection.run_sync(_compare, database.target.schema)


async def migrate(database: Database) -> Additions:
    """Add it, in one transaction. Two that do so at once are no harm: the second finds nothing missing."""

    def add(connection: Connection) -> Additions:
        if database.is_postgresql:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        additions = _compare(connection, database.target.schema)
        for statement in additions.statements:
            connection.exec_driver_sql(statement)
        return additions

    async with database.writing("Adding tables") as connection:
        return await connection.run_sync(add)


def _compare(connection: Connection, schema: str | None) -> Additions:
    wanted = _in_schema(schema, connection)
    names = {table.name for table in wanted.tables.values()}
    existing = names & set(inspect(connection).get_table_names(schema=_effective(schema, connection)))
    _refuse_strangers(connection, wanted, existing)
    found = _produce(connection, wanted, schema)
    additions = [op for op in _flat(found) if _is_addition(op)]
    tables = tuple(op.table_name for op in additions if isinstance(op, ops.CreateTableOp))
    columns = tuple(f"{op.table_name}.{op.column.name}" for op in additions if isinstance(op, ops.AddColumnOp))
    statements = [
        *_render(connection, additions),
        *(line for table in tables for line in _closed(connection, table, schema)),
    ]
    return Additions(tables, columns, tuple(statements))


def _effective(schema: str | None, connection: Connection) -> str | None:
    """None where the schema is the connection's own, as reflection reports it."""
    return None if schema == connection.dialect.default_schema_name else schema


def _in_schema(schema: str | None, connection: Connection) -> MetaData:
    effective = _effective(schema, connection)
    if effective is None:
        return METADATA
    copied = MetaData(schema=effective)
    for table in METADATA.sorted_tables:
        table.to_metadata(copied, schema=effective)
    return copied


def _produce(connection: Connection, wanted: MetaData, schema: str | None) -> ops.MigrationScript:
    names = {table.name for table in wanted.tables.values()}
    effective = _effective(schema, connection)

    def is_ours(name: str | None, kind: str, _: Any) -> bool:
        if kind == "schema":
            return name == effective
        return kind != "table" or name in names

    options = {
        "target_metadata": wanted,
        "include_schemas": effective is not None,
        "include_name": is_ours,
        "compare_type": False,
        "compare_server_default": False,
    }
    return produce_migrations(MigrationContext.configure(connection, opts=options), wanted)


def _flat(script: ops.MigrationScript) -> Iterator[ops.MigrateOperation]:
    upgrade = script.upgrade_ops
    assert upgrade is not None
    for op in upgrade.ops:
        yield from op.ops if isinstance(op, ops.ModifyTableOps) else (op,)


def _is_addition(op: ops.MigrateOperation) -> bool:
    """A missing index on a table of the platform is the platform's affair; a column is not, for we write it."""
    if isinstance(op, ops.AddColumnOp):
        return bool(op.column.nullable)
    if isinstance(op, ops.CreateIndexOp):
        return not METADATA.tables[op.table_name].info.get(PLATFORM, False)
    return isinstance(op, ops.CreateTableOp)


def _render(connection: Connection, additions: Sequence[ops.MigrateOperation]) -> Iterator[str]:
    """As text first, then run: what `--sql` shows is what happens."""
    for op in additions:
        buffer = io.StringIO()
        options = {"as_sql": True, "output_buffer": buffer}
        context = MigrationContext.configure(dialect=connection.dialect, opts=options)
        Operations(context).invoke(op)
        yield from (part.strip() for part in buffer.getvalue().split(";\n") if part.strip())


def _closed(connection: Connection, table: str, schema: str | None) -> Iterator[str]:
    """On Supabase a table in `public` is open to whoever has the browser's key, unless it is closed."""
    if connection.dialect.name != "postgresql":
        return
    quote = connection.dialect.identifier_preparer.quote
    name = f"{quote(schema)}.{quote(table)}" if schema else quote(table)
    yield f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"
    for role in ("anon", "authenticated"):
        yield (  # names of our own tables, and quoted
            f"DO $$ BEGIN IF EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = '{role}') "  # noqa: S608
            f"THEN REVOKE ALL ON TABLE {name} FROM {role}; END IF; END $$"
        )


def _refuse_strangers(connection: Connection, wanted: MetaData, existing: set[str]) -> None:
    """A table of ours is known by its keys: without them an upsert cannot work, and adding columns would not help."""
    inspector = inspect(connection)
    problems = []
    for table in wanted.sorted_tables:
        if table.name not in existing:
            continue
        columns = {column["name"] for column in inspector.get_columns(table.name, schema=table.schema)}
        needed = {column.name for column in table.columns if not column.nullable}
        lacking = sorted(needed - columns)
        if lacking:
            problems.append(f"table {table.name} lacks {', '.join(lacking)}")
        elif not _keys(table) <= _unique_keys(inspector, table):
            problems.append(f"table {table.name} has no unique key as it is needed")
    if problems:
        message = (
            f"The database has tables of other programs under our names: {'; '.join(problems)}. Set "
            "OXCART_DATABASE_SCHEMA to a schema of its own for the CRM data, or rename those tables."
        )
        raise SettingsError([message])


def _keys(table: Table) -> set[frozenset[str]]:
    """The unique keys that our upserts name."""
    constraints = {
        frozenset(column.name for column in item.columns)
        for item in table.constraints
        if isinstance(item, UniqueConstraint)
    }
    indexes = {frozenset(c.name for c in index.columns) for index in table.indexes if index.unique}
    return constraints | indexes | {frozenset(column.name for column in table.primary_key.columns)}


def _unique_keys(inspector: Any, table: Table) -> set[frozenset[str]]:
    name, schema = table.name, table.schema
    found = [inspector.get_pk_constraint(name, schema=schema)["constrained_columns"]]
    found += [item["column_names"] for item in inspector.get_unique_constraints(name, schema=schema)]
    found += [item["column_names"] for item in inspector.get_indexes(name, schema=schema) if item["unique"]]
    return {frozenset(columns) for columns in found}
