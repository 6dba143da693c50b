"""A process of fifty jobs that all meet the same refused token: DATABASE_URL, REDIS_URL, Kommo's address, id, token."""

from __future__ import annotations

import asyncio
import json
import sys

from support.kommo_door import kommo_door

from oxcart.kommo.crypto import Keyring
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.opening import open_database
from oxcart.kommo.token_endpoint import KommoTokenEndpoint
from oxcart.kommo.tokens import TokenKeeper
from oxcart.secret import Secret

JOBS = 50


async def main(database_url: str, redis_url: str, kommo_url: str, connection_id: str, refused: str) -> None:
    target = parse_database_url(Secret(database_url))
    async with open_database(target) as database, kommo_door(redis_url, kommo_url, bucket="contention") as door:
        keeper = TokenKeeper(database, Keyring(), KommoTokenEndpoint(door), lambda _: None)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        jobs = (keeper.replace(connection_id, Secret(refused)) for _ in range(JOBS))
        found = await asyncio.gather(*jobs)
    sys.stdout.write(json.dumps([token.reveal() for token in found]))


asyncio.run(main(*sys.argv[1:]))
