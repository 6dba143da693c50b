"""How are requests sent to Redis and answered? Over a link: one socket, many requests in flight, answered in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from oxcart import clock
from oxcart.clock import ServerClock
from oxcart.connection.connect import Ask, RespConnection
from oxcart.connection.failures import classify
from oxcart.connection.greeting import Command, describe
from oxcart.connection.recovery import BESIDE_AFTER_SECONDS
from oxcart.connection.resp import useless_socket
from oxcart.errors import Failure, Kind, ServerRefused, Unavailable

if TYPE_CHECKING:
    from oxcart.connection.server import Server

CLOSED = Failure(
    "CLOSED",
    Kind.TRANSIENT,
    retryable=True,
    summary="This process closed the connection.",
    advice="Nothing to do if it is stopping; else send the request again.",
)

# An attempt to connect that has hung for this long when the server is found again is given up: a new one is faster than
# the next SYN of the old one.
_HANGING_AFTER_SECONDS = 1.0


class Link:
    """One socket with many requests in flight, opened on first use; closed on any doubt, and then opened anew.

    Requests are sent at once and answered in order; those that come while it connects wait for that one attempt, and
    share its failure. A caller that is cancelled leaves the socket to the others: its reply is read and dropped.
    `opened_at` is on clock.monotonic()'s clock, of the present or last socket.
    """

    def __init__(self, server: Server, role: str, client_name: str | None) -> None:
        self.role = role
        self.opened_at = 0.0
        self._server = server
        self._client_name = client_name
        self._connection: RespConnection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._opening_since = 0.0
        self._waiting: list[Ask] = []
        self._is_discarded = False
        self._heard_before = -1

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    @property
    def is_at_hand(self) -> bool:
        """True if a request would be sent at once: the socket is open, as far as we know, and takes more."""
        return self._connection is not None and self._connection.is_at_hand

    @property
    def clock(self) -> ServerClock:
        return self._server.clock

    async def open(self) -> None:
        """Connect and greet now: AUTH, SELECT, PING; the client's name as far as the server allows. One attempt.

        Raises Unavailable.
        """
        if self._connection is None or self._connection.is_over:
            await self._answer(self._wait_for_connection(Ask((), 0.0)))

    async def request(self, *command: bytes | str | float, deadline_seconds: float = 10.0) -> Any:
        """Send one command and return its reply, undecoded. Opens the link if need be.

        The deadline begins when the command is sent. Raises Unavailable, or ServerRefused for an error reply.
        """
        ask = self._ask((command,), deadline_seconds)
        try:
            (reply,) = await ask.future
        except asyncio.CancelledError:
            self._caller_left()
            raise
        except Unavailable:
            del ask  # else it is part of a circle with its traceback, with all that it was to send
            raise
        if ask.has_error:
            raise ServerRefused(self._classify(reply), self._doing(command)) from reply
        return reply

    async def requests(self, commands: Sequence[Command], *, deadline_seconds: float = 10.0) -> list[Any]:
        """Send all in one write and return their replies in order; an error reply is a ResponseError in its place.

        Raises Unavailable, also if one error reply says that the socket is of no use; then none of the outcomes
        is known.
        """
        return await self._answer(self._ask(commands, deadline_seconds)) if commands else []

    def close(self) -> None:
        """Close now, with RST; never blocks or raises. Requests in flight raise Unavailable, the next one reopens."""
        self.drop(CLOSED)

    def discard(self) -> None:
        """Close for good: the server forgets this link, and a later request raises Unavailable."""
        self._is_discarded = True
        self._server.forget(self)
        self.close()

    def drop(self, failure: Failure) -> None:
        """Close now; requests in flight, and those that wait for the connection, raise Unavailable with this."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._refuse(connection.abort(), failure)
        self._give_up_opening(failure)

    def note_silence(self) -> None:
        """An outage begins: remember how much this socket has heard."""
        self._heard_before = self._connection.bytes_received if self._connection is not None else -1

    def close_if_silent(self, failure: Failure) -> None:
        """The outage was one link's silence, and is over. A socket that has heard nothing since may hang as that one
        did, and would tell only at its deadline; what still sends is left alone.
        """
        connection = self._connection
        if connection is not None and connection.bytes_received == self._heard_before and not connection.bytes_unsent():
            self.drop(failure)

    def give_up_hanging_open(self) -> None:
        """The server was found again: whoever waits for an attempt that hangs had better start another."""
        if self._opening is not None and clock.monotonic() - self._opening_since > _HANGING_AFTER_SECONDS:
            self._give_up_opening(CLOSED)

    # -------------------------------------------------------------------------------------------- sending
    def _ask(self, commands: Sequence[Command], deadline_seconds: float) -> Ask:
        ask = Ask(commands, deadline_seconds)
        self._send(ask)
        return ask

    def _send(self, ask: Ask) -> None:
        connection = self._connection
        if connection is not None and not connection.is_over:
            connection.send(ask)
        else:
            self._wait_for_connection(ask)

    async def _answer(self, ask: Ask) -> list[Any]:
        try:
            return await ask.future
        except asyncio.CancelledError:
            self._caller_left()
            raise
        except Unavailable:
            del ask
            raise

    def _caller_left(self) -> None:
        """An attempt to connect that nobody waits for any more is given up."""
        if self._opening is not None and all(ask.future.done() for ask in reversed(self._waiting)):
            self._give_up_opening(CLOSED)

    # -------------------------------------------------------------------------------------------- connecting
    def _wait_for_connection(self, ask: Ask) -> Ask:
        if self._server.is_closed or self._is_discarded:
            raise Unavailable(CLOSED, self._doing())
        self._waiting.append(ask)
        if self._connection is None and self._opening is None:  # else broke() is about to be called, and opens it
            self._start_opening()
        return ask

    def _start_opening(self) -> None:
        self._opening_since = clock.monotonic()
        self._opening = self._server.start(self._open(), f"redis:link:{self.role}")
        # When the network is back, the next SYN of an attempt that hangs may be far away. The server's own attempts are
        # renewed every few seconds, and end this one when they get through.
        hangs = asyncio.get_running_loop().call_later(BESIDE_AFTER_SECONDS, self._server.try_beside)
        self._opening.add_done_callback(lambda _: hangs.cancel())

    async def _open(self) -> None:
        try:
            connection = await self._server.connect(self._client_name)
        except (RedisError, OSError, UnicodeError) as error:
            failure = classify(error, connecting=True, target=self._server.target)
            self._opening = None
            self._refuse(self._take_waiting(), failure, error)
            self._server.report(failure)
            return
        self._opening = None
        connection.owner = self
        self._connection = connection
        self.opened_at = connection.opened_at
        for ask in self._take_waiting():
            if ask.future.done():
                continue
            if ask.commands:
                self._send(ask)
            else:
                ask.future.set_result([])

    def _opening_ended(self, opening: asyncio.Task[None]) -> None:
        """A bug must reach those who wait."""
        error = None if opening.cancelled() else opening.exception()
        if error is not None and opening is self._opening:
            self._opening = None
            for ask in self._take_waiting():
                if not ask.future.done():
                    ask.future.set_exception(error)

    def _give_up_opening(self, failure: Failure) -> None:
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
        self._refuse(self._take_waiting(), failure)

    def _take_waiting(self) -> list[Ask]:
        waiting, self._waiting = self._waiting, []
        return waiting

    # -------------------------------------------------------------------------------------------- what the socket says
    def judge(self, ask: Ask) -> Failure | None:
        found = useless_socket(ask.replies, self._server.target)
        if found is None:
            return None
        failure, reply = found
        ask.has_left = len(ask.commands) > 1  # a single command was refused: it did not run
        self._refuse([ask], failure, reply)
        return failure

    def useless(self, connection: RespConnection, failure: Failure) -> None:
        self.broke(connection, failure, connection.abort())

    def broke(self, connection: RespConnection, problem: Exception | Failure, unanswered: list[Ask]) -> None:
        """Nobody is told of a socket that was cut while it was idle, as providers do: nothing was lost."""
        error = problem if isinstance(problem, Exception) else None
        failure = self._classify(problem) if isinstance(problem, Exception) else problem
        self._connection = None
        self._refuse(unanswered, failure, error)
        if unanswered or error is None:
            has_spoken = connection.bytes_received != self._heard_before
            self._server.socket_failed(failure, connection.opened_at, has_spoken=has_spoken)
        if self._waiting and self._opening is None:
            self._start_opening()

    def _refuse(self, asks: list[Ask], failure: Failure, error: BaseException | None = None) -> None:
        for ask in asks:
            if not ask.future.done():
                command = ask.commands[0] if ask.has_left or ask.replies else None
                problem = Unavailable(failure, self._doing(command), outcome_unknown=ask.has_left)
                problem.__cause__ = error
                ask.future.set_exception(problem)

    def _classify(self, error: BaseException) -> Failure:
        return classify(error, target=self._server.target)

    def _doing(self, command: Command | None = None) -> str:
        return describe(self._server.target, self.role, command)

    def __repr__(self) -> str:
        return f"Link({self.role!r}, open={self.is_open})"
