"""What does the account say of itself? Its time zone, currency and id, and whether its lists can be filtered."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.account import Account
from oxcart.kommo.entity import Entity
from oxcart.kommo.pages import Row
from oxcart.kommo.store.account_settings import load_account_settings, merge_account_settings
from oxcart.kommo.store.platform_tables import crm_connections

_FLAG = "is_api_filter_enabled"
_SWITCHES = ("customers_mode", "is_unsorted_on", _FLAG)
_TOLD = ("name", "subdomain", "country", "currency", "created_at", "current_user_id", *_SWITCHES)
_UNFILTERED = "unfiltered"
_CARDS = frozenset({"/leads", "/contacts", "/companies", "/customers"})


async def learn_account(connection: AsyncConnection, connection_id: str, raw: Row) -> None:
    """Into crm_connection_states.settings, and the account's id where the platform's row lacks it."""
    embedded = raw.get("_embedded")
    dates = embedded.get("datetime_settings") if isinstance(embedded, dict) else None
    told = {name: raw[name] for name in _TOLD if name in raw}
    if isinstance(dates, dict):
        told |= {name: dates[name] for name in ("timezone", "timezone_offset") if name in dates}
    before = await load_account_settings(connection, connection_id)
    if before.get(_FLAG) is False and told.get(_FLAG) is not False:
        told[_UNFILTERED] = []
    await merge_account_settings(connection, connection_id, told)
    nameless = (crm_connections.c.id == connection_id, crm_connections.c.account_id.is_(None))
    await connection.execute(update(crm_connections).where(*nameless).values(account_id=str(raw["id"])))


async def streams_there(account: Account, entities: Sequence[Entity], names: Collection[str] | None) -> list[Entity]:
    """Those of them that are named; or else those that the account has and the settings do not skip."""
    async with account.database.reading("Reading what is known of the account") as connection:
        settings = await load_account_settings(connection, account.connection_id)
    if names is not None:
        return [entity for entity in entities if entity.name in names]
    return [entity for entity in entities if not is_left_out(account, settings, entity)]


def is_left_out(account: Account, settings: Mapping[str, Any], entity: Entity) -> bool:
    """By the settings, or because the account itself says that it has no such rows."""
    lacks = entity.needs is not None and settings.get(entity.needs) in {None, False, "disabled"}
    return lacks or not account.skips.isdisjoint({entity.name, entity.each})


def can_filter(settings: dict[str, Any], entity: Entity, *, probes: bool) -> bool:
    """Whether to ask this list for a window of time. `probes`: unless the account itself says no, look once more.

    What the account says concerns its cards alone: events, tasks and notes keep their filters.
    """
    if settings.get(_FLAG) is False and entity.path in _CARDS:
        return False
    return probes or entity.name not in settings.get(_UNFILTERED, [])


async def filters_work(account: Account, entity: Entity) -> bool:
    """What a walk has learnt of this account."""
    async with account.database.reading("Reading what is known of the account") as connection:
        settings = await load_account_settings(connection, account.connection_id)
    return can_filter(settings, entity, probes=False)


async def note_filters(connection: AsyncConnection, connection_id: str, entity: Entity, *, work: bool) -> None:
    """What the list itself has shown."""
    settings = await merge_account_settings(connection, connection_id, {})
    unfiltered = {*settings.get(_UNFILTERED, [])}
    unfiltered = unfiltered - {entity.name} if work else unfiltered | {entity.name}
    await merge_account_settings(connection, connection_id, {_UNFILTERED: sorted(unfiltered)})
