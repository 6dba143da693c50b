"""Which jobs does the demo show, and how is each to end? Handlers as any program would write them, and expectations."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from oxcart.app import Oxcart
from oxcart.errors import JobNotFound
from oxcart.job import Job
from oxcart.language import tr
from oxcart.queue.inspect import StoredJob
from oxcart.queue.producer import Queue

_DELAY_SECONDS = 1.5


@dataclass(slots=True)
class Facts:
    """What the handlers have seen: in which order prioritized jobs began, and how often the schedule ran."""

    order: list[int] = field(default_factory=list)
    ticks: int = 0


def demo_app(facts: Facts) -> Oxcart:
    app = Oxcart()

    @app.job("greet")
    async def greet(job: Job[Any]) -> str:
        await asyncio.sleep(0.3)
        return f"Hello {job.data['name']}"

    @app.job("thumbnail")
    def thumbnail(job: Job[Any]) -> str:
        for percent in (25, 50, 75, 100):
            time.sleep(0.4)
            job.progress(percent)
        job.log("resized")
        return f"{job.data['width']} px"

    @app.job("remind")
    async def remind(_job: Job[Any]) -> str:
        return "it is time"

    @app.job("flaky", attempts=3, backoff="exponential:400ms")
    async def flaky(job: Job[Any]) -> str:
        if job.attempts_made < 2:
            raise ConnectionError("the other side hung up")
        return "third time lucky"

    @app.job("broken", attempts=2, backoff="fixed:300ms")
    async def broken(job: Job[Any]) -> None:
        raise ValueError(f"invoice {job.data['invoice']} does not exist")

    _add_more(app, facts)
    return app


def _add_more(app: Oxcart, facts: Facts) -> None:
    """Those that take more than one job to be seen."""

    @app.job("urgent")
    async def urgent(job: Job[Any]) -> int:
        facts.order.append(job.priority)
        return job.priority

    @app.job("page")
    async def page(job: Job[Any]) -> int:
        await asyncio.sleep(0.5 * job.data["page"])
        return int(job.data["page"]) * 100

    @app.job("report")
    async def report(job: Job[Any]) -> int:
        return sum((await job.children_values()).values())

    @app.job("tick")
    async def tick(_job: Job[Any]) -> int:
        facts.ticks += 1
        return facts.ticks


@dataclass(slots=True)
class Exhibit:
    """One thing to see. `ended` says of its finished job whether all is as it should be."""

    title: str
    shows: str
    job_id: str
    ended: Callable[[StoredJob], bool]
    state: str = "waiting"
    detail: str = ""
    is_over: bool = False
    is_as_expected: bool = False

    async def look(self, queue: Queue) -> None:
        try:
            state = await queue.state(self.job_id)
        except JobNotFound:
            return
        job = await queue.get(self.job_id)
        if job is None:
            return
        self.state = state
        self.detail = _detail(job, state)
        if state in {"completed", "failed"}:
            self.is_over, self.is_as_expected = True, self.ended(job)


@dataclass(slots=True)
class ScheduleExhibit(Exhibit):
    """The schedule has no one job: it is seen when it has run twice."""

    facts: Facts = field(default_factory=Facts)

    async def look(self, queue: Queue) -> None:  # noqa: ARG002 - its handler has counted
        self.state, self.detail = "scheduled", tr("ran {count} times", count=self.facts.ticks)
        if self.facts.ticks >= 2:
            self.is_over = self.is_as_expected = True


async def add_exhibits(queue: Queue, facts: Facts) -> list[Exhibit]:
    """Add the jobs, and say how each is to end."""
    exhibits: list[Exhibit] = []

    async def add(
        name: str, shows: str, ended: Callable[[StoredJob], bool], data: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        added = await queue.add(name, dict(data or {}), **options)
        exhibits.append(Exhibit(name, shows, added.id, ended))

    await add("greet", tr("an async handler"), _returned("Hello Ann"), {"name": "Ann"})
    await add("thumbnail", tr("a sync handler, in a thread"), _returned("320 px"), {"width": 320})
    await add(
        "remind", tr("delayed by {seconds:g} s", seconds=_DELAY_SECONDS), _was_delayed, delay_seconds=_DELAY_SECONDS
    )
    await add("flaky", tr("fails twice, with growing backoff"), lambda job: job.attempts_made == 3)
    for priority in (3, 2):
        await queue.add("urgent", {}, priority=priority)
    await add("urgent", tr("added last of three, run first"), lambda _: facts.order[:1] == [1], priority=1)
    pages = [{"name": "page", "data": {"page": number}} for number in (1, 2)]
    flow = await queue.add_flow({"name": "report", "children": pages})
    exhibits.append(Exhibit("report", tr("a flow: waits for its two pages"), flow.id, _returned(300)))
    await add("broken", tr("fails for good: a dead letter"), lambda job: job.attempts_made == 2, {"invoice": 4711})
    exhibits.append(ScheduleExhibit("tick", tr("a schedule, every 2 s"), "", lambda _: True, facts=facts))
    return exhibits


def _returned(value: Any) -> Callable[[StoredJob], bool]:
    return lambda job: job.failed_reason is None and job.returnvalue == value


def _was_delayed(job: StoredJob) -> bool:
    return (job.processed_on_ms or 0) - job.timestamp_ms >= _DELAY_SECONDS * 1000


def _detail(job: StoredJob, state: str) -> str:
    if state == "completed":
        times = tr(", attempt {number}", number=job.attempts_made) if job.attempts_made > 1 else ""
        return f"{json.dumps(job.returnvalue)}{times}"
    if state == "failed":
        return tr("{reason}, after {count} attempts", reason=job.failed_reason, count=job.attempts_made)
    if state == "delayed" and job.attempts_made:
        return tr("attempt {number} failed: {reason}", number=job.attempts_made, reason=job.failed_reason)
    return f"{job.progress} %" if job.progress else ""
