"""Do fifty jobs in each of three processes refresh one account exactly once?"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from support.token_server import TokenServer

from kommo.stored import account, add_account
from oxcart.kommo.store.database import Database

TESTS = Path(__file__).parent.parent
PROCESSES = 3
JOBS = 50


async def start(*arguments: str) -> Process:
    program = (sys.executable, "-m", "kommo.refreshing_process")
    return await asyncio.create_subprocess_exec(*program, *arguments, cwd=TESTS, stdin=PIPE, stdout=PIPE)


async def test_three_processes_of_fifty_jobs_refresh_once(
    database: Database, database_url: str, redis_url: str, kommo_tokens: TokenServer
) -> None:
    """Kommo's refresh tokens rotate: with two refreshes each could make the other's pair useless."""
    connection_id = await add_account(database)
    kommo_tokens.delay_seconds = 0.5
    arguments = (database_url, redis_url, kommo_tokens.url, connection_id, "access-0")
    processes = [await start(*arguments) for _ in range(PROCESSES)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"

        outputs = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()

    tokens = [token for out, _ in outputs for token in json.loads(out)]
    row = await account(database, connection_id)
    assert len(tokens) == PROCESSES * JOBS
    assert set(tokens) == {row["access_token"]}
    assert (kommo_tokens.refreshes, row["token_version"]) == (1, 1)
