"""What does this exception of the Redis connection mean, and what is to be done? The one place that decides.

Types and codes first (errno, getaddrinfo, OpenSSL, the first word of a reply), then the text: redis-py, asyncio and
Lua each wrap errors in others, so the whole chain is searched.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import redis.exceptions

from oxcart.connection.failure_table import ROWS, Row
from oxcart.connection.providers import provider_of
from oxcart.connection.target import RedisTarget
from oxcart.errors import Failure, Kind
from oxcart.language import tr

BY_CODE: dict[str, Row] = {row.code: row for row in ROWS}

_WORDS_CHARACTERS = 200
_TEXT_CHARACTERS = 20_000
_CHAIN_LENGTH = 16

_BY_ERRNO = {number: row for row in ROWS for number in row.errnos}
_BY_NAME_ERROR = {number: row for row in ROWS for number in row.name_errors}
_BY_VERIFY_CODE = {number: row for row in ROWS for number in row.verify_codes}
_BY_TLS_REASON = {reason: row for row in ROWS for reason in row.tls_reasons}
_BY_REPLY = {reply: row for row in ROWS for reply in row.replies}
_TEXTS = [(re.compile("|".join(row.texts), re.MULTILINE), row) for row in ROWS if row.texts]

# The first type that fits decides: an SSLError is an OSError too, but its errno is none.
_LOOKUPS: tuple[tuple[type[BaseException], Callable[[Any], Row | None]], ...] = (
    (ssl.SSLCertVerificationError, lambda error: _BY_VERIFY_CODE.get(error.verify_code)),
    (ssl.SSLError, lambda error: _BY_TLS_REASON.get(error.reason or "")),
    (socket.gaierror, lambda error: _BY_NAME_ERROR.get(error.errno)),
    (OSError, lambda error: _BY_ERRNO.get(error.errno)),
    (redis.exceptions.MaxConnectionsError, lambda _: BY_CODE["POOL_FULL"]),
    (redis.exceptions.RedisError, lambda error: _BY_REPLY.get(error.status_code or str(error).partition(" ")[0])),
)

_CLOSED = (ConnectionResetError, BrokenPipeError, ConnectionAbortedError, EOFError)
_TIMEOUTS = (TimeoutError, redis.exceptions.TimeoutError)

# redis-py puts the whole command, arguments included, before the error of a pipeline; servers repeat arguments too.
_COMMAND = re.compile(r"Command # \d+ \(.*\) of pipeline caused error: ", re.DOTALL)
_ARGUMENTS = re.compile(r",? with args beginning with:.*", re.DOTALL)
_LOGIN = re.compile(r"(?<=//)[^/\s@]*@")


def classify(error: BaseException, *, connecting: bool = False, target: RedisTarget | None = None) -> Failure:
    """`connecting`: the connection was being made, login included; a reset or silence means something else then."""
    chain = list(_chain(error))
    text = "\n".join(_text(link) for link in chain)[:_TEXT_CHARACTERS]
    is_connecting = connecting or "connecting to" in text
    row = _row_by_type(chain) or _row_by_text(text) or _row_by_default(chain)
    row = _by_phase(row, chain, target, connecting=is_connecting)
    return failure_for(row.code, target, words=_text(error) or type(error).__name__)


def failure_for(code: str, target: RedisTarget | None = None, *, words: str = "") -> Failure:
    """The failure with this code, for whoever found out without an exception; KeyError for a code not in the table.

    `words` are the server's own; they are shown, short and without the password, where the table asks for them.
    """
    row = BY_CODE[code]
    summary, advice = row.summary, row.advice
    if target is not None:
        advice = row.by_provider.get(provider_of(target.host), advice)
    shown = _shorten(scrub(words, target)) if row.words else ""
    said = tr(' It said: "{words}".', words=shown) if shown else ""
    places = _places(target)
    sentence = tr(summary, **places)
    if target is None:
        sentence = sentence[0].upper() + sentence[1:]
    return Failure(
        code=row.code,
        kind=row.kind,
        retryable=row.kind is not Kind.PERMANENT,
        summary=sentence + said,
        advice=tr(advice, **places),
    )


def closes_connection(failure: Failure) -> bool:
    """Whether the socket must be closed, though the server left it open, and the name looked up again."""
    return BY_CODE[failure.code].closes


def scrub(text: str, target: RedisTarget | None) -> str:
    """The text without arguments of commands, logins in URLs, and the target's password in any form."""
    text = _LOGIN.sub("***@", _ARGUMENTS.sub("", _COMMAND.sub("", text)))
    secrets = (target.password, target.current_password()) if target is not None else ()
    for secret in secrets:
        if secret:
            for form in (secret.reveal(), quote(secret.reveal(), safe="")):
                text = text.replace(form, "***")
    return text


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it came from or came with, members of groups included; each once."""
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < _CHAIN_LENGTH:
        link = waiting.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        members = link.exceptions if isinstance(link, BaseExceptionGroup) else ()
        waiting.extend(other for other in (*members, link.__cause__, link.__context__) if other is not None)


def _text(error: BaseException) -> str:
    """What the error says, without arguments of commands, and with the reply's first word, which redis-py cuts off."""
    text = _ARGUMENTS.sub("", _COMMAND.sub("", str(error)))
    status = getattr(error, "status_code", None)
    return f"{status} {text}" if status else text


