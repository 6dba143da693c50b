"""Does what webhooks name arrive in the mirror, whoever drains, however often, and whatever is killed on the way?"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from support.sandbox import Sandbox
from support.waiting import wait_until

from kommo.webhooks.conftest import ON_SQLITE, hooks_of, marks_of
from oxcart.builtin import CRM_JOBS
from oxcart.connection.server import Server
from oxcart.connection.target import parse_redis_url
from oxcart.kommo import jobs
from oxcart.kommo.account import Account
from oxcart.kommo.crm import Crm
from oxcart.kommo.failures import ServerTrouble
from oxcart.kommo.store.database import Answer, Database
from oxcart.kommo.store.entity_tables import ENTITY_TABLES
from oxcart.kommo.store.leases import acquire_lease
from oxcart.kommo.store.own_tables import crm_leases
from oxcart.kommo.sync.marked import Fetched, fetch_marked
from oxcart.kommo.sync.marks import Mark, mark_dirty
from oxcart.kommo.webhooks.drain import drain_hooks
from oxcart.kommo.webhooks.stored import Hook, store_hooks
from oxcart.queue.producer import Queue
from oxcart.queue.schedules import OWN_QUEUE
from oxcart_sandbox import change_scenario
from oxcart_sandbox.account import Change
from oxcart_sandbox.hook_bodies import body_of

LEADS = ENTITY_TABLES["crm_leads"]


async def store(account: Account, *bodies: str, content_type: str | None = None) -> None:
    hooks = [Hook(account.connection_id, content_type, body) for body in bodies]
    async with account.database.writing("Storing") as connection:
        await store_hooks(connection, hooks, at=datetime.now(UTC))


def edited(sandbox: Sandbox, number: int, name: str) -> str:
    """A lead of the sandbox is renamed; the body of its webhook."""
    row = sandbox.demo.edit("leads", 20_000_000 + number, {"name": name})
    return body_of(sandbox.demo, [Change("leads", "update", row, row)]).decode()


async def names_of(database: Database) -> dict[str, str]:
    async with database.reading("Asserting") as connection:
        query = select(LEADS.c.external_id, LEADS.c.name).where(LEADS.c.deleted_at.is_(None))
        return {row.external_id: row.name for row in await connection.execute(query)}


async def leases_of(database: Database) -> list[str]:
    async with database.reading("Asserting") as connection:
        return list((await connection.execute(select(crm_leases.c.scope))).scalars())


def reads_of(sandbox: Sandbox, path: str = "/api/v4/leads") -> int:
    return sum(seen.path == path for seen in sandbox.world.seen)


async def drain(account: Account, **how: Any) -> Any:
    return await drain_hooks(account, **{"fetch": fetch_marked, "quiet_seconds": 0.05, **how})


async def test_an_edit_is_read_and_nothing_is_left(database: Database, account: Account, sandbox: Sandbox) -> None:
    await store(account, edited(sandbox, 1, "One"), edited(sandbox, 2, "Two"), edited(sandbox, 1, "One again"))

    drained = await drain(account)

    assert await names_of(database) == {"20000001": "One again", "20000002": "Two"}
    assert (drained.hooks, drained.marks, drained.read, drained.requests) == (3, 2, 2, 1)
    assert all(hook["expanded_at"] and hook["error"] is None for hook in await hooks_of(database))
    assert await marks_of(database) == []
    assert await leases_of(database) == []
    assert drained.as_json()["isHeld"] is False


async def test_a_deletion_is_confirmed_by_reading(database: Database, account: Account, sandbox: Sandbox) -> None:
    """2.6: a restore may have followed; the body is a hint, never data."""
    await store(account, edited(sandbox, 1, "One"), edited(sandbox, 2, "Two"))
    await drain(account)
    gone = sandbox.demo.delete("leads", 20_000_001)
    back = sandbox.demo.delete("leads", 20_000_002)
    sandbox.demo.restore("leads", 20_000_002)
    await store(
        account, *(body_of(sandbox.demo, [Change("leads", "delete", row, row)]).decode() for row in (gone, back))
    )

    drained = await drain(account)

    assert set(await names_of(database)) == {"20000002"}
    assert drained.gone == 1


@ON_SQLITE
async def test_a_body_of_another_account_marks_nothing(database: Database, account: Account) -> None:
    await store(account, "leads[update][0][id]=20000001&account[id]=31000002")

    drained = await drain(account)

    (hook,) = await hooks_of(database)
    assert "another Kommo account" in hook["error"]
    assert hook["expanded_at"] is not None
    assert (drained.hooks, drained.refused, drained.marks, drained.requests) == (1, 1, 0, 0)


async def test_what_cannot_be_read_is_kept_with_the_reason_and_stops_nobody(
    database: Database, account: Account, sandbox: Sandbox
) -> None:
    await store(account, "%FF", "[", "a" + "[b]" * 70 + "=1", edited(sandbox, 1, "One"))
    await store(account, "message[add][0][id]=u", content_type="application/x-www-form-urlencoded; charset=utf-8")
    await store(account, "{", content_type="application/json")

    drained = await drain(account)

    errors = {hook["body"][:10]: hook["error"] for hook in await hooks_of(database)}
    assert set(await names_of(database)) == {"20000001"}
    assert (drained.hooks, drained.refused, drained.ignored) == (6, 4, 1)
    assert sorted(body for body, error in errors.items() if error) == ["%FF", "[", "a[b][b][b]", "{"]
    assert all(error is None or error.endswith("Look at its sender.") for error in errors.values())


async def test_while_webhooks_keep_coming_only_full_pages_are_read(
    database: Database, account: Account, sandbox: Sandbox
) -> None:
    """Reads are at most ceil(dirty/250): 730 rows in uneven bursts are three requests."""
    bodies = [f"leads[update][0][id]={20_000_000 + number}" for number in range(1, 731)]
    calls: list[tuple[set[str], int]] = []
    rest = bodies

    async def fetch(of: Account, *, only: Collection[str] | None = None, most: int | None = None) -> Fetched:
        nonlocal rest
        calls.append((set(only or ()), most or 0))
        found = await fetch_marked(of, only=only, most=most)
        burst, rest = rest[:210], rest[210:]
        await store(of, *burst)
        return found

    first, rest = bodies[:310], bodies[310:]
    await store(account, *first)

    drained = await drain(account, fetch=fetch, quiet_seconds=1, longest_seconds=3600)

    assert [most for _, most in calls] == [250, 250, 230]
    assert reads_of(sandbox) == drained.requests == math.ceil(730 / 250)
    assert drained.read == 730
    assert await marks_of(database) == []


@ON_SQLITE
async def test_what_waits_too_long_is_read_although_it_is_not_quiet(
    database: Database, account: Account, sandbox: Sandbox
) -> None:
    await store(account, edited(sandbox, 1, "One"))

    await drain(account, quiet_seconds=3600, longest_seconds=0.2)

    assert await names_of(database) == {"20000001": "One"}


async def test_a_second_drainer_leaves_at_once_and_the_first_does_its_work(
    database: Database, account: Account, sandbox: Sandbox
) -> None:
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def fetch(of: Account, *, only: Collection[str] | None = None, most: int | None = None) -> Fetched:
        reading.set()
        await go_on.wait()
        return await fetch_marked(of, only=only, most=most)

    await store(account, edited(sandbox, 1, "One"))
    first = asyncio.create_task(drain(account, fetch=fetch))
    await reading.wait()
    await store(account, edited(sandbox, 2, "Two"))

    second = await drain(account)
    assert second.is_held
    assert second.hooks == 0
    go_on.set()

    assert (await first).hooks == 2
    assert await names_of(database) == {"20000001": "One", "20000002": "Two"}


class LateDatabase(Database):
    """Stores a webhook just before the turn is given back, after the holder's last look."""

    hook: Hook | None = None

    async def write(self, doing: str, work: Callable[[AsyncConnection], Awaitable[Answer]]) -> Answer:
        if self.hook is not None and doing == "Giving a lease back":
            async with self.writing("Storing") as connection:
                await store_hooks(connection, [self.hook], at=datetime.now(UTC))
            self.hook = None
        return await super().write(doing, work)


