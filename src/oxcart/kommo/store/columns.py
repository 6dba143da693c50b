"""How does each kind of value lie in SQLite and in PostgreSQL? In Python both give str, int, UTC datetimes and JSON."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Numeric, Table, Text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from oxcart import clock

# PostgreSQL stores no U+0000, and neither database takes half of a surrogate pair; Kommo's users can type both.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

UUID = Text().with_variant(postgresql.UUID(as_uuid=False), "postgresql")
"""Text with hyphens: readable in SQLite, native in PostgreSQL."""

BIG = BigInteger()

JSON_VALUE = JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")

TEXTS = JSON(none_as_null=True).with_variant(postgresql.ARRAY(Text()), "postgresql")
"""A list of texts: text[] in PostgreSQL, JSON in SQLite."""


class Moment(TypeDecorator[datetime]):
    """An aware datetime, in and out, always in UTC; SQLite keeps it as "2026-11-22 09:30:00.000000"."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A time without a zone cannot be stored; give it one, as in datetime.now(UTC).")
        in_utc = value.astimezone(UTC)
        return in_utc if dialect.name == "postgresql" else in_utc.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class Money(TypeDecorator[Decimal]):
    """An exact number, in and out. SQLite has no such type: it keeps a whole number as one, any other as it can."""

    impl = Numeric(asdecimal=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        exact: Numeric[Any] = Numeric() if dialect.name == "postgresql" else Numeric(asdecimal=False)
        return dialect.type_descriptor(exact)

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return int(value) if value == value.to_integral_value() and abs(value) < 2**63 else float(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        return None if value is None else Decimal(str(value))


class random_uuid(FunctionElement[str]):  # noqa: N801 - a function of SQL
    """The default of a primary key for whoever inserts without one."""

    inherit_cache = True
    type = Text()


@compiles(random_uuid, "postgresql")
def _postgresql_uuid(*_: Any, **__: Any) -> str:
    return "gen_random_uuid()"


@compiles(random_uuid, "sqlite")
def _sqlite_uuid(*_: Any, **__: Any) -> str:
    return "(lower(hex(randomblob(16))))"


class epoch(FunctionElement[datetime]):  # noqa: N801 - a function of SQL
    """1970, written into the statement: bound, it would be sent with every row, once for each column it decides."""

    inherit_cache = True
    type = Moment()


@compiles(epoch, "postgresql")
def _postgresql_epoch(*_: Any, **__: Any) -> str:
    return "TIMESTAMPTZ '1970-01-01 00:00:00+00'"


@compiles(epoch, "sqlite")
def _sqlite_epoch(*_: Any, **__: Any) -> str:
    return "'1970-01-01 00:00:00.000000'"


def insert_into(connection: AsyncConnection, table: Table) -> Any:
    """An INSERT that can say ON CONFLICT, which each dialect has as its own."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def new_id() -> str:
    return str(clock.new_uuid())


def storable(value: Any) -> Any:
    """A JSON value with every character that a database refuses replaced by U+FFFD."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value) if _UNSTORABLE.search(value) else value
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value
