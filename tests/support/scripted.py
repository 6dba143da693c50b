"""What do tests of many requests in flight talk to? A server in their own loop that answers when, and as far as, told.

It greets like a Redis. To `ECHO name …` it owes the reply "name", to `FAIL name` an error, to `LOAD name` the answer of
a server that loads its data: nothing was run. What it owes is sent by `pay`, by the byte.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import hiredis

_INCOMPLETE = object()
_LINGER_0 = struct.pack("ii", 1, 0)


class Scripted:
    """`heard` are the names in the order in which they came; `pays_at_once` as an honest server does."""

    def __init__(self) -> None:
        self.port = 0
        self.heard: list[str] = []
        self.connections: list[Conversation] = []
        self.accepted = 0
        self.pays_at_once = False

    @property
    def owed_bytes(self) -> int:
        return sum(len(connection.owed) for connection in self.connections)

    def pay(self, most: int | None = None) -> None:
        for connection in tuple(self.connections):
            connection.pay(most)

    def cut(self) -> None:
        for connection in tuple(self.connections):
            connection.transport.close()

    def reset(self) -> None:
        for connection in tuple(self.connections):
            sock = connection.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
            connection.transport.abort()

    def say(self, words: bytes) -> None:
        """What nobody asked for."""
        for connection in self.connections:
            connection.transport.write(words)

    def read(self, *, on: bool) -> None:
        """Whether it takes bytes from the kernel: if not, they pile up there, and then at the client."""
        for connection in self.connections:
            if connection.transport.is_reading() != on:
                (connection.transport.resume_reading if on else connection.transport.pause_reading)()


class Conversation(asyncio.Protocol):
    def __init__(self, server: Scripted) -> None:
        self.server = server
        self.owed = b""
        self.transport: asyncio.Transport
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.server.accepted += 1
        self.server.connections.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.connections.remove(self)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (command := self._reader.gets(False)) is not _INCOMPLETE:
            self._answer(command)

    def pay(self, most: int | None) -> None:
        paid, self.owed = self.owed[:most], self.owed[len(self.owed[:most]) :]
        if not self.transport.is_closing():
            self.transport.write(paid)

    def _answer(self, command: list[Any]) -> None:
        name = command[1] if len(command) > 1 else b""
        reply = {
            b"PING": b"+PONG\r\n",
            b"CLIENT": b"+OK\r\n",
            b"INFO": b"$11\r\nrole:master\r\n",
            b"ECHO": b"$%d\r\n%s\r\n" % (len(name), name),
            b"FAIL": b"-ERR %s\r\n" % name,
            b"LOAD": b"-LOADING the data\r\n",
            b"TIME": b"*2\r\n$10\r\n%d\r\n$1\r\n0\r\n" % time.time(),
        }[command[0]]
        self.owed += reply
        if command[0] in {b"ECHO", b"FAIL", b"LOAD"}:
            self.server.heard.append(name.decode())
        if self.server.pays_at_once or command[0] in {b"PING", b"CLIENT", b"INFO", b"TIME"}:
            self.pay(None)


@asynccontextmanager
async def scripted_server() -> AsyncIterator[Scripted]:
    scripted = Scripted()
    listener = await asyncio.get_running_loop().create_server(lambda: Conversation(scripted), "127.0.0.1", 0)
    scripted.port = listener.sockets[0].getsockname()[1]
    try:
        yield scripted
    finally:
        listener.close()
        scripted.reset()
