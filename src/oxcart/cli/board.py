"""How does a person get a board for any Redis? `oxcart board`: no worker, no app, also beside Node's alone."""

from __future__ import annotations

import asyncio
import os
import webbrowser
from contextlib import AsyncExitStack

import click

from oxcart.cli.output import is_terminal, note, say
from oxcart.language import tr
from oxcart.telemetry.events import BoardChanged, Event
from oxcart.telemetry.lines import RULES


@click.command()
@click.option("--port", metavar="N", type=click.IntRange(0, 65535), help="The HTTP port; else PORT, or a free one.")
@click.option("--read-only", is_flag=True, help="Look, and change nothing.")
@click.option("--open/--no-open", "opens", default=None, help="Whether to open the browser; else at a terminal only.")
def board(port: int | None, *, read_only: bool, opens: bool | None) -> None:
    """Serve the board for the Redis of the settings, until Ctrl-C. It need not be reachable yet."""
    from oxcart.cli.session import run_async

    run_async(_board(port, read_only=read_only, opens=is_terminal() if opens is None else opens))


async def _board(port: int | None, *, read_only: bool, opens: bool) -> None:
    from oxcart.board.door import BoardDoor
    from oxcart.board_side import board_plan
    from oxcart.cli.session import command_log
    from oxcart.http.server import HttpServer
    from oxcart.serving import open_target, plan

    planned = plan(os.environ)
    settings = planned.settings
    async with AsyncExitStack() as stack:
        log = command_log(planned)
        stack.callback(log.close)
        target = await stack.enter_async_context(open_target(planned))

        def emit(event: Event) -> None:
            (tell_change if isinstance(event, BoardChanged) else log)(event)

        door = BoardDoor(board_plan(settings, planned.environ, lambda: target, emit, read_only=read_only))
        wanted = settings.http.port if port is None else port
        http = HttpServer(
            None,
            emit,
            port=wanted,
            may_move=port is None and not settings.http.port_is_explicit,
            loopback_only=not settings.http.tokens,
            wholes=door.wholes,
            beside=door,
        )
        address = f"http://127.0.0.1:{http.start()}/board"
        stack.callback(http.stop)
        say(address)
        note(tr("The board is open. Ctrl-C ends it."))
        if opens:
            await asyncio.to_thread(webbrowser.open, address)
        await asyncio.Event().wait()


def tell_change(event: Event) -> None:
    """What somebody has changed is told whatever the level: it is this command's own doing."""
    if isinstance(event, BoardChanged):
        note(RULES[BoardChanged].line(event).message)
