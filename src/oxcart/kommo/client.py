"""How do we call Kommo's API? Over aiohttp, to the account's host alone, at the limiter's pace, with errors of ours.

`Kommo` is the process's door: a session, the limiter, the guard. `Client` is one connection's view through it.
aiohttp is imported when a door opens: an idle worker does not carry it.
"""

from __future__ import annotations

import asyncio
import email.utils
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import urlencode

import msgspec

from oxcart import clock
from oxcart.errors import InvalidInput
from oxcart.kommo.address import check_account_host
from oxcart.kommo.failures import (
    Blocked,
    Gone,
    KommoError,
    RawAnswer,
    ServerTrouble,
    TooManyRequests,
    Unauthorized,
    error_of,
)
from oxcart.kommo.limiter import Caller, Limiter, Permit
from oxcart.kommo.parsing import parse_json
from oxcart.secret import Secret

if TYPE_CHECKING:
    from types import TracebackType

    import aiohttp

Query = Sequence[tuple[str, str | int]]

API = "/api/v4"
REQUEST_SECONDS = 30.0
CONNECT_SECONDS = 10.0
RETRY_SECONDS = (0.5, 1.0)
"""At least and at most, before a read is tried a second time; doubled for the third."""

_MOST_BYTES = 64 * 1024 * 1024  # 250 leads with everything are below 1 MiB
_READ_TRIES = 3
_REFUSALS = 4  # of one read that waits out its 429s
_CONNECTIONS = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """A success. `body` is decoded JSON, None where there was none (204); `server_time` the Date, in epoch seconds."""

    status: int
    body: Any
    server_time: int | None


class Tokens(Protocol):
    """Where a connection's access token comes from."""

    async def current(self) -> Secret:
        """Raises KommoError if there is none to be had."""

    async def replace(self, refused: Secret) -> Secret:
        """Another token than the one Kommo has just refused. Raises Unauthorized if there is none."""


