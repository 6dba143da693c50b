"""Which jobs does somebody look for, in all queues and states? It goes on while its page is open."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from oxcart.board.core import Ask, Board
from oxcart.board.job_view import row_of
from oxcart.board.rows import read_jobs
from oxcart.errors import OxcartError, StateConflict
from oxcart.handlers import parse_duration_ms
from oxcart.language import tr
from oxcart.own_tasks import start_own_task
from oxcart.queue.inspect import check_state
from oxcart.queue.search import Filter, parse_data, search

STATES = ("active", "failed", "waiting", "prioritized", "delayed", "waiting-children", "paused", "completed")
"""In the order in which they are looked through: what somebody looks for at night comes first."""

MOST_FOUND, SHOWN = 1000, 50
FIELDS = ("text", "queue", "state", "name", "reason", "data", "since", "until", "attempts")
_MOST_AT_ONCE, _FORGOTTEN_SECONDS, _KEPT_SECONDS, _FIRST_SECONDS = 4, 8.0, 60.0, 0.4
_CONDITION = re.compile(r"data\.([^\s=]+)\s*=\s*(.+)", re.DOTALL)


@dataclass(slots=True)
class Search:
    """`state` is running, done, full (there is more), stopped or failed. `found` are (queue, state, id)."""

    wanted: Filter
    places: Sequence[tuple[str, str]]
    asked_at: float
    state: str = "running"
    found: list[tuple[str, str, str]] = field(default_factory=list)
    looked: int = 0
    total: int = 0
    problem: str = ""
    task: asyncio.Task[None] | None = None


def filter_of(board: Board, ask: Ask) -> Filter:
    """Raises InvalidInput for what cannot be meant. `data.lead.id = 42` in the text is a condition on the data."""
    text, data = ask.get("text"), [parse_data(ask.get("data"))] if ask.get("data") else []
    condition = _CONDITION.fullmatch(text)
    if condition is not None:
        data, text = [*data, (condition[1], condition[2].strip())], ""
    names = tuple(name.strip() for name in ask.get("name").split(",") if name.strip())
    ages = (ask.get("since"), ask.get("until"))
    since_ms, until_ms = (board.now_ms - round(parse_duration_ms(age)) if age else None for age in ages)
    attempts = ask.number("attempts", 0, 0, 1_000_000) or None
    reason = ask.get("reason") or None
    return Filter(names, since_ms, reason, tuple(data), text or None, until_ms=until_ms, attempts=attempts)


def places_of(board: Board, ask: Ask) -> list[tuple[str, str]]:
    """(state, queue), state by state."""
    names = [ask.get("queue")] if ask.get("queue") else board.sampler.names
    states = [check_state(ask.get("state"))] if ask.get("state") else STATES
    return [(state, name) for state in states for name in names]


async def searched(board: Board, ask: Ask) -> dict[str, Any]:
    """What was found so far. The same question asked again goes on with the same search; who only wants to see what is
    there (`still`) does not keep it going.
    """
    if not any(ask.get(name) for name in FIELDS):
        return {**_shown(ask), "jobs": [], "running": False, "asked": False, "now": board.now_ms}
    one = _find_or_start(board, ask)
    if one.task is not None and not one.task.done():
        await asyncio.wait([one.task], timeout=_FIRST_SECONDS)
    is_running = one.state == "running" and not ask.get("still")
    start = ask.number("after", 0, 0, MOST_FOUND)
    page = one.found[start : start + SHOWN]
    return {
        **_shown(ask),
        "jobs": await _rows(board, page, ask),
        "found": len(one.found),
        "total": len(one.found) if one.state == "done" else None,
        "after": start + SHOWN if start + SHOWN < len(one.found) else None,
        "first": start == 0,
        "looked": one.looked,
        "most": one.total,
        "running": is_running,
        "outcome": "stopped" if one.state == "running" and not is_running else one.state,
        "problem": one.problem,
        "asked": True,
        "now": board.now_ms,
    }


def _shown(ask: Ask) -> dict[str, Any]:
    return {"wanted": {name: ask.get(name) for name in FIELDS}, "queue": ask.get("queue"), "state": ask.get("state")}


async def all_that_match(board: Board, ask: Ask, most: int) -> AsyncIterator[tuple[str, list[str]]]:
    """(queue, ids) of everything that matches now, at most `most`; collected before anything is changed, for what is
    changed moves, and what moves while it is looked for may be met twice.
    """
    wanted, found = filter_of(board, ask), dict[str, list[str]]()
    left = most
    for state, name in places_of(board, ask):
        async for run in search(board.channel(name), state, wanted, oldest_first=True):
            found.setdefault(name, []).extend(hit.id for hit in run[:left])
            left -= len(run[:left])
            if left <= 0:
                break
    for name, ids in found.items():
        yield name, ids


def _key(ask: Ask) -> tuple[str, ...]:
    return tuple(ask.get(name) for name in FIELDS)


def _find_or_start(board: Board, ask: Ask) -> Search:
    """Raises StateConflict if too many run."""
    now, known = time.monotonic(), board.searches
    for key, old in list(known.items()):
        if old.state != "running" and now - old.asked_at > _KEPT_SECONDS:
            del known[key]
    one: Search | None = known.get(_key(ask))
    if one is not None and (one.state == "running" or now - one.asked_at < _FORGOTTEN_SECONDS):
        if one.state == "running" and not ask.get("still"):
            one.asked_at = now
        return one
    if sum(other.state == "running" for other in known.values()) >= _MOST_AT_ONCE:
        raise StateConflict(tr("Several searches are under way. Wait until one has ended, or stop it."))
    one = Search(filter_of(board, ask), places_of(board, ask), now)
    known[_key(ask)] = one
    one.task = start_own_task(_run(board, one, ask.get("text")), "board:search")
    return one


async def _run(board: Board, one: Search, text: str) -> None:
    try:
        await _look_for_id(board, one, text)
        for state, name in one.places:
            await _look_through(board, one, state, name)
            if len(one.found) >= MOST_FOUND:
                one.state = "full"
                return
        one.state = "done"
    except asyncio.CancelledError:
        one.state = "stopped"
    except OxcartError as error:
        one.state, one.problem = "failed", str(error)


async def _look_for_id(board: Board, one: Search, text: str) -> None:
    """Whoever has an id need not wait for a look through everything."""
    names = list(dict.fromkeys(name for _, name in one.places))
    if not text or len(text) > 500 or len(one.places) == len(names):
        return
    for name in names:
        cut = await read_jobs(board.channel(name), [text])
        if cut[0].job.fields.get("timestamp"):
            one.found.append((name, "", text))


async def _look_through(board: Board, one: Search, state: str, name: str) -> None:
    known, before = {(queue, job_id) for queue, _, job_id in one.found}, one.looked
    runs = search(
        board.channel(name), state, one.wanted, progress=lambda looked, total: _tell(one, before, looked, total)
    )
    async for run in runs:
        one.found += [(name, state, hit.id) for hit in run if (name, hit.id) not in known]
        if len(one.found) >= MOST_FOUND:
            del one.found[MOST_FOUND:]
            return
        if time.monotonic() - one.asked_at > _FORGOTTEN_SECONDS:
            raise asyncio.CancelledError  # nobody looks any more


def _tell(one: Search, before: int, looked: int, total: int) -> None:
    one.looked = before + looked
    one.total = max(one.total, before + total)


async def _rows(board: Board, found: Sequence[tuple[str, str, str]], ask: Ask) -> list[dict[str, Any]]:
    by_queue: dict[str, list[str]] = {}
    for name, _, job_id in found:
        by_queue.setdefault(name, []).append(job_id)
    read = {name: await read_jobs(board.channel(name), ids) for name, ids in by_queue.items()}
    cuts = {(name, cut.job.id): cut for name, each in read.items() for cut in each}
    return [row_of(cuts[name, job_id], state, ask) for name, state, job_id in found]
