"""Where are the knees: when does more concurrency, another process, replica or queue stop to help?

Oxcart alone, in many settings that take turns: ratios within one run hold on a machine that others use as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from lab.adding import adding
from lab.cases import Case, Figures
from lab.drain import drain
from lab.forecast import Costs, forecast
from lab.idle import CALM_SECONDS, COUNT_SECONDS
from lab.processes import Workers
from lab.results import Results
from lab.roster import BY_NAME, Peer
from lab.server import BenchServer
from lab.tables import cell, markdown, number

FAMILY = "scaling"
RATE, WORKER, SERVER = "jobsPerSecond", "workerCpuSecondsPer100k", "serverCpuSecondsPer100k"


@dataclass(frozen=True)
class Setting:
    """One row: `pace` is a guess at its jobs/s, for the length of the run. `replicas` are supervisors of their own."""

    label: str
    pace: float
    job: str = "noop"
    milliseconds: float = 0
    concurrency: int = 100
    processes: int = 1
    queues: int = 1
    replicas: int = 1


def _naps(job: str, concurrency: int, most: float) -> Setting:
    return Setting(f"concurrency {concurrency}", min(concurrency * 20, most), job, 50, concurrency)


_BURN_MS = 2.0
GROUPS: dict[str, tuple[Setting, ...]] = {
    "Handlers that wait 50 ms (`async def`): concurrency": tuple(
        _naps("nap", slots, 10_000) for slots in (1, 25, 100, 400, 1000, 3000)
    ),
    "Handlers that wait 50 ms (`def`, in threads): concurrency": tuple(
        _naps("block", slots, 4_000) for slots in (25, 100, 400)
    ),
    f"Handlers that compute for {_BURN_MS:g} ms: processes and replicas": (
        Setting("1 process", 400, "burn", _BURN_MS, 25),
        Setting("2 processes", 700, "burn", _BURN_MS, 25, processes=2),
        Setting("4 processes", 700, "burn", _BURN_MS, 25, processes=4),
        Setting("2 replicas", 700, "burn", _BURN_MS, 25, replicas=2),
    ),
    "Handlers that do nothing: processes and replicas": (
        Setting("1 process", 15_000),
        Setting("2 processes", 15_000, processes=2),
        Setting("2 replicas", 15_000, replicas=2),
    ),
    "Handlers that do nothing: queues served, one of them busy": (
        Setting("1 queue", 15_000),
        Setting("10 queues", 15_000, queues=10),
        Setting("50 queues", 15_000, queues=50),
    ),
}
PLAIN = next((group, settings[0]) for group, settings in GROUPS.items() if settings[0].job == "noop")
IDLE = (
    Setting("1 process, 1 queue", 0, concurrency=25),
    Setting("2 processes, 1 queue", 0, concurrency=25, processes=2),
    Setting("1 process, 10 queues", 0, concurrency=25, queues=10),
)


ADDING = f"{FAMILY}: adding"


def scaling_cases(*, quick: bool) -> list[Case]:
    rounds, seconds = (1, 1.5) if quick else (3, 3.0)
    return [
        Case(ADDING, ("oxcart",), rounds, partial(adding, how="one", count=5_000), family=FAMILY),
        *_settings(rounds, seconds),
    ]


def _settings(rounds: int, seconds: float) -> list[Case]:
    return [
        Case(_name(group, setting), ("oxcart",), rounds, partial(_measured, setting, seconds), family=FAMILY)
        for group, settings in GROUPS.items()
        for setting in settings
    ]


def _name(group: str, setting: Setting) -> str:
    return f"{FAMILY}: {group}: {setting.label}"


def _measured(setting: Setting, seconds: float, server: BenchServer, peer: Peer) -> Figures:
    return drain(
        server,
        peer,
        count=max(60, int(setting.pace * seconds)),
        worker_processes=setting.replicas,
        concurrency=setting.concurrency,
        job=setting.job,
        milliseconds=setting.milliseconds,
        supervised=setting.processes,
        queues=setting.queues,
    )


def measure_idle(results: Results, *, calm_seconds: float = CALM_SECONDS, seconds: float = COUNT_SECONDS) -> None:
    """What each setting sends in a minute without jobs, and its memory; all at once, each with its own server."""
    with ExitStack() as stack:
        running = []
        for setting in IDLE:
            server = stack.enter_context(BenchServer())
            order = {"concurrency": setting.concurrency, "queues": setting.queues, "supervised": setting.processes}
            workers = Workers(BY_NAME["oxcart"], server.url, **order)
            running.append((setting, server, stack.enter_context(workers)))
        time.sleep(calm_seconds)
        before = [server.probe.totals().commands for _, server, _ in running]
        time.sleep(seconds)
        for (setting, server, workers), first in zip(running, before, strict=True):
            workers.check()
            commands = (server.probe.totals().commands - first) * 60 / seconds
            results.note(_name("idle", setting), "oxcart", {"commandsPerMinute": commands, "rssMiB": workers.rss_mib()})


def has_scaling(results: Results) -> bool:
    return any(case.startswith(f"{FAMILY}:") for case in results.runs)


def scaling_tables(results: Results) -> str:
    """One table per knob; each rate also against the first row of its table.

    What a whole core could do follows from the processor time of a job, which a busy machine changes least.
    """
    parts = []
    for group, settings in GROUPS.items():
        rows = [*_rows(results, group, settings)]
        if rows:
            head = ("", "jobs/s", "against the first", "worker, cores", "server, cores", "a core could, jobs/s", "MiB")
            parts += [f"### {group}", "", markdown(head, rows), ""]
    idle = [
        (
            setting.label,
            *(cell(results, _name("idle", setting), "oxcart", key) for key in ("commandsPerMinute", "rssMiB")),
        )
        for setting in IDLE
        if results.peers(_name("idle", setting))
    ]
    if idle:
        parts += ["### Without jobs", "", markdown(("", "commands/min", "memory, MiB"), idle), ""]
    costs = _costs(results)
    if costs is not None:
        parts += ["### Ten and a thousand times as much, reckoned", "", forecast(costs), ""]
    return "\n".join(parts)


def _costs(results: Results) -> Costs | None:
    noop = _name(*PLAIN)
    worker, server = (results.median(noop, "oxcart", figure) for figure in (WORKER, SERVER))
    added = results.median(ADDING, "oxcart", SERVER)
    return None if worker is None or server is None or added is None else Costs(worker, server + added)


def _rows(results: Results, group: str, settings: tuple[Setting, ...]) -> Iterator[tuple[str, ...]]:
    first = results.median(_name(group, settings[0]), "oxcart", RATE)
    for setting in settings:
        case = _name(group, setting)
        rate = results.median(case, "oxcart", RATE)
        if rate is None:
            continue
        cores = [number(rate * (results.median(case, "oxcart", figure) or 0) / 100_000) for figure in (WORKER, SERVER)]
        against = f"{number(rate / first)} x" if first else "–"
        memory = number(results.median(case, "oxcart", "rssMiB"))
        seconds = results.median(case, "oxcart", WORKER)
        could = number(100_000 / seconds) if seconds else "–"
        yield (setting.label, cell(results, case, "oxcart", RATE), against, *cores, could, memory)
