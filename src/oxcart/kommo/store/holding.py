"""How is a lease kept while the work that it guards goes on? Renewed beside it, shown before a write, then given back.

A holder that was killed is succeeded once its lease has lapsed. One that was only slow goes on if nobody took it, and
finds out if somebody did.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart import clock
from oxcart.clock import wait_for_event
from oxcart.errors import OxcartError
from oxcart.kommo.store.columns import new_id
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.leases import acquire_lease, regain_lease, release_lease

Answer = TypeVar("Answer")

LEASE_SECONDS = 30.0
"""So long nobody else can begin after a holder was killed."""

_RELEASE_SECONDS = 5.0
_LOOK_SECONDS = (0.05, 0.15)


class LeaseLost(OxcartError):  # noqa: N818 - says what became of the lease
    """Another has had the lease since: nothing more may be written under it."""


class Hold:
    """A lease of ours. Once it is lost, another may be at the same work: begin nothing more under it."""

    def __init__(self, database: Database, scope: str, holder: str, seconds: float) -> None:
        self._database, self._scope, self._holder, self._seconds = database, scope, holder, seconds
        self._held_until = clock.monotonic() + seconds
        self._stopping = asyncio.Event()

    @property
    def is_ours(self) -> bool:
        return clock.monotonic() < self._held_until

    async def show(self, connection: AsyncConnection) -> None:
        """First thing in every transaction that it guards: nobody can take it before that ends. Raises LeaseLost."""
        if not await self._regain(connection):
            raise LeaseLost(
                f"Writing under the lease {self._scope}: this process was held up, the lease lapsed, and another "
                "process took it. That one goes on where this one stopped."
            )

    async def keep(self) -> None:
        """Renew it until another has it. A database that is away for a while costs nothing before the lease ends."""
        while not await wait_for_event(self._stopping, self._seconds / 3):
            began = clock.monotonic()
            with contextlib.suppress(OxcartError):  # the next renewal may succeed; until then `is_ours` goes by time
                if not await self._database.write("Renewing a lease", self._regain):
                    self._held_until = 0.0
                    return
                self._held_until = began + self._seconds

    async def give_back(self, keeping: asyncio.Task[None]) -> None:
        """A renewal that is under way may end by itself: a driver that is cut off leaves its connection in doubt."""
        self._stopping.set()
        await asyncio.wait([keeping], timeout=_RELEASE_SECONDS)
        keeping.cancel()
        await asyncio.wait([keeping])
        await self.release()

    async def release(self) -> None:
        """Where that fails it ends by itself."""
        with contextlib.suppress(OxcartError, TimeoutError):
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._database.write("Giving a lease back", self._release)

    async def _regain(self, connection: AsyncConnection) -> bool:
        return await regain_lease(connection, self._scope, self._holder, self._seconds)

    async def _release(self, connection: AsyncConnection) -> None:
        await release_lease(connection, self._scope, self._holder)


@asynccontextmanager
async def hold_lease(
    database: Database, scope: str, *, wait_seconds: float = 0.0, seconds: float = LEASE_SECONDS
) -> AsyncIterator[Hold | None]:
    """None if another still holds it after `wait_seconds`. Raises SettingsError, StoreRefused, Unavailable."""
    holder = new_id()
    give_up = clock.monotonic() + wait_seconds
    while (hold := await _take(database, scope, holder, seconds)) is None:
        if clock.monotonic() >= give_up:
            yield None
            return
        await asyncio.sleep(clock.uniform(*_LOOK_SECONDS))
    keeping = asyncio.create_task(hold.keep(), name=f"lease:{scope}")
    try:
        yield hold
    finally:
        await _to_its_end(hold.give_back(keeping))


async def _take(database: Database, scope: str, holder: str, seconds: float) -> Hold | None:
    async def acquire(connection: AsyncConnection) -> bool:
        return await acquire_lease(connection, scope, holder, seconds)

    asked = Hold(database, scope, holder, seconds)
    try:
        return asked if await _to_its_end(database.write("Taking a lease", acquire)) else None
    except asyncio.CancelledError:
        await asked.release()
        raise


async def _to_its_end(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Cancelled meanwhile, it ends first: a commit that is cut off may still be done, after what was to undo it."""
    task = asyncio.create_task(work, name="lease:transaction")
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_RELEASE_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
