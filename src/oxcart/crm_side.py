"""How does a worker get its CRM side? Opened by the first job or webhook that needs it; nothing is loaded before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib import import_module
from typing import TYPE_CHECKING

from oxcart.connection.link import Server
from oxcart.errors import OxcartError, SettingsError
from oxcart.hook_door import lacks_database, may_hold_accounts
from oxcart.settings import Settings
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import WarningRaised

if TYPE_CHECKING:
    from oxcart.kommo.crm import ServedCrm


LOOK_AGAIN_SECONDS = 60.0  # whether the tables or the key that were missing are there by now


class CrmSide:
    """Belongs to the job loop.

    `leaves_jobs`: a Node worker beside us may be able to do what we cannot for want of a database or a key, so such
    jobs are left alone, as those are whose name nobody here handles (OXCART_UNKNOWN_JOBS). `on_lack_changed` is called
    when their names begin or cease to be claimed.
    """

    def __init__(self, settings: Settings, server: Server, emit: Emit, *, leaves_jobs: bool = False) -> None:
        self.leaves_jobs = leaves_jobs
        self.on_lack_changed: Callable[[], None] = lambda: None
        self._settings = settings
        self._server = server
        self._emit = emit
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._crm: ServedCrm | None = None
        self._has_no_database = lacks_database(settings)
        self._lack: str | None = "no DATABASE_URL" if self._has_no_database else None
        self._lack_found = asyncio.Event()

    def lack(self) -> str | None:
        """What is missing here for the CRM's jobs: known at the start, or found out by the first of them."""
        return self._lack

    async def get(self) -> ServedCrm:
        """Raises SettingsError (no database, no tables, no key), Unavailable; the next call tries again."""
        async with self._opening:
            if self._crm is None:
                crm = await asyncio.to_thread(import_module, "oxcart.kommo.crm")
                opening = crm.open_crm(self._settings, self._server, self._emit)
                try:
                    self._crm = await self._stack.enter_async_context(opening)
                except SettingsError as error:
                    self._note_lack(error)
                    raise
                self._set_lack(None)
            assert self._crm is not None
            return self._crm

    def _note_lack(self, error: SettingsError) -> None:
        """Told once per reason: each job that needs the CRM meets it anew."""
        if self._has_no_database or str(error) == self._lack:
            return
        left = "; they wait for a worker that can" if self.leaves_jobs else ""
        self._emit(WarningRaised("KOMMO", f"The CRM's jobs cannot be done here{left}: {error}"))
        self._set_lack(str(error))
        self._lack_found.set()

    def _set_lack(self, lack: str | None) -> None:
        if lack != self._lack:
            self._lack = lack
            self.on_lack_changed()

    async def look_again(self) -> None:
        """For ever: nobody claims the CRM's jobs while something is missing, so no job would find that it has come."""
        while True:
            await self._lack_found.wait()
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            self._lack_found.clear()
            try:
                await self.get()
            except OxcartError:
                self._lack_found.set()

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
