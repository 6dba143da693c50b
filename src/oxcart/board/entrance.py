"""How does somebody come in, and what may be had without? The login, its cookie, and files that hold no secret."""

from __future__ import annotations

import re
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from oxcart.board.access import Session
from oxcart.board.core import Ask
from oxcart.board.look import render, static_files
from oxcart.board.pages import Site, language_for, read_form
from oxcart.http.answers import refusal
from oxcart.language import LANGUAGES, speaking, tr

_HERE = re.compile(r"/board(?:[/?][^\\\r\n]*)?\Z")
_THEMES = ("light", "dark")
_LONGEST_FORM = 8 * 1024
_YEAR = "public, max-age=31536000, immutable"


async def static(_: Site, request: Request) -> Response:
    file = static_files().get(request.path_params["name"])
    if file is None:
        return refusal(404, "There is no such file.")
    headers = {"Cache-Control": _YEAR, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.packed, 200, {**headers, "Content-Encoding": "gzip"}, file.content_type)
    return Response(file.plain, 200, headers, file.content_type)


async def login_page(_: Site, request: Request) -> Response:
    return _login(request, 200)


def not_logged_in(request: Request) -> Response:
    """A link in a chat comes without the cookie (SameSite=Strict): the page then asks once more, by itself."""
    if "text/event-stream" in request.headers.get("accept", "") or request.method != "GET":
        return refusal(401, "This needs a session: log in at /board/login.")
    from_elsewhere = request.headers.get("sec-fetch-site") == "cross-site"
    return _login(request, 401, again=from_elsewhere)


async def log_in(site: Site, request: Request) -> Response:
    if not site.access.is_from_here(request):
        return refusal(403, "This was asked for by a page of another site, and not done.")
    wait = site.access.wait_seconds()
    if wait:
        with speaking(language_for(request, None)):
            problem = tr("Too many attempts. Try again in {seconds} s.", seconds=int(wait) + 1)
        return _login(request, 429, problem, {"Retry-After": str(int(wait) + 1)})
    form = await read_form(request, _LONGEST_FORM)
    session = site.access.log_in(form.get("token"))
    if session is None:
        with speaking(language_for(request, None)):
            return _login(request, 401, tr("This is no token of this worker."), to=form.get("to"))
    response = RedirectResponse(inside(form.get("to")), 303)
    site.access.keep(response, request, session)
    return response


async def log_out(site: Site, request: Request, _: Session, __: Ask) -> Response:
    response = RedirectResponse("/board/login", 303)
    site.access.forget(response, request)
    return response


async def prefer(site: Site, request: Request, session: Session, form: Ask) -> Response:
    """Language, light or dark, and the veil, which only those may lift who may change things."""
    if form.get("language") in LANGUAGES:
        session = replace(session, language=form.get("language"))
    if form.get("theme"):
        session = replace(session, theme=form.get("theme") if form.get("theme") in _THEMES else None)
    if form.get("veil") and session.may_change:
        session = replace(session, unveiled=form.get("veil") == "off")
    response = RedirectResponse(inside(form.get("to")), 303)
    site.access.keep(response, request, session)
    return response


def inside(path: str) -> str:
    """Only an address of the board: whoever makes up a link to the login must not send people elsewhere."""
    return path if _HERE.match(path) and "//" not in path.partition("?")[0] else "/board"


def _login(
    request: Request,
    status: int,
    problem: str = "",
    headers: dict[str, str] | None = None,
    *,
    to: str | None = None,
    again: bool = False,
) -> Response:
    where = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    wanted = to if to is not None else where if request.url.path != "/board/login" else "/board"
    with speaking(language_for(request, None)):
        html = render("login.html", problem=problem, to=inside(wanted), again=again)
    return HTMLResponse(html, status, headers)
