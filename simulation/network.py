"""What lies between an actor and the server? Wires, each with a delay, in weather that a schedule makes.

A request arrives, is executed by the server at once and whole, and its reply sets out; both can be late, held up or
lost. Bytes on one wire keep their order, as in TCP. All draws come from the wire's own generator.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import hiredis

from simulation.loop import ACTOR, Actor, SimThread, VirtualLoop
from simulation.server import EPOCH_MS, Socket, SteeredServer

Executed = Callable[[str, list[Any], Any], None]
"""(actor, command, reply): called in the order in which the server executed them."""

_USER_TIMEOUT_SECONDS = 5.0  # connection/sockets.py: keepalive and TCP_USER_TIMEOUT
_BLOCKING = {b"BZPOPMIN", b"XREAD", b"BRPOPLPUSH", b"BLMOVE"}


@dataclass(frozen=True)
class Weather:
    """What one actor's packets meet. `cut`: they are lost, and TCP notices. `hung`: a proxy keeps them, and nobody
    notices. `refused`: nobody listens. `forgets`: that share of requests is executed, and ends the connection
    instead of a reply. `late_seconds`: requests wait that long on their way.
    """

    delay_seconds: float = 0.0005
    jitter_seconds: float = 0.0005
    cut: bool = False
    hung: bool = False
    refused: bool = False
    forgets: float = 0.0
    late_seconds: float = 0.0


class Wire:
    """One connection. `heard` and `lost` are the client's: bytes that came, and the end (None: closed in order)."""

    def __init__(self, network: Network, actor: Actor, number: int) -> None:
        self.network = network
        self.actor = actor
        self.number = number
        self.heard: Callable[[bytes], None] = lambda _data: None
        self.lost: Callable[[Exception | None], None] = lambda _error: None
        self.in_thread = False
        self.is_open = False
        self.is_lost = False
        self.socket: Socket | None = None
        self.commands: deque[list[Any]] = deque()
        self.transaction: list[list[Any]] | None = None
        self.held: list[tuple[bool, bytes]] = []
        self.is_dead = False  # a proxy has forgotten it
        self._was_closed = False
        self._random = Random(f"{network.seed}:{actor.name}:{number}")
        self._reader = hiredis.Reader()
        self._up_at = self._down_at = 0.0

    @property
    def weather(self) -> Weather:
        return self.network.weather(self.actor.name)

    def draw(self) -> float:
        return self._random.random()

    # -------------------------------------------------------------------------------------------- the client's side
    def connect(self, done: Callable[[OSError | None], None]) -> None:
        weather = self.weather
        if weather.cut or weather.hung:
            return  # whoever waits for it has a deadline

        def arrive() -> None:
            if self._was_closed or weather.cut or weather.hung or not self.actor.is_alive:
                return
            if weather.refused or not self.network.is_up:
                self._to_actor(lambda: done(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")))
                return
            self.socket = self.network.server.open()
            self.network.wires[self.socket.number] = self
            self.is_open = True
            self._to_actor(lambda: done(None))

        self.network.later(2 * self._delay(), arrive)

    def send(self, data: bytes) -> None:
        weather = self.weather
        if weather.cut or weather.hung or self.is_dead:
            self.held.append((True, data))
            return
        loop = self.network.loop
        self._up_at = max(self._up_at + 1e-6, loop.time() + self._delay() + weather.late_seconds)
        loop.call_at(self._up_at, self._arrive, data, context=self.network.context)

    def close(self, *, silently: bool = False) -> None:
        """The client has let go. Requests on their way may be executed; the server hears of the end, or does not."""
        self.is_open, self._was_closed = False, True
        weather, network = self.weather, self.network
        if silently or weather.cut or weather.hung or self.is_dead:
            network.later(30 + 200 * self.draw(), self._server_hears_of_the_end)
        elif weather.late_seconds:
            network.later(max(0.0, self._up_at - network.loop.time()) + self._delay(), self._server_hears_of_the_end)
        else:
            network.later(self._delay(), self._server_hears_of_the_end)

    def _server_hears_of_the_end(self) -> None:
        if self.socket is not None and not self.socket.is_closed:
            self.network.server.close(self.socket)
            self.network.settle()

    # -------------------------------------------------------------------------------------------- on the way
    def _delay(self) -> float:
        weather = self.weather
        return weather.delay_seconds + weather.jitter_seconds * self.draw()

    def _arrive(self, data: bytes) -> None:
        if self.socket is None or self.socket.is_closed:
            return
        self._reader.feed(data)
        commands: list[list[Any]] = []
        while (command := self._reader.gets()) is not False:
            commands.append(command)
        self.network.execute(self, data, commands)

    def reply(self, data: bytes) -> None:
        weather = self.weather
        if weather.forgets and self.draw() < weather.forgets:
            self.reset(self._delay() + 0.3 * self.draw())
        elif weather.cut or weather.hung or self.is_dead:
            self.held.append((False, data))
        else:
            loop = self.network.loop
            self._down_at = max(self._down_at + 1e-6, loop.time() + self._delay())
            loop.call_at(self._down_at, self._come_back, data, context=self.network.context)

    def _come_back(self, data: bytes) -> None:
        if self.is_open and not self.is_lost:
            self._to_actor(lambda: self._hear(data))

    def _hear(self, data: bytes) -> None:
        if self.is_open and not self.is_lost:
            self.heard(data)

    def reset(self, seconds: float, error: Exception | None = None) -> None:
        """The client will see the end; the server sees it now, if it lives."""
        told = error or ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        if self.socket is not None and not self.socket.is_closed:
            self.network.server.close(self.socket)
        self.is_dead = True
        self.network.later(seconds, lambda: self._to_actor(lambda: self._lose(told)))

    def _lose(self, error: Exception | None) -> None:
        if self.is_open and not self.is_lost:
            self.is_lost = True
            self.lost(error)

    def _to_actor(self, deliver: Callable[[], None]) -> None:
        self.actor.receive(deliver, in_thread=self.in_thread)

    # -------------------------------------------------------------------------------------------- weather changes
    def time_out(self) -> None:
        """The packets of this one have been lost for so long that the kernel gives it up."""
        if self.is_open and self.weather.cut:
            told = TimeoutError(errno.ETIMEDOUT, "Connection timed out")
            self.is_dead = True
            self._to_actor(lambda: self._lose(told))
            self.network.later(30 + 200 * self.draw(), self._server_hears_of_the_end)

    def clear_up(self, *, was_hung: bool) -> None:
        """What was held up goes on; or whoever was on the way has forgotten this connection."""
        held, self.held = self.held, []
        if self.is_dead:
            return
        fate = self.draw() if was_hung else 0.0
        if fate < 0.4:
            for is_up, data in held:
                if is_up:
                    self.send(data)
                else:
                    self.reply(data)
        elif fate < 0.7:
            self.reset(0.0)
        else:
            self.is_dead = True
            self.network.later(30 + 200 * self.draw(), self._server_hears_of_the_end)


class Network:
    """All wires of one simulation, and the server behind them."""

    def __init__(
        self, loop: VirtualLoop, server: SteeredServer, seed: str, executed: Executed, *, distance_seconds: float
    ) -> None:
        self.loop = loop
        self.server = server
        self.seed = seed
        self.fair = Weather(delay_seconds=distance_seconds)
        self.is_up = True
        self.context = contextvars.Context()
        self.wires: dict[int, Wire] = {}
        self.steps = 0
        self.after_step: Callable[[], None] = lambda: None
        self._executed = executed
        self._weathers: dict[str, Weather] = {}
        self._spells: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._made: dict[str, int] = {}
        self._slow_until = 0.0

    def weather(self, actor: str) -> Weather:
        return self._weathers.get(actor, self.fair)

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        self.loop.call_later(seconds, call, context=self.context)

    def wire(self, actor: Actor) -> Wire:
        number = self._made[actor.name] = self._made.get(actor.name, 0) + 1
        return Wire(self, actor, number)

    def open_wires(self, actor: str | None = None) -> list[Wire]:
        return [wire for _, wire in sorted(self.wires.items()) if wire.is_open and actor in (None, wire.actor.name)]

    # -------------------------------------------------------------------------------------------- the server
    def now_ms(self) -> int:
        return EPOCH_MS + int(self.loop.time() * 1000)

    def execute(self, wire: Wire, data: bytes, commands: Sequence[list[Any]]) -> None:
        """One request reaches the server. If it is slow, it waits its turn."""
        if self.loop.time() < self._slow_until:
            self._slow_until += 1e-6  # in their order
            self.loop.call_at(self._slow_until, self._execute, wire, data, commands, context=self.context)
        else:
            self._execute(wire, data, commands)

    def _execute(self, wire: Wire, data: bytes, commands: Sequence[list[Any]]) -> None:
        socket = wire.socket
        if not self.is_up or socket is None or socket.is_closed:
            return
        may_block = socket.owed > 0
        for command in commands:
            name = command[0].upper()
            if name in _BLOCKING:
                seconds = _block_seconds(command)
                may_block = may_block or seconds is not None
                if seconds is not None:
                    self.later(seconds + 0.0015, self.settle)
        wire.commands.extend(commands)
        self.server.set_time(self.now_ms())
        socket.send(data, len(commands))
        self.settle(None if may_block else socket)

    def settle(self, asked: Socket | None = None) -> None:
        if not self.is_up:
            return
        self.steps += 1
        self.server.set_time(self.now_ms())
        for socket, data, replies in self.server.settle(asked):
            wire = self.wires[socket.number]
            for reply in replies:
                self._note(wire, wire.commands.popleft(), reply)
            if data:
                wire.reply(data)
            if socket.is_closed:
                wire.reset(0.0005)
        self.after_step()

    def _note(self, wire: Wire, command: list[Any], reply: Any) -> None:
        name = command[0].upper()
        if name == b"MULTI":
            wire.transaction = []
        elif reply == b"QUEUED" and wire.transaction is not None:
            wire.transaction.append(command)
        elif name == b"EXEC":
            queued, wire.transaction = wire.transaction or [], None
            for one, answer in zip(queued, reply, strict=False) if isinstance(reply, list) else ():
                self._executed(wire.actor.name, one, answer)
        else:
            self._executed(wire.actor.name, command, reply)

    def server_is_slow(self, seconds: float) -> None:
        self._slow_until = self.loop.time() + seconds

    def server_is_gone(self) -> None:
        """It was killed: its kernel says so to everyone."""
        self.is_up = False
        for wire in self.open_wires():
            wire.commands.clear()
            wire.reset(0.0005 + 0.001 * wire.draw())

    # -------------------------------------------------------------------------------------------- weather
    def spell(self, actor: str, seconds: float, **changes: Any) -> None:
        """So is the actor's weather for so long. Spells overlap; where they differ, the one that began last holds."""
        self._spells[actor].append(changes)
        self._weather_changes(actor)
        self.later(seconds, lambda: self._end_spell(actor, changes))

    def clear_weather(self, actor: str) -> None:
        self._spells[actor].clear()
        self._weather_changes(actor)

    def _end_spell(self, actor: str, changes: dict[str, Any]) -> None:
        self._spells[actor] = [spell for spell in self._spells[actor] if spell is not changes]
        self._weather_changes(actor)

    def _weather_changes(self, actor: str) -> None:
        before, changes = self.weather(actor), dict[str, Any]()
        for spell in self._spells[actor]:
            changes |= spell
        weather = self._weathers[actor] = replace(self.fair, **changes)
        if weather.cut and not before.cut:
            for wire in self.open_wires(actor):
                self.later(_USER_TIMEOUT_SECONDS + wire.draw(), wire.time_out)
        if (before.hung and not weather.hung) or (before.cut and not weather.cut):
            for wire in self.open_wires(actor):
                wire.clear_up(was_hung=before.hung)

    def reset_all(self, actor: str) -> None:
        for wire in self.open_wires(actor):
            wire.reset(0.0)

    def actor_ended(self, actor: str, *, silently: bool) -> None:
        for wire in self.open_wires(actor):
            wire.close(silently=silently)


def _block_seconds(command: list[Any]) -> float | None:
    """How long it may block; None: not at all."""
    name = command[0].upper()
    if name == b"XREAD":
        words = [word.upper() if isinstance(word, bytes) else word for word in command]
        return int(words[words.index(b"BLOCK") + 1]) / 1000 if b"BLOCK" in words else None
    return float(command[-1])


# ------------------------------------------------------------------------------------------------ two kinds of sockets
class _NoSocket:
    """What is asked of a transport's socket."""

    def setsockopt(self, *_options: Any) -> None: ...

    def fileno(self) -> int:
        return -1


class SimTransport(asyncio.Transport):
    """A wire as connection/connect.py uses it."""

    def __init__(self, wire: Wire, protocol: asyncio.Protocol, loop: VirtualLoop) -> None:
        super().__init__({"socket": _NoSocket()})
        self._wire = wire
        self._protocol = protocol
        self._loop = loop
        self._context = contextvars.copy_context()
        self._is_closing = False
        wire.heard = self._heard
        wire.lost = self._lost

    def _heard(self, data: bytes) -> None:
        self._loop.call_soon(self._receive, data, context=self._context)

    def _receive(self, data: bytes) -> None:
        if not self._is_closing:
            self._protocol.data_received(data)

    def _lost(self, error: Exception | None) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._loop.call_soon(self._protocol.connection_lost, error, context=self._context)
            self._wire.is_open = False

    def write(self, data: Any) -> None:
        if not self._is_closing:
            self._wire.send(bytes(data))

    def is_closing(self) -> bool:
        return self._is_closing

    def abort(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._wire.close()
            self._loop.call_soon(self._protocol.connection_lost, None, context=self._context)

    close = abort

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...


class SimSocket:
    """A wire as connection/blocking.py uses it, in a SimThread."""

    def __init__(self, network: Network) -> None:
        actor = ACTOR.get()
        assert actor is not None
        self._wire = network.wire(actor)
        self._wire.in_thread = True
        self._wire.heard = self._heard
        self._wire.lost = self._lost
        self._timeout: float | None = None
        self._received = bytearray()
        self._error: Exception | None = None
        self._is_over = False
        self._wake: Callable[[], None] | None = None
        self._connected: bool = False

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def setsockopt(self, *_options: Any) -> None: ...

    def fileno(self) -> int:
        return -1

    def connect(self, _address: Any) -> None:
        outcome: list[OSError | None] = []

        def done(error: OSError | None) -> None:
            outcome.append(error)
            self._notify()

        self._wire.connect(done)
        if not self._wait(lambda: bool(outcome)):
            raise TimeoutError("timed out")
        if outcome[0] is not None:
            raise outcome[0]

    def send(self, data: Any) -> int:
        self._check()
        self._wire.send(bytes(data))
        return len(data)

    def recv(self, size: int) -> bytes:
        if self._timeout == 0 and not self._received and self._error is None and not self._is_over:
            raise BlockingIOError
        if not self._wait(lambda: bool(self._received) or self._error is not None or self._is_over):
            raise TimeoutError("timed out")
        if self._received:
            data = bytes(self._received[:size])
            del self._received[:size]
            return data
        self._check()
        return b""

    def shutdown(self, _how: int) -> None:
        self._is_over = True
        self._notify()

    def close(self) -> None:
        self._is_over = True
        self._wire.close()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _wait(self, is_there: Callable[[], bool]) -> bool:
        loop = self._wire.network.loop
        ends_at = None if self._timeout is None else loop.time() + self._timeout
        while not is_there():
            left = None if ends_at is None else ends_at - loop.time()
            if left is not None and left <= 0:
                return False
            thread = SimThread.current()
            self._wake = thread.wait(left)
            thread.pause()
            self._wake = None
        return True

    def _notify(self) -> None:
        if self._wake is not None:
            self._wake()

    def _heard(self, data: bytes) -> None:
        self._received += data
        self._notify()

    def _lost(self, error: Exception | None) -> None:
        self._error, self._is_over = error, True
        self._notify()
