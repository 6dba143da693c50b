"""What does a connected account need between its syncs? A fresh token, its webhook subscription, and its schedules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.errors import OxcartError
from oxcart.kommo.crm import ServedCrm
from oxcart.kommo.rights import learn_rights
from oxcart.kommo.schedules import ensure_schedules
from oxcart.kommo.store.account_settings import load_account_settings, merge_account_settings
from oxcart.kommo.store.connections import StoredConnection
from oxcart.kommo.webhooks.subscription import keep_subscription
from oxcart.queue.producer import Queue
from oxcart.queue.schedules import OWN_QUEUE


@dataclass(frozen=True, slots=True)
class LookedAfter:
    """`problem` is the first thing that did not work; `webhook` says how changes reach us."""

    domain: str
    webhook: str | None = None
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {"domain": self.domain, "webhook": self.webhook, "problem": self.problem}


async def look_after(crm: ServedCrm, stored: StoredConnection, *, poll_after_seconds: float = 0) -> LookedAfter:
    """One account's trouble is told, and stops nothing for the others."""
    webhook = None
    try:
        await ensure_account_schedules(crm, stored.id, poll_after_seconds=poll_after_seconds)
        await crm.keeper.current(stored.id)
        async with crm.database.reading("Reading an account's settings") as connection:
            is_known = "is_admin" in await load_account_settings(connection, stored.id)
        if not is_known:  # the platform connected it
            await learn_rights(crm.account(stored))
        webhook = await _keep_webhook(crm, stored)
    except OxcartError as error:
        return LookedAfter(stored.domain, webhook, str(error))
    return LookedAfter(stored.domain, webhook)


async def _keep_webhook(crm: ServedCrm, stored: StoredConnection) -> str:
    """How changes reach us, in a sentence that `status` repeats."""
    public_url = crm.settings.http.public_url
    kept = await keep_subscription(crm.account(stored), public_url, keyring=crm.keyring)

    async def write(connection: AsyncConnection) -> None:
        await merge_account_settings(connection, stored.id, {"webhook": kept.sentence})

    await crm.database.write("Noting how an account's changes arrive", write)
    return kept.sentence


async def ensure_account_schedules(crm: ServedCrm, connection_id: str, *, poll_after_seconds: float = 0) -> None:
    async with crm.database.reading("Reading an account's settings") as connection:
        known = await load_account_settings(connection, connection_id)
    timezone = known.get("timezone")
    async with Queue(OWN_QUEUE, prefix=crm.settings.worker.prefix, server=crm.server) as queue:
        zone = timezone if isinstance(timezone, str) else None
        await ensure_schedules(queue, connection_id, zone, poll_after_seconds=poll_after_seconds)
