"""Does each action do what its question says, to one job, those picked, all that match; and is there a way back?"""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from redis.asyncio import Redis
from support.board import Visitor, form_of, open_visitor

from oxcart import Queue
from oxcart.board import searching
from oxcart.board.actions import VERBS
from oxcart.queue.repeats import Repeat
from oxcart.telemetry.events import BoardChanged, Event
from oxcart.testing import wait_until


async def fail(redis: Redis, queue: Queue, *job_ids: str) -> None:
    """As if a worker had run them."""
    for job_id in job_ids:
        await redis.lrem(f"bull:{queue.name}:wait", 0, job_id)
        await redis.hset(f"bull:{queue.name}:{job_id}", mapping={"failedReason": "no luck", "atm": 1})
        await redis.zadd(f"bull:{queue.name}:failed", {job_id: 1000})


async def state(queue: Queue, job_id: str) -> str:
    return await queue.state(job_id)


async def undo(visitor: Visitor, page: str) -> str:
    """Press the button that the page after an action offers."""
    form = re.search(r'<div class="told".*?</form>', page, re.DOTALL)
    assert form is not None, "the page offers a way back"
    pairs = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', form[0]))
    verb = pairs.pop("verb")
    return (await visitor.do(verb, **pairs)).text


async def test_a_failed_job_is_run_again_also_with_other_data(redis_url: str, queue_name: str, redis: Redis) -> None:
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url, queue_name) as visitor:
        one, two = await queue.add_many([("x", {"lead": 7, "password": "hunter2"})] * 2)
        await fail(redis, queue, one.id, two.id)

        page = await visitor.do("retry", queue=queue_name, id=one.id, reset="yes")
        edited = json.dumps({"lead": 8, "password": "••••••"})
        await visitor.do("retry-edited", queue=queue_name, id=two.id, data=edited)
        stored = await queue.get(two.id)

        assert f"Job {one.id} of queue {queue_name} waits to be run again" in page.text
        assert [await state(queue, job.id) for job in (one, two)] == ["waiting", "waiting"]
        assert stored is not None
        assert stored.data == {"lead": 8, "password": "hunter2"}, "what was veiled is as it was"


async def test_what_is_no_json_or_moves_a_secret_is_refused_and_changes_nothing(
    redis_url: str, queue_name: str, redis: Redis
) -> None:
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url, queue_name) as visitor:
        job = await queue.add("x", {"password": "hunter2"})
        await fail(redis, queue, job.id)

        bad = await visitor.do("retry-edited", queue=queue_name, id=job.id, data="{no json")
        moved = await visitor.do("retry-edited", queue=queue_name, id=job.id, data='{"note": "••••••"}')

        assert (bad.status, moved.status) == (400, 400)
        assert await state(queue, job.id) == "failed"


async def test_a_job_is_doubled_moved_promoted_delayed_and_given_a_priority(redis_url: str, queue_name: str) -> None:
    other = f"{queue_name}-b"
    async with (
        Queue(queue_name, redis_url) as queue,
        Queue(other, redis_url) as second,
        open_visitor(redis_url, queue_name) as visitor,
    ):
        job = await queue.add("x", {"n": 1}, attempts=3)
        page = (await visitor.do("duplicate", queue=queue_name, id=job.id)).text
        assert (await queue.counts())["waiting"] == 2
        await undo(visitor, page)
        assert (await queue.counts())["waiting"] == 1

        page = (await visitor.do("priority", queue=queue_name, id=job.id, priority="3")).text
        assert (await queue.counts())["prioritized"] == 1
        await undo(visitor, page)
        assert await state(queue, job.id) == "waiting"

        page = (await visitor.do("move", queue=queue_name, id=job.id, to=other)).text
        (moved,) = await second.jobs("waiting")
        assert (moved.id, moved.data, moved.options.attempts) == (job.id, {"n": 1}, 3)
        assert await queue.get(job.id) is None
        assert "Undo" in page

        later = await queue.add("y", {}, delay_seconds=3600)
        page = (await visitor.do("delay", queue=queue_name, id=later.id, delay="2h")).text
        stored = await queue.get(later.id)
        assert stored is not None
        assert stored.delay_ms == 7_200_000
        await undo(visitor, page)
        stored = await queue.get(later.id)
        assert stored is not None
        assert 3_500_000 < stored.delay_ms <= 3_600_000
        await visitor.do("promote", queue=queue_name, id=later.id)
        assert await state(queue, later.id) == "waiting"


async def test_a_job_of_a_flow_or_of_a_schedule_is_not_moved_away(redis_url: str, queue_name: str) -> None:
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url, queue_name) as visitor:
        flow = await queue.add_flow({"name": "root", "children": [{"name": "leaf"}]})
        await queue.upsert_schedule("s", Repeat(every_seconds=3600), name="x")
        (run,) = (
            (job for job in await queue.jobs("delayed"))
            if (await queue.counts())["delayed"]
            else (job for job in await queue.jobs("waiting") if job.scheduler_id)
        )

        for job_id in (flow.children[0].id, run.id):
            answer = await visitor.do("move", queue=queue_name, id=job_id, to=f"{queue_name}-b")
            assert answer.status == 409


