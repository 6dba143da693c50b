"""Does the server let us in, how fast is it, and may this user do what a worker does?"""

from __future__ import annotations

import secrets
import statistics
import time
from typing import Any

from redis.exceptions import ResponseError

from oxcart.checks import UNREACHABLE, Check, Finding, failed_by, ok, warning
from oxcart.connection.failures import classify, failure_for
from oxcart.connection.greeting import Command
from oxcart.doctor.run import raw_text
from oxcart.doctor.visit import CONNECT_SECONDS, Visit
from oxcart.errors import ServerRefused, Unavailable
from oxcart.language import tr
from oxcart.queue.inspect import text

GROUP = "login"

_PINGS = 5
_SLOW_MS = 100.0
_SCRATCH_LIFE_MS = 10_000


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


def _probes(key: str) -> list[Command]:
    """What a worker sends, on a key of our own that ends by itself."""
    return [
        ("SET", key, "1", "PX", _SCRATCH_LIFE_MS),
        ("GET", key),
        ("EVAL", "return redis.call('EXISTS', KEYS[1])", 1, key),
        ("DEL", key),
        ("ZADD", key, 1, "a"),
        ("PEXPIRE", key, _SCRATCH_LIFE_MS),
        ("BZPOPMIN", key, 1),
        ("LPUSH", key, "a"),
        ("DEL", key),
        ("HSET", key, "a", "1"),
        ("DEL", key),
        ("XADD", key, "*", "a", "1"),
        ("XREAD", "COUNT", 1, "STREAMS", key, "0-0"),
        ("DEL", key),
    ]


async def role(visit: Visit) -> Finding:
    """A replica that accepts writes of its own is allowed: someone made it so."""
    now = await visit.fact("role")
    if now == "slave":
        link_state = (await visit.info()).get("master_link_status", "?")
        if (await visit.info()).get("slave_read_only", "1") == "1":
            evidence = tr("a replica; its link to the primary is {link_state}", link_state=link_state)
            return failed_by(failure_for("READONLY", visit.target), evidence=evidence)
    return ok({"master": tr("a primary"), "slave": tr("a replica that takes writes")}.get(now, now))


async def permissions(visit: Visit) -> Finding:
    """Every kind of command that a worker needs, really sent; one write, one answer each."""
    key = f"{visit.settings.worker.prefix}:oxcart-doctor-{secrets.token_hex(6)}:probe"
    commands = _probes(key)
    replies = await visit.known_link.requests(commands, deadline_seconds=CONNECT_SECONDS)
    refused = [
        (command, reply) for command, reply in zip(commands, replies, strict=True) if isinstance(reply, ResponseError)
    ]
    user = await _user(visit)
    if not refused:
        return ok(tr("user {user} may read, write, run scripts and wait", user=user))
    # A key that could not be written makes the next command fail in its own way: the first counts.
    first = refused[0][1]
    visit.connection_failure = failure = classify(first, target=visit.target)
    names = list(dict.fromkeys(str(command[0]) for command, _ in refused))
    evidence = (
        tr("user {user} refused: {names}", user=user, names=", ".join(names))
        if failure.code == "PERM"
        else f"{names[0]}: {failure.summary}"
    )
    return failed_by(failure, evidence=evidence, raw=raw_text(first, visit.target))


async def _user(visit: Visit) -> str:
    try:
        reply: Any = await visit.known_link.request("ACL", "WHOAMI", deadline_seconds=CONNECT_SECONDS)
    except ServerRefused:
        return visit.known_target.username or "default"
    return text(reply)


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
    Check(
        "permissions",
        GROUP,
        "this user may do what a worker does",
        permissions,
        "A worker that may not write can claim no job and finish none.",
        needs=("ping", "settings", "role"),
    ),
)
