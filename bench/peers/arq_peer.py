"""arq: at least once by its own words; a job whose worker died is run again when its in-progress key has expired."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from arq import create_pool
from arq.connections import RedisSettings
from order import ORDER, REDIS_URL, become, run, stamp, timed_async


async def noop(_ctx: Any, **_data: Any) -> None:
    return


async def nap(_ctx: Any, *, milliseconds: float) -> None:
    await asyncio.sleep(milliseconds / 1000)


async def stamped(_ctx: Any, *, sentNs: int) -> None:  # noqa: N803 - a field of the jobs' data
    stamp(sentNs)


class WorkerSettings:
    functions: ClassVar = [noop, nap, stamped]
    redis_settings = RedisSettings.from_dsn(REDIS_URL)
    max_jobs = ORDER.concurrency
    keep_result = 0


async def _add() -> float:
    pool = await create_pool(RedisSettings.from_dsn(REDIS_URL))
    name = {"stamp": "stamped"}.get(ORDER.job, ORDER.job)
    seconds = await timed_async(lambda data: pool.enqueue_job(name, **data))
    await pool.aclose()
    return seconds


if __name__ == "__main__":
    run(lambda: asyncio.run(_add()), lambda: become("arq", "arq_peer.WorkerSettings"))
