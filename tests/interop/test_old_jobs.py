"""Are jobs of older versions of BullMQ, and of Bull, run to their end when they are taken over half way through?"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from oxcart import Job, Oxcart, Queue
from oxcart.testing import running_worker, wait_until

from .old_versions import Steps, abandon, add, flow, node, work

BULL = ["bull3", "bull4"]
BULLMQ = ["bullmq1", "bullmq3", "bullmq4", "bullmq5.0", "bullmq5.9", "bullmq5.16", "bullmq5.34", "bullmq5", "bullmq6"]
RECOVERY: dict[str, Any] = {"lock_duration_ms": 1000, "stalled_interval_ms": 200}

ON_FAILURE = {
    "failParentOnFailure": "bullmq3",
    "removeDependencyOnFailure": "bullmq4",
    "ignoreDependencyOnFailure": "bullmq5.9",
    "continueParentOnFailure": "bullmq5",
}
"""What became of a parent whose child fails for good could be said from these versions on."""

OF_ONE_LIFE = ["later", "urgent", "plain", "last", "stalled", "once"]


def deduplication_of(package: str) -> str | None:
    """What the option is called there."""
    if package in BULL or BULLMQ.index(package) < BULLMQ.index("bullmq5.16"):
        return None
    return "debounce" if package == "bullmq5.16" else "deduplication"


def options_of(package: str) -> list[str]:
    return [option for option, since in ON_FAILURE.items() if package in BULLMQ[BULLMQ.index(since) :]]


def live(old: Steps, package: str, queue: str) -> list[list[Any]]:
    """A job of each kind, half way through its life; what was run of them there."""
    below = f"{queue}-below"
    tree = flow(
        queue,
        "gather",
        node(below, "child", {"value": 1}),
        node(below, "child", {"fail": 2, "value": 2}, attempts=3, backoff={"type": "fixed", "delay": 300}),
        node(below, "child", {"value": 3}, delay=300),
        {**node(below, "gather", {"of": "tree"}), "children": [node(queue, "child", {"value": 4})]},
        data={"of": "tree"},
    )
    flows = [] if package in BULL else [tree, work(below, 2), *failing_flows(package, queue)]
    return old(
        package,
        add(queue, "tried", {"fail": True}, attempts=3, backoff={"type": "fixed", "delay": 300}),
        work(queue, 1),
        add(queue, "stalled", {"n": 5}),
        abandon(queue),
        add(queue, "later", {"n": 1}, delay=300),
        add(queue, "urgent", {"n": 2}, priority=1),
        add(queue, "plain", {"n": 3}, jobId="mine", removeOnComplete=True),
        add(queue, "last", {"n": 4}, lifo=True),
        *([add(queue, "once", {"n": 6}, **{once: {"id": "once"}})] if (once := deduplication_of(package)) else []),
        *flows,
    )


def failing_flows(package: str, queue: str) -> Iterator[dict[str, Any]]:
    """Of two attempts of the child one is made there: each version writes these options in a way of its own."""
    for option in options_of(package):
        of_option = f"{queue}-{option}"
        child = node(of_option, "child", {"fail": True}, attempts=2, **{option: True})
        yield from (flow(of_option, "gather", child), work(of_option, 1))


def recording_app(runs: list[tuple[str, Any, int]]) -> Oxcart:
    """Notes [name, data, attempts made]; `fail` in the data as in old_versions.mjs."""
    app = Oxcart()

    async def run(job: Job[Any]) -> Any:
        runs.append((job.name, job.data, job.attempts_made))
        fail = job.data.get("fail", 0)
        if fail is True or job.attempts_made < fail:
            raise RuntimeError("as asked")
        return await job.children_values() if job.name == "gather" else job.data.get("value")

    for name in ("tried", "gather", "child", *OF_ONE_LIFE):
        app.job(name)(run)
    return app


@dataclass
class Ended:
    """What became of the jobs of one version."""

    tried_with_attempts: list[int]
    attempts_and_traces: tuple[int, int]
    ran_of_one_life: list[int]
    holder_of_deduplication: str | None
    children_values: list[Any]
    ran_of_flow: Counter[tuple[str, Any]]
    parents: dict[str, str]


def expected(package: str) -> Ended:
    """Attempts made there count: of three, one was made by the old worker. What it had in hand comes back."""
    has_flow = package not in BULL
    ran = Counter({("gather", None): 2, ("child", 2): 2, ("child", 3): 1, ("child", 4): 1} if has_flow else {})
    parents = {option: "failed" if option == "failParentOnFailure" else "completed" for option in options_of(package)}
    once = [6] if deduplication_of(package) else []
    return Ended([1, 2], (3, 3), [1, 2, 3, 4, 5, *once], None, [1, 2, 3, [4]] if has_flow else [], ran, parents)


async def take_over(package: str, queue_name: str, redis_url: str) -> Ended:
    runs: list[tuple[str, Any, int]] = []
    app, number = recording_app(runs), (4 if package in BULL else 6) + (deduplication_of(package) is not None)
    async with AsyncExitStack() as stack:

        async def served(name: str, **settings: Any) -> Queue:
            await stack.enter_async_context(running_worker(app, url=redis_url, queue=name, **settings))
            return await stack.enter_async_context(Queue(name, redis_url))

        queue = await served(queue_name, **RECOVERY)
        await served(f"{queue_name}-below")
        for_failing = {option: await served(f"{queue_name}-{option}") for option in options_of(package)}

        async def all_have_ended() -> bool:
            counts = await queue.counts()
            parents = [await each.counts() for each in for_failing.values()]
            return (counts["completed"], counts["failed"]) == (number, 1) and not any(
                each[state] for each in parents for state in ("waiting", "active", "delayed", "waiting-children")
            )

        await wait_until(all_have_ended, describe=f"all of {package} have ended", timeout=20)
        (tried,) = await queue.jobs("failed")
        holder = await queue.deduplication_job_id("once")
        gathered = [job.returnvalue for job in await queue.jobs("completed") if job.name == "gather"]
        parents = {
            option: state
            for option, each in for_failing.items()
            for state in ("completed", "failed")
            if any(job.name == "gather" for job in await each.jobs(state))
        }
    values = [sorted(each.values()) if isinstance(each, dict) else each for of in gathered for each in of.values()]
    mine = [run for run in runs if not (run[0] == "child" and run[1].get("fail") is True)]
    return Ended(
        [attempts for name, _, attempts in runs if name == "tried"],
        (tried.attempts_made, len(tried.stacktrace)),
        sorted(data["n"] for name, data, _ in runs if name in OF_ONE_LIFE),
        holder,
        sorted(values, key=str),
        Counter((name, data.get("value")) for name, data, _ in mine if name == "child" or data.get("of") == "tree"),
        parents,
    )


@pytest.mark.timeout(110)
async def test_jobs_of_every_version_are_taken_over_half_way(old: Steps, redis_url: str, queue_name: str) -> None:
    """All versions side by side: one Node process after the other would take most of the time."""
    few = asyncio.Semaphore(3)

    async def life(package: str) -> Ended:
        of_package = f"{queue_name}-{package.replace('.', '-')}"
        async with few:
            ran_there = await asyncio.to_thread(live, old, package, of_package)
            assert Counter(name for name, _ in ran_there)["tried"] == 1, package
            return await take_over(package, of_package, redis_url)

    packages = BULL + BULLMQ
    ended = await asyncio.gather(*(life(package) for package in packages))

    assert dict(zip(packages, ended, strict=True)) == {package: expected(package) for package in packages}
