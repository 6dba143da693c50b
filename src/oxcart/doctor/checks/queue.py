"""Is the queue in order? What is in it, what waits too long, and whether a job gets through from end to end."""

from __future__ import annotations

from collections import Counter
from functools import partial

from oxcart.checks import Check, Finding, Unanswerable, failed, failed_by, ok, warning
from oxcart.conditions import BY_CODE, CONDITIONS, Condition, problem_of
from oxcart.connection.failures import failure_for
from oxcart.doctor.scratch import StepFailed, exercise, in_one_line, scratch_queue
from oxcart.doctor.visit import Visit
from oxcart.language import tr
from oxcart.protocol.scripts import Command
from oxcart.queue.inspect import pairs, text
from oxcart.shell import in_queue, show_job

GROUP = "queue"

_MOST_LOOKED_AT = 100
_CLAIMABLE = ("waiting", "prioritized")
_SCRATCH_SECONDS = 25.0


async def layout(visit: Visit) -> Finding:
    """`meta` says who made the queue; its keys must be of BullMQ's types."""
    told = []
    for name in visit.queue_names:
        keys = visit.keys(name)
        wanted = {keys.wait: "list", keys.active: "list", keys.delayed: "zset", keys.completed: "zset"}
        commands: list[Command] = [("TYPE", key) for key in wanted]
        meta, *types = await visit.known_link.requests([("HGETALL", keys.meta), *commands])
        if isinstance(meta, Exception):
            return failed_by(failure_for("WRONGTYPE", visit.target), evidence=keys.meta)
        for (key, kind), reply in zip(wanted.items(), types, strict=True):
            if text(reply) not in {kind, "none"}:
                return failed_by(
                    failure_for("WRONGTYPE", visit.target), evidence=tr("{key} is a {kind}", key=key, kind=text(reply))
                )
        library = pairs(meta).get("version", "")
        told.append(f"{name}: {library or (tr('made by a producer') if meta else tr('no job was ever added'))}")
    return ok("; ".join(told))


async def counts(visit: Visit) -> Finding:
    told = []
    for name in visit.queue_names:
        numbers = await (await visit.queue(name)).counts()
        shown = ", ".join(f"{count} {state}" for state, count in numbers.items() if count)
        told.append(f"{name}: {shown or tr('empty')}")
    return ok("; ".join(told))


async def _look_for(condition: Condition, visit: Visit) -> Finding:
    """One line of the list that health, metrics and alerts read too."""
    every = [await visit.facts(name) for name in visit.queue_names]
    if condition is BY_CODE["NO_WORKER"] and any(facts.workers is None for facts in every):
        raise Unanswerable(tr("this server does not list its clients"))
    found = [problem for facts in every if (problem := problem_of(condition, facts)) is not None]
    if not found and condition is BY_CODE["WAIT_LONG"] and any(facts.waits_long for facts in every):
        raise Unanswerable(tr("jobs wait, and the cause stands above"))
    if not found:
        return ok(condition.well(every))
    return warning(condition.code, " ".join(problem.summary() for problem in found), found[0].cure())


async def lockless(visit: Visit) -> Finding:
    """An active job without a lock has lost its worker; the stalled check of any worker takes it back."""
    lost: list[str] = []
    active = 0
    for name in visit.queue_names:
        keys = visit.keys(name)
        ids = [text(job_id) for job_id in await visit.known_link.request("LRANGE", keys.active, 0, _MOST_LOOKED_AT - 1)]
        active += len(ids)
        replies = await visit.known_link.requests([("EXISTS", keys.lock(job_id)) for job_id in ids])
        lost += [job_id for job_id, held in zip(ids, replies, strict=True) if held == 0]
    if not lost:
        return ok(tr("{active} running, each with its lock", active=active) if active else tr("nothing runs"))
    return warning(
        "ACTIVE_LOST",
        tr("{count} of {active} active jobs have no worker any more.", count=len(lost), active=active),
        tr(
            "A running worker takes them back within a minute by its stalled check; start one. It costs each of them "
            "one stall credit."
        ),
        evidence=", ".join(lost[:5]),
    )


async def handlers(visit: Visit) -> Finding:
    names: Counter[str] = Counter()
    for queue_name in visit.queue_names:
        for state in _CLAIMABLE:
            jobs = await visit.read_jobs(visit.keys(queue_name), state, _MOST_LOOKED_AT, ("name",))
            names.update(job.get("name", "") for job in jobs.values())
    unknown = {name: number for name, number in names.items() if name not in visit.known_names}
    if not unknown:
        return ok(
            tr("{count} names among the waiting jobs, all known", count=len(names)) if names else tr("nothing waits")
        )
    shown = ", ".join(f"{name} ({number})" for name, number in sorted(unknown.items())[:10])
    cure = (
        tr("Declare a handler for each, or leave them to another worker of the same queue: they stay as they are.")
        if visit.app_is_given
        else tr("Only the built-in names were looked at: name your app, as in oxcart doctor MODULE:APP.")
    )
    return warning(
        "NO_HANDLER", tr("Waiting jobs have names that no handler takes: {shown}.", shown=shown), cure, evidence=shown
    )


