"""How is a contact forgotten at a person's request? Everywhere here, in one transaction; at Kommo only by its users.

What stays is a tombstone without content: that there was a contact of this id, and that it is erased. As long as the
contact is in Kommo the next read brings it back, so it is to be deleted there first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart import clock
from oxcart.errors import InvalidInput, JobNotFound, StateConflict, Unavailable
from oxcart.kommo.account import Account
from oxcart.kommo.entities import CONTACTS, TASKS
from oxcart.kommo.failures import KommoError
from oxcart.kommo.mentions import mentions_contact
from oxcart.kommo.store.entity_tables import ENTITY_TABLES
from oxcart.kommo.store.own_tables import crm_dirty, crm_hooks, crm_links, crm_outbox, crm_quarantine
from oxcart.kommo.store.parts import delete_parts
from oxcart.kommo.store.platform_tables import crm_tasks, webhook_events
from oxcart.kommo.store.rows import empty_rows
from oxcart.kommo.sync.by_ids import can_be_id, read_alone
from oxcart.kommo.sync.told import named_in
from oxcart.language import tr
from oxcart.queue.inspect import StoredJob
from oxcart.queue.producer import Queue

_CONTACT_NAMES = ("contacts", "contact")
_ROWS_AT_ONCE = 500
_JOBS_AT_ONCE = 200
_FINISHED = ("completed", "failed")
_UNFINISHED = ("waiting", "active", "delayed", "prioritized", "waiting-children", "paused")


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows there were of each. `is_in_kommo` is None if Kommo could not be asked."""

    contact_id: str
    contacts: int = 0
    links: int = 0
    notes: int = 0
    tasks: int = 0
    events: int = 0
    marks: int = 0
    hooks: int = 0
    webhook_events: int = 0
    outbox: int = 0
    is_in_kommo: bool | None = None

    @property
    def advice(self) -> str | None:
        """What is left to do, if anything."""
        if self.is_in_kommo is False:
            return None
        still = tr("is still in Kommo") if self.is_in_kommo else tr("may still be in Kommo, which could not be asked")
        return tr(
            "Contact {contact_id} {still}: the next sync brings it back. Delete it there, then erase it again.",
            contact_id=self.contact_id,
            still=still,
        )

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "advice": self.advice}


@dataclass(frozen=True, slots=True)
class ErasedJobs:
    """`removed` finished jobs carried the contact; `left` have yet to run, or were being run."""

    removed: int
    left: tuple[str, ...]


async def erase_contact(account: Account, contact_id: str) -> Erased:
    """Forget a contact: its row, links, notes, tasks, events, marks, raw hooks, the platform's saved hooks, and what
    was to be posted to it. May be repeated.

    Not touched: the platform's calls, messages and activity logs, which Oxcart neither reads nor writes; copies of this
    database; jobs in Redis (`erase_from_queue`). Raises InvalidInput for what can be no id, Unavailable, StoreRefused.
    """
    if not can_be_id(contact_id):
        raise InvalidInput(
            tr(
                "Erasing contact {contact_id}: an id of Kommo's is a number, as in its card's address.",
                contact_id=contact_id,
            )
        )
    is_in_kommo = await _is_in_kommo(account, contact_id)

    async def erase(connection: AsyncConnection) -> Erased:
        mine = _Erasing(connection, account, contact_id)
        tasks, links = await mine.tasks(), await mine.links()
        return Erased(
            contact_id,
            contacts=await mine.contact(),
            links=links,
            notes=await mine.notes(),
            tasks=tasks,
            events=await mine.events(),
            marks=await mine.marks() + await mine.aside(),
            hooks=await mine.hooks(),
            webhook_events=await mine.webhook_events(),
            outbox=await mine.outbox(),
            is_in_kommo=is_in_kommo,
        )

    return await account.database.write(f"Erasing contact {contact_id}", erase)


async def _is_in_kommo(account: Account, contact_id: str) -> bool | None:
    try:
        found = await read_alone(account.client, CONTACTS, contact_id, otherwise=clock.now_utc())
    except (KommoError, Unavailable):
        return None
    return bool(found.rows)


