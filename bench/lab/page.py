"""What does docs/performance.md say? Its words are written by hand; what is between the markers is written here."""

from __future__ import annotations

import re
from pathlib import Path

from lab import tables
from lab.plots import Bar, bars
from lab.results import Results
from lab.roster import PEERS
from lab.scaling import scaling_tables
from lab.tables import Column

DOCS = Path(__file__).parents[2] / "docs"
PAGE, SCALING_PAGE = DOCS / "performance.md", DOCS / "scaling.md"
BEGIN, END = "<!-- figures: written by bench/run -->", "<!-- /figures -->"

SPEED: tuple[Column, ...] = (
    ("at 1", "removed at 1", "jobsPerSecond"),
    ("at 10", "removed at 10", "jobsPerSecond"),
    ("at 100", "removed at 100", "jobsPerSecond"),
    ("at 100, 100 kept", "kept 100 at 100", "jobsPerSecond"),
    ("2 processes at 100", "two processes at 100", "jobsPerSecond"),
    ("at 100, append-only file", "removed at 100, append-only file", "jobsPerSecond"),
)
WORK: tuple[Column, ...] = (
    ("1 ms", "1 ms handlers", "jobsPerSecond"),
    ("50 ms", "50 ms handlers", "jobsPerSecond"),
    ("1 ms in threads", "1 ms in threads", "jobsPerSecond"),
    ("10 KB payload", "10 KB payload", "jobsPerSecond"),
    ("own ids and traces", "own ids and traces", "jobsPerSecond"),
)
COST: tuple[Column, ...] = (
    ("commands/job", "removed at 100", "commandsPerJob"),
    ("bytes/job", "removed at 100", "bytesPerJob"),
    ("worker CPU s/100k", "removed at 100", "workerCpuSecondsPer100k"),
    ("server CPU s/100k", "removed at 100", "serverCpuSecondsPer100k"),
    ("RSS under load, MiB", "removed at 100", "rssMiB"),
    ("start to first job, s", "removed at 100", "startSeconds"),
)
IDLE: tuple[Column, ...] = (
    ("commands/min", "idle", "commandsPerMinute"),
    ("bytes/min", "idle", "bytesPerMinute"),
    ("RSS, MiB", "idle", "idleRssMiB"),
)
LATENCY: tuple[Column, ...] = (
    ("trickle p50, ms", "latency, trickle", "p50Ms"),
    ("trickle p99, ms", "latency, trickle", "p99Ms"),
    ("1000/s p50, ms", "latency, 1000 jobs/s", "p50Ms"),
    ("1000/s p99, ms", "latency, 1000 jobs/s", "p99Ms"),
)
DISTANCE: tuple[Column, ...] = (
    *((f"{away} ms", f"{away} ms away", "jobsPerSecond") for away in (1, 20, 80)),
    ("20 ms, OXCART_PREFETCH=false", "20 ms away, without prefetch", "jobsPerSecond"),
)
ADDING: tuple[Column, ...] = (
    ("in bulk", "add in bulk", "addedPerSecond"),
    ("one by one", "add one by one", "addedPerSecond"),
    ("64 in flight", "64 adds in flight", "addedPerSecond"),
    ("64 in flight, 20 ms away", "64 adds in flight, 20 ms away", "addedPerSecond"),
)
BACKLOG: tuple[Column, ...] = tuple(
    (heading, f"backlog: {state}", "jobsPerSecond")
    for state, heading in (
        ("waiting", "1 M waiting"),
        ("delayed", "100 k delayed"),
        ("prioritized", "100 k prioritized"),
        ("failed", "100 k failed"),
    )
)
SECTIONS = (
    ("No-op jobs per second", SPEED),
    ("Jobs per second that work or carry something, concurrency 100", WORK),
    ("What a no-op job costs at concurrency 100", COST),
    ("What an idle worker costs", IDLE),
    ("From add to the handler's first line", LATENCY),
    ("No-op jobs per second from far away, concurrency 25", DISTANCE),
    ("Jobs added per second", ADDING),
    ("No-op jobs per second beside a backlog, concurrency 100", BACKLOG),
)
PLOTS = (
    ("throughput", "No-op jobs, concurrency 100, removed", "jobs/s", "removed at 100", "jobsPerSecond"),
    ("kept", "No-op jobs, concurrency 100, the last 100 kept", "jobs/s", "kept 100 at 100", "jobsPerSecond"),
    ("distance", "No-op jobs, concurrency 25, 20 ms away", "jobs/s", "20 ms away", "jobsPerSecond"),
    ("distance-80", "No-op jobs, concurrency 25, 80 ms away", "jobs/s", "80 ms away", "jobsPerSecond"),
    ("backlog", "No-op jobs of a million that wait, concurrency 100", "jobs/s", "backlog: waiting", "jobsPerSecond"),
    ("cpu", "Processor time of the worker for 100 000 no-op jobs", "s", "removed at 100", "workerCpuSecondsPer100k"),
    ("commands", "Redis commands for a no-op job", "commands", "removed at 100", "commandsPerJob"),
    ("idle", "Redis commands of an idle worker", "commands/min", "idle", "commandsPerMinute"),
    ("latency", "Pick-up on an idle queue, median", "ms", "latency, trickle", "p50Ms"),
)


