"""How do we reach the database? One `Database` per process: short transactions, over SQLite or PostgreSQL alike."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from oxcart import clock
from oxcart.errors import Unavailable
from oxcart.kommo.store.database_url import DatabaseTarget, connect_arguments
from oxcart.kommo.store.failures import translate

Answer = TypeVar("Answer")

_WRITES = "oxcart_writes"
_BUSY_SECONDS = 30
# Beside the job loop a few short transactions at a time; Supabase's smallest pooler has 15 connections for everyone.
_POOL = {"pool_size": 4, "max_overflow": 2, "pool_timeout": 30, "pool_pre_ping": True, "pool_recycle": 300}
_TRIES = 4
_JSON: dict[str, Any] = {
    "json_serializer": lambda value: msgspec.json.encode(value).decode(),
    "json_deserializer": msgspec.json.decode,
}


class Database:
    """Open with `open_database`; `close` returns when every connection is closed."""

    def __init__(self, target: DatabaseTarget) -> None:
        self.target = target
        self.exports: frozenset[str] = frozenset()
        """Tables of the platform's beside ours, which platform_export.py writes; found when it is opened."""
        self._engine = _engine(target)

    @property
    def is_postgresql(self) -> bool:
        return self.target.dialect == "postgresql"

    @property
    def engine(self) -> AsyncEngine:
        return self._engine

    @asynccontextmanager
    async def reading(self, doing: str) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads. `doing` begins the message of an error: "Reading the cursors"."""
        async with self._transaction(doing, writes=False) as connection:
            yield connection

    @asynccontextmanager
    async def writing(self, doing: str) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes, committed at the end of the block. In SQLite it is the only one meanwhile.

        Raises SettingsError, StoreRefused, or Unavailable; with `outcome_unknown` it may have been committed.
        """
        async with self._transaction(doing, writes=True) as connection:
            yield connection

    async def write(self, doing: str, work: Callable[[AsyncConnection], Awaitable[Answer]]) -> Answer:
        """`work` in a transaction, again when another one was in the way. It must be safe to run twice."""
        for attempt in range(_TRIES):
            try:
                async with self.writing(doing) as connection:
                    return await work(connection)
            except Unavailable as error:
                if error.failure.code != "DB_BUSY" or attempt == _TRIES - 1:
                    raise
                await asyncio.sleep(0.05 * 2**attempt)
        raise AssertionError("the loop returns or raises")

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def _transaction(self, doing: str, *, writes: bool) -> AsyncIterator[AsyncConnection]:
        with _ours(self.target, doing):
            try:
                async with self._engine.connect() as connection:
                    await connection.execution_options(**{_WRITES: writes})
                    async with connection.begin():
                        yield connection
            except asyncio.CancelledError as error:
                # Cut off in a statement, its cursor lives on in the traceback: in SQLite it then keeps the file locked.
                traceback.clear_frames(error.__traceback__)
                raise


class _ours:  # noqa: N801 - used as a statement
    """Turns the driver's exceptions into ours on the way out, and leaves every other as it is."""

    def __init__(self, target: DatabaseTarget, doing: str) -> None:
        self._target, self._doing = target, doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        if isinstance(error, SQLAlchemyError | OSError | TimeoutError):
            found = translate(error, self._target, self._doing)
            if found is not None:
                raise found from error


async def now(connection: AsyncConnection) -> datetime:
    """By the database's clock where several machines share it; by ours where the file is our own."""
    if connection.dialect.name == "sqlite":
        return clock.now_utc()
    found = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
    assert isinstance(found, datetime)
    return found.astimezone(UTC)


def _engine(target: DatabaseTarget) -> AsyncEngine:
    """Schema-qualified names and no search_path: poolers in transaction mode keep no setting of a session."""
    translated = {"schema_translate_map": {None: target.schema}} if target.schema else {}
    if target.dialect == "sqlite":
        engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=str(target.path)),
            async_creator=lambda: _connect_sqlite(str(target.path)),
            execution_options=translated,
            hide_parameters=True,
            **_JSON,
        )
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    return create_async_engine(
        URL.create("postgresql+asyncpg"),
        connect_args=connect_arguments(target),
        **_JSON,
        execution_options=translated,
        hide_parameters=True,
        **_POOL,
    )


async def _connect_sqlite(path: str) -> Any:
    """The driver's own BEGIN would come too late to be IMMEDIATE, so it makes none.

    The file is tried first: a connection of aiosqlite that fails to open leaves a thread that may outlive the loop.
    """
    import aiosqlite

    await asyncio.to_thread(_try_file, path)
    connecting = aiosqlite.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    worker: Any = getattr(connecting, "_thread", connecting)
    worker.daemon = True  # as SQLAlchemy's own creator has it
    connection = await connecting
    try:
        for pragma in ("synchronous = FULL", "foreign_keys = ON"):
            await connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.stop()  # cancelled: nobody else will close it
        raise
    return connection


def _try_file(path: str) -> None:
    """WAL, which lets readers pass a writer, stays with the file.

    A new one is for us alone, as it will hold tokens and customers; SQLite gives its other files the same mode.
    """
    with contextlib.suppress(OSError):  # SQLite says better what is wrong
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with contextlib.closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()


def _begin_sqlite(connection: Connection) -> None:
    """A transaction that reads first and then writes may otherwise meet "database is locked" in its middle."""
    writes = connection.get_execution_options().get(_WRITES, True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
