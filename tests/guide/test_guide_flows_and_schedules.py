"""How do jobs wait for each other, and how do they come again? Flows and schedules."""

from __future__ import annotations

from oxcart import Job, Oxcart, Queue, Repeat
from oxcart.testing import running_worker, wait_until


async def test_a_parent_gets_what_its_children_returned(redis_url: str, queue_name: str) -> None:
    app = Oxcart()

    @app.job("page")
    async def page(job: Job) -> int:
        return int(job.data["page"]) * 100

    @app.job("report")
    async def report(job: Job) -> int:
        values = await job.children_values()
        return sum(values.values())

    async with running_worker(app, url=redis_url, queue=queue_name), Queue(queue_name, redis_url) as queue:
        pages = [{"name": "page", "data": {"page": number}} for number in (1, 2, 3)]
        flow = await queue.add_flow({"name": "report", "children": pages})

        assert await queue.result(flow.id, timeout_seconds=10) == 600


async def test_a_schedule_runs_its_job_again_and_again(redis_url: str, queue_name: str) -> None:
    app = Oxcart()
    runs: list[str] = []

    @app.job("tick")
    async def tick(job: Job) -> None:
        runs.append(job.id)

    async with running_worker(app, url=redis_url, queue=queue_name), Queue(queue_name, redis_url) as queue:
        await queue.upsert_schedule("tick", Repeat(every_seconds=0.2))
        await wait_until(lambda: len(runs) >= 2, describe="it has run twice")

        [schedule] = await queue.schedules()
        assert schedule.every_ms == 200
        assert await queue.remove_schedule("tick")
