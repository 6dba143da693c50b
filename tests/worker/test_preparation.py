"""Can what others wrote into a job keep it from being prepared? It is read leniently, and runs beside others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis
from support.watched import watched_worker

from oxcart import Job, Oxcart, Queue, Repeat
from oxcart.telemetry.events import WarningRaised
from oxcart.testing import wait_until

STOP: dict[str, Mapping[str, Any]] = {
    "every is a text": {"repeat": {"every": "soon", "count": 1}},
    "every is negative": {"repeat": {"every": -5, "count": 1}},
    "a pattern that nobody knows": {"repeat": {"pattern": "every day", "count": 1}},
    "a pattern that is a list": {"repeat": {"pattern": [1], "count": 1}},
    "a pattern of a thousand characters": {"repeat": {"pattern": "1," * 500 + " * * * *", "count": 1}},
    "a time zone that nobody knows": {"repeat": {"pattern": "* * * * *", "tz": "../../etc/passwd", "count": 1}},
    "a time zone that is a list": {"repeat": {"pattern": "* * * * *", "tz": [1], "count": 1}},
    "a start beyond all calendars": {"repeat": {"pattern": "* * * * *", "startDate": 10**30, "count": 1}},
    "a previous time beyond all calendars": {"repeat": {"pattern": "* * * * *", "count": 1}, "prevMillis": 10**30},
}
GO_ON: dict[str, Mapping[str, Any]] = {
    "limit is a text": {"repeat": {"every": 500, "limit": "many", "count": 1}},
    "limit is a number as text": {"repeat": {"every": 500, "limit": "10", "count": 1}},
    "limit is a list": {"repeat": {"every": 500, "limit": [1], "count": 1}},
    "count is a text": {"repeat": {"every": 500, "count": "one"}},
    "every is a number as text": {"repeat": {"every": "500", "count": 1}},
    "an end that is a list": {"repeat": {"every": 500, "endDate": [1], "count": 1}},
    "a priority that is a text": {"repeat": {"every": 500, "count": 1}, "priority": "high"},
    "deduplication that is a number": {"repeat": {"every": 500, "count": 1}, "de": 5},
    "half a surrogate": {"repeat": {"every": 500, "count": 1}, "other": "\ud800"},
    "an int beyond 64 bits": {"repeat": {"every": 500, "count": 1}, "other": 10**30},
    "nested deeply": {"repeat": {"every": 500, "count": 1}, "other": json.loads("[" * 600 + "]" * 600)},
    "no object at all": {},
}


@pytest.mark.takes_seconds
async def test_whatever_a_schedules_options_are_its_jobs_run(redis_url: str, queue_name: str, redis: Redis) -> None:
    """A limit that was a text kept the slot for ever."""
    app = Oxcart()
    runs: dict[str, int] = {}

    @app.job("tick")
    async def tick(job: Job[str]) -> None:
        runs[job.data] = runs.get(job.data, 0) + 1

    @app.job("good")
    async def good(job: Job[int]) -> int:
        await asyncio.sleep(0.001)
        return job.data

    async with Queue(queue_name, redis_url) as queue:
        for name, opts in (STOP | GO_ON).items():
            job_id = await queue.upsert_schedule(name, Repeat(every_seconds=0.5), name="tick", data=name)
            await redis.hset(f"bull:{queue_name}:{job_id}", "opts", json.dumps(opts) if opts else "[]")
        async with watched_worker(app, redis_url, queue_name, concurrency=5) as watched:
            innocents = await queue.add_many([("good", n) for n in range(30)])
            assert [await job.result(timeout_seconds=20) for job in innocents] == list(range(30))
            await wait_until(lambda: all(runs.get(name, 0) >= 2 for name in GO_ON), describe="these go on")
            await wait_until(lambda: set(runs) >= set(STOP), describe="these have run")
            told = [event.message for event in watched.told(WarningRaised) if event.code == "SCHEDULE_STOPPED"]
            for name in STOP | GO_ON:  # those that stopped may have been mended from their own record
                await queue.remove_schedule(name)
            await wait_until(lambda: watched.status.jobs_processing == 0, describe="all slots are free")
    assert {name for name in STOP if not any(f"Schedule {name} has no next run: " in text for text in told)} == set()


NUMBERS = ("attempts", "timeout", "removeOnComplete", "removeOnFail", "kl", "stackTraceLimit")
FIELDS: dict[str, Mapping[str, str]] = {
    "options that are no JSON": {"opts": "{"},
    "options that are a list": {"opts": "[]"},
    "options nested deeply": {"opts": "[" * 100_000},
    "options of the wrong types": {"opts": json.dumps({name: [["x"]] for name in (*NUMBERS, "backoff", "de", "lifo")})},
    "huge numbers": {"opts": json.dumps({**dict.fromkeys(NUMBERS, 10**30), "attempts": 1})},
    "a huge priority": {"priority": "9" * 30},
    "a huge number of attempts": {"atm": "9" * 30},
    "a timestamp that is none": {"timestamp": "soon"},
    "a huge timestamp": {"timestamp": "9" * 400},
    "stack traces that are no JSON": {"stacktrace": "["},
    "stack traces nested deeply": {"stacktrace": "[" * 100_000 + "]" * 100_000},
    "stack traces of the wrong types": {"stacktrace": '[{"a": [1]}, null, 5]'},
}


@pytest.mark.takes_seconds
async def test_whatever_a_jobs_fields_are_it_ends(redis_url: str, queue_name: str, redis: Redis) -> None:
    app = Oxcart()

    @app.job("bad", attempts=3)
    async def bad(job: Job) -> None:
        raise ValueError("failed")

    async with Queue(queue_name, redis_url) as queue:
        jobs = {name: await queue.add("bad", name) for name in FIELDS}
        for name, fields in FIELDS.items():
            for field, value in fields.items():
                await redis.hset(f"bull:{queue_name}:{jobs[name].id}", field, value)
        async with watched_worker(app, redis_url, queue_name, concurrency=5) as watched:
            for job in jobs.values():
                await wait_until(partial(has_failed, queue, job.id), describe="it has failed")
            await wait_until(lambda: watched.status.jobs_processing == 0, describe="all slots are free")


async def has_failed(queue: Queue, job_id: str) -> bool:
    return await queue.state(job_id) == "failed"
