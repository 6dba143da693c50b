"""How does `run` become a worker? Settings with the options on top, the app, the log on stdout, then serve()."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from oxcart.cli.exits import FAILED, Refused
from oxcart.cli.output import complain

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from oxcart.app import Oxcart
    from oxcart.serving import Plan


def run(
    app: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE:APP]", help="An Oxcart app, from this folder or PYTHONPATH; else the built-ins."
        ),
    ] = None,
    *,
    queue: Annotated[
        str | None, typer.Option("--queue", "-q", metavar="NAMES", help="Queues to serve (JOB_QUEUE_NAME): a,b:10.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=10_000, help="Jobs to run at once (JOB_CONCURRENCY).")
    ] = None,
    port: Annotated[int | None, typer.Option(metavar="N", min=0, max=65_535, help="The HTTP port (PORT).")] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Restart when a .py file below this folder changes.")
    ] = False,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Use the private server in .oxcart/, whatever Redis is set.")
    ] = False,
) -> None:
    """Run the worker with its HTTP side until SIGTERM or Ctrl-C. The log is on stdout."""
    from oxcart.serving import plan

    environ = dict(os.environ)
    options = (("JOB_QUEUE_NAME", queue), ("JOB_CONCURRENCY", concurrency), ("PORT", port))
    environ |= {name: str(value) for name, value in options if value is not None}
    planned = plan(environ, embedded=embedded)
    if reload:
        from oxcart.cli.reload import run_and_reload

        raise typer.Exit(run_and_reload(_child_arguments(app, embedded), environ))
    raise typer.Exit(_serve(app, planned))


def _child_arguments(app: str | None, embedded: bool) -> list[str]:
    """The same command without --reload; the other options are in its environment."""
    return ["run", *([app] if app else []), *(["--embedded"] if embedded else [])]


def _serve(app_name: str | None, planned: Plan) -> int:
    import asyncio

    from oxcart.cli.session import secrets_of
    from oxcart.errors import OxcartError
    from oxcart.serving import serve
    from oxcart.telemetry.bus import Bus
    from oxcart.telemetry.logs import configure_logging

    app = _load(app_name)
    log_settings = planned.settings.log
    log = configure_logging(level=log_settings.level, format=log_settings.format, secrets=secrets_of(planned))
    bus = Bus()
    bus.subscribe(log)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(serve(app, planned, bus))
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
