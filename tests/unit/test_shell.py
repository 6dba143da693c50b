"""Does a command that we print do, in a shell, what it says, whatever characters ids and queues have?"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
from hypothesis import example, given
from hypothesis import strategies as st

import oxcart
from oxcart.cli.program import build_command
from oxcart.conditions import BY_CODE, QueueFacts, Returning, problem_of
from oxcart.shell import in_queue, show_job
from oxcart.telemetry.events import JobUnreadable
from oxcart.telemetry.lines import RULES

SOURCE = Path(oxcart.__path__[0])
TEXTS = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=12)
HOSTILE = st.text(st.sampled_from(list("ab1 -'\"`$();&|<>*?~#!\\{}%=é\n")), min_size=1, max_size=12)
PROGRAM = build_command()


def cure_of(code: str, id_: str, queue: str) -> str:
    returning = (Returning("sync", 1, 9, id_),)
    facts = QueueFacts(queue, 0, {}, is_paused=True, returning=returning, stopped_schedules=(id_,))
    problem = problem_of(BY_CODE[code], facts)
    assert problem is not None
    return problem.cure()


def printed(id_: str, queue: str) -> list[tuple[str, str]]:
    """Each command that names an id, and where it ends the sentence it is in."""
    unreadable = RULES[JobUnreadable].line(JobUnreadable(queue, id_, "broken")).message
    return [
        (show_job(id_, queue), ""),
        (unreadable.partition("see `")[2], "`"),
        (cure_of("JOBS_RETURN", id_, queue).partition("they wait for: ")[2], ". Mostly "),
        (cure_of("SCHEDULE_STOPPED", id_, queue).partition("take it away: ")[2], ". Then "),
    ]


def understood(command: str) -> dict[str, Any]:
    """What the program makes of it, when a shell has split it."""
    found: click.Command = PROGRAM
    words = shlex.split(command)
    assert words.pop(0) == "oxcart"
    while isinstance(found, click.Group):
        name = words.pop(0)
        one = found.get_command(click.Context(found), name)
        assert one is not None, name
        found = one
    return dict(found.make_context("it", words).params)


@given(id_=TEXTS | HOSTILE, queue=TEXTS | HOSTILE)
@example("-rf", "--queue")
@example("$(reboot)", "a'b")
@example("a. Mostly `b`", "c. Then `d")
def test_a_printed_command_means_the_id_and_queue_that_it_is_about(id_: str, queue: str) -> None:
    for text, end in printed(id_, queue):
        command = text.rpartition(end)[0] if end else text
        params = understood(command)
        assert (id_ in params.values(), params["queue"]) == (True, queue), command
    resume = cure_of("QUEUE_PAUSED", id_, queue).partition("when it is time: ")[2]
    assert understood(resume)["queue"] == queue
    assert understood(f"oxcart schedules migrate --dry-run {in_queue(queue)}")["queue"] == queue


def test_there_is_one_place_that_quotes() -> None:
    by_hand = re.compile(r"--queue \{|shlex\.quote")
    at_home = {"shell.py", "output.py", "events_page.py"}

    found = [path.name for path in SOURCE.rglob("*.py") if by_hand.search(path.read_text(encoding="utf-8"))]

    assert set(found) - at_home == set()
