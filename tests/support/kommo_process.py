"""What does one of several processes do that call Kommo? Reads the account again and again, at the shared pace.

    python -m support.kommo_process SANDBOX_URL REDIS_URL BUCKET TOKEN CONNECTION REQUESTS

Prints one line a request: `ok`, or the class of the error and the seconds to wait. Ends after so many, or when blocked.
"""

from __future__ import annotations

import asyncio
import sys

from oxcart.kommo.client import LongLivedToken
from oxcart.kommo.failures import Blocked, KommoError, TooManyRequests
from oxcart.kommo.limiter import Caller
from oxcart.secret import Secret
from support.sandbox import DEMO, open_kommo


async def main(sandbox_url: str, redis_url: str, bucket: str, token: str, connection: str, requests: str) -> None:
    async with open_kommo(sandbox_url, redis_url, bucket=bucket) as kommo, asyncio.TaskGroup() as group:
        client = kommo.client(DEMO, LongLivedToken(Secret(token)), Caller(connection, patience_seconds=30))

        async def ask() -> None:
            for _ in range(int(requests) // 2):
                try:
                    await client.get("/account")
                    print("ok", flush=True)
                except (TooManyRequests, Blocked) as error:
                    print(type(error).__name__, error.retry_after_seconds, flush=True)
                    if isinstance(error, Blocked):
                        return
                except KommoError as error:
                    print(type(error).__name__, flush=True)

        for _ in range(2):
            group.create_task(ask())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
