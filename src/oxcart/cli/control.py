"""How does an operator stop, empty and slow down a queue? pause, resume, drain, clean, limit."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import click

from oxcart.cli.exits import Refused
from oxcart.cli.filters import filter_options, progress
from oxcart.cli.options import confirm, json_option, queue_option, yes_option
from oxcart.cli.output import duration, say, say_json, say_pairs
from oxcart.language import tr

if TYPE_CHECKING:
    from oxcart.queue.producer import Queue
    from oxcart.queue.search import Filter

Answer = TypeVar("Answer")

_NO_LIMIT = "none"


@click.command()
@queue_option
@json_option
def pause(queue: str | None, as_json: bool) -> None:
    """Stop claiming from a queue. Holds for workers of every language; running jobs go on."""
    from oxcart.cli.session import run_async

    run_async(_switch(queue, as_json, paused=True))


@click.command()
@queue_option
@json_option
def resume(queue: str | None, as_json: bool) -> None:
    """Let workers claim again."""
    from oxcart.cli.session import run_async

    run_async(_switch(queue, as_json, paused=False))


async def _switch(queue_name: str | None, as_json: bool, *, paused: bool) -> None:
    from oxcart.cli.session import open_queue

    async with open_queue(queue_name) as queue:
        await (queue.pause() if paused else queue.resume())
        await audit_of(queue, "pause" if paused else "resume", "", 0)
    if as_json:
        say_json({"queue": queue.name, "paused": paused})
    else:
        say(
            tr("Queue {queue} is paused. Running jobs go on; new ones wait.", queue=queue.name)
            if paused
            else tr("Queue {queue} runs.", queue=queue.name)
        )


@click.command()
@queue_option
@click.option("--delayed", is_flag=True, help="Remove delayed jobs too.")
@yes_option
@json_option
def drain(queue: str | None, delayed: bool, yes: bool, as_json: bool) -> None:
    """Remove every job that waits. Active, completed and failed jobs stay."""
    from oxcart.cli.session import run_async

    run_async(_drain(queue, delayed, yes, as_json))


async def _drain(queue_name: str | None, delayed: bool, yes: bool, as_json: bool) -> None:
    from oxcart.cli.session import open_queue

    states = ("waiting", "paused", "prioritized", *(("delayed",) if delayed else ()))
    async with open_queue(queue_name) as queue:
        before = await queue.counts()
        waiting = sum(before[state] for state in states)
        which = tr("waiting and delayed") if delayed else tr("waiting")
        confirm(tr("Remove {count} {which} jobs of {queue}?", count=waiting, which=which, queue=queue.name), yes=yes)
        await queue.drain(delayed=delayed)
        after = await queue.counts()
        removed = max(0, waiting - sum(after[state] for state in states))
        await audit_of(queue, "drain", "--delayed" if delayed else "", removed)
    if as_json:
        say_json({"queue": queue.name, "removed": removed, "counts": after})
    else:
        say(tr("Removed {count} jobs of {queue}.", count=removed, queue=queue.name))


@click.command()
@queue_option
@click.option(
    "--state", metavar="STATE", default="completed", help="Which jobs: completed, failed, delayed, waiting and so on."
)
@click.option("--older-than", metavar="AGE", default="0s", help="Keep younger ones: 90s, 30m, 24h, 7d.")
@click.option("--limit", metavar="N", type=click.IntRange(0), default=0, help="Remove at most so many; 0 is all.")
@filter_options
@click.option("--dry-run", is_flag=True, help="Only say how many are meant; change nothing.")
@yes_option
@json_option
def clean(
    *,
    queue: str | None,
    state: str,
    older_than: str,
    limit: int,
    wanted: Filter,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove jobs of one state: all, those that are old, or those that are so."""
    from oxcart.cli.session import run_async
    from oxcart.handlers import parse_duration_ms
    from oxcart.queue.inspect import check_state

    meant = Cleaning(check_state(state), parse_duration_ms(older_than) / 1000, limit, wanted)
    which = tr("{state} jobs", state=state)
    which += " " + tr("older than {age}", age=older_than) if meant.older_than_seconds else ""

    async def remove(on: Queue) -> list[str]:
        if dry_run:
            return await meant.find(on)
        how_many = tr("up to {limit}", limit=limit) if limit else tr("all")
        confirm(tr("Remove {how_many} {which} of {queue}?", how_many=how_many, which=which, queue=on.name), yes=yes)
        removed = await meant.remove(on)
        await audit_of(on, "clean", f"--state {state} --older-than {older_than} {wanted}".strip(), len(removed))
        return removed

    ids, name = run_async(_on_queue(queue, remove))
    if as_json:
        say_json({"queue": name, "state": state, **({"dryRun": True, "jobs": ids} if dry_run else {"removed": ids})})
    elif dry_run:
        say(tr("{count} jobs of {queue} are meant; nothing was changed.", count=len(ids), queue=name))
    else:
        say(tr("Removed {count} {which} of {queue}.", count=len(ids), which=which, queue=name))


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What `clean` is to remove; `limit` 0: all."""

    state: str
    older_than_seconds: float
    limit: int
    wanted: Filter

    async def remove(self, queue: Queue) -> list[str]:
        """By BullMQ's script, which is fast, where it knows what is meant; else one by one."""
        from oxcart.queue.search import change_each

        if self.wanted.is_empty:
            return await queue.clean(self.state, grace_seconds=self.older_than_seconds, limit=self.limit)
        return (await change_each(await self.find(queue), queue.remove, progress=progress())).done

    async def find(self, queue: Queue) -> list[str]:
        from oxcart.queue.search import search

        before = queue.channel.server.clock.now_ms() - self.older_than_seconds * 1000
        ids: list[str] = []
        async for found in search(queue.channel, self.state, self.wanted, oldest_first=True, progress=progress()):
            ids += [job.id for job in found if not self.older_than_seconds or (job.at_ms or before + 1) <= before]
        return ids[: self.limit or None]


