"""What does a Redis URL say, as people write and paste it? No message repeats any part: each may be the password."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

from oxcart.language import tr
from oxcart.settings.values import BOOLEAN, CA_FILE, Form, one_of, seconds, whole

_SCHEMES = {
    "redis": False,
    "valkey": False,
    "rediss": True,
    "valkeys": True,
    "unix": False,
    "redis+socket": False,
}
_UNIX_SCHEMES = frozenset({"unix", "redis+socket"})
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")


@dataclass(slots=True)
class Notes:
    """What was noticed on the way; shared by everything that reads one environment."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class UrlParts:
    """A URL taken apart; None where it says nothing."""

    tls: bool
    host: str = ""
    port: int | None = None
    db: int | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    unix_path: str | None = None
    family: Literal["auto", "4", "6"] | None = None
    tls_verify: bool | None = None
    tls_ca_file: str | None = None
    connect_timeout_seconds: float | None = None


def read_redis_url(text: str, name: str, notes: Notes) -> UrlParts | None:
    """None, and a problem in `notes`, if it cannot be understood. `name` is what the user calls it (REDIS_URL)."""
    url, has_tls_flag = _unpack(text, name, notes)
    problem = _problem_of_shape(url, name)
    if problem is not None:
        notes.problems.append(problem)
        return None
    scheme, rest = url.split("://", 1)
    before, _, query = rest.partition("?")
    parts = UrlParts(tls=_SCHEMES[scheme.lower()] or has_tls_flag)
    read = _read_socket if scheme.lower() in _UNIX_SCHEMES else _read_network
    try:
        return _with_options(read(parts, before, name, notes), query, name, notes)
    except ValueError as error:
        notes.problems.append(tr("{name} cannot be used: {error}", name=name, error=error))
        return None


_INVISIBLE = re.compile("[\ufeff\u200b-\u200f\u2060]")
"""What an editor or a chat leaves in a text that was copied from it."""


def unwrap(text: str, name: str, notes: Notes) -> str:
    """The value out of what was pasted: a line of an env file, quotation marks, spaces, line breaks."""
    line = re.search(rf"""(?:^|\s){re.escape(name)}\s*=\s*(?:"([^"]*)"|'([^']*)'|(\S*))""", text)
    if line is not None:
        notes.warnings.append(
            tr("{name} holds a whole line of an env file; set it to what follows the = sign there.", name=name)
        )
        text = next(group for group in line.groups() if group is not None)
    seen = _INVISIBLE.sub("", text)
    if seen != text:
        notes.warnings.append(
            tr(
                "{name} holds characters that cannot be seen, a byte order mark (BOM) perhaps; type it anew, or save "
                "its file without one.",
                name=name,
            )
        )
        text = seen
    bare = text.strip().strip("\"'`“”«»").strip()
    if bare != text:
        notes.warnings.append(
            tr("{name} has quotation marks, spaces or a line break around its value; remove them.", name=name)
        )
    return bare


def host_problem(host: str) -> str | None:
    """What is wrong with a host name or IP address (IPv6 without brackets), as half a sentence; None if it is one."""
    if not host:
        return tr("no host is named")
    if re.fullmatch(r"[0-9a-f:.]*:[0-9a-f:.%a-z0-9]*", host):
        return None
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return tr(
            "its host is no valid name (a part is empty, longer than 63 characters, or has a character no name has)"
        )
    return None


def _unpack(text: str, name: str, notes: Notes) -> tuple[str, bool]:
    """The URL, and whether a redis-cli line around it asks for TLS."""
    url = unwrap(text, name, notes)
    if not re.search(r"\b(redis|valkey)-cli\b", url):
        return url, False
    found = re.search(r"""(rediss?|valkeys?)://[^\s"']+""", url)
    if found is None:
        return url, False
    notes.warnings.append(tr("{name} holds a whole redis-cli command; set it to the URL alone.", name=name))
    return found[0], "--tls" in url


