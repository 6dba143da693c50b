"""Can the harness itself be trusted? Node with Node, no Oxcart: what these tests see is what BullMQ does."""

from __future__ import annotations

import pytest
from support.server import PrivateServer

from .node_driver import NodeDriver, NodeError
from .node_install import installed, node_binary


async def test_the_pinned_version_is_the_one_that_runs(node: NodeDriver) -> None:
    assert node.version.split(".")[0] == node.major


async def test_node_runs_what_node_added(node: NodeDriver, queue_name: str) -> None:
    queue = node.queue(queue_name)
    await queue.start_worker()

    job_id = await queue.add("greet", {"do": "ok", "value": {"name": "Ann"}})

    assert await queue.result(job_id) == {"name": "Ann"}
    assert await queue.state(job_id) == "completed"
    assert [event["event"] for event in await queue.events() if event.get("jobId") == job_id] == [
        "added", "waiting", "active", "completed",
    ]  # fmt: skip
    await queue.stop_worker()


async def test_every_behaviour_of_the_drivers_handler(node: NodeDriver, queue_name: str) -> None:
    queue = node.queue(queue_name)
    await queue.start_worker(concurrency=10)
    delayed = await queue.add("job", {"do": "delayed", "ms": 20, "value": 1})
    limited = await queue.add("job", {"do": "rate-limit", "ms": 20, "value": 2})
    failing = await queue.add("job", {"do": "fail", "times": 2, "value": 3}, attempts=3)
    spawning = await queue.add("job", {"do": "spawn", "children": [{"value": 4}, {"value": 5}]})
    talking = await queue.add("job", {"do": "progress", "steps": [50, {"page": 2}], "lines": ["one", "two"]})
    hopeless = await queue.add("job", {"do": "unrecoverable"}, attempts=5)

    assert await queue.result(delayed) == 1
    assert await queue.result(limited) == 2
    assert await queue.result(failing) == 3
    assert sorted((await queue.result(spawning)).values()) == [4, 5]
    await queue.result(talking)
    assert (await queue.get(talking))["progress"] == {"page": 2}
    assert await queue.logs(talking) == ["one", "two"]
    with pytest.raises(NodeError, match="no use in trying again"):
        await queue.result(hopeless)
    await queue.stop_worker()
    assert await node.background_errors() == []


async def test_a_flow_and_bull_board(node: NodeDriver, queue_name: str) -> None:
    queue = node.queue(queue_name)
    child = {"name": "child", "queueName": queue_name, "data": {"value": 7}}
    made = await node.add_flow(
        {"name": "parent", "queueName": queue_name, "data": {"do": "children"}, "children": [child]}
    )
    await queue.start_worker(name="board-test")

    assert list((await queue.result(made["job"]["id"])).values()) == [7]
    (page,) = (
        await node.board([queue_name], "get", "/api/queues", params={}, query={"page": "1", "jobsPerPage": "10"})
    )["queues"]
    assert page["name"] == queue_name
    assert page["counts"]["completed"] == 2
    assert page["hasWorkers"] is True
    await queue.stop_worker()


async def test_an_error_in_node_shows_nodes_stack(node: NodeDriver, queue_name: str) -> None:
    with pytest.raises(NodeError, match=r"(?s)no-such-id.*driver\.mjs"):
        await node.queue(queue_name).job("no-such-id", "getState")


async def test_a_killed_driver_is_reported_and_not_waited_for(server: PrivateServer) -> None:
    driver = NodeDriver(node_binary(), installed("6"), "6")
    driver.connect(server.host, server.port, server.password)

    driver.kill()

    with pytest.raises(NodeError, match="has ended"):
        await driver.call("background")
    driver.close()
