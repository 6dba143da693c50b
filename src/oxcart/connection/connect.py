"""How do we talk to one Redis over one socket? redis-py's connection, with the parts replaced that lose jobs.

Replaced, and why (facts/redis-failures.md, 1 and 6): its connect knows one address family at a time and one timeout
for everything; its greeting takes four round trips and fails where CLIENT is not allowed; its retries send a command
again whose reply was lost; its close may wait half a minute.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

import hiredis
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationWrongNumberOfArgsError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.maint_notifications import MaintNotificationsConfig

from oxcart.connection.greeting import Command, check_greeting, greeting
from oxcart.connection.sockets import close_hard, open_stream
from oxcart.connection.target import RedisTarget

_READ_SIZE_BYTES = 1 << 18


def pack(commands: Iterable[Command]) -> bytes:
    """The bytes of these commands, for one write. Raises TypeError for an argument that is no text or number."""
    # hiredis' stub knows only one argument and memoryview's old form
    pack_one: Callable[[Command], bytes] = hiredis.pack_command  # type: ignore[assignment]
    return b"".join(map(pack_one, commands))


class RespConnection(Connection):
    """One socket. Once opened and closed it is done with: a new socket is a new RespConnection."""

    def __init__(self, target: RedisTarget, context: ssl.SSLContext | None, client_name: str | None) -> None:
        super().__init__(
            host=target.host,
            port=target.port,
            db=target.db,
            client_name=client_name,
            protocol=2,
            socket_timeout=None,
            socket_connect_timeout=target.connect_timeout_seconds,
            socket_read_size=_READ_SIZE_BYTES,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
            driver_info=None,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        self.target = target
        self.opened_at = 0.0
        self._context = context
        self._patience: asyncio.Timeout | None = None
        self._replies: Any = self._parser  # hiredis' parser; the declared type knows none of its methods

    async def open(self) -> None:
        """Connect and greet, within the target's connect timeout. Raises what the system or redis-py raises."""
        secret = self.target.current_password()
        password = secret.reveal() if secret is not None else ""
        repeated: RedisError | None = None
        try:
            async with asyncio.timeout(self.target.connect_timeout_seconds) as self._patience:
                await self._connect()
                try:
                    await self._greet(password, password_only=False)
                except AuthenticationWrongNumberOfArgsError:  # Redis before 6 knows no user names
                    self._hang_up()
                    await self._connect()
                    await self._greet(password, password_only=True)
        except RedisError as error:
            self._hang_up()
            if not password or password not in str(error):
                raise
            repeated = type(error)(str(error).replace(password, "***"))
        except TimeoutError as error:
            was_connected = self._writer is not None
            self._hang_up()
            if was_connected:
                raise RedisTimeoutError("Timeout reading from the server: it accepts, and says nothing") from error
            raise
        except BaseException:
            self._hang_up()
            raise
        finally:
            self._patience = None
        if repeated is not None:  # a server sent our password back; raised here, it has no context that shows it
            raise repeated
        self.opened_at = time.monotonic()

    async def exchange(self, payload: bytes, replies: int) -> list[Any]:
        """Write once, read that many replies. Error replies come in their place, but those that are ConnectionError
        to redis-py (LOADING, NOAUTH) are raised, and then the rest is unread: abort.
        """
        assert self._writer is not None
        self._writer.write(payload)
        read = self._replies.read_response
        return [await read(disable_decoding=True) for _ in range(replies)]

    @property
    def is_over(self) -> bool:
        """True once the end of the socket has been read."""
        return (
            self._writer is None or self._reader is None or self._writer.transport.is_closing() or self._reader.at_eof()
        )

    async def is_stale(self) -> bool:
        """True once the server has closed the socket, or has sent what nobody asked for."""
        return self._writer is None or self._writer.transport.is_closing() or bool(await self._replies.can_read())

    def abort(self) -> None:
        """Close with RST, without waiting; whoever reads or connects fails in the next step of the loop."""
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(0)  # ends open()
        self._hang_up()

    def _hang_up(self) -> None:
        writer, self._writer, self._reader = self._writer, None, None
        self._replies.on_disconnect()
        if writer is not None:
            sock = writer.get_extra_info("socket")
            if sock is not None:
                close_hard(sock)
            writer.transport.abort()

    async def _connect(self) -> None:
        self._reader, self._writer = await open_stream(self.target, self._context)
        self._replies.on_connect(self)

    async def _greet(self, password: str, *, password_only: bool) -> None:
        commands, required = greeting(self.target, password, self.client_name, password_only=password_only)
        replies = await self.exchange(pack(commands), len(commands))
        check_greeting(commands[:required], replies[:required])
