"""What was asked on one socket, and whose is each reply? The Redis protocol without sockets, tasks or threads.

The server answers in order, so the first reply belongs to the oldest request that still waits for one, whoever may
have stopped waiting for it meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import hiredis
from redis._parsers import BaseParser
from redis.exceptions import InvalidResponse, RedisError, ResponseError

from oxcart.connection.failures import classify, closes_connection
from oxcart.connection.greeting import Command
from oxcart.connection.target import RedisTarget
from oxcart.errors import Failure

__all__ = ["Conversation", "Request", "pack", "useless_socket"]

_INCOMPLETE = object()

# hiredis' stub knows only one argument and memoryview's old form
_pack_one: Callable[[Command], bytes] = hiredis.pack_command  # type: ignore[assignment]


def pack(commands: Iterable[Command]) -> bytes:
    """The bytes of these commands, for one write. Raises TypeError for an argument that is no text or number."""
    return b"".join(map(_pack_one, commands))


class Request:
    """Commands that are sent in one write. `has_left`: the server may have heard a byte of it.

    `replies` are in the order of the commands, undecoded; an error reply is an exception in its place.
    """

    __slots__ = ("commands", "has_error", "has_left", "payload", "replies")

    def __init__(self, commands: Sequence[Command]) -> None:
        self.commands = commands
        self.payload = _pack_one(commands[0]) if len(commands) == 1 else pack(commands)
        self.replies: list[Any] = []
        self.has_error = False
        self.has_left = False


AnyRequest = TypeVar("AnyRequest", bound=Request)


class Conversation(Generic[AnyRequest]):
    """The requests in flight on one socket, the oldest first, and the bytes of replies that are not whole yet.

    `broken_by` is set once the server has sent what is no reply: nothing that follows can be read.
    """

    def __init__(self) -> None:
        self.in_flight: deque[AnyRequest] = deque()
        self.broken_by: InvalidResponse | None = None
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse, replyError=BaseParser.parse_error, notEnoughData=_INCOMPLETE
        )

    @property
    def was_told_unasked(self) -> bool:
        """True if there are bytes that belong to no request: whose the next reply is cannot be said."""
        return not self.in_flight and self._reader.has_data()

    @property
    def has_part_of_a_reply(self) -> bool:
        return bool(self._reader.has_data())

    def received(self, data: bytes) -> list[AnyRequest]:
        """Take these bytes; returns the requests that are answered now, in the order of their replies."""
        self._reader.feed(data)
        in_flight, next_reply = self.in_flight, self._reader.gets
        answered = []
        while in_flight:
            try:
                reply = next_reply(False)
            except InvalidResponse as error:
                self.broken_by = error
                break
            if reply is _INCOMPLETE:
                break
            request = in_flight[0]
            request.replies.append(reply)
            if isinstance(reply, RedisError):
                request.has_error = True
            if len(request.replies) == len(request.commands):
                in_flight.popleft()
                answered.append(request)
        return answered


def useless_socket(replies: Iterable[Any], target: RedisTarget) -> tuple[Failure, RedisError] | None:
    """The first error reply that says that this socket is of no use (READONLY, LOADING, NOAUTH), with its failure."""
    for reply in replies:
        if isinstance(reply, RedisError):
            failure = classify(reply, target=target)
            # what is no ResponseError is a ConnectionError to redis-py, and still a reply: the command did not run
            if not isinstance(reply, ResponseError) or closes_connection(failure):
                return failure, reply
    return None
