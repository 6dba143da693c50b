"""What is an app? Its handlers and schedules. `Oxcart` is what a program declares; serving.py runs it.

app = Oxcart()

@app.job("greet", attempts=5, backoff="exponential:5s", timeout_seconds=30)
async def greet(job: Job[Greeting]) -> str: ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from oxcart.errors import InvalidInput
from oxcart.handlers import EVENTS, Backoff, CustomBackoff, Handlers, KeepSetting, RepeatStrategy, describe
from oxcart.queue.repeats import Repeat
from oxcart.queue.schedules import OWN_QUEUE
from oxcart.worker.controls import Controls

Function = TypeVar("Function", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class DeclaredSchedule:
    """One @app.schedule: an ordinary BullMQ job scheduler, created at the start and whenever it is missing."""

    schedule_id: str
    repeat: Repeat
    queue_name: str


class Oxcart:
    """The handlers, backoff strategies and schedules of one program. Settings come from the environment."""

    def __init__(self) -> None:
        self.handlers = Handlers()
        self.schedules: list[DeclaredSchedule] = []
        self.worker = Controls()

    def job(
        self,
        name: str,
        *,
        attempts: int | None = None,
        backoff: str | Backoff | None = None,
        timeout_seconds: float | None = None,
        keep_completed: KeepSetting | None = None,
        keep_failed: KeepSetting | None = None,
    ) -> Callable[[Function], Function]:
        """Declare the handler of a job name: `async def`, or `def` to run it in a thread.

        A job's own attempts (>= 1), backoff, keep and timeout win over these; with neither, one attempt.
        `backoff` is "exponential:5s", "fixed:30s", with jitter "fixed:30s:0.5", or a name given to `backoff()`.
        Raises InvalidInput for a declaration that cannot work, and for a second handler of the same name.
        """

        def declare(function: Function) -> Function:
            spec = describe(
                name,
                function,
                attempts=attempts,
                backoff=backoff,
                timeout_seconds=timeout_seconds,
                keep_completed=keep_completed,
                keep_failed=keep_failed,
            )
            self.handlers.add(spec)
            return function

        return declare

    def schedule(
        self,
        cron: str | None = None,
        *,
        tz: str | None = None,
        every_seconds: float | None = None,
        name: str | None = None,
        queue: str = OWN_QUEUE,
        attempts: int | None = None,
        backoff: str | Backoff | None = None,
        timeout_seconds: float | None = None,
    ) -> Callable[[Function], Function]:
        """Run a function again and again: by `cron` (5 fields, or 6 with seconds first) in `tz`, or every so often.

        The job's name is the function's, or `name`. Missed times are not made up for: after an outage it runs once.
        Raises InvalidInput for a pattern or a time zone that nobody knows.
        """
        repeat = Repeat(cron=cron, every_seconds=every_seconds, tz=tz)

        def declare(function: Function) -> Function:
            job_name = name or str(getattr(function, "__name__", ""))
            repeat.check(f'@app.schedule of "{job_name}"', 0, self.handlers.repeat_strategy)
            self.handlers.add(
                describe(job_name, function, attempts=attempts, backoff=backoff, timeout_seconds=timeout_seconds)
            )
            self.schedules.append(DeclaredSchedule(job_name, repeat, queue))
            return function

        return declare

    def backoff(self, name: str) -> Callable[[CustomBackoff], CustomBackoff]:
        """Register a backoff strategy by the name that jobs carry.

        It gets (attempts made, name, error, job) and returns milliseconds; -1 means no more attempts.
        """

        def declare(strategy: CustomBackoff) -> CustomBackoff:
            if name in {"fixed", "exponential"} or name in self.handlers.backoffs:
                raise InvalidInput(f'@app.backoff("{name}"): this strategy exists. Choose another name.')
            self.handlers.backoffs[name] = strategy
            return strategy

        return declare

    def repeat_strategy(self, strategy: RepeatStrategy) -> RepeatStrategy:
        """Read the patterns of schedules otherwise, as rrule for one; declare it before the schedules that need it.

        It gets (now in ms, the schedule's `repeat`, the job's name) and returns the next time in epoch milliseconds, or
        None for never again. Node's workers need the same as `settings.repeatStrategy`.
        """
        self.handlers.repeat_strategy = strategy
        return strategy

    def on(self, event: str) -> Callable[[Function], Function]:
        """Call a function, plain (in a thread) or async, whenever this worker has done something:

        "active" (job) has begun · "completed" (job, result) · "failed" (job, error), for each attempt · "stalled"
        (job id, queue name) lost its worker, and is back · "drained" (queue name): the last job that waited is taken ·
        "paused" (), "resumed" (), "closing" (), "closed" (): this worker.

        The end of a job is told when Redis has it, to the worker that ran it; `job.attempts_made` counts that attempt.
        `result` is the JSON of what the handler returned, `error` what it raised, else JobFailed with the reason. A
        listener hears one thing after the other. What it raises is in the log, once, and changes nothing for the job.
        Of one that cannot keep up the oldest of 10 000 calls are left out. Raises InvalidInput for another event.
        """
        if event not in EVENTS:
            raise InvalidInput(f'@app.on("{event}"): there is no such event. There are {", ".join(EVENTS)}.')

        def declare(function: Function) -> Function:
            self.handlers.listeners.setdefault(event, []).append(function)
            return function

        return declare

    def include(self, other: Oxcart) -> None:
        """Take over what another app declares, where this one has no handler of that name: its own wins."""
        for spec in other.handlers:
            if spec.name not in self.handlers:
                self.handlers.add(spec)
        for event, listeners in other.handlers.listeners.items():
            own = self.handlers.listeners.setdefault(event, [])
            own += [listener for listener in listeners if listener not in own]
        for name, strategy in other.handlers.backoffs.items():
            self.handlers.backoffs.setdefault(name, strategy)
        self.handlers.repeat_strategy = self.handlers.repeat_strategy or other.handlers.repeat_strategy
        self.worker.include(other.worker)
        known = {schedule.schedule_id for schedule in self.schedules}
        self.schedules += [schedule for schedule in other.schedules if schedule.schedule_id not in known]
