"""Does one bad job harm its neighbours? Ghosts, keys of the wrong type, fields nobody can read, and sizes."""

from __future__ import annotations

from typing import Any

import pytest
from support.effects import Effects
from support.server import PrivateServer
from support.store import Store
from support.watched import watched_worker

from oxcart import Job, Oxcart, Queue
from oxcart.telemetry.events import JobsFinished, JobUnreadable
from oxcart.testing import wait_until


def clobber(store: Store, job_id: str) -> None:
    """The key is another program's now, and goes with it."""
    store.client.delete(store.base + job_id)
    store.client.lpush(store.base + job_id, "not a hash")
    store.client.expire(store.base + job_id, 30)


async def test_an_entry_without_a_job_is_taken_out_and_reported(
    app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    await queue.pause()
    before = await queue.add("quick")
    store.client.lpush(store.base + "wait", "ghost")
    after = await queue.add("quick")
    await queue.resume()
    async with watched_worker(app, fresh_server.url, queue.name) as watched:
        await wait_until(lambda: store.ended([before.id, after.id]), describe="its neighbours have ended")

    assert [event.job_id for event in watched.told(JobUnreadable)] == ["ghost"]
    assert store.ids("wait") == []
    assert effects.done == {before.id: 1, after.id: 1}
    assert not store.client.exists(store.base + "ghost")


@pytest.mark.parametrize("moment", ["waiting", "prioritized", "delayed"])
async def test_a_waiting_job_whose_key_is_no_hash_is_taken_out_and_reported(
    moment: str, app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    options: dict[str, dict[str, Any]] = {
        "waiting": {},
        "prioritized": {"priority": 5},
        "delayed": {"delay_seconds": 0.1},
    }
    given = options[moment]
    added = await queue.add_many([("quick", n, given) for n in range(5)])
    clobbered = added[2].id
    clobber(store, clobbered)
    neighbours = [job.id for job in added if job.id != clobbered]
    async with watched_worker(app, fresh_server.url, queue.name) as watched:
        await wait_until(lambda: store.ended(neighbours), describe="its neighbours have ended")

    assert clobbered in [event.job_id for event in watched.told(JobUnreadable)]
    assert store.places(clobbered) == []
    assert set(effects.done.values()) == {1}
    store.assert_ended_once(neighbours)
    store.client.delete(store.base + clobbered)


async def test_a_running_job_whose_key_is_no_hash_harms_no_other_finish(
    app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    """Its end cannot be written; it must not stay in `active`, where it would break every stalled check."""
    added = await queue.add_many([("held", n) for n in range(5)])
    clobbered = added[2].id
    neighbours = [job.id for job in added if job.id != clobbered]
    async with watched_worker(app, fresh_server.url, queue.name) as watched:
        await wait_until(lambda: len(effects.started) == 5, describe="all run")
        clobber(store, clobbered)
        effects.go.set()
        await wait_until(lambda: store.ended(neighbours), describe="its neighbours have ended")
        await wait_until(lambda: watched.told(JobUnreadable), describe="it is reported")

        assert watched.status.healthy
    assert [event.job_id for event in watched.told(JobUnreadable)] == [clobbered]
    assert store.places(clobbered) == []
    store.assert_ended_once(neighbours)
    store.client.delete(store.base + clobbered)


@pytest.mark.takes_seconds
async def test_a_vanished_workers_job_whose_key_is_no_hash_harms_no_stalled_check(
    app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    added = await queue.add_many([("quick", n) for n in range(5)])
    clobbered = added[2].id
    neighbours = [job.id for job in added if job.id != clobbered]
    for job in added:
        store.client.rpoplpush(store.base + "wait", store.base + "active")  # claimed, and no lock any more
        assert store.places(job.id) == ["active"]
    clobber(store, clobbered)
    async with watched_worker(app, fresh_server.url, queue.name) as watched:
        await wait_until(lambda: store.ended(neighbours), describe="its neighbours have ended")

    assert [event.job_id for event in watched.told(JobUnreadable)] == [clobbered]
    assert store.places(clobbered) == []
    store.assert_ended_once(neighbours, stalled=1)
    store.client.delete(store.base + clobbered)


async def test_a_lock_of_the_wrong_type_keeps_no_job_from_ending(
    app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    added = await queue.add_many([("held", n) for n in range(3)])
    ids = [job.id for job in added]
    async with watched_worker(app, fresh_server.url, queue.name, lock_duration_ms=5000):
        await wait_until(lambda: len(effects.started) == 3, describe="all run")
        store.client.delete(f"{store.base}{ids[1]}:lock")
        store.client.lpush(f"{store.base}{ids[1]}:lock", "not a lock")
        effects.go.set()
        await wait_until(lambda: store.ended(ids), describe="all have ended")

    assert set(effects.done.values()) == {1}
    assert effects.cancelled == {}
    store.assert_ended_once(ids)


async def test_jobs_with_fields_that_nobody_can_read_fail_or_run_alone(
    app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    await queue.pause()
    added = [job.id for job in await queue.add_many([("quick", {"n": n}) for n in range(5)])]
    no_json, nan, odd_options, no_name, fine = added
    store.client.hset(store.base + no_json, "data", "{half")
    store.client.hset(store.base + nan, "data", '{"n": NaN}')
    store.client.hset(store.base + odd_options, "opts", '{"attempts": "many", "backoff": [], "removeOnComplete": -1}')
    store.client.hdel(store.base + no_name, "name")
    await queue.resume()
    async with watched_worker(app, fresh_server.url, queue.name) as watched:
        await wait_until(lambda: store.ended([odd_options, fine]), describe="what can be run has ended")
        await wait_until(lambda: store.ended([no_json, nan], "failed"), describe="bad data has failed")

    assert [event.job_id for event in watched.told(JobUnreadable)] == [no_name]
    for job_id in (no_json, nan):
        assert "data cannot be used" in (store.text(job_id, "failedReason") or "")
    assert store.text(no_json, "data") == "{half"
    store.assert_ended_once([no_json, nan], "failed")
    store.assert_ended_once([odd_options, fine])


async def test_large_jobs_are_claimed_one_after_the_other(
    app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    """25 slots and 25 jobs of 5 MB: one answer must not carry 125 MB."""
    text = "x" * 5_000_000
    ids = [(await queue.add("quick", text)).id for _ in range(25)]
    async with watched_worker(app, fresh_server.url, queue.name):
        await wait_until(lambda: store.ended(ids), describe="all have ended", timeout=30)

    assert set(effects.done.values()) == {1}
    store.assert_ended_once(ids)


async def test_many_large_results_are_written_in_several_requests(
    effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    app = Oxcart()

    @app.job("large")
    async def large(job: Job[int]) -> str:
        effects.started[job.id] += 1
        await effects.go.wait()
        return str(job.data % 10) * 100_000

    ids = [job.id for job in await queue.add_many([("large", n) for n in range(500)])]
    async with watched_worker(app, fresh_server.url, queue.name, concurrency=500, lock_duration_ms=5000) as watched:
        await wait_until(lambda: len(effects.started) == 500, describe="all run")
        effects.go.set()
        await wait_until(lambda: store.ended(ids), describe="all have ended", timeout=30)

    batches = [len(event.jobs) for event in watched.told(JobsFinished) if event.queue == queue.name]
    assert sum(batches) == 500
    assert max(batches) <= 11  # of 100 kB each in 1 MiB
    assert store.text(ids[7], "returnvalue") == f'"{"7" * 100_000}"'
    store.assert_ended_once(ids)


async def test_a_result_that_is_too_large_fails_its_job_alone(
    effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    app = effects.app()

    @app.job("too large")
    async def too_large(job: Job) -> str:
        return "x" * 12_000_000

    bad = await queue.add("too large")
    good = await queue.add("quick")
    async with watched_worker(app, fresh_server.url, queue.name):
        await wait_until(lambda: store.ended([bad.id], "failed"), describe="it has failed")
        await wait_until(lambda: store.ended([good.id]), describe="its neighbour has ended")

    assert "store it elsewhere" in (store.text(bad.id, "failedReason") or "")


@pytest.mark.parametrize("levels", [300, 100_000])
async def test_data_of_any_depth_fails_that_job_alone(
    levels: int, app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    """It never reaches a handler, whose every step over it could run out of stack."""
    await queue.pause()
    deep, neighbour = await queue.add("quick"), await queue.add("quick")
    store.client.hset(store.base + deep.id, "data", "[" * levels + "]" * levels)
    store.client.hset(store.base + deep.id, "stacktrace", "[" * levels + "]" * levels)
    await queue.resume()
    async with watched_worker(app, fresh_server.url, queue.name):
        await wait_until(lambda: store.ended([deep.id], "failed"), describe="it has failed")
        await wait_until(lambda: store.ended([neighbour.id]), describe="its neighbour has completed")

    reason = store.client.hget(store.base + deep.id, "failedReason")
    assert "nested more than 200 levels deep" in reason
    assert effects.done == {neighbour.id: 1}
