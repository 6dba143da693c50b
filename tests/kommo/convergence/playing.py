"""How is a drawn history played? Against a real sandbox, HTTP receiver and database, by the worker's own functions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text, update
from support.mirroring import Mirror
from support.sandbox import DEMO, client_of, open_kommo
from support.waiting import wait_until

from kommo.convergence import steps
from kommo.convergence.account_changes import Changes
from kommo.convergence.agreement import local_ids
from kommo.stored import add_account
from oxcart.kommo.account import Account
from oxcart.kommo.client import Kommo
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.failures import KommoError
from oxcart.kommo.limiter import Pace
from oxcart.kommo.store.account_settings import merge_account_settings
from oxcart.kommo.store.columns import new_id
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.opening import open_database
from oxcart.kommo.store.own_tables import crm_dirty, crm_leases
from oxcart.kommo.sync.run import sync_account
from oxcart.kommo.sync.sweep import sweep_account
from oxcart.kommo.webhooks.drain import drain_hooks
from oxcart.kommo.webhooks.hook_secrets import make_secrets
from oxcart.kommo.webhooks.subscription import SETTINGS
from oxcart.secret import Secret
from oxcart_sandbox import SandboxClock, Scenario, World, serving
from oxcart_sandbox.hooks import subscribe
from oxcart_sandbox.scenario import change_scenario
from oxcart_sandbox.world import Seen

START_AT = 1_790_000_000
LATEST_SECONDS = 301.0
"""After the last change every list shows it."""

_PACE = Pace(1e6, pause_seconds=0.02, block_seconds=0.02, longest_block_seconds=0.05, probe_seconds=0.02)
_UNLIMITED = 1_000_000
_HOOK_SHARES = ("hook_drop", "hook_duplicate", "hook_reorder", "hook_mix")


@dataclass(frozen=True)
class Place:
    """What outlives one history: the database with all tables, the receiver of webhooks, the Redis of the limiter."""

    database_url: str
    door_url: str
    redis_url: str


class LivelyWorld(World):
    """A sandbox in which something may happen whenever it has answered."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.answered = 0
        self.on_answer: Callable[[int], None] = lambda _: None

    def note_answer(self, seen: Seen, status: int) -> None:
        super().note_answer(seen, status)
        self.answered += 1
        self.on_answer(self.answered)


