"""Does the worker outlive its server? Restarts, half-open sockets, outages longer than the locks, a new password."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from support.effects import Effects
from support.proxy import FaultProxy
from support.server import PrivateServer
from support.store import Store
from support.watched import QUICK, watched_worker

from oxcart import Job, Oxcart, Queue
from oxcart.connection.target import RedisTarget
from oxcart.secret import Secret
from oxcart.telemetry.events import JobAbandoned, JobsStalled, OutboxFull
from oxcart.testing import wait_until

RESUMES_WITHIN_SECONDS = 5.0  # design, promise 6

LOCK_SECONDS = QUICK["lock_duration_ms"] / 1000


async def outlast_the_locks() -> None:
    ends_at = time.monotonic() + 1.5 * LOCK_SECONDS
    await wait_until(lambda: time.monotonic() > ends_at, describe="the locks have ended")


async def test_the_store_may_be_killed_and_restarted_with_its_data(
    app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    """Its append-only file is written every second: what was acknowledged before that is there, in one state."""
    store.client.config_set("appendfsync", "always")
    async with watched_worker(app, fresh_server.url, queue.name, concurrency=10, lock_duration_ms=5000):
        ids = [added.id for added in await queue.add_many([("held", n) for n in range(5)])]
        await wait_until(lambda: len(effects.started) == 5, describe="five run")
        ids += [added.id for added in await queue.add_many([("quick", n) for n in range(500)])]
        fresh_server.kill()
        effects.go.set()
        fresh_server.start()
        await wait_until(lambda: store.ended(ids), describe="all have ended", timeout=15)

    assert {effects.done[job_id] for job_id in ids[:5]} == {1}
    assert set(effects.done) == set(ids)
    store.assert_ended_once(ids, stalled=None)


async def test_the_store_may_come_back_empty(
    app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    """The running job is gone with its store; what is added afterwards is run, scripts are sent anew."""
    async with watched_worker(app, fresh_server.url, queue.name, concurrency=2) as watched:
        gone = await queue.add("held")
        await wait_until(lambda: effects.started[gone.id] == 1, describe="the job runs")
        fresh_server.restart(keep_data=False)
        added = await queue.add("quick", deadline_seconds=20)
        await wait_until(
            lambda: store.ended([added.id]), describe="a new job has ended", timeout=RESUMES_WITHIN_SECONDS
        )
        await wait_until(lambda: effects.cancelled[gone.id] == 1, describe="the handler of the lost job was stopped")

        assert [event.job_id for event in watched.told(JobAbandoned)] == [gone.id]
        assert watched.status.healthy


async def test_scripts_may_be_forgotten_at_any_time(
    app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    ids: list[str] = []
    async with watched_worker(app, fresh_server.url, queue.name):
        for _ in range(30):
            ids += [added.id for added in await queue.add_many([("quick", n) for n in range(20)])]
            store.client.script_flush()
        await wait_until(lambda: store.ended(ids), describe="all have ended")

    assert set(effects.done.values()) == {1}
    store.assert_ended_once(ids)


@pytest.mark.takes_seconds
async def test_half_open_connections_are_given_up_and_work_resumes(
    app: Oxcart, effects: Effects, proxy: FaultProxy, proxied_url: str, queue: Queue, store: Store
) -> None:
    """Nothing passes and nothing is closed: on the blocked call, on an exchange with results, and on the renewals."""
    settings: dict[str, Any] = {"lock_duration_ms": 30_000, "stalled_interval_ms": 30_000}
    async with watched_worker(app, proxied_url, queue.name, **settings) as watched:
        held = await queue.add("held")
        await wait_until(lambda: effects.started[held.id] == 1, describe="a job runs")
        await wait_until(lambda: watched.worker._blocking.is_open, describe="the worker blocks")
        proxy.freeze()
        effects.go.set()
        added = await queue.add("quick")
        await wait_until(lambda: not watched.status.redis.connected, describe="it is noticed", timeout=25)
        assert not watched.status.healthy
        proxy.thaw()
        await wait_until(
            lambda: store.ended([held.id, added.id]), describe="both have ended", timeout=RESUMES_WITHIN_SECONDS
        )

    assert set(effects.done.values()) == {1}
    store.assert_ended_once([held.id, added.id])


@pytest.mark.takes_seconds
async def test_a_success_is_delivered_after_two_outages_that_outlast_its_lock(
    app: Oxcart, effects: Effects, proxy: FaultProxy, proxied_url: str, queue: Queue, store: Store
) -> None:
    """Nobody else has claimed the job meanwhile: it is still ours."""
    async with watched_worker(app, proxied_url, queue.name) as watched:
        ids = [added.id for added in await queue.add_many([("held", n) for n in range(5)])]
        await wait_until(lambda: len(effects.started) == 5, describe="all run")
        for _ in range(2):
            proxy.refuse()
            proxy.cut()
            await outlast_the_locks()
            assert not store.client.keys(f"{store.base}*:lock")
            proxy.accept()
            await wait_until(lambda: store.client.keys(f"{store.base}*:lock"), describe="the locks are taken back")
        proxy.refuse()
        proxy.cut()
        effects.go.set()
        await wait_until(lambda: watched.status.outbox_verdicts == 5, describe="all wait in the outbox")
        await outlast_the_locks()
        proxy.accept()
        await wait_until(lambda: store.ended(ids), describe="all have ended")

        assert watched.told(JobsStalled) == []
    assert set(effects.started.values()) == {1}
    assert effects.cancelled == {}
    store.assert_ended_once(ids)


@pytest.mark.parametrize("moment", ["still running", "already done"])
async def test_what_another_worker_has_claimed_meanwhile_is_not_written(
    moment: str,
    app: Oxcart,
    effects: Effects,
    fresh_server: PrivateServer,
    proxy: FaultProxy,
    proxied_url: str,
    queue: Queue,
    store: Store,
) -> None:
    """We are cut off; the other worker's stalled check takes our job over. Its result counts, ours does not."""
    others = Effects()
    async with watched_worker(app, proxied_url, queue.name) as cut_off:
        added = await queue.add("held")
        await wait_until(lambda: effects.started[added.id] == 1, describe="the job runs here")
        proxy.refuse()
        proxy.cut()
        async with watched_worker(others.app(), fresh_server.url, queue.name):
            await wait_until(lambda: others.started[added.id] == 1, describe="the job runs there")
            if moment == "already done":
                effects.go.set()
                await wait_until(lambda: effects.done[added.id] == 1, describe="it is done here")
            proxy.accept()
            await wait_until(lambda: cut_off.told(JobAbandoned), describe="it is given up here")
            assert store.places(added.id) == ["active"]
            others.go.set()
            await wait_until(lambda: store.ended([added.id]), describe="it has ended")

    assert effects.cancelled[added.id] == (1 if moment == "still running" else 0)
    store.assert_ended_once([added.id], stalled=1)


