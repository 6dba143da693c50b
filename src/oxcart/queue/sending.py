"""How do new jobs get to the server exactly once, when a reply may be lost? Sends, looks again, sends what is missing.

Every job has its id before it is sent. After an unanswered try we look for the jobs, and for their own `added` events
since the first try, before sending again: a job that has been run and removed meanwhile is not added twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from oxcart import clock
from oxcart.connection.failures import classify
from oxcart.errors import AddFailed, OxcartError, ServerRefused, Unavailable
from oxcart.language import tr
from oxcart.protocol import codec
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import ScriptCall, ours, run_script
from oxcart.queue.adding import CHUNK_BYTES, CHUNK_JOBS, NewJob, many_call, refusal, reschedule_call, upstream_call
from oxcart.queue.channel import Channel

_SPECIAL_JOBS = 100
"""Jobs with a parent or deduplication take a script call each; so many share a round trip."""

_THERE, _ADDED = 0, 1
_TOLD = 2
"""By find_added.lua: its own `added` event is there."""


class Stored(NamedTuple):
    """What an add came to. Not new: a job of this id was there, or it was deduplicated into the one named."""

    id: str
    is_new: bool


def _always(_position: int) -> bool:
    return True


@dataclass(slots=True)
class Delivery:
    """Some jobs on their way. `answers` has, per position, the stored job or what the server refused. A job that is no
    longer wanted is not sent again. `may_be_stored`: a call was made whose answer is still to come, or was lost.
    """

    channel: Channel
    doing: str
    jobs: Sequence[NewJob]
    is_wanted: Callable[[int], bool] = _always
    answers: dict[int, Stored | OxcartError] = field(default_factory=dict)
    may_be_stored: bool = False
    _first_try: float | None = None

    async def attempt(self, deadline_seconds: float) -> None:
        was_lost, self.may_be_stored = self.may_be_stored, True
        try:
            await self._attempt(deadline_seconds)
        except Unavailable as error:
            self.may_be_stored = was_lost or error.outcome_unknown
            raise

    async def _attempt(self, deadline_seconds: float) -> None:
        if self._first_try is None:
            self._first_try = clock.monotonic()
        else:
            await self._look_for_lost_replies(self._first_try, deadline_seconds)
        missing = [at for at in range(len(self.jobs)) if at not in self.answers and self.is_wanted(at)]
        plain = [at for at in missing if self.jobs[at].is_plain]
        special = [at for at in missing if not self.jobs[at].is_plain]
        if plain:
            await self._send_plain(plain, deadline_seconds)
        if special:
            await self._send_special(special, deadline_seconds)

    async def _look_for_lost_replies(self, first_try: float, deadline_seconds: float) -> None:
        ids = [job.id for job in self.jobs]
        found = await find_added(self.channel, self.channel.keys, ids, first_try, deadline_seconds)
        for position, job in enumerate(self.jobs):
            if job.id in found:
                is_ours = found[job.id] or job.options.job_id is None
                self.answers.setdefault(position, Stored(job.id, is_ours))

    async def _send_plain(self, positions: Sequence[int], deadline_seconds: float) -> None:
        call = many_call(self.channel.keys, [self.jobs[at] for at in positions])
        statuses = await run_script(
            self.channel.link, call.script, call.keys, call.args, deadline_seconds=deadline_seconds
        )
        for position, status in zip(positions, statuses, strict=True):
            if status in {_THERE, _ADDED}:
                self.answers[position] = Stored(self.jobs[position].id, status == _ADDED)
            else:
                refused = ResponseError(status.decode(errors="backslashreplace"))
                self.answers[position] = ServerRefused(classify(refused), self.doing)

    async def _send_special(self, positions: Sequence[int], deadline_seconds: float) -> None:
        calls: list[ScriptCall] = []
        for position in positions:
            job = self.jobs[position]
            push = "RPUSH" if job.options.lifo else "LPUSH"
            behind = reschedule_call(self.channel.keys, job) or self.channel.follow_pause(push, [job.id])
            calls += (upstream_call(self.channel.keys, job), behind)
        replies = await self.channel.send_all(calls, deadline_seconds)
        for position, reply in zip(positions, replies[::2], strict=True):
            self.answers[position] = self._special_answer(self.jobs[position], reply)

    def _special_answer(self, job: NewJob, reply: Any) -> Stored | OxcartError:
        if isinstance(reply, ResponseError):
            return ServerRefused(classify(reply), self.doing)
        answer, was_there = reply
        if isinstance(answer, int):
            return refusal(self.doing, job, answer)
        job_id = str(answer.decode())
        return Stored(job_id, job_id == job.id and not was_there)


def adding(channel: Channel, job: NewJob) -> str:
    """The first part of what is said when it fails."""
    return tr('Adding "{name}" to queue {queue}', name=job.name[:60], queue=channel.keys.name)


async def add_job(channel: Channel, job: NewJob, deadline_seconds: float) -> Stored:
    """Add one job.

    Raises Unavailable, ServerRefused, JobNotFound (its parent), StateConflict.
    """
    delivery = Delivery(channel, adding(channel, job), [job])
    await channel.persist(delivery.doing, delivery.attempt, repeatable=True, deadline_seconds=deadline_seconds)
    answer = delivery.answers[0]
    if isinstance(answer, OxcartError):
        raise answer
    return answer


async def add_jobs(channel: Channel, jobs: Sequence[NewJob], deadline_seconds: float) -> list[Stored]:
    """Add many; returns them in order. `deadline_seconds` bounds each round trip, not the whole.

    Raises AddFailed, after the first round trip that did not get through.
    """
    stored: list[Stored] = []
    doing = tr("Adding {count} jobs to queue {queue}", count=len(jobs), queue=channel.keys.name)
    for start, chunk in _chunks(jobs):
        delivery = Delivery(channel, doing, chunk)
        try:
            await channel.persist(doing, delivery.attempt, repeatable=True, deadline_seconds=deadline_seconds)
        except (Unavailable, ServerRefused) as error:
            raise _stopped(error, stored, start, delivery, len(jobs)) from error
        refused = [answer for answer in delivery.answers.values() if isinstance(answer, OxcartError)]
        if refused:
            raise _stopped(refused[0], stored, start, delivery, len(jobs)) from refused[0]
        stored += (one for at in range(len(chunk)) if isinstance(one := delivery.answers[at], Stored))
    return stored


async def find_added(
    channel: Channel, keys: QueueKeys, ids: Sequence[str], first_try: float, deadline_seconds: float
) -> dict[str, bool]:
    """Those of these jobs that are there, or were added since `first_try` (clock.monotonic): whether that was told."""
    since_ms = int((clock.monotonic() - first_try) * 1000) + 1000  # a second for the rounding of two clocks
    args = (keys.base, since_ms, codec.pack(list(ids)))
    found = await run_script(channel.link, ours("find_added"), (keys.events,), args, deadline_seconds=deadline_seconds)
    return {job_id: how == _TOLD for job_id, how in zip(ids, found, strict=True) if how}


def _stopped(error: OxcartError, stored: list[Stored], start: int, delivery: Delivery, total: int) -> AddFailed:
    """What is known when add_jobs stops: ids that are stored, positions that may be, positions that are not."""
    answers = delivery.answers
    chunk = range(len(delivery.jobs))
    stored = stored + [answer for position in chunk if isinstance(answer := answers.get(position), Stored)]
    added = [one.id for one in stored]
    silent = [start + position for position in chunk if position not in answers]
    refused = [start + position for position in chunk if isinstance(answers.get(position), OxcartError)]
    rest = list(range(start + len(delivery.jobs), total))
    unknown = silent if isinstance(error, Unavailable) and error.outcome_unknown else []
    not_sent = sorted(refused + ([] if unknown else silent) + rest)
    return AddFailed(
        f"{error} Of {total} jobs {len(added)} were added, {len(unknown)} may have been, {len(not_sent)} were not; "
        "see .added, .unknown and .not_sent.",
        added,
        unknown,
        not_sent,
    )


def _chunks(jobs: Sequence[NewJob]) -> Iterator[tuple[int, Sequence[NewJob]]]:
    """Neighbours that share a round trip, with the position of the first: plain ones, or special ones."""
    start = size = 0
    for position, job in enumerate(jobs):
        first = jobs[start]
        full = position - start >= (CHUNK_JOBS if first.is_plain else _SPECIAL_JOBS) or size + job.size > CHUNK_BYTES
        if position > start and (full or job.is_plain != first.is_plain):
            yield start, jobs[start:position]
            start, size = position, 0
        size += job.size
    if start < len(jobs):
        yield start, jobs[start:]
