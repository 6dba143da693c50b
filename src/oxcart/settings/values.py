"""How is each kind of setting written in the environment, and what does it become?"""

from __future__ import annotations

import base64
import binascii
import difflib
import math
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from oxcart.language import tr
from oxcart.secret import Secret

_AGE_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

# Node's pino and Python's logging know levels that we do not; a shared LOG_LEVEL must not stop the worker.
_LOG_LEVELS = {
    "trace": "debug",
    "verbose": "debug",
    "warning": "warn",
    "fatal": "error",
    "critical": "error",
    "silent": "error",
}
_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
MOST_SLOTS = 10_000
_LONGEST_RATE_MS = 366 * 86_400_000
_SECONDS = "a number from {low:g} to {high:g} (seconds, not milliseconds)"


@dataclass(frozen=True, slots=True)
class Form:
    """A way of writing a value. `parse` raises ValueError, whose text (if any) says more than `allowed`.

    `template`, with `values` in its places, completes the sentence "X must be …".
    """

    parse: Callable[[str], Any]
    template: str
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def allowed(self) -> str:
        return tr(self.template, **self.values)


@dataclass(frozen=True, slots=True)
class KeepPolicy:
    """How many finished jobs stay, and for how long. None: no limit of that kind; count 0: none stay."""

    count: int | None
    age_seconds: int | None


KEEP_ALL = KeepPolicy(count=None, age_seconds=None)
KEEP_NONE = KeepPolicy(count=0, age_seconds=None)


@dataclass(frozen=True, slots=True)
class QueueShare:
    """A queue to serve; `share` is how many of the process's slots it may take at most, None for all of them."""

    name: str
    share: int | None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most so many jobs start within a time."""

    most: int
    duration_ms: int

    def __str__(self) -> str:
        return f"{self.most}/{self.duration_ms / 1000:g}s"


def whole(low: int, high: int) -> Form:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
            raise ValueError
        return int(_within(int(text), low, high))

    return Form(parse, "a whole number from {low} to {high}", {"low": low, "high": high})


def number(low: float, high: float) -> Form:
    return Form(
        lambda text: _within(_number(text), low, high), "a number from {low:g} to {high:g}", {"low": low, "high": high}
    )


def seconds(low: float, high: float) -> Form:
    return Form(lambda text: _within(_number(text), low, high), _SECONDS, {"low": low, "high": high})


def seconds_as_ms(low: float, high: float) -> Form:
    """Written in seconds, kept in milliseconds, the unit on the wire."""
    return Form(lambda text: round(_within(_number(text), low, high) * 1000), _SECONDS, {"low": low, "high": high})


def one_of(*names: str, also: Mapping[str, str] | None = None) -> Form:
    """One of `names`, in any case; `also` maps other spellings to one of them."""
    meanings = {name: name for name in names} | dict(also or {})

    def parse(text: str) -> str:
        if text.lower() not in meanings:
            raise ValueError
        return meanings[text.lower()]

    return Form(parse, "{names} or {last}", {"names": ", ".join(names[:-1]), "last": names[-1]})


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _within(value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise ValueError
    return value


def _parse_boolean(text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise ValueError
    return _BOOLEANS[text.lower()]


def _parse_queues(text: str) -> tuple[QueueShare, ...]:
    queues = tuple(_parse_queue(item.strip()) for item in text.split(","))
    names = [queue.name for queue in queues]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(tr("It names {names} twice.", names=", ".join(twice)))
    return queues


def _parse_queue(item: str) -> QueueShare:
    name, colon, share = item.partition(":")
    if not name.strip():
        raise ValueError(tr("One of the names is empty."))
    if not name.isprintable():
        raise ValueError(tr("One of the names has a line break or another control character in it."))
    if not colon:
        return QueueShare(name, None)
    if not re.fullmatch(r"[0-9]{1,9}", share.strip()) or not 1 <= int(share) <= MOST_SLOTS:
        raise ValueError(tr('What follows a ":" is a share, a whole number from 1; a queue name has no ":".'))
    return QueueShare(name.strip(), int(share))


def _parse_names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(item.strip() for item in text.split(",")))
    if not all(names):
        raise ValueError(tr("One of the names is empty."))
    if not all(name.isprintable() for name in names):
        raise ValueError(tr("One of the names has a line break or another control character in it."))
    return names


_CARDS = ("leads", "contacts", "companies")

KOMMO_STREAMS = (
    *("account", "pipelines", "users", "roles", "loss_reasons", "sources", "catalogs", "catalog_elements"),
    *("companies", "contacts", "leads", "customers", "unsorted", "tasks"),
    *(f"{of}_{what}" for what in ("notes", "custom_fields", "tags") for of in _CARDS),
    *("events", "deleted_leads"),
)
"""What is read of a Kommo account, as kommo/entities.py has it; the CRM's modules are not loaded for a setting."""


