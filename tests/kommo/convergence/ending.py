"""How does every history end? One poll and one sweep run undisturbed; then nothing may be wrong or left to do."""

from __future__ import annotations

from typing import Any

from support.mirroring import TABLES

from kommo.convergence.agreement import disagreements
from kommo.convergence.playing import Play
from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.sync.compare import compare_account
from oxcart.kommo.sync.marked import fetch_marked
from oxcart.kommo.sync.run import sync_account
from oxcart.kommo.sync.sweep import sweep_account
from oxcart.kommo.webhooks.drain import drain_hooks


async def poll_and_sweep(play: Play) -> None:
    """What the schedules start. The poll alone finds all but what Kommo has told nobody of."""
    await drain_hooks(play.account, fetch=fetch_marked, quiet_seconds=0)
    assert {one.error for one in await sync_account(play.account)} == {None}
    assert await missed_changes(play) == {}
    await play.lapse()
    assert {one.error for one in await sweep_account(play.account)} == {None}


async def poll_and_sweep_as_a_user(play: Play) -> None:
    """What an administrator alone may see is left out, and nothing is buried because it was not met. All that there is
    is read again all the same: only rows that went without a word may be here and not there.
    """
    await drain_hooks(play.account, fetch=fetch_marked, quiet_seconds=0)
    assert {one.error for one in await sync_account(play.account)} == {None}
    assert await missed_changes(play) == {}
    await play.lapse()
    for swept in await sweep_account(play.account):
        assert swept.tombstoned == 0
        assert swept.error is None or swept.suspects
    for name, (missing, extra, other) in (await play.mirror.differences()).items():
        assert (missing, other) == ([], [])
        assert set(extra) <= play.changes.silent[name]


async def missed_changes(play: Play) -> dict[str, Any]:
    """By stream, rows that are missing here, too many or other, though their last change can be seen in a list."""
    found = {}
    for name in TABLES:
        here = {key: _told(row["raw"]) for key, row in (await play.mirror.alive(name)).items()}
        there = {key: _told(raw) for key, raw in play.mirror.truth(ENTITIES[name]).items()}
        changed = {key for key in here.keys() | there.keys() if here.get(key) != there.get(key)}
        missed = sorted(changed - play.changes.silent[name])
        if missed:
            found[name] = [(key, here.get(key), there.get(key)) for key in missed[:3]]
    return found


def _told(raw: dict[str, Any]) -> dict[str, Any]:
    """Without the names of tags: one that is renamed changes no row."""
    embedded = raw.get("_embedded")
    if not isinstance(embedded, dict):
        return raw
    return {**raw, "_embedded": {**embedded, "tags": [tag["id"] for tag in embedded["tags"]]}}


async def check_it_is_right(play: Play) -> None:
    assert await disagreements(play.mirror) == {}
    await play.check_ids()


async def check_nothing_is_left_to_do(play: Play) -> None:
    """Our own command sees no difference either, and another poll finds nothing new."""
    assert [one for one in await compare_account(play.account) if not one.is_none] == []
    outcomes = await sync_account(play.account)
    assert [(one.entity, one.changed, one.deleted) for one in outcomes if one.changed or one.deleted] == []
