"""How does something get into the account exactly once? Through the outbox, looked for before it is posted again.

A row is committed as `sent`, then posted. Where the answer is lost, or the process, the account is asked. What is found
is confirmed. What is not found is *not* posted again at once: Kommo's lists may be minutes late, and the first request
may still be under way. Only a list that Kommo makes SURE_SECONDS after the first that lacked it proves that it is not
there, by Kommo's own clock. Until then the row stays `sent`, and the job comes back.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.account import Account
from oxcart.kommo.batches import CHUNK, Written, write_rows
from oxcart.kommo.entity import Entity
from oxcart.kommo.failures import KommoError, RowProblem, ServerTrouble, TooManyRequests
from oxcart.kommo.pages import Row, rows_of
from oxcart.kommo.push import outbox
from oxcart.kommo.push.drafts import Draft, NewNote, NewTask, draft_of, posted_row
from oxcart.kommo.push.finding import find_posted
from oxcart.kommo.push.outbox import Item, Stage
from oxcart.kommo.store.database import now
from oxcart.kommo.sync.apply import apply_rows

SENDING_SECONDS = 120.0
"""How long one chunk may take with all its requests; then it is given up, and its rows are in doubt."""

LATE_SECONDS = 300.0
"""Lists were seen to be so late."""

SURE_SECONDS = SENDING_SECONDS + LATE_SECONDS + 60.0
"""The minute is for a request that Kommo carries out after we have given it up."""

_SOON_SECONDS = 5.0
_MOST_POSTS = 10
_FIRST_PROBLEMS = 3


@dataclass(frozen=True, slots=True)
class PushedRow:
    """`state` is pending, sent (perhaps), confirmed or failed; `remote_id` is set once it is confirmed."""

    key: str
    state: str
    remote_id: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Pushed:
    """One row for each thing given, in that order. `come_back_seconds`: call again then, with the same key.

    `error` is what stopped the work early; rows that it left pending were not posted.
    """

    rows: tuple[PushedRow, ...]
    come_back_seconds: float | None = None
    error: KommoError | None = None

    @property
    def is_done(self) -> bool:
        """Nothing more will happen to these rows."""
        return all(row.state in {Stage.CONFIRMED, Stage.FAILED} for row in self.rows)


async def push_notes(account: Account, key: str, notes: Sequence[NewNote], *, retry_failed: bool = False) -> Pushed:
    """Post each of them once, however often this is called with the key, by how many processes at once.

    `key` names what may be posted once only in this account: queue:jobId, or the payload's own id. What was first given
    under it is what is posted. Raises InvalidInput, SettingsError or Unavailable (of the database); Kommo's errors are
    in the answer. `retry_failed` tries rows again that Kommo refused.
    """
    return await _push(account, key, notes, retry_failed=retry_failed)


async def push_tasks(account: Account, key: str, tasks: Sequence[NewTask], *, retry_failed: bool = False) -> Pushed:
    """As push_notes."""
    return await _push(account, key, tasks, retry_failed=retry_failed)


async def _push(account: Account, key: str, new: Sequence[NewNote | NewTask], *, retry_failed: bool) -> Pushed:
    if not new:
        return Pushed(())
    drafts = {f"{key}#{number}": draft_of(one) for number, one in enumerate(new)}
    push = _Push(account, list(drafts))
    error: KommoError | None = None
    try:
        await push.enter(drafts, retry_failed=retry_failed)
        await push.post(await push.settle_doubts())
    except KommoError as stopped:
        error = stopped
    return await push.answer(error)


@dataclass(slots=True)
class _Push:
    account: Account
    keys: list[str]
    items: list[Item] = field(default_factory=list)
    looked_at: datetime | None = None

    async def enter(self, drafts: Mapping[str, Draft], *, retry_failed: bool) -> None:
        async def write(connection: AsyncConnection) -> None:
            whose = self.account.connection_id
            entered = await outbox.enter(connection, whose, drafts, at=await now(connection))
            if retry_failed:
                await outbox.reopen(connection, [item for item in entered if item.stage is Stage.FAILED])
            self.items = await outbox.read_items(connection, whose, self.keys)

        await self.account.database.write("Entering what is to be pushed", write)

    async def settle_doubts(self) -> list[Item]:
        """Looks for what may have been posted. Returns what may be posted now. Raises KommoError."""
        doubtful = [item for item in self.items if item.is_open and item.sent_at is not None]
        missing = await self.look_for(doubtful)
        fresh = [item for item in self.items if item.stage is Stage.PENDING and item.sent_at is None]
        proven = [item for item in missing if item.stage is Stage.PENDING or self._is_surely_missing(item)]
        hopeless = [item for item in proven if item.stage is Stage.SENT and item.attempts >= _MOST_POSTS]
        if hopeless:
            await self._give_up(hopeless)
        return fresh + [item for item in proven if item not in hopeless]

    async def look_for(self, items: Sequence[Item]) -> list[Item]:
        """Those that are not in the account, as far as its lists tell. Raises KommoError."""
        if not items:
            return []
        database = self.account.database
        async with database.reading("Looking at what was pushed") as connection:
            today = await now(connection)
        oldest = min((item.sent_at for item in items if item.sent_at is not None), default=today)
        ago = (today - oldest).total_seconds()
        looked = await find_posted(self.account.client, items, sent_seconds_ago=max(ago, 0.0))
        self.looked_at = looked.at
        missing = [item for item in items if item.id not in looked.found]

        async def write(connection: AsyncConnection) -> None:
            remote_ids = {row_id: str(raw["id"]) for row_id, raw in looked.found.items()}
            await outbox.confirm(connection, remote_ids, at=await now(connection))
            await outbox.note_missed(connection, missing, at=looked.at)

        await database.write("Noting what was found in the account", write)
        found = [(item.draft.stream, looked.found[item.id]) for item in items if item.id in looked.found]
        await self._mirror(found, looked.at)
        return missing

    async def post(self, items: Sequence[Item]) -> None:
        """In chunks of one path each. Raises KommoError when there is no use in going on."""
        by_path: dict[str, list[Item]] = defaultdict(list)
        for item in items:
            by_path[item.draft.stream.path].append(item)
        for part in by_path.values():
            for start in range(0, len(part), CHUNK):
                await self._post_chunk(part[start : start + CHUNK])

    async def _post_chunk(self, items: Sequence[Item]) -> None:
        taken: list[Item] = []
        stream = items[0].draft.stream

        async def take(connection: AsyncConnection) -> list[Item]:
            return await outbox.take(connection, items, at=await now(connection))

        try:
            async with asyncio.timeout(SENDING_SECONDS) as limit:
                taken = await self.account.database.write("Taking what is to be pushed", take)
                rows = [posted_row(item.draft, item.marker) for item in taken]
                written = await write_rows(self.account.client, "POST", stream.path, stream.key, rows)
        except TimeoutError:
            if not limit.expired():
                raise
            written = Written(unknown=set(range(len(taken))), error=_too_slow(stream))
        await self._note(taken, written)

    async def _note(self, taken: Sequence[Item], written: Written) -> None:
        """Raises the error that stopped the writing, unless its rows have turned out to be there after all."""
        saved = {taken[place].id: row for place, row in written.saved.items()}
        refused = {place: _words_of(problems) for place, problems in written.refused.items()}
        unknown = [taken[place] for place in sorted(written.unknown)]
        settled = {*written.saved, *written.refused, *written.unknown}
        unsent = [item for place, item in enumerate(taken) if place not in settled]
        by_kommo = isinstance(written.error, TooManyRequests) and written.error.status == 429

        async def write(connection: AsyncConnection) -> None:
            at = await now(connection)
            await outbox.confirm(connection, {row_id: str(row["id"]) for row_id, row in saved.items()}, at=at)
            errors = {taken[place].id: words for place, words in refused.items()}
            await outbox.fail(connection, [taken[place] for place in refused], errors, at=at)
            await outbox.give_back(connection, unsent, looked_for_first=by_kommo)

        await self.account.database.write("Noting what was pushed", write)
        missing = await self.look_for(unknown)
        await self._mirror_saved([item for item in taken if item.id in saved], saved)
        if written.error is not None and (missing or unsent):
            raise written.error

    async def answer(self, error: KommoError | None) -> Pushed:
        async with self.account.database.reading("Reading what was pushed") as connection:
            items = await outbox.read_items(connection, self.account.connection_id, self.keys)
        rows = tuple(PushedRow(item.key, item.stage.value, item.remote_id, item.error) for item in items)
        waits = [self._wait_of(item) for item in items if item.is_open]
        return Pushed(rows, min(waits) if waits else None, error)

    def _wait_of(self, item: Item) -> float:
        """Soon at first, for another process may be posting it; then at longer and longer intervals."""
        if item.missed_at is None or self.looked_at is None:
            return _SOON_SECONDS
        waited = (self.looked_at - item.missed_at).total_seconds()
        return max(min(waited, SURE_SECONDS - waited), _SOON_SECONDS)

    def _is_surely_missing(self, item: Item) -> bool:
        """`item` is as it was read before the list was: the first time in vain was an earlier one."""
        if item.missed_at is None or self.looked_at is None:
            return False
        return self.looked_at - item.missed_at >= timedelta(seconds=SURE_SECONDS)

    async def _give_up(self, items: Sequence[Item]) -> None:
        async def write(connection: AsyncConnection) -> None:
            told = f"Kommo lost it {_MOST_POSTS} times; it is in none of the lists."
            await outbox.fail(connection, items, {item.id: told for item in items}, at=await now(connection))

        await self.account.database.write("Giving up what cannot be pushed", write)

    # ------------------------------------------------------------------------------------------ the mirror
    async def _mirror_saved(self, items: Sequence[Item], saved: Mapping[str, Row]) -> None:
        """Kommo answers a POST with ids alone, so what it made of them is read; if not now, then by the next poll."""
        if not items:
            return
        stream = items[0].draft.stream
        query = [("filter[id][]", str(saved[item.id]["id"])) for item in items]
        try:
            answer = await self.account.client.get(stream.path, [*query, ("limit", CHUNK)])
        except KommoError:
            return
        if answer.server_time is not None:
            at = datetime.fromtimestamp(answer.server_time, UTC)
            await self._mirror([(stream, row) for row in rows_of(answer.body, stream.key)], at)

    async def _mirror(self, rows: Iterable[tuple[Entity, Row]], at: datetime) -> None:
        by_stream: dict[str, tuple[Entity, list[Row]]] = {}
        for stream, row in rows:
            by_stream.setdefault(stream.name, (stream, []))[1].append(row)

        async def write(connection: AsyncConnection) -> None:
            for stream, raws in by_stream.values():
                await apply_rows(connection, self.account, stream, raws, fetched_at=at)

        if by_stream:
            await self.account.database.write("Storing what was pushed", write)


def _too_slow(stream: Entity) -> ServerTrouble:
    return ServerTrouble(
        f"Posting to {stream.path}",
        f"it had no end after {SENDING_SECONDS:g} s.",
        "It may have been done; it is looked for before it is sent again.",
        outcome_unknown=True,
    )


def _words_of(problems: Sequence[RowProblem]) -> str:
    told = [" ".join(filter(None, (one.path, one.code, one.detail))) for one in problems[:_FIRST_PROBLEMS]]
    return "; ".join(filter(None, told)) or "Kommo refuses it without a reason."
