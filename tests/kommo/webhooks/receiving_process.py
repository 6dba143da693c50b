"""What does a worker do that only takes in webhooks? Answers over HTTP on its own thread, and drains what was stored.

    python -m kommo.webhooks.receiving_process DATABASE_URL REDIS_URL KOMMO_URL CONNECTION PORT QUIET_SECONDS

Prints its port once it answers, and a line for each drain. The test kills it.
"""

from __future__ import annotations

import asyncio
import sys
import time

from support.http_site import Running
from support.sandbox import open_kommo

from oxcart.http.server import HttpServer
from oxcart.http.webhooks import webhook_routes
from oxcart.kommo.crm import Crm
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.limiter import Pace
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.opening import open_database
from oxcart.kommo.sync.marked import fetch_marked
from oxcart.kommo.webhooks.drain import drain_hooks
from oxcart.kommo.webhooks.inbox import HookInbox
from oxcart.secret import Secret

# Of a lease that a killed process left: short, so that a test need not wait for it.
LEASE_SECONDS = 1.5
POLL_SECONDS = 0.5
ANSWER_SECONDS = 30.0  # a busy machine is no reason to turn a webhook away


async def main(
    database_url: str, redis_url: str, kommo_url: str, connection_id: str, port: str, quiet_seconds: str
) -> None:
    target = parse_database_url(Secret(database_url))
    loop, stored = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: str) -> None:
        loop.call_soon_threadsafe(stored.set)

    inbox = HookInbox(target, Keyring(Secret("00" * 32)), tell, lambda _: None, answer_seconds=ANSWER_SECONDS)
    running = Running()
    server = HttpServer(
        running.site(),
        running.events.append,
        port=int(port),
        loopback_only=True,
        more_routes=webhook_routes(inbox),
        beside=inbox,
    )
    ticking = asyncio.create_task(tick(running))
    pace = Pace(requests_per_second=1e6)
    async with (
        open_database(target) as database,
        open_kommo(kommo_url, redis_url, bucket=connection_id, pace=pace) as kommo,
    ):
        crm = Crm(database, kommo, Keyring(Secret("00" * 32)), lambda _: None)
        account = crm.account(await crm.find(connection_id=connection_id))
        print(await asyncio.to_thread(server.start), flush=True)
        while True:
            drained = await drain_hooks(
                account,
                fetch=fetch_marked,
                quiet_seconds=float(quiet_seconds),
                longest_seconds=60,
                lease_seconds=LEASE_SECONDS,
            )
            print(drained.as_json(), flush=True)
            stored.clear()
            assert not ticking.done()
            try:
                await asyncio.wait_for(stored.wait(), POLL_SECONDS)
            except TimeoutError:
                continue


async def tick(running: Running) -> None:
    """The status has the longest time for which this loop, where the jobs would be, has stood still."""
    longest, last = 0.0, time.monotonic()
    while True:
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - last - 0.01)
        last = time.monotonic()
        running.change(loop_lag_seconds=longest)


asyncio.run(main(*sys.argv[1:]))