async def test_an_outage_stops_claiming_before_the_outbox_grows(
    app: Oxcart, effects: Effects, proxy: FaultProxy, proxied_url: str, queue: Queue, store: Store
) -> None:
    """What was claimed before may still end; no more is taken than can be remembered."""
    slots = 2
    settings: dict[str, Any] = {"concurrency": slots, "lock_duration_ms": 5000, "prefetch": False}
    ids = [added.id for added in await queue.add_many([("quick", n) for n in range(300)])]
    async with watched_worker(app, proxied_url, queue.name, **settings) as watched:
        await wait_until(lambda: len(effects.done) >= 50, describe="jobs are done")
        proxy.refuse()
        proxy.cut()
        await wait_until(lambda: not watched.status.redis.connected, describe="it is noticed")
        assert watched.status.outbox_verdicts <= 11 * slots
        assert len(effects.done) < 300
        proxy.accept()
        await wait_until(lambda: store.ended(ids), describe="all have ended", timeout=15)

    assert watched.told(OutboxFull) == []
    assert set(effects.done.values()) == {1}
    store.assert_ended_once(ids)


@pytest.mark.takes_seconds
async def test_a_password_may_be_changed_behind_a_running_worker(
    app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store, tmp_path: Path
) -> None:
    """It is read from its file again at each connect; until the file is right, the status says what is wrong."""
    file = tmp_path / "token"
    file.write_text(fresh_server.password)
    target = RedisTarget(
        fresh_server.host, fresh_server.port, password=Secret(fresh_server.password), password_file=str(file)
    )
    async with watched_worker(app, target, queue.name) as watched:
        await wait_until(lambda: watched.status.healthy, describe="the worker runs")
        added = await queue.add("held")
        await wait_until(lambda: effects.started[added.id] == 1, describe="the job runs")
        store.client.config_set("requirepass", "another-secret-4711")
        store.client.client_kill_filter(_type="normal", skipme=True)
        await wait_until(lambda: watched.failure_code == "AUTH_BAD", describe="the status says why")
        effects.go.set()
        file.write_text("another-secret-4711")
        await wait_until(lambda: store.ended([added.id]), describe="it has ended", timeout=RESUMES_WITHIN_SECONDS)

        told = repr((watched.events, watched.status, watched.server, target))
        store.client.config_set("requirepass", fresh_server.password)
    assert "another-secret-4711" not in told
    assert fresh_server.password not in told
    store.assert_ended_once([added.id])


async def test_a_handler_learns_that_its_lock_is_uncertain(
    proxy: FaultProxy, proxied_url: str, queue: Queue, store: Store
) -> None:
    app, seen = Oxcart(), list[bool]()

    @app.job("careful")
    async def careful(job: Job) -> None:
        for is_uncertain in (True, False):
            await wait_until(lambda: job.lock_uncertain is is_uncertain, describe="it has changed")  # noqa: B023
            seen.append(is_uncertain)

    async with watched_worker(app, proxied_url, queue.name):
        added = await queue.add("careful")
        await wait_until(lambda: store.ids("active") == [added.id], describe="it runs")
        proxy.refuse()
        proxy.cut()
        await wait_until(lambda: seen == [True], describe="the lock is uncertain")
        proxy.accept()
        await wait_until(lambda: store.ended([added.id]), describe="it is certain again")

    assert seen == [True, False]
    store.assert_ended_once([added.id])
