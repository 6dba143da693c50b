"""What does a visit of the doctor know? The environment as it was understood, and what the checks found so far."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from oxcart.checks import Unanswerable, Verdict
from oxcart.conditions import QueueFacts
from oxcart.connection.link import Link
from oxcart.connection.providers import Provider, provider_of
from oxcart.connection.server import Server
from oxcart.connection.target import RedisTarget, TargetReport, resolve_target
from oxcart.connection.upstash import TOKEN_NAME, URL_NAME
from oxcart.doctor.reach import Address
from oxcart.doctor.upstash import TokenShape, shape_of
from oxcart.errors import Failure, OxcartError
from oxcart.language import tr
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Command
from oxcart.queue.facts import whole_facts
from oxcart.queue.inspect import text
from oxcart.queue.producer import Queue
from oxcart.settings import Settings, SettingsReport, inspect

CONTROL_HOST = "status.upstash.com"
"""A name that resolves wherever names are resolved at all: the provider's own, but not on the database's servers."""

CONNECT_SECONDS = 5.0
"""How long one step towards the server may take: a healthy one takes a tenth of this."""


@dataclass(slots=True)
class Visit:
    """Made once per run; checks read and complete it. Leave by `close`."""

    environ: Mapping[str, str]
    found: SettingsReport
    report: TargetReport
    known_names: frozenset[str]
    app_is_given: bool = False
    worker_url: str | None = None
    control_host: str = CONTROL_HOST
    target: RedisTarget | None = None
    addresses: list[Address] = field(default_factory=list)
    host_resolves: bool = True
    tcp_answered: bool = False
    connection_failure: Failure | None = None
    verdict: Verdict | None = None
    server: Server | None = None
    link: Link | None = None
    round_trip_ms: float = 0.0
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _info: dict[str, str] | None = None
    _queues: dict[str, Queue] = field(default_factory=dict)
    _facts: dict[str, QueueFacts] = field(default_factory=dict)

    @property
    def is_embedded(self) -> bool:
        """No Redis is set, and that is allowed here: a private server is used, and started if need be."""
        return self.report.target is None and not self.report.problems

    @property
    def settings(self) -> Settings:
        if self.found.settings is None:
            raise Unanswerable(tr("the settings have problems"))
        return self.found.settings

    @property
    def known_target(self) -> RedisTarget:
        if self.target is None:
            raise Unanswerable(tr("there is no address of Redis"))
        return self.target

    @property
    def known_link(self) -> Link:
        if self.link is None:
            raise Unanswerable(tr("there is no connection"))
        return self.link

    @property
    def known_server(self) -> Server:
        if self.server is None:
            raise Unanswerable(tr("there is no connection"))
        return self.server

    @property
    def is_pair(self) -> bool:
        """The address came from the variables of Upstash's REST API."""
        return any(source.startswith(URL_NAME) for source in self.report.sources)

    @property
    def provider(self) -> Provider:
        if self.is_pair:
            return Provider.UPSTASH
        if self.target is None:
            return Provider.OTHER
        found = provider_of(self.target.host)
        is_render = found is Provider.OTHER and "RENDER" in self.environ and self.target.host.startswith("red-")
        return Provider.RENDER if is_render else found

    @property
    def token_shape(self) -> TokenShape:
        secret = self.known_target.current_password()
        altered = any(warning.startswith(f"{TOKEN_NAME} ") for warning in self.report.warnings)
        return shape_of(secret.reveal() if secret else "", needs_stripping=altered)

    def quick_target(self) -> RedisTarget:
        """The target with a doctor's patience: a worker may wait half a minute, a person at a terminal not."""
        patience = min(self.known_target.connect_timeout_seconds, CONNECT_SECONDS)
        return replace(self.known_target, connect_timeout_seconds=patience)

    async def open_link(self) -> None:
        """Connect and log in, once. Raises Unavailable, and then leaves nothing that goes on trying."""
        server = Server(self.quick_target())
        link = server.link("doctor", client_name="oxcart:doctor")
        try:
            await link.open()
        except BaseException:
            await server.close()
            raise
        self.stack.push_async_callback(server.close)
        self.server, self.link = server, link

    async def info(self) -> Mapping[str, str]:
        """All that INFO says, read once. Raises Unanswerable where the server or this user has none."""
        if self._info is None:
            try:
                reply = await self.known_link.request("INFO", deadline_seconds=CONNECT_SECONDS)
            except OxcartError as error:
                raise Unanswerable(tr("this server does not show INFO")) from error
            pairs = (line.partition(":") for line in text(reply).splitlines())
            self._info = {name: value.strip() for name, colon, value in pairs if colon}
        return self._info

    async def fact(self, name: str) -> str:
        """One field of INFO. Raises Unanswerable."""
        value = (await self.info()).get(name)
        if value is None:
            raise Unanswerable(tr("this server does not show {name}", name=name))
        return value

    async def number(self, name: str) -> int:
        """One field of INFO that is a whole number. Raises Unanswerable."""
        value = await self.fact(name)
        if not value.lstrip("-").isdigit():
            raise Unanswerable(tr("this server shows {name} as no number", name=name))
        return int(value)

    @property
    def queue_names(self) -> tuple[str, ...]:
        return tuple(queue.name for queue in self.settings.worker.queues)

    def keys(self, queue_name: str) -> QueueKeys:
        return QueueKeys(queue_name, self.settings.worker.prefix)

    async def read_jobs(
        self, keys: QueueKeys, source: str, count: int, fields: Sequence[str]
    ) -> dict[str, dict[str, str]]:
        """These fields of the next `count` jobs of a state, by id; never their data, which may be large."""
        command: Command = (
            ("LRANGE", keys.state(source), -count, -1)
            if source == "waiting"
            else ("ZRANGE", keys.state(source), 0, count - 1)
            if source == "prioritized"
            else ("ZREVRANGE", keys.state(source), 0, count - 1)
        )
        ids = [text(job_id) for job_id in await self.known_link.request(*command)]
        replies = await self.known_link.requests([("HMGET", keys.job(job_id), *fields) for job_id in ids])
        return {
            job_id: {name: text(value) for name, value in zip(fields, reply, strict=True) if value is not None}
            for job_id, reply in zip(ids, replies, strict=True)
            if isinstance(reply, list)
        }

    async def queue(self, name: str) -> Queue:
        """An open Queue on the visit's server; it closes with the visit."""
        if name not in self._queues:
            opened = Queue(name, prefix=self.settings.worker.prefix, server=self.known_server)
            self._queues[name] = await self.stack.enter_async_context(opened)
        return self._queues[name]

    async def facts(self, name: str) -> QueueFacts:
        """What is so in a queue, read once. Where the server does not list its clients, nobody knows of workers."""
        if name not in self._facts:
            self._facts[name] = await whole_facts(self.known_link, self.keys(name), self.known_server.clock.now_ms())
        return self._facts[name]

    async def close(self) -> None:
        """Close every connection, within 3 s: a server that has vanished must not hold up the answer."""
        async with asyncio.timeout(3):
            await self.stack.aclose()


def begin_visit(
    environ: Mapping[str, str],
    *,
    known_names: frozenset[str],
    app_is_given: bool = False,
    worker_url: str | None = None,
    control_host: str = CONTROL_HOST,
) -> Visit:
    """Read the environment; problems in it are for the checks to tell."""
    report = resolve_target(environ)
    return Visit(
        environ, inspect(environ), report, known_names, app_is_given, worker_url, control_host, target=report.target
    )
