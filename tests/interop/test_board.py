"""Does bull-board show an Oxcart worker and its jobs as it shows Node's?"""

from __future__ import annotations

from typing import Any

from support.board import open_visitor

from oxcart import Queue
from oxcart.testing import running_worker, wait_until

from .behaviours import behaving_app
from .node_driver import NodeDriver


async def shown(node: NodeDriver, queue_name: str, status: str = "latest") -> Any:
    query = {"page": "1", "jobsPerPage": "20", "activeQueue": queue_name, "status": status}
    (queue,) = (await node.board([queue_name], "get", "/api/queues", params={}, query=query))["queues"]
    return queue


async def has_workers(node: NodeDriver, queue_name: str) -> bool:
    return (await shown(node, queue_name))["hasWorkers"] is True


async def test_the_queue_its_jobs_and_its_workers(node: NodeDriver, queue_name: str, redis_url: str) -> None:
    async with (
        running_worker(behaving_app(), url=redis_url, queue=queue_name) as worker,
        Queue(queue_name, redis_url) as queue,
    ):
        done = await queue.add("job", {"do": "progress", "steps": [70], "lines": ["a line"], "value": {"n": 1}})
        bad = await queue.add("job", {"do": "fail", "times": 9, "message": "no luck"}, attempts=2)
        await done.result(timeout_seconds=10)
        await wait_until(lambda: _failed(queue), describe="the second job has failed")
        await wait_until(lambda: has_workers(node, queue_name), describe="bull-board sees the worker")

        board = await shown(node, queue_name)
        assert (board["counts"]["completed"], board["counts"]["failed"]) == (1, 1)
        jobs = {job["id"]: job for job in board["jobs"]}
        assert (jobs[done.id]["returnValue"], jobs[done.id]["progress"]) == ({"n": 1}, 70)
        failed = jobs[bad.id]
        assert (failed["failedReason"], failed["attempts"], failed["isFailed"]) == ("no luck", 2, True)
        assert "RuntimeError: no luck" in failed["stacktrace"][0]
        params = {"queueName": queue_name, "jobId": done.id}
        assert await node.board([queue_name], "get", _route("/logs"), params=params, query={}) == ["a line"]
        workers = (
            await node.board(
                [queue_name], "get", "/api/queues/:queueName/workers", params={"queueName": queue_name}, query={}
            )
        )["workers"]
        assert len(workers) == 1, "one line per worker process"
        assert worker.status().state == "running"


async def test_a_retry_on_the_board_runs_in_oxcart(node: NodeDriver, queue_name: str, redis_url: str) -> None:
    async with (
        running_worker(behaving_app(), url=redis_url, queue=queue_name),
        Queue(queue_name, redis_url) as queue,
    ):
        job = await queue.add("job", {"do": "fail", "times": 1, "value": "better"})
        await wait_until(lambda: _failed(queue), describe="the job has failed")

        params = {"queueName": queue_name, "jobId": job.id}
        await node.board([queue_name], "put", _route("/retry"), params=params, query={"queueStatus": "failed"})

        await wait_until(lambda: _completed(queue), describe="the retried job has completed")
        assert await job.result(timeout_seconds=10) == "better"


def _route(end: str) -> str:
    return f"/api/queues/:queueName/:jobId{end}"


async def _failed(queue: Queue) -> bool:
    return (await queue.counts())["failed"] == 1


async def _completed(queue: Queue) -> bool:
    return (await queue.counts())["completed"] == 1


async def test_bull_board_and_ours_show_the_same_numbers(node: NodeDriver, queue_name: str, redis_url: str) -> None:
    """Of a queue that Node has filled, and that no worker of ours has ever seen."""
    await node.queue(queue_name).add_bulk([{"name": "n", "data": {"i": i}} for i in range(7)])
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url) as visitor:
        await queue.add("later", {}, delay_seconds=60)
        await queue.add("first", {}, priority=1)
        await queue.pause()

        async def ours() -> Any:
            found = (await visitor.ask("/api/overview")).json["queues"]
            return next((line for line in found if line["name"] == queue_name), None)

        line = await wait_until(ours, describe="our board has found the queue")
        theirs = await shown(node, queue_name)

    assert {state: line["counts"][state] for state in line["counts"] if state in theirs["counts"]} == {
        state: theirs["counts"][state] for state in line["counts"] if state in theirs["counts"]
    }
    assert line["paused"] == theirs["isPaused"] is True
    assert sum(line["counts"].values()) == 9
