"""Which tokens are valid? Codes, pairs that rotate with a grace for lost answers, and long-lived ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from oxcart_sandbox.account import Account
from oxcart_sandbox.clock import SandboxClock
from oxcart_sandbox.scenario import Scenario
from oxcart_sandbox.seed import FIRST_IDS, mix

SCOPES = ("crm", "notifications")
_LONG_LIVED_SECONDS = 5 * 365 * 86_400


@dataclass(frozen=True, slots=True)
class Integration:
    """What is registered at Kommo. The defaults are the sandbox's own, and no secret to anybody."""

    client_id: str = "5a9dbe11-0000-4000-8000-000000000001"
    client_secret: str = "sandbox-client-secret"  # noqa: S105 - opens nothing but a sandbox
    redirect_uri: str = "http://127.0.0.1:3001/kommo/callback"


@dataclass(slots=True)
class Grant:
    """One access token. `pair` is the refresh token that came with it, `parent` the one it was got with."""

    account: Account
    user_id: int
    access: str
    expires_at: float
    pair: str | None = None
    parent: str | None = None


@dataclass(slots=True)
class _Refresh:
    account: Account
    user_id: int
    expires_at: float
    children: list[Grant]


class Refusal(Exception):  # noqa: N818 - an answer, not a failure
    """The token endpoint says no."""

    def __init__(self, status: int, title: str, hint: str) -> None:
        self.status = status
        self.title = title
        self.hint = hint
        super().__init__(hint)


class Authority:
    """All tokens of all accounts, deterministic by seed."""

    def __init__(self, seed: int, clock: SandboxClock, scenario: Callable[[], Scenario]) -> None:
        self.integration = Integration()
        self._seed = seed
        self._clock = clock
        self._scenario = scenario
        self._issued = 0
        self._codes: dict[str, tuple[Account, int, float]] = {}
        self._grants: dict[str, Grant] = {}
        self._refreshes: dict[str, _Refresh] = {}
        self.exchanges = 0  # how often a pair was handed out

    def long_lived(self, account: Account, *, admin: bool = True, seconds: float = _LONG_LIVED_SECONDS) -> str:
        """A token as a private integration has it."""
        return self._grant(account, FIRST_IDS["users"] + (0 if admin else 1), seconds).access

    def code(self, account: Account, *, admin: bool = True) -> str:
        code = f"def502{self._random():016x}{self._random():016x}"
        user = FIRST_IDS["users"] + (0 if admin else 1)
        self._codes[code] = (account, user, self._clock.now() + self._scenario().code_seconds)
        return code

    def use(self, access: str) -> Grant | None:
        """The grant of a valid access token. Its first use ends what it replaced (facts: the grace rule)."""
        grant = self._grants.get(access)
        if grant is None or grant.expires_at <= self._clock.now():
            return None
        if grant.parent is not None:
            replaced = self._refreshes.pop(grant.parent, None)
            grant.parent = None
            for sibling in replaced.children if replaced else ():
                if sibling is not grant:
                    self._end(sibling)
        return grant

    def exchange(self, form: Mapping[str, Any], account: Account) -> dict[str, Any]:
        """The answer of /oauth2/access_token. Raises Refusal."""
        known = self.integration
        if (form.get("client_id"), form.get("client_secret")) != (known.client_id, known.client_secret):
            raise Refusal(401, "Unauthorized", "Check the client_id and client_secret")
        if form.get("redirect_uri") != known.redirect_uri:
            raise Refusal(400, "Bad Request", "The redirect_uri is not the registered one")
        match form.get("grant_type"):
            case "authorization_code":
                return self._by_code(str(form.get("code", "")), account)
            case "refresh_token":
                return self._by_refresh(str(form.get("refresh_token", "")), account)
        raise Refusal(400, "Bad Request", "The grant_type is not known")

    def account_of_refresh(self, token: str) -> Account | None:
        found = self._refreshes.get(token)
        return found.account if found and found.expires_at > self._clock.now() else None

    def revoke(self, account: Account) -> None:
        """Every token of the account ends, as when its user removes the integration."""
        self._grants = {name: grant for name, grant in self._grants.items() if grant.account is not account}
        self._refreshes = {name: held for name, held in self._refreshes.items() if held.account is not account}

    def signature(self, account: Account) -> str:
        """Of the notice that access was revoked, the only signed one."""
        text = f"{self.integration.client_id}|{account.id}"
        return hmac.new(self.integration.client_secret.encode(), text.encode(), hashlib.sha256).hexdigest()

    # ------------------------------------------------------------------------------------------ inside
    def _by_code(self, code: str, account: Account) -> dict[str, Any]:
        """A code works once."""
        known = self._codes.pop(code, None)
        if known is None or known[0] is not account or known[2] <= self._clock.now():
            raise Refusal(400, "Bad Request", "Authorization code has expired")
        return self._pair(account, known[1], None)

    def _by_refresh(self, token: str, account: Account) -> dict[str, Any]:
        known = self._refreshes.get(token)
        if known is None or known.account is not account or known.expires_at <= self._clock.now():
            status = self._scenario().refusal_status
            raise Refusal(status, "Unauthorized" if status == 401 else "Bad Request", "Token has been revoked")
        answer = self._pair(account, known.user_id, token)
        if self._scenario().strict_rotation:
            self._refreshes.pop(token)
        return answer

    def _pair(self, account: Account, user_id: int, parent: str | None) -> dict[str, Any]:
        scenario = self._scenario()
        self.exchanges += 1
        grant = self._grant(account, user_id, scenario.access_seconds)
        refresh = f"def502{self._random():016x}{self._random():016x}{self._random():016x}"
        expires_at = self._clock.now() + scenario.refresh_seconds
        self._refreshes[refresh] = _Refresh(account, user_id, expires_at, [])
        grant.pair, grant.parent = refresh, parent
        if parent is not None:
            self._refreshes[parent].children.append(grant)
        return {
            "token_type": "Bearer",
            "expires_in": int(scenario.access_seconds),
            "server_time": self._clock.seconds(),
            "access_token": grant.access,
            "refresh_token": refresh,
        }

    def _grant(self, account: Account, user_id: int, seconds: float) -> Grant:
        expires_at = self._clock.now() + seconds
        claims = {
            "jti": f"{self._random():016x}",
            "sub": str(user_id),
            "aud": self.integration.client_id,
            "iat": self._clock.seconds(),
            "exp": int(expires_at),
            "account_id": account.id,
            "base_domain": account.top_domain,
            "api_domain": f"api-c.{account.top_domain}",
            "scopes": list(SCOPES),
        }
        parts = [_base64url(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "RS256"}, claims)]
        parts.append(_base64url(f"{self._random():016x}".encode()))
        grant = Grant(account, user_id, ".".join(parts), expires_at)
        self._grants[grant.access] = grant
        return grant

    def _end(self, grant: Grant) -> None:
        self._grants.pop(grant.access, None)
        if grant.pair is not None:
            self._refreshes.pop(grant.pair, None)

    def _random(self) -> int:
        self._issued += 1
        return mix(self._seed, 77, self._issued)


def _base64url(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()
