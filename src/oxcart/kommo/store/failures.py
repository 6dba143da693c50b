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
from oxcart.language import tr


@dataclass(frozen=True, slots=True)
class Row:
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

ROWS: tuple[Row, ...] = (
    Row(
        "DB_TENANT",
        Kind.CONFIGURATION,
        "Supabase's pooler does not know this user.",
        "Through the pooler the user is postgres.REF, with the project's reference: copy the string anew (Connect, in "
        "the Supabase project). A paused project has to be restored there first.",
        texts=r"Tenant or user not found",
    ),
    Row(
        "DB_PASSWORD",
        Kind.CONFIGURATION,
        "The user or the password is wrong.",
        "Correct DATABASE_URL; characters such as @ : / # in the password are written as %40 %3A %2F %23.",
        states=("28P01", "28000"),
        texts=r"password authentication failed|SASL authentication failed",
    ),
    Row(
        "DB_NAME",
        Kind.CONFIGURATION,
        "There is no such database.",
        "Correct the end of DATABASE_URL.",
        states=("3D000",),
    ),
    Row(
        "DB_SCHEMA",
        Kind.CONFIGURATION,
        "There is no such schema.",
        "Correct OXCART_DATABASE_SCHEMA, or make the schema: CREATE SCHEMA name.",
        states=("3F000",),
    ),
    Row("DB_TABLES", Kind.CONFIGURATION, "A table or column is missing.", _MIGRATE, states=("42P01", "42703")),
    Row(
        "DB_RIGHTS",
        Kind.CONFIGURATION,
        "The database user may not do this.",
        "Grant it the right, or use the owner of the tables, who can run what `oxcart kommo migrate --sql` prints.",
        states=("42501",),
    ),
    Row(
        "DB_CONNECTIONS",
        Kind.TRANSIENT,
        "All connections of the database or its pooler are taken.",
        "Run fewer workers or raise the limit; with Supabase use the session or the transaction pooler.",
        states=("53300",),
        texts=r"max client connections reached|MaxClientsInSessionMode|too many clients|remaining connection slots",
    ),
    Row(
        "DB_READ_ONLY",
        Kind.TRANSIENT,
        "The database takes no writes at the moment.",
        "It is a replica, is failing over, or is full: look at the provider's page.",
        states=("25006",),
        sqlite=(sqlite3.SQLITE_READONLY,),
    ),
    Row(
        "DB_FULL",
        Kind.CONFIGURATION,
        "The disk of the database is full.",
        "Make room, or give it more.",
        states=("53100",),
        sqlite=(sqlite3.SQLITE_FULL,),
        errnos=(errno.ENOSPC,),
    ),
    Row(
        "DB_STARTING",
        Kind.TRANSIENT,
        "The database starts or stops.",
        "This passes by itself; if it lasts, look at its own log.",
        states=("57P01", "57P02", "57P03"),
    ),
    Row(
        "DB_BUSY",
        Kind.TRANSIENT,
        "Another transaction was in the way.",
        "This passes by itself; it is tried again.",
        states=("40001", "40P01", "55P03"),
        sqlite=(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED),
    ),
    Row(
        "DB_FILE",
        Kind.CONFIGURATION,
        "The file is no SQLite database, or is damaged.",
        "Name another file in DATABASE_URL; the mirror can be fetched anew, the tokens have to be connected again.",
        sqlite=(sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT),
    ),
    Row(
        "DB_OPEN",
        Kind.CONFIGURATION,
        "The file cannot be opened.",
        "Its folder must be there, and writable for this user.",
        sqlite=(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM),
    ),
    Row(
        "DB_TLS",
        Kind.CONFIGURATION,
        "TLS with the database failed.",
        "With verify-ca or verify-full, name the provider's CA file as sslrootcert in DATABASE_URL; sslmode=require "
        "encrypts without it.",
        texts=r"certificate verify failed|rejected SSL upgrade|SSL (is )?required|no pg_hba.conf entry.*no encryption",
    ),
    Row(
        "DB_NAME_UNKNOWN",
        Kind.CONFIGURATION,
        "The host's name does not resolve.",
        "Check it for typing errors. Supabase's direct host db.REF.supabase.co has only an IPv6 address: use its "
        "session pooler. Railway's private names resolve only inside the same project.",
        errnos=(socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5), socket.EAI_FAMILY),
    ),
    Row(
        "DB_DNS",
        Kind.TRANSIENT,
        "The host's name could not be looked up.",
        "This passes by itself when the container has just started.",
        errnos=(socket.EAI_AGAIN,),
    ),
    Row(
        "DB_UNREACHABLE",
        Kind.TRANSIENT,
        "The database cannot be reached.",
        "Check host and port, and that it runs. Supabase's direct host has only an IPv6 address: use its pooler.",
        errnos=(errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENOENT, errno.EACCES),
    ),
    Row(
        "DB_LOST",
        Kind.TRANSIENT,
        "The connection to the database broke.",
        "This passes by itself; it is tried again.",
        states=("08", "57P05", "25P03"),
        errnos=(errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ETIMEDOUT),
        texts=r"connection (was|is) closed|connection does not exist|server closed the connection",
    ),
)
_UNKNOWN_OUTCOME = frozenset({"DB_LOST", "DB_SILENT", "DB_NETWORK"})


