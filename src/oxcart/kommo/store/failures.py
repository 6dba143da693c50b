"""What does an exception of the database mean, and what to do? The only place where it becomes one of ours."""

from __future__ import annotations

import errno
import re
import socket
import sqlite3
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from oxcart.errors import Failure, Kind, OxcartError, ServerRefused, SettingsError, Unavailable
from oxcart.kommo.store.database_url import DatabaseTarget


@dataclass(frozen=True, slots=True)
class _Row:
    """Recognised by SQLSTATE (or the first two characters of it), errno, SQLite's code, or a text."""

    code: str
    kind: Kind
    summary: str
    advice: str
    states: tuple[str, ...] = ()
    errnos: tuple[int, ...] = ()
    sqlite: tuple[int, ...] = ()
    texts: str = ""


_MIGRATE = "Run `oxcart kommo migrate` once; `--sql` prints what it would do."

_ROWS: tuple[_Row, ...] = (
    _Row(
        "DB_TENANT",
        Kind.CONFIGURATION,
        "Supabase's pooler does not know this user.",
        "Through the pooler the user is postgres.REF, with the project's reference: copy the string anew (Connect, in "
        "the Supabase project). A paused project has to be restored there first.",
        texts=r"Tenant or user not found",
    ),
    _Row(
        "DB_PASSWORD",
        Kind.CONFIGURATION,
        "The user or the password is wrong.",
        "Correct DATABASE_URL; characters such as @ : / # in the password are written as %40 %3A %2F %23.",
        states=("28P01", "28000"),
        texts=r"password authentication failed|SASL authentication failed",
    ),
    _Row(
        "DB_NAME",
        Kind.CONFIGURATION,
        "There is no such database.",
        "Correct the end of DATABASE_URL.",
        states=("3D000",),
    ),
    _Row(
        "DB_SCHEMA",
        Kind.CONFIGURATION,
        "There is no such schema.",
        "Correct OXCART_DATABASE_SCHEMA, or make the schema: CREATE SCHEMA name.",
        states=("3F000",),
    ),
    _Row("DB_TABLES", Kind.CONFIGURATION, "A table or column is missing.", _MIGRATE, states=("42P01", "42703")),
    _Row(
        "DB_RIGHTS",
        Kind.CONFIGURATION,
        "The database user may not do this.",
        "Grant it the right, or use the owner of the tables, who can run what `oxcart kommo migrate --sql` prints.",
        states=("42501",),
    ),
    _Row(
        "DB_CONNECTIONS",
        Kind.TRANSIENT,
        "All connections of the database or its pooler are taken.",
        "Run fewer workers or raise the limit; with Supabase use the session or the transaction pooler.",
        states=("53300",),
        texts=r"max client connections reached|MaxClientsInSessionMode|too many clients|remaining connection slots",
    ),
    _Row(
        "DB_READ_ONLY",
        Kind.TRANSIENT,
        "The database takes no writes at the moment.",
        "It is a replica, is failing over, or is full: look at the provider's page.",
        states=("25006",),
        sqlite=(sqlite3.SQLITE_READONLY,),
    ),
    _Row(
        "DB_FULL",
        Kind.CONFIGURATION,
        "The disk of the database is full.",
        "Make room, or give it more.",
        states=("53100",),
        sqlite=(sqlite3.SQLITE_FULL,),
        errnos=(errno.ENOSPC,),
    ),
    _Row(
        "DB_STARTING",
        Kind.TRANSIENT,
        "The database starts or stops.",
        "This passes by itself; if it lasts, look at its own log.",
        states=("57P01", "57P02", "57P03"),
    ),
    _Row(
        "DB_BUSY",
        Kind.TRANSIENT,
        "Another transaction was in the way.",
        "This passes by itself; it is tried again.",
        states=("40001", "40P01", "55P03"),
        sqlite=(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED),
    ),
    _Row(
        "DB_FILE",
        Kind.CONFIGURATION,
        "The file is no SQLite database, or is damaged.",
        "Name another file in DATABASE_URL; the mirror can be fetched anew, the tokens have to be connected again.",
        sqlite=(sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT),
    ),
    _Row(
        "DB_OPEN",
        Kind.CONFIGURATION,
        "The file cannot be opened.",
        "Its folder must be there, and writable for this user.",
        sqlite=(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM),
    ),
    _Row(
        "DB_TLS",
        Kind.CONFIGURATION,
        "TLS with the database failed.",
        "With verify-ca or verify-full, name the provider's CA file as sslrootcert in DATABASE_URL; sslmode=require "
        "encrypts without it.",
        texts=r"certificate verify failed|rejected SSL upgrade|SSL (is )?required|no pg_hba.conf entry.*no encryption",
    ),
    _Row(
        "DB_NAME_UNKNOWN",
        Kind.CONFIGURATION,
        "The host's name does not resolve.",
        "Check it for typing errors. Supabase's direct host db.REF.supabase.co has only an IPv6 address: use its "
        "session pooler. Railway's private names resolve only inside the same project.",
        errnos=(socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5), socket.EAI_FAMILY),
    ),
    _Row(
        "DB_DNS",
        Kind.TRANSIENT,
        "The host's name could not be looked up.",
        "This passes by itself when the container has just started.",
        errnos=(socket.EAI_AGAIN,),
    ),
    _Row(
        "DB_UNREACHABLE",
        Kind.TRANSIENT,
        "The database cannot be reached.",
        "Check host and port, and that it runs. Supabase's direct host has only an IPv6 address: use its pooler.",
        errnos=(errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENOENT, errno.EACCES),
    ),
    _Row(
        "DB_LOST",
        Kind.TRANSIENT,
        "The connection to the database broke.",
        "This passes by itself; it is tried again.",
        states=("08", "57P05", "25P03"),
        errnos=(errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ETIMEDOUT),
        texts=r"connection (was|is) closed|connection does not exist|server closed the connection",
    ),
)
_TIMED_OUT = Failure("DB_SILENT", Kind.TRANSIENT, True, "It did not answer in time.", "Check that it is up, and near.")
_UNKNOWN_OUTCOME = frozenset({"DB_LOST", "DB_SILENT", "DB_NETWORK"})
_REFUSED = "Please report this in the project's issue tracker if no change of yours explains it."


