"""How is an account synchronised? Stream after stream, each alone under its lease, each from where it stands.

May be killed at any point and run again, also by several processes at once: a stream that another one is reading is
skipped. What concerns one stream ends that stream; what concerns the account or this machine ends the run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from oxcart import clock
from oxcart.errors import InvalidInput
from oxcart.kommo.account import Account
from oxcart.kommo.entities import ACCOUNT, ENTITIES, EVENTS
from oxcart.kommo.entity import Entity, Walk
from oxcart.kommo.failures import Gone, KommoError, NoRights, Refused, ServerTrouble
from oxcart.kommo.store.account_settings import load_account_settings
from oxcart.kommo.store.entity_tables import table_of
from oxcart.kommo.store.holding import Hold, LeaseLost, hold_lease
from oxcart.kommo.store.rows import count_rows
from oxcart.kommo.sync.cursors import Cursor, load_cursor
from oxcart.kommo.sync.learning import can_filter, is_left_out
from oxcart.kommo.sync.progress import Listener, Meter
from oxcart.kommo.sync.stream import Reader, Stream
from oxcart.kommo.sync.walks import read_stream

Mode = Literal["full", "incremental", "skipped"]

LEASE_SECONDS = 15.0
"""So long a stream waits for another process after its holder was killed; renewed three times as often."""

_MOST_SILENT = 2  # each was asked three times
_GO_ON_SECONDS = 86_400
"""A walk of everything that was cut off less than this ago goes on; an older one, when asked for again, begins anew."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one stream. `full`: every row was read. `skipped`: another process is reading it now, the account
    has none of it, or nobody has asked for it by its name and it is left out by the settings, was read within the hour,
    or may not be read by this user.

    `changed` rows are now another here than before, `deleted` ones are gone there. `error` is a sentence.
    """

    entity: str
    mode: Mode
    pages: int = 0
    rows: int = 0
    changed: int = 0
    deleted: int = 0
    requests: int = 0
    seconds: float = 0.0
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "seconds": round(self.seconds, 3)}


async def fetch_what_is_marked(account: Account) -> Any:
    from oxcart.kommo.sync.marked import fetch_marked

    return await fetch_marked(account)


async def sync_account(
    account: Account,
    names: Sequence[str] | None = None,
    *,
    full: bool = False,
    on_progress: Listener | None = None,
    confirm: Callable[[Account], Awaitable[Any]] = fetch_what_is_marked,
    lease_seconds: float = LEASE_SECONDS,
) -> list[Outcome]:
    """Read what changed since the last run, of all streams or of those named; with `full` everything there is.

    Where events were read, `confirm` then reads by id what they marked. An outcome's `requests` do not count those.
    Raises InvalidInput for a name that there is not; KommoError (Blocked, TooManyRequests, Unpaid, Unauthorized, and
    ServerTrouble when Kommo gives no answer at all), Unavailable, StoreRefused and SettingsError, which concern more
    than one stream. What was done by then is kept.
    """
    entities = choose_entities(names)
    expected = await _expected(account, entities) if full else {}
    async with account.database.reading("Reading what is known of the account") as connection:
        settings = await load_account_settings(connection, account.connection_id)
    meter = Meter([entity.name for entity in entities], expected, on_progress)
    run = _Run(account, full, meter, Reader(account.client), lease_seconds, settings, is_named=names is not None)
    outcomes = [await run.sync(entity) for entity in entities]
    if EVENTS in entities:
        outcomes = await _confirmed(confirm(account), outcomes)
    return outcomes


async def _confirmed(reading: Awaitable[Any], outcomes: list[Outcome]) -> list[Outcome]:
    """What was not read stays marked for the next run, so that one entity's trouble is said, and no more."""
    try:
        await reading
    except (NoRights, Refused, Gone, ServerTrouble) as failure:
        error = f"Reading what events told of: {failure}"
        return [replace(one, error=one.error or error) if one.entity == EVENTS.name else one for one in outcomes]
    return outcomes


def choose_entities(names: Collection[str] | None) -> list[Entity]:
    """In the order of ENTITIES. Raises InvalidInput."""
    unknown = sorted(set(names or ()) - ENTITIES.keys())
    if unknown:
        raise InvalidInput(
            f"There is nothing named {', '.join(unknown)} to synchronise; there are {', '.join(ENTITIES)}."
        )
    return [entity for name, entity in ENTITIES.items() if names is None or name in names]


async def _expected(account: Account, entities: Sequence[Entity]) -> dict[str, int]:
    """How many rows each will have, by how many are here; of streams that were never read to their end: nothing."""
    found = {}
    async with account.database.reading("Counting rows") as connection:
        for entity in entities:
            cursor = await load_cursor(connection, account.connection_id, entity.name)
            table, scope = table_of(entity, account.connection_id)
            if cursor.full_walk_at is not None:
                alive, dead = await count_rows(connection, table, scope)
                found[entity.name] = dead if entity.marks_deleted else alive
    return found


