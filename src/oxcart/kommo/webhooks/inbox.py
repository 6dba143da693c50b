"""What happens to a webhook when it comes in? It is stored, and answered once that is certain; all else comes later.

Runs on the HTTP thread's loop with a database of its own, and needs neither Redis nor Kommo. All that wait are
committed together: a commit costs some milliseconds, and Kommo's webhooks come in bursts.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import NamedTuple, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart import clock
from oxcart.clock import deadline
from oxcart.errors import OxcartError, SettingsError
from oxcart.kommo.authorize import handle_revocation
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.database_url import DatabaseTarget
from oxcart.kommo.store.failures import StoreRefused
from oxcart.kommo.store.opening import open_database
from oxcart.kommo.webhooks.announcing import Announcer
from oxcart.kommo.webhooks.hook_secrets import HookSecrets, read_all_secrets
from oxcart.kommo.webhooks.stored import Hook, hook_of, store_hooks
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import WarningRaised

ANSWER_SECONDS = 1.7
"""Kommo waits 2 s. Without an answer it repeats the webhook, and does the same after a 503."""

_SECRETS_SECONDS = 2.0  # that a secret which was replaced is still taken
_APART_SECONDS = 0.25  # between two looks for a secret that is not known yet: guessing is slow, and costs no database
_OPEN_AGAIN_SECONDS = 1.0
_MOST_WAITING = 2000  # bodies in memory; those above are refused, and repeated by Kommo
_MOST_CHARACTERS = 8 * 1024 * 1024  # of them together; two thousand of Kommo's have about four million
_HOOKS_AT_ONCE = 500
_CLOSE_SECONDS = 0.5

STRANGER = "There is no webhook at this address. `oxcart kommo connect` writes the right one into the account."
AWAY = "The webhook could not be stored: the worker's database does not answer. Send it again later."
BUSY = "The webhook was not stored: too many are waiting. Send it again later."
NOT_REVOKED = "The notice is about no account that is connected here, or is not signed with its integration's secret."


class HookAnswer(NamedTuple):
    """An HTTP status and one sentence."""

    status: int
    sentence: str


class HookInbox:
    """Use as a context manager on the loop that serves HTTP; the database is opened by the first webhook.

    `on_stored(connection_id)` is called on this thread after a commit, at once and then not more often than every
    200 ms for one connection: it must return at once. What it fails to pass on, the next poll finds.
    """

    def __init__(
        self,
        target: DatabaseTarget,
        keyring: Keyring,
        on_stored: Callable[[str], None],
        emit: Emit,
        *,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._target = target
        self._keyring = keyring
        self._emit = emit
        self._answer_seconds = answer_seconds
        self._announcer = Announcer(on_stored)
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._database: Database | None = None
        self._failed: tuple[float, OxcartError] | None = None
        self._told: str | None = None
        self._secrets: dict[str, HookSecrets] = {}
        self._secrets_at = float("-inf")
        self._reading = asyncio.Lock()
        self._waiting: list[tuple[Hook, asyncio.Future[None]]] = []
        self._characters = 0  # in all that wait
        self._woken = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._writer = asyncio.create_task(self._write(), name="kommo:hook-inbox")
        return self

    async def __aexit__(self, *_: object) -> None:
        """What is being stored is stored; what waits gets no answer, and comes again."""
        assert self._writer is not None
        waiting = [stored for _, stored in self._waiting]
        if waiting:
            await asyncio.wait(waiting, timeout=_CLOSE_SECONDS)
        self._writer.cancel()
        await asyncio.wait([self._writer])
        self._announcer.close()
        await self._stack.aclose()

    # ------------------------------------------------------------------------------------------ what HTTP asks
    async def admit(self, connection_id: str, secret: str) -> HookAnswer | None:
        """None for a sender who knows the secret; an unknown connection and a wrong secret look the same."""
        came_at = clock.monotonic()
        try:
            async with deadline("looking for a webhook's secret", self._answer_seconds):
                await self._read_secrets(not_before=came_at - _SECRETS_SECONDS)
                is_right = _is_one_of(secret, self._secrets.get(connection_id))
                if not is_right:  # it may have been made a moment ago
                    await self._read_secrets(not_before=came_at)
                    is_right = _is_one_of(secret, self._secrets.get(connection_id))
        except (OxcartError, TimeoutError) as error:
            self._tell(error)
            return HookAnswer(503, AWAY)
        return None if is_right else HookAnswer(404, STRANGER)

    async def store(self, connection_id: str, content_type: str | None, body: bytes) -> HookAnswer:
        """200 once it is committed; 429 where too many wait.

        A 503 may be stored nevertheless: the same body again is no second one.
        """
        if len(self._waiting) >= _MOST_WAITING or self._characters >= _MOST_CHARACTERS:
            return HookAnswer(429, BUSY)
        stored = asyncio.get_running_loop().create_future()
        hook = hook_of(connection_id, content_type, body)
        self._waiting.append((hook, stored))
        self._characters += len(hook.body)
        self._woken.set()
        try:
            async with deadline("storing a webhook", self._answer_seconds):
                await asyncio.shield(stored)
        except (OxcartError, TimeoutError) as error:
            self._tell(error)
            return HookAnswer(503, AWAY)
        return HookAnswer(200, "Stored.")

    async def revoke(self, query: Mapping[str, str]) -> HookAnswer:
        """Kommo's signed notice that an account's owner has taken the access away."""
        try:
            database = await self._open()
            parked = await handle_revocation(database, self._keyring, self._emit, query)
        except OxcartError as error:
            self._tell(error)
            return HookAnswer(503, AWAY)
        return HookAnswer(200, "Its jobs wait until it is connected again.") if parked else HookAnswer(404, NOT_REVOKED)

    # ------------------------------------------------------------------------------------------ secrets
    async def _read_secrets(self, *, not_before: float) -> None:
        """Unless what we have was read since then."""
        async with self._reading:
            if self._secrets_at >= not_before:
                return
            await asyncio.sleep(max(0.0, self._secrets_at + _APART_SECONDS - clock.monotonic()))
            began = clock.monotonic()
            database = await self._open()
            async with database.reading("Looking for a webhook's secret") as connection:
                self._secrets = await read_all_secrets(connection, self._keyring)
            self._secrets_at = began

    # ------------------------------------------------------------------------------------------ storing
    async def _write(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._waiting:
                together = self._waiting[:_HOOKS_AT_ONCE]
                await self._store([hook for hook, _ in together], [stored for _, stored in together])
                del self._waiting[: len(together)]
                self._characters -= sum(len(hook.body) for hook, _ in together)

    async def _store(self, hooks: list[Hook], stored: list[asyncio.Future[None]]) -> None:
        """One transaction; each that waits for it hears how it ended."""

        async def write(connection: AsyncConnection) -> None:
            await store_hooks(connection, hooks, at=clock.now_utc())

        try:
            database = await self._open()
            await database.write("Storing webhooks", write)
        except StoreRefused as error:
            if len(hooks) == 1:
                _settle(stored, error)
                return
            for hook, future in zip(hooks, stored, strict=True):  # the guilty one alone is refused
                await self._store([hook], [future])
        except OxcartError as error:
            _settle(stored, error)
        else:
            _settle(stored, None)
            self._told = None
            for connection_id in {hook.connection_id for hook in hooks}:
                self._announcer.announce(connection_id)

    async def _open(self) -> Database:
        """Raises as `open_database`; what failed a moment ago is not tried again yet."""
        async with self._opening:
            if self._database is None:
                if self._failed is not None and clock.monotonic() - self._failed[0] < _OPEN_AGAIN_SECONDS:
                    raise self._failed[1]
                try:
                    self._database = await self._stack.enter_async_context(open_database(self._target))
                except OxcartError as error:
                    self._failed = (clock.monotonic(), error)
                    raise
            return self._database

    def _tell(self, error: Exception) -> None:
        """Once per reason, until webhooks are stored again."""
        why = "; ".join(error.problems) if isinstance(error, SettingsError) else str(error)
        if why != self._told:
            self._told = why
            self._emit(WarningRaised("KOMMO_HOOKS", f"Webhooks are refused, Kommo repeats them for a while: {why}"))


def _settle(stored: list[asyncio.Future[None]], error: OxcartError | None) -> None:
    for future in stored:
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
            future.exception()  # its request may have given up: nobody else will look at it


def _is_one_of(given: str, known: HookSecrets | None) -> bool:
    """In constant time, and as long for a connection that there is none of."""
    accepted = known.accepted(clock.now_utc()) if known is not None else ()
    found = [hmac.compare_digest(given.encode("utf-8", "replace"), one.reveal().encode()) for one in accepted]
    hmac.compare_digest(given.encode("utf-8", "replace"), b"-" * 43)
    return any(found)
