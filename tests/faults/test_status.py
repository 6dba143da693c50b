"""Does the worker say what is wrong, in time, and recover when it is mended? TLS mistakes, silent servers, quotas."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from support.effects import Effects
from support.proxy import FaultProxy
from support.server import PrivateServer
from support.store import Store
from support.tls import TlsFront
from support.watched import watched_worker

from oxcart import Oxcart, Queue
from oxcart.connection.target import RedisTarget, parse_redis_url
from oxcart.testing import wait_until


def tls_target(server: PrivateServer, port: int, ca_file: str) -> RedisTarget:
    plain = parse_redis_url(server.url)
    return replace(plain, host="localhost", port=port, tls=True, tls_ca_file=ca_file, connect_timeout_seconds=5.0)


async def test_a_certificate_nobody_vouches_for_is_named_until_the_right_one_is_there(
    app: Oxcart, fresh_server: PrivateServer, proxy: FaultProxy, queue: Queue, store: Store
) -> None:
    """The proxy stands for the name in DNS: it leads to the wrong server first, then to the right one."""
    with TlsFront(fresh_server.port, "good") as good, TlsFront(fresh_server.port, "unknown_ca") as wrong:
        proxy.server_address = ("127.0.0.1", wrong.port)
        added = await queue.add("quick")
        async with watched_worker(app, tls_target(fresh_server, proxy.port, good.ca_file), queue.name) as watched:
            await wait_until(lambda: (watched.failure_code or "").startswith("TLS_"), describe="TLS is to blame")
            assert not watched.status.healthy
            tries = watched.status.redis.reconnect_attempts
            await wait_until(lambda: watched.status.redis.reconnect_attempts > tries + 1, describe="it keeps trying")
            proxy.server_address = ("127.0.0.1", good.port)
            await wait_until(lambda: store.ended([added.id]), describe="the job has ended", timeout=5)

            await wait_until(lambda: watched.status.healthy, describe="the worker is well")
            assert watched.failure_code is None


@pytest.mark.parametrize("mistake", ["plain text to a TLS server", "TLS to a plain server"])
async def test_speaking_the_wrong_language_is_named_until_it_is_mended(
    mistake: str, app: Oxcart, fresh_server: PrivateServer, proxy: FaultProxy, queue: Queue, store: Store
) -> None:
    with TlsFront(fresh_server.port, "good") as front:
        if mistake == "TLS to a plain server":
            target, mended = tls_target(fresh_server, proxy.port, front.ca_file), front.port
        else:
            target, mended = replace(parse_redis_url(fresh_server.url), port=proxy.port), fresh_server.port
            proxy.server_address = ("127.0.0.1", front.port)
        added = await queue.add("quick")
        async with watched_worker(app, replace(target, connect_timeout_seconds=5.0), queue.name) as watched:
            await wait_until(lambda: watched.failure_code, describe="the status says why", timeout=15)
            assert not watched.status.redis.connected
            proxy.server_address = ("127.0.0.1", mended)
            await wait_until(lambda: store.ended([added.id]), describe="the job has ended", timeout=5)


async def test_a_closed_connection_shows_at_once(
    app: Oxcart, proxy: FaultProxy, proxied_url: str, queue_name: str
) -> None:
    async with watched_worker(app, proxied_url, queue_name) as watched:
        await wait_until(lambda: watched.status.healthy, describe="the worker is well")
        proxy.refuse()
        proxy.cut()
        await wait_until(lambda: not watched.status.healthy, describe="it shows", timeout=2)
        proxy.accept()
        await wait_until(lambda: watched.status.healthy, describe="the worker is well again", timeout=5)


@pytest.mark.takes_seconds
async def test_a_server_that_stops_answering_shows_also_when_idle(
    app: Oxcart, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    """Its sockets stay open: only the missing answer tells."""
    async with watched_worker(app, fresh_server.url, queue.name) as watched:
        await wait_until(lambda: watched.status.healthy, describe="the worker is well")
        await wait_until(lambda: watched.worker._blocking.is_open, describe="the worker blocks")
        fresh_server.freeze()
        await wait_until(lambda: not watched.status.healthy, describe="it shows", timeout=25)
        fresh_server.thaw()
        await wait_until(lambda: watched.status.healthy, describe="the worker is well again", timeout=5)
        added = await queue.add("quick")
        await wait_until(lambda: store.ended([added.id]), describe="a job has ended", timeout=5)


@pytest.mark.takes_seconds
async def test_no_secret_is_in_anything_the_worker_tells(
    app: Oxcart, effects: Effects, fresh_server: PrivateServer, proxy: FaultProxy, proxied_url: str, queue: Queue
) -> None:
    """Through refused, cut, silent and denied connections, and a wrong password that the server may repeat."""
    async with watched_worker(app, proxied_url, queue.name) as watched:
        held = await queue.add("held", {"card": "4111-secret-data"})
        await wait_until(lambda: effects.started[held.id] == 1, describe="a job runs")
        for fault in (proxy.reset, proxy.refuse, proxy.cut):
            fault()
            await wait_until(lambda: watched.failure_code or watched.status.healthy, describe="it is noticed")
        proxy.accept()
        effects.go.set()
        await wait_until(lambda: effects.done[held.id] == 1, describe="the job is done")
    async with watched_worker(app, proxied_url.replace("p%25ss", "wrong-secret"), queue.name) as denied:
        await wait_until(lambda: denied.failure_code == "AUTH_BAD", describe="the password is refused")

    things = [watched.events, watched.status, watched.server, watched.worker, denied.events, denied.status]
    told = repr([*things, denied.server, denied.server.target, vars(denied.worker)])
    for secret in (fresh_server.password, "p%25ss", "wrong-secret", "4111-secret-data"):
        assert secret not in told


@pytest.mark.takes_seconds
async def test_a_quota_that_is_used_up_is_named_and_asked_for_seldom(
    app: Oxcart, effects: Effects, proxy: FaultProxy, proxied_url: str, queue: Queue
) -> None:
    """Each try may be billed. A job that runs meanwhile keeps its handler: its lock ends unrenewed, and no more."""
    async with watched_worker(app, proxied_url, queue.name, lock_duration_ms=3000) as watched:
        held = await queue.add("held")
        await wait_until(lambda: effects.started[held.id] == 1, describe="a job runs")
        proxy.refusal = b"-ERR max requests limit exceeded. Limit: 500000, Usage: 500000."
        await queue.add("quick")
        await wait_until(lambda: watched.failure_code == "Q_MONTH", describe="the quota is named")
        assert not watched.status.healthy
        asked, ends_at = proxy.commands.total(), time.monotonic() + 3
        await wait_until(lambda: time.monotonic() > ends_at, describe="three seconds are over")
        assert proxy.commands.total() - asked <= 30
        assert effects.cancelled == {}
        proxy.refusal = None
