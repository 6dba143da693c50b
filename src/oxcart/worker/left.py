"""What waits here that this worker leaves to others? Each name is told once; what waits for long is kept for /health.

Others choose the names, so what is kept, told and published of them is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from oxcart.clock import now_ms
from oxcart.handlers import Handlers
from oxcart.names import MAX_NAMES, ForeignJobs, LeftNames, NameFilter, UnhandledJobs, names_to_claim, short
from oxcart.settings import WorkerSettings
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import JobNameUnknown, WarningRaised

MAX_KEPT = 200  # names; further ones are still left, and not counted


class LeftJobs:
    """Belongs to the job loop; its answers may be read from any thread."""

    def __init__(
        self, handlers: Handlers, settings: WorkerSettings, emit: Emit, *, clock_ms: Callable[[], int] = now_ms
    ) -> None:
        self.action = settings.unknown_jobs or "leave"
        self._handlers = handlers
        self._settings = settings
        self._emit = emit
        self._clock_ms = clock_ms
        self._foreign: dict[str, tuple[ForeignJobs, ...]] = {}
        self._told: dict[tuple[str, str], None] = {}
        self._unavailable = handlers.unavailable
        self._claimed = self._chosen()

    @property
    def names_to_claim(self) -> NameFilter | None:
        """It may change while the worker runs: what a handler lacks may come, and go."""
        unavailable = self._handlers.unavailable
        if unavailable != self._unavailable:
            self._unavailable = unavailable
            self._claimed = self._chosen()
        return self._claimed

    @property
    def unknown_names(self) -> tuple[str, ...]:
        """Every name that came and has no handler here."""
        return tuple(dict.fromkeys(name for _, name in [*self._told]))

    @property
    def unhandled(self) -> tuple[UnhandledJobs, ...]:
        """What has waited for more than a minute; those that have waited longest first."""
        names, now = self._names(), self._clock_ms()
        found = (jobs for queue, foreign in [*self._foreign.items()] for jobs in names.unhandled(queue, foreign, now))
        return tuple(sorted(found, key=lambda jobs: jobs.since_ms))

    def met(self, queue_name: str, names: Iterable[bytes]) -> None:
        """Jobs of these names were passed over just now."""
        why_left = self._names()
        for name in names:
            text = name.decode("utf-8", "replace")
            why = why_left.why(text)
            if why is not None:
                self.tell(queue_name, text, detail=why[1])

    def seen(self, queue_name: str, foreign: Iterable[ForeignJobs]) -> None:
        """All that was last seen waiting in a queue and is left there; nothing: none waits any more."""
        self._foreign[queue_name] = tuple(foreign)[:MAX_KEPT]

    def tell(self, queue_name: str, name: str, *, job_id: str | None = None, detail: str | None = None) -> None:
        """Once per name and queue, for the first ones."""
        key = queue_name, short(name)
        if key in self._told or len(self._told) >= MAX_KEPT:
            return
        self._told[key] = None
        if len(self._told) <= MAX_NAMES:
            self._emit(JobNameUnknown(queue_name, key[1], self.action, self._handlers.names, job_id, detail))
        elif len(self._told) == MAX_NAMES + 1:
            text = f"Jobs of more than {MAX_NAMES} names without a handler here came; no more are logged: oxcart counts"
            self._emit(WarningRaised("JOB_NAMES", text))

    def _chosen(self) -> NameFilter | None:
        settings = self._settings
        return names_to_claim(
            self._handlers.available, unknown=self.action, only=settings.only_jobs, except_=settings.except_jobs
        )

    def _names(self) -> LeftNames:
        settings = self._settings
        return LeftNames(
            self._handlers.names, self._handlers.unavailable, only=settings.only_jobs, except_=settings.except_jobs
        )
