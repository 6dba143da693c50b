"""Which hosting platform runs us, and how long does it let a worker finish?"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from oxcart.language import tr

# Set on a laptop or in CI for Railway's command line; they do not mean that Railway runs us.
_RAILWAY_CLI = frozenset({"RAILWAY_TOKEN", "RAILWAY_API_TOKEN"})

# Between our last exchange and the platform's SIGKILL: exit takes up to 2 s after the grace, 1 s is reserve.
KILL_MARGIN_SECONDS = 3.0

# Kubernetes, Render and Heroku kill 30 s after SIGTERM unless told otherwise.
_GRACE_SECONDS = {"kubernetes": 25.0, "render": 25.0, "heroku": 25.0, "none": 8.0}

SET_DRAINING = (
    "Set RAILWAY_DEPLOYMENT_DRAINING_SECONDS to at least 30 in the service's variables: without it Railway kills the "
    "worker at once when it deploys, and each running job loses one of its stall credits."
)


class Platform(StrEnum):
    RAILWAY = "railway"
    RENDER = "render"
    HEROKU = "heroku"
    KUBERNETES = "kubernetes"
    NONE = "none"


def detect_platform(environ: Mapping[str, str]) -> Platform:
    given = {name for name, value in environ.items() if value.strip()}
    if any(name.startswith("RAILWAY_") and name not in _RAILWAY_CLI for name in given):
        return Platform.RAILWAY
    if "RENDER" in given:
        return Platform.RENDER
    if "DYNO" in given:
        return Platform.HEROKU
    if "KUBERNETES_SERVICE_HOST" in given:
        return Platform.KUBERNETES
    return Platform.NONE


def choose_grace(
    platform: Platform, explicit_seconds: float | None, draining_seconds: float | None
) -> tuple[float, str, tuple[str, ...]]:
    """The grace in seconds, where it comes from, and what to warn about.

    `explicit_seconds` is OXCART_SHUTDOWN_GRACE_SECONDS, `draining_seconds` RAILWAY_DEPLOYMENT_DRAINING_SECONDS.
    """
    if platform is Platform.RAILWAY:
        return _railway_grace(explicit_seconds, draining_seconds)
    if explicit_seconds is None:
        where = (
            tr("the default")
            if platform is Platform.NONE
            else tr("the default on {platform}", platform=platform.value.capitalize())
        )
        return _GRACE_SECONDS[platform.value], where, ()
    if platform is Platform.HEROKU and explicit_seconds > 30 - KILL_MARGIN_SECONDS:
        warning = tr(
            "OXCART_SHUTDOWN_GRACE_SECONDS is {seconds:g}, but Heroku kills after 30 s; 27 s is the most.",
            seconds=explicit_seconds,
        )
        return explicit_seconds, "OXCART_SHUTDOWN_GRACE_SECONDS", (warning,)
    return explicit_seconds, "OXCART_SHUTDOWN_GRACE_SECONDS", ()


def _railway_grace(explicit: float | None, draining: float | None) -> tuple[float, str, tuple[str, ...]]:
    if draining is None:
        if explicit is None:
            return 0.0, tr("RAILWAY_DEPLOYMENT_DRAINING_SECONDS is not set"), (tr(SET_DRAINING),)
        return explicit, "OXCART_SHUTDOWN_GRACE_SECONDS", (tr(SET_DRAINING),)
    allowed = max(0.0, draining - KILL_MARGIN_SECONDS)
    if explicit is None:
        warnings = () if allowed else (tr(SET_DRAINING),)
        return allowed, tr("RAILWAY_DEPLOYMENT_DRAINING_SECONDS - {margin:g}", margin=KILL_MARGIN_SECONDS), warnings
    if explicit <= allowed:
        return explicit, "OXCART_SHUTDOWN_GRACE_SECONDS", ()
    warning = tr(
        "OXCART_SHUTDOWN_GRACE_SECONDS is {seconds:g}, but Railway kills {draining:g} s after SIGTERM "
        "(RAILWAY_DEPLOYMENT_DRAINING_SECONDS); set that to {wanted:g} or more.",
        seconds=explicit,
        draining=draining,
        wanted=explicit + KILL_MARGIN_SECONDS,
    )
    return explicit, "OXCART_SHUTDOWN_GRACE_SECONDS", (warning,)
