"""What does a process do that is killed while it synchronises? One run of one account, told on stdout.

    python -m support.sync_process DATABASE_URL SANDBOX_URL REDIS_URL BUCKET TOKEN CONNECTION_ID ORG_ID LEASE_SECONDS

Prints `begun`, and at the end the outcomes and its own peak memory as one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from oxcart.kommo.account import Account
from oxcart.kommo.client import LongLivedToken
from oxcart.kommo.limiter import Caller, Pace
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.opening import open_database
from oxcart.kommo.sync.run import sync_account
from oxcart.secret import Secret
from support.sandbox import DEMO, open_kommo

QUICK = Pace(requests_per_second=1e6)


async def confirm_nothing(_account: Account) -> None:
    """Marks are another test's."""


async def main(
    database_url: str, sandbox_url: str, redis_url: str, bucket: str, token: str, connection_id: str, org_id: str,
    lease_seconds: str,
) -> None:  # fmt: skip
    target = parse_database_url(Secret(database_url))
    async with (
        open_database(target) as database,
        open_kommo(sandbox_url, redis_url, bucket=bucket, pace=QUICK) as kommo,
    ):
        client = kommo.client(DEMO, LongLivedToken(Secret(token)), Caller("demo"))
        account = Account(connection_id, org_id, DEMO, database, client, lambda _: None)
        sys.stdout.write("begun\n")
        sys.stdout.flush()
        outcomes = await sync_account(account, confirm=confirm_nothing, lease_seconds=float(lease_seconds))
    sys.stdout.write(json.dumps({"outcomes": [one.as_json() for one in outcomes], "peakMib": peak_mib()}))


def peak_mib() -> float:
    """Linux's own word; getrusage would count what the parent had when it forked."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
