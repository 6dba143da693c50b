"""Whatever happens to the account, the webhooks, the answers and the worker: do one poll and one sweep make it right?

A longer search, which is random and remembers what it found:
OXCART_CONVERGENCE_EXAMPLES=500 pytest tests/kommo/convergence; with OXCART_CONVERGENCE_SHRINK=1 it also makes it small.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kommo.convergence import steps
from kommo.convergence.ending import check_it_is_right, poll_and_sweep
from kommo.convergence.playing import Place, playing

EXAMPLES = int(os.environ.get("OXCART_CONVERGENCE_EXAMPLES", "0"))
SHRINKS = os.environ.get("OXCART_CONVERGENCE_SHRINK") == "1"

FEW_EXAMPLES = 10
"""Some 30 s on each database: each example is a few hundred requests and transactions."""


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
    history=steps.histories(30 if EXAMPLES else 14),
    hooks_arrive=st.booleans(),
    quiet_seconds=st.sampled_from((0.0, 700.0, 90_000.0)),
)
@pytest.mark.timeout(0 if EXAMPLES else 300)
def test_the_mirror_is_right_after_one_poll_and_one_sweep(
    place: Place, beginning: steps.Beginning, history: Sequence[steps.Step], hooks_arrive: bool, quiet_seconds: float
) -> None:
    async def run() -> None:
        async with playing(place, beginning, bucket=uuid.uuid4().hex) as play:
            await play.play(history)
            await play.calm_down(hooks_arrive=hooks_arrive, seconds=quiet_seconds)
            await poll_and_sweep(play)
            await check_it_is_right(play)

    asyncio.run(run())
