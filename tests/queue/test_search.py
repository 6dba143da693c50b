"""Are the jobs found that are meant, all of them and no others, and is each call bounded?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from redis.asyncio import Redis

from oxcart import Queue, StateConflict
from oxcart.errors import InvalidInput
from oxcart.protocol.scripts import ours, run_script
from oxcart.queue import search as module
from oxcart.queue.editing import edit, move
from oxcart.queue.search import (
    Filter,
    audit,
    audit_lines,
    change_each,
    parse_data,
    reason_groups,
    search,
)

NOW = 1_764_547_200_000
EVERY = Filter()


async def fail(redis: Redis, queue: Queue, number: int, **fields: Any) -> None:
    """A dead letter that ended `number` seconds after NOW."""
    job_id = f"job-{number}"
    stored: Any = {"name": "sync", "data": "{}", "failedReason": "no", "timestamp": NOW, "atm": 1, **fields}
    await redis.hset(queue.keys.job(job_id), mapping=stored)
    await redis.zadd(queue.keys.failed, {job_id: NOW + number * 1000})


async def found(queue: Queue, state: str = "failed", wanted: Filter = EVERY, **options: Any) -> list[str]:
    return [job.id async for run in search(queue.channel, state, wanted, **options) for job in run]


JOBS: list[dict[str, Any]] = [
    {"name": "sync", "failedReason": "KeyError: 'price'", "data": '{"user":{"id":42,"mail":"Ann@x.example"}}'},
    {"name": "mail", "failedReason": "timed out after 30 s", "data": '{"user":{"id":7},"tags":["a","b"],"ok":true}'},
    {"name": "sync", "failedReason": "timed out after 31 s", "data": '{"note":"цена 42"}', "atm": 3},
    {"name": "sync", "failedReason": "odd", "data": "no JSON: 42"},
    {"name": "deep", "failedReason": "odd", "data": "[" * 5000, "atm": "", "attemptsMade": 2},  # BullMQ 4's name
]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Filter(), [0, 1, 2, 3, 4]),
        (Filter(names=("mail", "deep")), [1, 4]),
        (Filter(reason="timed out"), [1, 2]),
        (Filter(since_ms=NOW + 3000), [3, 4]),
        (Filter(data=(("user.id", "42"),)), [0]),
        (Filter(data=(("user.mail", "Ann@x.example"),)), [0]),
        (Filter(data=(("tags.1", "b"),)), [1]),
        (Filter(data=(("ok", "true"), ("user.id", "7"))), [1]),
        (Filter(data=(("note", "цена 42"),)), [2]),
        (Filter(data=(("user", "42"),)), []),
        (Filter(text="ann@X"), [0]),
        (Filter(text="42"), [0, 2, 3]),
        (Filter(text="цена"), [2]),
        (Filter(text="job-3"), [3]),
        (Filter(id_end="-3"), [3]),
        (Filter(until_ms=NOW + 1000), [0, 1]),
        (Filter(since_ms=NOW + 1000, until_ms=NOW + 3000), [1, 2, 3]),
        (Filter(since_ms=NOW + 3000, until_ms=NOW + 1000), []),
        (Filter(attempts=2), [2, 4]),
        (Filter(attempts=3, reason="timed out"), [2]),
        (Filter(names=("sync",), reason="timed out", text="42"), [2]),
    ],
)
async def test_all_that_is_given_must_hold(queue: Queue, redis: Redis, wanted: Filter, numbers: list[int]) -> None:
    for number, fields in enumerate(JOBS):
        await fail(redis, queue, number, **fields)

    assert await found(queue, wanted=wanted) == [f"job-{number}" for number in reversed(numbers)]
    assert await found(queue, wanted=wanted, oldest_first=True) == [f"job-{number}" for number in numbers]


async def test_every_state_is_searched_in_the_order_of_its_turn(queue: Queue) -> None:
    waiting = [(await queue.add("sync", {"n": n})).id for n in range(3)]
    later = [(await queue.add("sync", {"n": n}, delay_seconds=60 + n)).id for n in range(3)]
    urgent = [(await queue.add("sync", {"n": n}, priority=1 + n)).id for n in range(3)]

    assert await found(queue, "waiting") == waiting
    assert await found(queue, "delayed", Filter(data=(("n", "1"),))) == [later[1]]
    assert await found(queue, "prioritized") == urgent
    added = (await queue.get(waiting[0])).timestamp_ms  # type: ignore[union-attr]
    assert await found(queue, "waiting", Filter(until_ms=added - 1)) == []
    assert await found(queue, "waiting", Filter(since_ms=added, until_ms=added + 60_000)) == waiting
    (job,) = [job async for run in search(queue.channel, "delayed", Filter(data=(("n", "0"),))) for job in run]
    stored = await queue.get(job.id)
    assert stored is not None
    assert job.at_ms is not None
    assert abs(job.at_ms - (stored.timestamp_ms + 60_000)) < 1000, "due as its score says"


async def test_more_jobs_than_one_call_looks_at_are_found_once_each(queue: Queue, redis: Redis) -> None:
    number = module._MOST_AT_ONCE * (module._CALLS_AT_ONCE + 1) + 7
    ids = {f"job-{n}": NOW + n // 50 for n in range(number)}
    await redis.zadd(queue.keys.failed, ids)

    seen = await found(queue)

    assert len(seen) == number
    assert set(seen) == set(ids)


async def test_a_call_ends_early_where_the_jobs_are_large(queue: Queue, redis: Redis) -> None:
    """Others have their turn in between, whatever the jobs hold."""
    large = json.dumps({"text": "x" * 40_000, "user": 1})
    for number in range(60):
        await fail(redis, queue, number, data=large)
    wanted = Filter(data=(("user", "1"),))
    args = (queue.keys.base, "down", 0, 400, 400, module.CALL_MICROSECONDS, wanted.to_wire("failed"))

    looked, _, _ = await run_script(queue.channel.link, ours("search_jobs"), (queue.keys.failed,), args)

    assert 0 < looked < 10
    assert len(await found(queue, wanted=wanted)) == 60


async def test_reasons_that_differ_in_numbers_are_one(queue: Queue, redis: Redis) -> None:
    for number, fields in enumerate(JOBS):
        await fail(redis, queue, number, **fields)

    groups = await reason_groups(queue.channel, Filter())

    assert [(group.reason, group.jobs) for group in groups] == [
        ("odd", 2),
        ("timed out after 31 s", 2),
        ("KeyError: 'price'", 1),
    ]
    assert groups[1].example == "job-2"


@pytest.mark.parametrize("given", ["user", "=42", "a..b=1"])
def test_what_is_no_condition_is_refused(given: str) -> None:
    with pytest.raises(InvalidInput, match="PATH=VALUE"):
        parse_data(given)


async def test_one_job_that_cannot_be_changed_stops_no_other(queue: Queue, redis: Redis) -> None:
    for number in range(3):
        await fail(redis, queue, number)
    told: list[tuple[int, int]] = []

    changed = await change_each(["job-0", "gone", "job-2"], queue.retry, progress=lambda *at: told.append(at))

    assert changed.done == ["job-0", "job-2"]
    assert len(changed.problems) == 1
    assert (await queue.counts())["failed"] == 1


async def test_what_was_done_to_many_leaves_a_line(queue: Queue) -> None:
    await audit(queue.channel, "retry", "--reason timed out", 12)

    (line,) = await audit_lines(queue.channel, 10)

    assert (line.what, line.filter, line.jobs) == ("retry", "--reason timed out", 12)
    assert "@" in line.who


# ------------------------------------------------------------------------------------------------ one job
async def test_a_job_is_edited_where_it_waits(queue: Queue) -> None:
    later = await queue.add("sync", {"price": 1}, delay_seconds=3600)
    plain = await queue.add("sync", {"price": 1})

    await edit(queue.channel, later.id, data={"price": 2}, has_data=True, delay_ms=60_000)
    await edit(queue.channel, plain.id, priority=5)

    stored = await queue.get(later.id)
    assert stored is not None
    assert stored.data == {"price": 2}
    assert stored.delay_ms == 60_000
    assert await queue.state(plain.id) == "prioritized"
    with pytest.raises(StateConflict, match="only a delayed job"):
        await edit(queue.channel, plain.id, delay_ms=1)


async def test_a_moved_job_keeps_its_id_its_data_and_its_time(queue: Queue, redis_url: str) -> None:
    added = await queue.add("sync", {"n": 1}, delay_seconds=3600, attempts=7)
    async with Queue(f"{queue.name}-other", redis_url) as other:
        await move(queue.channel, other.channel, added.id)

        stored = await other.get(added.id)
        assert stored is not None
        assert (stored.name, stored.data, stored.options.attempts) == ("sync", {"n": 1}, 7)
        assert await other.state(added.id) == "delayed"
        assert abs(stored.delay_ms - 3_600_000) < 10_000
    assert await queue.get(added.id) is None


async def test_a_job_is_not_moved_onto_another(queue: Queue, redis_url: str) -> None:
    added = await queue.add("sync", {"n": 1}, job_id="mine")
    async with Queue(f"{queue.name}-other", redis_url) as other:
        await other.add("sync", {"n": 2}, job_id="mine")

        with pytest.raises(StateConflict, match="another job of this id"):
            await move(queue.channel, other.channel, added.id)

    assert await queue.state("mine") == "waiting"
