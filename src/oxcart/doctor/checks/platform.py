"""Does the hosting platform let the worker do its work, above all end in peace?"""

from __future__ import annotations

from pathlib import Path

from oxcart.checks import Check, Finding, NotApplicable, Unanswerable, failed, ok, warning
from oxcart.doctor.visit import Visit
from oxcart.language import tr
from oxcart.settings import KILL_MARGIN_SECONDS, Platform

GROUP = "platform"

_SHORT_DRAINING_SECONDS = 10.0
_RECENT_JOBS = 50
# They start a child and keep SIGTERM for themselves.
_SWALLOWERS = frozenset({"sh", "bash", "dash", "ash", "npm", "yarn", "pnpm", "npx", "node"})


def _on(visit: Visit, wanted: Platform | None = None) -> Platform:
    platform = visit.settings.platform
    if wanted is not None and platform is not wanted:
        raise NotApplicable(tr("not on {platform}", platform=wanted.value.capitalize()))
    return platform


async def platform(visit: Visit) -> Finding:
    found = _on(visit)
    if found is Platform.NONE:
        return ok(tr("no hosting platform"))
    service = visit.environ.get("RAILWAY_SERVICE_NAME", "")
    release = visit.settings.release
    parts = [
        found.value.capitalize(),
        service and tr("service {service}", service=service),
        release and tr("commit {release}", release=release[:12]),
    ]
    return ok(", ".join(part for part in parts if part))


async def port(visit: Visit) -> Finding:
    http = visit.settings.http
    if http.port_is_explicit or _on(visit) is Platform.NONE:
        return ok(f"{http.port}")
    return warning(
        "PORT_UNSET",
        tr(
            "PORT is not set, so the worker listens on {port}, and the platform's healthcheck may ask elsewhere.",
            port=http.port,
        ),
        tr(
            "Set PORT={port} in this service's variables, and the same port in its networking settings.", port=http.port
        ),
        evidence=tr("not set; {port} is used", port=http.port),
    )


async def draining(visit: Visit) -> Finding:
    _on(visit, Platform.RAILWAY)
    seconds = visit.settings.railway_draining_seconds
    if not seconds:
        return failed(
            "DRAINING_ZERO",
            tr(
                "Railway kills the worker at once when it deploys: RAILWAY_DEPLOYMENT_DRAINING_SECONDS is {value}.",
                value=tr("not set") if seconds is None else "0",
            ),
            tr(
                "Set RAILWAY_DEPLOYMENT_DRAINING_SECONDS=30, or as long as your longest job, in the variables of this "
                "service."
            ),
            evidence=tr("not set, which is 0 s") if seconds is None else tr("0 s"),
        )
    evidence = tr(
        "{seconds:g} s between SIGTERM and SIGKILL, {grace:g} s for jobs",
        seconds=seconds,
        grace=visit.settings.worker.shutdown_grace_seconds,
    )
    if seconds < _SHORT_DRAINING_SECONDS:
        return warning(
            "DRAINING_SHORT",
            tr("Railway gives the worker only {seconds:g} s to end when it deploys.", seconds=seconds),
            tr("Set RAILWAY_DEPLOYMENT_DRAINING_SECONDS=30, or as long as your longest job."),
            evidence=evidence,
        )
    return ok(evidence)


async def sleep(visit: Visit) -> Finding:
    _on(visit, Platform.RAILWAY)
    raise Unanswerable(tr('cannot be seen from inside: leave "Serverless" off in the service\'s settings'))


async def pid1(visit: Visit) -> Finding:
    if _on(visit) is Platform.NONE:
        raise NotApplicable(tr("not on a hosting platform"))
    name = _first_process()
    if name in _SWALLOWERS:
        return warning(
            "PID1_SHELL",
            tr("Process 1 of the container is {name}, which does not pass SIGTERM on.", name=name),
            tr('Start the worker directly: CMD ["oxcart", "run"], or exec oxcart run in a script.'),
            evidence=name,
        )
    return ok(name or tr("unnamed"))


def _first_process() -> str:
    try:
        command = Path("/proc/1/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
    except OSError as error:
        raise Unanswerable(tr("process 1 cannot be seen here")) from error
    return Path(command).name


async def grace(visit: Visit) -> Finding:
    """The longest of the last jobs against the time that a deploy leaves."""
    seconds = visit.settings.worker.shutdown_grace_seconds
    longest, where = 0.0, ""
    for name in visit.queue_names:
        fields = ("name", "processedOn", "finishedOn")
        for job in (await visit.read_jobs(visit.keys(name), "completed", _RECENT_JOBS, fields)).values():
            times = [job.get(field, "") for field in fields[1:]]
            if all(text.isdigit() for text in times):
                took = (int(times[1]) - int(times[0])) / 1000
                if took > longest:
                    longest, where = took, job.get("name", "")
    if not where:
        return ok(
            tr(
                "{seconds:g} s ({source}); no finished job to compare with",
                seconds=seconds,
                source=visit.settings.worker.grace_source,
            )
        )
    evidence = tr(
        "{seconds:g} s; the longest of the last jobs, {where}, took {longest:.1f} s",
        seconds=seconds,
        where=where,
        longest=longest,
    )
    if longest > seconds:
        return warning(
            "GRACE_SHORT",
            tr(
                "Jobs take up to {longest:.1f} s ({where}), but a deploy gives them {seconds:g} s: they start again "
                "after it.",
                longest=longest,
                where=where,
                seconds=seconds,
            ),
            _longer_grace(visit, longest),
            evidence=evidence,
        )
    return ok(evidence)


def _longer_grace(visit: Visit, longest_seconds: float) -> str:
    wanted = int(longest_seconds + KILL_MARGIN_SECONDS) + 1
    if _on(visit) is Platform.RAILWAY:
        return tr("Set RAILWAY_DEPLOYMENT_DRAINING_SECONDS={wanted} or more.", wanted=wanted)
    return tr(
        "Set OXCART_SHUTDOWN_GRACE_SECONDS={seconds}, and let the platform wait {wanted} s before it kills; or make "
        "the jobs shorter.",
        seconds=int(longest_seconds) + 1,
        wanted=wanted,
    )


_SETTINGS = ("settings",)

CHECKS: tuple[Check[Visit], ...] = (
    Check("platform", GROUP, "the platform is known", platform, "Defaults depend on it.", _SETTINGS),
    Check(
        "port", GROUP, "the HTTP port is settled", port, "A deploy whose healthcheck fails is thrown away.", _SETTINGS
    ),
    Check(
        "draining",
        GROUP,
        "a deploy lets running jobs end",
        draining,
        "Each deploy cuts running jobs off, and costs each one stall credit.",
        _SETTINGS,
    ),
    Check("sleep", GROUP, "the service does not sleep", sleep, "A sleeping worker fetches nothing.", _SETTINGS),
    Check("pid1", GROUP, "SIGTERM reaches the worker", pid1, "Without it each deploy is a kill.", _SETTINGS),
    Check(
        "grace",
        GROUP,
        "the grace is longer than a job",
        grace,
        "What does not end in time starts again after the deploy.",
        ("layout",),
    ),
)
