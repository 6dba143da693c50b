"""How does an agent get its tools? `oxcart mcp`: the board's views over stdio, and its actions if allowed."""

from __future__ import annotations

import os

import click

from oxcart.cli.exits import FAILED, Refused
from oxcart.language import tr


@click.command()
@click.option("--allow-changes", is_flag=True, help="Offer actions, too; without it agents can only look.")
def mcp(*, allow_changes: bool) -> None:
    """Serve tools for agents (Model Context Protocol) over stdin and stdout. Needs the extra: oxcart[mcp]."""
    from oxcart.cli.session import run_async

    run_async(_serve(allow_changes=allow_changes))


async def _serve(*, allow_changes: bool) -> None:
    from oxcart.board.application import open_site
    from oxcart.board_side import board_plan
    from oxcart.cli.board import tell_change
    from oxcart.cli.session import open_server

    try:
        from oxcart.board.tools import make_tools
    except ModuleNotFoundError as error:
        raise Refused(tr("The package mcp is not installed. Install it: pip install 'oxcart[mcp]'"), FAILED) from error
    async with open_server() as (planned, server):
        plan = board_plan(
            planned.settings, dict(os.environ), lambda: server.target, tell_change, read_only=not allow_changes
        )
        async with open_site(plan, server) as site:
            await make_tools(site, allow_changes=allow_changes).run_stdio_async()
