"""How is an account let go? Its webhook and schedules first, its tokens last; its data only when asked for."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.errors import OxcartError
from oxcart.kommo.crm import ServedCrm
from oxcart.kommo.schedules import remove_schedules
from oxcart.kommo.store.connections import StoredConnection, purge_connection
from oxcart.kommo.store.platform_tables import crm_connections
from oxcart.kommo.webhooks.subscription import unsubscribe
from oxcart.language import tr
from oxcart.queue.producer import Queue
from oxcart.queue.schedules import OWN_QUEUE


async def let_go(crm: ServedCrm, stored: StoredConnection, *, purge: bool) -> str:
    """What became of the webhook, in a sentence. An account that cannot be reached is let go all the same."""
    account = crm.account(stored, interactive=True, patience_seconds=10)
    webhook = tr("Its webhook could not be removed; Kommo disables it by itself when nobody answers.")
    with suppress(OxcartError):
        webhook = tr("Its webhook is removed.") if await unsubscribe(account) else tr("It had no webhook.")
    async with Queue(OWN_QUEUE, prefix=crm.settings.worker.prefix, server=crm.server) as queue:
        others = [one for one in await crm.connections() if one.is_connected and one.id != stored.id]
        await remove_schedules(queue, stored.id, is_last=not others)
    with suppress(OxcartError):  # parks the jobs that are there
        await crm.keeper.revoke(stored.id, "it was disconnected")

    async def forget(connection: AsyncConnection) -> None:
        if purge:
            await purge_connection(connection, stored.id)
            return
        nothing = {"access_token": "", "refresh_token": None, "expires_at": None}
        await connection.execute(update(crm_connections).where(crm_connections.c.id == stored.id).values(nothing))

    await crm.database.write("Letting an account go", forget)
    return webhook
