"""How are the demo's jobs shown? As a table that changes on a terminal; elsewhere a line for each change."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from oxcart.cli.output import is_terminal, say
from oxcart.language import tr
from oxcart.telemetry.events import Event, JobsFinished
from oxcart.telemetry.terminal import harmless

_UNTOLD = {"tick", "kommo:sync", "kommo:hooks"}  # what repeats, and what a webhook starts
_COLOURS = {"completed": "green", "failed": "red", "active": "yellow", "delayed": "cyan", "scheduled": "green"}


class Shown(Protocol):
    """A line of the demo: a job of demo_jobs.py or a step of demo_crm.py."""

    title: str
    shows: str
    state: str
    detail: str
    is_over: bool
    is_as_expected: bool


class View(Protocol):
    def show(self, exhibits: Sequence[Shown]) -> None: ...


@contextmanager
def choose_view() -> Iterator[View]:
    if not is_terminal():
        yield Lines()
        return
    from rich.live import Live

    with Live(auto_refresh=False) as live:
        yield LiveTable(live)


def tell_finished(event: Event) -> None:
    """A line for each job that someone adds later; those that come by themselves would drown them."""
    if isinstance(event, JobsFinished):
        for job in event.jobs:
            if job.name not in _UNTOLD:
                say(f"{time.strftime('%H:%M:%S')}  {job.name:<10} {job.verdict:<12} {job.run_ms:.0f} ms  {job.job_id}")


class Lines:
    def __init__(self) -> None:
        self._began = time.monotonic()
        self._shown: dict[int, tuple[str, str]] = {}

    def show(self, exhibits: Sequence[Shown]) -> None:
        for position, exhibit in enumerate(exhibits):
            now = (exhibit.state, exhibit.detail)
            if self._shown.get(position) != now:
                self._shown[position] = now
                age = time.monotonic() - self._began
                say(f"{age:5.1f} s  {exhibit.title:<10} {exhibit.state:<17} {exhibit.detail}".rstrip())


class LiveTable:
    def __init__(self, live: Any) -> None:
        self._live = live

    def show(self, exhibits: Sequence[Shown]) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for heading in (tr("WHAT"), tr("WHAT IT SHOWS"), tr("STATE")):
            table.add_column(heading, no_wrap=True)
        table.add_column()
        for exhibit in exhibits:
            colour = _COLOURS.get(exhibit.state, "dim")
            mark = "" if not exhibit.is_over else " ✓" if exhibit.is_as_expected else " ✗"
            table.add_row(
                exhibit.title,
                exhibit.shows,
                Text(exhibit.state + mark, style=colour),
                Text(harmless(exhibit.detail), style="dim"),
            )
        self._live.update(table, refresh=True)
