"""When may the next request to Kommo leave? One bucket in Redis for all processes that share an address.

Kommo counts 7 requests a second, by its pages per address, per integration, or both; whoever goes on after a 429 is
locked out. So requests leave one by one at an even pace below that, interactive ones first, connections in turn; a 429
pauses all of them. An HTML 403 stops its account until a probe of that account has come through; whether it is the
whole address that is locked out, one probe of the next other account tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from oxcart import clock
from oxcart.connection.server import Server
from oxcart.errors import InvalidInput
from oxcart.kommo.failures import Blocked, TooManyRequests
from oxcart.language import tr
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Argument, ours
from oxcart.queue.channel import Channel
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import Event, KommoBlocked, KommoPaused, KommoUnblocked

# A permit that was this long on its way is no longer of its moment: others have left since.
_STALE_SECONDS = 1.0

_FAR_MS = 2 * 86_400_000  # a block is not forgotten before that

_JITTER = (1.0, 1.1)
"""Of a pause that we chose ourselves, so that two systems on one address do not come back together."""


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
            raise InvalidInput(
                tr(
                    "{requests_per_second} requests a second: Kommo allows 7; use 5 or 6.",
                    requests_per_second=self.requests_per_second,
                )
            )


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
    """One request may leave now. With `is_probe` it leaves alone, to see whether the address is blocked; with
    `is_own_probe` its account's own block is over, and it looks whether that is so.
    """

    granted_at_ms: int
    is_probe: bool
    connection: str = ""
    is_own_probe: bool = False


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
        self._blocked = f"oxcart:{{kommo:{bucket}}}:blocked"  # connection -> "until, and for how long", in ms

    async def acquire(self, caller: Caller, doing: str = "Calling Kommo") -> Permit:
        """Wait for our turn. Raises TooManyRequests when that takes longer than the caller's patience, Blocked, or
        Unavailable: without Redis nobody knows what the others send, so nothing leaves.
        """
        is_own_probe = await self._pass_own_block(caller, doing)
        waiter = clock.new_uuid().hex
        give_up = clock.monotonic() + caller.patience_seconds
        while True:
            asked = clock.monotonic()
            what, milliseconds, now_ms = await self._ask(waiter, caller, doing)
            if what in {"go", "probe"}:
                if clock.monotonic() - asked < _STALE_SECONDS or what == "probe":
                    return Permit(now_ms, what == "probe", caller.connection, is_own_probe)
                continue
            seconds = milliseconds / 1000
            if what == "blocked":
                raise _is_blocked(doing, seconds)
            if clock.monotonic() + seconds > give_up:
                raise _too_long(doing, what, seconds)
            await asyncio.sleep(seconds)

    async def pause(self, permit: Permit, retry_after_seconds: float | None) -> float:
        """Kommo answered 429 to the request of `permit`. Returns for how many seconds all requests now pause."""
        seconds = retry_after_seconds
        if seconds is None:
            seconds = self.pace.pause_seconds * clock.uniform(*_JITTER)
        rest, refusals, is_new = await self._run(
            "Pausing requests to Kommo", "kommo_pause", (round(seconds * 1000), permit.granted_at_ms)
        )
        if is_new:
            self._emit(KommoPaused(int(rest) / 1000, int(refusals)))
        return int(rest) / 1000

    async def block(self, permit: Permit) -> float:
        """Kommo answered an HTML 403 to the request of `permit`. Returns for how many seconds its account is silent.

        The others send nothing either if this was the probe that was to tell; else one of them probes.
        """
        doing = "Stopping requests to Kommo"
        now_ms, held, unblocked_at = await self._read_block(doing, permit.connection)
        if permit.granted_at_ms < unblocked_at:
            return 0.0  # it was on its way when a probe came through
        until, last_ms = held
        if now_ms >= until or permit.is_own_probe:
            longest = self.pace.longest_block_seconds * 1000
            length = min(last_ms * 2, longest) if permit.is_own_probe else self.pace.block_seconds * 1000
            until = now_ms + round(length)
            await self._write_block(doing, permit.connection, until, round(length))
            self._emit(KommoBlocked(length / 1000))
        rest = until - now_ms
        if permit.is_probe:
            await self._run(doing, "kommo_unblock", ())
            await self._run(doing, "kommo_block", (rest, rest, now_ms + _FAR_MS, 0))
        else:
            await self._run(doing, "kommo_block", (0, 0, permit.granted_at_ms, 0))
        return rest / 1000

    async def unblock(self, permit: Permit | None = None) -> None:
        """The probe came through; without one: whatever is blocked, is not."""
        doing = "Resuming requests to Kommo"
        await self._run(doing, "kommo_unblock", ())
        if permit is None or permit.is_own_probe:
            whole = permit is None or permit.is_probe  # the address was blocked, and is not: nor are the others
            command = ("DEL", self._blocked) if whole else ("HDEL", self._blocked, permit.connection if permit else "")
            if await self._channel.command(doing, *command):
                self._emit(KommoUnblocked())

    async def _pass_own_block(self, caller: Caller, doing: str) -> bool:
        """True for who is to probe now. Raises Blocked."""
        now_ms, (until, last_ms), _ = await self._read_block(doing, caller.connection)
        if now_ms < until:
            raise _is_blocked(doing, (until - now_ms) / 1000)
        if last_ms:
            probing_until = now_ms + round(self.pace.probe_seconds * 1000)
            await self._write_block(doing, caller.connection, probing_until, last_ms)
        return bool(last_ms)

    async def _read_block(self, doing: str, connection: str) -> tuple[int, tuple[int, int], int]:
        """The time now, until when and for how long this account is blocked, and when a block last ended."""
        asked = [("TIME",), ("HGET", self._blocked, connection), ("HGET", self._state, "unblockedAt")]
        time_now, held, unblocked_at = await self._channel.commands(doing, asked)
        until, length = (int(part) for part in (held or b"0 0").split())
        return _ms(time_now), (until, length), int(unblocked_at or 0)

    async def _write_block(self, doing: str, connection: str, until_ms: int, length_ms: int) -> None:
        kept_ms = until_ms + _FAR_MS
        await self._channel.commands(
            doing,
            [("HSET", self._blocked, connection, f"{until_ms} {length_ms}"), ("PEXPIREAT", self._blocked, kept_ms)],
        )

    async def state(self) -> LimiterState:
        wanted = ("pausedUntil", "blockedUntil", "refusals")
        replies = await self._channel.commands(
            "Reading the limit of Kommo", [("TIME",), ("HMGET", self._state, *wanted), ("HVALS", self._blocked)]
        )
        now_ms = _ms(replies[0])
        paused, blocked, refusals = (float(value or 0) for value in replies[1])
        blocked = max([blocked, *(float(held.split()[0]) for held in replies[2])])
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
        tr("requests to Kommo pause for another {seconds} because it answered 429.", seconds=_left(seconds))
        if what == "paused"
        else tr("so many requests to Kommo wait before this one that its turn does not come in time.")
    )
    return TooManyRequests(doing, happened, tr("Try again then."), retry_after_seconds=seconds)


def _is_blocked(doing: str, seconds: float) -> Blocked:
    happened = tr(
        "Kommo has blocked this account or address; nothing is sent for another {left}. Kommo's support lifts a block; "
        "a probe looks by itself when the time is up.",
        left=_left(seconds),
    )
    return Blocked(doing, happened, tr("The data is current up to then."), retry_after_seconds=seconds)


def _ms(reply: Any) -> int:
    """Of TIME."""
    return int(reply[0]) * 1000 + int(reply[1]) // 1000


def _left(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
