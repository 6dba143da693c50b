"""Where does a simulation take hold of the worker? In its clock, its sockets and its one thread; nowhere else.

Each of these is a name in one of our modules, as tests/architecture/test_clock_seam.py keeps them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from random import Random
from types import SimpleNamespace
from typing import Any

from oxcart import clock
from oxcart.connection import blocking, connect
from oxcart.worker import locks
from simulation.loop import ACTOR, SimEvent, SimTask, SimThread, VirtualLoop
from simulation.network import Network, SimSocket, SimTransport
from simulation.server import EPOCH_MS


@contextlib.contextmanager
def steered(loop: VirtualLoop, network: Network, seed: str, skew_ms: Callable[[str], int]) -> Iterator[None]:
    """While it lasts, time and chance of this process are the simulation's. `skew_ms`: an actor's error"""
    random = Random(f"{seed}:chance")

    def wall_ns() -> int:
        actor = ACTOR.get()
        skew = skew_ms(actor.name) if actor is not None else 0
        return (EPOCH_MS + skew) * 1_000_000 + int(loop.time() * 1e9)

    async def open_transport(_target: Any, _context: Any, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        actor = ACTOR.get()
        assert actor is not None
        wire, connected = network.wire(actor), loop.create_future()

        def done(error: OSError | None) -> None:
            if connected.done():
                wire.close()
            elif error is not None:
                connected.set_exception(error)
            else:
                connected.set_result(None)

        wire.connect(done)
        await connected
        protocol = make_protocol()
        protocol.connection_made(SimTransport(wire, protocol, loop))

    changes: list[tuple[Any, str, Any]] = [
        (clock, "monotonic", loop.time),
        (clock, "steady_ms", lambda: loop.time() * 1000),
        (clock, "wall_ns", wall_ns),
        (clock, "uniform", random.uniform),
        (clock, "random_bytes", random.randbytes),
        (connect, "open_transport", open_transport),
        (blocking, "socket", _socket_module(network)),
        (locks, "threading", SimpleNamespace(Thread=SimThread, Event=SimEvent, get_ident=threading.get_ident)),
        (asyncio, "Task", SimTask),
        (asyncio.tasks, "Task", SimTask),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    SimTask.made = 0
    for owner, name, value in changes:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def _socket_module(network: Network) -> Any:
    """What connection/blocking.py uses of the module `socket`."""

    class OneSocket(SimSocket):
        def __init__(self, *_kind: Any) -> None:
            super().__init__(network)

    def getaddrinfo(host: str, port: int, **_options: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port))]

    return SimpleNamespace(
        socket=OneSocket,
        getaddrinfo=getaddrinfo,
        AF_UNIX=socket.AF_UNIX,
        SOCK_STREAM=socket.SOCK_STREAM,
        SHUT_RDWR=socket.SHUT_RDWR,
    )
