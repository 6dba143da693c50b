"""What has failed for good, why, and how does it get another chance? BullMQ's `failed` set is our dead letters."""

from __future__ import annotations

from collections import Counter

from oxcart.language import tr
from oxcart.protocol.scripts import Command
from oxcart.queue import inspect, maintenance
from oxcart.queue.channel import Channel
from oxcart.queue.search import Filter, change_each, search

_PAGE = 200


async def reasons(channel: Channel, limit: int) -> dict[str, int]:
    """How many of the newest `limit` dead letters have each failedReason, most frequent first."""
    doing = tr("Reading why jobs of queue {name} failed", name=channel.keys.name)
    newest = await channel.command(doing, "ZREVRANGE", channel.keys.failed, 0, limit - 1)
    ids = [inspect.text(job_id) for job_id in newest]
    counted: Counter[str] = Counter()
    for page in (ids[at : at + _PAGE] for at in range(0, len(ids), _PAGE)):
        commands: list[Command] = [("HGET", channel.keys.job(job_id), "failedReason") for job_id in page]
        counted.update(inspect.text(reply or b"") for reply in await channel.commands(doing, commands))
    return dict(counted.most_common())


async def retry_many(channel: Channel, *, reason: str | None, limit: int | None, reset_attempts: bool) -> list[str]:
    """Put dead letters back, the oldest first, whose failedReason contains `reason`; returns their ids.

    One that moves on meanwhile (retried by someone else, removed) is left out.
    """
    ids: list[str] = []
    async for found in search(channel, "failed", Filter(reason=reason), oldest_first=True):
        ids += [job.id for job in found]
        if limit is not None and len(ids) >= limit:
            break

    async def retry(job_id: str) -> None:
        await maintenance.retry(channel, job_id, "failed", reset_attempts=reset_attempts)

    return (await change_each(ids[:limit], retry)).done
