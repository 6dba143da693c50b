"""How does a queue's request reach the server, through an outage? Tries again while that is safe, up to a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from redis.exceptions import ResponseError

from oxcart import clock
from oxcart.connection.failures import classify
from oxcart.connection.link import Link
from oxcart.connection.server import Server
from oxcart.errors import Kind, ServerRefused, Unavailable
from oxcart.protocol import scripts
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Argument, Command, Script, ScriptCall, ours, run_script

DEADLINE_SECONDS = 10.0
"""How long a call waits for a server that is away: longer than a failover, shorter than a web request's limit."""

_PAUSE_SECONDS = (0.05, 0.2)
"""Between two tries; how long the server itself is left alone is Server.wait_until_ready's to decide."""

GRACE_SECONDS = 0.2
"""A request that ends by its own deadline knows more about its outcome: let it be first."""

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Channel:
    """One queue's connection for everything that does not block. `doing` in its methods is the first part of errors."""

    keys: QueueKeys
    server: Server
    link: Link
    is_closed: bool = False
    """Set by the owner, before it closes the link: what is under way then ends, and opens it no more."""
    _known: set[str] = field(default_factory=set)

    async def command(self, doing: str, *command: Argument, repeatable: bool = True) -> Any:
        """One plain command. Raises Unavailable, or ServerRefused."""
        return await self.persist(
            doing, lambda seconds: self.link.request(*command, deadline_seconds=seconds), repeatable=repeatable
        )

    async def commands(self, doing: str, commands: Sequence[Command], *, repeatable: bool = True) -> list[Any]:
        """Plain commands in one round trip. Raises Unavailable, or ServerRefused for the first one refused."""

        async def send(seconds: float) -> list[Any]:
            return self.checked(doing, await self.link.requests(commands, deadline_seconds=seconds))

        return await self.persist(doing, send, repeatable=repeatable)

    async def run(
        self, doing: str, script: Script, keys: Sequence[Argument], args: Sequence[Argument], *, repeatable: bool
    ) -> Any:
        return await self.persist(
            doing,
            lambda seconds: run_script(self.link, script, keys, args, deadline_seconds=seconds),
            repeatable=repeatable,
        )

    async def run_all(self, doing: str, calls: Sequence[ScriptCall], *, repeatable: bool = False) -> list[Any]:
        """Scripts in one round trip, in order. Raises Unavailable, or ServerRefused for the first one refused."""

        async def send(seconds: float) -> list[Any]:
            return self.checked(doing, await self.send_all(calls, seconds))

        return await self.persist(doing, send, repeatable=repeatable)

    async def send_all(self, calls: Sequence[ScriptCall], deadline_seconds: float) -> list[Any]:
        """One try of run_all; refused scripts are errors in their places."""
        return await scripts.run_all(self.link, calls, self._known, deadline_seconds=deadline_seconds)

    def follow_pause(self, push: str, job_ids: Sequence[str]) -> ScriptCall:
        """To send behind a script of BullMQ that pushes to `wait`: see follow_pause.lua."""
        keys = (self.keys.wait, self.keys.paused, self.keys.meta)
        return ScriptCall(ours("follow_pause"), keys, (push, *job_ids), repeatable=True)

    def checked(self, doing: str, replies: list[Any]) -> list[Any]:
        for reply in replies:
            if isinstance(reply, ResponseError):
                raise ServerRefused(classify(reply), doing) from reply
        return replies

    async def persist(
        self,
        doing: str,
        attempt: Callable[[float], Awaitable[Answer]],
        *,
        repeatable: bool,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> Answer:
        """Call `attempt(seconds)` until it is answered, or `deadline_seconds` are over.

        Raises Unavailable, whose `outcome_unknown` is true if any try was sent and not answered. One that may have
        been executed is tried again only if `repeatable`; a failure that someone must mend first is raised at once.
        """
        until = clock.monotonic() + deadline_seconds
        outcome_unknown = False
        while True:
            left = until - clock.monotonic()
            try:
                return await self._bounded(attempt, max(left / 2, min(1.0, deadline_seconds)))
            except ServerRefused as error:
                raise ServerRefused(error.failure, doing) from error
            except Unavailable as error:
                outcome_unknown = outcome_unknown or error.outcome_unknown
                hopeless = self.is_closed or error.failure.kind in {Kind.CONFIGURATION, Kind.PERMANENT}
                if hopeless or (outcome_unknown and not repeatable) or not await self._ready_again(until):
                    raise Unavailable(error.failure, doing, outcome_unknown=outcome_unknown) from error

    async def _bounded(self, attempt: Callable[[float], Awaitable[Answer]], seconds: float) -> Answer:
        """One try. A request has its own deadline, but not the connecting before it, nor the turn it waits for."""
        if self.link.is_at_hand:
            return await attempt(seconds)
        began, was_open = clock.monotonic(), self.link.is_open
        try:
            async with asyncio.timeout(seconds + GRACE_SECONDS):
                return await attempt(seconds)
        except TimeoutError as error:
            failure = classify(error, connecting=True, target=self.server.target)
            may_be_sent = was_open or self.link.opened_at >= began
            raise Unavailable(failure, "Connecting", outcome_unknown=may_be_sent) from error

    async def _ready_again(self, until: float) -> bool:
        """Wait for the server, at most until then; false when the time is up, or this process has closed it."""
        try:
            async with asyncio.timeout(max(until - clock.monotonic(), 0)):
                await asyncio.sleep(clock.uniform(*_PAUSE_SECONDS))
                await self.server.wait_until_ready()
        except (TimeoutError, Unavailable):
            return False
        return clock.monotonic() < until
