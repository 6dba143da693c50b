"""Has the deploy worked? `verify URL` looks at the running worker from outside, and ends with 0 or the reason."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oxcart.cli.exits import Refused
from oxcart.cli.options import json_option, language_option
from oxcart.cli.output import note, say_json
from oxcart.language import tr

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oxcart.doctor.deployment import Deployment
    from oxcart.doctor.run import Diagnosis, Result
    from oxcart.secret import Secret

_CANARY_SECONDS = 30.0


@click.command()
@click.argument("url", metavar="URL")
@click.option("--wait", metavar="TIME", default="0", help="How long to wait for it and its release: 90s, 5m.")
@click.option("--expect-release", metavar="SHA", help="The commit that must run; seven characters are enough.")
@click.option(
    "--token-file",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Holds the token of POST /canary; else OXCART_HTTP_TOKEN.",
)
@click.option("--window", metavar="TIME", default="5s", help="Between the two reads of /metrics.")
@click.option("--no-canary", is_flag=True, help="Send no test job.")
@click.option("--strict", is_flag=True, help="Exit 1 for warnings, too.")
@click.option("--verbose", "-v", is_flag=True, help="Show times and every skipped check.")
@language_option
@json_option
def verify(
    url: str,
    *,
    wait: str,
    expect_release: str | None,
    token_file: Path | None,
    window: str,
    no_canary: bool,
    strict: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Prove that a deployed worker works: reached, the right release, well, fetching, and a test job goes through.

    Exits 0 when all is well, 69 when the address is not reached, 1 for everything else that is wrong.
    """
    from oxcart.cli.session import run_async
    from oxcart.cli.telling import Teller, exit_code_of
    from oxcart.doctor.deployment import Deployment, parse_base
    from oxcart.doctor.report import to_json

    patience = _seconds("--wait", wait)
    deployment = Deployment(
        parse_base(url),
        time.monotonic() + patience,
        expected_release=expect_release,
        token=_token(token_file),
        window_seconds=_seconds("--window", window),
        wants_canary=not no_canary,
        enqueue=_canary_by_redis(),
        on_wait=lambda reason: note(tr("waiting: {reason}", reason=reason)),
    )
    teller = Teller(quiet=as_json, verbose=verbose)
    diagnosis = run_async(_verify(deployment, patience, teller.tell))
    if as_json:
        say_json(to_json(diagnosis))
    else:
        teller.conclude(diagnosis)
    raise click.exceptions.Exit(exit_code_of(diagnosis, strict=strict))


async def _verify(deployment: Deployment, patience: float, show: Callable[[Result], None]) -> Diagnosis:
    from oxcart.doctor.run import Diagnosis, first_cause, run_checks
    from oxcart.doctor.verify import checks_for

    checks = checks_for(patience, deployment.window_seconds)
    results = await run_checks(checks, deployment, target=lambda: None, on_result=show)
    return Diagnosis(results, first_cause(results))


def _seconds(option: str, text: str) -> float:
    from oxcart.errors import InvalidInput
    from oxcart.handlers import parse_duration_ms

    try:
        seconds = float(text) if text.replace(".", "", 1).isdigit() else parse_duration_ms(text) / 1000
    except InvalidInput as error:
        raise Refused(tr("{option} {text}: write a time such as 90s or 5m.", option=option, text=text)) from error
    if not 0 <= seconds < math.inf:
        raise Refused(tr("{option} {text}: write a time such as 90s or 5m.", option=option, text=text))
    return seconds


def _token(path: Path | None) -> Secret | None:
    """From the file, or as the worker itself reads it; of two tokens the first. Raises SettingsError, Refused."""
    from oxcart.errors import SettingsError
    from oxcart.secret import Secret
    from oxcart.settings import HttpSettings, Reader

    if path is None:
        reader = Reader(os.environ)
        tokens = reader.read(HttpSettings).tokens
        problems = [problem for problem in reader.problems if "OXCART_HTTP_TOKEN" in problem]
        if problems:
            raise SettingsError(problems)
        return tokens[0] if tokens else None
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise Refused(
            tr(
                "--token-file {path}: the file cannot be read ({reason}). Look at its path.",
                path=path,
                reason=error.strerror,
            )
        ) from error
    except UnicodeDecodeError as error:
        raise Refused(tr("--token-file {path}: it is no token; tokens are printable ASCII.", path=path)) from error
    if not text.isprintable() or not text:
        raise Refused(tr("--token-file {path}: it must hold one token in one line.", path=path))
    return Secret(text)


def _canary_by_redis() -> Callable[[str], Awaitable[str]] | None:
    """Only with a Redis in the environment: the embedded server is no deployed worker's."""
    from oxcart.connection.target import resolve_target

    report = resolve_target(os.environ)
    if report.target is None or report.problems:
        return None

    async def enqueue(queue_name: str) -> str:
        from oxcart.cli.session import open_queue

        async with open_queue(queue_name or None, may_be_new=True) as queue:
            added = await queue.add("test-job", {"canary": True})
            result = await added.result(timeout_seconds=_CANARY_SECONDS)
        version = result.get("version") if isinstance(result, dict) else None
        by = f"Oxcart {version}" if version and "python" in result else tr("another worker of this queue")
        return tr("job {job} was run by {by}", job=added.id, by=by)

    return enqueue