def _parse_kommo_streams(text: str) -> tuple[str, ...]:
    names = _parse_names(text)
    for name in names:
        if name not in KOMMO_STREAMS:
            guesses = difflib.get_close_matches(name, KOMMO_STREAMS, n=1, cutoff=0.6)
            there = tr("There are {names}.", names=", ".join(KOMMO_STREAMS))
            guess = tr("Did you mean {guess}?", guess=guesses[0]) if guesses else there
            raise ValueError(tr('Nothing of it is named "{name}". {guess}', name=name, guess=guess))
    return names


def _parse_keep(text: str) -> KeepPolicy:
    if text.lower() in {"all", "none"}:
        return KEEP_ALL if text.lower() == "all" else KEEP_NONE
    counts: list[int] = []
    ages: list[int] = []
    for item in text.lower().split(","):
        found = re.fullmatch(r"\s*([0-9]{1,12})\s*([smhd]?)\s*", item)
        if found is None:
            raise ValueError
        if found[2]:
            ages.append(int(found[1]) * _AGE_UNIT_SECONDS[found[2]])
        else:
            counts.append(int(found[1]))
    if len(counts) > 1 or len(ages) > 1 or 0 in ages:
        raise ValueError
    return KeepPolicy(counts[0] if counts else None, ages[0] if ages else None)


def parse_rate(text: str) -> RateLimit:
    """`100/60s`, `5/s`, `10/500ms`. Raises ValueError."""
    found = re.fullmatch(r"([1-9][0-9]{0,8}) */ *([0-9]{0,9}\.?[0-9]{0,9})(ms|s|m|h|d)", text.strip())
    if found is None:
        raise ValueError
    unit_ms = 1 if found[3] == "ms" else 1000 * _AGE_UNIT_SECONDS[found[3]]
    duration_ms = round(_within(float(found[2] or 1) * unit_ms, 1, _LONGEST_RATE_MS))
    return RateLimit(int(found[1]), duration_ms)


def _parse_worker_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,60}", text):
        raise ValueError
    return text


def _parse_prefix(text: str) -> str:
    if not text.isprintable() or any(character.isspace() for character in text):
        raise ValueError
    if ("{" in text or "}" in text) and not re.fullmatch(r"[^{}]*\{[^{}]+\}[^{}]*", text):
        raise ValueError(tr("Braces mark a hash tag: one pair, with text inside."))
    return text


def _parse_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or any(c.isspace() for c in text):
        raise ValueError
    return text


def _parse_public_url(text: str) -> str:
    """Railway gives the bare domain, Render the whole URL."""
    return _parse_url(text if "://" in text else f"https://{text}").rstrip("/")


def _parse_loopback_url(text: str) -> str:
    """Its host may be this machine's own name or address, so that no token can leave it by this way."""
    parts = urlsplit(_parse_url(text))
    if parts.hostname not in {"localhost", "127.0.0.1", "::1"} or parts.path not in {"", "/"} or "@" in parts.netloc:
        raise ValueError
    if parts.query or parts.fragment:
        raise ValueError
    return text.rstrip("/")


def _parse_tokens(text: str) -> tuple[Secret, ...]:
    tokens = [token.strip() for token in text.split(",")]
    if len(tokens) > 2 or not all(token.isascii() and token.isprintable() and token for token in tokens):
        raise ValueError
    return tuple(Secret(token) for token in tokens)


