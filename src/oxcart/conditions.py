"""What keeps jobs from ending while everything answers? One list, read by doctor, verify, /health, /metrics, alerts.

A condition judges the facts of one queue, as queue/facts.py reads them; a problem is a condition that holds. Both are
values: whoever tells a problem chooses the language, and another process can render it again from its JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from oxcart.language import tr
from oxcart.names import UnhandledJobs, merged, told
from oxcart.shell import in_queue

Values: TypeAlias = Mapping[str, str | int]

LONG_WAIT_SECONDS = 300.0
LONG_LIMIT_SECONDS = 3600.0  # a limit is meant to make jobs wait; for an hour it is too tight for what comes
LATE_SCHEDULE_SECONDS = 60.0
MANY_RETURNS = 5  # starts of a job beyond its attempts and stalls: it asked to run again, or could not begin here


@dataclass(frozen=True, slots=True)
class Returning:
    """Delayed jobs of one name that were started MANY_RETURNS times and more, and use no attempt. `example`: an id."""

    name: str
    jobs: int
    started: int
    example: str


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """One queue at one moment, `at_ms`. `counts` by BullMQ's states; `oldest_since_ms` is when the job whose turn is
    next could first have run, None where nothing waits or nobody can know. `limit` is what holds claims back now:
    "10 per 60 s", "2 at once". `workers` are those connected, None: unknown, or a worker looks at itself; of them
    `paused_workers` claim nothing, as they were told.
    `paused_since_ms`: as far as the one who looks has seen.
    """

    queue: str
    at_ms: int
    counts: Mapping[str, int]
    is_paused: bool = False
    paused_since_ms: int | None = None
    oldest_id: str = ""
    oldest_name: str = ""
    oldest_since_ms: int | None = None
    limit: str | None = None
    schedules: int = 0
    late_schedules: int = 0
    next_schedule_ms: int | None = None
    stopped_schedules: tuple[str, ...] = ()
    returning: tuple[Returning, ...] = ()
    unhandled: tuple[UnhandledJobs, ...] = ()
    workers: int | None = None
    paused_workers: int = 0

    @property
    def waiting(self) -> int:
        """Jobs that could be claimed now, but for a pause or a limit."""
        return sum(self.counts.get(state, 0) for state in ("waiting", "prioritized", "paused"))

    @property
    def oldest_wait_seconds(self) -> float:
        since = self.oldest_since_ms
        return 0.0 if since is None else max(0.0, (self.at_ms - since) / 1000)

    @property
    def waits_long(self) -> bool:
        return self.oldest_wait_seconds >= LONG_WAIT_SECONDS


@dataclass(frozen=True, slots=True)
class Condition:
    """`code` has a section in docs/doctor.md, `check` is the doctor's check, `title` a claim that holds when all is
    well. `look` gives what the sentences are filled with, or None. `alert` is sent after `patience_seconds`; none where
    no running worker of ours can see it: there it is not so.
    """

    code: str
    check: str
    title: str
    matters: str
    summary: str
    cure: str
    look: Callable[[QueueFacts], Values | None]
    well: Callable[[Sequence[QueueFacts]], str] = lambda _: tr("none")
    alert: str | None = None
    severity: Literal["error", "warning"] = "warning"
    patience_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Problem:
    """A condition that holds for a queue. `values` fill its sentences; times in them are epoch milliseconds."""

    code: str
    queue: str
    values: Values = field(default_factory=dict)

    @property
    def condition(self) -> Condition:
        return BY_CODE[self.code]

    @property
    def since_ms(self) -> int | None:
        since = self.values.get("since_ms")
        return since if isinstance(since, int) else None

    def summary(self) -> str:
        return tr(self.condition.summary, **self._places())

    def cure(self) -> str:
        return tr(self.condition.cure, **self._places())

    def _places(self) -> dict[str, object]:
        """A queue is always named in a command: nobody knows what JOB_QUEUE_NAME says where it is pasted."""
        places: dict[str, object] = {**self.values, "queue": self.queue, "q": in_queue(self.queue)}
        if "example" in places:
            places["example"] = in_queue(self.queue, str(places["example"]))
        since, at = self.since_ms, self.values.get("at_ms")
        if since is not None and isinstance(at, int):
            places["span"] = span((at - since) / 1000)
        lacking = self.values.get("lacking")
        places["lacking"] = " " + tr("Not possible there: {lacking}.", lacking=lacking) if lacking else ""
        return places


def problems_of(facts: Iterable[QueueFacts]) -> Iterator[Problem]:
    """All that holds, queue by queue, in the order of the list."""
    for queue in facts:
        for condition in CONDITIONS:
            problem = problem_of(condition, queue)
            if problem is not None:
                yield problem


def problem_of(condition: Condition, facts: QueueFacts) -> Problem | None:
    values = condition.look(facts)
    return None if values is None else Problem(condition.code, facts.queue, {"at_ms": facts.at_ms, **values})


def problem_from(content: Any) -> Problem | None:
    """A problem as /health of another process has it; None for one that this version does not know."""
    if not isinstance(content, dict) or content.get("code") not in BY_CODE or not isinstance(content.get("queue"), str):
        return None
    values = content.get("values")
    problem = Problem(content["code"], content["queue"], values if isinstance(values, dict) else {})
    try:
        problem.summary(), problem.cure()
    except KeyError:
        return None
    return problem


def merged_facts(every: Iterable[QueueFacts]) -> tuple[QueueFacts, ...]:
    """What several workers know of the same queues: what was read last, and what any of them has no handler for."""
    found = [*every]
    latest = {facts.queue: facts for facts in sorted(found, key=lambda facts: facts.at_ms)}
    unhandled = merged(jobs for facts in found for jobs in facts.unhandled)
    return tuple(
        replace(facts, unhandled=tuple(jobs for jobs in unhandled if jobs.queue == name))
        for name, facts in latest.items()
    )


def span(seconds: float) -> str:
    if seconds < 120:
        return tr("{seconds:.0f} s", seconds=seconds)
    if seconds < 7200:
        return tr("{minutes:.0f} min", minutes=seconds / 60)
    if seconds < 172_800:
        return tr("{hours:.1f} h", hours=seconds / 3600)
    return tr("{days:.0f} days", days=seconds / 86_400)


# ------------------------------------------------------------------------------------------------ what each looks at
def _unhandled(facts: QueueFacts) -> Values | None:
    if not facts.unhandled:
        return None
    lacking = sorted({jobs.detail for jobs in facts.unhandled if jobs.detail is not None})
    names = told([f"{jobs.name} ({jobs.waiting})" for jobs in facts.unhandled])
    since = min(jobs.since_ms for jobs in facts.unhandled)
    return {"names": ", ".join(names), "lacking": "; ".join(lacking), "since_ms": since}


def _returning(facts: QueueFacts) -> Values | None:
    if not facts.returning:
        return None
    names = ", ".join(told([f"{jobs.name} ({jobs.jobs})" for jobs in facts.returning]))
    worst = max(facts.returning, key=lambda jobs: jobs.started)
    return {"names": names, "started": worst.started, "example": worst.example}


def _paused(facts: QueueFacts) -> Values | None:
    if not facts.is_paused:
        return None
    since = {} if facts.paused_since_ms is None else {"since_ms": facts.paused_since_ms}
    return {"waiting": facts.waiting, **since}


def _left_in_pause(facts: QueueFacts) -> Values | None:
    count = facts.counts.get("paused", 0)
    return {"count": count} if count and not facts.is_paused else None


def _no_worker(facts: QueueFacts) -> Values | None:
    if facts.workers != 0 or not facts.waiting or facts.is_paused:
        return None
    return {"waiting": facts.waiting}


def _workers_paused(facts: QueueFacts) -> Values | None:
    """A worker that looks at itself does not know of others: with them jobs do not wait long."""
    is_alone = facts.workers == facts.paused_workers or (facts.workers is None and facts.waits_long)
    if not facts.paused_workers or not is_alone or not facts.waiting or facts.is_paused:
        return None
    return {"waiting": facts.waiting}


def _limited(facts: QueueFacts) -> Values | None:
    since = facts.oldest_since_ms
    if facts.limit is None or since is None or facts.oldest_wait_seconds < LONG_LIMIT_SECONDS:
        return None
    return {"limit": facts.limit, "waiting": facts.waiting, "since_ms": since}


def _waits_long(facts: QueueFacts) -> Values | None:
    """Where the cause is known, that is told instead: one problem, not two."""
    since = facts.oldest_since_ms
    is_left = any(jobs.name == facts.oldest_name for jobs in facts.unhandled)
    is_explained = is_left or any(look(facts) for look in (_paused, _no_worker, _workers_paused, _limited))
    if since is None or is_explained or not facts.waits_long:
        return None
    return {"job": facts.oldest_id, "name": facts.oldest_name, "waiting": facts.waiting, "since_ms": since}


def _schedule_stopped(facts: QueueFacts) -> Values | None:
    names = facts.stopped_schedules
    if not names:
        return None
    return {"names": ", ".join(told(names)), "example": names[0]}


# ------------------------------------------------------------------------------------------------ when all is well
def _what_waits(every: Sequence[QueueFacts]) -> str:
    longest = max(every, key=lambda facts: facts.oldest_wait_seconds, default=None)
    if longest is None or longest.oldest_since_ms is None:
        return tr("nothing waits")
    return tr(
        "job {job} ({name}) of {queue} waits since {span}",
        job=longest.oldest_id,
        name=longest.oldest_name,
        queue=longest.queue,
        span=span(longest.oldest_wait_seconds),
    )


def _who_works(every: Sequence[QueueFacts]) -> str:
    numbers = "; ".join(f"{facts.queue}: {facts.workers or tr('none')}" for facts in every)
    return tr("connected to {queues}", queues=numbers)


CONDITIONS: tuple[Condition, ...] = (
    Condition(
        "UNHANDLED_JOBS",
        "unhandled",
        "the workers can do what waits",
        "Jobs that nobody can do wait for ever, while everything else looks well.",
        "Jobs wait in {queue}, and the workers that run have no handler for them: {names}, for {span}.{lacking}",
        "Deploy a handler for them, give the worker what it lacks, or start the worker that has them; see whether "
        "--only or --except leaves them out everywhere. OXCART_UNKNOWN_JOBS=fail makes them dead letters.",
        _unhandled,
        well=lambda _: tr("no worker has told of any"),
        alert="jobs.unhandled",
    ),
    Condition(
        "JOBS_RETURN",
        "returning",
        "no job comes back again and again",
        "A job that asks to run later for want of something uses no attempt: it never ends, and never fails.",
        "Jobs of {queue} come back again and again and never end: {names}, one of them {started} times.",
        "See what they wait for: oxcart jobs logs {example}. Mostly a setting is missing, such as DATABASE_URL. "
        "If a handler snoozes on purpose, as one that polls, nothing is wrong.",
        _returning,
        alert="jobs.returning",
    ),
    Condition(
        "QUEUE_PAUSED",
        "paused",
        "the queue is not paused",
        "A paused queue runs no job.",
        "No worker fetches from {queue}: someone has paused it. Jobs that wait: {waiting}.",
        "Resume it when it is time: oxcart resume {q}",
        _paused,
        well=lambda _: tr("not paused"),
        alert="queue.paused",
    ),
    Condition(
        "PAUSED_LEFT_OVER",
        "mixed",
        "BullMQ 5 and 6 left nothing behind",
        "Both pause in different ways; what falls between is fetched by nobody.",
        "Jobs of {queue} ({count}) are in the list of a paused queue, but the queue is not paused.",
        "A pause and a resume of different BullMQ versions crossed. These bring them back: oxcart pause {q} and then "
        "oxcart resume {q}",
        _left_in_pause,
        well=lambda _: tr("nothing left over"),
    ),
    Condition(
        "NO_WORKER",
        "workers",
        "what waits has a worker",
        "Jobs of a queue that no worker is connected to just wait.",
        "Jobs wait in {queue} ({waiting}), and no worker is connected to it.",
        "Start the worker, or look at its deploy and its log; if one runs, see which queues it serves: JOB_QUEUE_NAME.",
        _no_worker,
        well=_who_works,
        severity="error",
    ),
    Condition(
        "WORKERS_PAUSED",
        "paused-workers",
        "not every worker is paused",
        "A worker that was paused by itself claims nothing, whatever the queue is like.",
        "Jobs wait in {queue} ({waiting}), and the workers that are connected to it are paused.",
        "Resume them: POST /worker/resume, or app.worker.resume() where the program paused them. So does a restart.",
        _workers_paused,
        alert="jobs.waiting",
    ),
    Condition(
        "QUEUE_LIMITED",
        "limited",
        "no limit is too tight",
        "A limit that is always reached makes the queue longer and longer.",
        "{queue} is at its limit ({limit}), and jobs wait ({waiting}), the next one for {span}.",
        "Raise the limit or take it off, with --rate none or --concurrency none: oxcart limit {q}. Or add fewer jobs.",
        _limited,
        alert="queue.limited",
    ),
    Condition(
        "WAIT_LONG",
        "oldest",
        "nothing waits too long",
        "The age of the next job is what users feel.",
        "Jobs of {queue} wait long ({waiting}), the next one ({name}, {job}) for {span}.",
        "See what the worker does: oxcart jobs list --state active {q}. If it cannot keep up, raise JOB_CONCURRENCY or "
        "run another worker.",
        _waits_long,
        well=_what_waits,
        alert="jobs.waiting",
        patience_seconds=0.0,
    ),
    Condition(
        "SCHEDULE_STOPPED",
        "schedules",
        "each schedule has a next job",
        "A schedule makes its next job when one begins: without one it never runs again.",
        "Schedules of {queue} have no next job, and will not run again: {names}.",
        "A running worker of ours mends most of them within ten minutes. If this stays, take it away: "
        "oxcart schedules remove {example}. Then restart what declares it, which makes it anew.",
        _schedule_stopped,
        well=lambda every: tr("schedules: {count}", count=sum(facts.schedules for facts in every)),
        alert="schedules.stopped",
    ),
)

BY_CODE: Mapping[str, Condition] = {condition.code: condition for condition in CONDITIONS}
