"""What has become of a flow? A job with those below it, on whatever queues, as they are stored."""

from __future__ import annotations

from dataclasses import dataclass

from oxcart.language import tr
from oxcart.protocol.keys import QueueKeys
from oxcart.queue.channel import Channel
from oxcart.queue.inspect import StoredJob, pairs, text


@dataclass(frozen=True, slots=True)
class FlowTree:
    """A stored job, and its children as far as they were asked for; those whose data is gone are left out."""

    job: StoredJob
    children: tuple[FlowTree, ...]


async def read(channel: Channel, keys: QueueKeys, job_id: str, depth: int, most_children: int) -> FlowTree | None:
    """Raises Unavailable, ServerRefused."""
    doing = tr("Reading the flow of job {job_id} in queue {name}", job_id=job_id, name=keys.name)
    record = pairs(await channel.command(doing, "HGETALL", keys.job(job_id)))
    if not record:
        return None
    children: list[FlowTree] = []
    for child in await _children(channel, doing, keys, job_id, most_children) if depth > 1 else ():
        own_keys, child_id = _place(child, keys.prefix)
        found = await read(channel, own_keys, child_id, depth - 1, most_children)
        children += [] if found is None else [found]
    return FlowTree(StoredJob(job_id, keys.name, record), tuple(children))


async def _children(channel: Channel, doing: str, keys: QueueKeys, job_id: str, most: int) -> list[str]:
    """The keys of those that wait, then of those that have ended."""
    places = (keys.processed(job_id), keys.failed_children(job_id))
    waiting, failed, *ended = await channel.commands(
        doing,
        [
            ("SMEMBERS", keys.dependencies(job_id)),
            ("ZRANGE", keys.unsuccessful(job_id), 0, -1),
            *[("HKEYS", place) for place in places],
        ],
    )
    found = [text(key) for reply in (waiting, *ended, failed) for key in reply]
    return list(dict.fromkeys(found))[:most]


def _place(key: str, prefix: str) -> tuple[QueueKeys, str]:
    """`bull:crm:42`, of which an id may have colons and a queue none; of prefixes only the parent's own may."""
    if not key.startswith(f"{prefix}:"):
        prefix = key.partition(":")[0]
    name, _, job_id = key[len(prefix) + 1 :].partition(":")
    return QueueKeys(name, prefix), job_id
