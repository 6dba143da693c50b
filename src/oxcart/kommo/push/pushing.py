"""How does a note or task get into the account exactly once? Through the outbox, looked for before it is posted again.

A row is committed as `sent`, then posted. Where the answer is lost, or the process, the account is asked. What is found
is confirmed. What is not found is *not* posted again at once: Kommo's lists may be minutes late, and the first request
may still be under way. Only a list that Kommo makes SURE_SECONDS after the first that lacked it proves that it is not
there, by Kommo's own clock. Until then the row stays `sent`, and the job comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.errors import Discard, InvalidInput, Snooze
from oxcart.kommo.account import Account
from oxcart.kommo.failures import KommoError, Refused, ServerTrouble, TooManyRequests
from oxcart.kommo.pages import Row, rows_of
from oxcart.kommo.push import outbox
from oxcart.kommo.push.drafts import Draft, NewNote, NewTask, draft_of, posted_row
from oxcart.kommo.push.finding import find_posted
from oxcart.kommo.push.outbox import Item, Stage
from oxcart.kommo.store.database import now
from oxcart.kommo.sync.apply import apply_rows
from oxcart.kommo.ways import way_on

SENDING_SECONDS = 120.0
"""How long a post may take with all its requests; then it is given up, and in doubt."""

LATE_SECONDS = 300.0
"""Lists were seen to be so late."""

SURE_SECONDS = SENDING_SECONDS + LATE_SECONDS + 60.0
"""The minute is for a request that Kommo carries out after we have given it up."""

_SOON_SECONDS = 5.0
_MOST_POSTS = 10
_FIRST_PROBLEMS = 3


@dataclass(frozen=True, slots=True)
class Pushed:
    """`state` is pending, sent (perhaps), confirmed or failed; `remote_id` is set once it is confirmed.

    `come_back_seconds`: call again then, with the same key. `stopped` is what of Kommo's was in the way.
    """

    state: str
    remote_id: str | None
    error: str | None
    come_back_seconds: float | None = None
    stopped: KommoError | None = None


async def push_as_job(account: Account, key: str, new: NewNote | NewTask) -> int:
    """`push`, as a job does it: the id of the note or task, or what becomes of the job.

    Raises Discard for what no repetition mends, with Kommo's words; Snooze while it is not known whether it is there,
    and while Kommo lets nobody in; ServerTrouble, Unavailable, SettingsError.
    """
    try:
        pushed = await push(account, key, new, retry_failed=True)
    except InvalidInput as error:
        raise Discard(str(error)) from error
    if pushed.state == Stage.CONFIRMED:
        return int(pushed.remote_id or 0)
    if pushed.state == Stage.FAILED:
        what = f"a {'note' if isinstance(new, NewNote) else 'task'} to {new.entity_type} {new.entity_id}"
        raise Discard(f"Posting {what}: Kommo refuses it ({pushed.error}).") from pushed.stopped
    in_doubt = pushed.state == Stage.SENT and isinstance(pushed.stopped, ServerTrouble)
    if pushed.stopped is None or in_doubt:
        raise Snooze(pushed.come_back_seconds or 0.0)
    raise way_on(pushed.stopped) from pushed.stopped


async def push(account: Account, key: str, new: NewNote | NewTask, *, retry_failed: bool = False) -> Pushed:
    """Post it once, however often this is called with the key, by how many processes at once.

    `key` names what may be posted once only in this account: queue:jobId, or the payload's own id. What was first given
    under it is what is posted. Raises InvalidInput, SettingsError or Unavailable (of the database); Kommo's errors are
    in the answer. `retry_failed` tries again what Kommo refused.
    """
    draft = draft_of(new)

    async def enter(connection: AsyncConnection) -> Item:
        entered = await outbox.enter(connection, account.connection_id, f"{key}#0", draft, at=await now(connection))
        if retry_failed and entered.stage is Stage.FAILED:
            await outbox.reopen(connection, entered)
        return await outbox.reread(connection, entered)

    one = _Push(account, await account.database.write("Entering what is to be pushed", enter))
    stopped: KommoError | None = None
    try:
        if await one.may_post():
            await one.post()
    except KommoError as error:
        stopped = error
    return await one.answer(stopped)


@dataclass(slots=True)
class _Push:
    account: Account
    item: Item
    looked_at: datetime | None = None

    async def may_post(self) -> bool:
        """Looks for it first if it may have been posted. Raises KommoError."""
        item = self.item
        if not item.is_open or item.sent_at is None:
            return item.is_open and item.stage is Stage.PENDING
        if await self.is_there():
            return False
        if item.stage is Stage.PENDING:
            return True
        if not self._is_surely_missing():
            return False
        if item.attempts >= _MOST_POSTS:
            await self._settle(outbox.fail, f"Kommo lost it {_MOST_POSTS} times; it is in none of the lists.")
            return False
        return True

    async def is_there(self) -> bool:
        """As far as lists tell. Raises KommoError."""
        database = self.account.database
        async with database.reading("Looking at what was pushed") as connection:
            today = await now(connection)
        ago = max((today - (self.item.sent_at or today)).total_seconds(), 0.0)
        self.looked_at, row = await find_posted(self.account.client, self.item, sent_seconds_ago=ago)
        if row is None:
            at = self.looked_at
            await database.write("Noting what was missed", lambda c: outbox.note_missed(c, self.item, at=at))
            return False
        await self._settle(outbox.confirm, str(row["id"]))
        await self._mirror([row], self.looked_at)
        return True

    async def post(self) -> None:
        """Raises the error that stopped it, unless it has turned out to be there after all."""

        async def take(connection: AsyncConnection) -> Item | None:
            return await outbox.take(connection, self.item, at=await now(connection))

        taken = await self.account.database.write("Taking what is to be pushed", take)
        if taken is None:
            return  # another process posts it
        self.item, stream = taken, taken.draft.stream
        try:
            async with asyncio.timeout(SENDING_SECONDS) as limit:
                answer = await self.account.client.write(
                    "POST", stream.path, [{**posted_row(taken.draft, taken.marker), "request_id": "0"}]
                )
        except TimeoutError:
            if not limit.expired():
                raise
            await self._look_after(_in_doubt(taken.draft, f"it had no end after {SENDING_SECONDS:g} s."))
        except Refused as refused:
            await self._settle(outbox.fail, _words_of(refused))
        except ServerTrouble as trouble:
            await self._look_after(trouble)
        except KommoError as error:
            by_kommo = isinstance(error, TooManyRequests) and error.status == 429
            await self.account.database.write(
                "Giving it back", lambda c: outbox.give_back(c, taken, looked_for_first=by_kommo)
            )
            raise
        else:
            posted = rows_of(answer.body, stream.key)
            if not posted:
                await self._look_after(_in_doubt(taken.draft, "the answer does not say what was made."))
                return
            await self._settle(outbox.confirm, str(posted[0]["id"]))
            await self._read_back(str(posted[0]["id"]))

    async def _look_after(self, trouble: ServerTrouble) -> None:
        """Raises it where nobody knows yet whether it was done."""
        if not trouble.outcome_unknown:
            item = self.item
            await self.account.database.write(
                "Giving it back", lambda c: outbox.give_back(c, item, looked_for_first=False)
            )
            raise trouble
        try:
            is_there = await self.is_there()
        except KommoError:
            is_there = False
        if not is_there:
            raise trouble

    async def answer(self, stopped: KommoError | None) -> Pushed:
        async with self.account.database.reading("Reading what was pushed") as connection:
            item = await outbox.reread(connection, self.item)
        wait = self._wait_of(item) if item.is_open else None
        return Pushed(item.stage.value, item.remote_id, item.error, wait, stopped)

    def _wait_of(self, item: Item) -> float:
        """Soon at first, for another process may be posting it; then at longer and longer intervals."""
        if item.missed_at is None or self.looked_at is None:
            return _SOON_SECONDS
        waited = (self.looked_at - item.missed_at).total_seconds()
        return max(min(waited, SURE_SECONDS - waited), _SOON_SECONDS)

    def _is_surely_missing(self) -> bool:
        """The item is as it was read before the list was: the first time in vain was an earlier one."""
        if self.item.missed_at is None or self.looked_at is None:
            return False
        return self.looked_at - self.item.missed_at >= timedelta(seconds=SURE_SECONDS)

    async def _settle(self, how: Callable[..., Awaitable[None]], what: str) -> None:
        async def write(connection: AsyncConnection) -> None:
            await how(connection, self.item, what, at=await now(connection))

        await self.account.database.write("Noting what was pushed", write)

    async def _read_back(self, remote_id: str) -> None:
        """Kommo answers a POST with the id alone, so what it made of it is read; if not now, then by the next poll."""
        stream = self.item.draft.stream
        try:
            answer = await self.account.client.get(stream.path, [("filter[id][]", remote_id)])
        except KommoError:
            return
        if answer.server_time is not None:
            await self._mirror(rows_of(answer.body, stream.key), datetime.fromtimestamp(answer.server_time, UTC))

    async def _mirror(self, rows: list[Row], at: datetime) -> None:
        async def write(connection: AsyncConnection) -> Any:
            return await apply_rows(connection, self.account, self.item.draft.stream, rows, fetched_at=at)

        await self.account.database.write("Storing what was pushed", write)


def _in_doubt(draft: Draft, happened: str) -> ServerTrouble:
    advice = "It may have been done; it is looked for before it is sent again."
    return ServerTrouble(f"Posting to {draft.stream.path}", happened, advice, outcome_unknown=True)


def _words_of(refused: Refused) -> str:
    told = [" ".join(filter(None, (one.path, one.code, one.detail))) for one in refused.rows[:_FIRST_PROBLEMS]]
    return "; ".join(filter(None, told)) or refused.hint or "Kommo refuses it without a reason."
