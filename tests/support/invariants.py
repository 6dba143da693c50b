"""What is true after every test of the worker, whatever it did? Seen from outside: status, keys, CLIENT LIST, tasks.

`look_at_quiet` while the worker still runs, `look_after_stop` when it has stopped, `look_at_sockets` and
`look_at_tasks` when the test has closed all that it opened. Each raises AssertionError. A server that the test has left
unreachable is not asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from oxcart.connection.target import RedisTarget
from oxcart.settings import QueueShare
from oxcart.worker.status import WorkerStatus
from support.waiting import wait_until

SECONDS = 2.0
LOOKS = 4  # far away, one look takes a good part of these seconds
BREAKABLE = ("marker", "wait", "meta", "delayed", "active", "events")
"""Keys of a queue that tests turn into strings."""


@contextlib.asynccontextmanager
async def looking(target: RedisTarget) -> AsyncIterator[Any]:
    """A client of the test's own, past our code. What it cannot reach is no broken promise."""
    password = target.current_password()
    client = Redis(
        host=target.host,
        port=target.port,
        username=target.username,
        password=password.reveal() if password is not None else None,
        decode_responses=True,
        protocol=2,
        socket_timeout=1,
        socket_connect_timeout=1,
    )
    with contextlib.suppress(RedisError, OSError):
        async with client:
            yield client


async def look_at_quiet(
    client: Any, status: Callable[[], WorkerStatus], queues: Sequence[QueueShare], names: Collection[str]
) -> None:
    """No ready queue without an actor, and no attempt that the server does not know as ours."""
    seen: list[str] = []
    give_up, looks = time.monotonic() + SECONDS, 0
    while time.monotonic() < give_up or looks < LOOKS:
        looks += 1
        seen = [text for share in queues if (text := await _left_lying(client, share, names))]
        active = sum([await client.llen(f"bull:{share.name}:active") for share in queues])
        now = status()
        if not now.healthy or now.state != "running" or now.jobs_processing >= now.concurrency:
            return
        if now.jobs_processing > active:
            seen.append(f"{now.jobs_processing} jobs are running, and the server knows of {active}")
        if not seen:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"For {SECONDS:g} s, with a free slot: {'; '.join(seen)}")


async def _left_lying(client: Any, share: QueueShare, names: Collection[str]) -> str:
    """What could be claimed here and is not; empty if the queue may not give any."""
    base = f"bull:{share.name}:"
    if await _is_broken(client, share.name) or await _is_closed(client, share.name):
        return ""
    async with client.pipeline(transaction=False) as asked:
        asked.llen(base + "active").lrange(base + "wait", -100, -1).zrange(base + "prioritized", 0, 99)
        active, waiting, prioritized = await asked.execute()
    if share.share is not None and active >= share.share:
        return ""
    async with client.pipeline(transaction=False) as asked:
        for job_id in [*waiting, *prioritized]:
            asked.hget(base + job_id, "name")
        ours = [name for name in await asked.execute() if name in names]
    return f"{len(ours)} jobs wait in {share.name}" if ours else ""


async def _is_broken(client: Any, queue: str) -> bool:
    """The test's own damage."""
    async with client.pipeline(transaction=False) as asked:
        for name in BREAKABLE:
            asked.type(f"bull:{queue}:{name}")
        return "string" in await asked.execute()


async def _is_closed(client: Any, queue: str) -> bool:
    """Paused, or limited in any way."""
    async with client.pipeline(transaction=False) as asked:
        meta, limited = await asked.hkeys(f"bull:{queue}:meta").exists(f"bull:{queue}:limiter").execute()
    return bool({"paused", "concurrency", "max"} & set(meta)) or bool(limited)


async def look_after_stop(client: Any, worker_id: str, worker_name: str, queues: Sequence[QueueShare]) -> None:
    """No lock and no job of the stopped worker, and whatever can be claimed is announced to the next one."""
    for queue in [share.name for share in queues]:
        base = f"bull:{queue}:"
        if await _is_broken(client, queue):
            continue
        ours = []
        async for key in client.scan_iter(match=f"{base}*:lock", count=1000, _type="STRING"):
            if str(await client.get(key)).startswith(worker_id):
                ours.append(key)
        assert not ours, f"The stopped worker still holds {ours}"
        for job_id in await client.lrange(base + "active", 0, -1):
            is_hash = await client.type(base + job_id) == "hash"
            held_by = await client.hget(base + job_id, "pb") if is_hash else None
            assert held_by != worker_name, f"{job_id} is active, and its worker has stopped"
        await _look_for_marker(client, queue)


async def _look_for_marker(client: Any, queue: str) -> None:
    base = f"bull:{queue}:"
    has_others = any(":w:oxcart-" in one["name"] for one in await client.client_list())
    if has_others:
        return  # another worker may have the marker in hand
    if await client.llen(base + "wait") + await client.zcard(base + "prioritized") == 0:
        return
    if not await _is_closed(client, queue):
        marked = await client.zscore(base + "marker", "0")
        assert marked is not None, f"Jobs wait in {queue}, no worker runs, and no marker tells the next one"


async def look_at_sockets(client: Any) -> None:
    """Nothing of ours is connected any more."""
    ours: list[str] = []

    async def none_is_left() -> bool:
        ours[:] = [f"{one['name'] or '(no name)'} {one['cmd']}" for one in await client.client_list() if is_ours(one)]
        return not ours

    with contextlib.suppress(AssertionError):
        await wait_until(none_is_left, describe="all sockets are closed", timeout=SECONDS)
        return
    raise AssertionError(f"Sockets that were not closed: {ours}")


def is_ours(client: dict[str, str]) -> bool:
    return client.get("lib-name") == "oxcart" or ":w:oxcart-" in client["name"]


def unfinished_tasks() -> set[asyncio.Task[Any]]:
    """Of the running loop; also those that asyncio.all_tasks() does not list, as most of Oxcart's own."""
    loop = asyncio.get_running_loop()
    found: list[asyncio.Task[Any]] = [one for one in gc.get_objects() if type(one) is asyncio.Task]
    return {task for task in found if task.get_loop() is loop and not task.done()}


async def look_at_tasks(before: set[asyncio.Task[Any]]) -> None:
    """Every task that was started has ended."""
    give_up = time.monotonic() + SECONDS
    left = set[asyncio.Task[Any]]()
    while time.monotonic() < give_up:
        left = {task for task in unfinished_tasks() if task not in before and task is not asyncio.current_task()}
        if not left:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"Tasks that were not ended: {sorted(task.get_name() for task in left)}")
