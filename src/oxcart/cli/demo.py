"""What does Oxcart do, seen in half a minute? A private server, a local Kommo, and a worker: its sync and its jobs."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oxcart.cli.exits import FAILED, Interrupted
from oxcart.cli.output import program, say
from oxcart.shell import in_queue, show_job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oxcart.cli.demo_crm import CrmDemo
    from oxcart.cli.demo_jobs import Exhibit, Facts
    from oxcart.cli.demo_view import Shown, View
    from oxcart.queue.producer import Queue
    from oxcart.serving import Plan, Service

QUEUE = "demo"
SCHEDULE = "tick"

_PATIENCE_SECONDS = 25.0
_LOOK_SECONDS = 0.1
_FIRST_PORT = 3001
_CONTACTS, _LEADS = 1000, 500
_DATABASE = Path(".oxcart", "demo.db")


@click.command()
@click.option("--once", is_flag=True, help="End when all was seen: 0 if it went as expected, else 1.")
def demo(once: bool) -> None:
    """See a worker at work, on a private server and a local Kommo. Needs no settings and no network."""
    from oxcart.cli.sandbox import require_sandbox
    from oxcart.cli.session import run_async

    require_sandbox()
    try:
        code = run_async(_demo(once))
    except Interrupted:
        if once:
            raise
        say("\nThe demo has ended; its jobs are still in .oxcart/, and its rows in .oxcart/demo.db.")
        code = 0
    raise click.exceptions.Exit(code)


async def _demo(once: bool) -> int:
    import logging

    from oxcart.cli.demo_crm import connected, steps
    from oxcart.cli.demo_jobs import Facts, demo_app
    from oxcart.cli.demo_view import choose_view, tell_finished
    from oxcart.queue.producer import Queue
    from oxcart.serving import Service
    from oxcart.telemetry.bus import Bus
    from oxcart_sandbox import World, serving

    logging.getLogger().addHandler(logging.NullHandler())
    facts, bus, world = Facts(), Bus(), World(contacts=_CONTACTS, leads=_LEADS)
    say("The demo uses a private server in .oxcart/, with a database and a Kommo of its own, whatever is configured.")
    async with AsyncExitStack() as stack:
        sandbox_url = await stack.enter_async_context(serving(world))
        service = Service(demo_app(facts), _plan(sandbox_url), bus)
        await service.start(stack, loopback_only=True)
        queue = await stack.enter_async_context(Queue(QUEUE, server=service.server))
        stack.push_async_callback(queue.remove_schedule, SCHEDULE)
        _say_where(service, sandbox_url)
        await _empty(queue)
        played = steps()
        with choose_view() as view:
            tell = lambda: view.show(played)  # noqa: E731 - the view and the steps are both of this moment
            crm = await stack.enter_async_context(connected(await service.crm.get(), world, queue, tell))
            for step in played:
                await crm.play(step)
        say()
        exhibits = await _add_jobs(queue, facts)
        with choose_view() as view:
            await _watch(queue, exhibits, view)
        as_expected = _sum_up([*played, *exhibits], exhibits)
        if not once:
            _say_what_to_try(sandbox_url)
            bus.subscribe(tell_finished)
            await _run_on(service, crm)
    return 0 if as_expected else FAILED


def _plan(sandbox_url: str) -> Plan:
    """Nothing of the environment: the demo runs anywhere, and touches no Redis, database or account but its own."""
    from oxcart.http.listen import LOOPBACK, open_sockets
    from oxcart.serving import plan

    for suffix in ("", "-wal", "-shm"):
        _DATABASE.with_name(_DATABASE.name + suffix).unlink(missing_ok=True)
    sockets = open_sockets(_FIRST_PORT, LOOPBACK, may_move=True)
    port = sockets[0].getsockname()[1]  # the address of the webhooks, which must be known before it is listened at
    for listening in sockets:
        listening.close()
    environ = {
        "JOB_QUEUE_NAME": QUEUE,
        "OXCART_SHUTDOWN_GRACE_SECONDS": "1",
        "PORT": str(port),
        "OXCART_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "OXCART_KOMMO_BASE_URL": sandbox_url,
        "DATABASE_URL": f"sqlite:///{_DATABASE}",
        "ENCRYPTION_KEY": secrets.token_hex(32),  # its database does not outlive it either
    }
    return plan(environ, embedded=True)


def _say_where(service: Service, sandbox_url: str) -> None:
    slots = service.plan.settings.worker.concurrency
    say(f"Worker with {slots} slots: http://127.0.0.1:{service.http_port}/health; its Kommo: {sandbox_url}/sandbox/")
    say()


async def _empty(queue: Queue) -> None:
    await queue.pause()
    await queue.obliterate(force=True)
    await queue.resume()


async def _add_jobs(queue: Queue, facts: Facts) -> list[Exhibit]:
    """Into a paused queue, so that all begin at once and priorities show."""
    from oxcart.cli.demo_jobs import add_exhibits
    from oxcart.queue.repeats import Repeat

    await queue.pause()
    exhibits = await add_exhibits(queue, facts)
    await queue.upsert_schedule(SCHEDULE, Repeat(every_seconds=2), name=SCHEDULE)
    await queue.resume()
    return exhibits


async def _watch(queue: Queue, exhibits: list[Exhibit], view: View) -> None:
    """Return once each exhibit has ended, or the time is up."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        for exhibit in exhibits:
            if not exhibit.is_over:
                await exhibit.look(queue)
        view.show(exhibits)
        if all(exhibit.is_over for exhibit in exhibits) or time.monotonic() > until:
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _sum_up(shown: Sequence[Shown], exhibits: list[Exhibit]) -> bool:
    good = sum(one.is_as_expected for one in shown)
    say(f"\n{good} of {len(shown)} went as expected.")
    for one in shown:
        if not one.is_as_expected:
            say(f"  not so: {one.title} ({one.shows}): {one.state} {one.detail}")
    dead_letter = next((exhibit.job_id for exhibit in exhibits if exhibit.state == "failed"), "ID")
    say("\nWhat next")
    for command, purpose in _next_commands(dead_letter):
        say(f"  {command.replace('oxcart', program(), 1)}\n      {purpose}")
    return good == len(shown)


