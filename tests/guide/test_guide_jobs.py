"""How is a job added, run and waited for? Read from top to bottom; every name is public.

`redis_url` is the address of a Redis, `queue_name` the name of a queue that nobody else uses.
"""

from __future__ import annotations

import time

from pydantic import BaseModel

from oxcart import Job, Oxcart, Queue, Snooze
from oxcart.testing import running_worker


async def test_add_a_job_and_get_its_result(redis_url: str, queue_name: str) -> None:
    app = Oxcart()

    @app.job("greet")
    async def greet(job: Job) -> str:
        return f"Hello {job.data['name']}"

    async with running_worker(app, url=redis_url, queue=queue_name), Queue(queue_name, redis_url) as queue:
        added = await queue.add("greet", {"name": "Ann"})

        assert await added.result(timeout_seconds=10) == "Hello Ann"


async def test_add_many_jobs_at_once(redis_url: str, queue_name: str) -> None:
    app = Oxcart()

    @app.job("square")
    async def square(job: Job) -> int:
        return int(job.data["n"]) ** 2

    async with running_worker(app, url=redis_url, queue=queue_name), Queue(queue_name, redis_url) as queue:
        added = await queue.add_many([("square", {"n": n}) for n in range(100)])

        results = [await job.result(timeout_seconds=10) for job in added]

    assert results == [n * n for n in range(100)]


class Order(BaseModel):
    number: int
    express: bool = False


async def test_a_payload_model_checks_the_data(redis_url: str, queue_name: str) -> None:
    app = Oxcart()

    @app.job("ship")
    async def ship(job: Job[Order]) -> str:
        return f"order {job.data.number}, express: {job.data.express}"

    async with running_worker(app, url=redis_url, queue=queue_name), Queue(queue_name, redis_url) as queue:
        added = await queue.add("ship", {"number": 7})

        assert await added.result(timeout_seconds=10) == "order 7, express: False"


async def test_a_plain_function_runs_in_a_thread(redis_url: str, queue_name: str) -> None:
    """It may block: other jobs go on meanwhile. It reports without await."""
    app = Oxcart()

    @app.job("resize")
    def resize(job: Job) -> str:
        time.sleep(0.01)  # a library that blocks
        job.progress(100)
        job.log("resized")
        return "done"

    async with running_worker(app, url=redis_url, queue=queue_name), Queue(queue_name, redis_url) as queue:
        added = await queue.add("resize")
        await added.result(timeout_seconds=10)

        stored = await queue.get(added.id)
        assert stored is not None
        assert stored.progress == 100
        assert await queue.logs(added.id) == ["resized"]


async def test_a_failed_attempt_is_repeated(redis_url: str, queue_name: str) -> None:
    app = Oxcart()

    @app.job("fetch", attempts=3, backoff="exponential:10ms")
    async def fetch(job: Job) -> int:
        if job.attempts_made < 2:
            raise ConnectionError("the other side hung up")
        return job.attempts_made + 1

    async with running_worker(app, url=redis_url, queue=queue_name), Queue(queue_name, redis_url) as queue:
        added = await queue.add("fetch")

        assert await added.result(timeout_seconds=10) == 3


async def test_a_snoozed_job_runs_later_and_uses_no_attempt(redis_url: str, queue_name: str) -> None:
    app = Oxcart()
    export_is_ready = iter([False, True])

    @app.job("download")
    async def download(job: Job) -> int:
        if not next(export_is_ready):
            raise Snooze(0.05)
        return job.attempts_made

    async with running_worker(app, url=redis_url, queue=queue_name), Queue(queue_name, redis_url) as queue:
        added = await queue.add("download")

        assert await added.result(timeout_seconds=10) == 0


async def test_delay_and_priority(redis_url: str, queue_name: str) -> None:
    """Without a priority a job comes first; 1 is the most urgent priority, 2 comes after it."""
    app = Oxcart()
    order: list[str] = []

    @app.job("note")
    async def note(job: Job) -> None:
        order.append(job.data)

    async with Queue(queue_name, redis_url) as queue:
        added = [
            await queue.add("note", "delayed", delay_seconds=0.3),
            await queue.add("note", "less urgent", priority=2),
            await queue.add("note", "urgent", priority=1),
            await queue.add("note", "no priority"),
        ]
        async with running_worker(app, url=redis_url, queue=queue_name, concurrency=1):
            for job in added:
                await job.result(timeout_seconds=10)

    assert order == ["no priority", "urgent", "less urgent", "delayed"]
