"""What may the token's user do? Who is no administrator may not see every row, and then nothing counts as deleted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.account import Account
from oxcart.kommo.failures import NoRights
from oxcart.kommo.store.account_settings import merge_account_settings


@dataclass(frozen=True, slots=True)
class Rights:
    """`account_name` and `timezone` are the account's own; `user_name` is None where the user may not see users."""

    account_name: str
    timezone: str | None
    user_name: str | None
    is_admin: bool


async def learn_rights(account: Account) -> Rights:
    """Ask, and remember. Two requests. Raises KommoError."""
    told = (await account.client.get("/account", [("with", "datetime_settings")])).body
    user_id = _of(told, "current_user_id")
    try:
        user = await account.client.find(f"/users/{user_id}") if isinstance(user_id, int) else None
    except NoRights:
        user = None
    rights = Rights(
        account_name=str(_of(told, "name") or account.domain),
        timezone=_text(_of(told, "_embedded", "datetime_settings", "timezone")),
        user_name=_text(_of(user, "name")),
        is_admin=_of(user, "rights", "is_admin") is True,
    )
    known = {"is_admin": rights.is_admin, "account_name": rights.account_name}
    known |= {"timezone": rights.timezone} if rights.timezone else {}

    async def write(connection: AsyncConnection) -> None:
        await merge_account_settings(connection, account.connection_id, known)

    await account.database.write("Remembering an account's rights", write)
    return rights


def _of(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