def figures(results: Results, command: str) -> str:
    """Everything between the markers."""
    parts = [_measured_on(results, command), "", "### Goals", "", tables.goals(results), ""]
    for title, columns in SECTIONS:
        if any(results.peers(case) for _, case, _ in columns):
            parts += [f"### {title}", "", tables.by_peer(results, columns), ""]
    parts += ["### Versions and promises", "", tables.guarantees(results.about["versions"]), ""]
    if results.failures:
        parts += ["### What failed", "", *(f"- {failure.splitlines()[0]}" for failure in results.failures), ""]
    return "\n".join(parts)


def _measured_on(results: Results, command: str) -> str:
    about = results.about
    return (
        f"Measured {about['date']} by `{command}`: {about['processor']}, {about['cores']} cores, "
        f"{about['memoryGiB']} GiB, {about['system']}, Python {about['python']}, Node {about['node']}, "
        f"{about['server']}. Load average before the run {about['loadBefore']}, after it {about['loadAfter']}."
    )


def write_page(results: Results, command: str) -> None:
    """Replace the figures of the page and its plots; the words around them stay."""
    folder = DOCS / "performance"
    folder.mkdir(exist_ok=True)
    images = []
    for name, title, unit, case, figure in PLOTS:
        values = _bars(results, case, figure)
        if values:
            (folder / f"{name}.svg").write_text(bars(title, unit, values), encoding="utf-8")
            images.append(f"![{title}](performance/{name}.svg)")
    _replace_figures(PAGE, "\n".join([figures(results, command), *images]))


def write_scaling_page(results: Results, command: str) -> None:
    _replace_figures(SCALING_PAGE, f"{_measured_on(results, command)}\n\n{scaling_tables(results)}")


def _replace_figures(page: Path, text: str) -> None:
    block = f"{BEGIN}\n\n{text}\n\n{END}"
    before = page.read_text(encoding="utf-8")
    replaced, times = re.subn(re.escape(BEGIN) + ".*" + re.escape(END), lambda _: block, before, flags=re.DOTALL)
    if times != 1:
        raise RuntimeError(f"Writing {page.name}: it has no pair of markers {BEGIN} and {END}. Put them back.")
    page.write_text(replaced, encoding="utf-8")


def _bars(results: Results, case: str, figure: str) -> list[Bar]:
    found: list[Bar] = []
    for peer in PEERS:
        for name in (case, f"{case}, Python"):
            value = results.median(name, peer.name, figure)
            if value is not None:
                found.append((peer.title, value, results.spread(name, peer.name, figure)))
    return found
