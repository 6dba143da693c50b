"""How do tests break the connection to a real server? A loopback TCP proxy with faults that can be switched.

    with FaultProxy(server_port) as proxy:          # its own thread and loop: usable from async and blocking tests
        connect to 127.0.0.1:proxy.port

    proxy.delay_ms = 10                 each way, for whatever passes from now on
    proxy.refuse() / proxy.accept()     new connections: ECONNREFUSED / welcome again, same port
    proxy.up_bytes_per_second = 400_000 to the server, all connections together; what waits is in the proxy's memory, or
                                        with FaultProxy(port, narrow=True) at the client, as with a slow network
    proxy.blackhole = True              new connections are accepted and nothing is forwarded
    proxy.freeze() / proxy.thaw()       half-open: nothing passes on any connection, none is closed; thaw delivers
    proxy.mute()                        half-open, all that are open now: requests pass, and nothing comes back any more
    proxy.cut() / proxy.reset()         close every connection with FIN / with RST
    proxy.lose_replies(b"marker")       forward the command, swallow its reply once the server has sent it, then cut
    proxy.execute_late(b"marker", 2)    cut the client now, forward the command 2 s later
    proxy.refusal = b"-ERR no"          every command is answered with this line and not forwarded; None: no more
    proxy.refused = b"marker"           only those that match are; None: all
    proxy.commands                      how often each command passed, by its name in upper case

A match is bytes that occur in a command as it is on the wire, or a function of those bytes. TLS and anything else that
is not RESP passes unread.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable
from typing import Literal, Self

from support.loop_thread import LoopThread, stop_listening
from support.wire import ReplyCounter, command_name, split_commands

Match = bytes | Callable[[bytes], bool]
_LINGER_0 = struct.pack("ii", 1, 0)
_PIECE_BYTES, _PACED_BYTES = 1 << 16, 1 << 13


def matches(match: Match, command: bytes) -> bool:
    return match in command if isinstance(match, bytes) else match(command)


class _Fault:
    """One armed fault; `times` commands will meet it."""

    def __init__(self, match: Match, times: int, late_seconds: float | None, then: str) -> None:
        self.match = match
        self.times = times
        self.late_seconds = late_seconds
        self.then = then

    def takes(self, command: bytes) -> bool:
        if not matches(self.match, command) or self.times == 0:
            return False
        self.times -= 1
        return True


class FaultProxy:
    def __init__(
        self, server_port: int, server_host: str = "127.0.0.1", *, host: str = "127.0.0.1", narrow: bool = False
    ) -> None:
        self.host = host
        self.narrow = narrow
        self.port = 0
        self.delay_ms = 0.0
        self.up_bytes_per_second: float | None = None
        self.up_free_at = 0.0
        self.blackhole = False
        self.refusal: bytes | None = None
        self.refused: Match | None = None
        self.commands: Counter[str] = Counter()
        self.connections_accepted = 0
        self.bytes_to_server = 0
        self.bytes_to_client = 0
        self.server_address = (server_host, server_port)
        self.faults: list[_Fault] = []
        self.flowing = asyncio.Event()
        self.pairs: set[_Pair] = set()
        self._is_stopped = False
        self._thread = LoopThread("fault-proxy")
        self._listener: asyncio.Server | None = None
        self._reserved: socket.socket | None = None

    @property
    def connections_open(self) -> int:
        return len(self.pairs)

    def start(self) -> None:
        self._thread.start()
        self._thread.run(self._start())

    def stop(self) -> None:
        """Cut everything and end the thread; may be called twice, after start()."""
        if not self._is_stopped:
            self._is_stopped = True
            self._thread.run(self._stop())
            self._thread.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def refuse(self) -> None:
        self._thread.run(self._refuse())

    def accept(self) -> None:
        self._thread.run(self._listen())

    def freeze(self) -> None:
        self._thread.run(self._let_flow(flows=False))

    def thaw(self) -> None:
        self._thread.run(self._let_flow(flows=True))

    def mute(self, match: Callable[[str], bool] = lambda _: True) -> None:
        """Only the connections whose last command's name matches."""
        self._thread.run(self._end(lambda pair: pair.mute(match)))

    def cut(self) -> None:
        self._thread.run(self._end(_Pair.close))

    def reset(self) -> None:
        self._thread.run(self._end(_Pair.reset))

    def lose_replies(self, match: Match, times: int = 1, then: Literal["cut", "reset", "hold"] = "cut") -> None:
        """The next `times` commands that match are executed and their replies lost.

        Replies of commands that were sent before on the same connection may be lost too, as a real cut would do.
        "hold" leaves the connection open and silent.
        """
        self.faults.append(_Fault(match, times, None, then))

    def execute_late(self, match: Match, seconds: float, times: int = 1) -> None:
        """The next `times` commands that match reach the server `seconds` later; their clients are cut at once."""
        self.faults.append(_Fault(match, times, seconds, "cut"))

    def refuses(self, command: bytes) -> bool:
        return self.refusal is not None and (self.refused is None or matches(self.refused, command))

    async def _let_flow(self, *, flows: bool) -> None:
        self.flowing.set() if flows else self.flowing.clear()

    async def _end(self, end: Callable[[_Pair], None]) -> None:
        for pair in tuple(self.pairs):
            end(pair)

    async def _start(self) -> None:
        self.flowing.set()
        self._reserved = socket.create_server((self.host, 0), family=_family(self.host))
        if self.narrow:
            self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PIECE_BYTES)
        self.port = self._reserved.getsockname()[1]
        await self._listen()

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, sock=self._reserved)

    async def _refuse(self) -> None:
        """Keep the port: a socket that is bound and does not listen refuses."""
        if self._listener is not None:
            await stop_listening(self._listener)
            self._listener = None
            self._reserved = socket.socket(_family(self.host))
            self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._reserved.bind((self.host, self.port))

    async def _stop(self) -> None:
        if self._listener is not None:
            await stop_listening(self._listener)
        elif self._reserved is not None:
            self._reserved.close()
        await self._end(_Pair.close)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections_accepted += 1
        pair = _Pair(self, reader, writer)
        self.pairs.add(pair)
        with contextlib.suppress(asyncio.CancelledError):  # at stop; asyncio's server would report it
            await pair.run()


