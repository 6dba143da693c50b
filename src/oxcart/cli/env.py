"""What did we understand of the environment? `env`: the Redis and where each part came from, problems, settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from oxcart.cli.exits import BAD_SETTINGS
from oxcart.cli.options import json_option
from oxcart.cli.output import say, say_json, say_pairs, say_wrapped, shorten
from oxcart.language import tr
from oxcart.telemetry.terminal import harmless

if TYPE_CHECKING:
    from oxcart.connection.target import RedisTarget, TargetReport
    from oxcart.settings import KeepPolicy, QueueShare, Reader, Settings, SettingsReport

# Where Redis is stands above the settings; of its own knobs these remain.
_CONNECTION_KNOBS = ("connect_timeout_seconds", "family", "tls_verify", "tls_ca_file")


@click.command()
@json_option
def env(as_json: bool) -> None:
    """Show the settings as they are understood. Secrets are masked; exits 78 if there are problems."""
    from oxcart.connection.target import resolve_target
    from oxcart.settings import inspect

    found, report = inspect(os.environ), resolve_target(os.environ)
    problems = list(dict.fromkeys((*report.problems, *found.problems)))
    warnings = list(dict.fromkeys((*report.warnings, *found.warnings)))
    values = dict(_values(found, report.target))
    if as_json:
        redis = None if report.target is None else _redis_as_json(report.target, report)
        ignored = list(report.ignored)
        say_json({"redis": redis, "ignored": ignored, "problems": problems, "warnings": warnings, "settings": values})
    else:
        _say_redis(report)
        _say_list(tr("Problems"), problems)
        _say_list(tr("Warnings"), warnings)
        _say_settings(values)
    if problems:
        raise click.exceptions.Exit(BAD_SETTINGS)


def _redis_as_json(target: RedisTarget, report: TargetReport) -> dict[str, Any]:
    return {
        "url": target.masked_url,
        "host": target.host or None,
        "port": target.port or None,
        "tls": target.tls,
        "from": list(report.sources),
    }


def _say_redis(report: TargetReport) -> None:
    target = report.target
    if target is not None:
        certificate = tr("certificate verified") if target.tls_verify else tr("certificate NOT verified")
        say("Redis")
        say_pairs(
            [
                ("  url", target.masked_url),
                (f"  {tr('from')}", tr(" and ").join(report.sources)),
                ("  tls", f"{tr('yes')}, {certificate}" if target.tls else tr("no")),
            ]
        )
    elif report.problems:
        say_wrapped(tr("Redis: none, see the problems below."))
    else:
        say_wrapped(tr("Redis: none is set, so the embedded server is used."))
    for name in report.ignored:
        if len(report.sources) > 1:
            say("  " + tr("{name} is ignored: {winners} win.", name=name, winners=tr(" and ").join(report.sources)))
        else:
            winner = report.sources[0] if report.sources else tr("another one")
            say("  " + tr("{name} is ignored: {winner} wins.", name=name, winner=winner))


def _say_list(heading: str, sentences: list[str]) -> None:
    if sentences:
        say(f"\n{heading}")
        for sentence in sentences:
            say(f"  {harmless(sentence)}")


def _say_settings(values: dict[str, Any]) -> None:
    from oxcart.settings import Reader

    given = Reader(os.environ)
    say("\n" + tr("Settings (* set in the environment, else the default)"))
    shown = {name: "" if value is None else shorten(_text(value), 200) for name, value in values.items()}
    width = max(map(len, shown))
    for name, text in shown.items():
        say(f"{'*' if _is_given(given, name) else ' '} {name:<{width}}  {harmless(text)}".rstrip())


def _is_given(reader: Reader, name: str) -> bool:
    return any(reader.environ.get(variant, "").strip() for variant in (name, f"{name}_FILE"))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _values(found: SettingsReport, target: RedisTarget | None) -> Iterator[tuple[str, Any]]:
    """Every knob by its variable, in the unit of the variable; null where nothing is set and there is no default."""
    from oxcart.settings import Reader, RedisSettings, knobs_of

    settings = found.settings or _what_can_be_read()
    for piece in (target, settings.worker, settings.http, settings.log, settings):
        chosen = Reader(os.environ).read(RedisSettings) if piece is None else piece
        declared = knobs_of(RedisSettings if piece is target else chosen)
        for field, knob in declared:
            if piece is not target or field in _CONNECTION_KNOBS:
                yield knob.variables[0], _plain(field, getattr(chosen, field))


def _what_can_be_read() -> Settings:
    """With problems: the defaults in place of what cannot be used."""
    from oxcart.settings import HttpSettings, LogSettings, Reader, Settings, WorkerSettings, detect_platform

    reader = Reader(os.environ)
    return reader.read(
        Settings,
        worker=reader.read(WorkerSettings),
        http=reader.read(HttpSettings),
        log=reader.read(LogSettings),
        platform=detect_platform(os.environ),
    )


def _plain(field: str, value: Any) -> Any:
    """A value as it would be written in the environment; secrets as ***."""
    from oxcart.secret import Secret
    from oxcart.settings import KeepPolicy, QueueShare

    if isinstance(value, Secret):
        return str(value)
    if isinstance(value, KeepPolicy):
        return _keep_text(value)
    if isinstance(value, tuple):
        items = [_share_text(item) if isinstance(item, QueueShare) else str(item) for item in value]
        return ",".join(items) or None
    if field.endswith("_ms"):
        value /= 1000
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _share_text(queue: QueueShare) -> str:
    return queue.name if queue.share is None else f"{queue.name}:{queue.share}"


def _keep_text(policy: KeepPolicy) -> str:
    if policy.count == 0:
        return "none"
    age = None if policy.age_seconds is None else _age_text(policy.age_seconds)
    return ",".join(str(part) for part in (policy.count, age) if part is not None) or "all"


def _age_text(seconds: int) -> str:
    units = (("d", 86_400, 2), ("h", 3600, 1), ("m", 60, 1))  # a day is written as 24h
    for unit, size, least in units:
        if seconds % size == 0 and seconds // size >= least:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