def _problem_of_shape(url: str, name: str) -> str | None:
    """The first thing that is wrong with it as a whole."""
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    checks = (
        ("${" in url, tr("holds a reference (${…}) that was not filled in; correct the name in it.")),
        (not separator, tr("is no URL; it has the form rediss://default:PASSWORD@HOST:6379 (redis:// without TLS).")),
        (
            re.search(r"https?://", rest, re.IGNORECASE) is not None,
            tr("has https:// inside it; remove that, so that only the host stands after the @."),
        ),
        (
            scheme in {"http", "https"},
            (
                tr(
                    "is an HTTP address, the REST URL of Upstash perhaps; use the TCP URL (rediss://…), or set "
                    "UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN in its place."
                )
            ),
        ),
        (scheme not in _SCHEMES, tr("has a scheme that is not for Redis; use rediss:// (TLS), redis:// or unix://.")),
        (re.search(r"\s", rest) is not None, tr("has a space or a line break inside it; copy it again.")),
        (
            scheme not in _UNIX_SCHEMES and _has_unescaped_password(rest),
            (
                tr(
                    "has a special character in its password that is not escaped, so that the rest of it reads as a "
                    "host; percent-encode it: write @ as %40, : as %3A, / as %2F, # as %23, ? as %3F and % as %25."
                )
            ),
        ),
        ("#" in rest, tr("has a # in it; percent-encode it: write it as %23.")),
    )
    return next((f"{name} {text}" for is_wrong, text in checks if is_wrong), None)


def _has_unescaped_password(rest: str) -> bool:
    """An @ after the first / ? or # is a piece of a password, unless it stands in the value of an option."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    path, _, query = tail.partition("?")
    if "@" in path or "@" in tail.partition("#")[2]:
        return True
    if "@" not in query:
        return False
    options = query.split("&")
    return "@" not in authority or any("@" in option.partition("=")[0] for option in options)


def _read_socket(parts: UrlParts, before: str, name: str, notes: Notes) -> UrlParts:
    userinfo, at, path = before.rpartition("@")
    parts = _with_login(parts, userinfo, name, notes) if at else parts
    if not path.startswith("/"):
        raise ValueError(tr("a unix:// URL needs the absolute path of the socket, as in unix:///run/redis.sock."))
    return replace(parts, unix_path=unquote(path))


def _read_network(parts: UrlParts, before: str, name: str, notes: Notes) -> UrlParts:
    authority, _, path = before.partition("/")
    userinfo, at, address = authority.rpartition("@")
    if at:
        parts = _with_login(parts, userinfo, name, notes)
    host, port = split_address(address)
    problem = host_problem(host)
    if problem:
        raise ValueError(tr("{problem}; copy it again from where the database is shown.", problem=problem))
    return replace(parts, host=host, port=port, db=_read_db(path))


def split_address(address: str) -> tuple[str, int | None]:
    """Host in lower case and port of HOST, HOST:PORT, [IPv6] or [IPv6]:PORT; raises ValueError with the cure."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+(?:%25?\w+)?)\]|([^:\[\]]*))(?::(.*))?", address)
    if found is None:
        raise ValueError(
            tr("its address is neither HOST:PORT nor [IPv6]:PORT; escape special characters in the password.")
        )
    port = found[3]
    if port is None or port == "":
        return (found[1] or found[2]).lower(), None
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError(tr("its port is no number from 1 to 65535; if that is a piece of the password, escape it."))
    return (found[1] or found[2]).lower(), int(port)


def _read_db(path: str) -> int | None:
    number = path.strip("/")
    if not number:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", number):
        raise ValueError(
            tr("what follows the / is no database number; write /0, or escape a / in the password as %2F.")
        )
    return int(number)