async def test_a_webhook_stored_at_the_last_moment_is_seen_by_the_one_who_leaves(
    database: Database, account: Account, sandbox: Sandbox
) -> None:
    """Between the holder's last look and its release nobody else can drain: whoever tries is sent away."""
    late = LateDatabase(database.target)
    late.hook = Hook(account.connection_id, None, edited(sandbox, 2, "Two"))
    await store(account, edited(sandbox, 1, "One"))

    drained = await drain(replace(account, database=late))
    await late.close()

    assert drained.hooks == 2
    assert await names_of(database) == {"20000001": "One", "20000002": "Two"}


async def test_many_drainers_and_many_webhooks_lose_nothing(
    database: Database, account: Account, sandbox: Sandbox
) -> None:
    async def come(start: int) -> None:
        for number in range(start, start + 10):
            await store(account, edited(sandbox, number, f"Lead {number}"))
            await drain(account)

    await asyncio.gather(*(come(start) for start in (1, 11, 21)))

    assert await names_of(database) == {f"200000{number:02}": f"Lead {number}" for number in range(1, 31)}
    assert await marks_of(database) == []


async def test_a_turn_that_a_killed_process_held_ends_by_itself(
    database: Database, account: Account, sandbox: Sandbox
) -> None:
    await store(account, edited(sandbox, 1, "One"))
    async with database.writing("Acting as a process that was killed") as connection:
        assert await acquire_lease(connection, f"hooks:{account.connection_id}", "gone", 30)
    assert (await drain(account)).is_held
    past = datetime.now(UTC) - timedelta(seconds=1)
    async with database.writing("Letting time pass") as connection:
        await connection.execute(update(crm_leases).values(held_until=past))

    await drain(account)

    assert await names_of(database) == {"20000001": "One"}


