"""Which errors can Oxcart raise, and what should the caller do about each?

* OxcartError
  x SettingsError          fix the environment; all problems are listed at once            (exit 78)
  x InvalidInput           fix this call's argument; nothing was sent                      (exit 64)
    - PayloadTooLarge      make the job's data or return value smaller
  x Unavailable            the server was not reached, or did not answer; try again        (exit 69)
  x ServerRefused          the server answered this one command with an error
  x AddFailed              add_many stopped half way; says which were added, unknown, not sent
  x PortUnavailable        the HTTP port is taken or forbidden; free it or choose another     (exit 1)
  x JobNotFound            no job with this id in this queue
  x JobFailed              the job that was waited for has failed; carries its failedReason
  x ResultGone             it has finished, but its result is no longer kept
  x ResultTimeout          it has not finished in time
  x StateConflict          the job is not in a state that allows this
  x KommoError             Kommo did not do as asked; kommo/failures.py has one class for each way on
* Control flow, raised by a handler:
  Snooze, Discard (also as UnrecoverableError), RateLimited, WaitForChildren, MoveToWait

A message has three parts: what we were doing, what happened, what to do. No secret is ever part of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a failure calls for."""

    TRANSIENT = "transient"  # back off and try for ever
    CONFIGURATION = "configuration"  # someone must change a setting; keep trying, and say so
    QUOTA = "quota"  # used up: try every 5 to 60 s
    PERMANENT = "permanent"  # this request will never succeed: fail it alone
    UNKNOWN = "unknown"  # not in the table: tried again, loudly


@dataclass(frozen=True, slots=True)
class Failure:
    """One row of the failure table as it applies to one exception; the text that logs, /health and commands show.

    `code` is stable and has a section in docs/doctor.md; `summary` says what happened, `advice` what to do.
    """

    code: str
    kind: Kind
    retryable: bool
    summary: str
    advice: str


class OxcartError(Exception):
    """The root of everything that Oxcart raises on purpose."""


class SettingsError(OxcartError):
    """The settings cannot be used. `problems` are all of them, each one sentence with its cure."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class InvalidInput(OxcartError, ValueError):  # noqa: N818 - it says what is wrong with the call
    """An argument of this call cannot be used; nothing was sent."""


class PayloadTooLarge(InvalidInput):
    """A job's data, options or return value is larger than the limit; the message has both sizes in bytes."""


class Unavailable(OxcartError):  # noqa: N818 - names the state of the server
    """The server could not be reached or did not answer in time.

    `outcome_unknown` is true when the request was sent: it may have been executed, now or later.
    """

    def __init__(self, failure: Failure, doing: str, *, outcome_unknown: bool = False) -> None:
        self.failure = failure
        self.doing = doing
        self.outcome_unknown = outcome_unknown
        super().__init__(f"{doing}: {failure.summary} {failure.advice}".strip())


class ServerRefused(OxcartError):  # noqa: N818
    """The server answered one command with an error; `failure` names it. Neighbouring commands are unaffected."""

    def __init__(self, failure: Failure, doing: str) -> None:
        self.failure = failure
        self.doing = doing
        super().__init__(f"{doing}: {failure.summary} {failure.advice}".strip())


class PortUnavailable(OxcartError):  # noqa: N818
    """HTTP cannot listen on `port`: another process has it, or this one may not. The message names the port."""

    def __init__(self, port: int, message: str) -> None:
        self.port = port
        super().__init__(message)


class AddFailed(OxcartError):  # noqa: N818
    """add_many did not get through. Ids in the order of the call: `added` are stored, `unknown` may be, the rest not.

    `not_sent` are positions in the caller's list (no id exists for them).
    """

    def __init__(self, message: str, added: Sequence[str], unknown: Sequence[int], not_sent: Sequence[int]) -> None:
        self.added = tuple(added)
        self.unknown = tuple(unknown)
        self.not_sent = tuple(not_sent)
        super().__init__(message)


class JobNotFound(OxcartError):  # noqa: N818
    """No job with this id exists in this queue."""


class StateConflict(OxcartError):  # noqa: N818
    """The job exists, but its state does not allow what was asked; the message names the state."""


class JobFailed(OxcartError):  # noqa: N818
    """The job ended as failed. `failed_reason` is its failedReason."""

    def __init__(self, job_id: str, failed_reason: str) -> None:
        self.job_id = job_id
        self.failed_reason = failed_reason
        super().__init__(f"Job {job_id} failed: {failed_reason}")


class ResultGone(OxcartError):  # noqa: N818
    """The job has finished, but its result is no longer kept: ask for it sooner, or keep finished jobs longer."""


class ResultTimeout(OxcartError, TimeoutError):  # noqa: N818
    """The job did not finish within the time given; it goes on."""


class Snooze(Exception):  # noqa: N818 - control flow, named as a verb for `raise Snooze(60)`
    """Raise in a handler to run the job again after `delay_seconds`, using no attempt."""

    def __init__(self, delay_seconds: float) -> None:
        if not 0 <= delay_seconds < 2**31:
            raise InvalidInput(f"Snooze({delay_seconds}): the delay is a number of seconds from 0 to 2147483647.")
        self.delay_seconds = delay_seconds
        super().__init__(f"snoozed for {delay_seconds} s")


class Discard(Exception):  # noqa: N818
    """Raise in a handler to end the job as failed now, whatever attempts are left (BullMQ's UnrecoverableError)."""


UnrecoverableError = Discard


class RateLimited(Exception):  # noqa: N818
    """Raise in a handler to stop the whole queue for `delay_seconds`; the job goes back, using no attempt."""

    def __init__(self, delay_seconds: float) -> None:
        if not 0 < delay_seconds < 2**31:
            raise InvalidInput(f"RateLimited({delay_seconds}): the delay is a number of seconds above 0.")
        self.delay_seconds = delay_seconds
        super().__init__(f"rate limited for {delay_seconds} s")


class MoveToWait(Exception):  # noqa: N818
    """Raise in a handler to give the job back, with no attempt used (BullMQ's WaitingError)."""


class WaitForChildren(Exception):  # noqa: N818
    """Raise in a handler to park the job until its children have finished (BullMQ's WaitingChildrenError)."""
