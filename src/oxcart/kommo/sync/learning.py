"""What does the account say of itself? Its time zone, currency and id, and whether its lists can be filtered."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.entities import Entity
from oxcart.kommo.pages import Row
from oxcart.kommo.store.account_settings import load_account_settings, merge_account_settings
from oxcart.kommo.store.platform_tables import crm_connections

_TOLD = ("name", "subdomain", "country", "currency", "created_at", "current_user_id", "is_api_filter_enabled")
_FILTERS = "filters_supported"
_UNFILTERED = "unfiltered"


async def learn_account(connection: AsyncConnection, connection_id: str, raw: Row) -> None:
    """Into crm_connection_states.settings, and the account's id where the platform's row lacks it."""
    embedded = raw.get("_embedded")
    dates = embedded.get("datetime_settings") if isinstance(embedded, dict) else None
    told = {name: raw[name] for name in _TOLD if name in raw}
    if isinstance(dates, dict):
        told |= {name: dates[name] for name in ("timezone", "timezone_offset") if name in dates}
    before = await load_account_settings(connection, connection_id)
    if told.get("is_api_filter_enabled") is False:
        told[_FILTERS] = False
    elif before.get("is_api_filter_enabled") is False:
        told |= {_FILTERS: True, _UNFILTERED: []}
    await merge_account_settings(connection, connection_id, told)
    nameless = (crm_connections.c.id == connection_id, crm_connections.c.account_id.is_(None))
    await connection.execute(update(crm_connections).where(*nameless).values(account_id=str(raw["id"])))


def can_filter(settings: dict[str, Any], entity: Entity, *, probes: bool) -> bool:
    """Whether to ask this list for a window of time. `probes`: unless the account itself says no, look once more."""
    if settings.get("is_api_filter_enabled") is False:
        return False
    return probes or (settings.get(_FILTERS) is not False and entity.name not in settings.get(_UNFILTERED, []))


async def note_filters(connection: AsyncConnection, connection_id: str, entity: Entity, *, work: bool) -> None:
    """What the list itself has shown. The bin is a list of its own kind: it says nothing of the others."""
    settings = await merge_account_settings(connection, connection_id, {})
    unfiltered = {*settings.get(_UNFILTERED, [])}
    unfiltered = unfiltered - {entity.name} if work else unfiltered | {entity.name}
    found: dict[str, Any] = {_UNFILTERED: sorted(unfiltered)}
    if not entity.marks_deleted:
        found[_FILTERS] = work
    await merge_account_settings(connection, connection_id, found)
