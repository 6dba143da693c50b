"""What is wrong, and what is to be done? `doctor` examines the way to Redis and the queue, `explain` tells more."""

from __future__ import annotations

import asyncio
import os
import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from oxcart.cli.exits import FAILED, UNREACHABLE, Refused
from oxcart.cli.options import json_option, language_option
from oxcart.cli.output import is_terminal, note, say, say_json, say_table
from oxcart.language import ENGLISH, speaking, tr
from oxcart.telemetry.terminal import harmless

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from oxcart.cli.telling import Teller
    from oxcart.doctor.run import Diagnosis
    from oxcart.doctor.visit import Visit

_AGAIN_SECONDS = 2.0
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0}


@click.command()
@click.argument("app", metavar="[MODULE:APP]", required=False)
@click.option("--only", metavar="ID", multiple=True, help="Only these checks or groups, and what they need.")
@click.option("--skip", metavar="ID", multiple=True, help="Leave these checks or groups out.")
@click.option("--list", "list_checks", is_flag=True, help="List the checks, and run none.")
@click.option("--wait", metavar="60s", default="0s", help="Look again until all is well, at most so long (60s, 2m).")
@click.option("--strict", is_flag=True, help="Exit 1 for warnings too.")
@click.option("--report", is_flag=True, help="Print a redacted report to paste into an issue.")
@click.option("--verbose", "-v", is_flag=True, help="Show raw errors, times and every skipped check.")
@click.option("--worker", metavar="URL", help="Compare with the worker that answers there.")
@click.option("--control-host", metavar="NAME", help="A name that resolves if names are resolved at all.")
@language_option
@json_option
def doctor(  # noqa: PLR0917 - click hands them over by name
    app: str | None,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    list_checks: bool,
    wait: str,
    strict: bool,
    report: bool,
    verbose: bool,
    worker: str | None,
    control_host: str | None,
    as_json: bool,
) -> None:
    """Find out what keeps jobs from running, and say what to do. Changes nothing, and leaves nothing behind."""
    from oxcart.cli.kommo_checks import all_checks
    from oxcart.cli.session import run_async
    from oxcart.cli.telling import Teller, exit_code_of
    from oxcart.doctor.examine import examine, visitor
    from oxcart.doctor.run import choose, named

    checks = all_checks()
    chosen, wanted = choose(checks, _names(only)), frozenset(named(checks, _names(only)))
    left_out = frozenset(named(checks, _names(skip)))
    if list_checks:
        _list(chosen, as_json)
        return
    if report:  # for those who keep the project, whatever the operator speaks
        click.get_current_context().with_resource(speaking(ENGLISH))
    patience = _seconds(wait)
    make_visit = visitor(
        dict(os.environ),
        known_names=_known_names(app),
        app_is_given=app is not None,
        worker_url=worker,
        control_host=control_host,
    )
    teller = Teller(quiet=as_json or report, verbose=verbose)
    diagnosis = run_async(
        _examine(partial(examine, make_visit, checks=chosen, wanted=wanted, left_out=left_out), patience, teller)
    )
    if as_json:
        from oxcart.doctor.report import to_json

        say_json(to_json(diagnosis))
    elif report:
        _say_report(diagnosis, make_visit)
    else:
        teller.conclude(diagnosis)
    click.get_current_context().exit(exit_code_of(diagnosis, strict=strict))


@click.command()
@click.argument("name", metavar="ID")
@language_option
def explain(name: str) -> None:
    """Print what the documentation says about ID: a verdict, a failure code or a check."""
    import shutil
    import textwrap

    from oxcart.doctor.pages import explain as explain_page

    width = min(shutil.get_terminal_size().columns, 120) if is_terminal() else 120
    for line in explain_page(name).rstrip().splitlines():
        indent = "  " if line.startswith("- ") else ""
        say(textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False))


def _names(given: tuple[str, ...]) -> list[str]:
    """Also with commas: --only dns,tcp."""
    return [name.strip().lower() for text in given for name in text.split(",") if name.strip()]


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([sm]?)", text.strip())
    if found is None:
        raise Refused(tr('--wait "{text}" is no time. Write 60s or 2m.', text=harmless(text)[:40]))
    return float(found[1]) * _UNITS[found[2]]


def _known_names(app_name: str | None) -> frozenset[str]:
    from oxcart.serving import with_built_ins

    app = None
    if app_name is not None:
        from oxcart.cli.loading import AppFailed, load_app

        try:
            app = load_app(app_name)
        except AppFailed as failed:
            note(failed.report)
            raise Refused(str(failed), FAILED) from failed
    return frozenset(with_built_ins(app).handlers.names)


def _list(checks: Iterable[Any], as_json: bool) -> None:
    if as_json:
        say_json([{"id": check.id, "group": check.group, "title": tr(check.title)} for check in checks])
        return
    headings = (tr("CHECK"), tr("GROUP"), tr("TITLE"))
    say_table(headings, [(check.id, check.group, tr(check.title)) for check in checks])


async def _examine(
    look: Callable[..., Coroutine[Any, Any, Diagnosis]], patience_seconds: float, teller: Teller
) -> Diagnosis:
    """Once, or again and again until all is well or the time is up; what is told is the last look."""
    until = time.monotonic() + patience_seconds
    while True:
        is_last = patience_seconds == 0
        diagnosis = await look(on_result=teller.tell if is_last else lambda _: None)
        left = until - time.monotonic()
        if is_last or left <= 0 or not _may_pass(diagnosis):
            if not is_last:
                for result in diagnosis.results:
                    teller.tell(result)
            return diagnosis
        assert diagnosis.verdict is not None
        note(
            tr(
                "{code}: {summary} Looking again for {left:.0f} s.",
                code=diagnosis.verdict.id,
                summary=diagnosis.verdict.summary,
                left=left,
            )
        )
        await asyncio.sleep(min(_AGAIN_SECONDS, left))


def _may_pass(diagnosis: Diagnosis) -> bool:
    """A server that is on its way comes up while we wait; settings do not change in this process."""
    verdict = diagnosis.verdict
    return verdict is not None and (verdict.retryable or diagnosis.exit_code == UNREACHABLE)


def _say_report(diagnosis: Diagnosis, make_visit: Callable[[], Visit]) -> None:
    """No host, user or address of the database: an issue is public."""
    import platform
    from importlib.metadata import version

    from oxcart.doctor.redact import redactor
    from oxcart.doctor.report import to_paste

    visit = make_visit()
    facts = [
        ("oxcart", version("oxcart")),
        ("python", platform.python_version()),
        ("system", f"{platform.system()} {platform.machine()}"),
        ("provider", visit.provider.value),
    ]
    hide = redactor(visit, diagnosis)
    for line in to_paste(diagnosis, facts):
        say(harmless(hide(line)))
