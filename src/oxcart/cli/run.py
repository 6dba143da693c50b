"""How does `run` become one worker, or several? Settings with the options on top, the app, the log, then serve().

With `--processes N` this process only supervises: it starts N others by the same command, with `--supervised`.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

import click

from oxcart.cli.exits import FAILED, Refused
from oxcart.cli.output import complain, is_terminal

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Mapping

    from oxcart.app import Oxcart
    from oxcart.serving import Plan
    from oxcart.supervisor.member import Place
    from oxcart.telemetry.logs import EventLog


@click.command()
@click.argument("app", metavar="[MODULE:APP]", required=False)
@click.option("--queue", "-q", metavar="NAMES", help="Queues to serve (JOB_QUEUE_NAME): a,b:10.")
@click.option(
    "--concurrency", metavar="N", type=click.IntRange(1, 10_000), help="Jobs to run at once (JOB_CONCURRENCY)."
)
@click.option(
    "--processes", metavar="N", type=click.IntRange(1, 256), help="Worker processes to start (OXCART_PROCESSES)."
)
@click.option(
    "--only", metavar="NAMES", multiple=True, help="Run jobs of these names only (OXCART_ONLY_JOBS): a,b, or repeated."
)
@click.option(
    "--except", "except_", metavar="NAMES", multiple=True, help="Leave these names to others (OXCART_EXCEPT_JOBS)."
)
@click.option("--port", metavar="N", type=click.IntRange(0, 65_535), help="The HTTP port (PORT).")
@click.option("--reload", is_flag=True, help="Restart when a .py file below this folder changes.")
@click.option("--embedded", is_flag=True, help="Use the private server in .oxcart/, whatever Redis is set.")
@click.option("--supervised", metavar="PLACE", hidden=True)
def run(
    app: str | None,
    *,
    queue: str | None,
    concurrency: int | None,
    processes: int | None,
    only: tuple[str, ...],
    except_: tuple[str, ...],
    port: int | None,
    reload: bool,
    embedded: bool,
    supervised: str | None,
) -> None:
    """Run the worker with its HTTP side, until SIGTERM or Ctrl-C.

    MODULE:APP is an Oxcart app of a module in this folder or on PYTHONPATH; without one the built-in jobs are served.
    The log is on stdout.
    """
    from oxcart.serving import plan

    environ = dict(os.environ)
    options = (
        ("JOB_QUEUE_NAME", queue),
        ("JOB_CONCURRENCY", concurrency),
        ("OXCART_PROCESSES", processes),
        ("PORT", port),
    )
    environ |= {name: str(value) for name, value in options if value is not None}
    if only or except_:
        environ |= {"OXCART_ONLY_JOBS": ",".join(only), "OXCART_EXCEPT_JOBS": ",".join(except_)}
    planned = plan(environ, embedded=embedded)
    if supervised is not None:
        raise click.exceptions.Exit(_serve_supervised(app, planned, supervised))
    several = planned.settings.processes > 1
    if several and (reload or sys.platform == "win32"):
        what = "--reload follows" if reload else "On Windows there is"
        raise Refused(f"{what} one process only; run it with --processes 1 (OXCART_PROCESSES).")
    if reload:
        from oxcart.cli.reload import run_and_reload

        raise click.exceptions.Exit(run_and_reload(_child_arguments(app, embedded), environ))
    raise click.exceptions.Exit(
        _supervise(_child_arguments(app, embedded), planned, environ) if several else _serve(app, planned)
    )


def _child_arguments(app: str | None, embedded: bool) -> list[str]:
    """The same command without --reload; the other options are in its environment."""
    return ["run", *([app] if app else []), *(["--embedded"] if embedded else [])]


def _serve(app_name: str | None, planned: Plan) -> int:
    from oxcart import serving
    from oxcart.telemetry.bus import Bus

    app = _load(app_name)
    bus = Bus()
    with _log(planned) as log:
        bus.subscribe(log)
        return serving.run(app, planned, bus, loop_factory=_loop_factory(), before_exit=log.close)


def _supervise(arguments: list[str], planned: Plan, environ: Mapping[str, str]) -> int:
    import asyncio

    from oxcart.supervisor.supervise import open_turns, supervise
    from oxcart.telemetry.bus import Bus

    bus, turns = Bus(), open_turns()
    with _log(planned, turns=turns) as log:
        bus.subscribe(log)
        return asyncio.run(supervise(planned, bus, arguments, environ, turns))


def _serve_supervised(app_name: str | None, planned: Plan, text: str) -> int:
    from oxcart import serving
    from oxcart.supervisor.member import Member, parse_place
    from oxcart.telemetry.bus import Bus

    place: Place = parse_place(text)
    grace_seconds = planned.settings.worker.shutdown_grace_seconds
    member = Member(place, grace_seconds=grace_seconds, watches_alerts=planned.settings.alert_url is not None)
    member.start()
    app = _load(app_name)
    bus = Bus()
    with _log(planned, process=place.process, turns=place.turns) as log:
        bus.subscribe(log)
        bus.subscribe(member)

        def say_last_words() -> None:
            member.report()
            log.close()

        return serving.run(
            app,
            planned,
            bus,
            loop_factory=_loop_factory(),
            before_exit=say_last_words,
            process=place.process,
            on_started=lambda service: member.report_on(
                service.worker.name, service.worker.status, service.app.worker.obey
            ),
        )


@contextlib.contextmanager
def _log(planned: Plan, *, process: int | None = None, turns: int | None = None) -> Iterator[EventLog]:
    from oxcart.cli.session import secrets_of
    from oxcart.errors import OxcartError
    from oxcart.telemetry.logs import Printed, configure_logging

    wanted = planned.settings.log
    log = configure_logging(
        level=wanted.level, format=wanted.format, secrets=secrets_of(planned), process=process, turns=turns
    )
    printed = (
        contextlib.nullcontext() if is_terminal() else contextlib.redirect_stdout(Printed(log))
    )  # a handler may print
    try:
        with printed:
            yield log
    except OxcartError:
        raise
    except Exception as error:
        _log_bug(error)
        raise
    finally:
        log.close()


def _load(app_name: str | None) -> Oxcart | None:
    if app_name is None:
        return None
    from oxcart.cli.loading import AppFailed, load_app

    try:
        return load_app(app_name)
    except AppFailed as failed:
        complain(failed.report)
        raise Refused(str(failed), FAILED) from failed


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """That of uvloop, which makes a worker faster, where it is installed."""
    if sys.platform == "win32":
        return None
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _log_bug(error: Exception) -> None:
    """A worker that ends by a bug must say where: nobody can start it again with OXCART_DEBUG to find out."""
    import logging

    logging.getLogger("oxcart").critical("The worker ends: it met an error that it did not expect", exc_info=error)
