"""Which keys may a BullMQ queue leave behind? Any other would be invisible to Node, or break it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from redis import Redis

JOB = r"(?:[^:]+|repeat:.+:\d+)"  # a job of a scheduler has colons in its id
KNOWN_KEYS = {
    "list": rf"wait|active|paused|{JOB}:logs|metrics:(?:completed|failed):data",
    "zset": rf"delayed|prioritized|priority|completed|failed|waiting-children|repeat|marker|{JOB}:unsuccessful",
    "string": rf"id|pc|limiter|stalled-check|de:.+|{JOB}:lock",
    "hash": rf"meta|metrics:(?:completed|failed)|dn:.+|repeat:.+|{JOB}|{JOB}:processed|{JOB}:failed",
    "set": rf"stalled|{JOB}:dependencies",
    "stream": "events|delay",  # `delay` is of BullMQ 1, `priority` of versions before 4
}
# Names that are no job ids: a hash under one of them is a key of the wrong type.
RESERVED = re.compile(
    r"wait|active|paused|delayed|prioritized|completed|failed|waiting-children|repeat|marker|id|pc|limiter"
    r"|stalled-check|stalled|events"
)
OUR_RECEIPTS = re.compile(r"oxcart:.+")


def is_known(queue_key: str, kind: str) -> bool:
    """`queue_key` is what follows `bull:<queue>:`; `kind` what the server's TYPE says."""
    if OUR_RECEIPTS.fullmatch(queue_key):
        return True
    if kind == "hash" and RESERVED.fullmatch(queue_key):
        return False
    return kind in KNOWN_KEYS and re.fullmatch(KNOWN_KEYS[kind], queue_key) is not None


def unknown_keys(client: Redis) -> list[str]:
    """Every key under `bull:` that no BullMQ tool would understand, as "key (type)"."""
    keys = sorted(client.scan_iter(match="bull:*", count=1000))
    unknown = []
    for key, kind in zip(keys, types_of(client, keys), strict=True):
        _, _, queue_key = key.split(":", 1)[1].partition(":")
        if kind != "none" and not is_known(queue_key, kind):
            unknown.append(f"{key} ({kind})")
    return unknown


def types_of(client: Redis, keys: Iterable[str]) -> list[str]:
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.type(key)
        return list(pipeline.execute())


def remove_keys(client: Redis, pattern: str) -> None:
    keys = list(client.scan_iter(match=pattern, count=1000))
    for start in range(0, len(keys), 1000):
        client.unlink(*keys[start : start + 1000])
