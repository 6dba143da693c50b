"""How does a BullMQ worker for Node behave? Its own scripts, in the order in which its worker.ts calls them.

A model, not Node: one marker wait, fetch with each finish, locks extended by half of their time, a stalled check by
timer. What it does wrong (a success whose lock ended is lost) it does here, too, and is no violation of ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from oxcart import clock
from oxcart.connection.server import Server
from oxcart.connection.target import RedisTarget
from oxcart.errors import OxcartError, Unavailable
from oxcart.protocol.codec import pack
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import run_script, upstream
from oxcart.queue.advance_schedules import advance_schedule
from simulation.fleet import Note, Work, run_in
from simulation.loop import Actor, VirtualLoop
from simulation.schedule import Place

_RETRY_SECONDS = 5.0
_BLOCK_SECONDS = 5.0


class NodeProcess:
    """One life of a Node worker: one Worker object a queue, as in Node."""

    def __init__(
        self, actor: Actor, life: str, place: Place, queues: list[str], work: Work, note: Note, loop: VirtualLoop
    ) -> None:
        self.actor = actor
        self.life = life
        self.place = place
        self.stopped = False
        self.worker_id = ""
        self._work = work
        self._note = note
        self._loop = loop
        self._queues = queues
        self._workers: list[_NodeWorker] = []

    def start(self) -> None:
        async def begin() -> None:
            self.worker_id = clock.new_uuid().hex
            server = Server(RedisTarget(self.place.name))
            self._note(self.place.name, "started", worker=self.worker_id, life=self.life, names=None, node=True)
            for position, queue in enumerate(self._queues):
                worker = _NodeWorker(server, queue, self.place, f"{self.worker_id}:{position}", self._work)
                self._workers.append(worker)
                for loop in (worker.main(), worker.extend(), worker.check()):
                    self._loop.create_task(loop)

        run_in(self.actor, self._loop, begin)

    def drain(self) -> None:
        async def close() -> None:
            self._note(self.place.name, "stopping")
            for worker in self._workers:
                worker.closing = True
            while any(worker.jobs for worker in self._workers):  # noqa: ASYNC110 - it asks anew each time
                await asyncio.sleep(0.1)
            for worker in self._workers:
                await worker.server.close()
            self.stopped = True
            self._note(self.place.name, "stopped", held=0, undelivered=0)

        run_in(self.actor, self._loop, close)

    is_idle = False


class _NodeWorker:
    def __init__(self, server: Server, queue: str, place: Place, token: str, work: Work) -> None:
        self.server = server
        self.keys = QueueKeys(queue)
        self.place = place
        self.closing = False
        self.jobs: dict[str, tuple[str, float]] = {}
        self._token = token
        self._tokens = 0
        self._work = work
        self._link = server.link("node")
        self._blocking = server.link("node blocking")
        self._slots = asyncio.Semaphore(place.concurrency)

    async def _run(self, script: str, keys: tuple[str, ...], args: tuple[Any, ...]) -> Any:
        return await run_script(self._link, upstream(script), keys, args)

    async def _until_answered(self, script: str, keys: tuple[str, ...], args: tuple[Any, ...]) -> Any:
        """retryIfFailed: again for as long as the connection is what failed."""
        while True:
            try:
                return await self._run(script, keys, args)
            except Unavailable:
                if self.server.is_closed:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)

    def _is_closing(self) -> bool:
        return self.closing

    def _now(self) -> int:
        return self.server.clock.now_ms()

    # -------------------------------------------------------------------------------------------- fetching
    async def main(self) -> None:
        drained, block_until = False, 0
        while not self._is_closing():
            await self._slots.acquire()
            try:
                if drained:
                    seconds = (
                        max(0.05, min(10.0, (block_until - self._now()) / 1000)) if block_until else _BLOCK_SECONDS
                    )
                    popped = await self._blocking.request(
                        "BZPOPMIN", self.keys.marker, seconds, deadline_seconds=seconds + 5
                    )
                    until = int(float(popped[2])) if popped else 0
                    if until > self._now():
                        block_until = until
                        self._slots.release()
                        continue
                if self._is_closing():
                    break
                self._tokens += 1
                token = f"{self._token}:{self._tokens}"
                answer = await self._run(
                    "moveToActive", self._active_keys(), (self.keys.base, self._now(), self._options(token))
                )
            except OxcartError:
                self._slots.release()
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            job, limit_ms, block_until = _read(answer)
            drained = job is None
            if job is None:
                self._slots.release()
                if limit_ms > 0:
                    await asyncio.sleep(min(limit_ms / 1000, 10.0))
            else:
                asyncio.get_running_loop().create_task(self._process_all(job, token))

    def _options(self, token: str) -> bytes:
        return pack({"token": token, "lockDuration": self.place.lock_ms})

    def _active_keys(self) -> tuple[str, ...]:
        k = self.keys
        return (
            k.wait, k.active, k.prioritized, k.events, k.stalled, k.limiter, k.delayed, k.paused, k.meta, k.pc,
            k.marker,
        )  # fmt: skip

    # -------------------------------------------------------------------------------------------- running
    async def _process_all(self, job: dict[str, str], token: str) -> None:
        """A job, and the one that its finish brings, and so on."""
        try:
            current: dict[str, str] | None = job
            while current is not None:
                current = await self._process(current, token)
        finally:
            self._slots.release()

    async def _process(self, job: dict[str, str], token: str) -> dict[str, str] | None:
        job_id, made = job["id"], int(job.get("atm", 0))
        self.jobs[job_id] = (token, clock.monotonic())
        options = json.loads(job.get("opts", "{}"))
        failed, discards = None, False
        if "rjk" in job:
            with contextlib.suppress(OxcartError):
                await advance_schedule(
                    self._link, self.keys, job["rjk"], job_id, raw_opts=job["opts"].encode(), now_ms=self._now()
                )
        try:
            if "defa" in job:
                failed, discards = job["defa"], True
            else:
                plan = json.loads(job["data"])
                plan.pop("k", None)
                value = await self._work.run(self.place.name, self.keys.name, job_id, token, made, plan, None)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            failed = str(error)
        self.jobs.pop(job_id, None)
        with contextlib.suppress(OxcartError):
            if failed is None:
                return await self._finish(job_id, token, "completed", "returnvalue", json.dumps(value), options)
            if discards or made + 1 >= options.get("attempts", 1):
                return await self._finish(job_id, token, "failed", "failedReason", failed, options)
            backoff = options.get("backoff") or {}
            backoff = backoff if isinstance(backoff, dict) else {"type": "fixed", "delay": backoff}
            delay = int(backoff.get("delay", 0)) * (2**made if backoff.get("type") == "exponential" else 1)
            await self._again(job_id, token, delay)
        return None

    async def _finish(
        self, job_id: str, token: str, state: str, field: str, value: str, options: dict[str, Any]
    ) -> dict[str, str] | None:
        k = self.keys
        packed = pack(
            {
                "token": token, "keepJobs": {"count": -1}, "lockDuration": self.place.lock_ms,
                "attempts": options.get("attempts", 1), "maxMetricsSize": "", "fpof": bool(options.get("fpof")),
            }
        )  # fmt: skip
        keys = (
            k.wait, k.active, k.prioritized, k.events, k.stalled, k.limiter, k.delayed, k.paused, k.meta, k.pc,
            k.state(state), k.job(job_id), k.metrics(state), k.marker,
        )  # fmt: skip
        fetch = "" if self.closing else "1"
        answer = await self._until_answered(
            "moveToFinished", keys, (job_id, self._now(), field, value, state, fetch, k.base, packed, "")
        )
        return _read(answer)[0] if isinstance(answer, list) else None

    async def _again(self, job_id: str, token: str, delay_ms: int) -> None:
        k = self.keys
        fields = pack(["failedReason", "no", "stacktrace", "[]"])
        if delay_ms:
            keys: tuple[str, ...] = (
                k.marker, k.active, k.prioritized, k.delayed, k.job(job_id), k.events, k.meta, k.stalled, k.wait,
                k.limiter, k.pc,
            )  # fmt: skip
            args = (k.base, self._now(), job_id, token, delay_ms, "0", fields, "0")
            await self._until_answered("moveToDelayed", keys, args)
        else:
            keys = (
                k.active, k.wait, k.paused, k.job(job_id), k.meta, k.events, k.delayed, k.prioritized, k.pc, k.marker,
                k.stalled,
            )  # fmt: skip
            await self._until_answered("retryJob", keys, (k.base, self._now(), "LPUSH", job_id, token, fields))

    # -------------------------------------------------------------------------------------------- by time
    async def extend(self) -> None:
        renew_seconds = self.place.lock_ms / 2000
        while not self.server.is_closed:
            await asyncio.sleep(renew_seconds / 2)
            now = clock.monotonic()
            due = {job_id: token for job_id, (token, at) in self.jobs.items() if now - at > renew_seconds / 2}
            if due:
                for job_id, token in due.items():
                    self.jobs[job_id] = (token, now)  # as Node does, before it knows
                args = (self.keys.base, pack([*due.values()]), pack([*due]), self.place.lock_ms)
                with contextlib.suppress(OxcartError):
                    await self._run("extendLocks", (self.keys.stalled,), args)

    async def check(self) -> None:
        k = self.keys
        keys = (k.stalled, k.wait, k.active, k.stalled_check, k.meta, k.paused, k.marker, k.events, k.repeat)
        while not self.closing:
            with contextlib.suppress(OxcartError):
                await self._run("moveStalledJobsToWait", keys, (3, k.base, self._now(), self.place.stalled_ms))
            await asyncio.sleep(self.place.stalled_ms / 1000)


def _read(answer: Any) -> tuple[dict[str, str] | None, int, int]:
    """The job with its id, for how long the queue is limited, and when the next delayed one is due."""
    fields, job_id, limit_ms, delay_until = [*answer, None, None, None, None][:4]
    if not fields:
        return None, int(limit_ms or 0), int(float(delay_until or 0))
    values = [value.decode() for value in fields]
    return {**dict(zip(values[::2], values[1::2], strict=True)), "id": job_id.decode()}, 0, 0