async def test_a_running_job_is_asked_to_stop_and_others_are_removed(
    redis_url: str, queue_name: str, redis: Redis
) -> None:
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url, queue_name) as visitor:
        running, waiting = await queue.add("x", {}), await queue.add("y", {})
        await redis.lrem(f"bull:{queue_name}:wait", 0, running.id)
        await redis.lpush(f"bull:{queue_name}:active", running.id)

        await visitor.do("cancel", queue=queue_name, id=running.id)
        await visitor.do("remove", queue=queue_name, id=waiting.id)

        assert await redis.smembers(f"bull:{queue_name}:oxcart:cancel") == {running.id}
        assert await queue.get(waiting.id) is None


async def test_a_queue_is_paused_limited_filled_drained_and_cleaned(
    redis_url: str, queue_name: str, redis: Redis
) -> None:
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url, queue_name) as visitor:
        page = (await visitor.do("pause", queue=queue_name)).text
        assert await queue.is_paused()
        await undo(visitor, page)
        assert not await queue.is_paused()

        page = (await visitor.do("limit", queue=queue_name, concurrency="5", max="10", per="1m")).text
        assert await queue.limits() == {"concurrency": 5, "max": 10, "duration": 60_000}
        await undo(visitor, page)
        assert (await queue.limits())["concurrency"] is None

        page = (await visitor.do("add", queue=queue_name, name="n", data='{"a": 1}', attempts="4", delay="1h")).text
        (job,) = await queue.jobs("delayed")
        assert (job.name, job.data, job.options.attempts) == ("n", {"a": 1}, 4)
        await undo(visitor, page)
        assert await queue.jobs("delayed") == []
        assert (await visitor.do("add", queue=queue_name, name="", data="{}")).status == 400

        await queue.add_many([("x", {}) for _ in range(5)])
        assert "Removed 5 jobs" in (await visitor.do("drain", queue=queue_name)).text
        failed = await queue.add("x", {})
        await fail(redis, queue, failed.id)
        assert "Removed 1 jobs" in (await visitor.do("clean", queue=queue_name, state="failed", older="0s")).text


async def test_a_schedule_runs_now_is_changed_and_removed(redis_url: str, queue_name: str) -> None:
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url, queue_name) as visitor:
        repeat = Repeat(cron="0 3 * * *", tz="Europe/Madrid")
        await queue.upsert_schedule("s", repeat, name="x", data={"p": 1, "token": "hunter2"}, attempts=4)

        page = (await visitor.do("run-now", queue=queue_name, id="s")).text
        (job,) = await queue.jobs("waiting")
        assert (job.name, job.data["p"]) == ("x", 1)
        await undo(visitor, page)
        assert await queue.jobs("waiting") == []

        await visitor.do(
            "edit-schedule", queue=queue_name, id="s", cron="0 4 * * *", data='{"p": 2, "token": "••••••"}'
        )
        (changed,) = await queue.schedules()
        assert (changed.cron, changed.tz, json.loads(changed.data)) == (
            "0 4 * * *", "Europe/Madrid", {"p": 2, "token": "hunter2"},
        )  # fmt: skip
        (run,) = await queue.jobs("delayed")
        assert run.options.attempts == 4

        await visitor.do("remove-schedule", queue=queue_name, id="s")
        assert await queue.schedules() == []


async def test_those_picked_and_all_that_match_are_two_things(redis_url: str, queue_name: str, redis: Redis) -> None:
    events: list[Event] = []
    async with (
        Queue(queue_name, redis_url) as queue,
        open_visitor(redis_url, queue_name, emit=events.append) as visitor,
    ):
        jobs = await queue.add_many([("x" if n % 2 else "y", {"n": n}) for n in range(400)])
        ids = [job.id for job in jobs]
        await fail(redis, queue, *ids)

        question = await visitor.ask(f"/board/ask?verb=retry&queue={queue_name}&state=failed&scope=all")
        assert "All 400 jobs that match" in question.text
        nothing = await visitor.ask(f"/board/ask?verb=retry&queue={queue_name}&state=failed&scope=picked")
        assert nothing.status == 400

        page = await many(visitor, "retry", queue=queue_name, state="failed", id=ids[:3], scope="picked")
        assert "3 done" in page
        assert (await queue.counts())["failed"] == 397

        page = await many(visitor, "retry", queue=queue_name, state="failed", name="x", scope="all")
        assert (await queue.counts())["failed"] == 397 - 199
        page = await many(visitor, "remove", queue=queue_name, state="failed", scope="all")
        assert "198 done" in page

        audit: Any = await redis.xrange(f"bull:{queue_name}:oxcart:audit")
        changed = [event for event in events if isinstance(event, BoardChanged)]

    assert [(event.action, event.done, event.refused) for event in changed] == [
        ("retry", 3, 0), ("retry", 199, 0), ("remove", 198, 0),
    ]  # fmt: skip
    assert all("session" in event.by and "127.0.0.1" in event.by for event in changed)
    assert [entry["what"] for _, entry in audit] == ["retry", "retry", "remove"]


