"""Does the demo run anywhere, show what it promises, and leave other servers alone?"""

from __future__ import annotations

import re
import signal

from redis.asyncio import Redis
from support.command import Oxcart

from oxcart.testing import wait_until

CRM = ("connect", "first sync", "rename", "move", "add", "delete", "note", "compare")
JOBS = ("greet", "thumbnail", "remind", "flaky", "urgent", "report", "broken", "tick")
SHOWN = (*CRM, *JOBS)


async def test_once_shows_everything_and_ends_well(bare_oxcart: Oxcart) -> None:
    done = await bare_oxcart("demo", "--once")

    assert done.code == 0
    assert f"{len(SHOWN)} of {len(SHOWN)} went as expected." in done.out
    for name in SHOWN:
        assert name in done.out
    assert "private server in .oxcart/" in done.out
    assert done.err == ""


async def test_its_dead_letter_can_be_looked_at_with_the_commands_it_suggests(bare_oxcart: Oxcart) -> None:
    done = await bare_oxcart("demo", "--once")
    suggested = [line for line in done.out.partition("What next")[2].splitlines() if re.match(r"  \S*oxcart ", line)]

    listed = await bare_oxcart(*suggested[0].split()[1:])
    shown = await bare_oxcart(*suggested[1].split()[1:])

    assert len(suggested) == 4
    assert "invoice 4711 does not exist" in listed.out
    assert "ValueError: invoice 4711" in shown.out


async def test_it_needs_no_settings_and_touches_no_configured_redis(oxcart: Oxcart, redis: Redis) -> None:
    """Not even settings that are wrong keep it from running; and it can be run again in the same folder."""
    keys_before = await redis.dbsize()

    for _ in range(2):
        done = await oxcart("demo", "--once", PORT="nonsense", JOB_CONCURRENCY="0", RAILWAY_SERVICE_ID="x")

        assert done.code == 0
        assert done.err == ""
    assert await redis.dbsize() == keys_before


async def test_without_once_it_keeps_running_until_ctrl_c(bare_oxcart: Oxcart) -> None:
    async with bare_oxcart.running("demo") as running:
        await wait_until(lambda: "Ctrl-C ends it" in running.out, describe="all was shown", timeout=120)
        added = await bare_oxcart("enqueue", "greet", "--queue", "demo", "--data", '{"name": "Bo"}', "--wait", "20")
        await wait_until(lambda: added.out.split()[0] in running.out, describe="the new job is shown", timeout=20)

        assert await running.stopped_by(signal.SIGINT) == 0

    assert added.last_line == '"Hello Bo"'
    assert "Traceback" not in running.err
    for queue in ("demo", "oxcart"):
        schedules = await bare_oxcart("schedules", "list", "--queue", queue, "--json")
        assert schedules.json == [], "what the demo repeats ends with it"
