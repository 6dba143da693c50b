"""Which job killed the worker? What was in hand at a crash comes back apart; innocents end, and one gets the blame."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator

import psutil
import pytest
from support.http_site import ask
from support.processes import Fleet, WorkerProcess
from support.store import Store

from oxcart import Queue
from oxcart.testing import wait_until

STALLED_TOO_OFTEN = "job stalled more than allowable limit"


class Platform:
    """What Railway does: a worker that has ended is started again."""

    def __init__(self, fleet: Fleet, **environ: str) -> None:
        self._fleet = fleet
        self._environ = environ
        self.workers: list[WorkerProcess] = []

    @property
    def crashes(self) -> int:
        return sum(worker.process.poll() is not None for worker in self.workers)

    async def run(self) -> None:
        while True:
            self.workers.append(self._fleet.start(**self._environ))
            await wait_until(lambda: self.crashes == len(self.workers), describe="it ends", timeout=600)

    def turns(self) -> list[list[str]]:
        """The ids of the suspects that ran together."""
        return [line["jobIds"] for worker in self.workers for line in worker.events("suspects.started")]


@contextlib.asynccontextmanager
async def platform(fleet: Fleet, **environ: str) -> AsyncIterator[Platform]:
    running = Platform(fleet, **environ)
    task = asyncio.create_task(running.run())
    yield running
    task.cancel()
    await asyncio.wait({task})


def reason(store: Store, job_id: str) -> str:
    return store.text(job_id, "failedReason") or ""


async def test_one_poison_job_fails_alone_and_its_ten_neighbours_complete(
    fleet: Fleet, queue: Queue, store: Store
) -> None:
    """With default settings, one worker that is started again, and a death in which nothing can be written."""
    neighbours = [("slow", 1.0)] * 5
    added = await queue.add_many([*neighbours, ("dies", "SIGKILL"), *neighbours])
    poison = added[5].id
    innocents = [each.id for each in added if each.id != poison]

    async with platform(fleet) as platform_:
        await wait_until(lambda: store.ended([poison], "failed"), describe="the poison has failed", timeout=90)
        await wait_until(lambda: store.ended(innocents), describe="all others have ended", timeout=30)

    store.assert_ended_once(innocents, stalled=None)
    assert reason(store, poison).startswith(STALLED_TOO_OFTEN)
    assert "while it ran alone" in reason(store, poison)
    assert fleet.effects()[f"started {poison}"] == platform_.crashes == 4, "OXCART_MAX_STALLED_COUNT is 3"
    assert platform_.turns()[-1] == [poison]
    assert all(len(turn) <= 9 for turn in platform_.turns())


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        ("exit 0", "has ended with exit code 0"),
        ("SIGKILL", "was killed by SIGKILL (out of memory?)"),
        ("SIGSEGV", "was killed by SIGSEGV"),
    ],
)
async def test_under_a_supervisor_the_reason_names_the_cause(
    fleet: Fleet, queue: Queue, store: Store, cause: str, told: str
) -> None:
    added = await queue.add_many([("slow", 1.0), ("slow", 1.0), ("dies", cause), ("slow", 1.0)])
    poison = added[2].id
    innocents = [each.id for each in added if each.id != poison]
    fleet.start_several(2, OXCART_MAX_STALLED_COUNT="1")

    await wait_until(lambda: store.ended([poison], "failed"), describe="the poison has failed", timeout=60)
    await wait_until(lambda: store.ended(innocents), describe="all others have ended", timeout=30)

    assert reason(store, poison) == f"{STALLED_TOO_OFTEN}: its worker process {told} while it ran alone"
    assert fleet.effects()[f"started {poison}"] == 2


async def test_what_was_claimed_ahead_and_what_was_in_hand_cannot_fail_for_another_job(
    fleet: Fleet, queue: Queue, store: Store
) -> None:
    """Not even where no stall at all is allowed: only who was alone at a crash is blamed."""
    quick: list[tuple[str, object]] = [("quick", None)] * 400
    added = await queue.add_many([*quick, ("dies", "SIGKILL"), *quick])
    poison = added[400].id
    innocents = [each.id for each in added if each.id != poison]

    async with platform(fleet, OXCART_MAX_STALLED_COUNT="0", OXCART_KEEP_COMPLETED="all") as platform_:
        await wait_until(lambda: store.ended([poison], "failed"), describe="the poison has failed", timeout=60)
        await wait_until(lambda: store.ended(innocents), describe="all others have ended", timeout=60)

    store.assert_ended_once(innocents, stalled=None)
    assert platform_.crashes == 2
    assert all(len(turn) == 1 for turn in platform_.turns())


async def test_a_guilty_job_that_is_retried_is_tried_again(fleet: Fleet, queue: Queue, store: Store) -> None:
    poison = await queue.add("dies", "SIGKILL")
    async with platform(fleet, OXCART_MAX_STALLED_COUNT="1") as platform_:
        await wait_until(lambda: store.ended([poison.id], "failed"), describe="it has failed", timeout=60)
        store.client.hset(store.base + poison.id, "data", '"harmless"')

        await queue.retry(poison.id)
        await wait_until(lambda: store.ended([poison.id]), describe="it has completed", timeout=30)

    assert platform_.crashes == 2
    assert platform_.turns()[-1] == [poison.id]


async def test_a_worker_that_is_killed_for_stopping_too_late_blames_nobody(
    fleet: Fleet, queue: Queue, store: Store
) -> None:
    added = await queue.add("slow", 2)
    store.client.hset(store.base + added.id, "stc", 1)
    environ = {"OXCART_MAX_STALLED_COUNT": "1", "OXCART_SHUTDOWN_GRACE_SECONDS": "60"}
    first = fleet.start(**environ)
    await wait_until(lambda: fleet.count("started") == 1, describe="it is on trial", timeout=40)
    first.signal(signal.SIGTERM)
    await wait_until(lambda: not store.client.exists(f"{store.base}oxcart:suspect:{added.id}"), describe="it is off")
    first.kill()

    fleet.start(**environ)
    await wait_until(lambda: store.ended([added.id]), describe="it has completed", timeout=30)

    assert fleet.count("started") == 2
    assert store.number(added.id, "stc") == 2


async def test_a_verdict_of_nodes_stalled_check_is_tried_first(fleet: Fleet, queue: Queue, store: Store) -> None:
    """Node's limit is 1, and Node does not ask who was alone."""
    added = await queue.add("slow", 0.1)
    store.client.hset(store.base + added.id, mapping={"stc": 2, "defa": STALLED_TOO_OFTEN})

    worker = fleet.start()
    await wait_until(lambda: store.ended([added.id]), describe="it has completed", timeout=40)

    assert store.text(added.id, "defa") is None
    assert store.number(added.id, "stc") == 2, "what Node counts is left as it is"
    (turn,) = worker.events("suspects.started")
    assert turn["alone"] is True