async def audit_of(queue: Queue, action: str, which: str, jobs: int) -> None:
    from oxcart.queue.search import audit

    await audit(queue.channel, action, which, jobs)


async def _on_queue(queue_name: str | None, work: Callable[[Queue], Awaitable[Answer]]) -> tuple[Answer, str]:
    """What `work` returns, and the queue's name."""
    from oxcart.cli.session import open_queue

    async with open_queue(queue_name) as queue:
        return await work(queue), queue.name


@click.command()
@queue_option
@click.option("--concurrency", metavar="N|none", help="At most N jobs at once in all workers together.")
@click.option("--rate", metavar="N/TIME|none", help="At most N jobs per time in all workers: 100/60s, 5/s.")
@json_option
def limit(queue: str | None, concurrency: str | None, rate: str | None, as_json: bool) -> None:
    """Show or set the limits of a queue. They hold for all its workers together, Node's included."""
    from oxcart.cli.session import run_async

    jobs_at_once = _parse_concurrency(concurrency)
    jobs_per_time = _parse_rate(rate)

    async def set_limits(open_queue: Queue) -> dict[str, int | None]:
        if concurrency is not None:
            await open_queue.set_global_concurrency(jobs_at_once)
        if rate is not None:
            count, seconds = jobs_per_time
            await open_queue.set_rate_limit(count, duration_seconds=seconds)
        return await open_queue.limits()

    limits, name = run_async(_on_queue(queue, set_limits))
    if as_json:
        shown = None if limits["max"] is None else {"max": limits["max"], "durationMs": limits["duration"]}
        say_json({"queue": name, "concurrency": limits["concurrency"], "rate": shown})
        return
    at_once, per_time = tr("no limit"), tr("no limit")
    if limits["concurrency"] is not None:
        at_once = tr("{count} jobs at once", count=limits["concurrency"])
    if limits["max"] is not None:
        per_time = tr("{count} jobs per {span}", count=limits["max"], span=duration(limits["duration"] or 0))
    say(tr("Queue {queue}, all workers together", queue=name))
    say_pairs([(tr("concurrency"), at_once), (tr("rate"), per_time)])


def _parse_concurrency(text: str | None) -> int | None:
    """None for no limit."""
    if text is None or text == _NO_LIMIT:
        return None
    if not re.fullmatch(r"[1-9]\d{0,8}", text):
        raise Refused(tr('--concurrency "{text}": give a whole number from 1 on, or none.', text=text))
    return int(text)


def _parse_rate(text: str | None) -> tuple[int | None, float]:
    """Jobs (None for no limit) and seconds."""
    from oxcart.settings import parse_rate

    if text is None or text == _NO_LIMIT:
        return None, 1.0
    try:
        rate = parse_rate(text)
    except ValueError:
        raise Refused(f'--rate "{text}": write jobs/time, as in 100/60s or 5/s, or none.') from None
    return rate.most, rate.duration_ms / 1000
