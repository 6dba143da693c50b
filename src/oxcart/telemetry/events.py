"""What can happen in Oxcart? One frozen dataclass per event; logs, metrics and alerts subscribe (docs/events.md).

Names are past tense and public. Times are in the unit their name says. No event carries job data or a secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from oxcart.errors import Failure


# ------------------------------------------------------------------------------------------------ the connection
@dataclass(frozen=True, slots=True)
class RedisTargetChosen:
    """The settings were read and name one Redis. `url` is masked; `sources` the variables it came from."""

    url: str
    sources: tuple[str, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RedisReady:
    """The first connection works, or it works again after `away_seconds` (0 the first time)."""

    host: str
    port: int
    tls: bool
    server_version: str | None
    away_seconds: float
    attempts: int


@dataclass(frozen=True, slots=True)
class RedisLost:
    """The connection failed: once per outage, not once per retry."""

    host: str
    port: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class RedisFailureChanged:
    """Still away, but for another reason than the one reported last."""

    host: str
    port: int
    failure: Failure
    away_seconds: float


@dataclass(frozen=True, slots=True)
class RedisRefuses:
    """The server answers, but refuses to work (memory full, plan used up…), or on `queue` alone. Once per reason."""

    failure: Failure
    queue: str | None = None

    @property
    def where(self) -> str:
        return f' on queue "{self.queue}"' if self.queue is not None else ""


@dataclass(frozen=True, slots=True)
class RedisAccepts:
    """The server does again what it had refused for `seconds`, on all queues or on `queue`."""

    seconds: float
    queue: str | None = None

    @property
    def where(self) -> str:
        return f' on queue "{self.queue}"' if self.queue is not None else ""


# ------------------------------------------------------------------------------------------------ the worker
@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """The worker runs. `handlers` are the job names it knows; `shutdown_grace_seconds` is what a deploy leaves them."""

    version: str
    queues: tuple[str, ...]
    concurrency: int
    handlers: tuple[str, ...]
    shutdown_grace_seconds: float


@dataclass(frozen=True, slots=True)
class WorkerSteered:
    """While it runs this worker was `paused` or `resumed`, or its `concurrency` changed: it has so many `slots` now."""

    what: str
    slots: int
    jobs_running: int


@dataclass(frozen=True, slots=True)
class WorkerStopping:
    """`reason` is the signal's name, or what else asked."""

    reason: str
    jobs_running: int
    grace_seconds: float


@dataclass(frozen=True, slots=True)
class WorkerStopped:
    """`interrupted` jobs went back to the queue, `undelivered` verdicts could not be written."""

    seconds: float
    finished: int
    interrupted: int
    undelivered: int


