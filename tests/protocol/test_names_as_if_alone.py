"""Are jobs of our names claimed as if no others were there? Random histories beside the same without foreign jobs.

In one database foreign jobs wait among ours, are run, given back, moved and added anew by somebody else; in the other
they do not exist, and the exchange claims every name. Both must hand out the same jobs in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest
import redis
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from support.server import PrivateServer

from oxcart.names import NameFilter
from oxcart.protocol.exchange import START, Reply
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.renew import HeldLock

from .queue_of_ours import OurQueue

OURS = NameFilter(frozenset({"job"}))
_LISTS = ("wait", "prioritized")


@dataclass(frozen=True)
class Add:
    """`place` is fifo, lifo, delayed, or a priority; so many at once."""

    is_ours: bool
    place: str | int
    number: int


@dataclass(frozen=True)
class RunForeign:
    """Somebody else takes the next foreign jobs of a list, and gives the last ones back."""

    state: str
    number: int
    given_back: int


@dataclass(frozen=True)
class AddAgain:
    """Foreign jobs that have run come again with the same ids."""

    place: str | int
    number: int


@dataclass(frozen=True)
class MoveForeign:
    """Another priority (0: none), at the front or at the back; BullMQ tells nobody."""

    position: int
    priority: int
    lifo: bool


@dataclass(frozen=True)
class Remove:
    """A waiting job, ours or a foreign one."""

    is_ours: bool
    position: int


@dataclass(frozen=True)
class Pause:
    """BullMQ 5 pauses the queue, we look, and it resumes."""


@dataclass(frozen=True)
class Exchange:
    room: int
    looks: int
    given_back: int


Step: TypeAlias = Add | RunForeign | AddAgain | MoveForeign | Remove | Pause | Exchange

_places = st.sampled_from(["fifo", "fifo", "lifo", "delayed", 1, 2, 3])
_steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(Add, st.booleans(), _places, st.integers(1, 6)),
    st.builds(Add, st.just(False), _places, st.sampled_from([1, 20, 130])),
    st.builds(RunForeign, st.sampled_from(_LISTS), st.sampled_from([1, 2, 5, 40]), st.integers(0, 4)),
    st.builds(AddAgain, _places, st.integers(1, 6)),
    st.builds(MoveForeign, st.integers(0, 200), st.integers(0, 3), st.booleans()),
    st.builds(Remove, st.booleans(), st.integers(0, 200)),
    st.builds(Pause),
    st.builds(Exchange, st.sampled_from([1, 2, 5, 20]), st.sampled_from([1, 3, 10, 500]), st.integers(0, 3)),
    st.builds(Exchange, st.sampled_from([1, 2, 5, 20]), st.sampled_from([1, 3, 10, 500]), st.integers(0, 3)),
)


class World:
    """One queue in two databases: with foreign jobs, and without."""

    def __init__(self, beside: redis.Redis, alone: redis.Redis) -> None:
        self.beside = OurQueue(beside, QueueKeys("names", "eq"))
        self.alone = OurQueue(alone, QueueKeys("names", "eq"))
        self.cursor = START
        self.added = 0
        self.tokens = 0
        self.foreign: set[bytes] = set()
        self.gone: list[bytes] = []

    def apply(self, step: Step) -> None:
        match step:
            case Add():
                for _ in range(step.number):
                    self._add(step)
            case RunForeign():
                self._run_foreign(step)
            case AddAgain():
                again, self.gone = self.gone[: step.number], self.gone[step.number :]
                for queue in (self.beside, self.alone):
                    queue.now_ms += 1
                for job_id in again:
                    self.beside.server.delete(self.beside.keys.job(job_id.decode()))
                    self._place(self.beside, job_id.decode(), "foreign", step.place)
                    self._tell(job_id)
            case MoveForeign():
                self._move_foreign(step)
            case Remove():
                self._remove(step)
            case Pause():
                self._pause()
            case Exchange():
                self._exchange(step)

    def _add(self, step: Add) -> None:
        self.added += 1
        job_id, name = f"{'j' if step.is_ours else 'f'}{self.added:04}", "job" if step.is_ours else "foreign"
        if not step.is_ours:
            self.foreign.add(job_id.encode())
        for queue in (self.beside, self.alone) if step.is_ours else (self.beside,):
            self._place(queue, job_id, name, step.place)
        self._tell(job_id)

    def _place(self, queue: OurQueue, job_id: str, name: str, place: str | int) -> None:
        if place == "delayed":
            queue.add(job_id, name=name)
            queue.server.lrem(queue.keys.wait, 1, job_id)
            queue.server.zadd(queue.keys.delayed, {job_id: (queue.now_ms + 5) * 0x1000 + self.added})
        elif isinstance(place, int):
            queue.add(job_id, name=name, priority=place)
        else:
            queue.add(job_id, name=name, lifo=place == "lifo")

    def _foreign_in(self, state: str) -> list[bytes]:
        """The next one first."""
        server, keys = self.beside.server, self.beside.keys
        ids = server.lrange(keys.wait, 0, -1)[::-1] if state == "wait" else server.zrange(keys.prioritized, 0, -1)
        return [job_id for job_id in ids if job_id in self.foreign]

    def _run_foreign(self, step: RunForeign) -> None:
        server, keys = self.beside.server, self.beside.keys
        taken = self._foreign_in(step.state)[: step.number]
        self.gone += taken[: len(taken) - step.given_back]
        for job_id in taken:
            self._take_out(self.beside, job_id)
        if step.state == "prioritized" and not server.exists(keys.prioritized):
            server.delete(keys.pc)  # as every worker does that finds nothing more
        for job_id in taken[len(taken) - step.given_back :]:
            server.hincrby(keys.job(job_id.decode()), "ats", 1)
            priority = int(server.hget(keys.job(job_id.decode()), "priority"))
            if priority:
                server.zadd(keys.prioritized, {job_id: priority << 32})
            else:
                server.rpush(keys.wait, job_id)
            self._tell(job_id)

    def _take_out(self, queue: OurQueue, job_id: bytes) -> None:
        queue.server.lrem(queue.keys.wait, 1, job_id)
        queue.server.zrem(queue.keys.prioritized, job_id)

    def _move_foreign(self, step: MoveForeign) -> None:
        server, keys = self.beside.server, self.beside.keys
        foreign = [job_id for state in _LISTS for job_id in self._foreign_in(state)]
        if not foreign:
            return
        job_id = foreign[step.position % len(foreign)]
        self._take_out(self.beside, job_id)
        server.hset(keys.job(job_id.decode()), "priority", step.priority)
        if step.priority:
            score = (step.priority << 32) + (0 if step.lifo else server.incr(keys.pc))
            server.zadd(keys.prioritized, {job_id: score})
        elif step.lifo:
            server.rpush(keys.wait, job_id)
        else:
            server.lpush(keys.wait, job_id)

    def _remove(self, step: Remove) -> None:
        waiting = [job_id for state in _LISTS for job_id in self._foreign_in(state)]
        if step.is_ours:
            server, keys = self.alone.server, self.alone.keys
            waiting = server.lrange(keys.wait, 0, -1) + server.zrange(keys.prioritized, 0, -1)
        if waiting:
            for queue in (self.beside, self.alone):
                self._take_out(queue, waiting[step.position % len(waiting)])

    def _pause(self) -> None:
        queue = self.beside
        server, keys = queue.server, queue.keys
        server.hset(keys.meta, "paused", 1)
        if server.exists(keys.wait):
            server.rename(keys.wait, keys.paused)
        reply = queue.exchange(5, names=OURS, cursor=self.cursor)
        self.cursor = reply.cursor
        assert not reply.runs
        server.hdel(keys.meta, "paused")
        if server.exists(keys.paused):
            server.rename(keys.paused, keys.wait)
        server.xadd(keys.events, {"event": "resumed"})

    def _exchange(self, step: Exchange) -> None:
        for queue in (self.beside, self.alone):
            queue.now_ms += 2
            self.tokens += 1
            queue.token = f"worker:{self.tokens}"
        foreign = [job_id for state in _LISTS for job_id in self._foreign_in(state)]
        before = self._as_stored(foreign)
        expected = [job_id for run in self.alone.exchange(step.room).runs for job_id in run.job_ids]
        actual: list[bytes] = []
        held: list[HeldLock] = []
        while True:
            reply = self.beside.exchange(step.room - len(actual), names=OURS, cursor=self.cursor, looks=step.looks)
            self.cursor = reply.cursor
            for run in reply.runs:
                actual += run.job_ids
                held += [HeldLock(job_id, "", run.ats, self.beside.now_ms, int(run.atm or 0)) for job_id in run.job_ids]
            if not reply.more and self._nothing_has_happened_since(reply):
                break
        assert actual == expected
        assert self._as_stored(foreign) == before
        if len(actual) < step.room:
            assert reply.left == 0
        elif self._left_in(self.alone):
            assert reply.left == 1
        if self._left_in(self.beside):
            assert self.beside.server.zscore(self.beside.keys.marker, "0") == 0
        for lock in reversed(held[: step.given_back]):
            for queue in (self.beside, self.alone):
                queue.settle(lock._replace(token=queue.token, processed_on_ms=queue.now_ms), "b")

    def _tell(self, job_id: str | bytes) -> None:
        """As every script does that makes a job wait."""
        self.beside.server.xadd(self.beside.keys.events, {"event": "waiting", "jobId": job_id})

    def _nothing_has_happened_since(self, reply: Reply) -> bool:
        newest = self.beside.server.xrevrange(self.beside.keys.events, count=1)
        return not reply.last_event_id or not newest or newest[0][0] == reply.last_event_id

    def _left_in(self, queue: OurQueue) -> bool:
        return bool(queue.server.exists(queue.keys.wait, queue.keys.prioritized))

    def _as_stored(self, ids: list[bytes]) -> Any:
        """These foreign jobs byte for byte, and the order in which they wait; others become due meanwhile."""
        server, keys, chosen = self.beside.server, self.beside.keys, set(ids)
        with server.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hgetall(keys.job(job_id.decode()))
            stored = pipe.execute()
        order = {state: [job_id for job_id in self._foreign_in(state) if job_id in chosen] for state in _LISTS}
        return stored, order, [server.zscore(keys.prioritized, job_id) for job_id in ids]


@pytest.fixture
def databases(server: PrivateServer) -> Iterator[tuple[redis.Redis, redis.Redis]]:
    beside, alone = (
        redis.Redis(host=server.host, port=server.port, password=server.password, db=number, protocol=2)
        for number in (12, 13)
    )
    with beside, alone:
        yield beside, alone
        beside.flushdb()
        alone.flushdb()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_steps, min_size=4, max_size=25))
def test_jobs_of_our_names_come_out_as_if_there_were_no_others(
    databases: tuple[redis.Redis, redis.Redis], steps: list[Step]
) -> None:
    for database in databases:
        database.flushdb()
    world = World(*databases)
    for number, step in enumerate([*steps, Exchange(1000, 10, 0)]):
        note(f"{number}: {step}")
        world.apply(step)
