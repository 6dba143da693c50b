"""A worker with a board, and queues as an operator meets them at night; and a browser to look at them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from playwright.async_api import Browser, async_playwright
from pydantic import BaseModel, Field
from redis.asyncio import Redis

from oxcart import Job, Oxcart, Queue
from oxcart.queue.repeats import Repeat
from oxcart.serving import Service, plan
from oxcart.telemetry.bus import Bus
from oxcart.testing import wait_until

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
NAMES = ("chromium-headless-shell", "chromium")
EVIL = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>';window.hacked=1;'\x1b[31m\u202e"
REASONS = (
    "Kommo answered 502 for lead {n} after {ms} ms",
    "no answer from api.example.com within 30 s",
    "token=abc123 is not valid any more for https://user:secret@crm.example/api",
)


@dataclass(frozen=True, slots=True)
class Site:
    """`queue` is the one with most in it; `flow` is the id of a job with children, `evil` of a hostile one."""

    address: str
    url: str
    queue: str
    flow: str
    evil: str


def browser_path() -> str | None:
    return next((path for path in map(shutil.which, NAMES) if path is not None), None)


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


class Report(BaseModel):
    month: str = Field(description="As in 2026-12")
    copies: int = Field(default=1, ge=1, le=99)
    paper: Literal["A4", "A3"] = "A4"
    sections: list[str] = []


def night_app() -> Oxcart:
    app = Oxcart()

    @app.job("crm:import", timeout_seconds=600)
    async def crm_import(job: Job) -> None:
        await job.log("reading page 1 of 40")
        await job.progress(37)
        await asyncio.sleep(600)

    @app.job("report")
    async def report(job: Job[Report]) -> Any:
        await job.log(f"rendering {job.data.month}")
        return {"pages": 12, "url": "https://files.example/report.pdf"}

    return app


@asynccontextmanager
async def open_site(url: str, queue: str = "agent-jobs", **environ: str) -> AsyncIterator[Site]:
    """A real worker and its HTTP side in this process. `environ` are further settings."""
    given: Mapping[str, str] = {
        "REDIS_URL": url,
        "PORT": "0",
        "JOB_QUEUE_NAME": queue,
        "OXCART_RELEASE": "6bdcd911aa",
        "LOG_LEVEL": "error",
        "OXCART_SHUTDOWN_GRACE_SECONDS": "0",
        **environ,
    }
    async with AsyncExitStack() as stack:
        service = Service(night_app(), plan(given), Bus())
        await service.start(stack, loopback_only=True)
        flow, evil = await fill(url, queue)
        yield Site(f"http://127.0.0.1:{service.http_port}", url, queue, flow, evil)


async def fill(url: str, name: str) -> tuple[str, str]:
    """The ids of a flow's root and of a hostile job."""
    async with (
        Queue(name, url) as queue,
        Queue("mail", url) as mail,
        Queue("crm-sync", url) as crm,
        Redis.from_url(url, decode_responses=True) as redis,
    ):
        now = (await redis.time())[0] * 1000
        await queue.add_many([("crm:import", {"account": n}) for n in range(3)])
        await queue.add_many([("report", {"month": f"2026-{n % 12 + 1:02}"}) for n in range(24)])
        await queue.add_many([("agent:run", {"chat": n, "model": "large", "apiKey": "sk-1"}) for n in range(31)])
        await queue.add_many([("reminder", {"n": n}, {"delay_seconds": 600 * (n + 1)}) for n in range(9)])
        dead = await queue.add_many(
            [("whatsapp:send-message", {"lead": {"id": n}, "password": "hunter2"}, {"attempts": 3}) for n in range(60)]
        )
        async with redis.pipeline(transaction=False) as pipeline:
            for n, job in enumerate(dead):
                at = now - n * 47_000
                reason = REASONS[n % 3].format(n=1000 + n, ms=n * 13)
                trace = f'["Traceback (most recent call last):\\n  File \\"app.py\\", line {n}\\nRuntimeError"]'
                key = f"bull:{name}:{job.id}"
                ended: dict[Any, Any] = {
                    "failedReason": reason,
                    "stacktrace": trace,
                    "atm": 3,
                    "processedOn": at - 812,
                    "finishedOn": at,
                }
                pipeline.lrem(f"bull:{name}:wait", 0, job.id)
                pipeline.hset(key, mapping={**ended, "pb": "oxcart-5f3a"})
                pipeline.zadd(f"bull:{name}:failed", {job.id: at})
            await pipeline.execute()
        evil = "evil-<i>"
        await redis.hset(
            f"bull:mail:{evil}",
            mapping=dict.fromkeys(("name", "data", "opts", "failedReason", "returnvalue", "pb"), EVIL),
        )
        await redis.hset(f"bull:mail:{evil}", "timestamp", now)
        await redis.zadd("bull:mail:failed", {evil: now})
        await mail.add_many([("send", {"to": f"user{n}@example.com"}) for n in range(1234)])
        await mail.pause()
        leads = {"name": "sync-leads", "children": [{"name": "page", "data": {"n": n}} for n in range(3)]}
        contacts = {"name": "sync-contacts", "queue": name}
        flow = await crm.add_flow({"name": "sync-all", "children": [leads, contacts]})
        pipelines = Repeat(cron="0 3 * * *", tz="Europe/Madrid")
        await crm.upsert_schedule("nightly", pipelines, name="crm:sync-pipelines", data={"full": True})
        await crm.upsert_schedule("poll", Repeat(every_seconds=300), name="crm:sync-contacts")
        await wait_until(lambda: _settled(queue), describe="the worker has done what it can")
        return flow.id, evil


async def _settled(queue: Queue) -> bool:
    counts = await queue.counts()
    return (counts["active"], counts["completed"]) == (3, 24)
