"""How does every history end? One poll and one sweep run undisturbed; then nothing may be wrong or left to do."""

from __future__ import annotations

from kommo.convergence.agreement import disagreements
from kommo.convergence.playing import Play
from oxcart.kommo.sync.compare import compare_account
from oxcart.kommo.sync.marked import fetch_marked
from oxcart.kommo.sync.run import sync_account
from oxcart.kommo.sync.sweep import sweep_account
from oxcart.kommo.webhooks.drain import drain_hooks


async def poll_and_sweep(play: Play) -> None:
    """What the schedules start."""
    await drain_hooks(play.account, fetch=fetch_marked, quiet_seconds=0)
    outcomes = await sync_account(play.account)
    swept = await sweep_account(play.account)
    assert {one.error for one in outcomes} | {one.error for one in swept} == {None}


async def check_it_is_right(play: Play) -> None:
    """Seen past our own code, and by our own command; and another poll finds nothing new."""
    assert await disagreements(play.mirror) == {}
    assert [one for one in await compare_account(play.account) if not one.is_none] == []
    outcomes = await sync_account(play.account)
    assert [(one.entity, one.changed, one.deleted) for one in outcomes if one.changed or one.deleted] == []
    await play.check_ids()