@dataclass(frozen=True, slots=True)
class WarningRaised:
    """Something to mend that stops nothing. `code` is stable; `message` has the cure."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class LoopBlocked:
    """The event loop has not run for a while: a handler blocks it. `stack` is where it was."""

    seconds: float
    stack: str


@dataclass(frozen=True, slots=True)
class HttpStarted:
    """HTTP answers on `port` of `hosts`; another port than `wanted_port` when that one was taken."""

    port: int
    wanted_port: int
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HttpCrowded:
    """So many are open that others are closed for them (`closed` since last told), or refused. Once a minute."""

    connections: int
    closed: int


@dataclass(frozen=True, slots=True)
class BoardChanged:
    """Someone has changed something by the board, /api or `oxcart mcp`: `action` on `what`, `done` times.

    `refused` is how often it was not possible; `by` is the session or kind of caller, and where it came from.
    """

    action: str
    what: str
    done: int
    refused: int
    by: str


# ------------------------------------------------------------------------------------------------ processes
@dataclass(frozen=True, slots=True)
class ProcessesStarted:
    """`oxcart run --processes` starts so many worker processes, each with `concurrency` slots."""

    processes: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class ProcessLost:
    """A worker process ended without being told to, with `exit_code` or by `signal`; another starts in its place.

    Those that end in the same way before they work are the same loss, and reported once.
    """

    process: int
    pid: int
    exit_code: int | None
    signal: str | None
    restart_seconds: float


@dataclass(frozen=True, slots=True)
class ProcessReplaced:
    """In the place of a process that was lost another one works."""

    process: int
    pid: int
    away_seconds: float


# ------------------------------------------------------------------------------------------------ jobs
class FinishedJob(NamedTuple):
    """One attempt's end, written to the server. `verdict` is the verdict's class name in snake case."""

    job_id: str
    name: str
    verdict: str
    run_ms: float
    waited_ms: float
    attempt: int
    reason: str | None
    retry_in_ms: int | None
    stack: str | None = None


@dataclass(frozen=True, slots=True)
class JobsStarted:
    """Attempts that began since the last such event: (job id, job name) each."""

    queue: str
    jobs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class JobsFinished:
    """All verdicts that one exchange wrote."""

    queue: str
    jobs: Sequence[FinishedJob]


@dataclass(frozen=True, slots=True)
class JobAbandoned:
    """A claim was lost to another worker, or its job removed: the handler was told to stop, nothing was written."""

    queue: str
    job_id: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class JobAdopted:
    """The reply to a claim was lost, and the job was found and taken up again."""

    queue: str
    job_id: str


@dataclass(frozen=True, slots=True)
class JobUnconfirmed:
    """A finish was repeated after a lost reply and its job is gone, as our keep policy would have it."""

    queue: str
    job_id: str
    name: str


@dataclass(frozen=True, slots=True)
class JobUnreadable:
    """A job's hash is missing or of a wrong shape: it was taken out of the queue, or failed, alone."""

    queue: str
    job_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class JobNameUnknown:
    """The first job with a name that no handler here takes; `action` is leave or fail.

    `detail` is what lacks, where there is a handler that cannot do it here.
    """

    queue: str
    name: str
    action: str
    known: tuple[str, ...]
    job_id: str | None = None
    detail: str | None = None

    @property
    def why(self) -> str:
        return f" (not possible here: {self.detail})" if self.detail is not None else ""

    @property
    def outcome(self) -> str:
        if self.action == "fail":
            return "they fail (OXCART_UNKNOWN_JOBS=fail)"
        return "they stay there for a worker that does"


@dataclass(frozen=True, slots=True)
class JobsStalled:
    """Jobs whose worker vanished went back to the queue."""

    queue: str
    job_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SuspectsStarted:
    """Jobs that had lost their worker began, with nothing else beside them. `alone`: a single one, on trial."""

    queue: str
    job_ids: tuple[str, ...]
    alone: bool


@dataclass(frozen=True, slots=True)
class OutboxFull:
    """Claiming stopped: too many finished jobs wait for the server to come back."""

    verdicts: int
    bytes: int


@dataclass(frozen=True, slots=True)
class HandlerDeaf:
    """A handler went on after it was told to stop; its slot stays taken until it ends."""

    queue: str
    job_id: str
    name: str


# ------------------------------------------------------------------------------------------------ Kommo
@dataclass(frozen=True, slots=True)
class KommoTokenRefreshed:
    """An account's tokens were replaced by new ones, and stored."""

    connection_id: str
    domain: str


@dataclass(frozen=True, slots=True)
class KommoReauthNeeded:
    """Kommo refuses an account's tokens for good: its jobs wait until someone connects it again."""

    connection_id: str
    domain: str
    reason: str


@dataclass(frozen=True, slots=True)
class KommoPaused:
    """Kommo answered 429: no process sends it anything for `seconds`. Each refusal in a row makes the rate slower."""

    seconds: float
    refusals_in_a_row: int


@dataclass(frozen=True, slots=True)
class KommoBlocked:
    """Kommo has locked this address out (an HTML 403): nothing is sent for `seconds`, then one probe looks again."""

    seconds: float


@dataclass(frozen=True, slots=True)
class KommoUnblocked:
    """A probe came through: requests to Kommo go on."""


Event: TypeAlias = (
    RedisTargetChosen
    | RedisReady
    | RedisLost
    | RedisFailureChanged
    | RedisRefuses
    | RedisAccepts
    | WorkerStarted
    | WorkerSteered
    | WorkerStopping
    | WorkerStopped
    | WarningRaised
    | LoopBlocked
    | HttpStarted
    | HttpCrowded
    | BoardChanged
    | ProcessesStarted
    | ProcessLost
    | ProcessReplaced
    | JobsStarted
    | JobsFinished
    | JobAbandoned
    | JobAdopted
    | JobUnconfirmed
    | JobUnreadable
    | JobNameUnknown
    | JobsStalled
    | SuspectsStarted
    | OutboxFull
    | HandlerDeaf
    | KommoTokenRefreshed
    | KommoReauthNeeded
    | KommoPaused
    | KommoBlocked
    | KommoUnblocked
)
