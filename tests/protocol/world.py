"""What is a worker to a script that errs? It sends again what was refused, takes up its claims, and goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import redis
from redis.exceptions import ResponseError

from oxcart.protocol.exchange import KEEP_ALL, Item, ItemHead, Policy, exchange_command, read_reply
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.renew import HeldLock
from oxcart.protocol.scripts import Command, ours

from .faulty import Fault, faulty
from .queue_of_ours import LOCK_MS, OurQueue

LISTS = ("wait", "paused", "active")
SETS = ("delayed", "prioritized", "waiting-children", "completed", "failed")
PARENT_QUEUE = "-parents"


class World:
    """A queue, one for parents, and one worker. `runs` counts how often it was given each job."""

    def __init__(self, client: redis.Redis, name: str) -> None:
        self.server: Any = client
        self.queue = OurQueue(client, QueueKeys(name))
        self.parents = OurQueue(client, QueueKeys(name + PARENT_QUEUE))
        self.runs: Counter[str] = Counter()
        self.held: dict[str, HeldLock] = {}
        self.items: list[Item] = []
        self.policies: list[Policy] = [KEEP_ALL]
        self.statuses: dict[str, int | bytes] = {}
        self.room = 0
        self.more: dict[str, Any] = {}

    # -------------------------------------------------------------------------------------------- what is where
    def places(self, job_id: str, queue: OurQueue | None = None) -> list[str]:
        base = (queue or self.queue).keys.base
        found = [name for name in LISTS for entry in self.server.lrange(base + name, 0, -1) if entry.decode() == job_id]
        return found + [name for name in SETS if self.server.zscore(base + name, job_id) is not None]

    def exists(self, job_id: str) -> bool:
        return bool(self.server.exists(self.queue.keys.job(job_id), self.parents.keys.job(job_id)))

    def is_locked(self, job_id: str) -> bool:
        return bool(self.server.exists(self.queue.keys.lock(job_id)))

    # -------------------------------------------------------------------------------------------- the worker
    def claim(self, room: int = 10) -> None:
        for held in self.queue.claim(room):
            self._start(held)

    def _start(self, held: HeldLock) -> None:
        job_id = held.job_id.decode()
        self.runs[job_id] += 1
        self.held[job_id] = held

    def verdict(
        self, job_id: str, kind: str, *, a: str | int = "x", b: str = "", c: str | int = "", policy: int = 1
    ) -> None:
        held = self.held[job_id]
        fields = self.server.hlen(self.queue.keys.job(job_id)) if kind == "c" and policy > 1 else 0
        head = ItemHead(held.token, held.ats, held.processed_on_ms, held.atm, fields, kind, policy, b, c)
        self.items.append(Item(held.job_id, a, head))

    def exchange(self) -> Command:
        return exchange_command(
            self.queue.keys, now_ms=self.queue.now_ms, token=self.queue.token, lock_ms=LOCK_MS, room=self.room,
            items=self.items, policies=self.policies, **self.more,
        )  # fmt: skip

    def run_exchange(self, at: int, fault: Fault) -> None:
        """One that errs; what was given out by it all the same is run."""
        try:
            reply = self.server.execute_command(*faulty(ours("exchange"), self.exchange(), at, fault))
        except ResponseError as error:
            if "injected" not in str(error):
                raise
            self.adopt()
            return
        self._read(reply)

    def _read(self, answer: Sequence[Any]) -> None:
        reply = read_reply(answer)
        for item, status in zip(self.items, reply.statuses or [0] * len(self.items), strict=True):
            if isinstance(status, int):
                self.statuses[item.job_id.decode()] = status
                self.held.pop(item.job_id.decode(), None)
        for run in reply.runs:
            for job_id in run.job_ids:
                self._start(HeldLock(job_id, self.queue.token, run.ats, self.queue.now_ms, int(run.atm or 0)))

    def adopt(self) -> None:
        """As worker/adopt.py: what is active and has our token on its lock."""
        for job_id in self.server.lrange(self.queue.keys.active, 0, -1):
            name = job_id.decode()
            if name in self.held or self.server.get(self.queue.keys.lock(name)) != self.queue.token.encode():
                continue
            ats, at, atm = self.server.hmget(self.queue.keys.job(name), "ats", "processedOn", "atm")
            self._start(HeldLock(job_id, self.queue.token, int(ats or 0), int(at or 0), int(atm or 0)))

    # -------------------------------------------------------------------------------------------- afterwards
    def send_again(self) -> None:
        """What was refused, until it is answered."""
        self.room = 0
        for _ in range(3):
            self.items = [item for item in self.items if item.job_id.decode() not in self.statuses]
            if not self.items:
                return
            self.server.script_load(ours("exchange").source)
            self._read(self.server.execute_command(*self.exchange()))

    def work_off(self) -> None:
        """Everything that can be run is run, and completes; a job of nobody's is found by the stalled check."""
        self.send_again()
        for number in range(12):
            for queue in (self.queue, self.parents):
                queue.now_ms += 3_600_000
                queue.token = f"later:{number}"
                self._work(queue)

    def _work(self, queue: OurQueue) -> None:
        server, keys = queue.server, queue.keys
        if server.hexists(keys.meta, "paused"):
            server.script_load(ours("pause").source)
            named = (keys.wait, keys.paused, keys.meta, keys.prioritized, keys.events, keys.delayed, keys.marker)
            server.evalsha(ours("pause").sha, 7, *named, "resumed", "1")
        for job_id in server.lrange(keys.active, 0, -1):
            if queue is not self.queue or job_id.decode() not in self.held:
                server.delete(keys.lock(job_id.decode()))
        server.delete(keys.limiter)
        for _ in range(2):
            server.delete(keys.stalled_check)
            self.check_stalled(queue)
        held = list(self.held.values()) if queue is self.queue else []
        claims = queue.claim(50)
        for claim in claims:
            self.runs[claim.job_id.decode()] += 1
        for claim in held + claims:
            kind = "f" if server.hexists(keys.job(claim.job_id.decode()), "defa") else "c"
            assert queue.settle(claim, kind, a="x", c=1 if kind == "f" else "") in (0, 1), claim
            self.held.pop(claim.job_id.decode(), None)

    def check_stalled(self, queue: OurQueue) -> None:
        queue.server.script_load(ours("check_stalled").source)
        queue.server.execute_command(*check_stalled_command(queue))


def check_stalled_command(queue: OurQueue) -> Command:
    keys = queue.keys
    named = (
        keys.stalled, keys.wait, keys.active, keys.stalled_check, keys.meta, keys.paused, keys.marker, keys.events,
        keys.repeat,
    )  # fmt: skip
    return ("EVALSHA", ours("check_stalled").sha, len(named), *named, 9, keys.base, queue.now_ms, 60_000)
