"""What becomes of a job that Kommo will not serve now? It waits and uses no attempt, or ends if it comes again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from oxcart.errors import Discard, InvalidInput, Snooze
from oxcart.job import Job
from oxcart.kommo.failures import KommoError
from oxcart.kommo.ways import way_on

_LONGEST_SECONDS = 3600.0  # a block may be lifted before its time


async def patiently(job: Job[Any], work: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """Do it. A job of a schedule that must wait ends instead, for the next one is due: {"skipped": why}.

    Raises Snooze, Discard for what no attempt can mend, and whatever is worth another attempt.
    """
    try:
        return await work()
    except InvalidInput as error:
        raise Discard(str(error)) from error
    except KommoError as error:
        way = way_on(error)
        if way is error:
            raise
        if not isinstance(way, Snooze):
            raise way from error
        if is_scheduled(job):
            return {"skipped": str(error)}
        await job.log(str(error))
        raise Snooze(min(way.delay_seconds, _LONGEST_SECONDS)) from error


def is_scheduled(job: Job[Any]) -> bool:
    """BullMQ's id of a scheduler's job: repeat:<schedule>:<epoch ms>."""
    return job.id.startswith("repeat:")
