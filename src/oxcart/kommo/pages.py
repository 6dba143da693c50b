"""How is a whole list read? Page by page, or by the time of the last change, which edits and deletions cannot shift."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from oxcart.errors import InvalidInput

if TYPE_CHECKING:
    from oxcart.kommo.client import Answer, Query

Row = dict[str, Any]
Get = Callable[[str, "Query"], Awaitable["Answer"]]

LARGEST_PAGE = 250
"""Kommo answers 422 to more."""


_LONGEST_ID = 200
_UNSETTLED_SECONDS = 60  # two servers' clocks, and an edit while a list is made


@dataclass(frozen=True, slots=True)
class Page:
    """`number` counts from 1. `has_more`: it is full, and so there may be another. `broken` are elements that are no
    rows, or have no id: of one that is no JSON its text.

    `resume_at` is of a walk of changes: the second where it can begin again once this page is kept; None at its end.
    """

    number: int
    rows: list[Row]
    has_more: bool
    server_time: int | None
    resume_at: int | None = None
    broken: tuple[Any, ...] = ()


class FiltersIgnored(Exception):  # noqa: N818 - tells the caller to read the list in another way
    """The list has rows from before the time that was asked for, or in no order: what it leaves out is unknown."""


async def walk(
    get: Get, path: str, key: str, query: Query = (), *, limit: int = LARGEST_PAGE, first: int = 1, back: bool = False
) -> AsyncIterator[Page]:
    """Every page from `first` to the one that is not full, or 204; with `back` from `first` to page 1.

    The `next` link decides nothing: some lists always have one, some full pages lack it. Nothing behind a full page is
    asked for twice: lists were seen to break off there. While others edit, rows can
    shift over the edge between two pages; `walk_changes` is safe from that. Raises what `get` raises, InvalidInput for
    a limit Kommo would refuse.
    """
    if not 1 <= limit <= LARGEST_PAGE:
        raise InvalidInput(f"Reading {path}: {limit} rows a page; Kommo allows 1 to {LARGEST_PAGE}.")
    number = first
    while number > 0:
        page = await read_page(get, path, key, query, number=number, limit=limit)
        if number > max(first, 1) and not (back or page.rows):
            page = await read_page(get, path, key, query, number=number, limit=limit)
        yield page
        if not (back or page.has_more):
            return
        number += -1 if back else 1


async def read_page(
    get: Get, path: str, key: str, query: Query = (), *, number: int, limit: int = LARGEST_PAGE
) -> Page:
    answer = await get(path, [*query, ("page", number), ("limit", limit)])
    count, rows = len(_list_of(answer.body, key)), rows_of(answer.body, key)
    has_more = count > 0 and count >= min(limit, _page_size(answer.body))
    return Page(number, rows, has_more, answer.server_time, broken=broken_of(answer.body, key))


async def walk_changes(
    get: Get, path: str, key: str, query: Query = (), *, since: int, limit: int = LARGEST_PAGE
) -> AsyncIterator[Page]:
    """All rows with since <= updated_at, oldest change first; a row may come twice, none is missed.

    Each request begins at the last second seen and asks for page 1, so that a row that is edited or deleted behind us
    shifts nothing. A second with more rows than a page is read by page, there and back: on the way back a row that goes
    moves the others towards us. Needs a list that Kommo can filter and order by updated_at; raises FiltersIgnored where
    it does not. Times that are still to come are read, too: an integration may have set them. Page.number counts the
    requests.
    """
    start, requests = since, 0
    seen: set[Any] = set()

    async def read(since: int, until: int | None = None, **where: Any) -> AsyncIterator[Page]:
        nonlocal requests
        window: Query = [("filter[updated_at][from]", since)]
        window = [*window, ("filter[updated_at][to]", until)] if until is not None else window
        pairs = [*query, *window, ("order[updated_at]", "asc")]
        async for page in walk(get, path, key, pairs, limit=limit, **where):
            requests += 1
            if any(at < since for at in times_of(page.rows)):
                raise FiltersIgnored
            yield replace(page, number=requests)

    while True:
        page = await anext(read(start))
        if seen and not page.rows:  # what was there a moment ago is not
            page = await anext(read(start))
        last = _last_second(page, start)
        yield replace(_without(page, seen), resume_at=last if page.has_more else None)
        if not page.has_more:
            return
        seen = {row["id"] for row in page.rows if seconds_of(row.get("updated_at")) == last}
        if last > start:
            start = last
            continue
        there = 1
        async for page in read(start, start, first=2):
            there += 1
            yield replace(_without(page, seen), resume_at=start)
        async for page in read(start, start, first=there - 1, back=True):
            there -= 1
            yield replace(_without(page, seen), resume_at=start if there > 1 else start + 1)
        start, seen = start + 1, set()


def _last_second(page: Page, start: int) -> int:
    """How far the page goes. A row that was edited since its list was made shows the time of that edit, which is not
    where it stands: times around now are taken only where there are no others.

    Raises FiltersIgnored for a list that goes on, and is in another order.
    """
    now, times = page.server_time, times_of(page.rows)
    settled = [at for at in times if now is None or abs(at - now) > _UNSETTLED_SECONDS]
    if page.has_more and settled != sorted(settled):
        raise FiltersIgnored
    return settled[-1] if settled else max(times, default=start)


def times_of(rows: list[Row], name: str = "updated_at") -> list[int]:
    """Of the rows that have one."""
    return [at for row in rows if (at := seconds_of(row.get(name))) is not None]


def seconds_of(value: Any) -> int | None:
    """Epoch seconds; None for what is no time."""
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = float(value)
    is_time = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 2**53
    return int(value) if is_time else None


def _without(page: Page, seen: set[Any]) -> Page:
    """The page without the rows that were seen at this second, which are then those, too."""
    fresh = [row for row in page.rows if row["id"] not in seen]
    seen |= {row["id"] for row in fresh}
    return replace(page, rows=fresh)


def rows_of(body: Any, key: str) -> list[Row]:
    """The rows of a list's answer. PHP writes an empty object as [], and an absent list as null. Incoming leads have
    their id as `uid`, and get an `id` beside it.
    """
    rows = _list_of(body, key)
    return [row if "id" in row else {"id": row["uid"], **row} for row in rows if is_row(row)]


def broken_of(body: Any, key: str) -> tuple[Any, ...]:
    return tuple(element for element in _list_of(body, key) if not is_row(element))


def is_row(element: Any) -> bool:
    """Whether it has an id that can be one."""
    row_id = element.get("id", element.get("uid")) if isinstance(element, dict) else None
    is_text = isinstance(row_id, str) and 0 < len(row_id) <= _LONGEST_ID
    return is_text or (isinstance(row_id, int) and not isinstance(row_id, bool) and abs(row_id) < 2**63)


def _list_of(body: Any, key: str) -> list[Any]:
    embedded = body.get("_embedded") if isinstance(body, dict) else None
    rows = embedded.get(key) if isinstance(embedded, dict) else None
    return rows if isinstance(rows, list) else []


def _page_size(body: Any) -> int:
    """How many rows a page has that a list cuts smaller than was asked, by its link to itself."""
    try:
        return int(dict(parse_qsl(urlsplit(body["_links"]["self"]["href"]).query))["limit"])
    except (LookupError, TypeError, ValueError):
        return LARGEST_PAGE
