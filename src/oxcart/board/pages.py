"""How does somebody's request become a page? Reads what is asked, loads the view, renders it, and keeps it current."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from oxcart.board import family, job_view
from oxcart.board.access import Access, Session
from oxcart.board.actions import VERBS, job_verbs
from oxcart.board.batches import Batches
from oxcart.board.core import Ask, Board, ask_of
from oxcart.board.live import MOST_STREAMS, Live
from oxcart.board.look import render
from oxcart.board.views import VIEWS, View
from oxcart.connection.failures import classify
from oxcart.errors import Failure, InvalidInput, JobNotFound, OxcartError, ServerRefused, StateConflict, Unavailable
from oxcart.http.answers import refusal
from oxcart.language import LANGUAGES, speaking
from oxcart.queue.inspect import STATES

LOAD_SECONDS = 8.0
_LONGEST_FORM = 12 * 1024 * 1024  # a job has at most 10 MB; what is encoded in a form takes more
_BODY_SECONDS = 20.0
_MOST_FIELDS = 2000


@dataclass(frozen=True, slots=True)
class Place:
    """What one open page shows, for the loop that keeps it current: everything that its HTML depends on."""

    view: str
    query: str
    language: str
    may_change: bool
    unveiled: bool


@dataclass(frozen=True, slots=True)
class Site:
    """What the endpoints work with."""

    board: Board
    access: Access
    batches: Batches
    live: Live[Place]


Endpoint = Callable[[Site, Request, Session], Awaitable[Response]]


async def answered(site: Site, request: Request, session: Session, endpoint: Endpoint) -> Response:
    """The answer in the session's language; what cannot be done is a page that says why."""
    with speaking(language_for(request, session)):
        try:
            response = await endpoint(site, request, session)
        except OxcartError as error:
            response = problem(site, request, session, error)
    if session.is_new and not isinstance(response, StreamingResponse):
        site.access.keep(response, request, session)
    return response


async def view(site: Site, request: Request, session: Session) -> Response:
    wanted = _view(request.path_params.get("view", "overview"))
    place = _place(request, session, wanted, request.url.query)
    status, main = await _main(site.board, place, session)
    return _page(site, request, session, place, main, status)


async def live(site: Site, request: Request, session: Session) -> Response:
    """The same page's main part, each time that it differs; a stream of server-sent events."""
    params = request.query_params
    wanted = _view(params.get("view", "overview"))
    query = str(QueryParams([(name, value) for name, value in params.multi_items() if name != "view"]))
    if site.live.streams >= MOST_STREAMS:
        return refusal(503, "Too many pages are open. This one stays as it is.", {"Retry-After": "30"})
    place = _place(request, session, wanted, query)

    async def stream() -> AsyncIterator[str]:
        yield "retry: 1000\n\n"
        async for html in site.live.follow(place, ""):
            yield "".join(f"data: {line}\n" for line in html.split("\n")) + "\n" if html else ": still here\n\n"

    return StreamingResponse(stream(), 200, {"X-Accel-Buffering": "no"}, "text/event-stream")


async def raw(site: Site, request: Request, session: Session) -> Response:
    """One field of a job in full, as a file: a browser must not make a page of it."""
    text, field = await job_view.raw(site.board, _ask(site.board, session, request.url.query))
    headers = {"Content-Disposition": f'attachment; filename="{field}.txt"'}
    return Response(text.encode("utf-8", "backslashreplace"), 200, headers, "text/plain; charset=utf-8")


async def fragment(board: Board, place: Place) -> str:
    """For the loop of open pages."""
    with speaking(place.language):
        session = Session("", 0, place.may_change, unveiled=place.unveiled)
        return (await _main(board, place, session))[1]


def problem(site: Site, request: Request, session: Session, error: OxcartError) -> Response:
    with speaking(language_for(request, session)):
        status = status_of(error)
        main = render("problem.html", error=str(error), failure=_failure(error), away=isinstance(error, Unavailable))
        if request.headers.get("hx-request"):
            return HTMLResponse(main, status)
        place = _place(request, session, VIEWS["overview"], "")
        return _page(site, request, session, place, main, status, is_live=False)


def status_of(error: OxcartError) -> int:
    match error:
        case InvalidInput():
            return 400
        case JobNotFound():
            return 404
        case StateConflict():
            return 409
        case _:
            return 503


async def read_form(request: Request, longest: int = _LONGEST_FORM) -> Ask:
    """A form's fields as an Ask that may do nothing yet. Raises InvalidInput for what is too long, or too slow."""
    return fields_of((await read_body(request, longest)).decode("utf-8", "replace"))


