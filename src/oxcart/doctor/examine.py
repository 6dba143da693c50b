"""What does `oxcart doctor` examine, in which order, and what is the verdict? Checks from all groups, causes first."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence

from oxcart.checks import Check
from oxcart.doctor import run
from oxcart.doctor.checks import (
    broken,
    cost,
    elsewhere,
    environment,
    login,
    network,
    platform,
    queue,
    rights,
    server,
    tls,
)
from oxcart.doctor.run import Diagnosis, Result
from oxcart.doctor.visit import Visit, begin_visit

_UPSTASH, _WORKER = elsewhere.CHECKS

CHECKS: tuple[Check[Visit], ...] = (
    *environment.CHECKS,
    *network.CHECKS,
    *tls.CHECKS,
    *login.CHECKS,
    *rights.CHECKS,
    _UPSTASH,
    *server.CHECKS,
    *queue.CHECKS,
    *broken.CHECKS,
    *platform.CHECKS,
    *cost.CHECKS,
    _WORKER,
)

# For these the probes of an Upstash database know the cause better than the failure itself.
_ON_THE_WAY = frozenset({"dns", "tcp", "tls", "auth", "ping", "role", "permissions", "upstash"})


async def examine(
    make_visit: Callable[[], Visit],
    *,
    checks: Sequence[Check[Visit]] = CHECKS,
    wanted: frozenset[str] = frozenset(),
    left_out: frozenset[str] = frozenset(),
    on_result: Callable[[Result], None] = lambda _: None,
) -> Diagnosis:
    """Run the checks once; nothing stays open or stored afterwards. `wanted` are those that someone named: the others
    are only what they need.
    """
    visit = make_visit()
    try:
        results = await run.run_checks(
            checks, visit, target=lambda: visit.target, left_out=left_out, on_result=on_result
        )
    finally:
        with contextlib.suppress(TimeoutError):
            await visit.close()
    first = next((result for result in results if result.is_bad), None)
    if first is not None and first.check.id in _ON_THE_WAY and visit.verdict is not None:
        return Diagnosis(results, visit.verdict)
    return Diagnosis(results, run.first_cause(results) or run.nothing_checked(results, wanted))


def visitor(
    environ: Mapping[str, str],
    *,
    known_names: frozenset[str],
    app_is_given: bool = False,
    worker_url: str | None = None,
    control_host: str | None = None,
) -> Callable[[], Visit]:
    """A new visit for each look at the same environment."""

    def make() -> Visit:
        visit = begin_visit(environ, known_names=known_names, app_is_given=app_is_given, worker_url=worker_url)
        if control_host is not None:
            visit.control_host = control_host
        return visit

    return make
