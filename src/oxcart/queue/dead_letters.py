"""What has failed for good, why, and how does it get another chance? BullMQ's `failed` set is our dead letters."""

from __future__ import annotations

from collections import Counter

from oxcart.errors import JobNotFound, StateConflict
from oxcart.protocol.scripts import Command
from oxcart.queue import inspect, maintenance
from oxcart.queue.channel import Channel

_PAGE = 200


async def reasons(channel: Channel, limit: int) -> dict[str, int]:
    """How many of the newest `limit` dead letters have each failedReason, most frequent first."""
    doing = f"Reading why jobs of queue {channel.keys.name} failed"
    newest = await channel.command(doing, "ZREVRANGE", channel.keys.failed, 0, limit - 1)
    ids = [inspect.text(job_id) for job_id in newest]
    counted: Counter[str] = Counter()
    for page in (ids[at : at + _PAGE] for at in range(0, len(ids), _PAGE)):
        counted.update(await _reasons_of(channel, doing, page))
    return dict(counted.most_common())


async def retry_many(channel: Channel, *, reason: str | None, limit: int | None, reset_attempts: bool) -> list[str]:
    """Put dead letters back, the oldest first, whose failedReason contains `reason`; returns their ids.

    One that moves on meanwhile (retried by someone else, removed) is left out.
    """
    retried: list[str] = []
    for job_id in await _oldest_first(channel, reason):
        if limit is not None and len(retried) >= limit:
            break
        try:
            await maintenance.retry(channel, job_id, "failed", reset_attempts=reset_attempts)
        except (JobNotFound, StateConflict):
            continue
        retried.append(job_id)
    return retried


async def _oldest_first(channel: Channel, wanted: str | None) -> list[str]:
    doing = f"Looking through the failed jobs of queue {channel.keys.name}"
    ids = [inspect.text(job_id) for job_id in await channel.command(doing, "ZRANGE", channel.keys.failed, 0, -1)]
    if wanted is None:
        return ids
    found = []
    for page in (ids[at : at + _PAGE] for at in range(0, len(ids), _PAGE)):
        reasons_of_page = await _reasons_of(channel, doing, page)
        found += [job_id for job_id, reason in zip(page, reasons_of_page, strict=True) if wanted in reason]
    return found


async def _reasons_of(channel: Channel, doing: str, ids: list[str]) -> list[str]:
    commands: list[Command] = [("HGET", channel.keys.job(job_id), "failedReason") for job_id in ids]
    return [inspect.text(reply or b"") for reply in await channel.commands(doing, commands)]
