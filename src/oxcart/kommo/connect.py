"""How is an account connected from a command line? Its token is tried first; what is stored then works.

Nothing is changed in the account but one webhook subscription, and that by upkeep.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from oxcart.errors import InvalidInput, PortUnavailable
from oxcart.kommo.address import read_account_host
from oxcart.kommo.authorize import Integration, begin_authorization, connect_long_lived, finish_authorization
from oxcart.kommo.client import LongLivedToken
from oxcart.kommo.crm import ServedCrm
from oxcart.kommo.limiter import Caller
from oxcart.kommo.store.connections import StoredConnection, connection_of_domain, organisation_is_wanted
from oxcart.kommo.token_endpoint import KommoTokenEndpoint
from oxcart.language import tr
from oxcart.secret import Secret

CALLBACK_SECONDS = 15 * 60.0
_PAGE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
    b"Oxcart has the answer. This page can be closed.\n"
)
_MOST_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Pending:
    """An authorization under way: a person opens `url` and grants access."""

    url: str
    redirect_uri: str


async def check_organisation(crm: ServedCrm, domain: str, org_id: str | None) -> None:
    """Raises InvalidInput where the database wants an organisation and none is named."""
    host = read_account_host(domain)
    async with crm.database.reading("Looking for organisations") as connection:
        if org_id is not None or await connection_of_domain(connection, host) is not None:
            return
        if await organisation_is_wanted(connection):
            raise InvalidInput(
                tr(
                    "Connecting {host}: this database keeps each connection under an organisation of the "
                    "platform. Name it: --org UUID.",
                    host=host,
                )
            )


async def connect_by_token(crm: ServedCrm, domain: str, token: Secret, *, org_id: str | None) -> StoredConnection:
    """With a private integration's long-lived token. Raises Unauthorized for one that Kommo refuses; nothing is stored.

    Raises InvalidInput for a domain that is none, or where an organisation must be named.
    """
    host = read_account_host(domain)
    await check_organisation(crm, host, org_id)
    caller = Caller(host, interactive=True)
    await crm.kommo.client(host, LongLivedToken(token), caller).get("/account")
    existing = await _existing(crm, host, org_id)
    owner = org_id or (existing.org_id if existing else None)
    connection_id = await connect_long_lived(crm.database, crm.keyring, host, token, org_id=owner)
    return await crm.find(connection_id=connection_id)


async def begin(crm: ServedCrm, domain: str, integration: Integration, *, org_id: str | None) -> Pending:
    """The first half of OAuth. Raises InvalidInput."""
    host = read_account_host(domain)
    await check_organisation(crm, host, org_id)
    existing = await _existing(crm, host, org_id)
    owner = org_id or (existing.org_id if existing else None)
    url = await begin_authorization(crm.database, crm.keyring, integration, host, org_id=owner)
    base_url = crm.settings.kommo_base_url
    if base_url is not None:
        url = f"{base_url}/oauth?{urlsplit(url).query}"
    return Pending(url, integration.redirect_uri)


async def finish(crm: ServedCrm, query: Mapping[str, str]) -> StoredConnection:
    """The second half, with what Kommo's redirect brought. Raises InvalidInput, KommoError."""
    if "error" in query:
        raise InvalidInput(
            tr("Connecting an account: access was not granted ({error}). Begin again.", error=query["error"][:60])
        )
    missing = [name for name in ("code", "state", "referer") if not query.get(name)]
    if missing:
        raise InvalidInput(
            tr("Connecting an account: the redirect has no {missing}. Begin again.", missing=" and no ".join(missing))
        )
    connection_id = await finish_authorization(
        crm.database,
        crm.keyring,
        KommoTokenEndpoint(crm.kommo),
        state=query["state"],
        code=query["code"],
        referer=query["referer"],
    )
    return await crm.find(connection_id=connection_id)


async def wait_for_redirect(redirect_uri: str) -> Mapping[str, str]:
    """Listen at a redirect address on this machine until the browser comes; the query it brings.

    Raises PortUnavailable, InvalidInput after 15 minutes.
    """
    address = urlsplit(redirect_uri)
    came: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(10):
                line = (await reader.readuntil(b"\r\n")).decode("latin-1").split(" ")
                writer.write(_PAGE)
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            return
        finally:
            writer.close()
        asked = urlsplit(line[1] if len(line) > 1 else "")
        if asked.path == address.path and not came.done():
            came.set_result(_query(asked.query))

    try:
        listener = await asyncio.start_server(answer, address.hostname, address.port or 80, limit=_MOST_BYTES)
    except OSError as error:
        raise PortUnavailable(
            address.port or 80,
            f"Waiting for Kommo's answer at {redirect_uri}: {error.strerror}. Free that port, or register another "
            "redirect address with the integration and give it by --redirect-uri.",
        ) from error
    async with listener:
        try:
            async with asyncio.timeout(CALLBACK_SECONDS):
                return await came
        except TimeoutError:
            raise InvalidInput(
                tr("Connecting an account: nobody granted access within 15 minutes. Begin again.")
            ) from None


def is_local(redirect_uri: str) -> bool:
    return urlsplit(redirect_uri).hostname in {"127.0.0.1", "localhost", "::1"}


def read_redirect(pasted: str) -> Mapping[str, str]:
    """The query of the address that the browser ended at."""
    return _query(urlsplit(pasted.strip()).query)


def _query(text: str) -> dict[str, str]:
    return dict(parse_qsl(text))


async def _existing(crm: ServedCrm, host: str, org_id: str | None) -> StoredConnection | None:
    """An account that is connected keeps its row, whoever made it."""
    async with crm.database.reading("Looking for a connected account") as connection:
        found = await connection_of_domain(connection, host, org_id)
    return None if found is None else await crm.find(connection_id=found)
