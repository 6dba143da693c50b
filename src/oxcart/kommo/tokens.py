"""With which token is an account called? One that is fresh, refreshed exactly once whoever asks, stored before use.

Kommo's refresh tokens rotate: a refresh gives a new pair, and the old one works until the new one is used. So a lost
answer is answered by sending the same token again, and two refreshes at once must not happen: a lease in the database
lets one process in, the others read what it wrote.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart import clock
from oxcart.errors import InvalidInput
from oxcart.kommo.address import read_account_host
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.failures import (
    Blocked,
    Gone,
    KommoError,
    NoRights,
    Refused,
    ServerTrouble,
    TooManyRequests,
    Unauthorized,
)
from oxcart.kommo.held_tokens import HeldTokens, NeedsReauth, needs_reauth, read_held, refresh_form, sealed_answer
from oxcart.kommo.store.connections import connection_of_domain, mark_refused, replace_tokens
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.holding import Hold, LeaseLost, hold_lease
from oxcart.kommo.token_claims import read_claims
from oxcart.secret import Secret
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import KommoReauthNeeded, KommoTokenRefreshed

LEASE_SECONDS = 90.0
"""Longer than one call of the token endpoint can take with its wait for the limiter; shown before each."""

_TRIES = 3
_PAUSE_SECONDS = (0.5, 1.0)  # before a second try; doubled for the third
_POLL_SECONDS = (0.05, 0.15)
_PATIENCE_SECONDS = 120.0
_CACHE_SECONDS = 20.0


class TokenEndpoint(Protocol):
    """The two calls that need no access token; client.Kommo makes them."""

    async def request_token(self, host: str, form: Mapping[str, str]) -> Mapping[str, Any]:
        """POST /oauth2/access_token, once. Raises KommoError."""

    async def find_domain(self, api_host: str, refresh_token: Secret) -> str:
        """Where the account lives now. Raises KommoError, InvalidInput."""


class TokenKeeper:
    """The tokens of every connection of one database. One per process and event loop."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        endpoint: TokenEndpoint,
        emit: Emit,
        *,
        clock: Callable[[], datetime] = clock.now_utc,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._endpoint = endpoint
        self._emit = emit
        self._clock = clock
        self._alone: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def of(self, connection_id: str) -> ConnectionTokens:
        """What client.Client takes as its tokens."""
        return ConnectionTokens(self, connection_id)

    async def current(self, connection_id: str) -> Secret:
        """Raises NeedsReauth, KommoError (try again), SettingsError (a key is missing), InvalidInput (unknown)."""
        held = await self._read(connection_id)
        return held.access.secret if held.is_fresh(self._clock()) else await self.refresh(connection_id, None)

    async def replace(self, connection_id: str, refused: Secret) -> Secret:
        """Another token than this one, which Kommo has just answered with 401. Raises as `current`."""
        held = await self._read(connection_id)
        if held.is_good(self._clock(), refused):
            return held.access.secret
        return await self.refresh(connection_id, refused)

    async def refresh(self, connection_id: str, refused: Secret | None) -> Secret:
        """A new pair, or the one that someone else has fetched meanwhile. `refused` is the token that will not do."""
        give_up = clock.monotonic() + _PATIENCE_SECONDS
        scope = f"refresh:{connection_id}"
        async with self._alone[connection_id]:
            while True:
                held = await self._read(connection_id)
                if held.is_good(self._clock(), refused):
                    return held.access.secret
                if held.refresh is None:
                    return await self._without_refresh_token(held, refused)
                async with hold_lease(self._database, scope, seconds=LEASE_SECONDS) as lease:
                    if lease is not None:
                        return await self._refresh_alone(connection_id, lease, refused)
                if clock.monotonic() > give_up:
                    raise _trouble(held, "another process has been refreshing it for two minutes.")
                await asyncio.sleep(clock.uniform(*_POLL_SECONDS))

    async def revoke(self, connection_id: str, reason: str) -> None:
        """Its owner has taken the access away: park it, without asking Kommo."""
        await self._park(await self._open(connection_id), reason)

    # ------------------------------------------------------------------------------------------- under the lease
    async def _refresh_alone(self, connection_id: str, lease: Hold, refused: Secret | None) -> Secret:
        held = await self._read(connection_id)
        while not held.is_good(self._clock(), refused):
            if held.refresh is None:
                return await self._without_refresh_token(held, refused)
            try:
                domain, answer = await self._ask(held, lease)
            except _Overtaken:
                held = await self._read(connection_id)
                continue
            if await self._save(held, domain, answer):
                self._emit(KommoTokenRefreshed(connection_id, domain))
            held = await self._read(connection_id)
            if held.access.secret.reveal() == answer["access_token"]:
                break
        return held.access.secret

    async def _ask(self, held: HeldTokens, lease: Hold) -> tuple[str, Mapping[str, Any]]:
        """A new pair, and where the account lives. Raises NeedsReauth, _Overtaken, or KommoError for a later try."""
        domain = read_account_host(held.stored.domain)
        try:
            return domain, await self._request(held, domain, lease)
        except _REFUSALS as error:
            if (await self._read(held.stored.id)).fingerprint != held.fingerprint:
                raise _Overtaken from error  # someone else, Node perhaps, has refreshed meanwhile
            moved_to = await self._new_domain(held)
            if moved_to is None or moved_to == domain:
                raise await self._park(held, _reason(error)) from error
        try:
            return moved_to, await self._request(held, moved_to, lease)
        except _REFUSALS as error:
            raise await self._park(held, f"the account has moved to {moved_to}; {_reason(error)}") from error

    async def _request(self, held: HeldTokens, domain: str, lease: Hold) -> Mapping[str, Any]:
        """The same refresh token again while the answer is lost: Kommo documents that as the way."""
        assert held.refresh is not None
        form = refresh_form(held)
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(clock.uniform(*_PAUSE_SECONDS) * attempt)
            try:
                await self._database.write("Taking turns at a refresh", lease.show)
            except LeaseLost as lost:
                raise _trouble(held, "the lease on its refresh was lost to another process.") from lost
            try:
                return await self._endpoint.request_token(domain, form)
            except ServerTrouble:
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError("the loop returns or raises")

    async def _new_domain(self, held: HeldTokens) -> str | None:
        """Where a renamed account lives now; None where nobody can say."""
        assert held.refresh is not None
        api_domain = read_claims(held.access.secret).api_domain or held.stored.api_domain
        if api_domain is None:
            return None
        try:
            return await self._endpoint.find_domain(api_domain, held.refresh.secret)
        except (TooManyRequests, Blocked):
            raise
        except (KommoError, InvalidInput):
            return None

    async def _save(self, held: HeldTokens, domain: str, answer: Mapping[str, Any]) -> bool:
        """Store the new pair before anyone uses it. False if another was stored since `held` was read."""
        while True:

            async def write(connection: AsyncConnection, read: HeldTokens = held) -> bool:
                if domain != read.stored.domain:
                    other = await connection_of_domain(connection, domain, read.stored.org_id)
                    if other is not None:
                        raise _Occupied
                sealed = sealed_answer(self._keyring, read, domain, answer, self._clock())
                if not await replace_tokens(connection, read.stored, sealed, at=self._clock()):
                    raise _Overtaken
                return True

            try:
                return await self._database.write("Storing new tokens", write)
            except _Occupied:
                reason = f"the account has moved to {domain}, which has a connection of its own; disconnect one of them"
                raise await self._park(held, reason) from None
            except _Overtaken:
                again = await self._read(held.stored.id)
                if again.fingerprint != held.fingerprint:
                    return False
                held = again  # the same tokens in another shape: `oxcart kommo encrypt` ran meanwhile

    # ------------------------------------------------------------------------------------------- what is stored
    async def _read(self, connection_id: str) -> HeldTokens:
        """Raises NeedsReauth for tokens that are known to be refused."""
        held = await self._open(connection_id)
        if held.is_refused:
            raise needs_reauth(held, str(held.stored.reauth_reason))
        return held

    async def _open(self, connection_id: str) -> HeldTokens:
        return await read_held(self._database, self._keyring, connection_id)

    async def _without_refresh_token(self, held: HeldTokens, refused: Secret | None) -> Secret:
        if held.access.secret and held.access.secret != refused:
            return held.access.secret
        raise await self._park(held, "the long-lived token has ended or was revoked, and nothing can replace it")

    async def _park(self, held: HeldTokens, reason: str) -> NeedsReauth:
        return await park(self._database, self._emit, held, reason, at=self._clock())


