"""Who may look at the board, and who may change something? Tokens make sessions, sessions are signed cookies.

A session is in its cookie, so every replica knows it: what it says, signed with a key that is made of the token that
opened it. Taking a token away ends its sessions. Without any token the worker's own machine may, as everywhere in HTTP.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from oxcart.http.auth import has_token, is_this_machine, split_address
from oxcart.secret import Secret

COOKIE, SAID = "oxcart_board", "oxcart_said"
SESSION_SECONDS = 12 * 3600
SAID_SECONDS = 60  # what an action did is told on the next page, or not at all
PATH = "/board"

_LOGINS, _LOGIN_SECONDS = 10, 3.0  # so many at once, then one every so often: a token of 32 hex digits outlasts us all
_LONGEST_COOKIE = 4000


@dataclass(frozen=True, slots=True)
class Session:
    """One person at the board. `unveiled`: secrets in payloads are shown to this session."""

    id: str
    ends_at: int
    may_change: bool
    language: str | None = None
    theme: str | None = None
    unveiled: bool = False
    key: bytes = field(default=b"", repr=False)
    is_new: bool = False

    @property
    def csrf(self) -> str:
        """What a form of this session carries, and no other page can know."""
        return hmac.new(self.key, b"csrf " + self.id.encode(), hashlib.sha256).hexdigest()

    def may_post(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.csrf.encode())


class Access:
    """Judges requests. `read_only`: nobody changes anything, whatever token they have."""

    def __init__(
        self,
        operators: Sequence[Secret],
        readers: Sequence[Secret],
        *,
        read_only: bool = False,
        public_url: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._operators, self._readers = tuple(operators), tuple(readers)
        self._read_only = read_only
        public = split_address(public_url or "")
        self._public_host = public.netloc if public else ""
        self._local_key = secrets.token_bytes(32)
        self._monotonic, self._now = monotonic, now
        self._left, self._counted_at = float(_LOGINS), monotonic()

    # -------------------------------------------------------------------------------------------- who is it
    def session(self, request: Request) -> Session | None:
        """The session of a browser; a new one for this machine itself, where no token is set."""
        cookie = request.cookies.get(COOKIE, "")
        if not self._operators and is_this_machine(request):
            found = self._opened(cookie, self._local_key, may_change=True)
            return found or self._new(self._local_key, may_change=True)
        for tokens, may_change in ((self._operators, True), (self._readers, False)):
            for token in tokens:
                found = self._opened(cookie, _key_of(token), may_change=may_change)
                if found is not None:
                    return found
        return None

    def bearer(self, request: Request) -> bool | None:
        """Whether the program that asks may change something; None: it may not even look."""
        given = request.headers.get("authorization", "")
        if has_token(given, self._operators) or (not self._operators and is_this_machine(request)):
            return not self._read_only
        return False if has_token(given, self._readers) else None

    def log_in(self, token: str) -> Session | None:
        """None for what is no token. Ask `wait_seconds` first."""
        for tokens, may_change in ((self._operators, True), (self._readers, False)):
            for known in tokens:
                if known and hmac.compare_digest(token.encode("utf-8", "replace"), known.reveal().encode()):
                    return self._new(_key_of(known), may_change=may_change)
        return None

    def wait_seconds(self) -> float:
        """0 if someone may try to log in now, which is counted; else how long until then."""
        now = self._monotonic()
        self._left = min(_LOGINS, self._left + (now - self._counted_at) / _LOGIN_SECONDS)
        self._counted_at = now
        if self._left < 1:
            return (1 - self._left) * _LOGIN_SECONDS
        self._left -= 1
        return 0.0

    def is_from_here(self, request: Request) -> bool:
        """Whether a change was asked for by a page of ours."""
        headers = request.headers
        if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return False
        origin = headers.get("origin")
        if origin is None:
            return True  # not a browser of this decade; the cookie is SameSite=Strict, and the form has its token
        parts = split_address(origin)
        return parts is not None and parts.netloc in {headers.get("host"), self._public_host} - {"", None}

    # -------------------------------------------------------------------------------------------- cookies
    def keep(self, response: Response, request: Request, session: Session) -> None:
        said: dict[str, Any] = {"i": session.id, "e": session.ends_at}
        said |= {"l": session.language, "t": session.theme, "v": session.unveiled}
        left = max(0, session.ends_at - round(self._now()))
        _set(response, request, COOKIE, _signed(session.key, b"session", said), left)

    def forget(self, response: Response, request: Request) -> None:
        _set(response, request, COOKIE, "", 0)

    def tell(self, response: Response, request: Request, session: Session, said: Mapping[str, Any]) -> None:
        """What the next page of this session shows once."""
        cookie = _signed(session.key, b"said " + session.id.encode(), {**said, "e": round(self._now()) + SAID_SECONDS})
        if len(cookie) <= _LONGEST_COOKIE:
            _set(response, request, SAID, cookie, SAID_SECONDS)

    def told(self, request: Request, session: Session) -> dict[str, Any] | None:
        said = _read(session.key, b"said " + session.id.encode(), request.cookies.get(SAID, ""))
        return said if said is not None and said["e"] > self._now() else None

    def clear_told(self, response: Response, request: Request) -> None:
        _set(response, request, SAID, "", 0)

    def _new(self, key: bytes, *, may_change: bool) -> Session:
        ends_at = round(self._now()) + SESSION_SECONDS
        may_change = may_change and not self._read_only
        return Session(secrets.token_hex(12), ends_at, may_change, key=key, is_new=True)

    def _opened(self, cookie: str, key: bytes, *, may_change: bool) -> Session | None:
        said = _read(key, b"session", cookie)
        if said is None or said["e"] <= self._now():
            return None
        session = Session(str(said["i"]), said["e"], may_change and not self._read_only, key=key)
        return replace(session, language=said.get("l"), theme=said.get("t"), unveiled=bool(said.get("v")))


def _key_of(token: Secret) -> bytes:
    return hashlib.sha256(b"oxcart board " + token.reveal().encode()).digest()


def _signed(key: bytes, purpose: bytes, said: Mapping[str, Any]) -> str:
    body = base64.urlsafe_b64encode(json.dumps(said, separators=(",", ":")).encode()).decode()
    return f"{body}.{hmac.new(key, purpose + b' ' + body.encode(), hashlib.sha256).hexdigest()}"


def _read(key: bytes, purpose: bytes, cookie: str) -> dict[str, Any] | None:
    body, _, signature = cookie.partition(".")
    expected = hmac.new(key, purpose + b" " + body.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode()):
        return None
    said = json.loads(base64.urlsafe_b64decode(body))  # signed by us, so it is what we wrote
    return said if isinstance(said, dict) else None


def _set(response: Response, request: Request, name: str, value: str, seconds: int) -> None:
    is_tls = request.url.scheme == "https" or request.headers.get("x-forwarded-proto", "").startswith("https")
    response.set_cookie(name, value, max_age=seconds, path=PATH, secure=is_tls, httponly=True, samesite="strict")
