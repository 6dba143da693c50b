"""How does an environment become Settings? Read once; every problem is reported, not only the first."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from oxcart.errors import SettingsError
from oxcart.language import tr
from oxcart.secret import Secret
from oxcart.settings.knobs import Reader, knobs_of
from oxcart.settings.pieces import HttpSettings, LogSettings, RedisSettings, Settings, WorkerSettings
from oxcart.settings.platform import Platform, choose_grace, detect_platform

PIECES: tuple[type[Any], ...] = (RedisSettings, WorkerSettings, HttpSettings, LogSettings, Settings)

_SHORT_TOKEN_CHARACTERS = 16
_SHORT_LOCK_MS = 5000
_MOST_AT_KOMMO = 7  # requests a second


class SettingsReport(NamedTuple):
    """`settings` is None when there are problems."""

    settings: Settings | None
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def load(environ: Mapping[str, str]) -> Settings:
    """Raises SettingsError with all problems. The Redis address is not read here: see connection/target.py."""
    report = inspect(environ)
    if report.settings is None:
        raise SettingsError(report.problems)
    return report.settings


def inspect(environ: Mapping[str, str]) -> SettingsReport:
    reader = Reader(environ)
    worker, http, log = reader.read(WorkerSettings), reader.read(HttpSettings), reader.read(LogSettings)
    http = replace(http, port_is_explicit=_is_given(environ, "PORT"))
    settings = reader.read(Settings, worker=worker, http=http, log=log, platform=detect_platform(environ))
    settings, grace_warnings = _with_grace(settings, is_explicit=_is_given(environ, "OXCART_SHUTDOWN_GRACE_SECONDS"))
    reader.problems += _combination_problems(settings)
    warnings = (*reader.warnings, *grace_warnings, *_combination_warnings(settings), *unknown_names(environ))
    return SettingsReport(None if reader.problems else settings, tuple(reader.problems), warnings)


def _is_given(environ: Mapping[str, str], name: str) -> bool:
    return bool(environ.get(name, "").strip())


def _with_grace(settings: Settings, *, is_explicit: bool) -> tuple[Settings, tuple[str, ...]]:
    explicit_seconds = settings.worker.shutdown_grace_seconds if is_explicit else None
    grace, source, warnings = choose_grace(settings.platform, explicit_seconds, settings.railway_draining_seconds)
    worker = replace(settings.worker, shutdown_grace_seconds=grace, grace_source=source)
    return replace(settings, worker=worker), warnings


def _combination_problems(settings: Settings) -> Iterator[str]:
    worker = settings.worker
    if settings.kommo_requests_per_second > _MOST_AT_KOMMO and settings.kommo_base_url is None:
        yield tr(
            "OXCART_KOMMO_REQUESTS_PER_SECOND is {rate:g}, and Kommo locks out who sends more than {most}; lower it.",
            rate=settings.kommo_requests_per_second,
            most=_MOST_AT_KOMMO,
        )
    if worker.only_jobs and worker.except_jobs:
        yield tr("Both OXCART_ONLY_JOBS and OXCART_EXCEPT_JOBS (--only and --except) are set; remove one of them.")
    if (worker.only_jobs or worker.except_jobs) and worker.exchange == "upstream":
        yield tr(
            "OXCART_EXCHANGE=upstream fetches jobs of every name, so OXCART_ONLY_JOBS and OXCART_EXCEPT_JOBS cannot be "
            "kept with it; remove one of them."
        )


def _combination_warnings(settings: Settings) -> Iterator[str]:
    """Settings that are allowed alone and odd together. (Renewal < lock holds by construction: it is a third.)"""
    worker = settings.worker
    for queue in worker.queues:
        if queue.share is not None and queue.share > worker.concurrency:
            yield (
                tr(
                    "JOB_QUEUE_NAME gives {name} {share} slots, but JOB_CONCURRENCY is {concurrency}; lower the share "
                    "or raise the concurrency.",
                    name=queue.name,
                    share=queue.share,
                    concurrency=worker.concurrency,
                )
            )
    if worker.lock_duration_ms < _SHORT_LOCK_MS and settings.platform is not Platform.NONE:
        yield (
            tr(
                "OXCART_LOCK_DURATION_SECONDS is {seconds:g}: a reconnect that takes longer costs every running job "
                "its claim; 30 is a good value on a managed Redis.",
                seconds=worker.lock_duration_ms / 1000,
            )
        )
    if any(len(token.reveal()) < _SHORT_TOKEN_CHARACTERS for token in settings.http.tokens):
        yield tr("OXCART_HTTP_TOKEN is short enough to be guessed; make a new one with: openssl rand -hex 32")
    host = _host_of(settings.database_url)
    if host.startswith("db.") and host.endswith(".supabase.co"):
        yield (
            tr(
                "DATABASE_URL is Supabase's direct connection, which has only an IPv6 address and cannot be reached "
                'from many platforms; copy the "Session pooler" string instead (Connect, in the Supabase project).'
            )
        )


def _host_of(url: Secret | None) -> str:
    try:
        return urlsplit(url.reveal()).hostname or "" if url else ""
    except ValueError:
        return ""


def known_names() -> frozenset[str]:
    """Every variable that any part of Oxcart reads."""
    return frozenset(name for piece in PIECES for _, knob in knobs_of(piece) for name in knob.names)


def unknown_names(environ: Mapping[str, str]) -> list[str]:
    """One warning for each OXCART_ variable that means nothing to us, with a guess."""
    known = known_names()
    ours = sorted(name.removeprefix("OXCART_") for name in known if name.startswith("OXCART_"))
    warnings = []
    for name in sorted(name for name in environ if name.startswith("OXCART_") and name not in known):
        guesses = difflib.get_close_matches(name.removeprefix("OXCART_"), ours, n=1, cutoff=0.7)
        guess = (
            tr("Did you mean OXCART_{guess}?", guess=guesses[0]) if guesses else tr("docs/settings.md lists them all.")
        )
        warnings.append(tr("{name} is not a setting. {guess}", name=name, guess=guess))
    return warnings
