"""Are two thousand webhooks in ten seconds all answered, stored and read, and none lost when the worker is killed?"""

from __future__ import annotations

import asyncio
import math
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import perf_counter

import aiohttp
import psutil
import pytest
from sqlalchemy import select
from support.programs import free_port
from support.sandbox import Sandbox
from support.starter import Forked, start
from support.waiting import wait_until

from kommo.webhooks.conftest import ON_SQLITE, hooks_of, marks_of
from oxcart.kommo.account import Account
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.entity_tables import ENTITY_TABLES
from oxcart.kommo.webhooks.hook_secrets import make_secrets
from oxcart.kommo.webhooks.stored import has_waiting
from oxcart.secret import Secret
from oxcart_sandbox import Scenario, World, serving
from oxcart_sandbox.account import Change
from oxcart_sandbox.hook_bodies import body_of

LEADS = ENTITY_TABLES["crm_leads"]
HOOKS = 2000
SECONDS = 10.0
PATIENCE_SECONDS = 60


class Receiver:
    """A worker process that can be killed and started again at the same port."""

    def __init__(self, port: int, arguments: tuple[str, ...]) -> None:
        self.port = port
        self._arguments = arguments
        self._process: Forked | None = None

    async def start(self) -> None:
        self._process = await start("kommo.webhooks.receiving_process", self._arguments)
        line = await self._process.stdout.readline()
        assert line.strip() == str(self.port).encode(), f"the receiver did not start: {line!r}"

    def memory_bytes(self) -> int:
        assert self._process is not None
        return int(psutil.Process(self._process.pid).memory_info().rss)

    def most_memory_bytes(self) -> int:
        """Since its start, as the system has noted it."""
        assert self._process is not None
        (kib,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self._process.pid}/status").read_text())
        return int(kib) * 1024

    async def kill(self) -> None:
        assert self._process is not None
        await self._process.end()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    world = World(contacts=10, leads=HOOKS, scenario=Scenario(requests_per_second=1_000_000))
    async with serving(world) as url, aiohttp.ClientSession() as session:
        yield Sandbox(world, url, session)


@pytest.fixture
async def path(account: Account) -> str:
    secret = (await make_secrets(account.database, Keyring(Secret("00" * 32)), account.connection_id)).current
    return f"/webhooks/kommo/{account.connection_id}/{secret.reveal()}"


@asynccontextmanager
async def receiving(
    account: Account, sandbox: Sandbox, database_url: str, redis_url: str, *, quiet_seconds: float
) -> AsyncIterator[Receiver]:
    port = free_port()
    where = (database_url, redis_url, sandbox.url, account.connection_id)
    receiver = Receiver(port, (*where, str(port), str(quiet_seconds)))
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.kill()


def edited(sandbox: Sandbox, number: int) -> bytes:
    row = sandbox.demo.edit("leads", 20_000_000 + number, {"name": f"Lead {number}"})
    return body_of(sandbox.demo, [Change("leads", "update", row, row)])


async def names_of(database: Database) -> dict[str, str]:
    async with database.reading("Asserting") as connection:
        query = select(LEADS.c.external_id, LEADS.c.name)
        return {row.external_id: row.name for row in await connection.execute(query)}


async def test_a_flood_is_answered_stored_and_read_page_by_page(
    database: Database, database_url: str, redis_url: str, account: Account, sandbox: Sandbox, path: str
) -> None:
    waits: list[float] = []
    statuses: list[int] = []

    async def send(session: aiohttp.ClientSession, url: str, number: int, start: float) -> None:
        await asyncio.sleep(start + number * SECONDS / HOOKS - perf_counter())
        began = perf_counter()
        async with session.post(url, data=edited(sandbox, number)) as answer:
            statuses.append(answer.status)
        waits.append(perf_counter() - began)

    async def is_read() -> bool:
        return len(await names_of(database)) == HOOKS and not await marks_of(database)

    async with (
        receiving(account, sandbox, database_url, redis_url, quiet_seconds=2.0) as receiver,
        aiohttp.ClientSession(headers={"Content-Type": "application/x-www-form-urlencoded"}) as session,
    ):
        url = f"http://127.0.0.1:{receiver.port}{path}"
        start = perf_counter()
        await asyncio.gather(*(send(session, url, number, start) for number in range(1, HOOKS + 1)))
        await wait_until(is_read, describe="every lead is in the mirror", timeout=PATIENCE_SECONDS)

    waits.sort()
    print(f"{HOOKS} webhooks: p50 {waits[HOOKS // 2] * 1000:.1f} ms, p99 {waits[HOOKS * 99 // 100] * 1000:.1f} ms")
    reads = [seen for seen in sandbox.world.seen if seen.path == "/api/v4/leads"]
    assert statuses == [200] * HOOKS
    assert len(await hooks_of(database)) == HOOKS
    assert await names_of(database) == {str(20_000_000 + n): f"Lead {n}" for n in range(1, HOOKS + 1)}
    assert len(reads) <= math.ceil(HOOKS / 250)


