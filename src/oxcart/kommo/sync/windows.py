"""How is a list read that has a filter by time, but no order by it? In windows; one counts when it is read whole.

A window with many pages is halved, and the next ones are as wide as what was found to fit.
"""

from __future__ import annotations

from functools import partial

from oxcart.kommo.client import Query
from oxcart.kommo.entities import EVENTS
from oxcart.kommo.entity import Entity
from oxcart.kommo.pages import FiltersIgnored, Page, read_page, times_of, walk
from oxcart.kommo.store.account_settings import load_account_settings
from oxcart.kommo.sync.cursors import Checkpoint, Ended
from oxcart.kommo.sync.lists import read_list
from oxcart.kommo.sync.stream import LOOKBACK_SECONDS, Stream, Then, moment

_FOREVER = 2**31 - 1

MOST_PAGES = 20
"""Of a window: what is read again when a process was killed in the middle of one, or it did not fit."""


async def read_windows(stream: Stream) -> None:
    """Raises FiltersIgnored. The first walk of rows that change is by pages: by windows it would miss what is edited
    from one that is still to come into the time after the walk; that belongs to the next one.
    """
    is_first = stream.cursor.checkpoint is None and stream.full and _changes(stream.entity)
    if is_first or stream.goes_on_by_page:
        await read_list(stream, prunes=False)
        return
    until = await stream.reader.now()
    start, began, width = await _begin(stream, until)
    fitted = 0
    while True:
        last = min(start + width - 1, until)
        width = last - start + 1
        then = _after(stream, last, began, until, width)
        # An integration may have set a time that is still to come.
        end = _FOREVER if last >= until and _changes(stream.entity) else last
        pages = await _read_window(stream, start, end, then, is_new=width > fitted, splits=width > 1)
        if pages > MOST_PAGES and width > 1:
            width //= 2
            continue
        if last >= until:
            return
        start, fitted = last + 1, width
        width = width * 2 if pages <= MOST_PAGES // 2 else width


async def _begin(stream: Stream, until: int) -> tuple[int, int, int]:
    """The first second, when the walk began, and how wide to try."""
    stands = stream.cursor.checkpoint
    if stands is not None and stands.walk == "windows":
        start = max(min(stands.at, stands.read_until - LOOKBACK_SECONDS, until), 0)
        return start, stands.began, stands.width or until - start + 1
    start = min(await _first_second(stream) if stream.full else stream.since(), until)
    return start, until, until - start + 1


async def _first_second(stream: Stream) -> int:
    """Nothing has happened in an account before it was made."""
    async with stream.account.database.reading("Looking when the account was made") as connection:
        settings = await load_account_settings(connection, stream.account.connection_id)
    created = settings.get("created_at")
    return created if isinstance(created, int) and created > 0 else 0


def _after(stream: Stream, last: int, began: int, until: int, width: int) -> Then:
    if last >= until:
        return Ended(moment(until), moment(began) if stream.full else None)
    return Checkpoint("windows", last + 1, began=began, read_until=until, full=stream.full, width=width)


async def _read_window(stream: Stream, first: int, last: int, then: Then, *, is_new: bool, splits: bool) -> int:
    """How many pages it has; more than MOST_PAGES if it is to be split, for then it was not read to its end.

    `then` is what the cursor says once it is whole. `is_new`: none as wide has been read; whether it has too many pages
    is asked for before they are all read. Rows that change can leave the window while it is read, and move
    others over the edge of a page towards us: of several pages, those are read on the way back, too.
    """
    query, entity = _query(stream, first, last), stream.entity
    count, pages = 0, partial(walk, stream.reader.get, entity.path, entity.key, query, limit=entity.limit)
    async for page in pages():
        _check(entity, page, first, last)
        count = page.number
        is_split = page.has_more and splits and (count >= MOST_PAGES or (is_new and count == 1))
        is_split = is_split and (count > 1 or await _has_too_many(stream, query))
        is_end = not page.has_more and (count == 1 or not _changes(entity))
        await stream.keep(page, then if is_end else None)
        if is_split:
            return MOST_PAGES + 1
    if count > 1 and _changes(entity):
        async for page in pages(first=count - 1, back=True):
            await stream.keep(page, then if page.number == 1 else None)
    return min(count, MOST_PAGES)


async def _has_too_many(stream: Stream, query: Query) -> bool:
    entity, get = stream.entity, stream.reader.get
    page = await read_page(get, entity.path, entity.key, query, number=MOST_PAGES + 1, limit=entity.limit)
    return bool(page.rows)


def _query(stream: Stream, first: int, last: int) -> Query:
    entity = stream.entity
    window: Query = [(f"filter[{entity.cursor}][from]", first), (f"filter[{entity.cursor}][to]", last)]
    order: Query = [(f"order[{entity.order}]", "asc")] if entity.order is not None else []
    return [*stream.query, *window, *order]


def _changes(entity: Entity) -> bool:
    return entity is not EVENTS


def _check(entity: Entity, page: Page, first: int, last: int) -> None:
    """A row that was edited since its list was made may be later than the window; what never changes may not."""
    times = times_of(page.rows, str(entity.cursor))
    if any(at < first or (at > last and not _changes(entity)) for at in times):
        raise FiltersIgnored
