"""How does a test run our exchange? As the worker does, one EVALSHA; the answer in the words of the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from oxcart.protocol.exchange import REPEATED, WRITTEN, ClaimedRun, Item, ItemHead, exchange_command, read_reply
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import ours

from .reference import Claim, Finish, Options, Outcome, failure_fields


def run_exchange(
    client: redis.Redis,
    keys: QueueKeys,
    finishes: Sequence[Finish],
    room: int,
    now_ms: int,
    token: str,
    lock_ms: int,
    worker: Options,
    *,
    allow_plain: bool = True,
) -> Outcome:
    """One exchange of ours. A verdict that had been written before (REPEATED) is not written again."""
    server: Any = client
    policies = list(dict.fromkeys(finish.policy for finish in finishes))
    server.script_load(ours("exchange").source)
    answer = server.execute_command(
        *exchange_command(
            keys,
            now_ms=now_ms,
            token=token,
            lock_ms=lock_ms,
            room=room,
            items=[_item(finish, policies.index(finish.policy) + 1) for finish in finishes],
            policies=[(p.count, -1 if p.age is None else p.age, p.limit or 1000) for p in policies],
            allow_plain=allow_plain,
            metrics_minutes=worker.metrics_minutes,
            limiter=worker.limiter,
        )
    )
    reply = read_reply(answer)
    assert not reply.notes, reply.notes
    statuses = reply.statuses or [WRITTEN] * len(finishes)
    assert len(statuses) == len(finishes)
    for status in statuses:
        assert isinstance(status, int), status
        assert status in {WRITTEN, REPEATED, -1, -3, -4, -6, -9}
    written = [status == WRITTEN for status in statuses]
    claims = [_claim(run, job_id, token, now_ms) for run in reply.runs for job_id in run.job_ids]
    return Outcome(written, claims)


def _item(finish: Finish, policy: int) -> Item:
    a: str | int = finish.value
    b: str = ""
    c: str | bytes | int = ""
    fields = failure_fields(finish)
    if finish.kind == "f":
        b, c = finish.stacktrace, finish.attempts
    elif finish.kind == "d":
        a, b, c = finish.delay_ms, "1" if finish.skips_attempt else "0", fields
    elif finish.kind == "r":
        a, c = finish.push, fields
    elif finish.kind == "l":
        a = finish.rest_ms
    claim = finish.claim
    head = ItemHead(claim.token, claim.ats, claim.processed_on_ms, claim.atm, claim.fields, finish.kind, policy, b, c)
    return Item(claim.job_id.encode(), a, head)


def _claim(run: ClaimedRun, job_id: bytes, token: str, now_ms: int) -> Claim:
    return Claim(job_id.decode(), token, run.ats, now_ms, int(run.atm or 0), run.fields)