def _next_commands(dead_letter: str) -> list[tuple[str, str]]:
    """Those that work right away in this folder; with a Redis configured the demo's jobs are elsewhere."""
    from oxcart.connection.target import resolve_target

    report = resolve_target(os.environ)
    account = (
        "oxcart kommo connect yours.kommo.com",
        "your own account, with its token in KOMMO_TOKEN (docs/kommo.md)",
    )
    if report.target is None and not report.problems:
        return [
            (f"oxcart jobs list {in_queue(QUEUE)}", "the dead letters, and why they failed"),
            (show_job(dead_letter, QUEUE), "everything about one of them"),
            account,
            ("oxcart run", "a worker for the queue agent-jobs; with app.py's app: run app:app"),
        ]
    return [
        ("oxcart env", "the Redis that is configured, and where that comes from"),
        account,
        ("oxcart run", "a worker on it"),
        ("oxcart enqueue test-job --wait 10", "a job for it, from another terminal"),
    ]


def _say_what_to_try(sandbox_url: str) -> None:
    say("\nEdit the account, and see it arrive:")
    say(f'  curl -X PATCH -d \'{{"name": "Big deal"}}\' {sandbox_url}/sandbox/accounts/demo/leads/20000001')
    say("\nThe worker keeps running; Ctrl-C ends it.")


async def _run_on(service: Service, crm: CrmDemo) -> None:
    """Until the worker ends, with a line for each row that changes."""
    from oxcart.cli.demo_crm import tell_changes

    async with asyncio.TaskGroup() as group:
        telling = group.create_task(tell_changes(crm))
        await service.worker.wait()
        telling.cancel()
