"""Do flows hold together when Node builds them and Oxcart runs them, and the other way round?"""

from __future__ import annotations

from typing import Any

import pytest

from oxcart import Job, Queue, WaitForChildren
from oxcart.testing import running_worker, wait_until

from .behaviours import behaving_app
from .node_driver import NodeDriver, NodeError, NodeQueue

PARENT_OPTIONS = (
    "failParentOnFailure",
    "continueParentOnFailure",
    "ignoreDependencyOnFailure",
    "removeDependencyOnFailure",
)

PARENT_GOES_ON = ("failParentOnFailure", "continueParentOnFailure")
"""What makes a parent run or fail while another child of it has not ended."""

LATER_MS = 3_600_000


def node_of(queue_name: str, data: dict[str, Any], *children: dict[str, Any], **options: Any) -> dict[str, Any]:
    name = "job" if children else "child"
    return {"name": name, "queueName": queue_name, "data": data, "opts": options, "children": list(children)}


async def is_in(queue: NodeQueue, job_id: str, *states: str) -> bool:
    return await queue.state(job_id) in states


async def test_three_levels_over_two_queues(node: NodeDriver, queue_name: str, redis_url: str) -> None:
    """The results of children reach their parent, whatever queue they are on."""
    below = queue_name + "-below"
    leaves = [node_of(below, {"value": n}) for n in range(3)]
    tree = node_of(queue_name, {"do": "children"}, node_of(below, {"do": "children"}, *leaves), node_of(below, {}))
    made = await node.add_flow(tree)
    queue = node.queue(queue_name)
    root_id = made["job"]["id"]
    assert await queue.state(root_id) == "waiting-children"

    async with (
        running_worker(behaving_app(), url=redis_url, queue=queue_name),
        running_worker(behaving_app(), url=redis_url, queue=below),
    ):
        result = await queue.result(root_id)

    middle, leaf = (made["children"][n]["job"]["id"] for n in range(2))
    assert result.pop(f"bull:{below}:{leaf}") == {"ran": leaf}
    assert sorted(result.pop(f"bull:{below}:{middle}").values()) == [0, 1, 2]
    assert result == {}
    dependencies = await queue.job(root_id, "getDependencies")
    assert dependencies.get("unprocessed", []) == []


@pytest.mark.parametrize("option", PARENT_OPTIONS)
async def test_a_failing_child_does_to_its_parent_what_its_option_says(
    node: NodeDriver, queue_name: str, redis_url: str, option: str
) -> None:
    """Oxcart and a Node worker run the same flow; parent and children must end alike, down to what Node's API tells."""
    outcomes = []
    for runner in ("node", "oxcart"):
        name = f"{queue_name}-{runner}"
        queue = node.queue(name)
        failing = node_of(name, {"do": "unrecoverable", "message": "no such lead"}, **{option: True})
        fine = node_of(name, {"value": "fine"}, delay=LATER_MS)
        tree = node_of(name, {"do": "children"}, failing, fine)
        made = await node.add_flow(tree)
        if runner == "node":
            await queue.start_worker(runner)
            await _let_it_end(queue, made, goes_on=option in PARENT_GOES_ON)
            await queue.stop_worker(runner)
        else:
            async with running_worker(behaving_app(), url=redis_url, queue=name, concurrency=1):
                await _let_it_end(queue, made, goes_on=option in PARENT_GOES_ON)
        outcomes.append(await _outcome(queue, made))

    assert outcomes[1] == outcomes[0]


async def _let_it_end(queue: NodeQueue, made: dict[str, Any], *, goes_on: bool) -> None:
    """A parent that may go on without its other child does so before that one runs, however slow the machine is."""
    parent = made["job"]["id"]
    failing, fine = (child["job"]["id"] for child in made["children"])
    await wait_until(lambda: is_in(queue, failing, "failed"), describe="the first child has failed")
    if goes_on:
        await wait_until(lambda: is_in(queue, parent, "completed", "failed"), describe="the parent has gone on")
    await queue.job(fine, "promote")
    await wait_until(lambda: is_in(queue, parent, "completed", "failed"), describe="the parent has ended")
    await wait_until(lambda: _is_idle(queue), describe="nothing is left to run")


async def _is_idle(queue: NodeQueue) -> bool:
    counts = await queue.counts()
    return sum(counts[state] for state in ("active", "waiting", "delayed", "waiting-children")) == 0


