"""What does this port answer? Each route is one row: its path, its methods, who may call it, and what it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from oxcart.http import canary, health, metrics, steer
from oxcart.http.site import Site

Endpoint = Callable[[Site, Request], Awaitable[Response]]


class Auth(Enum):
    OPEN = "open"  # probes and scrapers; and paths that carry a secret of their own
    OPERATOR = "operator"  # a Bearer token; without one set, this machine only


@dataclass(frozen=True, slots=True)
class Route:
    """`path` may have {parameters}. HEAD comes with GET."""

    path: str
    methods: tuple[str, ...]
    auth: Auth
    endpoint: Endpoint


async def front(site: Site, _: Request) -> Response:
    """To what a person wants to see. Relative: a redirect must not repeat whatever Host the caller made up."""
    return RedirectResponse("/board" if site.has_board else "/health", 303)


ROUTES: tuple[Route, ...] = (
    Route("/", ("GET",), Auth.OPEN, front),
    Route("/health", ("GET",), Auth.OPEN, health.health),
    Route("/health/live", ("GET",), Auth.OPEN, health.live),
    Route("/health/ready", ("GET",), Auth.OPEN, health.ready),
    Route("/metrics", ("GET",), Auth.OPEN, metrics.metrics),
    Route("/metrics/prometheus", ("GET",), Auth.OPEN, metrics.metrics_text),
    Route("/canary", ("POST",), Auth.OPERATOR, canary.canary),
    Route("/worker/{change}", ("POST",), Auth.OPERATOR, steer.steer),
)
