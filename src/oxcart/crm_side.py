"""How does a worker get its CRM side? Opened by the first job or webhook that needs it; nothing is loaded before."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from importlib import import_module
from typing import TYPE_CHECKING

from oxcart.connection.server import Server
from oxcart.errors import OxcartError, SettingsError
from oxcart.hook_door import may_hold_accounts
from oxcart.kommo.store.database_url import database_of
from oxcart.settings import Settings
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import WarningRaised

if TYPE_CHECKING:
    from oxcart.kommo.crm import ServedCrm


LOOK_AGAIN_SECONDS = 60.0


class CrmSide:
    """Belongs to the job loop.

    `leaves_jobs`: a Node worker beside us may be able to do what we cannot for want of a database or its tables, so
    such jobs are left to it, as those are whose name nobody here handles (OXCART_UNKNOWN_JOBS).
    """

    def __init__(
        self,
        settings: Settings,
        server: Server,
        emit: Emit,
        *,
        leaves_jobs: bool = False,
        look_again_seconds: float = LOOK_AGAIN_SECONDS,
    ) -> None:
        self.leaves_jobs = leaves_jobs
        self._settings = settings
        self._server = server
        self._emit = emit
        self._look_again_seconds = look_again_seconds
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._crm: ServedCrm | None = None
        self._lacking = _lacking(settings)
        self._told: str | None = None
        self._looking_again: asyncio.Task[None] | None = None

    def why_not(self) -> str | None:
        """What the CRM's jobs lack here, as far as is known; None: nothing."""
        return self._lacking

    async def get(self) -> ServedCrm:
        """Raises SettingsError (no database, no tables, no key), Unavailable; the next call tries again."""
        async with self._opening:
            if self._crm is None:
                crm = await asyncio.to_thread(import_module, "oxcart.kommo.crm")
                opening = crm.open_crm(self._settings, self._server, self._emit)
                try:
                    self._crm = await self._stack.enter_async_context(opening)
                except SettingsError as error:
                    self._cannot(error)
                    raise
                self._lacking = None
            assert self._crm is not None
            return self._crm

    def _cannot(self, error: SettingsError) -> None:
        """Told once per reason: each job that needs the CRM meets it anew. Someone may make the tables meanwhile."""
        self._lacking = self._lacking or error.problems[0]
        if str(error) != self._told:
            self._told = str(error)
            left = "; such jobs are left to other workers" if self.leaves_jobs else ""
            self._emit(WarningRaised("KOMMO", f"The CRM's jobs cannot be done here{left}: {error}"))
        if self.leaves_jobs and self._looking_again is None and _lacking(self._settings) is None:
            self._looking_again = asyncio.create_task(self._look_again(), name="crm:look-again")

    async def _look_again(self) -> None:
        """Nobody else does: jobs that are left open nothing."""
        while self._lacking is not None:
            await asyncio.sleep(self._look_again_seconds)
            with suppress(OxcartError):
                await self.get()
        self._looking_again = None

    async def close(self) -> None:
        self._crm = None
        if self._looking_again is not None:
            self._looking_again.cancel()
        await self._stack.aclose()

    @property
    def may_be_used(self) -> bool:
        """Whether there is a database that could hold accounts; a look that loads and opens nothing."""
        return may_hold_accounts(self._settings)

    async def look_after_accounts(self) -> None:
        """Give every connected account its schedules, also where the platform connected it or Redis was emptied."""
        if not self.may_be_used:
            return
        try:
            crm_module = await asyncio.to_thread(import_module, "oxcart.kommo.crm")
            if not await crm_module.has_connections(self._settings):
                return
            upkeep = await asyncio.to_thread(import_module, "oxcart.kommo.upkeep")
            crm = await self.get()
            for stored in await crm.connections():
                if stored.is_connected:
                    await upkeep.ensure_account_schedules(crm, stored.id)
        except OxcartError as error:
            self._emit(WarningRaised("KOMMO", f"Looking for connected Kommo accounts: {error}"))


def _lacking(settings: Settings) -> str | None:
    """What can be known without opening anything: that no database is given, or none that can be used."""
    try:
        database_of(settings)
    except SettingsError as error:
        return error.problems[0] if settings.database_url is not None else "no DATABASE_URL"
    return None
