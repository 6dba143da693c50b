"""Do the handlers that docs/handlers.md shows do what it says of them?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.pages import blocks_of, page_named

from oxcart import JobFailed, Queue
from oxcart.testing import running_worker, wait_until

Page = dict[str, Any]


@pytest.fixture
def page() -> Page:
    """What the blocks of the page define, the app among it."""
    defined: Page = {"__name__": "page"}
    for block in blocks_of(page_named("docs/handlers.md")):
        if block.language == "python":
            exec(compile(block.text, str(block), "exec"), defined)
    return defined


@pytest.fixture
async def queue(page: Page, redis_url: str, queue_name: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Queue]:
    """Served by a worker with the page's app; the page's own Queue finds the server in the environment."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    async with running_worker(page["app"], url=redis_url, queue=queue_name), Queue(queue_name) as opened:
        yield opened


@pytest.mark.parametrize(
    ("name", "data", "result"),
    [
        ("crm:refresh", {"ids": [1, 2]}, {"refreshed": 2}),
        ("invoice:send", {"number": 7}, "7 in EUR"),
        ("pdf:render", {"pages": 3}, 3),
        ("lead:watch", {"lead": 1}, "won"),
        ("page:fetch", {"lead": 3}, "won"),
        ("import", {"rows": [1, 0]}, 2),
        ("fan-out", {"titles": ["a", "b"]}, 2),
    ],
)
async def test_what_a_handler_of_the_page_returns(queue: Queue, name: str, data: Any, result: Any) -> None:
    added = await queue.add(name, data)

    assert await added.result(timeout_seconds=20) == result


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [("invoice:send", {"number": 0}, "number"), ("lead:watch", {"lead": -1}, "no such lead")],
)
async def test_what_is_not_worth_repeating_fails_at_once(queue: Queue, name: str, data: Any, reason: str) -> None:
    added = await queue.add(name, data, attempts=5)

    with pytest.raises(JobFailed, match=reason):
        await added.result(timeout_seconds=20)


@pytest.mark.parametrize(
    ("name", "data", "delay_ms", "attempts_made"),
    [("lead:watch", {"lead": 2}, 600_000, 0), ("fax:send", {}, 900_000, 1)],
)
async def test_what_a_snooze_and_a_strategy_make_of_a_job(
    queue: Queue, name: str, data: Any, delay_ms: int, attempts_made: int
) -> None:
    added = await queue.add(name, data)

    async def is_delayed() -> bool:
        return await added.state() == "delayed"

    await wait_until(is_delayed, describe="it is delayed")
    stored = await queue.get(added.id)
    assert stored is not None
    assert (stored.delay_ms, stored.attempts_made) == (delay_ms, attempts_made)


async def test_the_flow_and_the_schedule_of_the_page(queue: Queue, page: Page) -> None:
    assert await queue.result(await page["add_book"](queue), timeout_seconds=20) == 9

    await page["schedule_report"](queue)
    (schedule,) = await queue.schedules()
    assert (schedule.name, schedule.limit) == ("crm:refresh", 10)


async def test_the_listener_hears_and_the_worker_is_steered(
    page: Page, queue: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    added = await queue.add("invoice:send", {"number": 0})
    with pytest.raises(JobFailed):
        await added.result(timeout_seconds=20)
    changed: list[bool] = []
    await page["while_nothing_runs"](lambda: changed.append(page["app"].worker.is_paused))

    assert changed == [True]
    assert (page["app"].worker.is_paused, page["app"].worker.concurrency) == (False, 5)
    shown = await wait_until(lambda: capsys.readouterr().out, describe="the listener has printed it")
    assert shown.startswith(f"{added.id} 1 ")
