"""Is a lost reply a lost job? Claims, finishes and adds whose answer never comes, or that are executed late."""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import hiredis
import pytest
from support.effects import Effects
from support.proxy import FaultProxy
from support.server import PrivateServer
from support.store import Store
from support.watched import QUICK, watched_worker

from oxcart import Discard, Job, Oxcart, Queue, Snooze
from oxcart.protocol.scripts import ours
from oxcart.telemetry.events import JobAbandoned, JobAdopted, JobsStalled, JobUnconfirmed
from oxcart.testing import wait_until

# Locks that outlast the test: what is adopted or recognised has not waited for one to end.
LONG: dict[str, Any] = {"lock_duration_ms": 30_000, "stalled_interval_ms": 30_000}


NEVER_SECONDS = 600.0


def exchange_of(queue: Queue) -> Callable[[bytes], bool]:
    """Matches an exchange of this queue, by the script's hash or as a whole."""
    key, sha = queue.keys.wait.encode(), ours("exchange").sha.encode()
    return lambda command: key in command and (sha in command or b"One exchange:" in command)


def verdicts_of(queue: Queue) -> Callable[[bytes], bool]:
    """Matches an exchange that carries verdicts; one that only claims has two empty arrays, of them and of policies."""
    is_exchange = exchange_of(queue)
    return lambda command: is_exchange(command) and command.count(b"$1\r\n\x90\r\n") < 2


async def test_a_claim_whose_reply_was_lost_is_adopted_on_reconnecting(
    app: Oxcart, effects: Effects, proxy: FaultProxy, proxied_url: str, queue: Queue, store: Store
) -> None:
    async with watched_worker(app, proxied_url, queue.name, **LONG) as watched:
        await wait_until(lambda: watched.status.healthy, describe="the worker runs")
        proxy.lose_replies(exchange_of(queue))
        ids = [added.id for added in await queue.add_many([("held", n) for n in range(5)])]
        await wait_until(lambda: len(effects.started) == 5, describe="all run", timeout=5)
        effects.go.set()
        await wait_until(lambda: store.ended(ids), describe="all have ended", timeout=5)

        assert len(watched.told(JobAdopted)) == 5
        assert set(effects.started.values()) == {1}
        assert watched.told(JobsStalled) == []
        store.assert_ended_once(ids)


async def test_a_claim_that_was_sent_ahead_is_adopted_when_its_reply_is_lost(
    app: Oxcart, effects: Effects, proxy: FaultProxy, proxied_url: str, queue: Queue, store: Store
) -> None:
    """It lies behind the blocked command when the job comes: the server hands the job to a socket that is gone."""
    is_exchange, has_verdicts = exchange_of(queue), verdicts_of(queue)
    async with watched_worker(app, proxied_url, queue.name, **LONG) as watched:
        await wait_until(lambda: watched.status.healthy, describe="the worker runs")
        proxy.lose_replies(lambda command: is_exchange(command) and not has_verdicts(command) and bool(effects.done))
        first = await queue.add("quick")
        await wait_until(lambda: store.ended([first.id]), describe="it has ended, and the worker blocks again")
        await wait_until(lambda: proxy.faults[0].times == 0, describe="an exchange was sent ahead")
        held = await queue.add("held")
        await wait_until(lambda: effects.started[held.id], describe="it runs", timeout=5)
        effects.go.set()
        await wait_until(lambda: store.ended([held.id]), describe="it has ended", timeout=5)

        assert [event.job_id for event in watched.told(JobAdopted)] == [held.id]
        assert effects.started[held.id] == 1
        assert watched.told(JobsStalled) == []
        store.assert_ended_once([held.id])


def is_blocked(store: Store, queue: Queue) -> bool:
    """Nothing is left that could end the wait: whoever blocks now blocks until a job comes."""
    name = base64.b64encode(queue.name.encode()).decode()
    clients: Any = store.client.client_list()
    waits = any(one["cmd"] == "bzpopmin" and "b" in one["flags"] and f":{name}:w:" in one["name"] for one in clients)
    return waits and not store.client.exists(queue.keys.marker)


@pytest.mark.parametrize("prefetch", [True, False])
async def test_a_claim_lies_behind_the_blocked_command(
    prefetch: bool, app: Oxcart, proxy: FaultProxy, proxied_url: str, queue: Queue, store: Store
) -> None:
    """So a job comes with the answer that wakes the worker; OXCART_PREFETCH=false claims nothing ahead."""
    seen: list[bytes] = []
    is_exchange, has_verdicts = exchange_of(queue), verdicts_of(queue)
    proxy.lose_replies(lambda command: bool(seen.append(command)))  # type: ignore[func-returns-value]  # only watches

    async with watched_worker(app, proxied_url, queue.name, prefetch=prefetch):
        first = await queue.add("quick")
        await wait_until(lambda: store.ended([first.id]), describe="it has ended")
        await wait_until(lambda: is_blocked(store, queue), describe="the first job's marker is gone, and it blocks")
        assert b"BZPOPMIN" in seen[-2 if prefetch else -1]
        assert (is_exchange(seen[-1]) and not has_verdicts(seen[-1])) == prefetch

        second = await queue.add("quick")
        await wait_until(lambda: store.ended([second.id]), describe="the second has ended")
        facts = store.client.hmget(store.base + second.id, "timestamp", "processedOn", "finishedOn")
        timestamp, processed_on, finished_on = (int(fact or 0) for fact in facts)
        assert timestamp - 5 <= processed_on <= finished_on + 5  # the clocks of two programs and a server, rounded


