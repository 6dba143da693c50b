"""Does the server let us in, how fast is it, and does it take writes?"""

from __future__ import annotations

import statistics
import time

from oxcart.checks import UNREACHABLE, Check, Finding, failed_by, ok, warning
from oxcart.connection.failures import failure_for
from oxcart.doctor.visit import CONNECT_SECONDS, Visit
from oxcart.errors import ServerRefused, Unavailable
from oxcart.language import tr

GROUP = "login"

_PINGS = 5
_SLOW_MS = 100.0


async def auth(visit: Visit) -> Finding:
    try:
        await visit.open_link()
    except Unavailable as error:
        if error.failure.code == "TCP_TIMEOUT":  # the checks before this one were answered: it is the login that is not
            error.failure = failure_for("READ_TIMEOUT", visit.target)
        visit.connection_failure = error.failure
        raise
    target = visit.known_target
    if target.password is None and target.password_file is None:
        return ok(
            tr("no password is asked for, on this machine") if target.is_loopback else tr("no password is asked for")
        )
    return ok(tr("as {user}", user=target.username or "default"))


async def ping(visit: Visit) -> Finding:
    times = []
    for _ in range(_PINGS):
        began = time.perf_counter()
        try:
            await visit.known_link.request("PING", deadline_seconds=CONNECT_SECONDS)
        except ServerRefused as error:
            if error.failure.code != "PERM":  # a user who may not PING is still answered
                raise
        times.append((time.perf_counter() - began) * 1000)
    visit.round_trip_ms = statistics.median(times)
    evidence = tr(
        "{milliseconds:.1f} ms round trip (worst of {count}: {worst:.1f} ms)",
        milliseconds=visit.round_trip_ms,
        count=_PINGS,
        worst=max(times),
    )
    if visit.round_trip_ms > _SLOW_MS:
        return warning(
            "LATENCY_HIGH",
            tr("Each round trip to Redis takes {milliseconds:.0f} ms.", milliseconds=visit.round_trip_ms),
            tr("Put the worker and the database into the same region."),
            evidence=evidence,
        )
    return ok(evidence)


async def role(visit: Visit) -> Finding:
    """A replica that accepts writes of its own is allowed: someone made it so."""
    now = await visit.fact("role")
    if now == "slave":
        link_state = (await visit.info()).get("master_link_status", "?")
        if (await visit.info()).get("slave_read_only", "1") == "1":
            evidence = tr("a replica; its link to the primary is {link_state}", link_state=link_state)
            return failed_by(failure_for("READONLY", visit.target), evidence=evidence)
    return ok({"master": tr("a primary"), "slave": tr("a replica that takes writes")}.get(now, now))


CHECKS: tuple[Check[Visit], ...] = (
    Check(
        "auth",
        GROUP,
        "the server lets us in",
        auth,
        "Until the login works no job is fetched, and results of running jobs wait in the worker.",
        needs=("tls",),
        deadline_seconds=15,
        exit_code=UNREACHABLE,
    ),
    Check(
        "ping",
        GROUP,
        "the server answers in good time",
        ping,
        "Every claim and every finish is a round trip.",
        needs=("auth",),
        deadline_seconds=15,
        exit_code=UNREACHABLE,
    ),
    Check(
        "role",
        GROUP,
        "the server is a primary",
        role,
        "A replica takes no writes, and a worker only ever writes.",
        needs=("ping",),
    ),
)
