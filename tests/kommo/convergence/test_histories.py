"""Whatever happens to the account, the webhooks, the answers and the worker: do one poll and one sweep make it right?

A longer search, which is random and remembers what it found:
OXCART_CONVERGENCE_EXAMPLES=500 pytest tests/kommo/convergence; with OXCART_CONVERGENCE_SHRINK=1 it also makes it small.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from kommo.convergence import steps
from kommo.convergence.ending import (
    check_it_is_right,
    check_nothing_is_left_to_do,
    poll_and_sweep,
    poll_and_sweep_as_a_user,
)
from kommo.convergence.playing import Place, playing

EXAMPLES = int(os.environ.get("OXCART_CONVERGENCE_EXAMPLES", "0"))
SHRINKS = os.environ.get("OXCART_CONVERGENCE_SHRINK") == "1"

FEW_EXAMPLES = 4
"""Beside those written out. Each is some hundred requests and transactions."""

PLAIN = steps.Beginning(12, 10, page_rows=0, php_empty=True, notes_touch_parent=False, seed=1)
LATE = replace(PLAIN, page_rows=5, late_seconds=300.0)
SYNC, SWEEP = steps.Work(("sync",)), steps.Work(("sweep",))

# A list that is late shows an edit only after the poll whose window it is dated in.
SEEN_LATE = (SYNC, steps.Pass(1000.0), steps.Edit("contacts", 3, "name"), steps.Pass(3.0), SYNC)
# Nothing but an event tells of the first two, nothing at all of the others.
GONE = (
    SYNC,
    steps.Delete("contacts", 2),
    steps.Delete("tasks", 0),
    steps.Delete("leads_notes", 0),
    steps.Merge(4, 5),
    steps.Hide("leads", 3),
)
BOM = (steps.Weather({"bom": True}), SYNC, steps.Edit("leads", 1, "stage"), steps.Edit("contacts", 3, "odd"))
# Killed in the middle of a first walk and of a sweep, while rows move over the edges of its pages.
KILLED = (
    replace(SYNC, cut=150, meanwhile=((9, steps.Delete("contacts", 0)), (10, steps.Edit("contacts", 4, "links")))),
    steps.Pass(3.0),
    replace(SWEEP, cut=80, meanwhile=((3, steps.Delete("leads", 0)), (4, steps.Restore(0)))),
)


@settings(
    max_examples=EXAMPLES or FEW_EXAMPLES,
    derandomize=not EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    phases=[phase for phase in Phase if SHRINKS or phase not in {Phase.shrink, Phase.explain}],
)
@given(
    beginning=steps.beginnings(),
    history=steps.histories(8 if EXAMPLES else 4),
    hooks_arrive=st.sampled_from((False, False, True)),
    quiet_seconds=st.sampled_from((0.0, 700.0, 90_000.0)),
)
@example(beginning=LATE, history=SEEN_LATE, hooks_arrive=False, quiet_seconds=0.0)
@example(beginning=PLAIN, history=GONE, hooks_arrive=False, quiet_seconds=700.0)
@example(beginning=LATE, history=KILLED, hooks_arrive=True, quiet_seconds=0.0)
@example(beginning=replace(PLAIN, is_admin=False), history=(*GONE, *BOM), hooks_arrive=False, quiet_seconds=0.0)
@pytest.mark.timeout(0 if EXAMPLES else 300)
def test_the_mirror_is_right_after_one_poll_and_one_sweep(
    place: Place, beginning: steps.Beginning, history: Sequence[steps.Step], hooks_arrive: bool, quiet_seconds: float
) -> None:
    async def run() -> None:
        async with playing(place, beginning, bucket=uuid.uuid4().hex) as play:
            await play.play(history)
            await play.calm_down(hooks_arrive=hooks_arrive, seconds=quiet_seconds)
            if not beginning.is_admin:
                await poll_and_sweep_as_a_user(play)
                await play.become_administrator()
            await poll_and_sweep(play)
            await check_it_is_right(play)
            if EXAMPLES or place.database_url.startswith("sqlite"):
                await check_nothing_is_left_to_do(play)

    asyncio.run(run())
