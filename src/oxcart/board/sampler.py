"""What is in all queues now? One look for everybody who watches, not more often than once a second, none for nobody."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from oxcart.conditions import QueueFacts
from oxcart.connection.link import Link
from oxcart.connection.providers import Provider, provider_of
from oxcart.connection.server import Server
from oxcart.errors import InvalidInput, ServerRefused
from oxcart.names import UnhandledJobs
from oxcart.own_tasks import start_own_task
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import ours, run_script
from oxcart.queue.channel import Channel
from oxcart.queue.facts import read_facts
from oxcart.queue.inspect import PAUSED, client_name, pairs, text
from oxcart.queue.overview import Deploy, read_deploy, scan_queues
from oxcart.queue.unhandled import unhandled_in

MINUTES = 30
_MINUTES_MS = 10_000
_DEEP_SECONDS, _SLOW_SECONDS = 30.0, 5.0  # schedules and returning jobs; clients and memory
_DISCOVER_SECONDS, _MOST_QUEUES = 300.0, 1000
_FIRST_SECONDS = 0.15  # which the first page waits for queues that nobody has named
_EVERY_SECONDS, _BILLED_SECONDS = 1.0, 5.0  # between two looks; at a database that bills each command


@dataclass(slots=True)
class Minutes:
    """A queue's last MINUTES minutes, the present one last. `added` is what was seen since somebody looks."""

    newest: int = 0
    completed: deque[int] = field(default_factory=lambda: deque([0] * MINUTES, MINUTES))
    failed: deque[int] = field(default_factory=lambda: deque([0] * MINUTES, MINUTES))
    added: deque[int] = field(default_factory=lambda: deque([0] * MINUTES, MINUTES))
    counter: int | None = None
    looked_ms: int = 0

    def learn(self, first: int, completed: list[int], failed: list[int], counter: int) -> None:
        last = first + len(completed) - 1
        for ring in (self.completed, self.failed, self.added):
            ring.extend([0] * min(MINUTES, last - self.newest if self.newest else 0))
        self.newest = last
        for back, (done, bad) in enumerate(zip(reversed(completed), reversed(failed), strict=True)):
            self.completed[MINUTES - 1 - back], self.failed[MINUTES - 1 - back] = done, bad
        if self.counter is not None:
            self.added[-1] += max(0, counter - self.counter)
        self.counter = counter


@dataclass(frozen=True, slots=True)
class Client:
    """A connection of a worker. `kind`: "oxcart", or what it says it is."""

    queue: str
    name: str
    address: str
    kind: str
    age_seconds: int
    idle_seconds: int
    is_paused: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """All queues at one moment. `info` has INFO's fields; `scanned` is false while queues are still looked for."""

    at_ms: int
    queues: tuple[QueueFacts, ...]
    minutes: Mapping[str, Minutes]
    refused: Mapping[str, str]
    clients: tuple[Client, ...] | None
    info: Mapping[str, str]
    latency_ms: float
    scanned: bool
    deploy: Deploy | None


