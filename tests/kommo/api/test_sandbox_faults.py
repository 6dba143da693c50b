"""Does the sandbox refuse and fail as Kommo does?"""

from __future__ import annotations

import json
import time

import aiohttp
import pytest
from starlette.requests import Request
from support.sandbox import Sandbox
from support.waiting import wait_until

from oxcart_sandbox import World, change_scenario


def switch(sandbox: Sandbox, **switches: object) -> None:
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, switches)


async def test_the_eighth_request_in_a_second_is_a_429_with_the_wait_in_its_body(sandbox: Sandbox) -> None:
    """2.3: 7 requests/s; the wait is in the JSON body, no Retry-After header is documented."""
    switch(sandbox, requests_per_second=7, retry_after_real_seconds=300.0)

    answers = [await sandbox.get("/account") for _ in range(8)]

    refused = answers[-1]
    assert [answer.status for answer in answers] == [200] * 7 + [429]
    assert refused.body["retry_after"] == 300
    assert refused.body["type"] == "https://httpstatus.es/429"
    assert "Retry-After" not in refused.headers


async def test_a_request_before_retry_after_is_refused_again(sandbox: Sandbox) -> None:
    """2.3: to go on during a wait is what earns the block."""
    switch(sandbox, requests_per_second=1, retry_after_real_seconds=0.3)
    assert [(await sandbox.get("/account")).status for _ in range(2)] == [200, 429]
    switch(sandbox, requests_per_second=1000)

    assert (await sandbox.get("/account")).status == 429

    (known,) = sandbox.world.limits._addresses.values()  # looks without a request, which would prolong the wait
    await wait_until(lambda: time.monotonic() >= known.refused_until, describe="the wait is over")
    assert (await sandbox.get("/account")).status == 200


@pytest.mark.parametrize(("where", "status"), [("header", "7"), ("none", None)])
async def test_a_429_may_be_in_the_header_or_no_json(sandbox: Sandbox, where: str, status: str | None) -> None:
    """2.3: a 429 may also be non-JSON."""
    switch(sandbox, requests_per_second=1, retry_after_real_seconds=7.0, retry_after_in=where)
    await sandbox.get("/account")

    refused = await sandbox.get("/account")

    assert (refused.status, refused.headers.get("Retry-After")) == (429, status)
    assert (refused.body is None) is (where == "none")


async def test_after_many_429s_everything_is_an_html_403_also_the_token_endpoint(sandbox: Sandbox) -> None:
    """2.3: repeated violations lead to an HTML 403 for every request of the IP; webhooks are disabled, too."""
    await sandbox.ask(
        "POST", "/api/v4/webhooks", {"destination": "http://127.0.0.1:9/h", "settings": ["add_lead"], "sort": 1}
    )
    switch(sandbox, requests_per_second=1, block_after=3)
    statuses = [(await sandbox.get("/account")).status for _ in range(4)]
    at_tokens = await sandbox.ask("POST", "/oauth2/access_token", {}, token="")

    assert statuses[-1] == 403
    assert at_tokens.status == 403
    assert at_tokens.headers["content-type"].startswith("text/html")
    assert "nginx" in at_tokens.text
    assert all(hook.disabled for hook in sandbox.demo.subscriptions)

    switch(sandbox, requests_per_second=1000)
    await sandbox.control("DELETE", "/block")

    assert (await sandbox.get("/account")).status == 200


async def test_a_500_has_a_trace_and_a_504_is_html(sandbox: Sandbox) -> None:
    """2.3: 500 with trace_id; 504."""
    await sandbox.control("POST", "/faults", {"kind": "500"})
    await sandbox.control("POST", "/faults", {"kind": "504", "path": "/api/v4/contacts"})

    broken = await sandbox.get("/leads")
    gateway = await sandbox.get("/contacts")

    assert (broken.status, bool(broken.body["trace_id"])) == (500, True)
    assert (gateway.status, gateway.body) == (504, None)
    assert (await sandbox.get("/leads")).status == 200


@pytest.mark.parametrize(("kind", "after_doing", "done"), [("504", True, True), ("504", False, False)])
async def test_a_504_may_have_been_done(sandbox: Sandbox, kind: str, after_doing: bool, done: bool) -> None:
    """2.3: 504 -> halve the batch; 6: response lost after a write was applied."""
    await sandbox.control("POST", "/faults", {"kind": kind, "method": "POST", "after_doing": after_doing})

    answer = await sandbox.ask("POST", "/api/v4/leads", [{"name": "x"}])

    assert answer.status == 504
    assert bool(sandbox.demo.events) is done


async def test_a_lost_answer_was_done(sandbox: Sandbox) -> None:
    """6: response lost after a write was applied."""
    await sandbox.control("POST", "/faults", {"kind": "lost", "method": "POST"})

    with pytest.raises(aiohttp.ClientError):
        await sandbox.ask("POST", "/api/v4/leads", [{"name": "x"}])

    assert [event["type"] for event in sandbox.demo.events] == ["lead_added"]


async def test_json_may_be_truncated(sandbox: Sandbox) -> None:
    """6: truncated JSON."""
    await sandbox.control("POST", "/faults", {"kind": "truncate"})

    with pytest.raises(json.JSONDecodeError):
        await sandbox.get("/leads")


async def test_a_request_may_hang(sandbox: Sandbox) -> None:
    """6: timeouts."""
    switch(sandbox, hang_real_seconds=30.0)
    await sandbox.control("POST", "/faults", {"kind": "hang"})

    with pytest.raises(TimeoutError):
        await sandbox.session.get(
            f"{sandbox.url}/api/v4/account", headers={"Host": "demo.kommo.com"}, timeout=aiohttp.ClientTimeout(0.2)
        )


async def test_a_fault_can_wait_for_its_request(sandbox: Sandbox) -> None:
    await sandbox.control("POST", "/faults", {"kind": "502", "path": "/api/v4/leads", "skip": 1, "times": 2})

    statuses = [(await sandbox.get(path)).status for path in ("/account", "/leads", "/leads", "/leads", "/leads")]

    assert statuses == [200, 200, 502, 502, 200]


async def test_random_faults_are_the_same_for_the_same_seed(sandbox: Sandbox) -> None:
    """6: by seed."""
    switch(sandbox, fault_rate=0.3, faults=["500", "502"])
    twin = World(scenario=sandbox.world.scenario).faults
    request = Request({"type": "http", "method": "GET", "path": "/api/v4/account", "headers": []})

    statuses = [(await sandbox.get("/account")).status for _ in range(30)]

    chosen = [twin.choose(request) for _ in range(30)]
    assert statuses == [200 if fault is None else int(fault.kind) for fault in chosen]
    assert set(statuses) == {200, 500, 502}


async def test_every_request_is_on_record(sandbox: Sandbox) -> None:
    await sandbox.get("/leads?limit=7")
    await sandbox.get("/nothing")

    seen = await sandbox.control("GET", "/requests")

    assert [(one["path"], one["query"], one["status"]) for one in seen["requests"]] == [
        ("/api/v4/leads", "limit=7", 200),
        ("/api/v4/nothing", "", 404),
    ]
    assert (seen["total"], seen["statuses"]) == (2, {"200": 1, "404": 1})