def _with_login(parts: UrlParts, userinfo: str, name: str, notes: Notes) -> UrlParts:
    username, colon, password = userinfo.partition(":")
    if "@" in userinfo:
        notes.warnings.append(
            tr("{name} has an @ in its password; write it as %40, other programs split the URL there.", name=name)
        )
    if username and not colon:
        notes.warnings.append(
            tr("{name} has a user name and no password; a password alone is written :PASSWORD@HOST.", name=name)
        )
    return replace(parts, username=unquote(username) or None, password=unquote(password) or None)


@dataclass(frozen=True, slots=True)
class _Option:
    """A query option of another client that means something here."""

    part: str
    form: Form
    meaning: Callable[[Any], Any] = lambda value: value


def _required(value: str) -> bool:
    return value != "none"


_CERT_REQS = one_of(
    "none", "optional", "required", also={f"cert_{name}": name for name in ("none", "optional", "required")}
)

# By lower-case name: redis-py and Celery write seconds and ssl_…, ioredis milliseconds and camel case.
OPTIONS = {
    "db": _Option("db", whole(0, 65535)),
    "username": _Option("username", Form(str, "text")),
    "password": _Option("password", Form(str, "text")),
    "family": _Option("family", one_of("auto", "4", "6", also={"0": "auto"})),
    "tls": _Option("tls", BOOLEAN),
    "ssl": _Option("tls", BOOLEAN),
    "ssl_cert_reqs": _Option("tls_verify", _CERT_REQS, _required),
    "rejectunauthorized": _Option("tls_verify", BOOLEAN),
    "ssl_ca_certs": _Option("tls_ca_file", CA_FILE),
    "socket_connect_timeout": _Option("connect_timeout_seconds", seconds(0.1, 600)),
    "connecttimeout": _Option("connect_timeout_seconds", whole(100, 600_000), lambda value: value / 1000),
}

# Other clients' ways of reconnecting, pooling and blocking; Oxcart has its own.
_MEANINGLESS = frozenset({
    "enablereadycheck", "maxretriesperrequest", "lazyconnect", "keepalive", "nodelay", "connectionname",
    "enableofflinequeue", "enableautopipelining", "autoresubscribe", "autoresendunfulfilledcommands", "commandtimeout",
    "sockettimeout", "showfriendlyerrorstack", "retrystrategy", "reconnectonerror",
    "socket_timeout", "socket_keepalive", "socket_read_size", "retry_on_timeout", "retry_on_error", "max_connections",
    "health_check_interval", "timeout", "protocol", "resp", "client_name", "decode_responses", "encoding",
    "encoding_errors", "ssl_check_hostname", "visibility_timeout", "legacy_responses", "pool_size",
})  # fmt: skip


def _with_options(parts: UrlParts, query: str, name: str, notes: Notes) -> UrlParts:
    found: dict[str, Any] = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        option = OPTIONS.get(key.lower())
        if option is None:
            _ignore(key, name, notes)
            continue
        try:
            found[option.part] = option.meaning(option.form.parse(text))
        except ValueError as error:
            detail = f" {error}" if str(error).endswith(".") else ""
            notes.problems.append(
                tr(
                    "{name} has the option {option}, which must be {allowed}.{detail} Correct it.",
                    name=name,
                    option=_option_name(key),
                    allowed=option.form.allowed,
                    detail=detail,
                )
            )
    found["tls"] = parts.tls or found.get("tls", False)
    return replace(parts, **found)


def _ignore(key: str, name: str, notes: Notes) -> None:
    notes.ignored.append(f"{name}?{_option_name(key)}")
    if key.lower() not in _MEANINGLESS:
        notes.warnings.append(
            tr(
                "{name} has the option {option}, which has no meaning here; it is ignored.",
                name=name,
                option=_option_name(key),
            )
        )


def _option_name(key: str) -> str:
    """An option's name for a message: what no option can be called may be a piece of a password."""
    return key if re.fullmatch(r"[A-Za-z][A-Za-z_]{0,40}", key) else "(unreadable)"
