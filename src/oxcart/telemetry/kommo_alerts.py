"""Which changes between us and Kommo are worth waking someone for? An account that is refused, an address blocked."""

from __future__ import annotations

from typing import Final

from oxcart.telemetry.alert import Alert, span
from oxcart.telemetry.events import KommoBlocked, KommoReauthNeeded, KommoTokenRefreshed, KommoUnblocked

_SAME_BLOCK_SECONDS: Final = 86_400.0
"""A block that is prolonged this long after its end is another one: another process may have told that it was over."""


class AccountAlerts:
    """Accounts that wait for someone to connect them again; each is told once, and once when its tokens are new."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def refused(self, event: KommoReauthNeeded, now: float) -> list[Alert]:
        if event.connection_id in self._since:
            return []
        self._since[event.connection_id] = now
        text = f"{event.domain} must be connected again: {event.reason}."
        advice = f"Its jobs wait until then. Run: oxcart kommo connect {event.domain}"
        return [Alert("kommo.reauth_needed", "raised", "error", text, advice, now, account=event.domain)]

    def refreshed(self, event: KommoTokenRefreshed, now: float) -> list[Alert]:
        since = self._since.pop(event.connection_id, None)
        if since is None:
            return []
        text = f"{event.domain} has new tokens after {span(now - since)}."
        advice = "Nothing to do: its jobs go on."
        return [Alert("kommo.reauth_needed", "cleared", "info", text, advice, since, account=event.domain)]


class BlockAlerts:
    """Whether Kommo has locked this address out.

    Each event is emitted by one process alone, so an end is told by whichever hears of it; a block that a
    probe prolongs is still the same one.
    """

    def __init__(self) -> None:
        self._since: float | None = None
        self._until = 0.0

    def began(self, event: KommoBlocked, now: float) -> list[Alert]:
        is_known = self._since is not None and now < self._until + _SAME_BLOCK_SECONDS
        self._until = now + event.seconds
        if is_known:
            return []
        self._since = now
        text = f"Kommo has blocked this address: nothing is sent for {span(event.seconds)}, then it is tried again."
        advice = "Ask Kommo's support to lift the block, and find what else sends requests from this address."
        return [Alert("kommo.blocked", "raised", "error", text, advice, now)]

    def ended(self, _: KommoUnblocked, now: float) -> list[Alert]:
        since, self._since = self._since, None
        text = "Kommo answers again." if since is None else f"Kommo answers again after {span(now - since)}."
        advice = "Nothing to do: requests go on."
        return [Alert("kommo.blocked", "cleared", "info", text, advice, now if since is None else since)]
