"""Where is our Redis, and how do we know? The environment in, one target out, with the source of every part."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from oxcart.connection import upstash
from oxcart.connection.redis_url import Notes, UrlParts, host_problem, read_redis_url
from oxcart.errors import InvalidInput
from oxcart.language import tr
from oxcart.secret import Secret
from oxcart.settings import Given, Knob, Platform, Reader, RedisSettings, detect_platform, knobs_of

DEFAULT_PORT = 6379

_UPSTASH_DOMAIN = ".upstash.io"
_KNOBS: dict[str, Knob] = dict(knobs_of(RedisSettings))
_OPTIONS = ("family", "tls_verify", "tls_ca_file", "connect_timeout_seconds")

# Where other products put a Redis address. We do not read them, but whoever has one set meant something by it.
_OTHER_NAMES = (
    "REDIS_PRIVATE_URL", "REDIS_PUBLIC_URL", "REDIS_TLS_URL", "REDISCLOUD_URL", "KV_URL", "KV_REST_API_URL",
    "VALKEY_URL", "REDIS_HOST", "REDIS_URI", "UPSTASH_REDIS_URL", "CELERY_BROKER_URL",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RedisTarget:
    """One Redis and how to reach it. `host` is in lower case, or empty with `unix_path`.

    `embedded_in` is the folder of our private server: it says where that is now, as each connect asks.
    """

    host: str
    port: int = DEFAULT_PORT
    db: int = 0
    username: str | None = None
    password: Secret | None = None
    password_file: str | None = None
    tls: bool = False
    unix_path: str | None = None
    family: Literal["auto", "4", "6"] = "auto"
    tls_verify: bool = True
    tls_ca_file: str | None = None
    connect_timeout_seconds: float = 30.0
    embedded_in: Path | None = None

    @property
    def masked_url(self) -> str:
        """For logs. A user name without a password is masked too: it is a password whose colon was forgotten."""
        login = ""
        if self.password or self.password_file:
            login = f"{quote(self.username or '', safe='')}:***@"
        elif self.username:
            login = "***@"
        if self.unix_path is not None:
            return f"unix://{login}{self.unix_path}" + (f"?db={self.db}" if self.db else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{login}{host}:{self.port}" + (f"/{self.db}" if self.db else "")

    @property
    def is_loopback(self) -> bool:
        if self.unix_path is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def current_password(self) -> Secret | None:
        """The password to log in with now; from `password_file` it is read again at each call, as it may be rotated.

        A file that cannot be read or understood at this moment leaves the password that was read last at the start.
        """
        if self.password_file is None:
            return self.password
        try:
            text = Path(self.password_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return self.password
        password = _password_in(text)
        return Secret(password) if password else self.password


@dataclass(frozen=True, slots=True)
class TargetReport:
    """`target` is None when there are problems, or when no Redis is set and the embedded server may be used."""

    target: RedisTarget | None
    sources: tuple[str, ...]
    ignored: tuple[str, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def resolve_target(environ: Mapping[str, str], *, allow_embedded: bool = False) -> TargetReport:
    """`allow_embedded`: having no Redis is fine on a hosting platform too (`--embedded`, demo, oxcart.testing)."""
    reader, notes = Reader(environ), Notes()
    address = _find_address(reader, notes)
    target = _target_of(address, reader, notes) if address else None
    if target is None and not notes.problems and not reader.problems:
        _note_no_redis(environ, notes, allow_embedded=allow_embedded)
    problems = tuple(dict.fromkeys([*reader.problems, *notes.problems]))
    warnings = tuple(dict.fromkeys([*reader.warnings, *notes.warnings]))
    sources = address.sources if address else ()
    return TargetReport(None if problems else target, sources, tuple(notes.ignored), problems, warnings)


def parse_redis_url(url: str, environ: Mapping[str, str] | None = None, *, name: str = "url") -> RedisTarget:
    """The target of a URL given in code. Raises InvalidInput, which never repeats the URL.

    `environ` gives the OXCART_REDIS_ options (family, certificates, deadline); `name` is what messages call the URL.
    """
    reader, notes = Reader(environ or {}), Notes()
    parts = read_redis_url(url, name, notes)
    target = _target_of(_Address(parts, (name,), name, None), reader, notes) if parts else None
    problems = [*reader.problems, *notes.problems]
    if problems or target is None:
        raise InvalidInput(" ".join(problems))
    return target


@dataclass(frozen=True, slots=True)
class _Address:
    """Where one of the ways to name a Redis leads to. `name` is the variable for messages."""

    parts: UrlParts
    sources: tuple[str, ...]
    name: str
    password_file: str | None


def _find_address(reader: Reader, notes: Notes) -> _Address | None:
    """The first that is set of: the Upstash pair, REDIS_URL, REDISHOST and its companions."""
    url, host = reader.find(_KNOBS["url"]), reader.find(_KNOBS["host"])
    if reader.is_set(_KNOBS["upstash_url"]) or reader.is_set(_KNOBS["upstash_token"]):
        notes.ignored.extend(given.name for given in (url, host) if given is not None)
        return _from_pair(reader, notes)
    if url is not None:
        parts = read_redis_url(_text(url), "REDIS_URL", notes)
        if host is not None and parts is not None and host.text.strip().lower() != parts.host:
            notes.ignored.append("REDISHOST")
        return _Address(parts, (url.name,), "REDIS_URL", url.path) if parts is not None else None
    if host is not None:
        return _from_host(host, reader, notes)
    return None


def _text(given: Given) -> str:
    """A file ends in a line break as a matter of course; in a variable it is worth a warning."""
    return given.text if given.path is None else given.text.strip()


def _from_pair(reader: Reader, notes: Notes) -> _Address | None:
    url, token = reader.find(_KNOBS["upstash_url"]), reader.find(_KNOBS["upstash_token"])
    address = upstash.read_rest_url(_text(url), notes) if url else None
    password = upstash.read_token(_text(token), notes) if token else None
    if (url is None or token is None) and not reader.problems:
        notes.problems.append(_half_pair(url, token, reader))
    if url is None or token is None or address is None or password is None:
        return None
    if address.password not in (None, password):
        notes.warnings.append(
            tr(
                "{url} holds a password that differs from {token}; the latter is used.",
                url=upstash.URL_NAME,
                token=upstash.TOKEN_NAME,
            )
        )
    parts = UrlParts(tls=True, host=address.host, port=address.port, username="default", password=password)
    return _Address(parts, (url.name, token.name), upstash.URL_NAME, token.path)


def _half_pair(url: Given | None, token: Given | None, reader: Reader) -> str:
    names = {upstash.URL_NAME: ("upstash_url", url), upstash.TOKEN_NAME: ("upstash_token", token)}
    missing = [
        tr("{name} is empty", name=name) if reader.is_set(_KNOBS[knob]) else tr("{name} is not set", name=name)
        for name, (knob, given) in names.items()
        if given is None
    ]
    there = [tr("{name} is set", name=name) for name, (_, given) in names.items() if given is not None]
    return tr(
        "{sides}: the two belong together. Copy both from the database page of the Upstash console (REST API), or "
        "remove both.",
        sides=tr(", and ").join(missing + there),
    )


def _from_host(host: Given, reader: Reader, notes: Notes) -> _Address | None:
    name = host.text.strip().lower()
    problem = host_problem(name)
    if problem is not None:
        notes.problems.append(
            tr(
                "REDISHOST cannot be used: {problem}; it is a host name or an IP address, nothing else.",
                problem=problem,
            )
        )
        return None
    companions = reader.values(RedisSettings, ("port", "user"))
    password = reader.find(_KNOBS["password"])
    sources = [host.name, *(_KNOBS[companion].variables[0] for companion in companions)]
    parts = UrlParts(
        tls=False,
        host=name,
        port=companions.get("port"),
        username=companions.get("user"),
        password=password.text.strip() if password else None,
    )
    if password is None:
        return _Address(parts, tuple(sources), "REDISHOST", None)
    return _Address(parts, (*sources, password.name), "REDISHOST", password.path)


def _target_of(address: _Address, reader: Reader, notes: Notes) -> RedisTarget:
    """Put the options around an address: a variable of ours wins over the URL, and the URL over the default."""
    parts = _mend_upstash(address, notes)
    options: dict[str, Any] = {name: getattr(parts, name) for name in _OPTIONS if getattr(parts, name) is not None}
    options |= reader.values(RedisSettings, _OPTIONS)
    target = RedisTarget(
        host=parts.host,
        port=_choose_port(parts, address.name, reader, notes),
        db=parts.db or 0,
        username=parts.username,
        password=Secret(parts.password) if parts.password else None,
        password_file=address.password_file,
        tls=parts.tls,
        unix_path=parts.unix_path,
        **options,
    )
    if target.tls and not target.tls_verify:
        notes.warnings.append(
            tr(
                "The certificate of Redis is not verified (OXCART_REDIS_TLS_VERIFY, or an option in the URL): whoever "
                "sits between us can read the password and the jobs. Remove the switch; for a private certificate set "
                "OXCART_REDIS_TLS_CA_FILE."
            )
        )
    return target


def _choose_port(parts: UrlParts, name: str, reader: Reader, notes: Notes) -> int:
    override: int | None = reader.values(RedisSettings, ("port_override",)).get("port_override")
    if parts.unix_path is not None:
        return 0
    if override is None:
        return parts.port or DEFAULT_PORT
    if parts.port not in (None, override) and name != upstash.URL_NAME:
        notes.warnings.append(
            tr("OXCART_REDIS_PORT is ignored, because {name} names a port itself; remove one of them.", name=name)
        )
        notes.ignored.append("OXCART_REDIS_PORT")
        return parts.port or DEFAULT_PORT
    return override


def _mend_upstash(address: _Address, notes: Notes) -> UrlParts:
    """Upstash speaks TLS only, never on the HTTPS port, and has one database; say what differs, and use what works."""
    parts = address.parts
    if not parts.host.endswith(_UPSTASH_DOMAIN):
        return parts
    if not parts.tls:
        notes.warnings.append(
            tr("{name} is without TLS, which Upstash does not offer; rediss:// is used. Correct it.", name=address.name)
        )
        parts = replace(parts, tls=True)
    if parts.port in (80, 443):
        notes.warnings.append(
            tr(
                "{name} names the port of the REST API; {port} is used. Correct it.",
                name=address.name,
                port=DEFAULT_PORT,
            )
        )
        parts = replace(parts, port=None)
    if parts.db:
        notes.warnings.append(
            tr("{name} asks for a database other than 0, which Upstash does not have; 0 is used.", name=address.name)
        )
        parts = replace(parts, db=None)
    return parts


def _password_in(text: str) -> str | None:
    notes = Notes()
    if "://" in text:
        parts = read_redis_url(text, tr("the file"), notes)
        return parts.password if parts else None
    return upstash.read_token(text, notes)


def _note_no_redis(environ: Mapping[str, str], notes: Notes, *, allow_embedded: bool) -> None:
    platform = detect_platform(environ)
    others = [name for name in _OTHER_NAMES if environ.get(name, "").strip()]
    hint = (
        tr(" {names} is set, but not read; copy the right one to REDIS_URL.", names=", ".join(others)) if others else ""
    )
    if platform is not Platform.NONE and not allow_embedded:
        notes.problems.append(
            tr(
                "No Redis is set, and on {platform} there is no server to fall back on. Set UPSTASH_REDIS_REST_URL "
                "and UPSTASH_REDIS_REST_TOKEN, or REDIS_URL, in this service's variables.{hint}",
                platform=platform.value.capitalize(),
                hint=hint,
            )
        )
    elif hint:
        notes.warnings.append(tr("No Redis is set, so the embedded server is used.{hint}", hint=hint))
