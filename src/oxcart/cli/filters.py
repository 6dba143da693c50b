"""Which jobs does a command mean? The same options on every listing and on every command on many jobs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from oxcart import clock
from oxcart.cli.exits import FAILED, Refused
from oxcart.cli.output import complain
from oxcart.language import tr
from oxcart.telemetry.terminal import harmless

if TYPE_CHECKING:
    from oxcart.queue.channel import Channel
    from oxcart.queue.search import Filter, Progress

Command = TypeVar("Command", bound=Callable[..., Any])

ELLIPSIS = "…"
_LEAST_END = 4  # characters of an id that are looked for


def complete_state(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    from oxcart.queue.inspect import STATES

    return [state for state in STATES if state.startswith(begun)]


def complete_name(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    from oxcart.cli.completing import job_names

    return [name for name in job_names() if name.startswith(begun)]


def filter_options(command: Command) -> Command:
    """--name, --since, --until, --attempts, --reason, --data, --search; the command gets `wanted`, a Filter."""

    def collected(*_: Any, **given: Any) -> Any:
        wanted = _filter(**{name: given.pop(name) for name in _FILTERS})
        return command(wanted=wanted, **given)

    collected.__doc__, collected.__name__ = command.__doc__, command.__name__
    collected.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    options = (
        click.option("--search", "text", metavar="TEXT", help="Only jobs whose id, name, data or reason contain this."),
        click.option(
            "--data",
            "conditions",
            metavar="PATH=VALUE",
            multiple=True,
            help="Only with this in their data: user.id=42.",
        ),
        click.option("--reason", metavar="TEXT", help="Only failed jobs whose reason contains this."),
        click.option(
            "--attempts", metavar="N", type=click.IntRange(1), help="Only jobs that were tried so often, or oftener."
        ),
        click.option("--until", metavar="AGE", help="Only what finished, or was added, longer ago than this."),
        click.option("--since", metavar="AGE", help="Only what finished, or was added, within this time: 30m, 2h, 7d."),
        click.option(
            "--name",
            "names",
            metavar="NAME",
            multiple=True,
            shell_complete=complete_name,
            help="Only jobs of this name; may be repeated.",
        ),
    )
    for option in options:
        collected = option(collected)
    return collected  # type: ignore[return-value]


_FILTERS = ("names", "since", "until", "attempts", "reason", "conditions", "text")


def _filter(
    *,
    names: tuple[str, ...],
    since: str | None,
    until: str | None,
    attempts: int | None,
    reason: str | None,
    conditions: tuple[str, ...],
    text: str | None,
) -> Filter:
    from oxcart.handlers import parse_duration_ms
    from oxcart.queue.search import Filter, parse_data

    now_ms = clock.now_ms()
    since_ms, until_ms = (None if age is None else round(now_ms - parse_duration_ms(age)) for age in (since, until))
    data = tuple(map(parse_data, conditions))
    return Filter(names, since_ms, reason, data, text, until_ms=until_ms, attempts=attempts)


def progress() -> Progress | None:
    """Told to a person who waits, and to nobody else."""
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    return lambda done, total: complain(tr("{done:,} of {total:,}", done=done, total=total).replace(",", " "))


async def whole_ids(channel: Channel, given: tuple[str, ...]) -> list[str]:
    """The ids as they were given; of one that no job has, the job whose id ends so, as tables show it.

    Raises Refused where several do.
    """
    doing = tr("Looking for jobs of queue {queue}", queue=channel.keys.name)
    present = await channel.commands(doing, [("EXISTS", channel.keys.job(job_id)) for job_id in given])
    return [job_id if there else await _ending(channel, job_id) for job_id, there in zip(given, present, strict=True)]


async def _ending(channel: Channel, given: str) -> str:
    """The id itself if no job ends so: whoever looks for it says that it is not there."""
    from oxcart.queue.inspect import STATES
    from oxcart.queue.search import Filter, search

    end = given.lstrip(ELLIPSIS)
    if len(end) < _LEAST_END:
        return given
    found: list[str] = []
    for state in STATES:
        async for jobs in search(channel, state, replace(Filter(), id_end=end)):
            found += [job.id for job in jobs]
    if len(found) > 1:
        ends = ", ".join(harmless(job_id) for job_id in found[:5])
        raise Refused(tr("Several jobs end in {end}: {ids}. Give more of the id.", end=harmless(end), ids=ends), FAILED)
    return found[0] if found else given