async def test_claims_are_adopted_when_both_connections_break_one_after_the_other(
    app: Oxcart, effects: Effects, proxy: FaultProxy, proxied_url: str, queue: Queue, store: Store
) -> None:
    """The second loss comes when the first is repaired, and is no news about the server: its claims count too."""
    ids = [added.id for added in await queue.add_many([("held", n) for n in range(40)])]
    proxy.lose_replies(exchange_of(queue), times=4)
    async with watched_worker(app, proxied_url, queue.name, concurrency=40, **LONG):
        await wait_until(lambda: len(effects.started) == 40, describe="all run", timeout=15)
        effects.go.set()
        await wait_until(lambda: store.ended(ids), describe="all have ended", timeout=5)

    assert set(effects.started.values()) == {1}
    store.assert_ended_once(ids)


async def test_a_claim_that_is_executed_late_is_adopted_at_a_renewal(
    app: Oxcart, effects: Effects, proxy: FaultProxy, proxied_url: str, queue: Queue, store: Store
) -> None:
    """The command was on its way when we gave it up; the server runs it after we have looked for its claims."""
    times: dict[str, Any] = {"lock_duration_ms": 3000, "stalled_interval_ms": 1000, "max_stalled_count": 0}
    async with watched_worker(app, proxied_url, queue.name, **times) as watched:
        await wait_until(lambda: watched.status.healthy, describe="the worker runs")
        await queue.pause()
        ids = [added.id for added in await queue.add_many([("held", n) for n in range(5)])]
        proxy.execute_late(exchange_of(queue), 0.7, times=3)
        await queue.resume()
        await wait_until(lambda: len(effects.started) == 5, describe="all run", timeout=10)
        effects.go.set()
        await wait_until(lambda: store.ended(ids), describe="all have ended", timeout=5)

    assert set(effects.started.values()) == {1}
    store.assert_ended_once(ids)


@pytest.mark.takes_seconds
async def test_a_claim_that_is_executed_after_a_long_outage_is_adopted(
    app: Oxcart, effects: Effects, proxy: FaultProxy, proxied_url: str, queue: Queue, store: Store
) -> None:
    """A frozen server runs, when it is back, what lay in its buffers: perhaps long after we gave it up."""
    commands: list[bytes] = []
    is_exchange = exchange_of(queue)

    def caught(command: bytes) -> bool:
        if not is_exchange(command):
            return False
        commands.append(command)
        return True

    async with watched_worker(app, proxied_url, queue.name, concurrency=1, max_stalled_count=0) as watched:
        await wait_until(lambda: watched.status.healthy, describe="the worker runs")
        proxy.execute_late(caught, NEVER_SECONDS)
        first = await queue.add("held")
        await wait_until(lambda: commands, describe="the claim is on its way")
        proxy.refuse()
        outage_ends = time.monotonic() + 1.5 * QUICK["lock_duration_ms"] / 1000
        await wait_until(lambda: time.monotonic() > outage_ends, describe="the outage has outlasted a lock")
        proxy.accept()
        await wait_until(lambda: effects.started[first.id] == 1, describe="the first takes the only slot", timeout=5)
        second = await queue.add("held")
        store.client.execute_command(*arguments_of(commands[0]))
        await wait_until(lambda: watched.told(JobAdopted), describe="the late claim is adopted", timeout=5)
        effects.go.set()  # until now it had no slot: it went back, and was claimed again
        await wait_until(lambda: store.ended([first.id, second.id]), describe="both have ended", timeout=5)

        assert [event.job_id for event in watched.told(JobAdopted)] == [second.id]
        store.assert_ended_once([first.id, second.id])


def arguments_of(command: bytes) -> list[bytes]:
    reader = hiredis.Reader()
    reader.feed(command)
    arguments: list[bytes] = reader.gets()
    return arguments


