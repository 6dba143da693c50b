"""Whatever happens to the account, the webhooks, the answers and the worker: do one poll and one sweep make it right?

A longer search: OXCART_CONVERGENCE_EXAMPLES=2000 pytest tests/kommo/convergence. It is random then, and remembers what
it found.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from support.http_site import serving as serving_http
from support.server import PrivateServer

from kommo.convergence import steps
from kommo.convergence.agreement import disagreements
from kommo.convergence.playing import Place, Play, playing
from kommo.platform_schema import make_platform
from oxcart.http.webhooks import webhook_routes
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.migrate import migrate
from oxcart.kommo.store.opening import reach_database
from oxcart.kommo.sync.compare import compare_account
from oxcart.kommo.sync.marked import fetch_marked
from oxcart.kommo.sync.run import sync_account
from oxcart.kommo.sync.sweep import sweep_account
from oxcart.kommo.webhooks.drain import drain_hooks
from oxcart.kommo.webhooks.inbox import HookInbox
from oxcart.secret import Secret

EXAMPLES = int(os.environ.get("OXCART_CONVERGENCE_EXAMPLES", "0"))
SHRINK = os.environ.get("OXCART_CONVERGENCE_SHRINK") == "1"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, server: PrivateServer
) -> Iterator[Place]:
    """On PostgreSQL the platform's own tables are there first."""
    url = f"sqlite:///{tmp_path_factory.mktemp('convergence') / 'crm.db'}"
    if request.param == "postgresql":
        cluster = request.getfixturevalue("postgres")
        url = cluster.url(asyncio.run(cluster.make_database()))
        asyncio.run(make_platform(url))
    target = parse_database_url(Secret(url))

    async def prepare() -> None:
        async with reach_database(target) as database:
            await migrate(database)

    asyncio.run(prepare())
    inbox = HookInbox(target, Keyring(), lambda _: None, lambda _: None)
    with serving_http(more_routes=webhook_routes(inbox), beside=inbox) as running:
        yield Place(url, f"http://127.0.0.1:{running.port}", server.url)


@settings(
    max_examples=EXAMPLES or 25,
    derandomize=not EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    phases=tuple(Phase) if SHRINK else (Phase.explicit, Phase.reuse, Phase.generate),
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
            assert await disagreements(play.mirror) == {}
            await check_nothing_is_left_to_do(play)

    asyncio.run(run())


async def poll_and_sweep(play: Play) -> None:
    """What the schedules start: a poll, and a sweep."""
    await drain_hooks(play.account, fetch=fetch_marked, quiet_seconds=0)
    outcomes = await sync_account(play.account)
    swept = await sweep_account(play.account)
    note(f"{outcomes} {swept}")
    assert {one.error for one in (*outcomes, *swept)} == {None}


async def check_nothing_is_left_to_do(play: Play) -> None:
    """What is compared by our own command agrees, and another poll finds nothing new."""
    assert [one for one in await compare_account(play.account) if not one.is_none] == []
    outcomes = await sync_account(play.account)
    assert [(one.entity, one.changed, one.deleted) for one in outcomes if one.changed or one.deleted] == []
    await play.check_ids()
