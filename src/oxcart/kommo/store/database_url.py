"""Which database is meant? DATABASE_URL as people write it becomes what the drivers take; without one, a file of ours.

Pure: nothing is opened here. Options that only another driver knows (Prisma's `pgbouncer=true`, psql's
`channel_binding`) are left out; one that nobody knows is a problem with its name.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

from oxcart.errors import SettingsError
from oxcart.language import tr
from oxcart.secret import Secret
from oxcart.settings import DATABASE_URL_ADVICE, Platform, Settings

FILE_NAME = "kommo.db"

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

# What other drivers and poolers read from the same URL, and what has no meaning for us.
_IGNORED = frozenset(
    (
        "channel_binding",
        "gssencmode",
        "gsslib",
        "krbsrvname",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
        "target_session_attrs",
        "load_balance_hosts",
        "pgbouncer",
        "connection_limit",
        "pool_timeout",
        "socket_timeout",
        "statement_cache_size",
        "prepared_statement_cache_size",
        "prepare_threshold",
        "schema",
        "supa",
        "workaround",
        "sslcert",
        "sslkey",
        "sslpassword",
        "sslidentity",
        "sslaccept",
        "sslcompression",
        "sslnegotiation",
        "fallback_application_name",
        "client_encoding",
        "max_idle_connection_lifetime",
        "uselibpqcompat",
        "pool_mode",
    )
)
_FORMS = {"server": "postgresql://USER:PASSWORD@HOST:5432/DATABASE", "file": "sqlite:///file.db"}
_SCHEME = re.compile(r"([a-z][a-z0-9]*)(?:\+([a-z0-9]+))?://(.*)", re.IGNORECASE | re.DOTALL)
_DRIVERS = {"postgres": {"asyncpg"}, "postgresql": {"asyncpg"}, "sqlite": {"aiosqlite"}}


@dataclass(frozen=True, slots=True)
class DatabaseTarget:
    """One database. `shown` may be printed: it has no password. `path` is SQLite's file, else None.

    `is_ours`: the file lies in the data folder, which is made when it is opened.
    """

    dialect: Literal["sqlite", "postgresql"]
    shown: str
    path: Path | None = None
    is_ours: bool = False
    host: str | None = None
    port: int = 5432
    user: str | None = None
    password: Secret | None = None
    database: str | None = None
    schema: str | None = None
    ssl_mode: str = "prefer"
    ssl_root_cert: str | None = None
    server_settings: Mapping[str, str] = field(default_factory=dict)
    connect_timeout_seconds: float = 15.0


def database_of(settings: Settings) -> DatabaseTarget:
    """Raises SettingsError, as for a hosting platform without DATABASE_URL."""
    return choose_database(
        settings.database_url,
        schema=settings.database_schema,
        data_dir=settings.data_dir,
        platform=settings.platform,
        has_supabase_url=bool(settings.supabase_url),
    )


def choose_database(
    url: Secret | None, *, schema: str | None, data_dir: Path, platform: Platform, has_supabase_url: bool
) -> DatabaseTarget:
    """Raises SettingsError: for a URL that cannot be used, and on a hosting platform for none at all."""
    if url is not None:
        return parse_database_url(url, schema=schema)
    if has_supabase_url:
        raise SettingsError([tr(DATABASE_URL_ADVICE)])
    if platform is not Platform.NONE:
        message = tr(
            "No DATABASE_URL is set, and a file on {platform} is gone with the next deploy: add a PostgreSQL service "
            "there, and set DATABASE_URL to its connection string.",
            platform=platform.value.capitalize(),
        )
        raise SettingsError([message])
    path = data_dir.absolute() / FILE_NAME
    return DatabaseTarget("sqlite", f"sqlite:///{path}", path=path, is_ours=True)


def parse_database_url(url: Secret, *, schema: str | None = None) -> DatabaseTarget:
    """Raises SettingsError, whose text never repeats the password."""
    found = _SCHEME.fullmatch(url.reveal().strip())
    if found is None:
        raise _problem(tr("is no URL"))
    scheme, driver, rest = found[1].lower(), (found[2] or "").lower(), found[3]
    if scheme not in _DRIVERS:
        raise _problem(tr("starts with {scheme}://, and only PostgreSQL and SQLite can be used", scheme=scheme))
    if driver and driver not in _DRIVERS[scheme]:
        raise _problem(
            tr('asks for the driver "{driver}", and only asyncpg and aiosqlite come with Oxcart', driver=driver)
        )
    return _sqlite(rest) if scheme == "sqlite" else _postgresql(rest, schema)


def _problem(what: str, cure: str = "") -> SettingsError:
    return SettingsError([f"DATABASE_URL {what}. {cure or tr('Write it as {server} or {file}.', **_FORMS)}"])


def _sqlite(rest: str) -> DatabaseTarget:
    name = unquote(rest.partition("?")[0])
    if not name.startswith("/"):
        raise _problem(
            tr("has a host, which SQLite has not"),
            tr("Write three slashes: sqlite:///file.db, or four for /a/path."),
        )
    path = name[1:]
    if not path or path == ":memory:":
        raise _problem(
            tr("names a database in memory, which is gone with the process"), tr("Name a file: sqlite:///kommo.db.")
        )
    return DatabaseTarget("sqlite", f"sqlite:///{path}", path=Path(path).absolute())


def _postgresql(rest: str, schema: str | None) -> DatabaseTarget:
    authority, database, query = _split(rest)
    options = dict(parse_qsl(query, keep_blank_values=True))
    credentials, at, address = authority.rpartition("@")  # a password may hold an @ that was not encoded
    user, _, password = credentials.partition(":") if at else ("", "", "")
    host, port = _address(address)
    host = options.pop("host", "") or host
    port = _port(options.pop("port", "")) or port or 5432
    user = options.pop("user", "") or _decoded(user)
    secret = options.pop("password", "") or _decoded(password)
    _refuse_placeholder(secret)
    database = options.pop("dbname", "") or _decoded(database) or user
    mode, root_cert, timeout = _read_options(options)
    shown = f"postgresql://{user + '@' if user else ''}{host or 'localhost'}:{port}/{database}"
    return DatabaseTarget(
        "postgresql",
        shown,
        host=host or "localhost",
        port=port,
        user=user or None,
        password=Secret(secret) if secret else None,
        database=database or None,
        schema=schema,
        ssl_mode=mode,
        ssl_root_cert=root_cert,
        server_settings=_server_settings(options),
        connect_timeout_seconds=timeout,
    )


def _split(rest: str) -> tuple[str, str, str]:
    """Authority, database and query. A "/", "?" or "#" in a password that was not encoded is part of the password."""
    at = rest.rfind("@", 0, _end_of_authority(rest))
    credentials, tail = rest[: at + 1], rest[at + 1 :]
    tail, _, query = tail.partition("?")
    address, _, database = tail.partition("/")
    return credentials + address, database.partition("#")[0], query.partition("#")[0]


def _end_of_authority(rest: str) -> int:
    """Where the last "@" may stand that ends the password: before an option such as application_name=me@host."""
    found = re.search(r"\?[A-Za-z_]+=", rest)
    return found.start() if found else len(rest)


def _decoded(text: str) -> str:
    """A "%" that starts no escape was meant as it is: people paste passwords as they are."""
    return unquote(text) if re.search(r"%(?![0-9A-Fa-f]{2})", text) is None else text


def _address(address: str) -> tuple[str, int | None]:
    if "," in address:
        raise _problem(tr("names several hosts"), tr("Name the one that takes writes."))
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^:\[\]]*))(?::(.*))?", address)
    if found is None:
        raise _problem(tr("has an address that cannot be read"))
    return _decoded(found[1] or found[2] or ""), _port(found[3] or "")


def _port(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise _problem(
            tr("has a port that is no number from 1 to 65535"),
            tr('If the password has a ":", "/" or "@" in it, write those as %3A, %2F and %40.'),
        )
    return int(text)


def _refuse_placeholder(password: str) -> None:
    if re.fullmatch(r"\[.*\]|<.*>|\*+", password):
        raise _problem(
            tr("still has a placeholder in place of the password"),
            tr("Put the database password in (Supabase: Project Settings, Database; it can be reset there)."),
        )


def _read_options(options: dict[str, str]) -> tuple[str, str | None, float]:
    """TLS mode, CA file and time limit; raises for options that nobody knows."""
    mode = options.pop("sslmode", "") or options.pop("ssl", "") or "prefer"
    mode = {"true": "require", "1": "require", "false": "disable", "0": "disable", "no-verify": "require"}.get(
        mode, mode
    )
    if mode not in SSL_MODES:
        raise _problem(
            tr('has sslmode "{mode}"', mode=_clean(mode)), tr("It must be one of {modes}.", modes=", ".join(SSL_MODES))
        )
    root_cert = options.pop("sslrootcert", "") or None
    if root_cert not in {None, "system"} and not Path(str(root_cert)).is_file():
        raise _problem(
            tr("names a file as sslrootcert that is not there"),
            tr("Correct the path, or write sslrootcert=system."),
        )
    timeout = options.pop("connect_timeout", "") or "15"
    if not re.fullmatch(r"[0-9]{1,4}", timeout):
        raise _problem(tr("has a connect_timeout that is no number of seconds"), tr("Correct or remove it."))
    known = _IGNORED | {"application_name", "options", "search_path", "statement_timeout"}
    unknown = sorted(_clean(name) for name in options if name not in known)
    if unknown:
        raise _problem(
            tr("has an option that PostgreSQL does not know ({names})", names=", ".join(unknown)),
            tr("Correct or remove it."),
        )
    return mode, root_cert, float(timeout) or 15.0


def _clean(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "?", text)[:40]


def _server_settings(options: Mapping[str, str]) -> dict[str, str]:
    """Poolers refuse most start parameters: only those that were written are sent."""
    names = ("application_name", "search_path", "statement_timeout", "options")
    return {name: options[name] for name in names if options.get(name)}


def ssl_of(target: DatabaseTarget) -> ssl.SSLContext | str | bool:
    """What asyncpg takes. The meanings are libpq's: `require` encrypts, and verifies only where a CA is named."""
    if target.ssl_mode in {"disable", "allow", "prefer"}:
        return False if target.ssl_mode == "disable" else target.ssl_mode
    named = target.ssl_root_cert if target.ssl_root_cert != "system" else None
    verifies = target.ssl_mode != "require" or target.ssl_root_cert is not None
    context = ssl.create_default_context(cafile=named)
    context.check_hostname = target.ssl_mode == "verify-full" or target.ssl_root_cert == "system"
    if not verifies:
        context.verify_mode = ssl.CERT_NONE
    return context


def connect_arguments(target: DatabaseTarget) -> dict[str, Any]:
    """For asyncpg. No prepared statement outlives its transaction: a pooler may give the next one another server."""
    arguments: dict[str, Any] = {
        "host": target.host,
        "port": target.port,
        "user": target.user,
        "password": target.password.reveal() if target.password else None,
        "database": target.database,
        "ssl": ssl_of(target),
        "timeout": target.connect_timeout_seconds,
        "command_timeout": 60,
        "server_settings": dict(target.server_settings),
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: "",
    }
    return {name: value for name, value in arguments.items() if value is not None}
