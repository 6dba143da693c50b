"""Who may come in? As many connections as leave descriptors for Redis; when it is full, the longest wait goes first.

We accept by ourselves: asyncio takes whatever comes, and without descriptors tells it in thousands of lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from uvicorn.config import Config
from uvicorn.server import ServerState

from oxcart.http.caller import Caller, Patience, peer_of
from oxcart.http.pace import Paces, Rates
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import HttpCrowded

_LOOK_SECONDS = 0.5  # between two looks for connections that are overdue
_TELL_SECONDS = 60.0  # between two events about a crowd, however long it lasts
_AT_ONCE = 16  # connections are taken between two looks at what the others have sent
_REST = 2  # times as long as it took: whoever only connects gets a third of this thread, and of the interpreter
_NO_MORE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_AGAIN_SECONDS = 0.2  # after there was no descriptor


@dataclass(frozen=True, slots=True)
class Room:
    """How many connections there may be: in all, from one peer, and in all once the process is short of descriptors.

    A descriptor's number is the lowest that is free: one from `short_from` on says that hardly any are left.
    """

    most: int
    most_of_peer: int
    most_when_short: int
    short_from: int


_MOST = 512
_DESCRIPTORS_LEFT = 64  # for Redis, files and what handlers open next
_UNLIMITED = 1 << 30


def room_for(descriptors: int) -> Room:
    """Half of what the system grants this process at most: of a thousand, five hundred are the jobs' and Redis's."""
    most = max(8, min(_MOST, descriptors // 2))
    return Room(
        most=most,
        most_of_peer=max(6, most * 3 // 4),
        most_when_short=max(4, most // 16),
        short_from=max(descriptors - _DESCRIPTORS_LEFT, descriptors * 3 // 4),
    )


def granted_descriptors() -> int:
    """The soft limit, `ulimit -n`. We leave it as it is: raising it breaks whatever uses select()."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return _UNLIMITED
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _UNLIMITED if soft == resource.RLIM_INFINITY else soft


class Door:
    """Accepts on `listeners`, for as long as the context lasts, on the loop that enters it."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        config: Config,
        state: ServerState,
        emit: Emit,
        *,
        room: Room,
        patience: Patience,
        rates: Rates,
    ) -> None:
        self._listeners = listeners
        self._config = config
        self._state = state
        self._emit = emit
        self._room = room
        self._patience = patience
        self._paces = Paces(rates)
        self._callers: dict[Caller, None] = {}  # whose turn began first is first
        self._of_peer: Counter[str] = Counter()
        self._entering: set[asyncio.Task[object]] = set()
        self._is_open = False
        self._timers: dict[object, asyncio.TimerHandle] = {}
        self._closed = 0
        self._told_at = float("-inf")

    def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._is_open = True
        for listener in self._listeners:
            self._loop.add_reader(listener, self._accept, listener)
        self._later(self, _LOOK_SECONDS, self._look)

    def close(self) -> None:
        """Nobody else comes in; those inside are the server's to end. May be called twice."""
        if self._is_open:
            self._is_open = False
            for listener in self._listeners:
                self._loop.remove_reader(listener)
            for timer in self._timers.values():
                timer.cancel()

    def close_listeners(self) -> None:
        """Once its loop has ended. Those who knock from now on hear that nobody is there."""
        for listener in self._listeners:
            listener.close()

    # ------------------------------------------------------------------------------------------ coming in
    def _accept(self, listener: socket.socket) -> None:
        began = self._loop.time()
        for _ in range(_AT_ONCE):
            try:
                connection, address = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in _NO_MORE:
                    continue  # gone before it was accepted
                self._make_room(None)
                self._pause(listener, _AGAIN_SECONDS)
                return
            self._admit(connection, str(address[0]))
        self._pause(listener, (self._loop.time() - began) * _REST)

    def _admit(self, connection: socket.socket, address: str) -> None:
        room, peer = self._room, peer_of(address)
        is_short = connection.fileno() >= room.short_from
        most = room.most_when_short if is_short else room.most
        if self._of_peer[peer] >= room.most_of_peer and not self._make_room(peer):
            self._refuse(connection)
            return
        while len(self._callers) >= most:  # more than one goes once descriptors are short
            if not self._make_room(None):
                self._refuse(connection)
                return
        connection.setblocking(False)
        caller = Caller(
            self._config,
            self._state,
            peer=peer,
            patience=self._patience,
            paces=self._paces,
            on_turn=self._goes_to_the_end,
            on_end=self._ended,
        )
        self._callers[caller] = None
        self._of_peer[peer] += 1
        entering = self._loop.create_task(self._enter(caller, connection), name="http:accept")
        self._entering.add(entering)
        entering.add_done_callback(self._entering.discard)

    async def _enter(self, caller: Caller, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: caller, connection)
        except OSError:
            connection.close()
            self._ended(caller)

    def _refuse(self, connection: socket.socket) -> None:
        """With a sentence, if the system takes it without waiting."""
        self._closed += 1
        self._tell()
        with contextlib.suppress(OSError):
            connection.setblocking(False)
            connection.send(_FULL)
        connection.close()

    # ------------------------------------------------------------------------------------------ going out
    def _make_room(self, peer: str | None) -> bool:
        """Hang up on the one that owes us something for longest; False if nobody does."""
        for caller in self._callers:
            if (peer is None or caller.peer == peer) and caller.is_peers_turn:
                self._hang_up(caller)
                return True
        return False

    def _hang_up(self, caller: Caller) -> None:
        self._closed += 1
        self._tell()
        self._ended(caller)
        caller.hang_up()

    def _goes_to_the_end(self, caller: Caller) -> None:
        if caller in self._callers:
            del self._callers[caller]
            self._callers[caller] = None

    def _ended(self, caller: Caller) -> None:
        if caller in self._callers:
            del self._callers[caller]
            self._of_peer[caller.peer] -= 1
            if not self._of_peer[caller.peer]:
                del self._of_peer[caller.peer]

    # ------------------------------------------------------------------------------------------ time
    def _look(self) -> None:
        now = self._loop.time()
        for caller in [caller for caller in self._callers if caller.is_overdue(now)]:
            self._ended(caller)
            caller.hang_up()
        self._paces.forget(now, set(self._of_peer))
        self._later(self, _LOOK_SECONDS, self._look)

    def _pause(self, listener: socket.socket, seconds: float) -> None:
        self._loop.remove_reader(listener)
        self._later(listener, seconds, lambda: self._loop.add_reader(listener, self._accept, listener))

    def _later(self, what: object, seconds: float, then: Callable[[], None]) -> None:
        """One timer for each: the look, and each listener that rests."""
        self._timers[what] = self._loop.call_later(seconds, then)

    def _tell(self) -> None:
        now = self._loop.time()
        if now - self._told_at >= _TELL_SECONDS:
            self._told_at = now
            self._emit(HttpCrowded(len(self._callers), self._closed))
            self._closed = 0


_SENTENCE = b'{"error":"Too many connections are open. Try again in a moment."}'
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(_SENTENCE), _SENTENCE)
)