@dataclass(frozen=True, slots=True)
class _Erasing:
    """One transaction's work; each step says how many rows it met."""

    connection: AsyncConnection
    account: Account
    contact_id: str

    async def contact(self) -> int:
        table = ENTITY_TABLES[CONTACTS.table]
        where = and_(self._ours(table.c.connection_id), table.c.external_id == self.contact_id)
        dead = {"deleted_at": clock.now_utc(), "deleted_source": "erased", "changed_at": clock.now_utc()}
        await self.connection.execute(update(table).where(where, table.c.deleted_at.is_(None)).values(dead))
        await delete_parts(self.connection, self.account.connection_id, CONTACTS, [self.contact_id])
        return await empty_rows(self.connection, table, where)

    async def links(self) -> int:
        links = crm_links.c
        leading_from = and_(links.from_type == CONTACTS.name, links.from_id == self.contact_id)
        leading_to = and_(links.to_type == CONTACTS.name, links.to_id == self.contact_id)
        return await self._delete(crm_links, self._ours(links.connection_id), or_(leading_from, leading_to))

    async def notes(self) -> int:
        notes = ENTITY_TABLES["crm_notes"]
        mine = (notes.c.entity_type == CONTACTS.name, notes.c.entity_id == self.contact_id)
        return await self._delete(notes, self._ours(notes.c.connection_id), *mine)

    async def tasks(self) -> int:
        """Ours, and the platform's."""
        tasks = ENTITY_TABLES[TASKS.table]
        ours = (tasks.c.entity_type == CONTACTS.name, tasks.c.entity_id == self.contact_id)
        count = await self._delete(tasks, self._ours(tasks.c.connection_id), *ours)
        if crm_tasks.name in self.account.database.exports:
            theirs = (crm_tasks.c.entity_type.in_(_CONTACT_NAMES), crm_tasks.c.entity_id == self.contact_id)
            await self._delete(crm_tasks, crm_tasks.c.org_id == self.account.org_id, *theirs)
        return count

    async def events(self) -> int:
        events = ENTITY_TABLES["crm_events"]
        mine = (events.c.entity_type.in_(_CONTACT_NAMES), events.c.entity_id == self.contact_id)
        ours = self._ours(events.c.connection_id)
        count = await self._delete(events, ours, *mine)
        likely = cast(events.c.raw, Text).contains(self.contact_id)
        ids = [
            event_id
            async for event_id, raw in self._holding(events.c.external_id, events.c.raw, ours, likely)
            if any(_is_of(one["type"], one["id"], self.contact_id) for one in named_in(raw))
        ]
        return count + await self._delete_by(events, events.c.external_id, ids, ours)

    async def marks(self) -> int:
        dirty = crm_dirty.c
        mine = (dirty.entity == CONTACTS.name, dirty.external_id == self.contact_id)
        return await self._delete(crm_dirty, self._ours(dirty.connection_id), *mine)

    async def aside(self) -> int:
        """Rows that could not be read, and may be about it."""
        aside = crm_quarantine
        ours = self._ours(aside.c.connection_id)
        found = self._holding(aside.c.external_id, aside.c.raw, ours)
        ids = [external_id async for external_id, raw in found if self.contact_id in raw]
        return await self._delete_by(aside, aside.c.external_id, ids, ours)

    async def hooks(self) -> int:
        """Also those that wait to be read: what else they told of, the next poll tells."""
        hooks = crm_hooks
        ours = self._ours(hooks.c.connection_id)
        found = self._holding(hooks.c.body_hash, hooks.c.body, ours)
        hashes = [body_hash async for body_hash, body in found if mentions_contact(body, self.contact_id)]
        return await self._delete_by(hooks, hooks.c.body_hash, hashes, ours)

    async def webhook_events(self) -> int:
        saved = webhook_events
        ours = saved.c.org_id == self.account.org_id
        named = (ours, saved.c.entity_type.in_(_CONTACT_NAMES), saved.c.entity_id == self.contact_id)
        count = await self._delete(saved, *named)
        found = self._holding(saved.c.id, saved.c.payload, ours)
        ids = [row_id async for row_id, payload in found if mentions_contact(payload, self.contact_id)]
        return count + await self._delete_by(saved, saved.c.id, ids, ours)

    async def outbox(self) -> int:
        """What was posted keeps its key, so that it is not posted twice; what was not, will not be."""
        outbox = crm_outbox
        ours = self._ours(outbox.c.connection_id)
        named = and_(outbox.c.entity_type.in_(_CONTACT_NAMES), outbox.c.entity_id == self.contact_id)
        query = select(outbox.c.id).where(ours, named, cast(outbox.c.payload, Text) != "{}")
        ids = set((await self.connection.execute(query)).scalars())
        found = self._holding(outbox.c.id, outbox.c.payload, ours)
        ids |= {row_id async for row_id, payload in found if mentions_contact(payload, self.contact_id)}
        unfinished = outbox.c.state.in_(("pending", "sent"))
        ended = {"state": "failed", "error": "The contact was erased.", "finished_at": clock.now_utc()}
        for row_id in sorted(ids):
            one = outbox.c.id == row_id
            await self.connection.execute(update(outbox).where(one, unfinished).values(ended))
            await self.connection.execute(update(outbox).where(one).values(payload={}))
        return len(ids)

    # ------------------------------------------------------------------------------------------ statements
    def _ours(self, connection_id: Any) -> ColumnElement[bool]:
        return connection_id == self.account.connection_id  # type: ignore[no-any-return]

    async def _delete(self, table: Any, *where: ColumnElement[bool]) -> int:
        return int((await self.connection.execute(delete(table).where(*where))).rowcount)

    async def _delete_by(self, table: Any, key: Any, values: Sequence[str], *where: ColumnElement[bool]) -> int:
        parts = (values[start : start + _ROWS_AT_ONCE] for start in range(0, len(values), _ROWS_AT_ONCE))
        return sum([await self._delete(table, *where, key.in_(part)) for part in parts])

    async def _holding(self, key: Any, value: Any, *where: ColumnElement[bool]) -> AsyncIterator[tuple[str, Any]]:
        """Rows whose value has the id's digits somewhere: the few that are worth reading, a page at a time."""
        last = None
        query = select(key, value).where(*where, cast(value, Text).contains(self.contact_id)).order_by(key)
        while True:
            page = query if last is None else query.where(key > last)
            rows = (await self.connection.execute(page.limit(_ROWS_AT_ONCE))).all()
            for row in rows:
                yield row[0], row[1]
            if len(rows) < _ROWS_AT_ONCE:
                return
            last = rows[-1][0]