@dataclass(frozen=True, slots=True)
class LongLivedToken:
    """A token of a private integration: nothing replaces it but its owner."""

    token: Secret

    async def current(self) -> Secret:
        return self.token

    async def replace(self, refused: Secret) -> Secret:
        del refused
        raise Unauthorized(
            "Calling Kommo",
            "the long-lived token has ended or was revoked.",
            "Make a new one in the integration's settings at Kommo, and connect the account again with it.",
            status=401,
        )


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request. `writes`: repeating it may do it twice."""

    method: str
    host: str
    path: str
    query: Query = ()
    body: bytes | None = None
    headers: Mapping[str, str] | None = None
    writes: bool = False

    @property
    def doing(self) -> str:
        return f"Kommo {self.method} {self.host}{self.path}"


class Kommo:
    """The process's door to Kommo. Use as a context manager; closed, it refuses every call.

    `base_url` (OXCART_KOMMO_BASE_URL) receives everything instead, with the account in the Host header.
    """

    def __init__(
        self,
        limiter: Limiter,
        *,
        base_url: str | None = None,
        request_seconds: float = REQUEST_SECONDS,
        retry_seconds: tuple[float, float] = RETRY_SECONDS,
    ) -> None:
        self.limiter = limiter
        self.retry_seconds = retry_seconds
        self._base_url = base_url
        self._request_seconds = request_seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"oxcart/{version('oxcart')}", "Accept": "application/json"},
            timeout=aiohttp.ClientTimeout(total=self._request_seconds, connect=CONNECT_SECONDS),
            trust_env=False,  # a proxy of the environment would see the tokens
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def client(self, host: str, tokens: Tokens, caller: Caller) -> Client:
        """Raises InvalidInput for a host that is no account's."""
        return Client(self, check_account_host(host), tokens, caller)

    async def request_token(self, host: str, form: Mapping[str, str], caller: Caller) -> dict[str, Any]:
        """POST /oauth2/access_token, once. `form` holds secrets, and the answer does.

        Raises Refused or Unauthorized when the code or token is refused, ServerTrouble when the answer was lost: then
        the same refresh token may be sent again.
        """
        body = msgspec.json.encode(dict(form))
        headers = {"Content-Type": "application/json"}
        call = Call("POST", host, "/oauth2/access_token", body=body, headers=headers, writes=True)
        answer = await self.send(call, caller)
        if not isinstance(answer.body, dict) or not isinstance(answer.body.get("access_token"), str):
            raise _unreadable(call, answer.status)
        return answer.body

    async def find_domain(self, api_host: str, refresh_token: Secret, caller: Caller) -> str:
        """Where an account has moved to, by its refresh token. Raises KommoError, InvalidInput for a host not Kommo's.

        `api_host` is the token's api_domain, of the same form as an account's host.
        """
        headers = {"X-Refresh-Token": refresh_token.reveal()}
        call = Call("GET", api_host, "/oauth2/account/current/subdomain", headers=headers)
        answer = await self.send(call, caller)
        if not isinstance(answer.body, dict):
            raise _unreadable(call, answer.status)
        return check_account_host(answer.body.get("domain", ""))

    async def send(self, call: Call, caller: Caller, token: Secret | None = None) -> Answer:
        """One request at the limiter's pace. Raises KommoError, InvalidInput, Unavailable (Redis away: nothing sent).

        A 429 pauses everyone, an HTML 403 stops its account, before it is raised. Nothing is repeated here.
        """
        check_account_host(call.host)
        permit = await self.limiter.acquire(caller, call.doing)
        if permit.is_probe or permit.is_own_probe:
            await self._probe(call, permit, token)
            permit = await self.limiter.acquire(caller, call.doing)
        return await self._judged(call, permit, token)

    async def _probe(self, call: Call, permit: Permit, token: Secret | None) -> None:
        """Ask for the account, the cheapest question there is; only an HTML 403 means that we are still locked out."""
        question = Call("GET", call.host, f"{API}/account")
        try:
            await self._judged(question, permit, token)
        except (Blocked, ServerTrouble):
            raise  # no answer says nothing: the next probe will
        except KommoError:
            await self.limiter.unblock(permit)
        else:
            await self.limiter.unblock(permit)

    async def _judged(self, call: Call, permit: Permit, token: Secret | None) -> Answer:
        raw = await self._exchange(call, token)
        error = error_of(raw, call.doing, writes=call.writes)
        if isinstance(error, TooManyRequests):
            error.retry_after_seconds = await self.limiter.pause(permit, error.retry_after_seconds)
        elif isinstance(error, Blocked):
            error.retry_after_seconds = await self.limiter.block(permit)
        if error is not None:
            raise error
        body = parse_json(raw.body) if raw.body.strip() else None
        if body is None and raw.status != 204 and raw.body.strip():
            raise _unreadable(call, raw.status)
        return Answer(raw.status, body, _epoch(raw.headers.get("date")))

    async def _exchange(self, call: Call, token: Secret | None) -> RawAnswer:
        """The request itself; the one place where aiohttp's errors become ours."""
        import aiohttp

        if self._session is None:
            raise InvalidInput(f"{call.doing}: this Kommo is closed; make the call inside its context.")
        headers = {**(call.headers or {}), "Host": call.host}
        if token is not None:
            headers["Authorization"] = f"Bearer {token.reveal()}"
        try:
            async with self._session.request(
                call.method, self._url(call), data=call.body, headers=headers, allow_redirects=False
            ) as response:
                body = await self._read(call, response)
                named = {name.lower(): value for name, value in response.headers.items()}
                return RawAnswer(response.status, named, body)
        except aiohttp.ClientConnectorError as error:
            raise _trouble(call, f"cannot connect ({type(error.os_error).__name__}).", sent=False) from error
        except TimeoutError as error:
            raise _trouble(call, f"no answer within {self._request_seconds:g} s.") from error
        except aiohttp.ClientError as error:
            raise _trouble(call, f"the connection broke ({type(error).__name__}).") from error

    async def _read(self, call: Call, response: aiohttp.ClientResponse) -> bytes:
        read = bytearray()
        async for chunk in response.content.iter_chunked(1 << 18):
            read += chunk
            if len(read) > _MOST_BYTES:
                raise _trouble(call, f"the answer is longer than {_MOST_BYTES >> 20} MiB.")
        return bytes(read)

    def _url(self, call: Call) -> Any:
        """Brackets stay as they are: encoded, 250 ids in one filter would pass the 8 KiB that servers allow a line."""
        import yarl

        query = f"?{urlencode(call.query, safe='[]')}" if call.query else ""
        return yarl.URL(f"{self._base_url or f'https://{call.host}'}{call.path}{query}", encoded=True)


