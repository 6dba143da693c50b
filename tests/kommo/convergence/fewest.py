"""How many requests must a poll or a sweep make at the least? Counted from what the sandbox has, and what happened.

Nothing changed in a list, and still it has to be asked: one request. Rows to be read come by the page, and a page that
is full may have another behind it; where there is none, that is asked for twice, for lists were seen to break off.
Who reads by the time of the last change begins each page with the last row of the one before. What no list shows (a
deletion, a tag, a link), or one that may still be late, is asked for by id, 250 at a time. Nobody can do with fewer who
knows only what Kommo has told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from kommo.convergence.playing import Play
from oxcart.kommo.entities import CATALOG_ELEMENTS, DELETED_LEADS, ENTITIES, EVENTS, USERS
from oxcart.kommo.entity import Entity, Walk
from oxcart.kommo.sync.apply import LATE_SECONDS
from oxcart.kommo.sync.by_ids import IDS_AT_ONCE
from oxcart.kommo.sync.stream import LOOKBACK_SECONDS
from oxcart.kommo.sync.sweep import SWEPT
from oxcart_sandbox.rows import Row

ALLOWED = 1.1
_FOR_EVER = 2**33


def fewest(lists: Iterable[tuple[int, int]], told: Iterable[tuple[int, int]] = ()) -> int:
    """`lists` are how many rows are to be read, and how many a page has; `told` how many rows of an entity are asked
    for by id, and how many ids a request takes.
    """
    pages = sum(rows // page + 1 + (rows > 0 and rows % page == 0) for rows, page in lists)
    return pages + sum(-(-rows // at_once) for rows, at_once in told)


def are_few(requests: int, least: int) -> bool:
    """A tenth more is allowed."""
    return requests <= least * ALLOWED


async def fewest_of_poll(play: Play) -> int:
    """Of one that begins now."""
    lists: list[tuple[int, int]] = []
    for entity in ENTITIES.values():
        lists += await _lists_of(play, entity)
    return fewest(lists, [(len(ids), _at_once(play, name)) for name, ids in (await _told(play)).items()])


async def fewest_of_sweep(play: Play) -> int:
    lists, told = [], []
    late = datetime.fromtimestamp(play.world.clock.seconds() - LATE_SECONDS, UTC)
    for name in (one for one in play.tables if one in SWEPT):
        there, here = play.mirror.truth(ENTITIES[name]), await play.mirror.rows(name)
        lists.append((len(there), _page(play, ENTITIES[name])))
        suspects = {key for key, row in here.items() if row["deleted_at"] is None and key not in there}
        new = {key for key, raw in there.items() if key in here and here[key]["raw"] != raw}
        lately = {key for key in new if max(here[key]["asked_at"] or late, here[key]["gone_at"] or late) > late}
        suspects = suspects if play.is_admin else set()
        marked = {key for of, key, _ in await play.mirror.marks() if of == name}
        told += [(len(some), _at_once(play, name)) for some in (suspects, lately | marked - suspects)]
    return fewest(lists, told)


def _at_once(play: Play, name: str) -> int:
    """Alone, where filters are off."""
    return IDS_AT_ONCE if _filters(play, ENTITIES[name]) else 1


def _page(play: Play, entity: Entity) -> int:
    return min(entity.limit, play.world.scenario.page_rows or entity.limit)


async def _lists_of(play: Play, entity: Entity) -> list[tuple[int, int]]:
    """What of it a poll has to read; a catalog has a list of its own."""
    demo, page = play.world.accounts[0], _page(play, entity)
    cursor = await play.mirror.cursor(entity.name)
    now = play.world.clock.seconds()
    at = cursor["cursor_at"].timestamp() if cursor.get("cursor_at") else None
    is_fresh = at is not None and now - at < entity.seldom_seconds and not cursor.get("checkpoint")
    if is_fresh or (entity.name == "customers" and demo.customers_mode == "disabled"):
        return []
    if entity.needs_admin and not play.is_admin:
        return [(0, page)]
    if entity.walk is Walk.ONCE:
        return [(0, 1)]
    if entity is CATALOG_ELEMENTS:
        return [(len(rows), page) for path, rows in demo.lists.items() if path.endswith("/elements")]
    if entity.walk is Walk.PAGES:
        return [(len(_small_list(play, entity)), page)] * (2 if _goes_on(cursor) else 1)
    since = 0 if at is None or (entity is not EVENTS and not _filters(play, entity)) else at - LOOKBACK_SECONDS
    page -= entity.walk is Walk.CHANGES
    lists = [(sum(since <= row[str(entity.cursor)] for row in _rows(play, entity)), page)]
    return lists * 2 if _goes_on(cursor) else lists


def _goes_on(cursor: Mapping[str, Any]) -> bool:
    """A walk of everything was cut off at a page: what changed before that is read once more."""
    stands = cursor.get("checkpoint") or {}
    return stands.get("walk") == "pages" and bool(stands.get("full"))


def _filters(play: Play, entity: Entity) -> bool:
    return play.world.scenario.filters or entity.name not in {"leads", "contacts", "companies", "customers"}


def _small_list(play: Play, entity: Entity) -> list[Any]:
    demo, of = play.world.accounts[0], entity.of or ""
    if entity is USERS:
        return demo.users
    if entity.name.endswith("_tags"):
        return list(demo.tags)
    return demo.custom_fields[of] if entity.name.endswith("_custom_fields") else demo.lists[entity.path.strip("/")]


def _rows(play: Play, entity: Entity) -> Iterable[Row]:
    demo = play.world.accounts[0]
    if entity is EVENTS:
        return demo.events
    if entity is DELETED_LEADS:
        deleted = demo.table("leads").deleted
        return [row for one in deleted.ids(*deleted.between(0, _FOR_EVER)) if (row := demo.table("leads").get(one))]
    return demo.truth(entity.name)


async def _told(play: Play) -> Mapping[str, set[str]]:
    """The rows that are other here than there, of which no list says so as far as the poll reads it, but an event or a
    webhook.
    """
    named = set(re.findall(r"\d+", str(play.world.accounts[0].events))) | {
        key for _, key, _ in await play.mirror.marks()
    }
    found = {}
    for name in play.tables:
        entity = ENTITIES[name]
        here = {key: row["raw"] for key, row in (await play.mirror.alive(name)).items()}
        there = play.mirror.truth(entity)
        cursor = await play.mirror.cursor(name)
        since = cursor["cursor_at"].timestamp() - LOOKBACK_SECONDS if cursor.get("cursor_at") else 0
        shown = {key for key, raw in there.items() if raw["updated_at"] >= since}
        other = {key for key in here.keys() | there.keys() if here.get(key) != there.get(key)}
        found[name] = (other - shown) & named
    return found
