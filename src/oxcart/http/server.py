"""How does HTTP run beside the jobs? On a thread and an event loop of its own, so that a blocked job loop is seen."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

import uvicorn
from starlette.applications import Starlette
from uvicorn.server import ServerState

from oxcart.errors import OxcartError
from oxcart.forks import keep_from_children
from oxcart.http.assemble import build_app
from oxcart.http.caller import Caller, Patience
from oxcart.http.door import Door, Room, granted_descriptors, room_for
from oxcart.http.listen import EVERYWHERE, LOOPBACK, open_sockets
from oxcart.http.pace import Rates
from oxcart.http.routes import Route
from oxcart.http.site import Site
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import HttpStarted

_START_SECONDS = 10.0
_STOP_SECONDS = 0.9


class HttpServer:
    """Serves a site on `port`; with `may_move` on the next free one if that is taken."""

    def __init__(
        self,
        site: Site,
        emit: Emit,
        *,
        port: int,
        may_move: bool = False,
        loopback_only: bool = False,
        more_routes: Sequence[Route] = (),
        beside: AbstractAsyncContextManager[object] | None = None,
        room: Room | None = None,
        patience: Patience | None = None,
        rates: Rates | None = None,
    ) -> None:
        """`beside` is entered on the HTTP thread's loop before the first request, and left after the last.

        `room`, `patience` and `rates` are the bounds of what strangers may hold, and ask.
        """
        self._app = build_app(site, more_routes)
        self._emit = emit
        self._wanted_port = port
        self._may_move = may_move
        self._hosts = LOOPBACK if loopback_only else EVERYWHERE
        self._beside = beside or nullcontext()
        self._room = room or room_for(granted_descriptors())
        self._patience = patience or Patience()
        self._rates = rates or Rates()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._listening: Sequence[socket.socket] = ()
        keep_from_children(self)

    def start(self) -> int:
        """Returns the port once requests are answered. Raises PortUnavailable."""
        self._listening = sockets = open_sockets(self._wanted_port, self._hosts, may_move=self._may_move)
        port: int = sockets[0].getsockname()[1]
        hosts = tuple(str(listener.getsockname()[0]) for listener in sockets)
        config = _config(self._app)
        state = ServerState()
        door = Door(sockets, config, state, self._emit, room=self._room, patience=self._patience, rates=self._rates)
        self._server = _Server(config, state, door, self._beside)
        self._thread = threading.Thread(target=self._server.run_on_this_thread, name="http", daemon=True)
        self._thread.start()
        if not self._server.settled.wait(_START_SECONDS) or not self._server.started:
            self.stop()
            raise OxcartError(f"HTTP did not start on port {port}. The log says why.")
        self._emit(HttpStarted(port, self._wanted_port, hosts))
        return port

    def descriptors(self) -> Iterable[int]:
        return [listener.fileno() for listener in self._listening]

    def stop(self) -> None:
        """Ends within a second: answers being written go out, what takes longer is cut off. May be called twice."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(_STOP_SECONDS)


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Caller,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # our own errors are logged by assemble.py; scanners' broken requests by nobody
        access_log=False,
        server_header=False,
        proxy_headers=False,  # auth.py judges the real peer
        timeout_graceful_shutdown=0,
    )


class _Server(uvicorn.Server):
    """`settled` is set when start-up is over, well or not; `started` says which. Off the main thread, no signals.

    It accepts nothing itself: the door does (docs/decisions.md, 24).
    """

    def __init__(
        self, config: uvicorn.Config, state: ServerState, door: Door, beside: AbstractAsyncContextManager[object]
    ) -> None:
        super().__init__(config)
        self.server_state = state
        self.settled = threading.Event()
        self._door = door
        self._beside = beside

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        async with self._beside:
            await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - uvicorn's signature
        await super().startup([])
        self._door.open()
        self.settled.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._door.close()
        await super().shutdown(sockets)

    def run_on_this_thread(self) -> None:
        try:
            self.run([])
        finally:
            self.settled.set()
            self._door.close_listeners()
