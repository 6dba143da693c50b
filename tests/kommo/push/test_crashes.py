"""Is a note posted once when the process that posts it is killed, wherever that happens?"""

from __future__ import annotations

import asyncio
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from support.sandbox import Sandbox
from support.waiting import wait_until

from kommo.push.pushed import LEAD, boxed, requests, texts
from oxcart.kommo.account import Account
from oxcart.kommo.push.drafts import NewNote
from oxcart.kommo.push.pushing import push
from oxcart.kommo.store.database import Database
from oxcart_sandbox import change_scenario

TESTS = Path(__file__).parents[2]
PROCESSES = 6

Start = Callable[[str], Coroutine[Any, Any, Process]]


@pytest.fixture
async def start(
    database: Database, database_url: str, redis_url: str, queue_name: str, sandbox: Sandbox, connection_id: str
) -> AsyncIterator[Start]:
    """Start a process that is about to push a note with this key, and waits for a line."""
    del database  # its tables have to be there
    async with AsyncExitStack() as stack:

        async def begin(key: str) -> Process:
            arguments = (database_url, redis_url, sandbox.url, queue_name, connection_id, key)
            program = (sys.executable, "-m", "kommo.push.pushing_process", *arguments)
            process = await asyncio.create_subprocess_exec(*program, cwd=TESTS, stdin=PIPE, stdout=PIPE)
            stack.push_async_callback(end, process)
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
            return process

        yield begin


async def end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


def go(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"go\n")


async def until_done(sandbox: Sandbox, account: Account, key: str) -> None:
    """As the job that comes back does it, in another process."""
    for _ in range(300):
        pushed = await push(account, key, NewNote("leads", LEAD, key))
        if pushed.state in {"confirmed", "failed"}:
            assert pushed.state == "confirmed"
            return
        sandbox.world.clock.advance(pushed.come_back_seconds or 5)
    raise AssertionError(f"{key} is still not done")


async def test_killed_between_the_commit_and_the_post(
    sandbox: Sandbox, account: Account, database: Database, start: Start
) -> None:
    sandbox.world.faults.plan({"kind": "hang", "method": "POST"})
    process = await start("job")
    go(process)
    await wait_until(lambda: requests(sandbox, "POST"), describe="the post is under way", timeout=30)
    await end(process)
    assert [row["state"] for row in await boxed(database)] == ["sent"]
    assert not texts(sandbox)

    await until_done(sandbox, account, "job")

    assert texts(sandbox) == {"job": 1}


async def test_killed_after_the_post(sandbox: Sandbox, account: Account, database: Database, start: Start) -> None:
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, {"late_seconds": 300.0})
    sandbox.world.faults.plan({"kind": "slow", "method": "POST", "seconds": 30})
    process = await start("job")
    go(process)
    await wait_until(lambda: texts(sandbox), describe="the note is there", timeout=30)
    await end(process)
    assert [row["state"] for row in await boxed(database)] == ["sent"]

    await until_done(sandbox, account, "job")

    assert texts(sandbox) == {"job": 1}
    assert len(requests(sandbox, "POST")) == 1


async def test_killed_at_any_point(sandbox: Sandbox, account: Account, start: Start) -> None:
    """Six processes, each killed at a moment of its own, some before their first step and some after their last."""
    changes = {"late_seconds": 120.0, "latency_real_seconds": 0.03}
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, changes)
    moments = random.Random(20)
    keys = [f"job {number}" for number in range(PROCESSES)]
    processes = await asyncio.gather(*(start(key) for key in keys))

    async def kill_one(process: Process) -> None:
        go(process)
        await asyncio.sleep(moments.uniform(0, 0.6))
        await end(process)

    await asyncio.gather(*(kill_one(process) for process in processes))
    for key in keys:
        await until_done(sandbox, account, key)

    assert texts(sandbox) == dict.fromkeys(keys, 1)


async def test_jobs_come_through_answers_that_are_lost_at_random(sandbox: Sandbox, account: Account) -> None:
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, {"late_seconds": 300.0})
    dice = random.Random(4)
    for _ in range(12):
        kind = dice.choice(["lost", "504", "500", "truncate"])
        fault = {"kind": kind, "method": "POST", "skip": dice.randrange(2), "after_doing": dice.random() < 0.5}
        sandbox.world.faults.plan(fault)
    keys = [f"job {number}" for number in range(6)]

    for key in keys:
        await until_done(sandbox, account, key)

    assert texts(sandbox) == dict.fromkeys(keys, 1)
