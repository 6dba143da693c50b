"""How does the lock-renewal thread talk to Redis? One blocking socket, outside the event loop."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from redis.exceptions import AuthenticationWrongNumberOfArgsError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from oxcart import clock
from oxcart.connection.failures import classify
from oxcart.connection.greeting import Command, check_greeting, describe, greeting
from oxcart.connection.link import CLOSED
from oxcart.connection.resp import Conversation, Request, useless_socket
from oxcart.connection.sockets import FAMILIES, close_hard, set_tcp_options, tls_context
from oxcart.connection.target import RedisTarget
from oxcart.errors import Failure, ServerRefused, Unavailable
from oxcart.forks import keep_from_children

_READ_SIZE_BYTES = 1 << 16


class BlockingLink:
    """As Link, for one thread of its own; close() may come from any thread. Reports to nobody: its thread decides.

    A deadline covers connecting too, so that a renewal is never late because a connect hangs.
    """

    def __init__(self, target: RedisTarget, role: str = "locks", *, client_name: str | None = None) -> None:
        self.role = role
        self.opened_at = 0.0
        self._target = target
        self._client_name = client_name
        self._context: ssl.SSLContext | None = None
        self._sock: socket.socket | None = None
        self._talk: Conversation[Request] = Conversation()
        self._is_greeted = False
        self._was_closed = False
        self._in_use = threading.Lock()
        keep_from_children(self)

    @property
    def is_open(self) -> bool:
        return self._is_greeted

    def request(self, *command: bytes | str | float, deadline_seconds: float = 10.0) -> Any:
        """Send one command and return its reply, undecoded. Raises Unavailable, or ServerRefused."""
        (reply,) = self.requests((command,), deadline_seconds=deadline_seconds)
        if isinstance(reply, ResponseError):
            raise ServerRefused(classify(reply, target=self._target), self._doing(command)) from reply
        return reply

    def requests(self, commands: Sequence[Command], *, deadline_seconds: float = 10.0) -> list[Any]:
        """Send all in one write; an error reply is a ResponseError in its place, or Unavailable as in Link."""
        if not commands:
            return []
        request = Request(commands)
        with self._in_use:
            return self._round_trip(request, clock.monotonic() + deadline_seconds)

    def close(self) -> None:
        """Close now, with RST; never raises. A request in flight in the other thread raises Unavailable."""
        self._was_closed = True
        sock = self._sock
        if sock is not None:
            close_hard(sock)
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # wakes a recv; SSLSocket's own would break it
        if self._in_use.acquire(blocking=False):  # else the request that has just been woken hangs up
            self._hang_up()
            self._in_use.release()

    def descriptors(self) -> Iterable[int]:
        return () if self._sock is None else (self._sock.fileno(),)

    def _round_trip(self, request: Request, ends_at: float) -> list[Any]:
        self._was_closed = False
        if not self._is_greeted or self._has_unread():
            self._open(min(ends_at, clock.monotonic() + self._target.connect_timeout_seconds))
        try:
            self._exchange(request, ends_at)
        except (RedisError, OSError, ValueError) as error:  # ValueError: closed by another thread
            failure = self._failure(error, connecting=False)
            self._hang_up()
            raise Unavailable(failure, self._doing(request.commands[0]), outcome_unknown=request.has_left) from error
        except BaseException:
            self._hang_up()
            raise
        found = useless_socket(request.replies, self._target) if request.has_error else None
        if found is not None:
            failure, reply = found
            self._hang_up()
            raise Unavailable(
                failure, self._doing(request.commands[0]), outcome_unknown=len(request.commands) > 1
            ) from reply
        return request.replies

    def _open(self, ends_at: float) -> None:
        self._hang_up()
        try:
            secret = self._target.current_password()
            password = secret.reveal() if secret is not None else ""
            try:
                self._connect(ends_at)
                self._greet(password, ends_at, password_only=False)
            except AuthenticationWrongNumberOfArgsError:  # Redis before 6 knows no user names
                self._connect(ends_at)
                self._greet(password, ends_at, password_only=True)
        except (RedisError, OSError, ValueError) as error:
            failure = self._failure(error, connecting=True)
            self._hang_up()
            shown = None if isinstance(error, RedisError) and password and password in str(error) else error
        except BaseException:
            self._hang_up()
            raise
        else:
            self._is_greeted = True
            self.opened_at = clock.monotonic()
            return
        raise Unavailable(failure, self._doing()) from shown

    def _connect(self, ends_at: float) -> None:
        self._hang_up()
        sock = self._connect_stream(ends_at)
        self._sock = sock
        self._talk = Conversation()
        if self._target.tls:
            if self._context is None:
                self._context = tls_context(self._target)
            assert self._context is not None
            sock.settimeout(_seconds_until(ends_at))
            self._sock = self._context.wrap_socket(sock, server_hostname=self._target.host)

    def _connect_stream(self, ends_at: float) -> socket.socket:
        if self._target.embedded_in is not None:
            from oxcart.connection.embedded import with_current_port

            self._target = with_current_port(self._target)
        target = self._target
        if target.unix_path is not None:
            return _connected(socket.AF_UNIX, target.unix_path, _seconds_until(ends_at))
        addresses = socket.getaddrinfo(
            target.host, target.port, family=FAMILIES[target.family], type=socket.SOCK_STREAM
        )
        first_error: OSError | None = None
        for tried, (family, _, _, _, address) in enumerate(addresses):
            try:
                # a share of what is left for each address: a black hole must not eat it all
                sock = _connected(family, address, _seconds_until(ends_at) / (len(addresses) - tried))
            except OSError as error:
                first_error = first_error or error
            else:
                set_tcp_options(sock)
                return sock
        raise first_error or OSError("the name has no address")

    def _greet(self, password: str, ends_at: float, *, password_only: bool) -> None:
        commands, required = greeting(self._target, password, self._client_name, password_only=password_only)
        request = Request(commands)
        try:
            self._exchange(request, ends_at)
        except TimeoutError as error:
            raise RedisTimeoutError("Timeout reading from the server: it accepts, and says nothing") from error
        check_greeting(commands[:required], request.replies[:required])

    def _exchange(self, request: Request, ends_at: float) -> None:
        """Send it and read its replies into it."""
        sock, talk = self._sock, self._talk
        if sock is None or self._was_closed:
            raise RedisConnectionError("Connection closed by another thread.")
        talk.in_flight.append(request)
        request.has_left = self._target.tls  # a part of it may leave though TLS says that none was taken
        rest = memoryview(request.payload)
        while rest:
            sock.settimeout(_seconds_until(ends_at))
            rest = rest[sock.send(rest) :]
            request.has_left = True
        while talk.in_flight:
            sock.settimeout(_seconds_until(ends_at))
            received = sock.recv(_READ_SIZE_BYTES)
            if not received:
                raise RedisConnectionError("Connection closed by server.")
            talk.received(received)
            if talk.broken_by is not None:
                raise talk.broken_by

    def _has_unread(self) -> bool:
        """True once the server has closed the socket, or has sent what nobody asked for."""
        if self._sock is None or self._talk.was_told_unasked:
            return True
        try:
            self._sock.settimeout(0)
            self._sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except (OSError, ValueError):
            return True
        return True  # a byte, or the end

    def _failure(self, error: BaseException, *, connecting: bool) -> Failure:
        if self._was_closed:
            return CLOSED
        if isinstance(error, TimeoutError) and not connecting:
            error = RedisTimeoutError("Timeout reading from socket")
        return classify(error, connecting=connecting, target=self._target)

    def _hang_up(self) -> None:
        sock, self._sock = self._sock, None
        self._is_greeted = False
        if sock is not None:
            close_hard(sock)
            with contextlib.suppress(OSError):
                sock.close()

    def _doing(self, command: Command | None = None) -> str:
        return describe(self._target, self.role, command)

    def __repr__(self) -> str:
        return f"BlockingLink({self.role!r}, open={self.is_open})"


def _connected(family: int, address: Any, seconds: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(seconds)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _seconds_until(ends_at: float) -> float:
    left = ends_at - clock.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
