"""How do stored webhooks become rows of the mirror? They are expanded into marks, and what is marked is read again.

One at a time for an account. While webhooks keep coming, only full pages of 250 are read: what is edited again before
its turn is read once. When it is quiet, or something waits too long, the rest is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.account import Account
from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.pages import LARGEST_PAGE
from oxcart.kommo.store.connections import load_connection
from oxcart.kommo.store.database import now
from oxcart.kommo.store.holding import Hold, hold_lease
from oxcart.kommo.sync.marked import Fetched, fetch_marked
from oxcart.kommo.sync.marks import Backlog, Mark, backlog, mark_dirty
from oxcart.kommo.webhooks.expand import expand_body
from oxcart.kommo.webhooks.forms import UnreadableHook
from oxcart.kommo.webhooks.stored import Waiting, has_waiting, note_expanded, waiting_hooks

LEASE_SECONDS = 20.0
"""How long the webhooks of a process that was killed wait for the next one; renewed three times as often."""

_HOOKS_AT_ONCE = 200
_CHARACTERS_AT_ONCE = (
    1024 * 1024
)  # bodies of Kommo's have a few thousand; whoever knows the address may send larger ones
_QUIETER = 4  # times as long must it be quiet after a whole page: the next webhooks of a flood may be a moment late
_LOOK_SECONDS = 0.1  # between two looks for further webhooks while something waits


FetchMarked = Callable[..., Awaitable[Fetched]]
"""As `fetch_marked`."""


@dataclass(slots=True)
class Drained:
    """`refused` hooks could not be understood; their rows say why. `ignored` items have no stream of ours. `waiting`
    rows are not there, and are to be asked for again.

    `is_held`: another process drains this account, and will look again when it is done.
    """

    hooks: int = 0
    refused: int = 0
    ignored: int = 0
    marks: int = 0
    read: int = 0
    changed: int = 0
    gone: int = 0
    requests: int = 0
    waiting: int = 0
    is_held: bool = False

    def as_json(self) -> dict[str, Any]:
        counts = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "is_held"}
        return counts | {"isHeld": self.is_held}


async def drain_hooks(
    account: Account,
    *,
    fetch: FetchMarked = fetch_marked,
    quiet_seconds: float = 0.3,
    longest_seconds: float = 5.0,
    lease_seconds: float = LEASE_SECONDS,
) -> Drained:
    """Until nothing is left of what was stored. May be killed at any point, and called by many at once.

    A row is read once nothing was marked for `quiet_seconds`, or it has waited `longest_seconds`; full pages at once.
    Raises KommoError, Unavailable, SettingsError; what was not read stays marked.
    """
    drain = _Drain(account, fetch, quiet_seconds, longest_seconds)
    while True:
        async with hold_lease(account.database, f"hooks:{account.connection_id}", seconds=lease_seconds) as lease:
            if lease is None:
                drain.done.is_held = True
                return drain.done
            await drain.run(lease)
        # Whoever came meanwhile was sent away: what it was called for is ours to see.
        if not await drain.has_more():
            return drain.done


@dataclass(slots=True)
class _Drain:
    account: Account
    fetch: FetchMarked
    quiet_seconds: float
    longest_seconds: float
    done: Drained = field(default_factory=Drained)
    stuck: set[str] = field(default_factory=set)

    async def run(self, lease: Hold) -> None:
        while lease.is_ours:
            while await self._expand():
                continue
            at, marked = await self._marked()
            if not marked:
                return
            ready = {name: most for name, of in marked.items() if (most := self._most(of, at))}
            for name, most in ready.items():
                await self._read(name, most)
            if not ready:
                await asyncio.sleep(_LOOK_SECONDS)

    async def has_more(self) -> bool:
        async with self.account.database.reading("Looking for webhooks") as connection:
            if await has_waiting(connection, self.account.connection_id):
                return True
        _, marked = await self._marked()
        return bool(marked)

    async def _marked(self) -> tuple[datetime, dict[str, Backlog]]:
        """What can be read by its id, and the time now by the clock that the marks are from."""
        async with self.account.database.reading("Looking for marks") as connection:
            at = await now(connection)
            found = await backlog(connection, self.account.connection_id)
        readable = {name for name, entity in ENTITIES.items() if entity.by_id} - self.stuck
        return at, {name: of for name, of in found.items() if name in readable}

    def _most(self, of: Backlog, at: datetime) -> int:
        """How many of these rows are to be read now. Whole pages have the oldest: what they leave is not late yet."""
        whole_pages = of.count - of.count % LARGEST_PAGE
        quiet_seconds = self.quiet_seconds * (_QUIETER if self.done.marks >= LARGEST_PAGE else 1)
        is_quiet = (at - of.newest_at).total_seconds() >= quiet_seconds
        is_late = (at - of.oldest_at).total_seconds() >= self.longest_seconds
        return of.count if is_quiet or (is_late and not whole_pages) else whole_pages

    async def _read(self, name: str, most: int) -> None:
        found = await self.fetch(self.account, only={name}, most=most)
        self._count(found, "read", "changed", "gone", "requests", "waiting")
        if not found.read and not found.gone and not found.waiting:
            self.stuck.add(name)  # another one has read them, or nobody can: not to be asked for ever

    def _count(self, part: Fetched | Drained, *names: str) -> None:
        for name in names:
            setattr(self.done, name, getattr(self.done, name) + getattr(part, name))

    # ------------------------------------------------------------------------------------------ expanding
    async def _expand(self) -> int:
        """Some of the stored bodies, marks and note in one transaction; how many there were.

        Read and understood before that: meanwhile further webhooks can be stored. Understood on a thread, for a body
        that is made to take long must hold up no job.
        """
        connection_id, database = self.account.connection_id, self.account.database
        async with database.reading("Looking for webhooks") as connection:
            hooks = await waiting_hooks(connection, connection_id, limit=_HOOKS_AT_ONCE, characters=_CHARACTERS_AT_ONCE)
            stored = await load_connection(connection, connection_id) if hooks else None
        if not hooks:
            return 0
        found = await asyncio.to_thread(_expand_all, hooks, stored.account_id if stored else None)
        part = Drained(hooks=len(hooks), ignored=found.ignored)
        part.refused = sum(error is not None for _, error in found.errors)

        async def write(connection: AsyncConnection) -> None:
            at = await now(connection)
            part.marks = await mark_dirty(connection, connection_id, found.marks, at=at)
            await note_expanded(connection, connection_id, found.errors, at=at)

        await database.write("Expanding webhooks", write)
        self._count(part, "hooks", "refused", "ignored", "marks")
        if part.marks:
            self.stuck.clear()
        return part.hooks


@dataclass(slots=True)
class _Found:
    errors: list[tuple[Waiting, str | None]]
    marks: list[Mark]
    ignored: int = 0


def _expand_all(hooks: list[Waiting], account_id: str | None) -> _Found:
    found = _Found([], [])
    for hook in hooks:
        error: str | None = None
        try:
            expanded = expand_body(hook.body, hook.content_type)
        except UnreadableHook as unreadable:
            error = str(unreadable)
        else:
            if expanded.account_id is not None and account_id is not None and expanded.account_id != account_id:
                error = (
                    "Expanding a webhook: it is of another Kommo account than this connection. Find out who sends to "
                    "its address; `oxcart kommo disconnect` and `connect` make another one."
                )
            else:
                found.marks += expanded.marks
                found.ignored += expanded.ignored
        found.errors.append((hook, error))
    return found
