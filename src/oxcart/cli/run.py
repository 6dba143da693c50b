"""How does `run` become a worker? Settings with the options on top, the app, the log on stdout, then serve()."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from oxcart.cli.exits import FAILED, Refused
from oxcart.cli.output import complain

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from oxcart.app import Oxcart
    from oxcart.serving import Plan


@click.command()
@click.argument("app", metavar="[MODULE:APP]", required=False)
@click.option("--queue", "-q", metavar="NAMES", help="Queues to serve (JOB_QUEUE_NAME): a,b:10.")
@click.option(
    "--concurrency", metavar="N", type=click.IntRange(1, 10_000), help="Jobs to run at once (JOB_CONCURRENCY)."
)
@click.option("--port", metavar="N", type=click.IntRange(0, 65_535), help="The HTTP port (PORT).")
@click.option("--reload", is_flag=True, help="Restart when a .py file below this folder changes.")
@click.option("--embedded", is_flag=True, help="Use the private server in .oxcart/, whatever Redis is set.")
def run(
    app: str | None,
    *,
    queue: str | None,
    concurrency: int | None,
    port: int | None,
    reload: bool,
    embedded: bool,
) -> None:
    """Run the worker with its HTTP side, until SIGTERM or Ctrl-C.

    MODULE:APP is an Oxcart app of a module in this folder or on PYTHONPATH; without one the built-in jobs are served.
    The log is on stdout.
    """
    from oxcart.serving import plan

    environ = dict(os.environ)
    options = (("JOB_QUEUE_NAME", queue), ("JOB_CONCURRENCY", concurrency), ("PORT", port))
    environ |= {name: str(value) for name, value in options if value is not None}
    planned = plan(environ, embedded=embedded)
    if reload:
        from oxcart.cli.reload import run_and_reload

        raise click.exceptions.Exit(run_and_reload(_child_arguments(app, embedded), environ))
    raise click.exceptions.Exit(_serve(app, planned))


def _child_arguments(app: str | None, embedded: bool) -> list[str]:
    """The same command without --reload; the other options are in its environment."""
    return ["run", *([app] if app else []), *(["--embedded"] if embedded else [])]


def _serve(app_name: str | None, planned: Plan) -> int:
    from oxcart import serving
    from oxcart.cli.session import secrets_of
    from oxcart.errors import OxcartError
    from oxcart.telemetry.bus import Bus
    from oxcart.telemetry.logs import configure_logging

    app = _load(app_name)
    log_settings = planned.settings.log
    log = configure_logging(level=log_settings.level, format=log_settings.format, secrets=secrets_of(planned))
    bus = Bus()
    bus.subscribe(log)
    try:
        return serving.run(app, planned, bus, loop_factory=_loop_factory(), before_exit=log.close)
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
