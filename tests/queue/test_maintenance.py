"""Can an operator look into a queue and change what is there?"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import bullmq
import pytest

from oxcart.errors import InvalidInput, JobNotFound, OxcartError, StateConflict
from oxcart.queue.producer import Queue
from oxcart.testing import wait_until


async def fail(job: bullmq.Job, _token: str) -> None:
    raise ValueError(job.data)


@pytest.fixture
async def failing_worker(queue: Queue, redis_url: str) -> AsyncIterator[Any]:
    started = bullmq.Worker(queue.name, fail, {"connection": redis_url})
    yield started
    await started.close(force=True)


async def failed_jobs(queue: Queue, *reasons: str) -> list[str]:
    added = await queue.add_many([("x", reason) for reason in reasons])

    async def all_failed() -> bool:
        return (await queue.counts())["failed"] == len(reasons)

    await wait_until(all_failed, describe="all jobs have failed")
    return [job.id for job in added]


async def test_every_state_is_counted_and_listed(queue: Queue) -> None:
    await queue.add("w")
    await queue.add("d", delay_seconds=60)
    await queue.add("p", priority=1)
    await queue.add_flow({"name": "root", "children": [{"name": "leaf"}]})

    counts = await queue.counts()

    assert {state: number for state, number in counts.items() if number} == {
        "waiting": 2,
        "delayed": 1,
        "prioritized": 1,
        "waiting-children": 1,
    }
    for state, names in {"waiting": ["w", "leaf"], "delayed": ["d"], "waiting-children": ["root"]}.items():
        assert [job.name for job in await queue.jobs(state)] == names
    with pytest.raises(InvalidInput, match='"sleeping" is no state'):
        await queue.jobs("sleeping")


async def test_a_broken_job_is_still_readable(queue: Queue, redis: Any) -> None:
    added = await queue.add("x")
    await redis.hset(
        f"bull:{queue.name}:{added.id}", mapping={"data": "{broken", "opts": "[]", "stacktrace": "?", "atm": "no"}
    )

    stored = await queue.get(added.id)

    assert stored is not None
    assert stored.fields["data"] == "{broken"
    assert (stored.stacktrace, stored.attempts_made) == ([], 0)
    with pytest.raises(InvalidInput, match=f"Reading data of job {added.id}: it is no JSON"):
        _ = stored.data
    with pytest.raises(InvalidInput, match="a list is no JSON object"):
        _ = stored.options
    assert await queue.get("missing") is None


async def test_dead_letters_are_retried_by_their_reason(queue: Queue, failing_worker: Any) -> None:
    first, other, last = await failed_jobs(queue, "token expired", "no such lead", "token expired twice")
    await queue.pause()  # so that they wait, in `paused`

    assert await queue.failed_reasons() == {"token expired": 1, "no such lead": 1, "token expired twice": 1}
    assert await queue.retry_failed(reason="token", limit=1) == [first]
    assert await queue.retry_failed(reason="token", reset_attempts=True) == [last]

    assert [job.id for job in await queue.jobs("paused")] == [first, last]
    assert [job.id for job in await queue.jobs("failed")] == [other]
    stored = await queue.get(last)
    assert stored is not None
    assert (stored.failed_reason, stored.attempts_made) == (None, 0)


async def test_a_retry_of_what_is_not_failed_names_the_state(queue: Queue) -> None:
    added = await queue.add("x")

    with pytest.raises(StateConflict, match="it is not in state failed"):
        await queue.retry(added.id)
    with pytest.raises(JobNotFound, match="it is not there"):
        await queue.retry("missing")
    with pytest.raises(InvalidInput, match="failed and completed can"):
        await queue.retry(added.id, state="waiting")


async def test_a_retried_job_follows_the_pause_of_bullmq_5(queue: Queue, failing_worker: Any, redis: Any) -> None:
    [failed] = await failed_jobs(queue, "x")
    base = f"bull:{queue.name}:"
    await failing_worker.close(force=True)
    before = await queue.add("before")
    delayed = await queue.add("delayed", delay_seconds=60)
    await redis.rename(f"{base}wait", f"{base}paused")
    await redis.hset(f"{base}meta", "paused", "1")

    await queue.retry(failed)
    await queue.promote(delayed.id)

    assert (await redis.lrange(f"{base}paused", 0, -1))[::-1] == [before.id, failed, delayed.id]
    await queue.resume()
    assert [job.id for job in await queue.jobs("waiting")] == [before.id, failed, delayed.id]
    assert not await queue.is_paused()


async def test_a_delayed_job_is_promoted(queue: Queue) -> None:
    added = await queue.add("x", delay_seconds=60)

    await queue.promote(added.id)

    assert await added.state() == "waiting"
    with pytest.raises(StateConflict, match="it is not in state delayed"):
        await queue.promote(added.id)
    with pytest.raises(JobNotFound):
        await queue.promote("missing")


async def test_a_job_is_removed_unless_a_worker_holds_it(queue: Queue, redis: Any) -> None:
    added, held = await queue.add("x"), await queue.add("held")
    await redis.set(f"bull:{queue.name}:{held.id}:lock", "token")

    await queue.remove(added.id)

    assert await queue.get(added.id) is None
    with pytest.raises(JobNotFound):
        await added.state()
    with pytest.raises(StateConflict, match="is being run"):
        await queue.remove(held.id)
    with pytest.raises(JobNotFound, match="Removing job missing"):
        await queue.remove("missing")


async def test_a_queue_is_drained_cleaned_and_obliterated(queue: Queue, redis: Any) -> None:
    await queue.add_many([("w", 1), ("d", 2, {"delay_seconds": 60}), ("p", 3, {"priority": 1})])

    await queue.drain()
    assert {state for state, number in (await queue.counts()).items() if number} == {"delayed"}
    [delayed] = await queue.jobs("delayed")
    assert await queue.clean("delayed", grace_seconds=3600) == []
    assert await queue.clean("delayed") == [delayed.id]
    with pytest.raises(InvalidInput, match="cannot be cleaned"):
        await queue.clean("waiting-children")
    with pytest.raises(StateConflict, match="it is not paused"):
        await queue.obliterate()
    await queue.pause()
    await queue.obliterate()

    assert [key async for key in redis.scan_iter(f"bull:{queue.name}:*")] == []


async def test_cleaning_goes_on_until_all_are_gone(queue: Queue) -> None:
    await queue.add_many([("w", number) for number in range(1200)])

    assert len(await queue.clean("waiting", limit=1100)) == 1100
    assert len(await queue.clean("waiting")) == 100


async def test_limits_are_where_every_worker_reads_them(queue: Queue, redis: Any) -> None:
    await queue.set_global_concurrency(3)
    await queue.set_rate_limit(10, duration_seconds=1.5)

    assert await queue.limits() == {"concurrency": 3, "max": 10, "duration": 1500}
    meta = await redis.hgetall(f"bull:{queue.name}:meta")
    assert (meta["concurrency"], meta["max"], meta["duration"]) == ("3", "10", "1500")
    with pytest.raises(InvalidInput, match="a whole number from 1 on"):
        await queue.set_rate_limit(0)
    await queue.set_global_concurrency(None)
    await queue.set_rate_limit(None)
    assert await queue.limits() == {"concurrency": None, "max": None, "duration": None}
    assert await queue.rate_limit_ttl_ms() <= 0


async def test_workers_are_seen_by_the_names_that_node_gives_them(queue: Queue, redis: Any) -> None:
    await redis.client_setname(f"bull:{base64.b64encode(queue.name.encode()).decode()}:w:mailer")

    [worker] = await queue.workers()

    assert (worker.name, worker.address.startswith("127.0.0.1")) == ("mailer", True)


async def test_events_are_trimmed(queue: Queue, redis: Any) -> None:
    await queue.add_many([("x", number) for number in range(500)])

    assert await queue.trim_events(0) > 0
    assert await redis.xlen(f"bull:{queue.name}:events") < 1000


async def test_a_queue_that_is_not_open_says_so(redis_url: str, queue_name: str) -> None:
    queue = Queue(queue_name, redis_url)

    with pytest.raises(OxcartError, match="is not open"):
        await queue.add("x")
    async with queue:
        with pytest.raises(OxcartError, match="it is open"):
            await queue.__aenter__()
    await queue.close()


@pytest.mark.parametrize("name", ["", "a:b"])
def test_a_queue_name_that_bullmq_refuses_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        Queue(name)
