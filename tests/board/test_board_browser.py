"""Does the board work in a real browser: both themes and widths, by keys alone, without scripts, under way?"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from redis.asyncio import Redis
from support.board_site import Site, browser_path, open_browser, open_site
from support.server import PrivateServer

from oxcart import Queue
from oxcart.board.door import BoardDoor, BoardPlan
from oxcart.connection.target import parse_redis_url
from oxcart.http.server import HttpServer
from oxcart.secret import Secret

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(browser_path() is None, reason="no Chromium: apt-get install chromium-headless-shell"),
]

expect.set_options(timeout=15_000)
AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
SHOTS = os.environ.get("OXCART_TEST_SHOTS")  # a folder in which CI keeps what every page looked like
WIDE: Any = {"width": 1440, "height": 900}
NARROW: Any = {"width": 360, "height": 740}
STILL_PAGES = ("overview", "failed", "question")  # what is asked of all pages with scripts need not be asked again
CONTRAST = {
    "runOnly": ["color-contrast", "target-size", "scrollable-region-focusable"]
}  # what themes and widths change
PAGES = {
    "overview": "/board",
    "failed": "/board/queue?queue=agent-jobs&state=failed",
    "waiting": "/board/queue?queue=agent-jobs",
    "dead-letters": "/board/dead-letters",
    "schedules": "/board/schedules",
    "workers": "/board/workers",
    "history": "/board/history",
    "doctor": "/board/doctor",
    "search": "/board/search?text=hunter2",
    "question": "/board/ask?verb=add&queue=agent-jobs",
    "form": "/board/ask?verb=add&queue=agent-jobs&form=report",
    "not-there": "/board/job?queue=mail&id=nobody",
}


@pytest.fixture(scope="session")
def board_server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    server = PrivateServer(tmp_path_factory.mktemp("board-server"), append_only=False)
    server.start()
    yield server
    server.kill()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(board_server: PrivateServer) -> AsyncIterator[Site]:
    async with open_site(board_server.url) as found:
        yield found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as found:
        yield found


@asynccontextmanager
async def looking(browser: Browser, site: Site, **context: Any) -> AsyncIterator[Page]:
    """A person of their own; what the browser complains about fails the test."""
    complaints: list[str] = []
    async with await browser.new_context(base_url=site.address, viewport=WIDE, **context) as opened:
        page = await opened.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
        yield page
        expected = (
            "status of 503",
            "status of 404",
            "status of 409",
            "status of 400",
            "status of 401",
            "ERR_",
            "network error",
        )
        assert [text for text in complaints if not any(each in text for each in expected)] == []


def paths_of(site: Site, names: Iterable[str]) -> dict[str, str]:
    return {
        **{name: PAGES[name] for name in names},
        "flow": f"/board/job?queue=crm-sync&id={site.flow}",
        "evil": f"/board/job?queue=mail&id={site.evil}",
    }


@pytest.mark.parametrize(
    ("theme", "size", "rules"), [("light", WIDE, {}), ("dark", WIDE, CONTRAST), ("dark", NARROW, CONTRAST)]
)
async def test_every_page_is_whole_and_can_be_used_by_everyone(
    browser: Browser, site: Site, theme: Any, size: Any, rules: Any
) -> None:
    """Axe finds nothing, nothing is wider than the screen, and the browser has no complaint."""
    async with looking(browser, site, color_scheme=theme) as page:
        await page.set_viewport_size(size)
        for name, path in paths_of(site, PAGES).items():
            await page.goto(path)
            await page.evaluate(AXE)
            found = await page.evaluate("rules => axe.run(document, {resultTypes: ['violations'], ...rules})", rules)
            problems = [(each["id"], each["nodes"][0]["html"][:200]) for each in found["violations"]]
            width = await page.evaluate("document.documentElement.scrollWidth")
            if SHOTS:
                await page.screenshot(path=f"{SHOTS}/{name}-{theme}-{size['width']}.png")
            assert (name, problems) == (name, [])
            assert (name, width) == (name, size["width"])


async def test_no_text_of_a_job_becomes_a_script(browser: Browser, site: Site) -> None:
    async with looking(browser, site) as page:
        await page.add_init_script(
            "addEventListener('securitypolicyviolation', e => { window.refused = e.blockedURI })"
        )
        for path in (
            f"/board/job?queue=mail&id={site.evil}",
            "/board/queue?queue=mail&state=failed",
            "/board/dead-letters",
        ):
            await page.goto(path)
            await expect(page.locator("#line")).to_have_class("line on")
            assert await page.evaluate("[window.hacked, window.refused]") == [None, None]
            assert await page.locator("main img").count() == 0
        assert "window.hacked" in await page.inner_text("main")


async def test_by_keys_alone_a_job_is_found_opened_and_run_again(browser: Browser, site: Site) -> None:
    async with looking(browser, site) as page, Queue(site.queue, site.url) as queue:
        await page.goto("/board/queue?queue=agent-jobs&state=failed")
        await expect(page.locator("#line")).to_have_class("line on")
        for key in ("j", "j", "j", "k"):
            await page.keyboard.press(key)
        await expect(page.locator("a.row").nth(1)).to_be_focused()
        await page.keyboard.press("x")
        await page.keyboard.press("r")
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await page.keyboard.press("Enter") if await page.evaluate("document.activeElement.matches('a.row')") else (
            await page.locator("a.row").nth(1).press("Enter")
        )
        await page.wait_for_url("**/board/job?**")
        await expect(page.locator("#line")).to_have_class("line on")
        wanted = parse_qs(urlsplit(page.url).query)["id"][0]
        await page.keyboard.press("r")
        await page.get_by_role("dialog").get_by_role("button", name="Retry").press("Enter")

        await expect(page.get_by_role("status").first).to_contain_text(f"Job {wanted} of queue")
        job = await queue.get(wanted)
        assert (await queue.state(wanted), job and (job.name, job.failed_reason)) == (
            "waiting",
            ("whatsapp:send-message", None),
        )
        await page.keyboard.press("/")
        await expect(page.locator("#find")).to_be_focused()


async def test_without_scripts_everything_can_be_seen_and_done(browser: Browser, site: Site) -> None:
    async with looking(browser, site, java_script_enabled=False) as page, Queue(site.queue, site.url) as queue:
        for name in STILL_PAGES:
            await page.goto(PAGES[name])
            await expect(page.locator("main")).to_be_visible()
        await page.goto("/board/queue?queue=agent-jobs&state=failed")
        await page.locator("input[name=id]").first.check()
        wanted = await page.locator("input[name=id]").first.get_attribute("value")
        assert wanted is not None
        await page.select_option("#verb", "remove")
        await page.get_by_role("button", name="those picked").click()
        await page.locator("form.question button.harm").click()

        await expect(page.locator(".told")).to_contain_text("Removed job")
        assert await queue.get(wanted) is None
        await page.get_by_role("button", name="Русский").click()
        await expect(page.get_by_role("link", name="Очереди")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
async def test_a_job_is_added_by_the_form_of_its_model(browser: Browser, site: Site, scripts: bool) -> None:
    """What is wrong stands at its field, and nothing that was typed is lost."""
    async with looking(browser, site, java_script_enabled=scripts) as page, Queue(site.queue, site.url) as queue:
        await page.goto("/board/queue?queue=agent-jobs")
        await page.get_by_role("button", name="Add a job").click()
        await page.get_by_role("link", name="report", exact=True).click()
        await page.get_by_label("Month").fill("2027-01")
        await page.get_by_label("Copies").fill("many")
        await page.get_by_role("button", name="Add a job").click()

        await expect(page.get_by_label("Copies")).to_have_attribute("aria-invalid", "true")
        await expect(page.get_by_label("Copies")).to_have_accessible_description("A whole number is needed.")
        await expect(page.get_by_label("Month")).to_have_value("2027-01")
        await page.get_by_label("Copies").fill("3")
        await page.get_by_label("Paper").select_option("A3")
        await page.get_by_role("button", name="Add a job").click()

        told = page.locator(".told")
        await expect(told).to_contain_text("Added job")
        wanted = re.search(r"Added job (\S+) to", await told.inner_text())
        assert wanted is not None
        job = await queue.get(wanted[1])
        assert job is not None
        assert job.data == {"month": "2027-01", "copies": 3, "paper": "A3"}


async def test_on_a_phone_a_schedule_can_be_run(browser: Browser, site: Site) -> None:
    """Its buttons were not there below 760 px."""
    async with looking(browser, site) as page:
        await page.set_viewport_size(NARROW)
        await page.goto("/board/schedules")
        await page.get_by_role("button", name="Run now").first.click()
        await page.get_by_role("dialog").get_by_role("button", name="Run now").click()

        await expect(page.locator(".told")).to_contain_text("Added job")


async def test_an_open_list_follows_without_losing_what_is_picked(browser: Browser, site: Site) -> None:
    async with looking(browser, site) as page, Queue(site.queue, site.url) as queue:
        await page.goto("/board/queue?queue=agent-jobs&state=delayed")
        await expect(page.locator("#line")).to_have_class("line on")
        await page.locator("input[name=id]").nth(2).check()
        picked = await page.locator("input[name=id]").nth(2).get_attribute("value")
        await page.evaluate("scrollTo(0, 120)")
        top = await page.evaluate("scrollY")

        added = await queue.add("reminder", {"n": 0}, delay_seconds=1800)

        await expect(page.locator(f"input[value='{added.id}']")).to_be_visible()
        assert await page.locator("input[name=id]:checked").get_attribute("value") == picked
        assert await page.evaluate("scrollY") == top
        await queue.remove(added.id)


async def test_two_people_at_once_and_a_way_back(browser: Browser, site: Site) -> None:
    async with looking(browser, site) as one, looking(browser, site) as two, Queue("mail", site.url) as mail:
        await one.goto("/board/queue?queue=mail")
        await two.goto("/board/queue?queue=mail")
        await two.get_by_role("button", name="Resume").click()
        await one.get_by_role("button", name="Resume").click()
        await one.get_by_role("dialog").get_by_role("button", name="Resume").click()
        await expect(one.locator(".told")).to_contain_text("Queue mail runs")
        await two.get_by_role("dialog").get_by_role("button", name="Resume").click()
        await expect(two.locator(".told")).to_contain_text("Queue mail runs")
        assert not await mail.is_paused()

        await one.get_by_role("button", name="Undo: Pause").click()
        await one.get_by_role("dialog").get_by_role("button", name="Pause").click()
        await expect(one.locator(".told")).to_contain_text("is paused")
        await expect(two.locator("h1")).to_contain_text("paused")
        assert await mail.is_paused()


async def test_all_that_match_are_done_with_progress(browser: Browser, site: Site) -> None:
    async with looking(browser, site) as page, Queue("mail", site.url) as mail:
        await page.goto("/board/queue?queue=mail&state=paused")
        await page.select_option("#verb", "remove")
        await page.get_by_role("button", name=re.compile("^all .* that match")).click()
        await expect(page.get_by_role("dialog")).to_contain_text("All 1\u202f234 jobs that match")
        await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        await expect(page.locator(".told, .problem p[role=status]")).to_contain_text("1234 done", timeout=20_000)
        assert (await mail.counts())["paused"] == 0


async def test_many_failed_jobs_are_paged_and_searched(browser: Browser, site: Site) -> None:
    """200 000 of them, made inside the server: they would take a worker a minute."""
    async with looking(browser, site) as page, Redis.from_url(site.url, socket_timeout=60) as redis:
        script = """
            for n = 1, 200000 do
              local id = 'big-' .. n
              redis.call('HSET', 'bull:big:' .. id, 'name', 'n', 'data', '{"n":' .. n .. '}', 'timestamp', n,
                'failedReason', 'no luck', 'finishedOn', n)
              redis.call('ZADD', 'bull:big:failed', n, id)
            end
            redis.call('HSET', 'bull:big:meta', 'opts.maxLenEvents', 10)
        """
        await redis.eval(script, 0)
        await page.goto("/board/queue?queue=big&state=failed")
        await expect(page.locator("tbody tr")).to_have_count(50)
        await expect(page.locator("tbody code").first).to_have_text("big-200000")
        await page.get_by_role("link", name="Next page").click()
        await expect(page.locator("tbody code").first).to_have_text("big-199950")
        await page.goto("/board/search?text=data.n+%3D+17&queue=big&state=failed")
        await expect(page.locator("main [role=status]")).to_contain_text("1 found.", timeout=20_000)
        await expect(page.locator("tbody code").first).to_have_text("big-17")


async def test_a_login_by_token_in_a_browser(browser: Browser, site: Site) -> None:
    target = parse_redis_url(site.url, {})
    plan = BoardPlan(lambda: target, "bull", ("mail",), "1.2.3", operators=(Secret("right-token"),))
    door = BoardDoor(plan)
    http = HttpServer(None, lambda _: None, port=0, loopback_only=True, wholes=door.wholes, beside=door)
    guarded = Site(f"http://127.0.0.1:{http.start()}", site.url, "mail", "", "")
    try:
        async with looking(browser, guarded) as page:
            await page.goto("/board/queue?queue=mail")
            await page.fill("#token", "wrong-token")
            await page.get_by_role("button", name="Log in").click()
            await expect(page.get_by_role("alert")).to_contain_text("no token")
            await page.fill("#token", "right-token")
            await page.get_by_role("button", name="Log in").click()
            await page.wait_for_url("**/board/queue?queue=mail")
            await expect(page.locator("h1")).to_contain_text("mail")
            await page.get_by_role("button", name="Log out").click()
            await page.goto("/board")
            await expect(page.locator("#token")).to_be_visible()
    finally:
        http.stop()


async def test_redis_goes_away_and_comes_back_under_an_open_page(
    browser: Browser, site: Site, board_server: PrivateServer
) -> None:
    async with looking(browser, site) as page:
        await page.goto("/board")
        await expect(page.locator("#line")).to_have_class("line on")
        board_server.kill()
        await expect(page.locator("h1")).to_contain_text("Redis cannot be used now", timeout=15_000)
        board_server.start()
        await expect(page.locator("table.list")).to_contain_text("agent-jobs", timeout=20_000)
