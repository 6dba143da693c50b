"""How does the sandbox get a port? On this machine only: whoever reaches it can do anything in it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from oxcart.errors import OxcartError, PortUnavailable
from oxcart_sandbox.app import create_app
from oxcart_sandbox.world import World

HOST = "127.0.0.1"
_START_SECONDS = 10.0


@asynccontextmanager
async def serving(world: World, *, port: int = 0) -> AsyncIterator[str]:
    """Serve a sandbox in this event loop; yields its URL, for OXCART_KOMMO_BASE_URL. Port 0 takes any free one.

    Raises PortUnavailable.
    """
    listener = _listen(port)
    server = _Server(_config(world))
    task = asyncio.create_task(server.serve([listener]), name="sandbox")
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not server.started:
                if task.done():
                    raise OxcartError("The sandbox did not start. Its own log says why.")
                await asyncio.sleep(0.005)
        yield f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await world.hooks.close()
        await task
        listener.close()


class _Server(uvicorn.Server):
    """Signals belong to the program that it runs in."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(world: World) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(world),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # a connection that we cut is no error
        access_log=False,
        server_header=False,
        date_header=False,  # app.py writes the sandbox's own time
        timeout_graceful_shutdown=0,
    )


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise PortUnavailable(
            port, f"The sandbox cannot listen on port {port}: {error.strerror}. Choose another one with --port."
        ) from error
    return listener
