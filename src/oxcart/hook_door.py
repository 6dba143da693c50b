"""Who opens when the first webhook knocks? The inbox of kommo/webhooks, loaded then: most workers never need it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Self

from oxcart.connection.server import Server
from oxcart.errors import SettingsError
from oxcart.kommo.schedules import wake_for_hooks
from oxcart.kommo.store.database_url import FILE_NAME, database_of
from oxcart.queue.producer import Queue
from oxcart.queue.schedules import OWN_QUEUE
from oxcart.settings import Settings
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import WarningRaised

if TYPE_CHECKING:
    from oxcart.kommo.webhooks.inbox import HookInbox

NOBODY = (404, "There is no webhook at this address. `oxcart kommo connect` writes the right one into the account.")
AWAY = (503, "The webhook could not be stored: the worker has no database for it. Send it again later.")


def may_hold_accounts(settings: Settings) -> bool:
    """Whether there is a database that could hold accounts; a look that loads and opens nothing."""
    return settings.database_url is not None or Path(settings.data_dir, FILE_NAME).exists()


class HookDoor:
    """A http.webhooks.HookReceiver, made on the loop that `server` belongs to; the HTTP thread's loop enters it."""

    def __init__(self, settings: Settings, server: Server, emit: Emit) -> None:
        self._settings = settings
        self._server = server
        self._emit = emit
        self._loop = asyncio.get_running_loop()
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._inbox: HookInbox | None = None
        self._told: str | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def admit(self, connection_id: str, secret: str) -> tuple[int, str] | None:
        if not may_hold_accounts(self._settings):
            return NOBODY
        try:
            return await (await self._open()).admit(connection_id, secret)
        except SettingsError as error:
            self._tell(error)
            return AWAY

    async def store(self, connection_id: str, content_type: str | None, body: bytes) -> tuple[int, str]:
        return await (await self._open()).store(connection_id, content_type, body)

    async def revoke(self, query: Mapping[str, str]) -> tuple[int, str]:
        if not may_hold_accounts(self._settings):
            return NOBODY
        try:
            return await (await self._open()).revoke(query)
        except SettingsError as error:
            self._tell(error)
            return AWAY

    def _tell(self, error: SettingsError) -> None:
        """Once per reason: whoever knows the address may knock as often as he likes."""
        why = "; ".join(error.problems)
        if why != self._told:
            self._told = why
            self._emit(WarningRaised("KOMMO_HOOKS", f"Webhooks are refused: {why}"))

    async def _open(self) -> HookInbox:
        async with self._opening:
            if self._inbox is None:
                inbox = await asyncio.to_thread(import_module, "oxcart.kommo.webhooks.inbox")
                crypto = import_module("oxcart.kommo.crypto")
                keyring = crypto.Keyring(self._settings.encryption_key, self._settings.old_encryption_keys)
                made = inbox.HookInbox(database_of(self._settings), keyring, self._on_stored, self._emit)
                self._inbox = await self._stack.enter_async_context(made)
            assert self._inbox is not None
            return self._inbox

    def _on_stored(self, connection_id: str) -> None:
        """Called on the HTTP thread. Without Redis nothing happens: the next poll reads what is stored."""
        asyncio.run_coroutine_threadsafe(self._wake(connection_id), self._loop).add_done_callback(_forget)

    async def _wake(self, connection_id: str) -> None:
        async with Queue(OWN_QUEUE, prefix=self._settings.worker.prefix, server=self._server) as queue:
            await wake_for_hooks(queue, connection_id)


def _forget(future: Future[None]) -> None:
    if not future.cancelled():
        future.exception()