async def read_body(request: Request, longest: int = _LONGEST_FORM) -> bytearray:
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > longest:
                    raise InvalidInput(f"What you have sent is longer than {longest >> 20} MiB.")
    except (TimeoutError, ClientDisconnect) as error:
        raise InvalidInput("What you have sent did not arrive whole.") from error
    return body


def fields_of(encoded: str, *, may_change: bool = False, unveiled: bool = False) -> Ask:
    try:
        found = parse_qs(encoded, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="surrogatepass")
    except ValueError as error:
        raise InvalidInput(f"What you have sent cannot be read ({error}).") from error
    lists = {name: tuple(values) for name, values in found.items()}
    return Ask({name: values[-1] for name, values in found.items()}, may_change, unveiled, lists)


def language_for(request: Request, session: Session | None) -> str:
    """What the session has chosen, else what the browser prefers among ours."""
    if session is not None and session.language in LANGUAGES:
        return session.language
    for part in request.headers.get("accept-language", "").lower().split(","):
        language = part.partition(";")[0].strip().partition("-")[0]
        if language in LANGUAGES:
            return language
    return LANGUAGES[0]


def html_page(site: Site, request: Request, session: Session, main: str, status: int = 200) -> Response:
    """Any other main part in the board's frame; in a dialog without it."""
    if request.headers.get("hx-request"):
        return HTMLResponse(main, status)
    return _page(site, request, session, _place(request, session, VIEWS["overview"], ""), main, status, is_live=False)


def _view(name: str) -> View:
    if name not in VIEWS:
        raise JobNotFound(f"The board has no such page; it has {', '.join(VIEWS)}.")
    return VIEWS[name]


def _place(request: Request, session: Session, wanted: View, query: str) -> Place:
    return Place(wanted.id, query, language_for(request, session), session.may_change, session.unveiled)


def _ask(board: Board, session: Session, query: str) -> Ask:
    given = fields_of(query)
    return ask_of(board, session, given.fields, given.lists)


async def _main(board: Board, place: Place, session: Session) -> tuple[int, str]:
    """Status and HTML. A Redis that is away is a page, too: it turns into the other one by itself."""
    wanted = VIEWS[place.view]
    try:
        ask = _ask(board, session, place.query)
        async with asyncio.timeout(LOAD_SECONDS):
            data = await wanted.load(board, ask)
    except TimeoutError:
        failure = board.server.failure or classify(TimeoutError("no answer"), target=board.server.target)
        return 503, render("problem.html", error="", failure=failure, away=True)
    except OxcartError as error:
        away = isinstance(error, Unavailable | ServerRefused)
        return status_of(error), render("problem.html", error=str(error), failure=_failure(error), away=away)
    return 200, render(f"{wanted.id}.html", data=data, ask=ask, **_helpers(board, wanted, data))


def _helpers(board: Board, wanted: View, data: Mapping[str, Any]) -> dict[str, Any]:
    """What only pages need: the actions that are offered, and a flow as a drawing."""
    helpers: dict[str, Any] = {"verbs": VERBS, "now": data["now"], "veiled": board.plan.veil}
    if wanted.id in {"queue", "search"}:
        helpers["offered"] = job_verbs(data["state"], many=True) if data.get("state") else []
    if wanted.id == "search":
        helpers |= {"names": board.sampler.names, "states": STATES}
    if wanted.id == "job":
        helpers["offered"] = job_verbs(data["state"])
        helpers["drawing"] = None if data["family"] is None else family.draw(family.member_of(data["family"]))
    return helpers


def _page(  # noqa: PLR0917 - what a page is made of
    site: Site, request: Request, session: Session, place: Place, main: str, status: int, *, is_live: bool = True
) -> Response:
    told = site.access.told(request, session)
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    extras = [page for page in site.board.plan.extras if page.is_there()]
    html = render(
        "frame.html",
        main=main,
        session=session,
        plan=site.board.plan,
        place=place,
        title=_title(place),
        extras=extras,
        here=here,
        told=told,
        is_live=is_live and VIEWS[place.view].is_live,
        names=site.board.sampler.names,
        verbs=VERBS,
        languages=LANGUAGES,
        language=place.language,
    )
    response = HTMLResponse(html, status)
    if told is not None:
        site.access.clear_told(response, request)
    return response


def _title(place: Place) -> str:
    """For the browser's tab: the queue or job that is looked at, else the page."""
    given = fields_of(place.query)
    return " · ".join(part for part in (given.get("id"), given.get("queue"), place.view) if part)[:100]


def _failure(error: OxcartError) -> Failure | None:
    return error.failure if isinstance(error, Unavailable | ServerRefused) else None
