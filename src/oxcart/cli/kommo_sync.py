"""How is an account read on demand, and compared? sync, sweep, diff."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from oxcart.cli.exits import FAILED, Refused
from oxcart.cli.options import json_option
from oxcart.cli.output import duration, is_terminal, note, say, say_json, say_table
from oxcart.language import tr
from oxcart.telemetry.terminal import harmless

if TYPE_CHECKING:
    from oxcart.kommo.crm import ServedCrm
    from oxcart.kommo.store.connections import StoredConnection
    from oxcart.queue.producer import Queue

_POLL_SECONDS = 0.3
_NOBODY_SECONDS = 5.0  # then we look whether a worker is there at all

Report = Callable[[Mapping[str, Any]], None]

account_option = click.option(
    "--domain",
    "--connection",
    "domain",
    metavar="DOMAIN|ID",
    help="Which account, if there are several: its domain, or its connection's id as `status` has it.",
)
entities_argument = click.argument("entities", metavar="[ENTITY]...", nargs=-1)


@click.command("sync")
@entities_argument
@account_option
@click.option("--full", is_flag=True, help="Read everything again, not only what has changed.")
@click.option("--now", is_flag=True, help="In this process, without a queue and a worker.")
@json_option
def sync(entities: tuple[str, ...], *, domain: str | None, full: bool, now: bool, as_json: bool) -> None:
    """Read what has changed in the account, and wait for the end. ENTITY is leads, contacts, tasks…; else all.

    Exits 1 if an entity could not be read; the others were.
    """
    from oxcart.cli.session import run_async

    names = _known(entities)
    outcome = run_async(_sync(domain, names, full=full, now=now))
    _answer(outcome, as_json)


@click.command("sweep")
@entities_argument
@account_option
@click.option("--accept", is_flag=True, help="Believe it even if very many rows are gone.")
@json_option
def sweep(entities: tuple[str, ...], *, domain: str | None, accept: bool, as_json: bool) -> None:
    """Find rows that vanished from the account without a word, in this process. Each night a worker does this."""
    from oxcart.cli.session import run_async

    names = _known(entities)
    swept = run_async(_sweep(domain, names, accept=accept))
    if as_json:
        say_json({"entities": swept})
    else:
        headings = (tr("ENTITY"), tr("ROWS"), tr("SUSPECTS"), tr("GONE"), tr("REQUESTS"), tr("PROBLEM"))
        keys = ("entity", "met", "suspects", "tombstoned", "requests")
        say_table(headings, [(*(str(one[key]) for key in keys), one["error"] or "") for one in swept])
    if any(one["error"] for one in swept):
        raise click.exceptions.Exit(FAILED)


@click.command("diff")
@entities_argument
@account_option
@json_option
def diff(entities: tuple[str, ...], *, domain: str | None, as_json: bool) -> None:
    """Compare the database with the account, row by row. Changes nothing; exits 1 where they differ.

    Reads the whole account. Rows that change meanwhile are left out.
    """
    from oxcart.cli.session import run_async

    names = _known(entities)
    found = run_async(_diff(domain, names))
    if as_json:
        say_json({"entities": found})
    else:
        headings = (
            tr("ENTITY"),
            tr("THERE"),
            tr("HERE"),
            tr("MISSING"),
            tr("EXTRA"),
            tr("DIFFERENT"),
            tr("FOR EXAMPLE"),
        )
        say_table(headings, [_difference_row(one) for one in found])
    if any(one["missing"] or one["extra"] or one["different"] for one in found):
        raise click.exceptions.Exit(FAILED)


def _difference_row(one: Mapping[str, Any]) -> tuple[str, ...]:
    kinds = ("missing", "extra", "different")
    examples = ", ".join(f"{kind} {one[kind][0]}" for kind in kinds if one[kind])
    counts = (str(len(one[kind])) for kind in kinds)
    return (one["entity"], str(one["remoteCount"]), str(one["localCount"]), *counts, examples)


async def _sync(domain: str | None, names: list[str] | None, *, full: bool, now: bool) -> dict[str, Any]:
    from oxcart.cli.session import open_crm

    async with open_crm() as crm:
        stored = await crm.find(domain=domain)
        with _progress() as report:
            if now:
                return await _sync_here(crm, stored, names, report, full=full)
            return await _sync_by_job(crm, stored, names, report, full=full)


async def _sync_here(
    crm: ServedCrm, stored: StoredConnection, names: list[str] | None, report: Report, *, full: bool
) -> dict[str, Any]:
    from oxcart.kommo.jobs import summed_up
    from oxcart.kommo.sync.progress import Progress
    from oxcart.kommo.sync.run import sync_account

    async def tell(progress: Progress) -> None:
        report(progress.as_json())

    account = crm.account(stored, patience_seconds=600)
    return summed_up(await sync_account(account, names, full=full, on_progress=tell))


async def _sync_by_job(
    crm: ServedCrm, stored: StoredConnection, names: list[str] | None, report: Report, *, full: bool
) -> dict[str, Any]:
    from oxcart.queue.producer import Queue
    from oxcart.queue.schedules import OWN_QUEUE

    data: dict[str, Any] = {"connectionId": stored.id, "full": full} | ({"entities": names} if names else {})
    async with Queue(OWN_QUEUE, prefix=crm.settings.worker.prefix, server=crm.server) as queue:
        added = await queue.add("kommo:sync", data, attempts=3, backoff="exponential:5s")
        return await _watched(queue, added.id, report)


async def _watched(queue: Queue, job_id: str, report: Report) -> dict[str, Any]:
    """The job's result. Raises Refused when it failed, and when no worker is there to do it."""
    began, told = time.monotonic(), False
    while True:
        job, state = await queue.get(job_id), await queue.state(job_id)
        if job is None:
            raise Refused(tr("The sync was removed from the queue {name} before it ended.", name=queue.name), FAILED)
        if isinstance(job.progress, dict):
            report(job.progress)
        if state == "completed":
            return _result(job.returnvalue)
        if state == "failed":
            raise Refused(harmless(tr("The sync failed: {reason}", reason=job.failed_reason)), FAILED)
        if state != "active" and not told and time.monotonic() - began > _NOBODY_SECONDS:
            told = True
            if not await queue.workers():
                raise Refused(
                    tr(
                        "No worker is connected to the queue {name}. The sync is its job {job_id}: start one "
                        "with `oxcart run`, or read the account in this process with --now.",
                        name=queue.name,
                        job_id=job_id,
                    ),
                    FAILED,
                )
            note(
                tr(
                    "Waiting; the sync is job {job_id} of the queue {name} ({state}).",
                    job_id=job_id,
                    name=queue.name,
                    state=state,
                )
            )
        await asyncio.sleep(_POLL_SECONDS)