async def erase_from_queue(queue: Queue, contact_id: str) -> ErasedJobs:
    """Remove the finished jobs whose data or outcome speak of the contact; jobs that have yet to run are told.

    Raises Unavailable.
    """
    finished = [job async for job in _jobs_about(queue, _FINISHED, contact_id)]
    removed, left = 0, []
    for job_id in finished:
        try:
            await queue.remove(job_id, children=False)
            removed += 1
        except JobNotFound:
            continue  # its time to be kept was over
        except StateConflict:
            left.append(job_id)
    left += [job async for job in _jobs_about(queue, _UNFINISHED, contact_id)]
    return ErasedJobs(removed, tuple(dict.fromkeys(left)))


async def _jobs_about(queue: Queue, states: Sequence[str], contact_id: str) -> AsyncIterator[str]:
    for state in states:
        start = 0
        while jobs := await queue.jobs(state, start, start + _JOBS_AT_ONCE - 1):
            for job in jobs:
                if _speaks_of(job, contact_id):
                    yield job.id
            start += _JOBS_AT_ONCE


def _speaks_of(job: StoredJob, contact_id: str) -> bool:
    """By raw texts: data that is no JSON is looked at all the same."""
    texts = (job.fields.get(name, "") for name in ("data", "returnvalue", "failedReason"))
    return any(contact_id in text and mentions_contact(text, contact_id) for text in texts)


def _is_of(entity_type: object, entity_id: object, contact_id: str) -> bool:
    return entity_type in _CONTACT_NAMES and str(entity_id) == contact_id
