"""What can be done about Kommo from here? Accounts, their data, and a local Kommo to try an integration on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oxcart.cli.exits import Interrupted
from oxcart.cli.kommo_connect import connect, disconnect, rotate_secret
from oxcart.cli.kommo_data import encrypt, migrate
from oxcart.cli.kommo_erase import erase
from oxcart.cli.kommo_push import note, task
from oxcart.cli.kommo_report import report
from oxcart.cli.kommo_status import status
from oxcart.cli.kommo_sync import diff, sweep, sync
from oxcart.cli.options import Group, json_option
from oxcart.cli.output import say, say_json, say_pairs
from oxcart.language import tr

if TYPE_CHECKING:
    from oxcart_sandbox import World

DEFAULT_PORT = 8321

kommo = Group(name="kommo", help="The CRM: Kommo, formerly amoCRM.")
for _command in (
    connect,
    status,
    sync,
    sweep,
    diff,
    report,
    note,
    task,
    rotate_secret,
    erase,
    disconnect,
    migrate,
    encrypt,
):
    kommo.add_command(_command)


@kommo.command("sandbox")
@click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, metavar="N", help="0 takes any free one.")
@click.option("--contacts", type=int, default=200, metavar="N", help="Contacts of the account demo.")
@click.option("--leads", type=int, default=100, metavar="N", help="Leads of the account demo.")
@click.option("--seed", type=int, default=1, metavar="N", help="The same seed makes the same rows and mishaps.")
@click.option("--scenario", default="calm", metavar="NAME", help="How it behaves, e.g. calm, late, faulty, harsh.")
@json_option
def sandbox(*, port: int, contacts: int, leads: int, seed: int, scenario: str, as_json: bool) -> None:
    """Serve a local Kommo on this machine until Ctrl-C: two accounts, their API, OAuth, limits and webhooks.

    Prints how to reach it, with a token for each account. docs/kommo-sandbox.md has its switches and its control API.
    """
    from oxcart.cli.sandbox import require_sandbox
    from oxcart.cli.session import run_async

    require_sandbox()
    from oxcart_sandbox import World, find_scenario

    world = World(contacts=contacts, leads=leads, seed=seed, scenario=find_scenario(scenario))
    try:
        run_async(_serve(world, port, as_json))
    except Interrupted:
        return


async def _serve(world: World, port: int, as_json: bool) -> None:
    import asyncio

    from oxcart_sandbox import serving

    async with serving(world, port=port) as url:
        accounts = [{"domain": account.domain, "token": world.token_of(account)} for account in world.accounts]
        if as_json:
            say_json({"url": url, "accounts": accounts, "control": f"{url}/sandbox/"})
        else:
            say_pairs([(tr("sandbox"), url), (tr("control"), f"{url}/sandbox/")])
            for account in accounts:
                say("\n" + f"{account['domain']}\n  {tr('token')}  {account['token']}")
            say("\n" + tr("To use it: OXCART_KOMMO_BASE_URL={url}. Ctrl-C ends it, and forgets everything.", url=url))
        await asyncio.Event().wait()
