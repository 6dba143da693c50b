"""Who takes part? Workers of ours, as they are, in a process that can die; and users with a queue in their hands."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from oxcart import Oxcart, Queue
from oxcart.connection.server import Server
from oxcart.connection.target import RedisTarget
from oxcart.errors import AddFailed, Discard, OxcartError, RateLimited, Snooze, Unavailable
from oxcart.job import Job
from oxcart.protocol.scripts import upstream
from oxcart.queue.repeats import Repeat
from oxcart.settings import KeepPolicy, QueueShare, WorkerSettings
from oxcart.telemetry.events import (
    Event,
    JobAbandoned,
    JobsStalled,
    JobUnconfirmed,
    RedisLost,
    RedisReady,
    WarningRaised,
)
from oxcart.worker.attempt import Attempt
from oxcart.worker.runtime import Worker
from simulation.loop import Actor, VirtualLoop
from simulation.schedule import Place, Step

Note = Callable[..., None]
_KEEP_ALL = KeepPolicy(-1, -1)
_TOLD = (JobAbandoned, JobsStalled, JobUnconfirmed, RedisLost, RedisReady, WarningRaised)


class HandlerFailed(Exception):
    """What a handler raises that is to fail."""


class Work:
    """What handlers do, and what the world outside knows of it: it survives every process."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self.asked: set[str] = set()

    async def run(
        self, place: str, queue: str, job_id: str, token: str, attempts_made: int, plan: Any, job: Any
    ) -> Any:
        """One execution of a handler, as its data say."""
        facts = {"queue": queue, "job": job_id, "token": token}
        self._note(place, "began", **facts)
        try:
            if plan.get("p") and job is not None:
                await job.progress(50)
                await job.log("half")
            if plan["s"]:
                await asyncio.sleep(plan["s"])
            self._ask_for(plan.get("k"), f"{queue}:{job_id}")
            if attempts_made < plan.get("f", 0):
                raise HandlerFailed("no")
        except asyncio.CancelledError:
            self._note(place, "ended", **facts, how="cancelled")
            raise
        except (Snooze, RateLimited) as error:
            self._note(place, "ended", **facts, how=type(error).__name__)
            raise
        except Exception as error:
            self._note(place, "ended", **facts, how="discarded" if isinstance(error, Discard) else "failed")
            raise
        self._note(place, "ended", **facts, how="ok")
        return plan["n"]

    def _ask_for(self, what: str | None, who: str) -> None:
        if what is None or who in self.asked:
            return
        self.asked.add(who)
        match what:
            case "snooze":
                raise Snooze(2)
            case "limit":
                raise RateLimited(1.5)
            case "discard":
                raise Discard("not worth it")


class OxcartProcess:
    """One life of a worker at its place."""

    def __init__(
        self, actor: Actor, life: str, place: Place, queues: list[str], work: Work, note: Note, loop: VirtualLoop
    ) -> None:
        self.actor = actor
        self.life = life
        self.place = place
        self.worker: Worker | None = None
        self.server: Server | None = None
        self.stopped = False
        self._queues = queues
        self._work = work
        self._note = note
        self._loop = loop

    def start(self) -> None:
        run_in(self.actor, self._loop, self._start)

    async def _start(self) -> None:
        place = self.place
        app = Oxcart()
        for name in place.names:
            app.job(name)(self._handler)
        settings = WorkerSettings(
            queues=tuple(QueueShare(name, None) for name in self._queues),
            concurrency=place.concurrency,
            lock_duration_ms=place.lock_ms,
            stalled_interval_ms=place.stalled_ms,
            shutdown_grace_seconds=place.grace_seconds,
            keep_completed=_KEEP_ALL,
            keep_failed=_KEEP_ALL,
            unknown_jobs="leave",
        )
        self.server = Server(RedisTarget(place.name), self._told)
        self.worker = Worker(self.server, app.handlers, settings, self._told, version="0")
        self._note(place.name, "started", worker=self.worker.worker_id, life=self.life, names=place.names)
        await self.worker.start()

    async def _handler(self, job: Job[Any]) -> Any:
        attempt = job._attempt
        assert isinstance(attempt, Attempt)
        claim = attempt.claim  # which one it is, is what we check
        return await self._work.run(
            self.place.name, job.queue_name, job.id, claim.shared.token, job.attempts_made, job.data, job
        )

    def _told(self, event: Event) -> None:
        if isinstance(event, _TOLD):
            code = getattr(event, "code", None) or getattr(getattr(event, "failure", None), "code", None)
            self._note(self.place.name, type(event).__name__, code=code, job=getattr(event, "job_id", None))

    def drain(self) -> None:
        async def stop() -> None:
            if self.worker is not None and self.server is not None:
                self._note(self.place.name, "stopping")
                await self.worker.stop("SIGTERM")
                left = self.worker._dispatch
                self._note(self.place.name, "stopped", held=left.held, undelivered=left.undelivered)
                await self.server.close()
            self.stopped = True

        run_in(self.actor, self._loop, stop)

    @property
    def is_idle(self) -> bool:
        """It would take one more job."""
        if self.worker is None or self.stopped:
            return False
        dispatch = self.worker._dispatch
        return (
            not dispatch.stopping
            and not dispatch.holds_back
            and dispatch.busy < dispatch.concurrency
            and not any(queue.giving_back or queue.limited_here_until > self._loop.time() for queue in dispatch.queues)
        )