def _row_by_type(chain: list[BaseException]) -> Row | None:
    return next((row for row in map(_row_of, chain) if row is not None), None)


def _row_of(error: BaseException) -> Row | None:
    return next((look(error) for kind, look in _LOOKUPS if isinstance(error, kind)), None)


def _row_by_text(text: str) -> Row | None:
    return next((row for pattern, row in _TEXTS if pattern.search(text)), None)


def _row_by_default(chain: list[BaseException]) -> Row:
    if any(isinstance(link, _TIMEOUTS) for link in chain):
        return BY_CODE["READ_TIMEOUT"]
    if any(isinstance(link, _CLOSED) for link in chain):
        return BY_CODE["TCP_RESET_LATE"]
    if any(isinstance(link, ssl.SSLError) for link in chain):
        return BY_CODE["TLS_OTHER"]
    return BY_CODE["UNKNOWN"]


def _by_phase(row: Row, chain: list[BaseException], target: RedisTarget | None, *, connecting: bool) -> Row:
    """The same sign means different things while connecting and later, and with and without TLS."""
    numbers = {link.errno for link in chain if isinstance(link, OSError) and not isinstance(link, ssl.SSLError)}
    tls = target.tls if target is not None else None
    code = row.code
    if code in {"UNKNOWN", "READ_TIMEOUT"} and errno.ETIMEDOUT in numbers:
        code = "TCP_TIMEOUT" if connecting else "TCP_HALFOPEN"
    elif code == "READ_TIMEOUT" and connecting:
        is_reading = any("Timeout reading" in str(link) for link in chain)
        code = "TLS_HANG" if is_reading and tls is False else "TCP_TIMEOUT"
    elif code == "TCP_RESET_LATE" and connecting:
        code = "TLS_EOF" if tls else "TCP_RESET"
    elif code == "TLS_EOF" and not connecting:
        code = "TCP_RESET_LATE"
    elif code == "AUTH_NONE" and not connecting:
        code = "AUTH_LATE"
    elif target is not None and target.unix_path is not None and numbers & {errno.ENOENT, errno.EACCES}:
        code = "UNIX_SOCKET"
    return BY_CODE[code]


def _places(target: RedisTarget | None) -> dict[str, str]:
    if target is None:
        return {"address": tr("the server"), "host": tr("of the server"), "port": ""}
    host = f"[{target.host}]" if ":" in target.host else target.host
    address = target.unix_path or f"{host}:{target.port}"
    return {"address": address, "host": target.host, "port": str(target.port)}


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WORDS_CHARACTERS else line[:_WORDS_CHARACTERS] + "…"
