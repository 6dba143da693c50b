"""Can a handler do with its job what Node's can: change it, look at its children, give it back?"""

from __future__ import annotations

from typing import Any

from support.watched import watched_worker

from oxcart import Job, Oxcart, Queue, WaitForChildren
from oxcart.testing import run_handler


async def test_a_handler_changes_and_reads_its_job(redis_url: str, queue_name: str) -> None:
    app, seen = Oxcart(), dict[str, Any]()

    @app.job("x")
    async def run(job: Job[Any]) -> str:
        if job.attempts_started == 1:
            seen["options"] = dict(job.options)
            await job.log("a")
            await job.clear_logs()
            await job.log("b")
            await job.update_data({"n": 2})
            await job.extend_lock(120)
            seen["pending"] = await job.has_pending_children()
            job.move_to_wait()
        return f"{job.data['n']} {job.attempts_made} {job.attempts_started} {job.stalled_count}"

    async with Queue(queue_name, redis_url) as queue, watched_worker(app, redis_url, queue_name):
        added = await queue.add("x", {"n": 1}, attempts=3, keep_logs=5)
        value = await added.result(timeout_seconds=10)
        lines = await queue.logs(added.id)

    assert (value, lines) == ("2 0 2 0", ["b"])
    assert seen == {"options": {"attempts": 3, "keepLogs": 5}, "pending": False}


async def test_a_plain_function_does_so_without_await(redis_url: str, queue_name: str) -> None:
    app = Oxcart()

    @app.job("x")
    def run(job: Job[Any]) -> Any:
        job.update_data({"n": 2})
        return job.dependency_counts()

    async with Queue(queue_name, redis_url) as queue, watched_worker(app, redis_url, queue_name):
        added = await queue.add("x")
        assert await added.result(timeout_seconds=10) == {"processed": 0, "unprocessed": 0, "ignored": 0, "failed": 0}
        stored = await queue.get(added.id)

    assert stored is not None
    assert stored.data == {"n": 2}


async def test_a_parent_whose_child_has_failed_ends_well(redis_url: str, queue_name: str) -> None:
    """With continue_parent it runs at once: it sees why, and removes the children that are of no use any more."""
    app = Oxcart()

    @app.job("root")
    async def root(job: Job[Any]) -> Any:
        failed = await job.failed_children_values()
        if failed:
            await job.remove_unprocessed_children()
        if await job.has_pending_children():
            raise WaitForChildren
        assert await job.ignored_children_failures() == failed
        return {"failed": list(failed.values()), "left": (await job.dependencies())["unprocessed"]}

    @app.job("bad")
    async def bad(job: Job[Any]) -> None:
        raise ValueError("no use")

    children = [
        {"name": "bad", "options": {"on_failure": "continue_parent"}},
        {"name": "later", "options": {"delay_seconds": 3600}},
    ]
    async with Queue(queue_name, redis_url) as queue, watched_worker(app, redis_url, queue_name):
        flow = await queue.add_flow({"name": "root", "children": children})
        value = await queue.result(flow.id, timeout_seconds=10)
        later = await queue.get(flow.children[1].id)

    assert value == {"failed": ["no use"], "left": []}
    assert later is None


async def test_a_handler_can_be_tried_without_a_server() -> None:
    app = Oxcart()

    @app.job("x")
    async def run(job: Job[Any]) -> Any:
        await job.update_data({"n": 2})
        return [await job.has_pending_children(), await job.dependencies(), job.data]

    tried = await run_handler(app, "x", {"n": 1}, children={"c": 5})

    assert tried.data == {"n": 2}
    assert tried.value[1]["processed"] == {"c": 5}