async def parents(visit: Visit) -> Finding:
    """A parent all of whose children have ended, and which still waits for them."""
    stuck: list[tuple[str, str]] = []
    waiting = 0
    for name in visit.queue_names:
        keys = visit.keys(name)
        reply = await visit.known_link.request("ZRANGE", keys.waiting_children, 0, _MOST_LOOKED_AT - 1)
        ids = [text(job_id) for job_id in reply]
        waiting += len(ids)
        replies = await visit.known_link.requests([("SCARD", keys.dependencies(job_id)) for job_id in ids])
        stuck += [(job_id, name) for job_id, left in zip(ids, replies, strict=True) if left == 0]
    if not stuck:
        return ok(
            tr("{waiting} parents wait for children that are on their way", waiting=waiting)
            if waiting
            else tr("no parent waits")
        )
    return warning(
        "PARENT_STUCK",
        tr("{count} parent jobs wait for children that do not exist any more.", count=len(stuck)),
        tr("Look at each, as with {command}; then remove it and add its flow again.", command=show_job(*stuck[0])),
        evidence=", ".join(job_id for job_id, _ in stuck[:5]),
    )


async def legacy_repeat(visit: Visit) -> Finding:
    found = [
        (schedule.name, name)
        for name in visit.queue_names
        for schedule in await (await visit.queue(name)).schedules()
        if schedule.legacy or not schedule.has_template
    ]
    if not found:
        return ok(tr("none"))
    return warning(
        "REPEAT_LEGACY",
        tr(
            "{count} recurring jobs are of an older kind, which BullMQ 6 refuses, or runs without their data.",
            count=len(found),
        ),
        tr(
            "Make job schedulers of them: oxcart schedules migrate --dry-run {queue}, then without --dry-run.",
            queue=in_queue(found[0][1]),
        ),
        evidence=", ".join(schedule for schedule, _ in found[:5]),
    )


async def scratch(visit: Visit) -> Finding:
    async with scratch_queue(visit.known_server, visit.settings.worker.prefix) as queue:
        try:
            await exercise(queue)
        except StepFailed as outcome:
            return failed(
                "SCRIPTS_ODD",
                tr(
                    'A job of our own did not get through: at the step "{step}" {seen}.',
                    step=outcome.step,
                    seen=outcome,
                ),
                tr(
                    "Please report this with the output of oxcart doctor --report; until then "
                    "OXCART_EXCHANGE=upstream uses BullMQ's scripts alone."
                ),
                evidence=f"{outcome.step}: {outcome}",
            )
        except TimeoutError:
            failure = failure_for("READ_TIMEOUT", visit.target)
            return failed_by(failure, evidence=tr("no answer after {steps}", steps=in_one_line(queue.took_ms)))
        return ok(in_one_line(queue.took_ms))


_READ = ("permissions", "settings")

CHECKS: tuple[Check[Visit], ...] = (
    Check(
        "scratch",
        GROUP,
        "a job gets through from end to end",
        scratch,
        "This is what a worker does all day: add, claim, lock, renew, finish, events, delays and schedules.",
        needs=("lua", "blocking"),
        deadline_seconds=_SCRATCH_SECONDS,
    ),
    Check(
        "layout", GROUP, "the queue has BullMQ's layout", layout, "Foreign data under a queue's keys stops it.", _READ
    ),
    Check("counts", GROUP, "jobs can be counted", counts, "It shows at a glance where jobs pile up.", ("layout",)),
    *(
        Check(condition.check, GROUP, condition.title, partial(_look_for, condition), condition.matters, ("layout",))
        for condition in CONDITIONS
    ),
    Check(
        "lockless",
        GROUP,
        "each running job has a worker",
        lockless,
        "A job whose worker vanished waits for the next stalled check.",
        ("layout",),
    ),
    Check(
        "handlers",
        GROUP,
        "each waiting job has a handler",
        handlers,
        "A job whose name has no handler waits until a worker comes that has one.",
        ("layout",),
    ),
    Check(
        "parents", GROUP, "no parent waits for nothing", parents, "A parent runs only after its children.", ("layout",)
    ),
    Check(
        "legacy-repeat",
        GROUP,
        "all schedules are job schedulers",
        legacy_repeat,
        "Old repeatable jobs end when the last worker of BullMQ 5 does.",
        ("layout",),
    ),
)