async def many(visitor: Visitor, verb: str, **fields: Any) -> str:
    """An action on many, with its page asked for until it has ended."""
    page = (await visitor.do(verb, **fields)).text
    found = re.search(r"/board/batch\?id=([0-9a-f]+)", page)

    async def ended() -> str:
        if found is None:
            return page
        shown = (await visitor.ask(found[0])).text
        return "" if "http-equiv" in shown else shown

    return await wait_until(ended, describe="it has ended")


async def test_an_action_on_many_can_be_stopped_and_says_what_was_refused(
    redis_url: str, queue_name: str, redis: Redis
) -> None:
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url, queue_name) as visitor:
        job = await queue.add("x", {})
        form = {"verb": "retry", "queue": queue_name, "id": [job.id, "not-there"], "csrf": await visitor.csrf()}
        answer = await visitor.post("/board/do", form)
        page = await visitor.ask(answer.headers["location"])
        batch = re.search(r"id=([0-9a-f]+)", answer.headers["location"])
        assert batch is not None

        stopped = await visitor.post("/board/batch/stop", {"id": batch[1], "csrf": await visitor.csrf()})

        assert "0 done. 2 not possible" in page.text
        assert "not-there" in page.text
        assert stopped.status == 303
        assert (await visitor.ask("/board/batch?id=unknown")).status == 400


async def test_a_second_user_acts_meanwhile(redis_url: str, queue_name: str, redis: Redis) -> None:
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url, queue_name) as visitor:
        other = Visitor(visitor.app)
        job = await queue.add("x", {})
        await fail(redis, queue, job.id)
        question = await visitor.ask(f"/board/ask?verb=retry&queue={queue_name}&id={job.id}")

        await other.do("remove", queue=queue_name, id=job.id)
        answer = await visitor.post("/board/do", form_of(question.text))

        assert answer.status == 404
        assert "not there" in answer.text


@pytest.mark.parametrize("verb", VERBS)
async def test_each_question_can_be_asked_and_only_asks(redis_url: str, queue_name: str, verb: str) -> None:
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url, queue_name) as visitor:
        job = await queue.add("x", {"n": 1})
        await queue.upsert_schedule("s", Repeat(every_seconds=3600), name="x")
        before = await queue.counts()
        wanted = "s" if VERBS[verb].target == "schedule" else job.id

        page = await visitor.ask(f"/board/ask?verb={verb}&queue={queue_name}&id={wanted}")

        assert page.status == 200
        assert VERBS[verb].question in html.unescape(page.text)
        assert {"csrf", "verb", "to"} <= set(form_of(page.text))
        assert await queue.counts() == before


async def test_search_finds_by_each_kind_of_condition(redis_url: str, queue_name: str, redis: Redis) -> None:
    other = f"{queue_name}-b"
    async with (
        Queue(queue_name, redis_url) as queue,
        Queue(other, redis_url) as second,
        open_visitor(redis_url, queue_name, other) as visitor,
    ):
        jobs = await queue.add_many([("sync", {"lead": {"id": n}}) for n in range(60)])
        needle = await second.add("mail", {"to": "ann@example.com"}, delay_seconds=99)
        await fail(redis, queue, jobs[5].id, jobs[6].id)

        async def found(**query: str) -> set[str]:
            answer: dict[str, Any] = {}

            async def done() -> bool:
                nonlocal answer
                fields = "&".join(f"{name}={value}" for name, value in query.items())
                answer = (await visitor.ask(f"/api/search?{fields}")).json
                return not answer["running"]

            await wait_until(done, describe="the search has ended")
            return {job["id"] for job in answer["jobs"]}

        assert await found(text="ann%40EXAMPLE") == {needle.id}
        assert await found(text=needle.id) == {needle.id}
        assert await found(text="data.lead.id%20%3D%2042") == {jobs[42].id}
        assert await found(data="lead.id=5") == {jobs[5].id}
        assert await found(reason="luck") == {jobs[5].id, jobs[6].id}
        assert await found(name="mail", state="delayed") == {needle.id}
        assert await found(text="nothing-like-it") == set()
        assert (await visitor.ask("/board/search?since=yesterday")).status == 400
        assert "ann@example.com" in (await visitor.ask("/board/search?text=ann")).text


async def test_a_search_that_nobody_looks_at_any_more_ends(
    redis_url: str, queue_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url, queue_name) as visitor:
        await queue.add_many([("x", {"n": n}) for n in range(900)])
        monkeypatch.setattr(searching, "_FORGOTTEN_SECONDS", -1.0)

        found = (await visitor.ask(f"/api/search?text=x&queue={queue_name}")).json

        assert found["outcome"] == "stopped"
        assert 0 < found["found"] < 900
