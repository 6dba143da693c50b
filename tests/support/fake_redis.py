"""How do tests meet a Redis that says what a real one says only in trouble? A scripted server that speaks RESP2.

    with FakeRedis({"AUTH": "-ERR max requests limit exceeded. Limit: 500000, Usage: 500000"}) as fake:
        connect to 127.0.0.1:fake.port

What is not scripted is answered like a fresh server that agrees with everything. A function as an answer gets the
command's words and returns one line.
"""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable, Mapping
from typing import Self

import hiredis

from support.wire import split_commands

Reply = str | Callable[[list[bytes]], str]

AGREES = {"PING": "+PONG", "INFO": "$-1", "GET": "$-1", "EVAL": ":0", "BZPOPMIN": "*-1", "LRANGE": "*0"}


class FakeRedis:
    def __init__(self, replies: Mapping[str, Reply], *, greeting: str = "") -> None:
        self.replies = {**AGREES, **replies}
        self.greeting = greeting
        self.port = 0

    def __enter__(self) -> Self:
        fake = self

        class Conversation(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    if fake.greeting:
                        self.request.sendall(f"{fake.greeting}\r\n".encode())
                        self.request.recv(4096)
                        return
                    rest = b""
                    while heard := self.request.recv(65536):
                        commands, rest = split_commands(rest + heard)
                        self.request.sendall("".join(map(fake.answer, commands)).encode())

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server(("127.0.0.1", 0), Conversation)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, command: bytes) -> str:
        reader = hiredis.Reader()
        reader.feed(command)
        words: list[bytes] = reader.gets() if command.startswith(b"*") else command.split()
        reply = self.replies.get(words[0].decode(errors="replace").upper(), "+OK")
        return (reply if isinstance(reply, str) else reply(words)) + "\r\n"
