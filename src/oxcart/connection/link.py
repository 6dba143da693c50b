"""How does this process talk to Redis? Through links, one socket each; their server knows whether it is reachable."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import AuthenticationError, BusyLoadingError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from oxcart.connection.connect import RespConnection, pack
from oxcart.connection.failures import classify, closes_connection
from oxcart.connection.greeting import Command, describe
from oxcart.connection.recovery import first_success
from oxcart.connection.sockets import tls_context
from oxcart.connection.target import RedisTarget
from oxcart.errors import Failure, Kind, ServerRefused, Unavailable
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import Event, RedisFailureChanged, RedisLost, RedisReady

__all__ = ["CLOSED", "Command", "Link", "Server"]

CLOSED = Failure(
    "CLOSED",
    Kind.TRANSIENT,
    retryable=True,
    summary="This process closed the connection.",
    advice="Nothing to do if it is stopping; else send the request again.",
)

# For this long after an outage, what a socket from before it reports is part of that outage. The deadlines of requests
# that hang on such sockets end within it.
_OLD_NEWS_SECONDS = 30.0

# An attempt to connect that has hung for this long when the server is found again is given up: a new one is faster than
# the next SYN of the old one.
_HANGING_AFTER_SECONDS = 1.0

# A server lost again this soon after it came back is not greeted at full speed: the backoff goes on where it was.
_STEADY_AFTER_SECONDS = 5.0

_INFO: list[Command] = [("INFO", "server"), ("INFO", "replication")]

# redis-py raises these replies; unlike its other ConnectionErrors they say that the command was not executed.
_REPLIES = (AuthenticationError, BusyLoadingError)


def _tell_nobody(_event: Event) -> None:
    """The default for `emit`."""


class Server:
    """One Redis as this process sees it: makes links, knows whether it is reachable, says so once per change.

    `failure` is why it is not connected, None while it is or before the first try. `reconnect_attempts` counts the
    attempts that followed a failure. `server_version` is the Redis version it says it is compatible with (Valkey 9
    says 7.2.4). Belongs to the event loop that uses it first; its plain attributes may be read from other threads.
    """

    def __init__(self, target: RedisTarget, emit: Emit = _tell_nobody) -> None:
        self.target = target
        self.connected = False
        self.failure: Failure | None = None
        self.reconnect_attempts = 0
        self.server_version: str | None = None
        self.is_closed = False
        self._emit = emit
        self._links: list[Link] = []
        self._context: ssl.SSLContext | None = None
        self._ready_callbacks: list[Callable[[], None]] = []
        self._lost_callbacks: list[Callable[[], None]] = []
        self._recovery: asyncio.Task[None] | None = None
        self._lost_at: float | None = None
        self._lost_before = 0.0
        self._ready_at = 0.0
        self._attempts = 0
        self._failures = 0

    def link(self, role: str, *, client_name: str | None = None) -> Link:
        """A link of its own, closed until its first request. `role` is for messages: "exchange", "blocking"."""
        link = Link(self, role, client_name)
        self._links.append(link)
        return link

    def on_ready(self, callback: Callable[[], None]) -> None:
        """Call it, in the loop, each time the server becomes reachable, the first time included."""
        self._ready_callbacks.append(callback)

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call it, in the loop, once per outage, before anyone tries to connect again."""
        self._lost_callbacks.append(callback)

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
            for link in self._links:
                link.drop(failure)
        self._note(failure)
        self._recover()

    async def close(self) -> None:
        """Close every link and stop waiting for the server. For good: a later request raises Unavailable."""
        self.is_closed = True
        self.connected = False
        for link in self._links:
            link.close()
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.wait({self._recovery})

    def new_connection(self, client_name: str | None) -> RespConnection:
        if self.target.tls and self._context is None:
            self._context = tls_context(self.target)
        return RespConnection(self.target, self._context, client_name)

    def socket_failed(self, failure: Failure, opened_at: float) -> None:
        """As report(), but what a socket from before the last outage says shortly after it is old news."""
        if failure is CLOSED:
            return
        was_opened_before = self._lost_before > opened_at
        is_recent = time.monotonic() - self._ready_at < _OLD_NEWS_SECONDS
        if not (self.connected and was_opened_before and is_recent) or closes_connection(failure):
            self.report(failure)

    def _recover(self) -> asyncio.Task[None]:
        """The one recovery that all callers share."""
        if self.is_closed:
            raise Unavailable(CLOSED, self._doing())
        if self._recovery is None or self._recovery.done():
            self._recovery = asyncio.create_task(self._find(), name="redis:recovery")
        return self._recovery

    async def _find(self) -> None:
        self._attempts = 0
        self.server_version = await first_success(
            self._attempt,
            self._attempt_failed,
            failures_before=self._failures,
            kind_before=self.failure.kind if self.failure is not None else None,
        )
        lost_at, self._lost_at = self._lost_at, None
        self._ready_at = time.monotonic()
        for link in self._links:
            link.give_up_hanging_open()
        self.connected, self.failure = True, None
        away_seconds = self._ready_at - lost_at if lost_at is not None else 0.0
        target = self.target
        self._emit(RedisReady(target.host, target.port, target.tls, self.server_version, away_seconds, self._attempts))
        for callback in self._ready_callbacks:
            callback()

    async def _attempt(self) -> str | None:
        """Open a connection, ask who is there, close it. Raises ReadOnlyError for a replica that takes no writes."""
        self._attempts += 1
        if self._lost_at is not None:
            self.reconnect_attempts += 1
        connection = self.new_connection(None)
        try:
            await connection.open()
            async with asyncio.timeout(self.target.connect_timeout_seconds):
                replies = await connection.exchange(pack(_INFO), len(_INFO))
        finally:
            connection.abort()
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
            self._lost_at = self._lost_before = time.monotonic()
            is_steady = self._lost_at - self._ready_at > _STEADY_AFTER_SECONDS
            self._failures = 0 if is_steady else self._failures + 1
            self.connected = False
            self._emit(RedisLost(host, port, failure))
            for callback in self._lost_callbacks:
                callback()
        elif before is None or before.code != failure.code:
            self._emit(RedisFailureChanged(host, port, failure, time.monotonic() - self._lost_at))

    def _doing(self) -> str:
        return describe(self.target, "recovery")

    def __repr__(self) -> str:
        return f"Server({self.target.masked_url}, connected={self.connected})"