async def test_a_hundred_jobs_of_a_killed_worker_are_not_run_one_by_one(
    fleet: Fleet, queue: Queue, store: Store
) -> None:
    """A deploy that kills is no poison: 100 jobs of 1 s take five rounds, not a hundred."""
    ids = [added.id for added in await queue.add_many([("slow", 1.0)] * 100)]
    first = fleet.start(JOB_CONCURRENCY="100")
    await wait_until(lambda: fleet.count("started") == 100, describe="all run", timeout=40)
    first.kill()
    second = fleet.start(JOB_CONCURRENCY="100")

    await wait_until(lambda: fleet.count("started") > 100, describe="they come back", timeout=40)
    began = time.monotonic()
    await wait_until(lambda: store.ended(ids), describe="all have ended", timeout=60)

    assert time.monotonic() - began < 40
    assert len(second.events("suspects.started")) == 5, "22 at once"
    store.assert_ended_once(ids, stalled=1)


async def test_while_one_process_runs_suspects_the_others_go_on(fleet: Fleet, queue: Queue, store: Store) -> None:
    survivor = fleet.start()
    await wait_until(lambda: fleet.is_running(survivor), describe="one runs", timeout=40)
    victim = fleet.start()
    await wait_until(lambda: fleet.is_running(victim), describe="both run", timeout=40)
    suspect = await queue.add("slow", 60)
    await wait_until(lambda: fleet.count("started") == 1, describe="it runs", timeout=40)
    owner = victim if (store.text(suspect.id, "pb") or "") in names_of(store, victim) else survivor
    owner.kill()
    fleet.start()
    await wait_until(lambda: fleet.count("started") == 2, describe="it has come back", timeout=40)

    took: list[float] = []
    while len(took) < 10:
        began = time.monotonic()
        added = await queue.add("quick")
        await wait_until(lambda: store.ended([added.id]), describe="it has ended", timeout=10)  # noqa: B023
        took.append(time.monotonic() - began)

    assert store.places(suspect.id) == ["active"], "the suspect still runs"
    assert max(took) < 8


