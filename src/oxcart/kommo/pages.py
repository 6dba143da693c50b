"""How is a whole list read? Page by page, or by the time of the last change, which edits and deletions cannot shift."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from oxcart.errors import InvalidInput

if TYPE_CHECKING:
    from oxcart.kommo.client import Answer, Query

Row = dict[str, Any]
Get = Callable[[str, "Query"], Awaitable["Answer"]]

LARGEST_PAGE = 250
"""Kommo answers 422 to more."""


_UNSETTLED_SECONDS = 60  # two servers' clocks, and an edit while a list is made


@dataclass(frozen=True, slots=True)
class Page:
    """`number` counts from 1. `broke_off`: a next page had been promised, and was empty; the list moved under us.

    `resume_at` is of a walk of changes: the second where it can begin again once this page is kept; None at its end.
    """

    number: int
    rows: list[Row]
    has_more: bool
    server_time: int | None
    broke_off: bool = False
    resume_at: int | None = None


class FiltersIgnored(Exception):  # noqa: N818 - tells the caller to read the list in another way
    """The list has rows from before the time that was asked for, or in no order: what it leaves out is unknown."""


async def walk(
    get: Get, path: str, key: str, query: Query = (), *, limit: int = LARGEST_PAGE, first: int = 1
) -> AsyncIterator[Page]:
    """Every page from `first` until Kommo links no next one, or answers 204. A short page is no end.

    The link's own address is not used: it drops parameters. While others edit, rows can shift over the edge between two
    pages; `walk_changes` is safe from that. Raises what `get` raises, InvalidInput for a limit Kommo would refuse.
    """
    if not 1 <= limit <= LARGEST_PAGE:
        raise InvalidInput(f"Reading {path}: {limit} rows a page; Kommo allows 1 to {LARGEST_PAGE}.")
    number = first
    while True:
        page = await read_page(get, path, key, query, number=number, limit=limit)
        yield replace(page, broke_off=not page.rows and number > 1)
        if not page.has_more:
            return
        number += 1


async def read_page(
    get: Get, path: str, key: str, query: Query = (), *, number: int, limit: int = LARGEST_PAGE
) -> Page:
    answer = await get(path, [*query, ("page", number), ("limit", limit)])
    has_more = answer.body is not None and has_next(answer.body)
    return Page(number, rows_of(answer.body, key), has_more, answer.server_time)


async def walk_changes(
    get: Get, path: str, key: str, query: Query = (), *, since: int, until: int | None = None, limit: int = LARGEST_PAGE
) -> AsyncIterator[Page]:
    """All rows with since <= updated_at (<= until), oldest change first; a row may come twice, none is missed.

    Each request begins at the last second seen and asks for page 1, so that a row that is edited or deleted behind us
    shifts nothing. A second with more rows than a page is read by page, there and back: on the way back a row that goes
    moves the others towards us. Needs a list that Kommo can filter and order by updated_at; raises FiltersIgnored where
    it does not. What changes after `until`, by default the server's time of the first answer, belongs to the next walk.
    Page.number counts the requests.
    """
    start, requests = since, 0
    seen: set[Any] = set()

    async def read(first: int, last: int | None, number: int) -> Page:
        nonlocal requests
        requests += 1
        window: list[tuple[str, str | int]] = [("filter[updated_at][from]", first)]
        if last is not None:
            window.append(("filter[updated_at][to]", last))
        pairs = [*query, *window, ("order[updated_at]", "asc")]
        page = await read_page(get, path, key, pairs, number=number, limit=limit)
        if any(_changed_at(row) < first for row in page.rows):
            raise FiltersIgnored
        return replace(page, number=requests, has_more=bool(page.rows) and page.has_more)

    while until is None or start <= until:
        page = await read(start, until, 1)
        until = page.server_time if until is None else until
        last = _last_second(page, start, until)
        yield replace(_without(page, seen), resume_at=last if page.has_more else None)
        if not page.has_more:
            return
        seen = {row["id"] for row in page.rows if _changed_at(row) == last}
        if last > start:
            start = last
            continue
        number, has_more = 1, True
        while has_more:
            number += 1
            page = await read(start, start, number)
            has_more = page.has_more
            yield replace(_without(page, seen), resume_at=start)
        for back in range(number - 1, 0, -1):
            page = await read(start, start, back)
            yield replace(_without(page, seen), resume_at=start if back > 1 else start + 1)
        start, seen = start + 1, set()


def _last_second(page: Page, start: int, until: int | None) -> int:
    """How far the page goes. A row that was edited since its list was made shows the time of that edit, which is not
    where it stands: times around `until` are taken only where there are no others.

    Raises FiltersIgnored for a list that goes on, and is in another order.
    """
    times = [_changed_at(row) for row in page.rows]
    settled = [at for at in times if until is None or at < until - _UNSETTLED_SECONDS]
    if page.has_more and settled != sorted(settled):
        raise FiltersIgnored
    return settled[-1] if settled else max((at for at in times if until is None or at <= until), default=start)


def _changed_at(row: Row) -> int:
    return int(row.get("updated_at") or 0)


def _without(page: Page, seen: set[Any]) -> Page:
    """The page without the rows that were seen at this second, which are then those, too."""
    fresh = [row for row in page.rows if row["id"] not in seen]
    seen |= {row["id"] for row in fresh}
    return replace(page, rows=fresh)


def rows_of(body: Any, key: str) -> list[Row]:
    """The rows of a list's answer. PHP writes an empty object as [], and an absent list as null."""
    embedded = body.get("_embedded") if isinstance(body, dict) else None
    rows = embedded.get(key) if isinstance(embedded, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def has_next(body: Any) -> bool:
    links = body.get("_links") if isinstance(body, dict) else None
    return isinstance(links, dict) and bool(links.get("next"))
