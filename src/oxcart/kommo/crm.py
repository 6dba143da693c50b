"""What does a process hold of the CRM? The database, the door to Kommo and the tokens, open together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import Connection, inspect, select

from oxcart.connection.server import Server
from oxcart.errors import InvalidInput
from oxcart.kommo.account import Account
from oxcart.kommo.address import read_account_host
from oxcart.kommo.client import Kommo
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.limiter import Caller, Limiter, Pace
from oxcart.kommo.store.connections import KOMMO, StoredConnection, is_uuid, list_connections, load_connection
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.database_url import database_of
from oxcart.kommo.store.opening import open_database, reach_database
from oxcart.kommo.store.platform_tables import crm_connections
from oxcart.kommo.token_endpoint import KommoTokenEndpoint
from oxcart.kommo.tokens import ConnectionTokens, TokenKeeper
from oxcart.settings import Settings
from oxcart.telemetry.bus import Emit


class Crm:
    """One per process and event loop."""

    def __init__(self, database: Database, kommo: Kommo, keyring: Keyring, emit: Emit) -> None:
        self.database = database
        self.kommo = kommo
        self.keyring = keyring
        self.keeper = TokenKeeper(database, keyring, KommoTokenEndpoint(kommo), emit)
        self.emit = emit
        self.skips: frozenset[str] = frozenset()
        self._tokens: dict[str, ConnectionTokens] = {}

    async def connections(self) -> list[StoredConnection]:
        async with self.database.reading("Looking for connected accounts") as connection:
            return await list_connections(connection)

    async def find(
        self, *, connection_id: str | None = None, domain: str | None = None, org_id: str | None = None
    ) -> StoredConnection:
        """The connection that a job or a person names. `domain` may be the connection's id instead.

        Raises InvalidInput if there is none, or more than one.
        """
        if domain is not None and is_uuid(domain):
            connection_id = domain
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
        return Account(stored.id, stored.org_id, stored.domain, self.database, client, self.emit, self.skips)


class ServedCrm(Crm):
    """With the settings and the Redis that it lives beside; see `open_crm`."""

    def __init__(self, settings: Settings, server: Server, database: Database, kommo: Kommo, emit: Emit) -> None:
        super().__init__(database, kommo, Keyring(settings.encryption_key, settings.old_encryption_keys), emit)
        self.settings = settings
        self.skips = frozenset(settings.kommo_skip)
        self.server = server


@asynccontextmanager
async def open_crm(settings: Settings, server: Server, emit: Emit) -> AsyncIterator[ServedCrm]:
    """Raises SettingsError (no database, no tables, no key), Unavailable."""
    async with open_database(database_of(settings)) as database:
        limiter = Limiter(server, pace=Pace(settings.kommo_requests_per_second), emit=emit)
        async with Kommo(limiter, base_url=settings.kommo_base_url) as kommo:
            yield ServedCrm(settings, server, database, kommo, emit)


async def has_connections(settings: Settings) -> bool:
    """Whether there is an account to look after. False too for a database that is not the CRM's; it is left as it is.

    Raises SettingsError, Unavailable.
    """
    async with (
        reach_database(database_of(settings)) as database,
        database.reading("Looking for connected accounts") as connection,
    ):
        schema = settings.database_schema if database.is_postgresql else None

        def is_there(sync: Connection) -> bool:
            return inspect(sync).has_table(crm_connections.name, schema=schema)

        if not await connection.run_sync(is_there):
            return False
        wanted = select(crm_connections.c.id).where(crm_connections.c.provider == KOMMO).limit(1)
        return (await connection.execute(wanted)).first() is not None


def _host(domain: str) -> str:
    """As it lies in the table; a domain that is none of Kommo's is found under its own name, and refused when used."""
    try:
        return read_account_host(domain)
    except InvalidInput:
        return domain


def _no_connection(which: str, org_id: str | None) -> str:
    whose = f" of the organisation {org_id}" if org_id else ""
    return f"There is no Kommo connection {which}{whose}. Connect the account: oxcart kommo connect DOMAIN."
