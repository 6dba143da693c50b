"""What do we write down of a job that lost its worker? That it runs alone, or is harmless; and how workers ended.

Receipts of ours (docs/decisions.md, 1): they end by themselves, and one that is missing costs a job another trial.
"""

from __future__ import annotations

from dataclasses import dataclass

from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Command

KEPT_SECONDS = 86_400
"""A job that kills its worker is back within two stalled intervals; a queue may be paused for a while meanwhile."""


STALLED_TOO_OFTEN = "job stalled more than allowable limit"
"""What BullMQ's stalled check gives as the reason; people and tools look for these words."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A job that had stalled `stalls` times was begun alone by `worker`. Stalled more often than that: the trial killed
    its process.
    """

    stalls: int
    worker: str


def write_trial(keys: QueueKeys, job_id: bytes, trial: Trial) -> Command:
    """To be answered before the job begins: its process may have no time to say anything later."""
    return ("SET", _of_job(keys, job_id), f"{trial.stalls} {trial.worker}", "EX", KEPT_SECONDS)


def forget_verdict(keys: QueueKeys, job_id: bytes) -> Command:
    """Take back that a stalled check has given the job up."""
    return ("HDEL", keys.base.encode() + job_id, "defa")


def write_acquittal(keys: QueueKeys, job_id: bytes, stalls: int) -> Command:
    """Its handler has ended: until it stalls again, the job is as any other. exchange_claims.lua reads this."""
    return ("SET", _of_job(keys, job_id), f"{stalls}", "EX", KEPT_SECONDS)


def forget_trial(keys: QueueKeys, job_id: bytes) -> Command:
    """It has been judged: if somebody retries the job, that is another trial."""
    return ("DEL", _of_job(keys, job_id))


def read_trial(text: str | None) -> Trial | None:
    stalls, _, worker = (text or "").partition(" ")
    return Trial(int(stalls), worker) if worker and stalls.isdecimal() else None


def remember_end(keys: QueueKeys, worker: str, how: str) -> Command:
    """`how` it ended, as in "was killed by SIGKILL"."""
    return ("SET", _of_worker(keys, worker), how, "EX", KEPT_SECONDS)


def read_end(keys: QueueKeys, worker: str) -> Command:
    return ("GET", _of_worker(keys, worker))


def _of_job(keys: QueueKeys, job_id: bytes) -> bytes:
    return f"{keys.base}oxcart:suspect:".encode() + job_id


def _of_worker(keys: QueueKeys, worker: str) -> str:
    return f"{keys.base}oxcart:ended:{worker}"
