"""How does a test drive one queue by our scripts alone? Adds, claims, verdicts and renewals, each one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from oxcart.protocol.exchange import KEEP_ALL, Item, ItemHead, Reply, exchange_command, read_reply
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.renew import HeldLock, renew_command
from oxcart.protocol.scripts import Command, ours

NOW_MS = 1_760_000_000_000
LOCK_MS = 60_000


class OurQueue:
    """One queue. `token` is the next claim's; `now_ms` stands still unless a test moves it."""

    def __init__(self, client: redis.Redis, keys: QueueKeys) -> None:
        self.server: Any = client
        self.keys = keys
        self.now_ms = NOW_MS
        self.token = "worker:1"

    def add(
        self,
        job_id: str,
        *,
        name: str = "job",
        data: str = "{}",
        opts: str | bytes = "{}",
        priority: int = 0,
        lifo: bool = False,
    ) -> None:
        keys, server = self.keys, self.server
        facts = {"name": name, "data": data, "opts": opts, "timestamp": self.now_ms, "delay": 0, "priority": priority}
        server.hset(keys.job(job_id), mapping=facts)
        if priority:
            server.zadd(keys.prioritized, {job_id: (priority << 32) + server.incr(keys.pc)})
        elif lifo:
            server.rpush(keys.wait, job_id)
        else:
            server.lpush(keys.wait, job_id)

    def run(self, script: str, command: Command) -> Any:
        self.server.script_load(ours(script).source)
        return self.server.execute_command(*command)

    def exchange(self, room: int = 0, items: Sequence[Item] = (), **more: Any) -> Reply:
        more = {"policies": [KEEP_ALL], **more}
        command = exchange_command(
            self.keys, now_ms=self.now_ms, token=self.token, lock_ms=LOCK_MS, room=room, items=items, **more
        )
        return read_reply(self.run("exchange", command))

    def claim(self, room: int = 1, **more: Any) -> list[HeldLock]:
        """What was handed out, as its renewals and its verdict have to name it."""
        return [
            HeldLock(job_id, self.token, run.ats, self.now_ms, int(run.atm or 0))
            for run in self.exchange(room, **more).runs
            for job_id in run.job_ids
        ]

    def settle(self, held: HeldLock, kind: str, *, a: str | int = "", b: str = "", c: str | int = "") -> int | bytes:
        """The status of one verdict."""
        return self.settle_with(held, kind, a=a, b=b, c=c)

    def settle_with(
        self, held: HeldLock, kind: str, *, a: str | int = "", b: str = "", c: str | int = "", **more: Any
    ) -> int | bytes:
        """As `settle`, with more arguments of the exchange, as policies."""
        head = ItemHead(held.token, held.ats, held.processed_on_ms, held.atm, 0, kind, 1, b, c)
        return next(iter(self.exchange(items=[Item(held.job_id, a, head)], **more).statuses), 0)

    def renew(self, *held: HeldLock) -> list[int | bytes]:
        statuses: list[int | bytes] = self.run("renew", renew_command(self.keys, held, LOCK_MS))
        return statuses

    def ids(self, state: str) -> list[str]:
        """Of a list: the one claimed last comes first."""
        return [job_id.decode() for job_id in self.server.lrange(self.keys.state(state), 0, -1)]
