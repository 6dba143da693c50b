"""What does the doctor know of the CRM? Its database, the accounts in it, and what Kommo answered for each.

Nothing here imports the database or HTTP before there is an account: who has no Kommo pays nothing for its checks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from oxcart import clock
from oxcart.checks import Finding, NotApplicable, State, Unanswerable
from oxcart.language import tr
from oxcart.settings import Settings

if TYPE_CHECKING:
    from oxcart.connection.server import Server
    from oxcart.kommo.client import Answer, Client, Kommo
    from oxcart.kommo.held_tokens import HeldTokens
    from oxcart.kommo.limiter import Limiter
    from oxcart.kommo.store.connections import StoredConnection
    from oxcart.kommo.store.database import Database

REQUEST_SECONDS = 8.0
_PATIENCE_SECONDS = 5.0
_SHOWN = 5
_RANKS = {State.FAILED: 0, State.WARNING: 1, State.OK: 2}


@dataclass(frozen=True, slots=True)
class AccountSeen:
    """GET /account as it was answered; `asked_at` and `answered_at` are our own clock."""

    answer: Answer
    asked_at: float
    answered_at: float


@dataclass(slots=True)
class CrmVisit:
    """Made once per run of the doctor; its checks read and complete it. What it opens is closed with `stack`."""

    settings: Settings
    server: Server | None
    stack: AsyncExitStack
    database: Database | None = None
    stored: Sequence[StoredConnection] = ()
    seen: dict[str, AccountSeen] = field(default_factory=dict)
    _kommo: Kommo | None = None
    _limiter: Limiter | None = None

    def accounts(self) -> Sequence[StoredConnection]:
        """Raises NotApplicable if there are none."""
        if not self.stored:
            raise NotApplicable(tr("no Kommo account is connected"))
        return self.stored

    def known_database(self) -> Database:
        if self.database is None:
            raise NotApplicable(tr("no Kommo account is connected"))
        return self.database

    def known_server(self) -> Server:
        """Raises Unanswerable: every request to Kommo is counted in Redis."""
        if self.server is None:
            raise Unanswerable(tr("there is no connection to Redis, where requests to Kommo are counted"))
        return self.server

    def limiter(self) -> Limiter:
        if self._limiter is None:
            from oxcart.kommo.limiter import Limiter, Pace

            pace = Pace(self.settings.kommo_requests_per_second)
            self._limiter = Limiter(self.known_server(), pace=pace)
        return self._limiter

    def held(self, stored: StoredConnection) -> HeldTokens:
        """Raises NoKeyFits."""
        from oxcart.kommo.crypto import Keyring
        from oxcart.kommo.held_tokens import open_held

        return open_held(Keyring(self.settings.encryption_key, self.settings.old_encryption_keys), stored)

    async def client(self, stored: StoredConnection) -> Client:
        """With the token that is stored: the doctor refreshes none. Raises InvalidInput, SettingsError."""
        from oxcart.kommo.address import read_account_host
        from oxcart.kommo.client import Kommo, LongLivedToken
        from oxcart.kommo.limiter import Caller

        if self._kommo is None:
            base_url = self.settings.kommo_base_url
            door = Kommo(self.limiter(), base_url=base_url, request_seconds=REQUEST_SECONDS)
            self._kommo = await self.stack.enter_async_context(door)
        token = LongLivedToken(self.held(stored).access.secret)
        caller = Caller(stored.id, interactive=True, patience_seconds=_PATIENCE_SECONDS)
        return self._kommo.client(read_account_host(stored.domain), token, caller)

    async def ask_account(self, stored: StoredConnection) -> AccountSeen:
        """GET /account, once. Raises KommoError."""
        if stored.id not in self.seen:
            client = await self.client(stored)
            asked_at = clock.wall_seconds()
            answer = await client.get("/account")
            self.seen[stored.id] = AccountSeen(answer, asked_at, clock.wall_seconds())
        return self.seen[stored.id]

    def answered(self) -> list[tuple[StoredConnection, AccountSeen]]:
        """The accounts that Kommo has answered for. Raises Unanswerable if there are none."""
        found = [(stored, self.seen[stored.id]) for stored in self.accounts() if stored.id in self.seen]
        if not found:
            raise Unanswerable(tr("Kommo has answered for no account"))
        return found


Look = Callable[["StoredConnection"], Awaitable[Finding]]


async def of_each(stored: Sequence[StoredConnection], look: Look) -> Finding:
    """One finding for all accounts: the worst, and what was seen of each. A look that cannot tell counts for nothing.

    Raises Unanswerable if no look can.
    """
    found: list[tuple[str, Finding]] = []
    reasons: list[Unanswerable] = []
    for one in stored:
        try:
            found.append((one.domain, await look(one)))
        except Unanswerable as reason:
            reasons.append(reason)
    if not found:
        raise reasons[0]
    found.sort(key=lambda pair: _RANKS[pair[1].state])
    told = [f"{domain}: {finding.evidence}" for domain, finding in found[:_SHOWN]]
    more = [tr("and {count} more", count=len(found) - _SHOWN)] if len(found) > _SHOWN else []
    return replace(found[0][1], evidence="; ".join([*told, *more]))


def age_of(moment: datetime, now: datetime | None = None) -> str:
    """As in "5 min" or "3 h"."""
    seconds = max(((now or clock.now_utc()) - moment).total_seconds(), 0.0)
    if seconds < 120:
        return tr("{seconds:.0f} s", seconds=seconds)
    if seconds < 7200:
        return tr("{minutes:.0f} min", minutes=seconds / 60)
    return tr("{hours:.0f} h", hours=seconds / 3600)
