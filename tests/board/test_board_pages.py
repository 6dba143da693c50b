"""What do the pages show, of everything that a queue may hold?"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from redis.asyncio import Redis
from support.board import Visitor, open_visitor

from oxcart import Oxcart, Queue
from oxcart.board.rows import PAGE
from oxcart.board.views import VIEWS
from oxcart.queue.repeats import Repeat
from oxcart.testing import running_worker, wait_until

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b[31mred\u202egnp.exe\u200b"


def app() -> Oxcart:
    made = Oxcart()

    @made.job("ok")
    async def ok(job: Any) -> Any:
        await job.log("a line\nof two")
        return {"n": job.data, "accessToken": "xyz-secret"}

    @made.job("bad", attempts=2)
    async def bad(job: Any) -> None:
        raise RuntimeError(f"lead {job.data} answered 502, token=abc-secret")

    return made


async def page(visitor: Visitor, path: str, status: int = 200) -> str:
    answer = await visitor.ask(path)
    assert answer.status == status, answer.text
    return answer.text


async def test_the_overview_tells_of_each_queue(redis_url: str, queue_name: str) -> None:
    other = f"{queue_name}-b"
    async with Queue(queue_name, redis_url) as queue, Queue(other, redis_url) as second:
        await queue.add_many([("a", {}) for _ in range(3)])
        await second.add("b", {}, delay_seconds=60)
        await second.pause()
        async with open_visitor(redis_url, queue_name) as visitor:
            await wait_until(lambda: sees(visitor, other), describe="a queue that nobody named is found")
            found = (await visitor.ask("/api/overview")).json
            html = await page(visitor, "/board")

    lines = {line["name"]: line for line in found["queues"]}
    assert (lines[queue_name]["waiting"], lines[queue_name]["workers"]) == (3, 0)
    assert (lines[other]["counts"]["delayed"], lines[other]["paused"]) == (1, True)
    assert {problem["code"] for problem in found["problems"] if problem["queue"] == queue_name} == {"NO_WORKER"}
    assert f'href="/board/queue?queue={queue_name}"' in html
    assert found["redis"]["memory"] > 0


async def sees(visitor: Visitor, name: str) -> bool:
    await visitor.ask("/api/overview")
    return name in [line["name"] for line in (await visitor.ask("/api/overview")).json["queues"]]


@pytest.mark.parametrize("state", ["waiting", "failed", "delayed"])
async def test_a_list_is_paged_by_key_while_it_changes(
    redis_url: str, queue_name: str, state: str, redis: Redis
) -> None:
    count = 2 * PAGE + 7
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url, queue_name) as visitor:
        options = {"delay_seconds": 99} if state == "delayed" else {}
        added = [job.id for job in await queue.add_many([("n", {"i": i}, options) for i in range(count)])]
        if state == "failed":
            await redis.delete(f"bull:{queue_name}:wait", f"bull:{queue_name}:marker")
            await redis.zadd(f"bull:{queue_name}:failed", dict.fromkeys(added, 1000))
        path, seen = f"/api/queue?queue={queue_name}&state={state}", list[str]()
        after: str | None = ""
        while after is not None:
            found = (await visitor.ask(path + (f"&after={after}" if after else ""))).json
            ids = [job["id"] for job in found["jobs"]]
            seen += ids
            after = found["after"]
            if len(seen) == PAGE:  # what goes before the place does not move it
                await queue.remove(ids[0]) if state != "failed" else await redis.zrem(
                    f"bull:{queue_name}:failed", ids[0]
                )

    assert sorted(seen) == sorted(added)
    assert len(seen) == len(set(seen))


async def test_a_job_is_told_whole(redis_url: str, queue_name: str) -> None:
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url, queue_name) as visitor:
        async with running_worker(app(), url=redis_url, queue=queue_name):
            good = await queue.add("ok", 7)
            bad = await queue.add("bad", 7, backoff="fixed:1ms")
            await good.result(timeout_seconds=10)
            await wait_until(lambda: failed(queue), describe="the other one has failed")
        found = (await visitor.ask(f"/api/job?queue={queue_name}&id={bad.id}")).json
        html = await page(visitor, f"/board/job?queue={queue_name}&id={good.id}")
        dead = (await visitor.ask("/api/dead-letters")).json

    assert (found["state"], found["attemptsMade"], found["attempts"]) == ("failed", 2, 1)
    assert len(found["stacktraces"]) == 2
    assert [event["attempt"] for event in found["timeline"] if event["what"] == "active"] == [1, 2]
    assert found["timeline"][0]["what"] == "added"
    assert "a line\nof two" in html
    assert "xyz-secret" not in html
    assert "abc-secret" not in json.dumps([found, dead])
    assert (dead["groups"][0]["count"], dead["groups"][0]["newest"]) == (1, bad.id)


async def failed(queue: Queue) -> bool:
    return (await queue.counts())["failed"] == 1


async def test_reasons_that_differ_in_numbers_are_one(redis_url: str, queue_name: str, redis: Redis) -> None:
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url, queue_name) as visitor:
        for number in range(6):
            job = await queue.add("x", {})
            reason = f"lead {number * 1111} is gone" if number % 2 else "no answer"
            await redis.hset(f"bull:{queue_name}:{job.id}", mapping={"failedReason": reason})
            await redis.zadd(f"bull:{queue_name}:failed", {job.id: 1000 + number})
        found = (await visitor.ask("/api/dead-letters")).json

    groups = {group["reason"]: group for group in found["groups"]}
    assert {reason: group["count"] for reason, group in groups.items()} == {"lead 5555 is gone": 3, "no answer": 3}
    assert (groups["no answer"]["first"], groups["no answer"]["last"]) == (1000, 1004)
    assert groups["lead 5555 is gone"]["contains"] == "is gone"


async def test_a_flow_is_drawn_from_its_root(redis_url: str, queue_name: str) -> None:
    other = f"{queue_name}-b"
    tree = {
        "name": "root",
        "children": [{"name": "left"}, {"name": "right", "queue": other, "children": [{"name": "x"}]}],
    }
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url, queue_name) as visitor:
        flow = await queue.add_flow(tree)
        (right,) = (child for child in flow.children if child.name == "right")
        path = f"queue={other}&id={right.id}"
        family = (await visitor.ask(f"/api/job?{path}")).json["family"]
        html = await page(visitor, f"/board/job?{path}")

    assert (family["id"], family["state"]) == (flow.id, "waiting-children")
    assert {child["name"]: len(child["children"]) for child in family["children"]} == {"left": 0, "right": 1}
    assert len(re.findall(r'class="box s-', html)) == 4
    assert len(re.findall(r'class="box s-[a-z-]+ here"', html)) == 1


async def test_schedules_are_told_with_their_next_and_last_runs(redis_url: str, queue_name: str) -> None:
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url, queue_name) as visitor:
        await queue.upsert_schedule("often", Repeat(every_seconds=3600), name="ok", data=1)
        await queue.upsert_schedule("nightly", Repeat(cron="0 3 * * *", tz="Europe/Madrid"), name="ok", data={"p": 1})
        async with running_worker(app(), url=redis_url, queue=queue_name):
            await wait_until(lambda: completed(queue), describe="the first run is done")
        found = (await visitor.ask("/api/schedules")).json["schedules"]
        html = await page(visitor, "/board/schedules")

    lines = {line["id"]: line for line in found}
    assert lines["often"]["last"]["state"] == "completed"
    assert lines["nightly"]["last"] is None
    assert "Europe/Madrid" in html


async def completed(queue: Queue) -> bool:
    return (await queue.counts())["completed"] == 1


async def test_hostile_texts_are_shown_and_never_obeyed(redis_url: str, queue_name: str, redis: Redis) -> None:
    queue_of_evil, evil_id = f"{queue_name}-<b>&'\"", "evil-<i>\u200b"
    fields = ("name", "data", "opts", "returnvalue", "failedReason", "stacktrace", "progress", "pb", "rjk", "parentKey")
    async with Queue(queue_of_evil, redis_url) as queue, open_visitor(redis_url, queue_of_evil) as visitor:
        numbers: dict[Any, Any] = {"timestamp": "NaN", "delay": "1e99", "atm": "x"}
        await redis.hset(f"bull:{queue_of_evil}:{evil_id}", mapping={**dict.fromkeys(fields, EVIL), **numbers})
        await redis.zadd(f"bull:{queue_of_evil}:failed", {evil_id: 1})
        await redis.hset(f"bull:{queue_of_evil}:repeat:{EVIL}", mapping={"name": EVIL, "pattern": EVIL, "data": EVIL})
        await redis.zadd(f"bull:{queue_of_evil}:repeat", {EVIL: 5})
        await redis.rpush(f"bull:{queue_of_evil}:{evil_id}:logs", EVIL)
        listed = await page(visitor, await link_to(visitor, "/board", "/board/queue?"))
        failed_list = await page(visitor, await link_to(visitor, "/board", "state=failed"))
        job = await page(visitor, await link_to(visitor, await link_to(visitor, "/board", "state=failed"), "evil-"))
        pages = [listed, failed_list, job]
        pages += [await page(visitor, f"/board/{name}") for name in ("dead-letters", "schedules", "workers", "doctor")]
        pages += [await page(visitor, "/board/search?text=%3Cscript%3E")]
        await queue.obliterate(force=True) if await queue.is_paused() else None
        for key in await redis.keys(f"bull:{queue_name}*"):
            await redis.delete(key)

    assert "&lt;script&gt;alert(1)" in job
    assert "\\u001b[31mred\\u202egnp.exe\\u200b" in job
    for html in (re.sub(r' value="[^"]*"', "", html) for html in pages):  # what a form sends back is as it is
        assert "<script>alert" not in html
        assert "<img src=x" not in html
        assert "\x1b" not in html
        assert "\u202e" not in html
        assert "<b>&" not in html


async def link_to(visitor: Visitor, path: str, wanted: str) -> str:
    import html

    links = [html.unescape(found) for found in re.findall(r'href="([^"]+)"', await page(visitor, path))]
    return next(found for found in links if (wanted in found and "queue?" in found) or f"id={wanted}" in found)


async def test_a_huge_payload_is_cut_and_can_be_had_whole(redis_url: str, queue_name: str) -> None:
    text = "x" * 9_000_000
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url, queue_name) as visitor:
        job = await queue.add("big", {"text": text, "password": "hunter2"})
        listed = await page(visitor, f"/board/queue?queue={queue_name}")
        html = await page(visitor, f"/board/job?queue={queue_name}&id={job.id}")
        whole = await visitor.ask(f"/board/raw?queue={queue_name}&id={job.id}&field=data")

    assert len(listed) < 20_000
    assert "8.6 MB" in listed
    assert len(html) < 200_000
    assert text in whole.text
    assert "hunter2" not in whole.text
    assert whole.headers["content-type"].startswith("text/plain")
    assert "attachment" in whole.headers["content-disposition"]


async def test_the_veil_is_a_matter_of_one_session(redis_url: str, queue_name: str) -> None:
    secret = {"user": {"Password": "hunter2", "apiKey": ["k1-secret"], "note": "see https://u:pw-secret@x.example"}}
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url, queue_name) as visitor:
        job = await queue.add("login", secret)
        path = f"/board/job?queue={queue_name}&id={job.id}"
        veiled = await page(visitor, path)
        csrf = await visitor.csrf()
        await visitor.post("/board/prefs", {"csrf": csrf, "veil": "off", "to": path})
        seen = await page(visitor, path)
        other = await page(Visitor(visitor.app), path)
        told = (await visitor.ask(f"/api/job?queue={queue_name}&id={job.id}")).text
        shown = (await visitor.ask(f"/api/job?queue={queue_name}&id={job.id}&unveil=true")).text

    for hidden in ("hunter2", "k1-secret", "pw-secret"):
        assert hidden in seen
        assert hidden in shown
        assert hidden not in veiled + other + told


async def test_what_is_not_there_is_a_page_that_says_so(redis_url: str, queue_name: str) -> None:
    async with open_visitor(redis_url, queue_name) as visitor:
        assert "no such job" not in await page(visitor, f"/board/job?queue={queue_name}&id=<b>7", 404)
        assert "There is no job" in await page(visitor, f"/board/job?queue={queue_name}&id=7", 404)
        assert "no state of a job" in await page(visitor, f"/board/queue?queue={queue_name}&state=<i>", 400)
        assert "queue" in await page(visitor, "/board/queue", 400)
        assert "a:b" in await page(visitor, "/board/queue?queue=a:b", 400)
        assert "whole number" in await page(visitor, "/board/dead-letters?look=many", 400)
        assert await page(visitor, "/board/nothing", 404)


@pytest.mark.parametrize("language", ["ru", "en"])
async def test_every_page_speaks_the_language_of_its_reader(redis_url: str, queue_name: str, language: str) -> None:
    async with open_visitor(redis_url, queue_name) as visitor:
        visitor.headers["accept-language"] = "ru-RU,ru;q=0.9,en;q=0.5" if language == "ru" else "de, en;q=0.5"
        for name in VIEWS:
            if name not in {"job", "logs", "page"}:
                html = await page(visitor, f"/board/{name}?queue={queue_name}")
                assert f'<html lang="{language}"' in html
                assert ("Очереди" in html) == (language == "ru")
        csrf = await visitor.csrf()
        await visitor.post("/board/prefs", {"csrf": csrf, "language": "ru", "to": "/board"})
        assert '<html lang="ru"' in await page(visitor, "/board")


async def test_a_hundred_queues_are_one_page(redis_url: str, queue_name: str, redis: Redis) -> None:
    names = [f"{queue_name}-{number}" for number in range(100)]
    async with redis.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.hset(f"bull:{name}:meta", "opts.maxLenEvents", 10)
            pipeline.lpush(f"bull:{name}:wait", "1")
            pipeline.hset(f"bull:{name}:1", mapping={"name": "n", "timestamp": "1000", "data": "{}"})
        await pipeline.execute()
    async with open_visitor(redis_url, queue_name) as visitor:
        await wait_until(lambda: sees(visitor, names[-1]), describe="all are found")
        html = await page(visitor, "/board")

    assert sum(f'href="/board/queue?queue={name}"' in html for name in names) == 100


async def test_a_broken_queue_is_named_and_harms_no_other(redis_url: str, queue_name: str, redis: Redis) -> None:
    other = f"{queue_name}-b"
    await redis.set(f"bull:{queue_name}:meta", "no hash")
    await redis.set(f"bull:{queue_name}:failed", "no set")
    async with Queue(other, redis_url) as queue, open_visitor(redis_url, queue_name, other) as visitor:
        await queue.add("x", {})
        assert await sees(visitor, other)
        assert (await visitor.ask(f"/board/queue?queue={queue_name}&state=failed")).status == 503
        assert await page(visitor, f"/board/queue?queue={other}")
    await redis.delete(f"bull:{queue_name}:meta", f"bull:{queue_name}:failed")
