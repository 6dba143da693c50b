"""Is Redis reachable? One server object a process knows, says so once per change, finds the way back, makes links."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from redis.exceptions import ReadOnlyError, RedisError

from oxcart import clock
from oxcart.clock import SKEW_TOLD_FROM_SECONDS, ServerClock
from oxcart.connection.connect import RespConnection, open_connection
from oxcart.connection.failures import classify, closes_connection
from oxcart.connection.greeting import Command, describe
from oxcart.connection.link import CLOSED, Link
from oxcart.connection.recovery import first_success
from oxcart.connection.sockets import tls_context
from oxcart.connection.target import RedisTarget
from oxcart.errors import Failure, Unavailable
from oxcart.own_tasks import start_own_task
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import Event, RedisFailureChanged, RedisLost, RedisReady, WarningRaised

# For this long after an outage, what a socket from before it reports is part of that outage. The deadlines of requests
# that hang on such sockets end within it.
_OLD_NEWS_SECONDS = 30.0

# A server lost again this soon after it came back is not greeted at full speed: the backoff goes on where it was.
_STEADY_AFTER_SECONDS = 5.0

# No error at all, only no answer: what one socket has met, others may have, too.
_SILENCE = frozenset({"READ_TIMEOUT", "TCP_HALFOPEN"})

_INFO: list[Command] = [("INFO", "server"), ("INFO", "replication"), ("TIME",)]

Callback = Callable[[], None]


def skew_sentence(skew_seconds: float) -> str:
    way = "ahead of" if skew_seconds > 0 else "behind"
    return (
        f"This machine's clock is {abs(skew_seconds):.0f} s {way} the server's. Jobs and schedules go by the server's; "
        "the times in our log are wrong. Synchronise it (NTP)."
    )


def _tell_nobody(_event: Event) -> None:
    """The default for `emit`."""


class Server:
    """One Redis as this process sees it: makes links, knows whether it is reachable, says so once per change.

    `failure` is why it is not connected, None while it is or before the first try. `reconnect_attempts` counts the
    attempts that followed a failure. `server_version` is the Redis version it says it is compatible with (Valkey 9
    says 7.2.4). Belongs to the event loop that uses it first; its plain attributes may be read from other threads.
    """

    def __init__(self, target: RedisTarget, emit: Emit = _tell_nobody, clock: ServerClock | None = None) -> None:
        self.target = target
        self.clock = clock or ServerClock()
        self._told_skew = False
        self.connected = False
        self.failure: Failure | None = None
        self.reconnect_attempts = 0
        self.server_version: str | None = None
        self.is_closed = False
        self._emit = emit
        self._links: dict[Link, None] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._context: ssl.SSLContext | None = None
        self._ready_callbacks: list[Callback] = []
        self._lost_callbacks: list[Callback] = []
        self._recovery: asyncio.Task[None] | None = None
        self._lost_at: float | None = None
        self._lost_before = 0.0
        self._lost_by: Failure | None = None
        self._ready_at = 0.0
        self._attempts = 0
        self._failures = 0

    def link(self, role: str, *, client_name: str | None = None) -> Link:
        """A link of its own, closed until its first request. `role` is for messages: "exchange", "blocking"."""
        link = Link(self, role, client_name)
        self._links[link] = None
        return link

    @property
    def link_count(self) -> int:
        """How many links there are that nobody has discarded."""
        return len(self._links)

    def forget(self, link: Link) -> None:
        """For Link.discard()."""
        self._links.pop(link, None)

    def on_ready(self, callback: Callback) -> Callback:
        """Call it, in the loop, each time the server becomes reachable, the first time included.

        Returns what ends that; it may be called twice.
        """
        return _subscribe(self._ready_callbacks, callback)

    def on_lost(self, callback: Callback) -> Callback:
        """Call it, in the loop, once per outage, before anyone tries to connect again. Returns what ends that."""
        return _subscribe(self._lost_callbacks, callback)

    async def wait_until_ready(self) -> None:
        """Return once a new connection was greeted and the server takes writes; try for ever until then.

        Raises Unavailable only if close() was called.
        """
        while not self.connected:
            recovery = self._recover()
            await asyncio.wait({recovery})
            if recovery.cancelled():
                raise Unavailable(CLOSED, self._doing())
            recovery.result()  # raises only for a bug: every failure was tried again

    def report(self, problem: BaseException | Failure) -> None:
        """A socket was lost, or refused, for this reason. Starts the recovery; call it in the loop.

        A failure that is the whole server's (READONLY after a failover, LOADING…) closes every link's socket.
        """
        failure = problem if isinstance(problem, Failure) else classify(problem, target=self.target)
        if self.is_closed or failure is CLOSED:
            return
        if closes_connection(failure):
            for link in tuple(self._links):
                link.drop(failure)
        self._note(failure)
        self._recover()

    async def close(self) -> None:
        """Close every link and stop waiting for the server. For good: a later request raises Unavailable."""
        self.is_closed = True
        self.connected = False
        for link in tuple(self._links):
            link.discard()
        self._ready_callbacks.clear()
        self._lost_callbacks.clear()
        ending = set(self._opening)
        if self._recovery is not None:
            self._recovery.cancel()
            ending.add(self._recovery)
        if ending:
            await asyncio.wait(ending)

    async def connect(self, client_name: str | None) -> RespConnection:
        """A new socket, greeted; of nobody yet. Raises what the system or redis-py raises."""
        if self.target.embedded_in is not None:
            from oxcart.connection.embedded import locate

            self.target = await locate(self.target)
        if self.target.tls and self._context is None:
            self._context = tls_context(self.target)
        return await open_connection(self.target, self._context, client_name)

    def start(self, opening: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A link's attempt to connect; close() sees it end."""
        task = start_own_task(opening, name)
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return task

    def socket_failed(self, failure: Failure, opened_at: float, *, has_spoken: bool) -> None:
        """As report(), but of a socket from before the last outage that says this shortly after it, and has not
        spoken since the outage began, it is old news.
        """
        if failure is CLOSED:
            return
        is_silent = self._lost_before > opened_at and not has_spoken
        is_recent = clock.monotonic() - self._ready_at < _OLD_NEWS_SECONDS
        if not (self.connected and is_silent and is_recent) or closes_connection(failure):
            self.report(failure)

    def try_beside(self) -> None:
        """A link's attempt to connect hangs. Nothing is lost yet, and nothing is said until an attempt has failed."""
        if self.connected and not self.is_closed:
            self._recover()

    def learn_time(self, reply: Any, round_trip_seconds: float) -> None:
        """The answer to TIME; one that is none, of a user who may not ask, changes nothing."""
        if isinstance(reply, list) and len(reply) == 2:
            seconds, micros = reply
            self.clock.learn(int(seconds) * 1000 + int(micros) / 1000, round_trip_seconds)

    @property
    def is_clock_off(self) -> bool:
        """True if this machine's clock was more than a minute from the server's when we last looked."""
        return self._told_skew

    def watch_clock(self) -> None:
        """Say once if this machine's clock is more than a minute off, and again after it had been right."""
        skew = self.clock.skew_seconds
        is_off = skew is not None and abs(skew) > SKEW_TOLD_FROM_SECONDS
        if is_off and not self._told_skew and skew is not None:
            self._emit(WarningRaised("CLOCK_SKEW", skew_sentence(skew)))
        self._told_skew = is_off

    def _recover(self) -> asyncio.Task[None]:
        """The one recovery that all callers share."""
        if self.is_closed:
            raise Unavailable(CLOSED, self._doing())
        if self._recovery is None or self._recovery.done():
            self._recovery = start_own_task(self._find(), "redis:recovery")
        return self._recovery

    async def _find(self) -> None:
        self._attempts = 0
        self.server_version = await first_success(
            self._attempt,
            self._attempt_failed,
            failures_before=self._failures,
            kind_before=self.failure.kind if self.failure is not None else None,
        )
        for link in tuple(self._links):
            link.give_up_hanging_open()
        if self.connected:
            return  # these attempts were made beside a link's that hung
        lost_at, self._lost_at = self._lost_at, None
        self._ready_at = clock.monotonic()
        for link in tuple(self._links):
            if self._lost_by is not None and self._lost_by.code in _SILENCE:
                link.close_if_silent(self._lost_by)
        self.connected, self.failure, self._lost_by = True, None, None
        away_seconds = self._ready_at - lost_at if lost_at is not None else 0.0
        target = self.target
        self._emit(RedisReady(target.host, target.port, target.tls, self.server_version, away_seconds, self._attempts))
        for callback in tuple(self._ready_callbacks):
            callback()

    async def _attempt(self) -> str | None:
        """Open a connection, ask who is there, close it. Raises ReadOnlyError for a replica that takes no writes."""
        self._attempts += 1
        if self._lost_at is not None:
            self.reconnect_attempts += 1
        connection = await self.connect(None)
        try:
            async with asyncio.timeout(self.target.connect_timeout_seconds):
                asked_at = clock.monotonic()
                replies = await connection.exchange(_INFO)
        finally:
            connection.abort()
        self.learn_time(replies[-1], clock.monotonic() - asked_at)
        info = _read_info(replies)
        if info.get("role") == "slave" and info.get("slave_read_only") == "1":
            raise ReadOnlyError("You can't write against a read only replica.", status_code="READONLY")
        return info.get("redis_version")

    def _attempt_failed(self, error: Exception) -> Failure:
        if not isinstance(error, (RedisError, OSError, UnicodeError)):
            raise error
        failure = classify(error, connecting=not isinstance(error, ReadOnlyError), target=self.target)
        self._failures += 1
        self._note(failure)
        return failure

    def _note(self, failure: Failure) -> None:
        before, self.failure = self.failure, failure
        host, port = self.target.host, self.target.port
        if self._lost_at is None:
            self._lost_at = self._lost_before = clock.monotonic()
            is_steady = self._lost_at - self._ready_at > _STEADY_AFTER_SECONDS
            self._failures = 0 if is_steady else self._failures + 1
            self.connected, self._lost_by = False, failure
            for link in self._links:
                link.note_silence()
            self._emit(RedisLost(host, port, failure))
            for callback in tuple(self._lost_callbacks):
                callback()
        elif before is None or before.code != failure.code:
            self._emit(RedisFailureChanged(host, port, failure, clock.monotonic() - self._lost_at))

    def _doing(self) -> str:
        return describe(self.target, "recovery")

    def __repr__(self) -> str:
        return f"Server({self.target.masked_url}, connected={self.connected})"


def _subscribe(callbacks: list[Callback], callback: Callback) -> Callback:
    callbacks.append(callback)

    def unsubscribe() -> None:
        if callback in callbacks:
            callbacks.remove(callback)

    return unsubscribe


def _read_info(replies: Sequence[Any]) -> dict[str, str]:
    """The fields of INFO; a server or user without INFO gives none."""
    lines = [line for reply in replies if isinstance(reply, bytes) for line in reply.decode(errors="replace").split()]
    return {name: value for name, colon, value in (line.partition(":") for line in lines) if colon}
