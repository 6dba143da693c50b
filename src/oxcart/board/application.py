"""What does the board answer? Its routes; who may call each, what every answer carries, and every error as a page."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oxcart.board import api, changes, entrance, pages
from oxcart.board.access import Access, Session
from oxcart.board.batches import Batches
from oxcart.board.core import Board
from oxcart.board.door import BoardPlan
from oxcart.board.live import Live
from oxcart.board.pages import Place, Site
from oxcart.board.sampler import Sampler
from oxcart.connection.server import Server
from oxcart.errors import InvalidInput
from oxcart.http.answers import refusal
from oxcart.http.auth import refuse_unreadable

_log = logging.getLogger("oxcart.board")

_CSP = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
_HEADERS = {
    "content-security-policy": _CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with no-referrer a browser would hide the origin of our own forms
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "cache-control": "no-store",
}


class Need(Enum):
    """OPEN: anyone. LOOK: a session. CHANGE: one that may change, from our own page, with its token. API: a Bearer."""

    OPEN = "open"
    LOOK = "look"
    CHANGE = "change"
    API = "api"
    API_CHANGE = "api-change"


@dataclass(frozen=True, slots=True)
class Row:
    """`needs_no_rights`: a change of the session itself, which those may make, too, who only look."""

    path: str
    method: str
    need: Need
    endpoint: Callable[..., Awaitable[Response]]
    needs_no_rights: bool = False


ROWS = (
    Row("/board", "GET", Need.LOOK, pages.view),
    Row("/board/", "GET", Need.LOOK, pages.view),
    Row("/board/static/{name}", "GET", Need.OPEN, entrance.static),
    Row("/board/login", "GET", Need.OPEN, entrance.login_page),
    Row("/board/login", "POST", Need.OPEN, entrance.log_in),
    Row("/board/logout", "POST", Need.CHANGE, entrance.log_out, needs_no_rights=True),
    Row("/board/prefs", "POST", Need.CHANGE, entrance.prefer, needs_no_rights=True),
    Row("/board/live", "GET", Need.LOOK, pages.live),
    Row("/board/raw", "GET", Need.LOOK, pages.raw),
    Row("/board/ask", "GET", Need.LOOK, changes.ask),
    Row("/board/do", "POST", Need.CHANGE, changes.do),
    Row("/board/batch", "GET", Need.LOOK, changes.batch),
    Row("/board/batch/stop", "POST", Need.CHANGE, changes.stop),
    Row("/board/{view}", "GET", Need.LOOK, pages.view),
    Row("/api", "GET", Need.API, api.index),
    Row("/api/openapi.json", "GET", Need.API, api.openapi),
    Row("/api/actions/{verb}", "POST", Need.API_CHANGE, api.act),
    Row("/api/batches/{batch}", "GET", Need.API, api.batch),
    Row("/api/batches/{batch}/stop", "POST", Need.API_CHANGE, api.stop),
    Row("/api/doctor/run", "POST", Need.API_CHANGE, api.examine),
    Row("/api/{view}", "GET", Need.API, api.view),
)


@asynccontextmanager
async def open_board(plan: BoardPlan, server: Server) -> AsyncIterator[ASGIApp]:
    """The application, for as long as the context lasts; `server` belongs to this loop."""
    async with open_site(plan, server) as site:
        yield _with_headers(_application(site))


@asynccontextmanager
async def open_site(plan: BoardPlan, server: Server) -> AsyncIterator[Site]:
    """What the endpoints work with; also for whoever needs no HTTP."""
    link = server.link("board")
    sampler = Sampler(server, link, plan.prefix, plan.queues)
    board = Board(plan, server, sampler)
    access = Access(plan.operators, plan.readers, read_only=plan.read_only, public_url=plan.public_url)
    batches = Batches(board, plan.emit)
    live: Live[Place] = Live(lambda place: pages.fragment(board, place), lambda: sampler.every_seconds)
    try:
        yield Site(board, access, batches, live)
    finally:
        await live.close()
        await batches.close()
        await sampler.close()
        for task in (board.examining, *(search.task for search in board.searches.values())):
            if task is not None:
                task.cancel()
        link.discard()


def _application(site: Site) -> Starlette:
    app = Starlette(
        routes=[Route(row.path, _guarded(site, row), methods=[row.method]) for row in ROWS],
        exception_handlers={HTTPException: _refused, Exception: _our_fault},
    )
    app.router.redirect_slashes = False
    return app


def _guarded(site: Site, row: Row) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        unreadable = refuse_unreadable(request)
        if unreadable is not None:
            return unreadable
        if row.need is Need.OPEN:
            return await row.endpoint(site, request)
        if row.need in {Need.API, Need.API_CHANGE}:
            return await _answer_program(site, row, request)
        session = site.access.session(request)
        if session is None:
            return entrance.not_logged_in(request)
        if row.need is Need.LOOK:
            return await pages.answered(site, request, session, row.endpoint)
        return await _answer_change(site, row, request, session)

    return answer


async def _answer_program(site: Site, row: Row, request: Request) -> Response:
    may_change = site.access.bearer(request)
    if may_change is None:
        told = {"WWW-Authenticate": 'Bearer realm="oxcart"'}
        return refusal(401, "This needs the header Authorization: Bearer with a token of OXCART_HTTP_TOKEN.", told)
    if row.need is Need.API_CHANGE and not may_change:
        return refusal(403, "This token opens the board for looking only.")
    return await api.answered(site, request, row.endpoint, may_change=may_change)


async def _answer_change(site: Site, row: Row, request: Request, session: Session) -> Response:
    if not site.access.is_from_here(request):
        return refusal(403, "This was asked for by a page of another site, and not done.")
    try:
        form = await pages.read_form(request)
    except InvalidInput as error:
        return pages.problem(site, request, session, error)
    if not session.may_post(form.get("csrf")):
        return refusal(403, "This form is not of this session, or too old. Go back, load the page anew, and try again.")
    if not session.may_change and not row.needs_no_rights:
        return refusal(403, "This session is for looking only.")

    async def change(site: Site, request: Request, session: Session) -> Response:
        return await row.endpoint(site, request, session, form)

    return await pages.answered(site, request, session, change)


def _with_headers(app: ASGIApp) -> ASGIApp:
    """What an answer says for itself stays as it is: files that may be cached, for one."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", []))
                names = {name.lower() for name, _ in given}
                more = [(n.encode(), v.encode()) for n, v in _HEADERS.items() if n.encode() not in names]
                message = {**message, "headers": [*given, *more]}
            await send(message)

        await app(scope, receive, send_with_headers)

    return answer


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return refusal(405, f"{request.method} is not possible here; use {allowed}.", error.headers)
    return refusal(error.status_code, "There is nothing at this path. The board is at /board, its JSON at /api.")


async def _our_fault(_: Request, error: Exception) -> Response:
    _log.error("A page of the board failed for a reason of ours; the jobs are unaffected.", exc_info=error)
    return refusal(500, "This page failed for a reason that is ours. The worker's log says which.")
