"""Is the mirror right after a worker was killed with -9 again and again, while people worked in the account?"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

from support.programs import free_port
from support.starter import Forked, start
from support.waiting import wait_until

from kommo.convergence import steps
from kommo.convergence.ending import check_it_is_right, check_nothing_is_left_to_do, poll_and_sweep
from kommo.convergence.playing import Place, Play, playing
from oxcart_sandbox.scenario import change_scenario

KILLS = 3
BEGINNING = steps.Beginning(40, 30, page_rows=10, php_empty=True, notes_touch_parent=False, seed=3)
WEATHER = {
    "hooks_held": False,
    "late_seconds": 20.0,
    "fault_rate": 0.03,
    "latency_real_seconds": 0.003,
    "hook_drop": 0.3,
    "hook_duplicate": 0.2,
    "hook_reorder": 0.3,
    "hook_mix": 0.3,
}


async def test_a_worker_that_is_killed_at_any_point_leaves_nothing_wrong(place: Place) -> None:
    chance, port = Random(11), free_port()
    its_door = replace(place, door_url=f"http://127.0.0.1:{port}")
    bucket = uuid.uuid4().hex
    async with playing(its_door, BEGINNING, bucket=bucket) as play:
        play.world.scenario = change_scenario(play.world.scenario, WEATHER)
        play.world.clock.set_speed(20)
        play.world.on_answer = _edits(play, chance)
        for _ in range(KILLS):
            async with _working(its_door, play, bucket, port):
                enough = play.world.answered + chance.randint(5, 70)
                await _until_answered(play, enough)
            await play.lapse()
            await play.check_ids()
        play.world.on_answer = lambda _: None
        play.world.clock.set_speed(0)

        await play.calm_down(hooks_arrive=False, seconds=700)
        await poll_and_sweep(play)
        await check_it_is_right(play)
        await check_nothing_is_left_to_do(play)


def _edits(play: Play, chance: Random) -> Callable[[int], None]:
    def edit(_: int) -> None:
        if chance.random() < 0.3:
            play.changes.make(steps.some_change(chance))

    return edit


async def _until_answered(play: Play, enough: int) -> None:
    await wait_until(lambda: play.world.answered >= enough, describe=f"{enough} requests were answered", timeout=60)


@asynccontextmanager
async def _working(place: Place, play: Play, bucket: str, port: int) -> AsyncIterator[Forked]:
    """A worker process, from when it answers until it is killed."""
    account, token = play.account, play.world.token_of(play.world.accounts[0])
    words = (place.database_url, place.redis_url, play.url, bucket, token, account.connection_id, account.org_id)
    process = await start("kommo.convergence.working_process", (*words, str(port)))
    try:
        assert await process.stdout.readline() == f"{port}\n".encode()
        yield process
        assert process.returncode is None, "the worker ended by itself"
    finally:
        await process.end()
