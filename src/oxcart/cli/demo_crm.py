"""What does the demo show of the CRM? A Kommo account of the sandbox, read as a whole, then edited: each step timed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from oxcart.cli.output import say
from oxcart.errors import OxcartError
from oxcart.kommo.account import Account
from oxcart.kommo.connect import connect_by_token
from oxcart.kommo.crm import ServedCrm
from oxcart.kommo.disconnect import let_go
from oxcart.kommo.rights import learn_rights
from oxcart.kommo.schedules import POLL_SECONDS
from oxcart.kommo.store.entity_tables import ENTITY_TABLES
from oxcart.kommo.sync.compare import compare_account
from oxcart.kommo.upkeep import look_after
from oxcart.language import tr
from oxcart.queue.producer import Queue
from oxcart.queue.schedules import OWN_QUEUE
from oxcart.secret import Secret
from oxcart_sandbox import World

if TYPE_CHECKING:
    from oxcart.kommo.store.connections import StoredConnection
    from oxcart_sandbox import Account as SandboxAccount

WON = 142  # in every pipeline

_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 30.0
_SYNC_SECONDS = 90.0
_STEP = Callable[["CrmDemo", "Step"], Awaitable[bool]]


@dataclass(slots=True)
class Step:
    """One thing to see; the same face as demo_jobs.Exhibit."""

    title: str
    shows: str
    run: _STEP
    state: str = "waiting"
    detail: str = ""
    is_over: bool = False
    is_as_expected: bool = False


@dataclass(slots=True)
class CrmDemo:
    """A connected account of the sandbox, and both ends of it."""

    crm: ServedCrm
    world: World
    queue: Queue
    stored: StoredConnection
    tell: Callable[[], None]

    @property
    def remote(self) -> SandboxAccount:
        return self.world.accounts[0]

    @property
    def account(self) -> Account:
        return self.crm.account(self.stored, interactive=True)

    async def play(self, step: Step) -> None:
        """Run one step to its end; a step that takes too long has failed."""
        step.state = "active"
        self.tell()
        began = time.monotonic()
        try:
            async with asyncio.timeout(_SYNC_SECONDS):
                step.is_as_expected = await step.run(self, step)
        except TimeoutError:
            step.detail = tr("not within {seconds:.0f} s", seconds=time.monotonic() - began)
        step.is_over = True
        step.state = "completed" if step.is_as_expected else "failed"
        self.tell()

    async def row(self, table: str, external_id: int) -> Any:
        rows = ENTITY_TABLES[table].c
        query = select(ENTITY_TABLES[table]).where(
            rows.connection_id == self.stored.id, rows.external_id == str(external_id)
        )
        async with self.crm.database.reading("Looking at a row") as connection:
            return (await connection.execute(query)).first()

    async def count(self, table: str) -> int:
        rows = ENTITY_TABLES[table].c
        living = (rows.connection_id == self.stored.id, rows.deleted_at.is_(None))
        async with self.crm.database.reading("Counting rows") as connection:
            query = select(func.count()).select_from(ENTITY_TABLES[table]).where(*living)
            return int((await connection.execute(query)).scalar_one())

    async def arrives(self, step: Step, is_here: Callable[[], Awaitable[bool]]) -> bool:
        """True once the edit that was just made is in the database; `detail` says how long that took."""
        began = time.monotonic()
        while time.monotonic() - began < _PATIENCE_SECONDS:
            if await is_here():
                step.detail = tr("in the database after {ms:.0f} ms", ms=(time.monotonic() - began) * 1000)
                return True
            await asyncio.sleep(_LOOK_SECONDS)
        step.detail = tr("not in the database after {seconds:.0f} s", seconds=_PATIENCE_SECONDS)
        return False


@asynccontextmanager
async def connected(crm: ServedCrm, world: World, queue: Queue, tell: Callable[[], None]) -> AsyncIterator[CrmDemo]:
    """Connect the sandbox's account, and let it go at the end: no schedule of the demo's may stay."""
    remote = world.accounts[0]
    stored = await connect_by_token(crm, remote.domain, Secret(world.token_of(remote)), org_id=None)
    try:
        yield CrmDemo(crm, world, queue, stored, tell)
    finally:
        with suppress(OxcartError):
            await let_go(crm, stored, purge=False)


def steps() -> list[Step]:
    return [
        Step(tr("connect"), tr("a token, and one webhook subscription"), _connect),
        Step(tr("first sync"), tr("the whole account in SQL"), _first_sync),
        Step(tr("rename"), tr("a lead gets another name in Kommo"), _rename),
        Step(tr("move"), tr("a lead is won"), _move),
        Step(tr("add"), tr("a contact is added"), _add),
        Step(tr("delete"), tr("a lead goes to the bin"), _delete),
        Step(tr("note"), tr("written to Kommo; its answer is lost"), _note),
        Step(tr("compare"), tr("row by row with the account"), _compare),
    ]


async def _connect(demo: CrmDemo, step: Step) -> bool:
    rights = await learn_rights(demo.account)
    looked = await look_after(demo.crm, demo.stored, poll_after_seconds=POLL_SECONDS)
    step.detail = looked.problem or tr("{domain}, by an administrator's token", domain=demo.stored.domain)
    return rights.is_admin and looked.problem is None


async def _first_sync(demo: CrmDemo, step: Step) -> bool:
    began = time.monotonic()
    async with Queue(OWN_QUEUE, server=demo.crm.server) as own:
        added = await own.add("kommo:sync", {"connectionId": demo.stored.id})
        while (state := await own.state(added.id)) not in {"completed", "failed"}:
            job = await own.get(added.id)
            if job is not None and isinstance(job.progress, dict):
                said = job.progress
                step.detail = tr(
                    "{entity}: {rows} rows ({done} of {entities})",
                    entity=said["entity"],
                    rows=said["rows"],
                    done=said["entitiesDone"],
                    entities=said["entities"],
                )
                demo.tell()
            await asyncio.sleep(_LOOK_SECONDS * 4)
        job = await own.get(added.id)
    if job is None or state == "failed" or not isinstance(job.returnvalue, dict):
        step.detail = job.failed_reason or "" if job is not None else tr("its job is gone")
        return False
    seconds = time.monotonic() - began
    step.detail = tr(
        "{rows} rows by {requests} requests in {seconds:.1f} s",
        rows=job.returnvalue["rows"],
        requests=job.returnvalue["requests"],
        seconds=seconds,
    )
    counts = {name: sum(1 for _ in demo.remote.truth(name)) for name in ("contacts", "leads", "companies")}
    here = {name: await demo.count(f"crm_{name}") for name in counts}
    return here == counts


async def _rename(demo: CrmDemo, step: Step) -> bool:
    lead = _some(demo, 1)
    name = f"Renamed at {time.strftime('%H:%M:%S')}"
    demo.remote.edit("leads", lead, {"name": name})

    async def is_here() -> bool:
        row = await demo.row("crm_leads", lead)
        return row is not None and row.name == name

    return await demo.arrives(step, is_here)


async def _move(demo: CrmDemo, step: Step) -> bool:
    lead = next(int(row["id"]) for row in demo.remote.truth("leads") if row["status_id"] != WON)
    demo.remote.edit("leads", lead, {"status_id": WON})

    async def is_here() -> bool:
        row = await demo.row("crm_leads", lead)
        return row is not None and row.status_id == str(WON)

    return await demo.arrives(step, is_here)


async def _add(demo: CrmDemo, step: Step) -> bool:
    contact = int(demo.remote.add("contacts", {"name": "Ann Example"})["id"])

    async def is_here() -> bool:
        return await demo.row("crm_contacts", contact) is not None

    return await demo.arrives(step, is_here)


async def _delete(demo: CrmDemo, step: Step) -> bool:
    lead = _some(demo, 3)
    demo.remote.delete("leads", lead)

    async def is_here() -> bool:
        row = await demo.row("crm_leads", lead)
        return row is not None and row.deleted_at is not None

    return await demo.arrives(step, is_here)


async def _note(demo: CrmDemo, step: Step) -> bool:
    """The request is done, and the connection breaks before its answer: posted again, the note would be there twice."""
    lead = _some(demo, 4)
    text = "Hello from the agent"
    demo.world.faults.plan({"kind": "lost", "method": "POST", "path": "/api/v4/leads"})
    data = {"orgId": demo.stored.org_id, "dealId": str(lead), "channel": "chat", "message": {"body": text}}
    added = await demo.queue.add("kommo:send-message", data, attempts=5, backoff="fixed:500ms")
    await added.result(timeout_seconds=_PATIENCE_SECONDS)
    notes = [note for note in demo.remote.truth("leads_notes") if text in str(note.get("params"))]
    step.detail = tr("notes in the account: {count}", count=len(notes))
    return len(notes) == 1


async def _compare(demo: CrmDemo, step: Step) -> bool:
    found = await compare_account(demo.account, ["pipelines", "contacts", "leads", "companies", "tasks"])
    wrong = [one for one in found if one.missing or one.extra or one.different]
    step.detail = "; ".join(tr("{entity} differ", entity=one.entity) for one in wrong) or tr("no difference")
    return not wrong


def _some(demo: CrmDemo, number: int) -> int:
    """A lead that is there, another one for each number."""
    found = demo.remote.random_id("leads", number)
    assert found is not None
    return found


async def tell_changes(demo: CrmDemo) -> None:
    """A line for each row of the cards that changes from now on, until cancelled."""
    since = datetime.now(UTC)
    while True:
        await asyncio.sleep(_LOOK_SECONDS * 4)
        changed = []
        async with demo.crm.database.reading("Looking for changes") as connection:
            for name in ("leads", "contacts", "companies"):
                rows = ENTITY_TABLES[f"crm_{name}"].c
                query = select(rows.external_id, rows.name, rows.deleted_at, rows.changed_at)
                query = query.where(rows.connection_id == demo.stored.id, rows.changed_at > since)
                changed += [(row.changed_at, name, row) for row in await connection.execute(query)]
        for changed_at, name, row in sorted(changed, key=lambda item: item[0]):
            what = tr("deleted") if row.deleted_at else row.name
            say(f"{time.strftime('%H:%M:%S')}  {name:<10} {row.external_id}  {what}")
            since = max(since, changed_at)
