"""Which hosting platform runs us, and how long does it let a worker finish?"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

# Set on a laptop or in CI for Railway's command line; they do not mean that Railway runs us.
_RAILWAY_CLI = frozenset({"RAILWAY_TOKEN", "RAILWAY_API_TOKEN"})

# Between our last exchange and the platform's SIGKILL: exit takes up to 2 s after the grace, 1 s is reserve.
KILL_MARGIN_SECONDS = 3.0

# Kubernetes, Render and Heroku kill 30 s after SIGTERM unless told otherwise.
_GRACE_SECONDS = {"kubernetes": 25.0, "render": 25.0, "heroku": 25.0, "none": 8.0}

_SET_DRAINING = (
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
        where = "the default" if platform is Platform.NONE else f"the default on {platform.value.capitalize()}"
        return _GRACE_SECONDS[platform.value], where, ()
    if platform is Platform.HEROKU and explicit_seconds > 30 - KILL_MARGIN_SECONDS:
        warning = (
            f"OXCART_SHUTDOWN_GRACE_SECONDS is {explicit_seconds:g}, but Heroku kills after 30 s; 27 s is the most."
        )
        return explicit_seconds, "OXCART_SHUTDOWN_GRACE_SECONDS", (warning,)
    return explicit_seconds, "OXCART_SHUTDOWN_GRACE_SECONDS", ()


def _railway_grace(explicit: float | None, draining: float | None) -> tuple[float, str, tuple[str, ...]]:
    if draining is None:
        if explicit is None:
            return 0.0, "RAILWAY_DEPLOYMENT_DRAINING_SECONDS is not set", (_SET_DRAINING,)
        return explicit, "OXCART_SHUTDOWN_GRACE_SECONDS", (_SET_DRAINING,)
    allowed = max(0.0, draining - KILL_MARGIN_SECONDS)
    if explicit is None:
        warnings = () if allowed else (_SET_DRAINING,)
        return allowed, f"RAILWAY_DEPLOYMENT_DRAINING_SECONDS - {KILL_MARGIN_SECONDS:g}", warnings
    if explicit <= allowed:
        return explicit, "OXCART_SHUTDOWN_GRACE_SECONDS", ()
    warning = (
        f"OXCART_SHUTDOWN_GRACE_SECONDS is {explicit:g}, but Railway kills {draining:g} s after SIGTERM "
        f"(RAILWAY_DEPLOYMENT_DRAINING_SECONDS); set that to {explicit + KILL_MARGIN_SECONDS:g} or more."
    )
    return explicit, "OXCART_SHUTDOWN_GRACE_SECONDS", (warning,)
