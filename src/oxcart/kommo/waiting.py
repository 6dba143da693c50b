"""What becomes of a job that Kommo will not serve now? It waits and uses no attempt, or ends if it comes again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from oxcart.errors import Discard, InvalidInput, Snooze
from oxcart.job import Job
from oxcart.kommo.failures import Blocked, Gone, KommoError, NoRights, Refused, TooManyRequests, Unauthorized, Unpaid

PARKED_SECONDS = 900.0
"""Between two looks of a job whose account must be connected again or paid: they cost Kommo nothing."""

_LONGEST_SECONDS = 3600.0
_UNSAID_SECONDS = 60.0


async def patiently(job: Job[Any], work: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """Do it. A job of a schedule that must wait ends instead, for the next one is due: {"skipped": why}.

    Raises Snooze, Discard for what no attempt can mend, and whatever is worth another attempt.
    """
    try:
        return await work()
    except InvalidInput as error:
        raise Discard(str(error)) from error
    except (NoRights, Refused, Gone) as error:
        raise Discard(str(error)) from error
    except (Unauthorized, Unpaid) as error:
        return await _later(job, error, PARKED_SECONDS)
    except (Blocked, TooManyRequests) as error:
        return await _later(job, error, error.retry_after_seconds or _UNSAID_SECONDS)


async def _later(job: Job[Any], error: KommoError, seconds: float) -> dict[str, Any]:
    if is_scheduled(job):
        return {"skipped": str(error)}
    await job.log(str(error))
    raise Snooze(min(seconds, _LONGEST_SECONDS)) from error


def is_scheduled(job: Job[Any]) -> bool:
    """BullMQ's id of a scheduler's job: repeat:<schedule>:<epoch ms>."""
    return job.id.startswith("repeat:")