async def park(database: Database, emit: Emit, held: HeldTokens, reason: str, *, at: datetime) -> NeedsReauth:
    """These tokens are of no more use: nothing is asked with them until the account is connected again."""

    async def write(connection: AsyncConnection) -> bool:
        return await mark_refused(connection, held.stored.id, reason=reason, fingerprint=held.fingerprint, at=at)

    if await database.write("Parking a connection", write):
        emit(KommoReauthNeeded(held.stored.id, held.stored.domain, reason))
    return needs_reauth(held, reason)


class ConnectionTokens:
    """One connection's tokens, remembered for some seconds so that not every request asks the database."""

    def __init__(self, keeper: TokenKeeper, connection_id: str) -> None:
        self._keeper = keeper
        self._connection_id = connection_id
        self._token: Secret | None = None
        self._until = 0.0

    async def current(self) -> Secret:
        if self._token is None or clock.monotonic() > self._until:
            self._remember(await self._keeper.current(self._connection_id))
        assert self._token is not None
        return self._token

    async def replace(self, refused: Secret) -> Secret:
        self._token = None
        return self._remember(await self._keeper.replace(self._connection_id, refused))

    def _remember(self, token: Secret) -> Secret:
        self._token, self._until = token, clock.monotonic() + _CACHE_SECONDS
        return token


class _Overtaken(Exception):  # noqa: N818 - rolls a transaction back
    """Other tokens were stored since ours were read."""


class _Occupied(Exception):  # noqa: N818 - rolls a transaction back
    """The domain that the account has moved to is another connection's."""


# A refusal is an answer: the same request will be refused again.
_REFUSALS = (Refused, Unauthorized, NoRights, Gone)


def _trouble(held: HeldTokens, happened: str) -> ServerTrouble:
    return ServerTrouble(
        f"Refreshing the token of {held.stored.domain}", happened, "It is tried again.", outcome_unknown=False
    )


def _reason(error: KommoError) -> str:
    return f"Kommo answered {error.status} {error.hint}".strip() if error.status else str(error)