async def _outcome(queue: NodeQueue, made: dict[str, Any]) -> dict[str, Any]:
    """What Node's API says of the flow, with the ids of its jobs replaced by their roles."""
    roles = {made["job"]["id"]: "parent", made["children"][0]["job"]["id"]: "failing"}
    roles[made["children"][1]["job"]["id"]] = "fine"

    def anonymous(value: Any) -> Any:
        if isinstance(value, dict):
            return {anonymous(key): anonymous(item) for key, item in value.items()}
        if isinstance(value, str):
            for job_id, role in roles.items():
                value = value.replace(job_id, role)
            return value.replace(queue.name, "queue")
        return value

    parent = made["job"]["id"]
    job = await queue.get(parent)
    kinds = ("active", "waiting", "waiting-children", "completed", "failed", "retries-exhausted")
    events = [event for event in await queue.events() if event["event"] in kinds]
    return {
        "states": {role: await queue.state(job_id) for job_id, role in roles.items()},
        "attempts": (job["attemptsMade"], job["attemptsStarted"]),
        "reason": _reason(anonymous(job.get("failedReason"))),
        "result": anonymous(job["returnvalue"]),
        "ignored": anonymous(await queue.job(parent, "getIgnoredChildrenFailures")),
        "counts": await queue.job(parent, "getDependenciesCount"),
        # Per job: an Oxcart worker may claim a job before the last one's end is written.
        "events": {
            role: [event["event"] for event in events if event["jobId"] == job_id] for job_id, role in roles.items()
        },
    }


def _reason(text: str | None) -> str | None:
    """A reason that BullMQ's scripts wrote must be the same; what a worker says in words of its own may differ."""
    return text if text is None or text.startswith("child ") else "the worker's words"


async def test_a_failure_travels_up_three_levels(node: NodeDriver, queue_name: str, redis_url: str) -> None:
    queue = node.queue(queue_name)
    leaf = node_of(queue_name, {"do": "unrecoverable"}, failParentOnFailure=True)
    middle = node_of(queue_name, {"do": "children"}, leaf, failParentOnFailure=True)
    made = await node.add_flow(node_of(queue_name, {"do": "children"}, middle))

    async with running_worker(behaving_app(), url=redis_url, queue=queue_name):
        with pytest.raises(NodeError, match=rf"child bull:{queue_name}:.* failed"):
            await queue.result(made["job"]["id"])

    assert (await queue.counts())["failed"] == 3


async def test_a_flow_of_oxcart_is_run_by_node(node: NodeDriver, queue_name: str, redis_url: str) -> None:
    queue = node.queue(queue_name)
    await queue.start_worker(concurrency=3)
    async with Queue(queue_name, redis_url) as ours:
        leaf = {"name": "child", "data": {"value": 1}}
        middle = {"name": "job", "data": {"do": "children"}, "children": [leaf]}
        flow = await ours.add_flow({"name": "job", "data": {"do": "children"}, "children": [middle]})

        result = await ours.result(flow.id, timeout_seconds=10)

    (values,) = result.values()
    assert list(values.values()) == [1]
    await queue.stop_worker()


async def test_a_handler_that_adds_children_and_waits_for_them(
    node: NodeDriver, queue_name: str, redis_url: str
) -> None:
    """Node's moveToWaitingChildren pattern in Oxcart; Node's API shows the job waiting, and its children's values."""
    theirs = node.queue(queue_name)
    app = behaving_app()
    async with Queue(queue_name, redis_url) as ours:

        @app.job("gather")
        async def gather(job: Job[dict[str, Any]]) -> Any:
            values = await job.children_values()
            if not values:
                parent = {"id": job.id, "queue": f"bull:{queue_name}"}
                for n in range(2):
                    await ours.add("child", {"value": n}, parent=parent, delay_seconds=0.1)
                raise WaitForChildren
            return sorted(values.values())

        async with running_worker(app, url=redis_url, queue=queue_name):
            job_id = await theirs.add("gather")

            assert await theirs.result(job_id) == [0, 1]

    job = await theirs.get(job_id)
    assert (job["attemptsMade"], job["attemptsStarted"]) == (1, 2)
    kinds = [event["event"] for event in await theirs.events() if event.get("jobId") == job_id]
    assert kinds == ["added", "waiting", "active", "waiting-children", "waiting", "active", "completed"]