class Client:
    """One connection's calls. Reads are repeated where that helps, writes never."""

    def __init__(self, kommo: Kommo, host: str, tokens: Tokens, caller: Caller) -> None:
        self.kommo = kommo
        self.host = host
        self.caller = caller
        self._tokens = tokens

    async def get(self, path: str, query: Query = ()) -> Answer:
        """GET below /api/v4. Repeats what Kommo's own trouble spoilt, and waits out a 429 within the caller's patience.

        Raises KommoError.
        """
        call = Call("GET", self.host, API + path, query)
        troubles = refusals = 0
        while True:
            try:
                return await self._send(call)
            except ServerTrouble:
                troubles += 1
                if troubles >= _READ_TRIES:
                    raise
                await asyncio.sleep(clock.uniform(*self.kommo.retry_seconds) * troubles)
            except TooManyRequests as error:
                refusals += 1
                if refusals >= _REFUSALS or (error.retry_after_seconds or 0) > self.caller.patience_seconds:
                    raise

    async def find(self, path: str) -> Any:
        """GET one record; None where there is none: Kommo says 204 or 404."""
        try:
            return (await self.get(path)).body
        except Gone:
            return None

    async def write(self, method: str, path: str, body: Any) -> Answer:
        """POST, PATCH or DELETE below /api/v4, sent once. Raises KommoError; ServerTrouble leaves the outcome open."""
        headers = {"Content-Type": "application/json"}
        call = Call(method, self.host, API + path, body=msgspec.json.encode(body), headers=headers, writes=True)
        return await self._send(call)

    async def _send(self, call: Call) -> Answer:
        """With the current token; once more if it is good all the same, or with another if Kommo refuses that one."""
        token = await self._tokens.current()
        try:
            return await self.kommo.send(call, self.caller, token)
        except Unauthorized:
            if not await self._is_good(token):
                replaced = await self._tokens.replace(token)
                if replaced == token:
                    raise
                token = replaced
        return await self.kommo.send(call, self.caller, token)

    async def _is_good(self, token: Secret) -> bool:
        """One 401 was seen that was no refusal of the token: what the account answers decides."""
        try:
            await self.kommo.send(Call("GET", self.host, f"{API}/account"), self.caller, token)
        except Unauthorized:
            return False
        return True


def _trouble(call: Call, happened: str, *, sent: bool = True) -> ServerTrouble:
    unknown = call.writes and sent
    advice = "It may have been done; look before it is sent again." if unknown else "It can be tried again."
    return ServerTrouble(call.doing, happened, advice, outcome_unknown=unknown)


def _unreadable(call: Call, status: int) -> ServerTrouble:
    return ServerTrouble(
        call.doing,
        "the answer is not the JSON it should be, or was cut.",
        "It is tried again." if not call.writes else "It may have been done; look before it is sent again.",
        status=status,
        outcome_unknown=call.writes,
    )


def _epoch(date: str | None) -> int | None:
    parsed = email.utils.parsedate_tz(date) if date else None
    return email.utils.mktime_tz(parsed) if parsed else None
