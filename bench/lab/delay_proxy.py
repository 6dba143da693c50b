"""What does distance do? A process between worker and server that holds back every byte for half a round trip.

python delay_proxy.py SERVER_PORT ROUND_TRIP_MS        prints its own port
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import Any


class Direction(asyncio.Protocol):
    """Carries one direction of one connection; order is kept, and bandwidth is not limited."""

    def __init__(self, delay_seconds: float) -> None:
        self._delay = delay_seconds
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[float, bytes | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.target: asyncio.Transport | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._put(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._put(None)

    def _put(self, data: bytes | None) -> None:
        self._queue.append((self._loop.time() + self._delay, data))
        if self._timer is None:
            self._timer = self._loop.call_at(self._queue[0][0], self._pass_on)

    def _pass_on(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._queue and self._queue[0][0] <= now:
            _, data = self._queue.popleft()
            if self.target is not None:
                self.target.close() if data is None else self.target.write(data)
        if self._queue:
            self._timer = self._loop.call_at(self._queue[0][0], self._pass_on)


class FromClient(Direction):
    def __init__(self, server_port: int, delay_seconds: float) -> None:
        super().__init__(delay_seconds)
        self._port = server_port
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        transport.pause_reading()
        self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        transport, back = await self._loop.create_connection(lambda: Direction(self._delay), "127.0.0.1", self._port)
        self.target, back.target = transport, self.transport
        self.transport.resume_reading()


async def main(server_port: int, round_trip_ms: float) -> None:
    delay_seconds = round_trip_ms / 2000
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: FromClient(server_port, delay_seconds), "127.0.0.1", 0)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await listener.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
