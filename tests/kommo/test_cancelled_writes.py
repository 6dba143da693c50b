"""Is the database free again when a transaction was cut off in its middle?"""

from __future__ import annotations

import asyncio

import pytest

from kommo.stored import lease_holder
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.holding import hold_lease
from oxcart.kommo.store.leases import acquire_lease


async def take(database: Database, scope: str) -> bool:
    async with database.writing("Writing") as connection:
        return await acquire_lease(connection, scope, "holder", 60)


async def test_a_transaction_that_is_cancelled_at_any_point_locks_nothing(database: Database) -> None:
    """A deploy cancels handlers in the middle of a statement. What was cut off is kept here, as a task keeps it."""
    kept: list[BaseException | bool] = []
    for steps in range(60):
        writing = asyncio.create_task(take(database, f"cut:{steps}"))
        for _ in range(steps):
            await asyncio.sleep(0)
        writing.cancel()
        kept += await asyncio.gather(writing, return_exceptions=True)

        async with asyncio.timeout(10):
            assert await take(database, "next")

    assert any(isinstance(one, asyncio.CancelledError) for one in kept)


async def test_a_lease_is_given_back_wherever_its_holder_is_cancelled(database: Database) -> None:
    async def hold() -> None:
        async with hold_lease(database, "shared") as held:
            assert held is not None
            await asyncio.sleep(0)

    for steps in range(60):
        holding = asyncio.create_task(hold())
        for _ in range(steps):
            await asyncio.sleep(0)
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)

        async with database.reading("Asserting") as connection:
            assert await lease_holder(connection, "shared") is None


async def test_a_lease_is_kept_for_as_long_as_the_work_takes(database: Database) -> None:
    async with hold_lease(database, "long", seconds=2) as held, hold_lease(database, "long", wait_seconds=3) as other:
        assert held is not None
        assert (held.is_ours, other) == (True, None)


async def test_a_lease_that_another_took_is_no_longer_ours(database: Database) -> None:
    from support.waiting import wait_until

    from oxcart.kommo.store.leases import release_lease

    async with hold_lease(database, "taken", seconds=0.6) as held:
        assert held is not None
        async with database.writing("Arranging") as connection:
            await release_lease(connection, "taken", held._holder)
            assert await acquire_lease(connection, "taken", "another", 60)

        await wait_until(lambda: not held.is_ours, describe="the loss is noticed")

    async with database.reading("Asserting") as connection:
        assert await lease_holder(connection, "taken") == "another"


@pytest.mark.parametrize("wait_seconds", [0.0, 0.3])
async def test_a_lease_in_other_hands_is_not_taken(database: Database, wait_seconds: float) -> None:
    async with database.writing("Arranging") as connection:
        await acquire_lease(connection, "theirs", "another", 60)

    async with hold_lease(database, "theirs", wait_seconds=wait_seconds) as held:
        assert held is None
