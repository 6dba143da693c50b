"""Do several processes under one supervisor work as one worker would: each job once, one /metrics, one end?"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from support.http_site import ask
from support.processes import Fleet
from support.several import PATIENCE_SECONDS, Several, started
from support.store import Store

from oxcart import Queue
from oxcart.connection.target import RedisTarget
from oxcart.supervisor.fleet import CANNOT_START, Command, how_it_ended
from oxcart.supervisor.fleet import Fleet as FleetOfProcesses
from oxcart.supervisor.sums import Sums
from oxcart.telemetry.events import Event, WarningRaised
from oxcart.testing import wait_until


@pytest.fixture
def orphans() -> Iterator[list[psutil.Process]]:
    """Processes that a test leaves without a supervisor: they are to end by themselves, at the latest here."""
    found: list[psutil.Process] = []
    yield found
    for process in found:
        if process.is_running():
            process.kill()


async def test_two_processes_run_every_job_once_and_the_sums_are_true(fleet: Fleet, queue: Queue, store: Store) -> None:
    several = await started(fleet, OXCART_KEEP_COMPLETED="all", JOB_CONCURRENCY="10")

    jobs: list[tuple[str, object]] = [("quick" if n % 2 else "slow", 0.005) for n in range(2000)]
    ids = [added.id for added in await queue.add_many(jobs)]
    await wait_until(lambda: store.ended(ids), describe="all have ended", timeout=60)
    await wait_until(lambda: several.completed() == 2000, describe="both processes have reported")

    assert set(fleet.effects().values()) == {1}
    store.assert_ended_once(ids)
    metrics = several.metrics()
    assert metrics["jobs"]["total"] == 2000
    assert metrics["jobs"]["failed"] == metrics["jobs"]["processing"] == 0
    assert {name: tally["completed"] for name, tally in metrics["jobs"]["byType"].items()} == {
        "quick": 1000,
        "slow": 1000,
    }
    assert metrics["worker"] == {**metrics["worker"], "concurrency": 20, "queueName": queue.name}
    assert metrics["redis"] == {"connected": True, "lastError": None, "reconnectAttempts": 0}
    text = ask(several.port, "/metrics/prometheus").body.decode()
    assert 'worker_job_duration_seconds_count{job_name="slow"} 1000.0' in text
    assert "worker_jobs_completed_total 2000.0" in text
    by_process = {line["process"] for line in several.supervisor.lines() if line["event"].startswith("job")}
    assert by_process == {1, 2}


async def test_a_killed_process_is_replaced_no_job_is_lost_and_nothing_counts_backwards(
    fleet: Fleet, queue: Queue, store: Store
) -> None:
    several = await started(fleet, OXCART_KEEP_COMPLETED="all", JOB_CONCURRENCY="10", OXCART_MAX_STALLED_COUNT="9")
    ids = [added.id for added in await queue.add_many([("slow", 0.02) for _ in range(1500)])]
    await wait_until(lambda: several.completed() > 100, describe="some are done")

    seen = [several.completed()]
    victim = several.members()[0]
    victim.kill()
    down = await wait_until(lambda: _degraded(several, seen), describe="the loss shows in /health")
    await wait_until(lambda: _well_again(several, seen), describe="it is back", timeout=40)
    await wait_until(lambda: store.ended(ids), describe="all have ended", timeout=60)
    await wait_until(lambda: several.metrics()["jobs"]["processing"] == 0, describe="both are idle")
    seen.append(several.completed())

    assert down["redis"]["errorCode"] == "PROCESS_DOWN"
    assert down["redis"]["error"].startswith("Worker process 1 of 2 was killed by SIGKILL")
    assert seen == sorted(seen), "a counter went backwards"
    assert 1000 < seen[-1] <= 1500, "what the dead process counted is kept, up to its last report"
    assert {job_id for job_id in ids if fleet.effects()[f"done {job_id}"] == 0} == set()
    store.assert_ended_once(ids, stalled=None)
    (lost,) = several.supervisor.events("process.lost")
    assert (lost["process"], lost["pid"], lost["signal"]) == (1, victim.pid, "SIGKILL")
    (replaced,) = several.supervisor.events("process.replaced")
    assert replaced["process"] == 1
    assert several.supervisor.terminate(within_seconds=PATIENCE_SECONDS) == 0


async def test_all_processes_are_steered_by_http_and_those_that_take_their_place(fleet: Fleet, queue: Queue) -> None:
    several = await started(fleet, JOB_CONCURRENCY="1")
    assert ask(several.port, "/worker/concurrency?slots=3", "POST").status == 202
    assert ask(several.port, "/worker/pause", "POST").status == 202
    await wait_until(lambda: _worker_is(several, "paused", slots=6), describe="both are paused")

    several.members()[0].kill()
    await wait_until(lambda: several.health()["status"] != "ok", describe="the loss shows in /health")
    await wait_until(lambda: _worker_is(several, "paused", slots=6), describe="so is the new one", timeout=40)
    assert several.health()["status"] == "ok"
    ids = [added.id for added in await queue.add_many([("quick", 0)] * 4)]
    assert {await queue.state(job_id) for job_id in ids} == {"waiting"}
    assert [worker.is_paused for worker in await queue.workers()] == [True, True]

    assert ask(several.port, "/worker/resume", "POST").status == 202
    await wait_until(lambda: several.completed() == 4, describe="they ran")
    assert _worker_is(several, "running", slots=6)


def _worker_is(several: Several, state: str, slots: int) -> bool:
    worker = several.health()["worker"]
    return bool((worker["state"], worker["concurrency"]) == (state, slots))


def _degraded(several: Several, seen: list[int]) -> dict[str, Any]:
    """What /health says while it is not well, else nothing; the jobs completed are added to `seen`."""
    seen.append(several.completed())
    health = several.health()
    return {} if health["status"] == "ok" else health


def _well_again(several: Several, seen: list[int]) -> bool:
    return not _degraded(several, seen)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_gives_long_jobs_back_within_the_grace(
    fleet: Fleet, queue: Queue, store: Store, number: signal.Signals
) -> None:
    several = await started(fleet, JOB_CONCURRENCY="2", OXCART_SHUTDOWN_GRACE_SECONDS="1")
    ids = [added.id for added in await queue.add_many([("slow", 600) for _ in range(4)])]
    await wait_until(lambda: fleet.count("started") == 4, describe="all run")

    several.supervisor.signal(number)
    code = several.supervisor.process.wait(PATIENCE_SECONDS)

    assert code == 0, several.supervisor.output
    assert sorted(store.ids("wait")) == sorted(ids)
    assert {store.number(job_id, "atm") + store.number(job_id, "stc") for job_id in ids} == {0}
    assert len(several.supervisor.events("worker.stopped")) == 2


async def test_a_second_signal_ends_the_grace_of_all(fleet: Fleet, queue: Queue, store: Store) -> None:
    several = await started(fleet, JOB_CONCURRENCY="1", OXCART_SHUTDOWN_GRACE_SECONDS="600")
    ids = [added.id for added in await queue.add_many([("slow", 600), ("deaf", 0)])]
    await wait_until(lambda: fleet.count("started") == 2, describe="both run")

    several.supervisor.signal(signal.SIGTERM)
    await wait_until(lambda: len(several.supervisor.events("worker.stopping")) == 2, describe="both have heard")
    code = several.supervisor.terminate(within_seconds=PATIENCE_SECONDS)

    assert code == 0, several.supervisor.output
    assert sorted(store.ids("wait")) == sorted(ids)


async def test_processes_whose_supervisor_was_killed_drain_and_end(
    fleet: Fleet, queue: Queue, store: Store, orphans: list[psutil.Process]
) -> None:
    several = await started(fleet, JOB_CONCURRENCY="2", OXCART_SHUTDOWN_GRACE_SECONDS="5")
    orphans += several.members()
    ids = [added.id for added in await queue.add_many([("slow", 1.0), ("slow", 600)])]
    await wait_until(lambda: fleet.count("started") == 2, describe="both run")

    several.supervisor.kill()
    await wait_until(lambda: not any(map(is_alive, orphans)), describe="both processes have ended", timeout=20)

    assert several.supervisor.output.count("The supervisor has ended without a word") == 2
    assert store.places(ids[0]) == ["completed"], "it was given the grace"
    assert store.places(ids[1]) == ["wait"]
    assert store.number(ids[1], "atm") == 0


async def test_a_process_that_hears_nothing_ends_with_its_supervisor_too(
    fleet: Fleet, queue: Queue, orphans: list[psutil.Process]
) -> None:
    """A handler blocks the event loop, where signals are heard."""
    several = await started(fleet, JOB_CONCURRENCY="1")
    orphans += several.members()
    await queue.add("blocking", 600)
    await wait_until(lambda: fleet.count("started") == 1, describe="it blocks")

    several.supervisor.kill()
    await wait_until(lambda: not any(map(is_alive, orphans)), describe="both processes have ended", timeout=20)

    assert fleet.count("done") == 0


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_process_that_is_told_to_end_ends_them_all(fleet: Fleet, queue: Queue) -> None:
    several = await started(fleet)

    several.members()[1].terminate()

    assert several.supervisor.process.wait(10) == 0
    assert len(several.supervisor.events("worker.stopped")) == 2
    assert several.supervisor.events("process.lost") == []


async def test_a_process_that_cannot_end_is_killed_in_time_and_the_exit_code_says_so(
    fleet: Fleet, queue: Queue
) -> None:
    several = await started(fleet, JOB_CONCURRENCY="1")
    await queue.add("blocking", 600)
    await wait_until(lambda: fleet.count("started") == 1, describe="it blocks")

    code = several.supervisor.terminate(within_seconds=PATIENCE_SECONDS)

    assert code == 1
    (warning,) = several.supervisor.events("worker.warning")
    assert warning["code"] == "PROCESS_KILLED"


async def test_a_frozen_process_is_named_in_health(fleet: Fleet, queue: Queue) -> None:
    several = await started(fleet)
    frozen = several.members()[0]
    frozen.suspend()
    try:
        health = await wait_until(lambda: _degraded(several, []), describe="it is missed", timeout=20)
    finally:
        frozen.resume()

    assert health["redis"]["errorCode"] == "PROCESS_DOWN"
    assert "process 1 of 2 has said nothing for" in health["redis"]["error"]
    assert health["redis"]["connected"] is True
    await wait_until(several.is_well, describe="it is heard again", timeout=20)


async def test_a_frozen_supervisor_holds_up_no_job(fleet: Fleet, queue: Queue, store: Store) -> None:
    several = await started(fleet, OXCART_KEEP_COMPLETED="all", OXCART_ALERT_URL="http://127.0.0.1:1/hook")
    several.supervisor.signal(signal.SIGSTOP)
    try:
        ids = [added.id for added in await queue.add_many([("quick", n) for n in range(500)])]
        await wait_until(lambda: store.ended(ids), describe="all have ended", timeout=40)
    finally:
        several.supervisor.signal(signal.SIGCONT)

    await wait_until(lambda: several.completed() == 500, describe="it has heard of all")
    assert several.supervisor.terminate(within_seconds=PATIENCE_SECONDS) == 0


async def test_without_redis_they_wait_for_it(fleet: Fleet, queue: Queue) -> None:
    several = Several(fleet.start_several(2, REDIS_URL="redis://:hunter2@127.0.0.1:1"))
    await wait_until(
        lambda: {line["process"] for line in several.supervisor.events("redis.lost")} == {1, 2},
        describe="both have lost it",
        timeout=40,
    )
    await wait_until(
        lambda: several.health()["redis"]["errorCode"] == "TCP_REFUSED", describe="the cause is in /health"
    )
    health = several.health()

    assert health["status"] == "degraded"
    assert several.metrics()["redis"]["lastError"] == health["redis"]["error"]
    assert several.supervisor.terminate(within_seconds=PATIENCE_SECONDS) == 0
    assert several.supervisor.events("process.lost") == []
    assert "hunter2" not in several.supervisor.output


async def test_the_canary_goes_through(fleet: Fleet, queue: Queue) -> None:
    several = await started(fleet)

    answer = ask(several.port, "/canary", "POST")

    assert answer.status == 200, answer.content
    assert answer.content["ok"] is True


@pytest.mark.parametrize(
    ("environ", "code", "said"),
    [
        ({"JOB_CONCURRENCY": "many"}, 78, "JOB_CONCURRENCY"),
        ({"REDIS_URL": "http://127.0.0.1"}, 78, "REDIS_URL"),
        ({"PYTHONPATH": "/nowhere", "EFFECTS_URL": "no url"}, 1, "Importing support.worker_process failed"),
    ],
)
async def test_what_keeps_every_process_from_starting_is_said_once(
    fleet: Fleet, queue: Queue, environ: dict[str, str], code: int, said: str
) -> None:
    supervisor = fleet.start_several(2, **environ)

    assert supervisor.process.wait(30) == code
    assert supervisor.output.count(said) == 1
    assert "process.lost" not in supervisor.output


async def test_a_port_that_is_taken_is_exit_1_before_any_process_starts(fleet: Fleet, queue: Queue) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = str(taken.getsockname()[1])
        supervisor = fleet.start_several(2, PORT=port)
        code = supervisor.process.wait(30)

    assert code == 1
    assert supervisor.output.count("\n") == 1
    assert port in supervisor.output


async def test_a_process_that_goes_on_dying_is_replaced_ever_later_and_reported_once_a_change(
    fleet: Fleet, queue: Queue
) -> None:
    """As when the machine's memory is too small for it."""
    several = await started(fleet)
    second = several.members()[1]
    os.kill(second.pid, signal.SIGSEGV)
    await wait_until(lambda: several.supervisor.events("process.replaced"), describe="it is back", timeout=30)
    os.kill(several.members()[1].pid, signal.SIGKILL)
    await wait_until(lambda: len(several.supervisor.events("process.replaced")) == 2, describe="again", timeout=30)

    lost = several.supervisor.events("process.lost")
    assert [(line["process"], line["signal"], line["restartSeconds"]) for line in lost] == [
        (2, "SIGSEGV", 0.5),
        (2, "SIGKILL", 1.0),
    ]


async def _forget(worker: str, how: str) -> None:
    """What the supervisor would leave word of."""


async def test_a_machine_that_starts_no_process_is_told_why() -> None:
    told: list[Event] = []
    sums = Sums(2, RedisTarget("redis.example"), ("crm",))
    command = Command(["/nowhere/python"], {}, os.open(os.devnull, os.O_RDWR))

    code = await FleetOfProcesses(
        command, sums, told.append, grace_seconds=0, hear=lambda *_: None, remember=_forget
    ).run()

    os.close(command.turns)
    assert code == CANNOT_START
    (warning,) = told
    assert isinstance(warning, WarningRaised)
    assert warning.code == "PROCESS_NOT_STARTED"
    assert "No such file or directory" in warning.message


@pytest.mark.parametrize(
    ("code", "words"),
    [(3, "has ended with exit code 3"), (-9, "was killed by SIGKILL"), (-40, "was killed by signal 40")],
)
def test_how_a_process_ended_is_said_in_words(code: int, words: str) -> None:
    assert how_it_ended(code) == words
