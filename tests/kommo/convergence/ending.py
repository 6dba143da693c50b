"""How does every history end? One poll and one sweep run undisturbed; then nothing may be wrong or left to do, and they
may have cost hardly more than what had to be asked.
"""

from __future__ import annotations

from typing import Any

from kommo.convergence.agreement import disagreements
from kommo.convergence.fewest import are_few, fewest_of_poll, fewest_of_sweep
from kommo.convergence.playing import Play
from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.sync.compare import compare_account
from oxcart.kommo.sync.run import Outcome, sync_account
from oxcart.kommo.sync.sweep import sweep_account
from oxcart.kommo.webhooks.drain import drain_hooks

SELDOM = [entity.name for entity in ENTITIES.values() if entity.seldom_seconds]


async def poll_and_sweep(play: Play) -> None:
    """What the schedules start. The poll alone finds all but what Kommo has told nobody of."""
    await drain_hooks(play.account, quiet_seconds=0)
    outcomes = await _poll(play)
    assert await missed_changes(play) == {}
    await play.lapse()
    least, before = await fewest_of_sweep(play), play.world.answered
    assert {one.error for one in await sweep_account(play.account)} == {None}
    _check_cost(play, "sweep", play.world.answered - before, least)
    fresh = [one.entity for one in outcomes if one.mode == "skipped" and one.entity in SELDOM]
    if fresh:  # an hour has not gone by
        assert {one.error for one in await sync_account(play.account, fresh)} == {None}


async def _poll(play: Play) -> list[Outcome]:
    least, before = await fewest_of_poll(play), play.world.answered
    outcomes = await sync_account(play.account)
    assert {one.error for one in outcomes} == {None}
    _check_cost(play, "poll", play.world.answered - before, least)
    return outcomes


def _check_cost(play: Play, what: str, requests: int, least: int) -> None:
    asked = [f"{one.method} {one.path}?{one.query}" for one in list(play.world.seen)[-requests:]]
    assert are_few(requests, least), "\n".join((f"A {what} took {requests} requests instead of {least}:", *asked))


async def poll_and_sweep_as_a_user(play: Play) -> None:
    """What an administrator alone may see is left out, and nothing is buried because it was not met. All that there is
    is read again all the same: only rows that went without a word may be here and not there.
    """
    await drain_hooks(play.account, quiet_seconds=0)
    await _poll(play)
    assert await missed_changes(play) == {}
    await play.lapse()
    for swept in await sweep_account(play.account):
        assert swept.tombstoned == 0
        assert swept.error is None or swept.suspects
    for name, (missing, extra, other) in (await play.mirror.differences(play.tables)).items():
        assert (missing, other) == ([], [])
        assert set(extra) <= play.changes.silent[name]


async def missed_changes(play: Play) -> dict[str, Any]:
    """By stream, rows that are missing here, too many or other, though their last change can be seen in a list."""
    found = {}
    for name in play.tables:
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
    assert await disagreements(play.mirror, play.tables) == {}
    await play.check_ids()


async def check_nothing_is_left_to_do(play: Play) -> None:
    """Our own command sees no difference either, and another poll finds nothing new."""
    assert [one for one in await compare_account(play.account) if not one.is_none] == []
    outcomes = await _poll(play)
    assert [(one.entity, one.changed, one.deleted) for one in outcomes if one.changed or one.deleted] == []
