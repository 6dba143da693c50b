"""What does a worker do for one account until it is killed? Takes webhooks in, drains them, polls, sweeps, and again.

    python -m kommo.convergence.working_process DATABASE_URL REDIS_URL KOMMO_URL BUCKET TOKEN CONNECTION ORG PORT

Prints its port once it answers, and a line for each round.
"""

from __future__ import annotations

import asyncio
import sys

from support.http_site import Running
from support.sandbox import DEMO, open_kommo

from oxcart.http.server import HttpServer
from oxcart.http.webhooks import webhook_routes
from oxcart.kommo.account import Account
from oxcart.kommo.client import LongLivedToken
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.failures import KommoError
from oxcart.kommo.limiter import Caller, Pace
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.opening import open_database
from oxcart.kommo.sync.run import sync_account
from oxcart.kommo.sync.sweep import sweep_account
from oxcart.kommo.webhooks.drain import drain_hooks
from oxcart.kommo.webhooks.inbox import HookInbox
from oxcart.secret import Secret


async def main(
    database_url: str, redis_url: str, kommo_url: str, bucket: str, token: str, connection_id: str, org_id: str,
    port: str,
) -> None:  # fmt: skip
    target = parse_database_url(Secret(database_url))
    running = Running()
    inbox = HookInbox(target, Keyring(Secret("00" * 32)), lambda _: None, lambda _: None)
    routes = webhook_routes(inbox)
    server = HttpServer(
        running.site(), running.events.append, port=int(port), loopback_only=True, more_routes=routes, beside=inbox
    )
    pace = Pace(requests_per_second=1e6)
    async with (
        open_database(target) as database,
        open_kommo(kommo_url, redis_url, bucket=bucket, pace=pace, retry_seconds=(0.01, 0.02)) as kommo,
    ):
        client = kommo.client(DEMO, LongLivedToken(Secret(token)), Caller(connection_id))
        account = Account(connection_id, org_id, DEMO, database, client, lambda _: None)
        print(await asyncio.to_thread(server.start), flush=True)
        while True:
            print(await one_round(account), flush=True)


async def one_round(account: Account) -> str:
    try:
        drained = await drain_hooks(account, quiet_seconds=0)
        outcomes = await sync_account(account)
        swept = await sweep_account(account)
    except KommoError as error:
        return type(error).__name__
    return f"{drained.hooks} webhooks, {sum(one.rows for one in outcomes)} rows, {sum(one.met for one in swept)} met"


asyncio.run(main(*sys.argv[1:]))