async def test_a_turn_that_was_lost_is_not_gone_on_with(database: Database, account: Account, sandbox: Sandbox) -> None:
    """A process that slept longer than its lease: another one drains meanwhile."""
    reading = asyncio.Event()

    async def fetch(of: Account, *, only: Collection[str] | None = None, most: int | None = None) -> Fetched:
        async with database.writing("Acting as another process") as connection:
            values = {"holder": "other", "held_until": datetime.now(UTC) + timedelta(hours=1)}
            await connection.execute(update(crm_leases).values(values))
        reading.set()
        return Fetched(read=1)

    await store(account, edited(sandbox, 1, "One"))

    drained = await drain(account, fetch=fetch, quiet_seconds=0, lease_seconds=0.4)

    assert reading.is_set()
    assert drained.is_held


async def test_what_kommo_did_not_answer_stays_marked(database: Database, account: Account, sandbox: Sandbox) -> None:
    await sandbox.control("POST", "/faults", {"kind": "500", "path": "/api/v4/leads", "times": 3})
    await store(account, edited(sandbox, 1, "One"))

    with pytest.raises(ServerTrouble):
        await drain(account)

    assert await marks_of(database) == [("leads", "20000001")]
    assert await leases_of(database) == []
    await drain(account)
    assert await names_of(database) == {"20000001": "One"}


@ON_SQLITE
async def test_marks_that_nobody_can_clear_are_not_asked_for_without_end(database: Database, account: Account) -> None:
    async def refuse(_: Account, *, only: Collection[str] | None = None, most: int | None = None) -> Fetched:
        del only, most
        return Fetched()

    async with database.writing("Marking") as connection:
        marks = [Mark("leads", "1"), Mark("events", "2")]
        await mark_dirty(connection, account.connection_id, marks, at=datetime.now(UTC))

    async with asyncio.timeout(20):
        drained = await drain(account, fetch=refuse)

    assert drained.read == 0
    assert await marks_of(database) == [("events", "2"), ("leads", "1")]


@ON_SQLITE
async def test_an_edit_in_the_sandbox_is_in_the_mirror_after_its_webhook(
    database: Database, account: Account, sandbox: Sandbox
) -> None:
    """The whole way with the usual waiting: webhooks of the sandbox, stored here without HTTP."""
    before = asyncio.get_running_loop().time()
    await store(account, edited(sandbox, 1, "One"))

    await drain_hooks(account)

    assert asyncio.get_running_loop().time() - before >= 0.3
    await wait_until(lambda: reads_of(sandbox) == 1, describe="it was read once")
    assert await names_of(database) == {"20000001": "One"}


@ON_SQLITE
@pytest.mark.parametrize("name", ["kommo:hooks", "kommo:sync"])
async def test_a_row_that_does_not_come_is_asked_for_again_within_a_minute(
    account: Account, crm: Crm, sandbox: Sandbox, redis_url: str, queue_name: str, name: str
) -> None:
    """Whichever job drains the webhook; the row is here once Kommo has it, and was never buried."""
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, {"empty_by_id_seconds": 20.0})
    server, settings = (
        Server(parse_redis_url(redis_url, {})),
        SimpleNamespace(worker=SimpleNamespace(prefix=queue_name)),
    )
    served: Any = SimpleNamespace(find=crm.find, account=crm.account, server=server, settings=settings)
    job: Any = SimpleNamespace(name=name, id="1", data={"connectionId": account.connection_id}, progress=_nowhere)
    await store(account, edited(sandbox, 7, "Late"))

    await getattr(jobs, CRM_JOBS[name])(served, job)

    async with Queue(OWN_QUEUE, prefix=queue_name, server=server) as queue:
        (again,) = await queue.jobs("delayed")
    await server.close()
    assert (again.name, again.fields["delay"]) == ("kommo:hooks", "30000")
    assert await marks_of(account.database) == [("leads", "20000007")]


async def _nowhere(_: Any) -> None:
    """Where progress is told."""
