"""What does the database lack of our tables, and how is it added? Tables, columns that may be null, indexes, views.

Nothing of anybody else's is ever altered or dropped, so there is no history of revisions to keep: Alembic compares the
database with the declared tables, and only additions are let through. What an earlier version kept elsewhere is moved
(moves.py), and rows that it wrote are told anew (retelling.py). SQLite is brought up to date when it is opened,
PostgreSQL by `oxcart kommo migrate`.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from alembic.autogenerate import produce_migrations
from alembic.operations import Operations, ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData, Table, UniqueConstraint, inspect, text

from oxcart.errors import SettingsError
from oxcart.kommo.store import entity_tables  # noqa: F401 - declares every table in METADATA
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.moves import find_moves
from oxcart.kommo.store.platform_tables import METADATA, PLATFORM
from oxcart.kommo.store.retelling import retell
from oxcart.kommo.store.views import mark_of, views_for

# Any number that no other program uses on this database; transactions take it, sessions never.
_LOCK = 7_203_911_552


@dataclass(frozen=True, slots=True)
class Additions:
    """`statements` in their order, without a closing semicolon; `columns` as table.column.

    `told` rows of an earlier version have got new columns since.
    """

    tables: tuple[str, ...]
    columns: tuple[str, ...]
    views: tuple[str, ...]
    statements: tuple[str, ...]
    told: int = 0

    def __bool__(self) -> bool:
        return bool(self.statements)


async def missing(database: Database) -> Additions:
    """What `migrate` would add now. Raises SettingsError where a table of that name is of another kind."""
    async with database.reading("Comparing the tables") as connection:
        return await connection.run_sync(_compare, database.target.schema)


async def migrate(database: Database) -> Additions:
    """Add it, in one transaction; then tell old rows anew. Two that do so at once are no harm: the second finds nothing
    missing.
    """

    def add(connection: Connection) -> Additions:
        if database.is_postgresql:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        additions = _compare(connection, database.target.schema)
        for statement in additions.statements:
            connection.exec_driver_sql(statement)
        return additions

    async with database.writing("Adding tables") as connection:
        additions = await connection.run_sync(add)
    return replace(additions, told=await retell(database))


def _compare(connection: Connection, schema: str | None) -> Additions:
    wanted = _in_schema(schema, connection)
    names = {table.name for table in wanted.tables.values()}
    there = set(inspect(connection).get_table_names(schema=_effective(schema, connection)))
    _refuse_strangers(connection, wanted, names & there)
    moves = find_moves(connection, there, _effective(schema, connection))
    found = _produce(connection, wanted, schema)
    additions = [op for op in _flat(found) if _is_addition(op)]
    tables = tuple(op.table_name for op in additions if isinstance(op, ops.CreateTableOp))
    columns = tuple(f"{op.table_name}.{op.column.name}" for op in additions if isinstance(op, ops.AddColumnOp))
    views = _missing_views(connection, schema, frozenset(there - moves.dropped))
    statements = [
        *moves.before,
        *_render(connection, additions),
        *(line for table in tables for line in _closed(connection, table, schema)),
        *moves.after,
        *(f"DROP VIEW IF EXISTS {_prefix(connection, schema)}{name}" for name in reversed(views)),
        *(line for name, select in views.items() for line in _view(connection, name, select, schema)),
    ]
    return Additions(tables, columns, tuple(views), tuple(statements))


def _missing_views(connection: Connection, schema: str | None, taken: frozenset[str]) -> dict[str, str]:
    """All of them where one is missing or another than is wanted, for they build on each other; else none."""
    wanted = views_for(connection.dialect.name, _prefix(connection, schema), taken)
    there = _marks_of_views(connection, wanted, schema)
    return {} if there == {name: mark_of(select) for name, select in wanted.items()} else wanted


def _marks_of_views(connection: Connection, names: Collection[str], schema: str | None) -> dict[str, str]:
    """SQLite keeps a view's comments, PostgreSQL a comment on it."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'view'"))
        return {name: sql.partition("/* ")[2].partition(" */")[0] for name, sql in rows if name in names}
    query = text("SELECT obj_description(to_regclass(:name)::oid, 'pg_class')")
    prefix = _prefix(connection, schema)
    marks = {name: connection.execute(query, {"name": prefix + name}).scalar_one_or_none() for name in names}
    return {name: mark for name, mark in marks.items() if mark}


def _view(connection: Connection, name: str, select: str, schema: str | None) -> Iterator[str]:
    """On Supabase a view shows whatever its owner may see, so it is closed as tables are."""
    full, mark = _prefix(connection, schema) + name, mark_of(select)
    if connection.dialect.name == "sqlite":
        yield f"CREATE VIEW {full} AS /* {mark} */\n{select}"
        return
    yield f"CREATE VIEW {full} AS\n{select}"
    yield f"COMMENT ON VIEW {full} IS '{mark}'"
    yield from _revoked(full)


def _prefix(connection: Connection, schema: str | None) -> str:
    return f"{connection.dialect.identifier_preparer.quote(schema)}." if schema else ""


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
    name = _prefix(connection, schema) + connection.dialect.identifier_preparer.quote(table)
    yield f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"
    yield from _revoked(name)


def _revoked(name: str) -> Iterator[str]:
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