def ending_app(effects: Effects) -> Oxcart:
    """Handlers that end in each way that is written to the store; the first run of `retried` and `snoozed` goes on."""
    app = effects.app()

    @app.job("failed")
    async def failed(job: Job) -> None:
        effects.started[job.id] += 1
        raise Discard("as it should")

    @app.job("retried", attempts=2)
    async def retried(job: Job) -> None:
        effects.started[job.id] += 1
        if effects.started[job.id] == 1:
            raise RuntimeError("once")

    @app.job("retried later", attempts=2, backoff="fixed:100ms")
    async def retried_later(job: Job) -> None:
        await retried(job)

    @app.job("snoozed")
    async def snoozed(job: Job) -> None:
        effects.started[job.id] += 1
        if effects.started[job.id] == 1:
            raise Snooze(0.1)

    return app


ENDINGS = [
    ("quick", "completed", 1, 1),
    ("failed", "failed", 1, 1),
    ("retried", "completed", 2, 2),
    ("retried later", "completed", 2, 2),
    ("snoozed", "completed", 1, 2),
]


@pytest.mark.parametrize(("name", "state", "attempts", "runs"), ENDINGS, ids=[ending[0] for ending in ENDINGS])
@pytest.mark.parametrize("fault", ["reply lost", "executed late"])
async def test_a_finish_that_was_sent_twice_counts_once(
    name: str,
    state: str,
    attempts: int,
    runs: int,
    fault: str,
    effects: Effects,
    proxy: FaultProxy,
    proxied_url: str,
    queue: Queue,
    store: Store,
) -> None:
    has_verdicts = verdicts_of(queue)

    def finish(command: bytes) -> bool:
        return has_verdicts(command) and effects.started.total() == 1

    async with watched_worker(ending_app(effects), proxied_url, queue.name, **LONG) as watched:
        await wait_until(lambda: watched.status.healthy, describe="the worker runs")
        proxy.lose_replies(finish) if fault == "reply lost" else proxy.execute_late(finish, 0.3)
        added = await queue.add(name)
        await wait_until(lambda: store.ended([added.id], state), describe="it has ended")
        await wait_until(lambda: proxy.faults[0].times == 0, describe="the fault has struck")
        after = await queue.add("quick")
        await wait_until(lambda: store.ended([after.id]), describe="the next one has ended")
        if fault == "executed late":
            await wait_until(lambda: late_copies(proxy) == 0, describe="the late command has been executed")

        assert effects.started[added.id] == runs
        if runs == 1:  # else our own next claim of it may be there before the finish is repeated
            assert watched.told(JobAbandoned) == []
        store.assert_ended_once([added.id], state, attempts=attempts)


def late_copies(proxy: FaultProxy) -> int:
    """Connections that are kept only to deliver what their client no longer waits for."""
    return sum(pair.fault is not None for pair in tuple(proxy.pairs))


async def test_a_lost_finish_of_a_job_that_is_not_kept_is_recognised(
    effects: Effects, proxy: FaultProxy, proxied_url: str, queue: Queue, store: Store
) -> None:
    """Its hash is gone, as our keep policy would have it: nothing is left to compare, and nothing is to be done."""
    async with watched_worker(effects.app(), proxied_url, queue.name, **LONG) as watched:
        await wait_until(lambda: watched.status.healthy, describe="the worker runs")
        proxy.lose_replies(verdicts_of(queue))
        added = await queue.add("quick", keep_completed=0)
        await wait_until(lambda: watched.told(JobUnconfirmed), describe="the finish was repeated")

        assert effects.started == {added.id: 1}
        assert store.places(added.id) == []
        assert not store.client.exists(store.base + added.id)
        assert watched.told(JobAbandoned) == []


@pytest.mark.parametrize("fault", ["reply lost", "executed late"])
async def test_an_add_whose_reply_was_lost_adds_one_job(
    fault: str, fresh_server: PrivateServer, proxy: FaultProxy, proxied_url: str, queue: Queue, store: Store
) -> None:
    """Also when it has been run and removed before the add is tried again; of a late one only if the job is kept."""
    app, runs = Oxcart(), Counter[int]()

    @app.job("count")
    async def count(job: Job[int]) -> None:
        runs[job.data] += 1

    keep: Any = {"keep_completed": fault == "executed late"}
    sha = ours("add_many").sha.encode()

    def strike() -> None:
        if fault == "reply lost":
            proxy.lose_replies(sha)
        else:
            proxy.execute_late(sha, 0.1)

    async with (
        watched_worker(app, fresh_server.url, queue.name),
        Queue(queue.name, proxied_url) as producer,
    ):
        await producer.add("count", 0, **keep)
        for n in range(1, 6):
            strike()
            await producer.add("count", n, **keep)
        strike()
        await producer.add_many([("count", n, keep) for n in range(6, 200)])
        await wait_until(lambda: len(runs) == 200, describe="all have run")
        await wait_until(lambda: late_copies(proxy) == 0, describe="the late commands have been executed")
        end = await producer.add("count", 200, keep_completed=True)
        await wait_until(lambda: store.ended([end.id]), describe="all that was added has run")

    assert [fault.times for fault in proxy.faults] == [0] * 6
    assert set(runs.values()) == {1}
