"""What would ten or a thousand times today's load need? Reckoned from the costs that were just measured, not tried."""

from __future__ import annotations

from dataclasses import dataclass

from lab.tables import markdown, number

TODAY = (135_000, 450_000)  # jobs a day of the platform whose worker Oxcart takes over
FACTORS = (1, 10, 1000)
PEAK = 10  # the busiest seconds, against the mean of the day: assumed

# Upper bounds of a job's commands from its add to its end, as `oxcart doctor` reckons: on a queue where nothing is
# batched, with a script counted as one command, and with the commands inside counted.
COMMANDS = (3, 22)
DOLLARS_PER_COMMAND = 0.20 / 100_000  # Upstash, pay as you go
DAY_SECONDS, MONTH_DAYS = 86_400, 30
_LEAST = 0.01


@dataclass(frozen=True)
class Costs:
    """Measured, per 100 000 jobs on a full queue: processor seconds of the worker, and of the server with the add."""

    worker_seconds: float
    server_seconds: float


def forecast(costs: Costs) -> str:
    head = (
        "jobs/s and processors",
        "jobs/day",
        "mean jobs/s",
        f"peak ({PEAK} x mean)",
        "worker, cores at the peak",
        "Redis, cores at the peak",
    )
    load, bill = [], []
    for factor in FACTORS:
        label = "today" if factor == 1 else f"{factor} x"
        days = [jobs * factor for jobs in TODAY]
        means = [jobs / DAY_SECONDS for jobs in days]
        peaks = [mean * PEAK for mean in means]
        cores = (
            [peak * seconds / 100_000 for peak in peaks] for seconds in (costs.worker_seconds, costs.server_seconds)
        )
        load.append((label, _millions(days), _span(means), _span(peaks), *map(_span, cores)))
        per_job = (
            (
                _span([peak * commands for peak in peaks]),
                _millions([jobs * MONTH_DAYS * commands for jobs in days]),
                _span([jobs * MONTH_DAYS * commands * DOLLARS_PER_COMMAND for jobs in days]),
            )
            for commands in COMMANDS
        )
        bill.append((label, *(text for figures in per_job for text in figures)))
    bill_head = ["commands and their price"]
    for commands in COMMANDS:
        bill_head += [f"{commands} a job: at the peak, /s", "a month", "$ a month"]
    return f"{markdown(head, load)}\n\n{markdown(bill_head, bill)}"


def _span(values: list[float]) -> str:
    if max(values) < _LEAST:
        return f"below {_LEAST:g}"
    return "–".join(number(value) for value in values)


def _millions(values: list[float] | list[int]) -> str:
    return f"{'–'.join(number(value / 1e6) for value in values)} M"
