"""A process that pushes a note, to be killed.

python -m kommo.push.pushing_process DATABASE_URL REDIS_URL SANDBOX_URL BUCKET CONNECTION KEY
"""

from __future__ import annotations

import asyncio
import sys

from support.sandbox import open_kommo

from kommo.push.pushed import LEAD
from oxcart.kommo.crm import Crm
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.limiter import Pace
from oxcart.kommo.push.drafts import NewNote
from oxcart.kommo.push.pushing import push
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.opening import open_database
from oxcart.secret import Secret


async def main(database_url: str, redis_url: str, kommo_url: str, bucket: str, connection_id: str, key: str) -> None:
    pace = Pace(requests_per_second=1e6)
    async with (
        open_database(parse_database_url(Secret(database_url))) as database,
        open_kommo(kommo_url, redis_url, bucket=bucket, pace=pace) as kommo,
    ):
        crm = Crm(database, kommo, Keyring(Secret("00" * 32)), lambda _: None)
        account = crm.account(await crm.find(connection_id=connection_id))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        await push(account, key, NewNote("leads", LEAD, key))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
