"""Do doctor, verify, /health, /metrics and the alerts say the same of each thing that keeps jobs from ending?"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from support.examined import Examined, examined
from support.keys import remove_keys
from support.russian import english_in
from support.server import PrivateServer
from support.waiting import wait_until

from oxcart import Oxcart, Queue
from oxcart.checks import Finding, State
from oxcart.cli.kommo_checks import all_checks
from oxcart.conditions import CONDITIONS, Condition, Problem, QueueFacts, problem_from, problems_of
from oxcart.connection.server import Server
from oxcart.connection.target import parse_redis_url
from oxcart.doctor.deployment import Deployment
from oxcart.doctor.verify_work import problems
from oxcart.handlers import Handlers, describe
from oxcart.http.health import problem_json
from oxcart.http.prometheus import render
from oxcart.job import Job
from oxcart.language import speaking
from oxcart.queue.repeats import Repeat
from oxcart.settings import QueueShare, WorkerSettings, inspect
from oxcart.telemetry.alert import Alert
from oxcart.telemetry.alerts import AlertLimits, AlertRules
from oxcart.telemetry.metrics import Metrics
from oxcart.testing import running_worker
from oxcart.worker.runtime import Worker
from oxcart.worker.status import WorkerStatus

HOUR_MS = 3_600_000


# ------------------------------------------------------------------------------------------------ how each comes about
async def unhandled(queue: Queue, _: Redis) -> None:
    await queue.add("agent:run", timestamp_ms=_now() - HOUR_MS)


async def returning(queue: Queue, redis: Redis) -> None:
    added = await queue.add("known", delay_seconds=3600)
    await redis.hset(queue.keys.job(added.id), mapping={"ats": 6, "atm": 1})


async def paused(queue: Queue, _: Redis) -> None:
    await queue.pause()
    await queue.add("known", timestamp_ms=_now() - HOUR_MS)


async def limited(queue: Queue, redis: Redis) -> None:
    await queue.set_rate_limit(1, duration_seconds=7200)
    await redis.set(queue.keys.limiter, 5, px=2 * HOUR_MS)
    await queue.add("left", timestamp_ms=_now() - 2 * HOUR_MS)


async def waits_long(queue: Queue, _: Redis) -> None:
    await queue.add("left", timestamp_ms=_now() - HOUR_MS)


async def lose_what_is_delayed(queue: Queue, redis: Redis) -> None:
    (job_id,) = map(str, await redis.zrange(queue.keys.delayed, 0, -1))
    await redis.delete(queue.keys.job(job_id))
    await redis.zrem(queue.keys.delayed, job_id)


CAUSES: dict[str, Callable[[Queue, Redis], Awaitable[None]]] = {
    "UNHANDLED_JOBS": unhandled,
    "JOBS_RETURN": returning,
    "QUEUE_PAUSED": paused,
    "QUEUE_LIMITED": limited,
    "WAIT_LONG": waits_long,
}
# A worker cannot say that there is none, and puts right what is left over of a pause, and most schedules that stopped.
SEEN_BY_A_WORKER = [condition for condition in CONDITIONS if condition.code in CAUSES]


# ------------------------------------------------------------------------------------------------ who is asked
@dataclass
class Told:
    """What everyone said while each cause lay in a queue of its own, named by its code."""

    status: WorkerStatus
    doctor: dict[str, Examined]
    verify: dict[str, Finding]
    metrics: str
    alerts: list[Alert]

    def problem(self, code: str) -> Problem:
        (found,) = [problem for problem in self.status.problems if problem.queue == queue_of(code)]
        return found


def queue_of(code: str) -> str:
    return f"conditions {code.lower()}"


def _now() -> int:
    return round(time.time() * 1000)


@pytest.fixture(scope="module")
def told(server: PrivateServer) -> Iterator[Told]:
    """One worker that handles "known" serves all the queues; everyone is asked once."""
    yield asyncio.run(_ask_everyone(server))
    with server.client() as client:
        remove_keys(client, "bull:conditions *")


async def _ask_everyone(private: PrivateServer) -> Told:
    redis = Redis.from_url(private.url, decode_responses=True)
    for code, cause in CAUSES.items():
        async with Queue(queue_of(code), private.url) as queue:
            await cause(queue, redis)
    server = Server(parse_redis_url(private.url))
    worker = Worker(server, _handlers(), _settings(), lambda _: None, version="0")
    await worker.start()
    try:
        await wait_until(
            lambda: {*map(queue_of, CAUSES)} <= {problem.queue for problem in worker.status().problems},
            describe="the worker has seen every cause",
        )
        status, rules = worker.status(), AlertRules(AlertLimits(), time.time())
        rules.problems.watch(lambda: status.problems)
        body, _ = render(Metrics().counts(), status, "text/plain")
        return Told(
            status,
            {code: await _doctor(private, queue_of(code)) for code in CAUSES},
            {code: await _verify(status, queue_of(code)) for code in CAUSES},
            body.decode(),
            [*rules.look(time.time()), *rules.look(time.time() + 901)],
        )
    finally:
        await worker.stop()
        await server.close()
        await redis.aclose()


def _handlers() -> Handlers:
    async def handler(job: Job[Any]) -> None: ...

    handlers = Handlers()
    for name in ("known", "left"):
        handlers.add(describe(name, handler))
    return handlers


def _settings() -> WorkerSettings:
    found = inspect({"OXCART_EXCEPT_JOBS": "left"}).settings
    assert found is not None
    queues = tuple(QueueShare(queue_of(code), None) for code in CAUSES)
    return replace(found.worker, queues=queues, unknown_jobs="leave")


async def _doctor(private: PrivateServer, queue: str) -> Examined:
    environ = {"REDIS_URL": private.url, "JOB_QUEUE_NAME": queue}
    return await examined(environ, only=[condition.check for condition in CONDITIONS])


async def _verify(status: WorkerStatus, queue: str) -> Finding:
    shown = [problem_json(problem) for problem in status.problems if problem.queue == queue]
    return await problems(Deployment("http://x", 0.0, health={"problems": shown}))


# ------------------------------------------------------------------------------------------------ do they agree?
@pytest.mark.parametrize("condition", SEEN_BY_A_WORKER, ids=lambda condition: condition.code)
def test_everyone_tells_it_alike(condition: Condition, told: Told) -> None:
    code, queue = condition.code, queue_of(condition.code)
    problem = told.problem(code)
    assert problem.code == code

    warnings = [r.finding for r in told.doctor[code].diagnosis.results if r.finding.state is State.WARNING]
    assert [finding.code for finding in warnings] == [code], "the doctor says this, and nothing else"
    assert _alike(warnings[0].summary, problem.summary())
    assert warnings[0].hint == problem.cure()

    assert (told.verify[code].code, told.verify[code].summary) == (code, problem.summary())
    assert not told.status.is_whole
    assert f'worker_queue_problem{{code="{code}",queue="{queue}"}} 1.0' in told.metrics

    (alert,) = [alert for alert in told.alerts if alert.queue == queue]
    assert (alert.name, alert.code, alert.state) == (condition.alert, code, "raised")
    assert (alert.text, alert.advice) == (problem.summary(), problem.cure())


def _alike(one: str, other: str) -> bool:
    """But for the seconds that have passed between the two looks."""
    return re.sub(r"[\d.]+ (s|min|h)\b", "", one) == re.sub(r"[\d.]+ (s|min|h)\b", "", other)


@pytest.mark.parametrize("condition", SEEN_BY_A_WORKER, ids=lambda condition: condition.code)
def test_another_process_can_say_it_in_another_language(condition: Condition, told: Told) -> None:
    content = msgspec.json.decode(msgspec.json.encode(problem_json(told.problem(condition.code))))

    again = problem_from(content)
    assert again is not None
    with speaking("ru"):
        sentence = f"{again.summary()} {again.cure()}"

    assert english_in(sentence.replace(queue_of(condition.code), "")) == []


@pytest.mark.parametrize("condition", SEEN_BY_A_WORKER, ids=lambda condition: condition.code)
def test_a_command_in_it_names_the_queue_and_is_quoted(condition: Condition, told: Told) -> None:
    cure = told.problem(condition.code).cure()

    if "oxcart " in cure:
        assert f"--queue '{queue_of(condition.code)}'" in cure


async def test_jobs_without_a_worker_are_told_by_the_doctor(redis_url: str, queue_name: str) -> None:
    """No worker can say that there is none."""
    async with Queue(queue_name, redis_url) as queue:
        await queue.add("test-job")

    seen = await examined({"REDIS_URL": redis_url, "JOB_QUEUE_NAME": queue_name}, only=["workers"])

    assert seen["workers"].finding.code == "NO_WORKER"
    assert seen["workers"].finding.summary == f"Jobs wait in {queue_name} (1), and no worker is connected to it."


async def test_workers_that_are_all_paused_are_told_as_that(redis_url: str, queue_name: str) -> None:
    """Neither "no worker" nor "waits long" is the truth of it; with another worker beside it is nothing at all."""
    app = Oxcart()
    async with (
        Queue(queue_name, redis_url) as queue,
        running_worker(app, url=redis_url, queue=queue_name, except_jobs=("test-job",)) as worker,
    ):
        app.worker.pause()
        await queue.add("test-job", timestamp_ms=_now() - HOUR_MS)
        await wait_until(lambda: _paused_workers(queue), describe="it is known as paused")
        alone = await examined({"REDIS_URL": redis_url, "JOB_QUEUE_NAME": queue_name}, only=WAITING)
        await wait_until(lambda: worker.status().problems, describe="it says so itself", timeout=20)
        assert worker.status().healthy
        async with running_worker(Oxcart(), url=redis_url, queue=queue_name, except_jobs=("test-job",)):
            await wait_until(lambda: _paused_workers(queue, of=2), describe="there is another")
            beside = await examined({"REDIS_URL": redis_url, "JOB_QUEUE_NAME": queue_name}, only=["paused-workers"])

    warnings = [r.finding for r in alone.diagnosis.results if r.finding.state is State.WARNING]
    assert [finding.code for finding in warnings] == ["WORKERS_PAUSED"]
    assert beside["paused-workers"].finding.state is State.OK


WAITING = ["paused", "workers", "paused-workers", "limited", "oldest"]


async def _paused_workers(queue: Queue, of: int = 1) -> bool:
    seen = await queue.workers()
    return (sum(worker.is_paused for worker in seen), len(seen)) == (1, of)


async def test_a_schedule_without_a_next_job_is_told(redis_url: str, queue_name: str, redis: Redis) -> None:
    async with Queue(queue_name, redis_url) as queue:
        await queue.upsert_schedule("nightly report", Repeat(cron="0 3 1 1 *"))
        await lose_what_is_delayed(queue, redis)

    seen = (await examined({"REDIS_URL": redis_url, "JOB_QUEUE_NAME": queue_name}, only=["schedules"]))["schedules"]

    assert seen.finding.code == "SCHEDULE_STOPPED"
    assert f"oxcart schedules remove 'nightly report' --queue {queue_name}" in seen.finding.hint


# ------------------------------------------------------------------------------------------------ what is none of them
async def test_a_group_that_has_nothing_to_look_at_is_no_good_news(redis_url: str, queue_name: str) -> None:
    """`oxcart doctor --only kommo` without an account said: all is well, 8 checks ok."""
    environ = {"REDIS_URL": redis_url, "JOB_QUEUE_NAME": queue_name}
    wanted = frozenset(check.id for check in all_checks() if check.group == "kommo")

    seen = await examined(environ, only=["kommo"], checks=all_checks(), wanted=wanted)

    assert seen.verdict == "NOTHING_CHECKED"
    assert seen.diagnosis.exit_code == 1
    assert seen.as_json["verdict"]["summary"].startswith("Nothing was looked at: ")


WELL = QueueFacts("crm", 10 * HOUR_MS, {"waiting": 3}, oldest_id="1", oldest_name="x", oldest_since_ms=10 * HOUR_MS - 5)


def test_what_a_worker_sees_is_an_alert() -> None:
    assert {condition.code for condition in CONDITIONS if condition.alert} == {
        *CAUSES,
        "SCHEDULE_STOPPED",
        "WORKERS_PAUSED",
    }


def test_a_queue_that_is_worked_on_has_no_problem() -> None:
    assert [*problems_of([WELL])] == []


def test_an_alert_is_cleared_when_its_problem_is_over() -> None:
    pausing = QueueFacts("crm", 0, {"waiting": 3}, is_paused=True)
    rules = AlertRules(AlertLimits(), 0.0)

    rules.problems.watch(lambda: problems_of([pausing]))
    assert rules.look(0.0) == []
    assert rules.look(899.0) == [], "a pause for a deploy is none of the night shift's business"
    (raised,) = rules.look(901.0)
    assert rules.look(902.0) == []
    rules.problems.watch(lambda: ())
    (cleared,) = rules.look(1000.0)

    assert (raised.name, raised.state, cleared.name, cleared.state) == (
        "queue.paused",
        "raised",
        "queue.paused",
        "cleared",
    )


async def test_a_schedule_that_has_ended_is_no_problem(redis_url: str, queue_name: str, redis: Redis) -> None:
    async with Queue(queue_name, redis_url) as queue:
        await queue.upsert_schedule("once", Repeat(cron="0 3 1 1 *", limit=1))
        await redis.hset(queue.keys.scheduler("once"), "ic", 1)
        await lose_what_is_delayed(queue, redis)

    seen = await examined({"REDIS_URL": redis_url, "JOB_QUEUE_NAME": queue_name}, only=["schedules"])

    assert seen["schedules"].finding.state is State.OK


async def test_a_job_that_was_put_back_has_not_waited_since_it_was_added(
    redis_url: str, queue_name: str, redis: Redis
) -> None:
    """Retried by hand after a week, it waits since now, and nobody is to be woken."""
    async with Queue(queue_name, redis_url) as queue:
        added = await queue.add("test-job", timestamp_ms=_now() - 100 * HOUR_MS)
        await redis.hset(queue.keys.job(added.id), "ats", 1)

    seen = await examined({"REDIS_URL": redis_url, "JOB_QUEUE_NAME": queue_name}, only=["oldest"])

    assert seen["oldest"].finding.state is State.OK
