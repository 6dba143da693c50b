"""How does a worker get its CRM side? Opened by the first job or webhook that needs it; nothing is loaded before."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from importlib import import_module
from typing import TYPE_CHECKING

from oxcart.connection.server import Server
from oxcart.errors import OxcartError, SettingsError
from oxcart.hook_door import may_hold_accounts
from oxcart.settings import Settings
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import WarningRaised

if TYPE_CHECKING:
    from oxcart.kommo.crm import ServedCrm


class CrmSide:
    """Belongs to the job loop.

    `returns_jobs`: a Node worker beside us may be able to do what we cannot for want of a database or a key, so such
    jobs go back, as those do whose name nobody here handles (OXCART_UNKNOWN_JOBS).
    """

    def __init__(self, settings: Settings, server: Server, emit: Emit, *, returns_jobs: bool = False) -> None:
        self.returns_jobs = returns_jobs
        self._settings = settings
        self._server = server
        self._emit = emit
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._crm: ServedCrm | None = None
        self._told: str | None = None

    async def get(self) -> ServedCrm:
        """Raises SettingsError (no database, no tables, no key), Unavailable; the next call tries again."""
        async with self._opening:
            if self._crm is None:
                crm = await asyncio.to_thread(import_module, "oxcart.kommo.crm")
                opening = crm.open_crm(self._settings, self._server, self._emit)
                try:
                    self._crm = await self._stack.enter_async_context(opening)
                except SettingsError as error:
                    self._warn(error)
                    raise
            assert self._crm is not None
            return self._crm

    def _warn(self, error: SettingsError) -> None:
        """Once per reason: each job that needs the CRM meets it anew."""
        if str(error) != self._told:
            self._told = str(error)
            back = "; such jobs go back for a minute" if self.returns_jobs else ""
            self._emit(WarningRaised("KOMMO", f"The CRM's jobs cannot be done here{back}: {error}"))

    async def close(self) -> None:
        self._crm = None
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
