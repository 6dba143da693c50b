"""Does Kommo send us what happens in an account? One webhook of ours stands there, for all that we mirror, kept alive.

Without a public address, an administrator's token or a plan with webhooks the account is polled, and the sentence says
why. Webhooks of others are never touched: ours are those whose path has our connection's id.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from oxcart.kommo.account import Account
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.failures import Gone, KommoError, NoRights, Refused
from oxcart.kommo.pages import Row, rows_of
from oxcart.kommo.webhooks.hook_secrets import (
    PATH,
    HookSecrets,
    change_secrets,
    forget_secrets,
    hook_address,
    make_secrets,
)
from oxcart.secret import Secret

SETTINGS = tuple(sorted({name for entity in ENTITIES.values() for name in entity.hook_settings}))
"""What we subscribe to."""

_WEBHOOKS = "/webhooks"
_SORT = 10  # of no consequence: the place in Kommo's own list


class Did(StrEnum):
    """`POLLING`: there is no webhook of ours, nor can there be."""

    KEPT = "kept"
    MADE = "made"
    CHANGED = "changed"
    ENABLED = "enabled"
    POLLING = "polling"


@dataclass(frozen=True, slots=True)
class Subscription:
    """`removed` are addresses of ours that were taken out, `elsewhere` those that lead to another public address."""

    did: Did
    sentence: str
    removed: int = 0
    elsewhere: int = 0

    @property
    def is_live(self) -> bool:
        return self.did is not Did.POLLING


async def keep_subscription(account: Account, public_url: str | None, *, keyring: Keyring) -> Subscription:
    """Make or mend it; one GET when all is well. For each poll: Kommo disables a webhook that failed for a while.

    Raises KommoError for what passes, or ends more than webhooks; Unavailable, SettingsError.
    """
    if public_url is None:
        return _polling(account, "this worker has no public address; set OXCART_PUBLIC_URL for webhooks")
    secrets = await make_secrets(account.database, keyring, account.connection_id)
    return await _mended(account, public_url, secrets)


async def rotate_secret(account: Account, public_url: str | None, *, keyring: Keyring) -> Subscription:
    """A new address; the one before it is taken for a day more, and taken out by a later `keep_subscription`."""
    secrets = await change_secrets(account.database, keyring, account.connection_id)
    if public_url is None:
        return await keep_subscription(account, public_url, keyring=keyring)
    return await _mended(account, public_url, secrets)


async def unsubscribe(account: Account) -> int:
    """Take all webhooks of this connection out of the account, wherever they lead, and refuse what still comes.

    Returns how many there were. Raises KommoError; what still comes is refused all the same.
    """
    await forget_secrets(account.database, account.connection_id)
    ours = [str(hook["destination"]) for hook in await _list(account) if _is_of(account, hook)]
    for destination in ours:
        await _remove(account, destination)
    return len(ours)


async def _mended(account: Account, public_url: str, secrets: HookSecrets) -> Subscription:
    wanted = hook_address(public_url, account.connection_id, secrets.current)
    try:
        ours = [hook for hook in await _list(account) if _is_of(account, hook)]
        did = await _save(account, wanted, ours)
    except (NoRights, Refused, Gone) as error:
        return _polling(account, _why(error, secrets))
    good = {hook_address(public_url, account.connection_id, secret).reveal() for secret in secrets.good}
    prefix = hook_address(public_url, account.connection_id, Secret("")).reveal()
    here = [str(hook["destination"]) for hook in ours if str(hook["destination"]).startswith(prefix)]
    stale = [destination for destination in here if destination not in good]
    for destination in stale:
        await _remove(account, destination)
    sentence = f"Kommo sends the changes of {account.domain} to {urlsplit(public_url).netloc}."
    return Subscription(did, sentence, removed=len(stale), elsewhere=len(ours) - len(here))


async def _save(account: Account, wanted: Secret, ours: list[Row]) -> Did:
    """Saving an address again enables it, and replaces what it is subscribed to."""
    known = next((hook for hook in ours if hook["destination"] == wanted.reveal()), None)
    if known is None:
        did = Did.MADE
    elif known.get("disabled"):
        did = Did.ENABLED
    elif not set(SETTINGS) <= set(known.get("settings") or ()):
        did = Did.CHANGED
    else:
        return Did.KEPT
    body = {"destination": wanted.reveal(), "settings": list(SETTINGS), "sort": _SORT}
    await account.client.write("POST", _WEBHOOKS, body)
    return did


async def _list(account: Account) -> list[Row]:
    answer = await account.client.get(_WEBHOOKS)
    return rows_of(answer.body, "webhooks")


async def _remove(account: Account, destination: str) -> None:
    body: dict[str, Any] = {"destination": destination}
    try:
        await account.client.write("DELETE", _WEBHOOKS, body)
    except Gone:
        return  # by someone else, a moment ago


def _is_of(account: Account, hook: Row) -> bool:
    return f"{PATH}/{account.connection_id}/" in str(hook.get("destination", ""))


def _polling(account: Account, why: str) -> Subscription:
    return Subscription(Did.POLLING, f"{account.domain} is polling only: {why}.")


def _why(error: KommoError, secrets: HookSecrets) -> str:
    if isinstance(error, NoRights):
        return "webhooks need the token of an administrator, and a plan that has them (Advanced or higher)"
    said = error.hint if isinstance(error, Refused) else ""
    for secret in secrets.good:  # Kommo may repeat the address that it does not like
        said = said.replace(secret.reveal(), "***")
    return f"Kommo answered {error.status} to the webhook{f' ({said})' if said else ''}; its plan may have none"