class StoreRefused(ServerRefused):
    """The database answered one statement with an error that no waiting will mend."""


def translate(error: BaseException, target: DatabaseTarget, doing: str) -> OxcartError | None:
    """Ours for it: SettingsError, Unavailable (try again) or StoreRefused; None for what is not the database's."""
    causes = list(_causes(error))
    found = failure_of(error)
    if found is None:
        return None
    where = f"{doing} in {target.shown}"
    if found.kind is Kind.CONFIGURATION:
        return SettingsError([f"{where}: {found.summary}{_words(found.code, causes)} {found.advice}"])
    if found.kind is Kind.PERMANENT:
        return StoreRefused(found, where)
    return Unavailable(found, where, outcome_unknown=found.code in _UNKNOWN_OUTCOME)


def failure_of(error: BaseException) -> Failure | None:
    """What it means, by the table; None for what is not the database's."""
    causes = list(_causes(error))
    row = next((row for row in _ROWS for cause in causes if _is(row, cause)), None)
    if row is not None:
        return Failure(row.code, row.kind, row.kind is Kind.TRANSIENT, row.summary, row.advice)
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return _TIMED_OUT
    if any(isinstance(cause, OSError | ssl.SSLError) for cause in causes):
        kind = next(type(cause).__name__ for cause in causes if isinstance(cause, OSError))
        return Failure("DB_NETWORK", Kind.TRANSIENT, True, f"The network failed ({kind}).", "It is tried again.")
    state = next((found for cause in causes if (found := _state(cause))), None)
    if state is None and not any(isinstance(cause, sqlite3.Error) for cause in causes):
        return None
    what = f"SQLSTATE {state}" if state else type(causes[-1]).__name__
    return Failure("DB_REFUSED", Kind.PERMANENT, False, f"It was refused ({what}).", _REFUSED)


def _words(code: str, causes: list[BaseException]) -> str:
    """Which table or right it was, where the server's own sentence names nothing else."""
    if code not in {"DB_TABLES", "DB_RIGHTS"}:
        return ""
    said = str(causes[-1]).splitlines()[0][:200]
    return f" ({said})"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """SQLAlchemy wraps the driver's error, and the driver its own."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            yield from (leaf for inner in current.exceptions for leaf in _causes(inner))
        current = getattr(current, "orig", None) or current.__cause__


def _is(row: _Row, cause: BaseException) -> bool:
    state = _state(cause)
    if state is not None and (state in row.states or state[:2] in row.states):
        return True
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", -1) & 0xFF in row.sqlite
    if isinstance(cause, OSError) and cause.errno in row.errnos:
        return isinstance(cause, socket.gaierror) is row.code.startswith(("DB_NAME_", "DB_DNS"))
    return bool(row.texts) and re.search(row.texts, str(cause)) is not None


def _state(cause: BaseException) -> str | None:
    found = getattr(cause, "sqlstate", None)
    return found if isinstance(found, str) else None
