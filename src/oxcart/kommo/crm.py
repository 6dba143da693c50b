"""What does a process hold of the CRM? The database, the door to Kommo and the tokens, opened when first needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from oxcart.connection.link import Server
from oxcart.errors import InvalidInput
from oxcart.kommo.account import Account
from oxcart.kommo.address import read_account_host
from oxcart.kommo.client import Kommo
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.limiter import Caller, Limiter, Pace
from oxcart.kommo.store.connections import StoredConnection, list_connections, load_connection
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.opening import database_of, open_database
from oxcart.kommo.token_endpoint import KommoTokenEndpoint
from oxcart.kommo.tokens import ConnectionTokens, TokenKeeper
from oxcart.settings import Settings
from oxcart.telemetry.bus import Emit


class Crm:
    """One per process and event loop; see `open_crm`."""

    def __init__(self, database: Database, kommo: Kommo, keyring: Keyring, emit: Emit) -> None:
        self.database = database
        self.kommo = kommo
        self.keyring = keyring
        self.keeper = TokenKeeper(database, keyring, KommoTokenEndpoint(kommo), emit)
        self.emit = emit
        self._tokens: dict[str, ConnectionTokens] = {}

    async def connections(self) -> list[StoredConnection]:
        async with self.database.reading("Looking for connected accounts") as connection:
            return await list_connections(connection)

    async def find(
        self, *, connection_id: str | None = None, domain: str | None = None, org_id: str | None = None
    ) -> StoredConnection:
        """The connection that a job or a person names. Raises InvalidInput if there is none, or more than one."""
        if connection_id is not None:
            async with self.database.reading("Looking for a connected account") as connection:
                found = await load_connection(connection, connection_id)
            if found is not None and org_id in {None, found.org_id}:
                return found
            raise InvalidInput(_no_connection(f"with the id {connection_id}", org_id))
        host = read_account_host(domain) if domain is not None else None
        every = [
            stored
            for stored in await self.connections()
            if org_id in {None, stored.org_id} and host in {None, _host(stored.domain)}
        ]
        if len(every) == 1:
            return every[0]
        if not every:
            raise InvalidInput(_no_connection(f"for {host}" if host else "at all", org_id))
        raise InvalidInput(
            f"{len(every)} Kommo accounts are connected ({', '.join(stored.domain for stored in every)}); say which."
        )

    def account(
        self, stored: StoredConnection, *, interactive: bool = False, patience_seconds: float = 60.0
    ) -> Account:
        """`interactive`: a person waits, so its requests go before those of a backfill."""
        tokens = self._tokens.setdefault(stored.id, self.keeper.of(stored.id))
        caller = Caller(stored.id, interactive=interactive, patience_seconds=patience_seconds)
        client = self.kommo.client(read_account_host(stored.domain), tokens, caller)
        return Account(stored.id, stored.org_id, stored.domain, self.database, client, self.emit)


@asynccontextmanager
async def open_crm(settings: Settings, server: Server, emit: Emit, *, pace: Pace | None = None) -> AsyncIterator[Crm]:
    """Raises SettingsError (no database, no tables, no key), Unavailable."""
    keyring = Keyring(settings.encryption_key, settings.old_encryption_keys)
    async with open_database(database_of(settings)) as database:
        limiter = Limiter(server, pace=pace, emit=emit)
        async with Kommo(limiter, base_url=settings.kommo_base_url) as kommo:
            yield Crm(database, kommo, keyring, emit)


class SharedCrm:
    """The process's Crm for its handlers: opened by the first that asks, closed with the process."""

    def __init__(self, settings: Settings, server: Server, emit: Emit) -> None:
        self.settings = settings
        self.server = server
        self._emit = emit
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._crm: Crm | None = None

    async def get(self) -> Crm:
        """Raises as `open_crm`; the next call tries again."""
        async with self._opening:
            if self._crm is None:
                self._crm = await self._stack.enter_async_context(open_crm(self.settings, self.server, self._emit))
            return self._crm

    async def close(self) -> None:
        self._crm = None
        await self._stack.aclose()


def _host(domain: str) -> str:
    """As it lies in the table; a domain that is none of Kommo's is found under its own name, and refused when used."""
    try:
        return read_account_host(domain)
    except InvalidInput:
        return domain


def _no_connection(which: str, org_id: str | None) -> str:
    whose = f" of the organisation {org_id}" if org_id else ""
    return f"There is no Kommo connection {which}{whose}. Connect the account: oxcart kommo connect DOMAIN."
