"""What is there on a whole server? Its queues, how fast each moves, who works on it, what was deployed last."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from oxcart.conditions import QueueFacts
from oxcart.errors import ServerRefused
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Requester, ours, run_script
from oxcart.queue.facts import whole_facts
from oxcart.queue.inspect import text, workers_in

RATE_SECONDS = 300.0
_EVENTS_AT_ONCE = 500  # about a millisecond of the server
_SCANNED_AT_ONCE = 1000
_DEPLOY_KEPT_SECONDS = 90 * 86_400


@dataclass(frozen=True, slots=True)
class Rates:
    """Jobs a minute, of the last five minutes or of the last 500 events; None where the queue keeps no events."""

    added: float
    completed: float
    failed: float


@dataclass(frozen=True, slots=True)
class Workers:
    """Connected workers of a queue: ours, by their names, and others, Node's mostly."""

    ours: int
    others: int


class Deploy(msgspec.Struct, frozen=True):
    """What began to serve a queue last, and when (epoch ms)."""

    version: str
    release: str | None
    at: int


@dataclass(frozen=True, slots=True)
class QueueOverview:
    facts: QueueFacts
    rates: Rates
    workers: Workers | None
    deploy: Deploy | None


async def find_queues(link: Requester, prefix: str) -> list[str]:
    """The names of all queues below a prefix, in order. Looks at every key of the server, a thousand at a time."""
    found: set[str] = set()
    cursor: Any = b"0"
    while True:
        command = ("SCAN", cursor, "MATCH", f"{_escaped(prefix)}:*:meta", "COUNT", _SCANNED_AT_ONCE)
        cursor, keys = await link.request(*command)
        for key in keys:
            name = text(key)[len(prefix) + 1 : -len(":meta")]
            if ":" not in name:  # else a job's or a schedule's own key that ends so
                found.add(name)
        if cursor in {b"0", 0}:
            return sorted(found)


def _escaped(prefix: str) -> str:
    return "".join(f"\\{letter}" if letter in "*?[]\\^" else letter for letter in prefix)


def meant(name: str, queues: Sequence[str]) -> str | None:
    """The queue that was probably meant by a name that none has."""
    return next(iter(difflib.get_close_matches(name, queues, n=1, cutoff=0.75)), None)


async def look_at(link: Requester, keys: QueueKeys, now_ms: int) -> QueueOverview:
    """Everything about one queue. Raises Unavailable, ServerRefused."""
    facts = await whole_facts(link, keys, now_ms)
    args = (now_ms, now_ms - round(RATE_SECONDS * 1000), _EVENTS_AT_ONCE)
    added, completed, failed, span_ms = await run_script(link, ours("queue_rates"), (keys.events,), args)
    clients, deploy = await link.requests([("CLIENT", "LIST"), ("GET", keys.deploy)])
    minutes = max(1, span_ms) / 60_000
    return QueueOverview(
        facts,
        Rates(added / minutes, completed / minutes, failed / minutes),
        None if isinstance(clients, Exception) else _workers(keys, text(clients)),
        None if isinstance(deploy, Exception) else _deploy(deploy),
    )


def _workers(keys: QueueKeys, clients: str) -> Workers:
    names = {worker.name or worker.address for worker in workers_in(keys, clients)}
    own = sum(name.startswith("oxcart-") for name in names)
    return Workers(own, len(names) - own)


def _deploy(stored: bytes | None) -> Deploy | None:
    try:
        return None if stored is None else msgspec.json.decode(stored, type=Deploy)
    except msgspec.DecodeError:
        return None


async def remember_deploy(link: Requester, keys: QueueKeys, deploy: Deploy) -> None:
    """Leave word for `oxcart status`. A refusal is met elsewhere. Raises Unavailable."""
    try:
        await link.request("SET", keys.deploy, msgspec.json.encode(deploy), "EX", _DEPLOY_KEPT_SECONDS)
    except ServerRefused:
        return