def _parse_encryption_key(text: str) -> Secret:
    encryption_key_bytes(Secret(text))
    return Secret(text)


def _parse_encryption_keys(text: str) -> tuple[Secret, ...]:
    return tuple(_parse_encryption_key(item.strip()) for item in text.split(",") if item.strip())


def _parse_sql_name(text: str) -> str:
    if not re.fullmatch(r"[^\W\d]\w{0,62}", text):
        raise ValueError
    return text


def encryption_key_bytes(key: Secret) -> bytes:
    """The 32 bytes of a key; raises ValueError. 64 hex digits are valid base64 too, so they are looked for first."""
    text = key.reveal()
    if re.fullmatch(r"[0-9a-fA-F]{64}", text):
        return bytes.fromhex(text)
    try:
        value = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error as error:
        raise ValueError(tr("It is neither.")) from error
    if len(value) != 32:
        raise ValueError(tr("It is base64 of {count} bytes.", count=len(value)))
    return value


def _parse_database_url(text: str) -> Secret:
    if not re.match(r"(postgres(ql)?(\+asyncpg)?|sqlite(\+aiosqlite)?)://", text):
        raise ValueError
    return Secret(text)


def _parse_readable_pem(text: str) -> str:
    """A path, or the certificates themselves: some platforms have no files, and escape the ends of lines."""
    if text.startswith("-----BEGIN "):
        return _parse_pem(text.replace("\\n", "\n"))
    try:
        found = b"-----BEGIN " in Path(text).read_bytes()
    except OSError as error:
        raise ValueError(tr("It cannot be read: {reason}.", reason=error.strerror)) from error
    if not found:
        raise ValueError(tr("It holds no certificate."))
    return text


def _parse_pem(text: str) -> str:
    try:
        ssl.create_default_context(cadata=text)
    except ssl.SSLError as error:
        raise ValueError(tr("It holds no certificate.")) from error
    return text


TEXT = Form(str, "text")
SECRET = Form(Secret, "text")
BOOLEAN = Form(_parse_boolean, "true or false")
PATH = Form(Path, "the path of a folder")
QUEUES = Form(_parse_queues, 'one or more queue names with commas between, each with an optional share ("a,b:10")')
NAMES = Form(_parse_names, "one or more names with commas between")
KOMMO_NAMES = Form(_parse_kommo_streams, "one or more names with commas between, of what is read of a Kommo account")
KEEP = Form(_parse_keep, "a count, an age (s, m, h or d), both with a comma between (1000,24h), all, or none")
LOG_LEVEL = one_of("debug", "info", "warn", "error", also=_LOG_LEVELS)
RATE = Form(parse_rate, "jobs/time, as in 100/60s or 5/s")
WORKER_NAME = Form(_parse_worker_name, "letters, digits, - and _, 60 at most")
PREFIX = Form(_parse_prefix, "text without spaces, as the producers have it")
SECRET_URL = Form(lambda text: Secret(_parse_url(text)), "a URL that starts with https:// or http://")
PUBLIC_URL = Form(_parse_public_url, "a URL that starts with https:// or http://")
LOOPBACK_URL = Form(_parse_loopback_url, "a URL of this machine without a path, as in http://127.0.0.1:8321")
HTTP_TOKENS = Form(_parse_tokens, "one token, or two with a comma between, in printable ASCII")
ENCRYPTION_KEY = Form(_parse_encryption_key, "32 bytes in base64, or 64 hex digits (openssl rand -base64 32 makes one)")
ENCRYPTION_KEYS = Form(
    _parse_encryption_keys, "one or more keys with commas between, each 32 bytes in base64 or 64 hex digits"
)
SQL_NAME = Form(_parse_sql_name, "a name of letters, digits and _, as it is in the database")
DATABASE_URL = Form(_parse_database_url, "a URL that starts with postgresql:// or sqlite:///")
CA_FILE = Form(_parse_readable_pem, "CA certificates in PEM form, or the path of a readable file with them")