MIB = 1024 * 1024
FORM = "application/x-www-form-urlencoded"


def many_values(number: int) -> bytes:
    marks = b"&".join(b"leads[update][%d][id]=%d" % (n, n) for n in range(9000))
    return marks + b"&pad[%d]=" % number + b"x" * (MIB - len(marks) - 20)


def deep_json(number: int) -> bytes:
    return (b'{"leads":' + b"[" * 400_000 + b"]" * 400_000 + b',"n":%d}' % number).ljust(MIB)


def wide(number: int) -> bytes:
    """Three times as long once it is text: bytes that are no UTF-8 are written with percent signs."""
    return b"leads[update][0][id]=%d&pad=" % number + b"\xff" * (MIB - 50)


def separators(number: int) -> bytes:
    return b"a=%d" % number + b"&" * (MIB - 20)


@ON_SQLITE
@pytest.mark.parametrize(
    ("body", "kind"),
    [(many_values, FORM), (deep_json, "application/json"), (wide, FORM), (separators, FORM)],
    ids=["many-values", "deep-json", "wide", "separators"],
)
async def test_whoever_knows_the_address_and_floods_it_neither_stops_the_jobs_nor_fills_the_memory(
    database: Database,
    database_url: str,
    redis_url: str,
    account: Account,
    sandbox: Sandbox,
    path: str,
    body: Callable[[int], bytes],
    kind: str,
) -> None:
    bodies = [body(number) for number in range(200)]
    answers: list[tuple[int, str | None]] = []

    async def send(session: aiohttp.ClientSession, url: str, number: int) -> None:
        async with session.post(url, data=bodies[number], headers={"Content-Type": kind}) as answer:
            answers.append((answer.status, answer.headers.get("Retry-After")))

    async def is_understood() -> bool:
        async with database.reading("Asserting") as connection:
            return not await has_waiting(connection, account.connection_id)

    async with (
        receiving(account, sandbox, database_url, redis_url, quiet_seconds=600) as receiver,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        at = f"http://127.0.0.1:{receiver.port}"
        before = receiver.memory_bytes()
        await asyncio.gather(*(send(session, at + path, number) for number in range(200)))
        await wait_until(is_understood, describe="what was taken is understood", timeout=PATIENCE_SECONDS)
        most = receiver.most_memory_bytes()
        async with session.get(f"{at}/metrics/prometheus") as answer:
            (lag,) = re.findall(r"^worker_loop_lag_seconds (\S+)", await answer.text(), re.MULTILINE)

    assert {status for status, _ in answers} <= {200, 429}
    assert all(again == "5" for status, again in answers if status == 429)
    assert 200 in {status for status, _ in answers}
    assert 429 in {status for status, _ in answers}
    assert most - before < 150 * MIB
    print(f"{len(answers)}: {Counter(s for s, _ in answers)}, {(most - before) / MIB:.0f} MiB, {lag} s")
    assert float(lag) < 2


def _has(answered: set[int], enough: int) -> bool:
    return len(answered) >= enough


async def test_a_worker_that_is_killed_again_and_again_loses_nothing(
    database: Database, database_url: str, redis_url: str, account: Account, sandbox: Sandbox, path: str
) -> None:
    """As Kommo does, each webhook is sent until it is answered well; what was answered must not get lost."""
    chance, count = random.Random(7), 300
    answered: set[int] = set()

    async def send(session: aiohttp.ClientSession, url: str, numbers: range) -> None:
        for number in numbers:
            body = edited(sandbox, number)
            while number not in answered:
                try:
                    async with session.post(url, data=body) as answer:
                        if answer.status == 200:
                            answered.add(number)
                except aiohttp.ClientError:
                    await asyncio.sleep(0.02)

    async def is_read() -> bool:
        return len(await names_of(database)) == count and not await marks_of(database)

    async with (
        receiving(account, sandbox, database_url, redis_url, quiet_seconds=0.0) as receiver,
        aiohttp.ClientSession(headers={"Content-Type": "application/x-www-form-urlencoded"}) as session,
        asyncio.TaskGroup() as senders,
    ):
        url = f"http://127.0.0.1:{receiver.port}{path}"
        for start in range(1, count + 1, 100):
            senders.create_task(send(session, url, range(start, start + 100)))
        for share in (0.1, 0.3, 0.5, 0.8, 1.0):
            enough = round(share * count - chance.random() * 20)
            await wait_until(partial(_has, answered, enough), describe="more are answered", timeout=PATIENCE_SECONDS)
            await receiver.kill()
            await receiver.start()
        await wait_until(is_read, describe="every lead is in the mirror", timeout=PATIENCE_SECONDS)

    assert await names_of(database) == {str(20_000_000 + n): f"Lead {n}" for n in range(1, count + 1)}
    assert all(hook["expanded_at"] and hook["error"] is None for hook in await hooks_of(database))
