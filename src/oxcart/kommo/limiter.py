"""When may the next request to Kommo leave? One bucket in Redis for all processes that share an address.

Kommo counts 7 requests a second, by its pages per address, per integration, or both; whoever goes on after a 429 is
locked out. So requests leave one by one at an even pace below that, interactive ones first, connections in turn; a 429
pauses all of them, an HTML 403 stops all until one probe has come through.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from oxcart.connection.server import Server
from oxcart.errors import InvalidInput
from oxcart.kommo.failures import Blocked, TooManyRequests
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Argument, ours
from oxcart.queue.channel import Channel
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import Event, KommoBlocked, KommoPaused, KommoUnblocked

# A permit that was this long on its way is no longer of its moment: others have left since.
_STALE_SECONDS = 1.0

_JITTER = (1.0, 1.1)
"""Of a pause that we chose ourselves, so that two systems on one address do not come back together."""

_BLOCKED = (
    "Kommo has blocked this address; nothing is sent for another {left}. Kommo's support lifts a block; "
    "a probe looks by itself when the time is up."
)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast, and how long to stop. 5 a second leaves room for two that arrive closer than they left."""

    requests_per_second: float = 5.0
    pause_seconds: float = 60.0  # after a 429 that does not say how long
    block_seconds: float = 2 * 3600.0  # after the first HTML 403; doubled by each probe that fails
    longest_block_seconds: float = 24 * 3600.0
    probe_seconds: float = 60.0  # then another process may probe

    def __post_init__(self) -> None:
        if self.requests_per_second <= 0:
            raise InvalidInput(f"{self.requests_per_second} requests a second: Kommo allows 7; use 5 or 6.")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who wants to send. `connection` gets its fair share; `interactive`: a person waits for the answer.

    After `patience_seconds` of waiting the caller is told to come back instead.
    """

    connection: str
    interactive: bool = False
    patience_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Permit:
    """One request may leave now. With `is_probe` it leaves alone, to see whether a block has ended."""

    granted_at_ms: int
    is_probe: bool


@dataclass(frozen=True, slots=True)
class LimiterState:
    """For status pages. Seconds are 0 where nothing is stopped; `requests_per_second` is the present rate."""

    paused_seconds: float
    blocked_seconds: float
    refusals_in_a_row: int
    requests_per_second: float


def _tell_nobody(_event: Event) -> None:
    """The default for `emit`."""


class Limiter:
    """`bucket` names the address that requests leave from; processes with the same Redis and bucket share it.

    Emits KommoPaused, KommoBlocked and KommoUnblocked, once per change over all processes.
    """

    def __init__(
        self, server: Server, *, bucket: str = "default", pace: Pace | None = None, emit: Emit = _tell_nobody
    ) -> None:
        self._emit = emit
        # The queue's name only labels the channel's messages.
        self._channel = Channel(QueueKeys("oxcart"), server, server.link("kommo"))
        self.pace = pace or Pace()
        self._state = f"oxcart:{{kommo:{bucket}}}:limit"
        self._waiting = f"oxcart:{{kommo:{bucket}}}:waiting"

    async def acquire(self, caller: Caller, doing: str = "Calling Kommo") -> Permit:
        """Wait for our turn. Raises TooManyRequests when that takes longer than the caller's patience, Blocked, or
        Unavailable: without Redis nobody knows what the others send, so nothing leaves.
        """
        waiter = uuid.uuid4().hex
        give_up = time.monotonic() + caller.patience_seconds
        while True:
            asked = time.monotonic()
            what, milliseconds, now_ms = await self._ask(waiter, caller, doing)
            if what in {"go", "probe"}:
                if time.monotonic() - asked < _STALE_SECONDS or what == "probe":
                    return Permit(now_ms, what == "probe")
                continue
            seconds = milliseconds / 1000
            if what == "blocked":
                raise Blocked(
                    doing, _BLOCKED.format(left=_left(seconds)), "The data is current up to then.",
                    retry_after_seconds=seconds,
                )  # fmt: skip
            if time.monotonic() + seconds > give_up:
                raise _too_long(doing, what, seconds)
            await asyncio.sleep(seconds)

    async def pause(self, permit: Permit, retry_after_seconds: float | None) -> float:
        """Kommo answered 429 to the request of `permit`. Returns for how many seconds all requests now pause."""
        seconds = retry_after_seconds
        if seconds is None:
            seconds = self.pace.pause_seconds * random.uniform(*_JITTER)
        rest, refusals, is_new = await self._run(
            "Pausing requests to Kommo", "kommo_pause", (round(seconds * 1000), permit.granted_at_ms)
        )
        if is_new:
            self._emit(KommoPaused(int(rest) / 1000, int(refusals)))
        return int(rest) / 1000

    async def block(self, permit: Permit) -> float:
        """Kommo answered an HTML 403 to the request of `permit`. Returns for how many seconds nothing is sent."""
        args = (
            round(self.pace.block_seconds * 1000),
            round(self.pace.longest_block_seconds * 1000),
            permit.granted_at_ms,
            int(permit.is_probe),
        )
        rest, is_new = await self._run("Stopping requests to Kommo", "kommo_block", args)
        if is_new:
            self._emit(KommoBlocked(int(rest) / 1000))
        return int(rest) / 1000

    async def unblock(self) -> None:
        """The probe came through."""
        if await self._run("Resuming requests to Kommo", "kommo_unblock", ()):
            self._emit(KommoUnblocked())

    async def state(self) -> LimiterState:
        wanted = ("pausedUntil", "blockedUntil", "refusals")
        replies = await self._channel.commands(
            "Reading the limit of Kommo", [("TIME",), ("HMGET", self._state, *wanted)]
        )
        now_ms = int(replies[0][0]) * 1000 + int(replies[0][1]) // 1000
        paused, blocked, refusals = (float(value or 0) for value in replies[1])
        return LimiterState(
            max(paused - now_ms, 0) / 1000,
            max(blocked - now_ms, 0) / 1000,
            int(refusals),
            self.pace.requests_per_second / 2 ** min(max(int(refusals) - 1, 0), 3),
        )

    async def _ask(self, waiter: str, caller: Caller, doing: str) -> tuple[str, int, int]:
        args = (
            waiter,
            caller.connection,
            0 if caller.interactive else 1,
            1000 / self.pace.requests_per_second,
            round(self.pace.probe_seconds * 1000),
        )
        what, milliseconds, now_ms = await self._run(doing, "kommo_acquire", args)
        return what.decode(), int(milliseconds), int(now_ms)

    async def _run(self, doing: str, script: str, args: Sequence[Argument]) -> Any:
        """Every script may run twice: a lost permit is a slot nobody uses, the others only extend what holds."""
        keys = (self._state, self._waiting) if script == "kommo_acquire" else (self._state,)
        return await self._channel.run(doing, ours(script), keys, args, repeatable=True)


def _too_long(doing: str, what: str, seconds: float) -> TooManyRequests:
    happened = (
        f"requests to Kommo pause for another {_left(seconds)} because it answered 429."
        if what == "paused"
        else "so many requests to Kommo wait before this one that its turn does not come in time."
    )
    return TooManyRequests(doing, happened, "Try again then.", retry_after_seconds=seconds)


def _left(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