class StoreRefused(ServerRefused):
    """The database answered one statement with an error that no waiting will mend."""


def translate(error: BaseException, target: DatabaseTarget, doing: str) -> OxcartError | None:
    """Ours for it: SettingsError, Unavailable (try again) or StoreRefused; None for what is not the database's."""
    found = failure_of(error)
    if found is None:
        return None
    where = tr("{doing} in {place}", doing=doing, place=target.shown)
    if found.kind is Kind.CONFIGURATION:
        words = words_of(found, error)
        said = f" ({words})" if words else ""
        return SettingsError([f"{where}: {found.summary}{said} {found.advice}"])
    if found.kind is Kind.PERMANENT:
        return StoreRefused(found, where)
    return Unavailable(found, where, outcome_unknown=found.code in _UNKNOWN_OUTCOME)


def failure_of(error: BaseException) -> Failure | None:
    """What it means, by the table; None for what is not the database's."""
    causes = list(_causes(error))
    row = next((row for row in ROWS for cause in causes if _is(row, cause)), None)
    if row is not None:
        return Failure(row.code, row.kind, row.kind is Kind.TRANSIENT, tr(row.summary), tr(row.advice))
    if any(isinstance(cause, TimeoutError) for cause in causes):
        summary, advice = tr("It did not answer in time."), tr("Check that it is up, and near.")
        return Failure("DB_SILENT", Kind.TRANSIENT, True, summary, advice)
    if any(isinstance(cause, OSError | ssl.SSLError) for cause in causes):
        kind = next(type(cause).__name__ for cause in causes if isinstance(cause, OSError))
        summary, advice = tr("The network failed ({kind}).", kind=kind), tr("It is tried again.")
        return Failure("DB_NETWORK", Kind.TRANSIENT, True, summary, advice)
    state = next((found for cause in causes if (found := _state(cause))), None)
    if state is None and not any(isinstance(cause, sqlite3.Error) for cause in causes):
        return None
    what = f"SQLSTATE {state}" if state else type(causes[-1]).__name__
    advice = tr("Please report this in the project's issue tracker if no change of yours explains it.")
    return Failure("DB_REFUSED", Kind.PERMANENT, False, tr("It was refused ({what}).", what=what), advice)


def words_of(failure: Failure, error: BaseException | None) -> str:
    """Which table or right it was, in the server's own words; empty where these may name something else, too."""
    if error is None or failure.code not in {"DB_TABLES", "DB_RIGHTS"}:
        return ""
    return (str(list(_causes(error))[-1]).splitlines() or [""])[0][:200]


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


def _is(row: Row, cause: BaseException) -> bool:
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
