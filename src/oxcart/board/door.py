"""Who opens when someone first looks at the board? This, which loads the rest then: most workers never need it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Self

from starlette.types import ASGIApp, Receive, Scope, Send

from oxcart.connection.server import Server
from oxcart.connection.target import RedisTarget
from oxcart.secret import Secret
from oxcart.telemetry.bus import Emit


@dataclass(frozen=True, slots=True)
class Extra:
    """A page that a plugin brings. `load` gives tables: [{"title", "note", "head": […], "rows": [[…], …]}, …].

    `is_there` is asked for each page, and must cost nothing. The title is a sentence of the catalogue.
    """

    id: str
    title: str
    is_there: Callable[[], bool]
    load: Callable[[], Awaitable[Sequence[Mapping[str, Any]]]]


@dataclass(frozen=True, slots=True)
class BoardPlan:
    """What a board is told by whoever starts it. `target` is asked when the first page is opened.

    `queues` are those it shows before it has found any; `environ` is what its doctor examines.
    """

    target: Callable[[], RedisTarget]
    prefix: str
    queues: tuple[str, ...]
    version: str
    release: str | None = None
    operators: tuple[Secret, ...] = ()
    readers: tuple[Secret, ...] = ()
    read_only: bool = False
    veil: bool = True
    public_url: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    job_names: tuple[str, ...] = ()
    commands_per_month: int | None = None
    extras: Sequence[Extra] = ()
    emit: Emit = field(default=lambda _: None, repr=False)


class BoardDoor:
    """An ASGI application; the HTTP thread's loop enters it. What it opens belongs to that loop."""

    def __init__(self, plan: BoardPlan) -> None:
        self._plan = plan
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._app: ASGIApp | None = None

    @property
    def wholes(self) -> dict[str, ASGIApp]:
        """For build_app."""
        return {"/board": self, "/api": self}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app or await self._open()
        await app(scope, receive, send)

    async def _open(self) -> ASGIApp:
        async with self._opening:
            if self._app is None:
                module = await asyncio.to_thread(import_module, "oxcart.board.application")
                server = Server(self._plan.target())
                self._stack.push_async_callback(server.close)
                self._app = await self._stack.enter_async_context(module.open_board(self._plan, server))
            assert self._app is not None
            return self._app