class Sampler:
    """Belongs to the HTTP loop. Raises Unavailable or ServerRefused from `look`."""

    def __init__(self, server: Server, link: Link, prefix: str, queues: Iterable[str]) -> None:
        self._server, self._link, self._prefix = server, link, prefix
        self._queues: dict[str, Channel] = {}
        self._facts: dict[str, QueueFacts] = {}
        self._refused: dict[str, str] = {}
        self._minutes: dict[str, Minutes] = {}
        self._deep_at = self._slow_at = self._scanned_at = float("-inf")
        self._clients: tuple[Client, ...] | None = None
        self._info: dict[str, str] = {}
        self._deploy: Deploy | None = None
        self._last: Sample | None = None
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()
        self._scan: asyncio.Task[None] | None = None
        for name in queues:
            self._know(name)

    @property
    def every_seconds(self) -> float:
        """How often what is shown may be looked at anew."""
        return _BILLED_SECONDS if provider_of(self._server.target.host) is Provider.UPSTASH else _EVERY_SECONDS

    def channel(self, name: str) -> Channel:
        """Also of a queue that nobody has heard of. Raises InvalidInput for what is no queue's name."""
        return self._queues.get(name) or Channel(QueueKeys(name, self._prefix), self._server, self._link)

    @property
    def names(self) -> list[str]:
        return sorted(self._queues)

    async def look(self) -> Sample:
        async with self._looking:
            now = time.monotonic()
            if self._last is None or now - self._looked_at > self.every_seconds * 0.9:
                self._last = await self._look()
                self._looked_at = time.monotonic()
            return self._last

    def scan_again(self) -> None:
        self._scanned_at = float("-inf")

    async def close(self) -> None:
        if self._scan is not None:
            self._scan.cancel()
            await asyncio.wait([self._scan])

    # -------------------------------------------------------------------------------------------- looking
    async def _look(self) -> Sample:
        now = time.monotonic()
        await self._link.request("PING")
        latency_ms = (time.monotonic() - now) * 1000
        await self._discover(now)
        if now - self._slow_at > _SLOW_SECONDS:
            await self._look_slowly()
            self._slow_at = now
        is_deep = now - self._deep_at > _DEEP_SECONDS
        self._deep_at = now if is_deep else self._deep_at
        at_ms = self._server.clock.now_ms()
        await asyncio.gather(*(self._look_at(name, at_ms, is_deep=is_deep) for name in self.names))
        facts = tuple(self._with_workers(name) for name in self.names if name in self._facts)
        scanned = self._scan is None or self._scan.done()
        told = (self._minutes, self._refused, self._clients, self._info, latency_ms, scanned, self._deploy)
        return Sample(at_ms, facts, *told)

    async def _look_at(self, name: str, at_ms: int, *, is_deep: bool) -> None:
        keys = self._queues[name].keys
        before = None if is_deep else self._facts.get(name)
        minutes = self._minutes.setdefault(name, Minutes())
        try:
            facts, _ = await asyncio.gather(
                read_facts(self._link, keys, at_ms, before=before), self._count_minutes(keys, minutes, at_ms)
            )
        except ServerRefused as error:
            self._refused[name] = str(error)
            return
        self._refused.pop(name, None)
        told = before.unhandled if before is not None else await self._unhandled(keys)
        self._facts[name] = replace(facts, unhandled=told)

    async def _count_minutes(self, keys: QueueKeys, minutes: Minutes, at_ms: int) -> None:
        """Lines of half an hour need no look each second."""
        if at_ms - minutes.looked_ms < _MINUTES_MS:
            return
        minute = at_ms // 60_000
        count = min(MINUTES, minute - minutes.newest + 1)
        first, named = minute - count + 1, (keys.completed, keys.failed, keys.id)
        script, args = ours("finished_counts"), (first * 60_000, count)
        completed, failed, counter = await run_script(self._link, script, named, args)
        minutes.learn(first, completed, failed, int(float(counter)))
        minutes.looked_ms = at_ms

    async def _unhandled(self, keys: QueueKeys) -> tuple[UnhandledJobs, ...]:
        return unhandled_in(keys, pairs(await self._link.request("HGETALL", keys.unhandled)))

    def _with_workers(self, name: str) -> QueueFacts:
        if self._clients is None:
            return self._facts[name]
        workers = {client.name or client.address: client for client in self._clients if client.queue == name}
        paused = sum(client.is_paused for client in workers.values())
        return replace(self._facts[name], workers=len(workers), paused_workers=paused)

    async def _look_slowly(self) -> None:
        asked = [("INFO", part) for part in ("memory", "stats", "server")]
        deploys = ("MGET", *(channel.keys.deploy for channel in self._queues.values()))
        clients, deployed, *infos = await self._link.requests([("CLIENT", "LIST"), deploys, *asked])
        by_name = {client_name(channel.keys): name for name, channel in self._queues.items()}
        self._clients = None if isinstance(clients, Exception) else tuple(_workers(text(clients), by_name))
        known = () if isinstance(deployed, Exception) else map(read_deploy, deployed)
        self._deploy = max((deploy for deploy in known if deploy is not None), key=lambda one: one.at, default=None)
        for info in infos:
            if not isinstance(info, Exception):
                lines = (line.partition(":") for line in text(info).splitlines())
                self._info.update({name: value for name, colon, value in lines if colon})

    # -------------------------------------------------------------------------------------------- queues nobody named
    async def _discover(self, now: float) -> None:
        if now - self._scanned_at < _DISCOVER_SECONDS:
            return
        self._scanned_at = now
        if self._scan is None or self._scan.done():
            self._scan = start_own_task(self._scan_keys(), "board:scan")
            self._scan.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.wait([self._scan], timeout=_FIRST_SECONDS)

    async def _scan_keys(self) -> None:
        """Between two steps the server has time for others."""
        began = time.monotonic()
        async for names in scan_queues(self._link, self._prefix):
            for name in names[: _MOST_QUEUES - len(self._queues)]:
                self._know(name)
            await asyncio.sleep(time.monotonic() - began)
            began = time.monotonic()

    def _know(self, name: str) -> None:
        try:
            keys = QueueKeys(name, self._prefix)
        except InvalidInput:
            return
        self._queues.setdefault(name, Channel(keys, self._server, self._link))


def _workers(listed: str, by_name: Mapping[str, str]) -> Iterable[Client]:
    """Connections that BullMQ's rule names after a queue; Node's event readers end with `:qe`, and are no workers."""
    for line in listed.splitlines():
        client = dict(part.partition("=")[::2] for part in line.split(" "))
        plain, is_named, own = client.get("name", "").partition(":w:")
        queue = by_name.get(plain)
        if queue is None:
            continue
        library, version = client.get("lib-name", ""), client.get("lib-ver", "")
        kind = "oxcart" if own.startswith("oxcart-") else f"{library} {version}".strip()
        age, idle = (int(client.get(name, "0")) for name in ("age", "idle"))
        worker = own.removesuffix(PAUSED) if is_named else ""
        yield Client(queue, worker, client.get("addr", ""), kind, age, idle, is_paused=own.endswith(PAUSED))