def run_in(actor: Actor, loop: VirtualLoop, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Start it as a task of that process."""
    loop.call_soon(lambda: loop.create_task(work()), context=actor.context.copy())


# ------------------------------------------------------------------------------------------------ users
class User:
    """A producer and operator: one process with a Queue for each queue, which is asked many things at once."""

    def __init__(self, actor: Actor, queues: list[str], note: Note, loop: VirtualLoop) -> None:
        self.actor = actor
        self.queues: dict[str, Queue] = {}
        self.ids: dict[tuple[str, int], str] = {}
        self._names = queues
        self._note = note
        self._loop = loop

    def start(self) -> None:
        async def open_all() -> None:
            server = Server(RedisTarget(self.actor.name))
            for name in self._names:
                self.queues[name] = await Queue(name, server=server).__aenter__()

        run_in(self.actor, self._loop, open_all)

    def use(self, step: Step) -> None:
        run_in(self.actor, self._loop, partial(self._use, step))

    async def _use(self, step: Step) -> None:
        queue, number = self.queues[step["queue"]], step.get("n")
        asked = {name: value for name, value in step.items() if name in {"do", "queue", "n", "children"}}
        self._note(self.actor.name, "asked", **asked)
        try:
            answer = await self._call(queue, step)
        except AddFailed as error:
            first = step["first"]
            self._note(
                self.actor.name, "answered", **asked, error="AddFailed",
                ids=list(error.added), unknown=[f"m{first + at}" for at in error.unknown],
                not_sent=[f"m{first + at}" for at in error.not_sent],
            )  # fmt: skip
        except OxcartError as error:
            unknown = error.outcome_unknown if isinstance(error, Unavailable) else False
            failure = getattr(error, "failure", None)
            code = failure.code if failure is not None else type(error).__name__
            self._note(self.actor.name, "answered", **asked, id=step.get("id"), error=code, outcome_unknown=unknown)
        else:
            if number is not None and answer:
                self.ids[step["queue"], number] = answer[0]
            self._note(self.actor.name, "answered", **asked, ids=answer)

    async def _call(self, queue: Queue, step: Step) -> list[str]:
        number = step.get("n", 0)
        job_id = self.ids.get((step["queue"], number), f"j{number}")
        match step["do"]:
            case "add" if step.get("children"):
                plan = data_of(step)
                children = [
                    {
                        "name": "a",
                        "data": {**plan, "n": number * 1000 + at},
                        "options": {"on_failure": step["if_fails"]},
                    }
                    for at in range(step["children"])
                ]
                flow = await queue.add_flow({"name": step["name"], "data": plan, "children": children})
                return [flow.id, *(child.id for child in flow.children)]
            case "add":
                options = dict(step.get("options", {}))
                if "id" in step:
                    options["job_id"] = step["id"]
                return [(await queue.add(step["name"], data_of(step), **options)).id]
            case "many":
                first = step["first"]
                items = [("a", {"n": n, "s": 0}, {"job_id": f"m{n}"}) for n in range(first, first + step["count"])]
                return [added.id for added in await queue.add_many(items)]
            case "pause" | "pause5":
                await self._pause(queue, step["seconds"], is_old=step["do"] == "pause5")
            case "remove":
                await queue.remove(job_id)
            case "retry":
                await queue.retry(job_id)
            case "cancel":
                await queue.cancel(job_id)
            case "concurrency":
                await queue.set_global_concurrency(step["most"])
                await asyncio.sleep(step["seconds"])
                await queue.set_global_concurrency(None)
            case "rate":
                await queue.set_rate_limit(step["most"], duration_seconds=step["per"])
                await asyncio.sleep(step["seconds"])
                await queue.set_rate_limit(None)
            case "every":
                await queue.upsert_schedule("s", Repeat(every_seconds=step["every"]), name="a", data={"n": 0, "s": 0})
                await asyncio.sleep(step["seconds"])
                await queue.remove_schedule("s")
            case "obliterate":
                await queue.pause()
                try:
                    await queue.obliterate()
                finally:
                    await queue.resume()
        return []

    async def _pause(self, queue: Queue, seconds: float, *, is_old: bool) -> None:
        if not is_old:
            await queue.pause()
            await asyncio.sleep(seconds)
            await queue.resume()
            return
        k, channel = queue.keys, queue.channel
        for source, target, event in ((k.wait, k.paused, "paused"), (k.paused, k.wait, "resumed")):
            keys = (source, target, k.meta, k.prioritized, k.events, k.delayed, k.marker)
            await channel.run("pause", upstream("pause"), keys, (event, "1"), repeatable=True)
            await asyncio.sleep(seconds if event == "paused" else 0)

    async def put_right(self, name: str) -> None:
        """Undo what was not undone: an outage may have been in the way."""
        queue = self.queues[name]
        for undo in (
            queue.resume,
            lambda: queue.set_global_concurrency(None),
            lambda: queue.set_rate_limit(None),
            lambda: queue.remove_schedule("s"),
        ):
            with contextlib.suppress(OxcartError):
                await undo()


def data_of(step: Step) -> dict[str, Any]:
    plan: dict[str, Any] = {"n": step["n"], "s": step["run"]}
    if step.get("fails"):
        plan["f"] = step["fails"]
    if "asks" in step:
        plan["k"] = step["asks"]
    if step.get("reports"):
        plan["p"] = 1
    return plan
