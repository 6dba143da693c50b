"""How does a page come about? Templates that escape everything, times, numbers, and sparklines as plain SVG."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from oxcart.errors import InvalidInput
from oxcart.language import spoken, tr
from oxcart.protocol import codec
from oxcart.telemetry.terminal import harmless

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_TIME_TEXT = re.compile(r"(<time [^>]*>)[^<]*")


@dataclass(frozen=True, slots=True)
class StaticFile:
    name: str
    content_type: str
    plain: bytes
    packed: bytes


@cache
def static_files() -> Mapping[str, StaticFile]:
    """By the name they are asked for: the file's own with a hash, so that it may be kept for ever."""
    found = {}
    for entry in files("oxcart.board").joinpath("static").iterdir():
        stem, _, ending = entry.name.rpartition(".")
        if ending in _TYPES:
            plain = entry.read_bytes()
            name = f"{stem}.{hashlib.sha256(plain).hexdigest()[:10]}.{ending}"
            found[name] = StaticFile(entry.name, _TYPES[ending], plain, gzip.compress(plain, 9, mtime=0))
    return found


@cache
def static_url(name: str) -> str:
    (hashed,) = (hashed for hashed, file in static_files().items() if file.name == name)
    return f"/board/static/{hashed}"


def render(template: str, /, **values: Any) -> str:
    return _environment().get_template(template).render(values)


def without_times(html: str) -> str:
    """What a page says, apart from how long ago that was: the browser counts that on by itself."""
    return _TIME_TEXT.sub(r"\1", html)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("oxcart.board"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_shown,
    )
    environment.globals.update(
        tr=tr, static=static_url, link=link, sparkline=sparkline, chart=chart, ago=ago, spoken=spoken
    )
    environment.filters.update(key=key, number=number, span=span, size=size, pretty=pretty, state=state_name)
    return environment


def _shown(value: Any) -> Any:
    """Of everything that a template prints: letters, nothing invisible, nothing that turns the reading round."""
    if value is None:
        return ""
    return harmless(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def link(path: str, /, **query: Any) -> str:
    """An address of the board; what is None or empty is left out."""
    given = [(name, value) for name, value in query.items() if value not in (None, "", [])]
    return f"/board{path}" + (f"?{urlencode(given, doseq=True, errors='replace')}" if given else "")


def number(value: float | None) -> str:
    """Groups of three with a narrow space, as in 12 345."""
    if value is None:
        return "–"
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else f"{value:,.1f}".replace(",", "\u202f")


def span(ms: float | None) -> str:
    """A time that something took, as short as can be read: 8 ms, 4.2 s, 3 min, 2.5 h, 3 d."""
    if ms is None:
        return "–"
    ms = max(0.0, ms)
    if ms < 1000:
        return tr("{number} ms", number=f"{ms:.0f}")
    units = ((tr("s"), 1000, 60), (tr("min"), 60_000, 60), (tr("h"), 3_600_000, 48), (tr("d"), 86_400_000, math.inf))
    unit, size_ms, _ = next(each for each in units if ms / each[1] < each[2])
    count = ms / size_ms
    return f"{count:.1f} {unit}".replace(".0 ", " ") if count < 10 else f"{count:.0f} {unit}"


def key(text: str) -> str:
    """An element's id for any text, so that a row is known again."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def size(count: int | None) -> str:
    if count is None:
        return "–"
    for unit, bytes_ in ((tr("GB"), 1 << 30), (tr("MB"), 1 << 20), (tr("KB"), 1 << 10)):
        if count >= bytes_:
            return f"{count / bytes_:.1f} {unit}".replace(".0 ", " ")
    return f"{count} {tr('B')}"


def ago(ms: int | None, now_ms: int) -> Markup:
    """A time as a person thinks of it, with the exact one on hover; the browser keeps it current."""
    moment = moment_of(ms)
    if ms is None or moment is None:
        return Markup("–")
    distance = now_ms - ms
    text = tr("in {span}", span=span(-distance)) if distance < 0 else tr("{span} ago", span=span(distance))
    exact = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}" title="{}" data-ms="{}">{}</time>').format(exact, exact, ms, text)


def moment_of(ms: float | None) -> datetime | None:
    """None too for a number that no calendar has."""
    try:
        return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def pretty(text: str) -> str:
    """JSON with a line for each value; what is no JSON as it is."""
    try:
        return json.dumps(codec.decode(text), indent=2, ensure_ascii=False)
    except (InvalidInput, ValueError):
        return text


def state_name(state: str) -> str:
    """BullMQ's word for a state, in the reader's language."""
    return _STATE_NAMES().get(state, state)


def _STATE_NAMES() -> Mapping[str, str]:  # noqa: N802 - a table, but of the language that is spoken
    return {
        "waiting": tr("waiting"),
        "active": tr("active"),
        "delayed": tr("delayed"),
        "prioritized": tr("prioritized"),
        "waiting-children": tr("waiting for children"),
        "completed": tr("completed"),
        "failed": tr("failed"),
        "paused": tr("paused"),
        "unknown": tr("in no state"),
    }


def chart(data: Mapping[str, Any], parts: Sequence[tuple[str, str, str]]) -> str:
    """JSON for board.js: series of (field of `data`, label, colour's name); milliseconds as seconds."""
    series = [
        {"label": label, "colour": colour, "values": [_as_seconds(name, value) for value in data[name]]}
        for name, label, colour in parts
    ]
    return json.dumps({"times": data["times"], "series": series}, separators=(",", ":"))


def _as_seconds(name: str, value: float | None) -> float | None:
    return value / 1000 if value is not None and name.endswith("95") else value


def sparkline(values: Sequence[float], title: str, kind: str = "", width: int = 96, height: int = 22) -> Markup:
    """One point per value from left to right, filled below; the highest is told for those who do not see it."""
    top = max(values, default=0)
    told = tr(
        "{title}: at most {number}, now {now}", title=title, number=number(top), now=number(values[-1] if values else 0)
    )
    drawn = values if top else [0, 0]  # of a hundred queues most are quiet
    step = width / max(1, len(drawn) - 1)
    scale = (height - 3) / top if top else 0
    line = " ".join(f"{at * step:.0f},{height - 1 - scale * value:.0f}" for at, value in enumerate(drawn))
    return Markup(
        '<svg class="spark {}" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">'
        '<polygon points="0,{} {} {},{}"/><polyline points="{}"/></svg>'
    ).format(kind, told, width, height, width, height, height, line, width, height, line)
