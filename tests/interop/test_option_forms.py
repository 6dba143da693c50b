"""Are a job's options understood as Node's worker understands them, in whatever form a producer has written them?

Each form is given to a job of Node's worker and to one of ours; how often they ran, what is kept and logged must agree.
docs/node-interop.md tells the same as a table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis

from oxcart.testing import running_worker, wait_until

from .behaviours import behaving_app
from .node_driver import NodeDriver

FAIL = {"do": "fail", "times": 99, "lines": ["a", "b", "c"]}
OK = {"do": "ok"}
TWICE = {"attempts": 4}

FORMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    **{f"attempts: {value!r}": (FAIL, {"attempts": value}) for value in ("3", 2.5, " 2 ", "0x3", "many", True, "")},
    **{f"keepLogs: {value!r}": (FAIL, {"keepLogs": value}) for value in ("2", 2, 0, "")},
    **{
        f"stackTraceLimit: {value!r}": (FAIL, {**TWICE, "stackTraceLimit": value})
        for value in (2, "2", 0, "0", -1, "-1", 1.5, "many", True, False)
    },
    **{f"removeOnFail: {value!r}": (FAIL, {"removeOnFail": value}) for value in ("1", "true", "false", "", True)},
    **{
        f"removeOnComplete: {value!r}": (OK, {"removeOnComplete": value})
        for value in ("100", "true", "false", "", True, {"age": "60"})
    },
    **{
        f"backoff: {value!r}": (FAIL, {"attempts": 2, "backoff": value})
        for value in (
            {"type": "fixed", "delay": "20"}, {"type": "exponential", "delay": "20"}, 20,
            {"type": "fixed", "delay": "20", "jitter": "0.5"}, {"type": "fixed"},
        )
    },
    **{f"lifo: {value!r}": (FAIL, {"attempts": 2, "lifo": value}) for value in ("true", "false", 1)},
    **{f"delay: {value!r}": (OK, {"delay": value}) for value in ("20", 20.5, "soon", None)},
}  # fmt: skip


async def outcome(redis: Redis, queue: str, job_id: str) -> Mapping[str, Any]:
    base = f"bull:{queue}:"
    fields = await redis.hgetall(base + job_id)
    states = [
        state for state in ("completed", "failed", "delayed") if await redis.zscore(base + state, job_id) is not None
    ]
    states += [state for state in ("active", "wait") if job_id in await redis.lrange(base + state, 0, -1)]
    return {
        "state": states,
        "attempts": fields.get("atm"),
        "traces": len(json.loads(fields.get("stacktrace", "[]"))),
        "logs": await redis.llen(f"{base}{job_id}:logs"),
    }


async def is_done(redis: Redis, queue: str) -> bool:
    base = f"bull:{queue}:"
    return not (
        await redis.llen(f"{base}wait") + await redis.llen(f"{base}active") + await redis.zcard(f"{base}delayed")
    )


async def test_every_form_comes_to_what_it_comes_to_in_node(
    node6: NodeDriver, redis: Redis, redis_url: str, queue_name: str
) -> None:
    theirs, ours = f"{queue_name}-theirs", f"{queue_name}-ours"
    ids: dict[tuple[str, str], str] = {}
    for queue in (theirs, ours):
        jobs = [{"name": "job", "data": data, "opts": options} for data, options in FORMS.values()]
        added = await node6.queue(queue).add_bulk(jobs)
        ids |= {(queue, form): job_id for form, job_id in zip(FORMS, added, strict=True)}

    await node6.queue(theirs).start_worker(concurrency=50)
    async with running_worker(behaving_app(), url=redis_url, queue=ours, concurrency=50):
        for queue in (theirs, ours):
            await wait_until(partial(is_done, redis, queue), describe=f"all jobs of {queue} have ended")
    await node6.queue(theirs).stop_worker()

    came_to = {form: await outcome(redis, ours, ids[ours, form]) for form in FORMS}
    assert came_to == {form: await outcome(redis, theirs, ids[theirs, form]) for form in FORMS}
    assert came_to["attempts: '3'"] == {"state": ["failed"], "attempts": "3", "traces": 3, "logs": 9}


@pytest.mark.parametrize("backoff", ["20", "soon", {"type": "fixed", "delay": "soon"}, {"type": "unheard of"}])
async def test_a_job_with_a_backoff_that_node_stumbles_over_is_tried_again(
    backoff: Any, node6: NodeDriver, redis_url: str, queue_name: str
) -> None:
    """Node's worker leaves such a job active until it stalls, or loses it out of `delayed`."""
    job = {"do": "fail", "times": 1}
    added = await node6.queue(queue_name).add("job", job, attempts=2, backoff=backoff)

    async with running_worker(behaving_app(), url=redis_url, queue=queue_name):
        assert await node6.queue(queue_name).result(added) == {"ran": added}
