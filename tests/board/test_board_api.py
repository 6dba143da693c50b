"""Do programs and agents get the same as people: views, actions, their description, their refusals?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from redis.asyncio import Redis
from support.board import Answer, Visitor, open_visitor

from oxcart import Queue
from oxcart.board.actions import VERBS
from oxcart.board.application import open_site
from oxcart.board.door import BoardPlan, Extra
from oxcart.board.tools import TOOLS, make_tools
from oxcart.board.views import VIEWS
from oxcart.connection.server import Server
from oxcart.connection.target import parse_redis_url
from oxcart.secret import Secret
from oxcart.testing import wait_until

TOKEN = Secret("operator-token-1")


async def act(visitor: Visitor, verb: str, **fields: Any) -> Answer:
    headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN.reveal()}"}
    return await visitor.ask(f"/api/actions/{verb}", "POST", headers, json.dumps(fields).encode())


async def test_every_view_is_json_and_described(redis_url: str, queue_name: str) -> None:
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url, queue_name) as visitor:
        job = await queue.add("x", {"n": 1})
        described = (await visitor.ask("/api/openapi.json")).json
        for name in VIEWS:
            answer = await visitor.ask(f"/api/{name}?queue={queue_name}&id={job.id}&page=none")
            assert answer.status == 200, name
            assert isinstance(answer.json, dict)
            assert described["paths"][f"/api/{name}"]["get"]["summary"] == VIEWS[name].summary
        for verb in VERBS:
            assert "post" in described["paths"][f"/api/actions/{verb}"]
        assert described["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
        assert (await visitor.ask("/api/job?queue=q&id=7")).status == 404
        assert (await visitor.ask("/api/nothing")).status == 404
        assert set((await visitor.ask("/api")).json["views"]) == {f"/api/{name}" for name in VIEWS}


async def test_actions_by_a_program(redis_url: str, queue_name: str, redis: Redis) -> None:
    async with (
        Queue(queue_name, redis_url) as queue,
        open_visitor(redis_url, queue_name, operators=(TOKEN,)) as visitor,
    ):
        added = await act(visitor, "add", queue=queue_name, name="x", data={"n": 1}, attempts=3)
        (job,) = await queue.jobs("waiting")
        assert (job.data, job.options.attempts) == ({"n": 1}, 3)
        assert added.json["undo"] == {"verb": "remove", "queue": queue_name, "id": job.id}
        assert (await act(visitor, "retry", queue=queue_name, id=job.id)).status == 400
        assert (await act(visitor, "remove", queue=queue_name, id="not-there")).status == 404
        assert (await act(visitor, "nothing", queue=queue_name)).status == 400
        assert (await act(visitor, "add", queue=queue_name, name="x", delay="soon")).status == 400

        started = await act(visitor, "remove", queue=queue_name, state="waiting", all=True)
        path, headers = f"/api/batches/{started.json['batch']}", {"authorization": f"Bearer {TOKEN.reveal()}"}

        async def ended() -> Any:
            found = (await visitor.ask(path, headers=headers)).json
            return found if found["state"] == "done" else None

        found = await wait_until(ended, describe="the batch has ended")
        assert (started.status, found["done"], await queue.counts()) == (
            202,
            1,
            dict.fromkeys(await queue.counts(), 0),
        )


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, b"{}", 401),
        ({"authorization": "Bearer wrong"}, b"{}", 401),
        ({"authorization": f"Bearer {TOKEN.reveal()}"}, b"queue=q", 400),
        ({"authorization": f"Bearer {TOKEN.reveal()}", "content-type": "text/plain"}, b"{}", 400),
        ({"authorization": f"Bearer {TOKEN.reveal()}", "content-type": "application/json"}, b"[1]", 400),
        ({"authorization": f"Bearer {TOKEN.reveal()}", "content-type": "application/json"}, b"{no", 400),
    ],
)
async def test_what_a_program_may_not_send(
    redis_url: str, queue_name: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    async with open_visitor(redis_url, queue_name, operators=(TOKEN,)) as visitor:
        answer = await visitor.ask("/api/actions/pause", "POST", headers, body)

        assert answer.status == status
        assert answer.json["error"]


async def test_a_cookie_opens_no_api(redis_url: str, queue_name: str) -> None:
    async with open_visitor(redis_url, queue_name, operators=(TOKEN,)) as visitor:
        await visitor.post("/board/login", {"token": TOKEN.reveal()})
        assert visitor.cookies
        assert (await visitor.ask("/api/overview")).status == 401


async def test_a_page_of_a_plugin_is_shown_and_escaped(redis_url: str, queue_name: str) -> None:
    async def load() -> list[dict[str, Any]]:
        row = ["<b>leads", 12345, {"ms": 1000}]
        return [{"title": "<i>acme", "note": "fine", "head": ["Entity", "Rows", "Current"], "rows": [row]}]

    extras = (Extra("crm", "Kommo", lambda: True, load), Extra("off", "Hidden", lambda: False, load))
    async with open_visitor(redis_url, queue_name, extras=extras) as visitor:
        html = (await visitor.ask("/board/page?page=crm")).text
        missing = (await visitor.ask("/board/page?page=off")).text

    assert "&lt;b&gt;leads" in html
    assert "&lt;i&gt;acme" in html
    assert "12\u202f345" in html
    assert 'href="/board/page?page=crm"' in html
    assert "Hidden" not in html
    assert "Nothing is set up here" in missing


async def test_an_agent_has_ten_tools_and_changes_only_where_it_may(redis_url: str, queue_name: str) -> None:
    target = parse_redis_url(redis_url, {})
    server = Server(target)
    plan = BoardPlan(target=lambda: target, prefix="bull", queues=(queue_name,), version="1")
    try:
        async with Queue(queue_name, redis_url) as queue, open_site(plan, server) as site:
            job = await queue.add("x", {"token": "hunter2"})
            looking, changing = make_tools(site, allow_changes=False), make_tools(site, allow_changes=True)
            names = [tool.name for tool in await looking.list_tools()]
            assert tuple(names) == TOOLS
            assert len(names) == 10
            assert [tool.name for tool in await changing.list_tools()] == [*names, "act"]
            arguments = {
                "list_jobs": {"queue": queue_name, "state": "waiting"},
                "show_job": {"queue": queue_name, "job_id": job.id},
                "job_log": {"queue": queue_name, "job_id": job.id},
                "history": {"queue": queue_name},
                "search_jobs": {"text": "hunter"},
            }
            told = [str(await looking.call_tool(name, arguments.get(name, {}))) for name in names if name != "diagnose"]
            assert all("error" not in each[:80] for each in told)
            assert "hunter2" not in "".join(told)
            assert job.id in told[1]
            missing = str(await looking.call_tool("show_job", {"queue": queue_name, "job_id": "7"}))
            assert "There is no job 7" in missing

            fields = {"queue": queue_name, "ids": [job.id, "not-there"]}
            done = str(await changing.call_tool("act", {"action": "remove", "fields": fields}))
            assert "not there" in done
            assert await queue.get(job.id) is None
    finally:
        await server.close()
