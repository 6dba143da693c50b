"""How is one stream read from end to end? As its record says: at once, by pages, by the last change, by windows."""

from __future__ import annotations

from oxcart.kommo.entity import Walk
from oxcart.kommo.pages import FiltersIgnored, Page, Row, broken_of, rows_of, walk_changes
from oxcart.kommo.sync.cursors import Checkpoint, Ended
from oxcart.kommo.sync.learning import note_filters
from oxcart.kommo.sync.lists import read_list
from oxcart.kommo.sync.stream import LOOKBACK_SECONDS, Stream, moment
from oxcart.kommo.sync.windows import read_windows


async def read_stream(stream: Stream, *, can_filter: bool) -> None:
    """Raises KommoError, LeaseLost, and what the database does; what was kept by then stays, and the next run goes on.

    A list that turns out to ignore its filters is read by pages from now on.
    """
    match stream.entity.walk:
        case Walk.ONCE:
            await _read_once(stream)
        case Walk.PAGES:
            await read_list(stream, prunes=True)
        case _ if not can_filter:
            await read_list(stream, prunes=False)
        case Walk.CHANGES | Walk.WINDOW:
            try:
                await (_read_changes if stream.entity.walk is Walk.CHANGES else read_windows)(stream)
            except FiltersIgnored:
                await _note_filters(stream, work=False)
                await read_list(stream, prunes=False)
            else:
                if stream.full:
                    await _note_filters(stream, work=True)


async def _read_once(stream: Stream) -> None:
    entity = stream.entity
    answer = await stream.reader.get(entity.path, stream.query)
    rows: list[Row] = rows_of(answer.body, entity.key) if entity.key else _alone(answer.body)
    at = moment(answer.server_time)
    broken = broken_of(answer.body, entity.key)
    await stream.keep(Page(1, rows, False, answer.server_time, broken=broken), Ended(at, at))


async def _read_changes(stream: Stream) -> None:
    """From the last second that is known, oldest change first. Each page's end is where a next run can begin."""
    entity = stream.entity
    start, began = _begin(stream)
    pages = walk_changes(stream.reader.get, entity.path, entity.key, stream.query, since=start, limit=entity.limit)
    until = None
    async for page in pages:
        until = until or int(moment(page.server_time).timestamp())
        began = began or until
        then = (
            Ended(moment(until), moment(began) if stream.full else None)
            if page.resume_at is None
            else Checkpoint("changes", page.resume_at, began=began, read_until=until, full=stream.full)
        )
        await stream.keep(page, then)


def _begin(stream: Stream) -> tuple[int, int | None]:
    """The first second to ask for, and when the walk began if it did.

    What a killed run had read in its last minutes may since have got rows that appear late.
    """
    stands = stream.cursor.checkpoint
    if stands is not None and stands.walk == "changes":
        return max(min(stands.at, stands.read_until - LOOKBACK_SECONDS), 0), stands.began
    return (0 if stream.full else stream.since()), None


async def _note_filters(stream: Stream, *, work: bool) -> None:
    account = stream.account
    async with account.database.writing("Noting whether filters work") as connection:
        await note_filters(connection, account.connection_id, stream.entity, work=work)


def _alone(body: object) -> list[Row]:
    """The account, without the time of day that it tells beside its time zone: that is no change."""
    if not isinstance(body, dict) or body.get("id") is None:
        return []
    embedded = body.get("_embedded")
    dates = embedded.get("datetime_settings") if isinstance(embedded, dict) else None
    if isinstance(embedded, dict) and isinstance(dates, dict):
        still = {name: value for name, value in dates.items() if name != "timestamp"}
        return [{**body, "_embedded": {**embedded, "datetime_settings": still}}]
    return [body]