@dataclass(slots=True)
class _Run:
    account: Account
    full: bool
    meter: Meter
    reader: Reader
    lease_seconds: float
    settings: dict[str, Any] = field(default_factory=dict)
    is_named: bool = False
    silent: int = 0  # streams in a row to which Kommo gave no answer at all

    async def sync(self, entity: Entity) -> Outcome:
        began = clock.monotonic()
        self.meter.begin()
        account = self.account
        if not self.is_named and is_left_out(account, self.settings, entity):
            await self.meter.end(entity.name)
            return Outcome(entity.name, "skipped")
        scope = f"sync:{account.connection_id}:{entity.name}"
        async with hold_lease(account.database, scope, seconds=self.lease_seconds) as lease:
            outcome = Outcome(entity.name, "skipped") if lease is None else await self._read(entity, lease)
        await self.meter.end(entity.name)
        return replace(outcome, seconds=clock.monotonic() - began)

    async def _read(self, entity: Entity, lease: Hold) -> Outcome:
        stream = await self._open(entity, lease)
        if await self._is_fresh(stream):
            return Outcome(entity.name, "skipped")
        asked = self.reader.requests
        filters = can_filter(self.settings, entity, probes=stream.full)
        error: str | None = None
        try:
            await read_stream(stream, can_filter=filters)
            await self._read_what_changed(stream)
            error = stream.tally.notice
            if error is not None:
                await stream.note_error(error)
        except (NoRights, Refused, Gone, ServerTrouble) as failure:
            error = _sentence(entity, failure)
            await self._note(stream, error)
            may_lack = (entity.needs_admin and isinstance(failure, NoRights)) or bool(entity.seldom_seconds)
            if may_lack and isinstance(failure, NoRights | Gone) and not self.is_named:
                return Outcome(entity.name, "skipped", requests=self.reader.requests - asked)
            self.silent = self.silent + 1 if failure.status == 0 else 0
            if self.silent >= _MOST_SILENT:
                raise
        except LeaseLost as failure:
            error = str(failure)
        except KommoError as failure:
            await self._note(stream, str(failure))
            raise
        else:
            self.silent = 0
        if entity is ACCOUNT:
            await self._load_settings()
        tally = stream.tally
        is_full = stream.full or entity.walk in {Walk.ONCE, Walk.PAGES} or not filters
        mode: Mode = "full" if is_full else "incremental"
        requests = self.reader.requests - asked
        return Outcome(entity.name, mode, tally.pages, tally.rows, tally.changed, tally.deleted, requests, error=error)

    async def _read_what_changed(self, stream: Stream) -> None:
        """Since a walk that has gone on by page read the pages before that one."""
        if stream.goes_on_by_page:
            again = replace(await self._open(stream.entity, stream.lease), tally=stream.tally)
            await read_stream(again, can_filter=can_filter(self.settings, stream.entity, probes=False))

    async def _is_fresh(self, stream: Stream) -> bool:
        """Whether a list that hardly changes was read not long ago."""
        at, seldom = stream.cursor.cursor_at, stream.entity.seldom_seconds
        if not seldom or self.is_named or self.full or at is None or stream.cursor.checkpoint is not None:
            return False
        return await self.reader.now() - at.timestamp() < seldom

    async def _open(self, entity: Entity, lease: Hold) -> Stream:
        """From its checkpoint where a run was cut off, unless everything is asked for anew."""
        async with self.account.database.reading(f"Reading the cursor of {entity.name}") as connection:
            cursor = await load_cursor(connection, self.account.connection_id, entity.name)
        stands = cursor.checkpoint
        if self.full and stands is not None and not (stands.full and await self._is_recent(stands.began)):
            cursor = Cursor(cursor.cursor_at, None, cursor.full_walk_at)
        full = self.full or cursor.cursor_at is None
        if cursor.checkpoint is not None:
            full = cursor.checkpoint.full
        requests = self.reader.requests
        return Stream(self.account, entity, cursor, lease, self.reader, self.meter, full, counted=requests)

    async def _is_recent(self, began: int) -> bool:
        return await self.reader.now() - began < _GO_ON_SECONDS

    async def _load_settings(self) -> None:
        async with self.account.database.reading("Reading what the account told") as connection:
            self.settings = await load_account_settings(connection, self.account.connection_id)

    async def _note(self, stream: Stream, error: str) -> None:
        """Whoever has the lease by now has the word."""
        try:
            await stream.note_error(error)
        except LeaseLost:
            return


def _sentence(entity: Entity, failure: KommoError) -> str:
    if entity.needs_admin and isinstance(failure, NoRights):
        return f"Reading {entity.name} needs an administrator's token; the one that is connected is another user's."
    return str(failure)
