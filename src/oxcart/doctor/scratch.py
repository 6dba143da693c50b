"""Does a job really get through? A scratch queue, the real scripts, each step timed, and no key left behind."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from oxcart.clock import now_ms
from oxcart.connection.link import Link
from oxcart.connection.server import Server
from oxcart.errors import OxcartError, ServerRefused
from oxcart.language import tr
from oxcart.protocol.codec import encode
from oxcart.protocol.exchange import KEEP_ALL, Item, ItemHead, Reply, exchange_command, read_reply
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.renew import RENEWED, HeldLock, renew_command
from oxcart.protocol.scripts import Command, ours
from oxcart.queue.inspect import pairs, text
from oxcart.queue.producer import Queue
from oxcart.queue.repeats import Repeat

Answer = TypeVar("Answer")

PREFIX = "oxcart-doctor-"

_LOCK_MS = 30_000
_STEP_SECONDS = 5.0
_LIFE_SECONDS = 120  # what a kill -9 leaves behind ends by itself
_DELAY_SECONDS = 0.2
_SCHEDULE = "doctor"


class StepFailed(Exception):  # noqa: N818 - an outcome: the scripts answered, but not as they must
    """`step` names what was tried, the message what was seen."""

    def __init__(self, step: str, seen: str) -> None:
        self.step = step
        super().__init__(seen)


@dataclass(slots=True)
class ScratchQueue:
    """One queue of our own. `took_ms` is filled step by step, in order."""

    queue: Queue
    link: Link
    token: str = field(default_factory=lambda: f"doctor-{secrets.token_hex(8)}:1")
    took_ms: dict[str, float] = field(default_factory=dict)

    @property
    def keys(self) -> QueueKeys:
        return self.queue.keys

    async def all_keys(self, link: Link) -> list[str]:
        """Every key that can exist: those of the queue, of the jobs in it, and of its schedule."""
        keys = self.keys
        lists = [("LRANGE", key, 0, -1) for key in (keys.wait, keys.active, keys.paused)]
        sets = [("ZRANGE", key, 0, -1) for key in (keys.delayed, keys.prioritized, keys.completed, keys.failed)]
        replies = await link.requests([*lists, *sets], deadline_seconds=_STEP_SECONDS)
        found = {text(job_id) for reply in replies if isinstance(reply, list) for job_id in reply}
        names = [getattr(keys, name) for name in _QUEUE_KEYS]
        for job_id in (*_JOB_IDS, *found):
            names += [keys.job(job_id), keys.lock(job_id), keys.logs(job_id)]
        return [*names, keys.scheduler(_SCHEDULE), keys.metrics("completed"), keys.metrics("failed")]

    async def step(self, name: str, doing: Awaitable[Answer]) -> Answer:
        """Await it under a deadline and note how long it took."""
        began = time.perf_counter()
        async with asyncio.timeout(_STEP_SECONDS):
            answer = await doing
        self.took_ms[name] = (time.perf_counter() - began) * 1000
        return answer

    async def let_expire(self) -> None:
        commands: list[Command] = [("EXPIRE", key, _LIFE_SECONDS) for key in await self.all_keys(self.link)]
        await self.link.requests(commands, deadline_seconds=_STEP_SECONDS)

    async def run(self, command: Command, script: str) -> Any:
        """A script by its SHA-1, or whole where the server does not know it."""
        try:
            return await self.link.request(*command, deadline_seconds=_STEP_SECONDS)
        except ServerRefused as error:
            if error.failure.code != "NOSCRIPT":
                raise
        return await self.link.request("EVAL", ours(script).source, *command[2:], deadline_seconds=_STEP_SECONDS)

    async def exchange(self, *, room: int, items: tuple[Item, ...] = ()) -> tuple[Reply, int]:
        now = now_ms()
        command = exchange_command(
            self.keys, now_ms=now, token=self.token, lock_ms=_LOCK_MS, room=room, items=items, policies=(KEEP_ALL,)
        )
        return read_reply(await self.run(command, "exchange")), now


@dataclass(frozen=True)
class _Claimed:
    """A job that an exchange handed out, as its end has to name it."""

    job_id: bytes
    ats: int
    fields: int
    processed_on_ms: int

    @classmethod
    def of(cls, reply: Reply, now: int) -> list[_Claimed]:
        return [cls(job_id, run.ats, run.fields, now) for run in reply.runs for job_id in run.job_ids]


_JOB_IDS = ("doctor-1", "doctor-2")
_QUEUE_KEYS = (
    "wait", "active", "paused", "meta", "id", "completed", "failed", "delayed", "prioritized", "waiting_children",
    "events", "marker", "stalled", "stalled_check", "limiter", "pc", "repeat",
)  # fmt: skip


@asynccontextmanager
async def scratch_queue(server: Server, prefix: str) -> AsyncIterator[ScratchQueue]:
    """A queue that nobody else knows; its keys are removed at the end, also when that is Ctrl-C."""
    link = server.link("doctor-scratch")
    name = f"{PREFIX}{secrets.token_hex(6)}"
    async with Queue(name, prefix=prefix, server=server) as queue:
        scratch = ScratchQueue(queue, link)
        try:
            yield scratch
        finally:
            await _remove(scratch, server)
            link.close()


async def _remove(scratch: ScratchQueue, server: Server) -> None:
    """On the link that is open, else on a new one. If the server is away for good, the keys expire."""
    for link in (scratch.link, server.link("doctor-cleaning")):
        try:
            async with asyncio.timeout(_STEP_SECONDS):
                await link.request("UNLINK", *await scratch.all_keys(link), deadline_seconds=_STEP_SECONDS)
                return
        except (OxcartError, TimeoutError):
            continue
        finally:
            link.close()


async def exercise(scratch: ScratchQueue) -> None:
    """Take one job through its whole life, then a delayed one and a schedule's.

    Raises StepFailed for an answer that must not be, TimeoutError, Unavailable, ServerRefused.
    """
    claimed = await _claim(scratch)
    await _renew(scratch, claimed)
    await _finish(scratch, claimed)
    await _delayed(scratch)
    await _schedule(scratch)


async def _claim(scratch: ScratchQueue) -> _Claimed:
    added = await scratch.step("add", scratch.queue.add("doctor", {"n": 1}, job_id=_JOB_IDS[0]))
    await scratch.let_expire()
    popped = await scratch.step("marker", scratch.link.request("BZPOPMIN", scratch.keys.marker, 1))
    if popped is None:
        raise StepFailed("marker", tr("an added job woke nobody: the marker was not set"))
    reply, now = await scratch.step("claim", scratch.exchange(room=1))
    claimed = _Claimed.of(reply, now)
    if [text(each.job_id) for each in claimed] != [added.id]:
        raise StepFailed("claim", f"the job that was added was not handed out; notes: {reply.notes!r}"[:200])
    lock = await scratch.step("lock", scratch.link.request("GET", scratch.keys.lock(added.id)))
    if lock is None or text(lock) != scratch.token:
        raise StepFailed("lock", tr("the claim has no lock, or another's"))
    return claimed[0]


async def _renew(scratch: ScratchQueue, claimed: _Claimed) -> None:
    held = HeldLock(claimed.job_id, scratch.token, claimed.ats, claimed.processed_on_ms, 0)
    command = renew_command(scratch.keys, [held], _LOCK_MS)
    statuses = await scratch.step("renew", scratch.run(command, "renew"))
    if list(statuses) != [RENEWED]:
        raise StepFailed("renew", tr("the lock was not renewed: {statuses!r}", statuses=statuses))


async def _finish(scratch: ScratchQueue, claimed: _Claimed, *, step: str = "finish") -> None:
    head = ItemHead(scratch.token, claimed.ats, claimed.processed_on_ms, 0, claimed.fields, "c", 1, "", "")
    item = Item(claimed.job_id, encode("ok"), head)
    reply, _ = await scratch.step(step, scratch.exchange(room=0, items=(item,)))
    if reply.statuses:  # none: it was written
        raise StepFailed(step, tr("the job was not finished: {statuses!r}", statuses=reply.statuses))
    events = await scratch.step("event", scratch.link.request("XRANGE", scratch.keys.events, "-", "+"))
    told = [pairs(fields) for _, fields in events]
    wanted = text(claimed.job_id)
    if not any(event.get("event") == "completed" and event.get("jobId") == wanted for event in told):
        raise StepFailed("event", tr("the end of the job was not told in the stream of events"))


async def _delayed(scratch: ScratchQueue) -> None:
    began = time.monotonic()
    added = await scratch.step(
        "add-delayed", scratch.queue.add("doctor", {"n": 2}, job_id=_JOB_IDS[1], delay_seconds=_DELAY_SECONDS)
    )
    await scratch.let_expire()
    claimed = await scratch.step("delayed", _wait_for(scratch, added.id))
    if time.monotonic() - began < _DELAY_SECONDS * 0.9:
        raise StepFailed(
            "delayed", tr("a job with a delay of {seconds:g} s was handed out before its time", seconds=_DELAY_SECONDS)
        )
    await _finish(scratch, claimed, step="finish-delayed")


async def _wait_for(scratch: ScratchQueue, job_id: str) -> _Claimed:
    while True:
        reply, now = await scratch.exchange(room=1)
        for claimed in _Claimed.of(reply, now):
            if text(claimed.job_id) == job_id:
                return claimed
        await asyncio.sleep(max(0.01, min(0.1, (reply.next_due_ms - now_ms()) / 1000)))


async def _schedule(scratch: ScratchQueue) -> None:
    """The first job of a schedule that is due every hour: it must exist, and leave with the schedule."""
    queue = scratch.queue
    repeat = Repeat(every_seconds=3600)
    job_id = await scratch.step("schedule", queue.upsert_schedule(_SCHEDULE, repeat, name="doctor"))
    if job_id is None:
        raise StepFailed("schedule", tr("the schedule has no next job"))
    await scratch.let_expire()
    if [schedule.id for schedule in await queue.schedules()] != [_SCHEDULE] or await queue.get(job_id) is None:
        raise StepFailed("schedule", tr("the schedule or its job is not where it was put"))
    with contextlib.suppress(OxcartError):  # its keys are removed anyway
        await queue.remove_schedule(_SCHEDULE)


def in_one_line(took_ms: dict[str, float]) -> str:
    """As in: add 1, claim 2, … ms."""
    steps = ", ".join(f"{name} {milliseconds:.0f}" for name, milliseconds in took_ms.items())
    return tr("{steps} ms", steps=steps)
