"""Do jobs added by us look to everybody else as if BullMQ had added them?"""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import bullmq
import pytest

from oxcart.errors import AddFailed, InvalidInput, JobNotFound, PayloadTooLarge, ServerRefused
from oxcart.queue.producer import Queue
from oxcart.queue.repeats import Repeat

NOW = 1_790_000_000_000


def random_job(random_: random.Random, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same options for us and for the reference; ids repeat now and then."""
    job_id = f"job-{random_.randrange(number + 1) if random_.random() < 0.2 else number}"
    ours: dict[str, Any] = {"job_id": job_id, "timestamp_ms": NOW + number // 3}
    theirs: dict[str, Any] = {"jobId": job_id, "timestamp": NOW + number // 3}
    if random_.random() < 0.3:
        ours["delay_seconds"] = random_.choice([1, 60, 0.25])
        theirs["delay"] = int(ours["delay_seconds"] * 1000)
    if random_.random() < 0.3:
        ours["priority"] = theirs["priority"] = random_.choice([1, 2, 2_097_151])
    if random_.random() < 0.3:
        ours["lifo"] = theirs["lifo"] = True
    if random_.random() < 0.3:
        ours["attempts"] = theirs["attempts"] = 3
        ours["backoff"] = "exponential:5s:0.5"
        theirs["backoff"] = {"type": "exponential", "delay": 5000, "jitter": 0.5}
    if random_.random() < 0.3:
        ours["keep_completed"], theirs["removeOnComplete"] = {"age": 60, "count": 5}, {"age": 60, "count": 5}
        ours["keep_failed"], theirs["removeOnFail"] = 7, 7
    if random_.random() < 0.2:
        ours["keep_logs"] = theirs["keepLogs"] = 9
    return ours, theirs


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("meta", [{}, {"paused": "1"}, {"concurrency": "3"}])
async def test_many_jobs_leave_the_keys_and_events_that_bullmq_leaves(
    queue: Queue, reference: Any, redis: Any, snapshot: Any, seed: int, meta: dict[str, str]
) -> None:
    random_ = random.Random(seed)
    jobs = [random_job(random_, number) for number in range(40)]
    for name in (queue.name, reference.name):
        if meta:
            await redis.hset(f"bull:{name}:meta", mapping=meta)

    added = await queue.add_many([(f"n{number}", {"n": number}, ours) for number, (ours, _) in enumerate(jobs)])
    for number, (_, theirs) in enumerate(jobs):
        await reference.add(f"n{number}", {"n": number}, theirs)
    if "paused" in meta:  # BullMQ 6 leaves in `wait` what we put where a resume by BullMQ 5 does not overwrite it
        await redis.rename(f"bull:{reference.name}:wait", f"bull:{reference.name}:paused")

    assert await snapshot(queue.name) == await snapshot(reference.name)
    assert [job.id for job in added] == [ours["job_id"] for ours, _ in jobs]


@pytest.mark.parametrize("extra", [{}, {"delay": 5000}, {"priority": 3}, {"lifo": True}])
async def test_deduplicated_and_child_jobs_leave_what_bullmq_leaves(
    queue: Queue, reference: Any, snapshot: Any, extra: dict[str, Any]
) -> None:
    ours = {"delay_seconds" if name == "delay" else name: value for name, value in extra.items()}
    if "delay" in extra:
        ours["delay_seconds"] = extra["delay"] / 1000

    await queue.add("parent", job_id="p", timestamp_ms=NOW)
    await queue.add(
        "child", job_id="c", timestamp_ms=NOW, parent={"id": "p", "queue": queue.name}, on_failure="fail_parent", **ours
    )
    first = await queue.add("once", job_id="a", timestamp_ms=NOW, deduplication={"id": "x", "ttl": 60_000}, **ours)
    second = await queue.add("once", job_id="b", timestamp_ms=NOW, deduplication={"id": "x", "ttl": 60_000}, **ours)
    parent = {"id": "p", "queue": f"bull:{reference.name}"}
    await reference.add("parent", {}, {"jobId": "p", "timestamp": NOW})
    await reference.add(
        "child", {}, {"jobId": "c", "timestamp": NOW, "parent": parent, "failParentOnFailure": True, **extra}
    )
    for job_id in "ab":
        await reference.add(
            "once", {}, {"jobId": job_id, "timestamp": NOW, "deduplication": {"id": "x", "ttl": 60_000}, **extra}
        )

    assert await snapshot(queue.name) == await snapshot(reference.name)
    assert (first.id, second.id) == ("a", "a")


async def test_a_queue_paused_by_bullmq_5_keeps_every_job_through_its_resume(queue: Queue, redis: Any) -> None:
    """BullMQ 5 renames `wait` to `paused`, and back over whatever is in `wait` by then."""
    base = f"bull:{queue.name}:"
    before = await queue.add("before")
    await redis.rename(f"{base}wait", f"{base}paused")
    await redis.hset(f"{base}meta", "paused", "1")

    one = await queue.add("one")
    many = await queue.add_many([("fifo", 1), ("lifo", 2, {"lifo": True})])
    special = await queue.add("special", deduplication="d")
    flow = await queue.add_flow({"name": "root", "children": [{"name": "leaf"}]})

    assert await redis.exists(f"{base}wait") == 0
    order = [many[1].id, before.id, one.id, many[0].id, special.id, flow.children[0].id]
    assert (await redis.lrange(f"{base}paused", 0, -1))[::-1] == order


async def test_the_id_that_is_made_starts_with_a_letter_and_is_ordered_by_time(queue: Queue) -> None:
    ids = [(await queue.add("x")).id for _ in range(3)]

    assert all(job_id[0].isalpha() and ":" not in job_id and len(job_id) >= 20 for job_id in ids)
    assert ids == sorted(ids) or len(set(ids)) == 3


async def test_one_refused_job_does_not_harm_its_neighbours(queue: Queue, redis: Any) -> None:
    """The prioritized set has become something else: that job is refused, the others are added."""
    await redis.set(f"bull:{queue.name}:prioritized", "broken")

    with pytest.raises(AddFailed) as raised:
        await queue.add_many([("a", 1), ("b", 2, {"priority": 1}), ("c", 3)])

    assert raised.value.not_sent == (1,)
    assert [job.id for job in await queue.jobs("waiting")] == list(raised.value.added)
    assert len([key async for key in redis.scan_iter(f"bull:{queue.name}:ox*")]) == 2
    await redis.delete(f"bull:{queue.name}:prioritized")


async def test_jobs_that_cannot_be_queued_leave_nothing_behind(queue: Queue, redis: Any) -> None:
    await redis.set(f"bull:{queue.name}:wait", "broken")

    with pytest.raises(ServerRefused):
        await queue.add("a", {"n": 1})

    assert [key async for key in redis.scan_iter(f"bull:{queue.name}:ox*")] == []
    await redis.delete(f"bull:{queue.name}:wait")


async def test_an_id_that_is_a_key_of_the_queue_is_refused_however_it_is_added(queue: Queue) -> None:
    """BullMQ takes it: nothing is stored, or the key that the whole queue needs is taken."""
    refused = "the queue keeps something of its own under this name"
    leaf = {"name": "leaf", "options": {"job_id": "events"}}

    with pytest.raises(InvalidInput, match=refused):
        await queue.add("x", job_id="stalled")
    with pytest.raises(InvalidInput, match=f"Item 1: .*{refused}"):
        await queue.add_many([("a", 1), ("b", 2, {"job_id": "completed"})])
    with pytest.raises(InvalidInput, match=refused):
        await queue.add_flow({"name": "root", "children": [leaf]})
    with pytest.raises(InvalidInput, match="cannot have job_id"):
        await queue.upsert_schedule("nightly", Repeat(every_seconds=60), job_id="wait")

    assert sum((await queue.counts()).values()) == 0


async def test_removing_a_job_never_removes_a_key_of_the_queue(queue: Queue, redis: Any) -> None:
    await queue.pause()

    with pytest.raises(JobNotFound):
        await queue.remove("meta")

    assert await queue.is_paused()


async def test_data_arrive_as_node_would_write_them(queue: Queue, redis: Any) -> None:
    data = {"text": 'ё\u2028"', "half": "\ud800", "number": 2**53 - 1, "float": 1.5, "list": [None, True, {}]}

    added = await queue.add("x", data)

    raw = await redis.hget(f"bull:{queue.name}:{added.id}", "data")
    assert json.loads(raw) == data
    stored = await queue.get(added.id)
    assert stored is not None
    assert stored.data == data


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"items": [1, 2, 3, float("nan")]}, "data.items[3]: a float that is NaN"),
        ({"id": 2**53}, "data.id: the integer 9007199254740992 is beyond 2^53"),
        ({"raw": b"x"}, "data.raw: bytes"),
        ({1: 2}, "data: the key 1"),
    ],
)
async def test_data_that_node_cannot_hold_are_refused_with_their_place(queue: Queue, data: Any, sentence: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        await queue.add("x", data)

    assert sentence in str(raised.value)
    assert (await queue.counts())["waiting"] == 0


async def test_a_payload_beyond_the_limit_is_refused_with_both_sizes(queue: Queue) -> None:
    with pytest.raises(PayloadTooLarge, match="the job takes 20000023 bytes, 9934464 are the limit"):
        await queue.add("x", {"x": "a" * 20_000_000})
    with pytest.raises(PayloadTooLarge, match=r"Item 1: .* the data takes 12 bytes, 10 are the limit"):
        await queue.add_many([("x", 1), ("x", "a" * 10, {"size_limit": 10})])

    assert (await queue.counts())["waiting"] == 0


async def test_a_child_of_a_missing_parent_is_refused(queue: Queue) -> None:
    with pytest.raises(JobNotFound, match="its parent bull:other:p does not exist"):
        await queue.add("x", parent={"id": "p", "queue": "other"})


async def test_many_large_jobs_go_out_in_several_requests(queue: Queue) -> None:
    added = await queue.add_many([("big", "x" * 400_000)] * 7 + [("small", n) for n in range(1200)])

    assert len({job.id for job in added}) == 1207
    assert (await queue.counts())["waiting"] == 1207
    assert [job.id for job in (await queue.jobs("waiting", 0, 9))] == [job.id for job in added[:10]]


async def test_the_reference_worker_runs_what_we_added(queue: Queue, redis_url: str) -> None:
    async def greet(job: bullmq.Job, _token: str) -> str:
        return f"Hello {job.data['name']}"

    worker = bullmq.Worker(queue.name, greet, {"connection": redis_url})
    try:
        added = await asyncio.wait_for(queue.add("greet", {"name": "Ann"}), 10)
        assert await added.result(timeout_seconds=20) == "Hello Ann"
        assert await added.state() == "completed"
    finally:
        await worker.close(force=True)


@pytest.mark.parametrize(
    "options",
    [{}, {"delay_seconds": 60}, {"priority": 3}, {"deduplication": {"id": "d", "ttl": 1}}, {"parent": "parent"}],
    ids=lambda options: next(iter(options), "plain"),
)
async def test_of_adds_of_one_id_at_the_same_time_one_is_new(queue: Queue, options: dict[str, Any]) -> None:
    """As the script that adds says it: who looks before may be too early."""
    parent = await queue.add_flow({"name": "root", "children": [{"name": "child"}]})
    given = {**options, "parent": {"id": parent.id, "queue": queue.name}} if "parent" in options else options

    added = await asyncio.gather(*(queue.add("x", {"n": n}, job_id="mine", **given) for n in range(8)))
    many = await queue.add_many([("x", {}, {"job_id": one, **given}) for one in ("mine", "other", "other")])

    assert [job.id for job in added] == ["mine"] * 8
    assert sum(job.is_new for job in added) == 1
    assert many[0].is_new is False
    if "deduplication" not in options:
        assert [job.is_new for job in many] == [False, True, False]