@dataclass
class Play:
    """One history under way."""

    world: LivelyWorld
    account: Account
    kommo: Kommo
    url: str
    changes: Changes
    is_admin: bool = True
    ids: dict[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def mirror(self) -> Mirror:
        return Mirror(self.account, self.world)

    @property
    def tables(self) -> tuple[str, ...]:
        """The streams with rows of their own that the account has."""
        has_customers = self.world.accounts[0].customers_mode != "disabled"
        return tuple(name for name in steps.TABLES if has_customers or name != "customers")

    async def play(self, history: Sequence[steps.Step]) -> None:
        for step in history:
            match step:
                case steps.Work():
                    await self.work(step)
                case steps.Deliver():
                    await self.deliver()
                case steps.Weather():
                    self.world.scenario = change_scenario(self.world.scenario, step.switches)
                case steps.Trouble():
                    self.world.faults.plan({"kind": step.kind, "skip": step.skip, "times": step.times})
                case _:
                    self.changes.make(step)

    async def work(self, step: steps.Work) -> None:
        """What Kommo refuses is for the next run; anything else that is raised is a bug."""
        began, due = self.world.answered, sorted(step.meanwhile, key=lambda item: item[0])

        def happen(answered: int) -> None:
            while due and began + due[0][0] <= answered:
                self.changes.make(due.pop(0)[1])

        self.world.on_answer = happen
        try:
            await _at_once([self._doing(what) for what in step.what], step.cut)
        finally:
            self.world.on_answer = lambda _: None
        for _, change in due:
            self.changes.make(change)
        if step.cut is not None:
            await self.lapse()
        await self.check_ids()

    def _doing(self, what: str) -> Awaitable[Any]:
        match what:
            case "hooks":
                return drain_hooks(self.account, quiet_seconds=0)
            case "sweep":
                return sweep_account(self.account)
        return sync_account(self.account, full=what == "full")

    async def deliver(self) -> None:
        """Until each has been answered once."""
        self.world.hooks.release()
        await wait_until(lambda: all(one.codes for one in self.world.hooks.log), describe="webhooks are answered")

    async def lapse(self) -> None:
        """As much time goes by as the leases of a dead process last, and until what did not come is due again."""
        async with self.account.database.writing("Letting leases lapse") as connection:
            before = datetime.now(UTC) - timedelta(seconds=1)
            await connection.execute(update(crm_leases).values(held_until=before))
            await connection.execute(update(crm_dirty).where(crm_dirty.c.due_at.is_not(None)).values(due_at=before))

    async def check_ids(self) -> None:
        """What other tables of the platform point at is there for ever."""
        now = await local_ids(self.mirror)
        assert self.ids.items() <= now.items()
        self.ids = dict(now)

    async def become_administrator(self) -> None:
        """The account is connected again, with another user's token."""
        self.account = replace(self.account, client=client_of(self.kommo, self.world, patience_seconds=5))
        await self.tell_rights(is_admin=True)

    async def tell_rights(self, *, is_admin: bool) -> None:
        """What `connect` finds out."""
        self.is_admin = is_admin
        async with self.account.database.writing("Arranging") as connection:
            await merge_account_settings(connection, self.account.connection_id, {"is_admin": is_admin})

    async def calm_down(self, *, hooks_arrive: bool, seconds: float) -> None:
        """The end of all mishaps, and time enough for every list to show what is."""
        scenario = self.world.scenario
        self.world.scenario = change_scenario(
            scenario, {"late_seconds": 0.0, "late_by_id": False, "empty_by_id_seconds": 0.0, "fault_rate": 0.0}
        )
        self.world.faults.planned.clear()
        if hooks_arrive:
            await self.deliver()
        self.world.clock.advance(LATEST_SECONDS + seconds)
        await self.lapse()
        await wait_until(self._is_unblocked, describe="the limiter lets through again")

    async def _is_unblocked(self) -> bool:
        state = await self.kommo.limiter.state()
        return state.blocked_seconds == 0 and state.paused_seconds == 0


@asynccontextmanager
async def playing(place: Place, beginning: steps.Beginning, *, bucket: str) -> AsyncIterator[Play]:
    """An account of its own in the shared database; its webhooks lead to the receiver."""
    scenario = Scenario(
        requests_per_second=_UNLIMITED,
        retry_after_real_seconds=0.02,
        hang_real_seconds=0.1,
        hooks_held=True,
        hook_at_once=1,
        hook_timeout_real_seconds=10.0,
        page_rows=beginning.page_rows,
        php_empty=beginning.php_empty,
        notes_touch_parent=beginning.notes_touch_parent,
        late_seconds=beginning.late_seconds,
    )
    lossy = dict.fromkeys(_HOOK_SHARES, 0.3 if beginning.loses_hooks else 0.0)
    world = LivelyWorld(
        contacts=beginning.contacts,
        leads=beginning.leads,
        seed=beginning.seed,
        scenario=change_scenario(scenario, lossy),
        clock=SandboxClock(start_at=START_AT, speed=0),
    )
    async with (
        open_database(parse_database_url(Secret(place.database_url))) as database,
        serving(world) as url,
        open_kommo(url, place.redis_url, bucket=bucket, pace=_PACE, retry_seconds=(0.001, 0.01)) as kommo,
    ):
        client = client_of(kommo, world, patience_seconds=5, admin=beginning.is_admin)
        connection_id, org_id = await _connect(database, account_id=world.accounts[0].id)
        secret = (await make_secrets(database, Keyring(Secret("00" * 32)), connection_id)).current.reveal()
        address = f"{place.door_url}/webhooks/kommo/{connection_id}/{secret}"
        subscribe(world.accounts[0], address, SETTINGS, 1, START_AT)
        account = Account(connection_id, org_id, DEMO, database, client, lambda _: None)
        world.accounts[0].customers_mode = "segments" if beginning.has_customers else "disabled"
        play = Play(world, account, kommo, url, Changes(world, world.accounts[0]))
        await play.tell_rights(is_admin=beginning.is_admin)
        yield play


async def _connect(database: Database, *, account_id: int) -> tuple[str, str]:
    org_id = new_id()
    if database.is_postgresql:
        async with database.writing("Arranging") as connection:
            await connection.execute(
                text("INSERT INTO organizations (id, name, slug) VALUES (:id, 'O', :slug)"),
                {"id": org_id, "slug": org_id},
            )
    values = {"base_domain": DEMO, "refresh_token": None, "account_id": str(account_id), "org_id": org_id}
    return await add_account(database, ends_in_seconds=None, client_secret=None, **values), org_id


async def _at_once(doing: Sequence[Awaitable[Any]], cut: int | None) -> None:
    """All of them beside each other; the first one's end by `cut` is the end of all: they are one process."""
    first, *others = [
        asyncio.create_task(_counted(one, cut if place == 0 else None)) for place, one in enumerate(doing)
    ]
    await asyncio.wait([first])
    if first.cancelled():
        for other in others:
            other.cancel()
    await asyncio.wait([first, *others])
    for task in (first, *others):
        if not task.cancelled():
            error = task.exception()
            if error is not None and not isinstance(error, KommoError):
                raise error


async def _counted(doing: Awaitable[Any], cut: int | None) -> Any:
    return await _Counted(doing, cut)


@dataclass
class _Counted:
    """Cancels the task that awaits it in its `cut`th wait, wherever that is."""

    doing: Awaitable[Any]
    cut: int | None

    def __await__(self) -> Generator[Any, Any, Any]:
        inner, waits = self.doing.__await__(), 0
        resume = _sender(inner, None)
        while True:
            try:
                waiting_for = resume()
            except StopIteration as end:
                return end.value
            waits += 1
            if waits == self.cut:
                task = asyncio.current_task()
                assert task is not None
                asyncio.get_running_loop().call_soon(task.cancel)
            try:
                value = yield waiting_for
            except BaseException as error:  # whatever it is, it is for the one inside
                resume = _thrower(inner, error)
            else:
                resume = _sender(inner, value)


def _thrower(inner: Generator[Any, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: inner.throw(error)


def _sender(inner: Generator[Any, Any, Any], value: Any) -> Callable[[], Any]:
    return lambda: inner.send(value)
