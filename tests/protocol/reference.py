"""What does BullMQ itself do? Its own scripts, one call a step, on a clock that the test sets.

`exchange` here is the specification of ours (docs/decisions.md, 3): each verdict through BullMQ's script, in order and
without fetching, then moveToActive until there is no room or nothing comes. Decision 6 of that page is added in
`_take_back`: BullMQ writes nothing once a lock is gone, we still do while the claim is ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack
import redis

from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import upstream

pack: Callable[[Any], bytes] = msgpack.packb
STALLED_TOO_OFTEN = "job stalled more than allowable limit"


@dataclass(frozen=True)
class Claim:
    """A job as it was handed out: what docs/decisions.md, 6, calls a claim, and how often it had been tried."""

    job_id: str
    token: str
    ats: int
    processed_on_ms: int
    atm: int
    fields: int = field(default=0, compare=False)
    """What our exchange says of its hash, for our exchange to be told again; BullMQ has nothing of the kind."""


@dataclass(frozen=True)
class Policy:
    """removeOnComplete / removeOnFail: keep `count` (-1 all, 0 none), none older than `age` seconds."""

    count: int
    age: int | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Finish:
    """One verdict about one claim. `kind` is spelled as in exchange.lua: c f d r w b l."""

    claim: Claim
    kind: str
    value: str = "null"
    policy: Policy = Policy(-1)
    stacktrace: str = ""
    attempts: int = 1
    delay_ms: int = 0
    skips_attempt: bool = False
    push: str = "LPUSH"

    @property
    def lets_go(self) -> bool:
        """The job goes back with its attempts unchanged: a millisecond more in processedOn ends the claim."""
        return self.kind in "wbl" or (self.kind == "d" and self.skips_attempt)

    @property
    def rest_ms(self) -> int:
        """For kind l: never so short that the real clock ends it between two looks."""
        return 60_000 + self.delay_ms


@dataclass(frozen=True)
class Options:
    """A worker's own: Node's `metrics.maxDataPoints` (0: none) and `limiter` as (max, duration), (0, 0): none."""

    metrics_minutes: int = 0
    limiter: tuple[int, int] = (0, 0)


NO_OPTIONS = Options()


@dataclass(frozen=True)
class Outcome:
    """What one exchange did: which verdicts were written, and which jobs were handed out."""

    written: list[bool]
    claims: list[Claim]


class Reference:
    """One queue, driven by BullMQ's scripts only."""

    def __init__(self, server: redis.Redis, keys: QueueKeys, worker: Options = NO_OPTIONS) -> None:
        self.server = server
        self.keys = keys
        self.worker = worker

    def run(self, script: str, keys: Sequence[str], *args: Any) -> Any:
        return self.server.eval(upstream(script).source, len(keys), *keys, *args)

    def add(
        self,
        job_id: str,
        now_ms: int,
        options: Mapping[str, Any],
        *,
        parent: Mapping[str, Any] | None = None,
        has_children: bool = False,
    ) -> None:
        """Add one job as Node does; `parent` is {id, queueKey, fpof…}, `has_children` adds a flow's parent."""
        k = self.keys
        parent_key = f"{parent['queueKey']}:{parent['id']}" if parent else None
        deduplication = options.get("de")
        head = [
            k.base, job_id, "job", now_ms, parent_key, f"{parent_key}:dependencies" if parent else None, parent, None,
            k.base + "de:" + deduplication["id"] if deduplication else None,
        ]  # fmt: skip
        args = (pack(head), json.dumps({"n": job_id}), pack(dict(options)))
        if has_children:
            self.run("addParentJob", (k.meta, k.id, k.delayed, k.waiting_children, k.completed, k.events), *args)
        elif options.get("delay"):
            self.run("addDelayedJob", (k.marker, k.meta, k.id, k.delayed, k.completed, k.events), *args)
        elif options.get("priority"):
            self.run(
                "addPrioritizedJob",
                (k.marker, k.meta, k.id, k.prioritized, k.delayed, k.completed, k.active, k.events, k.pc),
                *args,
            )
        else:
            self.run(
                "addStandardJob",
                (k.wait, k.paused, k.meta, k.id, k.completed, k.delayed, k.active, k.events, k.marker),
                *args,
            )

    def pause(self, *, paused: bool) -> None:
        k = self.keys
        source, target, event = (k.wait, k.paused, "paused") if paused else (k.paused, k.wait, "resumed")
        self.run("pause", (source, target, k.meta, k.prioritized, k.events, k.delayed, k.marker), event, "1")

    def check_stalled(self, now_ms: int, max_stalled: int) -> None:
        k = self.keys
        self.server.delete(k.stalled_check)
        self.run(
            "moveStalledJobsToWait",
            (k.stalled, k.wait, k.active, k.stalled_check, k.meta, k.paused, k.marker, k.events, k.repeat),
            max_stalled, k.base, now_ms, 60_000,
        )  # fmt: skip
        self.server.delete(k.stalled_check)

    def exchange(self, finishes: Sequence[Finish], room: int, now_ms: int, token: str, lock_ms: int) -> Outcome:
        written = []
        for finish in finishes:
            written.append(self._settle(finish, now_ms, lock_ms))
            self._take_back_early_drained()
        claims: list[Claim] = []
        while len(claims) < room:
            claim = self._claim(now_ms, token, lock_ms)
            if claim is None:
                break
            claims.append(claim)
        return Outcome(written, claims)

    def _take_back_early_drained(self) -> None:
        """A worker of BullMQ asks for its next job first, and then this event is not told in a pause, nor while delayed
        jobs are to come.
        """
        k = self.keys
        if self.server.hexists(k.meta, "paused") or self.server.zcard(k.delayed):
            newest: Any = self.server.xrevrange(k.events, count=1)
            for entry, fields in newest:
                if fields[b"event"] == b"drained":
                    self.server.xdel(k.events, entry)

    def _claim(self, now_ms: int, token: str, lock_ms: int) -> Claim | None:
        """One moveToActive. A limit that a handler asked for holds for us on any queue, in BullMQ only on one with a
        maximum: there the queue is paused while it looks, so that it promotes what is due and claims nothing.
        """
        k = self.keys
        asked_for_a_rest = int(self.server.get(k.limiter) or 0) == 2**53 - 1 and not self.server.hexists(
            k.meta, "paused"
        )
        if asked_for_a_rest:
            self.server.hset(k.meta, "paused", 1)
            self._move_to_active(now_ms, token, lock_ms)
            self.server.hdel(k.meta, "paused")
            return None
        return self._move_to_active(now_ms, token, lock_ms)

    def _move_to_active(self, now_ms: int, token: str, lock_ms: int) -> Claim | None:
        k = self.keys
        fields, job_id, *_ = self.run(
            "moveToActive",
            (k.wait, k.active, k.prioritized, k.events, k.stalled, k.limiter, k.delayed, k.paused, k.meta, k.pc,
             k.marker),
            k.base, now_ms, pack({"token": token, "lockDuration": lock_ms, **self._limiter}),
        )  # fmt: skip
        if not fields:
            return None
        job = {fields[i].decode(): fields[i + 1].decode() for i in range(0, len(fields), 2)}
        return Claim(job_id.decode(), token, int(job["ats"]), int(job["processedOn"]), int(job.get("atm", "0")))

    @property
    def _limiter(self) -> dict[str, Any]:
        most, duration = self.worker.limiter
        return {"limiter": {"max": most, "duration": duration}} if most else {}

    def _settle(self, finish: Finish, now_ms: int, lock_ms: int) -> bool:
        self._take_back(finish.claim, lock_ms)
        if self.server.get(self.keys.lock(finish.claim.job_id)) != finish.claim.token.encode():
            return False  # docs/decisions.md, 6: nothing is written (retryJob would still promote what is due)
        status = self._finish(finish, now_ms) if finish.kind in "cf" else self._settle_other(finish, now_ms)
        if status >= 0 and finish.lets_go:
            self.server.hincrby(self.keys.job(finish.claim.job_id), "processedOn", 1)
        return bool(status >= 0)

    def _take_back(self, claim: Claim, lock_ms: int) -> None:
        """Restore the lock of a claim that is still ours though its lock is gone (docs/decisions.md, 6)."""
        k, server = self.keys, self.server
        if server.exists(k.lock(claim.job_id)):
            return
        ats, processed_on, atm = server.hmget(k.job(claim.job_id), "ats", "processedOn", "atm")
        if (ats, processed_on, int(atm or 0)) != (b"%d" % claim.ats, b"%d" % claim.processed_on_ms, claim.atm):
            return
        was_active = server.lrem(k.active, -1, claim.job_id)
        if not was_active and not server.lrem(k.wait, -1, claim.job_id):
            return
        server.lpush(k.active, claim.job_id)
        server.set(k.lock(claim.job_id), claim.token, px=lock_ms)
        if not was_active and server.hget(k.job(claim.job_id), "defa") == STALLED_TOO_OFTEN.encode():
            server.hdel(k.job(claim.job_id), "defa")

    def _finish(self, finish: Finish, now_ms: int) -> int:
        k, job_id, policy = self.keys, finish.claim.job_id, finish.policy
        state, field = ("completed", "returnvalue") if finish.kind == "c" else ("failed", "failedReason")
        keep: dict[str, int] = {"count": policy.count}
        if policy.age is not None:
            keep["age"] = policy.age
        if policy.limit is not None:
            keep["limit"] = policy.limit
        points = self.worker.metrics_minutes or ""
        options = {"token": finish.claim.token, "keepJobs": keep, "attempts": finish.attempts, "maxMetricsSize": points}
        return int(
            self.run(
                "moveToFinished",
                (k.wait, k.active, k.prioritized, k.events, k.stalled, k.limiter, k.delayed, k.paused, k.meta, k.pc,
                 k.state(state), k.job(job_id), k.metrics(state), k.marker),
                job_id, now_ms, field, finish.value, state, "", k.base, pack(options),
                failure_fields(finish) if finish.kind == "f" else "",
            )
        )  # fmt: skip

    def _settle_other(self, finish: Finish, now_ms: int) -> int:
        k, job_id, token = self.keys, finish.claim.job_id, finish.claim.token
        job = k.job(job_id)
        if finish.kind == "d":
            return self._delay(finish, now_ms, finish.delay_ms, skips_attempt=finish.skips_attempt)
        if finish.kind == "r":
            return int(
                self.run(
                    "retryJob",
                    (k.active, k.wait, k.paused, job, k.meta, k.events, k.delayed, k.prioritized, k.pc, k.marker,
                     k.stalled),
                    k.base, now_ms, finish.push, job_id, token, failure_fields(finish),
                )
            )  # fmt: skip
        if finish.kind == "w":
            status = self.run(
                "moveToWaitingChildren",
                (k.active, k.waiting_children, job, f"{job}:dependencies", f"{job}:unsuccessful", k.stalled, k.events),
                token, "", now_ms, job_id, k.base,
            )  # fmt: skip
            return int(status) if status != 1 else self._delay(finish, now_ms, 1000, skips_attempt=True)
        if finish.kind == "l" and self.server.get(k.lock(job_id)) == token.encode():
            self.server.set(k.limiter, 2**53 - 1, px=finish.rest_ms)
        return int(
            self.run(
                "moveJobFromActiveToWait",
                (k.active, k.wait, k.stalled, k.paused, k.meta, k.limiter, k.prioritized, k.marker, k.events),
                job_id, token, job,
            )
        )  # fmt: skip

    def _delay(self, finish: Finish, now_ms: int, delay_ms: int, *, skips_attempt: bool) -> int:
        k, job_id = self.keys, finish.claim.job_id
        fields = failure_fields(finish) if finish.kind == "d" else ""
        return int(
            self.run(
                "moveToDelayed",
                (k.marker, k.active, k.prioritized, k.delayed, k.job(job_id), k.events, k.meta, k.stalled, k.wait,
                 k.limiter, k.pc),
                k.base, now_ms, job_id, finish.claim.token, delay_ms, "1" if skips_attempt else "0", fields, "0",
            )
        )  # fmt: skip


def failure_fields(finish: Finish) -> bytes | str:
    """What a retry stores of the failure, as BullMQ's scripts take it; empty: nothing."""
    if not finish.stacktrace:
        return ""
    return pack(["failedReason", finish.value, "stacktrace", finish.stacktrace])
