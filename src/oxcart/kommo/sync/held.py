"""How does one walk keep others from its stream? By a lease, which it renews while it runs and shows before it writes.

A holder that was killed is succeeded once its lease has lapsed. One that was only slow goes on if nobody took it, and
finds out when it writes if somebody did.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.clock import deadline, wait_for_event
from oxcart.errors import OxcartError
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.leases import acquire_lease, regain_lease, release_lease

LEASE_SECONDS = 15.0
"""So long a stream waits for another process after its holder was killed; renewed three times as often."""

_RELEASE_SECONDS = 5.0


class LeaseLost(OxcartError):  # noqa: N818 - says what became of the lease
    """Another has had the lease since: nothing more may be written under it."""


class Lease:
    """Held; see `hold_lease`."""

    def __init__(self, scope: str, holder: str, seconds: float) -> None:
        self._mine = (scope, holder, seconds)

    async def show(self, connection: AsyncConnection) -> None:
        """First thing in every transaction that it guards: nobody can take it before that ends. Raises LeaseLost."""
        if not await regain_lease(connection, *self._mine):
            raise LeaseLost(
                f"Writing under the lease {self._mine[0]}: this process was held up, the lease lapsed, and another "
                "process took it. That one goes on where this one stopped."
            )


@asynccontextmanager
async def hold_lease(database: Database, scope: str, *, seconds: float = LEASE_SECONDS) -> AsyncIterator[Lease | None]:
    """None if another has it. Raises SettingsError, StoreRefused, Unavailable."""
    holder = uuid.uuid4().hex
    taken = await database.write("Taking a lease", lambda connection: acquire_lease(connection, scope, holder, seconds))
    if not taken:
        yield None
        return
    stopping = asyncio.Event()
    beat = asyncio.create_task(_keep(database, scope, holder, seconds, stopping), name=f"lease:{scope}")
    try:
        yield Lease(scope, holder, seconds)
    finally:
        stopping.set()
        await _see_end(beat)
        with contextlib.suppress(OxcartError, TimeoutError):  # then it lapses
            async with deadline("giving back a lease", _RELEASE_SECONDS):
                await database.write("Giving back a lease", lambda connection: release_lease(connection, scope, holder))


async def _keep(database: Database, scope: str, holder: str, seconds: float, stopping: asyncio.Event) -> None:
    """Between the pages, too: Kommo may take longer to answer than the lease lasts."""
    while not await wait_for_event(stopping, seconds / 3):
        with contextlib.suppress(OxcartError):  # the next renewal may succeed; the next write will tell
            renewed = await database.write(
                "Renewing a lease", lambda connection: regain_lease(connection, scope, holder, seconds)
            )
            if not renewed:
                return


async def _see_end(beat: asyncio.Task[None]) -> None:
    """Let a renewal that is under way end by itself: a driver that is cut off leaves its connection in doubt."""
    await asyncio.wait([beat], timeout=_RELEASE_SECONDS)
    beat.cancel()
    await asyncio.wait([beat])
    if not beat.cancelled():
        beat.result()
