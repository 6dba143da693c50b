"""How do we talk to one Redis over one socket of the event loop? Many requests in flight, answered in order.

Not redis-py's connection: its connect knows one address family at a time and one
timeout for everything; its greeting takes four round trips and fails where CLIENT is not allowed; its retries send a
command again whose reply was lost; its close may wait half a minute. Its names for error replies are used.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, cast

from redis.exceptions import AuthenticationWrongNumberOfArgsError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from oxcart import clock
from oxcart.connection.greeting import Command, check_greeting, greeting
from oxcart.connection.resp import Conversation, Request
from oxcart.connection.sockets import close_hard, open_transport, unacknowledged_bytes
from oxcart.connection.target import RedisTarget
from oxcart.errors import Failure
from oxcart.forks import keep_from_children

_CLOSED = "Connection closed by server."

# A loop that was busy when a deadline passed reads what has come meanwhile before it believes that nothing did.
_SECOND_LOOK_SECONDS = 0.001
# While bytes wait to leave, or a reply has come in part, it looks this much later: a slow network moves some meanwhile.
_SLOW_LOOK_SECONDS = 5.0
# What has left us may still wait in a buffer on the way (a provider's proxy): a slower network than this is none.
_SLOWEST_BYTES_PER_SECOND = 128 * 1024


class Ask(Request):
    """A request with someone who waits for its replies. The deadline begins when it is written, is longer for more
    bytes, and begins anew while bytes leave or come.
    """

    __slots__ = ("deadline_at", "deadline_seconds", "future")

    def __init__(
        self, commands: Sequence[Command], deadline_seconds: float, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        super().__init__(commands)
        self.future: asyncio.Future[list[Any]] = (loop or asyncio.get_running_loop()).create_future()
        self.deadline_seconds = deadline_seconds
        self.deadline_at = 0.0


class Owner(Protocol):
    """Who is told what happens to a connection that has been greeted."""

    def judge(self, ask: Ask) -> Failure | None:
        """An answer with error replies, before its caller gets it. A failure: this socket is of no use any more."""

    def useless(self, connection: RespConnection, failure: Failure) -> None:
        """What judge() has found, once all replies that came with that one are given out."""

    def broke(self, connection: RespConnection, error: Exception, unanswered: list[Ask]) -> None:
        """The socket is closed; these will not be answered."""


class RespConnection(asyncio.Protocol):
    """One socket; open_connection() makes it. Once closed it is done with.

    Without an owner what happens to it is raised in whoever waits for replies.
    """

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.context = context
        self.opened_at = 0.0
        self.owner: Owner | None = None
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._talk: Conversation[Ask] = Conversation()
        self._unwritten: deque[Ask] = deque()
        self._is_paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._bytes_written = 0
        self._bytes_received = 0
        self._moved_at_first_look: int | None = None

    @property
    def is_connected(self) -> bool:
        """True from the end of TCP's and TLS's handshakes until it is closed."""
        return self._transport is not None

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send and wait, without a deadline, before there is an owner.

        What redis-py calls a ConnectionError (LOADING, NOAUTH) is raised; in its place the error before it, which is
        its cause: a refused AUTH says why, and whatever follows it NOAUTH.
        """
        ask = Ask(commands, float("inf"), self._loop)
        closed: Exception | None = None
        if self.is_over:
            self._talk.in_flight.append(ask)
        else:
            self.send(ask)
        self.data_received(b"")  # a server that is full says so before it is asked, and closes
        if self._transport is None and not ask.future.done():
            ask.future.set_exception(RedisConnectionError(_CLOSED))
        try:
            await ask.future
        except (RedisError, OSError) as error:
            closed = error
        errors = [reply for reply in ask.replies if isinstance(reply, Exception)]
        if any(isinstance(error, RedisConnectionError) for error in errors):
            raise errors[0]
        if closed is not None:
            raise closed
        return ask.replies

    @property
    def is_over(self) -> bool:
        """True once the socket is closed, by whichever side."""
        return self._transport is None or self._transport.is_closing()

    @property
    def bytes_received(self) -> int:
        return self._bytes_received

    @property
    def is_at_hand(self) -> bool:
        """True if a request would be written at once."""
        return not self._is_paused and not self.is_over

    def send(self, ask: Ask) -> None:
        """Write it now, or as soon as the socket takes more. Call it only while `is_over` is false."""
        if self._is_paused:
            self._unwritten.append(ask)
        else:
            self._write(ask)

    def abort(self) -> list[Ask]:
        """Close with RST, without waiting. Returns the requests that will not be answered; those tell what has left."""
        transport, self._transport = self._transport, None
        if transport is not None:
            self._note_unsent(transport)
            sock = transport.get_extra_info("socket")
            if sock is not None:
                close_hard(sock)
            transport.abort()
        return self._end()

    def descriptors(self) -> Iterable[int]:
        sock = self._transport.get_extra_info("socket") if self._transport is not None else None
        return () if sock is None else (sock.fileno(),)

    # -------------------------------------------------------------------------------------------- writing
    def _write(self, ask: Ask) -> None:
        transport = self._transport
        assert transport is not None
        size = len(ask.payload)
        self._bytes_written += size
        patience = ask.deadline_seconds + size / _SLOWEST_BYTES_PER_SECOND
        ask.deadline_at = deadline_at = self._loop.time() + patience
        if self._timer is None or deadline_at < self._timer.when():
            self._set_timer(deadline_at)
        self._talk.in_flight.append(ask)
        ask.has_left = True
        transport.write(ask.payload)
        if self.context is None and transport.is_closing():  # the kernel took nothing: it knew of the end before us
            ask.has_left = False

    def pause_writing(self) -> None:
        """The kernel takes no more for now. What comes meanwhile stays with us: so we know that it has not left."""
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        while self._unwritten and self.is_at_hand:
            ask = self._unwritten.popleft()
            if not ask.future.done():
                self._write(ask)

    def _note_unsent(self, transport: asyncio.Transport) -> None:
        """Only the last request can lie in the transport's buffer. In TLS that buffer says nothing about the socket."""
        in_flight = self._talk.in_flight
        if self.context is None and in_flight and not transport.is_closing():
            last = in_flight[-1]
            last.has_left = transport.get_write_buffer_size() < len(last.payload)

    # -------------------------------------------------------------------------------------------- reading
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        keep_from_children(self)
        if self.context is None:
            self._transport.set_write_buffer_limits(0)  # pause as soon as the kernel leaves us a byte

    def data_received(self, data: bytes) -> None:
        failure: Failure | None = None
        self._bytes_received += len(data)
        for ask in self._talk.received(data):
            if ask.has_error and self.owner is not None:
                failure = self.owner.judge(ask) or failure
            if not ask.future.done():  # else its caller was cancelled
                ask.future.set_result(ask.replies)
        if self._talk.broken_by is not None:
            self._break(self._talk.broken_by)
        elif self.owner is not None:
            if failure is not None:
                self.owner.useless(self, failure)
            elif self._talk.was_told_unasked:
                self._break(RedisConnectionError("The server said what nobody asked for."))

    def eof_received(self) -> None:
        if self._transport is not None:
            self._note_unsent(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._break(exc or RedisConnectionError(_CLOSED))

    # -------------------------------------------------------------------------------------------- deadlines, the end
    def _set_timer(self, deadline_at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline_at, self._check_deadlines) if deadline_at < float("inf") else None

    def _check_deadlines(self) -> None:
        """One timer a connection, for the earliest deadline at the time when it was set."""
        self._timer = None
        moved_before, self._moved_at_first_look = self._moved_at_first_look, None
        in_flight, now = self._talk.in_flight, self._loop.time()
        if not in_flight:
            return
        first = min(in_flight, key=lambda ask: ask.deadline_at)
        if first.deadline_at > now:
            self._set_timer(first.deadline_at)
            return
        unsent = self.bytes_unsent()
        moved = self._bytes_written - unsent + self._bytes_received
        if moved_before is None:
            self._moved_at_first_look = moved
            is_slow = unsent > 0 or self._talk.has_part_of_a_reply
            self._set_timer(now + (_SLOW_LOOK_SECONDS if is_slow else _SECOND_LOOK_SECONDS))
        elif moved > moved_before:
            first.deadline_at = now + first.deadline_seconds
            self._set_timer(min(ask.deadline_at for ask in in_flight))
        else:
            seconds = first.deadline_seconds
            self._break(RedisTimeoutError(f"Timeout reading from socket: no reply in {seconds:g} s"))

    def bytes_unsent(self) -> int:
        """What the other side has not acknowledged: in the transport and, as far as it says, in the kernel."""
        assert self._transport is not None
        in_kernel = unacknowledged_bytes(self._transport.get_extra_info("socket"))
        return self._transport.get_write_buffer_size() + in_kernel

    def _break(self, error: Exception) -> None:
        owner, unanswered = self.owner, self.abort()
        if owner is not None:
            owner.broke(self, error, unanswered)
            return
        for ask in unanswered:
            if not ask.future.done():
                ask.future.set_exception(error)

    def _end(self) -> list[Ask]:
        self.owner = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        unanswered = [*self._talk.in_flight, *self._unwritten]
        self._talk.in_flight.clear()
        self._unwritten.clear()
        return unanswered


async def open_connection(
    target: RedisTarget, context: ssl.SSLContext | None, client_name: str | None
) -> RespConnection:
    """Connect and greet, within the target's connect timeout. Raises what the system or redis-py raises."""
    secret = target.current_password()
    password = secret.reveal() if secret is not None else ""
    connection = RespConnection(context)
    try:
        async with asyncio.timeout(target.connect_timeout_seconds):
            try:
                await _connect(connection, target, password, client_name, password_only=False)
            except AuthenticationWrongNumberOfArgsError:  # Redis before 6 knows no user names
                connection.abort()
                connection = RespConnection(context)
                await _connect(connection, target, password, client_name, password_only=True)
        return connection
    except RedisError as error:
        connection.abort()
        if not password or password not in str(error):
            raise
        repeated = type(error)(str(error).replace(password, "***"))
    except TimeoutError as error:
        was_connected = connection.is_connected
        connection.abort()
        if was_connected:
            raise RedisTimeoutError("Timeout reading from the server: it accepts, and says nothing") from error
        raise
    except BaseException:
        connection.abort()
        raise
    raise repeated  # a server sent our password back; raised here, it has no context that shows it


async def _connect(
    connection: RespConnection, target: RedisTarget, password: str, client_name: str | None, *, password_only: bool
) -> None:
    await open_transport(target, connection.context, lambda: connection)
    commands, required = greeting(target, password, client_name, password_only=password_only)
    replies = await connection.exchange(commands)
    check_greeting(commands[:required], replies[:required])
    if connection.is_over:
        raise RedisConnectionError(_CLOSED)
    connection.opened_at = clock.monotonic()
