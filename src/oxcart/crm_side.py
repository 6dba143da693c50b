"""How does a worker get its CRM side? Opened by the first job or webhook that needs it; nothing is loaded before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from oxcart.connection.link import Server
from oxcart.errors import OxcartError
from oxcart.queue.producer import Queue
from oxcart.settings import Settings
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import WarningRaised

if TYPE_CHECKING:
    from oxcart.http.routes import Route
    from oxcart.kommo.crm import Crm

OWN_QUEUE = "oxcart"
DATABASE_FILE = "kommo.db"  # in the data folder; kommo/store/database_url.py makes it

HOOKS_JOB = "kommo:hooks"


class CrmSide:
    """Belongs to the job loop; `on_hook` may be called on any thread."""

    def __init__(self, settings: Settings, server: Server, emit: Emit) -> None:
        self._settings = settings
        self._server = server
        self._emit = emit
        self._loop = asyncio.get_running_loop()
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._crm: Crm | None = None

    async def get(self) -> Crm:
        """Raises SettingsError (no database, no tables, no key), Unavailable; the next call tries again."""
        async with self._opening:
            if self._crm is None:
                crm = await asyncio.to_thread(import_module, "oxcart.kommo.crm")
                opening = crm.open_crm(self._settings, self._server, self._emit)
                self._crm = await self._stack.enter_async_context(opening)
            assert self._crm is not None
            return self._crm

    async def close(self) -> None:
        self._crm = None
        await self._stack.aclose()

    @property
    def may_be_used(self) -> bool:
        """Whether there is a database that could hold accounts; a look that loads and opens nothing."""
        return self._settings.database_url is not None or Path(self._settings.data_dir, DATABASE_FILE).exists()

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
                await upkeep.ensure_account_schedules(crm, stored.id)
        except OxcartError as error:
            self._emit(WarningRaised("KOMMO", f"Looking for connected Kommo accounts: {error}"))

    # ---------------------------------------------------------------------------------------------- webhooks
    def routes(self) -> Sequence[Route]:
        """Where Kommo reports changes: on the HTTP thread, with a database connection of its own and without Redis."""
        from oxcart.http.webhooks import webhook_routes

        return webhook_routes(self._receiver)

    def on_hook(self, connection_id: str) -> None:
        """A body was stored. Without Redis nothing happens: the next poll reads what is stored."""
        asyncio.run_coroutine_threadsafe(self._wake(connection_id), self._loop).add_done_callback(_forget)

    async def _wake(self, connection_id: str) -> None:
        async with Queue(OWN_QUEUE, prefix=self._settings.worker.prefix, server=self._server) as queue:
            await queue.add(HOOKS_JOB, {"connectionId": connection_id}, keep_completed=100, keep_failed=100)


def _forget(future: Future[None]) -> None:
    if not future.cancelled():
        future.exception()