def _result(returnvalue: Any) -> dict[str, Any]:
    if isinstance(returnvalue, dict) and "entities" in returnvalue:
        return returnvalue
    raise Refused(harmless(tr("The sync ended without reading: {answer}", answer=returnvalue)), FAILED)


async def _sweep(domain: str | None, names: list[str] | None, *, accept: bool) -> list[dict[str, Any]]:
    from oxcart.cli.session import open_crm
    from oxcart.kommo.sync.progress import Progress
    from oxcart.kommo.sync.sweep import sweep_account

    async with open_crm() as crm:
        account = crm.account(await crm.find(domain=domain), patience_seconds=600)
        with _progress() as report:

            async def tell(progress: Progress) -> None:
                report(progress.as_json())

            return [one.as_json() for one in await sweep_account(account, names, accept=accept, on_progress=tell)]


async def _diff(domain: str | None, names: list[str] | None) -> list[dict[str, Any]]:
    from oxcart.cli.session import open_crm
    from oxcart.kommo.sync.compare import compare_account

    async with open_crm() as crm:
        account = crm.account(await crm.find(domain=domain), patience_seconds=600)
        return [one.as_json() for one in await compare_account(account, names)]


def _answer(outcome: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        say_json(dict(outcome))
    else:
        rows = [_outcome_row(one) for one in outcome["entities"]]
        say_table(
            (
                tr("ENTITY"),
                tr("READ"),
                tr("ROWS"),
                tr("CHANGED"),
                tr("GONE"),
                tr("REQUESTS"),
                tr("TIME"),
                tr("PROBLEM"),
            ),
            rows,
        )
        say(
            "\n"
            + tr(
                "{rows} rows read, {changed} changed, {requests} requests.",
                rows=outcome["rows"],
                changed=outcome["changed"],
                requests=outcome["requests"],
            )
        )
    if outcome["errors"]:
        raise click.exceptions.Exit(FAILED)


def _outcome_row(one: Mapping[str, Any]) -> tuple[str, ...]:
    numbers = (str(one[key]) for key in ("rows", "changed", "deleted", "requests"))
    return (one["entity"], one["mode"], *numbers, duration(one["seconds"] * 1000), one["error"] or "")


@contextmanager
def _progress() -> Iterator[Report]:
    """A bar on a terminal, nothing elsewhere: stdout carries only the answer."""
    if not is_terminal():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description:<24}"), BarColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(tr("connecting"), total=None, said="")

        def report(progress: Mapping[str, Any]) -> None:
            eta = progress.get("etaSeconds")
            left = tr(", {span} left", span=duration(eta * 1000)) if isinstance(eta, int | float) else ""
            said = tr(
                "{rows} rows, {rate:.0f}/s{left}",
                rows=progress["rows"],
                rate=progress["rowsPerSecond"],
                left=left,
            )
            done = {"completed": progress["entitiesDone"], "total": progress["entities"]}
            shown.update(task, description=harmless(str(progress["entity"])), said=said, **done)

        yield report


def _known(entities: tuple[str, ...]) -> list[str] | None:
    """Raises Refused for what is no stream."""
    import difflib

    from oxcart.kommo.entities import ENTITIES

    names = [name.strip().lower() for text in entities for name in text.split(",") if name.strip()]
    for name in names:
        if name not in ENTITIES:
            close = difflib.get_close_matches(name, ENTITIES, n=1)
            guess = (
                tr("Did you mean {guess}?", guess=close[0])
                if close
                else tr("There are {entities}.", entities=", ".join(ENTITIES))
            )
            raise Refused(tr('There is no entity "{name}". {guess}', name=harmless(name)[:40], guess=guess))
    return names or None
