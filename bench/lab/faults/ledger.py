"""What really happened? Every process appends to a file of its own, outside the Redis that breaks; and what it proves.

A line: seconds since the epoch, what (`added`, `start`, `end`), the job's number, its id, its attempt, the process.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

FOLDER = "FAULTS_LEDGER"


def note(what: str, number: int, job_id: str, attempt: int = 0) -> None:
    """Written with one call that the kernel does not tear: what kill -9 leaves behind is whole."""
    path = Path(os.environ[FOLDER]) / f"{os.getpid()}.ledger"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{time.time():.6f} {what} {number} {job_id} {attempt} {os.getpid()}\n".encode())
    os.close(file)


@dataclass(frozen=True)
class Record:
    at: float
    what: str
    number: int
    job_id: str
    attempt: int
    process: int


def read(folder: Path) -> list[Record]:
    found = []
    for file in folder.glob("*.ledger"):
        for line in file.read_text().splitlines():
            at, what, number, job_id, attempt, process = line.split()
            found.append(Record(float(at), what, int(number), job_id, int(attempt), int(process)))
    return sorted(found, key=lambda record: record.at)


@dataclass(frozen=True)
class Verdict:
    """`lost`: acknowledged to the producer, no handler came to its end, and Redis has forgotten it. `stuck`: the same,
    but Redis still has it, also as failed. `failed_though_done`: in Redis' failed jobs, and a handler came to its end.
    `again`: executions beyond one per job; our handlers never fail. `twice`: jobs whose handler came to its end more
    than once: what an effect outside sees.
    """

    added: int
    lost: int
    stuck: int
    failed_though_done: int
    again: int
    twice: int


def judge(records: Iterable[Record], failed: Collection[str], present: Collection[str]) -> Verdict:
    """`failed` and `present` are the ids that Redis has as failed, and has at all (in any state that is no end)."""
    ids: dict[int, set[str]] = defaultdict(set)
    starts, ends = Counter[int](), Counter[int]()
    added = set()
    for record in records:
        ids[record.number].add(record.job_id)
        if record.what == "added":
            added.add(record.number)
        else:
            (starts if record.what == "start" else ends)[record.number] += 1
    undone = {number for number in added if not ends[number]}
    stuck = {number for number in undone if ids[number] & (set(present) | set(failed))}
    return Verdict(
        added=len(added),
        lost=len(undone - stuck),
        stuck=len(stuck),
        failed_though_done=sum(1 for number in ends if ids[number] & set(failed)),
        again=sum(count - 1 for count in starts.values() if count > 1),
        twice=sum(1 for count in ends.values() if count > 1),
    )


def next_start(records: Iterable[Record], after: float) -> float | None:
    """The seconds from `after` to the next job's start; None if none started."""
    return next((record.at - after for record in records if record.what == "start" and record.at > after), None)


def started_again(records: Collection[Record], began: float, process: int | None = None) -> list[float | None]:
    """Of each job that ran at `began` (in that process), and did not come to its end there: the seconds until it ran
    again. Of one that did, only if it was run again nevertheless.
    """
    running: dict[int, Record] = {}
    for record in records:
        if record.at <= began and record.what == "start" and process in {None, record.process}:
            running[record.number] = record
        elif record.at <= began and record.what == "end":
            running.pop(record.number, None)
    ended = {(record.number, record.process) for record in records if record.what == "end"}
    found: list[float | None] = []
    for number, first in running.items():
        again = next((r.at for r in records if r.what == "start" and r.number == number and r.at > began), None)
        if again is not None or (number, first.process) not in ended:
            found.append(None if again is None else again - began)
    return found


def percentile(values: list[float], share: float) -> float | None:
    """The smallest value that so large a share of them does not exceed; of few values the 99th is the largest."""
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)] if values else None
