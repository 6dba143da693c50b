"""Does Kommo tell us of changes? The doctor's look at an account's webhook, and at the address it leads to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from oxcart.checks import Finding, Unanswerable, ok, warning
from oxcart.kommo.failures import Gone, KommoError, NoRights, Refused
from oxcart.kommo.visit import CrmVisit, of_each
from oxcart.language import tr

if TYPE_CHECKING:
    from oxcart.kommo.store.connections import StoredConnection

RECEIVER_SAYS = "Kommo sends its webhooks"
"""The beginning of what GET answers at a webhook's address; http/webhooks.py says it."""

_ANSWER_BYTES = 4096
_PATIENCE_SECONDS = 5


async def webhook(visit: CrmVisit) -> Finding:
    public_url = visit.settings.http.public_url
    answered = [stored for stored, _ in visit.answered()]
    if public_url is None:
        return ok(tr("no public address (OXCART_PUBLIC_URL): changes arrive by polling alone"))

    async def look(stored: StoredConnection) -> Finding:
        return await _look_at_webhook(visit, stored, public_url)

    return await of_each(answered, look)


@dataclass(frozen=True, slots=True)
class _Hook:
    """A webhook of ours as Kommo lists it. Its address has a secret in it, and is never shown."""

    address: str
    is_disabled: bool


async def _look_at_webhook(visit: CrmVisit, stored: StoredConnection, public_url: str) -> Finding:
    try:
        answer = await (await visit.client(stored)).get("/webhooks")
    except (NoRights, Refused, Gone) as error:
        reason = tr("webhooks are not open to this token or plan; changes arrive by polling")
        raise Unanswerable(reason) from error
    except KommoError as error:
        raise Unanswerable(tr("Kommo did not answer this question")) from error
    ours = _ours(answer.body, public_url, stored.id)
    if not ours or all(hook.is_disabled for hook in ours):
        return _not_told(stored.domain, public_url, is_disabled=bool(ours))
    said = await _ask_ourselves(next(hook.address for hook in ours if not hook.is_disabled))
    if said is None:
        return ok(tr("subscribed, and the address answers; that Kommo reaches it cannot be seen from here"))
    return warning(
        "KOMMO_WEBHOOK_ANSWER",
        tr(
            "The address that {domain} sends webhooks to does not answer as the worker does ({said}).",
            domain=stored.domain,
            said=said,
        ),
        tr(
            "See that {url} leads to the worker, and that the worker has the database of these settings.",
            url=public_url,
        ),
        evidence=tr("subscribed; the address: {said}", said=said),
    )


def _not_told(domain: str, public_url: str, *, is_disabled: bool) -> Finding:
    again = tr("Run oxcart kommo connect {domain} again, or wait: the worker renews it once an hour.", domain=domain)
    if not is_disabled:
        return warning(
            "KOMMO_WEBHOOK",
            tr("{domain} sends no webhooks to {url}: changes arrive by polling alone.", domain=domain, url=public_url),
            again,
            evidence=tr("not subscribed"),
        )
    return warning(
        "KOMMO_WEBHOOK_OFF",
        tr("Kommo has disabled the webhook of {domain}, as it does after many answers that were none.", domain=domain),
        tr("See that the worker can be reached at {url}. {again}", url=public_url, again=again),
        evidence=tr("subscribed, and disabled"),
    )


def _ours(body: Any, public_url: str, connection_id: str) -> list[_Hook]:
    from oxcart.kommo.pages import rows_of

    beginning = f"{public_url}/webhooks/kommo/{connection_id}/"
    found = [(str(row.get("destination")), bool(row.get("disabled"))) for row in rows_of(body, "webhooks")]
    return [_Hook(address, is_disabled) for address, is_disabled in found if address.startswith(beginning)]


async def _ask_ourselves(address: str) -> str | None:
    """None if the worker answers there, else what did instead, without the address."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=_PATIENCE_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.get(address, allow_redirects=False) as answer,
        ):
            text = (await answer.content.read(_ANSWER_BYTES)).decode(errors="replace")
            if answer.status == 200 and RECEIVER_SAYS in text:
                return None
            return f"HTTP {answer.status}"
    except TimeoutError:
        return tr("no answer in {seconds:g} s", seconds=_PATIENCE_SECONDS)
    except (aiohttp.ClientError, OSError) as error:
        return f"{urlsplit(address).hostname}: {type(error).__name__}"
