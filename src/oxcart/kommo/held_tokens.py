"""What do we hold of a connection, with its secrets opened, and when are they of use?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from oxcart.errors import InvalidInput
from oxcart.kommo.crypto import Keyring, Opened
from oxcart.kommo.failures import Refused, Unauthorized
from oxcart.kommo.store.connections import SealedTokens, StoredConnection, load_connection
from oxcart.kommo.store.database import Database
from oxcart.kommo.token_claims import read_claims
from oxcart.language import tr
from oxcart.secret import Secret

REFRESH_BEFORE_SECONDS = 300.0
"""A token that ends sooner is replaced before it is used: a request may wait for the limiter that long."""

_SHARE = 0.1  # of the lifetime of a token that lives for minutes


class NeedsReauth(Unauthorized):
    """Kommo refuses this account's tokens for good: a person has to connect it again. Its jobs are to wait."""


@dataclass(frozen=True, slots=True)
class HeldTokens:
    stored: StoredConnection
    access: Opened
    refresh: Opened | None
    client_secret: Opened | None

    @property
    def fingerprint(self) -> str:
        """Of all that Kommo could refuse: with any of it replaced, it is worth another try."""
        parts = [self.access, self.refresh, self.client_secret]
        texts = [part.secret.reveal() if part else "" for part in parts] + [self.stored.client_id or ""]
        return hashlib.sha256("\0".join(texts).encode()).hexdigest()

    @property
    def is_refused(self) -> bool:
        return self.stored.reauth_reason is not None and self.stored.refused_fingerprint == self.fingerprint

    def is_fresh(self, now: datetime) -> bool:
        """A token whose end nobody knows is used until Kommo refuses it, and so is one that nothing can replace."""
        if not self.access.secret:
            return False
        ends = self.stored.expires_at or read_claims(self.access.secret).expires_at
        if ends is None or self.refresh is None:
            return True
        margin = timedelta(seconds=REFRESH_BEFORE_SECONDS)
        if self.stored.refreshed_at is not None:
            margin = min(margin, (ends - self.stored.refreshed_at) * _SHARE)
        return ends - now > margin

    def is_good(self, now: datetime, refused: Secret | None) -> bool:
        """Fresh, and not the one that has just been refused."""
        return self.is_fresh(now) and self.access.secret != refused


async def read_held(database: Database, keyring: Keyring, connection_id: str) -> HeldTokens:
    """Raises InvalidInput for an id that is none, SettingsError if no key opens the secrets."""
    async with database.reading("Reading a connection's tokens") as connection:
        stored = await load_connection(connection, connection_id)
    if stored is None:
        raise InvalidInput(
            tr(
                "There is no Kommo connection {connection_id}; `oxcart kommo status` lists those there are.",
                connection_id=connection_id,
            )
        )
    return open_held(keyring, stored)


def open_held(keyring: Keyring, stored: StoredConnection) -> HeldTokens:
    def opened(what: str, secret: Secret | None) -> Opened | None:
        return keyring.open(secret.reveal(), what) if secret else None

    domain = stored.domain
    access = keyring.open(stored.access_token.reveal(), tr("The access token of {domain}", domain=domain))
    refresh = opened(tr("The refresh token of {domain}", domain=domain), stored.refresh_token)
    client_secret = opened(tr("The client secret of {domain}", domain=domain), stored.client_secret)
    return HeldTokens(stored, access, refresh, client_secret)


def sealed_answer(
    keyring: Keyring, held: HeldTokens, domain: str, answer: Mapping[str, Any], now: datetime
) -> SealedTokens:
    """The token endpoint's answer in the shapes in which the old tokens were found: Node may have to read them."""
    access, refresh, ends = tokens_of(answer, now)
    refresh = refresh or (held.refresh.secret if held.refresh else None)
    shape = held.refresh.shape if held.refresh else held.access.shape
    return SealedTokens(
        access_token=keyring.seal(access, held.access.shape),
        refresh_token=keyring.seal(refresh, shape) if refresh else None,
        expires_at=ends,
        domain=domain,
        api_domain=read_claims(access).api_domain,
    )


def tokens_of(answer: Mapping[str, Any], now: datetime) -> tuple[Secret, Secret | None, datetime | None]:
    """Access token, refresh token and end."""
    access, refresh, lifetime = Secret(answer["access_token"]), answer.get("refresh_token"), answer.get("expires_in")
    known = isinstance(lifetime, int | float) and not isinstance(lifetime, bool) and 0 < lifetime < 10**9
    ends = now + timedelta(seconds=float(lifetime or 0)) if known else read_claims(access).expires_at
    return access, Secret(refresh) if isinstance(refresh, str) and refresh else None, ends


def refresh_form(held: HeldTokens) -> dict[str, str]:
    """What is posted to the token endpoint. Raises Refused if the integration's own id or secret is not stored."""
    assert held.refresh is not None
    form = {"grant_type": "refresh_token", "refresh_token": held.refresh.secret.reveal()}
    stored, client_secret = held.stored, held.client_secret
    if stored.client_id is None or client_secret is None:
        raise Refused(
            tr("Refreshing the token of {domain}", domain=stored.domain),
            tr("there is no client_id and client_secret for it in crm_credentials."),
            tr("Connect the account again: oxcart kommo connect."),
        )
    form |= {"client_id": stored.client_id, "client_secret": client_secret.secret.reveal()}
    return form | ({"redirect_uri": stored.redirect_uri} if stored.redirect_uri else {})


def needs_reauth(held: HeldTokens, reason: str) -> NeedsReauth:
    return NeedsReauth(
        tr("Calling Kommo for {domain}", domain=held.stored.domain),
        tr("its tokens are of no more use ({reason}).", reason=reason),
        tr(
            "Connect the account again: oxcart kommo connect {domain}. Its jobs wait until then.",
            domain=held.stored.domain,
        ),
        status=401,
    )
