"""How does a line of the log look? JSON for machines, one short coloured line for people, no secret in either.

JSON is written by msgspec, the encoder the job data goes through anyway: a line is one dict, and structlog's chain of
processors would build that dict several times to reach the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from oxcart.secret import Secret
from oxcart.telemetry.lines import Level, Line
from oxcart.telemetry.terminal import harmless

Format = Callable[[Line, float], bytes]
"""Renders a line that was made at an epoch second; the result ends with a newline and has no other (but in stacks)."""

_encoder = msgspec.json.Encoder()

# Blanking out a shorter text would blank out half the log; settings refuse no password for being short.
_MIN_SECRET_LENGTH = 4


class Redactor:
    """Blanks out known secrets: the last net under events that never carry one."""

    def __init__(self) -> None:
        self._hidden: tuple[bytes, ...] = ()

    def hide(self, secrets: Iterable[Secret]) -> None:
        """Also in the spellings a URL or a JSON string gives them. Secrets hidden before stay hidden."""
        spellings = set(self._hidden)
        for text in (secret.reveal() for secret in secrets):
            if len(text) >= _MIN_SECRET_LENGTH:
                spellings |= {_utf8(form) for form in (text, quote(text, safe=""), json.dumps(text)[1:-1])}
                spellings.add(encode_json(text)[1:-1])
        self._hidden = tuple(sorted(spellings, key=len, reverse=True))

    def __call__(self, line: bytes) -> bytes:
        for hidden in self._hidden:
            if hidden in line:
                line = line.replace(hidden, b"***")
        return line


def encode_json(value: Any) -> bytes:
    """JSON in UTF-8; a lone surrogate (Node writes them) makes the whole text ASCII with escapes instead."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode("ascii")


def iso_utc(epoch_seconds: float) -> str:
    text = datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def json_format(service: str, redact: Redactor, about: Mapping[str, Any] | None = None) -> Format:
    """`about` are fields of every line, as the number of the process."""
    always = {"service": service, **(about or {})}

    def render(line: Line, epoch_seconds: float) -> bytes:
        record = {
            "timestamp": iso_utc(epoch_seconds),
            "level": line.level,
            "message": line.message,
            "event": line.event,
            **always,
            **line.fields,
        }
        return redact(_harmless_json(encode_json(record))) + b"\n"

    return render


_COLOURS: dict[Level, str] = {"debug": "2", "info": "32", "warn": "33", "error": "31;1"}


def human_format(redact: Redactor, *, coloured: bool, about: Mapping[str, Any] | None = None) -> Format:
    """Local time, level, message, then the fields, `about` first; a stack follows on lines of its own."""
    always = about or {}

    def paint(code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if coloured else text

    def render(line: Line, epoch_seconds: float) -> bytes:
        clock = datetime.fromtimestamp(epoch_seconds, UTC).astimezone().strftime("%H:%M:%S")
        level = paint(_COLOURS[line.level], f"{line.level:<5}")
        shown = " ".join(f"{key}={_word(value)}" for key, value in {**always, **line.fields}.items() if key != "stack")
        text = f"{paint('2', clock)} {level} {_one_line(line.message)}"
        if shown:
            text += f"  {paint('2', shown)}"
        for row in str(line.fields.get("stack", "")).splitlines():
            text += f"\n    {_one_line(row)}"
        return redact(_utf8(text)) + b"\n"

    return render


def _word(value: Any) -> str:
    text = value if isinstance(value, str) else encode_json(value).decode()
    return harmless(json.dumps(text, ensure_ascii=False)) if isinstance(value, str) and " " in text else _one_line(text)


def _one_line(text: str) -> str:
    return harmless(text).replace("\n", "\\u000a").replace("\t", "\\u0009")


def _harmless_json(line: bytes) -> bytes:
    """JSON is read at a terminal, too, as by `railway logs`. In ASCII it has escaped all but DEL by itself."""
    if line.isascii() and b"\x7f" not in line:
        return line
    return _utf8(harmless(line.decode()))


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
