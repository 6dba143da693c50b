"""How does a change come about? It is asked for once, done by POST, told on the next page, and written into the log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from oxcart.board.access import Session
from oxcart.board.actions import verb_of
from oxcart.board.batches import Batch, Jobs
from oxcart.board.core import Ask
from oxcart.board.entrance import inside
from oxcart.board.form import FieldProblems
from oxcart.board.look import link, render
from oxcart.board.pages import Site, fields_of, html_page
from oxcart.board.searching import FIELDS, all_that_match
from oxcart.board.verbs import Done, Verb
from oxcart.errors import InvalidInput, OxcartError
from oxcart.language import tr
from oxcart.queue import inspect
from oxcart.queue.search import audit
from oxcart.telemetry.events import BoardChanged

_PATIENCE_SECONDS = 1.5  # for many jobs to be done, before a page of its own shows how far it is
MOST_AT_ONCE = 200_000  # jobs of one action: their ids are in memory until it has ended
_SHOWN_IDS = 8
_NOT_FIELDS = frozenset({"csrf", "verb", "to", "scope", "id", "all", "total"})


# ------------------------------------------------------------------------------------------------ asking
async def ask(site: Site, request: Request, session: Session) -> Response:
    """The question, with what the action needs. Nothing changes by looking at it."""
    given = fields_of(request.url.query, may_change=session.may_change, unveiled=_sees(site, session))
    return await _question(site, request, session, given)


async def _question(
    site: Site, request: Request, session: Session, given: Ask, problems: Mapping[str, str] | None = None
) -> Response:
    """With `problems` it is asked again: what was filled in is there, and beside it what is wrong."""
    verb, ids = verb_of(given.get("verb")), given.many("id")
    if given.get("scope") == "picked" and not ids:
        raise InvalidInput(tr("No job is picked. Tick those that you mean."))
    is_many = verb.target == "job" and (len(ids) > 1 or given.get("scope") == "all")
    if is_many and not verb.many:
        raise InvalidInput(tr("This is done for one job at a time."))
    defaults: Mapping[str, str] = {}
    if verb.defaults is not None and not is_many:
        defaults = await verb.defaults(site.board, given)
    kept = [(name, value) for name, values in given.lists.items() for value in values if name not in _NOT_FIELDS]
    named = {field.name for field in verb.fields}
    form = None if verb.form is None else await verb.form(site.board, given)
    named |= set() if form is None else {"form", *(one.field for one in form.inputs)}
    html = render(
        "ask.html",
        verb=verb,
        form=form,
        problems=problems or {},
        ask=given,
        ids=ids,
        shown=ids[:_SHOWN_IDS],
        defaults=defaults,
        kept=[(name, value) for name, value in kept if name not in named],
        csrf=session.csrf,
        may_change=session.may_change,
        to=inside(given.get("to") or _back(request)),
        total=await total_of(site, given) if given.get("scope") == "all" else None,
        queues=site.board.sampler.names,
        states=inspect.STATES,
        has_veil="••" in "".join(defaults.values()),
    )
    return html_page(site, request, session, html, 400 if problems else 200)


def _back(request: Request) -> str:
    """Where the question was asked from."""
    _, found, path = request.headers.get("referer", "").partition(request.headers.get("host", "\0"))
    return path if found else "/board"


def _sees(site: Site, session: Session) -> bool:
    return session.unveiled or not site.board.plan.veil


async def total_of(site: Site, given: Ask) -> int | None:
    """How many match now; None where only a search can know."""
    if any(given.get(name) for name in FIELDS if name not in {"queue", "state"}) or not given.get("state"):
        return None
    names = [given.get("queue")] if given.get("queue") else site.board.sampler.names
    counts = [await inspect.counts(site.board.channel(name)) for name in names]
    return sum(each[inspect.check_state(given.get("state"))] for each in counts)


# ------------------------------------------------------------------------------------------------ doing
async def do(site: Site, request: Request, session: Session, form: Ask) -> Response:
    given = Ask(form.fields, session.may_change, _sees(site, session), form.lists)
    verb, by = verb_of(given.get("verb")), _who(request, session)
    to = inside(given.get("to") or "/board")
    if verb.target == "job" and (given.get("scope") == "all" or len(given.many("id")) > 1):
        batch = begin(
            site, verb, given, by=by, total=await total_of(site, given) if given.get("scope") == "all" else None
        )
        assert batch.task is not None
        await asyncio.wait([batch.task], timeout=_PATIENCE_SECONDS)
        if batch.is_running or batch.problems:
            return RedirectResponse(link("/batch", id=batch.id, to=to), 303)
        return _told(site, request, session, to, Done(summary(batch)))
    try:
        done = await perform(site, verb, given, by=by)
    except FieldProblems as error:
        return await _question(site, request, session, given, error.problems)
    except InvalidInput as error:
        if not verb.fields:
            raise
        return await _question(site, request, session, given, {"": str(error)})
    return _told(site, request, session, to, done)


async def perform(site: Site, verb: Verb, given: Ask, *, by: str) -> Done:
    """One action on one thing, with its line in the log. Raises OxcartError."""
    what = " ".join(part for part in (verb.target, given.get("id"), given.get("queue")) if part)
    try:
        done = await verb.run(site.board, given)
    except OxcartError:
        site.board.plan.emit(BoardChanged(verb.id, what[:200], 0, 1, by))
        raise
    site.board.plan.emit(BoardChanged(verb.id, what[:200], 1, 0, by))
    if verb.target == "queue":
        asked = " ".join(f"{field.name}={given.get(field.name)}" for field in verb.fields if given.get(field.name))
        await audit(site.board.channel(given.needed("queue")), verb.id, asked, 0, who=by)
    return done


def begin(site: Site, verb: Verb, given: Ask, *, by: str, total: int | None) -> Batch:
    """One action on many jobs: those named, or all that match. Raises OxcartError."""
    if verb.target != "job" or not verb.many:
        raise InvalidInput(tr("This is done for one job at a time."))
    if given.get("scope") == "all":
        jobs = all_that_match(site.board, given, MOST_AT_ONCE)
        what = " ".join(f"{name}={given.get(name)}" for name in FIELDS if given.get(name)) or "everything"
    else:
        jobs, total = _named(given), len(given.many("id"))
        what = f"{total} jobs of {given.get('queue')}"
    return site.batches.start(verb, given, jobs, what=what[:200], by=by, total=total)


def _told(site: Site, request: Request, session: Session, to: str, done: Done) -> Response:
    response = RedirectResponse(to, 303)
    undo = None if done.undo is None else {"verb": done.undo.verb, "fields": dict(done.undo.fields)}
    site.access.tell(response, request, session, {"text": done.text[:500], "undo": undo})
    return response


def _who(request: Request, session: Session) -> str:
    peer = request.client.host if request.client is not None else "?"
    return f"session {session.id[:8]} from {peer}"


async def _named(given: Ask) -> Jobs:
    yield given.needed("queue"), list(dict.fromkeys(given.many("id")))


# ------------------------------------------------------------------------------------------------ many at once
def summary(batch: Batch) -> str:
    said = tr("{label}: {done} done.", label=tr(batch.verb.label), done=batch.done)
    return said if not batch.refused else said + " " + tr("{count} not possible.", count=batch.refused)


async def batch(site: Site, request: Request, session: Session) -> Response:
    given = fields_of(request.url.query)
    found = site.batches.get(given.get("id"))
    to = inside(given.get("to") or "/board")
    html = render("batch.html", batch=found, summary=summary(found), to=to, csrf=session.csrf, may=session.may_change)
    return html_page(site, request, session, html)


async def stop(site: Site, _: Request, __: Session, form: Ask) -> Response:
    found = site.batches.stop(form.get("id"))
    return RedirectResponse(link("/batch", id=found.id, to=inside(form.get("to"))), 303)
