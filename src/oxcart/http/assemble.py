"""How do rows of routes become an application? With the check of the caller, and every error as one JSON sentence."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp

from oxcart.http.answers import refusal
from oxcart.http.auth import refuse, refuse_unreadable
from oxcart.http.routes import ROUTES, Auth, Route
from oxcart.http.site import Site

_log = logging.getLogger("oxcart.http")


def build_app(
    site: Site | None, more_routes: Sequence[Route] = (), wholes: Mapping[str, ASGIApp] | None = None
) -> Starlette:
    """`more_routes` are other parts' rows, such as the webhooks'; without a site there is nothing else.

    `wholes` are applications of their own, by what the paths that they answer begin with; each checks its callers.
    """
    rows = () if site is None else (*ROUTES, *more_routes)
    others = (wholes or {}).items()
    app = Starlette(
        routes=[
            *(
                StarletteRoute(row.path, _guarded(site, row), methods=[*row.methods])
                for row in rows
                if site is not None
            ),
            *(StarletteRoute(f"{start}{{rest:path}}", whole) for start, whole in others),
        ],
        exception_handlers={HTTPException: _sentence, Exception: _our_fault},
    )
    app.router.redirect_slashes = False  # a redirect would repeat whatever Host the caller made up
    return app


def _guarded(site: Site, row: Route) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        refused = refuse_unreadable(request)
        if refused is None and row.auth is Auth.OPERATOR:
            refused = refuse(request, site.tokens)
        return refused if refused is not None else await row.endpoint(site, request)

    return answer


async def _sentence(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        known = ", ".join(row.path for row in ROUTES)
        return refusal(404, f"There is nothing at this path. These exist: {known}.")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return refusal(405, f"{request.method} is not possible here; use {allowed}.", error.headers)
    return refusal(error.status_code, f"{error.detail}.", error.headers)


async def _our_fault(_: Request, error: Exception) -> Response:
    """The traceback goes to the log and never to the caller. The path stays out of both: it may carry a secret."""
    _log.error("An HTTP request failed for a reason of ours; the jobs are unaffected.", exc_info=error)
    return refusal(500, "This request failed for a reason that is ours. The worker's log says which.")