def names_of(store: Store, worker: WorkerProcess) -> list[str]:
    mine = psutil.Process(worker.process.pid).net_connections("tcp")
    ports = {f"{one.laddr.ip}:{one.laddr.port}" for one in mine if one.laddr}
    return [one["name"].rsplit(":w:")[-1] for one in store.client.client_list() if one["addr"] in ports]


@pytest.mark.timeout(110)
async def test_a_long_suspect_holds_up_the_others_of_its_process_for_half_a_minute(
    fleet: Fleet, queue: Queue, store: Store
) -> None:
    suspect = await queue.add("slow", 100)
    store.client.hset(store.base + suspect.id, "stc", 1)
    worker = fleet.start_several(1)
    await wait_until(lambda: fleet.count("started") == 1, describe="it runs", timeout=40)
    began = time.monotonic()
    await wait_until(lambda: worker.events("http.started"), describe="health can be asked for")
    port = int(worker.events("http.started")[0]["port"])
    await wait_until(lambda: ask(port, "/health").status == 200, describe="its first report is here")

    added = await queue.add("quick")
    health = []

    def has_ended() -> bool:
        health.append(ask(port, "/health").status)
        return bool(store.ended([added.id]))

    await wait_until(has_ended, describe="the other job has ended", timeout=80)

    assert 25 < time.monotonic() - began < 60
    assert set(health) == {200}, "a closed door is no illness"


async def test_three_poison_jobs_in_a_fleet_of_three_workers_are_found(
    fleet: Fleet, queue: Queue, store: Store
) -> None:
    """As on three hosts: whoever claims them, and whoever dies beside them."""
    poisons = [("dies", "SIGKILL"), ("dies", "exit 0"), ("dies", "SIGSEGV")]
    jobs: list[tuple[str, object]] = [("slow", 0.2 + 0.01 * number) for number in range(150)]
    for position, poison in zip((3, 40, 41), poisons, strict=True):
        jobs.insert(position, poison)
    added = await queue.add_many(jobs)
    guilty = [each.id for each, (name, _) in zip(added, jobs, strict=True) if name == "dies"]
    innocents = [each.id for each in added if each.id not in guilty]
    environ = {"JOB_CONCURRENCY": "10", "OXCART_KEEP_COMPLETED": "all"}

    async with (
        platform(fleet, **environ) as one,
        platform(fleet, **environ) as two,
        platform(fleet, **environ) as three,
    ):
        await wait_until(lambda: store.ended(guilty, "failed"), describe="all three have failed", timeout=90)
        await wait_until(lambda: store.ended(innocents), describe="all others have ended", timeout=60)

    store.assert_ended_once(innocents, stalled=None)
    assert one.crashes + two.crashes + three.crashes <= 3 * 4
    assert all("while it ran alone" in reason(store, job_id) for job_id in guilty)


async def test_a_job_whose_handler_has_ended_since_is_no_suspect(fleet: Fleet, queue: Queue, store: Store) -> None:
    """A job that snoozes or fails now and then must not close the door for others ever after."""
    added = await queue.add("fails", 0.5, attempts=3, backoff=100)
    first = fleet.start()
    await wait_until(lambda: fleet.count("started") == 1, describe="it runs", timeout=40)
    first.kill()
    second = fleet.start()

    await wait_until(lambda: store.ended([added.id], "failed"), describe="it has failed", timeout=30)

    assert reason(store, added.id) == "as it was told"
    assert fleet.count("started") == 4
    assert len(second.events("suspects.started")) == 1


async def test_a_worker_that_stops_gives_suspects_back_that_wait_for_their_turn(
    fleet: Fleet, queue: Queue, store: Store
) -> None:
    worker = fleet.start(OXCART_MAX_STALLED_COUNT="1")
    running = await queue.add("slow", 600)
    await wait_until(lambda: fleet.count("started") == 1, describe="it runs", timeout=40)
    suspect = await queue.add("slow", 0.1, delay_seconds=0.5)
    store.client.hset(store.base + suspect.id, "stc", 1)
    await wait_until(lambda: store.places(suspect.id) == ["active"], describe="it waits for its turn", timeout=40)

    assert worker.terminate(within_seconds=10) == 0

    assert store.places(suspect.id) == store.places(running.id) == ["wait"]
    assert fleet.count("started") == 1
    assert store.number(suspect.id, "stc") == 1