def _read_info(replies: Sequence[Any]) -> dict[str, str]:
    """The fields of INFO; a server or user without INFO gives none."""
    lines = [line for reply in replies if isinstance(reply, bytes) for line in reply.decode(errors="replace").split()]
    return {name: value for name, colon, value in (line.partition(":") for line in lines) if colon}


class Link:
    """One socket, one request at a time, opened on first use; closed on any doubt, and then opened anew.

    `opened_at` is on time.monotonic()'s clock, of the present or last socket.
    """

    def __init__(self, server: Server, role: str, client_name: str | None) -> None:
        self.role = role
        self.opened_at = 0.0
        self._server = server
        self._client_name = client_name
        self._connection: RespConnection | None = None
        self._opening: RespConnection | None = None
        self._opening_since = 0.0
        self._dropped_for: Failure | None = None
        self._lock = asyncio.Lock()
        self._breaks = 0
        self._last_failure = CLOSED

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    @property
    def is_at_hand(self) -> bool:
        """True if a request would be sent at once: the socket is open, as far as we know, and nobody is ahead."""
        connection = self._connection
        return connection is not None and not self._lock.locked() and not connection.is_over

    async def open(self) -> None:
        """Connect and greet now: AUTH, SELECT, PING; the client's name as far as the server allows. One attempt.

        Raises Unavailable.
        """
        breaks_before = self._breaks
        async with self._lock:
            if self._connection is None or await self._connection.is_stale():
                await self._reopen(breaks_before)

    async def request(self, *command: bytes | str | float, deadline_seconds: float = 10.0) -> Any:
        """Send one command and return its reply, undecoded. Opens the link if need be.

        The deadline begins when the command is sent. Raises Unavailable, or ServerRefused for an error reply.
        """
        (reply,) = await self._round_trip((command,), deadline_seconds)
        if isinstance(reply, ResponseError):
            raise ServerRefused(self._classify(reply), self._doing(command)) from reply
        return reply

    async def requests(self, commands: Sequence[Command], *, deadline_seconds: float = 10.0) -> list[Any]:
        """Send all in one write and return their replies in order; an error reply is a ResponseError in its place.

        Raises Unavailable, also if one error reply says that the socket is of no use; then none of the outcomes
        is known.
        """
        return await self._round_trip(commands, deadline_seconds) if commands else []

    def close(self) -> None:
        """Close now, with RST; never blocks or raises. A request in flight raises Unavailable, the next one reopens."""
        self.drop(CLOSED)

    def drop(self, failure: Failure) -> None:
        """Close now; a request in flight raises Unavailable with this failure, and so do those queued behind it."""
        self._breaks += 1
        self._last_failure = failure
        connection = self._connection or self._opening
        if connection is not None:
            self._dropped_for = failure
            self._connection = None
            connection.abort()

    def give_up_hanging_open(self) -> None:
        """The server was found again: whoever waits for an attempt that hangs had better start another."""
        opening = self._opening
        if opening is not None and time.monotonic() - self._opening_since > _HANGING_AFTER_SECONDS:
            self._dropped_for = CLOSED
            opening.abort()

    async def _round_trip(self, commands: Sequence[Command], deadline_seconds: float) -> list[Any]:
        payload = pack(commands)
        breaks_before = self._breaks
        async with self._lock:
            connection = self._connection
            if connection is None or await connection.is_stale():
                connection = await self._reopen(breaks_before)
            self._dropped_for = None
            timer = asyncio.get_running_loop().call_later(deadline_seconds, self._give_up, deadline_seconds)
            try:
                replies = await connection.exchange(payload, len(commands))
            except (RedisError, OSError) as error:
                was_refused = isinstance(error, _REPLIES) and len(commands) == 1
                failure = self._dropped_for or self._classify(error)
                self._fail(failure, connection)
                raise Unavailable(failure, self._doing(commands[0]), outcome_unknown=not was_refused) from error
            except BaseException:  # cancelled: the reply is still to come, and must meet nobody
                self._hang_up(connection)
                raise
            finally:
                timer.cancel()
            for reply in replies:
                if isinstance(reply, ResponseError):
                    self._close_if_useless(reply, connection, commands)
            return replies

    async def _reopen(self, breaks_before: int) -> RespConnection:
        """Open a new socket. Those who waited while it broke share its failure, so that no queue of them tries in turn.

        The caller holds the lock.
        """
        self._hang_up(self._connection)
        if self._server.is_closed:
            raise Unavailable(CLOSED, self._doing())
        if self._breaks != breaks_before:
            raise Unavailable(self._last_failure, self._doing())
        self._dropped_for = None
        self._opening_since = time.monotonic()
        try:
            self._opening = connection = self._server.new_connection(self._client_name)
            await connection.open()
        except (RedisError, OSError, UnicodeError) as error:
            failure = self._dropped_for or classify(error, connecting=True, target=self._server.target)
            self._breaks += 1
            self._last_failure = failure
            if self._dropped_for is None:  # else whoever closed it knows
                self._server.report(failure)
            raise Unavailable(failure, self._doing()) from error
        finally:
            self._opening = None
        self._connection = connection
        self.opened_at = connection.opened_at
        return connection

    def _give_up(self, deadline_seconds: float) -> None:
        self.drop(self._classify(RedisTimeoutError(f"Timeout reading from socket: no reply in {deadline_seconds:g} s")))

    def _fail(self, failure: Failure, connection: RespConnection) -> None:
        self._breaks += 1
        self._last_failure = failure
        self._hang_up(connection)
        self._server.socket_failed(failure, connection.opened_at)

    def _close_if_useless(self, reply: ResponseError, connection: RespConnection, commands: Sequence[Command]) -> None:
        failure = self._classify(reply)
        if closes_connection(failure):
            self._fail(failure, connection)
            raise Unavailable(failure, self._doing(commands[0]), outcome_unknown=len(commands) > 1) from reply

    def _hang_up(self, connection: RespConnection | None) -> None:
        if connection is not None:
            connection.abort()
        self._connection = None

    def _classify(self, error: BaseException) -> Failure:
        return classify(error, target=self._server.target)

    def _doing(self, command: Command | None = None) -> str:
        return describe(self._server.target, self.role, command)

    def __repr__(self) -> str:
        return f"Link({self.role!r}, open={self.is_open})"