class _Pair:
    """One client's connection and the one to the server behind it."""

    def __init__(self, proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.proxy = proxy
        self.client = (reader, writer)
        self.server_writer: asyncio.StreamWriter | None = None
        self.fault: _Fault | None = None
        self.held = b""
        self.sent = 0
        self.replies = ReplyCounter()
        self.refusals: deque[tuple[int, bytes]] = deque()
        self.answered = asyncio.Event()
        self.last_command = ""
        self.is_mute = False

    def mute(self, match: Callable[[str], bool]) -> None:
        self.is_mute = self.is_mute or match(self.last_command)

    async def run(self) -> None:
        pumps: list[asyncio.Task[None]] = []
        try:
            if self.proxy.blackhole:
                await self._swallow()
                return
            server_reader, self.server_writer = await asyncio.open_connection(*self.proxy.server_address)
            pumps.append(asyncio.create_task(self._pump(server_reader, self.client[1], self._on_reply)))
            pumps[0].add_done_callback(lambda _: self.answered.set())
            pumps.append(asyncio.create_task(self._pump(self.client[0], self.server_writer, self._requests())))
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if self.fault is not None:
                await self._finish(self.fault)
        except OSError:
            return
        finally:
            self.close()
            self.proxy.pairs.discard(self)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _finish(self, fault: _Fault) -> None:
        """A command met a fault: nothing more is read from the client."""
        assert self.server_writer is not None
        if fault.late_seconds is not None:
            self.client[1].close()
            await asyncio.sleep(fault.late_seconds)
            self.sent += 1
            self.answered.clear()
            self.server_writer.write(self.held)
        await self.answered.wait()
        if fault.then == "reset":
            self.reset()
        if fault.then == "hold":
            await self._swallow()

    async def _swallow(self) -> None:
        while await self.client[0].read(1 << 16):
            continue

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        look: Callable[[bytes], tuple[bytes, bool]],
    ) -> None:
        """Forward until the end, or until `look` says that this was the last; each piece `delay_ms` after it came."""
        loop = asyncio.get_running_loop()
        line: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
        is_upwards = writer is self.server_writer

        async def deliver() -> None:
            while (piece := await line.get()) is not None:
                due, data = piece
                await asyncio.sleep(max(0.0, due - loop.time()))
                await self.proxy.flowing.wait()
                rest = memoryview(data)
                while is_upwards and not self.proxy.narrow and self.proxy.up_bytes_per_second and rest:
                    part, rest = rest[:_PACED_BYTES], rest[_PACED_BYTES:]
                    await self._pace(len(part), self.proxy.up_bytes_per_second)
                    writer.write(bytes(part))
                writer.write(bytes(rest))
                await writer.drain()

        delivery = asyncio.create_task(deliver())
        try:
            is_last = False
            while not is_last and (data := await reader.read(_PACED_BYTES if self.proxy.narrow else _PIECE_BYTES)):
                if is_upwards and self.proxy.narrow and self.proxy.up_bytes_per_second:
                    await self._pace(len(data), self.proxy.up_bytes_per_second)
                data, is_last = look(data)
                line.put_nowait((loop.time() + self.proxy.delay_ms / 1000, data))
            line.put_nowait(None)
            await delivery
            await self.proxy.flowing.wait()
        finally:
            delivery.cancel()

    async def _pace(self, size: int, bytes_per_second: float) -> None:
        """All connections share the way: each piece takes its turn."""
        now = asyncio.get_running_loop().time()
        self.proxy.up_free_at = max(now, self.proxy.up_free_at) + size / bytes_per_second
        await asyncio.sleep(self.proxy.up_free_at - now)

    def _refuse_in_turn(self, line: bytes, behind: int) -> None:
        """As a server would: behind the replies to what was sent before, a blocked command's too."""
        if self.replies.count >= behind:
            self.client[1].write(line)
        else:
            self.refusals.append((behind, line))

    def _on_reply(self, data: bytes) -> tuple[bytes, bool]:
        self.replies.feed(data)
        while self.refusals and self.refusals[0][0] <= self.replies.count:
            data += self.refusals.popleft()[1]
        if self.fault is not None:
            if self.replies.count >= self.sent:
                self.answered.set()
            return b"", False
        if self.is_mute:
            return b"", False
        self.proxy.bytes_to_client += len(data)
        return data, False

    def _requests(self) -> Callable[[bytes], tuple[bytes, bool]]:
        """Forward whole commands only, so that one that meets a fault is held or sent as a whole."""
        unread = b""

        def look(data: bytes) -> tuple[bytes, bool]:
            nonlocal unread
            commands, unread = split_commands(unread + data)
            passed: list[bytes] = []
            for command in commands:
                self.last_command = command_name(command)
                self.proxy.commands[self.last_command] += 1
                if self.proxy.refuses(command):
                    self._refuse_in_turn((self.proxy.refusal or b"") + b"\r\n", self.sent)
                    continue
                fault = next((fault for fault in self.proxy.faults if fault.takes(command)), None)
                if fault is not None:
                    self.fault = fault
                    self.held = command
                if fault is None or fault.late_seconds is None:
                    self.sent += 1
                    passed.append(command)
                if fault is not None:
                    break
            forwarded = b"".join(passed)
            self.proxy.bytes_to_server += len(forwarded)
            return forwarded, self.fault is not None

        return look

    def close(self) -> None:
        for writer in (self.client[1], self.server_writer):
            if writer is not None:
                writer.close()

    def reset(self) -> None:
        for writer in (self.client[1], self.server_writer):
            if writer is not None:
                with contextlib.suppress(OSError):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
                writer.transport.abort()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
