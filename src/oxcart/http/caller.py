"""How long may a connection wait for its peer, and how soon come again? uvicorn's protocol limits neither."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from oxcart import clock
from oxcart.http.pace import REQUEST_SECONDS, Pace, Paces

_PROBE = b"GET /health/live "
_LONGEST_PROBE = 2048  # bytes; more headers than that are somebody who wants to pass for one
_LINGER_0 = struct.pack("ii", 1, 0)
_READ_BYTES = 16 * 1024
"""At once. In asyncio's 256 KiB there is room for 40 000 chunks of a byte: seconds in which nobody else is answered."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the peer may take, in seconds.

    `head`: from the connection, or the end of an answer, until the next request's head is here in full. `body`: from
    there until the body is; more than the 10 s after which a webhook is refused with a sentence. `reading`: until some
    of what we have written is read, when the buffers are full.
    """

    head: float = 10.0
    body: float = 20.0
    reading: float = 10.0


class Caller(H11Protocol):
    """One connection; `peer` is whom it counts for.

    `on_turn` is called when the peer's time begins anew, `on_end` once it has gone.
    """

    def __init__(
        self,
        config: Config,
        state: ServerState,
        *,
        peer: str,
        patience: Patience,
        paces: Paces,
        on_turn: Callable[[Caller], None],
        on_end: Callable[[Caller], None],
    ) -> None:
        super().__init__(config, state, {})
        self.peer = peer
        self._patience = patience
        self._paces = paces
        self._begun: Sequence[Pace] = ()  # those that the request under way counts for
        self._is_held = False
        self._is_probe = False
        self._on_turn = on_turn
        self._on_end = on_end
        self._since = self.loop.time()  # when the peer's present task began
        self._is_inside = False
        self._is_unwanted = False
        self._is_under_way = False
        self._unread_since: float | None = None

    @property
    def is_peers_turn(self) -> bool:
        """The peer owes us something: a request, a body, or to read."""
        return self._unread_since is not None or self._owed_seconds() is not None

    def is_overdue(self, now: float) -> bool:
        if self._is_inside and self.transport.is_closing() and self._unread_since is None:
            self._unread_since = now  # an answer that is the last one: it is flushed, or given up
        if self._unread_since is not None:
            return now - self._unread_since > self._patience.reading
        owed = self._owed_seconds()
        return owed is not None and now - self._since > owed

    def hang_up(self) -> None:
        """At once, with a reset: what was not read stays in nobody's buffers."""
        if not self._is_inside:
            self._is_unwanted = True
            return
        with contextlib.suppress(OSError):
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        self.transport.abort()
        self._give_up_request()

    def _begin_turn(self) -> None:
        self._since = self.loop.time()
        self._on_turn(self)

    def _give_up_request(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _owed_seconds(self) -> float | None:
        """How much time the peer has for what it owes; None if that is nothing."""
        if self._is_between:
            return self._patience.head
        return self._patience.body if self.cycle is not None and self.cycle.more_body else None

    # ------------------------------------------------------------------------------------------ what asyncio calls
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        selected: Any = transport
        selected.max_size = _READ_BYTES
        super().connection_made(transport)
        self._is_inside = True
        if self._is_unwanted:
            self.hang_up()

    def data_received(self, data: bytes) -> None:
        self._is_probe = self._is_between and data.startswith(_PROBE) and len(data) < _LONGEST_PROBE
        super().data_received(data)
        if not self._is_between and not self._is_under_way:
            self._is_under_way = True
            self._begin_turn()

    def handle_events(self) -> None:
        """What breaks HTTP's rules after an answer has begun cannot be answered, and is no line in anybody's log."""
        if self._is_held or self._has_to_wait():
            self.flow.pause_reading()
            return
        before, began = self.cycle, clock.thread_seconds()
        try:
            super().handle_events()
        except h11.LocalProtocolError:
            self.hang_up()
        took, now = clock.thread_seconds() - began, self.loop.time()
        if self.cycle is not before and not self._begun:
            took -= REQUEST_SECONDS
            self._begun = self._counts_for()
            for pace in self._begun:
                pace.begin(now)
        for pace in self._paces.of(self.peer):
            pace.read(now, max(0.0, took))

    # ------------------------------------------------------------------------------------------ not too fast
    @property
    def _is_between(self) -> bool:
        """No request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def _counts_for(self) -> Sequence[Pace]:
        if self._is_probe and not self._paces.probes.wait_to_begin(self.loop.time()):
            return (self._paces.probes,)
        return self._paces.of(self.peer)

    def _has_to_wait(self) -> bool:
        """Until then nothing more of it is read."""
        now = self.loop.time()
        if self._is_between:
            seconds = max(pace.wait_to_begin(now) for pace in self._counts_for())
        else:
            seconds = max(pace.wait_to_read(now) for pace in self._paces.of(self.peer))
        if seconds > 0:
            self._is_held = True
            self.loop.call_later(seconds, self._go_on)
        return seconds > 0

    def _go_on(self) -> None:
        self._is_held = False
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self.handle_events()

    def _request_ended(self) -> None:
        for pace in self._begun:
            pace.end()
        self._begun = ()

    def send_400_response(self, msg: str) -> None:
        """The request whose body turned out to be none gets no other answer."""
        super().send_400_response(msg)
        self._give_up_request()

    def on_response_complete(self) -> None:
        self._is_under_way = self._is_probe = False
        self._request_ended()
        self._begin_turn()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread_since = self.loop.time()
        self._on_turn(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread_since = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._request_ended()
        self._on_end(self)


def peer_of(address: str) -> str:
    """Whoever has one IPv6 address has a whole /64 of them."""
    if ":" not in address:
        return address
    plain = address.partition("%")[0]
    return str(ipaddress.ip_network((plain, 64), strict=False))
